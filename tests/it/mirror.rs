//! Meetings in Google Calendars, through google-calendar3 and yup-oauth2 over HTTP against the simulated Google: here the
//! life of an event when all goes well; what goes wrong is in the modules below.

mod asked;
mod faults;
mod limits;
mod manners;
mod problems;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use meeting_mirror::meeting::selection::{Detail, Selection, Window};
use meeting_mirror::outbound::google::{GoogleAccess, GoogleSettings};
use meeting_mirror::simulated_google::{Access, EventTime, SimulatedEvent};
use meeting_mirror::store::{MirrorRow, NewCalendar, OnCancel, Presence};
use serde_json::{Value, json};

use crate::support::{TEAM, TestApp, event, noon, wish, with};

/// The program with the calendar [`TEAM`] mirrored into, in full.
async fn start(on_cancel: OnCancel) -> TestApp {
    let app = TestApp::start_with_google().await;
    app.add_calendar(TEAM, Detail::Full, on_cancel).await;
    app
}

/// The same program, that gives up waiting for Google sooner.
async fn impatient(mut app: TestApp) -> TestApp {
    let settings = GoogleSettings {
        credentials: app.dir.path().join("google-key.json"),
        subject: None,
        api_url: Some(app.google().api_url()),
        call_within: Duration::from_millis(300),
    };
    let installation_id = app.site.installation_id.clone();
    let mirror = app.mirror.as_mut().unwrap();
    let limiter = mirror.google.limiter().clone();
    mirror.google = GoogleAccess::new(settings, limiter, installation_id).await.unwrap();
    app
}

/// Events that are not deleted.
fn live(app: &TestApp, calendar: &str) -> Vec<SimulatedEvent> {
    app.google().events(calendar).into_iter().filter(|event| !event.is_deleted()).collect()
}

/// The one live event of a meeting in [`TEAM`].
fn event_of(app: &TestApp, meeting: &str) -> SimulatedEvent {
    let is_its = |event: &SimulatedEvent| {
        event.private_properties.get("meetingMirrorMeeting").map(String::as_str) == Some(meeting)
    };
    let mut found: Vec<SimulatedEvent> = live(app, TEAM).into_iter().filter(is_its).collect();
    assert_eq!(found.len(), 1, "events of {meeting}: {found:?}");
    found.remove(0)
}

/// The work row of a meeting that is mirrored into one calendar.
async fn row(app: &TestApp, meeting: &str) -> MirrorRow {
    let mut rows = app.store.mirror_rows(meeting).await.unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

async fn deliver_and_settle(app: &TestApp, events: &[Value]) {
    app.deliver_all(events).await;
    app.settle().await;
}

fn at(text: &str) -> EventTime {
    EventTime::At(text.parse().unwrap())
}

/// A scheduled event of a meeting that begins at this time and lasts an hour.
fn beginning(event_id: &str, meeting: &str, start: DateTime<Utc>) -> Value {
    with(event(event_id, "scheduled", meeting, 0, 9), |data| {
        data["meetingStart"] = json!(start);
        data["meetingEnd"] = json!(start + TimeDelta::hours(1));
    })
}

#[tokio::test]
async fn a_meeting_is_created_moved_and_deleted() {
    let app = start(OnCancel::Delete).await;
    deliver_and_settle(&app, &[event("1", "scheduled", "m-1", 0, 9)]).await;
    let created = event_of(&app, "m-1");
    assert_eq!((created.start, created.end), (Some(at("2026-11-24T09:00:00Z")), Some(at("2026-11-24T09:30:00Z"))));
    assert_eq!((created.summary.as_deref(), created.location.as_deref()), (Some("Demo m-1"), Some("Room 1")));
    assert_eq!((created.status.as_str(), created.transparency.as_str()), ("confirmed", "opaque"));
    assert!(created.description.unwrap().contains("Invitee: Bo Guest <bo@example.org>"));
    deliver_and_settle(&app, &[event("2", "rescheduled", "m-1", 1, 15)]).await;
    let moved = event_of(&app, "m-1");
    assert_eq!((moved.id.as_str(), moved.start), (created.id.as_str(), Some(at("2026-11-24T15:00:00Z"))));
    let state = row(&app, "m-1").await;
    assert_eq!((state.presence, state.written_revision, state.due_at), (Presence::Present, Some(1), None));
    deliver_and_settle(&app, &[event("3", "canceled", "m-1", 2, 15)]).await;
    assert!(live(&app, TEAM).is_empty());
    let state = row(&app, "m-1").await;
    assert_eq!((state.presence, state.written_revision, state.due_at), (Presence::Absent, Some(2), None));
    assert_eq!(app.google().call_count(), 3);
}

#[tokio::test]
async fn a_canceled_meeting_can_be_marked_instead() {
    let app = start(OnCancel::Mark).await;
    deliver_and_settle(&app, &[event("1", "scheduled", "m-1", 0, 9)]).await;
    deliver_and_settle(&app, &[event("2", "canceled", "m-1", 1, 9)]).await;
    let marked = event_of(&app, "m-1");
    assert_eq!((marked.summary.as_deref(), marked.transparency.as_str()), (Some("Canceled: Demo m-1"), "transparent"));
    deliver_and_settle(&app, &[event("3", "rescheduled", "m-1", 2, 11)]).await;
    let back = event_of(&app, "m-1");
    assert_eq!((back.id, back.summary.as_deref()), (marked.id, Some("Demo m-1")));
    assert_eq!(back.transparency, "opaque");
    // What was canceled before it was ever shown is not put there to say so.
    let never_shown = [event("4", "scheduled", "m-2", 0, 9), event("5", "canceled", "m-2", 1, 9)];
    deliver_and_settle(&app, &never_shown).await;
    assert_eq!(live(&app, TEAM).len(), 1);
}

#[tokio::test]
async fn a_canceled_meeting_that_is_booked_again_is_brought_back() {
    let app = start(OnCancel::Delete).await;
    deliver_and_settle(&app, &[event("1", "scheduled", "m-1", 0, 9)]).await;
    let first = event_of(&app, "m-1");
    deliver_and_settle(&app, &[event("2", "canceled", "m-1", 1, 9)]).await;
    deliver_and_settle(&app, &[event("3", "rescheduled", "m-1", 2, 10)]).await;
    assert_eq!(event_of(&app, "m-1").id, first.id);

    app.google().refuse_revive(true);
    let mut ids = vec![first.id];
    for round in 1..=2_i64 {
        let minute = 10 * round;
        deliver_and_settle(&app, &[event(&format!("{round}-gone"), "canceled", "m-1", minute, 9)]).await;
        assert!(live(&app, TEAM).is_empty());
        deliver_and_settle(&app, &[event(&format!("{round}-back"), "rescheduled", "m-1", minute + 1, 11)]).await;
        let back = event_of(&app, "m-1");
        assert!(!ids.contains(&back.id), "Google takes no used id again");
        ids.push(back.id);
        assert_eq!(i64::from(row(&app, "m-1").await.generation), round);
    }
    assert!(app.store.calendars().await.unwrap()[0].problem.is_none());
}

#[tokio::test]
async fn an_event_deleted_by_hand_is_there_again_with_the_next_change() {
    for refuse_revive in [false, true] {
        let app = start(OnCancel::Delete).await;
        app.google().refuse_revive(refuse_revive);
        deliver_and_settle(&app, &[event("1", "scheduled", "m-1", 0, 9), event("2", "scheduled", "m-2", 0, 9)]).await;
        assert!(app.google().delete_by_hand(TEAM, &event_of(&app, "m-1").id));
        let purged = event_of(&app, "m-2").id;
        assert!(app.google().delete_by_hand(TEAM, &purged) && app.google().purge(TEAM, &purged));
        app.deliver_all(&[event("3", "rescheduled", "m-1", 1, 10), event("4", "rescheduled", "m-2", 1, 10)]).await;
        app.mirror().await;
        for meeting in ["m-1", "m-2"] {
            assert_eq!(
                event_of(&app, meeting).start,
                Some(at("2026-11-24T10:00:00Z")),
                "revive refused: {refuse_revive}"
            );
            assert!(row(&app, meeting).await.problem.is_none());
        }
        assert!(app.store.calendars().await.unwrap()[0].problem.is_none());
    }
}

#[tokio::test]
async fn what_was_deleted_by_hand_and_is_then_canceled_is_done() {
    let app = start(OnCancel::Delete).await;
    deliver_and_settle(&app, &[event("1", "scheduled", "m-1", 0, 9), event("2", "scheduled", "m-2", 0, 9)]).await;
    assert!(app.google().delete_by_hand(TEAM, &event_of(&app, "m-1").id));
    let purged = event_of(&app, "m-2").id;
    assert!(app.google().delete_by_hand(TEAM, &purged) && app.google().purge(TEAM, &purged));
    app.deliver_all(&[event("3", "canceled", "m-1", 1, 9), event("4", "canceled", "m-2", 1, 9)]).await;
    app.mirror().await;
    for meeting in ["m-1", "m-2"] {
        let row = row(&app, meeting).await;
        assert_eq!((row.presence, row.due_at, row.problem), (Presence::Absent, None, None), "{meeting}");
    }
}

#[tokio::test]
async fn a_replaced_booking_goes_and_the_new_one_comes() {
    for on_cancel in [OnCancel::Delete, OnCancel::Mark] {
        let app = start(on_cancel).await;
        deliver_and_settle(&app, &[event("1", "scheduled", "m-1", 0, 9)]).await;
        let claim = with(event("2", "rescheduled", "m-2", 1, 15), |data| {
            data["meetingInfo"]["existingEmailMeetingId"] = json!("mail-m-1");
        });
        deliver_and_settle(&app, &[claim, event("3", "canceled", "m-1", 2, 9)]).await;
        assert_eq!(live(&app, TEAM).len(), 1, "one meeting must not stand there twice");
        assert_eq!(event_of(&app, "m-2").start, Some(at("2026-11-24T15:00:00Z")));
    }
}

#[tokio::test]
async fn what_looks_the_same_sends_nothing() {
    let app = start(OnCancel::Delete).await;
    deliver_and_settle(&app, &[event("1", "scheduled", "m-1", 0, 9)]).await;
    app.google().clear_calls();
    let invisible = with(event("3", "rescheduled", "m-1", 2, 9), |data| data["emailMeetingId"] = json!("other"));
    deliver_and_settle(&app, &[event("2", "rescheduled", "m-1", 1, 9), event("2", "rescheduled", "m-1", 1, 9)]).await;
    deliver_and_settle(&app, &[invisible]).await;
    deliver_and_settle(&app, &[event("0", "scheduled", "m-1", -5, 20)]).await;
    app.clock.advance(TimeDelta::hours(5));
    app.settle().await;
    assert_eq!(app.google().calls(), []);
}

#[tokio::test]
async fn rapid_changes_become_one_call() {
    let app = start(OnCancel::Delete).await;
    let moves = |from: i64, to: i64| -> Vec<Value> {
        let hour = |minute: i64| 8 + u32::try_from(minute % 10).unwrap();
        (from..to).map(|at| event(&format!("evt-{at}"), "rescheduled", "m-1", at, hour(at))).collect()
    };
    deliver_and_settle(&app, &moves(0, 10)).await;
    assert_eq!(app.google().call_count(), 1);
    deliver_and_settle(&app, &moves(10, 16)).await;
    assert_eq!(app.google().call_count(), 2);
    assert_eq!(event_of(&app, "m-1").start, Some(at("2026-11-24T13:00:00Z")));
    deliver_and_settle(&app, &[event("x", "scheduled", "m-2", 0, 9), event("y", "canceled", "m-2", 1, 9)]).await;
    assert_eq!(app.google().call_count(), 2, "what came and went meanwhile was never there");
}

#[tokio::test]
async fn a_meeting_that_leaves_the_selection_leaves_the_calendar() {
    let app = TestApp::start_with_google().await;
    let owners = Selection { owners: vec!["ADA@example.com".into()], ..Selection::default() };
    app.mirror_into(&NewCalendar { selection: owners, ..wish(TEAM) }).await;
    let other = |event| with(event, |data| data["meetingOwner"]["username"] = json!("cy@example.com"));
    deliver_and_settle(&app, &[event("1", "scheduled", "m-1", 0, 9), other(event("2", "scheduled", "m-2", 0, 9))])
        .await;
    assert_eq!(live(&app, TEAM).len(), 1);
    deliver_and_settle(&app, &[other(event("3", "rescheduled", "m-1", 1, 9)), event("4", "rescheduled", "m-2", 1, 9)])
        .await;
    assert_eq!(live(&app, TEAM).len(), 1);
    assert_eq!(event_of(&app, "m-2").summary.as_deref(), Some("Demo m-2"));
}

#[tokio::test]
async fn calendars_added_later_are_filled_and_each_shows_its_own_detail() {
    let app = start(OnCancel::Delete).await;
    deliver_and_settle(&app, &[event("1", "scheduled", "m-1", 0, 9)]).await;
    app.google().add_calendar("public", "Public", Access::Writer);
    app.add_calendar("public", Detail::Busy, OnCancel::Mark).await;
    app.settle().await;
    assert_eq!(live(&app, "public")[0].summary.as_deref(), Some("Busy"));
    assert_eq!(event_of(&app, "m-1").summary.as_deref(), Some("Demo m-1"));
    assert_eq!(app.google().call_count(), 2);
}

#[tokio::test]
async fn past_meetings_stay_and_far_ones_come_when_their_time_is_near() {
    let app = TestApp::start_with_google().await;
    app.mirror_into(&NewCalendar { window: Window { past_days: 7, future_days: 30 }, ..wish(TEAM) }).await;
    let in_days = |days| noon() + TimeDelta::days(days);
    deliver_and_settle(
        &app,
        &[
            beginning("1", "long-past", in_days(-9)),
            beginning("2", "past", in_days(-3)),
            beginning("3", "near", in_days(20)),
            beginning("4", "far", in_days(40)),
        ],
    )
    .await;
    let shown = |app: &TestApp| -> Vec<String> {
        let mut starts: Vec<_> = live(app, TEAM).iter().map(|event| event.summary.clone().unwrap()).collect();
        starts.sort();
        starts
    };
    assert_eq!(shown(&app), ["Demo near", "Demo past"]);
    app.google().clear_calls();
    app.clock.advance(TimeDelta::days(11));
    app.settle().await;
    assert_eq!(shown(&app), ["Demo far", "Demo near", "Demo past"], "a day ends and the window rolls on");
    assert_eq!(app.google().call_count(), 1, "what passed out of the window is not touched");
    app.clock.advance(TimeDelta::days(60));
    app.settle().await;
    assert_eq!((shown(&app).len(), app.google().call_count()), (3, 1));
    // A late word about a past meeting corrects what is there, and brings nothing that was never there.
    let late = |event_id: &str, meeting: &str, days: i64| {
        with(beginning(event_id, meeting, in_days(days)), |data| data["meetingInfo"]["meetingName"] = json!("Late"))
    };
    let mut words = [late("7", "near", 20), late("8", "long-past", -9)];
    for word in &mut words {
        word["eventTimestamp"] = json!(noon() + TimeDelta::minutes(5));
    }
    deliver_and_settle(&app, &words).await;
    assert_eq!(shown(&app), ["Demo far", "Demo past", "Late"]);

    // Moved beyond the window and back into it as time goes by.
    deliver_and_settle(&app, &[beginning("5", "rolling", in_days(80))]).await;
    let moved = with(event("6", "rescheduled", "rolling", 1, 9), |data| {
        data["meetingStart"] = json!(in_days(120));
        data["meetingEnd"] = json!(in_days(121));
    });
    deliver_and_settle(&app, &[moved]).await;
    assert_eq!(shown(&app).len(), 3);
    app.clock.advance(TimeDelta::days(25));
    app.settle().await;
    assert_eq!(event_of(&app, "rolling").start, Some(EventTime::At(in_days(120))));
}
