//! Signals: a first one lets finish what is in hand, within 10 seconds; a second one ends at once.
//! Must not test what happens to data; only that the process ends as promised.

use std::time::Duration;

use super::HalfSent;
use crate::process_support::{AT_ONCE, Machine, browser, sign_in};

/// The promise.
const WITHIN: Duration = Duration::from_secs(10);

#[test]
fn either_signal_ends_an_idle_server_in_good_order() {
    for signal in ["TERM", "INT"] {
        let machine = Machine::new();
        let mut server = machine.serve(&[]);
        server.process.signal(signal);
        assert_eq!(server.process.ends_within(AT_ONCE), 0, "{signal}");
        let log = server.process.err.rest();
        assert!(log.contains("stopping: finishing what is in hand") && log.trim_end().ends_with("stopped"), "{log}");
    }
}

#[test]
fn a_request_in_hand_is_finished() {
    let machine = Machine::new();
    let mut server = machine.serve(&[]);
    let request = HalfSent::to(&server);
    server.process.signal("TERM");
    server.process.err.wait_for("stopping");
    let answer = request.finish();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("accepted"), "{answer}");
    assert_eq!(server.process.ends_within(AT_ONCE), 0);
    assert_eq!(machine.json(&["inbox", "show", "e-slow", "--json"])["eventId"], "e-slow");
}

#[test]
fn a_request_that_never_ends_does_not_hold_the_server_longer_than_promised() {
    // At the same time, so that each is waited for from its signal on.
    let stopping = ["TERM", "INT"].map(|signal| {
        std::thread::spawn(move || {
            let machine = Machine::new();
            let mut server = machine.serve(&[]);
            let _request = HalfSent::to(&server);
            server.process.signal(signal);
            assert_eq!(server.process.ends_within(WITHIN), 0, "{signal}");
            assert!(server.process.err.rest().contains("some work did not finish in time"));
        })
    });
    for stopped in stopping {
        stopped.join().unwrap();
    }
}

#[tokio::test]
async fn a_page_that_is_told_of_changes_does_not_hold_the_server() {
    let machine = Machine::new();
    let mut server = machine.serve(&["--admin-password", "open-sesame-42"]);
    let (http, base) = (browser(), format!("http://{}", server.address()));
    sign_in(&http, &base, "open-sesame-42").await;
    let told = http.get(format!("{base}/live")).send().await.unwrap();
    assert_eq!(told.headers()["content-type"], "text/event-stream");
    server.process.signal("TERM");
    assert!(told.text().await.is_ok(), "it ends in good order");
    assert_eq!(server.process.ends_within(AT_ONCE), 0);
}

#[test]
fn a_second_signal_ends_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("INT", "TERM")] {
        let machine = Machine::new();
        let mut server = machine.serve(&[]);
        let _request = HalfSent::to(&server);
        server.process.signal(first);
        server.process.err.wait_for("stopping");
        server.process.signal(second);
        assert_eq!(server.process.ends_within(AT_ONCE), 130, "{first}, {second}");
    }
}
