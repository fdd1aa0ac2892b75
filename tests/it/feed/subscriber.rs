//! A subscriber that is not ours: vdirsyncer follows a feed through everything that happens to its meetings, and what it has
//! then is what the meeting table says. Must not know how a feed is made.
//!
//! Needs Debian's `vdirsyncer`; without it the test says that it was skipped, or fails if `SUBSCRIBER_TESTS` is `required`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use icalendar::parser::{read_calendar, unfold};
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::meeting::state::Status;
use meeting_mirror::store::{Feed, MeetingFilter};
use serde_json::json;
use tempfile::TempDir;

use crate::skipped::skip;
use crate::support::{TestApp, event, with};

/// A person's computer, with their calendar as files.
struct Subscriber(TempDir);

impl Subscriber {
    /// None when the program is not there.
    fn of(address: &str) -> Option<Self> {
        if Command::new("vdirsyncer").arg("--version").output().is_err() {
            return skip("SUBSCRIBER_TESTS", "vdirsyncer (Debian: apt install vdirsyncer)");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let config = format!(
            "[general]\nstatus_path = {}\n\
             [pair subscription]\na = \"feed\"\nb = \"files\"\ncollections = null\n\
             [storage feed]\ntype = \"http\"\nurl = {}\n\
             [storage files]\ntype = \"filesystem\"\npath = {}\nfileext = \".ics\"\n",
            json!(path("status")),
            json!(address),
            json!(path("files")),
        );
        std::fs::write(dir.path().join("config"), config).unwrap();
        std::fs::create_dir(dir.path().join("files")).unwrap();
        let subscriber = Self(dir);
        Some(subscriber)
    }

    /// Runs the program. Returns whether it was content, and what it said.
    async fn run(&self, command: &'static str) -> (bool, String) {
        let dir: PathBuf = self.0.path().to_owned();
        let ran = tokio::task::spawn_blocking(move || {
            let mut program = Command::new("vdirsyncer");
            program.env("HOME", &dir).arg("--config").arg(dir.join("config")).arg(command);
            program.output().unwrap()
        });
        let ran = ran.await.unwrap();
        let said = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        (ran.status.success(), said)
    }

    async fn sync(&self) {
        let (content, said) = self.run("sync").await;
        assert!(content, "{said}");
    }

    /// What the person has: title, begin, end and status of each event.
    fn has(&self) -> Vec<[String; 4]> {
        let files = std::fs::read_dir(Path::new(self.0.path()).join("files")).unwrap();
        let mut events: Vec<[String; 4]> = files
            .map(|file| {
                let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
                let unfolded = unfold(&text);
                let calendar = read_calendar(&unfolded).unwrap();
                assert_eq!(calendar.components.len(), 1, "{text}");
                ["SUMMARY", "DTSTART", "DTEND", "STATUS"]
                    .map(|name| calendar.components[0].find_prop(name).unwrap().val.as_str().to_owned())
            })
            .collect();
        events.sort();
        events
    }
}

/// What the meeting table says the person should have.
async fn expected(app: &TestApp) -> Vec<[String; 4]> {
    let meetings = app.store.meetings(&MeetingFilter::default(), 100).await.unwrap();
    let mut events: Vec<[String; 4]> = meetings
        .iter()
        .map(|meeting| {
            let title = meeting.details.title.clone().unwrap();
            let (title, status) = match meeting.status() {
                Status::Confirmed => (title, "CONFIRMED"),
                Status::Canceled | Status::Replaced { .. } => (format!("Canceled: {title}"), "CANCELLED"),
            };
            let time = |time: chrono::DateTime<chrono::Utc>| time.format("%Y%m%dT%H%M%SZ").to_string();
            [title, time(meeting.details.starts_at), time(meeting.details.ends_at), status.to_owned()]
        })
        .collect();
    events.sort();
    events
}

#[tokio::test]
async fn a_real_subscriber_has_what_the_meeting_table_says() {
    let app = TestApp::start().await;
    let feed: Feed = app.add_feed("Sales, “team”; all", Selection::default(), Detail::Full).await;
    let Some(subscriber) = Subscriber::of(&app.feed_url(&feed)) else { return };
    let titled = |envelope, title: &str| with(envelope, |data| data["meetingInfo"]["meetingName"] = json!(title));
    let claim = |envelope| with(envelope, |data| data["meetingInfo"]["existingEmailMeetingId"] = json!("mail-m-3"));

    app.deliver_all(&[
        event("1-1", "scheduled", "m-1", 0, 9),
        titled(
            event("1-2", "scheduled", "m-2", 0, 10),
            "Größe; A, B\\C 老虎 👩‍👩‍👧 and a title that is long enough to be folded",
        ),
        event("1-3", "scheduled", "m-3", 0, 11),
    ])
    .await;
    let (content, said) = subscriber.run("discover").await;
    assert!(content, "{said}");
    let mut steps = BTreeMap::new();
    for (step, envelopes) in [
        ("1 added", vec![]),
        ("2 moved", vec![event("2-1", "rescheduled", "m-1", 10, 15)]),
        ("3 canceled", vec![event("3-1", "canceled", "m-2", 20, 10)]),
        ("4 taken over", vec![claim(event("4-1", "rescheduled", "m-4", 30, 12))]),
        ("5 booked again", vec![event("5-1", "rescheduled", "m-2", 40, 16)]),
        ("6 a late event", vec![event("6-1", "scheduled", "m-1", 5, 8)]),
    ] {
        app.deliver_all(&envelopes).await;
        subscriber.sync().await;
        let has = subscriber.has();
        assert_eq!(has, expected(&app).await, "{step}");
        steps.insert(step, has);
    }
    assert_eq!(steps["3 canceled"].iter().filter(|event| event[3] == "CANCELLED").count(), 1);
    assert_eq!(steps["6 a late event"], steps["5 booked again"]);
    subscriber.sync().await;

    // The link is ended: the program is told, and what it has stays.
    let mut tx = app.store.write().await.unwrap();
    tx.revoke_feed(feed.id, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    app.feeds.catch_up().await.unwrap();
    let (content, said) = subscriber.run("sync").await;
    assert!(!content && said.contains("Gone"), "{said}");
    assert_eq!(subscriber.has(), steps["6 a late event"]);
}
