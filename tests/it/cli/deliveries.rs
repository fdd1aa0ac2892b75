//! `send`, `inbox` and `meeting`: from a payload in a file to what stands, beside a running server.
//! Must not test what a payload means.

use serde_json::{Value, json};

use crate::process_support::{KEY, Machine, Server, event, run};

fn fixture(name: &str) -> String {
    format!("{}/fixtures/webhooks/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn send(machine: &Machine, server: &Server, arguments: &[&str]) -> String {
    let ran = machine.run(&[&["send", "--url", &server.url, "--key", KEY], arguments].concat());
    assert_eq!(ran.stderr, "", "{ran:?}");
    let address = format!("{}/webhooks/cirrus-insight: ", server.url);
    ran.ok().strip_prefix(&address).unwrap().trim_end().to_owned()
}

/// Waits until nothing waits to be applied.
fn settle(machine: &Machine) {
    machine.until(&["inbox", "list", "--status", "pending", "--json"], |list| *list == json!([]));
}

fn count(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

#[test]
fn send_takes_files_streams_and_standard_input() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let (one, other) = (fixture("developer.webhook.test.json"), fixture("scheduling.smartscheduler.scheduled.json"));
    assert_eq!(send(&machine, &server, &[&one]), "1 accepted");
    assert_eq!(send(&machine, &server, &[&one, &other]), "1 accepted, 1 duplicate");
    assert_eq!(send(&machine, &server, &[&fixture("difficult/not-json.json")]), "1 quarantined");
    assert_eq!(send(&machine, &server, &[&fixture("difficult/unknown-event-type.json")]), "1 ignored");

    let lines =
        [event("e-1", "scheduled", "m-1", 1), event("e-2", "canceled", "m-1", 1), event("e-1", "scheduled", "m-1", 1)];
    let stream = lines.map(|line| line.to_string()).join("\n\n");
    assert_eq!(send(&machine, &server, &[&machine.file("stream.ndjson", &stream)]), "2 accepted, 1 duplicate");
    assert_eq!(send(&machine, &server, &[&machine.file("stream.jsonl", format!("{stream}\r\n"))]), "3 duplicate");
    let mut command = machine.command(&["send", "-", "--url", &server.url, "--key", KEY]);
    assert!(run(&mut command, stream.as_bytes()).ok().ends_with(": 3 duplicate\n"));
    server.stop();
}

#[test]
fn a_working_day_is_sent_with_many_under_way() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let day = fixture("a-day.ndjson");
    let told = send(&machine, &server, &[&day, "--parallel", "16"]);
    let total: usize = told.split(", ").map(|part| part.split(' ').next().unwrap().parse::<usize>().unwrap()).sum();
    assert_eq!(total, std::fs::read_to_string(&day).unwrap().lines().count(), "{told}");
    settle(&machine);
    let deliveries = machine.json(&["inbox", "list", "--limit", "1000", "--json"]);
    let arrived: i64 = deliveries.as_array().unwrap().iter().map(|row| row["deliveries"].as_i64().unwrap()).sum();
    assert_eq!(usize::try_from(arrived).unwrap(), total);
    assert!(count(&machine.json(&["meeting", "list", "--past", "--json"])) > 10);
    server.stop();
}

#[test]
fn a_type_turns_bare_data_into_an_event_and_changes_an_envelope() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let envelope = event("e-1", "scheduled", "m-1", 5);
    let bare = machine.file("bare.json", envelope["data"].to_string());
    assert_eq!(send(&machine, &server, &[&bare, "--type", "scheduling.smartscheduler.scheduled"]), "1 accepted");
    let whole = machine.file("whole.json", envelope.to_string());
    assert_eq!(send(&machine, &server, &[&whole, "--type", "scheduling.smartscheduler.canceled"]), "1 accepted");
    settle(&machine);
    let deliveries = machine.json(&["inbox", "list", "--json"]);
    let row = |index: usize, field: &str| deliveries[index][field].as_str().unwrap().to_owned();
    assert_eq!((row(0, "eventId"), row(0, "eventType")), ("e-1".into(), "scheduling.smartscheduler.canceled".into()));
    assert!(row(1, "eventId").starts_with("send-"), "{deliveries}");
    assert_eq!(
        (row(1, "meetingId"), row(1, "eventType")),
        ("m-1".into(), "scheduling.smartscheduler.scheduled".into())
    );
    machine
        .run(&["send", &fixture("difficult/not-json.json"), "--url", &server.url, "--type", "a.b"])
        .refused(1, &["not-json.json", "--type needs JSON payloads"]);
    server.stop();
}

#[test]
fn what_is_refused_or_not_delivered_is_told_and_fails() {
    let machine = Machine::new();
    let payload = machine.file("payload.json", event("e-1", "scheduled", "m-1", 5).to_string());
    let server = machine.serve(&[]);
    let url = server.url.clone();
    for key in [&["--key", "another key"][..], &[]] {
        let ran = machine.run(&[&["send", &payload, "--url", &url], key].concat());
        assert_eq!((ran.code, ran.stdout.ends_with(": 1 refused with 401\n")), (1, true), "{ran:?}");
        assert!(
            ran.stderr.contains("payload.json: 401 The request carries no signature made with an active"),
            "{ran:?}"
        );
    }
    assert_eq!(machine.json(&["inbox", "list", "--json"]), json!([]), "what is refused is not kept");
    let ran = machine.run(&["send", &payload, "--url", &format!("{url}/nowhere"), "--key", KEY]);
    assert_eq!((ran.code, ran.stdout.ends_with(": 1 refused with 404\n")), (1, true), "{ran:?}");
    server.stop();

    let ran = machine.run(&["send", &payload, "--url", &url, "--key", KEY]);
    assert_eq!((ran.code, ran.stdout.ends_with(": 1 not delivered\n")), (1, true), "{ran:?}");
    assert!(ran.stderr.contains("can't be reached: is the server running?"), "{ran:?}");
    machine.run(&["send", "nowhere.json", "--url", &url]).refused(1, &["nowhere.json can't be read"]);
    machine
        .run(&["send", &payload, "--url", "ftp://localhost"])
        .refused(1, &["--url must be an http or https address"]);
    let keys = machine.path("no-keys").to_str().unwrap().to_owned();
    machine
        .run(&["send", &payload, "--url", &url, "--signing-keys-file", &keys])
        .refused(1, &["no-keys, which can't be read"]);
}

#[test]
fn the_inbox_tells_the_fate_of_each_delivery_and_why() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let mut late = event("e-late", "rescheduled", "m-1", 7);
    late["eventTimestamp"] = json!("2020-01-01T00:00:00Z");
    let lines = [event("e-1", "scheduled", "m-1", 5), late, event("e-2", "scheduled", "m-2", 6)];
    let stream = machine.file("a.ndjson", lines.map(|line| line.to_string()).join("\n"));
    send(
        &machine,
        &server,
        &[&stream, &fixture("difficult/end-before-start.json"), &fixture("difficult/unknown-event-type.json")],
    );
    settle(&machine);

    let list = machine.json(&["inbox", "list", "--json"]);
    let statuses: Vec<&str> = list.as_array().unwrap().iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["ignored", "quarantined", "applied", "superseded", "applied"]);
    for (status, expected) in [("applied", 2), ("superseded", 1), ("ignored", 1), ("quarantined", 1), ("pending", 0)] {
        assert_eq!(count(&machine.json(&["inbox", "list", "--status", status, "--json"])), expected, "{status}");
    }
    assert_eq!(count(&machine.json(&["inbox", "list", "--limit", "2", "--json"])), 2);
    machine
        .run(&["inbox", "list", "--status", "lost"])
        .refused(2, &["use pending, applied, superseded, ignored or quarantined"]);

    let first = machine.json(&["inbox", "show", "e-1", "--json"]);
    assert_eq!(machine.json(&["inbox", "show", "1", "--json"]), first);
    assert_eq!(
        (&first["id"], &first["meetingId"], &first["deliveries"], &first["replays"]),
        (&json!(1), &json!("m-1"), &json!(1), &json!(0))
    );
    assert_eq!(first["signature"], "x-webhook-signature, HMAC-SHA256, key 1");
    let body: Value = serde_json::from_str(first["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["eventId"], "e-1");
    let shown = machine.ok(&["inbox", "show", "4"]);
    assert!(shown.contains("status     quarantined") && shown.contains("reason     "), "{shown}");
    assert!(list[1]["reason"].as_str().unwrap().contains("meetingEnd"), "{list}");
    assert!(!shown.contains(KEY), "{shown}");
    machine.run(&["inbox", "show", "e-9"]).refused(1, &["there is no delivery e-9; see: meeting-mirror inbox list"]);
    server.stop();
}

#[test]
fn a_replay_is_worked_on_by_the_running_server() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let lines = [event("e-1", "scheduled", "m-1", 5), event("e-2", "scheduled", "m-2", 6)];
    let stream = machine.file("a.ndjson", lines.map(|line| line.to_string()).join("\n"));
    send(&machine, &server, &[&stream, &fixture("difficult/bad-time.json")]);
    settle(&machine);
    let meeting = machine.json(&["meeting", "show", "m-1", "--json"]);

    machine.ok(&["inbox", "replay", "e-1"]);
    let again = |row: &Value| row["replays"] == 1 && row["status"] != "pending";
    let row = machine.until(&["inbox", "show", "e-1", "--json"], again);
    assert_eq!(row["status"], "applied");
    assert_eq!(machine.json(&["meeting", "show", "m-1", "--json"]), meeting, "nothing is applied twice");
    machine.ok(&["inbox", "replay", "3"]);
    assert_eq!(machine.until(&["inbox", "show", "3", "--json"], again)["status"], "quarantined");

    machine.run(&["inbox", "replay", "--status", "applied"]).refused(1, &["Work on 2 deliveries again?", "add --yes"]);
    let none = machine.ok(&["inbox", "replay", "--status", "superseded"]);
    assert!(none.contains("No delivery is like that"), "{none}");
    assert!(machine.ok(&["inbox", "replay", "--status", "applied", "--yes"]).starts_with("2 deliveries wait"));
    machine.until(&["inbox", "show", "e-2", "--json"], again);
    machine.run(&["inbox", "replay", "e-9"]).refused(1, &["there is no delivery e-9"]);
    machine.run(&["inbox", "replay"]).refused(2, &["required"]);
    machine.run(&["inbox", "replay", "1", "--status", "applied"]).refused(2, &["cannot be used with"]);
    server.stop();
}

#[test]
fn what_never_will_be_understood_is_set_aside() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let names = ["not-json", "bad-time", "end-before-start"];
    let files = names.map(|name| fixture(&format!("difficult/{name}.json")));
    let applied = machine.file("a.json", event("e-1", "scheduled", "m-1", 5).to_string());
    send(&machine, &server, &[&files[0], &files[1], &files[2], &applied]);
    settle(&machine);

    let only = "only what is quarantined can be set aside";
    machine.run(&["inbox", "ignore", "2", "e-1"]).refused(1, &["delivery 4 is applied", only]);
    machine.run(&["inbox", "ignore", "--status", "applied", "--yes"]).refused(1, &[only]);
    machine.run(&["inbox", "ignore", "2", "e-9"]).refused(1, &["there is no delivery e-9"]);
    machine.run(&["inbox", "ignore"]).refused(2, &["required"]);
    assert_eq!(count(&machine.json(&["inbox", "list", "--status", "quarantined", "--json"])), 3, "nothing was done");
    let why = machine.json(&["inbox", "show", "2", "--json"])["reason"].as_str().unwrap().to_owned();
    assert_eq!(machine.ok(&["inbox", "ignore", "1", "2"]), "2 deliveries are set aside\n");
    let row = machine.json(&["inbox", "show", "2", "--json"]);
    assert_eq!(
        (row["status"].as_str(), row["reason"].as_str().unwrap()),
        (Some("ignored"), &*format!("Set aside by an admin; it was: {why}"))
    );

    let all = ["inbox", "ignore", "--status", "quarantined"];
    machine.run(&all).refused(1, &["Set 1 delivery aside?", "add --yes"]);
    assert_eq!(machine.ok(&[&all[..], &["--yes"]].concat()), "1 delivery is set aside\n");
    assert!(machine.ok(&all).contains("No delivery is like that"));
    assert_eq!(send(&machine, &server, &[&files[1]]), "1 duplicate");
    assert_eq!(
        machine.json(&["inbox", "show", "2", "--json"])["status"],
        "ignored",
        "it stays that when it comes again"
    );

    machine.ok(&["inbox", "replay", "1", "2"]);
    let again = |row: &Value| row["replays"] == 1 && row["status"] != "pending";
    let row = machine.until(&["inbox", "show", "2", "--json"], again);
    assert_eq!((row["status"].as_str(), row["reason"].as_str()), (Some("quarantined"), Some(&*why)));
    let audit = machine.json(&["audit", "list", "--json"]);
    let told: Vec<_> = audit.as_array().unwrap().iter().filter(|entry| entry["category"] == "set-aside").collect();
    assert_eq!(told.len(), 3, "{audit}");
    assert_eq!(told[0]["summary"], "Deliveries are set aside: 1 that were quarantined");
    server.stop();
}

#[test]
fn meetings_are_listed_searched_and_shown_with_their_history() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let lines = [
        event("e-1", "scheduled", "m-1", 5),
        event("e-2", "scheduled", "m-2", 6),
        event("e-3", "scheduled", "m-old", -5),
        event("e-4", "rescheduled", "m-1", 8),
        event("e-5", "canceled", "m-2", 6),
    ];
    send(&machine, &server, &[&machine.file("a.ndjson", lines.map(|line| line.to_string()).join("\n"))]);
    settle(&machine);

    let list = machine.json(&["meeting", "list", "--json"]);
    let of = |list: &Value, field: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (of(&list, "id"), of(&list, "status")),
        (vec!["m-2".into(), "m-1".into()], vec!["canceled".into(), "confirmed".into()])
    );
    assert_eq!(of(&machine.json(&["meeting", "list", "--past", "--json"]), "id"), ["m-old", "m-2", "m-1"]);
    assert_eq!(of(&machine.json(&["meeting", "list", "--search", "demo M-2", "--json"]), "id"), ["m-2"]);
    assert_eq!(count(&machine.json(&["meeting", "list", "--limit", "1", "--json"])), 1);
    let table = machine.ok(&["meeting", "list", "--time-zone", "Asia/Tokyo"]);
    assert!(table.contains("JST") && table.contains("Ada Example"), "{table}");

    let shown = machine.json(&["meeting", "show", "m-1", "--json"]);
    assert_eq!(
        (&shown["title"], &shown["owner"], &shown["invitee"]),
        (&json!("Demo m-1"), &json!("ada@example.com"), &json!("bo@example.org"))
    );
    let effects: Vec<&str> =
        shown["history"].as_array().unwrap().iter().map(|row| row["effect"].as_str().unwrap()).collect();
    assert_eq!(effects, ["created", "changed"]);
    let text = machine.ok(&["meeting", "show", "m-2"]);
    assert!(text.contains("canceled, revision 1") && text.contains("delivery 5"), "{text}");
    machine
        .run(&["meeting", "show", "m-9"])
        .refused(1, &["there is no meeting m-9; see: meeting-mirror meeting list --past"]);

    assert_eq!(machine.json(&["meeting", "show", "Demo m-1", "--json"]), shown);
    machine.run(&["meeting", "show", "Demo"]).refused(1, &["there is no meeting Demo; see:"]);
    let mut twin = event("e-twin", "scheduled", "m-twin", 7);
    twin["data"]["meetingInfo"]["meetingName"] = json!("Demo m-1");
    send(&machine, &server, &[&machine.file("twin.json", twin.to_string())]);
    settle(&machine);
    let told = machine.run(&["meeting", "show", "Demo m-1"]).refused(1, &["2 meetings are called “Demo m-1”"]);
    assert!(told.contains("confirmed  m-1\n") && told.contains("confirmed  m-twin\n"), "{told}");
    server.stop();
}
