//! Whatever happens in whatever order: the feed that is served is the one that would be made from scratch, and its validators
//! tell every change from none.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use meeting_mirror::meeting::selection::{Detail, Selection, ShowAs};
use meeting_mirror::store::{Feed, MeetingFilter};
use meeting_mirror::views::feed::lint::lint;
use proptest::prelude::*;
use serde_json::json;

use super::Got;
use crate::feed_text::from_scratch;
use crate::support::{TestApp, event, noon, with};

const OWNERS: [&str; 3] = ["ada@example.com", "bo@example.com", "cy@example.com"];

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A meeting is told of: which, what, whose, how many hours from noon it begins, how many minutes late it is told.
    Told { meeting: u8, kind: u8, owner: usize, hours: i64, late: i64 },
    /// Time passes.
    Pass { minutes: i64 },
    /// The feed is edited.
    Edit { what: u8 },
    /// The program is started anew.
    Restart,
    /// Somebody fetches the feed.
    Fetch,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6_u8, 0..3_u8, 0..3_usize, prop::sample::select(&[-900, -30, 2, 20, 30, 200, 9000][..]), 0..30_i64)
            .prop_map(|(meeting, kind, owner, hours, late)| Step::Told { meeting, kind, owner, hours, late }),
        3 => prop::sample::select(&[0, 1, 60, 1440, 11_000, 60_000][..]).prop_map(|minutes| Step::Pass { minutes }),
        1 => (0..6_u8).prop_map(|what| Step::Edit { what }),
        1 => Just(Step::Restart),
        6 => Just(Step::Fetch),
    ]
}

fn date(got: &Got) -> DateTime<Utc> {
    httpdate::parse_http_date(got.header("last-modified")).unwrap().into()
}

/// Each event's lines but for those that say how new it is, with SEQUENCE and LAST-MODIFIED, by UID.
fn events(got: &Got) -> BTreeMap<String, (String, u32, String)> {
    let text = got.body.replace("\r\n ", "");
    text.split("BEGIN:VEVENT\r\n")
        .skip(1)
        .filter_map(|event| event.split("END:VEVENT").next())
        .map(|event| {
            let value = |name: &str| {
                let line = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                line.unwrap().to_owned()
            };
            let said = event
                .lines()
                .filter(|line| !["SEQUENCE", "LAST-MODIFIED", "DTSTAMP"].iter().any(|n| line.starts_with(n)));
            (
                value("UID"),
                (said.collect::<Vec<_>>().join("\n"), value("SEQUENCE").parse().unwrap(), value("LAST-MODIFIED")),
            )
        })
        .collect()
}

/// Everything that was fetched so far, and what must hold between any two fetches.
#[derive(Default)]
struct Seen {
    fetches: Vec<Got>,
    /// The latest state in which each event was seen.
    events: BTreeMap<String, (String, u32, String)>,
}

impl Seen {
    fn add(&mut self, got: Got) {
        for (uid, now) in events(&got) {
            if let Some(before) = self.events.get(&uid)
                && before.0 != now.0
            {
                assert!(now.1 > before.1, "SEQUENCE did not rise: {before:?} → {now:?}");
                assert!(now.2 > before.2, "LAST-MODIFIED is not later: {before:?} → {now:?}");
            }
            self.events.insert(uid, now);
        }
        for before in &self.fetches {
            let same = before.body == got.body;
            assert_eq!(before.header("etag") == got.header("etag"), same, "the tag names other bytes");
        }
        if let Some(last) = self.fetches.last() {
            let moved = date(&got).cmp(&date(last));
            let expected = if last.body == got.body { std::cmp::Ordering::Equal } else { std::cmp::Ordering::Greater };
            assert_eq!(moved, expected, "Last-Modified {} → {}", date(last), date(&got));
        }
        self.fetches.push(got);
    }
}

async fn edit(app: &TestApp, feed: &Feed, what: u8) -> Feed {
    app.edit_feed(feed, |wish| match what {
        0 => wish.detail = if wish.detail == Detail::Full { Detail::Title } else { Detail::Full },
        1 => wish.selection.owners = vec![OWNERS[0].into()],
        2 => wish.selection = Selection::default(),
        3 => wish.canceled_days = 9 - wish.canceled_days,
        4 => wish.window.future_days = 400 - wish.window.future_days,
        _ => wish.show_as = if wish.show_as == ShowAs::Busy { ShowAs::Free } else { ShowAs::Busy },
    })
    .await
}

async fn live_through(steps: Vec<Step>) {
    let mut app = TestApp::start().await;
    let mut feed = app.add_feed("All", Selection::default(), Detail::Full).await;
    let mut seen = Seen::default();
    for (number, step) in steps.into_iter().chain([Step::Fetch]).enumerate() {
        match step {
            Step::Told { meeting, kind, owner, hours, late } => {
                let kind = ["scheduled", "rescheduled", "canceled"][usize::from(kind)];
                let minute = (app.now() - noon()).num_minutes() - late;
                let start = noon() + TimeDelta::hours(hours);
                let envelope = with(event(&format!("e-{number}"), kind, &format!("m-{meeting}"), minute, 9), |data| {
                    data["meetingOwner"]["username"] = json!(OWNERS[owner]);
                    data["meetingStart"] = json!(start);
                    data["meetingEnd"] = json!(start + TimeDelta::minutes(30));
                });
                app.deliver_all(&[envelope]).await;
            }
            Step::Pass { minutes } => app.clock.advance(TimeDelta::minutes(minutes)),
            Step::Edit { what } => feed = edit(&app, &feed, what).await,
            Step::Restart => app = app.restart().await,
            Step::Fetch => {
                let got = app.fetch(&feed, &[]).await;
                assert_eq!(got.status, 200);
                let meetings = app.store.meetings(&MeetingFilter::default(), usize::MAX).await.unwrap();
                let fresh = from_scratch(&feed, &app.site.installation_id, &meetings, app.now()).body;
                assert_eq!(got.body, String::from_utf8(fresh).unwrap(), "what is served is not what is");
                assert_eq!(lint(got.body.as_bytes()), []);
                seen.add(got);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_feed_served_is_the_feed_made_from_scratch_and_its_validators_tell_every_change(
        steps in prop::collection::vec(step(), 5..40),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(live_through(steps));
    }
}
