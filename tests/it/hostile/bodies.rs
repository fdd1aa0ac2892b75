//! Bodies as they should not be, and as they may be: each gets its answer, and what is too much is not read.

use meeting_mirror::inbound::signature::sign;
use meeting_mirror::web::server::Limits;
use serde_json::Value;

use super::{Peer, assert_delivers, delivery, head_of, patient, status};
use crate::support::{KEY, TestApp, WEBHOOK, event};

const MEBIBYTE: usize = 1024 * 1024;

/// Status and code of the one answer that came before the end.
async fn problem(peer: &mut Peer) -> (u16, String) {
    let answer = peer.answer().await;
    assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let problem: Value = serde_json::from_str(body).unwrap();
    (status(head.as_bytes()), problem["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_answered_before_it_comes() {
    let app = TestApp::start_within(patient()).await;
    for length in ["1048577", "99999999999", "9223372036854775807"] {
        let request = format!("POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
        let mut peer = Peer::sending(app.address, request).await;
        assert_eq!(problem(&mut peer).await, (413, "too_large".to_owned()), "{length}");
    }
    // Who sends it all the same gets to read the answer.
    let mut peer = Peer::sending(app.address, head_of(3 * MEBIBYTE)).await;
    peer.send(vec![b'x'; 3 * MEBIBYTE]).await;
    assert_eq!(problem(&mut peer).await.0, 413);
    assert_delivers(&app, "e-1").await;
}

#[tokio::test]
async fn a_body_without_a_length_is_read_up_to_the_limit_only() {
    let app = TestApp::start_within(patient()).await;
    let head = format!("POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut peer = Peer::sending(app.address, head).await;
    // Far more than is taken; its end never comes.
    for _ in 0..3 {
        peer.send(format!("{MEBIBYTE:x}\r\n{}\r\n", "x".repeat(MEBIBYTE))).await;
    }
    assert_eq!(problem(&mut peer).await, (413, "too_large".to_owned()));
    assert_delivers(&app, "e-1").await;
}

#[tokio::test]
async fn an_encoded_body_is_refused_unread_with_what_is_taken() {
    let app = TestApp::start_within(patient()).await;
    for coding in ["gzip", "br", "deflate, gzip", "zstd", ""] {
        let mut peer = Peer::sending(app.address, delivery("e-1", &format!("content-encoding: {coding}\r\n"))).await;
        let answer = peer.answer().await;
        assert_eq!(status(answer.as_bytes()), 415, "{coding}: {answer}");
        assert!(answer.contains("\r\naccept-encoding: identity\r\n") && answer.contains("\"encoded\""), "{answer}");
    }
    assert!(app.store.delivery("e-1").await.unwrap().is_none());
    let mut peer = Peer::sending(app.address, delivery("e-1", "content-encoding: Identity\r\n")).await;
    assert_eq!(status(peer.answer().await.as_bytes()), 200);
}

#[tokio::test]
async fn a_sender_may_use_every_form_that_http_has() {
    let app = TestApp::start_within(Limits::default()).await;
    let body = event("e-chunked", "scheduled", "m-1", 0, 9).to_string();
    let signature = sign(KEY, body.as_bytes());
    let (first, second) = body.split_at(10);
    let chunked = format!(
        "POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\nx-signature: {signature}\r\ntransfer-encoding: chunked\r\n\r\n\
         a;x=y\r\n{first}\r\n{:X}\r\n{second}\r\n0\r\nx-trailer: 1\r\n\r\n",
        second.len()
    );
    let old = delivery("e-old", "").replace("HTTP/1.1", "HTTP/1.0");
    let closing = delivery("e-closing", "connection: close\r\n");
    for request in [chunked, old, closing] {
        let answer = Peer::sending(app.address, &request).await.answer().await;
        assert!(status(answer.as_bytes()) == 200 && answer.contains("accepted"), "{request}\n{answer}");
    }
    // One after the other without waiting, in pieces that end anywhere.
    let requests = format!(
        "{}GET /livez HTTP/1.1\r\nhost: x\r\n\r\nHEAD /livez HTTP/1.1\r\nhost: x\r\n\r\n{}",
        delivery("e-3", ""),
        delivery("e-4", "connection: close\r\n")
    );
    let mut peer = Peer::connect(app.address).await;
    for piece in requests.as_bytes().chunks(97) {
        peer.send(piece).await;
    }
    let answers = String::from_utf8(peer.until_end().await).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 4, "{answers}");
    assert!(answers.contains("\"e-3\"") && answers.ends_with("\"e-4\"}"), "{answers}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_stored() {
    let app = TestApp::start_within(patient()).await;
    let whole = delivery("e-1", "");
    let mut peer = Peer::sending(app.address, &whole[..whole.len() - 1]).await;
    drop(peer.until_end_after_closing().await);
    assert_delivers(&app, "e-2").await;
    assert!(app.store.delivery("e-1").await.unwrap().is_none());
    for broken in ["zz\r\nx", "5\r\nabc\r\n0\r\n\r\n", "fffffffffffffffff\r\nx", "-1\r\nx", "5 5\r\nabcde\r\n0\r\n\r\n"]
    {
        let head = format!("POST {WEBHOOK} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{broken}");
        let answer = Peer::sending(app.address, head).await.until_end_after_closing().await;
        assert!(answer.is_empty() || status(&answer) == 400, "{broken:?}: {}", String::from_utf8_lossy(&answer));
    }
}
