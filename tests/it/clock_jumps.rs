//! A clock that is set back, or was far ahead for a while: nothing waits until it gets there again, nothing that was written
//! goes back in time, and nothing is lost for good.
//! Must not sleep: the clock is moved by hand.

use chrono::{DateTime, TimeDelta, Utc};
use meeting_mirror::health::condition::Condition;
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::simulated_google::Fault;
use meeting_mirror::store::{Alert, BackupMade, OnCancel, Store, day_of};
use serde_json::json;

use crate::support::{TEAM, TestApp, event, with};

/// Within every pause, beyond each, and beyond what a calendar waits to be checked.
const JUMPS: [TimeDelta; 3] = [TimeDelta::minutes(10), TimeDelta::hours(5), TimeDelta::days(20)];

/// What the mirror does at once, without moving the clock on.
async fn mirrored_at_once(app: &TestApp) -> Vec<String> {
    app.apply().await;
    app.mirror().await;
    app.mirrored(TEAM).into_iter().map(|(id, _)| id).collect()
}

/// With one meeting mirrored.
async fn app() -> TestApp {
    let app = TestApp::start_with_google().await;
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    app.deliver(&event("e-1", "scheduled", "m-1", 1, 9)).await;
    app.settle().await;
    app
}

#[tokio::test]
async fn work_that_was_put_off_before_the_clock_was_set_back_is_done_at_once() {
    for jump in JUMPS {
        for fault in [
            Fault::BackendError500,
            Fault::RateLimited429 { retry_after: Some(3600) },
            Fault::Forbidden { reason: "quotaExceeded" },
            Fault::NotFound404,
        ] {
            let app = app().await;
            app.clock.advance(jump);
            app.google().fail_next(fault);
            app.deliver(&event("e-2", "scheduled", "m-2", 2, 10)).await;
            assert_eq!(mirrored_at_once(&app).await, ["m-1"], "{fault:?}");
            app.clock.advance(-jump);
            assert_eq!(mirrored_at_once(&app).await, ["m-1", "m-2"], "{jump} back after {fault:?}");
        }
    }
}

#[tokio::test]
async fn what_arrived_while_the_clock_was_ahead_is_mirrored_when_it_is_right_again() {
    for jump in JUMPS {
        let app = app().await;
        app.clock.advance(jump);
        assert_eq!(app.mirror().await, 0);
        app.deliver(&event("e-2", "scheduled", "m-2", 2, 10)).await;
        app.apply().await;
        app.clock.advance(-jump);
        assert_eq!(mirrored_at_once(&app).await, ["m-1", "m-2"], "{jump}");
    }
}

#[tokio::test]
async fn work_that_came_while_the_clock_was_ahead_waits_since_it_is_right_again() {
    for jump in JUMPS {
        let app = app().await;
        app.clock.advance(jump);
        assert_eq!(app.mirror().await, 0);
        app.google().set_online(false);
        app.deliver(&event("e-2", "scheduled", "m-2", 2, 10)).await;
        app.apply().await;
        app.clock.advance(-jump);
        let now = app.now();
        assert_eq!(app.mirror().await, 1);
        app.clock.advance(TimeDelta::minutes(20));
        let counts = app.store.mirror_counts(app.now()).await.unwrap();
        assert_eq!(counts[0].waits_since, Some(now), "{jump}");
    }
}

#[tokio::test]
async fn a_server_that_is_started_after_the_clock_was_set_back_waits_no_longer_than_ever() {
    let app = app().await;
    app.clock.advance(TimeDelta::days(400));
    app.google().fail_next(Fault::Forbidden { reason: "quotaExceeded" });
    app.deliver(&event("e-2", "canceled", "m-1", 2, 9)).await;
    app.apply().await;
    app.mirror().await;
    app.clock.advance(-TimeDelta::days(400));
    let app = app.restart().await;
    assert_eq!(mirrored_at_once(&app).await, [""; 0]);
}

#[tokio::test]
async fn calendars_are_checked_again_after_the_clock_was_set_back() {
    let app = app().await;
    let checker = app.checker.as_ref().unwrap();
    app.clock.advance(TimeDelta::days(400));
    checker.check_due().await.unwrap();
    assert_eq!(checker.check_due().await.unwrap(), 0);
    app.clock.advance(-TimeDelta::days(400));
    let (_, first) = app.mirrored(TEAM).remove(0);
    app.google().delete_by_hand(TEAM, &first.id);
    assert_eq!(checker.check_due().await.unwrap(), 1, "what was found while it was ahead counts for then");
    app.settle().await;
    assert_eq!(app.mirrored(TEAM).len(), 1);
}

#[tokio::test]
async fn calendars_are_planned_every_hour_and_again_after_the_clock_was_set_back_or_a_plan_failed() {
    let app = app().await;
    let (mirror, mut planned_at) = (app.mirror.as_ref().unwrap(), None);
    let begin = app.now();
    let steps = [
        (TimeDelta::zero(), TimeDelta::zero(), "at the start"),
        (TimeDelta::minutes(59), TimeDelta::zero(), "not within the hour"),
        (TimeDelta::minutes(60), TimeDelta::minutes(60), "after an hour"),
        (TimeDelta::days(400), TimeDelta::days(400), "while the clock is ahead"),
        (TimeDelta::minutes(61), TimeDelta::minutes(61), "after it was set back"),
        (TimeDelta::minutes(60), TimeDelta::minutes(60), "even by a little"),
    ];
    for (after, planned_after, when) in steps {
        app.clock.advance(begin + after - app.now());
        mirror.plan_due(&mut planned_at).await.unwrap();
        assert_eq!(planned_at, Some(begin + planned_after), "{when}");
    }
    // A meeting comes into the window as it rolls on, once a plan is made.
    let far = with(event("e-2", "scheduled", "m-2", 2, 10), |data| {
        data["meetingStart"] = json!(app.now() + TimeDelta::days(365) + TimeDelta::minutes(30));
        data["meetingEnd"] = json!(app.now() + TimeDelta::days(366));
    });
    app.deliver(&far).await;
    app.settle().await;
    let waits = async || app.store.next_mirror_due().await.unwrap().is_some();
    app.clock.advance(TimeDelta::minutes(59));
    mirror.plan_due(&mut planned_at).await.unwrap();
    assert!(!waits().await);
    app.clock.advance(TimeDelta::minutes(1));
    mirror.plan_due(&mut planned_at).await.unwrap();
    assert!(waits().await);

    app.clock.advance(TimeDelta::hours(1));
    let before = planned_at;
    app.store.close().await;
    mirror.plan_due(&mut planned_at).await.unwrap_err();
    assert_eq!(planned_at, before, "it is still to be made");
}

#[tokio::test]
async fn a_feed_that_was_made_while_the_clock_was_ahead_is_made_anew() {
    let app = app().await;
    let feed = app.add_feed("Sales", Selection::default(), Detail::Full).await;
    app.clock.advance(TimeDelta::days(400));
    let ahead = app.feed_text(&feed).await;
    assert!(!ahead.contains("Demo m-1"), "by then it was long ago");
    let modified_ahead = modified(&app.store, feed.id).await;
    app.clock.advance(-TimeDelta::days(400));
    assert!(app.feed_text(&feed).await.contains("Demo m-1"));
    assert!(modified(&app.store, feed.id).await > modified_ahead, "Last-Modified only rises");
    let app = app.restart().await;
    assert!(app.feed_text(&feed).await.contains("Demo m-1"));
}

async fn modified(store: &Store, feed_id: i64) -> DateTime<Utc> {
    store.rendition(feed_id).await.unwrap().unwrap().last_modified_at
}

#[tokio::test]
async fn revisions_and_times_of_change_only_rise() {
    let app = app().await;
    let mut before = app.meeting("m-1").await;
    for (number, jump) in [400, -400, -3, 2, -800, 0].into_iter().enumerate() {
        app.clock.advance(TimeDelta::days(jump));
        let minute = i64::try_from(number).unwrap() + 10;
        let hour = 10 + u32::try_from(number).unwrap();
        app.deliver(&event(&format!("e-{minute}"), "rescheduled", "m-1", minute, hour)).await;
        app.settle().await;
        let after = app.meeting("m-1").await;
        assert_eq!(after.revision, before.revision + 1);
        assert!(after.last_modified_at > before.last_modified_at);
        before = after;
    }
    app.store.verify_audit(app.now()).await.unwrap();
}

#[tokio::test]
async fn a_session_from_far_ahead_ends_and_one_from_a_little_ahead_goes_on() {
    let app = TestApp::start().await;
    app.sign_in().await;
    app.clock.advance(-TimeDelta::minutes(10));
    app.page("/status").await;
    app.clock.advance(TimeDelta::days(400));
    app.sign_in().await;
    app.page("/status").await;
    app.clock.advance(-TimeDelta::days(400));
    let answer = app.http.get(app.url("/status")).send().await.unwrap();
    assert_eq!(answer.status(), 303, "it would last for more than a year");
    app.sign_in().await;
    app.page("/status").await;
}

#[tokio::test]
async fn a_silence_and_a_backup_that_is_overdue_are_found_after_the_clock_was_far_ahead() {
    let mut app = TestApp::start_with(|settings| {
        settings.alerts.alert_silence_hours = Some(24);
        settings.keeping.backup_dir = Some("/nowhere".into());
    })
    .await;
    app.deliver(&event("e-1", "scheduled", "m-1", 1, 9)).await;
    let last = app.now();
    app.clock.advance(TimeDelta::days(400));
    app.deliver(&event("e-2", "scheduled", "m-2", 2, 10)).await;
    let made = BackupMade { at: app.now(), file: "ahead.db".to_owned() };
    let mut tx = app.store.write().await.unwrap();
    tx.keep_scheduled_backup(&made).await.unwrap();
    tx.commit().await.unwrap();
    app.clock.advance(-TimeDelta::days(400));
    assert_eq!(app.metric("last_delivery_time_seconds").await, last.timestamp().to_string());
    let open = async |app: &TestApp| {
        app.watch(2).await;
        let open = app.store.open_alerts().await.unwrap();
        open.into_iter().map(|alert| alert.kind.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(open(&app).await, [""; 0]);
    app.clock.advance(TimeDelta::hours(26));
    assert_eq!(open(&app).await, ["backup", "silence"]);
    app.deliver(&event("e-3", "scheduled", "m-3", 3, 11)).await;
    let made = BackupMade { at: app.now(), file: "right.db".to_owned() };
    let mut tx = app.store.write().await.unwrap();
    tx.keep_scheduled_backup(&made).await.unwrap();
    tx.commit().await.unwrap();
    app.watch(2).await;
    assert_eq!(open(&app).await, [""; 0]);

    // What is usual does not count what lies ahead, either.
    app = app.restart_with(|settings| settings.alerts.alert_silence_hours = None).await;
    for number in 4..30 {
        app.clock.advance(TimeDelta::hours(10));
        app.deliver(&event(&format!("e-{number}"), "scheduled", "m-3", number, 11)).await;
    }
    app.clock.advance(TimeDelta::hours(30));
    assert!(open(&app).await.contains(&"silence"));
}

#[tokio::test]
async fn every_page_can_be_read_after_either_jump() {
    let app = app().await;
    let feed = app.add_feed("Sales", Selection::default(), Detail::Full).await;
    for jump in [400, -400, -400, 800, -400] {
        app.clock.advance(TimeDelta::days(jump));
        app.deliver(&event(&format!("e{jump}-{}", app.now()), "rescheduled", "m-1", jump, 9)).await;
        app.settle().await;
        app.feed_text(&feed).await;
        app.sign_in().await;
        for page in
            ["/status", "/meetings", "/meetings?view=week", "/meetings/m-1", "/inbox", "/calendars", "/feeds", "/audit"]
        {
            app.page(page).await;
        }
        for path in ["/readyz", "/metrics"] {
            assert_eq!(app.http.get(app.url(path)).send().await.unwrap().status(), 200, "{path}");
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_ahead_for_a_while_does_not_cost_the_audit_log() {
    let app = TestApp::start_with(|settings| settings.audit_log.audit_keep_days = Some(30)).await;
    let mut tx = app.store.write().await.unwrap();
    tx.append_admin_action("command line", "feed", "Added a feed".to_owned(), app.now()).await.unwrap();
    tx.commit().await.unwrap();
    let entries = async || app.store.verify_audit(app.now()).await.unwrap().entries;
    app.audit_keeper.run_due().await.unwrap();
    app.clock.advance(TimeDelta::days(400));
    assert!(app.audit_keeper.run_due().await.unwrap());
    assert_eq!(entries().await, 1, "one run with such a clock removes nothing");
    app.clock.advance(-TimeDelta::days(400));
    assert!(app.audit_keeper.run_due().await.unwrap());
    assert_eq!(entries().await, 1);
    // When it is really that late, it is removed all the same, a day later.
    app.clock.advance(TimeDelta::days(400));
    for removed in [false, true] {
        assert!(app.audit_keeper.run_due().await.unwrap());
        let first = app.store.audit_after(0, 10).await.unwrap()[0].seq;
        assert_eq!(first == 1, !removed);
        app.clock.advance(TimeDelta::days(1));
    }
}

#[tokio::test]
async fn a_clock_that_is_ahead_for_a_while_does_not_cost_the_bodies_of_deliveries() {
    let app = app().await;
    app.deliver(&event("e-1", "scheduled", "m-1", 0, 9)).await;
    app.apply().await;
    let is_kept = async || {
        let delivery = app.store.delivery("e-1").await.unwrap().unwrap();
        delivery.body_removed_at.is_none()
    };
    app.retention.run_due().await.unwrap();
    app.clock.advance(TimeDelta::days(400));
    assert!(app.retention.run_due().await.unwrap());
    assert!(is_kept().await, "one run with such a clock removes nothing");
    app.clock.advance(-TimeDelta::days(400));
    assert!(app.retention.run_due().await.unwrap());
    assert!(is_kept().await);
    // When it is really that late, they are removed all the same, a day later.
    app.clock.advance(TimeDelta::days(400));
    for kept in [true, false] {
        assert!(app.retention.run_due().await.unwrap());
        assert_eq!(is_kept().await, kept);
        app.clock.advance(TimeDelta::days(1));
    }
}

#[tokio::test]
async fn a_clock_that_is_ahead_for_a_while_costs_neither_who_fetched_feeds_nor_what_was_wrong() {
    let app = TestApp::start().await;
    let feed = app.add_feed("Sales", Selection::default(), Detail::Full).await;
    let begin = app.now();
    let fetched = async || {
        app.feed_text(&feed).await;
        app.feeds.flush().await;
    };
    fetched().await;
    let ended = Alert { ended_at: Some(begin), ..Alert::begins(Condition::database_fails(), begin) };
    let mut tx = app.store.write().await.unwrap();
    tx.keep_alert(&ended).await.unwrap();
    tx.commit().await.unwrap();
    let are_kept = async || {
        let readers = app.store.readers(&[feed.id], begin).await.unwrap();
        let counts = readers[&feed.id].iter().any(|reader| reader.days.contains_key(&day_of(begin)));
        let alerts = !app.store.latest_alerts(9).await.unwrap().is_empty();
        (counts, alerts)
    };
    app.retention.run_due().await.unwrap();
    app.clock.advance(TimeDelta::days(400));
    fetched().await;
    assert!(app.retention.run_due().await.unwrap());
    assert_eq!(are_kept().await, (true, true), "one run with such a clock removes nothing");
    app.clock.advance(-TimeDelta::days(400));
    assert!(app.retention.run_due().await.unwrap());
    assert_eq!(are_kept().await, (true, true));
    // When it is really that late, they are removed all the same, a day later.
    app.clock.advance(TimeDelta::days(400));
    for kept in [true, false] {
        assert!(app.retention.run_due().await.unwrap());
        assert_eq!(are_kept().await, (kept, kept));
        app.clock.advance(TimeDelta::days(1));
    }
}
