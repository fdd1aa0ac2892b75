//! What the server does with the audit log by itself: verifies it every day, removes what is old, and writes down that it was
//! started with other settings. Must not test how the log is sent on.

use chrono::TimeDelta;
use meeting_mirror::store::{AuditFilter, DeliveryStatus, Fact, Settled, Store};
use meeting_mirror::web::audit_export::{AuditExport, AuditFormat};
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::process_support::{AT_ONCE, KEY, Machine, PASSWORD, Server};
use crate::support::{TestApp, fixture};

fn keeping(days: u32) -> impl FnOnce(&mut meeting_mirror::config::Settings) {
    move |settings| settings.audit_log.audit_keep_days = Some(days)
}

async fn log(app: &TestApp, entries: usize) {
    let mut tx = app.store.write().await.unwrap();
    for number in 0..entries {
        tx.append_admin_action("command line", "feed", format!("Did {number}"), app.now()).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn numbers(store: &Store) -> Vec<i64> {
    store.audit_after(0, 10_000).await.unwrap().iter().map(|link| link.seq).collect()
}

/// The log must hold. Returns how many entries it has.
async fn intact(app: &TestApp) -> i64 {
    let found = app.store.verify_audit(app.now()).await.unwrap();
    assert_eq!(found.broken, None);
    found.entries
}

#[tokio::test]
async fn the_log_is_verified_once_a_day_and_the_status_page_knows() {
    let app = TestApp::start().await;
    log(&app, 3).await;
    assert!(app.audit_keeper.run_due().await.unwrap(), "nobody did before");
    let found = app.store.audit_verified().await.unwrap().unwrap();
    assert_eq!((found.at, found.entries, found.broken), (app.now(), 3, None));
    app.clock.advance(TimeDelta::hours(23));
    let app = app.restart().await;
    assert!(!app.audit_keeper.run_due().await.unwrap(), "a restart is no reason");
    app.clock.advance(TimeDelta::hours(1));
    assert!(app.audit_keeper.run_due().await.unwrap());
    assert!(!app.audit_keeper.run_due().await.unwrap());
    app.clock.advance(-TimeDelta::days(400));
    assert!(app.audit_keeper.run_due().await.unwrap(), "the clock was set back");
    assert_eq!(numbers(&app.store).await, [1, 2, 3], "everything is kept unless it is set otherwise");
}

#[tokio::test]
async fn what_is_too_old_is_removed_and_the_rest_still_verifies() {
    let app = TestApp::start_with(keeping(30)).await;
    log(&app, 1200).await;
    app.clock.advance(TimeDelta::days(29));
    log(&app, 2).await;
    app.audit_keeper.run_once().await.unwrap();
    assert_eq!(intact(&app).await, 1202, "nothing is 30 days old");
    app.clock.advance(TimeDelta::days(2));
    app.audit_keeper.run_once().await.unwrap();
    assert_eq!(numbers(&app.store).await, [1201, 1202, 1203]);
    assert_eq!(intact(&app).await, 3);
    let told = app.store.audit_entry(1203).await.unwrap().unwrap().entry;
    assert_eq!((told.category.as_str(), told.actor.username.as_deref()), ("retention", Some("server")));
    app.clock.advance(TimeDelta::days(1));
    app.audit_keeper.run_once().await.unwrap();
    assert_eq!(numbers(&app.store).await, [1201, 1202, 1203], "a day later nothing more is too old");

    let app = app.restart_with(|settings| settings.audit_log.audit_keep_days = None).await;
    app.clock.advance(TimeDelta::days(400));
    app.audit_keeper.run_once().await.unwrap();
    assert_eq!(numbers(&app.store).await, [1201, 1202, 1203, 1204], "the last one tells of the setting");
}

#[tokio::test]
async fn a_log_of_which_nothing_is_left_but_what_tells_so_still_verifies() {
    let app = TestApp::start_with(keeping(30)).await;
    log(&app, 3).await;
    app.audit_keeper.run_once().await.unwrap();
    for (days, left) in [(31, vec![4]), (1, vec![4]), (40, vec![4])] {
        app.clock.advance(TimeDelta::days(days));
        app.audit_keeper.run_once().await.unwrap();
        assert_eq!(numbers(&app.store).await, left);
        assert_eq!(intact(&app).await, 1);
    }
    log(&app, 1).await;
    app.clock.advance(TimeDelta::days(31));
    app.audit_keeper.run_once().await.unwrap();
    assert_eq!(numbers(&app.store).await, [6], "it tells of the removal of 4 and 5");
    assert_eq!(intact(&app).await, 1);
}

#[tokio::test]
async fn a_removal_that_was_broken_off_is_finished() {
    let app = TestApp::start_with(keeping(30)).await;
    log(&app, 10).await;
    app.clock.advance(TimeDelta::days(31));
    let mut tx = app.store.write().await.unwrap();
    tx.begin_audit_removal(app.now(), 6, app.now()).await.unwrap().unwrap();
    tx.remove_audit_entries(2).await.unwrap();
    tx.commit().await.unwrap();
    let app = app.restart_with(|settings| settings.audit_log.audit_keep_days = None).await;
    assert!(app.audit_keeper.run_due().await.unwrap());
    assert_eq!(numbers(&app.store).await, (7..=12).collect::<Vec<_>>());
    assert_eq!(intact(&app).await, 6);
}

#[tokio::test]
async fn an_export_under_which_entries_are_removed_is_no_whole_one() {
    let app = TestApp::start_with(keeping(30)).await;
    log(&app, 250).await;
    let begin = || AuditExport::begin(&app.store, AuditFormat::Jsonl, AuditFilter::default(), 0);
    let (mut behind, mut ahead) = (begin().await.unwrap(), begin().await.unwrap());
    for export in [&mut behind, &mut ahead] {
        assert!(export.next(&app.store).await.unwrap().is_some());
    }
    ahead.next(&app.store).await.unwrap();
    assert_eq!((behind.cursor, ahead.cursor), (100, 200));
    let mut tx = app.store.write().await.unwrap();
    tx.begin_audit_removal(app.now() + TimeDelta::days(1), 150, app.now()).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let cut = behind.next(&app.store).await.unwrap_err();
    assert!(cut.to_string().starts_with("entries up to 150 were removed meanwhile"), "{cut}");
    assert!(ahead.next(&app.store).await.unwrap().is_some());
    assert_eq!((ahead.entries, ahead.cursor), (250, 250), "what it still had to read is there");
}

#[tokio::test]
async fn nothing_is_removed_from_a_log_that_is_broken() {
    let app = TestApp::start_with(keeping(30)).await;
    log(&app, 3).await;
    let mut connection = SqliteConnectOptions::new().filename(app.store.path()).connect().await.unwrap();
    let tamper = "DROP TRIGGER audit_no_update; UPDATE audit SET summary = 'nothing' WHERE seq = 2";
    sqlx::raw_sql(tamper).execute(&mut connection).await.unwrap();
    app.clock.advance(TimeDelta::days(100));
    assert!(app.audit_keeper.run_due().await.unwrap());
    assert_eq!(numbers(&app.store).await, [1, 2, 3]);
    let found = app.store.audit_verified().await.unwrap().unwrap();
    assert_eq!(found.broken.as_deref(), Some("entry 2 was changed after it was written"));
    assert!(!app.audit_keeper.run_due().await.unwrap(), "that is found once a day, too");
}

#[tokio::test]
async fn what_was_not_sent_on_yet_is_not_removed() {
    let app = TestApp::start_with(|settings| {
        settings.audit_log.audit_keep_days = Some(30);
        settings.audit_log.audit_push_url = Some("http://127.0.0.1:9/".into());
    })
    .await;
    log(&app, 5).await;
    app.clock.advance(TimeDelta::days(31));
    app.audit_keeper.run_once().await.unwrap();
    assert_eq!(numbers(&app.store).await, [1, 2, 3, 4, 5]);
    let mut tx = app.store.write().await.unwrap();
    tx.audit_was_pushed(3, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    app.audit_keeper.run_once().await.unwrap();
    assert_eq!(numbers(&app.store).await, [4, 5, 6]);
    // What another endpoint took does not count, and what nobody is sent any more is not waited for.
    let app =
        app.restart_with(|settings| settings.audit_log.audit_push_url = Some("http://127.0.0.1:9/other".into())).await;
    app.clock.advance(TimeDelta::days(31));
    app.audit_keeper.run_once().await.unwrap();
    assert_eq!(numbers(&app.store).await, [4, 5, 6, 7]);
    let app = app.restart_with(|settings| settings.audit_log.audit_push_url = None).await;
    app.audit_keeper.run_once().await.unwrap();
    assert_eq!(numbers(&app.store).await, [8, 9]);
    assert_eq!(intact(&app).await, 2);
}

#[tokio::test]
async fn a_delivery_that_is_replayed_does_not_bring_a_removed_entry_back() {
    let app = TestApp::start_with(keeping(30)).await;
    let mut old: Value = serde_json::from_slice(&fixture("webhooks/organization.setting.changed.json")).unwrap();
    old["eventId"] = json!("old");
    let [mut young, mut late] = [old.clone(), old.clone()];
    young["eventId"] = json!("young");
    late["eventId"] = json!("late");
    app.deliver_all(&[old]).await;
    // Not understood until an upgrade: it was never in the log.
    app.deliver(&late).await;
    let mut tx = app.store.write().await.unwrap();
    let not_understood = Settled { id: 2, status: DeliveryStatus::Quarantined, reason: Some("not understood".into()) };
    tx.settle_deliveries(&[not_understood], app.now()).await.unwrap();
    tx.commit().await.unwrap();
    app.clock.advance(TimeDelta::days(20));
    app.deliver_all(&[young]).await;
    app.clock.advance(TimeDelta::days(11));
    app.audit_keeper.run_once().await.unwrap();
    assert_eq!(numbers(&app.store).await, [2, 3]);

    let mut tx = app.store.write().await.unwrap();
    assert_eq!(tx.replay_deliveries(&[1, 2, 3], app.now()).await.unwrap(), 3);
    tx.commit().await.unwrap();
    app.apply().await;
    assert_eq!(numbers(&app.store).await, [2, 3, 4]);
    let events = app.store.audit_after(0, 10).await.unwrap();
    let events: Vec<_> = events.iter().map(|link| link.entry.event_id.as_deref()).collect();
    assert_eq!(events, [Some("young"), None, Some("late")]);
    let old = app.store.delivery("old").await.unwrap().unwrap();
    assert_eq!(old.status, DeliveryStatus::Ignored);
    assert!(old.reason.unwrap().contains("older than --audit-keep-days"));
    assert_eq!(app.store.delivery("young").await.unwrap().unwrap().status, DeliveryStatus::Applied);
}

#[test]
fn the_head_is_logged_at_the_start_and_is_the_one_that_verify_prints() {
    let machine = Machine::new();
    machine.ok(&["feed", "add", "--name", "One"]);
    let mut server = machine.serve(&[]);
    let line = server.process.err.wait_for("the audit log is intact");
    let head = line.split_whitespace().find_map(|word| word.strip_prefix("head=")).unwrap().trim_matches('"');
    assert!(line.contains("entries=1"), "{line}");
    assert!(machine.ok(&["audit", "verify"]).contains(head), "{line}");
    server.process.signal("TERM");
    assert_eq!(server.process.ends_within(AT_ONCE), 0);
}

/// Starts a server with these settings beside the signing key, and stops it.
fn start(machine: &Machine, key: &str, arguments: &[&str]) {
    let mut command = machine.command(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
    Server::start(command.env("MEETING_MIRROR_SIGNING_KEYS", key)).stop();
}

#[tokio::test]
async fn a_setting_that_only_one_version_knows_was_not_changed_by_anybody() {
    let app = TestApp::start().await;
    let kept = app.store.fact(Fact::Settings).await.unwrap().unwrap();
    let mut kept: Value = serde_json::from_str(&kept).unwrap();
    let settings = kept.as_object_mut().unwrap();
    settings.remove("google-rate").unwrap();
    settings.remove("audit-keep-days").unwrap();
    settings.insert("feed-colour".to_owned(), json!("red"));
    let mut tx = app.store.write().await.unwrap();
    tx.keep_fact(Fact::Settings, &kept.to_string()).await.unwrap();
    tx.commit().await.unwrap();
    let app = app.restart_with(|settings| settings.drift_check_hours = 7).await;
    let entry = app.store.audit_newest(1).await.unwrap().pop().unwrap().entry;
    assert_eq!(
        entry.summary,
        "Settings changed at the start of the server: drift-check-hours; Settings that are new with this version of the \
         server: google-rate; Settings that this version of the server does not know: feed-colour"
    );
    let app = app.restart().await;
    assert_eq!(numbers(&app.store).await, [1]);
}

#[test]
fn other_settings_than_at_the_last_start_are_in_the_log_without_the_secrets() {
    let machine = Machine::new();
    let list = |machine: &Machine| machine.json(&["audit", "list", "--json"]);
    start(&machine, KEY, &[]);
    start(&machine, KEY, &[]);
    assert_eq!(list(&machine), json!([]), "the first start remembers, and the second changes nothing");

    let password = ["--admin-password", PASSWORD];
    let changed = ["--time-zone", "Europe/Berlin", "--audit-keep-days", "90", "--google-rate", "3"];
    start(&machine, "another signing key", &[&password[..], &changed].concat());
    let entries = list(&machine);
    let entry = &entries[0];
    assert_eq!(
        entry["summary"],
        "Settings changed at the start of the server: admin-password, audit-keep-days, google-rate, signing-keys, time-zone"
    );
    assert_eq!((&entry["category"], &entry["source"]), (&json!("settings"), &json!("admin")));
    assert_eq!(entry["actor"]["username"], "command line");
    assert_eq!(
        entry["changes"],
        json!([
            {"field": "admin-password", "before": null, "after": "[hidden]"},
            {"field": "audit-keep-days", "before": null, "after": 90},
            {"field": "google-rate", "before": 8, "after": 3},
            {"field": "signing-keys", "before": "[hidden]", "after": "[hidden]"},
            {"field": "time-zone", "before": "UTC", "after": "Europe/Berlin"},
        ])
    );

    // A secret counts, not where it stands.
    let file = machine.file("keys", "another signing key\n");
    let mut command = machine.command(&["serve", "--listen", "127.0.0.1:0", "--signing-keys-file", &file]);
    Server::start(command.args(password).args(changed)).stop();
    assert_eq!(list(&machine)[0]["summary"], "Settings changed at the start of the server: signing-keys-file");
    let google = "http://ada:open-sesame@127.0.0.1:9/calendar/v3/";
    start(&machine, KEY, &[&changed[..], &["--google-api-url", google]].concat());
    assert_eq!(
        list(&machine)[0]["changes"][1],
        json!({"field": "google-api-url", "before": null, "after": "[hidden]"})
    );
    for (name, bytes) in machine.files().iter().filter(|(name, _)| !name.ends_with("/keys")) {
        let text = String::from_utf8_lossy(bytes);
        for secret in [KEY, "another signing key", PASSWORD, "open-sesame"] {
            assert!(!text.contains(secret), "{name} holds {secret}");
        }
    }
    assert_eq!(machine.run(&["audit", "verify"]).code, 0);
}
