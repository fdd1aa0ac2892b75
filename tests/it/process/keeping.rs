//! Backup, restore and erasing with the built program: the steps of the README, one by one.

use std::sync::Arc;

use meeting_mirror::clock::{Clock as _, SystemClock};
use meeting_mirror::simulated_google::{Access, SimulatedGoogle, SimulatedGoogleConfig};
use serde_json::json;

use crate::process_support::{KEY, Machine, Server, browser, event, get};

const TEAM: &str = "team@group.calendar.example.com";

/// The path of the feed's link.
fn link(machine: &Machine) -> String {
    let link = machine.json(&["feed", "list", "--json"])[0]["link"].as_str().unwrap().to_owned();
    format!("/feeds/{}", link.split_once("/feeds/").unwrap().1)
}

/// A running server with meetings and a feed, of which a backup was made into `backups`, and then something else happened.
async fn backed_up(machine: &Machine) -> (Server, String) {
    std::fs::create_dir(machine.path("backups")).unwrap();
    let server = machine.serve(&[]);
    let http = browser();
    for number in 0..5 {
        let body = event(&format!("e-{number}"), "scheduled", &format!("m-{number}"), 5 + number);
        server.post(&http, body.to_string()).await.unwrap();
    }
    machine.ok(&["feed", "add", "--name", "Sales"]);
    machine.until(&["meeting", "list", "--json"], |list| list.as_array().unwrap().len() == 5);
    let told = machine.ok(&["backup", "--to", machine.path("backups").to_str().unwrap(), "--keep", "3"]);
    let file = told.trim().strip_prefix("wrote and checked ").unwrap().to_owned();
    machine.ok(&["feed", "rotate", "Sales", "--yes"]);
    server.post(&http, event("e-9", "scheduled", "m-9", 9).to_string()).await.unwrap();
    machine.until(&["meeting", "list", "--json"], |list| list.as_array().unwrap().len() == 6);
    (server, file)
}

#[tokio::test]
async fn a_backup_is_restored_by_the_steps_of_the_readme() {
    let machine = Machine::new();
    let (server, file) = backed_up(&machine).await;
    // Killed: what it leaves beside the database belongs to that database.
    let mut process = server.process;
    process.signal("KILL");
    process.ends_within(std::time::Duration::from_mins(1));
    let rotated = link(&machine);

    let key = std::fs::read(machine.data("secret.key")).unwrap();
    std::fs::remove_dir_all(machine.path("data")).unwrap();
    std::fs::create_dir(machine.path("data")).unwrap();
    std::fs::copy(&file, machine.data("meeting-mirror.db")).unwrap();
    std::fs::write(machine.data("secret.key"), key).unwrap();
    assert!(machine.run(&["check", "--signing-keys", KEY]).ok().contains("sound"));
    let server = machine.serve(&[]);

    let meetings = machine.json(&["meeting", "list", "--json"]);
    assert_eq!(meetings.as_array().unwrap().len(), 5);
    assert_ne!(link(&machine), rotated, "the link is that of the backup");
    let (status, text) = get(&browser(), &format!("{}{}", server.url, link(&machine))).await;
    assert_eq!(status, 200);
    for number in 0..5 {
        assert!(text.contains(&format!("Demo m-{number}")), "{text}");
    }
    assert_eq!(machine.run(&["audit", "verify"]).code, 0);
    server.stop();
}

#[tokio::test]
async fn a_damaged_backup_is_told_by_check_before_the_server_is_started() {
    let machine = Machine::new();
    let (server, file) = backed_up(&machine).await;
    server.stop();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0x5a);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(machine.data(&format!("meeting-mirror.db{suffix}")));
    }
    std::fs::write(machine.data("meeting-mirror.db"), bytes).unwrap();
    let ran = machine.run(&["check", "--signing-keys", KEY]);
    assert!(ran.code == 1 && ran.stdout.contains("Restore it from a backup"), "{ran:?}");
}

#[test]
fn backup_needs_a_place_and_says_what_is_wrong_with_it() {
    let machine = Machine::started();
    machine.run(&["backup"]).refused(2, &["<FILE>"]);
    machine.run(&["backup", "file.db", "--keep", "3"]).refused(2, &["--keep"]);
    let nowhere = machine.path("nowhere");
    machine
        .run(&["backup", "--to", nowhere.to_str().unwrap()])
        .refused(1, &["no backup was made at", "See that the directory is there"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitee_is_erased_beside_a_running_server_with_a_report() {
    let google = SimulatedGoogle::start(SimulatedGoogleConfig::new(Arc::new(|| SystemClock::default().now()))).unwrap();
    google.add_calendar(TEAM, "Team", Access::Writer);
    let machine = Machine::new();
    let credentials = machine.file("google.json", google.credentials().unwrap());
    let mut command = machine.command(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .env("MEETING_MIRROR_SIGNING_KEYS", KEY)
        .env("MEETING_MIRROR_GOOGLE_CREDENTIALS", &credentials)
        .env("MEETING_MIRROR_GOOGLE_API_URL", google.api_url());
    let server = Server::start(&mut command);
    machine.ok(&["calendar", "add", "--name", "Team", "--calendar-id", TEAM]);
    machine.ok(&["feed", "add", "--name", "Sales"]);
    let http = browser();
    for (number, invitee) in ["quillfeather@example.org", "cy@example.org"].into_iter().enumerate() {
        let mut body = event(&format!("e-{number}"), "scheduled", &format!("m-{number}"), 5);
        body["data"]["meetingInfo"]["primaryInvitee"] = invitee.into();
        server.post(&http, body.to_string()).await.unwrap();
    }
    machine.until(&["calendar", "list", "--json"], |list| list[0]["inStep"] == 2);
    let feed = format!("{}{}", server.url, link(&machine));
    assert!(get(&http, &feed).await.1.contains("quillfeather"));

    for wrong in [
        "quillfeather",
        "Q <quillfeather@example.org>",
        "quillfeather@example.org cy@example.org",
        "mailto:q@example.org",
    ] {
        machine.run(&["erase", wrong]).refused(1, &["an e-mail address is needed, and nothing beside it"]);
    }
    machine.run(&["erase", "quillfeather@example.org"]).refused(
        1,
        &[
            "Found: 1 meeting (1 to come), the bodies of 1 delivery, 1 event in 1 calendar, 1 feed that shows them",
            "--yes",
        ],
    );
    let report = machine.json(&["erase", "Quillfeather@example.org", "--yes", "--json"]);
    assert_eq!(
        report,
        json!({
            "meetings": 1, "toCome": 1, "deliveries": 1, "mentions": 0, "feeds": ["Sales"], "waiting": [], "removedCalendars": [],
            "arrivedMeanwhile": {"meetings": 0, "deliveries": 0},
            "calendars": [{"calendar": "Team", "id": 1, "events": 1}], "filesAreClean": true, "lastBackup": null,
        })
    );
    let there = google.events(TEAM).into_iter().filter(|event| !event.is_deleted()).count();
    assert_eq!(there, 1);
    let (status, text) = get(&http, &feed).await;
    assert!(status == 200 && text.contains("Demo m-1") && !text.contains("Demo m-0"), "{text}");
    for (name, bytes) in machine.files() {
        assert!(!String::from_utf8_lossy(&bytes).to_lowercase().contains("quillfeather"), "{name} still holds it");
    }
    assert!(machine.ok(&["erase", "quillfeather@example.org"]).contains("Nothing here tells of that invitee."));
    let log = server.stop();
    assert!(!log.contains("quillfeather"), "{log}");

    // Nobody deletes the event of the other one now.
    let report = machine.json(&["erase", "cy@example.org", "--yes", "--json"]);
    assert_eq!((&report["waiting"][0]["events"], &report["filesAreClean"]), (&json!(1), &json!(false)), "{report}");
    let told = machine.ok(&["erase", "cy@example.org", "--yes"]);
    assert!(
        told.contains("WAITS: 1 event") && told.contains("Until then these meetings stand in the database"),
        "{told}"
    );
}
