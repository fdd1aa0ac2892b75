//! Counts who fetches which feed, in memory; a worker adds the counts to the database from time to time. A request never
//! waits for that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::program::Program;
use crate::store::{FetchKey, Store, StoreError, Tally, day_of};

/// Fetches that are not yet in the database.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    waiting: Mutex<HashMap<FetchKey, Tally>>,
}

impl Fetches {
    /// Counts one.
    pub(super) fn count(&self, feed_id: i64, program: &Program, answer: u16, now: DateTime<Utc>) {
        let key = FetchKey { feed_id, program: program.word, day: day_of(now), answer };
        self.add(key, Tally { fetches: 1, last_at: now });
    }

    fn add(&self, key: FetchKey, tally: Tally) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let known = waiting.entry(key).or_insert(Tally { fetches: 0, ..tally });
        known.fetches = known.fetches.saturating_add(tally.fetches);
        known.last_at = known.last_at.max(tally.last_at);
    }

    /// Adds what was counted to the database. What could not be added waits for the next time.
    pub(super) async fn flush(&self, store: &Store) -> Result<(), StoreError> {
        let counted = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if counted.is_empty() {
            return Ok(());
        }
        let added = async {
            let mut tx = store.write().await?;
            tx.add_fetches(&counted).await?;
            tx.commit().await
        };
        let added = added.await;
        if added.is_err() {
            for (key, tally) in counted {
                self.add(key, tally);
            }
        }
        added
    }
}
