//! Data directories that were damaged, mixed up or made by a newer version: every command refuses and changes nothing.
//! Must not test what a server does while its database is away.

use super::sql;
use crate::process_support::{KEY, Machine};

/// A data directory that was used, with everything in the database file itself.
async fn used() -> Machine {
    let machine = Machine::new();
    machine.ok(&["feed", "add", "--name", "Sales"]);
    sql(&machine, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    machine
}

/// Every kind of command must refuse with the same words and leave everything as it is.
#[track_caller]
fn refused_by_all(machine: &Machine) -> String {
    let before = machine.contents();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--signing-keys", KEY];
    let commands: [&[&str]; 8] = [
        &serve,
        &["feed", "list"],
        &["feed", "add", "--name", "Other"],
        &["calendar", "list"],
        &["inbox", "list"],
        &["meeting", "list"],
        &["audit", "verify"],
        &["backup", "copy.db"],
    ];
    let told = commands.map(|arguments| machine.run(arguments).refused(1, &[]));
    assert!(told.iter().all(|text| *text == told[0]), "{told:#?}");
    let checked = machine.run(&["check", "--signing-keys", KEY]);
    let problem = told[0].replace("error: ", "PROBLEM  data directory: ");
    assert!(checked.code == 1 && checked.stdout.ends_with(&problem), "{checked:#?}");
    assert_eq!(machine.contents(), before, "something was changed");
    machine.anywhere(&told[0])
}

#[tokio::test]
async fn a_secret_key_that_is_damaged() {
    let machine = used().await;
    std::fs::write(machine.data("secret.key"), "0123456789abcdef").unwrap();
    insta::assert_snapshot!(refused_by_all(&machine));
}

#[tokio::test]
async fn a_secret_key_that_is_gone() {
    let machine = used().await;
    std::fs::remove_file(machine.data("secret.key")).unwrap();
    insta::assert_snapshot!(refused_by_all(&machine));
}

#[tokio::test]
async fn a_database_of_a_newer_version() {
    let machine = used().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'from the future', TRUE, x'00', 0)";
    sql(&machine, newer).await;
    sql(&machine, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    insta::assert_snapshot!(refused_by_all(&machine));
}

#[tokio::test]
async fn a_database_of_another_build() {
    let machine = used().await;
    sql(&machine, "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 13").await;
    sql(&machine, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    insta::assert_snapshot!(refused_by_all(&machine));
}

#[tokio::test]
async fn a_file_that_is_no_database() {
    let machine = used().await;
    std::fs::write(machine.data("meeting-mirror.db"), "This is a letter. ".repeat(100)).unwrap();
    insta::assert_snapshot!(refused_by_all(&machine));
}

#[tokio::test]
async fn a_database_of_another_program() {
    let machine = used().await;
    sql(&machine, "DROP TABLE _sqlx_migrations; PRAGMA wal_checkpoint(TRUNCATE)").await;
    insta::assert_snapshot!(refused_by_all(&machine));
}

#[tokio::test]
async fn a_database_that_is_cut() {
    let machine = used().await;
    let path = machine.data("meeting-mirror.db");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let ran = machine.run(&["check"]);
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.stdout.contains("damaged") && ran.stdout.contains("Restore it from a backup"), "{ran:#?}");
}

#[test]
fn a_folder_in_the_database_s_place() {
    let machine = Machine::new();
    std::fs::create_dir_all(machine.data("meeting-mirror.db")).unwrap();
    insta::assert_snapshot!(refused_by_all(&machine));
}
