//! The same with more and more meetings stored: does anything take longer?

use std::time::Duration;

use meeting_mirror::clock::{Clock as _, SystemClock};
use meeting_mirror::meeting::selection::Selection;
use meeting_mirror::store::Store;
use meeting_mirror::views::feed::render;

use super::client::{Requests, send_closed};
use super::common::{now, serve};
use super::feed::add_feed;
use super::figures::{median, resident, spread};
use super::fill::fill;
use super::visitor::signed_in;
use super::{Plan, backlog};

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub(crate) async fn measure(plan: &Plan) {
    println!(
        "\n| meetings stored | start, ms | memory, MB | deliveries a second, 256 connections | p99, ms | applied a second | \
         feed of everybody, ms | feed of one owner, ms | status page, ms | filled in, s; database, MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for &meetings in plan.sizes {
        let at = SystemClock::default().now();
        let data = plan.fresh();
        let begun = now();
        fill(&data, meetings, at).await;
        let filled = begun.elapsed().as_secs();
        let store = Store::open(&data).await.unwrap();
        let all = add_feed(&store, "All", Selection::default(), at).await;
        let owner = Selection { owners: vec!["owner-7@example.com".into()], ..Selection::default() };
        let own = add_feed(&store, "Own", owner, at).await;
        let mut made = [Vec::new(), Vec::new()];
        for _ in 0..10 {
            for (feed, times) in [&all, &own].into_iter().zip(&mut made) {
                let begun = now();
                render(&store, "bench", feed, at).await.unwrap();
                times.push(milliseconds(begun.elapsed()));
            }
        }
        store.close().await;
        let (mut started, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let begun = now();
            let (process, _) = serve(&data, &[]);
            started.push(milliseconds(begun.elapsed()));
            memory.push(resident(process.0.id()));
        }
        let (mut per_second, mut p99, mut applied) = (Vec::new(), Vec::new(), Vec::new());
        let (_server, address) = serve(&data, &[]);
        for round in 0..plan.rounds.min(3) {
            let first = 5_000_000 + u32::try_from(round).unwrap() * plan.most;
            let requests = Requests::new(first, plan.most, at);
            let seen = send_closed(address, &requests, 256, plan.lasting).await;
            per_second.push(seen.per_second());
            p99.push(seen.within(990));
            applied.push(backlog::applied(&data).await);
        }
        let client = signed_in(&format!("http://{address}")).await;
        let mut page = Vec::new();
        for _ in 0..20 {
            let begun = now();
            let answer = client.get(format!("http://{address}/status")).send().await.unwrap();
            answer.error_for_status().unwrap().bytes().await.unwrap();
            page.push(milliseconds(begun.elapsed()));
        }
        let size = data.join(meeting_mirror::store::DATABASE_FILE).metadata().unwrap().len() / 1_000_000;
        println!(
            "| {meetings} | {} | {:.0} | {} | {} | {} | {} | {} | {} | {filled}; {size} |",
            spread(&started, 0),
            median(memory),
            spread(&per_second, 0),
            spread(&p99, 1),
            spread(&applied, 0),
            spread(&made[0], 1),
            spread(&made[1], 1),
            spread(&page, 1)
        );
    }
}
