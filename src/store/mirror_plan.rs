//! Planning: which (meeting, calendar) pairs get a work row.

use chrono::{DateTime, Utc};

use super::meetings::MeetingFilter;
use super::{Calendar, Store, StoreError, WriteTx};
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
}

impl Store {
    /// Adds the work rows that a calendar lacks: for a new calendar, and as the window rolls on. Rows that are there stay
    /// as they are, so meetings that passed out of the window are not touched. Returns how many were added.
    ///
    /// # Errors
    /// When the database can't be read or written.
    pub async fn plan_calendar(&self, calendar: &Calendar, now: DateTime<Utc>) -> Result<usize, StoreError> {
        let window = calendar.wish.window;
        let filter = MeetingFilter { text: None, from: Some(window.opens(now)), until: Some(window.closes(now)) };
        let meetings = self.meetings(&filter, u32::MAX).await?;
        let wanted: Vec<&Meeting> = meetings
            .iter()
            .filter(|meeting| meeting.is_confirmed() && calendar.wish.selection.check(&meeting.details).is_ok())
            .collect();
        let mut added = 0;
        for step in wanted.chunks(STEP) {
            let mut tx = self.write().await?;
            for meeting in step {
                if !tx.is_mirrored(&meeting.id, calendar.id).await? {
                    tx.want(meeting, calendar.id, now).await?;
                    added += 1;
                }
            }
            tx.commit().await?;
        }
        Ok(added)
    }
}
