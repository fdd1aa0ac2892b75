//! Planning: which (meeting, calendar) pairs get a work row.

use chrono::{DateTime, Utc};

use super::meetings::MeetingRow;
use super::{Calendar, Store, StoreError, WriteTx, millis};
use crate::meeting::event::MeetingId;
use crate::meeting::selection::Window;
use crate::meeting::state::Meeting;

/// Meetings planned in one transaction, so that the writer is never held long.
const STEP: usize = 200;

impl WriteTx<'_> {
    /// After a visible change: asks for the meeting in every calendar that selects it or already knows it. Whether it is
    /// wanted there or must go is decided when the work is done.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn want_in_calendars(
        &mut self,
        meeting: &Meeting,
        calendars: &[Calendar],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        for calendar in calendars {
            let selected = meeting.is_confirmed() && calendar.wish.selection.check(&meeting.details).is_ok();
            if selected || self.is_mirrored(&meeting.id, calendar.id).await? {
                self.want(meeting, calendar.id, now).await?;
            }
        }
        Ok(())
    }

    /// Whether a meeting that belongs in a calendar has a work row that sees to it. One that came to rest with nothing there
    /// (the meeting was beyond the window then) does not.
    async fn is_seen_to(&mut self, meeting_id: &MeetingId, calendar_id: i64) -> Result<bool, StoreError> {
        let id = meeting_id.as_str();
        let found = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM mirror WHERE meeting_id = ? AND calendar_id = ?
                              AND (presence <> 'absent' OR due_at IS NOT NULL OR problem IS NOT NULL)) AS "found!: bool""#,
            id,
            calendar_id
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(found)
    }
}

impl Store {
    /// Every meeting in a window, by begin.
    async fn meetings_inside(&self, window: Window, now: DateTime<Utc>) -> Result<Vec<Meeting>, StoreError> {
        let (opens, closes) = (millis(window.opens(now)), millis(window.closes(now)));
        // The pluses: what began before a time is nearly everything; what ends after one is little.
        let rows = sqlx::query_as!(
            MeetingRow,
            "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, last_modified_at
             FROM meetings WHERE ends_at >= ? AND +starts_at <= ? ORDER BY +starts_at, meeting_id",
            opens,
            closes
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter().map(Meeting::try_from).collect()
    }

    /// Asks for the meetings that a calendar lacks: for a new calendar, and as the window rolls on. Rows that work or have an
    /// event at Google stay as they are, so meetings that passed out of the window are not touched. Returns how many were
    /// asked for.
    ///
    /// # Errors
    /// When the database can't be read or written.
    pub async fn plan_calendar(&self, calendar: &Calendar, now: DateTime<Utc>) -> Result<usize, StoreError> {
        let meetings = self.meetings_inside(calendar.wish.window, now).await?;
        let wanted: Vec<&Meeting> = meetings
            .iter()
            .filter(|meeting| meeting.is_confirmed() && calendar.wish.selection.check(&meeting.details).is_ok())
            .collect();
        let mut added = 0;
        for step in wanted.chunks(STEP) {
            let mut tx = self.write().await?;
            for meeting in step {
                if !tx.is_seen_to(&meeting.id, calendar.id).await? {
                    tx.want(meeting, calendar.id, now).await?;
                    added += 1;
                }
            }
            tx.commit().await?;
        }
        Ok(added)
    }
}
