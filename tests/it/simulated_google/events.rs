//! Insert, get, update, patch and delete: what becomes of an event.

use chrono::TimeDelta;
use meeting_mirror::simulated_google::EventTime;
use serde_json::json;

use super::{Setup, TEAM, at, event_path, events_path, meeting, meeting_with};

#[tokio::test]
async fn an_inserted_event_has_what_google_adds() {
    let setup = Setup::new().await;
    let reply = setup.insert(&meeting("abc012v")).await;
    assert_eq!(reply.status, 200);
    for (field, expected) in [
        ("kind", json!("calendar#event")),
        ("status", json!("confirmed")),
        ("sequence", json!(0)),
        ("iCalUID", json!("abc012v@google.com")),
        ("created", json!("2026-03-02T09:00:00Z")),
        ("updated", json!("2026-03-02T09:00:00.000Z")),
    ] {
        assert_eq!(reply.body[field], expected, "{field}");
    }
    assert!(reply.body["htmlLink"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    assert_eq!(setup.get(&event_path("abc012v")).await.status, 400, "sendUpdates is not for get");
    assert_eq!(setup.get(&events_path("/abc012v")).await.body, reply.body);

    let event = setup.event("abc012v");
    assert_eq!(event.summary.as_deref(), Some("Demo with Ada"));
    assert_eq!(event.start, Some(EventTime::At(at("2026-03-03T10:00:00Z"))));
    assert_eq!(event.end, Some(EventTime::At(at("2026-03-03T10:30:00Z"))));
    assert_eq!((event.sequence, event.transparency.as_str()), (0, "opaque"));
    assert_eq!(event.raw, reply.body);
    assert_eq!(setup.google.events(TEAM), [event]);
}

#[tokio::test]
async fn an_id_is_used_up_even_when_its_event_was_deleted() {
    let setup = Setup::new().await;
    assert_eq!(setup.insert(&meeting("abcde")).await.status, 200);
    assert_eq!(setup.insert(&meeting("abcde")).await.verdict(), (409, "duplicate"));
    assert_eq!(setup.delete("abcde").await.status, 204);
    assert_eq!(setup.insert(&meeting("abcde")).await.verdict(), (409, "duplicate"));
    assert!(setup.google.purge(TEAM, "abcde"));
    assert!(!setup.google.purge(TEAM, "abcde"));
    assert_eq!(setup.get(&events_path("/abcde")).await.status, 404);
    assert_eq!(setup.insert(&meeting("abcde")).await.status, 200);
}

#[tokio::test]
async fn a_deleted_event_is_found_cancelled_and_an_unknown_one_is_not_found() {
    let setup = Setup::new().await;
    setup.insert(&meeting("abcde")).await;
    let deleted = setup.delete("abcde").await;
    assert_eq!((deleted.status, deleted.body), (204, json!("")));
    let found = setup.get(&events_path("/abcde")).await;
    assert_eq!((found.status, &found.body["status"]), (200, &json!("cancelled")));
    assert!(setup.event("abcde").is_deleted());
    assert_eq!(setup.delete("abcde").await.verdict(), (410, "deleted"));

    assert_eq!(setup.get(&events_path("/fghij")).await.verdict(), (404, "notFound"));
    assert_eq!(setup.delete("fghij").await.verdict(), (404, "notFound"));
    assert_eq!(setup.put("fghij", &meeting("x")).await.verdict(), (404, "notFound"));
    assert_eq!(setup.patch("fghij", &json!({})).await.verdict(), (404, "notFound"));
}

#[tokio::test]
async fn put_revives_a_deleted_event_unless_told_to_refuse() {
    let setup = Setup::new().await;
    for (id, status) in [("aaaaa", json!("confirmed")), ("bbbbb", json!(null))] {
        setup.insert(&meeting(id)).await;
        setup.delete(id).await;
        let body = meeting_with(id, json!({ "status": status }));
        setup.google.refuse_revive(true);
        assert_eq!(setup.put(id, &body).await.verdict(), (403, "forbidden"));
        let patch = json!({ "status": "confirmed" });
        assert_eq!(setup.patch(id, &patch).await.verdict(), (403, "forbidden"));
        let still = meeting_with(id, json!({ "status": "cancelled" }));
        assert_eq!(setup.put(id, &still).await.status, 200);
        setup.google.refuse_revive(false);
        assert_eq!(setup.put(id, &body).await.status, 200);
        assert_eq!(setup.event(id).status, "confirmed");
    }
}

#[tokio::test]
async fn put_replaces_and_patch_merges() {
    let setup = Setup::new().await;
    let body = meeting_with(
        "abcde",
        json!({
            "location": "Room 1",
            "description": "first",
            "extendedProperties": { "private": { "a": "1", "b": "2" } },
        }),
    );
    let inserted = setup.insert(&body).await.body;
    setup.clock.advance(TimeDelta::minutes(5));

    let patch = json!({
        "summary": "Patched",
        "location": null,
        "extendedProperties": { "private": { "a": null, "c": "3" } },
        "id": "other", "created": "1999-01-01T00:00:00Z",
    });
    let patched = setup.patch("abcde", &patch).await.body;
    let event = setup.event("abcde");
    assert_eq!(event.summary.as_deref(), Some("Patched"));
    assert_eq!(event.description.as_deref(), Some("first"));
    assert_eq!(event.location, None);
    let properties: Vec<(&str, &str)> =
        event.private_properties.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(properties, [("b", "2"), ("c", "3")]);

    let put = setup.put("abcde", &meeting("abcde")).await.body;
    let event = setup.event("abcde");
    assert_eq!((event.summary.as_deref(), event.description), (Some("Demo with Ada"), None));
    assert!(event.private_properties.is_empty());
    for field in ["id", "iCalUID", "created", "htmlLink", "organizer", "kind"] {
        assert_eq!(put[field], inserted[field], "{field}");
        assert_eq!(patched[field], inserted[field], "{field}");
    }
    assert_eq!(put["updated"], "2026-03-02T09:05:00.000Z");
    assert_ne!(patched["etag"], inserted["etag"]);
    assert_ne!(put["etag"], patched["etag"]);
}

#[tokio::test]
async fn a_sequence_below_the_stored_one_is_refused() {
    let setup = Setup::new().await;
    let with = |sequence: i64| meeting_with("abcde", json!({ "sequence": sequence }));
    assert_eq!(setup.insert(&with(3)).await.body["sequence"], 3);
    for body in [with(2), meeting("abcde")] {
        let reply = setup.put("abcde", &body).await;
        assert_eq!(reply.verdict(), (400, "invalid"));
        let message = reply.body["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("Invalid sequence value."), "{message}");
    }
    assert_eq!(setup.patch("abcde", &json!({ "sequence": 2 })).await.status, 400);
    assert_eq!(setup.patch("abcde", &json!({ "summary": "x" })).await.body["sequence"], 3);
    assert_eq!(setup.put("abcde", &with(3)).await.body["sequence"], 3);
    assert_eq!(setup.put("abcde", &with(7)).await.body["sequence"], 7);
    assert_eq!(setup.put("abcde", &with(-1)).await.status, 400);
    setup.delete("abcde").await;
    assert_eq!(setup.put("abcde", &with(6)).await.status, 400, "deleting forgets no sequence");
}

#[tokio::test]
async fn if_match_guards_a_write() {
    let setup = Setup::new().await;
    let etag = setup.insert(&meeting("abcde")).await.body["etag"].clone();
    let guarded = async |etag: &str| {
        let request = setup.request("PUT", &event_path("abcde"), Some(&meeting("abcde")));
        super::read(request.header("If-Match", etag).send().await.unwrap()).await
    };
    assert_eq!(guarded("\"old\"").await.verdict(), (412, "conditionNotMet"));
    assert_eq!(guarded(etag.as_str().unwrap()).await.status, 200);
    assert_eq!(guarded(etag.as_str().unwrap()).await.status, 412);
    assert_eq!(guarded("*").await.status, 200);
}
