//! What is wrong, from the tables and settings in which it shows to the message that tells it.
//! Must not test when a message is sent: `alerts` does.

use chrono::TimeDelta;
use meeting_mirror::meeting::event::MeetingId;
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::outbound::jobs::Jobs;
use meeting_mirror::simulated_google::{Access, Fault, Matcher};
use meeting_mirror::store::{Calendar, JobKind, OnCancel};
use regex::Regex;
use serde_json::Value;

use crate::alerts::{PATH, telling};
use crate::receiver::Receiver;
use crate::support::{TEAM, TestApp, event};

/// Each message that came since this was last asked: "state kind" and what it says.
fn told(receiver: &mut Receiver) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let bodies = receiver.requests().into_iter().map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
    bodies.map(|body| (format!("{} {}", text(&body["state"]), text(&body["kind"])), text(&body["summary"]))).collect()
}

/// One delivery every ten hours for more than eight days.
async fn deliver_for_days(app: &TestApp) {
    for number in 0..25 {
        app.deliver(&event(&format!("usual-{number}"), "scheduled", "usual", number, 9)).await;
        app.clock.advance(TimeDelta::hours(10));
    }
    app.apply().await;
}

/// An entry of the audit log that is not as it was written.
async fn tamper_with_audit(app: &TestApp) {
    let mut tx = app.store.write().await.unwrap();
    tx.append_admin_action("command line", "feed", "Added a feed".to_owned(), app.now()).await.unwrap();
    tx.commit().await.unwrap();
    app.sql("DROP TRIGGER audit_no_update; UPDATE audit SET summary = 'nothing' WHERE seq = 1").await;
    app.audit_keeper.run_once().await.unwrap();
}

/// A feed of one more than it holds.
async fn overfill_a_feed(app: &TestApp) {
    let mut meeting = app.meeting("usual").await;
    let mut tx = app.store.write().await.unwrap();
    for number in 0..1000 {
        meeting.id = MeetingId::new(format!("many-{number}"));
        tx.save_meeting(&meeting).await.unwrap();
    }
    tx.commit().await.unwrap();
    let feed = app.add_feed("All", Selection::default(), Detail::Busy).await;
    app.feed_text(&feed).await;
}

#[tokio::test]
async fn each_is_found_in_the_tables_and_told_in_words() {
    let mut receiver = Receiver::start(PATH, []).await;
    let url = receiver.url();
    let app = TestApp::start_with(|settings| {
        telling(url)(settings);
        // Less than all of it is always free.
        settings.alerts.alert_disk_free_percent = 101;
    })
    .await;
    deliver_for_days(&app).await;
    tamper_with_audit(&app).await;
    overfill_a_feed(&app).await;
    app.clock.advance(TimeDelta::hours(2));
    assert_eq!(app.watch(2).await, 4);
    let expected = [
        ("begun audit-log", "^The audit log is not as it was written: .*\\b1\\b.*\\.$"),
        ("begun disk", r"^The disk that holds the database is nearly full: [0-9.]+ [kMGTP]B \([0-9]+ %\) are free\.$"),
        (
            "begun silence",
            "^No delivery has come for 12 hours; in the four weeks before the longest pause was 11 hours\\.$",
        ),
        ("begun feed-too-large", "^1 feed is too large: meetings are left out\\.$"),
    ];
    let mut messages = told(&mut receiver);
    for (kind, words) in expected {
        let place = messages.iter().position(|(found, _)| found == kind);
        let (_, text) = messages.remove(place.unwrap_or_else(|| panic!("{kind}: {messages:?}")));
        assert!(Regex::new(words).unwrap().is_match(&text), "{text}");
    }

    // The silence ends with the next delivery. The outage that it was does not become usual.
    app.deliver(&event("again", "rescheduled", "usual", 100, 9)).await;
    app.watch(3).await;
    assert_eq!(told(&mut receiver).into_iter().map(|(what, _)| what).collect::<Vec<_>>(), ["ended silence"]);
    app.clock.advance(TimeDelta::hours(12));
    app.watch(3).await;
    let again = told(&mut receiver);
    assert!(again[0].1.ends_with("the longest pause was 11 hours."), "{again:?}");
}

#[tokio::test]
async fn what_waits_for_a_person_in_a_calendar_is_told() {
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with_google_and(telling(receiver.url())).await;
    let id = app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    for number in 0..25 {
        app.deliver(&event(&format!("e-{number}"), "scheduled", &format!("m-{number}"), 1, 9)).await;
    }
    app.settle().await;
    assert_eq!(app.watch(3).await, 0, "all is well");

    app.google().fail(Matcher::calendar(TEAM), Fault::BadRequest400, 1);
    app.deliver(&event("e-25", "scheduled", "m-25", 1, 9)).await;
    app.settle().await;
    app.watch(3).await;
    let refused = format!("Google refuses 1 meeting in “{TEAM}”.");
    assert_eq!(told(&mut receiver), [("begun refused-meetings".to_owned(), refused)]);

    // While that lasts, what else begins is told, too.
    let calendar = app.store.calendar(&id.to_string()).await.unwrap().unwrap();
    let mut wish = calendar.wish.clone();
    wish.selection.owners = vec!["nobody@example.com".into()];
    app.store.change_calendar(&calendar, &wish, "test", app.now()).await.unwrap();
    app.watch(3).await;
    // What Google refused is not there.
    let waits = format!("25 deletions in “{TEAM}” wait for approval.");
    assert_eq!(told(&mut receiver), [("begun approval".to_owned(), waits)]);
    let held = app.store.held_changes().await.unwrap().remove(0);
    app.store.decide(&held, false, "test", app.now()).await.unwrap();
    app.watch(3).await;
    assert_eq!(told(&mut receiver)[0].0, "ended approval");
}

#[tokio::test]
async fn while_the_server_is_down_nothing_becomes_usual() {
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with(telling(receiver.url())).await;
    deliver_for_days(&app).await;
    app.audit_keeper.run_once().await.unwrap();
    let app = app.restart().await;
    app.clock.advance(TimeDelta::days(5));
    // Twice is told once.
    let app = app.restart().await.restart().await;
    app.deliver(&event("again", "rescheduled", "usual", 100, 9)).await;
    app.watch(3).await;
    app.sign_in().await;
    let page = app.page("/alerts").await;
    assert_eq!(
        page.matches("The server did not run for at least 3 days, so no delivery could come.").count(),
        1,
        "{page}"
    );
    app.clock.advance(TimeDelta::hours(12));
    app.watch(3).await;
    let silence = "No delivery has come for 12 hours; in the four weeks before the longest pause was 11 hours.";
    assert_eq!(told(&mut receiver), [("begun silence".to_owned(), silence.to_owned())]);
}

async fn the_calendar(app: &TestApp) -> Calendar {
    app.store.calendars().await.unwrap().remove(0)
}

#[tokio::test]
async fn a_calendar_that_can_not_be_compared_needs_a_person_until_it_can() {
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with_google_and(telling(receiver.url())).await;
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    app.deliver(&event("e-1", "scheduled", "m-1", 1, 9)).await;
    app.settle().await;
    app.check_calendars().await;
    app.sign_in().await;
    assert!(app.page("/status").await.contains("Everything is in step"));

    // No meeting is due there.
    app.google().set_access(TEAM, Access::NotShared);
    app.check_calendars().await;
    app.watch(3).await;
    assert_eq!(told(&mut receiver), [("begun calendar".to_owned(), format!("Calendar “{TEAM}” needs a person."))]);
    for page in ["/status", "/calendars"] {
        let page = app.page(page).await;
        assert!(page.contains("Needs a person") && page.contains("Google knows no calendar"), "{page}");
        assert!(!page.contains("Everything is in step"), "{page}");
    }
    assert!(app.page("/metrics").await.contains("calendar_problem{calendar=\"1\"} 1\n"));

    // Neither a fault that passes nor a write that fails and then succeeds says that it is over, or begins it anew.
    app.google().set_online(false);
    app.check_calendars().await;
    app.google().set_online(true);
    app.deliver(&event("e-2", "scheduled", "m-2", 1, 9)).await;
    app.apply().await;
    app.mirror().await;
    assert!(the_calendar(&app).await.problem.is_some());
    app.watch(3).await;
    app.google().set_access(TEAM, Access::Writer);
    app.settle().await;
    assert!(the_calendar(&app).await.problem.is_none());
    app.watch(3).await;
    assert_eq!(told(&mut receiver), []);
    app.check_calendars().await;
    app.watch(3).await;
    assert_eq!(told(&mut receiver)[0].0, "ended calendar");
    assert!(app.page("/metrics").await.contains("calendar_problem{calendar=\"1\"} 0\n"));

    // Checked by hand and found well, it is compared at once.
    app.google().set_access(TEAM, Access::NotShared);
    app.check_calendars().await;
    app.google().set_access(TEAM, Access::Writer);
    app.store.ask_job(&the_calendar(&app).await, JobKind::Check, "test", app.now()).await.unwrap();
    Jobs { mirror: app.mirror.clone().unwrap() }.work_once().await.unwrap();
    assert_eq!(app.checker.as_ref().unwrap().check_due().await.unwrap(), 1);
    assert_eq!(the_calendar(&app).await.needs_person(), None);
}

#[tokio::test]
async fn a_calendar_that_can_not_be_read_is_told_and_holds_up_no_other() {
    let other = "other@group.calendar.example.com";
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with_google_and(telling(receiver.url())).await;
    app.google().add_calendar(other, "Other", Access::Writer);
    for calendar in [TEAM, other] {
        app.add_calendar(calendar, Detail::Full, OnCancel::Delete).await;
    }
    app.deliver(&event("e-1", "scheduled", "m-1", 1, 9)).await;
    app.deliver(&event("e-2", "scheduled", "m-2", 1, 9)).await;
    app.settle().await;
    app.sql("UPDATE calendars SET selection = 'no JSON' WHERE id = 1").await;
    app.deliver(&event("e-3", "canceled", "m-1", 2, 9)).await;
    app.deliver(&event("e-4", "scheduled", "m-3", 2, 9)).await;
    app.apply().await;
    app.mirror().await;
    let there = |calendar| app.mirrored(calendar).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!((there(TEAM), there(other)), (vec!["m-1".into(), "m-2".into()], vec!["m-2".into(), "m-3".into()]));
    app.watch(3).await;
    assert_eq!(told(&mut receiver), [("begun calendar".to_owned(), format!("Calendar “{TEAM}” needs a person."))]);
    app.sign_in().await;
    for page in ["/status", "/calendars", "/meetings/m-3"] {
        let page = app.page(page).await;
        assert!(page.contains("can't be read") || page.contains("can&#39;t be read"), "{page}");
    }
    assert!(app.page("/metrics").await.contains("calendar_problem{calendar=\"1\"} 1\n"));

    // Mended, it gets what came meanwhile.
    app.sql("UPDATE calendars SET selection = (SELECT selection FROM calendars WHERE id = 2) WHERE id = 1").await;
    app.clock.advance(TimeDelta::minutes(15));
    app.settle().await;
    assert_eq!(there(TEAM), ["m-2", "m-3"]);
    app.watch(3).await;
    assert_eq!(told(&mut receiver)[0].0, "ended calendar");
}

#[tokio::test]
async fn a_row_that_can_not_be_read_is_not_told_as_refused_deliveries() {
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with(telling(receiver.url())).await;
    app.audit_keeper.run_once().await.unwrap();
    app.sql("UPDATE installation SET value = 'no JSON' WHERE name = 'audit_verified'").await;
    app.watch(3).await;
    let unread =
        "Something in the database can't be read, so what else is wrong can't be told. The server's log names it.";
    assert_eq!(told(&mut receiver), [("begun database".to_owned(), unread.to_owned())]);
}
