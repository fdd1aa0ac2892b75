//! What the first start makes, what it shows once, and what a second server is told.
//! Must not test settings that can't be used.

use std::os::unix::fs::PermissionsExt as _;

use crate::process_support::{KEY, Machine, PASSWORD, browser, get, sign_in};

const SHOWN_ONCE: &str = "The admin password, shown this once: ";

#[tokio::test]
async fn the_address_that_is_logged_answers() {
    let machine = Machine::new();
    let other = Machine::new();
    let (first, second) = (machine.serve(&[]), other.serve(&[]));
    assert_ne!(first.url, second.url);
    for server in [&first, &second] {
        assert!(!server.url.ends_with(":0"), "{}", server.url);
        assert_eq!(get(&browser(), &format!("{}/livez", server.url)).await.0, 200);
    }
}

#[tokio::test]
async fn the_admin_password_is_shown_once_works_and_is_stored_hashed() {
    let machine = Machine::new();
    let mut server = machine.serve(&[]);
    let line = server.process.out.wait_for(SHOWN_ONCE);
    let password = line.strip_prefix(SHOWN_ONCE).unwrap().to_owned();
    assert!(password.len() >= 20, "{line}");
    let http = browser();
    assert_eq!(sign_in(&http, &server.url, "another password").await, 403);
    assert_eq!(get(&http, &format!("{}/status", server.url)).await.0, 303);
    assert_eq!(sign_in(&http, &server.url, &password).await, 303);
    assert_eq!(get(&http, &format!("{}/status", server.url)).await.0, 200);
    let log = server.stop();
    assert!(!log.contains(&password), "the password is in the log");

    let mut again = machine.serve(&[]);
    let http = browser();
    assert_eq!(sign_in(&http, &again.url, &password).await, 303, "it holds after a restart");
    again.process.signal("TERM");
    assert_eq!(again.process.out.rest(), "", "it is shown once");
    drop(again);
    for (name, bytes) in machine.files() {
        let found = bytes.windows(password.len()).any(|window| window == password.as_bytes());
        assert!(!found, "{name} holds the password");
    }
}

#[tokio::test]
async fn a_password_that_is_set_replaces_the_one_before() {
    let machine = Machine::new();
    machine.serve(&["--admin-password", "the first password"]).stop();
    let server = machine.serve(&["--admin-password", PASSWORD]);
    assert_eq!(sign_in(&browser(), &server.url, "the first password").await, 403);
    assert_eq!(sign_in(&browser(), &server.url, PASSWORD).await, 303);
    server.stop();
    let server = machine.serve(&[]);
    assert_eq!(sign_in(&browser(), &server.url, PASSWORD).await, 303, "it holds when it is no longer set");
    server.stop();
    let told = machine.ok(&["audit", "list"]);
    assert_eq!(told.matches("Set another admin password at the start of the server").count(), 1, "{told}");
}

#[test]
fn the_secret_key_is_its_owner_s_alone_and_stays() {
    let machine = Machine::new();
    machine.serve(&[]).stop();
    let path = machine.data("secret.key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&path).unwrap();
    assert_eq!(before.len(), 65);
    machine.serve(&[]).stop();
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused_and_the_first_goes_on() {
    let machine = Machine::new();
    let server = machine.serve(&["--admin-password", PASSWORD]);
    let second = ["serve", "--listen", "127.0.0.1:0", "--signing-keys", KEY];
    let told = machine
        .run(&[&second[..], &["--admin-password", "of the second one"]].concat())
        .refused(1, &["another meeting-mirror server is running on the data directory", "its own --data-dir"]);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert_eq!(sign_in(&browser(), &server.url, PASSWORD).await, 303, "the second one changed nothing");
    server.stop();
    machine.serve(&[]).stop();
}

#[tokio::test]
async fn nothing_secret_is_logged() {
    let machine = Machine::new();
    let server = machine.serve(&["--log", "trace", "--admin-password", PASSWORD]);
    let http = browser();
    let link = machine.ok(&["feed", "add", "--name", "Sales"]);
    let link = link.trim();
    let body = crate::process_support::event("e-1", "scheduled", "m-1", 5).to_string();
    server.post(&http, body).await.unwrap();
    get(&http, link).await;
    sign_in(&http, &server.url, PASSWORD).await;
    let log = server.stop();
    let (_, mac) = link.trim_end_matches(".ics").rsplit_once('.').unwrap();
    for secret in [KEY, PASSWORD, mac, "bo@example.org", "Bo Guest", "Demo m-1"] {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
}
