//! Consistent copies of the database, made while others write, and what is remembered of them.

use std::fs::File;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::{Fact, Store, StoreError, WriteTx, for_owner_only, upkeep};

/// A backup that was made and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupMade {
    /// When.
    pub at: DateTime<Utc>,
    /// The file, as it was named.
    pub file: String,
}

/// A backup of the schedule that failed after the last one that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFailed {
    /// When.
    pub at: DateTime<Utc>,
    /// Why, for a person.
    pub why: String,
}

impl Store {
    /// Octets that a copy will take, at most.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn copy_octets(&self) -> Result<u64, StoreError> {
        let octets: i64 = sqlx::query_scalar(
            "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        )
        .fetch_one(&self.reader)
        .await?;
        Ok(u64::try_from(octets).unwrap_or(0))
    }

    /// Writes a consistent copy of the database to a new file, checks it, and sees to it that it is on disk. Others write
    /// meanwhile. When it fails no file is left.
    ///
    /// # Errors
    /// When the file exists or can't be written, or the copy is not sound.
    pub async fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        // SQLite takes an empty file for none.
        let empty = file.to_owned();
        let made = tokio::task::spawn_blocking(move || for_owner_only(&empty)).await;
        made.map_err(|_| sqlx::Error::WorkerCrashed)?.map_err(sqlx::Error::Io)?;
        let copied = self.copy_and_check(file).await;
        if copied.is_err() {
            let _ = tokio::fs::remove_file(file).await;
        }
        copied
    }

    async fn copy_and_check(&self, file: &Path) -> Result<(), StoreError> {
        // A reader's connection: it sees one moment, and holds up nobody who writes.
        let options = self.reader.connect_options().as_ref().clone().pragma("query_only", "OFF");
        let mut source = options.connect().await?;
        let copied = sqlx::query("VACUUM INTO ?").bind(file.to_string_lossy().into_owned()).execute(&mut source).await;
        source.close().await?;
        copied?;
        // SQLite itself does not wait until a copy is on disk.
        let opened = file.to_owned();
        let synced = tokio::task::spawn_blocking(move || File::open(opened)?.sync_all()).await;
        synced.map_err(|_| sqlx::Error::WorkerCrashed)?.map_err(sqlx::Error::Io)?;
        let mut copy = SqliteConnectOptions::new().filename(file).read_only(true).connect().await?;
        let checked = check(&mut copy).await;
        copy.close().await?;
        checked
    }

    /// The last backup that counts: where backups are to be made on a schedule, the schedule's own.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn backup_that_counts(&self) -> Result<Option<BackupMade>, StoreError> {
        if self.backups_since().await?.is_some() { self.scheduled_backup().await } else { self.last_backup().await }
    }

    /// The last backup of the schedule, or that was found in its directory.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn scheduled_backup(&self) -> Result<Option<BackupMade>, StoreError> {
        upkeep::read(self.fact(Fact::ScheduledBackup).await?, "scheduled_backup")
    }

    /// The last backup that was made, whoever made it.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn last_backup(&self) -> Result<Option<BackupMade>, StoreError> {
        upkeep::read(self.fact(Fact::LastBackup).await?, "last_backup")
    }

    /// Since when backups are to be made on a schedule; none = they are not, or no server has started yet.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn backups_since(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let kept: Option<Option<_>> = upkeep::read(self.fact(Fact::BackupsSince).await?, "backups_since")?;
        Ok(kept.flatten())
    }

    /// Why the schedule's backup failed; none when its last one was made.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn backup_failed(&self) -> Result<Option<BackupFailed>, StoreError> {
        let kept: Option<Option<BackupFailed>> = upkeep::read(self.fact(Fact::BackupFailed).await?, "backup_failed")?;
        Ok(kept.flatten())
    }
}

/// Whether a database is sound: every page, every index, every reference.
async fn check(database: &mut SqliteConnection) -> Result<(), StoreError> {
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut *database).await?;
    if verdict != "ok" {
        return Err(StoreError::Damaged(verdict));
    }
    match sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut *database).await? {
        Some(_) => Err(StoreError::Damaged("a row refers to one that is not there".to_owned())),
        None => Ok(()),
    }
}

impl WriteTx<'_> {
    /// Keeps which backup was the last, with an entry in the audit log; `way` stands there, and that it was written at `now`.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn backup_was_made(
        &mut self,
        made: &BackupMade,
        way: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.append_admin_action(way, "backup", format!("Backup to {}", made.file), now).await?;
        self.keep_fact(Fact::LastBackup, &serde_json::to_string(made).unwrap_or_default()).await
    }

    /// Keeps which backup was the schedule's last: it no longer fails.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_scheduled_backup(&mut self, made: &BackupMade) -> Result<(), StoreError> {
        self.keep_fact(Fact::ScheduledBackup, &serde_json::to_string(made).unwrap_or_default()).await?;
        self.keep_backup_failed(None).await
    }

    /// Keeps since when backups are to be made on a schedule; none = they are not.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_backups_since(&mut self, since: Option<DateTime<Utc>>) -> Result<(), StoreError> {
        self.keep_fact(Fact::BackupsSince, &serde_json::to_string(&since).unwrap_or_default()).await
    }

    /// Keeps why the schedule's backup failed, or that it no longer does.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_backup_failed(&mut self, failed: Option<&BackupFailed>) -> Result<(), StoreError> {
        self.keep_fact(Fact::BackupFailed, &serde_json::to_string(&failed).unwrap_or_default()).await
    }
}
