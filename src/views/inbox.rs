//! The inbox: deliveries as received, newest first, by status.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::error::PageError;
use super::frame::{Frame, Params, Section, Visit};
use super::time_text::{Moment, Times};
use super::words::{State, Tone, meeting_href};
use crate::store::{Delivery, DeliveryFilter, DeliveryStatus};
use crate::web::site::Site;

/// Deliveries on one page.
const PAGE: u32 = 50;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/inbox", get(show))
}

#[derive(Debug, Default, Deserialize)]
struct Query {
    status: Option<String>,
    repeated: Option<String>,
    before: Option<String>,
}

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage {
    frame: Frame,
    filters: Vec<Filter>,
    filtered: bool,
    rows: Vec<DeliveryRow>,
    first: Option<String>,
    older: Option<String>,
    empty: &'static str,
}

/// A choice of deliveries, with how many there are.
struct Filter {
    label: &'static str,
    href: String,
    number: Option<i64>,
    current: bool,
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
    /// Repeated arrivals.
    pub(super) repeated: String,
    /// Why it was ignored or quarantined.
    pub(super) reason: String,
    /// The meeting it speaks of, as its page and its id.
    pub(super) meeting: Option<(String, String)>,
}

impl DeliveryRow {
    /// A delivery as seen from now.
    pub(super) fn new(delivery: Delivery, times: &Times) -> Self {
        Self {
            id: delivery.id,
            event_type: delivery.event_type.unwrap_or_else(|| "type not readable".to_owned()),
            state: delivery_state(delivery.status),
            arrived: times.at(delivery.received_at),
            repeated: if delivery.deliveries > 1 {
                format!("arrived {}×", delivery.deliveries)
            } else {
                String::new()
            },
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

/// What a status means, for a list that has none of it.
fn none_of(status: Option<DeliveryStatus>, repeated: bool) -> &'static str {
    match status {
        _ if repeated => "No delivery arrived more than once.",
        None => "No delivery has arrived yet. The status page says how to get the first one.",
        Some(DeliveryStatus::Pending) => "Nothing waits: every delivery has been worked on.",
        Some(DeliveryStatus::Applied) => "No delivery has been applied yet.",
        Some(DeliveryStatus::Superseded) => "No delivery came late: none was older than what was known already.",
        Some(DeliveryStatus::Ignored) => "No delivery was of a type this version does not use.",
        Some(DeliveryStatus::Quarantined) => "Every delivery could be understood.",
    }
}

async fn show(visit: Visit, Params(query): Params<Query>) -> Result<Response, PageError> {
    let (store, times) = (&visit.site.store, visit.times);
    let status = query.status.as_deref().and_then(DeliveryStatus::from_word);
    let repeated = query.repeated.is_some();
    let before: Option<i64> = query.before.and_then(|before| before.parse().ok());
    let filter = DeliveryFilter { status, repeated, before, ..DeliveryFilter::default() };
    let mut found = store.deliveries(&filter, PAGE + 1).await?;
    let more = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let counts = store.inbox_counts().await?;
    let mut filters =
        vec![Filter { label: "all", href: "/inbox".into(), number: None, current: status.is_none() && !repeated }];
    filters.extend(DeliveryStatus::ALL.into_iter().map(|choice| Filter {
        label: choice.as_str(),
        href: format!("/inbox?status={}", choice.as_str()),
        number: Some(counts.of(choice)),
        current: status == Some(choice) && !repeated,
    }));
    filters.push(Filter { label: "repeated", href: "/inbox?repeated=1".into(), number: None, current: repeated });
    let here = filters.iter().find(|filter| filter.current).map_or("/inbox", |filter| filter.href.as_str()).to_owned();
    let older = found.last().filter(|_| more).map(|last| {
        let joint = if here.contains('?') { '&' } else { '?' };
        format!("{here}{joint}before={}", last.id)
    });
    let page = InboxPage {
        frame: visit.frame(Section::Inbox),
        filters,
        filtered: status.is_some() || repeated,
        rows: found.into_iter().map(|delivery| DeliveryRow::new(delivery, &times)).collect(),
        first: before.is_some().then_some(here),
        older,
        empty: none_of(status, repeated),
    };
    Ok(visit.show(page))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use crate::store::{DeliveryStatus, Identity};

    #[tokio::test]
    async fn an_empty_inbox_says_what_that_means() {
        let stage = Stage::new().await;
        let mut admin = stage.admin().await;
        admin.get("/inbox").await.assert_shows(&["No delivery has arrived yet.", "href=\"/status\""]);
        admin.get("/inbox?status=quarantined").await.assert_shows(&["Every delivery could be understood."]);
        admin.get("/inbox?repeated=1").await.assert_shows(&["No delivery arrived more than once."]);
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
        answer.assert_shows(&["href=\"/inbox/3\""]);
        answer.assert_hides(&["href=\"/inbox/1\""]);
    }

    #[tokio::test]
    async fn a_long_inbox_is_turned_page_by_page() {
        let stage = Stage::new().await;
        for number in 0..52 {
            stage.quarantined(&format!("sha256:{number}"), "body: found no bytes", b"").await;
        }
        let mut admin = stage.admin().await;
        let answer = admin.get("/inbox?status=quarantined").await;
        answer.assert_shows(&["href=\"/inbox?status=quarantined&#38;before=3\"", "href=\"/inbox/52\""]);
        answer.assert_hides(&["href=\"/inbox/2\""]);
        let answer = admin.get("/inbox?status=quarantined&before=3").await;
        answer.assert_shows(&["href=\"/inbox/2\"", "Newest"]);
        answer.assert_hides(&["before="]);
    }
}
