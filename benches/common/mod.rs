//! What the benchmarks of the built server share.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use meeting_mirror::meeting::event::{
    Answer, Details, EventId, EventKey, Invitee, Kind, MeetingEvent, MeetingId, OrganizationId, Owner,
};

/// Of the admin pages.
pub(crate) const PASSWORD: &str = "bench-bench-bench";
/// Deliveries are signed with it.
pub(crate) const KEY: &str = "bench";

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the time that passes")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A meeting of an owner that begins so many minutes from `at`, with answers as people give them.
pub(crate) fn meeting(number: u32, owner: &str, minutes: i64, at: DateTime<Utc>) -> MeetingEvent {
    let text = |text: &str| Some(text.to_owned());
    let starts_at = at + TimeDelta::minutes(minutes);
    MeetingEvent {
        key: EventKey { happened_at: at, kind: Kind::Scheduled, event_id: EventId::new(format!("e-{number}")) },
        meeting_id: MeetingId::new(format!("0b6f2c1e-5a0d-4d7e-9a55-{number:012}")),
        details: Details {
            organization_id: OrganizationId::new("org-1"),
            email_meeting_id: Some(format!("mail-{number}")),
            zoom_meeting_id: text("812 3456 7890"),
            starts_at,
            ends_at: starts_at + TimeDelta::minutes(30),
            owner: Owner {
                user_id: text("u-1"),
                username: text(owner),
                first_name: text("Ada"),
                last_name: text("Example"),
            },
            title: Some(format!("Product demo {number}")),
            location: text("https://zoom.example.com/j/81234567890"),
            invitee: Invitee {
                name: Some(format!("Bo Guest{number}")),
                email: Some(format!("bo-{number}@example.org")),
            },
            further_invitees: vec!["cy@example.org".into()],
            booking_url: text("https://book.example.com/northwind/product-demo"),
            organization_path: text("northwind"),
            calendar_path: text("product-demo"),
            answers: vec![Answer {
                question: "What do you want to see?".into(),
                answer: "Reports; the mobile app".into(),
            }],
        },
        existing_email_meeting_id: None,
    }
}

/// A process that ends with the benchmark.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Not at once: some have to end their workers.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// The built server on that data directory, once it answers, with its address. What it says goes into a file: reading along would
/// take time from it.
pub(crate) fn serve(data: &Path, more: &[&str]) -> (Running, SocketAddr) {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_meeting-mirror"))
        .args(["serve", "--listen", &address.to_string(), "--signing-keys", KEY, "--admin-password", PASSWORD])
        .arg("--data-dir")
        .arg(data)
        .args(more)
        .stdout(Stdio::null())
        .stderr(File::create(data.join("bench.log")).unwrap())
        .spawn()
        .unwrap();
    let mut connection = loop {
        match TcpStream::connect(address) {
            Ok(connection) => break connection,
            Err(_) => assert!(process.try_wait().unwrap().is_none(), "the server did not start"),
        }
    };
    // It listens before all is ready, and answers then.
    connection.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "the server is not well: {answer}");
    (Running(process), address)
}
