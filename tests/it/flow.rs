//! The whole way of the data, through HTTP: the bytes of deliveries become the feed's text, Google's events and the pages.
//! A crash between any two steps, or in the middle of one, ends in the same feed, events and pages as no crash at all.

use std::pin::pin;
use std::task::Poll;

use chrono::TimeDelta;
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::simulated_google::{Access, EventTime, Fault, Matcher};
use meeting_mirror::store::{DeliveryFilter, OnCancel};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{TEAM, TestApp, event, noon, with};

/// Deliveries arrive in this many rounds; each is received, applied and mirrored.
const ROUNDS: i64 = 3;
/// A second calendar, which shows only that somebody is busy.
const PUBLIC: &str = "public@group.calendar.example.com";
const MEETINGS: [&str; 5] = ["m-1", "m-2", "m-3", "m-4", "m-5"];

/// The bodies of one round, with the webhook's answers.
fn round(number: i64) -> Vec<(Vec<u8>, &'static str)> {
    let claim = with(event("2-5", "rescheduled", "m-5", 12, 16), |data| {
        data["meetingInfo"]["existingEmailMeetingId"] = json!("mail-m-3");
    });
    let unknown =
        json!({"eventId": "1-x", "eventType": "scheduling.brand.new", "eventTimestamp": "2026-11-23T11:00:00Z"});
    let deliveries: Vec<(Value, &str)> = match number {
        0 => vec![
            (event("1-1", "scheduled", "m-1", 0, 9), "accepted"),
            (event("1-2", "scheduled", "m-2", 1, 10), "accepted"),
            (json!([1, 2, 3]), "quarantined"),
            (event("1-3", "scheduled", "m-3", 2, 11), "accepted"),
            (unknown, "ignored"),
            (event("1-4", "rescheduled", "m-4", 3, 12), "accepted"),
        ],
        1 => vec![
            (event("1-1", "scheduled", "m-1", 0, 9), "duplicate"),
            (event("2-1", "rescheduled", "m-1", 10, 15), "accepted"),
            (event("2-2", "canceled", "m-2", 11, 10), "accepted"),
            (claim, "accepted"),
            (event("2-4", "scheduled", "m-4", -9, 8), "accepted"),
        ],
        _ => vec![
            (event("3-2", "rescheduled", "m-2", 21, 17), "accepted"),
            (event("3-1", "canceled", "m-1", 20, 15), "accepted"),
        ],
    };
    deliveries.into_iter().map(|(body, answer)| (body.to_string().into_bytes(), answer)).collect()
}

/// Where the program dies. A step is received, applied or mirrored; three steps make a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    Never,
    /// After a step is done.
    After(i64),
    /// In the middle of a step that is applied or mirrored, after its work was polled this often.
    Inside(i64, usize),
    /// While mirroring: Google did what was asked, and nothing of it was recorded.
    Unrecorded(i64),
}

/// What people see in the end.
#[derive(Debug, PartialEq)]
struct Picture {
    feed: String,
    events: Vec<(String, String, Option<EventTime>, String)>,
    pages: Vec<String>,
}

/// Polls some work so often and then drops it. Returns whether it was done before.
async fn cut<T>(polls: usize, work: impl Future<Output = T>) -> bool {
    let (mut work, mut left) = (pin!(work), polls);
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        work.as_mut().poll(context).map(|_| true)
    })
    .await
}

async fn step(app: &TestApp, number: i64) {
    match number % 3 {
        0 => {
            for (body, expected) in round(number / 3) {
                let (status, answer) = app.post(body).await;
                assert_eq!((status, answer["status"].as_str()), (200, Some(expected)));
            }
        }
        1 => app.apply().await,
        _ => {
            app.mirror().await;
        }
    }
}

/// Lives through all rounds with one crash. Each round begins at a fixed time, so that times can be compared.
async fn live_through(crash: Crash) -> (Picture, bool) {
    let mut app = TestApp::start_with_google().await;
    app.google().add_calendar(PUBLIC, "Public", Access::Writer);
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    app.add_calendar(PUBLIC, Detail::Busy, OnCancel::Mark).await;
    let feed = app.add_feed("Everything", Selection::default(), Detail::Full).await;
    let mut was_cut = false;
    for number in 0..3 * ROUNDS {
        app.clock.advance(noon() + TimeDelta::minutes(10 * (number / 3)) - app.now());
        match crash {
            Crash::Inside(at, polls) if at == number => {
                let done = match (number % 3, &app.mirror) {
                    (2, Some(mirror)) => cut(polls, mirror.work_once(&CancellationToken::new())).await,
                    _ => cut(polls, app.inbox.drain()).await,
                };
                was_cut = !done;
                app = app.restart().await;
            }
            Crash::Unrecorded(at) if at == number => {
                app.google().fail(Matcher::any(), Fault::LostAnswer, 3);
                app.mirror().await;
                app = app.restart().await;
            }
            _ => {}
        }
        step(&app, number).await;
        if crash == Crash::After(number) {
            app = app.restart().await;
        }
    }
    app.settle().await;
    app.clock.advance(noon() + TimeDelta::hours(1) - app.now());
    let feed = app.feed_text(&feed).await;
    (Picture { feed, events: events(&app), pages: pages(&app).await }, was_cut)
}

fn events(app: &TestApp) -> Vec<(String, String, Option<EventTime>, String)> {
    let of = |calendar: &str| app.google().events(calendar);
    let mut all: Vec<_> = [TEAM, PUBLIC]
        .into_iter()
        .flat_map(|calendar| of(calendar).into_iter().map(move |event| (calendar.to_owned(), event)))
        .filter(|(_, event)| !event.is_deleted())
        .map(|(calendar, event)| (calendar, event.summary.unwrap_or_default(), event.start, event.transparency))
        .collect();
    all.sort_by_key(|event| format!("{event:?}"));
    all
}

/// What the pages say, without the tokens of their forms and without attempts: after a crash there are more of them.
async fn pages(app: &TestApp) -> Vec<String> {
    app.sign_in().await;
    let mut pages = Vec::new();
    let paths = ["/meetings".to_owned(), "/inbox".to_owned()].into_iter();
    for path in paths.chain(MEETINGS.map(|id| format!("/meetings/{id}"))) {
        let page = app.page(&path).await;
        let main = page.split_once("<main").map_or(page.as_str(), |(_, main)| main);
        let without_attempt = |item: &'_ str| match item.rsplit_once("<li ") {
            Some((before, attempt)) if attempt.contains("class=\"attempt\"") => before.to_owned(),
            _ => item.to_owned(),
        };
        let main: String = main.split_inclusive("</li>").map(without_attempt).collect();
        pages.push(main.lines().filter(|line| !line.contains("name=\"token\"")).collect::<Vec<_>>().join("\n"));
    }
    pages
}

#[tokio::test]
async fn deliveries_become_feed_events_and_pages() {
    let (picture, _) = live_through(Crash::Never).await;
    let feed = &picture.feed;
    assert_eq!(feed.matches("BEGIN:VEVENT").count(), 5, "{feed}");
    assert_eq!(feed.matches("STATUS:CONFIRMED").count(), 3, "{feed}");
    assert_eq!(feed.matches("STATUS:CANCELLED").count(), 2, "{feed}");
    for (meeting, start) in [("m-2", "20261124T170000Z"), ("m-4", "20261124T120000Z"), ("m-5", "20261124T160000Z")] {
        let shown = feed.split("BEGIN:VEVENT").find(|event| event.contains(&format!("SUMMARY:Demo {meeting}")));
        assert!(shown.unwrap().contains(&format!("DTSTART:{start}")), "{meeting} in {feed}");
    }
    let summaries = |calendar: &str| -> Vec<&str> {
        let of = picture.events.iter().filter(|event| event.0 == calendar);
        of.map(|event| event.1.as_str()).collect()
    };
    assert_eq!(summaries(TEAM), ["Demo m-2", "Demo m-4", "Demo m-5"]);
    // The canceled one is marked, the replaced one is gone.
    assert_eq!(summaries(PUBLIC), ["Busy", "Busy", "Busy", "Canceled: Busy"]);
    let [meetings, inbox, m1, m2, m3, ..] = picture.pages.as_slice() else { panic!("{:?}", picture.pages) };
    for meeting in MEETINGS {
        assert!(meetings.contains(&format!("Demo {meeting}")), "{meetings}");
    }
    assert!(inbox.contains("expected one JSON object") && inbox.contains("scheduling.brand.new"), "{inbox}");
    for (page, word) in [(m1, "canceled"), (m2, "confirmed"), (m3, "replaced")] {
        assert!(page.to_lowercase().contains(word), "{word} in {page}");
    }
    assert!(m3.contains("/meetings/m-5"), "who took it over: {m3}");
}

#[tokio::test]
async fn a_restart_between_any_two_steps_changes_nothing() {
    let (undisturbed, _) = live_through(Crash::Never).await;
    for number in 0..3 * ROUNDS {
        let (picture, _) = live_through(Crash::After(number)).await;
        assert_eq!(picture, undisturbed, "after step {number}");
    }
}

#[tokio::test]
async fn a_crash_in_the_middle_of_applying_or_mirroring_changes_nothing() {
    let (undisturbed, _) = live_through(Crash::Never).await;
    let mut cuts = 0;
    for number in [1, 2, 4, 5, 7, 8] {
        for polls in [2, 7, 12, 18, 25] {
            let (picture, was_cut) = live_through(Crash::Inside(number, polls)).await;
            assert_eq!(picture, undisturbed, "in step {number} after {polls} polls");
            cuts += usize::from(was_cut);
            if !was_cut {
                break;
            }
        }
    }
    assert!(cuts >= 12, "only {cuts} cuts struck while work was under way");
}

#[tokio::test]
async fn what_google_did_but_nobody_recorded_is_not_done_twice() {
    let (undisturbed, _) = live_through(Crash::Never).await;
    for number in [2, 5, 8] {
        let (picture, _) = live_through(Crash::Unrecorded(number)).await;
        assert_eq!(picture.events, undisturbed.events, "in step {number}");
        assert_eq!(picture.feed, undisturbed.feed, "in step {number}");
    }
}

#[tokio::test]
async fn a_subscriber_does_not_notice_a_restart() {
    let app = TestApp::start().await;
    let feed = app.add_feed("Everything", Selection::default(), Detail::Full).await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    let path = format!("/feeds/{}.ics", app.site.links.token(&feed));
    let first = app.http.get(app.url(&path)).send().await.unwrap();
    let etag = first.headers()["etag"].clone();
    let app = app.restart().await;
    app.clock.advance(TimeDelta::hours(3));
    let again = app.http.get(app.url(&path)).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!((again.status().as_u16(), &again.headers()["etag"]), (304, &etag));
    app.deliver_all(&[event("2", "canceled", "m-1", 1, 9)]).await;
    let changed = app.http.get(app.url(&path)).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    assert!(changed.text().await.unwrap().contains("STATUS:CANCELLED"));
    assert_eq!(app.store.deliveries(&DeliveryFilter::default(), 10).await.unwrap().len(), 2);
}
