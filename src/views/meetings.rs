//! The list of meetings, searched, filtered and turned page by page; or a week of them.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::error::PageError;
use super::feed::FeedCache;
use super::frame::{Frame, Params, Section, Visit};
use super::meeting;
use super::meeting_choice::{Choice, MeetingChoice};
use super::tabs::Tab;
use super::time_text::Moment;
use super::week::Week;
use super::words::{State as StateWord, Tone, count, meeting_href};
use crate::meeting::entry::full_title;
use crate::meeting::state::{Meeting, Status};
use crate::store::{DeliveryStatus, MeetingOrder, MeetingOwner};
use crate::web::site::Site;

/// Meetings on one page.
const PAGE: usize = 50;

pub(super) fn router(cache: FeedCache) -> Router<Site> {
    Router::new().route("/meetings", get(show)).with_state(cache)
}

#[derive(Template)]
#[template(path = "meetings.html")]
struct MeetingsPage {
    frame: Frame,
    choice: MeetingChoice,
    tabs: Vec<Tab>,
    owners: Vec<MeetingOwner>,
    calendars: Vec<Choice>,
    parts: Vec<Part>,
    week: Option<Week>,
    first: Option<String>,
    next: Option<String>,
    /// How many are listed, where no tab tells that.
    found: Option<String>,
    unread: Vec<(String, &'static str)>,
}

/// Meetings under one heading.
struct Part {
    id: &'static str,
    heading: &'static str,
    rows: Vec<Row>,
}

struct Row {
    href: String,
    title: String,
    when: Moment,
    owner: String,
    invitee: String,
    state: StateWord,
    confirmed: bool,
}

/// A meeting's status as a state.
pub(super) fn status_state(meeting: &Meeting) -> StateWord {
    let tone = match meeting.status() {
        Status::Confirmed => Tone::Good,
        Status::Canceled | Status::Replaced { .. } => Tone::Quiet,
    };
    StateWord::new(tone, meeting.status().as_str())
}

async fn show(
    State(cache): State<FeedCache>,
    visit: Visit,
    Params(choice): Params<MeetingChoice>,
) -> Result<Response, PageError> {
    if let Some(id) = &choice.id {
        return meeting::page(visit, &cache, id).await;
    }
    let (store, times) = (&visit.site.store, visit.times);
    let after = choice.after();
    let mut page = MeetingsPage {
        frame: visit.frame(Section::Meetings),
        tabs: tabs(&choice, store.meeting_counts().await?),
        owners: store.meeting_owners().await?,
        calendars: choice.calendars(&store.all_calendars().await?),
        parts: Vec::new(),
        week: None,
        first: after.is_some().then(|| choice.href(&[])),
        next: None,
        found: None,
        unread: Vec::new(),
        choice,
    };
    let filter = page.choice.filter(&times);
    if page.choice.is_week() {
        page.week = Some(Week::read(store, &page.choice, &filter, &times).await?);
        return Ok(visit.show(page));
    }
    let order = page.choice.order();
    let found = store.meeting_page(&filter, order, times.now(), after.as_ref(), PAGE).await?;
    if found.meetings.is_empty() {
        page.unread = unread(&visit).await?;
    }
    if !page.choice.is_all_of_a_status() && !found.meetings.is_empty() {
        page.found = match page.choice.only_in_calendar() {
            Some((calendar, standing)) => Some(store.standing_count(calendar, standing).await?),
            None if after.is_none() && found.next.is_none() => i64::try_from(found.meetings.len()).ok(),
            None => None,
        }
        .map(|number| count(number, "meeting", "meetings"));
    }
    page.next = found.next.map(|next| page.choice.href(&[("after", &next.to_string())]));
    page.parts = parts(found.meetings, order, &visit);
    Ok(visit.show(page))
}

fn tabs(choice: &MeetingChoice, [confirmed, canceled, replaced]: [i64; 3]) -> Vec<Tab> {
    let all = confirmed + canceled + replaced;
    [
        ("all", "", all),
        ("confirmed", "confirmed", confirmed),
        ("canceled", "canceled", canceled),
        ("replaced", "replaced", replaced),
    ]
    .into_iter()
    .map(|(label, word, number)| Tab {
        label,
        href: choice.href(&[("status", word)]),
        number: choice.is_all_of_a_status().then_some(number),
        current: choice.status == word,
    })
    .collect()
}

fn parts(meetings: Vec<Meeting>, order: MeetingOrder, visit: &Visit) -> Vec<Part> {
    let rows = |meetings: Vec<Meeting>| meetings.iter().map(|meeting| row(meeting, visit)).collect();
    let parts = if order == MeetingOrder::NextFirst {
        let (ahead, past): (Vec<Meeting>, Vec<Meeting>) =
            meetings.into_iter().partition(|meeting| meeting.details.ends_at > visit.times.now());
        vec![
            Part { id: "upcoming", heading: "Upcoming", rows: rows(ahead) },
            Part { id: "past", heading: "Past", rows: rows(past) },
        ]
    } else {
        vec![Part { id: "found", heading: "Meetings", rows: rows(meetings) }]
    };
    parts.into_iter().filter(|part| !part.rows.is_empty()).collect()
}

/// Deliveries that may speak of a meeting that is not found: each as a link's text and address.
async fn unread(visit: &Visit) -> Result<Vec<(String, &'static str)>, PageError> {
    let counts = visit.site.store.inbox_counts().await?;
    let kinds = [
        (DeliveryStatus::Pending, "waiting to be worked on", "/inbox?status=pending"),
        (DeliveryStatus::Quarantined, "not understood", "/inbox?status=quarantined"),
    ];
    let found = kinds
        .into_iter()
        .filter(|(status, ..)| counts.of(*status) > 0)
        .map(|(status, words, href)| (format!("{} {words}", count(counts.of(status), "delivery", "deliveries")), href));
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
    use crate::meeting::selection::Selection;
    use crate::store::ProblemKind;
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
        answer.assert_shows(&["Upcoming", "Past", "Eleanor Whitcombe", "Priya Raghunathan", "canceled", "all 3"]);
        let at = |text: &str| answer.body.find(text).unwrap();
        assert!(at("Demo off") < at("Demo next") && at("Demo next") < at("Demo past"));
        let answer = admin.get("/meetings?status=canceled").await;
        answer.assert_shows(&["Demo off"]);
        answer.assert_hides(&["Demo next"]);
        let answer = admin.get("/meetings?sort=latest").await;
        let at = |text: &str| answer.body.find(text).unwrap();
        assert!(at("Demo next") < at("Demo off") && at("Demo off") < at("Demo past"));
    }

    #[tokio::test]
    async fn a_list_is_narrowed_by_owner_day_and_calendar() {
        let mut stage = Stage::new().await;
        stage.google();
        let calendar = stage.calendar("Team", Selection::default()).await;
        let mut other = meeting_event("m-2", Kind::Scheduled, stage.now(), 48);
        other.details.owner.username = Some("Jon@Example.com".into());
        stage.meeting("m-1", 24).await;
        stage.event(&other).await;
        stage.mirror(&[("m-2", "Google says no", ProblemKind::Rejected)]).await;
        let mut admin = stage.admin().await;
        let refused = format!("calendar={}&standing=refused", calendar.id);
        for (query, shows, hides) in [
            ("owner=jon%40example.com", "Demo m-2", "Demo m-1"),
            ("from=2026-11-22", "Demo m-2", "Demo m-1"),
            ("from=2026-11-21&until=2026-11-21", "Demo m-1", "Demo m-2"),
            (refused.as_str(), "Demo m-2", "Demo m-1"),
            (&refused.replace("refused", "in+step"), "Demo m-1", "Demo m-2"),
        ] {
            let answer = admin.get(&format!("/meetings?{query}")).await;
            answer.assert_shows(&[shows, "<p class=\"quiet\">1 meeting</p>"]);
            // How many of each status there are says nothing of this list.
            answer.assert_hides(&[hides, "class=\"number\""]);
        }
        let answer = admin.get(&format!("/meetings?{refused}&from=2026-11-22&sort=latest")).await;
        answer.assert_shows(&[
            &format!("value=\"{}\" selected>Team", calendar.id),
            "value=\"refused\" selected",
            "value=\"2026-11-22\"",
            "value=\"latest\" selected",
            "<details open>",
        ]);
        let all = format!("/meetings?calendar={}", calendar.id);
        admin.get(&all).await.assert_shows(&["Demo m-1", "Demo m-2"]);
        for nonsense in
            ["from=tomorrow&calendar=x", "until=%2B262142-12-31&calendar=99999999999999999999", "from=-9999-01-01"]
        {
            admin.get(&format!("/meetings?{nonsense}")).await.assert_shows(&["Demo m-1", "Demo m-2"]);
        }
        let lacking = admin.get("/meetings?standing=failing&view=week").await;
        lacking.assert_shows(&["Choose the calendar, too", "<details open>", "value=\"failing\" selected"]);
        for fine in ["standing=", "standing=nonsense", refused.as_str()] {
            admin.get(&format!("/meetings?{fine}")).await.assert_hides(&["Choose the calendar"]);
        }
        admin.get("/meetings?owner=nobody%40example.com").await.assert_shows(&["No meeting is like that."]);
    }

    #[tokio::test]
    async fn a_search_that_finds_nothing_says_where_else_to_look() {
        let stage = Stage::new().await;
        stage.meeting("m-1", 24).await;
        stage.quarantined("sha256:1", "data.id: found nothing, expected an id", b"{}").await;
        let mut admin = stage.admin().await;
        admin.get("/meetings?q=larkfield").await.assert_shows(&["Demo m-1", "value=\"larkfield\""]);
        let answer = admin.get("/meetings?q=%22%3E%3Cscript%3E").await;
        answer.assert_shows(&[
            "No meeting is like that.",
            "1 delivery not understood",
            "href=\"/inbox?status=quarantined\"",
        ]);
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
        first.assert_shows(&["Demo m-49"]);
        first.assert_hides(&["Demo m-50", "First page"]);
        let next = first.href("Next page →");
        assert!(next.starts_with("/meetings?q=demo&after="), "{next}");
        let second = admin.get(&next).await;
        second.assert_shows(&["Demo m-50", "href=\"/meetings?q=demo\"", "First page"]);
        second.assert_hides(&["Demo m-49", "Next page"]);
        admin.get("/meetings?after=9~9~9").await.assert_shows(&["No further meeting."]);
        admin.get("/meetings?after=x").await.assert_shows(&["Demo m-0"]);
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
