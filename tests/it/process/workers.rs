//! Which workers the built program starts, as it tells itself, and that they work.

use std::sync::Arc;

use meeting_mirror::clock::{Clock as _, SystemClock};
use meeting_mirror::simulated_google::{SimulatedGoogle, SimulatedGoogleConfig};

use crate::process_support::{KEY, Machine, Server, browser, get};
use crate::receiver::Receiver;

/// Waits until the server tells of exactly these workers, in the order of their names.
async fn works_with(server: &Server, expected: &[&str]) {
    let (http, url) = (browser(), format!("{}/metrics", server.url));
    let mut last = String::new();
    for _ in 0..500 {
        last = get(&http, &url).await.1;
        let pulses =
            last.lines().filter_map(|line| line.strip_prefix("meeting_mirror_worker_pulse_age_seconds{worker=\""));
        let mut workers: Vec<&str> = pulses.filter_map(|pulse| pulse.split('"').next()).collect();
        workers.sort_unstable();
        if workers == expected {
            return;
        }
    }
    panic!("not {expected:?}, but\n{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worker_that_a_setting_asks_for_is_started() {
    let google = SimulatedGoogle::start(SimulatedGoogleConfig::new(Arc::new(|| SystemClock::default().now()))).unwrap();
    let (mut log, alerts) = (Receiver::start("/log", []).await, Receiver::start("/alerts", []).await);
    let machine = Machine::new();
    let credentials = machine.file("google.json", google.credentials().unwrap());
    let backups = machine.path("backups");
    std::fs::create_dir(&backups).unwrap();
    let mut command = machine.command(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .env("MEETING_MIRROR_SIGNING_KEYS", KEY)
        .env("MEETING_MIRROR_GOOGLE_CREDENTIALS", &credentials)
        .env("MEETING_MIRROR_GOOGLE_API_URL", google.api_url())
        .env("MEETING_MIRROR_BACKUP_DIR", &backups)
        .env("MEETING_MIRROR_KEEP_BODIES_DAYS", "30")
        .env("MEETING_MIRROR_KEEP_MEETINGS_DAYS", "100")
        .env("MEETING_MIRROR_AUDIT_KEEP_DAYS", "100")
        .env("MEETING_MIRROR_AUDIT_PUSH_URL", log.url())
        .env("MEETING_MIRROR_ALERT_URL", alerts.url());
    let mut server = Server::start(&mut command);
    server.process.err.wait_for("made a backup");
    let made: Vec<_> = std::fs::read_dir(&backups).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(made.len() == 1 && made[0].to_str().unwrap().ends_with("Z.db"), "{made:?}");
    machine.ok(&["feed", "add", "--name", "Sales"]);
    assert!(String::from_utf8_lossy(&log.next().await.body).contains("\"seq\""));
    let expected = [
        "alerts",
        "audit log",
        "audit log push",
        "backups",
        "calendar checks",
        "calendar jobs",
        "feeds",
        "inbox",
        "mirror",
        "retention",
    ];
    works_with(&server, &expected).await;
    server.stop();
}

#[tokio::test]
async fn without_settings_only_what_always_works_is_started() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    works_with(&server, &["alerts", "audit log", "feeds", "inbox", "retention"]).await;
    server.stop();
}
