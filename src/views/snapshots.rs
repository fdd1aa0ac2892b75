//! What each page says when nothing is there yet, on a normal day and when things are broken: its text, as people read it.

use chrono::TimeDelta;

use super::testing::{Stage, meeting_event};
use crate::meeting::event::Kind;
use crate::meeting::selection::Selection;
use crate::store::{BackupMade, DeliveryStatus, Identity, ProblemKind};

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
    tx.keep_last_backup(&BackupMade { at: stage.now(), file: "/backup/monday.db".into() }).await.unwrap();
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
    tx.pause_calendar(1, until, Some(&problem), stage.now()).await.unwrap();
    let verified = stage.site.store.verify_audit(stage.now()).await.unwrap();
    tx.keep_audit_verified(&verified).await.unwrap();
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
        let filters = [(r"\d+\.\d [kM]B", "[size]"), (r"[0-9a-f]{64}", "[hash]")];
        insta::with_settings!({filters => filters}, {
            insta::assert_snapshot!(format!("{name}_{state}"), text);
        });
    }
}

const PAGES: [(&str, &str); 9] = [
    ("status", "/status"),
    ("meetings", "/meetings"),
    ("week", "/meetings?view=week"),
    ("meeting", "/meetings/m-1"),
    ("inbox", "/inbox"),
    ("replay", "/inbox/replay"),
    ("calendars", "/calendars"),
    ("feeds", "/feeds"),
    ("audit", "/audit"),
];

#[tokio::test]
async fn pages_where_nothing_is_yet() {
    look("empty", empty().await, &PAGES).await;
}

#[tokio::test]
async fn pages_on_a_normal_day() {
    look(
        "normal",
        normal().await,
        &[&PAGES[..], &[("delivery", "/inbox/1"), ("calendar_edit", "/calendars/1/edit")]].concat(),
    )
    .await;
}

#[tokio::test]
async fn pages_when_things_are_broken() {
    look(
        "broken",
        broken().await,
        &[&PAGES[..], &[("delivery", "/inbox/6"), ("calendar_purge", "/calendars/1/purge")]].concat(),
    )
    .await;
}
