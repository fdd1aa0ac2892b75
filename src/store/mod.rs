//! The only SQL in the program: one file per table group. Rows become domain values, or an error that names table, column
//! and row.
//!
//! One connection writes (`BEGIN IMMEDIATE`, `synchronous=FULL`), several read. A transaction never spans a network call.

mod audit;
mod calendar_checks;
mod calendars;
mod error;
mod feeds;
mod group_commit;
mod held_changes;
mod inbox;
mod installation;
mod meeting_list;
mod meetings;
mod mirror;
mod mirror_plan;
mod mirror_rows;
mod sessions;
mod status;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Acquire, Connection as _, Sqlite, SqlitePool, Transaction};

pub use audit::StoredEntry;
pub use calendar_checks::{CalendarCheck, KnownRow, NOT_CHECKED};
pub use calendars::{Calendar, NewCalendar, OnCancel, OnDrift};
pub use error::StoreError;
pub use feeds::{Feed, NewFeed, Rendition};
pub use group_commit::InboxWriter;
pub use held_changes::{HeldChange, HeldReason, Why};
pub use inbox::{Delivery, DeliveryFilter, DeliveryStatus, Identity, NewDelivery, PendingDelivery, Stored};
pub use installation::Fact;
pub use meeting_list::MeetingList;
pub use meetings::{HistoryEntry, MeetingFilter};
pub use mirror::{Lease, Presence, ProblemKind, Written};
pub use mirror_rows::MirrorRow;
pub use status::{InboxCounts, MirrorCounts, MirrorProblem};

/// Name of the database file in the data directory.
pub const DATABASE_FILE: &str = "meeting-mirror.db";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    reader: SqlitePool,
    writer: SqlitePool,
    path: PathBuf,
}

impl Store {
    /// Opens the database in `data_dir`, which must exist, and brings its tables up to date.
    ///
    /// # Errors
    /// When the file can't be opened or written, is no database, or was made by a newer version.
    pub async fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(DATABASE_FILE);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(3));
        let pool = |most| {
            SqlitePoolOptions::new()
                .max_connections(most)
                .acquire_timeout(Duration::from_secs(5))
                .idle_timeout(None)
                .max_lifetime(None)
        };
        // A full disk makes SQLite end the transaction by itself, which sqlx does not see: such a connection is given up, or
        // nothing could be written until a restart.
        let writer = pool(1)
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(options.clone())
            .await?;
        MIGRATIONS.run(&writer).await?;
        let reader = pool(4).connect_with(options.pragma("query_only", "ON")).await?;
        Ok(Self { reader, writer, path })
    }

    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// When another process holds the database too long, or it can't be written.
    pub async fn write(&self) -> Result<WriteTx<'static>, StoreError> {
        Ok(WriteTx(self.writer.begin_with("BEGIN IMMEDIATE").await?))
    }

    /// Where the database file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a consistent copy of the database to a new file, also while the server runs.
    ///
    /// # Errors
    /// When the file exists or can't be written, or the copy is not sound.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let target = to.to_string_lossy().into_owned();
        // A reader would do, but `query_only` forbids VACUUM INTO.
        sqlx::query("VACUUM INTO ?").bind(target).execute(&self.writer).await?;
        let copy = SqliteConnectOptions::new().filename(to).read_only(true);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(copy).await?;
        let verdict: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&pool).await?;
        pool.close().await;
        if verdict == "ok" { Ok(()) } else { Err(StoreError::Damaged(verdict)) }
    }

    /// Checks the whole file.
    ///
    /// # Errors
    /// When SQLite finds damage.
    pub async fn integrity_check(&self) -> Result<(), StoreError> {
        let verdict: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&self.reader).await?;
        if verdict == "ok" { Ok(()) } else { Err(StoreError::Damaged(verdict)) }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// A transaction that may write. Dropped without [`WriteTx::commit`], it changes nothing.
#[derive(Debug)]
pub struct WriteTx<'c>(Transaction<'c, Sqlite>);

impl WriteTx<'_> {
    /// Makes the changes durable.
    ///
    /// # Errors
    /// When they could not be written to disk; then none of them holds.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }

    /// Begins a part that can be undone without undoing the whole.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn part(&mut self) -> Result<WriteTx<'_>, StoreError> {
        Ok(WriteTx(self.0.begin().await?))
    }
}

/// A time of the database: Unix milliseconds.
fn millis(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

/// The time that Unix milliseconds in a column mean.
fn time(millis: i64, table: &'static str, column: &'static str) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| StoreError::row(table, column, millis))
}

/// A counter column as `u32`.
fn count(value: i64, table: &'static str, column: &'static str) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| StoreError::row(table, column, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_fails_a_write_and_leaves_the_next_one_free() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        // As full as a disk: SQLite answers SQLITE_FULL beyond this many pages, for this connection.
        sqlx::query("PRAGMA max_page_count = 60").execute(&store.writer).await.unwrap();
        let mut tx = store.write().await.unwrap();
        let mut written = Ok(());
        for _ in 0..100 {
            written = tx.keep_fact(Fact::PublicUrl, &"x".repeat(400_000)).await;
            if written.is_err() {
                break;
            }
        }
        assert!(written.is_err_and(|error| error.is_unavailable()));
        drop(tx);
        let mut tx = store.write().await.unwrap();
        tx.keep_fact(Fact::PublicUrl, "http://127.0.0.1").await.unwrap();
        tx.commit().await.unwrap();
    }
}
