//! Where commands work: only where there is an installation, never on tables that a running server would not know, and
//! with files that are their owner's alone.
//! Must not test installations that are damaged.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::sql;
use crate::process_support::{KEY, Machine, run};

const ADD: [&str; 4] = ["feed", "add", "--name", "Sales"];
/// Takes the last migration back.
const OLDER: &str = "DROP TABLE sessions; DROP TABLE installation; DELETE FROM _sqlx_migrations WHERE version = 6";

/// The command as somebody types it who names no data directory.
fn unnamed(machine: &Machine, arguments: &[&str]) -> Command {
    let mut command = machine.command(arguments);
    command.env_remove("MEETING_MIRROR_DATA_DIR");
    command
}

#[test]
fn no_command_makes_an_installation_where_there_is_none() {
    let machine = Machine::new();
    let commands: [&[&str]; 9] = [
        &["feed", "list"],
        &["feed", "rotate", "Sales", "--yes"],
        &["feed", "lint", "Sales"],
        &["calendar", "list"],
        &["inbox", "list"],
        &["meeting", "list"],
        &["audit", "verify"],
        &["backup", "copy.db"],
        &["feed", "list", "--data-dir", "elsewhere"],
    ];
    for arguments in commands {
        let told = machine.run(arguments).refused(1, &["there is no installation in ", "set --data-dir"]);
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    for arguments in [&ADD[..], &["calendar", "add", "--name", "Team", "--calendar-id", "team@example.com"]] {
        let told = run(&mut unnamed(&machine, arguments), b"").refused(1, &[]);
        insta::assert_snapshot!("no_installation", told);
    }
    let ran = machine.run(&["check", "--signing-keys", KEY]);
    assert_eq!((ran.code, ran.stdout.matches("PROBLEM").count()), (1, 1), "{ran:?}");
    assert!(ran.stdout.contains("PROBLEM  data directory: there is no installation in "), "{ran:?}");
    assert!(machine.files().is_empty(), "{:?}", machine.files().keys());
}

#[test]
fn what_sets_up_may_make_one_in_a_directory_that_was_named() {
    let machine = Machine::new();
    machine.ok(&ADD);
    machine.ok(&[&ADD[..], &["--data-dir", "other"]].concat());
    assert!(machine.data("secret.key").exists() && machine.path("other/secret.key").exists());
    machine.serve(&[]).stop();
    assert_eq!(machine.json(&["feed", "list", "--json"])[0]["name"], "Sales");
}

#[test]
fn everything_is_its_owner_s_alone() {
    let machine = Machine::new();
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_meeting-mirror");
    command
        .args(["-c", "umask 0; exec \"$0\" \"$@\"", program])
        .args(ADD)
        .env("MEETING_MIRROR_DATA_DIR", machine.path("data"));
    assert!(command.output().unwrap().status.success());
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\"", program, "backup"]).arg(machine.path("copy.db"));
    assert!(command.env("MEETING_MIRROR_DATA_DIR", machine.path("data")).output().unwrap().status.success());
    for name in machine.files().into_keys() {
        let mode = std::fs::metadata(&name).unwrap().permissions().mode();
        let wanted = if name.ends_with("/data") { 0o700 } else { 0o600 };
        assert_eq!(mode & 0o777, wanted, "{name}");
    }
}

#[tokio::test]
async fn an_older_database_is_left_alone_while_a_server_runs_on_it() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    sql(&machine, OLDER).await;
    let told = machine.run(&["feed", "list"]).refused(1, &["a server is running on it", "Restart the server"]);
    assert_eq!(told.lines().count(), 1, "{told}");
    let second = ["serve", "--listen", "127.0.0.1:0", "--signing-keys", KEY];
    machine.run(&second).refused(1, &["another meeting-mirror server is running"]);
    machine.run(&["feed", "list"]).refused(1, &["a server is running on it"]);
    drop(server);
    machine.ok(&["feed", "list"]);
}
