//! Faults of Google that do not pass by themselves: each is shown where a person looks for it, with what to do, and holds
//! up nothing but what it must.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::Duration;

use chrono::TimeDelta;
use meeting_mirror::meeting::event::MeetingId;
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::outbound::event_body::event_id;
use meeting_mirror::outbound::mirror::CONCURRENCY;
use meeting_mirror::simulated_google::{Access, CLIENT_EMAIL, Fault, Matcher, TokenFault};
use meeting_mirror::store::{Calendar, NewCalendar, OnCancel, Presence, ProblemKind};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{at, beginning, deliver_and_settle, event_of, impatient, live, row, start};
use crate::support::{TEAM, TestApp, event, noon, wish, with};

async fn calendar(app: &TestApp, name: &str) -> Calendar {
    app.store.calendar(name).await.unwrap().unwrap()
}

/// The calendar's problem, which must be a text for people.
async fn calendar_problem(app: &TestApp, name: &str) -> String {
    let problem = calendar(app, name).await.problem.unwrap_or_else(|| panic!("{name} has no problem"));
    assert!(problem.contains(CLIENT_EMAIL), "whom to share with: {problem}");
    assert!(problem.chars().count() < 600 && !problem.contains("Error {"), "{problem}");
    problem
}

/// Scheduled events of this many meetings.
fn meetings(count: usize) -> Vec<Value> {
    (0..count).map(|number| event(&format!("new-{number}"), "scheduled", &format!("m-{number}"), 0, 9)).collect()
}

#[tokio::test]
async fn a_calendar_that_is_not_shared_says_with_whom_to_share_it_and_goes_on_when_it_is() {
    for (access, words) in [(Access::NotShared, "knows no calendar"), (Access::Reader, "may not change")] {
        let app = start(OnCancel::Delete).await;
        app.google().set_access(TEAM, access);
        app.deliver_all(&meetings(2)).await;
        app.mirror().await;
        let problem = calendar_problem(&app, TEAM).await;
        for word in [words, TEAM, "Make changes to events"] {
            assert!(problem.contains(word), "{word} in {problem}");
        }
        let (text, kind, since) = row(&app, "m-0").await.problem.unwrap();
        assert_eq!((text, kind, since), (problem, ProblemKind::Person, app.now()));
        let first_told = calendar(&app, TEAM).await.problem_at;
        app.clock.advance(TimeDelta::minutes(16));
        app.mirror().await;
        assert_eq!(calendar(&app, TEAM).await.problem_at, first_told, "since when it is so");
        app.google().set_access(TEAM, Access::Writer);
        app.settle().await;
        assert_eq!(live(&app, TEAM).len(), 2);
        let calendar = calendar(&app, TEAM).await;
        assert_eq!((calendar.problem, calendar.problem_at, calendar.paused_until), (None, None, None));
    }
}

#[tokio::test]
async fn a_calendar_shared_no_more_does_not_count_as_emptied() {
    let app = start(OnCancel::Delete).await;
    deliver_and_settle(&app, &meetings(2)).await;
    app.google().set_access(TEAM, Access::NotShared);
    app.deliver_all(&[event("x", "canceled", "m-0", 1, 9), event("y", "rescheduled", "m-1", 1, 15)]).await;
    app.mirror().await;
    app.clock.advance(TimeDelta::minutes(16));
    app.mirror().await;
    for meeting in ["m-0", "m-1"] {
        let row = row(&app, meeting).await;
        assert_eq!((row.presence, row.generation), (Presence::Present, 0), "{meeting}");
        assert!(row.due_at.is_some() && row.problem.is_some());
    }
    app.google().set_access(TEAM, Access::Writer);
    app.settle().await;
    assert_eq!(live(&app, TEAM).len(), 1);
    assert_eq!(event_of(&app, "m-1").start, Some(at("2026-11-24T15:00:00Z")));
}

#[tokio::test]
async fn a_refused_key_is_a_case_for_a_person() {
    let app = start(OnCancel::Delete).await;
    app.google().fail_token(TokenFault::InvalidGrant, 1);
    app.deliver_all(&meetings(1)).await;
    app.mirror().await;
    let problem = calendar_problem(&app, TEAM).await;
    assert!(problem.contains("credentials") && problem.contains("--google-credentials"), "{problem}");
    assert_eq!(row(&app, "m-0").await.problem.unwrap().1, ProblemKind::Person);
    assert_eq!(app.google().call_count(), 0);
    app.settle().await;
    assert_eq!((live(&app, TEAM).len(), calendar(&app, TEAM).await.problem), (1, None));
}

#[tokio::test]
async fn what_is_not_set_up_with_google_is_told_exactly() {
    let forbidden = |reason| Fault::Forbidden { reason };
    let scope = "https://www.googleapis.com/auth/calendar.events";
    let cases: [(Option<Fault>, &[&str]); 3] = [
        (Some(forbidden("accessNotConfigured")), &["Google Cloud console", "Google Calendar API", "Enable"]),
        (Some(forbidden("insufficientPermissions")), &["does not cover", "meeting-mirror google login", scope]),
        (None, &["Security → API controls → Domain-wide delegation", "client id", scope]),
    ];
    for (fault, words) in cases {
        let app = start(OnCancel::Delete).await;
        match fault {
            Some(fault) => app.google().fail(Matcher::any(), fault, 1),
            None => app.google().fail_token(TokenFault::UnauthorizedClient, 1),
        }
        app.deliver_all(&meetings(1)).await;
        app.mirror().await;
        let problem = calendar_problem(&app, TEAM).await;
        for word in words {
            assert!(problem.contains(word), "{word} in {problem}");
        }
        assert!(!problem.contains("Share with"), "sharing is not what is wrong: {problem}");
        assert_eq!(row(&app, "m-0").await.problem.unwrap().1, ProblemKind::Person);
        app.settle().await;
        assert_eq!((live(&app, TEAM).len(), calendar(&app, TEAM).await.problem), (1, None));
    }
}

#[tokio::test]
async fn a_token_refused_again_is_renewed_once_and_then_told_to_a_person() {
    let app = start(OnCancel::Delete).await;
    app.google().fail(Matcher::any(), Fault::Unauthorized401, 2);
    app.deliver_all(&meetings(1)).await;
    app.mirror().await;
    assert_eq!((app.google().call_count(), app.google().token_requests().len()), (2, 2));
    calendar_problem(&app, TEAM).await;
    app.settle().await;
    assert_eq!((live(&app, TEAM).len(), calendar(&app, TEAM).await.problem), (1, None));
}

#[tokio::test]
async fn an_event_that_google_refuses_is_shown_and_left_alone_until_it_changes() {
    let app = start(OnCancel::Delete).await;
    let id = event_id(&app.site.installation_id, &MeetingId::new("m-1"), 0);
    app.google().fail(Matcher::any().and_event(id), Fault::BadRequest400, 2);
    app.deliver_all(&meetings(30)).await;
    app.mirror().await;
    assert_eq!(live(&app, TEAM).len(), 29, "the others are there at once");
    let refused = row(&app, "m-1").await;
    let (text, kind, _) = refused.problem.unwrap();
    assert_eq!((kind, refused.due_at), (ProblemKind::Rejected, None));
    assert!(text.starts_with("Google answered 400 invalid"), "{text}");
    assert!(calendar(&app, TEAM).await.problem.is_none(), "nothing is wrong with the calendar");
    let counts = &app.store.mirror_counts(app.now()).await.unwrap()[0];
    assert_eq!((counts.rejected, counts.in_step), (1, 29));

    app.google().clear_calls();
    app.clock.advance(TimeDelta::days(1));
    app.settle().await;
    assert_eq!(app.google().call_count(), 0);
    // Refused once more, then taken.
    for (minute, hour, expected) in [(1, 15, 29), (2, 16, 30)] {
        deliver_and_settle(&app, &[event(&format!("again-{minute}"), "rescheduled", "m-1", minute, hour)]).await;
        assert_eq!(live(&app, TEAM).len(), expected);
    }
    assert!(row(&app, "m-1").await.problem.is_none());
}

#[tokio::test]
async fn a_broken_calendar_does_not_hold_up_another() {
    let app = TestApp::start_with_google().await;
    let slow_down = Fault::RateLimited429 { retry_after: Some(600) };
    app.google().fail(Matcher::calendar("throttled"), slow_down, 1);
    for name in ["unshared", "throttled", "faulty", "gone"] {
        app.google().add_calendar(name, name, Access::Writer);
    }
    app.google().set_access("unshared", Access::NotShared);
    app.google().fail(Matcher::calendar("faulty"), Fault::BackendError500, 1000);
    for name in ["unshared", "throttled", "faulty", "gone", "never was", TEAM] {
        app.add_calendar(name, Detail::Full, OnCancel::Delete).await;
    }
    app.deliver_all(&meetings(40)).await;
    app.mirror().await;
    assert_eq!(live(&app, TEAM).len(), 40, "without any waiting");
    assert_eq!(live(&app, "gone").len(), 40);
    assert!(calendar_problem(&app, "unshared").await.contains("unshared"));
    assert!(calendar_problem(&app, "never was").await.contains("never was"));
    for name in ["throttled", "faulty", TEAM] {
        assert_eq!(calendar(&app, name).await.problem, None, "{name}");
    }
    app.clock.advance(TimeDelta::seconds(650));
    app.deliver_all(&[event("x", "rescheduled", "m-7", 1, 15)]).await;
    app.mirror().await;
    assert_eq!(event_of(&app, "m-7").start, Some(at("2026-11-24T15:00:00Z")));
    assert_eq!(live(&app, "throttled").len(), 40);
}

#[tokio::test]
async fn a_meeting_canceled_before_google_took_it_is_not_put_there_to_say_so() {
    let forbidden = |reason| Fault::Forbidden { reason };
    let faults = [
        (Fault::NotFound404, Presence::Absent),
        (forbidden("forbidden"), Presence::Absent),
        (forbidden("accessNotConfigured"), Presence::Absent),
        (forbidden("quotaExceeded"), Presence::Absent),
        (Fault::RateLimited429 { retry_after: None }, Presence::Absent),
        (Fault::Unauthorized401, Presence::Absent),
        (Fault::BadRequest400, Presence::Absent),
        (Fault::BackendError500, Presence::Unknown),
        (Fault::LostAnswer, Presence::Unknown),
    ];
    for (fault, known) in faults {
        let app = start(OnCancel::Mark).await;
        app.google().fail(Matcher::any(), fault, 2);
        app.deliver_all(&meetings(1)).await;
        app.mirror().await;
        assert_eq!(row(&app, "m-0").await.presence, known, "{fault:?}");
        app.google().calm();
        deliver_and_settle(&app, &[event("x", "canceled", "m-0", 1, 9)]).await;
        assert_eq!(live(&app, TEAM), [], "{fault:?}");
        let row = row(&app, "m-0").await;
        assert_eq!((row.presence, row.due_at, row.problem), (Presence::Absent, None, None), "{fault:?}");
    }
}

#[tokio::test]
async fn a_meeting_canceled_while_its_calendar_was_not_shared_is_not_put_there_afterwards() {
    let app = start(OnCancel::Mark).await;
    app.google().set_access(TEAM, Access::NotShared);
    app.deliver_all(&meetings(2)).await;
    app.mirror().await;
    app.deliver_all(&[event("x", "canceled", "m-0", 1, 9)]).await;
    app.mirror().await;
    app.google().set_access(TEAM, Access::Writer);
    app.settle().await;
    assert_eq!(app.google().events(TEAM).len(), 1, "m-1 alone");
    assert_eq!(event_of(&app, "m-1").summary.as_deref(), Some("Demo m-1"));
}

#[tokio::test]
async fn a_meeting_that_may_have_been_written_and_is_past_the_window_goes() {
    let app = start(OnCancel::Mark).await;
    app.google().fail_next(Fault::LostAnswer);
    app.deliver_all(&meetings(1)).await;
    app.mirror().await;
    assert_eq!(live(&app, TEAM).len(), 1, "but we were not told");
    app.clock.advance(TimeDelta::days(40));
    app.settle().await;
    assert_eq!(live(&app, TEAM), []);
}

/// With the usual rates and two calendars: 300 meetings of tomorrow in `bad`, and one of a later day in [`TEAM`].
async fn with_a_bad_calendar() -> TestApp {
    let app = TestApp::start_with_google_and(|settings| {
        settings.google_rate = NonZeroU32::new(8).unwrap();
        settings.google_calendar_rate = NonZeroU32::new(4).unwrap();
    })
    .await;
    app.google().add_calendar("bad", "Bad", Access::Writer);
    for (google_id, owner) in [("bad", "ada@example.com"), (TEAM, "cy@example.com")] {
        let selection = Selection { owners: vec![owner.to_owned()], ..Selection::default() };
        app.mirror_into(&NewCalendar { selection, ..wish(google_id) }).await;
    }
    let far = with(beginning("far", "far", noon() + TimeDelta::days(9)), |data| {
        data["meetingOwner"]["username"] = json!("cy@example.com");
    });
    app.deliver_all(&[far]).await;
    app.deliver_all(&meetings(300)).await;
    app
}

async fn works(app: &TestApp, batches: usize) {
    for _ in 0..batches {
        app.mirror.as_ref().unwrap().work_once(&CancellationToken::new()).await.unwrap();
    }
}

#[tokio::test]
async fn a_calendar_with_much_to_do_leaves_another_its_share() {
    for fault in [None, Some(Fault::BackendError500)] {
        let app = with_a_bad_calendar().await;
        if let Some(fault) = fault {
            app.google().fail(Matcher::calendar("bad"), fault, 10_000);
        }
        works(&app, 1).await;
        assert_eq!(live(&app, TEAM).len(), 1, "{fault:?}");
        app.deliver_all(&[with(event("gone", "canceled", "far", 1, 9), |data| {
            data["meetingOwner"]["username"] = json!("cy@example.com");
        })])
        .await;
        works(&app, 1).await;
        assert_eq!(live(&app, TEAM).len(), 0, "{fault:?}");
    }
}

#[tokio::test]
async fn each_of_many_calendars_has_one_row_in_a_batch_at_least() {
    let app = with_a_bad_calendar().await;
    for number in 0..30 {
        let name = format!("more-{number}");
        app.google().add_calendar(&name, &name, Access::Writer);
        app.add_calendar(&name, Detail::Full, OnCancel::Delete).await;
    }
    app.mirror.as_ref().unwrap().plan().await.unwrap();
    let mut tx = app.store.write().await.unwrap();
    let leases = tx.lease_mirror_work(16, 7, TimeDelta::minutes(5), app.now()).await.unwrap();
    let calendars: HashSet<i64> = leases.iter().map(|lease| lease.calendar_id).collect();
    assert_eq!((leases.len(), calendars.len()), (32, 32));
}

#[tokio::test]
async fn a_calendar_whose_calls_time_out_is_held_back() {
    let app = impatient(with_a_bad_calendar().await).await;
    app.google().fail(Matcher::calendar("bad"), Fault::Slow(Duration::from_mins(10)), 10_000);
    works(&app, 1).await;
    assert_eq!(live(&app, TEAM).len(), 1);
    let into_bad = app.google().calls().iter().filter(|call| call.calendar.as_deref() == Some("bad")).count();
    assert!((1..=CONCURRENCY).contains(&into_bad), "{into_bad} calls");
    // Nor do the next batches wait for it.
    for calendar in app.store.calendars().await.unwrap() {
        let is_held_back = calendar.paused_until.is_some_and(|until| until >= app.now() + TimeDelta::minutes(1));
        assert_eq!(is_held_back, calendar.wish.google_id == "bad", "{}", calendar.wish.name);
    }
}

#[tokio::test]
async fn a_removed_calendar_is_left_as_it_is_and_the_others_go_on() {
    let app = start(OnCancel::Delete).await;
    app.google().add_calendar("other", "Other", Access::Writer);
    let other = app.add_calendar("other", Detail::Full, OnCancel::Delete).await;
    deliver_and_settle(&app, &meetings(1)).await;
    let mut tx = app.store.write().await.unwrap();
    tx.remove_calendar(other, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    deliver_and_settle(&app, &[event("x", "canceled", "m-0", 1, 9)]).await;
    assert_eq!((live(&app, TEAM).len(), live(&app, "other").len()), (0, 1));
}
