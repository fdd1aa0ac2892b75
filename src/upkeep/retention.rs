//! Every day what is too old is removed: bodies of settled deliveries, meetings if a setting says so, who fetched feeds, what was
//! wrong. In between, the rows of meetings that are to be forgotten go as soon as no calendar holds their events. All in small
//! steps: others write in between.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::audit::entry::Actor;
use crate::clock::SharedClock;
use crate::config::KeepingSettings;
use crate::lifecycle::Pulse;
use crate::store::{RetentionRun, Store, StoreError, day_of};

/// Time between two runs.
const EVERY: TimeDelta = TimeDelta::days(1);
/// How often it is looked whether meetings that are to be forgotten can go.
const POLL: Duration = Duration::from_secs(5);
/// A round takes at most this long: a first run over many old rows, and the longer pause.
pub const ROUND: Duration = Duration::from_hours(1);
/// Rows of a kind in one transaction, at most.
const STEP: u32 = 500;
/// Days of which it is kept who fetched feeds, today included.
const FETCHES_DAYS: i64 = 90;
/// Episodes of what was wrong are kept for so long after their end.
const ALERTS_KEPT: TimeDelta = TimeDelta::days(365);

/// The worker.
#[derive(Debug, Clone)]
pub struct Retention {
    /// The tables.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// Days that bodies and headers of settled deliveries are kept.
    pub bodies_days: u32,
    /// Days that meetings are kept after their end; none = for ever.
    pub meetings_days: Option<u32>,
}

impl Retention {
    /// The worker of the settings.
    pub fn of(store: &Store, clock: &SharedClock, keeping: &KeepingSettings) -> Self {
        let (bodies_days, meetings_days) = (keeping.keep_bodies_days, keeping.keep_meetings_days);
        Self { store: store.clone(), clock: clock.clone(), bodies_days, meetings_days }
    }

    /// Works until `stop`.
    pub async fn run(self, pulse: Pulse, stop: CancellationToken) {
        super::look_after("what is too old", POLL, (pulse, stop), || self.look()).await;
    }

    async fn look(&self) -> Result<usize, StoreError> {
        self.run_due().await?;
        self.remove_forgotten().await
    }

    /// Runs, if the last run is a day old or had other settings. Returns whether it was.
    ///
    /// # Errors
    /// When the database can't be used; what is left is removed by the next run.
    pub async fn run_due(&self) -> Result<bool, StoreError> {
        let run = self.this_run();
        let now = run.at;
        // A run that lies ahead of now is from before the clock was set back.
        let is_same = |last: RetentionRun| {
            (last.at..last.at + EVERY).contains(&now) && last == RetentionRun { at: last.at, ..run.clone() }
        };
        let last = self.store.retention_run().await?;
        // A clock that is far ahead must not cost anything: only the second of two runs in a row removes.
        let in_a_row = last.as_ref().is_some_and(|last| (last.at..last.at + EVERY * 2).contains(&now));
        if last.is_some_and(is_same) {
            return Ok(false);
        }
        self.run_at(run, in_a_row).await?;
        Ok(true)
    }

    /// Runs now, and removes what is too old.
    ///
    /// # Errors
    /// When the database can't be used; what is left is removed by the next run.
    pub async fn run_once(&self) -> Result<(), StoreError> {
        self.run_at(self.this_run(), true).await
    }

    fn this_run(&self) -> RetentionRun {
        RetentionRun { at: self.clock.now(), bodies_days: self.bodies_days, meetings_days: self.meetings_days }
    }

    async fn run_at(&self, run: RetentionRun, removes: bool) -> Result<(), StoreError> {
        if removes {
            self.remove_old(run.at).await?;
        }
        let mut tx = self.store.write().await?;
        tx.retention_ran(&run).await?;
        tx.commit().await
    }

    async fn remove_old(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let before = |days: u32| now - TimeDelta::days(days.into());
        let (bodies, meetings) = (before(self.bodies_days), self.meetings_days.map(before));
        let found = self.store.too_old(bodies, meetings).await?;
        if found.bodies > 0 {
            let deliveries = if found.bodies == 1 { "1 delivery" } else { &format!("{} deliveries", found.bodies) };
            self.tell(format!("Removes the bodies of {deliveries} older than {} days", self.bodies_days), now).await?;
            loop {
                let mut tx = self.store.write().await?;
                let emptied = tx.empty_old_bodies(bodies, STEP, now).await?;
                tx.commit().await?;
                if emptied == 0 {
                    break;
                }
            }
        }
        if let Some((meetings, days)) = meetings.zip(self.meetings_days)
            && found.meetings > 0
        {
            let number = if found.meetings == 1 { "1 meeting" } else { &format!("{} meetings", found.meetings) };
            self.tell(format!("Forgets {number} that ended more than {days} days ago"), now).await?;
            loop {
                let mut tx = self.store.write().await?;
                let marked = tx.forget_old_meetings(meetings, STEP, now).await?;
                tx.commit().await?;
                if marked < STEP as usize {
                    break;
                }
            }
        }
        self.remove_old_records(now).await
    }

    async fn remove_old_records(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        loop {
            let mut tx = self.store.write().await?;
            let fetches = tx.remove_old_fetches(day_of(now) - FETCHES_DAYS + 1, STEP).await?;
            let alerts = tx.remove_old_alerts(now - ALERTS_KEPT, STEP).await?;
            tx.commit().await?;
            if fetches + alerts == 0 {
                return Ok(());
            }
        }
    }

    /// The audit log says it before the first step: a stop in the middle leaves no removal untold.
    async fn tell(&self, what: String, now: DateTime<Utc>) -> Result<(), StoreError> {
        tracing::info!(what, "retention");
        let mut tx = self.store.write().await?;
        tx.append_admin_action(Actor::SERVER, "retention", what, now).await?;
        tx.commit().await
    }

    /// Removes the rows of meetings that are to be forgotten and that no calendar holds any more, and wipes what was erased from
    /// the files. Returns how many meetings there were.
    ///
    /// # Errors
    /// When the database can't be used; what is left is removed later.
    pub async fn remove_forgotten(&self) -> Result<usize, StoreError> {
        let mut removed = 0;
        loop {
            match self.store.remove_forgotten(self.clock.now()).await? {
                0 => break,
                meetings => removed += meetings,
            }
        }
        // Also what was erased before a stop, or while the database was in use.
        self.store.wipe_deleted().await?;
        Ok(removed)
    }
}
