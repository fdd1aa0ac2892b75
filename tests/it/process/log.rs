//! The log as programs read it: every line is a JSON object, from the start to the end.

use serde_json::Value;

use crate::process_support::{KEY, Machine, Process, browser, event, get};

const ARGUMENTS: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--log-format", "json"];

#[tokio::test]
async fn every_line_is_an_object_with_the_usual_fields() {
    let machine = Machine::new();
    let mut command = machine.command(&ARGUMENTS);
    command.env("MEETING_MIRROR_SIGNING_KEYS", KEY).env("MEETING_MIRROR_LOG", "debug");
    let mut process = Process::start(&mut command, b"");
    let line: Value = serde_json::from_str(&process.err.wait_for("meeting-mirror is listening")).unwrap();
    let base = format!("http://{}", line["fields"]["address"].as_str().unwrap());
    let http = browser();
    assert_eq!(get(&http, &format!("{base}/readyz")).await.0, 200);
    let unsigned = http.post(format!("{base}/webhooks/cirrus-insight"));
    assert_eq!(unsigned.body(event("e-1", "scheduled", "m-1", 5).to_string()).send().await.unwrap().status(), 401);
    process.signal("TERM");
    let log = process.err.rest();
    let mut messages = Vec::new();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        for field in ["timestamp", "level", "target"] {
            assert!(line[field].is_string(), "{field} is missing: {line}");
        }
        messages.push(line["fields"]["message"].as_str().unwrap().to_owned());
    }
    for message in ["meeting-mirror is listening", "refused a delivery", "answered a request", "stopped"] {
        assert!(messages.iter().any(|told| told == message), "{message} is missing in {log}");
    }
}

#[test]
fn why_it_can_not_start_is_an_object_too() {
    let machine = Machine::new();
    let told = machine.run(&ARGUMENTS).refused(1, &["no signing key is set"]);
    let line: Value = serde_json::from_str(told.trim_end()).unwrap();
    assert_eq!(line["level"], "ERROR");
}
