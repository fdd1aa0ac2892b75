//! What a start that was broken off leaves, a first one or the one after an upgrade: the next one goes on, or says what to do,
//! and loses nothing. Must not test what happens later.

use std::time::Duration;

use meeting_mirror::clock::Randomness;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};

use crate::process_support::{KEY, Machine, Process, browser, sign_in};
use crate::support::fixture;

const START: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--signing-keys", KEY];
const PASSWORD: &str = "The admin password, shown this once: ";
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// A data directory with these files.
fn left(files: &[(&str, &str)]) -> Machine {
    let machine = Machine::new();
    std::fs::create_dir(machine.path("data")).unwrap();
    for (name, content) in files {
        std::fs::write(machine.data(name), content).unwrap();
    }
    machine
}

/// The start must go on as a first one.
async fn starts(machine: &Machine) {
    let mut server = machine.serve(&[]);
    let password = server.process.out.wait_for(PASSWORD);
    assert_eq!(sign_in(&browser(), &server.url, password.strip_prefix(PASSWORD).unwrap()).await, 303);
    server.stop();
    machine.ok(&["check", "--signing-keys", KEY]);
}

#[tokio::test]
async fn empty_files_and_left_ones_are_no_hindrance() {
    for files in [
        &[("meeting-mirror.db", "")][..],
        &[("server.lock", "")],
        &[("meeting-mirror.db", ""), ("meeting-mirror.db-wal", ""), ("meeting-mirror.db-shm", "")],
        &[("meeting-mirror.db-wal", ""), ("meeting-mirror.db-shm", "")],
    ] {
        starts(&left(files)).await;
    }
}

#[tokio::test]
async fn tables_that_are_not_all_there_are_completed() {
    for last in [None, Some(1), Some(6), Some(12)] {
        let machine = left(&[]);
        let database = SqliteConnectOptions::new()
            .filename(machine.data("meeting-mirror.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let mut database = database.connect().await.unwrap();
        if let Some(last) = last {
            MIGRATIONS.run_to(last, &mut database).await.unwrap();
        }
        sqlx::Connection::close(database).await.unwrap();
        starts(&machine).await;
    }
}

#[tokio::test]
async fn a_key_that_was_made_before_anything_else_is_used() {
    let key = "0123456789abcdef".repeat(4) + "\n";
    let machine = left(&[("secret.key", &key)]);
    starts(&machine).await;
    assert_eq!(std::fs::read_to_string(machine.data("secret.key")).unwrap(), key);
}

#[tokio::test]
async fn a_key_that_is_none_is_to_be_removed_as_long_as_nothing_was_made_with_it() {
    for content in ["", "\n", "0123456789abcdef"] {
        let machine = left(&[("secret.key", content)]);
        machine
            .run(&START)
            .refused(1, &["secret.key is damaged", "Nothing was made with it yet: remove it, and start again"]);
        std::fs::remove_file(machine.data("secret.key")).unwrap();
        starts(&machine).await;
    }
}

#[tokio::test]
async fn tables_of_another_program_are_left_alone() {
    let machine = left(&[]);
    let database = SqliteConnectOptions::new().filename(machine.data("meeting-mirror.db")).create_if_missing(true);
    let mut database = database.connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE inbox (letter TEXT); INSERT INTO inbox VALUES ('Dear Ada')")
        .execute(&mut database)
        .await
        .unwrap();
    machine.run(&START).refused(1, &["its tables are those of another program", "Restore it from a backup"]);
    let letter: String = sqlx::query_scalar("SELECT letter FROM inbox").fetch_one(&mut database).await.unwrap();
    assert_eq!(letter, "Dear Ada");
}

/// Kills starts again and again, wherever they are. Returns what they printed.
fn killed_starts(machine: &Machine) -> String {
    let random = Randomness::seeded(3);
    let mut shown = String::new();
    for _ in 0..15 {
        let mut process = Process::start(machine.command(&START).env("MEETING_MIRROR_LOG", "debug"), b"");
        // How far it gets: to its first line, or nowhere.
        if random.fraction() < 0.7 {
            process.err.wait_for("");
        }
        process.signal("KILL");
        assert_eq!(process.ends_within(Duration::from_mins(1)), -9);
        shown += &process.out.rest();
    }
    shown
}

#[tokio::test]
async fn a_first_start_that_is_killed_again_and_again_ends_as_one_that_was_not() {
    let machine = Machine::new();
    let mut shown = killed_starts(&machine);
    let mut server = machine.serve(&[]);
    server.process.signal("TERM");
    shown += &server.process.out.rest();
    drop(server);
    // Each may have shown a password; only one that was shown is kept.
    let password = shown.lines().filter_map(|line| line.strip_prefix(PASSWORD)).next_back().unwrap();
    let server = machine.serve(&[]);
    assert_eq!(sign_in(&browser(), &server.url, password).await, 303);
    server.stop();
    machine.ok(&["check", "--signing-keys", KEY]);
}

#[test]
fn an_upgrade_that_is_killed_again_and_again_loses_nothing() {
    let machine = left(&[]);
    for (kept, name) in [("0006.db", "meeting-mirror.db"), ("secret.key", "secret.key")] {
        std::fs::write(machine.data(name), fixture(&format!("databases/{kept}"))).unwrap();
    }
    killed_starts(&machine);
    let server = machine.serve(&[]);
    machine.until(&["inbox", "list", "--status", "pending", "--json"], |list| list.as_array().unwrap().is_empty());
    let meetings = machine.json(&["meeting", "list", "--past", "--json"]);
    let ids: Vec<&str> = meetings.as_array().unwrap().iter().map(|meeting| meeting["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["m-1", "m-2", "m-3", "m-4", "m-5", "m-6"]);
    machine.ok(&["audit", "verify"]);
    server.stop();
    machine.ok(&["check", "--signing-keys", KEY]);
}
