//! Mirror work: one row per (meeting, calendar). A worker leases a row, makes Google agree outside any transaction, and
//! records the result under its lease; a lease that ran out is void and the row is worked on again.

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;

use super::{StoreError, WriteTx, count, json_text, millis};
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

/// A row that a worker holds.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The meeting.
    pub meeting_id: MeetingId,
    /// The calendar's row id.
    pub calendar_id: i64,
    /// What Google last agreed with, as it was before the lease.
    pub written: Written,
    /// No longer selected, but kept until an admin approves.
    pub held: bool,
    /// How often work on the row was asked for until the lease.
    pub asked: i64,
    /// Failures since the last success or change.
    pub attempts: u32,
    /// Tells this lease from any other.
    pub token: i64,
    /// When it ends.
    pub until: DateTime<Utc>,
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

    /// Leases rows that are due in calendars that are not held back; meetings that begin soonest from now on come first.
    /// From here on an event that was absent counts as unknown, until an answer is recorded.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn lease_mirror_work(
        &mut self,
        most: u32,
        token: i64,
        duration: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Vec<Lease>, StoreError> {
        let until = now + duration;
        let (leased_until, now) = (millis(until), millis(now));
        let rows = sqlx::query!(
            r#"SELECT mirror.meeting_id, mirror.calendar_id AS "calendar_id!", mirror.presence, mirror.generation, mirror.sequence,
                      mirror.content_hash, mirror.seen_hash, mirror.held AS "held: bool", mirror.asked, mirror.attempts
               FROM mirror
               JOIN meetings USING (meeting_id)
               JOIN calendars ON calendars.id = mirror.calendar_id
               WHERE mirror.due_at <= ?1
                     AND (mirror.leased_until IS NULL OR mirror.leased_until <= ?1)
                     AND calendars.removed_at IS NULL
                     AND (calendars.paused_until IS NULL OR calendars.paused_until <= ?1)
               ORDER BY meetings.ends_at < ?1, abs(meetings.starts_at - ?1)
               LIMIT ?2"#,
            now,
            most
        )
        .fetch_all(&mut *self.0)
        .await?;
        let keys: Vec<(&str, i64)> = rows.iter().map(|row| (row.meeting_id.as_str(), row.calendar_id)).collect();
        let keys = json_text(&keys)?;
        sqlx::query!(
            "UPDATE mirror SET lease = ?1, leased_until = ?2,
                    presence = CASE presence WHEN 'absent' THEN 'unknown' ELSE presence END
             WHERE (meeting_id, calendar_id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?3))",
            token,
            leased_until,
            keys
        )
        .execute(&mut *self.0)
        .await?;
        let mut leases = Vec::with_capacity(rows.len());
        for row in rows {
            leases.push(Lease {
                meeting_id: MeetingId::new(row.meeting_id),
                calendar_id: row.calendar_id,
                written: Written {
                    presence: Presence::from_word(&row.presence)
                        .ok_or_else(|| StoreError::row("mirror", "presence", &row.presence))?,
                    generation: count(row.generation, "mirror", "generation")?,
                    sequence: i32::try_from(row.sequence)
                        .map_err(|_| StoreError::row("mirror", "sequence", row.sequence))?,
                    content_hash: row.content_hash,
                    seen_hash: row.seen_hash,
                },
                held: row.held,
                asked: row.asked,
                attempts: count(row.attempts, "mirror", "attempts")?,
                token,
                until,
            });
        }
        Ok(leases)
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

    /// Gives leased rows back untouched: the worker stops, or the calendar is held back.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn return_mirror_work(&mut self, lease: &Lease) -> Result<(), StoreError> {
        let (id, presence) = (lease.meeting_id.as_str(), lease.written.presence.as_str());
        sqlx::query!(
            "UPDATE mirror SET lease = NULL, leased_until = NULL, presence = ?
             WHERE meeting_id = ? AND calendar_id = ? AND lease = ?",
            presence,
            id,
            lease.calendar_id,
            lease.token
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Voids every lease, and has what waits for a time beyond `beyond` tried now: the clock was set back. Only for the one
    /// worker while it holds no lease, or a server that just started: whoever held one is gone.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn end_waits_beyond(&mut self, beyond: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (beyond, now) = (millis(beyond), millis(now));
        sqlx::query!("UPDATE mirror SET due_at = ? WHERE due_at > ?", now, beyond).execute(&mut *self.0).await?;
        // What waits since a time ahead would seem not to wait.
        sqlx::query!("UPDATE mirror SET waits_since = ? WHERE due_at IS NOT NULL AND waits_since > ?", now, beyond)
            .execute(&mut *self.0)
            .await?;
        // A purge goes on, and holds its calendar anew within the hour.
        sqlx::query!(
            "UPDATE calendars SET paused_until = CASE paused_for WHEN 'purge' THEN min(paused_until, ?1 + 3600000) ELSE ?1 END
             WHERE paused_until > ?2",
            now,
            beyond
        )
        .execute(&mut *self.0)
        .await?;
        sqlx::query!("UPDATE mirror SET lease = NULL, leased_until = NULL WHERE lease IS NOT NULL")
            .execute(&mut *self.0)
            .await?;
        Ok(())
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
