//! The worker that sends new entries of the audit log on to another system, in their order and at least once. What was not
//! taken is sent again before anything after it.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::endpoint::{Advice, Endpoint, Refused};
use super::https::Connector;
use super::mirror::POLL;
use super::retry::PERSON_PAUSE;
use crate::audit::chain::Hash;
use crate::audit::json::as_json;
use crate::clock::{Randomness, SharedClock};
use crate::config::PushTarget;
use crate::lifecycle::Pulse;
use crate::store::{AuditPush, Store, StoreError, StoredEntry};
use crate::web::secret_key::SecretKey;

/// The most entries in one request.
const MOST_ENTRIES: u32 = 100;
/// The most octets in one request; a larger entry goes alone.
const MOST_OCTETS: usize = 1 << 20;
/// The pause after the database could not be used.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// A round takes at most this long: an answer for each size of the request, and the pause.
pub const ROUND: Duration = Duration::from_mins(5);

/// The worker.
#[derive(Debug, Clone)]
pub struct AuditPusher {
    store: Store,
    clock: SharedClock,
    randomness: Randomness,
    /// Where they are sent.
    pub endpoint: Endpoint,
}

impl AuditPusher {
    /// A worker that sends to `target`. Nothing is sent yet.
    pub fn new(
        store: Store,
        clock: SharedClock,
        randomness: Randomness,
        target: PushTarget,
        connector: Connector,
    ) -> Self {
        let advice = Advice {
            address: "--audit-push-url",
            all: "--audit-push-url and --audit-push-authorization, and restart the server",
        };
        Self { store, clock, randomness, endpoint: Endpoint::new(target, advice, connector) }
    }

    /// What tells the address from others. It may hold a secret, which nobody can guess from this without the key.
    pub fn endpoint(&self, key: &SecretKey) -> Hash {
        key.derive(&format!("audit push {}", self.endpoint.target().address))
    }

    /// The same as earlier versions kept it: the SHA-256 of the address.
    pub fn endpoint_before(&self) -> Hash {
        Sha256::digest(self.endpoint.target().address.to_string()).into()
    }

    /// Works until `stop`. A request that is under way then is given up: it is sent again after the next start.
    pub async fn run(self, pulse: Pulse, stop: CancellationToken) {
        loop {
            pulse.beat();
            let pause = match self.push_due(&stop).await {
                Ok(true) if !stop.is_cancelled() => continue,
                Ok(_) => POLL,
                Err(error) => {
                    tracing::error!(%error, cause = ?error, "the audit log could not be sent on; trying again");
                    TRY_AGAIN
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends one request with what comes next, if it is time. Returns whether it was taken.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn push_due(&self, stop: &CancellationToken) -> Result<bool, StoreError> {
        let Some(standing) = self.store.audit_push().await? else { return Ok(false) };
        let now = self.clock.now();
        // A failure that lies ahead of now is from before the clock was set back.
        if standing.problem.as_ref().is_some_and(|(_, failed_at)| (*failed_at..standing.due_at).contains(&now)) {
            return Ok(false);
        }
        let mut entries = match self.entries_after(standing.pushed_seq).await? {
            Ok(entries) => entries,
            Err(refused) => return self.failed(&standing, &refused).await,
        };
        loop {
            let (body, count) = lines(&entries);
            entries.truncate(count);
            let Some(last) = entries.last().map(|link| link.seq) else { return Ok(false) };
            let sent = tokio::select! {
                () = stop.cancelled() => return Ok(false),
                sent = self.endpoint.post("application/x-ndjson", body, self.clock.now()) => sent,
            };
            match sent {
                Ok(()) => {
                    let mut tx = self.store.write().await?;
                    tx.audit_was_pushed(last, self.clock.now()).await?;
                    tx.commit().await?;
                    tracing::debug!(entries = count, last, "sent the audit log on");
                    return Ok(true);
                }
                // How much an endpoint takes at once nobody knows but itself.
                Err(refused) if refused.is_too_large() && count > 1 => entries.truncate(count / 2),
                Err(refused) => return self.failed(&standing, &refused).await,
            }
        }
    }

    /// The entries that come next; a refusal when the first of them can't be read.
    async fn entries_after(&self, seq: i64) -> Result<Result<Vec<StoredEntry>, Refused>, StoreError> {
        let mut most = MOST_ENTRIES;
        loop {
            match self.store.audit_after(seq, most).await {
                Ok(entries) => return Ok(Ok(entries)),
                Err(error) if error.is_unavailable() => return Err(error),
                // One of them is not in the form that entries have: those before it can go.
                Err(_) if most > 1 => most /= 2,
                Err(_) => {
                    let problem = format!(
                        "the entry that follows number {seq} can't be read, and none is left out: see meeting-mirror audit verify"
                    );
                    return Ok(Err(Refused { status: None, problem, retry_after: Some(PERSON_PAUSE) }));
                }
            }
        }
    }

    /// Keeps why entries were not taken, and when they are sent again.
    async fn failed(&self, standing: &AuditPush, refused: &Refused) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let again_at = refused.again_at(standing.attempts, self.randomness.fraction(), now);
        let problem = &refused.problem;
        tracing::warn!(problem, %again_at, "the audit log could not be sent on");
        let mut tx = self.store.write().await?;
        tx.audit_push_failed(problem, again_at, now).await?;
        tx.commit().await?;
        Ok(false)
    }
}

/// The entries as one JSON object a line, as many from the first on as go into one request, and how many these are.
fn lines(entries: &[StoredEntry]) -> (Bytes, usize) {
    let (mut body, mut count) = (String::new(), 0);
    for link in entries {
        let line = as_json(link).to_string();
        if count > 0 && body.len() + line.len() + 1 > MOST_OCTETS {
            break;
        }
        body += &line;
        body.push('\n');
        count += 1;
    }
    (body.into(), count)
}
