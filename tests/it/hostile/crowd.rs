//! Ten thousand connections that do nothing, on the built program: everybody else is served, and its memory stays small.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use meeting_mirror::web::server::open_files;

use super::status;
use crate::process_support::{Machine, PASSWORD, browser, event, get, sign_in};
use crate::skipped::skip;

const CROWD: usize = 10_000;
/// More than it takes, and far less than what ten thousand buffers for bodies would.
const MOST_MEMORY_KIB: u64 = 400 * 1024;

/// Memory of a process in KiB, and how many files it has open.
fn seen_from_outside(id: u32) -> (u64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let files = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    (line.trim_end_matches("kB").trim().parse().unwrap(), files)
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "figures for whoever asks with --nocapture")]
async fn ten_thousand_idle_connections_lock_nobody_out() {
    // As many files as connections, here and in the server, and some more.
    if open_files::for_connections() < CROWD + 1_000 {
        skip::<()>("CROWD_TESTS", "right to open 12,000 files (ulimit -Hn)");
        return;
    }
    let machine = Machine::new();
    let server = machine.serve(&["--admin-password", PASSWORD]);
    let link = machine.ok(&["feed", "add", "--name", "Sales"]).trim().to_owned();
    let mut held = Vec::new();
    for index in 0..CROWD {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        // Few are closed before the test is through: those whose request does not come.
        match index % 20 {
            0 => {}
            1 => stream.write_all(b"GET /livez HTTP/1.1\r\nhost: ").unwrap(),
            _ => {
                stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
                let mut begin = [0; 12];
                // Whoever has waited longest may have been closed already.
                if stream.read_exact(&mut begin).is_ok() {
                    assert_eq!(status(&begin), 200);
                }
            }
        }
        held.push(stream);
    }
    let (memory, files) = seen_from_outside(server.process.id);
    println!("{CROWD} connections made, {files} files open in the server, {memory} KiB");
    assert!(files >= CROWD * 9 / 10, "{files} of them are still open");
    assert!(memory < MOST_MEMORY_KIB, "{memory} KiB");

    let http = browser();
    for index in 0..20 {
        let body = event(&format!("e-{index}"), "scheduled", &format!("m-{index}"), 5).to_string();
        let (status, answer) = server.post(&reqwest::Client::new(), body).await.unwrap();
        assert_eq!((status, &answer["status"]), (200, &"accepted".into()), "{answer}");
    }
    assert_eq!(sign_in(&http, &server.url, PASSWORD).await, 303);
    for path in ["/status", "/meetings", "/feeds"] {
        assert_eq!(get(&http, &format!("{}{path}", server.url)).await.0, 200, "{path}");
    }
    let (status, feed) = get(&http, &link).await;
    assert!(status == 200 && feed.starts_with("BEGIN:VCALENDAR"), "{link}: {status}");
    drop(held);
    server.stop();
}
