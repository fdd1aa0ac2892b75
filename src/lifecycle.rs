//! How the server stops: the first signal stops accepting and lets what is in hand finish, within bounds; a second one
//! ends the process at once; a worker that ends by itself ends the service with an error. While it runs, each worker tells that it goes round.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::SharedClock;

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

    /// Runs a worker that tells by its pulse that it goes round, with no more than `longest` between two beats. It may end only after the stop.
    pub fn work<Work: Future<Output = ()> + Send + 'static>(
        &self,
        pulses: &Pulses,
        name: &'static str,
        longest: Duration,
        worker: impl FnOnce(Pulse, CancellationToken) -> Work,
    ) {
        self.spawn(name, worker(pulses.begin(name, longest), self.stop()));
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

/// Tells that a worker goes round. By default nobody listens.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Option<Arc<Beats>>);

#[derive(Debug)]
struct Beats {
    worker: &'static str,
    longest: Duration,
    clock: SharedClock,
    /// Milliseconds of the monotonic clock.
    last: AtomicU64,
}

impl Pulse {
    /// To be called each time round, before anything that may take long, and with each step of what takes longer the more
    /// there is to do.
    pub fn beat(&self) {
        if let Some(beats) = &self.0 {
            beats.last.store(milliseconds(&beats.clock), Ordering::Relaxed);
        }
    }
}

/// How long ago a worker told that it goes round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PulseAge {
    /// The worker's name.
    pub worker: &'static str,
    /// Since its last beat.
    pub age: Duration,
    /// The longest that there may be between two beats.
    pub longest: Duration,
}

impl PulseAge {
    /// Whether the worker hangs.
    pub fn is_stuck(&self) -> bool {
        self.age > self.longest
    }
}

/// The pulses of all workers.
#[derive(Debug, Clone)]
pub struct Pulses {
    clock: SharedClock,
    beats: Arc<Mutex<Vec<Arc<Beats>>>>,
}

impl Pulses {
    /// Without a worker.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, beats: Arc::default() }
    }

    /// The pulse of a worker that begins now, with no more than `longest` between two beats.
    pub fn begin(&self, worker: &'static str, longest: Duration) -> Pulse {
        let last = AtomicU64::new(milliseconds(&self.clock));
        let beats = Arc::new(Beats { worker, longest, clock: self.clock.clone(), last });
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).push(beats.clone());
        Pulse(Some(beats))
    }

    /// How long ago each worker told that it goes round.
    pub fn ages(&self) -> Vec<PulseAge> {
        let now = milliseconds(&self.clock);
        let age = |beats: &Arc<Beats>| {
            let age = Duration::from_millis(now.saturating_sub(beats.last.load(Ordering::Relaxed)));
            PulseAge { worker: beats.worker, age, longest: beats.longest }
        };
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).iter().map(age).collect()
    }
}

fn milliseconds(clock: &SharedClock) -> u64 {
    u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use chrono::{DateTime, TimeDelta};

    #[test]
    fn a_worker_is_stuck_when_a_round_takes_longer_than_it_may() {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let pulses = Pulses::new(clock.clone());
        let (quick, _slow) =
            (pulses.begin("quick", Duration::from_mins(1)), pulses.begin("slow", Duration::from_mins(10)));
        let stuck = || -> Vec<&str> {
            pulses.ages().iter().filter(|pulse| pulse.is_stuck()).map(|pulse| pulse.worker).collect()
        };
        clock.advance(TimeDelta::seconds(60));
        assert_eq!(stuck(), [""; 0]);
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(stuck(), ["quick"]);
        quick.beat();
        assert_eq!(stuck(), [""; 0], "it goes round again");
        clock.advance(TimeDelta::days(-1));
        clock.advance(TimeDelta::seconds(600));
        assert_eq!(stuck(), ["quick", "slow"], "the time of day does not matter");
    }

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
