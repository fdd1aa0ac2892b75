//! Whether a mirrored calendar should hold an event of a meeting, and how many deletions at once need a person's word.

use chrono::{DateTime, Utc};

use super::selection::{Place, Selection, Window};
use super::state::{Meeting, Status};

/// What decides over a meeting's event in one calendar.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'a> {
    /// Which meetings.
    pub selection: &'a Selection,
    /// In which days.
    pub window: Window,
    /// Whether a canceled meeting's event stays, marked as canceled.
    pub marks_canceled: bool,
}

impl Rule<'_> {
    /// Whether the calendar should hold an event of the meeting. `was_there`: it was shown there. Meetings that passed out
    /// of the window stay; only what was shown is marked as canceled. `held`: it is no longer selected, but must not go
    /// before a person has approved. What is to be forgotten goes, whatever else holds.
    pub fn holds(&self, meeting: &Meeting, was_there: bool, held: bool, now: DateTime<Utc>) -> bool {
        let takes_place = match meeting.status() {
            Status::Confirmed => true,
            Status::Canceled => was_there && (self.marks_canceled || held),
            Status::Replaced { .. } => false,
        };
        let in_window = match self.window.place(&meeting.details, now) {
            Place::Inside => true,
            Place::Past => was_there,
            Place::Future => false,
        };
        meeting.forget_since.is_none()
            && takes_place
            && (held || in_window && self.selection.check(&meeting.details).is_ok())
    }
}

/// Whether so many deletions at once wait for a person: more than 20, and more than a tenth of what is there.
pub fn needs_approval(deletions: usize, mirrored: usize) -> bool {
    deletions > 20 && deletions * 10 > mirrored
}

#[cfg(test)]
mod tests {
    use super::needs_approval;

    #[test]
    fn the_brake_needs_both_a_number_and_a_share() {
        assert!(!needs_approval(20, 20));
        assert!(needs_approval(21, 21));
        assert!(needs_approval(21, 209));
        assert!(!needs_approval(21, 210));
        assert!(!needs_approval(200, 2000));
        assert!(needs_approval(201, 2000));
    }
}
