//! How a meeting came to be as it is: every delivery with its effect, and each attempt to mirror it with Google's answer, the
//! newest first.

use chrono::{DateTime, Utc};

use super::inbox::delivery_state;
use super::mirror_state::sentence;
use super::time_text::{Moment, Times};
use super::words::{State, Tone, meeting_href};
use crate::meeting::event::MeetingId;
use crate::store::{Delivery, HistoryEntry, MirrorAttempt, Presence, ProblemKind, Store, StoreError};

/// Something that happened.
pub(super) struct Step {
    at: DateTime<Utc>,
    /// In a word or a sentence.
    pub(super) what: String,
    /// For a delivery that has no effect yet, where it stands.
    pub(super) state: Option<State>,
    /// What was said.
    pub(super) said: String,
    /// An attempt to mirror it.
    pub(super) is_attempt: bool,
    /// When.
    pub(super) when: Moment,
    /// When it happened at the sender's, if it was told.
    pub(super) told: Option<Moment>,
    /// How it feels.
    pub(super) tone: Tone,
    /// Revision of the meeting after it.
    pub(super) revision: Option<u32>,
    /// The delivery's number.
    pub(super) delivery: Option<i64>,
    /// The booking that it speaks of, when it is another one.
    pub(super) origin: Option<String>,
}

/// The steps of a meeting, the newest first. `deliveries` are those that name it.
pub(super) async fn timeline(
    store: &Store,
    id: &MeetingId,
    deliveries: Vec<Delivery>,
    times: &Times,
) -> Result<Vec<Step>, StoreError> {
    let history = store.history(id.as_str()).await?;
    let calendars = store.all_calendars().await?;
    let without_effect =
        deliveries.into_iter().filter(|delivery| !history.iter().any(|entry| entry.inbox_id == delivery.id));
    let mut steps: Vec<Step> = without_effect.map(|delivery| of_delivery(delivery, times)).collect();
    // What was applied later comes later, also within one moment.
    steps.extend(history.into_iter().map(|entry| of_event(entry, id, times)));
    for attempt in store.mirror_attempts(id.as_str()).await?.into_iter().rev() {
        let calendar = calendars.iter().find(|calendar| calendar.id == attempt.calendar_id);
        steps.push(of_attempt(attempt, calendar.map_or("?", |calendar| calendar.wish.name.as_str()), times));
    }
    steps.sort_by_key(|step| step.at);
    steps.reverse();
    Ok(steps)
}

fn of_delivery(delivery: Delivery, times: &Times) -> Step {
    let event_type = delivery.event_type.unwrap_or_else(|| "type not readable".to_owned());
    let reason = delivery.reason.map_or_else(String::new, |reason| format!(": {reason}"));
    Step {
        at: delivery.received_at,
        what: "Arrived".to_owned(),
        is_attempt: false,
        state: Some(delivery_state(delivery.status)),
        said: format!("{event_type}{reason}"),
        when: times.exactly(delivery.received_at),
        told: None,
        tone: delivery_state(delivery.status).tone,
        revision: None,
        delivery: Some(delivery.id),
        origin: None,
    }
}

fn of_event(entry: HistoryEntry, id: &MeetingId, times: &Times) -> Step {
    let title = entry.title.map_or_else(String::new, |title| format!("“{title}”, "));
    let span = times.span(entry.starts_at, entry.ends_at);
    let (what, tone) = match entry.effect.as_str() {
        "created" => ("Seen for the first time", Tone::Good),
        "changed" => ("Changed", Tone::Good),
        "canceled" => ("Canceled", Tone::Good),
        "replaced" => ("Taken over by another booking", Tone::Good),
        "unchanged" => ("Said nothing new", Tone::Quiet),
        "superseded" => ("Came late: a newer event was here before, so it changed nothing", Tone::Quiet),
        _ => ("Recorded", Tone::Quiet),
    };
    Step {
        at: entry.applied_at,
        what: what.to_owned(),
        is_attempt: false,
        state: None,
        said: format!("{}: {title}{}", entry.key.kind.as_str(), span.text()),
        when: times.exactly(entry.applied_at),
        told: Some(times.exactly(entry.key.happened_at)),
        tone,
        revision: Some(entry.revision),
        delivery: Some(entry.inbox_id),
        origin: (entry.origin != *id).then(|| meeting_href(entry.origin.as_str())),
    }
}

fn of_attempt(attempt: MirrorAttempt, calendar: &str, times: &Times) -> Step {
    let (outcome, said, tone) = match (attempt.problem, attempt.presence) {
        (Some((text, ProblemKind::Retry)), _) => {
            ("failed, and is tried again".to_owned(), sentence(&text), Tone::Waiting)
        }
        (Some((text, ProblemKind::Person)), _) => {
            ("failed, and a person must act".to_owned(), sentence(&text), Tone::Bad)
        }
        (Some((text, ProblemKind::Rejected)), _) => ("refused".to_owned(), sentence(&text), Tone::Bad),
        (None, Presence::Absent) => ("Google agreed that it is not there".to_owned(), String::new(), Tone::Quiet),
        (None, Presence::Present | Presence::Unknown) => {
            (format!("it is there, as of revision {}", attempt.revision), String::new(), Tone::Good)
        }
    };
    Step {
        at: attempt.attempted_at,
        what: format!("Google Calendar “{calendar}”: {outcome}"),
        is_attempt: true,
        state: None,
        said,
        when: times.exactly(attempt.attempted_at),
        told: None,
        tone,
        revision: None,
        delivery: None,
        origin: None,
    }
}
