//! How far a mirror has come while many meetings wait, in a sentence and as a bar.

use super::words::{count, grouped, verb};
use crate::store::MirrorCounts;

/// A backlog that is worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    /// Meetings that wait for nothing.
    pub(super) done: i64,
    /// Meetings in all.
    pub(super) all: i64,
    /// What the bar says, and how long the rest takes.
    pub(super) sentence: String,
}

impl Progress {
    /// None when nothing waits for its turn. `rate` is in calls a second; none = nothing is worked on now, so nobody can
    /// say how long it takes.
    pub(super) fn of(counts: &MirrorCounts, rate: Option<u32>) -> Option<Self> {
        if counts.pending == 0 {
            return None;
        }
        let all = counts.in_step + counts.pending + counts.failing + counts.rejected;
        let left = rate.map_or_else(String::new, |rate| format!("; {}", left(counts.pending, rate.max(1).into())));
        if counts.again == counts.pending {
            // Those that need no change cost no call.
            let meetings = count(counts.again, "meeting", "meetings");
            let left = left.replace("about", "at most");
            let sentence = format!("{meetings} {} being looked at again{left}.", verb(counts.again, "is", "are"));
            return Some(Self { done: counts.in_step, all, sentence });
        }
        let (done, meetings) = (counts.in_step + counts.again, count(all, "meeting", "meetings"));
        let sentence = format!("{} of {meetings} {} mirrored{left}.", grouped(done), verb(all, "is", "are"));
        Some(Self { done, all, sentence })
    }
}

/// How long so many calls take.
fn left(calls: i64, rate: i64) -> String {
    let minutes = calls.div_euclid(rate * 60) + i64::from(calls.rem_euclid(rate * 60) > 0);
    match minutes {
        ..=1 => "less than a minute left".to_owned(),
        2..120 => format!("about {minutes} minutes left at {rate} calls a second"),
        _ => format!("about {} left at {rate} calls a second", count((minutes + 30) / 60, "hour", "hours")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(in_step: i64, pending: i64, rate: Option<u32>) -> Option<String> {
        let counts = MirrorCounts { in_step, pending, ..MirrorCounts::default() };
        Progress::of(&counts, rate).map(|progress| progress.sentence)
    }

    #[test]
    fn it_says_how_much_is_there_and_how_long_the_rest_takes() {
        let expected = "812 of 2,000 meetings are mirrored; about 5 minutes left at 4 calls a second.";
        assert_eq!(shown(812, 1188, Some(4)).unwrap(), expected);
        assert_eq!(shown(0, 1, Some(4)).unwrap(), "0 of 1 meeting is mirrored; less than a minute left.");
        let expected = "0 of 80,000 meetings are mirrored; about 6 hours left at 4 calls a second.";
        assert_eq!(shown(0, 80_000, Some(4)).unwrap(), expected);
        assert_eq!(shown(3, 5, Some(u32::MAX)).unwrap(), "3 of 8 meetings are mirrored; less than a minute left.");
    }

    #[test]
    fn what_is_there_and_only_looked_at_again_counts_as_mirrored() {
        let shown = |pending| {
            let counts = MirrorCounts { in_step: 100, pending, again: 1900, ..MirrorCounts::default() };
            Progress::of(&counts, Some(4)).map(|progress| (progress.done, progress.sentence)).unwrap()
        };
        let expected = "1,900 meetings are being looked at again; at most 8 minutes left at 4 calls a second.";
        assert_eq!(shown(1900), (100, expected.to_owned()));
        let expected = "2,000 of 2,010 meetings are mirrored; about 8 minutes left at 4 calls a second.";
        assert_eq!(shown(1910), (2000, expected.to_owned()));
    }

    #[test]
    fn without_a_backlog_there_is_none_and_held_back_it_promises_nothing() {
        assert_eq!(shown(2000, 0, Some(4)), None);
        assert_eq!(shown(812, 1188, None).unwrap(), "812 of 2,000 meetings are mirrored.");
        let refused = MirrorCounts { in_step: 1, pending: 1, failing: 1, rejected: 1, ..MirrorCounts::default() };
        assert_eq!(Progress::of(&refused, None).map(|progress| (progress.done, progress.all)), Some((1, 4)));
    }
}
