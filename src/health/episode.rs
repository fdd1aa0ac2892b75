//! Episodes: from when a condition begins to hold until it no longer does. Each is told once when it begins and once when it
//! ends; what comes and goes within a minute is not told at all.

use chrono::{DateTime, TimeDelta, Utc};

use super::condition::Condition;
use super::kind::Kind;

/// A condition must hold, or be gone, for so long before that counts.
pub const STEADY: TimeDelta = TimeDelta::minutes(1);

/// An episode that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// By which whoever asks knows it.
    pub id: usize,
    /// Of which kind.
    pub kind: Kind,
    /// What of that kind.
    pub subject: String,
    /// When the condition was first seen.
    pub began_at: DateTime<Utc>,
    /// Since when it is not seen; none = it is.
    pub gone_since: Option<DateTime<Utc>>,
    /// Whether its begin was told.
    pub told: bool,
}

impl Open {
    /// Whether it is so well founded that its begin is to be told.
    pub fn is_to_be_told(&self, now: DateTime<Utc>) -> bool {
        !self.told && self.gone_since.is_none() && is_past(self.began_at, now)
    }
}

/// What becomes of an episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A condition holds that did not before.
    Begin(Condition),
    /// It no longer holds, for the moment.
    Leave(usize),
    /// It holds again.
    Return(usize),
    /// It was over at this time.
    End(usize, DateTime<Utc>),
    /// It did not last: it never was.
    Forget(usize),
}

/// What becomes of the open episodes and of new ones, from what is wrong now.
pub fn steps(open: &[Open], conditions: &[Condition], now: DateTime<Utc>) -> Vec<Step> {
    let is_new = |condition: &&Condition| !open.iter().any(|known| condition.is_of(known.kind, &known.subject));
    let begun = conditions.iter().filter(is_new).map(|condition| Step::Begin(condition.clone()));
    let known = open.iter().filter_map(|known| {
        let holds = conditions.iter().any(|condition| condition.is_of(known.kind, &known.subject));
        match (holds, known.gone_since) {
            (true, None) => None,
            (true, Some(_)) => Some(Step::Return(known.id)),
            (false, None) => Some(Step::Leave(known.id)),
            (false, Some(since)) if !is_past(since, now) => None,
            (false, Some(since)) if known.told || since - known.began_at >= STEADY => Some(Step::End(known.id, since)),
            (false, Some(_)) => Some(Step::Forget(known.id)),
        }
    });
    known.chain(begun).collect()
}

/// Whether a minute has passed since then. A time that lies ahead is from before the clock was set back.
pub fn is_past(since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    !(since..since + STEADY).contains(&now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    fn disk() -> Condition {
        Condition { kind: Kind::Disk, subject: String::new(), summary: "Full.".into() }
    }

    fn open(began: i64, gone: Option<i64>, told: bool) -> Open {
        let (kind, subject) = (Kind::Disk, String::new());
        Open { id: 7, kind, subject, began_at: at(began), gone_since: gone.map(at), told }
    }

    #[test]
    fn an_episode_begins_goes_and_ends_once() {
        assert_eq!(steps(&[], &[disk()], at(0)), [Step::Begin(disk())]);
        assert_eq!(steps(&[open(0, None, true)], &[disk()], at(300)), [], "it goes on");
        assert_eq!(steps(&[open(0, None, true)], &[], at(300)), [Step::Leave(7)]);
        assert_eq!(steps(&[open(0, Some(300), true)], &[], at(359)), [], "not yet");
        assert_eq!(steps(&[open(0, Some(300), true)], &[], at(360)), [Step::End(7, at(300))]);
        assert_eq!(steps(&[open(0, Some(300), true)], &[disk()], at(360)), [Step::Return(7)]);
    }

    #[test]
    fn what_did_not_last_never_was_and_what_lasted_untold_ended() {
        assert_eq!(steps(&[open(0, Some(59), false)], &[], at(200)), [Step::Forget(7)]);
        assert_eq!(steps(&[open(0, Some(60), false)], &[], at(200)), [Step::End(7, at(60))]);
    }

    #[test]
    fn a_begin_is_told_once_when_it_has_lasted() {
        assert!(!open(0, None, false).is_to_be_told(at(59)));
        assert!(open(0, None, false).is_to_be_told(at(60)));
        assert!(!open(0, None, true).is_to_be_told(at(60)));
        assert!(!open(0, Some(59), false).is_to_be_told(at(60)));
        assert!(open(0, None, false).is_to_be_told(at(-100)), "the clock was set back");
    }

    #[test]
    fn subjects_are_told_apart() {
        let of = |subject: &str| Condition { kind: Kind::Calendar, subject: subject.into(), ..disk() };
        let known = Open { kind: Kind::Calendar, subject: "1".into(), ..open(0, None, true) };
        assert_eq!(steps(&[known], &[of("2")], at(9)), [Step::Leave(7), Step::Begin(of("2"))]);
    }
}
