//! What can go wrong with the database, as a caller has to tell it apart.

use std::fmt::Display;

use sqlx::migrate::MigrateError;

/// An error of the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be written now: locked by another process, disk full, read-only. Trying again later may help.
    #[error(
        "the database can't be used now (is the disk full, does another program use it, may this user write there?)"
    )]
    Unavailable(#[source] sqlx::Error),
    /// A row holds what no version of this program writes.
    #[error("table {table}, column {column}: the value {found} makes no sense")]
    Row {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// What was found.
        found: String,
    },
    /// A name is taken or a number is twice.
    #[error("{0} exists already")]
    Exists(&'static str),
    /// Somebody else changed it at the same time.
    #[error("{0} was changed at the same moment: look at it and try again")]
    Changed(&'static str),
    /// Something must come to its end first.
    #[error("{0} is not finished yet: wait until it is")]
    Busy(&'static str),
    /// The file is damaged.
    #[error("the database file is damaged, or no database at all: {0}. Restore it from a backup.")]
    Damaged(String),
    /// Its tables are those of another version.
    #[error(
        "the database was made by a newer version of meeting-mirror: {0}. Use that version, or restore a backup from before it."
    )]
    Newer(String),
    /// Its tables were made by a build that never was a release.
    #[error(
        "the database was made by another build of meeting-mirror ({0}): its tables can't be told from those of this one. Use that \
         build, or start with a new --data-dir."
    )]
    OtherBuild(String),
    /// The tables can't be brought up to date.
    #[error(
        "the database can't be brought up to date: {0}. Nothing in it is lost: keep it, and restore your backup for the version that ran before."
    )]
    Migration(#[source] MigrateError),
    /// Anything else.
    #[error("the database answered with an error")]
    Other(#[source] sqlx::Error),
}

impl StoreError {
    pub(super) fn row(table: &'static str, column: &'static str, found: impl Display) -> Self {
        Self::Row { table, column, found: found.to_string() }
    }

    /// Whether the fault lies in the database as a whole, so that no other row would fare better now.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // Primary result codes of SQLite that speak of the file, not of the statement: busy 5, locked 6, read-only 8,
        // interrupted 9, I/O 10, full 13, can't open 14, protocol 15. The low byte of an extended code is its primary.
        const UNAVAILABLE: [i32; 8] = [5, 6, 8, 9, 10, 13, 14, 15];
        // Corrupt 11, not a database 26.
        const DAMAGED: [i32; 2] = [11, 26];
        match &error {
            sqlx::Error::Database(inner) => {
                let code = inner.code().and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff);
                match code {
                    Some(code) if UNAVAILABLE.contains(&code) => Self::Unavailable(error),
                    Some(code) if DAMAGED.contains(&code) => Self::Damaged(inner.message().to_owned()),
                    _ => Self::Other(error),
                }
            }
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => {
                Self::Unavailable(error)
            }
            _ => Self::Other(error),
        }
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(_) => Self::Newer(error.to_string()),
            MigrateError::VersionMismatch(_) => Self::OtherBuild(error.to_string()),
            MigrateError::Execute(inner) => inner.into(),
            MigrateError::ExecuteMigration(inner, version) => match inner.into() {
                Self::Other(inner) => Self::Migration(MigrateError::ExecuteMigration(inner, version)),
                // The disk is full, or the like.
                of_the_file => of_the_file,
            },
            other => Self::Migration(other),
        }
    }
}
