//! One meeting: what everyone sees now, where it is and why it is not elsewhere, and how it came to be so. This page alone
//! answers "why isn't my meeting there?".

use std::fmt::Write as _;

use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::error::PageError;
use super::feed::{render, text};
use super::frame::{Frame, Mirror, Section, Visit};
use super::inbox::DeliveryRow;
use super::meetings::status_state;
use super::mirror_state::{Placement, in_calendar, in_feed, no_room};
use super::time_text::{Moment, Times};
use super::words::{State, Tone, count, meeting_href, verb};
use crate::meeting::entry::{full_title, is_web_address};
use crate::meeting::event::{Answer, MeetingId};
use crate::meeting::state::{Meeting, Status};
use crate::store::{DeliveryFilter, DeliveryStatus, HistoryEntry};
use crate::web::site::Site;

/// Deliveries that are listed; the history holds every event anyway.
const DELIVERIES: u32 = 50;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/meetings/{id}", get(show))
}

#[derive(Template)]
#[template(path = "meeting.html")]
struct MeetingPage {
    frame: Frame,
    title: String,
    state: State,
    confirmed: bool,
    replaced_by: Option<String>,
    when: Moment,
    answer: String,
    fields: Vec<Field>,
    answers: Vec<Answer>,
    places: Vec<Place>,
    no_calendar: bool,
    no_feed: bool,
    history: Vec<Step>,
    deliveries: Vec<DeliveryRow>,
}

#[derive(Template)]
#[template(path = "meeting_missing.html")]
struct MissingPage {
    frame: Frame,
    id: String,
    deliveries: Vec<DeliveryRow>,
    quarantined: i64,
}

/// A labelled text, linked when it is a web address.
struct Field {
    label: &'static str,
    text: String,
    href: Option<String>,
}

/// A calendar or a feed, and whether the meeting is there.
struct Place {
    kind: &'static str,
    name: String,
    placement: Placement,
    /// Where an admin decides whether its event is deleted.
    decide: Option<String>,
}

/// One event of the history.
struct Step {
    word: &'static str,
    said: String,
    told: Moment,
    applied: Moment,
    revision: u32,
    href: String,
    number: i64,
    origin: Option<String>,
}

async fn show(visit: Visit, id: Result<Path<String>, PathRejection>) -> Result<Response, PageError> {
    let Path(id) = id.map_err(|_| PageError::NoPage)?;
    page(visit, &id).await
}

/// The page of that id, also when there is no such meeting.
pub(super) async fn page(visit: Visit, id: &str) -> Result<Response, PageError> {
    let store = &visit.site.store;
    let filter = DeliveryFilter { about: Some(id.to_owned()), ..DeliveryFilter::default() };
    let deliveries = store.deliveries(&filter, DELIVERIES).await?;
    let waiting = deliveries.iter().filter(|delivery| delivery.status == DeliveryStatus::Pending).count();
    let deliveries = deliveries.into_iter().map(|delivery| DeliveryRow::new(delivery, &visit.times)).collect();
    let Some(meeting) = store.meeting(id).await? else {
        let quarantined = store.inbox_counts().await?.of(DeliveryStatus::Quarantined);
        let page = MissingPage { frame: visit.frame(Section::Meetings), id: id.to_owned(), deliveries, quarantined };
        let mut response = visit.show(page);
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    let times = visit.times;
    let places = places(&visit, &meeting).await?;
    let of_kind = |kind| places.iter().filter(|place| place.kind == kind).count();
    let (no_calendar, no_feed) = (of_kind(CALENDAR) == 0, of_kind(FEED) == 0);
    let page = MeetingPage {
        frame: visit.frame(Section::Meetings),
        title: full_title(&meeting),
        state: status_state(&meeting),
        confirmed: meeting.is_confirmed(),
        replaced_by: meeting.replaced_by.as_ref().map(|by| meeting_href(by.as_str())),
        when: times.span(meeting.details.starts_at, meeting.details.ends_at),
        answer: answer(&meeting, &places, waiting),
        fields: fields(&meeting, &times),
        answers: meeting.details.answers.clone(),
        places,
        no_calendar,
        no_feed,
        history: store.history(id).await?.into_iter().rev().map(|entry| step(entry, &meeting.id, &times)).collect(),
        deliveries,
    };
    Ok(visit.show(page))
}

const CALENDAR: &str = "Google Calendar";
const REMOVED: &str = "Google Calendar, removed";
const FEED: &str = "Feed";

/// Every calendar and feed in use, and removed ones that may still show the meeting.
async fn places(visit: &Visit, meeting: &Meeting) -> Result<Vec<Place>, PageError> {
    let (store, times) = (&visit.site.store, &visit.times);
    let rows = store.mirror_rows(meeting.id.as_str()).await?;
    let mirror_is_on = Mirror::of(&visit.site).is_on();
    let mut places = Vec::new();
    for calendar in store.all_calendars().await? {
        let row = rows.iter().find(|row| row.calendar_id == calendar.id);
        if calendar.removed_at.is_none() || row.is_some() {
            let placement = in_calendar(meeting, &calendar, row, mirror_is_on, times);
            let kind = if calendar.removed_at.is_none() { CALENDAR } else { REMOVED };
            let decide = placement.to_approve.then(|| format!("/calendars#calendar-{}", calendar.id));
            places.push(Place { kind, name: calendar.wish.name, placement, decide });
        }
    }
    let facts = store.rendition_facts().await?;
    let uid = text::uid(&visit.site.installation_id, &meeting.id);
    for feed in store.feeds().await?.into_iter().filter(|feed| feed.revoked_at.is_none()) {
        let mut placement = in_feed(meeting, &feed, times);
        let is_cut = facts.iter().any(|facts| facts.feed_id == feed.id && facts.left_out.meetings > 0);
        if is_cut && placement.state.tone == Tone::Good {
            // Only the text tells which meetings fit now; the last one may be from before this meeting.
            match render(store, &visit.site.installation_id, &feed, times.now()).await {
                Ok(made) if !String::from_utf8_lossy(&made.body).contains(&uid) => placement = no_room(),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, feed_id = feed.id, "a feed could not be looked into"),
            }
        }
        places.push(Place { kind: FEED, name: feed.wish.name, placement, decide: None });
    }
    Ok(places)
}

/// The answer in a sentence or two.
fn answer(meeting: &Meeting, places: &[Place], waiting: usize) -> String {
    let takes_place = match meeting.status() {
        Status::Confirmed => "It takes place.",
        Status::Canceled => "It is canceled: calendars and feeds mark it so or take it out.",
        Status::Replaced { .. } => "Another booking took it over: calendars and feeds mark it canceled or take it out.",
    };
    let number = |tone: Tone| places.iter().filter(|place| place.placement.state.tone == tone).count();
    let mut text = takes_place.to_owned();
    let kinds: Vec<String> = [(CALENDAR, "calendar", "calendars"), (FEED, "feed", "feeds")]
        .into_iter()
        .filter_map(|(kind, one, many)| {
            let placements = || places.iter().filter(|place| place.kind == kind).map(|place| &place.placement);
            let all = i64::try_from(placements().count()).ok().filter(|all| *all > 0)?;
            let there = placements().filter(|placement| placement.state.tone == Tone::Good || placement.to_approve);
            Some(format!("{} of {}", there.count(), count(all, one, many)))
        })
        .collect();
    if meeting.is_confirmed() && !kinds.is_empty() {
        let _ = write!(text, " It is in {}.", kinds.join(" and "));
    }
    for (tone, one, many) in
        [(Tone::Bad, "needs a look", "need a look"), (Tone::Waiting, "is on its way", "are on their way")]
    {
        let number = i64::try_from(number(tone)).unwrap_or(i64::MAX);
        if number > 0 {
            let _ = write!(text, " {} {}.", count(number, "place", "places"), verb(number, one, many));
        }
    }
    if waiting > 0 {
        let number = i64::try_from(waiting).unwrap_or(i64::MAX);
        let _ = write!(text, " {} about it still to be worked on.", count(number, "delivery is", "deliveries are"));
    }
    text
}

fn fields(meeting: &Meeting, times: &Times) -> Vec<Field> {
    let details = &meeting.details;
    let owner = match (details.owner.display_name(), &details.owner.username) {
        (Some(name), Some(username)) if name != *username => Some(format!("{name} <{username}>")),
        (name, _) => name,
    };
    let invitee = match (&details.invitee.name, &details.invitee.email) {
        (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
        (name, email) => name.clone().or_else(|| email.clone()),
    };
    let schedule = match (&details.organization_path, &details.calendar_path) {
        (Some(organization), Some(calendar)) => Some(format!("{organization}/{calendar}")),
        (organization, calendar) => calendar.clone().or_else(|| organization.clone()),
    };
    let also = (!details.further_invitees.is_empty()).then(|| details.further_invitees.join(", "));
    let changed = format!("revision {}, {}", meeting.revision, times.at(meeting.last_modified_at).text());
    [
        ("Owner", owner),
        ("Invitee", invitee),
        ("Also invited", also),
        ("Place", details.location.clone()),
        ("Zoom meeting", details.zoom_meeting_id.clone()),
        ("Schedule", schedule),
        ("Booking page", details.booking_url.clone()),
        ("Last changed", Some(changed)),
        ("First seen", Some(times.at(meeting.first_seen_at).text().to_owned())),
        ("Meeting id", Some(meeting.id.as_str().to_owned())),
        ("Id in the owner's calendar", details.email_meeting_id.clone()),
        ("Organization", Some(details.organization_id.as_str().to_owned())),
    ]
    .into_iter()
    .filter_map(|(label, text)| {
        let text = text?;
        Some(Field { label, href: is_web_address(&text).then(|| text.clone()), text })
    })
    .collect()
}

fn step(entry: HistoryEntry, id: &MeetingId, times: &Times) -> Step {
    let title = entry.title.map_or_else(String::new, |title| format!("“{title}”, "));
    let span = times.span(entry.starts_at, entry.ends_at);
    Step {
        word: match entry.effect.as_str() {
            "created" => "Seen for the first time",
            "changed" => "Changed",
            "canceled" => "Canceled",
            "replaced" => "Taken over by another booking",
            "unchanged" => "Said nothing new",
            "superseded" => "Came late: a newer event was here before, so it changed nothing",
            _ => "Recorded",
        },
        said: format!("{}: {title}{}", entry.key.kind.as_str(), span.text()),
        told: times.exactly(entry.key.happened_at),
        applied: times.exactly(entry.applied_at),
        revision: entry.revision,
        href: format!("/inbox/{}", entry.inbox_id),
        number: entry.inbox_id,
        origin: (entry.origin != *id).then(|| meeting_href(entry.origin.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, meeting_event};
    use crate::meeting::event::Kind;
    use crate::meeting::selection::Selection;
    use crate::store::{DeliveryStatus, Identity, ProblemKind};
    use axum::http::StatusCode;
    use chrono::TimeDelta;

    fn only(owner: &str) -> Selection {
        Selection { owners: vec![owner.into()], ..Selection::default() }
    }

    #[tokio::test]
    async fn a_meeting_that_never_came_says_what_may_have_happened() {
        let stage = Stage::new().await;
        stage.quarantined("sha256:1", "data.id: found nothing, expected an id", b"{}").await;
        let identity = Identity { event_id: "e-9".into(), meeting_id: Some("m-9".into()), ..Identity::default() };
        stage.store_delivery(&stage.delivery(identity, DeliveryStatus::Pending)).await;
        let mut admin = stage.admin().await;
        let answer = admin.get("/meetings/nothing%2F%3Cb%3E").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        answer.assert_shows(&[
            "There is no meeting",
            "1 delivery could not be understood",
            "/inbox?status=quarantined",
        ]);
        answer.assert_hides(&["<b>"]);
        let answer = admin.get("/meetings/m-9").await;
        answer.assert_shows(&["href=\"/inbox/2\"", "pending"]);
        assert_eq!(admin.get("/meetings/%FF").await.status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn the_page_answers_where_it_is_and_why_not_elsewhere() {
        let mut stage = Stage::new().await;
        stage.google();
        stage.calendar("Team", Selection::default()).await;
        stage.calendar("Other", only("someone@example.com")).await;
        stage.feed("Everything").await;
        stage.feed_of("Nobody's", crate::meeting::selection::Detail::Busy, only("nobody@example.com")).await;
        stage.meeting("m-1", 24).await;
        stage.mirror(&[]).await;
        let answer = stage.admin().await.get("/meetings/m-1").await;
        answer.assert_shows(&[
            "Demo m-1",
            "It takes place. It is in 1 of 2 calendars and 1 of 2 feeds.",
            "Priya Raghunathan <priya@example.com>".replace('<', "&#60;").replace('>', "&#62;").as_str(),
            "href=\"https://zoom.example.com/j/1\"",
            "In step since Fri 20 Nov 2026, 13:00 CET, with revision 0.",
            "Not wanted here, because its owner is not selected.",
            "Programs show it when they next fetch the feed.",
            "Google Calendar every 4 to 24 hours",
            "Seen for the first time",
            "href=\"/inbox/1\"",
        ]);
    }

    #[tokio::test]
    async fn changes_failures_and_late_events_are_told() {
        let mut stage = Stage::new().await;
        stage.google();
        stage.calendar("Team", Selection::default()).await;
        stage.meeting("m-1", 24).await;
        stage.clock.advance(TimeDelta::minutes(10));
        stage.event(&meeting_event("m-1", Kind::Canceled, stage.now(), 24)).await;
        stage.event(&meeting_event("m-1", Kind::Rescheduled, stage.now() - TimeDelta::minutes(5), 24)).await;
        stage.mirror(&[("m-1", "Google asked to slow down", ProblemKind::Retry)]).await;
        let answer = stage.admin().await.get("/meetings/m-1").await;
        answer.assert_shows(&[
            "It is canceled: calendars and feeds mark it so or take it out. 1 place is on its way.",
            "Failed 1×",
            "Google asked to slow down.",
            "Came late: a newer event was here before",
            "No feed is set up.",
        ]);
        let at = |text: &str| answer.body.find(text).unwrap();
        assert!(at("Came late") < at("Seen for the first time"), "newest first");
    }

    #[tokio::test]
    async fn hostile_texts_stay_texts() {
        let stage = Stage::new().await;
        let id = "<img src=x>\"'";
        let mut event = meeting_event(id, Kind::Scheduled, stage.now(), 24);
        event.details.title = Some("<script>alert(1)</script>".into());
        event.details.location = Some("javascript:alert(1)".into());
        event.details.booking_url = Some("https://ok.example/\"onmouseover=alert(1)".into());
        stage.event(&event).await;
        let answer = stage.admin().await.get(&super::meeting_href(id)).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.assert_shows(&["javascript:alert(1)", "&#60;script&#62;"]);
        answer.assert_hides(&["<script>alert", "<img src", "href=\"javascript", "\"onmouseover", "style=\""]);
    }
}
