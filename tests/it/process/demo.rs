//! `demo`: everything it prints can be opened, and nothing is left of it.
//! Must not test pages themselves; only that the demo leads to them.

use std::collections::BTreeMap;
use std::time::Duration;

use meeting_mirror::views::feed::lint::lint;

use crate::process_support::{Machine, Process, browser, get, sign_in};

/// The promise for any server.
const WITHIN: Duration = Duration::from_secs(10);

/// A demo that has told its story, and what it printed: lines of deliveries, and addresses by their label.
struct Demo {
    process: Process,
    deliveries: Vec<String>,
    addresses: BTreeMap<String, String>,
}

impl Demo {
    fn start(machine: &Machine) -> Self {
        let mut command = machine.command(&["demo"]);
        // What is configured for a real server does not reach the demo.
        command
            .env("MEETING_MIRROR_SIGNING_KEYS_FILE", machine.path("missing"))
            .env("MEETING_MIRROR_ADMIN_PASSWORD", "short")
            .env("MEETING_MIRROR_PUBLIC_URL", "https://mirror.example.com")
            .env("MEETING_MIRROR_GOOGLE_CREDENTIALS", machine.path("missing"))
            .env("MEETING_MIRROR_GOOGLE_SUBJECT", "ada@example.com");
        let mut process = Process::start(&mut command, b"");
        process.out.wait_for("Running until Ctrl-C.");
        let answered = |line: &&String| line.starts_with(|c: char| c.is_ascii_digit()) && line.as_bytes()[3] == b' ';
        let deliveries = process.out.so_far().iter().filter(answered).cloned().collect();
        let addresses = process.out.so_far().iter().filter_map(|line| {
            let (label, address) = line.trim().split_once("  ")?;
            Some((label.to_owned(), address.trim().to_owned()))
        });
        let addresses = addresses.collect();
        Self { process, deliveries, addresses }
    }

    fn address(&self, label: &str) -> &str {
        self.addresses.get(label).unwrap_or_else(|| panic!("no {label:?} in {:#?}", self.addresses))
    }

    fn answers(&self, begin: &str) -> usize {
        self.deliveries.iter().filter(|line| line.starts_with(begin)).count()
    }
}

#[tokio::test]
async fn everything_that_is_printed_can_be_opened_and_nothing_is_left() {
    let machine = Machine::new();
    let mut demo = Demo::start(&machine);
    let day = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/webhooks/a-day.ndjson")).unwrap();
    assert_eq!(demo.deliveries.len(), day.lines().count() + 4, "{:#?}", demo.deliveries);
    assert!(demo.answers("200 accepted ") > 40 && demo.answers("200 duplicate ") > 2);
    assert!(demo.answers("200 quarantined ") >= 3 && demo.answers("401 ") == 1, "{:#?}", demo.deliveries);

    let http = browser();
    let status = demo.address("Status page");
    let base = status.strip_suffix("/status").unwrap();
    assert_eq!(get(&http, status).await.0, 303, "strangers are asked for the password");
    assert_eq!(sign_in(&http, base, demo.address("password")).await, 303);
    for page in ["/status", "/calendars"] {
        let (code, text) = get(&http, &format!("{base}{page}")).await;
        assert!(code == 200 && text.contains("simulated"), "{page}: {code} {text}");
        assert!(text.contains(demo.address("Google, simulated")), "{page} leads to the simulation");
    }

    let feed = demo.address("Feed of the team");
    let (code, text) = get(&http, demo.address("Subscription page")).await;
    assert!(code == 200 && text.contains(feed), "{code} {text}");
    let mut events = Vec::new();
    for link in [feed, demo.address("Feed of one person")] {
        let (code, text) = get(&http, link).await;
        assert_eq!((code, lint(text.as_bytes()).len()), (200, 0), "{text}");
        events.push(text.matches("BEGIN:VEVENT").count());
    }
    assert!(events[0] > events[1] && events[1] > 0, "{events:?}");
    let (code, text) = get(&http, demo.address("Google, simulated")).await;
    assert!(code == 200 && text.contains("This is a simulation") && text.contains("Front desk"), "{code} {text}");
    assert!(text.matches("<li").count() > 30, "the calendars are filled");

    demo.process.signal("INT");
    assert_eq!(demo.process.ends_within(WITHIN), 0);
    assert!(demo.process.out.rest().contains("nothing of it is left on this machine"));
    assert_eq!(machine.files().into_keys().collect::<Vec<_>>(), [""; 0], "something is left");
}

#[test]
fn a_demo_that_is_ended_in_the_middle_of_its_story_leaves_nothing() {
    for signal in ["TERM", "INT"] {
        let machine = Machine::new();
        let mut process = Process::start(&mut machine.command(&["demo"]), b"");
        process.out.wait_for("200 accepted");
        assert_ne!(machine.files().len(), 0);
        process.signal(signal);
        assert_eq!(process.ends_within(WITHIN), 0, "{signal}");
        assert_eq!(machine.files().into_keys().collect::<Vec<_>>(), [""; 0], "something is left");
    }
}

#[test]
fn a_demo_whose_reader_stops_reading_ends_and_leaves_nothing() {
    let machine = Machine::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut process = Process::start(machine.command(&["demo"]).stdout(writer), b"");
    assert_eq!(process.ends_within(Duration::from_mins(1)), 0);
    assert_eq!(machine.files().into_keys().collect::<Vec<_>>(), [""; 0], "something is left");
}
