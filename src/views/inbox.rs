//! The inbox: deliveries as received, newest first, filtered and turned page by page.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;

use super::delivery_choice::DeliveryChoice;
use super::error::PageError;
use super::frame::{Frame, Params, Section, Visit};
use super::tabs::Tab;
use super::time_text::{Moment, Times};
use super::words::{State, Tone, count, count_of, meeting_href};
use crate::store::{Delivery, DeliveryStatus};
use crate::web::site::Site;

/// Deliveries on one page.
const PAGE: u32 = 50;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/inbox", get(show))
}

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage {
    frame: Frame,
    choice: DeliveryChoice,
    tabs: Vec<Tab>,
    types: Vec<String>,
    /// How many are listed, where no tab tells that.
    found: Option<String>,
    rows: Vec<DeliveryRow>,
    replay: String,
    /// Where those in quarantine are set aside.
    set_aside: Option<String>,
    first: Option<String>,
    next: Option<String>,
    empty: &'static str,
}

/// A delivery in a list; meeting pages list theirs, too.
pub(super) struct DeliveryRow {
    /// Row in the inbox.
    pub(super) id: i64,
    /// What it told of.
    pub(super) event_type: String,
    /// Where it stands.
    pub(super) state: State,
    /// First arrival.
    pub(super) arrived: Moment,
    /// Repeated arrivals, the sender's attempts and replays.
    pub(super) again: String,
    /// Why it was ignored or quarantined.
    pub(super) reason: String,
    /// The meeting it speaks of, as its page and its id.
    pub(super) meeting: Option<(String, String)>,
}

impl DeliveryRow {
    /// A delivery as seen from now.
    pub(super) fn new(delivery: Delivery, times: &Times) -> Self {
        let attempt = delivery.delivery_attempt.filter(|attempt| *attempt > 1);
        let again = [
            (delivery.deliveries > 1).then(|| format!("arrived {}×", delivery.deliveries)),
            attempt.map(|attempt| format!("attempt {attempt}")),
            (delivery.replays > 0).then(|| format!("tried again {}×", delivery.replays)),
        ];
        Self {
            id: delivery.id,
            event_type: delivery.event_type.unwrap_or_else(|| "type not readable".to_owned()),
            state: delivery_state(delivery.status),
            arrived: times.at(delivery.received_at),
            again: again.into_iter().flatten().collect::<Vec<_>>().join(", "),
            reason: delivery.reason.unwrap_or_default(),
            meeting: delivery.meeting_id.map(|id| (meeting_href(&id), id)),
        }
    }
}

/// A delivery's status as a state.
pub(super) fn delivery_state(status: DeliveryStatus) -> State {
    let tone = match status {
        DeliveryStatus::Applied => Tone::Good,
        DeliveryStatus::Superseded | DeliveryStatus::Ignored => Tone::Quiet,
        DeliveryStatus::Pending => Tone::Waiting,
        DeliveryStatus::Quarantined => Tone::Bad,
    };
    State::new(tone, status.as_str())
}

/// What it means that a list is empty.
fn none_of(choice: &DeliveryChoice) -> &'static str {
    match choice.status() {
        _ if choice.is_narrow() => "No delivery is like that.",
        None => "No delivery has arrived yet.",
        Some(DeliveryStatus::Pending) => "Nothing waits: every delivery has been worked on.",
        Some(DeliveryStatus::Applied) => "No delivery has been applied yet.",
        Some(DeliveryStatus::Superseded) => "No delivery came late: none was older than what was known already.",
        Some(DeliveryStatus::Ignored) => "No delivery was ignored or set aside.",
        Some(DeliveryStatus::Quarantined) => "No delivery is in quarantine.",
    }
}

/// How many deliveries a narrowed list holds, where that is known without counting them.
fn found_words(choice: &DeliveryChoice, found: &[Delivery], more: bool, duplicates: i64) -> Option<String> {
    if found.is_empty() || !choice.is_narrow() {
        return None;
    }
    if choice.is_repeated_only() {
        let duplicates = count(duplicates, "duplicate", "duplicates");
        return Some(format!("{duplicates} in all: arrivals of what had arrived before."));
    }
    (choice.after.is_empty() && !more).then(|| count_of(found, "delivery", "deliveries"))
}

async fn show(visit: Visit, Params(choice): Params<DeliveryChoice>) -> Result<Response, PageError> {
    let (store, times) = (&visit.site.store, visit.times);
    let filter = choice.filter(&times);
    let mut found = store.deliveries(&filter, PAGE + 1).await?;
    let more = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let counts = store.inbox_counts().await?;
    let statuses = DeliveryStatus::ALL.into_iter().map(|status| (status.as_str(), status.as_str(), counts.of(status)));
    let all = ("all", "", counts.all());
    let tabs = [all].into_iter().chain(statuses).map(|(label, word, number)| Tab {
        label,
        href: choice.href("/inbox", &[("status", word)]),
        number: (!choice.is_narrow()).then_some(number),
        current: choice.status().map_or("", DeliveryStatus::as_str) == word,
    });
    let next = found.last().filter(|_| more).map(|last| choice.href("/inbox", &[("after", &last.id.to_string())]));
    let in_quarantine = choice.status() == Some(DeliveryStatus::Quarantined);
    let page = InboxPage {
        frame: visit.frame(Section::Inbox),
        tabs: tabs.collect(),
        found: found_words(&choice, &found, more, counts.duplicates),
        types: store.event_types().await?,
        rows: found.into_iter().map(|delivery| DeliveryRow::new(delivery, &times)).collect(),
        replay: choice.href("/inbox/replay", &[]),
        set_aside: in_quarantine.then(|| choice.href("/inbox/ignore", &[])),
        first: filter.after.map(|_| choice.href("/inbox", &[])),
        next,
        empty: none_of(&choice),
        choice,
    };
    Ok(visit.show(page))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use crate::store::{DeliveryStatus, Identity};
    use chrono::TimeDelta;

    #[tokio::test]
    async fn an_empty_inbox_says_what_that_means() {
        let stage = Stage::new().await;
        let mut admin = stage.admin().await;
        admin.get("/inbox").await.assert_shows(&["No delivery has arrived yet.", "href=\"/status\""]);
        admin.get("/inbox?status=quarantined").await.assert_shows(&["No delivery is in quarantine."]);
        admin.get("/inbox?repeated=1").await.assert_shows(&["No delivery is like that."]);
    }

    #[tokio::test]
    async fn deliveries_are_listed_by_status() {
        let stage = Stage::new().await;
        stage.meeting("m-1", 24).await;
        stage.quarantined("sha256:<b>", "data.id: found \"<b>\", expected an id", b"{}").await;
        let twice =
            stage.delivery(Identity { event_id: "twice".into(), ..Identity::default() }, DeliveryStatus::Ignored);
        stage.store_delivery(&twice).await;
        stage.store_delivery(&twice).await;
        let mut admin = stage.admin().await;
        let answer = admin.get("/inbox").await;
        answer.assert_shows(&[
            "scheduling.smartscheduler.scheduled",
            "arrived 2×",
            "type not readable",
            "/meetings/m-1",
        ]);
        answer.assert_hides(&["<b>"]);
        let answer = admin.get("/inbox?status=quarantined").await;
        answer.assert_shows(&["href=\"/inbox/2\"", "expected an id", "aria-current=\"true\""]);
        answer.assert_hides(&["href=\"/inbox/1\""]);
        let answer = admin.get("/inbox?repeated=1").await;
        answer.assert_shows(&["href=\"/inbox/3\"", "1 duplicate in all: arrivals of what had arrived before."]);
        // How many of each status there are says nothing of this list.
        answer.assert_hides(&["href=\"/inbox/1\"", "class=\"number\""]);
        let answer = admin.get("/inbox?about=m-1").await;
        answer.assert_shows(&["<p class=\"quiet\">1 delivery</p>"]);
        answer.assert_hides(&["class=\"number\""]);
    }

    #[tokio::test]
    async fn a_long_inbox_is_turned_page_by_page() {
        let stage = Stage::new().await;
        for number in 0..52 {
            stage.quarantined(&format!("sha256:{number}"), "body: found no bytes", b"").await;
        }
        let mut admin = stage.admin().await;
        let answer = admin.get("/inbox?status=quarantined").await;
        answer.assert_shows(&["href=\"/inbox?status=quarantined&#38;after=3\"", "href=\"/inbox/52\""]);
        answer.assert_hides(&["href=\"/inbox/2\""]);
        let answer = admin.get("/inbox?status=quarantined&after=3").await;
        answer.assert_shows(&["href=\"/inbox/2\"", "Newest"]);
        answer.assert_hides(&["after="]);
    }

    #[tokio::test]
    async fn an_inbox_is_narrowed_by_type_day_and_what_it_is_about() {
        let stage = Stage::new().await;
        stage.meeting("m-1", 24).await;
        stage.clock.advance(TimeDelta::days(2));
        stage.quarantined("sha256:1", "body: found bytes", b"{}").await;
        let mut admin = stage.admin().await;
        let (meeting, other) = ("href=\"/inbox/1\"", "href=\"/inbox/2\"");
        for (query, shows, hides) in [
            ("type=scheduling.smartscheduler.scheduled", meeting, other),
            ("about=m-1", meeting, other),
            ("about=+e-m-1-scheduled+", meeting, other),
            ("about=sha256%3A1", other, meeting),
            ("until=2026-11-20", meeting, other),
            ("from=2026-11-21&until=2026-11-22", other, meeting),
            ("status=quarantined&from=2026-11-01", other, meeting),
        ] {
            let answer = admin.get(&format!("/inbox?{query}")).await;
            answer.assert_shows(&[shows]);
            answer.assert_hides(&[hides]);
        }
        admin.get("/inbox?from=yesterday&after=x&until=%2B262142-12-31").await.assert_shows(&[meeting, other]);
        let answer = admin.get("/inbox?type=none&from=2026-11-01").await;
        answer.assert_shows(&["No delivery is like that.", "<details open>", "value=\"2026-11-01\""]);
    }
}
