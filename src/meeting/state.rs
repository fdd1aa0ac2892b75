//! The state of one meeting: what its greatest event said, and whether another booking took it over.

use chrono::{DateTime, SubsecRound, Utc};

use super::event::{Details, EventKey, Kind, MeetingId};

/// One row of the meeting state table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// Key of the table.
    pub id: MeetingId,
    /// Key of the event that won.
    pub latest: EventKey,
    /// What that event said.
    pub details: Details,
    /// The booking that took this one over.
    pub replaced_by: Option<MeetingId>,
    /// Raised by one with every visible change; ICS SEQUENCE (RFC 5545 section 3.8.7.4).
    pub revision: u32,
    /// When its first event was applied here.
    pub first_seen_at: DateTime<Utc>,
    /// Of the last visible change; whole seconds, strictly rising (facts: ICS subscribers 5).
    pub last_modified_at: DateTime<Utc>,
    /// Since when it is to be forgotten: too old to be kept, or an invitee was erased. Nothing shows it any more. None = it is kept.
    pub forget_since: Option<DateTime<Utc>>,
}

/// Whether the meeting takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status<'a> {
    /// It takes place.
    Confirmed,
    /// It was canceled.
    Canceled,
    /// Another booking took it over.
    Replaced {
        /// That booking.
        by: &'a MeetingId,
    },
}

impl Status<'_> {
    /// One lower-case word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Canceled => "canceled",
            Self::Replaced { .. } => "replaced",
        }
    }
}

impl Meeting {
    /// Whether it takes place. Being replaced outweighs being canceled: the sender cancels what it replaces.
    pub fn status(&self) -> Status<'_> {
        match (&self.replaced_by, self.latest.kind) {
            (Some(by), _) => Status::Replaced { by },
            (None, Kind::Canceled) => Status::Canceled,
            (None, Kind::Scheduled | Kind::Rescheduled) => Status::Confirmed,
        }
    }

    /// Whether it takes place.
    pub fn is_confirmed(&self) -> bool {
        self.status() == Status::Confirmed
    }
}

/// Drops the part below one second: feeds and Google show whole seconds.
pub fn whole_seconds(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(0)
}
