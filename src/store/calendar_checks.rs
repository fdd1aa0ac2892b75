//! Comparing a calendar's events with the work rows: what is known, what was found.

use chrono::{DateTime, Utc};

use super::{Presence, Store, StoreError, WriteTx, count, millis, time};
use crate::meeting::event::MeetingId;

/// So begins the outcome of a comparison that could not be made for a reason that passes. Queries name it.
pub const NOT_CHECKED: &str = "not checked: ";
/// So begins that of one that can't be made before a person acts.
pub const NEEDS_PERSON: &str = "not checked before a person acts: ";

/// A work row as a comparison needs it.
#[derive(Debug, Clone)]
pub struct KnownRow {
    /// The meeting.
    pub meeting_id: MeetingId,
    /// Whether the event is there.
    pub presence: Presence,
    /// Part of the event id.
    pub generation: u32,
    /// SHA-256 of the event as Google last returned it.
    pub seen_hash: Option<Vec<u8>>,
    /// Nothing is due and nobody holds it.
    pub settled: bool,
    /// No longer selected, but kept until an admin approves.
    pub held: bool,
}

impl KnownRow {
    /// Whether there may be an event at Google.
    pub fn may_be_there(&self) -> bool {
        self.presence != Presence::Absent
    }
}

struct KnownColumns {
    meeting_id: String,
    presence: String,
    generation: i64,
    seen_hash: Option<Vec<u8>>,
    settled: bool,
    held: bool,
}

impl TryFrom<KnownColumns> for KnownRow {
    type Error = StoreError;

    fn try_from(row: KnownColumns) -> Result<Self, StoreError> {
        Ok(Self {
            meeting_id: MeetingId::new(row.meeting_id),
            presence: Presence::from_word(&row.presence)
                .ok_or_else(|| StoreError::row("mirror", "presence", &row.presence))?,
            generation: count(row.generation, "mirror", "generation")?,
            seen_hash: row.seen_hash,
            settled: row.settled,
            held: row.held,
        })
    }
}

/// What one comparison found and did.
#[derive(Debug, Clone)]
pub struct CalendarCheck {
    /// The calendar's row id.
    pub calendar_id: i64,
    /// Begin.
    pub started_at: DateTime<Utc>,
    /// End.
    pub finished_at: DateTime<Utc>,
    /// Events of ours that were found.
    pub listed: u32,
    /// Should have been there.
    pub missing: u32,
    /// Were changed by hand.
    pub edited: u32,
    /// Were there but should not.
    pub unwanted: u32,
    /// What was done, or why the check failed.
    pub outcome: String,
}

impl CalendarCheck {
    /// Whether it could be made; if not, its counts say nothing.
    pub fn was_made(&self) -> bool {
        ![NOT_CHECKED, NEEDS_PERSON].iter().any(|begin| self.outcome.starts_with(begin))
    }
}

impl Store {
    /// The work rows of a calendar.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn known_rows(&self, calendar_id: i64) -> Result<Vec<KnownRow>, StoreError> {
        let rows = sqlx::query_as!(
            KnownColumns,
            r#"SELECT meeting_id, presence, generation, seen_hash, held AS "held: bool",
                      (due_at IS NULL AND lease IS NULL) AS "settled!: bool"
               FROM mirror WHERE calendar_id = ?"#,
            calendar_id
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter().map(KnownRow::try_from).collect()
    }

    /// The work row of a meeting in a calendar.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn known_row(&self, calendar_id: i64, meeting_id: &MeetingId) -> Result<Option<KnownRow>, StoreError> {
        let meeting_id = meeting_id.as_str();
        let row = sqlx::query_as!(
            KnownColumns,
            r#"SELECT meeting_id, presence, generation, seen_hash, held AS "held: bool",
                      (due_at IS NULL AND lease IS NULL) AS "settled!: bool"
               FROM mirror WHERE meeting_id = ? AND calendar_id = ?"#,
            meeting_id,
            calendar_id
        )
        .fetch_optional(&self.reader)
        .await?;
        row.map(KnownRow::try_from).transpose()
    }

    /// How many work rows of a calendar somebody is working on.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn leased_rows(&self, calendar_id: i64, now: DateTime<Utc>) -> Result<i64, StoreError> {
        let now = millis(now);
        let leased = sqlx::query_scalar!(
            "SELECT count(*) FROM mirror WHERE calendar_id = ? AND lease IS NOT NULL AND leased_until > ?",
            calendar_id,
            now
        )
        .fetch_one(&self.reader)
        .await?;
        Ok(leased)
    }

    /// The latest comparison of a calendar.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn latest_check(&self, calendar_id: i64) -> Result<Option<CalendarCheck>, StoreError> {
        const TABLE: &str = "calendar_checks";
        let row = sqlx::query!(
            "SELECT started_at, finished_at, listed, missing, edited, unwanted, outcome
             FROM calendar_checks WHERE calendar_id = ? ORDER BY id DESC LIMIT 1",
            calendar_id
        )
        .fetch_optional(&self.reader)
        .await?;
        row.map(|row| {
            Ok(CalendarCheck {
                calendar_id,
                started_at: time(row.started_at, TABLE, "started_at")?,
                finished_at: time(row.finished_at, TABLE, "finished_at")?,
                listed: count(row.listed, TABLE, "listed")?,
                missing: count(row.missing, TABLE, "missing")?,
                edited: count(row.edited, TABLE, "edited")?,
                unwanted: count(row.unwanted, TABLE, "unwanted")?,
                outcome: row.outcome,
            })
        })
        .transpose()
    }
}

impl WriteTx<'_> {
    /// Has a row worked on because its event is not as it was written. What was thought to be there is forgotten; a row that
    /// is no longer settled is left to whoever works on it.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn doubt_event(
        &mut self,
        calendar_id: i64,
        meeting_id: &MeetingId,
        presence: Presence,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (meeting_id, presence, now) = (meeting_id.as_str(), presence.as_str(), millis(now));
        sqlx::query!(
            "UPDATE mirror SET presence = ?, content_hash = NULL, due_at = ?, asked = asked + 1
             WHERE meeting_id = ? AND calendar_id = ? AND due_at IS NULL AND lease IS NULL",
            presence,
            now,
            meeting_id,
            calendar_id
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Keeps what a comparison found, and when the next one is due.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn record_check(&mut self, check: &CalendarCheck, next_at: DateTime<Utc>) -> Result<(), StoreError> {
        let (started, finished) = (millis(check.started_at), millis(check.finished_at));
        sqlx::query!(
            "INSERT INTO calendar_checks (calendar_id, started_at, finished_at, listed, missing, edited, unwanted, outcome)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            check.calendar_id,
            started,
            finished,
            check.listed,
            check.missing,
            check.edited,
            check.unwanted,
            check.outcome
        )
        .execute(&mut *self.0)
        .await?;
        self.check_calendar_at(check.calendar_id, next_at).await
    }
}
