//! What others may send, changed at random, read by the parts that read it: nothing panics, and what each part promises holds.
//! Always the same short run, unless told otherwise:
//!
//! `FUZZ_SECONDS=600 cargo test --release --test it fuzz:: -- --nocapture --test-threads=1` goes on for 600 seconds with each target;
//! `FUZZ_SEED` begins where an earlier run did, `FUZZ_INPUT` gives the one target that is named a file and nothing else.

mod mutate;
mod pages;
mod targets;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use data_encoding::HEXLOWER;
use meeting_mirror::clock::{Clock as _, SystemClock};
use sha2::{Digest as _, Sha256};

use self::mutate::Mutator;

/// Inputs of a short run.
const SHORT: u64 = 1_500;
/// Inputs that did something new are mutated further, this many of them.
const MOST_LEARNED: usize = 2_000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a whole number, not {text:?}")))
}

/// Gives `check` the corpus, then inputs made from it. `check` panics when something is broken, and says in a word what the input
/// came to; a word that was not heard before is worth going on from.
#[expect(clippy::print_stdout, reason = "tells how far it came, when asked with --nocapture")]
fn fuzz(target: &str, corpus: Vec<Vec<u8>>, short: u64, mut check: impl FnMut(&[u8]) -> String) {
    if let Some(file) = std::env::var_os("FUZZ_INPUT") {
        println!("{target}: {}", check(&std::fs::read(file).unwrap()));
        return;
    }
    let (clock, seconds) = (SystemClock::default(), number("FUZZ_SECONDS"));
    let fresh = || seconds.map_or(7, |_| u64::try_from(clock.now().timestamp_millis()).unwrap());
    let seed = number("FUZZ_SEED").unwrap_or_else(fresh);
    let is_enough = |count: u64| match seconds {
        Some(seconds) => clock.monotonic() >= Duration::from_secs(seconds),
        None => count >= short,
    };
    let mut attempt = |input: &[u8]| {
        catch_unwind(AssertUnwindSafe(|| check(input))).unwrap_or_else(|panic| {
            let name = format!("fuzz-{}-{}", target.replace("::", "-"), &HEXLOWER.encode(&Sha256::digest(input))[..16]);
            let file = std::env::temp_dir().join(name);
            std::fs::write(&file, input).unwrap();
            println!(
                "{target}: seed {seed}; to see it again: FUZZ_INPUT={} cargo test --test it fuzz::{target}",
                file.display()
            );
            resume_unwind(panic)
        })
    };
    let mut kinds: HashSet<String> = corpus.iter().map(|input| attempt(input)).collect();
    let mut mutator = Mutator::new(seed, corpus);
    let mut count = 0;
    while !is_enough(count) {
        let input = mutator.next();
        let kind = attempt(&input);
        count += 1;
        if kinds.len() < MOST_LEARNED && kinds.insert(kind) {
            mutator.learn(input);
        }
    }
    println!("{target}: {count} inputs, {} kinds of outcome, seed {seed}", kinds.len());
    assert!(kinds.len() > 1, "{target}: everything came to the same");
}
