//! A process that is killed loses nothing that it answered with 200, and the next one takes up its work.
//! Must not look into the database: what stands is asked of commands and of the next server.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::process_support::{Machine, browser, event};

/// Deliveries of a burst, those under way at a time, and after how many answers the process is killed.
const BURST: usize = 2000;
const PARALLEL: usize = 32;
const KILL_AFTER: usize = 150;

fn rows(machine: &Machine) -> BTreeMap<String, Value> {
    let list = machine.json(&["inbox", "list", "--limit", "10000", "--json"]);
    let rows = list.as_array().unwrap();
    let by_id: BTreeMap<String, Value> =
        rows.iter().map(|row| (row["eventId"].as_str().unwrap().to_owned(), row.clone())).collect();
    assert_eq!(by_id.len(), rows.len(), "an event is there twice");
    by_id
}

fn settle(machine: &Machine) {
    machine.until(&["inbox", "list", "--status", "pending", "--json"], |list| *list == json!([]));
}

#[tokio::test]
async fn every_delivery_that_was_answered_survives_a_kill_and_gets_applied_once() {
    let machine = Machine::new();
    let mut server = machine.serve(&[]);
    let http = browser();
    let mut answered = Vec::new();
    {
        let server = &server;
        let mut answers = stream::iter(0..BURST)
            .map(|number| {
                let http = http.clone();
                async move {
                    let id = format!("e-{number}");
                    let body = event(&id, "scheduled", &format!("m-{number}"), 5).to_string();
                    server.post(&http, body).await.map(|(status, answer)| (id, status, answer))
                }
            })
            .buffer_unordered(PARALLEL);
        while let Some(answer) = answers.next().await {
            // An answer that was cut off by the kill promises nothing.
            let Ok((id, status, answer)) = answer else { continue };
            assert_eq!((status, &answer["status"], &answer["eventId"]), (200, &json!("accepted"), &json!(id)));
            answered.push(id);
            if answered.len() == KILL_AFTER {
                server.process.signal("KILL");
            }
        }
    }
    assert_eq!(server.process.ends_within(Duration::from_mins(1)), -9);
    assert!((KILL_AFTER..BURST).contains(&answered.len()), "{} were answered", answered.len());

    let kept = rows(&machine);
    for id in &answered {
        assert_eq!(kept.get(id).map(|row| &row["deliveries"]), Some(&json!(1)), "{id} was answered with 200");
    }
    let next = machine.serve(&[]);
    settle(&machine);
    assert!(rows(&machine).values().all(|row| row["status"] == "applied"));
    let meetings = machine.json(&["meeting", "list", "--limit", "10000", "--json"]);
    assert_eq!(meetings.as_array().unwrap().len(), kept.len(), "one meeting for each delivery that is kept");
    // The sender, who heard no answer, sends again: nothing is there twice.
    let id = &answered[0];
    let number = id.trim_start_matches("e-");
    let again = event(id, "scheduled", &format!("m-{number}"), 5).to_string();
    assert_eq!(next.post(&http, again).await.unwrap().1["status"], "duplicate");
    assert_eq!(rows(&machine).len(), kept.len());
    next.stop();
}

#[test]
fn what_waits_when_a_server_starts_is_applied() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let lines: Vec<String> =
        (0..5).map(|number| event(&format!("e-{number}"), "scheduled", "m-1", number).to_string()).collect();
    let stream = machine.file("a.ndjson", lines.join("\n"));
    machine.ok(&["send", &stream, "--url", &server.url, "--key", crate::process_support::KEY]);
    settle(&machine);
    server.stop();
    let before = machine.json(&["meeting", "show", "m-1", "--json"]);

    assert!(machine.ok(&["inbox", "replay", "--status", "applied", "--yes"]).starts_with("5 deliveries wait"));
    assert!(rows(&machine).values().all(|row| row["status"] == "pending"), "without a server they wait");
    let server = machine.serve(&[]);
    settle(&machine);
    assert!(rows(&machine).values().all(|row| row["replays"] == 1));
    assert_eq!(machine.json(&["meeting", "show", "m-1", "--json"]), before);
    server.stop();
}

#[test]
fn a_killed_server_leaves_nothing_that_keeps_the_next_one_out() {
    let machine = Machine::new();
    for _ in 0..3 {
        let mut server = machine.serve(&[]);
        server.process.signal("KILL");
        assert_eq!(server.process.ends_within(Duration::from_mins(1)), -9);
    }
    machine.serve(&[]).stop();
}
