//! Leases on mirror work: which rows a worker takes, and how they are given back. Every calendar gets its share of each batch.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Presence, StoreError, WriteTx, Written, count, json_text, millis};
use crate::meeting::event::MeetingId;

/// A row that a worker holds.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The meeting.
    pub meeting_id: MeetingId,
    /// The calendar's row id.
    pub calendar_id: i64,
    /// What Google last agreed with, as it was before the lease.
    pub written: Written,
    /// Google agreed at least once, whether the event should be there or not.
    pub agreed: bool,
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

impl Lease {
    /// Whether the event was shown, so far as that is known. One of which nothing is known but that a first write was begun
    /// does not count: nobody may have seen it.
    pub fn was_there(&self) -> bool {
        match self.written.presence {
            Presence::Absent => false,
            Presence::Present => true,
            Presence::Unknown => self.agreed,
        }
    }
}

impl WriteTx<'_> {
    /// Leases rows that are due in calendars that are not held back. Every calendar has its share: the first of each comes
    /// first, then the second of each, and so on, so `most` is exceeded when more calendars have work. In a calendar, meetings
    /// that begin soonest from now on come first. From here on an event that was absent counts as unknown, until an answer is
    /// recorded.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn lease_mirror_work(
        &mut self,
        most: u32,
        token: i64,
        duration: TimeDelta,
        at: DateTime<Utc>,
    ) -> Result<Vec<Lease>, StoreError> {
        let until = at + duration;
        let (leased_until, now) = (millis(until), millis(at));
        let open = sqlx::query_scalar!(
            "SELECT id FROM calendars WHERE removed_at IS NULL AND (paused_until IS NULL OR paused_until <= ?)",
            now
        )
        .fetch_all(&mut *self.0)
        .await?;
        let (mut found, mut with_work) = (Vec::new(), 0);
        for calendar_id in open {
            let rows = sqlx::query!(
                r#"SELECT mirror.meeting_id, mirror.calendar_id AS "calendar_id!", mirror.presence, mirror.generation, mirror.sequence,
                          mirror.content_hash, mirror.seen_hash, mirror.held AS "held: bool", mirror.asked, mirror.attempts,
                          mirror.written_revision IS NOT NULL AS "agreed!: bool",
                          meetings.ends_at < ?1 AS "is_over!: bool", abs(meetings.starts_at - ?1) AS "distance!: i64"
                   FROM mirror
                   JOIN meetings USING (meeting_id)
                   WHERE mirror.calendar_id = ?2 AND mirror.due_at <= ?1
                         AND (mirror.leased_until IS NULL OR mirror.leased_until <= ?1)
                   ORDER BY meetings.ends_at < ?1, abs(meetings.starts_at - ?1)
                   LIMIT ?3"#,
                now,
                calendar_id,
                most
            )
            .fetch_all(&mut *self.0)
            .await?;
            with_work += usize::from(!rows.is_empty());
            found.extend(rows.into_iter().enumerate());
        }
        found.sort_by_key(|(place, row)| (*place, row.is_over, row.distance));
        found.truncate(with_work.max(most as usize));
        let keys: Vec<(&str, i64)> = found.iter().map(|(_, row)| (row.meeting_id.as_str(), row.calendar_id)).collect();
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
        let mut leases = Vec::with_capacity(found.len());
        for (_, row) in found {
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
                agreed: row.agreed,
                held: row.held,
                asked: row.asked,
                attempts: count(row.attempts, "mirror", "attempts")?,
                token,
                until,
            });
        }
        Ok(leases)
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
}
