//! From deliveries to meetings: the total order of events, what each event does and leaves in the history, times and
//! texts in every form, and that one bad delivery stays alone.

use chrono::{DateTime, TimeDelta, Utc};
use meeting_mirror::meeting::apply::Effect;
use meeting_mirror::meeting::entry::Entry;
use meeting_mirror::meeting::event::MeetingEvent;
use meeting_mirror::meeting::selection::Detail;
use meeting_mirror::meeting::state::Meeting;
use meeting_mirror::store::{DeliveryFilter, DeliveryStatus, Identity, MeetingFilter, NewDelivery};
use serde_json::{Value, json};

use crate::support::{TestApp, event, fixture, noon, with};

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn at(mut event: Value, timestamp: &str) -> Value {
    event["eventTimestamp"] = json!(timestamp);
    event
}

async fn status(app: &TestApp, event_id: &str) -> DeliveryStatus {
    app.store.delivery(event_id).await.unwrap().unwrap().status
}

/// Stores a delivery as the webhook of another version of this program would have. Returns its row id.
async fn store(app: &TestApp, identity: &str, body: &str, status: DeliveryStatus) -> i64 {
    let new = NewDelivery {
        identity: Identity { event_id: identity.to_owned(), ..Identity::default() },
        body: body.as_bytes().to_vec(),
        headers: "[]".into(),
        signature: "unsigned".into(),
        received_at: app.now(),
        status,
        reason: (status == DeliveryStatus::Quarantined).then(|| "not understood then".to_owned()),
    };
    let mut tx = app.store.write().await.unwrap();
    let stored = tx.store_delivery(&new).await.unwrap();
    tx.commit().await.unwrap();
    stored.id
}

async fn replay(app: &TestApp, id: i64) {
    let mut tx = app.store.write().await.unwrap();
    assert_eq!(tx.replay_deliveries(&[id], app.now()).await.unwrap(), 1);
    tx.commit().await.unwrap();
    app.apply().await;
}

/// All meetings without what tells the way they came.
async fn meetings(app: &TestApp) -> Vec<Meeting> {
    let mut meetings = app.store.meetings(&MeetingFilter::default(), 1000).await.unwrap();
    for meeting in &mut meetings {
        meeting.revision = 0;
        meeting.first_seen_at = noon();
        meeting.last_modified_at = noon();
    }
    meetings
}

#[tokio::test]
async fn the_greater_event_wins_in_either_order() {
    // Each pair: the lesser event, the greater one.
    let canceled = |event| with(event, |data| data["isCanceled"] = json!(true));
    let pairs = [
        ("time", event("z", "canceled", "m", 0, 9), event("a", "scheduled", "m", 1, 10)),
        ("rescheduled over scheduled", event("z", "scheduled", "m", 0, 9), event("a", "rescheduled", "m", 0, 10)),
        ("canceled over rescheduled", event("z", "rescheduled", "m", 0, 9), event("a", "canceled", "m", 0, 10)),
        (
            "a rescheduled event that says canceled counts as canceled",
            event("z", "rescheduled", "m", 0, 9),
            canceled(event("a", "rescheduled", "m", 0, 10)),
        ),
        ("event id", event("evt-1", "rescheduled", "m", 0, 9), event("evt-2", "rescheduled", "m", 0, 10)),
        ("event id by bytes", event("Z", "rescheduled", "m", 0, 9), event("a", "rescheduled", "m", 0, 10)),
        (
            "a nanosecond",
            at(event("z", "canceled", "m", 0, 9), "2026-11-23T12:00:00.000000001Z"),
            at(event("a", "scheduled", "m", 0, 10), "2026-11-23T12:00:00.000000002Z"),
        ),
        (
            "times are compared, not texts",
            at(event("z", "canceled", "m", 0, 9), "2026-11-23T20:00:00+09:00"),
            at(event("a", "scheduled", "m", 0, 10), "2026-11-23T11:30:00Z"),
        ),
    ];
    let app = TestApp::start().await;
    for (number, (why, lesser, greater)) in pairs.into_iter().enumerate() {
        for (way, events) in [("up", [&lesser, &greater]), ("down", [&greater, &lesser])] {
            let id = format!("m-{number}-{way}");
            for event in events {
                let mut event = with(event.clone(), |data| data["id"] = json!(id));
                event["eventId"] = json!(format!("{}-{id}", event["eventId"].as_str().unwrap()));
                app.deliver(&event).await;
                app.apply().await;
            }
            assert_eq!(app.meeting(&id).await.details.starts_at, time("2026-11-24T10:00:00Z"), "{why}, {way}");
        }
    }
}

#[tokio::test]
async fn an_older_event_is_kept_as_superseded_and_changes_nothing() {
    let app = TestApp::start().await;
    app.deliver_all(&[event("new", "rescheduled", "m-1", 10, 15)]).await;
    let before = app.meeting("m-1").await;
    app.clock.advance(TimeDelta::minutes(1));
    app.deliver_all(&[event("old", "scheduled", "m-1", 0, 9)]).await;
    assert_eq!(app.meeting("m-1").await, before);
    assert_eq!(status(&app, "old").await, DeliveryStatus::Superseded);
    assert_eq!(
        app.effects("m-1").await,
        [("new".into(), "created".into()), ("old".into(), "superseded".into())] as [(String, String); 2]
    );
    let old = &app.store.history("m-1").await.unwrap()[1];
    assert_eq!((old.starts_at, old.revision), (time("2026-11-24T09:00:00Z"), before.revision));
}

#[tokio::test]
async fn the_history_tells_what_each_event_did() {
    let app = TestApp::start().await;
    let same = |id, minute| with(event(id, "rescheduled", "m-1", minute, 10), |data| data["isCanceled"] = json!(false));
    app.deliver_all(&[
        event("1", "scheduled", "m-1", 0, 9),
        event("2", "rescheduled", "m-1", 1, 10),
        same("3", 2),
        with(same("4", 3), |data| data["isCanceled"] = json!(true)),
        event("5", "canceled", "m-1", 4, 10),
        same("6", 5),
        event("0", "rescheduled", "m-1", 0, 11),
    ])
    .await;
    let effects: Vec<String> =
        app.effects("m-1").await.into_iter().map(|(id, effect)| format!("{id} {effect}")).collect();
    let expected = ["1 created", "2 changed", "3 unchanged", "4 canceled", "5 unchanged", "6 changed", "0 superseded"];
    assert_eq!(effects, expected);
    let revisions: Vec<u32> = app.store.history("m-1").await.unwrap().iter().map(|entry| entry.revision).collect();
    assert_eq!(revisions, [0, 1, 1, 2, 2, 3, 3]);
}

#[tokio::test]
async fn a_scheduled_event_can_say_canceled() {
    let app = TestApp::start().await;
    let flagged = with(event("1", "scheduled", "m-1", 0, 9), |data| data["isCanceled"] = json!(true));
    app.deliver_all(&[flagged, with(event("2", "canceled", "m-2", 0, 9), |data| data["isCanceled"] = json!(false))])
        .await;
    assert_eq!(app.meeting("m-1").await.status().as_str(), "canceled");
    assert_eq!(app.meeting("m-2").await.status().as_str(), "canceled", "the type says so, whatever the flag says");
}

#[tokio::test]
async fn every_visible_change_is_one_revision_and_a_later_second() {
    let app = TestApp::start().await;
    app.clock.advance(TimeDelta::milliseconds(250));
    let mut last: Option<Meeting> = None;
    for (minute, kind) in ["scheduled", "rescheduled", "canceled", "rescheduled"].into_iter().enumerate() {
        let hour = 9 + u32::try_from(minute).unwrap();
        let minute = i64::try_from(minute).unwrap();
        app.deliver_all(&[event(&format!("evt-{minute}"), kind, "m-1", minute, hour)]).await;
        let meeting = app.meeting("m-1").await;
        assert_eq!(meeting.last_modified_at.timestamp_subsec_nanos(), 0);
        if let Some(last) = last {
            assert_eq!(meeting.revision, last.revision + 1);
            assert!(meeting.last_modified_at > last.last_modified_at, "{} {}", last.last_modified_at, minute);
            assert_eq!(meeting.first_seen_at, last.first_seen_at);
        }
        last = Some(meeting);
        // The clock stands, then runs back.
        app.clock.advance(TimeDelta::seconds(-5 * minute));
    }
}

#[tokio::test]
async fn times_in_every_form_mean_the_same() {
    let app = TestApp::start().await;
    let forms = [
        ("2026-11-24T10:00:00Z", "2026-11-24T10:30:00Z"),
        ("2026-11-24T15:30:00+05:30", "2026-11-24T02:30:00-08:00"),
        ("2026-11-24T10:00:00.0000001Z", "2026-11-24T10:30:00.999Z"),
        ("2026-11-24T10:00:00", "2026-11-24T10:30:00"),
        ("2026-11-24T10:00", "2026-11-24T10:30Z"),
        ("2026-11-24t10:00:00z", " 2026-11-24T10:30:00.5 "),
    ];
    for (number, (start, end)) in forms.into_iter().enumerate() {
        let id = format!("m-{number}");
        let event = with(event(&id, "scheduled", &id, 0, 9), |data| {
            data["meetingStart"] = json!(start);
            data["meetingEnd"] = json!(end);
        });
        assert_eq!(app.deliver(&event).await, "accepted");
        app.apply().await;
        let details = app.meeting(&id).await.details;
        assert_eq!(details.starts_at, time("2026-11-24T10:00:00Z"), "{start}");
        assert_eq!(details.ends_at, time("2026-11-24T10:30:00Z"), "{end}");
    }
    for end in ["2026-11-24T10:00:00Z", "2026-11-24T09:59:59Z", "2026-11-24T10:00:00.9Z", "2026-11-24T11:00:00+02:00"] {
        let event =
            with(event(&format!("evt {end}"), "scheduled", "m-bad", 0, 10), |data| data["meetingEnd"] = json!(end));
        assert_eq!(app.deliver(&event).await, "quarantined", "{end}");
    }
    app.apply().await;
    assert!(app.store.meeting("m-bad").await.unwrap().is_none());
}

#[tokio::test]
async fn a_meeting_without_texts_has_a_title_all_the_same() {
    let app = TestApp::start().await;
    let info = [
        (
            "Demo 🎉 שלום",
            json!({"meetingName": " Demo 🎉 שלום ", "primaryInviteeName": "Bo", "primaryInvitee": "bo@example.org"}),
        ),
        ("Meeting with Bo", json!({"meetingName": "", "primaryInviteeName": "Bo", "primaryInvitee": "bo@example.org"})),
        ("Meeting with bo@example.org", json!({"meetingName": " \n ", "primaryInvitee": "bo@example.org"})),
        ("Meeting", json!({"meetingName": null, "primaryInviteeName": "", "primaryInvitee": null})),
        ("Meeting", Value::Null),
    ];
    for (number, (title, info)) in info.into_iter().enumerate() {
        let id = format!("m-{number}");
        let event = with(event(&id, "scheduled", &id, 0, 9), |data| {
            data["meetingInfo"] = info;
            data["meetingOwner"] = Value::Null;
        });
        app.deliver_all(&[event]).await;
        let meeting = app.meeting(&id).await;
        assert_eq!(Entry::of(&meeting, Detail::Full).title, title);
        let title_only = Entry::of(&meeting, Detail::Title);
        assert!(!title_only.title.is_empty() && (number == 0 || title_only.title == "Meeting"), "no invitee there");
    }
}

#[tokio::test]
async fn bad_deliveries_among_good_ones_are_quarantined_alone() {
    let app = TestApp::start().await;
    let good = |number: usize| event(&format!("good-{number}"), "scheduled", &format!("m-{number}"), 0, 9).to_string();
    for number in 0..250 {
        store(&app, &format!("good-{number}"), &good(number), DeliveryStatus::Pending).await;
        if number % 50 == 0 {
            store(&app, &format!("bad-{number}"), "{\"eventId\": 1,", DeliveryStatus::Pending).await;
        }
    }
    app.apply().await;
    let counts = app.store.inbox_counts().await.unwrap();
    let of = |status| counts.of(status);
    assert_eq!((of(DeliveryStatus::Applied), of(DeliveryStatus::Quarantined)), (250, 5));
    assert_eq!(of(DeliveryStatus::Pending), 0);
    assert_eq!(app.store.meeting_counts().await.unwrap(), [250, 0, 0]);
    let reason = app.store.delivery("bad-50").await.unwrap().unwrap().reason.unwrap();
    assert!(reason.starts_with("body: found bytes that are not clean JSON"), "{reason}");
}

#[tokio::test]
async fn what_is_understood_after_an_upgrade_gets_its_identity_when_replayed() {
    let app = TestApp::start().await;
    let body = event("evt-1", "scheduled", "m-1", 0, 9);
    let id = store(&app, "sha256:ab12", &body.to_string(), DeliveryStatus::Quarantined).await;
    app.apply().await;
    assert!(app.store.meeting("m-1").await.unwrap().is_none(), "nothing is replayed unasked");
    replay(&app, id).await;
    let delivery = app.store.delivery("evt-1").await.unwrap().unwrap();
    assert_eq!((delivery.id, delivery.status, delivery.reason), (id, DeliveryStatus::Applied, None));
    assert_eq!((delivery.meeting_id.as_deref(), delivery.replays), (Some("m-1"), 1));
    assert!(app.store.delivery("sha256:ab12").await.unwrap().is_none());
    assert!(app.meeting("m-1").await.is_confirmed());
    assert_eq!(app.deliver(&body).await, "duplicate");

    let twin = store(&app, "sha256:cd34", &body.to_string(), DeliveryStatus::Quarantined).await;
    replay(&app, twin).await;
    let twin = app.store.delivery("sha256:cd34").await.unwrap().unwrap();
    assert_eq!(twin.status, DeliveryStatus::Ignored);
    assert!(twin.reason.unwrap().contains("evt-1"));
}

#[tokio::test]
async fn replaying_what_was_applied_changes_nothing() {
    let app = TestApp::start().await;
    let organization: Value = serde_json::from_slice(&fixture("webhooks/organization.setting.changed.json")).unwrap();
    app.deliver_all(&[
        event("1", "scheduled", "m-1", 0, 9),
        event("2", "rescheduled", "m-1", 1, 10),
        with(event("3", "rescheduled", "m-2", 2, 10), |data| {
            data["meetingInfo"]["existingEmailMeetingId"] = json!("mail-m-1");
        }),
        organization,
    ])
    .await;
    let all = app.store.meetings(&MeetingFilter::default(), 10).await.unwrap();
    let history = app.effects("m-1").await;
    app.clock.advance(TimeDelta::hours(1));
    for delivery in app.store.deliveries(&DeliveryFilter::default(), 10).await.unwrap() {
        replay(&app, delivery.id).await;
    }
    assert_eq!(app.store.meetings(&MeetingFilter::default(), 10).await.unwrap(), all);
    assert_eq!(app.effects("m-1").await, history);
    assert_eq!(app.store.audit_newest(10).await.unwrap().len(), 1);
    assert_eq!(app.store.inbox_counts().await.unwrap().of(DeliveryStatus::Pending), 0);
}

#[tokio::test]
async fn what_a_newer_version_reads_differently_is_corrected_in_the_history() {
    let app = TestApp::start().await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    let mut meeting = app.meeting("m-1").await;
    let before = app.store.history("m-1").await.unwrap().remove(0);
    let mut details = meeting.details.clone();
    details.title = Some("As it was meant".to_owned());
    details.starts_at -= TimeDelta::hours(1);
    let event = MeetingEvent {
        key: meeting.latest.clone(),
        meeting_id: meeting.id.clone(),
        details,
        existing_email_meeting_id: None,
    };
    meeting.revision += 1;
    let mut tx = app.store.write().await.unwrap();
    let later = app.now() + TimeDelta::hours(1);
    tx.add_history(&meeting, &event, before.inbox_id, Effect::Superseded, later).await.unwrap();
    tx.commit().await.unwrap();
    let history = app.store.history("m-1").await.unwrap();
    let after = &history[0];
    assert_eq!((history.len(), after.title.as_deref()), (1, Some("As it was meant")));
    assert_eq!(after.starts_at, before.starts_at - TimeDelta::hours(1));
    assert_eq!(
        (&after.effect, after.revision, after.applied_at),
        (&before.effect, before.revision, before.applied_at),
        "what it did then stays"
    );
}

#[tokio::test]
async fn a_day_ends_the_same_in_any_order() {
    let text = String::from_utf8(fixture("webhooks/a-day.ndjson")).unwrap();
    let given: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(given.len() >= 60);
    let reversed: Vec<Value> = given.iter().rev().cloned().collect();
    // 74 deliveries and 31 have no common factor, so every one is visited.
    let shuffled: Vec<Value> = (0..given.len()).map(|index| given[index * 31 % given.len()].clone()).collect();
    let mut ends = Vec::new();
    for (order, day) in [("given", given), ("reversed", reversed), ("shuffled", shuffled)] {
        let app = TestApp::start().await;
        for (index, envelope) in day.iter().enumerate() {
            app.deliver(envelope).await;
            if index % 7 == 0 {
                app.apply().await;
            }
        }
        app.apply().await;
        assert_eq!(app.store.meeting_counts().await.unwrap(), [26, 7, 2], "{order}");
        let counts = app.store.inbox_counts().await.unwrap();
        assert_eq!(counts.of(DeliveryStatus::Applied) + counts.of(DeliveryStatus::Superseded), 57, "{order}");
        assert_eq!((counts.of(DeliveryStatus::Ignored), counts.duplicates), (1, 16), "{order}");
        assert_eq!(app.store.audit_newest(100).await.unwrap().len(), 5, "{order}");
        ends.push(meetings(&app).await);
    }
    assert_eq!(ends[0].len(), 35);
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0], ends[2]);
}
