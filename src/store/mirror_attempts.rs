//! What Google answered each time a meeting was mirrored.

use chrono::{DateTime, Utc};

use super::mirror::{Presence, ProblemKind};
use super::{Store, StoreError, WriteTx, count, millis, time};
use crate::meeting::event::MeetingId;

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorAttempt {
    /// The calendar's row id.
    pub calendar_id: i64,
    /// When its result was recorded.
    pub attempted_at: DateTime<Utc>,
    /// Revision of the meeting that was to be there.
    pub revision: u32,
    /// Of the event afterwards.
    pub presence: Presence,
    /// What went wrong and what follows from it; none = Google agreed.
    pub problem: Option<(String, ProblemKind)>,
}

impl Store {
    /// The attempts to mirror a meeting, the latest first: at most twenty for each calendar.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn mirror_attempts(&self, meeting_id: &str) -> Result<Vec<MirrorAttempt>, StoreError> {
        const TABLE: &str = "mirror_attempts";
        let rows = sqlx::query!(
            "SELECT calendar_id, attempted_at, revision, presence, problem, problem_kind
             FROM mirror_attempts WHERE meeting_id = ? ORDER BY id DESC",
            meeting_id
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter()
            .map(|row| {
                let kind = row.problem_kind.as_deref().map(|word| {
                    ProblemKind::from_word(word).ok_or_else(|| StoreError::row(TABLE, "problem_kind", word))
                });
                Ok(MirrorAttempt {
                    calendar_id: row.calendar_id,
                    attempted_at: time(row.attempted_at, TABLE, "attempted_at")?,
                    revision: count(row.revision, TABLE, "revision")?,
                    presence: Presence::from_word(&row.presence)
                        .ok_or_else(|| StoreError::row(TABLE, "presence", &row.presence))?,
                    problem: row.problem.zip(kind.transpose()?),
                })
            })
            .collect()
    }
}

impl WriteTx<'_> {
    /// Has a meeting mirrored again wherever it is worked on, as if nothing were known of the events. What is being worked on
    /// is worked on once more. Returns in how many calendars.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn mirror_again(&mut self, meeting_id: &MeetingId, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let (id, now) = (meeting_id.as_str(), millis(now));
        let done = sqlx::query!(
            "UPDATE mirror SET content_hash = NULL, due_at = ?1, asked = asked + 1, attempts = 0,
                    presence = CASE WHEN presence = 'present' AND lease IS NULL THEN 'unknown' ELSE presence END
             WHERE meeting_id = ?2 AND calendar_id IN (SELECT id FROM calendars WHERE removed_at IS NULL)",
            now,
            id
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected())
    }
}
