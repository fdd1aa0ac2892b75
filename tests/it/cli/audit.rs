//! `audit`: what is listed, what an export holds, and what verifying finds when somebody went around the program.
//! Must not test how entries are chained.

use serde_json::{Value, json};

use super::sql;
use crate::process_support::{KEY, Machine, event};

/// A machine whose log has three entries: `Added feed “One”`, … `“Three”`.
fn with_three_entries() -> Machine {
    let machine = Machine::new();
    for name in ["One", "Two", "Three"] {
        machine.ok(&["feed", "add", "--name", name]);
    }
    machine
}

fn verdict(machine: &Machine) -> (i32, String) {
    let ran = machine.run(&["audit", "verify"]);
    assert_eq!(ran.stderr, "", "{ran:?}");
    (ran.code, ran.stdout)
}

/// An organization event that its sender filled with formulas.
fn hostile(event_id: &str) -> Value {
    let mut event = event(event_id, "scheduled", "m-1", 1);
    event["eventType"] = json!("organization.setting.changed");
    event["organizationGuid"] = json!("+org");
    event["data"] = json!({
        "current": {"value": "=1+1"},
        "previous": {"value": "@SUM(A1)"},
        "setting": {"title": "=cmd|' /C calc'!A0"},
        "modifiedBy": {"userId": "-7", "username": "=HYPERLINK(\"http://example.com\")", "firstName": "@Ada", "lastName": "\"quoted\", and\nbroken"},
    });
    event
}

#[test]
fn what_is_done_here_is_listed_newest_first() {
    let machine = with_three_entries();
    machine.ok(&["feed", "rotate", "Two", "--yes"]);
    machine.ok(&["feed", "revoke", "One", "--yes"]);
    machine.ok(&["calendar", "add", "--name", "Team", "--calendar-id", "team@example.com"]);
    machine.ok(&["calendar", "remove", "Team", "--yes"]);
    let list = machine.json(&["audit", "list", "--json"]);
    let summaries: Vec<&str> =
        list.as_array().unwrap().iter().map(|entry| entry["summary"].as_str().unwrap()).collect();
    assert_eq!(
        summaries,
        [
            "Removed calendar “Team”",
            "Added calendar “Team” (team@example.com): all meetings",
            "Revoked feed “One”",
            "Made a new link for feed “Two”",
            "Added feed “Three”: all meetings, full",
            "Added feed “Two”: all meetings, full",
            "Added feed “One”: all meetings, full",
        ]
    );
    let newest = &list[0];
    assert_eq!(
        (&newest["seq"], &newest["source"], &newest["category"]),
        (&json!(7), &json!("admin"), &json!("calendar"))
    );
    assert_eq!(newest["actor"]["username"], "command line");
    assert_eq!(machine.json(&["audit", "list", "--limit", "2", "--json"]).as_array().unwrap().len(), 2);
    assert_eq!(machine.ok(&["audit", "list"]).lines().count(), 8);
}

#[test]
fn what_changed_at_the_sender_is_listed_with_who_and_what() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let fixture = format!("{}/fixtures/webhooks/organization.setting.changed.json", env!("CARGO_MANIFEST_DIR"));
    machine.ok(&["send", &fixture, "--url", &server.url, "--key", KEY]);
    let list = machine.until(&["audit", "list", "--json"], |list| !list.as_array().unwrap().is_empty());
    let entry = &list[0];
    assert_eq!(
        (&entry["source"], &entry["actor"]["username"]),
        (&json!("cirrus-insight"), &json!("ingrid.solberg@example.com"))
    );
    assert_eq!((&entry["eventId"], &entry["delivery"]), (&json!("6b52b08d-2187-4f0b-84ff-64debb5d6b48"), &json!(1)));
    assert_eq!(entry["happenedAt"], "2026-11-20T10:31:15.602Z");
    let changes = entry["changes"].as_array().unwrap();
    assert!(changes.contains(&json!({"field": "value", "before": "0", "after": "15"})), "{entry:#}");
    server.stop();
}

#[test]
fn an_export_holds_every_entry_oldest_first_and_no_formula() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    machine.ok(&["feed", "add", "--name", "One"]);
    let payload = machine.file("hostile.json", hostile("=e-1").to_string());
    machine.ok(&["send", &payload, "--url", &server.url, "--key", KEY]);
    machine.until(&["audit", "list", "--json"], |list| list.as_array().unwrap().len() == 2);

    let text = machine.ok(&["audit", "export"]);
    assert_eq!(machine.ok(&["audit", "export", "--format", "csv"]), text);
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let heading: Vec<String> = table.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| &rows[row][heading.iter().position(|column| column == name).unwrap()];
    assert_eq!((rows.len(), cell(0, "seq"), cell(1, "seq")), (2, "1", "2"));
    assert_eq!(cell(1, "actor_username"), "'=HYPERLINK(\"http://example.com\")");
    assert_eq!(cell(1, "actor_name"), "'@Ada \"quoted\", and\nbroken");
    assert_eq!((cell(1, "actor_id"), cell(1, "organization_id"), cell(1, "event_id")), ("'-7", "'+org", "'=e-1"));
    for value in rows.iter().flatten() {
        assert!(!value.starts_with(['=', '+', '-', '@', '\t', '\r']), "a formula: {value}");
    }

    let lines = machine.ok(&["audit", "export", "--format", "jsonl"]);
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut list = machine.json(&["audit", "list", "--json"]);
    list.as_array_mut().unwrap().reverse();
    assert_eq!(json!(entries), list);
    assert_eq!(entries[1]["actor"]["username"], "=HYPERLINK(\"http://example.com\")", "JSON carries what was told");
    machine.run(&["audit", "export", "--format", "xlsx"]).refused(2, &["csv", "jsonl"]);
    server.stop();
}

#[test]
fn an_empty_log_is_intact_and_exports_its_heading() {
    let machine = Machine::started();
    assert_eq!(machine.ok(&["audit", "export"]).lines().count(), 1);
    assert_eq!(machine.ok(&["audit", "export", "--format", "jsonl"]), "");
    for entries in 0..3 {
        let (code, told) = verdict(&machine);
        assert!(code == 0 && told.starts_with(&format!("intact: {entries} entries")), "{told}");
    }
    let list = machine.json(&["audit", "list", "--json"]);
    assert_eq!(list[0]["summary"], "Verified the audit log: 2 entries are intact");
    assert_eq!(list[0]["actor"]["username"], "command line");
}

#[tokio::test]
async fn the_database_itself_refuses_to_change_or_remove_entries() {
    let machine = with_three_entries();
    for statement in ["UPDATE audit SET summary = 'x' WHERE seq = 2", "DELETE FROM audit WHERE seq = 3"] {
        let refused = tokio::spawn({
            let path = machine.data("meeting-mirror.db");
            async move {
                use sqlx::ConnectOptions as _;
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                sqlx::raw_sql(statement).execute(&mut options.connect().await.unwrap()).await.unwrap_err().to_string()
            }
        });
        assert!(refused.await.unwrap().contains("the audit log only grows"), "{statement}");
    }
    assert_eq!(verdict(&machine).0, 0);
}

#[tokio::test]
async fn verify_tells_where_somebody_went_around_the_program() {
    let cases = [
        ("UPDATE audit SET summary = 'Added feed “Tw0”' WHERE seq = 2", "entry 2 was changed"),
        ("UPDATE audit SET actor_username = NULL WHERE seq = 1", "entry 1 was changed"),
        ("UPDATE audit SET recorded_at = recorded_at + 1 WHERE seq = 3", "entry 3 was changed"),
        ("DELETE FROM audit WHERE seq = 2", "entry 2 is missing: entry 3 stands in its place"),
        ("DELETE FROM audit WHERE seq = 1", "entry 1 is missing: entry 2 stands in its place"),
        (
            "UPDATE audit SET seq = 9 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 9",
            "entry 2 does not follow",
        ),
        (
            "INSERT INTO audit SELECT 5, source, event_id, category, 'Made up', organization_id, actor_id, actor_username,
             actor_name, changes, happened_at_ns, recorded_at, inbox_id, hash, hash FROM audit WHERE seq = 4",
            "entry 5 was changed",
        ),
    ];
    for (statement, expected) in cases {
        let machine = with_three_entries();
        let (code, before) = verdict(&machine);
        assert!(code == 0 && before.starts_with("intact: 3 entries, head "), "{before}");
        sql(&machine, "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete").await;
        sql(&machine, statement).await;
        let (code, told) = verdict(&machine);
        assert_eq!(code, 1, "{statement}: {told}");
        assert!(told.starts_with("BROKEN: ") && told.contains(expected), "{statement}: {told}");
    }
}

#[tokio::test]
async fn a_cut_tail_shows_by_what_was_verified_before() {
    let machine = with_three_entries();
    let before = verdict(&machine).1;
    let head = before.trim_end().rsplit(' ').next().unwrap();
    sql(&machine, "DROP TRIGGER audit_no_delete; DELETE FROM audit WHERE seq >= 3").await;
    for told in ["it ends with entry 2, but had entry 3 before", "entry 3 is not the one that had this number before"] {
        let (code, after) = verdict(&machine);
        assert_eq!(code, 1, "{after}");
        assert!(after.starts_with("BROKEN: ") && after.contains(told), "{after}");
        assert!(after.contains(&format!("when it last held: up to entry 3, head {head}")), "{after}");
    }
}

#[test]
fn a_head_that_is_remembered_shows_a_cut_tail_that_the_chain_alone_does_not() {
    let machine = with_three_entries();
    let head = machine.json(&["audit", "show", "3", "--json"])["hash"].as_str().unwrap().to_owned();
    let ran = machine.run(&["audit", "verify", "--head", &head.to_uppercase()]);
    assert!(ran.code == 0 && ran.stdout.contains("the head you remember is that of entry 3"), "{ran:?}");
    let other = "ab".repeat(32);
    let ran = machine.run(&["audit", "verify", "--head", &other]);
    assert!(ran.code == 1 && ran.stdout.contains("BROKEN: no entry has the head you remember"), "{ran:?}");
    let summaries = machine.json(&["audit", "list", "--limit", "2", "--json"]);
    assert_eq!(
        summaries[1]["summary"],
        "Verified the audit log: 3 entries are intact; the remembered head is that of entry 3"
    );
    assert_eq!(
        summaries[0]["summary"],
        format!("Verified the audit log: 4 entries are intact; no entry has the remembered head {other}")
    );
    machine.run(&["audit", "verify", "--head", "12ab"]).refused(2, &["64 hexadecimal digits are needed"]);
}

#[test]
fn the_list_is_narrowed_and_an_export_goes_on_where_the_last_one_ended() {
    let machine = with_three_entries();
    machine.ok(&["calendar", "add", "--name", "Team", "--calendar-id", "team@example.com"]);
    let seqs = |args: &[&str]| -> Vec<i64> {
        let list = machine.json(&[&["audit", "list", "--json"], args].concat());
        list.as_array().unwrap().iter().map(|entry| entry["seq"].as_i64().unwrap()).collect()
    };
    assert_eq!(seqs(&["--category", "feed", "--search", "two added"]), [2]);
    assert_eq!(seqs(&["--person", "command"]), [4, 3, 2, 1]);
    assert_eq!(seqs(&["--source", "cirrus-insight"]), [0; 0]);
    assert_eq!(seqs(&["--from", "2020-01-01", "--until", "2020-01-02T00:00:00Z"]), [0; 0]);
    machine.run(&["audit", "list", "--from", "yesterday"]).refused(2, &["a day such as 2026-11-26"]);
    machine.run(&["audit", "show", "9"]).refused(1, &["there is no entry 9: the last one is 4"]);
    assert!(machine.ok(&["audit", "show", "4"]).contains("Added calendar “Team”"));

    let manifest = machine.file("manifest.json", String::new());
    let export = |args: &[&str]| {
        let ran = machine.run(&[&["audit", "export", "--format", "jsonl", "--manifest", &manifest], args].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        let told: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
        assert!(ran.stderr.contains(told["head"].as_str().unwrap()), "{ran:?}");
        let seqs: Vec<Value> =
            ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].take()).collect();
        (seqs, told["entries"].clone(), told["next"].to_string())
    };
    let (entries, count, next) = export(&["--category", "feed"]);
    assert_eq!((entries, count, &*next), (vec![json!(1), json!(2), json!(3)], json!(3), "4"));
    machine.ok(&["feed", "add", "--name", "Four"]);
    let (entries, count, next) = export(&["--since", &next]);
    assert_eq!((entries, count, &*next), (vec![json!(5)], json!(1), "5"));
    let (entries, _, next) = export(&["--since", &next]);
    assert_eq!((entries, &*next), (vec![], "5"));
}
