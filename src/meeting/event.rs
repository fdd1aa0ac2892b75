//! One meeting event as the sender told it, and the total order of events.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The sender's `data.id`: the key of the state table.
    MeetingId
}
text_id! {
    /// The sender's organization.
    OrganizationId
}
text_id! {
    /// The sender's `eventId`: identity of an event.
    EventId
}

/// What happened to the meeting. The order decides between events of the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Booked.
    Scheduled,
    /// Moved, or booked in place of an earlier calendar event.
    Rescheduled,
    /// Canceled, or any event that says `isCanceled: true`.
    Canceled,
}

impl Kind {
    /// A lower-case word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Rescheduled => "rescheduled",
            Self::Canceled => "canceled",
        }
    }
}

/// The total order of events: time, then kind, then id. The greatest wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// `eventTimestamp`, all its digits.
    pub happened_at: DateTime<Utc>,
    /// What happened.
    pub kind: Kind,
    /// `eventId`.
    pub event_id: EventId,
}

/// One event about one meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeetingEvent {
    /// Place in the total order.
    pub key: EventKey,
    /// The meeting it speaks of.
    pub meeting_id: MeetingId,
    /// What the meeting looks like after it.
    pub details: Details,
    /// `existingEmailMeetingId`: the calendar event whose booking this one takes over.
    pub existing_email_meeting_id: Option<String>,
}

impl MeetingEvent {
    /// The `emailMeetingId` this event claims, if it is one that can replace another booking: rescheduled and not canceled.
    pub fn claim(&self) -> Option<&str> {
        match self.key.kind {
            Kind::Rescheduled => self.existing_email_meeting_id.as_deref(),
            Kind::Scheduled | Kind::Canceled => None,
        }
    }
}

/// Everything a meeting event says of its meeting. Absent, null and empty texts are all `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// Organization.
    pub organization_id: OrganizationId,
    /// Id of the event in the owner's own calendar.
    pub email_meeting_id: Option<String>,
    /// Zoom meeting id.
    pub zoom_meeting_id: Option<String>,
    /// Begin, whole seconds.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub starts_at: DateTime<Utc>,
    /// End, whole seconds, later than the begin.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub ends_at: DateTime<Utc>,
    /// On whose calendar it was booked.
    pub owner: Owner,
    /// `meetingName`.
    pub title: Option<String>,
    /// Place.
    pub location: Option<String>,
    /// The person who booked.
    pub invitee: Invitee,
    /// Further invitees, without repetition, in the order given.
    pub further_invitees: Vec<String>,
    /// The booking page.
    pub booking_url: Option<String>,
    /// Path part that names the organization.
    pub organization_path: Option<String>,
    /// Path part that names the schedule.
    pub calendar_path: Option<String>,
    /// Booking form and survey, in the order given; unanswered questions are left out.
    pub answers: Vec<Answer>,
}

impl Details {
    /// Whether the address is that of an invitee, in whatever form it was written: "Bo Guest <bo@example.org>",
    /// "mailto:bo@example.org". Case does not matter.
    pub fn invites(&self, address: &str) -> bool {
        let address = address.trim().to_lowercase();
        self.invitee
            .email
            .iter()
            .chain(&self.further_invitees)
            .any(|text| holds_address(&text.to_lowercase(), &address))
    }

    /// Whether the address stands in a text that somebody wrote: an answer, the title, the place, a name.
    pub fn mentions(&self, address: &str) -> bool {
        let address = address.trim().to_lowercase();
        let written = [&self.title, &self.location, &self.invitee.name].into_iter().flatten();
        let answered = self.answers.iter().flat_map(|answer| [&answer.question, &answer.answer]);
        written.chain(answered).any(|text| holds_address(&text.to_lowercase(), &address))
    }
}

/// Whether an address stands in a text, both in lower case: as a whole, not as the end of a longer one.
pub fn holds_address(text: &str, address: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '+' | '-' | '%');
    text.match_indices(address).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + address.len()..]);
        let (mut preceding, mut following) = (before.chars().rev(), after.chars());
        let goes_before = match preceding.next() {
            // Within a name, as in o'hara; else it quotes.
            Some('\'') => preceding.next().is_some_and(char::is_alphanumeric),
            before => before.is_some_and(|c| c == '.' || is_part(c)),
        };
        let goes_on = match following.next() {
            // A full stop after an address ends a sentence.
            Some('.') => following.next().is_some_and(char::is_alphanumeric),
            next => next.is_some_and(is_part),
        };
        !goes_before && !goes_on
    })
}

/// `meetingOwner`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `userId`.
    pub user_id: Option<String>,
    /// Usually an e-mail address.
    pub username: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
}

impl Owner {
    /// First and last name, else the username.
    pub fn display_name(&self) -> Option<String> {
        let names: Vec<&str> = [&self.first_name, &self.last_name].into_iter().flatten().map(String::as_str).collect();
        if names.is_empty() { self.username.clone() } else { Some(names.join(" ")) }
    }
}

/// `primaryInvitee` and `primaryInviteeName`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitee {
    /// Name.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
}

impl Invitee {
    /// The name, else the address.
    pub fn display_name(&self) -> Option<&str> {
        self.name.as_deref().or(self.email.as_deref())
    }
}

/// A question of the booking form or survey with what was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question; may be empty.
    pub question: String,
    /// The answer; never empty.
    pub answer: String,
}

#[cfg(test)]
mod tests {
    use super::holds_address;

    #[test]
    fn an_address_is_found_in_any_form_and_not_as_a_part_of_another() {
        for text in [
            "bo@example.org",
            "bo@example.org.",
            "\"bo guest\"<bo@example.org>",
            "bo<bo@example.org",
            "'bo@example.org'",
            "<'bo@example.org'>",
            "bo@example.org's",
            "mailto:bo@example.org",
            "jimbo@example.org/bo@example.org",
        ] {
            assert!(holds_address(text, "bo@example.org"), "{text}");
        }
        for text in
            ["jimbo@example.org", "d'bo@example.org", "jim.bo@example.org", "bo@example.org.uk", "bo@example.orgs"]
        {
            assert!(!holds_address(text, "bo@example.org"), "{text}");
        }
    }
}
