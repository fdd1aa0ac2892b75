//! Whether a feed shows a meeting, and when the passing of time alone will change that.

use chrono::{DateTime, TimeDelta, Utc};

use super::selection::{Exclusion, Place, Selection, Window};
use super::state::Meeting;

/// What decides over a meeting in one feed.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'a> {
    /// Which meetings.
    pub selection: &'a Selection,
    /// In which days.
    pub window: Window,
    /// Days that a canceled meeting stays, struck through, after its last change (facts: ICS subscribers 8).
    pub canceled_days: u32,
}

/// Why a feed does not show a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// It is not one of the feed's meetings.
    NotSelected(Exclusion),
    /// It ended before the window opens.
    Past,
    /// It begins after the window closes.
    Ahead {
        /// When it comes in.
        until: DateTime<Utc>,
    },
    /// It no longer takes place, and has been shown as canceled for long enough.
    CanceledLongAgo,
    /// It is to be forgotten.
    Forgotten,
}

impl Rule<'_> {
    /// Whether the feed shows the meeting; room in it is another matter.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, meeting: &Meeting, now: DateTime<Utc>) -> Result<(), Absence> {
        if meeting.forget_since.is_some() {
            return Err(Absence::Forgotten);
        }
        self.selection.check(&meeting.details).map_err(Absence::NotSelected)?;
        match self.window.place(&meeting.details, now) {
            Place::Past => return Err(Absence::Past),
            Place::Future => return Err(Absence::Ahead { until: self.enters_at(meeting) }),
            Place::Inside => {}
        }
        if !meeting.is_confirmed() && self.canceled_until(meeting) <= now {
            return Err(Absence::CanceledLongAgo);
        }
        Ok(())
    }

    /// The first moment at which a meeting that is shown no longer is, if nothing is heard of it.
    pub fn leaves_at(&self, meeting: &Meeting) -> DateTime<Utc> {
        let passes_at = self.passes_at(meeting.details.ends_at);
        if meeting.is_confirmed() { passes_at } else { passes_at.min(self.canceled_until(meeting)) }
    }

    /// The first moment at which a meeting with this end is past the window.
    pub fn passes_at(&self, ends_at: DateTime<Utc>) -> DateTime<Utc> {
        // Its last moment in the window is the one at which it ended so many days ago.
        ends_at + days(self.window.past_days) + TimeDelta::milliseconds(1)
    }

    /// Until when a meeting that does not take place is shown as canceled.
    pub fn canceled_until(&self, meeting: &Meeting) -> DateTime<Utc> {
        meeting.last_modified_at + days(self.canceled_days)
    }

    /// The first moment at which a meeting is in the window.
    pub fn enters_at(&self, meeting: &Meeting) -> DateTime<Utc> {
        meeting.details.starts_at - days(self.window.future_days)
    }
}

fn days(number: u32) -> TimeDelta {
    TimeDelta::days(i64::from(number))
}
