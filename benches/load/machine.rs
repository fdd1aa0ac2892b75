//! Where the figures were measured, and what the processes took of it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use super::common::now;
use super::figures::median;

/// Seconds of processor time that a process has taken: "self" or its number. Counted in hundredths.
pub(crate) fn processor_time(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // Behind the name, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

fn line(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or_else(|| "?".to_owned(), |line| line.trim_start_matches([':', '\t', ' ']).to_owned())
}

fn filesystem(dir: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let places = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let of_dir = places.filter(|(place, _)| dir.starts_with(place)).max_by_key(|(place, _)| place.len());
    of_dir.map_or("?", |(_, kind)| kind).to_owned()
}

/// Milliseconds that it takes to have 64 kB on disk.
fn flush(dir: &Path) -> f64 {
    let mut file = File::create(dir.join("flush")).unwrap();
    let mut times = Vec::new();
    let octets = vec![1; 64 * 1024];
    for _ in 0..50 {
        file.write_all(&octets).unwrap();
        let begun = now();
        file.sync_data().unwrap();
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    median(times)
}

/// The machine in one line.
pub(crate) fn describe(dir: &Path) -> String {
    let cores = std::thread::available_parallelism().unwrap();
    let memory: f64 = line("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap();
    format!(
        "{cores} cores ({}), {:.0} GB of memory, Linux {}, {}; 64 kB are on disk within {:.1} ms",
        line("/proc/cpuinfo", "model name"),
        memory / 1e6,
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim(),
        filesystem(dir),
        flush(dir)
    )
}
