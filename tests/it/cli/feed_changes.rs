//! `feed edit`, `feed personal` and `feed lint` of an address.
//! Must not test what a feed's text holds.

use serde_json::json;

use crate::process_support::{Machine, browser, event};

#[test]
fn edit_changes_what_is_named_and_keeps_the_link() {
    let machine = Machine::new();
    let link = machine.ok(&["feed", "add", "--name", "Sales", "--owner", "ada@example.com", "--canceled-days", "3"]);
    let before = machine.json(&["feed", "show", "Sales", "--json"]);
    assert_eq!(
        (&before["showAs"], &before["canceledDays"]),
        (&json!("busy"), &json!(3)),
        "a feed of one owner is busy time"
    );
    let change = ["feed", "edit", "Sales", "--name", "Team", "--all", "--detail", "title", "--show-as", "free"];
    assert_eq!(
        machine.ok(&change),
        "name “Sales” → “Team”\nmeetings owner ada@example.com → all meetings\ndetail full → title\nshow as busy → free\n"
    );
    let after = machine.json(&["feed", "show", "Team", "--json"]);
    assert_eq!(after["link"], link.trim());
    for (field, value) in [
        ("selection", json!({})),
        ("detail", json!("title")),
        ("showAs", json!("free")),
        ("canceledDays", json!(3)),
        ("pastDays", json!(30)),
    ] {
        assert_eq!(after[field], value, "{field}");
    }
    machine.ok(&[
        "feed",
        "edit",
        "1",
        "--past-days",
        "1",
        "--future-days",
        "2",
        "--canceled-days",
        "0",
        "--schedule",
        "demo",
    ]);
    let shown = machine.ok(&["feed", "show", "1"]);
    for line in ["1 day back, 2 days ahead", "shown for 0 days", "schedule demo", "show as    free"] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    let log = machine.ok(&["audit", "list"]);
    for told in [
        "Edited feed “Sales”: name “Sales” → “Team”; meetings owner ada@example.com → all meetings; detail full → title",
        "Edited feed “Team”: meetings all meetings → schedule demo; past days 30 → 1; future days 365 → 2; canceled days 3 → 0",
    ] {
        assert!(log.contains(told), "{told} is not in {log}");
    }
}

#[test]
fn an_edit_that_makes_no_sense_is_refused_and_changes_nothing() {
    let machine = Machine::new();
    machine.ok(&["feed", "add", "--name", "Sales"]);
    machine.ok(&["feed", "add", "--name", "Other"]);
    let before = machine.json(&["feed", "list", "--json"]);
    machine.run(&["feed", "edit", "Sales"]).refused(2, &["say what to change, for example --detail title"]);
    machine.run(&["feed", "edit", "Sales", "--name", "Other"]).refused(1, &["a feed of this name exists already"]);
    machine.run(&["feed", "edit", "Sales", "--all", "--owner", "a@example.com"]).refused(2, &["cannot be used with"]);
    machine.run(&["feed", "edit", "Sales", "--show-as", "away"]).refused(2, &["use busy or free"]);
    machine.run(&["feed", "edit", "Nobody", "--all"]).refused(1, &["there is no feed Nobody"]);
    machine.run(&["feed", "edit", "Sales", "--owner", ""]).refused(2, &["or leave it out to select all"]);
    assert_eq!(machine.json(&["feed", "list", "--json"]), before);
    let said = machine.ok(&["feed", "edit", "Sales", "--detail", "full"]);
    assert_eq!(said, "nothing to change: “Sales” is like that already\n");
    assert!(!machine.ok(&["audit", "list"]).contains("Edited"), "nothing was edited");
    machine.ok(&["feed", "edit", "Sales", "--name", "Sales", "--detail", "busy"]);
    machine.ok(&["feed", "revoke", "Sales", "--yes"]);
    machine.run(&["feed", "edit", "1", "--all"]).refused(1, &["was revoked: add a new one"]);
}

#[tokio::test]
async fn personal_makes_what_is_missing_and_prints_all_links() {
    let machine = Machine::new();
    let ran = machine.run(&["feed", "personal"]);
    assert!(ran.code == 1 && ran.stderr.contains("there is no installation"), "{ran:?}");
    let server = machine.serve(&[]);
    let ran = machine.run(&["feed", "personal"]);
    assert!(ran.stderr.contains("No meeting with an owner is known yet"), "{ran:?}");
    assert_eq!(ran.ok(), "owner,feed,subscription_page,link\n");

    let http = browser();
    for (id, owner, first, last) in [
        ("m-1", "ada@example.com", "Ada", "Example"),
        ("m-2", "Ada@example.com", "Ada", "Example"),
        ("m-3", "bo@example.com", "Bo", "Berg"),
        ("m-4", "bo2@example.com", "Bo", "Berg"),
        ("m-5", "cy@example.com", "Cy", "Cole"),
    ] {
        let mut envelope = event(&format!("e-{id}"), "scheduled", id, 5);
        envelope["data"]["meetingOwner"] = json!({"username": owner, "firstName": first, "lastName": last});
        server.post(&http, envelope.to_string()).await.unwrap();
    }
    machine.until(&["meeting", "list", "--json"], |list| list.as_array().unwrap().len() == 5);
    machine.ok(&["feed", "add", "--name", "Cy", "--owner", "CY@example.com"]);
    machine.ok(&["feed", "revoke", "Cy", "--yes"]);
    machine.ok(&["feed", "add", "--name", "Ada's", "--owner", "ada@example.com"]);

    assert_eq!(machine.ok(&["feed", "personal", "--list"]).lines().count(), 2, "only what is there");
    let ran = machine.run(&["feed", "personal", "--detail", "title"]);
    assert!(ran.stderr.contains("2 added; 1 owner had one"), "{ran:?}");
    assert!(ran.stderr.contains("since it was revoked: the feed of cy@example.com"), "{ran:?}");
    let table = ran.ok();
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let names: Vec<(&str, &str)> = rows.iter().map(|row| (row[0], row[1])).collect();
    assert_eq!(
        names,
        [
            ("ada@example.com", "Ada's"),
            ("bo2@example.com", "Meetings of Bo Berg"),
            ("bo@example.com", "Meetings of bo@example.com")
        ]
    );
    let bo = machine.json(&["feed", "show", "Meetings of Bo Berg", "--json"]);
    assert_eq!((bo["subscribePage"].as_str(), bo["link"].as_str()), (Some(rows[1][2]), Some(rows[1][3])));
    assert_eq!((&bo["detail"], &bo["showAs"]), (&json!("title"), &json!("busy")));
    let again = machine.run(&["feed", "personal"]);
    assert!(again.stderr.contains("0 added; 3 owners had one"), "{again:?}");
    assert_eq!(again.ok(), table);
    assert!(machine.ok(&["audit", "list"]).contains("Added feed “Meetings of Bo Berg”: owner bo2@example.com, title"));
    let ran = machine.run(&["feed", "add", "--name", "Typo", "--owner", "adda@example.com"]);
    assert!(ran.stderr.contains("No meeting fits yet"), "{ran:?}");
    let ran = machine.run(&["feed", "add", "--name", "Team"]);
    assert!(ran.stderr.contains("It holds 5 meetings now."), "{ran:?}");
    server.stop();
}

#[tokio::test]
async fn lint_of_an_address_judges_how_it_is_served_too() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let link = machine.ok(&["feed", "add", "--name", "Sales"]);
    let ran = machine.run(&["feed", "lint", link.trim()]);
    assert!(ran.code == 0 && ran.stderr.contains("nothing wrong in "), "{ran:?}");
    // No feed at all, but served: everything is told.
    let ran = machine.run(&["feed", "lint", &format!("{}/robots.txt", server.url)]);
    assert_eq!(ran.code, 1);
    for told in [
        "line 1: does not begin with BEGIN:VCALENDAR",
        "served: the address is longer than 256 characters or does not end in .ics",
        "served: Content-Type is “text/plain; charset=utf-8”, not text/calendar; charset=utf-8",
        "served: no ETag",
        "served: no Last-Modified",
    ] {
        assert!(ran.stdout.contains(told), "{told} is not in {}", ran.stdout);
    }
    machine.run(&["feed", "lint", &format!("{}/feeds/a.b.ics", server.url)]).refused(1, &["answered 404 Not Found"]);
    machine.ok(&["feed", "revoke", "Sales", "--yes"]);
    machine.run(&["feed", "lint", "Sales"]).refused(1, &["was revoked: it has no text"]);
    server.stop();
}
