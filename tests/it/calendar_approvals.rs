//! What waits for an admin waits: whatever else happens to the calendar meanwhile, whatever was approved before, and however
//! the events came to be unwanted. And what an admin changes while Google is being asked is not lost.

use chrono::TimeDelta;
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::simulated_google::{ApiMethod, Fault, Matcher};
use meeting_mirror::store::{HeldReason, NewCalendar, OnCancel, OnDrift, Presence, Written};

use crate::support::{TEAM, TestApp, event};

async fn app_with(meetings: usize, on_cancel: OnCancel) -> (TestApp, i64) {
    let app = TestApp::start_with_google().await;
    let id = app.add_calendar(TEAM, Detail::Full, on_cancel).await;
    for number in 0..meetings {
        app.deliver(&event(&format!("e-{number:03}"), "scheduled", &format!("m-{number:03}"), 1, 9)).await;
    }
    app.settle().await;
    (app, id)
}

async fn edit(app: &TestApp, change: impl FnOnce(&mut NewCalendar)) {
    let calendar = app.store.calendars().await.unwrap().remove(0);
    let mut wish = calendar.wish.clone();
    change(&mut wish);
    app.store.change_calendar(&calendar, &wish, "test", app.now()).await.unwrap();
    app.mirror.as_ref().unwrap().plan_asked().await.unwrap();
}

fn nobody(wish: &mut NewCalendar) {
    wish.selection.owners = vec!["nobody@example.com".into()];
}

/// The database forgets what it wrote, as after an old backup was restored.
async fn forget(app: &TestApp, calendar_id: i64) {
    let mut tx = app.store.write().await.unwrap();
    tx.forget_mirror(calendar_id, app.now()).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_edit_during_a_call_is_not_lost() {
    let (app, _) = app_with(1, OnCancel::Delete).await;
    app.deliver(&event("e-moved", "rescheduled", "m-000", 2, 10)).await;
    app.apply().await;
    let mut tx = app.store.write().await.unwrap();
    let lease = tx.lease_mirror_work(10, 77, TimeDelta::minutes(5), app.now()).await.unwrap().remove(0);
    tx.commit().await.unwrap();
    edit(&app, |wish| wish.detail = Detail::Busy).await;
    let hash = Some(vec![1; 32]);
    let written = Written {
        presence: Presence::Present,
        generation: 0,
        sequence: 5,
        content_hash: hash.clone(),
        seen_hash: hash,
    };
    let mut tx = app.store.write().await.unwrap();
    assert_eq!(tx.finish_mirror_work(&[(&lease, 2, &written)], app.now()).await.unwrap(), 1);
    tx.commit().await.unwrap();
    app.settle().await;
    assert_eq!(app.mirrored(TEAM)[0].1.summary.as_deref(), Some("Busy"));
}

#[tokio::test]
async fn ending_the_marks_of_many_canceled_meetings_waits() {
    let (app, _) = app_with(30, OnCancel::Mark).await;
    for number in 0..30 {
        app.deliver(&event(&format!("c-{number:03}"), "canceled", &format!("m-{number:03}"), 5, 9)).await;
    }
    app.settle().await;
    edit(&app, |wish| wish.on_cancel = OnCancel::Delete).await;
    app.settle().await;
    assert_eq!(app.mirrored(TEAM).len(), 30);
    let held = app.store.held_changes().await.unwrap().remove(0);
    assert!(app.store.decide(&held, true, "test", app.now()).await.unwrap());
    app.settle().await;
    assert!(app.mirrored(TEAM).is_empty());
    assert!(!app.store.decide(&held, false, "test", app.now()).await.unwrap(), "decided once");
}

#[tokio::test]
async fn an_approval_is_good_for_its_own_events_once() {
    let (app, id) = app_with(30, OnCancel::Delete).await;
    for round in 0..2 {
        forget(&app, id).await;
        edit(&app, nobody).await;
        app.check_calendars().await;
        assert_eq!(app.mirrored(TEAM).len(), 30, "round {round}");
        let held = app.store.held_changes().await.unwrap().remove(0);
        assert_eq!((held.reason, held.event_ids.len()), (HeldReason::Strays, 30));
        app.store.decide(&held, true, "test", app.now()).await.unwrap();
        app.check_calendars().await;
        assert!(app.mirrored(TEAM).is_empty());
        edit(&app, |wish| wish.selection = Selection::default()).await;
        app.settle().await;
        assert_eq!(app.mirrored(TEAM).len(), 30);
    }
}

#[tokio::test]
async fn rejecting_strays_leaves_them_and_releases_no_edit() {
    let (app, id) = app_with(60, OnCancel::Delete).await;
    forget(&app, id).await;
    edit(&app, nobody).await;
    app.check_calendars().await;
    edit(&app, |wish| wish.selection = Selection::default()).await;
    app.settle().await;
    edit(&app, nobody).await;
    let open = app.store.held_changes().await.unwrap();
    assert_eq!(
        open.iter().map(|change| change.reason).collect::<Vec<_>>(),
        [HeldReason::Strays, HeldReason::Selection]
    );
    app.store.decide(&open[0], false, "test", app.now()).await.unwrap();
    app.check_calendars().await;
    assert_eq!(app.mirrored(TEAM).len(), 60);
    assert_eq!(app.store.held_changes().await.unwrap().len(), 1, "the edit still waits");
}

#[tokio::test]
async fn events_that_rows_call_absent_wait_too_when_they_are_many() {
    let (app, _) = app_with(50, OnCancel::Delete).await;
    edit(&app, nobody).await;
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", app.store.path().display())).await.unwrap();
    for sql in [
        "UPDATE mirror SET held = 0, due_at = NULL, presence = 'absent', content_hash = NULL",
        "UPDATE held_changes SET decided_at = 1, decision = 'approved'",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    app.check_calendars().await;
    assert_eq!(app.mirrored(TEAM).len(), 50);
    let held = app.store.held_changes().await.unwrap().remove(0);
    app.store.decide(&held, true, "test", app.now()).await.unwrap();
    app.check_calendars().await;
    assert!(app.mirrored(TEAM).is_empty());
}

#[tokio::test]
async fn what_should_not_be_there_goes_even_where_changes_by_hand_are_only_reported() {
    let (app, id) = app_with(3, OnCancel::Delete).await;
    forget(&app, id).await;
    edit(&app, |wish| wish.on_drift = OnDrift::Report).await;
    edit(&app, nobody).await;
    app.settle().await;
    app.check_calendars().await;
    assert!(app.mirrored(TEAM).is_empty());
}

#[tokio::test]
async fn one_wrong_answer_or_a_stripped_mark_makes_no_second_event() {
    let (app, _) = app_with(1, OnCancel::Delete).await;
    let google = app.google.as_ref().unwrap();
    let id = app.mirrored(TEAM)[0].1.id.clone();
    google.edit_by_hand(TEAM, &id, |event| event["sequence"] = 9.into());
    google.fail(Matcher::method(ApiMethod::EventsGet), Fault::NotFound404, 1);
    app.deliver(&event("e-moved", "rescheduled", "m-000", 2, 10)).await;
    app.settle().await;
    assert_eq!(app.mirrored(TEAM).len(), 1);

    google.edit_by_hand(TEAM, &id, |event| {
        event.as_object_mut().unwrap().remove("extendedProperties");
    });
    app.check_calendars().await;
    let live: Vec<_> = google.events(TEAM).into_iter().filter(|event| !event.is_deleted()).collect();
    assert_eq!((live.len(), app.mirrored(TEAM).len()), (1, 1), "marked again, and not twice");
}

#[tokio::test]
async fn of_two_edits_at_once_the_second_does_not_take_back_the_first() {
    let (app, _) = app_with(1, OnCancel::Delete).await;
    let seen = app.store.calendars().await.unwrap().remove(0);
    edit(&app, |wish| wish.detail = Detail::Busy).await;
    let mut wish = seen.wish.clone();
    wish.window.past_days = 7;
    let refused = app.store.change_calendar(&seen, &wish, "test", app.now()).await.unwrap_err();
    assert!(refused.to_string().contains("changed at the same moment"), "{refused}");
    let now = app.store.calendars().await.unwrap().remove(0);
    assert_eq!((now.wish.detail, now.wish.window.past_days), (Detail::Busy, 30));
}
