//! Every day the audit log is verified, its head is logged, so that it is remembered outside of the database, and what is
//! older than it is to be kept is removed. A log that is broken is left as it is.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::audit::chain::Hash;
use crate::clock::SharedClock;
use crate::lifecycle::Pulse;
use crate::store::{Removed, Store, StoreError};

/// Time between two runs.
pub const EVERY: TimeDelta = TimeDelta::days(1);
/// How often the clock is looked at.
const POLL: Duration = Duration::from_secs(30);
/// A round takes at most this long: reading a large log, and the longer pause.
pub const ROUND: Duration = Duration::from_hours(1);
/// Entries removed in one transaction: others write in between.
const STEP: u32 = 500;

/// The worker.
#[derive(Debug, Clone)]
pub struct AuditKeeper {
    /// The tables.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// Days that entries are kept; none = for ever.
    pub keep_days: Option<u32>,
    /// Where the log is sent on (a keyed digest of the address): what was not taken there is kept. None = it is not.
    pub sent_to: Option<Hash>,
}

impl AuditKeeper {
    /// Works until `stop`. What is under way then is taken up at the next start.
    pub async fn run(self, pulse: Pulse, stop: CancellationToken) {
        super::look_after("the audit log", POLL, (pulse, stop), || self.run_due()).await;
    }

    /// Runs once, if the last run is a day old. Returns whether it was.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn run_due(&self) -> Result<bool, StoreError> {
        let (last, now) = (self.store.audit_kept_at().await?, self.clock.now());
        // A run that lies ahead of now is from before the clock was set back.
        let is_due = last.is_none_or(|last| !(last..last + EVERY).contains(&now));
        if is_due {
            // A clock that is far ahead must not cost the log: only the second of two runs in a row removes.
            let in_a_row = last.is_some_and(|last| (last..last + EVERY * 2).contains(&now));
            self.run_at(now, in_a_row).await?;
        }
        Ok(is_due)
    }

    /// Verifies the log, tells its head, and removes what is older than it is to be kept.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn run_once(&self) -> Result<(), StoreError> {
        self.run_at(self.clock.now(), true).await
    }

    async fn run_at(&self, now: DateTime<Utc>, removes: bool) -> Result<(), StoreError> {
        let found = self.store.verify_audit(now).await?;
        let mut tx = self.store.write().await?;
        tx.keep_audit_verified(&found).await?;
        tx.commit().await?;
        let (entries, head) = (found.entries, &found.head);
        match &found.broken {
            None => {
                tracing::info!(entries, head, "the audit log is intact");
                if removes {
                    self.begin_removal(now).await?;
                } else if self.keep_days.is_some() {
                    tracing::info!("what is too old in the audit log is removed tomorrow: there was no run yesterday");
                }
                self.remove_begun().await?;
            }
            Some(broken) => {
                tracing::error!(broken, entries, head, "the audit log is broken: nothing is removed from it");
            }
        }
        let mut tx = self.store.write().await?;
        tx.audit_was_kept(now).await?;
        tx.commit().await
    }

    async fn begin_removal(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let days = self.keep_days.map(|days| TimeDelta::days(days.into()));
        if let Some(before) = days.and_then(|days| now.checked_sub_signed(days)) {
            let up_to = self.taken_elsewhere().await?;
            let mut tx = self.store.write().await?;
            let removed = tx.begin_audit_removal(before, up_to, now).await?;
            tx.commit().await?;
            if let Some(Removed { first, last, hash }) = removed {
                tracing::info!(first, last, hash, %before, "removing the oldest part of the audit log");
            }
        }
        Ok(())
    }

    /// Removes what is to go, also what a stop broke off.
    async fn remove_begun(&self) -> Result<(), StoreError> {
        loop {
            let mut tx = self.store.write().await?;
            let removed = tx.remove_audit_entries(STEP).await?;
            tx.commit().await?;
            if removed < STEP.into() {
                return Ok(());
            }
        }
    }

    /// Number of the last entry that may go because it was taken where the log is sent.
    async fn taken_elsewhere(&self) -> Result<i64, StoreError> {
        let Some(endpoint) = &self.sent_to else { return Ok(i64::MAX) };
        let push = self.store.audit_push().await?;
        Ok(push.filter(|push| push.endpoint == *endpoint).map_or(0, |push| push.pushed_seq))
    }
}
