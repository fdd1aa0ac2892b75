//! How the server stops: the first signal stops accepting and lets what is in hand finish, within bounds; a second one
//! ends the process at once; a worker that ends by itself ends the service with an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What is in hand has this long to finish. With the time for closing, the process is gone within 10 s.
const FINISH_WITHIN: Duration = Duration::from_secs(8);

/// How a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to stop, and did.
    Stopped,
    /// A worker ended by itself: a fault.
    WorkerEnded,
}

/// The tasks of a running service.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    stop: CancellationToken,
    tasks: TaskTracker,
    worker_ended: Arc<AtomicBool>,
}

impl Lifecycle {
    /// Cancelled when the service is to stop.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a worker. It may end only after the stop; if it ends or panics before, the service ends with an error.
    pub fn spawn(&self, name: &'static str, worker: impl Future<Output = ()> + Send + 'static) {
        let (stop, worker_ended) = (self.stop.clone(), self.worker_ended.clone());
        self.tasks.spawn(async move {
            let outcome = tokio::spawn(worker).await;
            if outcome.is_err() || !stop.is_cancelled() {
                tracing::error!(
                    worker = name,
                    panicked = outcome.is_err(),
                    "a worker ended by itself; the service ends"
                );
                worker_ended.store(true, Ordering::Relaxed);
                stop.cancel();
            }
        });
    }

    /// Stops at SIGTERM or Ctrl-C; at the second signal the process ends at once.
    ///
    /// # Errors
    /// When the signals can't be listened for.
    pub fn stop_at_signals(&self) -> std::io::Result<()> {
        let stop = self.stop.clone();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::spawn(async move {
            loop {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
                if stop.is_cancelled() {
                    tracing::warn!("a second signal: ending at once");
                    std::process::exit(130);
                }
                tracing::info!("stopping: finishing what is in hand; a second signal ends at once");
                stop.cancel();
            }
        });
        Ok(())
    }

    /// Waits for the stop, then for what is in hand, within bounds.
    pub async fn ended(self) -> Ending {
        self.stop.cancelled().await;
        self.tasks.close();
        if tokio::time::timeout(FINISH_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some work did not finish in time; what was answered with 200 is on disk");
        }
        if self.worker_ended.load(Ordering::Relaxed) { Ending::WorkerEnded } else { Ending::Stopped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_panics_or_ends_early_ends_the_service() {
        for panics in [true, false] {
            let lifecycle = Lifecycle::default();
            lifecycle.spawn("test", async move { assert!(!panics, "made to fail") });
            assert_eq!(lifecycle.ended().await, Ending::WorkerEnded);
        }
    }

    #[tokio::test]
    async fn a_worker_that_ends_after_the_stop_is_fine() {
        let lifecycle = Lifecycle::default();
        let stop = lifecycle.stop();
        lifecycle.spawn("test", async move { stop.cancelled().await });
        lifecycle.stop().cancel();
        assert_eq!(lifecycle.ended().await, Ending::Stopped);
    }
}
