//! The server's own backups, on a schedule.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::backup::{BackupError, Backups, Copied};
use crate::audit::entry::Actor;
use crate::clock::SharedClock;
use crate::config::KeepingSettings;
use crate::lifecycle::Pulse;
use crate::store::{BackupFailed, BackupMade, Store, StoreError, WriteTx};

/// How often the clock is looked at.
const POLL: Duration = Duration::from_secs(30);
/// A round takes at most this long: copying and checking a large database.
pub const ROUND: Duration = Duration::from_hours(2);
/// A backup that failed is tried again after this.
const TRY_AGAIN: TimeDelta = TimeDelta::minutes(10);

/// The worker that makes backups on a schedule.
#[derive(Debug, Clone)]
pub struct BackupSchedule {
    /// The tables.
    pub store: Store,
    /// What makes them.
    pub backups: Backups,
    /// The time.
    pub clock: SharedClock,
    /// Where to.
    pub dir: PathBuf,
    /// Time between two of them.
    pub every: TimeDelta,
    /// So many are kept.
    pub keep: u32,
}

impl BackupSchedule {
    /// The schedule of the settings; none without a directory.
    pub fn of(backups: Backups, clock: &SharedClock, keeping: &KeepingSettings) -> Option<Self> {
        let (store, dir) = (backups.store.clone(), keeping.backup_dir.clone()?);
        let every = TimeDelta::hours(keeping.backup_hours.into());
        Some(Self { store, backups, clock: clock.clone(), dir, every, keep: keeping.backup_keep })
    }

    /// Works until `stop`. A backup that is under way then is given up.
    pub async fn run(self, pulse: Pulse, stop: CancellationToken) {
        super::look_after("the schedule of backups", POLL, (pulse, stop), || self.run_due()).await;
    }

    /// Makes a backup if the newest one in the directory is old enough. One that fails is told, and tried again after some
    /// minutes. A recent one that nobody wrote down is written down: whoever made it was stopped, or the database was in use.
    /// Returns whether one was made.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn run_due(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        // What lies ahead of now is from before the clock was set back.
        let is_recent = |at: DateTime<Utc>, span| (at..at + span).contains(&now);
        let failed = self.store.backup_failed().await?;
        if failed.as_ref().is_some_and(|failed| is_recent(failed.at, TRY_AGAIN)) {
            return Ok(false);
        }
        let known = match self.backups.known(&self.dir).await {
            Ok(known) => known,
            Err(error) => return self.end(Err(error), now).await,
        };
        if let Some((at, file)) = known.into_iter().rfind(|(at, _)| is_recent(*at, self.every)) {
            let is_known = |last: Option<BackupMade>| last.is_some_and(|last| last.at <= now && last.at >= at);
            let is_new = !is_known(self.store.scheduled_backup().await?);
            if is_new || failed.is_some() {
                let made = BackupMade { at, file: file.display().to_string() };
                // Somebody may have made it by hand.
                let is_told = is_known(self.store.last_backup().await?);
                let mut tx = self.store.write().await?;
                if !is_told {
                    write_down(&mut tx, &made, now).await?;
                }
                tx.keep_scheduled_backup(&made).await?;
                tx.commit().await?;
            }
            return Ok(false);
        }
        let made = self.backups.to_dir(&self.dir, Some(self.keep), now).await;
        self.end(made, now).await
    }

    /// Writes down what came of it. Returns whether a backup was made.
    async fn end(&self, made: Result<Copied, BackupError>, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut tx = self.store.write().await?;
        match &made {
            Ok(Copied { file, left, stuck }) => {
                for left in left {
                    tracing::warn!(file = %left.display(), "an unfinished backup was left here: remove it");
                }
                for (stuck, error) in stuck {
                    tracing::warn!(file = %stuck.display(), error, "an old backup can't be removed: remove it");
                }
                let made = BackupMade { at: now, file: file.display().to_string() };
                write_down(&mut tx, &made, now).await?;
                tx.keep_scheduled_backup(&made).await?;
            }
            Err(error) => {
                tracing::error!(%error, cause = ?error, "no backup was made; trying again in some minutes");
                tx.keep_backup_failed(Some(&BackupFailed { at: now, why: error.to_string() })).await?;
            }
        }
        tx.commit().await?;
        Ok(made.is_ok())
    }
}

async fn write_down(tx: &mut WriteTx<'_>, made: &BackupMade, now: DateTime<Utc>) -> Result<(), StoreError> {
    tracing::info!(file = made.file, "made a backup");
    tx.backup_was_made(made, Actor::SERVER, now).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Clock as _, ManualClock};

    #[tokio::test]
    async fn a_disk_that_hangs_is_told_as_a_failure_and_is_used_again_when_it_answers() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(place.path()).await.unwrap();
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH + TimeDelta::days(20_000)));
        let keeping = KeepingSettings { backup_dir: Some(place.path().to_owned()), ..KeepingSettings::default() };
        let shared: SharedClock = clock.clone();
        let mut schedule = BackupSchedule::of(Backups::new(&store, 0), &shared, &keeping).unwrap();
        assert!(schedule.run_due().await.unwrap());

        let answers = schedule.backups.hang().await;
        for _ in 0..2 {
            assert!(!schedule.run_due().await.unwrap());
            let failed = store.backup_failed().await.unwrap().unwrap();
            assert!(failed.at == clock.now() && failed.why.contains("its disk does not answer"), "{failed:?}");
            clock.advance(TRY_AGAIN);
        }
        drop(answers);
        schedule.backups = Backups::new(&store, 0);
        assert!(!schedule.run_due().await.unwrap(), "the last one is recent");
        assert_eq!(store.backup_failed().await.unwrap(), None);
        store.close().await;
    }
}
