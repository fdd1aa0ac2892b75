//! What the server does by itself to keep the installation in order, beside what flows through it: [`audit`] sees to the audit
//! log, [`backup`] makes copies, [`backup_schedule`] when they are due, [`retention`] removes what is too old. Must not talk to anybody outside.

pub mod audit;
pub mod backup;
pub mod backup_schedule;
pub mod retention;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::lifecycle::Pulse;
use crate::store::StoreError;

/// The pause after the database could not be used.
const TRY_AGAIN: Duration = Duration::from_mins(10);

/// Looks after `what` again and again until `stop`, with a pause in between. What is under way then is taken up at the next
/// start.
async fn look_after<T, Look: Future<Output = Result<T, StoreError>>>(
    what: &'static str,
    every: Duration,
    (pulse, stop): (Pulse, CancellationToken),
    look: impl Fn() -> Look,
) {
    loop {
        pulse.beat();
        let looked = tokio::select! {
            () = stop.cancelled() => return,
            looked = look() => looked,
        };
        let pause = match looked {
            Ok(_) => every,
            Err(error) => {
                tracing::error!(%error, cause = ?error, "{what} could not be seen to; trying again");
                TRY_AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
