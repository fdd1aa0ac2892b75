//! `backup`, `check`, and what every command owes a pipe.
//! Must not test what a damaged installation is told.

use std::process::Stdio;

use serde_json::json;

use crate::process_support::{KEY, Machine, browser, event, run};

#[tokio::test]
async fn a_backup_of_a_running_server_opens_and_holds_the_same() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let http = browser();
    for number in 0..20 {
        let body = event(&format!("e-{number}"), "scheduled", &format!("m-{number}"), 5 + number);
        server.post(&http, body.to_string()).await.unwrap();
    }
    machine.ok(&["feed", "add", "--name", "Sales"]);
    machine.until(&["meeting", "list", "--json"], |list| list.as_array().unwrap().len() == 20);
    let file = machine.path("backup.db");
    let ran = machine.run(&["backup", file.to_str().unwrap()]);
    assert!(ran.stderr.contains("secret.key") && ran.stderr.contains("every feed link changes"), "{ran:?}");
    assert_eq!(machine.anywhere(&ran.ok()), "wrote and checked [machine]/backup.db\n");

    let restored = Machine::new();
    std::fs::create_dir(restored.path("data")).unwrap();
    std::fs::copy(&file, restored.data("meeting-mirror.db")).unwrap();
    std::fs::copy(machine.data("secret.key"), restored.data("secret.key")).unwrap();
    let lists: [&[&str]; 4] = [
        &["inbox", "list", "--json"],
        &["meeting", "list", "--json"],
        &["feed", "list", "--json"],
        &["calendar", "list", "--json"],
    ];
    for list in lists {
        assert_eq!(restored.json(list), machine.json(list), "{list:?}");
    }
    assert_eq!(machine.json(&["audit", "list", "--json"])[0]["category"], "backup", "the backup itself is in the log");
    assert_eq!(restored.run(&["audit", "verify"]).code, 0);
    server.stop();
}

#[test]
fn a_backup_never_writes_over_a_file() {
    let machine = Machine::new();
    machine.ok(&["feed", "add", "--name", "Sales"]);
    let file = machine.file("precious", "other bytes");
    machine.run(&["backup", &file]).refused(1, &["exists already: give a new name"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"other bytes");
    let nowhere = machine.path("no/such/folder/backup.db");
    machine.run(&["backup", nowhere.to_str().unwrap()]).refused(1, &["no backup was made at", "folder/backup.db"]);
    assert_eq!(machine.json(&["audit", "list", "--json"]).as_array().unwrap().len(), 1, "neither is in the log");
}

#[test]
fn check_is_content_with_good_settings() {
    let machine = Machine::started();
    let google = format!("{}/fixtures/google/service-account-key.json", env!("CARGO_MANIFEST_DIR"));
    let settings =
        ["--signing-keys", "one, two", "--public-url", "https://mirror.example.com", "--google-credentials", &google];
    let told = machine.ok(&[&["check", "--admin-password", "long enough"], &settings[..]].concat());
    insta::assert_snapshot!(machine.anywhere(&told));
}

#[test]
fn check_fails_on_each_problem_and_tells_of_all() {
    let machine = Machine::new();
    machine.ok(&["feed", "add", "--name", "Sales"]);
    let google = machine.file("google.json", "{}");
    let ran = machine.run(&["check", "--admin-password", "short", "--google-credentials", &google]);
    assert_eq!(ran.code, 1, "{ran:?}");
    insta::assert_snapshot!(machine.anywhere(&ran.stdout));
    for (settings, problems) in
        [(&["--signing-keys", KEY][..], 0), (&[], 1), (&["--signing-keys", KEY, "--admin-password", "short"], 1)]
    {
        let ran = machine.run(&[&["check"], settings].concat());
        assert_eq!(
            (ran.code, ran.stdout.matches("PROBLEM").count()),
            (problems, usize::try_from(problems).unwrap()),
            "{ran:?}"
        );
    }
}

#[test]
fn check_works_beside_a_running_server() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let told = machine.ok(&["check", "--signing-keys", KEY]);
    assert!(told.contains(&server.url) && told.contains("sound"), "{told}");
    server.stop();
}

#[test]
fn a_reader_that_stops_reading_ends_a_command_quietly() {
    let machine = Machine::new();
    for name in ["One", "Two", "Three"] {
        machine.ok(&["feed", "add", "--name", name]);
    }
    let commands: [&[&str]; 9] = [
        &["--help"],
        &["feed", "list"],
        &["feed", "list", "--json"],
        &["feed", "show", "One"],
        &["feed", "export", "One"],
        &["audit", "list"],
        &["audit", "verify"],
        &["audit", "export"],
        &["audit", "export", "--format", "jsonl"],
    ];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = run(machine.command(arguments).stdout(Stdio::from(writer)), b"");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}

#[test]
fn an_answer_that_can_not_be_written_is_an_error() {
    let machine = Machine::new();
    machine.ok(&["feed", "add", "--name", "One"]);
    for arguments in [&["feed", "list", "--json"][..], &["audit", "export"], &["feed", "export", "One"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ran = run(machine.command(arguments).stdout(Stdio::from(full)), b"");
        assert!(ran.code == 1 && ran.stderr.contains("No space left"), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn empty_lists_are_valid_json_and_say_in_words_what_to_do() {
    let machine = Machine::started();
    for list in ["feed", "calendar", "inbox", "meeting", "audit"] {
        assert_eq!(machine.json(&[list, "list", "--json"]), json!([]), "{list}");
        let ran = machine.run(&[list, "list"]);
        assert!(ran.code == 0 && ran.stdout.is_empty() && ran.stderr.lines().count() == 1, "{list}: {ran:?}");
    }
}
