//! The status page: one sentence that tells the truth, then what it rests on. Each number leads to what it counts.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, TimeDelta};

use super::calendar_summary::CalendarSummary;
use super::day_bars::DayBars;
use super::error::PageError;
use super::feed::FeedCache;
use super::frame::{Frame, Mirror, Section, Visit};
use super::mirror_state::in_calendar;
use super::reach::Reach;
use super::status_keeping::Keeping;
use super::time_text::{Moment, Times};
use super::verdict::{Evidence, Finding, findings};
use super::words::{self, State as StateWord, Tone, meeting_href};
use crate::health::condition::conditions;
use crate::health::rhythm::hour_of;
use crate::meeting::entry::full_title;
use crate::store::{
    ARRIVAL_DAYS, Calendar, DeliveryFilter, DeliveryStatus, MeetingFilter, MeetingOrder, Reading, Store, StoreError,
};
use crate::web::site::Site;

/// Calls a second from which on a limit is none: Google's own is far below.
const UNLIMITED_FROM: u32 = 1000;
/// Meetings in the grid.
const UPCOMING: usize = 10;
/// Quarantined deliveries and failures that are told here; the rest is on their own pages.
const LATEST: u32 = 5;

pub(super) fn router(cache: FeedCache) -> Router<Site> {
    Router::new().route("/status", get(show)).with_state(cache)
}

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    frame: Frame,
    verdict: Finding,
    also: Vec<Finding>,
    up_since: Moment,
    inbound: Inbound,
    quarantined: Vec<Quarantined>,
    meetings: [Count; 3],
    calendars: Vec<CalendarSummary>,
    failures: Vec<Failure>,
    grid: Grid,
    keeping: Keeping,
    reach: Option<&'static str>,
    calls_per_second: Option<u32>,
}

/// What arrived.
struct Inbound {
    endpoint: String,
    last: Option<Moment>,
    test: Option<(Moment, String)>,
    oldest_pending: Option<Moment>,
    counts: Vec<Count>,
    arrivals: DayBars,
    arrived: String,
    /// Their list.
    arrived_href: String,
    usual_pause: Option<String>,
}

/// A number that leads to what it counts.
struct Count {
    number: i64,
    label: &'static str,
    href: String,
    tone: Tone,
}

/// A delivery that was not understood.
struct Quarantined {
    href: String,
    arrived: Moment,
    reason: String,
}

/// A meeting that could not be mirrored.
struct Failure {
    href: String,
    title: String,
    calendar: String,
    text: String,
    at: Moment,
    next: String,
}

/// The next meetings by calendar.
struct Grid {
    calendars: Vec<String>,
    rows: Vec<GridRow>,
}

struct GridRow {
    href: String,
    title: String,
    owner: String,
    when: Moment,
    confirmed: bool,
    cells: Vec<(String, StateWord)>,
}

async fn show(State(cache): State<FeedCache>, visit: Visit) -> Result<Response, PageError> {
    let (store, times) = (&visit.site.store, visit.times);
    let mirror = Mirror::of(&visit.site);
    let public_url = visit.site.links.public_url();
    let reading = store.reading(times.now()).await?;
    let summaries = CalendarSummary::all(&reading.calendars, &reading.mirror, &reading.held, &mirror, &times);
    let keeping = Keeping::of(&visit.site, &reading, &cache, &times).await?;
    let facts = reading.facts(mirror.is_on());
    let evidence = Evidence {
        reading: &reading,
        calendars: &summaries,
        mirror: &mirror,
        public_url,
        keeping: &keeping,
        conditions: &conditions(&facts, &visit.site.limits),
        times: &times,
    };
    let mut found = findings(&evidence).into_iter();
    let verdict = found.next().ok_or(PageError::Internal)?;
    let page = StatusPage {
        frame: visit.frame(Section::Status),
        verdict,
        also: found.collect(),
        up_since: times.at(visit.site.started_at),
        inbound: inbound(&reading, public_url, &times),
        quarantined: quarantined(store, &times).await?,
        meetings: meetings(store.meeting_counts().await?),
        failures: failures(store, &reading.calendars, &times).await?,
        grid: grid(store, &reading.calendars, mirror.is_on(), &times).await?,
        calendars: summaries,
        keeping,
        calls_per_second: visit
            .site
            .google
            .as_ref()
            .map(|google| google.calls_per_second)
            .filter(|rate| *rate < UNLIMITED_FROM),
        reach: Reach::of(public_url).warning(),
    };
    Ok(visit.show(page))
}

fn inbound(reading: &Reading, public_url: &str, times: &Times) -> Inbound {
    let inbox = &reading.inbox;
    let by_status = DeliveryStatus::ALL.into_iter().map(|status| Count {
        number: inbox.of(status),
        label: status.as_str(),
        href: format!("/inbox?status={}", status.as_str()),
        tone: match status {
            DeliveryStatus::Quarantined => Tone::Bad,
            DeliveryStatus::Pending => Tone::Waiting,
            DeliveryStatus::Applied => Tone::Good,
            DeliveryStatus::Superseded | DeliveryStatus::Ignored => Tone::Quiet,
        },
    });
    let repeated = Count {
        number: inbox.duplicates,
        label: "duplicates",
        href: "/inbox?repeated=1".to_owned(),
        tone: Tone::Quiet,
    };
    let mut days = BTreeMap::<i64, u32>::new();
    let since = hour_of(times.now() - TimeDelta::days(ARRIVAL_DAYS));
    for (hour, number) in reading.arrivals.range(since..) {
        let day = DateTime::from_timestamp(hour * 3600, 0).map_or(0, |at| times.day_number(at));
        *days.entry(day).or_default() += number;
    }
    let number = days.values().map(|number| i64::from(*number)).sum();
    Inbound {
        arrivals: DayBars::over("Deliveries", &days, times.day_number(times.now()), ARRIVAL_DAYS),
        arrived_href: format!("/inbox?from={}", times.day(times.now() - TimeDelta::days(ARRIVAL_DAYS))),
        arrived: format!("{} in {ARRIVAL_DAYS} days", words::count(number, "arrival", "arrivals")),
        usual_pause: reading.usual_pause().map(words::length),
        endpoint: format!("{public_url}/webhooks/cirrus-insight"),
        last: reading.last_delivery_at.map(|at| times.at(at)),
        test: inbox.last_test.as_ref().map(|(at, signature)| (times.at(*at), signature.clone())),
        oldest_pending: inbox.oldest_pending_at.map(|at| times.at(at)),
        counts: by_status.chain([repeated]).collect(),
    }
}

async fn quarantined(store: &Store, times: &Times) -> Result<Vec<Quarantined>, StoreError> {
    let filter = DeliveryFilter { status: Some(DeliveryStatus::Quarantined), ..DeliveryFilter::default() };
    let deliveries = store.deliveries(&filter, LATEST).await?;
    let rows = deliveries.into_iter().map(|delivery| Quarantined {
        href: format!("/inbox/{}", delivery.id),
        arrived: times.at(delivery.received_at),
        reason: delivery.reason.unwrap_or_else(|| "no reason was kept".to_owned()),
    });
    Ok(rows.collect())
}

fn meetings([confirmed, canceled, replaced]: [i64; 3]) -> [Count; 3] {
    let count = |number, label, tone| Count { number, label, href: format!("/meetings?status={label}"), tone };
    [
        count(confirmed, "confirmed", Tone::Good),
        count(canceled, "canceled", Tone::Quiet),
        count(replaced, "replaced", Tone::Quiet),
    ]
}

async fn failures(store: &Store, calendars: &[Calendar], times: &Times) -> Result<Vec<Failure>, StoreError> {
    let problems = store.mirror_problems(LATEST).await?;
    let rows = problems.into_iter().map(|problem| {
        let calendar = calendars.iter().find(|calendar| calendar.id == problem.calendar_id);
        Failure {
            href: meeting_href(problem.meeting_id.as_str()),
            title: problem.title.unwrap_or_else(|| "Meeting".to_owned()),
            calendar: calendar.map_or_else(String::new, |calendar| calendar.wish.name.clone()),
            text: problem.text,
            at: times.at(problem.at),
            next: match problem.again_at.max(problem.again_at.and(calendar.and_then(|calendar| calendar.paused_until)))
            {
                None => "not tried again until it changes".to_owned(),
                Some(at) if at > times.now() => format!("tried again {}", times.at(at).relative()),
                Some(_) => "tried again in a moment".to_owned(),
            },
        }
    });
    Ok(rows.collect())
}

async fn grid(store: &Store, calendars: &[Calendar], mirror_is_on: bool, times: &Times) -> Result<Grid, StoreError> {
    let ahead = store.meeting_page(&MeetingFilter::default(), MeetingOrder::Ahead, times.now(), None, UPCOMING).await?;
    let mut rows = Vec::new();
    for meeting in ahead.meetings {
        let written = store.mirror_rows(meeting.id.as_str()).await?;
        let cell = |calendar: &Calendar| {
            let row = written.iter().find(|row| row.calendar_id == calendar.id);
            (calendar.wish.name.clone(), in_calendar(&meeting, calendar, row, mirror_is_on, times).state)
        };
        rows.push(GridRow {
            href: meeting_href(meeting.id.as_str()),
            title: full_title(&meeting),
            owner: meeting.details.owner.display_name().unwrap_or_default(),
            when: times.span(meeting.details.starts_at, meeting.details.ends_at),
            confirmed: meeting.is_confirmed(),
            cells: calendars.iter().map(cell).collect(),
        });
    }
    Ok(Grid { calendars: calendars.iter().map(|calendar| calendar.wish.name.clone()).collect(), rows })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, meeting_event};
    use crate::meeting::event::Kind;
    use crate::meeting::selection::Selection;
    use crate::store::{BackupMade, DeliveryStatus, Identity, ProblemKind};
    use chrono::TimeDelta;

    #[tokio::test]
    async fn an_empty_site_says_what_to_do_first() {
        let mut stage = Stage::new().await;
        stage.public_url("http://127.0.0.1:8080");
        let answer = stage.admin().await.get("/status").await;
        answer.assert_shows(&[
            "No delivery has arrived yet.",
            "http://127.0.0.1:8080/webhooks/cirrus-insight",
            "It can't reach that address from outside",
            "meeting-mirror send fixtures/webhooks/scheduling.smartscheduler.scheduled.json",
            "The mirror is off.",
            "MEETING_MIRROR_GOOGLE_CREDENTIALS",
            "href=\"/feeds/new\"",
            "No meeting lies ahead.",
        ]);
    }

    #[tokio::test]
    async fn a_running_site_shows_what_arrived_and_where_it_is() {
        let mut stage = Stage::new().await;
        stage.google();
        stage.calendar("Team", Selection::default()).await;
        let other = Selection { owners: vec!["someone@example.com".into()], ..Selection::default() };
        stage.calendar("Other", other).await;
        stage.feed("Team feed").await;
        stage.meeting("m-1", 24).await;
        stage.mirror(&[]).await;
        let mut test =
            stage.delivery(Identity { event_id: "t".into(), ..Identity::default() }, DeliveryStatus::Applied);
        test.identity.event_type = Some("developer.webhook.test".into());
        stage.store_delivery(&test).await;
        stage.store_delivery(&test).await;
        stage.clock.advance(TimeDelta::minutes(3));
        let answer = stage.admin().await.get("/status").await;
        answer.assert_shows(&[
            "Everything is in step; last delivery 3 minutes ago.",
            "matched x-signature, HMAC-SHA256 hex, key 1",
            "href=\"/inbox?status=applied\"",
            "href=\"/inbox?repeated=1\"",
            "href=\"/meetings?status=confirmed\"",
            "Demo m-1",
            "Sat 21 Nov 2026, 13:00–13:30 CET",
            "In step",
            "Not selected",
            "1 feed",
            "Deliveries a day over the last 30 days",
            "3 arrivals in 30 days",
            "href=\"/meetings?calendar=1&amp;standing=in+step\">1</a>",
            "Nobody has fetched one in the last 14 days.",
            "not verified yet",
            "Oldest body",
            "meeting-mirror backup FILE",
        ]);
        answer.assert_hides(&["simulated", "could not be understood"]);
    }

    #[tokio::test]
    async fn a_silence_that_is_not_usual_is_told() {
        let stage = Stage::new().await;
        for number in 0..30 {
            let identity = Identity { event_id: format!("e-{number}"), ..Identity::default() };
            stage.store_delivery(&stage.delivery(identity, DeliveryStatus::Applied)).await;
            stage.clock.advance(TimeDelta::hours(10));
        }
        let mut admin = stage.admin().await;
        let usual = admin.get("/status").await;
        usual.assert_shows(&["longest pause in four weeks 11 hours", "verdict-good"]);
        stage.clock.advance(TimeDelta::hours(2));
        admin.get("/status").await.assert_shows(&[
            "verdict-waiting",
            "No delivery has come for 12 hours; in the four weeks before the longest pause was 11 hours.",
            "whether the endpoint is active",
        ]);
    }

    #[tokio::test]
    async fn a_backup_is_remembered() {
        let stage = Stage::new().await;
        let made = BackupMade { at: stage.now(), file: "/backup/<b>.db".into() };
        let mut tx = stage.site.store.write().await.unwrap();
        tx.backup_was_made(&made, "test", stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        stage.admin().await.get("/status").await.assert_shows(&["/backup/&#60;b&#62;.db", "20 Nov 2026, 13:00"]);
    }

    #[tokio::test]
    async fn the_latest_failures_are_told_but_none_of_a_calendar_that_was_removed() {
        let mut stage = Stage::new().await;
        stage.google();
        for name in ["Old", "Team", "Others"] {
            stage.calendar(name, Selection::default()).await;
        }
        for number in 0..4 {
            stage.meeting(&format!("m-{number}"), 24).await;
            stage.clock.advance(TimeDelta::minutes(1));
            stage.mirror(&[(&format!("m-{number}"), &format!("Problem {number}."), ProblemKind::Rejected)]).await;
        }
        let old = stage.site.store.calendars().await.unwrap().into_iter().find(|calendar| calendar.wish.name == "Old");
        stage.site.store.end_calendar(&old.unwrap(), false, "test", stage.now()).await.unwrap();
        let problems = stage.site.store.mirror_problems(5).await.unwrap();
        let told: Vec<_> = problems.iter().map(|problem| (problem.text.as_str(), problem.calendar_id)).collect();
        let [three, two, one] = ["Problem 3.", "Problem 2.", "Problem 1."];
        assert_eq!(told.iter().map(|(text, _)| *text).collect::<Vec<_>>(), [three, three, two, two, one]);
        assert!(told.iter().all(|(_, calendar)| *calendar > 1), "{told:?}");
    }

    #[tokio::test]
    async fn a_broken_site_says_so_first_and_gives_the_reasons() {
        let mut stage = Stage::new().await;
        stage.google();
        stage.calendar("Team", Selection::default()).await;
        let mut evil = meeting_event("m/<2>", Kind::Scheduled, stage.now(), 30);
        evil.details.title = Some("<script>alert(1)</script>".into());
        stage.event(&evil).await;
        stage.mirror(&[("m/<2>", "Google says <b>no</b>", ProblemKind::Rejected)]).await;
        stage.quarantined("sha256:1", "body: found \"<img>\", expected one JSON object", b"<img>").await;
        let answer = stage.admin().await.get("/status").await;
        answer.assert_shows(&[
            "Google refuses 1 meeting in “Team”",
            "1 delivery could not be understood.",
            "not tried again until it changes",
            "href=\"/meetings/m%2F%3C2%3E\"",
            "href=\"/inbox/2\"",
        ]);
        answer.assert_hides(&["<script>alert", "<b>no", "<img>"]);
    }
}
