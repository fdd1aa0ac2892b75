//! What is asked of the mirror beside its work: plans of calendars, and that a meeting is mirrored again.

use chrono::TimeDelta;
use meeting_mirror::meeting::event::MeetingId;
use meeting_mirror::meeting::selection::Selection;
use meeting_mirror::simulated_google::Fault;
use meeting_mirror::simulated_google::Matcher;
use meeting_mirror::store::{NewCalendar, OnCancel, PausedFor, Presence, Store, Written};

use super::{live, row, start};
use crate::support::{TEAM, TestApp, event, wish};

async fn with_meetings(count: usize) -> TestApp {
    let app = TestApp::start_with_google().await;
    for number in 0..count {
        app.deliver(&event(&format!("e-{number}"), "scheduled", &format!("m-{number}"), 0, 9)).await;
    }
    app.apply().await;
    app
}

async fn to_plan(app: &TestApp) -> Vec<i64> {
    // By a program that was just started.
    let store = Store::open(app.store.path().parent().unwrap()).await.unwrap();
    store.calendars_to_plan().await.unwrap()
}

/// Rows that wait or are worked on again.
async fn due(app: &TestApp) -> i64 {
    app.store.mirror_counts(app.now()).await.unwrap().iter().map(|counts| counts.pending).sum()
}

#[tokio::test]
async fn adding_editing_and_resyncing_ask_for_a_plan_that_outlives_a_restart() {
    let app = with_meetings(1200).await;
    let mirror = app.mirror.as_ref().unwrap();
    assert_eq!(to_plan(&app).await, [0; 0]);
    let id = app.store.new_calendar(&wish(TEAM), "test", app.now()).await.unwrap();
    assert_eq!((to_plan(&app).await, due(&app).await), (vec![id], 0));
    mirror.plan_asked().await.unwrap();
    assert_eq!((to_plan(&app).await, due(&app).await), (vec![], 1200));
    assert_eq!(app.store.plan_calendar(id, app.now()).await.unwrap(), 0, "nothing is asked for twice");

    let mut tx = app.store.write().await.unwrap();
    for lease in tx.lease_mirror_work(2000, 1, TimeDelta::minutes(1), app.now()).await.unwrap() {
        let there = Written {
            presence: Presence::Present,
            generation: 0,
            sequence: 0,
            content_hash: Some(vec![1]),
            seen_hash: None,
        };
        tx.finish_mirror_work(&[(&lease, 0, &there)], app.now()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let calendar = app.store.calendars().await.unwrap().remove(0);
    app.store.resync_calendar(&calendar, "test", app.now()).await.unwrap();
    assert_eq!(to_plan(&app).await, [id]);
    mirror.plan_asked().await.unwrap();
    assert_eq!((to_plan(&app).await, due(&app).await), (vec![], 0), "what is there is not looked at again");

    let wider = NewCalendar { name: "Wider".into(), ..calendar.wish.clone() };
    app.store.change_calendar(&calendar, &wider, "test", app.now()).await.unwrap();
    assert_eq!((to_plan(&app).await, due(&app).await), (vec![id], 0));
    mirror.plan_asked().await.unwrap();
    assert_eq!((to_plan(&app).await, due(&app).await), (vec![], 1200), "after an edit it is");

    let calendar = app.store.calendars().await.unwrap().remove(0);
    app.store.resync_calendar(&calendar, "test", app.now()).await.unwrap();
    app.store.end_calendar(&calendar, false, "test", app.now()).await.unwrap();
    assert_eq!(to_plan(&app).await, [0; 0]);
    assert_eq!(app.store.plan_calendar(id, app.now()).await.unwrap(), 0);
    assert_eq!(due(&app).await, 0);
}

#[tokio::test]
async fn a_calendar_is_not_compared_before_its_plan_is_made() {
    let app = with_meetings(3).await;
    app.store.new_calendar(&wish(TEAM), "test", app.now()).await.unwrap();
    app.settle().await;
    assert_eq!(live(&app, TEAM).len(), 3);
    // As after an old backup was restored: without a plan, what is there would look like strays.
    let mut tx = app.store.write().await.unwrap();
    tx.forget_mirror(1, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    let calendar = app.store.calendars().await.unwrap().remove(0);
    app.store.resync_calendar(&calendar, "test", app.now()).await.unwrap();
    let checker = app.checker.as_ref().unwrap();
    assert_eq!(checker.check_due().await.unwrap(), 0);
    app.mirror.as_ref().unwrap().plan_asked().await.unwrap();
    assert_eq!(checker.check_due().await.unwrap(), 1);
    assert_eq!(live(&app, TEAM).len(), 3);
}

#[tokio::test]
async fn a_meeting_that_is_asked_for_again_while_it_is_worked_on_is_written_once_more() {
    let app = start(OnCancel::Delete).await;
    app.deliver(&event("e-1", "scheduled", "m-1", 0, 9)).await;
    app.settle().await;
    let again = async || {
        let mut tx = app.store.write().await.unwrap();
        assert_eq!(tx.mirror_again(&MeetingId::new("m-1"), app.now()).await.unwrap(), 1);
        tx.commit().await.unwrap();
    };
    again().await;
    let mut tx = app.store.write().await.unwrap();
    let lease = tx.lease_mirror_work(1, 7, TimeDelta::minutes(5), app.now()).await.unwrap().remove(0);
    tx.commit().await.unwrap();
    again().await;
    // The worker ends what it began: Google agrees, with the very content that is wanted.
    let body = Written { content_hash: Some(vec![1; 32]), presence: Presence::Present, ..lease.written.clone() };
    let mut tx = app.store.write().await.unwrap();
    assert_eq!(tx.finish_mirror_work(&[(&lease, 0, &body)], app.now()).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let after = row(&app, "m-1").await;
    assert_eq!((after.presence, after.due_at), (Presence::Present, Some(app.now())), "it stays due");
    let mut tx = app.store.write().await.unwrap();
    let next = tx.lease_mirror_work(1, 8, TimeDelta::minutes(5), app.now()).await.unwrap().remove(0);
    assert_eq!(next.written.content_hash, None, "nothing is known of what was written");
    tx.return_mirror_work(&next).await.unwrap();
    tx.commit().await.unwrap();
    app.google().clear_calls();
    app.settle().await;
    assert_eq!(app.google().call_count(), 1, "it is written although it has not changed");
    assert_eq!((row(&app, "m-1").await.due_at, live(&app, TEAM).len()), (None, 1));
}

#[tokio::test]
async fn why_a_calendar_is_held_back_is_written_down() {
    for (fault, why) in [
        (Fault::RateLimited429 { retry_after: Some(300) }, PausedFor::SlowDown),
        (Fault::Forbidden { reason: "userRateLimitExceeded" }, PausedFor::SlowDown),
        (Fault::Forbidden { reason: "quotaExceeded" }, PausedFor::Quota),
        (Fault::Forbidden { reason: "forbidden" }, PausedFor::Person),
    ] {
        let app = start(OnCancel::Delete).await;
        app.deliver(&event("e-1", "scheduled", "m-1", 0, 9)).await;
        app.apply().await;
        app.google().fail(Matcher::any(), fault, 1);
        app.mirror().await;
        let calendar = app.store.calendars().await.unwrap().remove(0);
        assert_eq!(calendar.paused_for, Some(why), "{fault:?}");
        assert!(calendar.paused_until.is_some_and(|until| until > app.now()));
        // A shorter pause changes neither.
        let mut tx = app.store.write().await.unwrap();
        tx.pause_calendar(calendar.id, app.now(), PausedFor::Purge, None, app.now()).await.unwrap();
        tx.commit().await.unwrap();
        let kept = app.store.calendars().await.unwrap().remove(0);
        assert_eq!((kept.paused_until, kept.paused_for), (calendar.paused_until, Some(why)));
        app.clock.advance(TimeDelta::hours(1));
        app.mirror().await;
        assert_eq!(app.store.calendars().await.unwrap().remove(0).paused_for, None, "{fault:?}");
    }
}

#[tokio::test]
async fn an_edit_of_many_meetings_holds_all_that_it_would_delete_at_once() {
    let app = with_meetings(60).await;
    app.store.new_calendar(&wish(TEAM), "test", app.now()).await.unwrap();
    app.settle().await;
    let calendar = app.store.calendars().await.unwrap().remove(0);
    let nobody = Selection { owners: vec!["nobody@example.com".into()], ..Selection::default() };
    let wish = NewCalendar { selection: nobody, ..calendar.wish.clone() };
    let held = app.store.change_calendar(&calendar, &wish, "test", app.now()).await.unwrap().unwrap();
    assert_eq!((held.deletions, held.mirrored), (60, 60));
    // Worked on by a worker that has not made the plan yet.
    app.settle().await;
    assert_eq!(live(&app, TEAM).len(), 60);
}
