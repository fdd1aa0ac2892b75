//! What somebody changes by hand in a mirrored calendar is found and put right, or only reported; what is not ours is never
//! touched, and many deletions at once wait for an admin.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::TimeDelta;
use meeting_mirror::lifecycle::Pulses;
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::simulated_google::{Access, Fault};
use meeting_mirror::store::{Calendar, HeldReason, NewCalendar, OnCancel, OnDrift};
use tokio_util::sync::CancellationToken;

use crate::support::{TEAM, TestApp, event, noon};

async fn app_with(meetings: usize) -> (TestApp, Calendar) {
    let app = TestApp::start_with_google().await;
    let id = app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    for number in 0..meetings {
        let mut envelope = event(&format!("e-{number:03}"), "scheduled", &format!("m-{number:03}"), 1, 9);
        let owner = if number % 2 == 0 { "ada@example.com" } else { "bo@example.com" };
        envelope["data"]["meetingOwner"]["username"] = owner.into();
        app.deliver(&envelope).await;
    }
    app.settle().await;
    let calendar = app.store.calendar(&id.to_string()).await.unwrap().unwrap();
    (app, calendar)
}

async fn edit(app: &TestApp, change: impl FnOnce(&mut NewCalendar)) {
    let calendar = app.store.calendars().await.unwrap().remove(0);
    let mut wish = calendar.wish.clone();
    change(&mut wish);
    app.store.change_calendar(&calendar, &wish, "test", app.now()).await.unwrap();
    app.settle().await;
}

fn only_ada(wish: &mut NewCalendar) {
    wish.selection = Selection { owners: vec!["Ada@Example.com".into()], ..Selection::default() };
}

#[tokio::test]
async fn deleted_and_edited_events_are_put_right_and_it_is_recorded() {
    let (app, calendar) = app_with(4).await;
    let google = app.google.as_ref().unwrap();
    let foreign = google.insert_foreign_event(TEAM, "Lunch", noon(), noon() + TimeDelta::hours(1)).unwrap();
    let before = app.mirrored(TEAM);
    google.delete_by_hand(TEAM, &before[0].1.id);
    google.edit_by_hand(TEAM, &before[1].1.id, |event| event["summary"] = "Surprise".into());
    google.clear_calls();

    app.check_calendars().await;
    let after = app.mirrored(TEAM);
    let shown = |events: &[(String, meeting_mirror::simulated_google::SimulatedEvent)]| {
        events.iter().map(|(id, event)| (id.clone(), event.summary.clone(), event.start)).collect::<Vec<_>>()
    };
    assert_eq!(shown(&after), shown(&before));
    assert!(!google.event(TEAM, &foreign).unwrap().is_deleted());
    assert!(google.calls().iter().all(|call| call.event.as_deref() != Some(&foreign)));
    let check = app.store.latest_check(calendar.id).await.unwrap().unwrap();
    assert_eq!((check.listed, check.missing, check.edited, check.unwanted), (3, 1, 1, 0));
    assert_eq!(check.outcome, "2 differences to be put right");

    google.clear_calls();
    app.check_calendars().await;
    assert_eq!(google.call_count(), 1, "a calendar in step costs one listing");
    let check = app.store.latest_check(calendar.id).await.unwrap().unwrap();
    assert_eq!((check.listed, check.outcome.as_str()), (4, "as it should be"));
}

#[tokio::test]
async fn a_copy_that_a_person_made_of_an_event_is_theirs() {
    let (app, calendar) = app_with(1).await;
    let google = app.google();
    let copy = google.insert_foreign_event(TEAM, "Demo, once more", noon(), noon() + TimeDelta::hours(1)).unwrap();
    let marks = app.mirrored(TEAM)[0].1.raw["extendedProperties"].clone();
    google.edit_by_hand(TEAM, &copy, |event| event["extendedProperties"] = marks);

    app.check_calendars().await;
    let check = app.store.latest_check(calendar.id).await.unwrap().unwrap();
    assert_eq!((check.listed, check.outcome.as_str()), (1, "as it should be"));
    assert!(!google.event(TEAM, &copy).unwrap().is_deleted());
}

#[tokio::test]
async fn with_report_differences_are_told_and_left_alone() {
    let (app, calendar) = app_with(2).await;
    edit(&app, |wish| wish.on_drift = OnDrift::Report).await;
    let google = app.google.as_ref().unwrap();
    let id = app.mirrored(TEAM)[0].1.id.clone();
    google.edit_by_hand(TEAM, &id, |event| event["summary"] = "Mine now".into());
    app.check_calendars().await;
    assert_eq!(google.event(TEAM, &id).unwrap().summary.as_deref(), Some("Mine now"));
    let check = app.store.latest_check(calendar.id).await.unwrap().unwrap();
    assert_eq!((check.edited, check.outcome.as_str()), (1, "1 difference left alone"));
}

#[tokio::test]
async fn a_long_check_and_a_long_batch_tell_that_they_go_on() {
    let (app, _) = app_with(3).await;
    let pulses = Pulses::new(app.clock.clone());
    let (mut checker, mut mirror) = (app.checker.clone().unwrap(), app.mirror.clone().unwrap());
    mirror.pulse = pulses.begin("mirror", Duration::from_mins(20));
    checker.mirror.pulse = pulses.begin("calendar checks", Duration::from_mins(20));
    app.deliver_all(&[event("e-9", "scheduled", "m-9", 1, 9)]).await;
    app.clock.advance(TimeDelta::hours(1));
    let stuck = || pulses.ages().iter().filter(|age| age.is_stuck()).map(|age| age.worker).collect::<Vec<_>>();
    assert_eq!(stuck(), ["mirror", "calendar checks"]);
    assert_eq!(mirror.work_once(&CancellationToken::new()).await.unwrap(), 1);
    assert_eq!(stuck(), ["calendar checks"], "a row was worked on");
    assert_eq!(checker.check_due().await.unwrap(), 1);
    assert_eq!(stuck(), [""; 0], "a page was listed");
    app.clock.advance(TimeDelta::hours(1));
    mirror.plan().await.unwrap();
    assert_eq!(stuck(), ["calendar checks"], "a calendar was planned");
}

#[tokio::test]
async fn checks_come_by_themselves_on_schedule_and_a_failed_one_comes_again() {
    let (app, calendar) = app_with(1).await;
    let checker = app.checker.as_ref().unwrap();
    app.clock.advance(TimeDelta::minutes(15));
    assert_eq!(checker.check_due().await.unwrap(), 1);
    assert_eq!(checker.check_due().await.unwrap(), 0);
    app.clock.advance(TimeDelta::hours(6));
    let google = app.google.as_ref().unwrap();
    google.set_access(TEAM, Access::NotShared);
    assert_eq!(checker.check_due().await.unwrap(), 1);
    let check = app.store.latest_check(calendar.id).await.unwrap().unwrap();
    assert!(
        check.outcome.starts_with("not checked before a person acts: Google knows no calendar"),
        "{}",
        check.outcome
    );
    google.set_access(TEAM, Access::Writer);
    app.clock.advance(TimeDelta::minutes(15));
    assert_eq!(checker.check_due().await.unwrap(), 1);
    assert_eq!(app.store.latest_check(calendar.id).await.unwrap().unwrap().outcome, "as it should be");
    assert_eq!(app.mirrored(TEAM).len(), 1, "an unreachable calendar deletes nothing");
}

#[tokio::test]
async fn an_edit_that_deletes_many_waits_and_can_be_rejected_or_approved() {
    let (app, calendar) = app_with(50).await;
    assert_eq!(app.mirrored(TEAM).len(), 50);
    edit(&app, only_ada).await;
    assert_eq!(app.mirrored(TEAM).len(), 50, "nothing goes before somebody approves");
    let held = app.store.held_changes().await.unwrap().remove(0);
    assert_eq!((held.reason, held.deletions, held.mirrored), (HeldReason::Selection, 25, 50));
    assert_eq!(app.store.held_meetings(calendar.id, 100).await.unwrap().len(), 25);

    // A held meeting that moves is moved; one that is canceled by its own event goes.
    let mut moved = event("e-moved", "rescheduled", "m-001", 5, 16);
    moved["data"]["meetingOwner"]["username"] = "bo@example.com".into();
    app.deliver(&moved).await;
    app.deliver(&event("e-canceled", "canceled", "m-003", 5, 9)).await;
    app.settle().await;
    let now = app.mirrored(TEAM);
    assert_eq!(now.len(), 49);
    let moved = &now.iter().find(|(id, _)| id == "m-001").unwrap().1;
    assert_eq!(moved.start.unwrap().instant().to_rfc3339(), "2026-11-24T16:00:00+00:00");

    app.store.decide(&held, false, "test", app.now()).await.unwrap();
    app.settle().await;
    assert_eq!(app.mirrored(TEAM).len(), 49);
    assert_eq!(app.store.calendars().await.unwrap()[0].wish.selection, Selection::default());
    assert!(app.store.held_changes().await.unwrap().is_empty());

    edit(&app, only_ada).await;
    let held = app.store.held_changes().await.unwrap().remove(0);
    app.store.decide(&held, true, "test", app.now()).await.unwrap();
    app.settle().await;
    assert_eq!(app.mirrored(TEAM).len(), 25);
}

#[tokio::test]
async fn a_small_edit_is_carried_out_at_once_and_back_again() {
    let (app, _) = app_with(10).await;
    edit(&app, only_ada).await;
    assert_eq!(app.mirrored(TEAM).len(), 5);
    edit(&app, |wish| wish.selection = Selection::default()).await;
    assert_eq!(app.mirrored(TEAM).len(), 10);
    edit(&app, |wish| wish.detail = Detail::Busy).await;
    assert!(app.mirrored(TEAM).iter().all(|(_, event)| event.summary.as_deref() == Some("Busy")));
    edit(&app, |wish| wish.window.future_days = 0).await;
    assert!(app.mirrored(TEAM).is_empty());
}

#[tokio::test]
async fn strays_are_removed_and_many_of_them_wait() {
    for (strays, waits) in [(3, false), (30, true)] {
        let (app, calendar) = app_with(strays).await;
        // The database forgets what it wrote: as after restoring an old backup.
        let mut tx = app.store.write().await.unwrap();
        tx.forget_mirror(calendar.id, app.now()).await.unwrap();
        tx.commit().await.unwrap();
        edit(&app, |wish| wish.selection.owners = vec!["nobody@example.com".into()]).await;
        app.check_calendars().await;
        assert_eq!(app.mirrored(TEAM).len(), if waits { strays } else { 0 });
        if waits {
            app.check_calendars().await;
            let held = app.store.held_changes().await.unwrap();
            assert_eq!((held.len(), held[0].reason, held[0].deletions), (1, HeldReason::Strays, 30));
            app.store.decide(&held[0], true, "test", app.now()).await.unwrap();
            app.check_calendars().await;
            assert!(app.mirrored(TEAM).is_empty());
        }
    }
}

#[tokio::test]
async fn a_stray_that_a_row_knows_before_it_is_deleted_stays() {
    let (app, calendar) = app_with(2).await;
    let mut tx = app.store.write().await.unwrap();
    tx.forget_mirror(calendar.id, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    // Now m-000 is known again, and m-001 is a stray.
    edit(&app, only_ada).await;
    let [(_, missing), (_, stray)] = &app.mirrored(TEAM)[..] else { panic!("two events are there") };
    app.google().delete_by_hand(TEAM, &missing.id);
    let mut tx = app.store.write().await.unwrap();
    tx.check_calendar_at(calendar.id, app.now()).await.unwrap();
    tx.commit().await.unwrap();

    // What is missing is to be written down before strays are deleted, and the database can't be written yet.
    let mut tx = app.store.write().await.unwrap();
    let mut check = std::pin::pin!(app.checker.as_ref().unwrap().check_due());
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut check).await.is_err(), "it waits");
    tx.want(&app.meeting("m-001").await, calendar.id, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(check.await.unwrap(), 1);
    assert!(!app.google().event(TEAM, &stray.id).unwrap().is_deleted());
    let check = app.store.latest_check(calendar.id).await.unwrap().unwrap();
    assert_eq!(check.outcome, "1 difference to be put right");
}

#[tokio::test]
async fn a_meeting_that_leaves_the_window_stays_at_google() {
    let (app, _) = app_with(2).await;
    app.clock.advance(TimeDelta::days(200));
    app.settle().await;
    app.check_calendars().await;
    assert_eq!(app.mirrored(TEAM).len(), 2);
}

#[tokio::test]
async fn two_thousand_meetings_are_mirrored_soonest_first_inside_the_limits() {
    let app = TestApp::start_with_google_and(|settings| {
        settings.google_rate = NonZeroU32::new(8).unwrap();
        settings.google_calendar_rate = NonZeroU32::new(4).unwrap();
    })
    .await;
    let google = app.google.as_ref().unwrap();
    let other = "other@group.calendar.example.com";
    google.add_calendar(other, "Other", Access::Writer);
    app.add_calendar(TEAM, Detail::Title, OnCancel::Delete).await;
    app.add_calendar(other, Detail::Busy, OnCancel::Delete).await;
    for number in 0..1000 {
        let mut envelope = event(&format!("e-{number}"), "scheduled", &format!("m-{number}"), 1, 9);
        let starts = noon() + TimeDelta::hours(1 + (number * 7) % 1000);
        envelope["data"]["meetingStart"] = starts.to_rfc3339().into();
        envelope["data"]["meetingEnd"] = (starts + TimeDelta::minutes(30)).to_rfc3339().into();
        app.deliver(&envelope).await;
    }
    let begun = app.now();
    app.settle().await;
    assert_eq!(app.mirrored(TEAM).len() + app.mirrored(other).len(), 2000);
    let seconds = (app.now() - begun).num_seconds();
    // 1,000 calls into each calendar at 4 a second.
    assert!((249..=320).contains(&seconds), "{seconds} s");
    let written: Vec<_> = google.calls().into_iter().filter_map(|call| call.event).collect();
    let ours = app.mirrored(TEAM);
    let starts: Vec<_> = written
        .iter()
        .filter_map(|id| {
            ours.iter().find(|(_, event)| event.id == *id).map(|(_, event)| event.start.unwrap().instant())
        })
        .collect();
    // Batches of 16, four calls at a time: an event is never more than a batch out of its turn.
    assert!(starts.windows(40).all(|window| window[0] < window[39]), "not soonest first");
}

#[tokio::test]
async fn a_quota_that_is_used_up_holds_every_calendar_and_a_throttled_one_only_itself() {
    let (app, _) = app_with(1).await;
    let google = app.google.as_ref().unwrap();
    let other = "other@group.calendar.example.com";
    google.add_calendar(other, "Other", Access::Writer);
    app.add_calendar(other, Detail::Full, OnCancel::Delete).await;
    app.settle().await;
    for (hour, fault, held) in [
        (15, Fault::Forbidden { reason: "quotaExceeded" }, 2),
        (16, Fault::Forbidden { reason: "userRateLimitExceeded" }, 1),
    ] {
        google.fail_next(fault);
        app.deliver(&event(&format!("e-{hour}"), "rescheduled", "m-000", hour.into(), hour)).await;
        app.apply().await;
        app.mirror().await;
        let paused = app.store.calendars().await.unwrap().iter().filter(|c| c.paused_until > Some(app.now())).count();
        assert_eq!(paused, held);
        app.settle().await;
    }
    assert_eq!((app.mirrored(TEAM).len(), app.mirrored(other).len()), (1, 1));
}
