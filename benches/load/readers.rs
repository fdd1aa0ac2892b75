//! Deliveries while feeds are read as fast as the server gives them, and what becomes of the readers.

use std::cell::Cell;
use std::net::SocketAddr;

use futures_util::future::{join, join_all};
use meeting_mirror::clock::{Clock as _, Randomness, SystemClock};
use meeting_mirror::meeting::selection::Selection;
use meeting_mirror::store::Store;
use meeting_mirror::web::links::Links;
use meeting_mirror::web::secret_key::SecretKey;
use url::Url;

use super::Plan;
use super::client::{Requests, Seen, send_closed};
use super::common::serve;
use super::connection::{Connection, header, request};
use super::feed::add_feed;
use super::figures::spread;

const SENDERS: usize = 64;
const READERS: usize = 16;

/// Reads a feed over a connection until `done`; each time it tells what it knows, as programs do. Returns how often it was answered.
async fn read(address: SocketAddr, path: &str, done: &Cell<bool>) -> u32 {
    let mut connection = Connection::to(address).await;
    let (mut known, mut answers) = (None, 0);
    while !done.get() {
        let (status, head, _) = connection.ask(&request(path, known.as_deref())).await;
        assert!(matches!(status, 200 | 304), "{head}");
        known = header(&head, "etag").map(str::to_owned);
        answers += 1;
    }
    answers
}

/// Sends, while each of these feeds has readers.
async fn round(plan: &Plan, requests: &Requests, selection: Option<&Selection>) -> (Seen, f64) {
    let data = plan.fresh();
    let store = Store::open(&data).await.unwrap();
    let secret = SecretKey::load(&data, true, &Randomness::from_system().unwrap()).unwrap();
    let links = Links::new(&Url::parse("http://localhost").unwrap(), &secret);
    let mut path = None;
    if let Some(selection) = selection {
        let feed = add_feed(&store, "Read", selection.clone(), SystemClock::default().now()).await;
        path = Some(format!("/feeds/{}.ics", links.token(&feed)));
    }
    store.close().await;
    let (_server, address) = serve(&data, &[]);
    requests.again();
    let done = Cell::new(false);
    let readers = join_all((0..READERS).filter_map(|_| Some(read(address, path.as_deref()?, &done))));
    let senders = async {
        let seen = send_closed(address, requests, SENDERS, plan.lasting).await;
        done.set(true);
        seen
    };
    let (seen, answers) = join(senders, readers).await;
    let reads = f64::from(answers.iter().sum::<u32>()) / seen.seconds;
    (seen, reads)
}

pub(crate) async fn measure(plan: &Plan) {
    let requests = Requests::new(0, plan.most, SystemClock::default().now());
    println!("\n{SENDERS} connections send, {READERS} read");
    println!("| read meanwhile | deliveries a second | p50, ms | p99, ms | reads a second | sender and readers |");
    println!("|---|---|---|---|---|---|");
    let of = |owner: &str| Selection { owners: vec![owner.into()], ..Selection::default() };
    let feeds = [
        ("nothing", None),
        ("a feed that stays as it is", Some(of("nobody@example.com"))),
        ("a feed of one owner of 500", Some(of("owner-7@example.com"))),
        ("a feed of everybody, full", Some(Selection::default())),
    ];
    let mut figures = feeds.each_ref().map(|_| [const { Vec::new() }; 5]);
    for _ in 0..plan.rounds {
        for ((_, selection), figures) in feeds.iter().zip(&mut figures) {
            let (seen, reads) = round(plan, &requests, selection.as_ref()).await;
            let found = [seen.per_second(), seen.within(500), seen.within(990), reads, seen.own_share * 100.0];
            figures.iter_mut().zip(found).for_each(|(figures, found)| figures.push(found));
        }
    }
    for ((name, _), [per_second, p50, p99, reads, own]) in feeds.iter().zip(figures) {
        println!(
            "| {name} | {} | {} | {} | {} | {} % |",
            spread(&per_second, 0),
            spread(&p50, 1),
            spread(&p99, 1),
            spread(&reads, 0),
            spread(&own, 0)
        );
    }
}
