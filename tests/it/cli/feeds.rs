//! `feed`: links that are printed, changed and ended, by id or by name, beside a running server too.
//! Must not test what a feed's text holds.

use serde_json::json;

use crate::process_support::{Machine, browser, event, get};

/// The link that a command printed: alone, on one line.
fn link(printed: &str) -> &str {
    let link = printed.strip_suffix('\n').unwrap();
    assert!(!link.contains(char::is_whitespace), "more than a link: {printed:?}");
    link
}

/// The public id and the MAC of a link.
fn token(link: &str) -> (&str, &str) {
    link.split_once("/feeds/").unwrap().1.strip_suffix(".ics").unwrap().split_once('.').unwrap()
}

#[test]
fn add_prints_the_link_alone_and_show_prints_it_again() {
    let machine = Machine::new();
    let ran = machine.run(&["feed", "add", "--name", "Sales team"]);
    let page = ran.stderr.lines().next().unwrap().strip_prefix("Show people how to subscribe: ").unwrap().to_owned();
    let printed = ran.ok();
    let link = link(&printed);
    let (id, mac) = token(link);
    assert!(link.starts_with("http://127.0.0.1:8080/feeds/"), "{link}");
    assert!(id.len() == 16 && mac.len() == 32, "{link}");
    assert_eq!(page, format!("http://127.0.0.1:8080/subscribe/{id}.{mac}"));
    for name in ["1", "Sales team"] {
        let shown = machine.json(&["feed", "show", name, "--json"]);
        assert_eq!((shown["link"].as_str(), shown["subscribePage"].as_str()), (Some(link), Some(page.as_str())));
        assert!(machine.ok(&["feed", "show", name]).contains(link));
    }
}

#[test]
fn links_stand_below_the_public_address() {
    let machine = Machine::new();
    let printed = machine.ok(&["feed", "add", "--name", "A", "--public-url", "https://mirror.example.com/"]);
    assert!(link(&printed).starts_with("https://mirror.example.com/feeds/"), "{printed}");
}

#[test]
fn links_stand_below_the_address_that_the_server_last_had() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let url = server.url.clone();
    assert!(machine.ok(&["feed", "add", "--name", "A"]).starts_with(&format!("{url}/feeds/")));
    server.stop();
    machine.serve(&["--public-url", "https://mirror.example.com"]).stop();
    assert!(machine.ok(&["feed", "add", "--name", "B"]).starts_with("https://mirror.example.com/feeds/"));
}

#[test]
fn a_feed_shows_what_was_asked_for() {
    let machine = Machine::new();
    machine.ok(&["feed", "add", "--name", "All"]);
    let options =
        ["--owner", "ada@example.com", "bo@example.com", "--schedule", "northwind/demo", "--organization", "org-1"];
    let window = ["--detail", "busy", "--past-days", "7", "--future-days", "90"];
    machine.ok(&[&["feed", "add", "--name", "Some"], &options[..], &window].concat());
    let list = machine.json(&["feed", "list", "--json"]);
    assert_eq!(list[0]["selection"], json!({}));
    assert_eq!(
        (&list[0]["detail"], &list[0]["pastDays"], &list[0]["futureDays"]),
        (&json!("full"), &json!(30), &json!(365))
    );
    assert_eq!(
        list[1]["selection"],
        json!({"owners": ["ada@example.com", "bo@example.com"], "schedules": ["northwind/demo"], "organizations": ["org-1"]})
    );
    assert_eq!(
        (&list[1]["detail"], &list[1]["pastDays"], &list[1]["futureDays"]),
        (&json!("busy"), &json!(7), &json!(90))
    );
    let shown = machine.ok(&["feed", "list"]);
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(shown.contains("all meetings") && shown.contains("ada@example.com"), "{shown}");
}

#[test]
fn rotate_prints_a_new_link_once_somebody_agreed() {
    let machine = Machine::new();
    let old = machine.ok(&["feed", "add", "--name", "Sales"]);
    machine.run(&["feed", "rotate", "Sales"]).refused(1, &["must subscribe again", "add --yes to go on"]);
    assert_eq!(machine.json(&["feed", "show", "Sales", "--json"])["link"], link(&old));
    let new = machine.ok(&["feed", "rotate", "Sales", "--yes"]);
    let ((old_id, old_mac), (new_id, new_mac)) = (token(link(&old)), token(link(&new)));
    assert!(old_id == new_id && old_mac != new_mac, "{old}{new}");
    assert_eq!(machine.json(&["feed", "show", "1", "--json"])["link"], link(&new));
    assert_ne!(machine.ok(&["feed", "rotate", "1", "--yes"]), new);
}

#[test]
fn a_revoked_feed_stays_in_the_list_without_a_link_and_frees_its_name() {
    let machine = Machine::new();
    machine.ok(&["feed", "add", "--name", "Sales"]);
    machine.run(&["feed", "revoke", "Sales"]).refused(1, &["stops working for good", "add --yes to go on"]);
    assert!(machine.ok(&["feed", "revoke", "Sales", "--yes"]).contains("410"));
    let shown = machine.json(&["feed", "show", "1", "--json"]);
    assert_eq!(
        (&shown["revoked"], &shown["link"], &shown["subscribePage"]),
        (&json!(true), &json!(null), &json!(null))
    );
    for command in ["revoke", "rotate"] {
        machine.run(&["feed", command, "Sales", "--yes"]).refused(1, &["was revoked: add a new one"]);
    }
    machine.ok(&["feed", "add", "--name", "Sales"]);
    assert_eq!(machine.json(&["feed", "show", "Sales", "--json"])["id"], 2, "the live one is meant");
    assert_eq!(machine.json(&["feed", "list", "--json"]).as_array().unwrap().len(), 2);
}

#[test]
fn names_that_are_taken_or_can_not_be_told_apart_are_refused() {
    let machine = Machine::new();
    machine.ok(&["feed", "add", "--name", "Sales"]);
    machine.run(&["feed", "add", "--name", "Sales"]).refused(1, &["a feed of this name exists already"]);
    machine.run(&["feed", "add", "--name", "12"]).refused(2, &["would be taken for an id: add a word"]);
    for name in ["", "  ", "two\nlines", &"m".repeat(101)] {
        machine.run(&["feed", "add", "--name", name]).refused(2, &["1 to 100 characters on one line"]);
    }
    machine.run(&["feed", "add", "--name", "B", "--detail", "some"]).refused(2, &["use full, title or busy"]);
    machine.run(&["feed", "add", "--name", "B", "--past-days=-1"]).refused(2, &["--past-days"]);
    machine.run(&["feed", "add", "--name", "B", "--future-days", "99999"]).refused(2, &["3650"]);
    for command in [&["feed", "show", "B"][..], &["feed", "rotate", "B", "--yes"], &["feed", "export", "2"]] {
        machine.run(command).refused(1, &["there is no feed", "see: meeting-mirror feed list"]);
    }
    assert_eq!(machine.json(&["feed", "list", "--json"]).as_array().unwrap().len(), 1);
}

#[test]
fn an_empty_list_says_how_to_add_one() {
    let machine = Machine::started();
    let ran = machine.run(&["feed", "list"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("meeting-mirror feed add --name"), "{ran:?}");
    assert_eq!(machine.json(&["feed", "list", "--json"]), json!([]));
}

#[tokio::test]
async fn a_running_server_sees_within_a_moment_what_commands_do_to_feeds() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let http = browser();
    let first = machine.ok(&["feed", "add", "--name", "Sales"]);
    let (status, text) = get(&http, link(&first)).await;
    assert!(status == 200 && text.starts_with("BEGIN:VCALENDAR\r\n"), "a new link works at once: {status} {text}");
    machine.ok(&["feed", "edit", "Sales", "--name", "Sales team"]);
    until(&http, link(&first), |status, text| status == 200 && text.contains("NAME:Sales team")).await;
    let second = machine.ok(&["feed", "rotate", "1", "--yes"]);
    assert_eq!(get(&http, link(&second)).await.0, 200, "a new link works at once");
    until(&http, link(&first), |status, text| status == 410 && !text.contains("VCALENDAR")).await;
    machine.ok(&["feed", "revoke", "1", "--yes"]);
    for ended in [first, second] {
        until(&http, link(&ended), |status, text| status == 410 && !text.contains("VCALENDAR")).await;
    }
    server.stop();
}

/// Fetches again and again until the answer is what is waited for.
async fn until(http: &reqwest::Client, link: &str, there: impl Fn(u16, &str) -> bool) {
    for _ in 0..5000 {
        let (status, text) = get(http, link).await;
        if there(status, &text) {
            return;
        }
    }
    panic!("{link} does not change its answer");
}

#[tokio::test]
async fn export_writes_what_the_server_serves_and_lint_finds_nothing_wrong_in_it() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let http = browser();
    for (id, hours) in [("m-1", 5), ("m-2", 30)] {
        server.post(&http, event(&format!("e-{id}"), "scheduled", id, hours).to_string()).await.unwrap();
    }
    machine.until(&["meeting", "list", "--json"], |list| list.as_array().unwrap().len() == 2);
    let printed = machine.ok(&["feed", "add", "--name", "Sales"]);
    let text = get(&http, link(&printed)).await.1;
    assert_eq!(text.matches("BEGIN:VEVENT").count(), 2, "{text}");
    let file = machine.path("sales.ics");
    machine.ok(&["feed", "export", "Sales", file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let exported = machine.run(&["feed", "export", "1"]).ok();
    assert_eq!(exported.replace('\r', ""), text.replace('\r', ""));
    for target in ["Sales", "1", file.to_str().unwrap(), link(&printed)] {
        let ran = machine.run(&["feed", "lint", target]);
        assert!(ran.stderr.contains("nothing wrong"), "{ran:#?}");
        assert_eq!(ran.ok(), "");
    }
    server.stop();
}

#[test]
fn lint_fails_on_a_text_that_calendar_programs_would_refuse() {
    let machine = Machine::new();
    let file = machine.file("broken.ics", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VEVENT\nEND:VCALENDAR\n");
    let ran = machine.run(&["feed", "lint", &file]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let findings = ran.stdout.lines().count();
    assert!(findings > 2 && ran.stderr.ends_with(&format!("broken.ics: {findings} findings\n")), "{ran:#?}");
    machine.run(&["feed", "lint", "nowhere"]).refused(1, &["there is no installation in "]);
    machine.ok(&["feed", "add", "--name", "Sales"]);
    machine.run(&["feed", "lint", "nowhere"]).refused(1, &["neither a feed nor a file that can be read"]);
    machine.run(&["feed", "lint", "https://example.com/a.ics"]).refused(1, &["only addresses on this machine"]);
}

#[tokio::test]
async fn a_meeting_that_can_not_be_read_does_not_take_its_feed_away() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let http = browser();
    server.post(&http, event("e-1", "scheduled", "m-1", 5).to_string()).await.unwrap();
    machine.until(&["meeting", "list", "--json"], |list| list.as_array().unwrap().len() == 1);
    let link = machine.ok(&["feed", "add", "--name", "Sales"]);
    let (status, before) = get(&http, link.trim()).await;
    assert!(status == 200 && before.contains("Demo m-1"), "{before}");
    super::sql(&machine, "UPDATE meetings SET details = '{}'").await;
    assert_eq!(get(&http, link.trim()).await, (200, before), "the last good bytes");
    server.stop();
}
