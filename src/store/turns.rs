//! Whose turn it is to write. While many deliveries arrive, storing them goes before work on those that are stored: they wait for
//! an answer, the work can wait. It gets its turns all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::Store;

/// A commit of at least so many deliveries tells that many arrive.
const MANY: usize = 32;
/// Commits of deliveries that go before one turn.
const COMMITS_BEFORE: usize = 3;
/// When none was made for so long, the deliveries have ceased.
const CEASED_AFTER: Duration = Duration::from_millis(100);
/// Deliveries that one turn takes while others wait to be stored.
const SHORT_TURN: u32 = 8;
/// As many as it takes when few do: the more, the fewer the flushes to disk.
const LONG_TURN: u32 = 64;

/// What was stored last, and what waits to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Deliveries that wait to be stored.
    waiting: AtomicUsize,
    /// Deliveries in the latest commit of them; 0 when they have ceased.
    latest: AtomicUsize,
    committed: Notify,
}

impl Turns {
    /// Tells that a delivery waits to be stored: before it can be.
    pub(super) fn waits(&self) {
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells that a delivery no longer waits, since it is refused.
    pub(super) fn refused(&self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Tells of a commit of so many deliveries that waited.
    pub(super) fn committed(&self, deliveries: usize) {
        self.0.waiting.fetch_sub(deliveries, Ordering::Relaxed);
        self.0.latest.store(deliveries, Ordering::Relaxed);
        self.0.committed.notify_waiters();
    }
}

impl Store {
    /// Whether a turn that has worked on so many deliveries is over, since others wait to be stored.
    pub fn is_turn_over(&self, done: usize) -> bool {
        done >= SHORT_TURN as usize && self.turns.0.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits for the turn of work on what is stored. Returns how many deliveries it may take in one transaction.
    pub async fn turn(&self) -> u32 {
        let Inner { latest, committed, .. } = &*self.turns.0;
        for _ in 0..COMMITS_BEFORE {
            if latest.load(Ordering::Relaxed) < MANY {
                return LONG_TURN;
            }
            if tokio::time::timeout(CEASED_AFTER, committed.notified()).await.is_err() {
                latest.store(0, Ordering::Relaxed);
            }
        }
        if latest.load(Ordering::Relaxed) < MANY { LONG_TURN } else { SHORT_TURN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_waits_for_some_commits_of_many_deliveries_and_never_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        assert_eq!(store.turn().await, LONG_TURN, "nothing arrived");
        let committed = |deliveries| {
            (0..deliveries).for_each(|_| store.turns.waits());
            store.turns.committed(deliveries);
        };
        committed(MANY - 1);
        assert_eq!(store.turn().await, LONG_TURN, "few arrive");
        committed(MANY);
        let commits = async {
            for _ in 0..COMMITS_BEFORE {
                tokio::task::yield_now().await;
                committed(MANY);
            }
        };
        let (turn, ()) = futures_util::future::join(store.turn(), commits).await;
        assert_eq!(turn, SHORT_TURN, "many arrive");
        assert_eq!(store.turn().await, LONG_TURN, "they have ceased");
    }

    #[tokio::test]
    async fn a_turn_is_over_when_it_did_some_work_and_deliveries_wait() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let is_over = |done: u32| store.is_turn_over(done as usize);
        assert!(!is_over(LONG_TURN), "nobody waits");
        store.turns.waits();
        store.turns.waits();
        assert!(is_over(SHORT_TURN) && !is_over(SHORT_TURN - 1));
        store.turns.committed(1);
        assert!(is_over(SHORT_TURN), "one still waits");
        store.turns.refused();
        assert!(!is_over(LONG_TURN));
    }
}
