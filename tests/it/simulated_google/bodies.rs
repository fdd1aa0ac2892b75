//! What Google refuses, accepts and cuts in an event's body.

use meeting_mirror::simulated_google::EventTime;
use serde_json::{Value, json};

use super::{Setup, TEAM, events_path, meeting, meeting_with};

#[tokio::test]
async fn ids_are_five_or_more_of_a_to_v_and_digits() {
    let setup = Setup::new().await;
    let too_long = "a".repeat(1025);
    for bad in ["abcd", "abcdw", "ABCDE", "abc-de", "abcdé", "", &too_long] {
        let reply = setup.insert(&meeting(bad)).await;
        assert_eq!(reply.verdict(), (400, "invalid"), "{bad}");
    }
    assert_eq!(setup.insert(&meeting(&"v".repeat(1024))).await.status, 200);
    let number = meeting_with("x", json!({ "id": 12345 }));
    assert_eq!(setup.insert(&number).await.status, 400);

    let both = meeting_with("abcde", json!({ "iCalUID": "mine@example.com" }));
    assert_eq!(setup.insert(&both).await.verdict(), (400, "invalid"));
    let uid = meeting_with("x", json!({ "id": null, "iCalUID": "mine@example.com" }));
    let reply = setup.insert(&uid).await;
    assert_eq!(reply.body["iCalUID"], "mine@example.com");
    let made_up = reply.body["id"].as_str().unwrap();
    assert_eq!(setup.put(made_up, &meeting("x")).await.body["iCalUID"], "mine@example.com");
    let again = setup.insert(&meeting_with("x", json!({ "id": null }))).await;
    assert_ne!(again.body["id"], made_up);
}

#[tokio::test]
async fn what_google_refuses_in_a_body() {
    let setup = Setup::new().await;
    let time = |start: Value, end: Value| json!({ "start": start, "end": end });
    let nine = json!({ "dateTime": "2026-03-03T09:00:00Z" });
    let day = json!({ "date": "2026-03-03" });
    let cases = [
        (time(nine.clone(), nine.clone()), "timeRangeEmpty"),
        (time(day.clone(), day.clone()), "timeRangeEmpty"),
        (time(nine.clone(), json!({ "dateTime": "2026-03-03T10:59:00+02:00" })), "timeRangeEmpty"),
        (time(json!(null), nine.clone()), "required"),
        (time(nine.clone(), json!(null)), "required"),
        (time(nine.clone(), json!({})), "required"),
        (time(json!({ "dateTime": "2026-03-03T08:00:00" }), nine.clone()), "required"),
        (time(json!({ "dateTime": "2026-03-03T08:00:00", "timeZone": "Europe/Rome" }), nine.clone()), "invalid"),
        (time(day.clone(), nine.clone()), "invalid"),
        (time(json!({ "dateTime": "morning" }), nine.clone()), "invalid"),
        (time(json!({ "date": "2026-02-30" }), day.clone()), "invalid"),
        (time(json!({ "date": "2026-03-02", "dateTime": "2026-03-02T09:00:00Z" }), nine), "invalid"),
        (json!({ "summary": "é".repeat(1025) }), "invalid"),
        (json!({ "location": "é".repeat(1025) }), "invalid"),
        (json!({ "description": "é".repeat(8193) }), "invalid"),
        (json!({ "summary": 5 }), "invalid"),
        (json!({ "source": { "title": "x", "url": "javascript:alert(1)" } }), "invalid"),
        (json!({ "source": { "title": "x", "url": "https://" } }), "invalid"),
        (json!({ "source": { "title": "x" } }), "invalid"),
        (json!({ "status": "maybe" }), "invalid"),
        (json!({ "transparency": "glass" }), "invalid"),
        (json!({ "visibility": "secret" }), "invalid"),
        (json!({ "colorId": "12" }), "invalid"),
        (json!({ "sequence": "1" }), "invalid"),
        (json!({ "extendedProperties": { "private": { "a": 1 } } }), "invalid"),
        (json!({ "recurrence": ["RRULE:FREQ=DAILY"] }), "invalid"),
    ];
    setup.insert(&meeting("fffff")).await;
    for (change, reason) in cases {
        let body = meeting_with("abcde", change);
        assert_eq!(setup.insert(&body).await.verdict(), (400, reason), "{body}");
        assert_eq!(setup.put("fffff", &body).await.verdict(), (400, reason), "{body}");
    }
    let reply = setup.request("POST", &events_path(""), None).body("{").send().await.unwrap();
    assert_eq!(super::read(reply).await.verdict(), (400, "parseError"));
    assert_eq!(setup.google.events(TEAM).len(), 1);
}

#[tokio::test]
async fn what_google_accepts_in_a_body() {
    let setup = Setup::new().await;
    let accepted = [
        json!({ "summary": "é".repeat(1024), "description": "é".repeat(8192), "location": "é".repeat(1024) }),
        json!({ "source": { "title": "x", "url": "HTTPS://example.com/m" }, "transparency": "transparent" }),
        json!({ "start": { "date": "2026-03-03" }, "end": { "date": "2026-03-04" } }),
        json!({ "start": { "dateTime": "2026-03-03T08:00:00", "timeZone": "UTC" } }),
        json!({ "start": { "dateTime": "2026-03-03T11:00:00.5+02:00" } }),
        json!({ "someday": "an unknown field", "etag": "mine" }),
    ];
    for (number, change) in accepted.into_iter().enumerate() {
        let body = meeting_with(&format!("aaaa{number}"), change);
        let reply = setup.insert(&body).await;
        assert_eq!(reply.status, 200, "{body}: {reply:?}");
    }
    assert_eq!(setup.event("aaaa2").start, Some(EventTime::Day("2026-03-03".parse().unwrap())));
    assert_eq!(setup.event("aaaa4").raw["start"]["dateTime"], "2026-03-03T09:00:00Z");
    assert_eq!(setup.event("aaaa5").raw.get("someday"), None);
    assert_ne!(setup.event("aaaa5").raw["etag"], "mine");
}

#[tokio::test]
async fn long_extended_properties_are_dropped_or_cut() {
    let setup = Setup::new().await;
    let (longest, too_long) = ("k".repeat(44), "k".repeat(45));
    let properties = json!({ "private": { &longest: "é".repeat(1025), &too_long: "x" }, "shared": { &too_long: "x" } });
    let reply = setup.insert(&meeting_with("abcde", json!({ "extendedProperties": properties }))).await;
    let kept = json!({ "private": { &longest: "é".repeat(1024) }, "shared": {} });
    assert_eq!(reply.body["extendedProperties"], kept);
}
