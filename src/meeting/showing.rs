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
    /// It no longer takes place, and the feed has said so for long enough.
    SaidLongEnough,
}

impl Rule<'_> {
    /// Whether the feed shows the meeting; room in it is another matter.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, meeting: &Meeting, now: DateTime<Utc>) -> Result<(), Absence> {
        self.selection.check(&meeting.details).map_err(Absence::NotSelected)?;
        match self.window.place(&meeting.details, now) {
            Place::Past => return Err(Absence::Past),
            Place::Future => return Err(Absence::Ahead { until: self.enters_at(meeting) }),
            Place::Inside => {}
        }
        if !meeting.is_confirmed() && self.said_until(meeting) <= now {
            return Err(Absence::SaidLongEnough);
        }
        Ok(())
    }

    /// The first moment at which a meeting that is shown no longer is, if nothing is heard of it.
    pub fn leaves_at(&self, meeting: &Meeting) -> DateTime<Utc> {
        // Its last moment is the one at which it ended so many days ago.
        let passes_at = meeting.details.ends_at + days(self.window.past_days) + TimeDelta::milliseconds(1);
        if meeting.is_confirmed() { passes_at } else { passes_at.min(self.said_until(meeting)) }
    }

    /// Until when the feed says that a meeting does not take place.
    pub fn said_until(&self, meeting: &Meeting) -> DateTime<Utc> {
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
