//! Nothing is tried in a hot loop: an hour of each fault, on the manual clock, costs a bounded number of calls, and the
//! work is still done when the fault ends.

use chrono::TimeDelta;
use meeting_mirror::clock::{Randomness, SharedClock};
use meeting_mirror::outbound::mirror::CONCURRENCY;
use meeting_mirror::outbound::purge::Errand;
use meeting_mirror::simulated_google::{Access, Fault, Matcher, TokenFault};
use meeting_mirror::store::OnCancel;

use super::{live, row, start};
use crate::support::{TEAM, TestApp, event};

/// Backing off to 64 seconds gives 6 tries in the first minute and at most 57 in the rest of an hour.
const TRIES: usize = 63;

async fn with_meetings(count: usize) -> TestApp {
    let app = start(OnCancel::Delete).await;
    for number in 0..count {
        app.deliver(&event(&format!("evt-{number}"), "scheduled", &format!("m-{number}"), 0, 9)).await;
    }
    app.apply().await;
    app
}

/// Lets an hour pass in which the mirror works whenever something is due. Returns how often the API was called.
async fn an_hour(app: &TestApp) -> usize {
    let (before, end) = (app.google().call_count(), app.now() + TimeDelta::hours(1));
    loop {
        app.mirror().await;
        let due = app.store.next_mirror_due().await.unwrap();
        let Some(due) = due.filter(|due| *due < end) else { break };
        app.clock.advance((due - app.now()).max(TimeDelta::milliseconds(1)));
    }
    app.clock.advance(end - app.now());
    app.google().call_count() - before
}

#[tokio::test]
async fn an_hour_of_any_fault_costs_few_calls_for_a_meeting() {
    // The fault, and the most calls that one meeting may cost in an hour.
    let faults = [
        (Fault::BackendError500, TRIES),
        (Fault::Unavailable503Html, TRIES),
        (Fault::ResetBefore, TRIES),
        (Fault::RateLimited429 { retry_after: None }, TRIES),
        (Fault::RateLimited429 { retry_after: Some(0) }, TRIES),
        (Fault::RateLimited429 { retry_after: Some(300) }, 13),
        (Fault::Forbidden { reason: "userRateLimitExceeded" }, TRIES),
        (Fault::Forbidden { reason: "quotaExceeded" }, 7),
        (Fault::Forbidden { reason: "forbidden" }, 5),
        (Fault::NotFound404, 5),
        (Fault::Unauthorized401, 10),
        (Fault::BadRequest400, 1),
        (Fault::Conflict409, 2 * TRIES),
        (Fault::Gone410, TRIES),
        (Fault::PreconditionFailed412, TRIES),
    ];
    for (fault, most) in faults {
        let app = with_meetings(1).await;
        app.google().fail(Matcher::any(), fault, 100_000);
        let calls = an_hour(&app).await;
        assert!((1..=most).contains(&calls), "{fault:?}: {calls} calls in an hour");
        assert!(row(&app, "m-0").await.problem.is_some(), "{fault:?}: it is shown");
        assert!(app.google().token_requests().len() <= 10, "{fault:?}: {:?}", app.google().token_requests().len());
    }
}

#[tokio::test]
async fn a_throttled_calendar_is_not_asked_once_per_meeting_and_comes_through() {
    let app = with_meetings(60).await;
    app.google().fail(Matcher::any(), Fault::RateLimited429 { retry_after: Some(300) }, 100_000);
    let calls = an_hour(&app).await;
    assert!(calls <= 13 * CONCURRENCY, "{calls}: what is under way when the pause is asked for, and no more");
    let app = with_meetings(60).await;
    app.google().fail(Matcher::any(), Fault::RateLimited429 { retry_after: Some(60) }, 100);
    an_hour(&app).await;
    assert_eq!((app.google().faults_left(), live(&app, TEAM).len()), (0, 60));
}

#[tokio::test]
async fn a_used_up_quota_stops_all_calendars() {
    let app = with_meetings(20).await;
    app.google().add_calendar("other", "Other", Access::Writer);
    app.add_calendar("other", meeting_mirror::meeting::selection::Detail::Full, OnCancel::Delete).await;
    app.google().fail(Matcher::calendar(TEAM), Fault::Forbidden { reason: "quotaExceeded" }, 100_000);
    let calls = an_hour(&app).await;
    assert!(calls <= 7 * 2 * CONCURRENCY + 20, "{calls}");
    assert_eq!(live(&app, "other").len(), 20, "what is let through is done");
}

#[tokio::test]
async fn a_token_endpoint_that_fails_is_not_stormed() {
    for fault in [TokenFault::Unavailable503Json, TokenFault::Unavailable503Html, TokenFault::InvalidGrant] {
        let app = with_meetings(1).await;
        app.google().fail_token(fault, 100_000);
        assert_eq!(an_hour(&app).await, 0, "{fault:?}: no call goes out without a token");
        let requests = app.google().token_requests().len();
        assert!((1..=2 * TRIES).contains(&requests), "{fault:?}: {requests} requests in an hour");
        assert!(row(&app, "m-0").await.problem.is_some());
    }
}

#[tokio::test]
async fn while_nothing_changes_nothing_is_sent_for_days() {
    let app = with_meetings(5).await;
    app.settle().await;
    app.google().clear_calls();
    for _ in 0..48 {
        assert_eq!(an_hour(&app).await, 0);
    }
}

#[tokio::test]
async fn a_purge_waits_for_what_passes_and_gives_up_on_what_does_not() {
    let app = with_meetings(3).await;
    app.settle().await;
    let google = app.google();
    let (client, _) = app.mirror.as_ref().unwrap().google.current().await;
    let (clock, randomness): (SharedClock, _) = (app.clock.clone(), Randomness::seeded(1));
    let calendar = &app.store.calendars().await.unwrap()[0];
    let errand = Errand { store: &app.store, google: &client, calendar, clock: &clock, randomness: &randomness };

    let passing = [Fault::RateLimited429 { retry_after: Some(20) }, Fault::Unavailable503Html, Fault::ResetBefore];
    for fault in passing {
        google.fail(Matcher::any(), fault, 5);
        assert_eq!(errand.list().await.unwrap().len(), 3, "{fault:?}");
    }
    let listed = errand.list().await.unwrap();
    for (fault, event) in passing.into_iter().zip(&listed) {
        google.fail(Matcher::any(), fault, 5);
        let began = app.now();
        errand.delete(&event.event_id).await.unwrap();
        assert!(app.now() - began >= TimeDelta::seconds(31), "{fault:?}");
    }
    assert!(app.mirrored(TEAM).is_empty());

    let lasting = [
        (Fault::Unavailable503Html, 6),
        (Fault::RateLimited429 { retry_after: Some(600) }, 1),
        (Fault::Forbidden { reason: "quotaExceeded" }, 1),
        (Fault::NotFound404, 1),
    ];
    for (fault, times) in lasting {
        google.fail(Matcher::any(), fault, times);
        errand.list().await.unwrap_err();
        assert_eq!(google.faults_left(), 0, "{fault:?} was tried {times} times");
    }
    assert!(errand.list().await.unwrap().is_empty());
}
