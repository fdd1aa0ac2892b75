//! Starting, pausing, stopping; what people do by hand; the page.

use std::time::Duration;

use chrono::TimeDelta;
use meeting_mirror::simulated_google::{Access, EventTime, Fault, SimulatedGoogle, SimulatedGoogleConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Clock, Setup, TEAM, at, events_path, meeting, meeting_with};

#[test]
fn it_needs_a_runtime() {
    let clock = Clock::new();
    let config = SimulatedGoogleConfig::new(std::sync::Arc::new(move || clock.now()));
    assert!(SimulatedGoogle::start(config).is_err());
}

#[tokio::test]
async fn offline_it_answers_nobody_and_remembers_everything() {
    let setup = Setup::new().await;
    setup.insert(&meeting("aaaaa")).await;
    setup.google.set_online(false);
    for client in [setup.http.clone(), reqwest::Client::new()] {
        let url = format!("{}{}", setup.google.api_url(), events_path(""));
        client.get(url).send().await.unwrap_err();
        client.post(setup.google.token_url()).send().await.unwrap_err();
    }
    assert_eq!(setup.google.call_count(), 1);
    setup.google.set_online(true);
    assert_eq!(setup.get(&events_path("/aaaaa")).await.status, 200);
}

#[tokio::test]
async fn shutdown_ends_it_even_while_a_call_waits() {
    let setup = Setup::new().await;
    setup.google.fail_next(Fault::Slow(Duration::from_hours(1)));
    let waiting = tokio::spawn(setup.request("GET", &events_path(""), None).send());
    while setup.google.call_count() == 0 {
        tokio::task::yield_now().await;
    }
    let address = setup.google.page_url();
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nhost: simulation\r\n\r\nGET / HT").await.unwrap();
    assert_eq!(half.read_u8().await.unwrap(), b'H', "it is being served, and sends half a request");
    let again = setup.request("GET", &events_path(""), None);
    setup.google.shutdown().await;
    waiting.await.unwrap().unwrap_err();
    assert!(again.send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn dropping_ends_it() {
    let Setup { google, http, .. } = Setup::new().await;
    let url = google.page_url();
    assert_eq!(http.get(&url).send().await.unwrap().status(), 200);
    drop(google);
    http.get(&url).send().await.unwrap_err();
}

#[tokio::test]
async fn credentials_are_written_to_a_file() {
    let setup = Setup::new().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.json");
    setup.google.write_credentials(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, setup.google.credentials().unwrap());
    let key: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(key["token_uri"], setup.google.token_url());
    assert_eq!(key["client_email"], meeting_mirror::simulated_google::CLIENT_EMAIL);
    assert!(key["note"].as_str().unwrap().contains("worthless test key"));
    assert!(setup.google.write_credentials(directory.path()).is_err());
}

#[tokio::test]
async fn people_add_change_and_delete_by_hand() {
    let setup = Setup::new().await;
    let start = at("2026-03-03T12:00:00Z");
    let google = &setup.google;
    let id = google.insert_foreign_event(TEAM, "Lunch", start, start + TimeDelta::hours(1)).unwrap();
    let event = setup.event(&id);
    assert_eq!((event.summary.as_deref(), event.start), (Some("Lunch"), Some(EventTime::At(start))));
    assert!(event.private_properties.is_empty());
    assert_eq!(google.insert_foreign_event(TEAM, "Backwards", start, start), None);
    assert_eq!(google.insert_foreign_event("nowhere", "Lunch", start, start), None);

    setup.clock.advance(TimeDelta::minutes(1));
    assert!(google.edit_by_hand(TEAM, &id, |event| {
        event["summary"] = "Late lunch".into();
        event["sequence"] = 4.into();
        event["attendees"] = json!([{ "email": "guest@example.com" }]);
    }));
    let seen = setup.get(&events_path(&format!("/{id}"))).await.body;
    assert_eq!((&seen["summary"], &seen["sequence"]), (&json!("Late lunch"), &json!(4)));
    assert_eq!(seen["updated"], "2026-03-02T09:01:00.000Z");
    assert_ne!(seen["etag"], event.raw["etag"]);
    assert!(google.edit_by_hand(TEAM, &id, |event| event["start"] = json!("broken")));
    assert_eq!(setup.event(&id).start, None);
    assert!(!google.edit_by_hand(TEAM, "unknown", |_| {}));

    assert!(google.delete_by_hand(TEAM, &id));
    assert!(!google.delete_by_hand(TEAM, &id));
    assert!(!google.delete_by_hand("nowhere", &id));
    assert_eq!(setup.delete(&id).await.status, 410);
    assert_eq!(google.mails(), []);
    assert_eq!(google.events("nowhere"), []);
}

#[tokio::test]
async fn calendar_ids_are_percent_decoded() {
    let setup = Setup::new().await;
    let id = "a/b#c?d%20+é@group.example.com";
    setup.google.add_calendar(id, "Odd", Access::Writer);
    let encoded = "a%2Fb%23c%3Fd%2520+%C3%A9%40group.example.com";
    let path = format!("calendars/{encoded}/events");
    assert_eq!(setup.call("POST", &path, Some(&meeting("aaaaa"))).await.status, 200);
    assert_eq!(setup.google.events(id).len(), 1);
    assert_eq!(setup.get(&format!("{path}/aaaa%61")).await.status, 200);
    assert_eq!(setup.google.calls()[1].calendar.as_deref(), Some(id));
    assert_eq!(setup.google.calls()[1].event.as_deref(), Some("aaaaa"));
    assert_eq!(setup.get(&format!("calendars/{encoded}")).await.body["id"], id);
    for broken in ["calendars/%ff", "calendars/a%2", "calendars/%zz", "calendars//events", "calendars/"] {
        assert_eq!(setup.get(broken).await.verdict(), (404, "notFound"), "{broken}");
    }
}

#[tokio::test]
async fn the_page_shows_what_stands_and_escapes_it() {
    let setup = Setup::new().await;
    let hostile = "<script>alert('x')</script> & \"co\"";
    let fields = json!({
        "summary": hostile, "location": hostile, "description": format!("{hostile}\nline two"),
        "start": { "dateTime": "2026-03-05T10:00:00Z" }, "end": { "dateTime": "2026-03-05T11:00:00Z" },
    });
    setup.insert(&meeting_with("aaaaa", fields)).await;
    setup.insert(&meeting_with("bbbbb", json!({ "summary": "Earlier", "transparency": "transparent" }))).await;
    let days = json!({ "summary": "Fair", "start": { "date": "2026-03-04" }, "end": { "date": "2026-03-06" } });
    setup.insert(&meeting_with("ccccc", days)).await;
    setup.insert(&meeting_with("ddddd", json!({ "summary": "Was deleted" }))).await;
    setup.delete("ddddd").await;
    setup.google.add_calendar("<b>", "<i>&", Access::NotShared);

    let reply = setup.http.get(setup.google.page_url()).send().await.unwrap();
    let policy = reply.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = reply.text().await.unwrap();
    for expected in [
        "<title>Simulated Google Calendar</title>",
        "This is a simulation inside the demo.",
        "http-equiv=\"refresh\" content=\"3\"",
        "color-scheme",
        "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;co&quot;",
        "Tue 3 Mar 2026 10:00 – 10:30",
        "Wed 4 Mar 2026, all day",
        "3 events, 1 deleted",
        "0 events, 0 deleted",
        "&lt;i&gt;&amp;",
        "not shared",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
    for unwanted in ["<script", "<b>", "<i>", "Was deleted"] {
        assert!(!page.contains(unwanted), "{unwanted} in {page}");
    }
    let place = |text: &str| page.find(text).unwrap();
    assert!(place("Earlier") < place("Fair") && place("Fair") < place("alert("));
    let link = setup.event("aaaaa").raw["htmlLink"].as_str().unwrap().to_owned();
    let (_, anchor) = link.split_once('#').unwrap();
    assert!(link.starts_with(&setup.google.page_url()) && page.contains(&format!("id=\"{anchor}\"")));
    assert_eq!(setup.google.call_count(), 5, "looking is no call of the API");
}
