//! One meeting: what everyone sees now, where it is and why it is not elsewhere, and how it came to be so. This page alone
//! answers "why isn't my meeting there?". From here it can be mirrored again.

use askama::Template;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;

use super::error::PageError;
use super::feed::FeedCache;
use super::frame::{Frame, Section, Visit};
use super::inbox::DeliveryRow;
use super::meeting_places::Places;
use super::meeting_timeline::{Step, timeline};
use super::meetings::status_state;
use super::time_text::{Moment, Times};
use super::words::{State as StateWord, count, href, meeting_href};
use crate::meeting::entry::{full_title, is_web_address};
use crate::meeting::event::{Answer, MeetingId};
use crate::meeting::state::Meeting;
use crate::store::{DeliveryFilter, DeliveryStatus};
use crate::web::site::Site;

/// Deliveries that are looked at; the history holds every event anyway.
const DELIVERIES: u32 = 100;

pub(super) fn router(cache: FeedCache) -> Router<Site> {
    Router::new()
        .route("/meetings/{id}", get(show))
        // Who was sent to sign in from the button comes back by a link.
        .route("/meetings/mirror-again", post(mirror_again).get(Redirect::to("/meetings")))
        .layer(DefaultBodyLimit::max(16 * 1024))
        .with_state(cache)
}

#[derive(Template)]
#[template(path = "meeting.html")]
struct MeetingPage {
    frame: Frame,
    id: String,
    title: String,
    state: StateWord,
    confirmed: bool,
    replaced_by: Option<String>,
    when: Moment,
    answer: String,
    fields: Vec<Field>,
    answers: Vec<Answer>,
    places: Places,
    timeline: Vec<Step>,
    /// The question whether its deliveries are worked on again, with their number.
    replay: Option<(String, String)>,
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

#[derive(Deserialize)]
struct MirrorAgain {
    token: String,
    id: String,
}

async fn show(
    State(cache): State<FeedCache>,
    visit: Visit,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, PageError> {
    let Path(id) = id.map_err(|_| PageError::NoPage)?;
    page(visit, &cache, &id).await
}

/// The page of that id, also when there is no such meeting.
pub(super) async fn page(visit: Visit, cache: &FeedCache, id: &str) -> Result<Response, PageError> {
    let (store, times) = (&visit.site.store, visit.times);
    let filter = DeliveryFilter { about: Some(id.to_owned()), ..DeliveryFilter::default() };
    let deliveries = store.deliveries(&filter, DELIVERIES).await?;
    let Some(meeting) = store.meeting(id).await? else {
        let quarantined = store.inbox_counts().await?.of(DeliveryStatus::Quarantined);
        let deliveries = deliveries.into_iter().map(|delivery| DeliveryRow::new(delivery, &times)).collect();
        let page = MissingPage { frame: visit.frame(Section::Meetings), id: id.to_owned(), deliveries, quarantined };
        let mut response = visit.show(page);
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    let number = store.delivery_count(&filter).await?;
    let pending = DeliveryFilter { status: Some(DeliveryStatus::Pending), ..filter };
    let waiting = store.delivery_count(&pending).await?;
    let places = Places::of(&visit, cache, &meeting).await?;
    let replaced_by = match &meeting.replaced_by {
        // It may have been forgotten since.
        Some(by) => store.meeting(by.as_str()).await?.map(|by| meeting_href(by.id.as_str())),
        None => None,
    };
    let replay =
        (number > 0).then(|| (href("/inbox/replay", &[("about", id)]), count(number, "delivery", "deliveries")));
    let page = MeetingPage {
        frame: visit.frame(Section::Meetings),
        id: id.to_owned(),
        title: full_title(&meeting),
        state: status_state(&meeting),
        confirmed: meeting.is_confirmed(),
        replaced_by,
        when: times.span(meeting.details.starts_at, meeting.details.ends_at),
        answer: places.answer(&meeting, waiting),
        fields: fields(&meeting, &times),
        answers: meeting.details.answers.clone(),
        timeline: timeline(store, &meeting.id, deliveries, &times).await?,
        places,
        replay,
    };
    Ok(visit.show(page))
}

async fn mirror_again(visit: Visit, form: Result<Form<MirrorAgain>, FormRejection>) -> Result<Redirect, PageError> {
    let Form(form) = form.map_err(PageError::from)?;
    visit.check(&form.token)?;
    let (store, now, id) = (&visit.site.store, visit.times.now(), MeetingId::new(form.id));
    let mut tx = store.write().await?;
    let meeting = tx.meeting(&id).await?.ok_or(PageError::NoPage)?;
    // A calendar that was added a moment ago may have no row of it yet.
    let calendars = tx.selecting_calendars().await?;
    tx.want_in_calendars(&meeting, &calendars, now).await?;
    let number = tx.mirror_again(&id, now).await?;
    let summary =
        format!("Meeting {id} is mirrored again into {}", count(number.cast_signed(), "calendar", "calendars"));
    tx.append_admin_action("admin page", "mirror", summary, now).await?;
    tx.commit().await?;
    Ok(Redirect::to(&meeting_href(id.as_str())))
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
    async fn all_its_deliveries_are_counted_also_those_that_are_not_told() {
        let stage = Stage::new().await;
        stage.meeting("m-1", 24).await;
        for number in 0..120 {
            let event_id = format!("late-{number}");
            let identity = Identity { event_id, meeting_id: Some("m-1".into()), ..Identity::default() };
            stage.store_delivery(&stage.delivery(identity, DeliveryStatus::Pending)).await;
        }
        let answer = stage.admin().await.get("/meetings/m-1").await;
        answer
            .assert_shows(&["Work on its 121 deliveries again…", "120 deliveries are about it still to be worked on."]);
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
            "Google Calendar “Team”: failed",
        ]);
        let at = |text: &str| answer.body.find(text).unwrap();
        assert!(at("Came late") < at("Seen for the first time"), "newest first");
    }

    #[tokio::test]
    async fn each_attempt_to_mirror_it_is_told_and_it_is_mirrored_again_on_demand() {
        let mut stage = Stage::new().await;
        stage.google();
        let calendar = stage.calendar("Team", Selection::default()).await;
        stage.meeting("m-1", 24).await;
        stage.mirror(&[("m-1", "Google is not well", ProblemKind::Retry)]).await;
        stage.clock.advance(TimeDelta::minutes(3));
        stage.mirror(&[]).await;
        let mut admin = stage.admin().await;
        let answer = admin.get("/meetings/m-1").await;
        answer.assert_shows(&[
            "Google Calendar “Team”: failed, and is tried again",
            "Google is not well.",
            "Google Calendar “Team”: it is there, as of revision 0",
            "Work on its 1 delivery again…",
        ]);
        let at = |text: &str| answer.body.find(text).unwrap();
        assert!(at("it is there, as of") < at("failed, and is") && at("failed, and is") < at("Seen for the first"));
        let token = answer.form_token();
        let refused = admin.post("/meetings/mirror-again", &[("token", "AAAA"), ("id", "m-1")]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let done = admin.post("/meetings/mirror-again", &[("token", &token), ("id", "m-1")]).await;
        assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/meetings/m-1"));
        let row = stage.site.store.mirror_rows("m-1").await.unwrap().remove(0);
        assert_eq!((row.calendar_id, row.due_at), (calendar.id, Some(stage.now())));
        let entries = stage.site.store.audit_newest(1).await.unwrap();
        assert_eq!(entries[0].entry.summary, "Meeting m-1 is mirrored again into 1 calendar");
        let lost = admin.post("/meetings/mirror-again", &[("token", &token), ("id", "m-9")]).await;
        assert_eq!(lost.status, StatusCode::NOT_FOUND);
        assert_eq!(admin.get("/meetings/mirror-again").await.header("location"), "/meetings");
    }

    #[tokio::test]
    async fn feeds_that_do_not_show_it_are_told_apart_when_there_are_many() {
        let stage = Stage::new().await;
        stage.meeting("m-1", 24).await;
        stage.feed("Everything").await;
        for number in 2..14 {
            let name = format!("Personal {}", "x".repeat(number));
            stage.feed_of(&name, crate::meeting::selection::Detail::Full, only("nobody@example.com")).await;
        }
        let answer = stage.admin().await.get("/meetings/m-1").await;
        answer.assert_shows(&["It is in 1 of 13 feeds.", "Not in 12 other feeds"]);
        let at = |text: &str| answer.body.find(text).unwrap();
        assert!(at("Everything") < at("Not in 12 other") && at("Not in 12 other") < at("Personal x"));
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
