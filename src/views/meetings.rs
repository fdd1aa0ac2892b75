//! The list of meetings: what is still to come first, then what is past. One field searches all their texts.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::error::PageError;
use super::frame::{Frame, Params, Section, Visit};
use super::meeting;
use super::time_text::Moment;
use super::words::{State, Tone, encode, meeting_href};
use crate::meeting::entry::full_title;
use crate::meeting::state::{Meeting, Status};
use crate::store::{DeliveryStatus, MeetingList};
use crate::web::site::Site;

/// Meetings on one page.
const PAGE: u32 = 50;
/// The furthest page; nobody turns this many.
const LAST_PAGE: u32 = 10_000;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/meetings", get(show))
}

#[derive(Debug, Default, Deserialize)]
struct Query {
    q: Option<String>,
    status: Option<String>,
    page: Option<String>,
    /// For ids that no path can carry.
    id: Option<String>,
}

#[derive(Template)]
#[template(path = "meetings.html")]
struct MeetingsPage {
    frame: Frame,
    q: String,
    status: String,
    filters: Vec<Filter>,
    upcoming: Vec<Row>,
    past: Vec<Row>,
    newer: Option<String>,
    older: Option<String>,
    page: u32,
    unread: Vec<(String, &'static str)>,
}

/// A choice of status.
struct Filter {
    label: &'static str,
    href: String,
    current: bool,
}

struct Row {
    href: String,
    title: String,
    when: Moment,
    owner: String,
    invitee: String,
    state: State,
    confirmed: bool,
}

/// A meeting's status as a state.
pub(super) fn status_state(meeting: &Meeting) -> State {
    let tone = match meeting.status() {
        Status::Confirmed => Tone::Good,
        Status::Canceled | Status::Replaced { .. } => Tone::Quiet,
    };
    State::new(tone, meeting.status().as_str())
}

fn href(q: &str, status: &str, page: u32) -> String {
    let mut parts = Vec::new();
    for (name, value) in [("q", q), ("status", status)] {
        if !value.is_empty() {
            parts.push(format!("{name}={}", encode(value)));
        }
    }
    if page > 1 {
        parts.push(format!("page={page}"));
    }
    if parts.is_empty() { "/meetings".to_owned() } else { format!("/meetings?{}", parts.join("&")) }
}

async fn show(visit: Visit, Params(query): Params<Query>) -> Result<Response, PageError> {
    if let Some(id) = query.id {
        return meeting::page(visit, &id).await;
    }
    let (store, times) = (&visit.site.store, visit.times);
    let q = query.q.as_deref().unwrap_or_default().trim().to_owned();
    let status = query.status.unwrap_or_default();
    let page = query.page.and_then(|page| page.parse().ok()).unwrap_or(1).clamp(1, LAST_PAGE);
    let list = MeetingList {
        text: Some(q.as_str()).filter(|text| !text.is_empty()),
        status: Some(status.as_str()).filter(|word| !word.is_empty()),
        now: times.now(),
        skip: (page - 1) * PAGE,
        most: PAGE + 1,
    };
    let mut found = store.meeting_list(list).await?;
    let more = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let unread = if found.is_empty() { unread(&visit).await? } else { Vec::new() };
    let (upcoming, past): (Vec<Meeting>, Vec<Meeting>) =
        found.into_iter().partition(|meeting| meeting.details.ends_at >= times.now());
    let rows = |meetings: Vec<Meeting>| meetings.iter().map(|meeting| row(meeting, &visit)).collect();
    let filters = [("all", ""), ("confirmed", "confirmed"), ("canceled", "canceled"), ("replaced", "replaced")];
    let view = MeetingsPage {
        frame: visit.frame(Section::Meetings),
        filters: filters
            .into_iter()
            .map(|(label, word)| Filter { label, href: href(&q, word, 1), current: status == word })
            .collect(),
        upcoming: rows(upcoming),
        past: rows(past),
        newer: (page > 1).then(|| href(&q, &status, page - 1)),
        older: more.then(|| href(&q, &status, page + 1)),
        page,
        unread,
        q,
        status,
    };
    Ok(visit.show(view))
}

/// Deliveries that may speak of a meeting that is not found: each as a link's text and address.
async fn unread(visit: &Visit) -> Result<Vec<(String, &'static str)>, PageError> {
    let counts = visit.site.store.inbox_counts().await?;
    let kinds = [
        (DeliveryStatus::Pending, "waiting to be worked on", "/inbox?status=pending"),
        (DeliveryStatus::Quarantined, "not understood", "/inbox?status=quarantined"),
    ];
    let found = kinds.into_iter().filter(|(status, ..)| counts.of(*status) > 0).map(|(status, words, href)| {
        (format!("{} {words}", super::words::count(counts.of(status), "delivery", "deliveries")), href)
    });
    Ok(found.collect())
}

fn row(meeting: &Meeting, visit: &Visit) -> Row {
    let details = &meeting.details;
    Row {
        href: meeting_href(meeting.id.as_str()),
        title: full_title(meeting),
        when: visit.times.span(details.starts_at, details.ends_at),
        owner: details.owner.display_name().unwrap_or_default(),
        invitee: details.invitee.display_name().unwrap_or_default().to_owned(),
        state: status_state(meeting),
        confirmed: meeting.is_confirmed(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, meeting_event};
    use crate::meeting::event::Kind;
    use chrono::TimeDelta;

    #[tokio::test]
    async fn an_empty_list_says_where_meetings_come_from() {
        let stage = Stage::new().await;
        let answer = stage.admin().await.get("/meetings").await;
        answer.assert_shows(&["No meeting yet.", "href=\"/status\""]);
    }

    #[tokio::test]
    async fn upcoming_meetings_stand_before_past_ones() {
        let stage = Stage::new().await;
        stage.meeting("past", 1).await;
        stage.clock.advance(TimeDelta::days(2));
        stage.meeting("next", 30).await;
        stage.event(&meeting_event("off", Kind::Canceled, stage.now(), 20)).await;
        let mut admin = stage.admin().await;
        let answer = admin.get("/meetings").await;
        answer.assert_shows(&["Upcoming", "Past", "Eleanor Whitcombe", "Priya Raghunathan", "canceled"]);
        let at = |text: &str| answer.body.find(text).unwrap();
        assert!(at("Demo off") < at("Demo next") && at("Demo next") < at("Demo past"));
        let answer = admin.get("/meetings?status=canceled").await;
        answer.assert_shows(&["Demo off"]);
        answer.assert_hides(&["Demo next"]);
    }

    #[tokio::test]
    async fn a_search_that_finds_nothing_says_where_else_to_look() {
        let stage = Stage::new().await;
        stage.meeting("m-1", 24).await;
        stage.quarantined("sha256:1", "data.id: found nothing, expected an id", b"{}").await;
        let mut admin = stage.admin().await;
        admin.get("/meetings?q=larkfield").await.assert_shows(&["Demo m-1", "value=\"larkfield\""]);
        let answer = admin.get("/meetings?q=%22%3E%3Cscript%3E").await;
        answer.assert_shows(&["No meeting holds", "1 delivery not understood", "href=\"/inbox?status=quarantined\""]);
        answer.assert_hides(&["<script>\"", "\"><script>"]);
    }

    #[tokio::test]
    async fn a_long_list_is_turned_page_by_page() {
        let stage = Stage::new().await;
        for number in 0..51 {
            stage.meeting(&format!("m-{number}"), number + 1).await;
        }
        let mut admin = stage.admin().await;
        let first = admin.get("/meetings?q=demo").await;
        first.assert_shows(&["href=\"/meetings?q=demo&#38;page=2\"", "Demo m-49"]);
        first.assert_hides(&["Demo m-50"]);
        let second = admin.get("/meetings?q=demo&page=2").await;
        second.assert_shows(&["Demo m-50", "href=\"/meetings?q=demo\""]);
        admin.get("/meetings?page=99999999").await.assert_shows(&["No meeting on this page."]);
        admin.get("/meetings?page=x&page=y").await.assert_shows(&["Demo m-0"]);
    }

    #[tokio::test]
    async fn an_id_that_no_path_can_carry_has_a_page_too() {
        let stage = Stage::new().await;
        stage.meeting("..", 24).await;
        let mut admin = stage.admin().await;
        admin.get("/meetings").await.assert_shows(&["href=\"/meetings?id=%2E%2E\""]);
        admin.get("/meetings?id=%2E%2E").await.assert_shows(&["<h1", "Demo .."]);
    }
}
