//! A disk that is full, fails, is read-only, or a database that somebody else holds: deliveries are refused with 503, so that
//! the sender sends them again, nothing that was answered is lost, and the same process goes on when the trouble is over.
//! Must not be sure that it may mount: what only root can do says that it was skipped.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use meeting_mirror::inbound::signature::sign;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::ready::answers;
use crate::process_support::{KEY, Machine, Server, browser, event, get};
use crate::skipped::skip;

/// `required` makes it a failure that mounting is not allowed.
const REQUIRED: &str = "DISK_TESTS";
const UNUSABLE: &str = "is the disk full, does another program use it, may this user write there?";
const START: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--signing-keys", KEY];

/// A disk of its own, as large as is said.
struct Disk(PathBuf);

impl Disk {
    /// None where mounting is not allowed.
    fn mounted(machine: &Machine, size: &str) -> Option<Self> {
        let place = machine.path("data");
        std::fs::create_dir(&place).unwrap();
        let disk = Self(place);
        if disk.mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"]) {
            return Some(disk);
        }
        skip(REQUIRED, "right to mount a disk of a set size (run as root)")
    }

    /// One that can fail: a file with a file system in it. None where mounting is not allowed.
    fn in_a_file(machine: &Machine) -> Option<(Self, String)> {
        let place = machine.path("data");
        std::fs::create_dir(&place).unwrap();
        let image = machine.file("disk.img", "");
        std::fs::File::options().write(true).open(&image).unwrap().set_len(64 << 20).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", &image]).output();
        let disk = Self(place);
        if made.is_ok_and(|ran| ran.status.success()) && disk.mount(&["-o", "loop", &image]) {
            return Some((disk, image));
        }
        skip(REQUIRED, "right to mount a file system in a file (run as root)")
    }

    fn mount(&self, how: &[&str]) -> bool {
        Command::new("mount").args(how).arg(&self.0).output().is_ok_and(|ran| ran.status.success())
    }

    fn remount(&self, options: &str) {
        assert!(self.mount(&["-o", &format!("remount,{options}")]), "{options}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A meeting event of so many octets, at least.
fn sized(number: usize, octets: usize) -> Value {
    let mut event = event(&format!("e-{number}"), "scheduled", &format!("m-{number}"), 5);
    event["data"]["meetingInfo"]["meetingName"] = json!("x".repeat(octets));
    event
}

/// Delivers. A refusal must say when to come again. Returns whether it was taken.
async fn taken(server: &Server, event: &Value) -> bool {
    let body = event.to_string();
    let request = browser()
        .post(format!("{}/webhooks/cirrus-insight", server.url))
        .header("x-signature", sign(KEY, body.as_bytes()));
    let answer = request.body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    if status == 200 {
        return true;
    }
    assert_eq!((status, &answer.headers()["retry-after"]), (503, &"10".parse().unwrap()));
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "not_stored");
    false
}

/// All that is there must be these, each once, and applied.
fn all_applied(machine: &Machine, count: usize) {
    machine.until(&["inbox", "list", "--status", "pending", "--json"], |list| *list == json!([]));
    let rows = machine.json(&["inbox", "list", "--limit", "10000", "--json"]);
    let rows = rows.as_array().unwrap();
    assert!(rows.iter().all(|row| row["status"] == "applied"), "{rows:?}");
    assert_eq!(rows.len(), count);
    let meetings = machine.json(&["meeting", "list", "--limit", "10000", "--json"]);
    assert_eq!(meetings.as_array().unwrap().len(), count);
}

/// Sends again what was refused, and sees that now all eight deliveries are there.
async fn takes_what_was_refused(machine: &Machine, server: Server, refused: Range<usize>) {
    for number in refused {
        assert!(taken(&server, &sized(number, 10)).await);
    }
    all_applied(machine, 8);
    server.stop();
    machine.ok(&["check", "--signing-keys", KEY]);
}

#[tokio::test]
async fn a_full_disk_refuses_deliveries_and_the_same_server_goes_on_when_there_is_room() {
    let machine = Machine::new();
    let Some(disk) = Disk::mounted(&machine, "4m") else { return };
    let server = machine.serve(&[]);
    let link = machine.ok(&["feed", "add", "--name", "Sales"]);
    let link = format!("{}/feeds/{}", server.url, link.trim().split("/feeds/").nth(1).unwrap());
    assert_eq!(get(&browser(), &link).await.0, 200);
    let mut refused = Vec::new();
    for number in 0..60 {
        if !taken(&server, &sized(number, 100_000)).await {
            if refused.is_empty() {
                let told: Value = answers(&server, 503).await.json().await.unwrap();
                assert_eq!(told["code"], "database_failed", "{told}");
            }
            refused.push(number);
        }
    }
    assert!((1..60).contains(&refused.len()), "{refused:?}");
    assert_eq!(get(&browser(), &link).await.0, 200, "what was made is served");
    let kept = machine.json(&["inbox", "list", "--limit", "100", "--json"]);
    assert_eq!(kept.as_array().unwrap().len(), 60 - refused.len(), "what was answered is there, and nothing else");
    machine.run(&["feed", "add", "--name", "Team"]).refused(1, &[UNUSABLE, "database or disk is full"]);

    disk.remount("size=64m");
    for number in refused {
        assert!(taken(&server, &sized(number, 100_000)).await, "there is room for {number}");
    }
    answers(&server, 200).await;
    all_applied(&machine, 60);
    server.stop();
    machine.ok(&["check", "--signing-keys", KEY]);
}

#[tokio::test]
async fn a_first_start_on_a_full_disk_says_so_and_the_next_one_goes_on() {
    let machine = Machine::new();
    let Some(disk) = Disk::mounted(&machine, "400k") else { return };
    machine.run(&START).refused(1, &[UNUSABLE, "database or disk is full"]);
    disk.remount("size=64m");
    let mut server = machine.serve(&[]);
    server.process.out.wait_for("The admin password, shown this once");
    assert!(taken(&server, &sized(1, 10)).await);
    all_applied(&machine, 1);
    server.stop();
}

#[tokio::test]
async fn a_disk_that_fails_for_a_while_costs_nothing() {
    let machine = Machine::new();
    let serve = machine.command(&START);
    // The signal that goes with a limit to the size of files would end the process; a disk that fails sends none.
    let mut command = Command::new("bash");
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "bash"]).arg(serve.get_program()).args(serve.get_args());
    for (name, value) in serve.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let server = Server::start(&mut command);
    let files = |most: &str| {
        let id = server.process.id.to_string();
        let ran = Command::new("prlimit").args(["--pid", &id, &format!("--fsize={most}:unlimited")]).status();
        assert!(ran.unwrap().success(), "{most}");
    };
    assert!(taken(&server, &sized(0, 10)).await);
    all_applied(&machine, 1);
    for round in 0..3 {
        files("1");
        for number in 1..5 {
            assert!(!taken(&server, &sized(number, 10)).await, "round {round}");
        }
        answers(&server, 503).await;
        files("unlimited");
        assert!(taken(&server, &sized(10 + round, 10)).await, "round {round}");
        answers(&server, 200).await;
    }
    takes_what_was_refused(&machine, server, 1..5).await;
}

#[tokio::test]
async fn a_read_only_disk_is_told_at_the_start_and_what_only_reads_works() {
    let machine = Machine::new();
    let Some(disk) = Disk::mounted(&machine, "64m") else { return };
    let mut server = machine.serve(&[]);
    machine.ok(&["feed", "add", "--name", "Sales"]);
    server.process.signal("KILL");
    assert_eq!(server.process.ends_within(Duration::from_mins(1)), -9);
    disk.remount("ro");
    machine.run(&START).refused(1, &["may write there, or set --data-dir", "Read-only file system"]);
    assert_eq!(machine.json(&["feed", "list", "--json"])[0]["name"], "Sales");
    machine.run(&["feed", "add", "--name", "Team"]).refused(1, &[UNUSABLE, "readonly database"]);
    let checked = machine.run(&["check", "--signing-keys", KEY]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.stdout.contains("PROBLEM  writing to the database: the database can't be used now"), "{checked:?}");
    disk.remount("rw");
    machine.serve(&[]).stop();

    // After a stop in good order nobody can read, either: SQLite would have to make files beside the database.
    disk.remount("ro");
    machine.run(&START).refused(1, &["may write there, or set --data-dir"]);
    machine.run(&["feed", "list"]).refused(1, &[UNUSABLE]);
}

/// Files that nobody may write, whoever has them open. Dropping it lets them be written again.
struct Sealed<'a>(&'a Machine);

impl<'a> Sealed<'a> {
    /// What SQLite only maps into memory is left out: where that can't be written the process gets no error, but a signal.
    const FILES: [&'static str; 2] = ["meeting-mirror.db", "meeting-mirror.db-wal"];

    /// None where that is not allowed.
    fn new(machine: &'a Machine) -> Option<Self> {
        let sealed = Self(machine);
        if sealed.mark("+i") {
            Some(sealed)
        } else {
            skip(REQUIRED, "right to make a file immutable (run as root, on ext4)")
        }
    }

    fn mark(&self, how: &str) -> bool {
        let files = Self::FILES.map(|name| self.0.data(name));
        Command::new("chattr").arg(how).args(files).output().is_ok_and(|ran| ran.status.success())
    }
}

impl Drop for Sealed<'_> {
    fn drop(&mut self) {
        self.mark("-i");
    }
}

#[tokio::test]
async fn files_that_become_read_only_refuse_deliveries_and_the_same_server_goes_on_when_they_can_be_written() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let link = machine.ok(&["feed", "add", "--name", "Sales"]);
    let link = format!("{}/feeds/{}", server.url, link.trim().split("/feeds/").nth(1).unwrap());
    assert!(taken(&server, &sized(0, 10)).await);
    all_applied(&machine, 1);
    assert_eq!(get(&browser(), &link).await.0, 200);
    for round in 0..3 {
        let Some(sealed) = Sealed::new(&machine) else { return };
        for number in 1..5 {
            assert!(!taken(&server, &sized(number, 10)).await, "round {round}");
        }
        assert_eq!(get(&browser(), &link).await.0, 200, "what was made is served");
        machine.run(&["feed", "add", "--name", "Team"]).refused(1, &[UNUSABLE]);
        drop(sealed);
        assert!(taken(&server, &sized(10 + round, 10)).await, "round {round}");
    }
    takes_what_was_refused(&machine, server, 1..5).await;
}

#[tokio::test]
async fn a_disk_that_turns_read_only_refuses_deliveries_and_what_was_answered_is_there_when_it_is_repaired() {
    let machine = Machine::new();
    let Some((disk, image)) = Disk::in_a_file(&machine) else { return };
    let mut server = machine.serve(&[]);
    let link = machine.ok(&["feed", "add", "--name", "Sales"]);
    let link = format!("{}/feeds/{}", server.url, link.trim().split("/feeds/").nth(1).unwrap());
    for number in 0..5 {
        assert!(taken(&server, &sized(number, 10)).await);
    }
    all_applied(&machine, 5);
    assert_eq!(get(&browser(), &link).await.0, 200);

    // What the system does when it finds a fault in the file system: from then on it can't be written until it is unmounted.
    disk.remount("abort");
    for number in 5..8 {
        assert!(!taken(&server, &sized(number, 10)).await);
    }
    assert_eq!(get(&browser(), &link).await.0, 200, "what was made is served");
    server.process.signal("KILL");
    assert_eq!(server.process.ends_within(Duration::from_mins(1)), -9);
    machine.run(&START).refused(1, &["may write there, or set --data-dir", "Read-only file system"]);

    drop(disk);
    let repaired = Command::new("e2fsck").args(["-f", "-y", &image]).output().unwrap().status.code();
    assert!(matches!(repaired, Some(0 | 1)), "{repaired:?}");
    let disk = Disk(machine.path("data"));
    assert!(disk.mount(&["-o", "loop", &image]));
    let server = machine.serve(&[]);
    takes_what_was_refused(&machine, server, 5..8).await;
}

async fn connect(database: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(database).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_program_holds_refuses_deliveries_and_commands_until_it_is_free() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let mut other = connect(&machine.data("meeting-mirror.db")).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let add = ["feed", "add", "--name", "Sales"];
    let waits: [&[&str]; 2] = [&add, &["check", "--signing-keys", KEY]];
    let (first, second) = (sized(1, 10), sized(2, 10));
    let (told, taken_meanwhile) = std::thread::scope(|threads| {
        let told = waits.map(|arguments| threads.spawn(|| machine.run(arguments)));
        let posts = async { tokio::join!(taken(&server, &first), taken(&server, &second)) };
        let taken = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(posts));
        (told.map(|told| told.join().unwrap()), taken)
    });
    assert_eq!(taken_meanwhile, (false, false));
    let [added, checked] = told;
    added.refused(1, &[UNUSABLE, "database is locked"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(
        checked.stdout.contains("PROBLEM  writing to the database") && checked.stdout.contains("locked"),
        "{checked:?}"
    );
    assert_eq!(machine.json(&["feed", "list", "--json"]), json!([]), "what only reads works");

    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    for number in 1..3 {
        taken(&server, &sized(number, 10)).await;
    }
    machine.ok(&add);
    all_applied(&machine, 2);
    server.stop();

    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    machine.run(&START).refused(1, &[UNUSABLE, "database is locked"]);
    other.close().await.unwrap();
    machine.serve(&[]).stop();
}

#[test]
fn a_backup_on_the_disk_of_the_database_leaves_some_room_there() {
    let machine = Machine::new();
    let Some(_disk) = Disk::mounted(&machine, "16m") else { return };
    machine.serve(&[]).stop();
    std::fs::write(machine.data("filler"), vec![1; 8 << 20]).unwrap();
    let (own, other) = (machine.data("copy.db"), machine.path("copy.db"));
    let backup =
        |file: &Path, percent| machine.run(&["backup", file.to_str().unwrap(), "--alert-disk-free-percent", percent]);
    backup(&own, "80").refused(1, &["must leave", "on the database's own disk", "choose a place on another disk"]);
    assert!(!own.exists());
    backup(&other, "80").ok();
    backup(&own, "10").ok();
}
