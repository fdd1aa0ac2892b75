//! Databases as earlier versions left them: each opens with this one, is brought up to date, tells the same and goes on.
//! Must not look at tables; only at what people see of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::store::{AuditFilter, AuditPart, DeliveryFilter, MeetingFilter, OnCancel};
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::support::{TEAM, TestApp, event, fixture, with};

/// The first version that was put to use came with the migrations up to this one.
const FIRST: i64 = 6;
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// When it is set, the database of the newest version is made anew.
const KEEP: &str = "KEEP_DATABASE";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/databases")
}

fn file_of(version: i64) -> PathBuf {
    folder().join(format!("{version:04}.db"))
}

/// The versions of the tables, by their last migration.
fn versions() -> Vec<i64> {
    MIGRATIONS.iter().map(|migration| migration.version).filter(|version| *version >= FIRST).collect()
}

/// The program on a copy of what that version left, and with its key.
async fn upgraded(version: i64) -> TestApp {
    TestApp::start_with(|settings| {
        let data = &settings.data_dir;
        std::fs::create_dir_all(data).unwrap();
        std::fs::copy(file_of(version), data.join("meeting-mirror.db")).unwrap();
        std::fs::copy(folder().join("secret.key"), data.join("secret.key")).unwrap();
    })
    .await
}

/// All that people see.
async fn told(app: &TestApp) -> Value {
    let store = &app.store;
    let mut meetings = Vec::new();
    for meeting in store.meetings(&MeetingFilter::default(), 100).await.unwrap() {
        let id = meeting.id.as_str();
        let places = store.mirror_rows(id).await.unwrap();
        let places: Vec<_> = places
            .iter()
            .map(|row| json!([row.calendar_id, row.presence.as_str(), row.written_revision, row.due_at]))
            .collect();
        meetings.push(json!({
            "id": id, "status": meeting.status().as_str(), "title": meeting.details.title,
            "starts": meeting.details.starts_at, "revision": meeting.revision, "modified": meeting.last_modified_at,
            "history": app.effects(id).await, "places": places,
        }));
    }
    let deliveries = store.deliveries(&DeliveryFilter::default(), 100).await.unwrap();
    let deliveries: Vec<_> = deliveries
        .iter()
        .map(|delivery| json!([delivery.event_id, delivery.status.as_str(), delivery.deliveries, delivery.received_at]))
        .collect();
    let mut feeds = Vec::new();
    for feed in store.feeds().await.unwrap() {
        let kept = store.rendition(feed.id).await.unwrap().map(|kept| kept.last_modified_at);
        feeds.push(json!([feed.wish.name, app.site.links.token(&feed), feed.edition, feed.revoked_at, kept]));
    }
    let calendars = store.calendars().await.unwrap();
    let calendars: Vec<_> = calendars
        .iter()
        .map(|of| json!([of.wish.name, of.wish.google_id, of.wish.detail.as_str(), of.next_check_at]))
        .collect();
    let audit = store.audit_entries(&AuditFilter::default(), AuditPart::NEWEST, 100).await.unwrap();
    // What is set differs from machine to machine, and versions that remember it tell so.
    let audit = audit.iter().filter(|link| link.entry.category != "settings");
    let audit: Vec<_> = audit.map(|link| json!([link.seq, link.entry.category, link.entry.summary])).collect();
    let inbox = store.inbox_counts().await.unwrap();
    let mut by_status: Vec<_> = inbox.by_status.iter().map(|(status, count)| json!([status.as_str(), count])).collect();
    by_status.sort_by_key(Value::to_string);
    let mirror = store.mirror_counts(app.now()).await.unwrap();
    let mirror: Vec<_> = mirror.iter().map(|of| json!([of.calendar_id, of.in_step, of.pending, of.failing])).collect();
    json!({
        "meetings": meetings, "deliveries": deliveries, "feeds": feeds, "calendars": calendars, "audit": audit,
        "counts": {"inbox": by_status, "repeated": inbox.duplicates, "meetings": store.meeting_counts().await.unwrap(), "mirror": mirror},
        "arrivals": store.arrivals(app.now() - TimeDelta::days(1), app.now()).await.unwrap().values().sum::<u32>(),
    })
}

#[tokio::test]
async fn every_migration_has_its_database() {
    if std::env::var_os(KEEP).is_some() {
        keep_the_newest().await;
    }
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kept: BTreeSet<String> = files.filter(|name| !["README.md", "secret.key"].contains(&name.as_str())).collect();
    let wanted: BTreeSet<String> = versions().into_iter().map(|version| format!("{version:04}.db")).collect();
    assert_eq!(
        kept, wanted,
        "after adding a migration run: {KEEP}=1 cargo test --test it every_migration_has_its_database"
    );
}

#[tokio::test]
async fn every_kept_database_is_that_of_its_version() {
    for version in versions() {
        let file = SqliteConnectOptions::new().filename(file_of(version)).read_only(true).immutable(true);
        let mut file = file.connect().await.unwrap();
        let applied: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version")
            .fetch_all(&mut file)
            .await
            .unwrap();
        let wanted: Vec<i64> = MIGRATIONS.iter().map(|of| of.version).filter(|of| *of <= version).collect();
        assert_eq!(applied, wanted, "{version:04}.db");
    }
}

#[tokio::test]
async fn every_earlier_database_tells_the_same_and_goes_on() {
    for version in versions() {
        let app = upgraded(version).await;
        let told = told(&app).await;
        insta::allow_duplicates! { insta::assert_json_snapshot!("told", told) };
        app.store.integrity_check().await.unwrap();
        let verified = app.store.verify_audit(app.now()).await.unwrap();
        assert_eq!(verified.broken, None, "{version}");

        // What waited is applied, what was known is known, what is new counts.
        assert_eq!(app.inbox.drain().await.unwrap(), 1, "{version}");
        assert_eq!(app.meeting("m-6").await.revision, 0);
        assert_eq!(app.deliver(&event("e-1", "scheduled", "m-1", 1, 9)).await, "duplicate");
        assert_eq!(app.deliver(&event("e-20", "rescheduled", "m-1", 200, 15)).await, "accepted");
        app.apply().await;
        assert_eq!(app.meeting("m-1").await.revision, 1);
        let [confirmed, canceled, replaced] = app.store.meeting_counts().await.unwrap();
        assert_eq!((confirmed, canceled, replaced), (4, 1, 1), "{version}");
        let waits = &app.store.mirror_counts(app.now()).await.unwrap()[0];
        assert_eq!((waits.in_step, waits.pending), (2, 2), "{version}");

        let find = |text: &str| MeetingFilter { text: Some(text.to_owned()), ..MeetingFilter::default() };
        for (text, found) in [("demo", 6), ("Demo m-2", 1), ("nobody", 0)] {
            assert_eq!(app.store.meetings(&find(text), 100).await.unwrap().len(), found, "{version}: {text}");
        }
        let find = AuditFilter { text: Some("buffer".to_owned()), ..AuditFilter::default() };
        assert_eq!(app.store.audit_entries(&find, AuditPart::NEWEST, 100).await.unwrap().len(), 1, "{version}");

        let feed = app.store.feed("Sales").await.unwrap().unwrap();
        let text = app.feed_text(&feed).await;
        assert!(text.contains("DTSTART:20261124T150000Z") && text.contains("SUMMARY:Canceled: Demo m-3"), "{text}");
        app.sign_in().await;
        assert!(app.page("/meetings/m-1").await.contains("Demo m-1"));
    }
}

/// A little of everything, as people and their programs leave it.
async fn use_it(app: &TestApp) {
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    let sales = app.add_feed("Sales", Selection::default(), Detail::Full).await;
    let old = app.add_feed("Old", Selection::default(), Detail::Busy).await;
    let mut tx = app.store.write().await.unwrap();
    tx.append_admin_action("command line", "feed", "Added the feed “Sales”".to_owned(), app.now()).await.unwrap();
    tx.revoke_feed(old.id, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    let mut takes_over = event("e-8", "rescheduled", "m-5", 8, 14);
    takes_over["data"]["meetingInfo"]["existingEmailMeetingId"] = json!("mail-m-4");
    let first = [
        event("e-1", "scheduled", "m-1", 1, 9),
        event("e-2", "scheduled", "m-2", 2, 10),
        event("e-4", "rescheduled", "m-2", 4, 11),
        event("e-3", "rescheduled", "m-2", 3, 12),
        event("e-5", "scheduled", "m-3", 5, 12),
        event("e-6", "scheduled", "m-4", 6, 13),
        serde_json::from_slice(&fixture("webhooks/organization.setting.changed.json")).unwrap(),
    ];
    app.deliver_all(&first).await;
    app.settle().await;
    app.feed_text(&sales).await;
    app.clock.advance(TimeDelta::minutes(10));
    let then = [
        event("e-7", "canceled", "m-3", 7, 12),
        takes_over,
        event("e-2", "scheduled", "m-2", 2, 10),
        with(event("e-9", "scheduled", "m-9", 9, 10), |data| data["meetingStart"] = json!("soon")),
        serde_json::from_slice(&fixture("webhooks/difficult/unknown-event-type.json")).unwrap(),
        serde_json::from_slice(&fixture("webhooks/developer.webhook.test.json")).unwrap(),
        serde_json::from_slice(&fixture("webhooks/organization.profile.changed.json")).unwrap(),
        serde_json::from_slice(&fixture("webhooks/organization.domains.changed.json")).unwrap(),
    ];
    app.deliver_all(&then).await;
    app.settle().await;
    app.feed_text(&sales).await;
    app.sign_in().await;
    app.deliver(&event("e-10", "scheduled", "m-6", 10, 16)).await;
}

/// Writes the file of the newest version, as this program leaves it.
async fn keep_the_newest() {
    let app = TestApp::start_with_google_and(|settings| {
        std::fs::create_dir_all(&settings.data_dir).unwrap();
        std::fs::copy(folder().join("secret.key"), settings.data_dir.join("secret.key")).unwrap();
    })
    .await;
    use_it(&app).await;
    let file = file_of(versions().pop().unwrap());
    let _ = std::fs::remove_file(&file);
    app.store.copy_to(&file).await.unwrap();
    // Small, and in one file.
    let mut kept = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
    sqlx::raw_sql("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM").execute(&mut kept).await.unwrap();
    sqlx::Connection::close(kept).await.unwrap();
}
