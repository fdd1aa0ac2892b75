//! The only SQL in the program: one file per table group. Rows become domain values, or an error that names table, column
//! and row.
//!
//! One connection writes (`BEGIN IMMEDIATE`, `synchronous=FULL`), several read. A transaction never spans a network call.

mod alerts;
mod audit;
mod audit_keeping;
mod audit_list;
mod audit_push;
#[cfg(test)]
mod audit_tests;
mod backup;
mod calendar_changes;
mod calendar_checks;
mod calendar_jobs;
mod calendar_pauses;
mod calendars;
mod changes;
mod erasure;
mod error;
mod feed_changes;
mod feed_fetches;
mod feed_meetings;
mod feeds;
mod forgetting;
mod group_commit;
mod held_changes;
mod inbox;
mod inbox_list;
mod installation;
mod meeting_list;
mod meetings;
#[cfg(test)]
mod migrated;
mod mirror;
mod mirror_attempts;
mod mirror_lease;
mod mirror_plan;
mod mirror_rows;
mod owners;
#[cfg(test)]
mod plans;
mod reading;
mod renditions;
mod retention;
mod sessions;
mod status;
mod turns;
mod upkeep;
mod word_index;
mod writing;

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Sqlite, SqlitePool, Transaction};

use self::alerts::Unkept;
use self::turns::Turns;
use self::writing::Refusing;
use crate::meeting::selection::{self, Detail, Selection, Window};

pub use alerts::Alert;
pub use audit::StoredEntry;
pub use audit_keeping::Removed;
pub use audit_list::{AuditFilter, AuditHead, AuditPart};
pub use audit_push::AuditPush;
pub use backup::{BackupFailed, BackupMade};
pub use calendar_checks::{CalendarCheck, KnownRow, NEEDS_PERSON, NOT_CHECKED};
pub use calendar_jobs::{CalendarJob, JobFinding, JobKind, JobState, Verdict};
pub use calendar_pauses::PausedFor;
pub use calendars::{Calendar, NewCalendar, OnCancel, OnDrift, UnreadCalendar};
pub use changes::{ChangeWatch, ChangedMeeting, Positions};
pub use erasure::{EventsThere, KeptBody};
pub use error::StoreError;
pub use feed_fetches::{FetchKey, FetchSummary, Reader, TOLD_DAYS, Tally, day_of};
pub use feed_meetings::FeedMeetings;
pub use feeds::{Feed, NewFeed, UnreadFeed};
pub use forgetting::{Forgetting, Forgotten, Leaving};
pub use group_commit::InboxWriter;
pub use held_changes::{HeldChange, HeldReason, Why};
pub use inbox::{
    Delivery, DeliveryStatus, ERASED, Identity, LARGEST_BODY, NewDelivery, PendingDelivery, Settled, Stored,
};
pub use inbox_list::{CarriedOut, Deed, DeliveryFilter};
pub use installation::Fact;
pub use meeting_list::{MeetingCursor, MeetingFilter, MeetingOrder, MeetingPage};
pub use meetings::HistoryEntry;
pub use mirror::{Presence, ProblemKind, Written};
pub use mirror_attempts::MirrorAttempt;
pub use mirror_lease::Lease;
pub use mirror_plan::{Plan, Selecting};
pub use mirror_rows::MirrorRow;
pub use owners::MeetingOwner;
pub use reading::{ARRIVAL_DAYS, Reading};
pub use renditions::{LeftOut, Rendition, RenditionFacts};
pub use retention::{RetentionRun, TooOld};
pub use sessions::StoredSession;
pub use status::{InboxCounts, MirrorCounts, MirrorProblem, Standing};
pub use upkeep::{AuditVerified, Storage, room_at};

/// Name of the database file in the data directory.
pub const DATABASE_FILE: &str = "meeting-mirror.db";

/// Compares texts as selections do. Queries name it; no table or index does, so that other programs can read the file.
const SELECTED: &str = "selected";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    reader: SqlitePool,
    writer: SqlitePool,
    broken_off: BrokenOff,
    path: PathBuf,
    turns: Turns,
    refusing: Refusing,
    unkept: Unkept,
}

impl Store {
    /// Opens the database in `data_dir`, which must exist, and brings its tables up to date.
    ///
    /// # Errors
    /// When the file can't be opened or written, is no database, or was made by a newer version.
    pub async fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let broken_off = BrokenOff::default();
        let (path, writer, options) = Self::connect(data_dir, &broken_off).await?;
        let is_foreign: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema)
                    AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')",
        )
        .fetch_one(&writer)
        .await?;
        if is_foreign {
            return Err(StoreError::Damaged("its tables are those of another program".to_owned()));
        }
        MIGRATIONS.run(&writer).await?;
        Self::with_readers(path, writer, broken_off, options).await
    }

    /// Opens the database if its tables are up to date; none when they are not, or there are none yet.
    ///
    /// # Errors
    /// When the file can't be opened or written, is no database, or was made by a newer version.
    pub async fn open_current(data_dir: &Path) -> Result<Option<Self>, StoreError> {
        if !data_dir.join(DATABASE_FILE).exists() {
            return Ok(None);
        }
        let broken_off = BrokenOff::default();
        let (path, writer, options) = Self::connect(data_dir, &broken_off).await?;
        if !is_current(&writer).await? {
            writer.close().await;
            return Ok(None);
        }
        // Changes nothing, but tells when a newer version was here.
        MIGRATIONS.run(&writer).await?;
        Self::with_readers(path, writer, broken_off, options).await.map(Some)
    }

    /// The writing connection, and how to make others.
    async fn connect(
        data_dir: &Path,
        broken_off: &BrokenOff,
    ) -> Result<(PathBuf, SqlitePool, SqliteConnectOptions), StoreError> {
        let path = data_dir.join(DATABASE_FILE);
        if !path.exists() {
            // SQLite gives the files that it makes beside a database the same mode.
            match for_owner_only(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(sqlx::Error::Io(error).into()),
                _ => {}
            }
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // What is erased must not be left in the file.
            .pragma("secure_delete", "ON")
            .foreign_keys(true)
            .collation(SELECTED, |a, b| selection::plain(a).cmp(&selection::plain(b)))
            .busy_timeout(Duration::from_secs(3));
        // A full disk makes SQLite end the transaction by itself, which sqlx does not see; and what was opened while the files
        // could not be written only reads. Such a connection is given up, or nothing could be written until a restart.
        let broken_off = broken_off.clone();
        let writer = pool(1)
            .before_acquire(move |connection, _| {
                let is_fit = !broken_off.0.swap(false, Ordering::Relaxed) && !connection.is_in_transaction();
                Box::pin(async move { Ok(is_fit) })
            })
            .connect_with(options.clone())
            .await?;
        // It is there now. If it goes, an empty one in its place would say less.
        let options = options.create_if_missing(false);
        writer.set_connect_options(options.clone());
        Ok((path, writer, options))
    }

    async fn with_readers(
        path: PathBuf,
        writer: SqlitePool,
        broken_off: BrokenOff,
        options: SqliteConnectOptions,
    ) -> Result<Self, StoreError> {
        let reader = pool(4).connect_with(options.pragma("query_only", "ON")).await?;
        let (turns, refusing, unkept) = (Turns::default(), Refusing::default(), Unkept::default());
        let store = Self { reader, writer, broken_off, path, turns, refusing, unkept };
        word_index::complete(&store).await?;
        Ok(store)
    }

    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// When another process holds the database too long, or it can't be written.
    pub async fn write(&self) -> Result<WriteTx<'static>, StoreError> {
        let begun = self.writer.begin_with("BEGIN IMMEDIATE").await;
        self.broken_off.0.store(true, Ordering::Relaxed);
        Ok(WriteTx(begun?, self.broken_off.clone()))
    }

    /// Whether its tables are those of this version, as they were when it was opened.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn is_current(&self) -> Result<bool, StoreError> {
        Ok(is_current(&self.reader).await?)
    }

    /// Where the database file is.
    pub fn path(&self) -> &Path {
        &self.path
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

/// Whether every migration was applied.
async fn is_current(pool: &SqlitePool) -> Result<bool, sqlx::Error> {
    let applied: Vec<i64> =
        match sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(pool).await {
            // A database without tables.
            Err(sqlx::Error::Database(error)) if error.message().starts_with("no such table") => Vec::new(),
            found => found?,
        };
    Ok(MIGRATIONS.iter().all(|migration| applied.contains(&migration.version)))
}

fn pool(most: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(most)
        .acquire_timeout(Duration::from_secs(5))
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Makes an empty file that only its owner may read, whatever the umask.
fn for_owner_only(path: &Path) -> io::Result<()> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}

/// Whether the last transaction that may write was not begun, or not committed.
#[derive(Debug, Clone, Default)]
struct BrokenOff(Arc<AtomicBool>);

/// A transaction that may write. Dropped without [`WriteTx::commit`], it changes nothing.
#[derive(Debug)]
pub struct WriteTx<'c>(Transaction<'c, Sqlite>, BrokenOff);

impl WriteTx<'_> {
    /// Makes the changes durable.
    ///
    /// # Errors
    /// When they could not be written to disk; then none of them holds.
    pub async fn commit(self) -> Result<(), StoreError> {
        let Self(tx, BrokenOff(broken_off)) = self;
        // Said before the connection is free for the next one.
        broken_off.store(false, Ordering::Relaxed);
        let committed = tx.commit().await;
        if committed.is_err() {
            broken_off.store(true, Ordering::Relaxed);
        }
        Ok(committed?)
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

/// What feeds and calendars have in common: which meetings, how much of them, in which days.
fn shown(
    table: &'static str,
    selection: &str,
    detail: &str,
    past_days: i64,
    future_days: i64,
) -> Result<(Selection, Detail, Window), StoreError> {
    Ok((
        serde_json::from_str(selection).map_err(|_| StoreError::row(table, "selection", selection))?,
        Detail::from_word(detail).ok_or_else(|| StoreError::row(table, "detail", detail))?,
        Window {
            past_days: count(past_days, table, "past_days")?,
            future_days: count(future_days, table, "future_days")?,
        },
    ))
}

/// Rows, or their keys, as a parameter of one statement.
fn json_text(rows: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(rows).map_err(|error| StoreError::Other(sqlx::Error::Encode(error.into())))
}

/// A counter column as `u32`.
fn count(value: i64, table: &'static str, column: &'static str) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| StoreError::row(table, column, value))
}

#[cfg(test)]
impl Store {
    /// Changes what its transactions read beside the program's ways.
    pub(crate) async fn tamper(&self, statements: &[&'static str]) {
        for statement in statements {
            sqlx::query(*statement).execute(&self.writer).await.unwrap();
        }
    }
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

    #[tokio::test]
    async fn a_connection_that_can_only_read_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        // As SQLite opens a file that can't be written just then.
        sqlx::query("PRAGMA query_only = ON").execute(&store.writer).await.unwrap();
        assert!(store.write().await.is_err_and(|error| error.is_unavailable()));
        let mut tx = store.write().await.unwrap();
        tx.keep_fact(Fact::PublicUrl, "http://127.0.0.1").await.unwrap();
        tx.commit().await.unwrap();
    }
}
