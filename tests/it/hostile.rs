//! Peers that mean harm, over real connections: whatever they do, they get an answer or an end within the limits, and everybody
//! else is served meanwhile. Must not sleep: every wait is for bytes or an end, and has a bound.

mod bodies;
mod connections;
mod crowd;
mod shapes;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use meeting_mirror::inbound::signature::sign;
use meeting_mirror::web::server::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{KEY, TestApp, WEBHOOK, event};

/// Nothing here takes longer, even on a busy machine.
const BOUND: Duration = Duration::from_mins(1);
/// A limit that a test waits for.
const SHORT: Duration = Duration::from_secs(1);
/// A limit that a test must not reach.
const LONG: Duration = Duration::from_hours(1);

/// No limit that a test would reach.
fn patient() -> Limits {
    Limits { head: LONG, idle: LONG, body: LONG, write: LONG, end: LONG, ..Limits::default() }
}

#[track_caller]
fn within<T>(doing: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move { tokio::time::timeout(BOUND, doing).await.unwrap_or_else(|_| panic!("nothing came: {place}")) }
}

/// A connection on which every byte is decided by the test.
struct Peer(TcpStream);

impl Peer {
    #[track_caller]
    fn connect(address: SocketAddr) -> impl Future<Output = Self> {
        let connecting = within(TcpStream::connect(address));
        async { Self(connecting.await.unwrap()) }
    }

    /// Connects and sends.
    async fn sending(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut peer = Self::connect(address).await;
        peer.send(bytes).await;
        peer
    }

    /// Whoever is not listened to any more is told nothing.
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within(self.0.write_all(bytes.as_ref())).await;
    }

    /// One answer with the body that its length tells.
    async fn answer(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = within(self.0.read_u8()).await;
            head.push(byte.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&head))));
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let mut body = vec![0; length.map_or(0, |text| text.parse().unwrap())];
        within(self.0.read_exact(&mut body)).await.unwrap();
        head + &String::from_utf8_lossy(&body)
    }

    /// Sends no more, and takes everything up to the end.
    async fn until_end_after_closing(&mut self) -> Vec<u8> {
        let _ = within(self.0.shutdown()).await;
        self.until_end().await
    }

    /// Everything up to the end, in whatever way the server ends it.
    async fn until_end(&mut self) -> Vec<u8> {
        let (mut all, mut part) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            match within(self.0.read(&mut part)).await {
                Ok(0) | Err(_) => return all,
                Ok(count) => all.extend_from_slice(&part[..count]),
            }
        }
    }
}

/// The number of an answer's status.
fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    let word = text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "));
    word.and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or_else(|| panic!("no answer: {text:?}"))
}

/// A good delivery as bytes, with these further header lines.
fn delivery(event_id: &str, more: &str) -> String {
    let body = event(event_id, "scheduled", &format!("m-{event_id}"), 0, 9).to_string();
    let (signature, length) = (sign(KEY, body.as_bytes()), body.len());
    format!(
        "POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\nx-signature: {signature}\r\ncontent-length: {length}\r\n{more}\r\n{body}"
    )
}

/// A new connection, a delivery, and that it is taken.
async fn assert_delivers(app: &TestApp, event_id: &str) {
    let mut peer = Peer::sending(app.address, delivery(event_id, "")).await;
    let answer = peer.answer().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("accepted"), "{answer}");
}

/// The head of a delivery whose body will be so long.
fn head_of(length: usize) -> String {
    format!("POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")
}
