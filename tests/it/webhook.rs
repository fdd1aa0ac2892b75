//! The contract with the sender, over HTTP on the running router: every answer the webhook gives, and that 200 means that
//! exactly these bytes are in the database.

use std::path::Path;

use data_encoding::{BASE64, HEXLOWER};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit as _, Mac as _};
use meeting_mirror::app::{App, StartError};
use meeting_mirror::clock::{Clock as _, ManualClock, Randomness};
use meeting_mirror::config::{Secret, SettingError};
use meeting_mirror::inbound::signature::sign;
use meeting_mirror::store::{
    Delivery, DeliveryFilter, DeliveryStatus, Identity, InboxWriter, NewDelivery, Store, StoreError, Stored,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

use crate::support::{KEY, TestApp, WEBHOOK, event, fixture, noon, settings, with};

const MEBIBYTE: usize = 1024 * 1024;

/// The delivery that an answer's `eventId` names.
async fn stored(app: &TestApp, answer: &Value) -> Delivery {
    let id = answer["eventId"].as_str().unwrap_or_else(|| panic!("no eventId in {answer}"));
    app.store.delivery(id).await.unwrap().unwrap_or_else(|| panic!("{id} is not stored"))
}

/// A good envelope of exactly this many bytes.
fn envelope_of(bytes: usize) -> String {
    let mut envelope = event("evt-large", "scheduled", "m-1", 0, 9);
    envelope["padding"] = Value::from("");
    let bare = envelope.to_string().len();
    envelope["padding"] = Value::from("x".repeat(bytes - bare));
    envelope.to_string()
}

/// How many transactions were committed since the write-ahead log was last begun anew: frames that end one carry the
/// size of the database (https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
fn commits(store: &Store) -> usize {
    let mut path = store.path().as_os_str().to_owned();
    path.push("-wal");
    let wal = std::fs::read(Path::new(&path)).unwrap();
    let number = |at: usize| u32::from_be_bytes(wal[at..at + 4].try_into().unwrap());
    let frame = 24 + number(8) as usize;
    (0..(wal.len() - 32) / frame)
        .map(|index| 32 + index * frame)
        .filter(|at| wal[at + 8..at + 16] == wal[16..24] && number(at + 4) > 0)
        .count()
}

#[tokio::test]
async fn every_fixture_gets_the_answer_it_should_and_ends_with_a_reason() {
    let app = TestApp::start().await;
    let expected = String::from_utf8(fixture("webhooks/expected.tsv")).unwrap();
    let rows: Vec<(&str, &str)> = expected.lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert!(rows.len() >= 38);
    for (file, word) in &rows {
        let body = fixture(&format!("webhooks/{file}"));
        let (status, answer) = app.post(body.clone()).await;
        assert_eq!((status, answer["status"].as_str()), (200, Some(*word)), "{file}: {answer}");
        let delivery = stored(&app, &answer).await;
        let expected_id = match *word {
            "quarantined" => format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(&body))),
            _ => serde_json::from_slice::<Value>(&body).unwrap()["eventId"].as_str().unwrap().to_owned(),
        };
        assert_eq!(delivery.event_id, expected_id, "{file}");
        let (kept, _) = app.store.delivery_content(delivery.id).await.unwrap().unwrap();
        assert_eq!(kept, body, "{file}: the stored bytes differ");
        let (status, again) = app.post(body).await;
        assert_eq!((status, &again["status"], &again["eventId"]), (200, &json!("duplicate"), &answer["eventId"]));
    }
    app.apply().await;
    let counts = app.store.inbox_counts().await.unwrap();
    let of = |word| i64::try_from(rows.iter().filter(|(_, found)| *found == word).count()).unwrap();
    assert_eq!(counts.of(DeliveryStatus::Pending), 0);
    assert_eq!(counts.of(DeliveryStatus::Applied) + counts.of(DeliveryStatus::Superseded), of("accepted"));
    assert_eq!(counts.of(DeliveryStatus::Ignored), of("ignored"));
    assert_eq!(counts.of(DeliveryStatus::Quarantined), of("quarantined"));
    assert_eq!(counts.duplicates, i64::try_from(rows.len()).unwrap());
    for delivery in app.store.deliveries(&DeliveryFilter::default(), 100).await.unwrap() {
        match delivery.status {
            DeliveryStatus::Quarantined => {
                let reason = delivery.reason.unwrap();
                let (field, rest) = reason.split_once(": found ").unwrap_or_else(|| panic!("no field in {reason}"));
                let (found, expected) = rest.rsplit_once(", expected ").unwrap_or_else(|| panic!("in {reason}"));
                assert!(!field.is_empty() && !found.is_empty() && !expected.is_empty(), "{reason}");
                assert!(reason.chars().count() < 300 && !reason.chars().any(char::is_control), "{reason}");
            }
            DeliveryStatus::Ignored => assert!(delivery.reason.unwrap().contains("eventType")),
            _ => assert_eq!(delivery.reason, None),
        }
    }
}

#[tokio::test]
async fn what_is_not_signed_by_us_is_refused_and_not_stored() {
    let app = TestApp::start().await;
    let body = event("evt-1", "scheduled", "m-1", 0, 9).to_string();
    let (good, other) = (sign(KEY, body.as_bytes()), sign("another key", body.as_bytes()));
    let half = &good[..good.len() - 2];
    let attempts: [(&[(&str, &str)], String); 6] = [
        (&[], body.clone()),
        (&[("x-signature", &other)], body.clone()),
        (&[("x-signature", "")], body.clone()),
        (&[("x-signature", half)], body.clone()),
        (&[("x-request-id", &good)], body.clone()),
        (&[("x-signature", &good)], body.replace("Room 1", "Room 2")),
    ];
    for (headers, body) in attempts {
        let response = app.post_with(headers, body).await;
        assert_eq!(response.status(), 401, "{headers:?}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&json!(401), &json!("bad_signature")));
        assert!(problem["detail"].as_str().unwrap().contains("signature"));
    }
    assert!(app.store.deliveries(&DeliveryFilter::default(), 1).await.unwrap().is_empty());
    assert_eq!(app.post(body).await.0, 200);
}

#[tokio::test]
async fn a_mebibyte_is_taken_and_not_a_byte_more() {
    let app = TestApp::start().await;
    let (status, answer) = app.post(envelope_of(MEBIBYTE)).await;
    assert_eq!((status, answer["status"].as_str()), (200, Some("accepted")));
    let delivery = stored(&app, &answer).await;
    assert_eq!(app.store.delivery_content(delivery.id).await.unwrap().unwrap().0.len(), MEBIBYTE);
    let body = envelope_of(MEBIBYTE + 1);
    let response = app.post_with(&[("x-signature", &sign(KEY, body.as_bytes()))], body).await;
    assert_eq!(response.status(), 413);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.json::<Value>().await.unwrap()["code"], "too_large");
}

#[tokio::test]
async fn other_methods_are_told_to_post() {
    let app = TestApp::start().await;
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let request = app.http.request(method.parse().unwrap(), app.url(WEBHOOK));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(response.headers()["allow"], "POST", "{method}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{method}");
    }
}

#[tokio::test]
async fn standard_webhooks_and_sha512_are_detected() {
    let secret = b"0123456789abcdef0123456789abcdef";
    let key = format!("whsec_{}", BASE64.encode(secret));
    let app = TestApp::start_with(|settings| settings.signing_keys = Some(Secret::new(&key))).await;
    let body = event("evt-1", "scheduled", "m-1", 0, 9).to_string();
    let mac = |message: String| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(message.as_bytes());
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    };
    let signature = mac(format!("msg_1.1790000000.{body}"));
    let mut headers =
        [("webhook-id", "msg_1"), ("webhook-timestamp", "1790000000"), ("webhook-signature", signature.as_str())];
    assert_eq!(app.post_with(&headers, body.clone()).await.status(), 200);
    assert_eq!(app.store.delivery("evt-1").await.unwrap().unwrap().signature, {
        "webhook-signature, Standard Webhooks, key 1"
    });
    headers[0].1 = "msg_2";
    assert_eq!(app.post_with(&headers, body).await.status(), 401);

    let body = event("evt-2", "scheduled", "m-2", 0, 9).to_string();
    let mut mac = Hmac::<Sha512>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let value = BASE64.encode(&mac.finalize().into_bytes());
    assert_eq!(app.post_with(&[("X-Cirrus-Hmac", &value)], body).await.status(), 200);
    let delivery = app.store.delivery("evt-2").await.unwrap().unwrap();
    assert_eq!(delivery.signature, "x-cirrus-hmac, HMAC-SHA512, key 1");
}

#[tokio::test]
async fn any_of_several_keys_signs_also_from_a_file() {
    let app = TestApp::start_with(|settings| {
        std::fs::create_dir_all(&settings.data_dir).unwrap();
        let file = settings.data_dir.join("keys");
        std::fs::write(&file, "third\n\nfourth\n").unwrap();
        settings.signing_keys = Some(Secret::new("first, second"));
        settings.signing_keys_file = Some(file);
    })
    .await;
    for (index, key) in ["first", "second", "third", "fourth"].into_iter().enumerate() {
        let (id, meeting) = (format!("evt-{index}"), format!("m-{index}"));
        let body = event(&id, "scheduled", &meeting, 0, 9).to_string();
        assert_eq!(app.post_with(&[("x-sig-hash", &sign(key, body.as_bytes()))], body).await.status(), 200, "{key}");
        let delivery = app.store.delivery(&id).await.unwrap().unwrap();
        assert_eq!(delivery.signature, format!("x-sig-hash, HMAC-SHA256, key {}", index + 1));
    }
    let body = event("evt-9", "scheduled", "m-9", 0, 9).to_string();
    let joined = sign("first, second", body.as_bytes());
    assert_eq!(app.post_with(&[("x-sig-hash", &joined)], body).await.status(), 401);
}

#[tokio::test]
async fn a_pinned_header_is_the_only_one_looked_at() {
    let app = TestApp::start_with(|settings| settings.signature_header = Some("x-odd-name".to_owned())).await;
    let body = event("evt-1", "scheduled", "m-1", 0, 9).to_string();
    let good = sign(KEY, body.as_bytes());
    assert_eq!(app.post_with(&[("x-signature", &good)], body.clone()).await.status(), 401);
    assert_eq!(app.post_with(&[("X-Odd-Name", &good)], body).await.status(), 200);
}

#[tokio::test]
async fn unsigned_deliveries_are_taken_only_when_allowed_and_no_key_is_set() {
    let body = event("evt-1", "scheduled", "m-1", 0, 9).to_string();
    let open = TestApp::start_with(|settings| {
        settings.signing_keys = None;
        settings.allow_unsigned = true;
    })
    .await;
    assert_eq!(open.post_with(&[], body.clone()).await.status(), 200);
    assert_eq!(open.store.delivery("evt-1").await.unwrap().unwrap().signature, "unsigned");

    let keyed = TestApp::start_with(|settings| settings.allow_unsigned = true).await;
    assert_eq!(keyed.post_with(&[], body).await.status(), 401);

    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.signing_keys = Some(Secret::new(" , "));
    let clock = std::sync::Arc::new(ManualClock::new(noon()));
    let refused = App::build(&settings, settings.listen, clock, Randomness::seeded(1), None).await;
    assert!(matches!(refused, Err(StartError::Setting(SettingError::NoSigningKey))), "{refused:?}");
}

#[tokio::test]
async fn while_another_process_holds_the_database_the_sender_is_asked_to_come_again() {
    let app = TestApp::start().await;
    let body = event("evt-1", "scheduled", "m-1", 0, 9).to_string();
    let signature = sign(KEY, body.as_bytes());
    let other = Store::open(&app.dir.path().join("data")).await.unwrap();
    let held = other.write().await.unwrap();
    let response = app.post_with(&[("x-signature", &signature)], body.clone()).await;
    assert_eq!(response.status(), 503);
    let seconds: u32 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "not_stored");
    assert!(!problem.to_string().to_lowercase().contains("sqlite"), "the cause belongs in the log: {problem}");
    assert!(app.store.delivery("evt-1").await.unwrap().is_none());
    drop(held);
    let (status, answer) = app.post(body).await;
    assert_eq!((status, answer["status"].as_str()), (200, Some("accepted")));
    app.apply().await;
    assert!(app.store.meeting("m-1").await.unwrap().is_some());
}

#[tokio::test]
async fn a_database_that_can_not_be_used_is_answered_with_503() {
    let app = TestApp::start().await;
    app.store.close().await;
    let body = event("evt-1", "scheduled", "m-1", 0, 9).to_string();
    let response = app.post_with(&[("x-signature", &sign(KEY, body.as_bytes()))], body.clone()).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let app = app.restart().await;
    assert_eq!(app.post(body).await.1["status"], "accepted");
}

#[tokio::test]
async fn two_hundred_at_once_are_each_stored_once_and_share_commits() {
    let app = TestApp::start().await;
    let before = commits(&app.store);
    let posts = (0..200).map(|index| {
        let body = event(&format!("evt-{index}"), "scheduled", &format!("m-{index}"), 0, 9).to_string();
        app.post(body)
    });
    for (status, answer) in join_all(posts).await {
        assert_eq!((status, answer["status"].as_str()), (200, Some("accepted")));
    }
    let stored = commits(&app.store) - before;
    assert!(stored < 100, "200 deliveries took {stored} commits");
    let deliveries = app.store.deliveries(&DeliveryFilter::default(), 1000).await.unwrap();
    assert_eq!(deliveries.len(), 200);
    assert!(deliveries.iter().all(|delivery| delivery.deliveries == 1));

    let before = commits(&app.store);
    app.apply().await;
    assert_eq!(commits(&app.store) - before, 4, "64 are applied in one commit");
    assert_eq!(app.store.inbox_counts().await.unwrap().of(DeliveryStatus::Applied), 200);
}

/// Hands deliveries to a writer whose task does not run yet, then lets it run. Returns the answers given at once, and
/// those that had to wait.
async fn store_together(store: &Store, ids: impl Iterator<Item = String>) -> [Vec<Result<Stored, StoreError>>; 2] {
    let (writer, task) = InboxWriter::new(store.clone());
    let (mut at_once, mut waiting) = (Vec::new(), Vec::new());
    for event_id in ids {
        let new = NewDelivery {
            identity: Identity { event_id, ..Identity::default() },
            body: b"{}".to_vec(),
            headers: "[]".into(),
            signature: "unsigned".into(),
            received_at: noon(),
            status: DeliveryStatus::Pending,
            reason: None,
        };
        let writer = writer.clone();
        let mut answer = async move { writer.store(new).await }.boxed();
        match (&mut answer).now_or_never() {
            Some(answer) => at_once.push(answer),
            None => waiting.push(answer),
        }
    }
    drop(writer);
    let (waited, ()) = tokio::join!(join_all(waiting), task);
    [at_once, waited]
}

#[tokio::test]
async fn deliveries_that_wait_together_share_exactly_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let before = commits(&store);
    let [at_once, stored] = store_together(&store, (0..120).map(|index| format!("evt-{}", index % 90))).await;
    assert_eq!((commits(&store) - before, at_once.len(), stored.len()), (1, 0, 120));
    let duplicates = stored.iter().map(|stored| stored.as_ref().unwrap().duplicate);
    assert!(duplicates.eq((0..120).map(|index| index >= 90)));
}

#[tokio::test]
async fn more_than_can_wait_are_refused_at_once_and_the_others_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let [refused, stored] = store_together(&store, (0..3000).map(|index| format!("evt-{index}"))).await;
    assert!(refused.iter().all(|answer| answer.as_ref().is_err_and(StoreError::is_unavailable)));
    assert!(stored.iter().all(|answer| answer.as_ref().is_ok_and(|stored| !stored.duplicate)));
    assert!(stored.len() >= 500 && refused.len() >= 500, "{} stored", stored.len());
    assert_eq!(store.deliveries(&DeliveryFilter::default(), 5000).await.unwrap().len(), stored.len());
}

#[tokio::test]
async fn a_repeated_delivery_is_counted_and_its_first_bytes_are_kept() {
    let app = TestApp::start().await;
    let mut envelope = event("evt-1", "scheduled", "m-1", 0, 9);
    assert_eq!(app.deliver(&envelope).await, "accepted");
    app.clock.advance(chrono::TimeDelta::minutes(5));
    envelope["deliveryAttempt"] = json!(2);
    assert_eq!(app.deliver(&envelope).await, "duplicate");
    app.apply().await;
    assert_eq!(app.deliver(&envelope).await, "duplicate");
    let delivery = app.store.delivery("evt-1").await.unwrap().unwrap();
    assert_eq!((delivery.deliveries, delivery.status), (3, DeliveryStatus::Applied));
    assert_eq!((delivery.received_at, delivery.last_received_at), (noon(), app.clock.now()));
    let (body, _) = app.store.delivery_content(delivery.id).await.unwrap().unwrap();
    assert_eq!(body, event("evt-1", "scheduled", "m-1", 0, 9).to_string().into_bytes());
}

#[tokio::test]
async fn credentials_in_headers_are_not_kept() {
    let app = TestApp::start().await;
    let body = event("evt-1", "scheduled", "m-1", 0, 9).to_string();
    let signature = sign(KEY, body.as_bytes());
    let headers = [
        ("x-signature", signature.as_str()),
        ("authorization", "Bearer very-secret-word"),
        ("cookie", "session=very-secret-word"),
        ("x-api-key", "prefix-of-a-very-secret-word"),
        ("x-note", "kept"),
    ];
    assert_eq!(app.post_with(&headers, body).await.status(), 200);
    let delivery = app.store.delivery("evt-1").await.unwrap().unwrap();
    let (_, kept) = app.store.delivery_content(delivery.id).await.unwrap().unwrap();
    assert!(!kept.contains("very-secret-word") && !kept.contains(&signature), "{kept}");
    assert!(kept.contains(r#"["x-note","kept"]"#) && kept.contains("(masked)"), "{kept}");
}

#[tokio::test]
async fn what_can_be_read_of_a_delivery_that_is_not_understood_is_found_by_it() {
    let app = TestApp::start().await;
    let of = async |event_type: &str| {
        let filter = DeliveryFilter { event_type: Some(event_type.to_owned()), ..DeliveryFilter::default() };
        app.store.deliveries(&filter, 10).await.unwrap()
    };
    let good = event("e-1", "scheduled", "m-1", 0, 9);
    let no_end = with(good, |data| data["meetingEnd"] = json!("soon"));
    assert_eq!(app.deliver(&no_end).await, "quarantined");
    let found = of("scheduling.smartscheduler.scheduled").await.remove(0);
    assert_eq!((found.meeting_id.as_deref(), found.status), (Some("m-1"), DeliveryStatus::Quarantined));
    assert!(found.event_id.starts_with("sha256:"));
    let mut hostile = with(no_end, |data| data["id"] = json!({"a": 1}));
    for text in ["x".repeat(513), "a\u{0}b".to_owned(), "  ".to_owned()] {
        hostile["eventType"] = json!(text);
        assert_eq!(app.deliver(&hostile).await, "quarantined");
        assert_eq!(of(&text).await.len(), 0, "{text:?}");
    }
}
