//! How fast feeds are served and made, by the built server. Run: `cargo bench --bench feeds`.
//!
//! Requests a second beside nginx serving the same bytes as a file, over as many connections, in turn in the same rounds; how long it
//! takes to make a feed of 1,000 meetings, and how that grows with what is in the table; and how much memory many feeds take. Parts
//! can be named: served, made, memory. Needs nginx on the path for the comparison (Debian: `nginx-light`).

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod common;
#[path = "common/connection.rs"]
mod connection;
#[path = "common/feed.rs"]
mod feed;
#[path = "common/figures.rs"]
mod figures;

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, Utc};
use meeting_mirror::clock::{Clock as _, Randomness, SystemClock};
use meeting_mirror::meeting::apply::receive;
use meeting_mirror::meeting::event::MeetingEvent;
use meeting_mirror::meeting::selection::Selection;
use meeting_mirror::store::Store;
use meeting_mirror::views::feed::render;
use meeting_mirror::web::links::Links;
use meeting_mirror::web::secret_key::SecretKey;
use url::Url;

use common::{Running, meeting, now, serve};
use connection::{Connection, header, request};
use feed::add_feed;
use figures::{asked_for, resident, spread};

/// Of the generator; each sends a request when it has read the answer to the one before.
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 5;
/// For each server in each round.
const FOR: Duration = Duration::from_secs(2);

async fn fill(store: &Store, meetings: impl Iterator<Item = MeetingEvent>, at: DateTime<Utc>) {
    let mut meetings = meetings.peekable();
    while meetings.peek().is_some() {
        let mut tx = store.write().await.unwrap();
        for event in meetings.by_ref().take(5000) {
            tx.save_meeting(&receive(None, &event, at).0).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
}

/// nginx that serves the bytes at `/feed.ics`; none when it is not installed.
fn nginx(dir: &Path, bytes: &[u8]) -> Option<(Running, SocketAddr)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fs::write(dir.join("feed.ics"), bytes).unwrap();
    let path = dir.display();
    let config = format!(
        "daemon off; pid {path}/pid; error_log {path}/error.log; worker_processes auto;
         events {{ worker_connections 1024; }}
         http {{
             access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; open_file_cache max=10;
             types {{ text/calendar ics; }}
             client_body_temp_path {path}/a; proxy_temp_path {path}/b; fastcgi_temp_path {path}/c;
             uwsgi_temp_path {path}/d; scgi_temp_path {path}/e;
             server {{ listen 127.0.0.1:{port}; root {path}; }}
         }}"
    );
    fs::write(dir.join("nginx.conf"), config).unwrap();
    let program =
        ["nginx", "/usr/sbin/nginx"].into_iter().find(|name| Command::new(name).arg("-v").output().is_ok())?;
    let process = Command::new(program)
        .arg("-c")
        .arg(dir.join("nginx.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    while std::net::TcpStream::connect(address).is_err() {}
    Some((Running(process), address))
}

/// Requests a second over [`CONNECTIONS`] connections.
async fn load(address: SocketAddr, path: &str, expected: u16) -> f64 {
    let (status, head, _) = Connection::to(address).await.ask(&request(path, None)).await;
    assert_eq!(status, 200);
    let tag = header(&head, "etag").unwrap().to_owned();
    let asked = request(path, (expected == 304).then_some(tag.as_str()));
    let begun = now();
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let asked = asked.clone();
            tokio::spawn(async move {
                let mut connection = Connection::to(address).await;
                let mut answers = 0_u32;
                while begun.elapsed() < FOR {
                    assert_eq!(connection.ask(&asked).await.0, expected);
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    let mut answers = 0;
    for task in tasks {
        answers += task.await.unwrap();
    }
    f64::from(answers) / begun.elapsed().as_secs_f64()
}

async fn served_beside_nginx(dir: &Path, meetings: u32) {
    let at = SystemClock::default().now();
    let data = dir.join(format!("served-{meetings}"));
    fs::create_dir(&data).unwrap();
    let store = Store::open(&data).await.unwrap();
    let secret = SecretKey::load(&data, true, &Randomness::from_system().unwrap()).unwrap();
    fill(&store, (0..meetings).map(|n| meeting(n, "ada@example.com", i64::from(n) * 60, at)), at).await;
    let feed = add_feed(&store, "Bench", Selection::default(), at).await;
    let token = Links::new(&Url::parse("http://localhost").unwrap(), &secret).token(&feed);
    store.close().await;
    let (server, address) = serve(&data, &[]);
    let path = format!("/feeds/{token}.ics");
    let (_, _, length) = Connection::to(address).await.ask(&request(&path, None)).await;
    let bytes = vec![b'x'; length];
    let files = dir.join(format!("files-{meetings}"));
    fs::create_dir(&files).unwrap();
    let nginx = nginx(&files, &bytes);
    println!(
        "\n{meetings} meetings, {length} bytes; requests a second\n{:>8} {:>16} {:>10} {:>8}",
        "answer", "meeting-mirror", "nginx", "ratio"
    );
    for expected in [200, 304] {
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let a = load(address, &path, expected).await;
            ours.push(a);
            if let Some((_, address)) = &nginx {
                let b = load(*address, "/feed.ics", expected).await;
                theirs.push(b);
                ratios.push(a / b);
            }
        }
        if ratios.is_empty() {
            println!("{expected:>8} {:>16} (nginx is not installed)", spread(&ours, 0));
        } else {
            println!("{expected:>8} {} | {} | {}", spread(&ours, 0), spread(&theirs, 0), spread(&ratios, 2));
        }
    }
    drop(server);
}

/// Making a feed of 1,000 meetings, with more and more others in the table: first outside its days, then inside.
async fn made(dir: &Path) {
    let at = SystemClock::default().now();
    println!("\nmaking a feed of 1,000 meetings, ms");
    println!("{:>10} {:>10} {:>20} {:>20}", "in table", "in window", "of everybody", "of one owner");
    let data = dir.join("made");
    fs::create_dir(&data).unwrap();
    let store = Store::open(&data).await.unwrap();
    let all = add_feed(&store, "All", Selection::default(), at).await;
    let ada = Selection { owners: vec!["ada@example.com".into()], ..Selection::default() };
    let own = add_feed(&store, "Own", ada, at).await;
    // One every hour.
    fill(&store, (0..1000).map(|n| meeting(n, "ada@example.com", i64::from(n) * 60, at)), at).await;
    let (mut stored, mut inside) = (1000, 1000);
    for (outside, within) in [(0, 0), (9_000, 0), (90_000, 0), (0, 9_000), (0, 90_000)] {
        // Half of the others are of the same owner; one in ten is still to come.
        let owner = |n: u32| {
            if n.is_multiple_of(2) { "ada@example.com".into() } else { format!("owner-{}@example.com", n % 500) }
        };
        let far = |n: u32| if n.is_multiple_of(10) { 600_000 + i64::from(n) } else { -60_000 - i64::from(n) * 20 };
        fill(&store, (stored..stored + outside).map(|n| meeting(n, &owner(n), far(n), at)), at).await;
        // Behind the first thousand, so that those stay the nearest.
        let near = |n: u32| 60_000 + i64::from(n % 90_000) * 5;
        let others = stored + outside..stored + outside + within;
        fill(&store, others.map(|n| meeting(n, &owner(n), near(n), at)), at).await;
        stored += outside + within;
        inside += within;
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..20 {
            for (feed, figures) in [&all, &own].into_iter().zip(&mut figures) {
                let begun = now();
                let made = render(&store, "bench", feed, at).await.unwrap();
                figures.push(begun.elapsed().as_secs_f64() * 1000.0);
                assert_eq!(String::from_utf8_lossy(&made.body).matches("BEGIN:VEVENT").count(), 1000);
                assert!(made.left_out.meetings <= inside - 1000);
            }
        }
        println!("{stored:>10} {inside:>10} {:>20} {:>20}", spread(&figures[0], 1), spread(&figures[1], 1));
    }
}

/// Resident memory with 500 feeds of 500 meetings each, all of them ready.
async fn memory(dir: &Path) {
    const FEEDS: u32 = 500;
    const MEETINGS: u32 = 500;
    let at = SystemClock::default().now();
    let data = dir.join("memory");
    fs::create_dir(&data).unwrap();
    let store = Store::open(&data).await.unwrap();
    let secret = SecretKey::load(&data, true, &Randomness::from_system().unwrap()).unwrap();
    let links = Links::new(&Url::parse("http://localhost").unwrap(), &secret);
    let meetings = (0..FEEDS * MEETINGS)
        .map(|n| meeting(n, &format!("owner-{}@example.com", n % FEEDS), i64::from(n / FEEDS) * 60, at));
    fill(&store, meetings, at).await;
    let mut tokens = Vec::new();
    for owner in 0..FEEDS {
        let selection = Selection { owners: vec![format!("owner-{owner}@example.com")], ..Selection::default() };
        let feed = add_feed(&store, &format!("Feed {owner}"), selection, at).await;
        tokens.push(links.token(&feed));
    }
    store.close().await;
    let (server, address) = serve(&data, &[]);
    let before = resident(server.0.id());
    let mut connection = Connection::to(address).await;
    let (mut octets, begun) = (0, now());
    for token in &tokens {
        let (status, _, length) = connection.ask(&request(&format!("/feeds/{token}.ics"), None)).await;
        assert_eq!(status, 200);
        octets += length;
    }
    println!(
        "\n{FEEDS} feeds of {MEETINGS} meetings ({:.0} MB of text), each fetched once, in {:.1} s\nresident memory: {before:.0} MB before, {:.0} MB after",
        f64::from(u32::try_from(octets / 1000).unwrap()) / 1000.0,
        begun.elapsed().as_secs_f64(),
        resident(server.0.id())
    );
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    // nginx's workers may be another user.
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    println!("{CONNECTIONS} connections, {ROUNDS} rounds of {} s each; median (least–most)", FOR.as_secs());
    runtime.block_on(async {
        for meetings in [50, 500] {
            if asked_for("served") {
                served_beside_nginx(dir.path(), meetings).await;
            }
        }
        if asked_for("made") {
            made(dir.path()).await;
        }
        if asked_for("memory") {
            memory(dir.path()).await;
        }
    });
}
