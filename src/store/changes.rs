//! What changed since somebody last looked. Meetings and feeds count their changes in the database, so that whoever keeps
//! something made from them learns of changes by other processes, too, and asks about few rows.

use sqlx::{ConnectOptions as _, SqliteConnection};

use super::meetings::MeetingRow;
use super::{Store, StoreError, WriteTx};
use crate::meeting::event::MeetingId;
use crate::meeting::state::Meeting;

/// How far the changes have come. Both only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    /// Of meetings.
    pub meetings: i64,
    /// Of feeds.
    pub feeds: i64,
}

/// A meeting as its latest change left it.
#[derive(Debug, Clone)]
pub struct ChangedMeeting {
    /// Of that change.
    pub position: i64,
    /// Which meeting.
    pub id: MeetingId,
    /// The meeting; none when the change is that it is forgotten.
    pub meeting: Option<Meeting>,
}

/// Tells of changes of anything in the database, by whichever process.
#[derive(Debug)]
pub struct ChangeWatch {
    connection: SqliteConnection,
    version: i64,
}

impl ChangeWatch {
    /// Whether anything was changed since this was last asked.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn has_changed(&mut self) -> Result<bool, StoreError> {
        let before = self.version;
        // SQLite counts, for each connection, the commits of the others.
        self.version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut self.connection).await?;
        Ok(self.version != before)
    }
}

impl Store {
    /// Begins to watch for changes.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn watch_changes(&self) -> Result<ChangeWatch, StoreError> {
        let connection = self.reader.connect_options().connect().await?;
        let mut watch = ChangeWatch { connection, version: 0 };
        watch.has_changed().await?;
        Ok(watch)
    }

    /// How far the changes have come.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn positions(&self) -> Result<Positions, StoreError> {
        let row = sqlx::query!(
            r#"SELECT max(position) FILTER (WHERE of = 'meetings') AS "meetings!: i64",
                      max(position) FILTER (WHERE of = 'feeds') AS "feeds!: i64" FROM changes"#
        )
        .fetch_one(&self.reader)
        .await?;
        Ok(Positions { meetings: row.meetings, feeds: row.feeds })
    }

    /// The meetings that changed after a position, in the order of their latest change.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn changed_meetings(&self, after: i64, most: u32) -> Result<Vec<ChangedMeeting>, StoreError> {
        let mut moment = self.reader.begin().await?;
        let rows = sqlx::query!(
            r#"SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, last_modified_at,
                    forget_since, position AS "position!"
             FROM meetings WHERE position > ? ORDER BY position LIMIT ?"#,
            after,
            most
        )
        .fetch_all(&mut *moment)
        .await?;
        let mut changed = Vec::with_capacity(rows.len());
        for row in rows {
            let meeting = Meeting::try_from(MeetingRow {
                meeting_id: row.meeting_id,
                happened_at_ns: row.happened_at_ns,
                kind: row.kind,
                event_id: row.event_id,
                replaced_by: row.replaced_by,
                details: row.details,
                revision: row.revision,
                first_seen_at: row.first_seen_at,
                last_modified_at: row.last_modified_at,
                forget_since: row.forget_since,
            })?;
            changed.push(ChangedMeeting { position: row.position, id: meeting.id.clone(), meeting: Some(meeting) });
        }
        let forgotten = sqlx::query!(
            "SELECT meeting_id, position FROM forgotten WHERE position > ? ORDER BY position LIMIT ?",
            after,
            most
        )
        .fetch_all(&mut *moment)
        .await?;
        changed.extend(forgotten.into_iter().map(|row| ChangedMeeting {
            position: row.position,
            id: MeetingId::new(row.meeting_id),
            meeting: None,
        }));
        changed.sort_by_key(|change| change.position);
        changed.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(changed)
    }
}

impl WriteTx<'_> {
    /// The position of a change of a meeting that is made now.
    pub(super) async fn next_meeting_position(&mut self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar!("UPDATE changes SET position = position + 1 WHERE of = 'meetings' RETURNING position")
            .fetch_one(&mut *self.0)
            .await?)
    }

    /// Tells that a feed was added, changed or ended.
    pub(super) async fn feeds_changed(&mut self) -> Result<(), StoreError> {
        sqlx::query!("UPDATE changes SET position = position + 1 WHERE of = 'feeds'").execute(&mut *self.0).await?;
        Ok(())
    }
}
