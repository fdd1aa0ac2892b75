//! Faults of Google that pass: whatever the fault, at whatever step and how often, the calendar ends as wanted, with no
//! event twice; a lost answer, a crash and a lease that ran out are faults of that kind.

use std::time::Duration;

use chrono::TimeDelta;
use meeting_mirror::meeting::entry::Entry;
use meeting_mirror::meeting::event::MeetingId;
use meeting_mirror::meeting::selection::Detail;
use meeting_mirror::outbound::event_body::EventBody;
use meeting_mirror::outbound::event_body::event_id;
use meeting_mirror::simulated_google::{ApiMethod, Fault, Matcher, TokenFault};
use meeting_mirror::store::{Lease, MirrorRow, OnCancel, Presence, ProblemKind, Written};
use serde_json::Value;

use super::{at, deliver_and_settle, event_of, impatient, live, row, start};
use crate::support::{TEAM, TestApp, event, noon};

/// Faults that pass by themselves, some of them only when they strike once per call.
const PASSING: [Fault; 15] = [
    Fault::RateLimited429 { retry_after: None },
    Fault::RateLimited429 { retry_after: Some(7) },
    Fault::Forbidden { reason: "rateLimitExceeded" },
    Fault::Forbidden { reason: "userRateLimitExceeded" },
    Fault::Forbidden { reason: "quotaExceeded" },
    Fault::Unauthorized401,
    Fault::BackendError500,
    Fault::BadGateway502Html,
    Fault::Unavailable503Html,
    Fault::LostAnswer,
    Fault::ResetBefore,
    Fault::PreconditionFailed412,
    Fault::Conflict409,
    Fault::Gone410,
    Fault::Forbidden { reason: "forbidden" },
];

/// Takes a lease like a worker that then dies.
async fn lease(app: &TestApp) -> Lease {
    let mut tx = app.store.write().await.unwrap();
    let mut leases = tx.lease_mirror_work(1, 4711, TimeDelta::minutes(5), app.now()).await.unwrap();
    tx.commit().await.unwrap();
    leases.remove(0)
}

/// Whether a row is at rest and nothing is wrong with it.
fn in_step(row: &MirrorRow) -> bool {
    row.due_at.is_none() && row.problem.is_none() && row.attempts == 0
}

#[tokio::test]
async fn every_passing_fault_at_every_step_ends_as_wanted() {
    for fault in PASSING {
        let app = start(OnCancel::Delete).await;
        let steps: [(&str, u32, Value, &[&str]); 5] = [
            ("create", 3, event("1", "scheduled", "m-1", 0, 9), &["Demo m-1"]),
            ("create another", 1, event("2", "scheduled", "m-2", 0, 9), &["Demo m-1", "Demo m-2"]),
            ("move", 1, event("3", "rescheduled", "m-1", 1, 15), &["Demo m-1", "Demo m-2"]),
            ("cancel", 3, event("4", "canceled", "m-1", 2, 15), &["Demo m-2"]),
            ("book again", 2, event("5", "rescheduled", "m-1", 3, 16), &["Demo m-1", "Demo m-2"]),
        ];
        for (step, times, event, expected) in steps {
            // That an event is gone already is believed: then there is nothing to delete.
            if (step, fault) != ("cancel", Fault::Gone410) {
                app.google().fail(Matcher::any(), fault, times);
            }
            deliver_and_settle(&app, &[event]).await;
            assert_eq!(app.google().faults_left(), 0, "{fault:?} was not played at: {step}");
            let mut shown: Vec<_> = live(&app, TEAM).into_iter().filter_map(|event| event.summary).collect();
            shown.sort();
            assert_eq!(shown, expected, "{fault:?} at: {step}");
            assert!(in_step(&row(&app, "m-1").await), "{fault:?} at: {step}");
        }
        assert_eq!(event_of(&app, "m-1").start, Some(at("2026-11-24T16:00:00Z")), "{fault:?}");
        assert!(app.store.calendars().await.unwrap()[0].problem.is_none(), "{fault:?}");
    }
}

#[tokio::test]
async fn through_chaos_every_meeting_ends_as_it_should() {
    let app = start(OnCancel::Delete).await;
    app.google().chaos(11, 0.4);
    for round in 0..3_i64 {
        for number in 0..12 {
            let kind = if (number + round) % 4 == 3 { "canceled" } else { "rescheduled" };
            let hour = 8 + u32::try_from((number * 5 + round * 3) % 12).unwrap();
            let (id, meeting) = (format!("evt-{round}-{number}"), format!("m-{number}"));
            app.deliver(&event(&id, kind, &meeting, round, hour)).await;
        }
        app.settle().await;
    }
    let confirmed = app.store.meeting_counts().await.unwrap()[0];
    assert_eq!(live(&app, TEAM).len(), usize::try_from(confirmed).unwrap());
    for number in 0..12 {
        let meeting = app.meeting(&format!("m-{number}")).await;
        assert!(in_step(&row(&app, meeting.id.as_str()).await));
        if meeting.is_confirmed() {
            let shown = event_of(&app, meeting.id.as_str());
            assert_eq!(shown.start.unwrap().instant(), meeting.details.starts_at);
        }
    }
    let faults = app.google().calls().iter().filter(|call| call.fault.is_some()).count();
    assert!(faults > 10, "{faults}");
    assert!(app.google().calls().iter().all(|call| call.authorization));
}

#[tokio::test]
async fn retry_after_is_kept_to() {
    let app = start(OnCancel::Delete).await;
    app.google().fail_next(Fault::RateLimited429 { retry_after: Some(90) });
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    app.mirror().await;
    let due = app.store.next_mirror_due().await.unwrap().unwrap();
    assert!(due >= noon() + TimeDelta::seconds(90) && due < noon() + TimeDelta::seconds(92), "{due}");
    // The whole calendar waits: what comes meanwhile is not tried either.
    app.deliver_all(&[event("2", "scheduled", "m-2", 0, 9)]).await;
    app.clock.advance(TimeDelta::seconds(89));
    app.mirror().await;
    assert_eq!(app.google().call_count(), 1);
    app.clock.advance(TimeDelta::seconds(3));
    app.mirror().await;
    assert_eq!(live(&app, TEAM).len(), 2);
}

#[tokio::test]
async fn a_pause_that_google_asked_for_is_not_cut_short_by_other_answers() {
    let app = start(OnCancel::Delete).await;
    let meeting = |number: i64| event(&format!("evt-{number}"), "scheduled", &format!("m-{number}"), 0, 9);
    app.google().fail_next(Fault::RateLimited429 { retry_after: None });
    app.deliver_all(&[meeting(0)]).await;
    app.mirror().await;
    app.clock.advance(TimeDelta::seconds(10));
    // Calls under way at one time: a long pause is asked for, a short one, and two succeed.
    app.google().fail_next(Fault::RateLimited429 { retry_after: Some(120) });
    app.google().fail_next(Fault::RateLimited429 { retry_after: None });
    app.deliver_all(&[meeting(1), meeting(2), meeting(3)]).await;
    app.mirror().await;
    assert_eq!((app.google().call_count(), live(&app, TEAM).len()), (5, 2));
    app.clock.advance(TimeDelta::seconds(119));
    app.mirror().await;
    assert_eq!(app.google().call_count(), 5);
    app.clock.advance(TimeDelta::seconds(3));
    app.mirror().await;
    assert_eq!(live(&app, TEAM).len(), 4);
    assert_eq!(app.store.calendars().await.unwrap()[0].paused_until, None);
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_event() {
    let app = start(OnCancel::Delete).await;
    app.google().fail_next(Fault::LostAnswer);
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    app.mirror().await;
    assert_eq!(live(&app, TEAM).len(), 1, "it was written, but we were not told");
    assert_eq!(row(&app, "m-1").await.presence, Presence::Unknown);
    // Meanwhile it moves, then it is canceled while its fate is unknown.
    deliver_and_settle(&app, &[event("2", "rescheduled", "m-1", 1, 15)]).await;
    assert_eq!(event_of(&app, "m-1").start, Some(at("2026-11-24T15:00:00Z")));
    app.google().fail_next(Fault::LostAnswer);
    app.deliver_all(&[event("3", "scheduled", "m-2", 0, 9)]).await;
    app.mirror().await;
    deliver_and_settle(&app, &[event("4", "canceled", "m-2", 1, 9)]).await;
    assert_eq!(live(&app, TEAM).len(), 1);
    assert_eq!(app.google().events(TEAM).len(), 2, "no other id was ever used");
}

#[tokio::test]
async fn a_slow_answer_counts_as_lost() {
    let app = impatient(start(OnCancel::Delete).await).await;
    app.google().fail(Matcher::method(ApiMethod::EventsInsert), Fault::Slow(Duration::from_mins(10)), 1);
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    app.mirror().await;
    let (text, kind, _) = row(&app, "m-1").await.problem.unwrap();
    assert_eq!((text.as_str(), kind), ("Google did not answer in time", ProblemKind::Retry));
    app.settle().await;
    assert_eq!(event_of(&app, "m-1").status, "confirmed");

    app.google().revoke_tokens();
    app.google().fail_token(TokenFault::Slow(Duration::from_mins(10)), 1);
    deliver_and_settle(&app, &[event("2", "rescheduled", "m-1", 1, 15)]).await;
    assert_eq!(app.google().faults_left(), 0);
    assert_eq!(event_of(&app, "m-1").start, Some(at("2026-11-24T15:00:00Z")));
}

#[tokio::test]
async fn while_google_is_away_work_waits_and_is_done_afterwards() {
    let app = start(OnCancel::Delete).await;
    app.google().set_online(false);
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9), event("2", "scheduled", "m-2", 0, 9)]).await;
    for _ in 0..5 {
        app.mirror().await;
        app.clock.advance(TimeDelta::seconds(65));
    }
    let (_, kind, _) = row(&app, "m-1").await.problem.unwrap();
    assert_eq!(kind, ProblemKind::Retry);
    app.deliver_all(&[event("3", "canceled", "m-2", 1, 9)]).await;
    app.google().set_online(true);
    app.settle().await;
    assert_eq!(event_of(&app, "m-1").status, "confirmed");
    assert_eq!(live(&app, TEAM).len(), 1);
}

#[tokio::test]
async fn the_work_of_a_worker_that_died_is_taken_up_when_its_lease_runs_out() {
    let app = start(OnCancel::Delete).await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    let dead = lease(&app).await;
    app.clock.advance(TimeDelta::seconds(299));
    assert_eq!(app.mirror().await, 0, "another one holds it");
    assert_eq!(app.store.next_mirror_due().await.unwrap(), Some(noon() + TimeDelta::minutes(5)));
    app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(app.mirror().await, 1);
    let done = row(&app, "m-1").await;
    assert!(in_step(&done) && done.presence == Presence::Present);

    // The dead one was only slow: what it wants to record is void.
    let lie = Written { presence: Presence::Absent, generation: 9, sequence: 9, content_hash: None, seen_hash: None };
    let mut tx = app.store.write().await.unwrap();
    assert_eq!(tx.finish_mirror_work(&[(&dead, 0, &lie)], app.now()).await.unwrap(), 0);
    let failure = ("too late", ProblemKind::Retry);
    assert!(!tx.fail_mirror_work(&dead, &lie, failure, Some(app.now()), app.now()).await.unwrap());
    tx.return_mirror_work(&dead).await.unwrap();
    tx.commit().await.unwrap();
    let after = row(&app, "m-1").await;
    assert_eq!((after.presence, after.generation), (Presence::Present, 0));
    assert!(in_step(&after));
}

/// A worker leases the row of `m-1`, has Google make the event, and dies before that is recorded. Returns the event's id.
async fn dies_after_insert(app: &TestApp) -> String {
    lease(app).await;
    let mirror = app.mirror.as_ref().unwrap();
    let meeting = app.meeting("m-1").await;
    let body = EventBody::new(&Entry::of(&meeting, Detail::Full), meeting.revision);
    let id = event_id(&app.site.installation_id, &MeetingId::new("m-1"), 0);
    mirror.google.current().await.0.insert(TEAM, &id, &meeting.id, &body).await.unwrap();
    id
}

#[tokio::test]
async fn after_a_restart_nothing_waits_for_the_leases_of_the_one_before() {
    let app = start(OnCancel::Delete).await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    let id = dies_after_insert(&app).await;
    let app = app.restart().await;
    assert_eq!(app.mirror().await, 1, "at once");
    assert_eq!(event_of(&app, "m-1").id, id);
    assert!(in_step(&row(&app, "m-1").await));
}

#[tokio::test]
async fn a_meeting_canceled_after_the_worker_died_leaves_nothing_behind() {
    let cases = [(true, OnCancel::Delete), (false, OnCancel::Delete), (true, OnCancel::Mark), (false, OnCancel::Mark)];
    for (restart, on_cancel) in cases {
        let mut app = start(on_cancel).await;
        app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
        dies_after_insert(&app).await;
        if restart {
            app = app.restart().await;
        }
        deliver_and_settle(&app, &[event("2", "canceled", "m-1", 1, 9)]).await;
        assert_eq!(live(&app, TEAM), [], "restarted: {restart}");
        let row = row(&app, "m-1").await;
        assert!(in_step(&row) && row.presence == Presence::Absent);
    }
}

#[tokio::test]
async fn a_change_during_the_call_is_written_next() {
    let app = start(OnCancel::Delete).await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    let held = lease(&app).await;
    app.deliver_all(&[event("2", "rescheduled", "m-1", 1, 15)]).await;
    // The call that was under way wrote revision 0.
    let written = Written {
        presence: Presence::Present,
        generation: 0,
        sequence: 0,
        content_hash: Some(vec![1; 32]),
        seen_hash: None,
    };
    let mut tx = app.store.write().await.unwrap();
    assert_eq!(tx.finish_mirror_work(&[(&held, 0, &written)], app.now()).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert!(row(&app, "m-1").await.due_at.is_some());
    app.settle().await;
    assert_eq!(event_of(&app, "m-1").start, Some(at("2026-11-24T15:00:00Z")));
}
