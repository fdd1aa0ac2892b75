//! The episodes as they are now, in memory. What was told counts at once; the tables follow as soon as they can be written, so
//! that a database that can't be written neither keeps anybody from being told nor has anybody told twice.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::health::condition::Condition;
use crate::health::episode::{Open, Step, steps};
use crate::health::kind::Kind;
use crate::store::{Alert, Store, StoreError};

/// A next try that lies further ahead is from before the clock was set back.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(2);

/// What the worker knows; nothing before its first look.
#[derive(Debug, Clone, Default)]
pub struct Knowledge(pub(super) Arc<Mutex<Option<Book>>>);

/// The episodes that are open, and those whose end is to be told.
#[derive(Debug)]
pub(super) struct Book {
    known: Vec<Known>,
    /// Rows of episodes that never were.
    forgotten: Vec<i64>,
    /// Whether the database could not be written when that was last tried.
    is_behind: bool,
}

#[derive(Debug)]
struct Known {
    alert: Alert,
    /// Whether the tables say the same.
    is_kept: bool,
}

impl Book {
    /// As the tables say.
    ///
    /// # Errors
    /// When they can't be read.
    pub(super) async fn open(store: &Store) -> Result<Self, StoreError> {
        let mut alerts = store.alerts_ended_untold().await?;
        alerts.extend(store.open_alerts().await?);
        let known = alerts.into_iter().map(|alert| Known { alert, is_kept: true }).collect();
        Ok(Self { known, forgotten: Vec::new(), is_behind: false })
    }

    /// Follows what is wrong now, to which it adds whether the database fails. An error is all that could be found: then everything
    /// else stays as it was.
    pub(super) fn follow(&mut self, found: Result<&mut Vec<Condition>, &Condition>, now: DateTime<Utc>) {
        let unread = found.as_ref().err().map(|unread| (*unread).clone());
        let fails = self.is_behind.then(Condition::database_fails).or(unread);
        let open = (self.known.iter().enumerate()).filter(|(_, known)| known.alert.ended_at.is_none());
        let mut open: Vec<Open> = open.map(|(place, known)| known.alert.open(place)).collect();
        let steps = if let Ok(found) = found {
            found.extend(fails);
            steps(&open, found, now)
        } else {
            open.retain(|known| known.kind == Kind::Database);
            steps(&open, fails.as_slice(), now)
        };
        let mut never = Vec::new();
        for step in steps {
            match step {
                Step::Begin(condition) => {
                    self.known.push(Known { alert: Alert::begins(condition, now), is_kept: false });
                }
                Step::Leave(place) => self.change(place, |alert| alert.gone_since = Some(now)),
                Step::Return(place) => self.change(place, |alert| alert.gone_since = None),
                Step::End(place, at) => self.change(place, |alert| {
                    alert.ended_at = Some(at);
                    alert.make_due(now);
                }),
                Step::Forget(place) => never.push(place),
            }
        }
        never.sort_unstable();
        for place in never.into_iter().rev() {
            self.forgotten.extend(self.known.remove(place).alert.id);
        }
    }

    fn change(&mut self, place: usize, change: impl FnOnce(&mut Alert)) {
        let known = &mut self.known[place];
        known.is_kept = false;
        change(&mut known.alert);
    }

    /// The episodes of which a message is due, in the words of now, with their places.
    pub(super) fn due(&self, found: &[Condition], now: DateTime<Utc>) -> Vec<(usize, Alert)> {
        let mut due = Vec::new();
        for (place, Known { alert, .. }) in self.known.iter().enumerate() {
            let is_put_off = now < alert.due_at && alert.due_at < now + LONGEST_PAUSE;
            let is_to_be_told =
                if alert.ended_at.is_some() { alert.end_is_untold() } else { alert.open(place).is_to_be_told(now) };
            if is_put_off || !is_to_be_told {
                continue;
            }
            let mut alert = alert.clone();
            let condition =
                found.iter().find(|found| alert.ended_at.is_none() && found.is_of(alert.kind, &alert.subject));
            if let Some(condition) = condition {
                alert.summary.clone_from(&condition.summary);
            }
            due.push((place, alert));
        }
        due
    }

    /// The message was taken, in these words: of the end, if the episode has ended, else of its begin.
    pub(super) fn was_told(&mut self, place: usize, summary: &str, now: DateTime<Utc>) {
        self.change(place, |alert| {
            let told = if alert.ended_at.is_some() { &mut alert.end_told_at } else { &mut alert.told_at };
            *told = Some(now);
            summary.clone_into(&mut alert.summary);
            alert.make_due(now);
        });
    }

    /// It was not, and is tried again at that time.
    pub(super) fn was_not_told(&mut self, place: usize, problem: String, again_at: DateTime<Utc>) {
        self.change(place, |alert| {
            alert.attempts = alert.attempts.saturating_add(1);
            alert.due_at = again_at;
            alert.problem = Some(problem);
        });
    }

    /// Has the tables say the same, or the store tell it if they can't be written. Tries whether more can be written: the little
    /// that this takes may fit where no delivery does.
    ///
    /// # Errors
    /// When they can't be written: that is tried again the next time.
    pub(super) async fn keep(&mut self, store: &Store) -> Result<(), StoreError> {
        let kept = match self.write(store).await {
            Ok(()) => store.check_writing().await,
            failed => failed,
        };
        self.is_behind = kept.is_err();
        store.tell_unkept(self.known.iter().filter(|known| !known.is_kept).map(|known| known.alert.clone()).collect());
        kept
    }

    async fn write(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.forgotten.is_empty() && self.known.iter().all(|known| known.is_kept) {
            return Ok(());
        }
        let mut tx = store.write().await?;
        let mut rows = Vec::new();
        tx.forget_alerts(&self.forgotten).await?;
        for known in &self.known {
            rows.push(if known.is_kept { known.alert.id } else { Some(tx.keep_alert(&known.alert).await?) });
        }
        tx.commit().await?;
        self.forgotten.clear();
        for (known, row) in self.known.iter_mut().zip(rows) {
            (known.alert.id, known.is_kept) = (row, true);
        }
        self.known.retain(|known| known.alert.ended_at.is_none() || known.alert.end_is_untold());
        Ok(())
    }
}
