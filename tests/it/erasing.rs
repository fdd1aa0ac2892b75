//! Erasing an invitee on the real parts: nothing of the person is left in calendars, feeds, lists and files, and nothing brings
//! it back.

use chrono::TimeDelta;
use meeting_mirror::app::{Erasure, Installation};
use meeting_mirror::clock::Randomness;
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::store::{DeliveryStatus, OnCancel};
use serde_json::Value;

use crate::support::{TEAM, TestApp, event, settings, with};

/// Whose words are looked for in the files.
const WHO: &str = "Quillfeather@Example.org";

fn of(event: Value, email: &str) -> Value {
    with(event, |data| data["meetingInfo"]["primaryInvitee"] = email.into())
}

impl TestApp {
    /// The same data as a command sees it, beside the server.
    async fn installation(&self) -> Installation {
        let settings = settings(&self.dir);
        Installation::open(&settings, self.clock.clone(), Randomness::seeded(3), false).await.unwrap()
    }
}

/// The files of a data directory in which a word stands, whatever its case.
fn holding(app: &TestApp, word: &str) -> Vec<String> {
    let files = std::fs::read_dir(app.dir.path().join("data")).unwrap().map(|entry| entry.unwrap());
    let holds = |bytes: &[u8]| bytes.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    files
        .filter(|file| holds(&std::fs::read(file.path()).unwrap()))
        .map(|file| file.file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn an_invitee_is_forgotten_everywhere_and_nothing_brings_the_meeting_back() {
    let app = TestApp::start_with_google().await;
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    let feed = app.add_feed("Team", Selection::default(), Detail::Full).await;
    let first = of(event("e-1", "scheduled", "m-1", 5, 10), "quillfeather@example.org");
    app.deliver_all(&[
        first.clone(),
        of(event("e-1b", "rescheduled", "m-1", 6, 11), "quillfeather@example.org"),
        // Once invited, no longer: only the old body tells of it.
        with(of(event("e-2", "scheduled", "m-2", 5, 12), "quillfeather@example.org"), |data| {
            data["meetingInfo"]["meetingName"] = "Intro: Quillfeather".into();
        }),
        with(event("e-2b", "rescheduled", "m-2", 6, 12), |data| data["meetingInfo"]["meetingName"] = "Intro".into()),
        with(event("e-3", "scheduled", "m-3", 5, 13), |data| {
            data["meetingInfo"]["optionalInvitees"] = "cy@example.org, QUILLFEATHER@example.org".into();
        }),
        // Who owns a meeting is no invitee of it.
        with(event("e-4", "scheduled", "m-4", 5, 14), |data| {
            data["meetingOwner"]["username"] = "other@example.org".into();
        }),
    ])
    .await;
    app.post("{\"eventId\": \"broken\", \"to\": \"quillfeather@example.org\"}").await;
    app.settle().await;
    assert!(app.feed_text(&feed).await.contains("quillfeather"));
    assert!(!holding(&app, "quillfeather").is_empty());

    let command = app.installation().await;
    let found = Erasure::find(&command, WHO, |_| {}).await.unwrap();
    let mut meetings = found.meetings.clone();
    meetings.sort();
    assert_eq!(meetings, ["m-1", "m-3"]);
    assert_eq!((found.to_come, found.deliveries.len(), found.mentions), (2, 5, 0));
    assert_eq!(found.events.iter().map(|there| there.events).sum::<i64>(), 2);
    assert_eq!(found.feeds, ["Team"]);
    found.begin(&command, "command line").await.unwrap();
    assert_eq!(found.go_on(&command).await.unwrap().len(), 1, "the events are still there");
    let text = app.feed_text(&feed).await;
    assert!(!text.to_lowercase().contains("quillfeather") && text.contains("Demo m-4"), "{text}");

    app.settle().await;
    assert_eq!(found.go_on(&command).await.unwrap(), []);
    assert!(found.finish(&command).await.unwrap());
    assert_eq!(app.mirrored(TEAM).iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["m-2", "m-4"]);
    assert_eq!(holding(&app, "quillfeather"), [""; 0]);
    assert!(app.store.meeting("m-1").await.unwrap().is_none());
    assert!(Erasure::find(&command, WHO, |_| {}).await.unwrap().is_empty());
    let entry = &app.store.audit_newest(1).await.unwrap()[0].entry;
    assert_eq!(entry.summary, "Erases an invitee: 2 meetings, the bodies of 5 deliveries");

    assert_eq!(app.deliver(&first).await, "duplicate");
    app.deliver_all(&[of(event("e-9", "rescheduled", "m-1", 60, 10), "quillfeather@example.org")]).await;
    let delivery = app.store.delivery("e-9").await.unwrap().unwrap();
    assert_eq!(
        (delivery.status, delivery.reason.as_deref(), delivery.body_removed_at.is_some()),
        (DeliveryStatus::Ignored, Some("This meeting was erased."), true)
    );
    assert!(app.store.meeting("m-1").await.unwrap().is_none());
    app.check_calendars().await;
    assert_eq!(app.mirrored(TEAM).len(), 2);
    command.store.close().await;
}

#[tokio::test]
async fn what_arrives_after_it_was_looked_for_is_forgotten_too() {
    let app = TestApp::start_with_google().await;
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    app.deliver_all(&[of(event("e-1", "scheduled", "m-1", 5, 10), "quillfeather@example.org")]).await;
    app.settle().await;
    let command = app.installation().await;
    let mut found = Erasure::find(&command, WHO, |_| {}).await.unwrap();
    // While the question is asked: one is applied, one waits.
    app.deliver_all(&[of(event("e-2", "scheduled", "m-2", 5, 11), "quillfeather@example.org")]).await;
    app.settle().await;
    app.deliver(&of(event("e-3", "scheduled", "m-3", 5, 12), "quillfeather@example.org")).await;
    // Each time that Google is waited for: one more, twice.
    let mut more = ["m-4", "m-5"].into_iter();
    let wait = async |found: &Erasure| {
        if let Some(id) = more.next() {
            app.deliver(&of(event(id, "scheduled", id, 5, 13), "quillfeather@example.org")).await;
        }
        app.settle().await;
        found.go_on(&command).await
    };
    assert_eq!(found.carry_out(&command, WHO, "command line", wait).await.unwrap(), []);
    assert_eq!((found.meetings.len(), found.deliveries.len(), found.to_come), (5, 5, 5));
    assert_eq!((found.late_meetings, found.late_deliveries), (4, 4));
    assert_eq!(found.events.iter().map(|there| there.events).sum::<i64>(), 5, "{found:?}");
    assert!(found.finish(&command).await.unwrap());
    assert!(app.mirrored(TEAM).is_empty());
    assert_eq!(app.store.meeting_counts().await.unwrap(), [0, 0, 0]);
    assert_eq!(holding(&app, "quillfeather"), [""; 0]);
    command.store.close().await;
}

#[tokio::test]
async fn an_address_is_found_in_any_form_it_was_written_in() {
    let app = TestApp::start().await;
    let others = |id: &str, text: &str| {
        with(event(id, "scheduled", id, 5, 10), |data| data["meetingInfo"]["optionalInvitees"] = text.into())
    };
    app.deliver_all(&[
        others("m-1", "\"Q Feather\"<quillfeather@example.org>"),
        others("m-2", "Q<quillfeather@example.org>, cy@example.org"),
        others("m-3", "quillfeather@example.org."),
        others("m-4", "cy@example.org/quillfeather@example.org"),
        of(event("m-5", "scheduled", "m-5", 5, 10), "mailto:quillfeather@example.org"),
        others("m-6", "Jim<jim.quillfeather@example.org>"),
    ])
    .await;
    let command = app.installation().await;
    let found = Erasure::find(&command, WHO, |_| {}).await.unwrap();
    let mut meetings = found.meetings.clone();
    meetings.sort();
    assert_eq!(
        (meetings, found.deliveries.len()),
        (["m-1", "m-2", "m-3", "m-4", "m-5"].map(str::to_owned).to_vec(), 5)
    );
    command.store.close().await;
}

#[tokio::test]
async fn a_command_that_is_killed_leaves_it_to_the_server_to_wipe_the_files() {
    let app = TestApp::start().await;
    app.post("{\"eventId\": \"broken\", \"to\": \"quillfeather@example.org\"}").await;
    let command = app.installation().await;
    let found = Erasure::find(&command, WHO, |_| {}).await.unwrap();
    found.begin(&command, "command line").await.unwrap();
    assert!(!holding(&app, "quillfeather").is_empty(), "it stands in the log of the database");
    command.store.close().await;
    app.retention.remove_forgotten().await.unwrap();
    assert_eq!(holding(&app, "quillfeather"), [""; 0]);
}

#[tokio::test]
async fn while_google_can_not_be_reached_it_waits_and_the_server_goes_on_by_itself() {
    let app = TestApp::start_with_google().await;
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    app.deliver_all(&[of(event("e-1", "scheduled", "m-1", 5, 10), "quillfeather@example.org")]).await;
    app.settle().await;
    app.google().set_online(false);
    let command = app.installation().await;
    let found = Erasure::find(&command, WHO, |_| {}).await.unwrap();
    found.begin(&command, "command line").await.unwrap();
    app.mirror().await;
    assert_eq!(found.go_on(&command).await.unwrap()[0].events, 1);
    command.store.close().await;
    assert_eq!(app.meeting("m-1").await.forget_since, Some(app.now()));

    app.google().set_online(true);
    app.clock.advance(TimeDelta::hours(1));
    app.settle().await;
    app.retention.remove_forgotten().await.unwrap();
    assert!(app.mirrored(TEAM).is_empty());
    assert_eq!(holding(&app, "quillfeather"), [""; 0]);
}

#[tokio::test]
async fn what_was_written_into_a_calendar_that_was_removed_is_told_and_left_to_a_purge() {
    let app = TestApp::start_with_google().await;
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    app.deliver_all(&[of(event("e-1", "scheduled", "m-1", 5, 10), "quillfeather@example.org")]).await;
    app.settle().await;
    let calendar = app.store.calendars().await.unwrap().remove(0);
    app.store.end_calendar(&calendar, false, "test", app.now()).await.unwrap();
    let command = app.installation().await;
    let found = Erasure::find(&command, WHO, |_| {}).await.unwrap();
    assert!(found.events[0].removed && found.events[0].events == 1, "{found:?}");
    found.begin(&command, "command line").await.unwrap();
    assert_eq!(found.go_on(&command).await.unwrap(), []);
    assert!(found.finish(&command).await.unwrap());
    assert!(app.store.meeting("m-1").await.unwrap().is_none());
    assert_eq!(holding(&app, "quillfeather"), [""; 0]);
    command.store.close().await;
}
