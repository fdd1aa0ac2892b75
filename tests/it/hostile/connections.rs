//! Connections that are held: each kind ends at its limit, and when there are too many, those that have waited longest end.

use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::web::server::Limits;
use tokio::io::AsyncReadExt as _;

use super::{Peer, SHORT, assert_delivers, delivery, head_of, patient, within};
use crate::support::{TestApp, event, with};

const GET: &str = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";

/// Whether the server has not ended the connection: it answers a request.
async fn assert_answers(peer: &mut Peer) {
    peer.send(GET).await;
    assert!(peer.answer().await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn half_open_connections_and_slow_heads_end_while_deliveries_are_answered() {
    let app = TestApp::start_within(Limits { head: SHORT, ..patient() }).await;
    let mut held = Vec::new();
    for index in 0..200 {
        let begins = ["", "P", "POST /webhooks/cirrus-insight HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nhost: x\r\nx-a"];
        held.push(Peer::sending(app.address, begins[index % begins.len()]).await);
    }
    assert_delivers(&app, "e-1").await;
    for mut peer in held {
        assert_eq!(peer.until_end().await, b"", "a request that never came was answered");
    }
    assert_delivers(&app, "e-2").await;
}

#[tokio::test]
async fn a_connection_that_is_not_used_again_ends_and_so_does_a_slow_second_head() {
    let app = TestApp::start_within(Limits { idle: SHORT, ..Limits::default() }).await;
    let mut idle = Peer::connect(app.address).await;
    assert_answers(&mut idle).await;
    assert_eq!(idle.until_end().await, b"");
    let app = TestApp::start_within(Limits { head: SHORT, ..patient() }).await;
    let mut slow = Peer::connect(app.address).await;
    assert_answers(&mut slow).await;
    slow.send("GET /livez HT").await;
    assert_eq!(slow.until_end().await, b"");
}

#[tokio::test]
async fn a_body_that_does_not_come_ends_on_any_page() {
    let app = TestApp::start_within(Limits { head: SHORT, body: SHORT, ..patient() }).await;
    let form = "POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 99\r\n\r\np";
    for request in [form, &head_of(1000)] {
        assert_eq!(Peer::sending(app.address, request).await.until_end().await, b"", "{request}");
    }
}

#[tokio::test]
async fn who_does_not_read_a_large_feed_is_closed() {
    let limits = Limits { head: SHORT * 4, write: SHORT, ..patient() };
    let app = TestApp::start_within(limits).await;
    let feed = app.add_feed("Large", Selection::default(), Detail::Full).await;
    let long = "A long place. ".repeat(1000);
    let events: Vec<_> = (0..40)
        .map(|index| {
            with(event(&format!("e-{index}"), "scheduled", &format!("m-{index}"), 0, 9), |data| {
                data["meetingInfo"]["location"] = long.clone().into();
            })
        })
        .collect();
    app.deliver_all(&events).await;
    let length = app.feed_text(&feed).await.len();
    let path = format!("/feeds/{}.ics", app.site.links.token(&feed));
    let asked = 200;
    let wanted = asked * length;
    assert!(wanted > 64 * 1024 * 1024, "{wanted} bytes may fit into the kernel's buffers");
    let mut slow = Peer::sending(app.address, format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(asked)).await;
    // Something came, so that the answers are on their way; from here on nothing is read.
    within(slow.0.read_u8()).await.unwrap();
    // This connection's limit is four times as long: when it ends, the other one has ended.
    assert_eq!(Peer::connect(app.address).await.until_end().await, b"");
    let got = slow.until_end().await.len();
    assert!(got < wanted, "all {got} bytes were sent to somebody who did not read");
    assert_eq!(app.feed_text(&feed).await.len(), length);
}

#[tokio::test]
async fn when_all_places_are_taken_who_has_waited_longest_makes_way() {
    let app = TestApp::start_within(Limits { connections: 8, ..patient() }).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut peer = Peer::connect(app.address).await;
        assert_answers(&mut peer).await;
        held.push(peer);
    }
    // The first is used again, so the second has waited longest.
    assert_answers(&mut held[0]).await;
    let mut new = Peer::connect(app.address).await;
    assert_answers(&mut new).await;
    assert_eq!(held.remove(1).until_end().await, b"");
    for peer in held.iter_mut().chain([&mut new]) {
        assert_answers(peer).await;
    }
    // One for each that comes.
    for index in 0..20 {
        assert_delivers(&app, &format!("e-{index}")).await;
    }
}

#[tokio::test]
async fn slow_bodies_and_readers_take_no_place_from_others() {
    let app = TestApp::start_within(Limits { connections: 8, ..patient() }).await;
    let mut held = Vec::new();
    for index in 0..30 {
        let mut slow = Peer::connect(app.address).await;
        slow.send(head_of(1000)).await;
        slow.send("{").await;
        held.push(slow);
        assert_delivers(&app, &format!("e-{index}")).await;
    }
    for mut peer in held.drain(..20) {
        assert_eq!(peer.until_end().await, b"");
    }
}

#[tokio::test]
async fn bodies_that_fill_the_memory_make_way_for_one_that_comes_at_once() {
    let app = TestApp::start_within(Limits { bodies: 1024 * 1024, ..patient() }).await;
    let mut held = Vec::new();
    for index in 0..20 {
        let mut slow = Peer::connect(app.address).await;
        slow.send(head_of(1_000_000)).await;
        slow.send(vec![b'x'; 400_000]).await;
        held.push(slow);
        assert_delivers(&app, &format!("e-{index}")).await;
    }
    // Two of them fit; the others are closed, from the first on.
    for mut peer in held.drain(..16) {
        let answer = peer.until_end().await;
        assert!(answer.is_empty() || super::status(&answer) == 503, "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn a_storm_of_connections_leaves_nothing_behind() {
    let app = TestApp::start_within(Limits { connections: 64, ..patient() }).await;
    for round in 0..20 {
        let storm = (0..100).map(|index| Peer::sending(app.address, if index % 2 == 0 { "" } else { GET }));
        drop(futures_util::future::join_all(storm).await);
        assert_delivers(&app, &format!("e-{round}")).await;
    }
}

#[tokio::test]
async fn at_the_stop_only_what_is_in_hand_is_finished() {
    let app = TestApp::start_within(patient()).await;
    let mut idle = Peer::connect(app.address).await;
    assert_answers(&mut idle).await;
    let mut half_open = Peer::connect(app.address).await;
    let mut half_asked = Peer::sending(app.address, "GET /livez HT").await;
    let whole = delivery("e-1", "expect: 100-continue\r\n");
    let (head, body) = whole.split_at(whole.find("\r\n\r\n").unwrap() + 4);
    let mut in_hand = Peer::sending(app.address, head).await;
    assert_eq!(in_hand.answer().await, "HTTP/1.1 100 Continue\r\n\r\n");
    let stopped = tokio::spawn(app.restart());
    for peer in [&mut idle, &mut half_open, &mut half_asked] {
        assert_eq!(peer.until_end().await, b"");
    }
    in_hand.send(body).await;
    let answer = in_hand.until_end().await;
    assert!(String::from_utf8_lossy(&answer).contains("accepted"), "{}", String::from_utf8_lossy(&answer));
    let app = within(stopped).await.unwrap();
    assert!(app.store.delivery("e-1").await.unwrap().is_some());
}
