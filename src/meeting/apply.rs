//! How an event changes a meeting. Both steps are functions of the set of events, not of their order of arrival, so the
//! same deliveries end in the same state whatever way they come; only the revision counter tells the way.

use chrono::{DateTime, TimeDelta, Utc};

use super::event::{Kind, MeetingEvent, MeetingId};
use super::state::{Meeting, Status, whole_seconds};

/// What one event did to one meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The meeting was not known before.
    Created,
    /// Something a person sees changed.
    Changed,
    /// It no longer takes place.
    Canceled,
    /// Another booking took it over.
    Replaced,
    /// The newest word, but nothing a person sees changed.
    Unchanged,
    /// A newer event was here before: nothing changed.
    Superseded,
}

impl Effect {
    /// One lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Canceled => "canceled",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
            Self::Superseded => "superseded",
        }
    }
}

/// First step: the greatest event wins. `replaced_by` is left as it was; [`settle`] decides it next.
pub fn receive(current: Option<Meeting>, event: &MeetingEvent, now: DateTime<Utc>) -> (Meeting, Effect) {
    let Some(mut meeting) = current else {
        let meeting = Meeting {
            id: event.meeting_id.clone(),
            latest: event.key.clone(),
            details: event.details.clone(),
            replaced_by: None,
            revision: 0,
            first_seen_at: now,
            last_modified_at: whole_seconds(now),
            forget_since: None,
        };
        return (meeting, Effect::Created);
    };
    // The same event again (replayed after an upgrade) is read anew.
    if event.key < meeting.latest {
        return (meeting, Effect::Superseded);
    }
    let was_canceled = meeting.latest.kind == Kind::Canceled;
    let is_canceled = event.key.kind == Kind::Canceled;
    let changed = was_canceled != is_canceled || meeting.details != event.details;
    meeting.latest = event.key.clone();
    meeting.details = event.details.clone();
    if changed {
        touch(&mut meeting, now);
    }
    let effect = match (changed, is_canceled && !was_canceled) {
        (_, true) => Effect::Canceled,
        (true, false) => Effect::Changed,
        (false, false) => Effect::Unchanged,
    };
    (meeting, effect)
}

/// Second step: `replaced_by` becomes the booking with the greatest claim on this meeting's calendar event, or none.
///
/// A claim is a live rescheduled event of another meeting in the same organization whose `existingEmailMeetingId` is this
/// meeting's `emailMeetingId`. Only claims later than this meeting's own latest live (not canceled) event count: a
/// booking that says something newer of itself is there again, and two bookings can't take each other over.
/// Returns whether anything changed.
pub fn settle(meeting: &mut Meeting, claimant: Option<MeetingId>, now: DateTime<Utc>) -> bool {
    if meeting.replaced_by == claimant {
        return false;
    }
    let was = meeting.status().as_str();
    meeting.replaced_by = claimant;
    // That a replaced booking is now replaced by yet another one is nothing a calendar shows.
    if meeting.status().as_str() != was {
        touch(meeting, now);
    }
    true
}

/// The effect to record for a meeting's own event once [`settle`] has spoken.
pub fn settled_effect(received: Effect, settled: bool, status: Status<'_>) -> Effect {
    match (settled, status) {
        (true, Status::Replaced { .. }) => Effect::Replaced,
        (true, _) if matches!(received, Effect::Unchanged | Effect::Superseded) => Effect::Changed,
        _ => received,
    }
}

/// Marks a visible change: one revision more, and a last-modified time that is later by a second at least.
fn touch(meeting: &mut Meeting, now: DateTime<Utc>) {
    meeting.revision = meeting.revision.saturating_add(1);
    meeting.last_modified_at = whole_seconds(now).max(meeting.last_modified_at + TimeDelta::seconds(1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meeting::event::{Details, EventId, EventKey, Invitee, OrganizationId, Owner};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    fn event(second: i64, kind: Kind, id: &str, title: &str) -> MeetingEvent {
        MeetingEvent {
            key: EventKey { happened_at: at(second), kind, event_id: EventId::new(id) },
            meeting_id: MeetingId::new("m-1"),
            details: Details {
                organization_id: OrganizationId::new("org"),
                email_meeting_id: Some("mail-1".into()),
                zoom_meeting_id: None,
                starts_at: at(10_000),
                ends_at: at(11_800),
                owner: Owner::default(),
                title: Some(title.into()),
                location: None,
                invitee: Invitee::default(),
                further_invitees: vec![],
                booking_url: None,
                organization_path: None,
                calendar_path: None,
                answers: vec![],
            },
            existing_email_meeting_id: None,
        }
    }

    #[test]
    fn an_older_event_changes_nothing() {
        let (new, _) = receive(None, &event(5, Kind::Rescheduled, "b", "new"), at(20));
        let (after, effect) = receive(Some(new.clone()), &event(1, Kind::Scheduled, "a", "old"), at(21));
        assert_eq!((after, effect), (new, Effect::Superseded));
    }

    #[test]
    fn events_of_the_same_time_are_ordered_by_kind_then_id() {
        let (first, _) = receive(None, &event(5, Kind::Canceled, "a", "x"), at(20));
        assert_eq!(receive(Some(first.clone()), &event(5, Kind::Rescheduled, "z", "y"), at(21)).1, Effect::Superseded);
        assert_eq!(receive(Some(first), &event(5, Kind::Canceled, "b", "x"), at(21)).1, Effect::Unchanged);
    }

    #[test]
    fn last_modified_is_strictly_later_even_when_the_clock_stands_or_runs_back() {
        let (meeting, _) = receive(None, &event(1, Kind::Scheduled, "a", "one"), at(20));
        let (meeting, _) = receive(Some(meeting), &event(2, Kind::Rescheduled, "b", "two"), at(20));
        assert_eq!((meeting.revision, meeting.last_modified_at), (1, at(21)));
        let (meeting, _) = receive(Some(meeting), &event(3, Kind::Canceled, "c", "two"), at(3));
        assert_eq!((meeting.revision, meeting.last_modified_at), (2, at(22)));
    }

    #[test]
    fn a_newer_event_that_says_the_same_leaves_the_revision() {
        let (meeting, _) = receive(None, &event(1, Kind::Scheduled, "a", "one"), at(20));
        let (meeting, effect) = receive(Some(meeting), &event(2, Kind::Rescheduled, "b", "one"), at(30));
        assert_eq!((meeting.revision, meeting.last_modified_at, effect), (0, at(20), Effect::Unchanged));
    }

    #[test]
    fn a_change_of_the_replacing_booking_is_not_visible() {
        let (mut meeting, _) = receive(None, &event(1, Kind::Scheduled, "a", "one"), at(20));
        assert!(settle(&mut meeting, Some(MeetingId::new("m-2")), at(21)));
        assert_eq!(meeting.revision, 1);
        assert!(settle(&mut meeting, Some(MeetingId::new("m-3")), at(22)));
        assert_eq!(meeting.revision, 1);
        assert!(settle(&mut meeting, None, at(23)));
        assert_eq!((meeting.revision, meeting.is_confirmed()), (2, true));
    }
}
