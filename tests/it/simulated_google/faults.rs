//! Faults on script and at random.

use std::time::Duration;

use meeting_mirror::simulated_google::{Access, ApiMethod, Fault, Matcher};
use serde_json::{Value, json};

use super::{Setup, TEAM, events_path, meeting};

const OTHER: &str = "other@group.calendar.example.com";

#[tokio::test]
async fn a_fault_that_answers_applies_nothing() {
    let setup = Setup::new().await;
    let json_faults = [
        (Fault::RateLimited429 { retry_after: None }, 429, "rateLimitExceeded"),
        (Fault::Forbidden { reason: "rateLimitExceeded" }, 403, "rateLimitExceeded"),
        (Fault::Forbidden { reason: "userRateLimitExceeded" }, 403, "userRateLimitExceeded"),
        (Fault::Forbidden { reason: "quotaExceeded" }, 403, "quotaExceeded"),
        (Fault::Forbidden { reason: "forbidden" }, 403, "forbidden"),
        (Fault::Forbidden { reason: "insufficientPermissions" }, 403, "insufficientPermissions"),
        (Fault::Unauthorized401, 401, "authError"),
        (Fault::BadRequest400, 400, "invalid"),
        (Fault::NotFound404, 404, "notFound"),
        (Fault::Conflict409, 409, "duplicate"),
        (Fault::Gone410, 410, "deleted"),
        (Fault::PreconditionFailed412, 412, "conditionNotMet"),
        (Fault::BackendError500, 500, "backendError"),
    ];
    for (fault, status, reason) in json_faults {
        setup.google.fail_next(fault);
        let reply = setup.insert(&meeting("aaaaa")).await;
        assert_eq!(reply.verdict(), (status, reason));
        assert_eq!(reply.body["error"]["code"], status);
        assert_eq!(reply.retry_after, None);
        let call = setup.google.calls().pop().unwrap();
        assert_eq!((call.status, call.fault), (Some(status), Some(fault)));
    }
    for (fault, status) in [(Fault::BadGateway502Html, 502), (Fault::Unavailable503Html, 503)] {
        setup.google.fail_next(fault);
        let reply = setup.insert(&meeting("aaaaa")).await;
        assert_eq!(reply.status, status);
        assert!(matches!(&reply.body, Value::String(page) if page.contains("<html")), "{reply:?}");
    }
    assert_eq!(setup.google.events(TEAM), []);
    assert_eq!(setup.insert(&meeting("aaaaa")).await.status, 200);

    setup.google.fail_next(Fault::Gone410);
    assert_eq!(setup.get(&events_path("")).await.verdict(), (410, "fullSyncRequired"));
}

#[tokio::test]
async fn a_rate_limit_may_say_when_to_come_back() {
    let setup = Setup::new().await;
    setup.google.fail_next(Fault::RateLimited429 { retry_after: Some(17) });
    let reply = setup.get(&events_path("")).await;
    assert_eq!((reply.status, reply.retry_after.as_deref()), (429, Some("17")));
}

#[tokio::test]
async fn scripts_match_by_method_calendar_and_event_in_order() {
    let setup = Setup::new().await;
    setup.google.add_calendar(OTHER, "Other", Access::Writer);
    let google = &setup.google;
    google.fail(Matcher::method(ApiMethod::EventsInsert).and_calendar(OTHER), Fault::BadRequest400, 1);
    google.fail(Matcher::calendar(TEAM).and_event("bbbbb"), Fault::Conflict409, 2);
    google.fail(Matcher::any().and_method(ApiMethod::EventsDelete), Fault::BackendError500, 1);
    google.fail(Matcher::calendar(OTHER), Fault::NotFound404, 1);
    assert_eq!(google.faults_left(), 5);

    assert_eq!(setup.insert(&meeting("aaaaa")).await.status, 200);
    assert_eq!(setup.insert(&meeting("bbbbb")).await.status, 409);
    assert_eq!(setup.get(&events_path("/bbbbb")).await.status, 409);
    assert_eq!(setup.get(&events_path("/bbbbb")).await.status, 404, "played twice, now really unknown");
    assert_eq!(setup.delete("aaaaa").await.status, 500);
    assert_eq!(setup.delete("aaaaa").await.status, 204);
    let elsewhere = format!("calendars/{OTHER}/events");
    assert_eq!(setup.call("POST", &elsewhere, Some(&meeting("aaaaa"))).await.status, 400);
    assert_eq!(setup.call("POST", &elsewhere, Some(&meeting("aaaaa"))).await.status, 404);
    assert_eq!(setup.call("POST", &elsewhere, Some(&meeting("aaaaa"))).await.status, 200);
    assert_eq!(setup.google.faults_left(), 0);
}

#[tokio::test]
async fn a_lost_answer_was_applied_and_a_reset_was_not() {
    let setup = Setup::new().await;
    let insert = |id: &str| setup.request("POST", &events_path(""), Some(&meeting(id))).send();
    setup.google.fail_next(Fault::LostAnswer);
    insert("aaaaa").await.unwrap_err();
    setup.google.fail_next(Fault::ResetBefore);
    insert("bbbbb").await.unwrap_err();
    assert_eq!(setup.insert(&meeting("aaaaa")).await.status, 409);
    assert_eq!(setup.insert(&meeting("bbbbb")).await.status, 200);
    let statuses: Vec<Option<u16>> = setup.google.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [None, None, Some(409), Some(200)]);

    setup.google.fail_next(Fault::LostAnswer);
    setup.request("DELETE", &super::event_path("aaaaa"), None).send().await.unwrap_err();
    assert_eq!(setup.delete("aaaaa").await.status, 410);
}

#[tokio::test]
async fn a_slow_call_is_applied_at_once_and_answered_late() {
    let setup = Setup::new().await;
    setup.google.fail_next(Fault::Slow(Duration::from_millis(1)));
    assert_eq!(setup.insert(&meeting("aaaaa")).await.status, 200);

    setup.google.fail_next(Fault::Slow(Duration::from_hours(1)));
    let request = setup.request("POST", &events_path(""), Some(&meeting("bbbbb")));
    let waiting = tokio::spawn(request.send());
    while setup.google.call_count() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    assert_eq!(setup.event("bbbbb").status, "confirmed");
    waiting.abort();

    setup.google.fail_next(Fault::Slow(Duration::from_hours(1)));
    let impatient = setup.request("GET", &events_path(""), None).timeout(Duration::from_millis(20));
    assert!(impatient.send().await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn the_log_says_what_was_called() {
    let setup = Setup::new().await;
    setup.insert(&meeting("aaaaa")).await;
    setup.put("aaaaa", &meeting("aaaaa")).await;
    setup.patch("aaaaa", &json!({})).await;
    setup.get(&events_path("/aaaaa")).await;
    setup.get(&events_path("")).await;
    setup.delete("aaaaa").await;
    setup.get(&format!("calendars/{TEAM}")).await;
    setup.get(&format!("users/me/calendarList/{TEAM}")).await;
    setup.get("colors").await;
    setup.call("POST", &events_path("/aaaaa"), None).await;
    let calls = setup.google.calls();
    assert_eq!(setup.google.call_count(), 10);
    let seen: Vec<_> = calls
        .iter()
        .map(|call| (call.method, call.event.as_deref(), call.status, call.send_updates.as_deref()))
        .collect();
    let (aaaaa, none) = (Some("aaaaa"), Some("none"));
    assert_eq!(
        seen,
        [
            (ApiMethod::EventsInsert, aaaaa, Some(200), None),
            (ApiMethod::EventsUpdate, aaaaa, Some(200), none),
            (ApiMethod::EventsPatch, aaaaa, Some(200), none),
            (ApiMethod::EventsGet, aaaaa, Some(200), None),
            (ApiMethod::EventsList, None, Some(200), None),
            (ApiMethod::EventsDelete, aaaaa, Some(204), none),
            (ApiMethod::CalendarsGet, None, Some(200), None),
            (ApiMethod::CalendarListGet, None, Some(200), None),
            (ApiMethod::Unknown, None, Some(404), None),
            (ApiMethod::Unknown, None, Some(404), None),
        ]
    );
    assert!(calls.iter().all(|call| call.authorization && call.at == setup.clock.now()));
    assert!(calls[..8].iter().all(|call| call.calendar.as_deref() == Some(TEAM)));
    setup.google.clear_calls();
    assert_eq!(setup.google.calls(), []);
}

/// What forty reads are answered: two different calls, made twenty times each, in one order or the other.
async fn forty(seed: u64, share: f64, interleaved: bool) -> (Vec<Option<Fault>>, Vec<Option<Fault>>) {
    let setup = Setup::new().await;
    setup.google.chaos(seed, share);
    let paths = [events_path("/aaaaa"), events_path("/bbbbb")];
    for number in 0..40 {
        let index = if interleaved { number % 2 } else { number / 20 };
        // Some have no answer; the log is what counts.
        let _ = setup.request("GET", &paths[index], None).send().await;
    }
    let calls = setup.google.calls();
    let of = |id: &str| {
        let mine = calls.iter().filter(|call| call.event.as_deref() == Some(id));
        mine.map(|call| call.fault).collect()
    };
    (of("aaaaa"), of("bbbbb"))
}

#[tokio::test]
async fn chaos_is_the_same_for_the_same_seed_in_any_order_of_calls() {
    let (first, second) = forty(7, 0.5, false).await;
    assert_eq!((first.clone(), second.clone()), forty(7, 0.5, true).await);
    assert_ne!((first.clone(), second.clone()), forty(8, 0.5, false).await);
    let struck = first.iter().chain(&second).flatten().count();
    assert!((10..=30).contains(&struck), "{struck} of 40");
    let all_transient = first.iter().flatten().all(|fault| Fault::TRANSIENT.contains(fault));
    assert!(all_transient, "{first:?}");
}

#[tokio::test]
async fn chaos_can_spare_all_or_none_and_ends() {
    let (first, second) = forty(7, 0.0, false).await;
    assert!(first.iter().chain(&second).all(Option::is_none));
    let (first, second) = forty(7, 1.0, false).await;
    assert!(first.iter().chain(&second).all(Option::is_some));

    let setup = Setup::new().await;
    setup.google.chaos_of(1, 1.0, &[Fault::BadGateway502Html]);
    setup.google.fail_next(Fault::Conflict409);
    assert_eq!(setup.get(&events_path("")).await.status, 409, "scripts come first");
    assert_eq!(setup.get(&events_path("")).await.status, 502);
    setup.google.fail_next(Fault::Conflict409);
    setup.google.calm();
    assert_eq!(setup.get(&events_path("")).await.status, 409, "scripts outlive the chaos");
    assert_eq!(setup.get(&events_path("")).await.status, 200);
    setup.google.chaos_of(1, 1.0, &[]);
    assert_eq!(setup.get(&events_path("")).await.status, 200);
}
