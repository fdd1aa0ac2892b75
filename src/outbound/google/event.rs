//! Our event bodies as Google's events, and back: the mark that tells ours, and what is compared.

use std::collections::HashMap;

use chrono::DateTime;
use google_calendar3::api::{Event, EventDateTime, EventExtendedProperties, EventReminders, EventSource};
use sha2::{Digest, Sha256};

use super::super::event_body::{EventBody, is_id_of_ours};
use crate::meeting::event::MeetingId;

/// Extended property: which installation wrote the event (keys have at most 44 characters).
pub(super) const INSTALLATION: &str = "meetingMirrorInstallation";
const MEETING: &str = "meetingMirrorMeeting";
const REVISION: &str = "meetingMirrorRevision";

/// What Google tells of an event it has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its sequence.
    pub sequence: i32,
    /// SHA-256 of it as returned, to be compared with a listing later.
    pub seen_hash: [u8; 32],
}

impl Receipt {
    pub(super) fn of(event: &Event, sent_sequence: i32) -> Self {
        Self { sequence: event.sequence.unwrap_or(sent_sequence), seen_hash: seen_hash(event) }
    }
}

/// An event of ours in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub event_id: String,
    /// The meeting that its mark names.
    pub meeting_id: Option<MeetingId>,
    /// SHA-256 of it as it is now.
    pub seen_hash: [u8; 32],
}

impl Listed {
    /// None = it only looks like one of ours.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let event_id = event.id.clone().filter(|id| is_id_of_ours(id))?;
        let marks = event.extended_properties.as_ref().and_then(|properties| properties.private.as_ref());
        let meeting_id = marks.and_then(|marks| marks.get(MEETING)).map(|id| MeetingId::new(id.clone()));
        Some(Self { event_id, meeting_id, seen_hash: seen_hash(event) })
    }
}

/// The event for a body. Never attendees; no reminders.
pub(super) fn made(installation_id: &str, meeting: &MeetingId, body: &EventBody, sequence: i32) -> Event {
    let time = |seconds| EventDateTime { date_time: DateTime::from_timestamp(seconds, 0), ..EventDateTime::default() };
    let marks = HashMap::from([
        (INSTALLATION.to_owned(), installation_id.to_owned()),
        (MEETING.to_owned(), meeting.to_string()),
        (REVISION.to_owned(), body.revision.to_string()),
    ]);
    Event {
        summary: Some(body.summary.clone()),
        description: body.description.clone(),
        location: body.location.clone(),
        start: Some(time(body.starts_at)),
        end: Some(time(body.ends_at)),
        status: Some("confirmed".to_owned()),
        transparency: Some(if body.transparent { "transparent" } else { "opaque" }.to_owned()),
        source: body
            .source_url
            .clone()
            .map(|url| EventSource { title: Some("Booking page".to_owned()), url: Some(url) }),
        extended_properties: Some(EventExtendedProperties { private: Some(marks), shared: None }),
        reminders: Some(EventReminders { use_default: Some(false), overrides: None }),
        sequence: Some(sequence),
        ..Event::default()
    }
}

/// SHA-256 of what people see of an event. Taken from Google's own answer, so that what Google makes of a text (white space,
/// an absent default) is no difference later.
fn seen_hash(event: &Event) -> [u8; 32] {
    let time = |time: &Option<EventDateTime>| time.as_ref().and_then(|time| time.date_time).map(|at| at.timestamp());
    let seen = serde_json::json!([
        event.summary.as_deref().unwrap_or_default(),
        event.description.as_deref().unwrap_or_default(),
        event.location.as_deref().unwrap_or_default(),
        time(&event.start),
        time(&event.end),
        event.transparency.as_deref().unwrap_or("opaque"),
        event.source.as_ref().and_then(|source| source.url.as_deref()),
    ]);
    Sha256::digest(seen.to_string()).into()
}
