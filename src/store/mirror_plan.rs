//! Planning: which (meeting, calendar) pairs get a work row. Whoever adds or changes a calendar only asks for its plan; the
//! mirror's worker makes it, also after a restart.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;

use super::meetings::MeetingRow;
use super::{Calendar, Store, StoreError, WriteTx, json_text, millis};
use crate::meeting::selection::Selection;
use crate::meeting::state::Meeting;

/// Rows written in one transaction, so that the writer is never held long.
const STEP: usize = 500;

/// What a plan looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Meetings that the calendar lacks.
    Lacking,
    /// Those, and what has a work row: the calendar was edited.
    All,
}

/// A calendar that is mirrored into, and which meetings that takes.
#[derive(Debug)]
pub struct Selecting {
    /// Row id.
    pub id: i64,
    /// None = it can't be read: then each may be one of them.
    selection: Option<Selection>,
}

impl WriteTx<'_> {
    /// The calendars that are mirrored into, by id.
    ///
    /// # Errors
    /// When the database can't be read. That one of them can't be is no matter.
    pub async fn selecting_calendars(&mut self) -> Result<Vec<Selecting>, StoreError> {
        let rows = sqlx::query!("SELECT id, selection FROM calendars WHERE removed_at IS NULL ORDER BY id")
            .fetch_all(&mut *self.0)
            .await?;
        let selecting = |id, selection: &str| Selecting { id, selection: serde_json::from_str(selection).ok() };
        Ok(rows.iter().map(|row| selecting(row.id, &row.selection)).collect())
    }

    /// After a visible change: asks for the meeting in every calendar that selects it or already knows it. Whether it is
    /// wanted there or must go is decided when the work is done.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn want_in_calendars(
        &mut self,
        meeting: &Meeting,
        calendars: &[Selecting],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        for calendar in calendars {
            let selects = |selection: &Selection| selection.check(&meeting.details).is_ok();
            let selected = meeting.is_confirmed()
                && meeting.forget_since.is_none()
                && calendar.selection.as_ref().is_none_or(selects);
            if selected || self.is_mirrored(&meeting.id, calendar.id).await? {
                self.want(meeting, calendar.id, now).await?;
            }
        }
        Ok(())
    }

    /// Asks for the plan of a calendar.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn ask_plan(&mut self, calendar_id: i64, plan: Plan) -> Result<(), StoreError> {
        let every_row = plan == Plan::All;
        sqlx::query!("INSERT INTO calendar_plans (calendar_id, every_row) VALUES (?, ?)", calendar_id, every_row)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Has rows of a calendar looked at again; those that are in step cost no call.
    async fn look_again(
        &mut self,
        calendar_id: i64,
        meetings: &[String],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (meetings, now) = (json_text(&meetings)?, millis(now));
        sqlx::query!(
            "UPDATE mirror SET due_at = ?1, asked = asked + 1
             WHERE calendar_id = ?2 AND meeting_id IN (SELECT value FROM json_each(?3))
                   AND EXISTS (SELECT 1 FROM calendars WHERE id = ?2 AND removed_at IS NULL)",
            now,
            calendar_id,
            meetings
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Asks for meetings in a calendar, but for those that have a row which works or has an event at Google. Returns how many
    /// were asked for.
    async fn want_lacking(
        &mut self,
        calendar_id: i64,
        meetings: &[String],
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let (meetings, now) = (json_text(&meetings)?, millis(now));
        let done = sqlx::query!(
            "INSERT INTO mirror (meeting_id, calendar_id, wanted_revision, due_at, begins_at)
             SELECT meetings.meeting_id, calendars.id, meetings.revision, ?1, meetings.starts_at
             FROM json_each(?2) AS lacking
             JOIN meetings ON meetings.meeting_id = lacking.value
             JOIN calendars ON calendars.id = ?3 AND calendars.removed_at IS NULL
             WHERE true
             ON CONFLICT (meeting_id, calendar_id) DO UPDATE SET
                 wanted_revision = excluded.wanted_revision, due_at = excluded.due_at, asked = asked + 1, attempts = 0
             WHERE mirror.standing = 'absent'",
            now,
            meetings,
            calendar_id
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected())
    }
}

impl Store {
    /// The calendars whose plan was asked for and is not made yet.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn calendars_to_plan(&self) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar!("SELECT DISTINCT calendar_id FROM calendar_plans ORDER BY calendar_id")
            .fetch_all(&self.reader)
            .await?)
    }

    /// The meetings that a calendar selects and lacks, by begin. One that came to rest with nothing there (the meeting was
    /// beyond the window then) is lacking; one that has an event there or is worked on is not.
    async fn lacking(&self, calendar: &Calendar, now: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
        let seen_to = sqlx::query_scalar!(
            "SELECT meeting_id FROM mirror WHERE calendar_id = ? AND standing <> 'absent'",
            calendar.id
        )
        .fetch_all(&self.reader)
        .await?;
        let seen_to: HashSet<String> = seen_to.into_iter().collect();
        let window = calendar.wish.window;
        let (opens, closes) = (millis(window.opens(now)), millis(window.closes(now)));
        // The pluses: what began before a time is nearly everything; what ends after one is little.
        let mut rows = sqlx::query_as!(
            MeetingRow,
            "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, last_modified_at, forget_since
             FROM meetings WHERE ends_at >= ? AND +starts_at <= ? ORDER BY +starts_at, meeting_id",
            opens,
            closes
        )
        .fetch(&self.reader);
        let mut lacking = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let meeting = Meeting::try_from(row)?;
            if meeting.is_confirmed()
                && meeting.forget_since.is_none()
                && calendar.wish.selection.check(&meeting.details).is_ok()
                && !seen_to.contains(meeting.id.as_str())
            {
                lacking.push(meeting.id.as_str().to_owned());
            }
        }
        Ok(lacking)
    }

    /// Makes the plan of a calendar: asks for the meetings that it lacks, for a new calendar and as the window rolls on. Rows
    /// that work or have an event at Google stay as they are, so meetings that passed out of the window are not touched. Returns
    /// how many were asked for.
    ///
    /// # Errors
    /// When the database can't be read or written; a plan that was asked for stays so.
    pub async fn plan_calendar(&self, calendar_id: i64, now: DateTime<Utc>) -> Result<u64, StoreError> {
        // Before the calendar: what is asked for from here on is about a later one.
        let asked = sqlx::query!(
            r#"SELECT max(id) AS "last: i64", max(every_row) AS "every_row: bool" FROM calendar_plans WHERE calendar_id = ?"#,
            calendar_id
        )
        .fetch_one(&self.reader)
        .await?;
        let calendars = self.calendars().await?;
        let Some(calendar) = calendars.iter().find(|calendar| calendar.id == calendar_id) else { return Ok(0) };
        if asked.every_row == Some(true) {
            let all = sqlx::query_scalar!("SELECT meeting_id FROM mirror WHERE calendar_id = ?", calendar_id)
                .fetch_all(&self.reader)
                .await?;
            for step in all.chunks(STEP) {
                let mut tx = self.write().await?;
                tx.look_again(calendar_id, step, now).await?;
                tx.commit().await?;
            }
        }
        let mut added = 0;
        for step in self.lacking(calendar, now).await?.chunks(STEP) {
            let mut tx = self.write().await?;
            added += tx.want_lacking(calendar_id, step, now).await?;
            tx.commit().await?;
        }
        if let Some(last) = asked.last {
            let mut tx = self.write().await?;
            sqlx::query!("DELETE FROM calendar_plans WHERE calendar_id = ? AND id <= ?", calendar_id, last)
                .execute(&mut *tx.0)
                .await?;
            tx.commit().await?;
        }
        Ok(added)
    }
}
