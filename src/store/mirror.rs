//! Mirror work: one row per (meeting, calendar). A worker leases a row, makes Google agree outside any transaction, and
//! records the result under its lease; a lease that ran out is void and the row is worked on again.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;

use super::{Lease, StoreError, WriteTx, json_text, millis};
use crate::meeting::event::MeetingId;
use crate::meeting::state::Meeting;

/// What is known of the event at Google.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is not there.
    Absent,
    /// It is there.
    Present,
    /// A write may have reached Google without its answer reaching us.
    Unknown,
}

impl Presence {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Present => "present",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Absent, Self::Present, Self::Unknown].into_iter().find(|presence| presence.as_str() == word)
    }
}

/// What Google last agreed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Whether the event is there.
    pub presence: Presence,
    /// Part of the event id.
    pub generation: u32,
    /// As Google returned it.
    pub sequence: i32,
    /// SHA-256 of the content; none = must be written.
    pub content_hash: Option<Vec<u8>>,
    /// SHA-256 of the event as Google returned it.
    pub seen_hash: Option<Vec<u8>>,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// It is tried again by itself.
    Retry,
    /// A person must act; tried again after a while.
    Person,
    /// Google refuses this event; not tried again until it changes.
    Rejected,
}

impl ProblemKind {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Person => "person",
            Self::Rejected => "rejected",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Retry, Self::Person, Self::Rejected].into_iter().find(|kind| kind.as_str() == word)
    }
}

impl WriteTx<'_> {
    /// Asks for the meeting's present revision in a calendar. What failed before is forgotten: the event is another
    /// now. Only a meeting that takes place can be held for approval.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn want(&mut self, meeting: &Meeting, calendar_id: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (id, now, confirmed) = (meeting.id.as_str(), millis(now), meeting.is_confirmed());
        let begins = millis(meeting.details.starts_at);
        sqlx::query!(
            "INSERT INTO mirror (meeting_id, calendar_id, wanted_revision, due_at, begins_at) VALUES (?1, ?2, ?3, ?4, ?6)
             ON CONFLICT (meeting_id, calendar_id) DO UPDATE SET
                 wanted_revision = ?3, due_at = ?4, asked = asked + 1, held = held AND ?5, attempts = 0, problem = NULL, problem_kind = NULL, problem_at = NULL",
            id,
            calendar_id,
            meeting.revision,
            now,
            confirmed,
            begins
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Whether there is a work row for a meeting in a calendar.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn is_mirrored(&mut self, meeting_id: &MeetingId, calendar_id: i64) -> Result<bool, StoreError> {
        let id = meeting_id.as_str();
        let found = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM mirror WHERE meeting_id = ? AND calendar_id = ?) AS "found!: bool""#,
            id,
            calendar_id
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(found)
    }

    /// Records that Google agrees, with the revision of each meeting that was worked on. Where work was asked for
    /// again meanwhile, the row stays due. A void lease records nothing. Returns how many rows were recorded.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn finish_mirror_work(
        &mut self,
        done: &[(&Lease, u32, &Written)],
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let hex = |hash: &Option<Vec<u8>>| hash.as_deref().map(|hash| HEXLOWER.encode(hash));
        let rows: Vec<serde_json::Value> = done
            .iter()
            .map(|(lease, revision, written)| {
                serde_json::json!([
                    lease.meeting_id.as_str(),
                    lease.calendar_id,
                    lease.token,
                    revision,
                    written.presence.as_str(),
                    written.generation,
                    written.sequence,
                    hex(&written.content_hash),
                    hex(&written.seen_hash),
                    lease.asked,
                ])
            })
            .collect();
        let (rows, now) = (json_text(&rows)?, millis(now));
        sqlx::query!(
            "INSERT INTO mirror_attempts (meeting_id, calendar_id, attempted_at, revision, presence)
             SELECT mirror.meeting_id, mirror.calendar_id, ?2, done.value ->> 3, done.value ->> 4
             FROM json_each(?1) AS done
             JOIN mirror ON mirror.meeting_id = done.value ->> 0 AND mirror.calendar_id = done.value ->> 1
                            AND mirror.lease = done.value ->> 2",
            rows,
            now
        )
        .execute(&mut *self.0)
        .await?;
        let recorded = sqlx::query!(
            "UPDATE mirror SET
                 written_revision = done.value ->> 3, presence = done.value ->> 4, generation = done.value ->> 5,
                 sequence = done.value ->> 6, content_hash = CASE WHEN asked > done.value ->> 9 THEN NULL ELSE unhex(done.value ->> 7) END, seen_hash = unhex(done.value ->> 8),
                 held = CASE WHEN done.value ->> 4 = 'absent' THEN 0 ELSE held END,
                 due_at = CASE WHEN asked > done.value ->> 9 THEN due_at END,
                 lease = NULL, leased_until = NULL, attempts = 0, problem = NULL, problem_kind = NULL, problem_at = NULL,
                 written_at = ?2
             FROM json_each(?1) AS done
             WHERE mirror.meeting_id = done.value ->> 0 AND mirror.calendar_id = done.value ->> 1
                   AND mirror.lease = done.value ->> 2",
            rows,
            now
        )
        .execute(&mut *self.0)
        .await?;
        Ok(recorded.rows_affected())
    }

    /// Records a failure and when to try again (`None`: not until the meeting changes). What became known on the way is
    /// kept. If work was asked for again meanwhile, the row stays due at once. A void lease records nothing and returns false.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn fail_mirror_work(
        &mut self,
        lease: &Lease,
        written: &Written,
        problem: (&str, ProblemKind),
        again_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let (id, now, again) = (lease.meeting_id.as_str(), millis(now), again_at.map(millis));
        let (text, kind) = (problem.0, problem.1.as_str());
        let presence = written.presence.as_str();
        sqlx::query!(
            "INSERT INTO mirror_attempts (meeting_id, calendar_id, attempted_at, revision, presence, problem, problem_kind)
             SELECT meeting_id, calendar_id, ?, wanted_revision, ?, ?, ? FROM mirror
             WHERE meeting_id = ? AND calendar_id = ? AND lease = ?",
            now,
            presence,
            text,
            kind,
            id,
            lease.calendar_id,
            lease.token
        )
        .execute(&mut *self.0)
        .await?;
        let done = sqlx::query!(
            "UPDATE mirror SET presence = ?1, generation = ?2, sequence = ?3, content_hash = ?4, seen_hash = ?13,
                    due_at = CASE WHEN asked > ?5 THEN due_at ELSE ?6 END,
                    lease = NULL, leased_until = NULL, attempts = attempts + 1, problem = ?7, problem_kind = ?8, problem_at = ?9
             WHERE meeting_id = ?10 AND calendar_id = ?11 AND lease = ?12",
            presence,
            written.generation,
            written.sequence,
            written.content_hash,
            lease.asked,
            again,
            text,
            kind,
            now,
            id,
            lease.calendar_id,
            lease.token,
            written.seen_hash
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Has what failed in a calendar tried again now. Returns how many rows that are.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn retry_failed(&mut self, calendar_id: i64, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let now = millis(now);
        let done = sqlx::query!(
            "UPDATE mirror SET due_at = ?, asked = asked + 1, attempts = 0 WHERE calendar_id = ? AND problem IS NOT NULL",
            now,
            calendar_id
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected())
    }

    /// Forgets the work rows of a calendar whose events are all gone, and that any of them wait to be deleted.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn forget_mirror(&mut self, calendar_id: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM mirror WHERE calendar_id = ?", calendar_id).execute(&mut *self.0).await?;
        self.overtake_held(calendar_id, now).await
    }
}
