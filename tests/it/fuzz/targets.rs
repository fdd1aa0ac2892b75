//! The targets that need nothing but the input: payloads, signatures, times, tokens, feed text, the audit log's entries.

use std::path::Path;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, Datelike as _, SecondsFormat, TimeDelta, Utc};
use meeting_mirror::audit::diff::diff;
use meeting_mirror::audit::organization::OrganizationChange;
use meeting_mirror::audit::secret::{Secrets, hidden_in_text};
use meeting_mirror::clock::Randomness;
use meeting_mirror::inbound::payload::{Envelope, Payload, parse};
use meeting_mirror::inbound::signature::{Verifier, sign};
use meeting_mirror::meeting::apply::receive;
use meeting_mirror::meeting::entry::Entry;
use meeting_mirror::meeting::event::MeetingEvent;
use meeting_mirror::meeting::selection::Detail;
use meeting_mirror::views::feed::lint::lint;
use meeting_mirror::views::feed::text::LONGEST_TEXT;
use meeting_mirror::web::links::{Links, TokenState};
use meeting_mirror::web::secret_key::SecretKey;
use serde_json::{Value, json};

use super::{SHORT, fuzz};
use crate::feed_text;
use crate::support::{fixture, noon};

const BASE: &str = "webhooks/scheduling.smartscheduler.scheduled.json";

/// Every payload in `fixtures/`.
pub(super) fn payloads() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/webhooks");
    let mut files: Vec<_> = [folder.clone(), folder.join("difficult")]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(files.len() > 30);
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn envelope(bytes: &[u8]) -> Option<Envelope> {
    parse(bytes).ok()
}

fn meeting_event(bytes: &[u8]) -> Option<MeetingEvent> {
    match envelope(bytes)?.payload {
        Payload::Meeting(event) => Some(*event),
        _ => None,
    }
}

#[test]
fn payload() {
    let base = meeting_event(&fixture(BASE)).unwrap();
    fuzz("targets::payload", payloads(), SHORT, |bytes| {
        let read = parse(bytes);
        assert_eq!(read, parse(bytes), "it is read in two ways");
        let envelope = match read {
            Ok(envelope) => envelope,
            Err(rejection) => {
                let told = rejection.to_string();
                assert!(told.chars().count() < 300 && !told.chars().any(char::is_control), "{told:?}");
                let (field, rest) = told.split_once(": found ").unwrap();
                return format!("{field} {}", rest.rsplit(", expected ").next().unwrap());
            }
        };
        assert!((1970..2200).contains(&envelope.happened_at.year()));
        assert!((1..=512).contains(&envelope.event_id.as_str().len()));
        let Payload::Meeting(event) = envelope.payload else { return envelope.event_type.chars().take(20).collect() };
        assert_makes_sense(&event);
        assert_same_in_any_order(&base, *event.clone());
        let told = &event.details;
        let there = [&told.title, &told.location, &told.booking_url, &told.owner.username, &told.invitee.email];
        format!("{:?} {} {}", there.map(Option::is_some), told.answers.len().min(5), told.further_invitees.len().min(5))
    });
}

fn assert_makes_sense(event: &MeetingEvent) {
    let told = &event.details;
    assert!(told.ends_at > told.starts_at && told.starts_at.timestamp_subsec_nanos() == 0);
    let lines = [&told.title, &told.location, &told.booking_url, &told.owner.username, &told.invitee.name];
    for line in lines.into_iter().flatten() {
        assert!(!line.trim().is_empty() && !line.chars().any(char::is_control), "{line:?}");
    }
    assert!(!told.answers.iter().any(|answer| answer.answer.trim().is_empty()));
    assert!(!told.further_invitees.iter().any(|address| address.trim().is_empty()));
}

/// The greatest event decides, whichever comes first, and the same one again changes nothing.
fn assert_same_in_any_order(base: &MeetingEvent, mut event: MeetingEvent) {
    event.meeting_id = base.meeting_id.clone();
    if event.key == base.key {
        return;
    }
    let after = |events: [&MeetingEvent; 3]| {
        events.into_iter().fold(None, |meeting, event| Some(receive(meeting, event, noon()).0)).unwrap()
    };
    let (one, other) = (after([base, &event, &event]), after([&event, base, base]));
    assert_eq!((one.latest, one.details), (other.latest, other.details));
}

#[test]
fn signature() {
    const KEY: &str = "a key for the fuzzer";
    let body = fixture(BASE);
    let verifier = Verifier::new(&[KEY.to_owned(), "whsec_MDEyMzQ1Njc4OQ==".to_owned()], None);
    let signed = |body: &[u8]| format!("x-signature: {}\n", sign(KEY, body)).into_bytes();
    let mut corpus = vec![[&signed(&body), &*body].concat()];
    corpus.push(b"webhook-id: 1\nwebhook-timestamp: 2\nwebhook-signature: v1,AAAA v1,BBBB\n{}".to_vec());
    corpus.push([&b"x-hmac: "[..], "a".repeat(64).as_bytes(), b" sha512=", "b".repeat(128).as_bytes(), b"\n"].concat());
    let genuine = sign(KEY, &body);
    fuzz("targets::signature", corpus, SHORT, |bytes| {
        let mut headers = HeaderMap::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n').filter(|_| !rest.starts_with(b"{")) {
            let (line, after) = rest.split_at(end);
            rest = &after[1..];
            let Some(colon) = line.iter().position(|&byte| byte == b':') else { break };
            let name = HeaderName::from_bytes(&line[..colon]);
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        // Nobody but this test signs, and it signs this body only.
        let outcome = verifier.verify(&headers, rest);
        assert!(outcome.is_err() || rest == body, "a body that was not signed is taken");
        let is_there = headers.values().any(|value| value.as_bytes() == genuine.as_bytes());
        let own = HeaderMap::from_iter([(HeaderName::from_static("x-signature"), sign(KEY, rest).parse().unwrap())]);
        assert!(verifier.verify(&own, rest).is_ok(), "a body that was signed is refused");
        format!("{:?} {is_there} {}", outcome.map_err(|why| why.to_string()), headers.len().min(6))
    });
}

#[test]
fn times() {
    let corpus =
        ["2026-11-23T10:00:00Z", "2026-11-23 10:00:00.123456789+05:30", "2026-11-23T10:00", "1970-01-01t00:00:00z"];
    let more =
        ["2199-12-31T23:59:60Z", "2024-02-29T12:00:00.5-0330", "2026-11-23T10:00:00", "2026-11-23T24:00:00Z", ""];
    let corpus = corpus.iter().chain(&more).map(|text| text.as_bytes().to_vec()).collect();
    fuzz("targets::times", corpus, SHORT, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let read = |text: &str| -> Option<DateTime<Utc>> {
            let body = json!({"eventId": "e", "eventType": "t", "eventTimestamp": text}).to_string();
            Some(envelope(body.as_bytes())?.happened_at)
        };
        let found = read(&text);
        if let Ok(strict) = DateTime::parse_from_rfc3339(&text)
            && (1970..2200).contains(&strict.to_utc().year())
            && strict.timestamp_subsec_nanos() < 1_000_000_000
        {
            assert_eq!(found, Some(strict.to_utc()), "{text:?} is RFC 3339");
        }
        let Some(time) = found else { return "no time".to_owned() };
        assert!((1970..2200).contains(&time.year()));
        let again = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        assert_eq!(read(&again), Some(time), "{text:?} became {again}");
        format!("{} {}", text.len(), time.timestamp_subsec_nanos() > 0)
    });
}

#[test]
fn tokens() {
    let dir = tempfile::tempdir().unwrap();
    let secret = SecretKey::load(dir.path(), true, &Randomness::seeded(1)).unwrap();
    let links = Links::new(&"http://x".parse().unwrap(), &secret);
    let (mut now, mut before) =
        (feed_text::settings("Demos", Detail::Full), feed_text::settings("Demos", Detail::Full));
    now.generation = 3;
    before.generation = 2;
    let minted = [links.token(&now), links.token(&before)];
    let corpus = minted.iter().map(|token| token.clone().into_bytes()).collect();
    fuzz("targets::tokens", corpus, SHORT, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if Links::public_id(&text) != Some(&now.wish.public_id) {
            return "another feed's".to_owned();
        }
        let state = links.check(&text, &now);
        let is = |token: &str| text.eq_ignore_ascii_case(token);
        assert_eq!(state == TokenState::Current, is(&minted[0]), "{text}");
        assert_eq!(state == TokenState::Rotated, is(&minted[1]), "{text}");
        format!("{state:?} {}", text.len())
    });
}

#[test]
fn feed() {
    fuzz("targets::feed", payloads(), SHORT / 3, |bytes| {
        let Some(event) = meeting_event(bytes) else {
            // What is no payload is no feed either, which must be said without a panic.
            return format!("no feed: {}", lint(bytes).len().min(5));
        };
        let (mut meeting, _) = receive(None, &event, feed_text::now());
        let lasts = meeting.details.ends_at - meeting.details.starts_at;
        meeting.details.starts_at = feed_text::now() + TimeDelta::hours(1);
        meeting.details.ends_at = meeting.details.starts_at + lasts.min(TimeDelta::days(30));
        let name = event.details.title.as_deref().unwrap_or_default();
        let entry = Entry::of(&meeting, Detail::Full);
        let texts = [Some(entry.title), entry.description, entry.location];
        if texts.iter().flatten().any(|text| text.len() > LONGEST_TEXT - "Canceled: ".len()) {
            let body = feed_text::render(&feed_text::settings(name, Detail::Full), &[meeting], feed_text::now()).body;
            assert_eq!(lint(&body), []);
            return "cut".to_owned();
        }
        for detail in [Detail::Full, Detail::Title, Detail::Busy] {
            feed_text::parsers::assert_arrives(&meeting, detail, name);
        }
        format!("{:?} {} {}", event.key.kind, name.len().min(100) / 10, event.details.answers.len().min(5))
    });
}

#[test]
fn lints() {
    let text = feed_text::render(&feed_text::settings("Demos", Detail::Full), &[], feed_text::now()).body;
    let meeting = feed_text::meeting("m-1", 5);
    let full = feed_text::render(&feed_text::settings("Demos", Detail::Full), &[meeting], feed_text::now()).body;
    fuzz("targets::lints", vec![text.clone(), full], SHORT, |bytes| {
        let found = lint(bytes);
        assert_eq!(found, lint(bytes));
        format!("{:?}", found.iter().map(|finding| format!("{finding:?}").len() / 20).take(3).collect::<Vec<_>>())
    });
}

#[test]
fn audit() {
    /// Hidden by where it stands, and by its form.
    const SECRETS: [&str; 2] = ["hunter2-open-sesame", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"];
    let corpus: Vec<Vec<u8>> = payloads()
        .into_iter()
        .filter(|bytes| String::from_utf8_lossy(bytes).contains("organization.") || bytes.len() < 200)
        .collect();
    fuzz("targets::audit", corpus, SHORT / 5, |bytes| {
        let text = hidden_in_text(&String::from_utf8_lossy(bytes));
        assert_eq!(hidden_in_text(&text), text, "what is hidden is hidden again, otherwise");
        let Ok(body) = serde_json::from_slice::<Value>(bytes) else { return "no JSON".to_owned() };
        let mut data = body.get("data").cloned().unwrap_or_default();
        let event_type = body.get("eventType").and_then(Value::as_str).unwrap_or_default();
        if let Some(current) = data.get_mut("current").and_then(Value::as_object_mut) {
            current.insert("password".to_owned(), SECRETS[0].into());
            current.insert("note".to_owned(), json!([{"deep": format!("it is {}", SECRETS[1])}]));
        }
        let change = OrganizationChange::new(event_type, &data);
        assert_eq!(change, OrganizationChange::new(event_type, &data));
        let told = format!("{} {:?}", change.summary, change.changes);
        assert!(!SECRETS.iter().any(|secret| told.contains(secret)), "a secret is told: {told}");
        assert!(!change.summary.is_empty() && change.summary.chars().count() < 2_000, "{}", change.summary);

        let part = |name: &str| data.get(name).cloned().unwrap_or_default();
        let (before, after) = (part("previous"), part("current"));
        assert_eq!(diff(&before, &before), []);
        let there = diff(&before, &after);
        let mut back = diff(&after, &before);
        for change in &mut back {
            std::mem::swap(&mut change.before, &mut change.after);
        }
        assert_eq!(there, back, "what came and what went differ by the direction");
        let hidden: Vec<_> =
            there.iter().map(|change| Secrets::of_organization(&data).hidden_in(change.clone())).collect();
        let again: Vec<_> =
            hidden.iter().map(|change| Secrets::of_organization(&data).hidden_in(change.clone())).collect();
        assert_eq!(hidden, again);
        format!(
            "{} {} {}",
            change.category.chars().take(12).collect::<String>(),
            there.len().min(6),
            change.summary.len() / 20
        )
    });
}
