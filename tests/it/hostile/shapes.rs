//! Requests of the wrong shape: too many headers, paths that try to get elsewhere, lengths that contradict each other, noise.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{Peer, assert_delivers, delivery, patient, status};
use crate::support::{TestApp, WEBHOOK};

/// What is answered to a request after which the server closes.
async fn answered(app: &TestApp, request: impl AsRef<[u8]>) -> Vec<u8> {
    Peer::sending(app.address, request).await.until_end().await
}

#[tokio::test]
async fn too_many_and_too_long_headers_are_answered_with_431_or_414() {
    let app = TestApp::start_within(patient()).await;
    let many = "x-a: 1\r\n".repeat(101);
    let long = format!("x-a: {}\r\n", "a".repeat(20_000));
    // Never ends by itself: as much as the kernel takes.
    let flood = "x-a: 1\r\n".repeat(200_000);
    for headers in [many, long, flood] {
        let answer = Peer::sending(app.address, format!("GET /livez HTTP/1.1\r\n{headers}\r\n")).await.answer().await;
        assert_eq!(status(answer.as_bytes()), 431, "{answer}");
    }
    let path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000));
    let answer = Peer::sending(app.address, path).await.answer().await;
    assert!(matches!(status(answer.as_bytes()), 414 | 431), "{answer}");
    // What a browser or a proxy may well send.
    let fine = format!("GET /livez HTTP/1.1\r\n{}x-b: {}\r\n\r\n", "x-a: 1\r\n".repeat(90), "b".repeat(8_000));
    assert_eq!(status(Peer::sending(app.address, fine).await.answer().await.as_bytes()), 200);
    assert_delivers(&app, "e-1").await;
}

/// Ways to name a page that is for admins, a file, or nothing.
const PATHS: [&str; 34] = [
    "//status",
    "///",
    "/./status",
    "/../status",
    "/status/..",
    "/login/../status",
    "/feeds/../status",
    "/feeds/..%2fstatus",
    "/%2e%2e/status",
    "/%2E%2e%2fstatus",
    "/status%00",
    "/status%00.ics",
    "/feeds/%00.ics",
    "/feeds/.ics",
    "/feeds/....ics",
    "/feeds/..%5c..%5csecret.key.ics",
    "/%2e%2e/%2e%2e/data/secret.key",
    "/assets/../../data/secret.key",
    "/subscribe/%2e%2e%2f%2e%2e%2fstatus",
    "/subscribe/..",
    "/subscribe/%ff%fe",
    "/status;x=1",
    "/status/",
    "/STATUS",
    "/st%61tus",
    "/meetings/%2e%2e",
    "/meetings/%00",
    "/meetings/%ff",
    "/inbox/9223372036854775808",
    "/inbox/-1",
    "/inbox/%31",
    "/webhooks/cirrus-insight/",
    "//webhooks/cirrus-insight",
    "/webhooks%2fcirrus-insight",
];

#[tokio::test]
async fn no_way_to_write_a_path_leads_past_the_session_or_to_a_file() {
    let app = TestApp::start_within(patient()).await;
    let long = format!("/meetings/{}", "%00".repeat(3_000));
    let targets = PATHS.map(str::to_owned).into_iter().chain([long]).flat_map(|path| {
        let absolute = ["http://x", "http://evil.example.com", "https://user:pw@evil.example.com:1"];
        absolute.map(|host| format!("{host}{path}")).into_iter().chain([path.clone(), format!("{path}?x=/../status")])
    });
    for target in targets {
        for method in ["GET", "POST", "HEAD", "PUT", "PROPFIND"] {
            let request = format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let answer = answered(&app, request).await;
            let text = String::from_utf8_lossy(&answer);
            let to_login = text.contains("\r\nlocation: /login");
            let expected = match status(&answer) {
                303 => to_login,
                200 => target.contains("/subscribe/") || target.contains("/feeds/"),
                400 | 401 | 403 | 404 | 405 | 410 | 414 => true,
                _ => false,
            };
            assert!(expected && !text.contains("SQLite"), "{method} {target}: {text}");
        }
    }
}

#[tokio::test]
async fn targets_of_other_forms_and_odd_hosts_are_no_way_in() {
    let app = TestApp::start_within(patient()).await;
    for line in ["CONNECT evil.example.com:443", "CONNECT /status", "OPTIONS *", "GET *", "GET status", "GET ?x", "GET"]
    {
        let answer = answered(&app, format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        assert!(matches!(status(&answer), 400 | 404 | 405), "{line}: {}", String::from_utf8_lossy(&answer));
    }
    for host in ["evil.example.com", "\"><x-broke>", "", "x:99999", "[::1", "x\r\nhost: y", "x/../y", "x y"] {
        for path in ["/login", "/status", "/livez", "/nowhere"] {
            let answer =
                answered(&app, format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await;
            let text = String::from_utf8_lossy(&answer);
            assert!(matches!(status(&answer), 200 | 303 | 400 | 404), "{host}: {text}");
            assert!(!text.contains("evil.example.com") && !text.contains("x-broke"), "{host}: {text}");
        }
    }
}

#[tokio::test]
async fn lengths_that_contradict_each_other_smuggle_nothing_in() {
    let app = TestApp::start_within(patient()).await;
    let smuggled = delivery("e-smuggled", "");
    let ambiguous = [
        "content-length: 5\r\ncontent-length: 6\r\n\r\n12345",
        "content-length: 5, 6\r\n\r\n12345",
        "content-length: +5\r\n\r\n12345",
        "content-length: 0x5\r\n\r\n12345",
        "content-length: -1\r\n\r\n",
        "content-length: 99999999999999999999\r\n\r\n",
        "content-length : 5\r\n\r\n12345",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
        "x\r\n folded: 1\r\ncontent-length: 0\r\n\r\n",
        "x: \0\r\ncontent-length: 0\r\n\r\n",
        " content-length: 5\r\n\r\n12345",
    ];
    for rest in ambiguous {
        let answer = answered(&app, format!("POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\n{rest}{smuggled}")).await;
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(status(&answer), 400, "{rest:?}: {text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{rest:?}: {text}");
    }
    let old = format!("POST {WEBHOOK} HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}");
    assert_eq!(status(&answered(&app, old).await), 400);
    assert!(app.store.delivery("e-smuggled").await.unwrap().is_none());
    // Of both, the encoding counts (RFC 9112 section 6.1): what the length would hide is no part of the body.
    for both in ["content-length: 4\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 4"] {
        let request = format!("POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{both}\r\n\r\n0\r\n\r\n");
        assert_eq!(status(&answered(&app, request).await), 401, "{both}");
    }
}

#[tokio::test]
async fn noise_is_answered_or_ended_and_hurts_nobody() {
    let app = TestApp::start_within(patient()).await;
    let mut random = StdRng::seed_from_u64(7);
    let known: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\0",
        b"\r\n\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ];
    let good = delivery("e-0", "");
    let mut noises: Vec<Vec<u8>> = known.map(<[u8]>::to_vec).into();
    for _ in 0..200 {
        let length = random.random_range(1..2_000);
        noises.push((0..length).map(|_| random.random()).collect());
        let mut broken = good.clone().into_bytes();
        let head = good.find("\r\n\r\n").unwrap();
        broken[random.random_range(0..head)] = random.random();
        noises.push(broken);
    }
    for noise in noises {
        // Who has sent half of something must not leave the test waiting.
        let answer = Peer::sending(app.address, &noise).await.until_end_after_closing().await;
        let fine =
            answer.is_empty() || matches!(status(&answer), 200 | 400 | 401 | 404 | 405 | 408 | 411 | 413 | 415 | 431);
        assert!(fine, "{noise:?}: {}", String::from_utf8_lossy(&answer));
    }
    assert_delivers(&app, "e-1").await;
}
