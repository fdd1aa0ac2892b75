//! Forgetting meetings, because they are too old or because an invitee was erased. First a meeting is marked: nothing shows it
//! any more, and the mirror takes its events away like any others. When no calendar holds one, its rows go. What stays is a
//! line in `forgotten`, by which later events of it are known, and what it took over, in `forgotten_claims`.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use super::meetings::{event_key, key_columns};
use super::{Store, StoreError, WriteTx, count, json_text, millis, time};
use crate::meeting::event::{EventKey, MeetingEvent, MeetingId};

/// Meetings that go in one transaction: others write in between.
const STEP: u32 = 500;

/// Why a meeting is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgetting {
    /// It ended too long ago. An event that is greater than all that were known brings it back.
    TooOld,
    /// An invitee was erased. Nothing brings it back.
    Erased,
}

/// What is known of a meeting that was, or is to be, forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// Why.
    pub why: Forgetting,
    /// The greatest event that touched it.
    pub latest: EventKey,
    /// No revision that it ever had was greater: each change of a meeting takes a position, and this is a later one.
    pub revision: u32,
}

/// What waits to be forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Meetings.
    pub meetings: i64,
    /// Since when the first of them is.
    pub since: Option<DateTime<Utc>>,
    /// Their events that may still be in calendars, by the row id of each.
    pub events: Vec<(i64, i64)>,
}

impl WriteTx<'_> {
    /// Marks meetings, so that nothing shows them and their events go. For [`Forgetting::Erased`] they need not be known.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn forget_meetings(
        &mut self,
        meetings: &[String],
        why: Forgetting,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (ids, now, erased) = (json_text(&meetings)?, millis(now), why == Forgetting::Erased);
        let position = self.next_meeting_position().await?;
        sqlx::query!(
            "INSERT INTO forgotten (meeting_id, forgotten_at, position, erased, happened_at_ns, kind, event_id)
             SELECT id.value, ?2, ?3, ?4, coalesce(greatest.happened_at_ns, meetings.happened_at_ns, 0),
                    coalesce(greatest.kind, meetings.kind, 0), coalesce(greatest.event_id, meetings.event_id, '')
             FROM json_each(?1) AS id
             LEFT JOIN meetings ON meetings.meeting_id = id.value
             LEFT JOIN meeting_history AS greatest ON greatest.id = (
                 SELECT touched.id FROM meeting_history AS touched WHERE touched.meeting_id = id.value
                 ORDER BY touched.happened_at_ns DESC, touched.kind DESC, touched.event_id DESC LIMIT 1)
             WHERE true
             ON CONFLICT (meeting_id) DO UPDATE SET
                 forgotten_at = excluded.forgotten_at, position = excluded.position, erased = max(erased, excluded.erased),
                 happened_at_ns = excluded.happened_at_ns, kind = excluded.kind, event_id = excluded.event_id",
            ids,
            now,
            position,
            erased
        )
        .execute(&mut *self.0)
        .await?;
        sqlx::query!(
            "UPDATE meetings SET forget_since = coalesce(forget_since, ?) WHERE meeting_id IN (SELECT value FROM json_each(?))",
            now,
            ids
        )
        .execute(&mut *self.0)
        .await?;
        // Asked for by a setting or a person: no approval is waited for, and what failed before is tried again. What once was
        // written and deleted may be back by somebody's hand, so Google is asked, if it answers for that calendar.
        sqlx::query!(
            "UPDATE mirror SET due_at = ?1, asked = asked + 1, held = 0, attempts = 0, problem = NULL, problem_kind = NULL,
                    problem_at = NULL, presence = CASE presence WHEN 'absent' THEN 'unknown' ELSE presence END
             WHERE meeting_id IN (SELECT value FROM json_each(?2)) AND calendar_id IN (
                 SELECT id FROM calendars
                 WHERE removed_at IS NULL
                       AND (mirror.presence <> 'absent' OR mirror.written_revision IS NOT NULL AND problem IS NULL))",
            now,
            ids
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Whether a meeting was, or is to be, forgotten.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn forgotten(&mut self, id: &MeetingId) -> Result<Option<Forgotten>, StoreError> {
        let id = id.as_str();
        let row = sqlx::query!(
            r#"SELECT erased AS "erased: bool", happened_at_ns, kind, event_id, position FROM forgotten WHERE meeting_id = ?"#,
            id
        )
        .fetch_optional(&mut *self.0)
        .await?;
        row.map(|row| {
            Ok(Forgotten {
                why: if row.erased { Forgetting::Erased } else { Forgetting::TooOld },
                latest: event_key("forgotten", row.happened_at_ns, row.kind, row.event_id)?,
                revision: count(row.position, "forgotten", "position")?,
            })
        })
        .transpose()
    }

    /// Keeps a meeting that was to be forgotten: a greater event speaks of it. Feeds show it again, and its events at Google are
    /// looked at again.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_meeting(&mut self, id: &MeetingId, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (id, now) = (id.as_str(), millis(now));
        let position = self.next_meeting_position().await?;
        for change in [
            sqlx::query!("DELETE FROM forgotten WHERE meeting_id = ?", id),
            sqlx::query!("UPDATE meetings SET forget_since = NULL, position = ? WHERE meeting_id = ?", position, id),
            sqlx::query!("UPDATE mirror SET due_at = ?, asked = asked + 1 WHERE meeting_id = ?", now, id),
        ] {
            change.execute(&mut *self.0).await?;
        }
        Ok(())
    }

    /// Keeps what an event took over whose meeting was forgotten.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_claim(&mut self, event: &MeetingEvent) -> Result<(), StoreError> {
        let (organization, origin) = (event.details.organization_id.as_str(), event.meeting_id.as_str());
        let (claim, (nanos, kind, event_id)) = (event.claim(), key_columns(&event.key));
        sqlx::query!(
            "INSERT INTO forgotten_claims (organization_id, claims, origin_id, happened_at_ns, kind, event_id)
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            organization,
            claim,
            origin,
            nanos,
            kind,
            event_id
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Removes all that is known of marked meetings, but for the lines by which they are known again and what they took over. The
    /// meetings that they took over go with them: their pages would lead to nothing.
    async fn remove_meetings(&mut self, meetings: &[String], now: DateTime<Utc>) -> Result<(), StoreError> {
        let ids = json_text(&meetings)?;
        let taken_over = sqlx::query_scalar!(
            "SELECT meeting_id FROM meetings
             WHERE replaced_by IN (SELECT value FROM json_each(?)) AND forget_since IS NULL",
            ids
        )
        .fetch_all(&mut *self.0)
        .await?;
        if !taken_over.is_empty() {
            self.forget_meetings(&taken_over, Forgetting::TooOld, now).await?;
        }
        while self.empty_bodies_of(meetings, now).await? > 0 {}
        for change in [
            sqlx::query!(
                "INSERT INTO forgotten_claims (organization_id, claims, origin_id, happened_at_ns, kind, event_id)
                 SELECT organization_id, claims, origin_id, happened_at_ns, kind, event_id FROM meeting_history
                 WHERE meeting_id IN (SELECT value FROM json_each(?)) AND origin_id = meeting_id AND claims IS NOT NULL
                 ON CONFLICT DO NOTHING",
                ids
            ),
            sqlx::query!("DELETE FROM mirror_attempts WHERE meeting_id IN (SELECT value FROM json_each(?))", ids),
            sqlx::query!("DELETE FROM mirror WHERE meeting_id IN (SELECT value FROM json_each(?))", ids),
            // Also where one of their events replaced another meeting: it tells of them.
            sqlx::query!(
                "DELETE FROM meeting_history WHERE inbox_id IN (
                     SELECT id FROM inbox WHERE meeting_id IN (SELECT value FROM json_each(?)))",
                ids
            ),
            sqlx::query!("DELETE FROM meeting_history WHERE meeting_id IN (SELECT value FROM json_each(?))", ids),
            sqlx::query!("DELETE FROM meetings WHERE meeting_id IN (SELECT value FROM json_each(?))", ids),
        ] {
            change.execute(&mut *self.0).await?;
        }
        Ok(())
    }
}

impl Store {
    /// Removes some of the marked meetings that no calendar holds any more. What is in a calendar that was removed stays there:
    /// a purge finds it by its mark. Returns how many went.
    ///
    /// # Errors
    /// When the database fails; those that are left wait.
    pub async fn remove_forgotten(&self, now: DateTime<Utc>) -> Result<usize, StoreError> {
        // Asked of a reading connection: mostly there is nothing to remove.
        if removable(&mut *self.reader.acquire().await?).await?.is_empty() {
            return Ok(0);
        }
        // Bodies may be large: these go in steps of their own.
        loop {
            let mut tx = self.write().await?;
            let meetings = removable(&mut tx.0).await?;
            let emptied = tx.empty_bodies_of(&meetings, now).await?;
            tx.commit().await?;
            if emptied == 0 {
                break;
            }
        }
        let mut tx = self.write().await?;
        let meetings = removable(&mut tx.0).await?;
        let ids = json_text(&meetings)?;
        let erased = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM forgotten WHERE meeting_id IN (SELECT value FROM json_each(?)) AND erased = 1)
                      AS "erased!: bool""#,
            ids
        )
        .fetch_one(&mut *tx.0)
        .await?;
        tx.remove_meetings(&meetings, now).await?;
        if erased {
            tx.ask_wipe(now).await?;
        }
        tx.commit().await?;
        Ok(meetings.len())
    }

    /// What waits to be forgotten.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn leaving(&self) -> Result<Leaving, StoreError> {
        let mut moment = self.reader.begin().await?;
        let all = sqlx::query!(
            r#"SELECT sum(1) AS "meetings: i64", min(forget_since) AS "since: i64" FROM meetings WHERE forget_since IS NOT NULL"#
        )
        .fetch_one(&mut *moment)
        .await?;
        let events = sqlx::query!(
            r#"SELECT mirror.calendar_id AS "calendar_id!", sum(1) AS "events!: i64"
               FROM meetings INDEXED BY meetings_forgotten CROSS JOIN mirror ON mirror.meeting_id = meetings.meeting_id
               CROSS JOIN calendars ON calendars.id = mirror.calendar_id
               WHERE meetings.forget_since IS NOT NULL AND mirror.presence <> 'absent' AND calendars.removed_at IS NULL
               GROUP BY mirror.calendar_id"#
        )
        .fetch_all(&mut *moment)
        .await?;
        Ok(Leaving {
            meetings: all.meetings.unwrap_or(0),
            since: all.since.map(|at| time(at, "meetings", "forget_since")).transpose()?,
            events: events.into_iter().map(|row| (row.calendar_id, row.events)).collect(),
        })
    }
}

/// Some of the marked meetings that no calendar holds.
async fn removable(connection: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT meeting_id FROM meetings WHERE forget_since IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM mirror JOIN calendars ON calendars.id = mirror.calendar_id
             WHERE mirror.meeting_id = meetings.meeting_id AND mirror.presence <> 'absent'
                   AND calendars.removed_at IS NULL)
         ORDER BY forget_since LIMIT ?",
        STEP
    )
    .fetch_all(connection)
    .await?)
}
