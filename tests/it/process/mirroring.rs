//! A server that is killed again and again while it writes a calendar: the next one finds what was written and ends with
//! every event once.

use std::sync::Arc;
use std::time::Duration;

use meeting_mirror::clock::{Clock as _, SystemClock};
use meeting_mirror::simulated_google::{Access, Fault, SimulatedGoogle, SimulatedGoogleConfig};
use serde_json::Value;

use crate::process_support::{KEY, Machine, Server, event};

const TEAM: &str = "team@group.calendar.example.com";
/// Servers that are killed, and meetings that each has to write.
const ROUNDS: usize = 3;
const EACH: usize = 20;
const MEETINGS: usize = ROUNDS * EACH;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_while_it_mirrors_leaves_no_event_twice_and_none_behind() {
    let google = SimulatedGoogle::start(SimulatedGoogleConfig::new(Arc::new(|| SystemClock::default().now()))).unwrap();
    google.add_calendar(TEAM, "Team", Access::Writer);
    // Answers take a while, so that a kill finds calls under way whose answers nobody hears.
    google.chaos_of(1, 1.0, &[Fault::Slow(Duration::from_millis(60))]);
    let machine = Machine::new();
    let credentials = machine.file("google.json", google.credentials().unwrap());
    let serve = || {
        let mut command = machine.command(&["serve", "--listen", "127.0.0.1:0"]);
        command
            .env("MEETING_MIRROR_SIGNING_KEYS", KEY)
            .env("MEETING_MIRROR_GOOGLE_CREDENTIALS", &credentials)
            .env("MEETING_MIRROR_GOOGLE_API_URL", google.api_url())
            .env("MEETING_MIRROR_GOOGLE_RATE", "1000")
            .env("MEETING_MIRROR_GOOGLE_CALENDAR_RATE", "1000");
        Server::start(&mut command)
    };
    let in_step = |list: &Value| list[0]["inStep"].as_u64().unwrap_or(0);

    let mut server = serve();
    machine.ok(&["calendar", "add", "--name", "Team", "--calendar-id", TEAM]);
    for round in 0..ROUNDS {
        let lines: Vec<String> = (round * EACH..(round + 1) * EACH)
            .map(|number| event(&format!("e-{number}"), "scheduled", &format!("m-{number}"), 5).to_string())
            .collect();
        let stream = machine.file("meetings.ndjson", lines.join("\n"));
        machine.ok(&["send", &stream, "--url", &server.url, "--key", KEY]);
        let reached =
            machine.until(&["calendar", "list", "--json"], |list| in_step(list) > 0 && google.call_count() > 0);
        server.process.signal("KILL");
        assert_eq!(server.process.ends_within(Duration::from_mins(1)), -9, "round {round}: {reached}");
        google.clear_calls();
        server = serve();
    }
    machine.until(&["calendar", "list", "--json"], |list| in_step(list) == MEETINGS as u64);

    // A canceled meeting goes, whichever of the servers wrote it.
    let canceled = machine.file("canceled.json", event("e-c", "canceled", "m-7", 6).to_string());
    machine.ok(&["send", &canceled, "--url", &server.url, "--key", KEY]);
    // While the deletion waits its row is not in step either: both figures tell that it is done.
    machine.until(&["calendar", "list", "--json"], |list| {
        in_step(list) == MEETINGS as u64 - 1 && list[0]["waiting"] == 0 && list[0]["failing"] == 0
    });
    let mut meetings: Vec<String> = google
        .events(TEAM)
        .into_iter()
        .filter(|event| !event.is_deleted())
        .map(|event| event.private_properties["meetingMirrorMeeting"].clone())
        .collect();
    meetings.sort();
    let mut wanted: Vec<String> = (0..MEETINGS).filter(|n| *n != 7).map(|n| format!("m-{n}")).collect();
    wanted.sort();
    assert_eq!(meetings, wanted);
    assert!(google.mails().is_empty());
    server.stop();
}
