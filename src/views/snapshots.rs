//! What each page says when nothing is there yet, on a normal day and when things are broken: its text, as people read it.

use chrono::TimeDelta;

use super::testing::{Stage, meeting_event};
use crate::meeting::event::Kind;
use crate::meeting::selection::Selection;
use crate::store::{
    BackupMade, DeliveryStatus, FetchKey, Identity, LeftOut, PausedFor, ProblemKind, Rendition, Tally, day_of,
};

async fn empty() -> Stage {
    Stage::new().await
}

async fn normal() -> Stage {
    let mut stage = Stage::new().await;
    stage.google();
    stage.calendar("Team", Selection::default()).await;
    stage.feed("Everything").await;
    stage.meeting("m-1", 24).await;
    stage.event(&meeting_event("m-2", Kind::Scheduled, stage.now(), 48)).await;
    let test =
        Identity { event_id: "t-1".into(), event_type: Some("developer.webhook.test".into()), ..Identity::default() };
    stage.store_delivery(&stage.delivery(test, DeliveryStatus::Applied)).await;
    stage.mirror(&[]).await;
    stage.clock.advance(TimeDelta::minutes(10));
    stage.event(&meeting_event("m-2", Kind::Canceled, stage.now(), 48)).await;
    stage.mirror(&[]).await;
    let mut tx = stage.site.store.write().await.unwrap();
    tx.backup_was_made(&BackupMade { at: stage.now(), file: "/backup/monday.db".into() }, "test", stage.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    stage
}

async fn broken() -> Stage {
    let stage = normal().await;
    stage.event(&meeting_event("m-3", Kind::Scheduled, stage.now(), 72)).await;
    stage.mirror(&[("m-3", "Google says no", ProblemKind::Rejected)]).await;
    stage.quarantined("sha256:1", "data.id: found nothing, expected an id", b"{\"data\":{}}").await;
    let waiting = Identity { event_id: "e-9".into(), meeting_id: Some("m-1".into()), ..Identity::default() };
    stage.store_delivery(&stage.delivery(waiting, DeliveryStatus::Pending)).await;
    let account = "mirror@robot.example.com";
    let problem = format!("share the calendar with {account} as “Make changes to events”");
    let mut tx = stage.site.store.write().await.unwrap();
    let until = stage.now() + TimeDelta::minutes(5);
    tx.pause_calendar(1, until, PausedFor::Person, Some(&problem), stage.now()).await.unwrap();
    let verified = stage.site.store.verify_audit(stage.now()).await.unwrap();
    tx.keep_asked_audit_verified("admin page", &verified, None).await.unwrap();
    let feed = stage.site.store.feed("1").await.unwrap().unwrap();
    let left_out = LeftOut { meetings: 12, ahead: 2, from: Some(stage.now()) };
    let rendition = Rendition { body: vec![1; 9], digest: vec![2], last_modified_at: stage.now(), left_out };
    tx.keep_rendition(&feed, &rendition).await.unwrap();
    let fetched = FetchKey { feed_id: 1, program: "google", day: day_of(stage.now()), answer: 503 };
    tx.add_fetches([(&fetched, &Tally { fetches: 3, last_at: stage.now() })]).await.unwrap();
    tx.commit().await.unwrap();
    stage.clock.advance(TimeDelta::minutes(2));
    stage
}

async fn look(state: &str, at: Stage, pages: &[(&str, &str)]) {
    let mut admin = at.admin().await;
    for (name, path) in pages {
        let page = admin.get(path).await;
        let text = format!("{} {path}\n{}", page.status.as_u16(), page.lines());
        // Both depend on the machine.
        let filters = [(r"\d+\.\d [kMGTP]B", "[size]"), (r"[0-9a-f]{64}", "[hash]")];
        insta::with_settings!({filters => filters}, {
            insta::assert_snapshot!(format!("{name}_{state}"), text);
        });
    }
}

const PAGES: [(&str, &str); 11] = [
    ("status", "/status"),
    ("meetings", "/meetings"),
    ("week", "/meetings?view=week"),
    ("meeting", "/meetings/m-1"),
    ("inbox", "/inbox"),
    ("replay", "/inbox/replay"),
    ("set_aside", "/inbox/ignore"),
    ("calendars", "/calendars"),
    ("feeds", "/feeds"),
    ("personal_feeds", "/feeds/personal"),
    ("audit", "/audit"),
];

#[tokio::test]
async fn pages_where_nothing_is_yet() {
    look("empty", empty().await, &PAGES).await;
}

#[tokio::test]
async fn pages_on_a_normal_day() {
    let further = [
        ("delivery", "/inbox/1"),
        ("calendar_edit", "/calendars/1/edit"),
        ("feed", "/feeds/1/details"),
        ("feed_edit", "/feeds/1/edit"),
    ];
    look("normal", normal().await, &[&PAGES[..], &further].concat()).await;
}

#[tokio::test]
async fn pages_when_things_are_broken() {
    let further = [
        ("delivery", "/inbox/6"),
        ("calendar_purge", "/calendars/1/purge"),
        ("feed", "/feeds/1/details"),
        ("feed_rotate", "/feeds/1/rotate"),
        ("feed_revoke", "/feeds/1/revoke"),
    ];
    look("broken", broken().await, &[&PAGES[..], &further].concat()).await;
}
