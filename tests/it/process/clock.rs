//! The built server with a clock that is two days ahead and jumps back while deliveries arrive and Google is written: what stands
//! at the end is what a run without a fault leaves. Only the server's clock is wrong; its sender, Google and commands beside it
//! have the right one.
//!
//! Needs Debian's `libfaketime`; without it the test says that it was skipped, or fails if `CLOCK_TESTS` is `required`.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use meeting_mirror::simulated_google::SimulatedGoogle;

use super::course::{Course, Dice, PARALLEL, Story};
use crate::process_support::{Machine, Server, get, this_hour};
use crate::skipped::skip;

const SEED: u64 = 20_261_128;
const AHEAD: &str = "+2d";
const RIGHT: &str = "+0";

/// The library that shows a program another time.
fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    places.find(|place| place.exists()).or_else(|| skip("CLOCK_TESTS", "libfaketime (Debian: apt install libfaketime)"))
}

/// The clock that a server sees, set by a file.
struct WrongClock(PathBuf);

impl WrongClock {
    fn new(machine: &Machine) -> Self {
        let clock = Self(machine.path("clock"));
        clock.set(AHEAD);
        clock
    }

    /// Sets it to so much beside the right time, at once.
    fn set(&self, offset: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, format!("{offset}\n")).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }
}

/// Starts the server with the clock ahead, sets it right while deliveries arrive once Google was `heard` of, and looks at what is
/// left.
async fn jump_back(mut course: Course, library: PathBuf, heard: impl Fn(&SimulatedGoogle) -> bool) {
    let dice = Dice::seeded(SEED);
    let story = Story::told(&dice);
    let feed = course.set_up();
    let clock = WrongClock::new(&course.machine);
    let mut command = course.command();
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &clock.0)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("NO_FAKE_STAT", "1");
    let server = Server::start(&mut command);

    let mut queue = story.shuffled(&dice);
    let third = queue.len() / 3;
    let ahead = queue.drain(..third).collect();
    assert!(course.send(&server, ahead, None).await.is_empty());
    let rows = course.machine.json(&["inbox", "list", "--limit", "1", "--json"]);
    let arrived: DateTime<Utc> = rows[0]["receivedAt"].as_str().unwrap().parse().unwrap();
    assert!(arrived > this_hour() + TimeDelta::days(2), "the server's clock is not ahead: {rows}");
    course.machine.until(&["calendar", "list", "--json"], |_| heard(&course.google));
    // A feed is made with that clock, too.
    assert_eq!(get(&course.http, &format!("{}{feed}", server.url)).await.0, 200);

    let meanwhile = queue.drain(..third).collect();
    assert!(course.send(&server, meanwhile, Some((PARALLEL, &|| clock.set(RIGHT)))).await.is_empty());
    assert!(course.send(&server, queue.into(), None).await.is_empty());
    course.settle();
    course.assert_ended(&story, &server, &feed).await;
    let log = server.stop();
    assert!(log.contains("the clock was set back"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_back_while_google_is_written_changes_nothing_that_stands_at_the_end() {
    let Some(library) = library() else { return };
    let mut course = Course::begin();
    // A person's sign-in tells Google no time, so that it is written with either clock.
    course.sign_in_as_a_person();
    jump_back(course, library, |google| google.call_count() > 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_that_google_refuses_while_the_clock_is_ahead_goes_on_when_it_is_right() {
    let Some(library) = library() else { return };
    let is_refused = |google: &SimulatedGoogle| google.token_requests().iter().any(|request| request.status == 400);
    jump_back(Course::begin(), library, is_refused).await;
}
