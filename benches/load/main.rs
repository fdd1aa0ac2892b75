//! How the built server bears load, and how that changes with what is stored. Run: `cargo bench --bench load`, with `-- PART…` only
//! parts of it (deliveries, backlog, readers, crowd, growth, arrival), with `-- --quick` a try-out of all.
//!
//! The server is a process of its own; the sender is this one, on one thread, and shares the machine's cores with it. What is compared
//! is measured in turn, in rounds; each figure is the median of the rounds (least–most).

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod arrival;
mod backlog;
mod beside;
mod client;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/connection.rs"]
mod connection;
mod crowd;
mod deliveries;
#[path = "../common/feed.rs"]
mod feed;
#[path = "../common/figures.rs"]
mod figures;
mod fill;
mod growth;
mod machine;
mod readers;
#[path = "../common/visitor.rs"]
mod visitor;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figures::asked_for;

/// How much is measured.
struct Plan {
    dir: PathBuf,
    rounds: usize,
    /// Of one measurement.
    lasting: Duration,
    /// Deliveries that one measurement may send: made beforehand.
    most: u32,
    /// Deliveries that wait.
    backlog: u32,
    /// Meetings in the database.
    sizes: &'static [u32],
    /// Deliveries whose way is followed.
    followed: u32,
}

impl Plan {
    fn new(dir: &Path) -> Self {
        let dir = dir.to_owned();
        if std::env::args().any(|argument| argument == "--quick") {
            let (lasting, sizes) = (Duration::from_secs(1), &[10_000, 100_000][..]);
            return Self { dir, rounds: 1, lasting, most: 40_000, backlog: 10_000, sizes, followed: 20 };
        }
        let (lasting, sizes) = (Duration::from_secs(4), &[10_000, 100_000, 1_000_000][..]);
        Self { dir, rounds: 5, lasting, most: 160_000, backlog: 100_000, sizes, followed: 200 }
    }

    /// An empty directory for a database.
    fn fresh(&self) -> PathBuf {
        let data = self.dir.join("data");
        let _ = fs::remove_dir_all(&data);
        fs::create_dir(&data).unwrap();
        data
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if std::env::args().any(|argument| argument == beside::VERIFY_ONLY) {
        return runtime.block_on(beside::serve_verify_only());
    }
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::new(dir.path());
    println!("{}", machine::describe(dir.path()));
    println!("{} rounds of {} s; median (least–most)", plan.rounds, plan.lasting.as_secs());
    // One thread: the sender should take as little as it can.
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        if asked_for("deliveries") {
            deliveries::measure(&plan).await;
        }
        if asked_for("backlog") {
            backlog::measure(&plan).await;
        }
        if asked_for("readers") {
            readers::measure(&plan).await;
        }
        if asked_for("crowd") {
            crowd::measure(&plan).await;
        }
        if asked_for("growth") {
            growth::measure(&plan).await;
        }
    });
    // The simulated Google is here and needs its own.
    if asked_for("arrival") {
        runtime.block_on(arrival::measure(&plan));
    }
}
