//! Durable deliveries a second, beside the same route that stores nothing and beside SQLite alone; then the answers' times when half
//! as many come as the server can take.

use std::net::SocketAddr;

use meeting_mirror::clock::{Clock as _, SystemClock};

use super::Plan;
use super::backlog::waiting;
use super::beside::{plain_inserts, verify_only};
use super::client::{Requests, Seen, send_closed, send_open};
use super::common::{Running, serve};
use super::figures::{median, spread};
use super::machine::processor_time;

/// Figures of one server, by round.
#[derive(Default)]
struct Figures {
    per_second: Vec<f64>,
    half: Vec<f64>,
    nearly_all: Vec<f64>,
    /// Shares of one core.
    sender: Vec<f64>,
    server: Vec<f64>,
}

impl Figures {
    fn note(&mut self, seen: &Seen, server: f64) {
        self.per_second.push(seen.per_second());
        self.half.push(seen.within(500));
        self.nearly_all.push(seen.within(990));
        self.sender.push(seen.own_share * 100.0);
        self.server.push(server * 100.0);
    }

    fn print(&self, name: &str, ratio: &str) {
        println!(
            "| {name} | {} | {ratio} | {} | {} | {:.0} % | {:.0} % |",
            spread(&self.per_second, 0),
            spread(&self.half, 1),
            spread(&self.nearly_all, 1),
            median(self.sender.clone()),
            median(self.server.clone())
        );
    }
}

/// Has a server get deliveries over so many connections, and notes what was seen.
async fn closed(
    plan: &Plan,
    (process, address): &(Running, SocketAddr),
    requests: &Requests,
    connections: usize,
    figures: &mut Figures,
) {
    let id = process.0.id().to_string();
    let before = processor_time(&id);
    let seen = send_closed(*address, requests, connections, plan.lasting).await;
    figures.note(&seen, (processor_time(&id) - before) / seen.seconds);
}

pub(crate) async fn measure(plan: &Plan) {
    let at = SystemClock::default().now();
    let requests = Requests::new(0, plan.most, at);
    let verifying = verify_only();
    println!("\n| deliveries, connections | a second | ratio | p50, ms | p99, ms | sender | server |");
    println!("|---|---|---|---|---|---|---|");
    let mut most = 0.0;
    let mut inserted = Vec::new();
    for connections in [1, 16, 256] {
        let (mut stored, mut verified, mut ratios, mut behind) =
            (Figures::default(), Figures::default(), Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            let data = plan.fresh();
            let server = serve(&data, &[]);
            requests.again();
            closed(plan, &server, &requests, connections, &mut stored).await;
            behind.push(f64::from(u32::try_from(waiting(&data).await).unwrap()));
            drop(server);
            requests.again();
            closed(plan, &verifying, &requests, connections, &mut verified).await;
            ratios.push(stored.per_second.last().unwrap() / verified.per_second.last().unwrap());
            if connections == 256 {
                inserted.push(plain_inserts(&plan.fresh(), plan.lasting).await);
            }
        }
        stored.print(&format!("stored, {connections}"), &spread(&ratios, 2));
        verified.print(&format!("only verified, {connections}"), "1");
        println!("(of those stored, {} were not yet applied at the end)", spread(&behind, 0));
        most = median(stored.per_second);
    }
    println!("SQLite alone inserts {} rows a second", spread(&inserted, 0));

    println!("\n| deliveries at half load | a second | p50, ms | p99, ms | p99.9, ms |\n|---|---|---|---|---|");
    let mut figures = [const { Vec::new() }; 4];
    for _ in 0..plan.rounds {
        let (_server, address) = serve(&plan.fresh(), &[]);
        requests.again();
        let seen = send_open(address, &requests, most / 2.0, plan.lasting).await;
        let found = [seen.per_second(), seen.within(500), seen.within(990), seen.within(999)];
        figures.iter_mut().zip(found).for_each(|(figures, found)| figures.push(found));
    }
    let [per_second, p50, p99, p999] = figures;
    println!(
        "| stored | {} | {} | {} | {} |",
        spread(&per_second, 0),
        spread(&p50, 1),
        spread(&p99, 1),
        spread(&p999, 1)
    );
}
