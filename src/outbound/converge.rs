//! The decision behind every call to Google: from what is wanted, what was written and what Google answered to the next
//! step. Pure, so that every way through it can be tested. Whatever was lost on the way, the steps end in exactly the
//! wanted event, because its id is always the same and every answer tells where to go on.

use super::retry::Refusal;
use crate::store::{Presence, Written};

/// More calls than this for one event in one go mean that Google and we don't understand each other; then it is tried
/// again later.
const MOST_CALLS: u32 = 8;

/// What a calendar should hold of a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// An event with this content.
    Event {
        /// SHA-256 of the content.
        content_hash: [u8; 32],
    },
    /// No event.
    Nothing,
}

/// One call. `generation` makes the event id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Make the event.
    Insert { generation: u32 },
    /// Write over the event that is there.
    Update { generation: u32, sequence: i32 },
    /// Write over a deleted event, which brings it back. Google refuses this at times.
    Revive { generation: u32, sequence: i32 },
    /// Look at what is there under the id.
    Look { generation: u32 },
    /// Delete the event.
    Delete { generation: u32 },
    /// See whether the calendar can be reached at all: 404 to a deletion may also mean that it is shared no more.
    Reach { generation: u32 },
}

impl Call {
    fn generation(self) -> u32 {
        match self {
            Self::Insert { generation }
            | Self::Update { generation, .. }
            | Self::Revive { generation, .. }
            | Self::Look { generation }
            | Self::Delete { generation }
            | Self::Reach { generation } => generation,
        }
    }
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The event was written; Google's sequence of it, and SHA-256 of it as Google returned it.
    Written { sequence: i32, seen_hash: [u8; 32] },
    /// What is there under the id.
    Found { sequence: i32, deleted: bool },
    /// Deleted, or the calendar can be reached.
    Done,
    /// It did not work.
    Refused(Refusal),
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Make this call.
    Call(Call),
    /// Google agrees.
    Agreed(Written),
    /// It can't be done now: why, and what is known of the event.
    Failed(Refusal, Written),
}

/// The way of one event to what is wanted.
#[derive(Debug, Clone)]
pub struct Convergence {
    wanted: Wanted,
    written: Written,
    calls: u32,
    sequence_refused: bool,
    /// How often Google said that the id of an insert is taken.
    id_taken: u32,
    /// Google's word when it refused an update: of the calendar, or of bringing back what was deleted by hand.
    update_refused: Option<String>,
}

impl Convergence {
    /// Begins with what was last written.
    pub fn new(wanted: Wanted, written: Written) -> Self {
        Self { wanted, written, calls: 0, sequence_refused: false, id_taken: 0, update_refused: None }
    }

    /// The first step.
    pub fn first(&mut self) -> Next {
        let Written { presence, generation, sequence, .. } = self.written;
        match (self.wanted, presence) {
            (Wanted::Nothing, Presence::Absent) => self.agree(Presence::Absent, generation, sequence, None),
            (Wanted::Nothing, Presence::Present | Presence::Unknown) => self.call(Call::Delete { generation }),
            (Wanted::Event { content_hash }, Presence::Present)
                if self.written.content_hash.as_deref() == Some(content_hash.as_slice()) =>
            {
                Next::Agreed(self.written.clone())
            }
            (Wanted::Event { .. }, Presence::Present) => self.call(Call::Update { generation, sequence }),
            (Wanted::Event { .. }, Presence::Absent | Presence::Unknown) => self.call(Call::Insert { generation }),
        }
    }

    /// The step after `call` was answered.
    pub fn next(&mut self, call: Call, answer: Answer) -> Next {
        let generation = call.generation();
        match (call, answer) {
            (_, Answer::Written { sequence, seen_hash }) => {
                self.agree(Presence::Present, generation, sequence, Some(seen_hash))
            }
            (Call::Delete { .. }, Answer::Done | Answer::Refused(Refusal::Gone))
            | (Call::Reach { .. }, Answer::Done) => {
                self.agree(Presence::Absent, generation, self.written.sequence, None)
            }
            (Call::Delete { .. }, Answer::Refused(Refusal::Missing)) => self.call(Call::Reach { generation }),
            (Call::Insert { .. }, Answer::Refused(Refusal::Duplicate))
            | (Call::Update { .. }, Answer::Refused(Refusal::Gone)) => {
                self.id_taken += u32::from(matches!(call, Call::Insert { .. }));
                self.call(Call::Look { generation })
            }
            (Call::Update { .. }, Answer::Refused(Refusal::Missing)) => self.call(Call::Insert { generation }),
            (Call::Update { .. }, Answer::Refused(Refusal::BadSequence)) if !self.sequence_refused => {
                self.sequence_refused = true;
                self.call(Call::Look { generation })
            }
            (Call::Update { .. }, Answer::Refused(Refusal::Forbidden(text))) => {
                self.update_refused = Some(text);
                self.call(Call::Look { generation })
            }
            (Call::Look { .. }, Answer::Found { sequence, deleted, .. })
                if self.update_refused.is_some() || deleted =>
            {
                match self.update_refused.take() {
                    None => self.call(Call::Revive { generation, sequence }),
                    Some(_) if deleted => self.call(Call::Insert { generation: generation.saturating_add(1) }),
                    Some(text) => self.fail(generation, Refusal::Forbidden(text)),
                }
            }
            // An event under our id is ours, whatever it looks like: the id is made from this installation's random name.
            (Call::Look { .. }, Answer::Found { sequence, .. }) => self.call(Call::Update { generation, sequence }),
            // Nothing is there after all, or one of the two answers was wrong.
            (Call::Look { .. }, Answer::Refused(Refusal::Missing | Refusal::Gone)) if self.id_taken < 2 => {
                self.call(Call::Insert { generation })
            }
            // What was there can't be seen or brought back: the next generation has an id of its own.
            (Call::Look { .. }, Answer::Refused(Refusal::Missing | Refusal::Gone))
            | (
                Call::Revive { .. },
                Answer::Refused(Refusal::Forbidden(_) | Refusal::Missing | Refusal::Gone | Refusal::BadSequence),
            ) => self.call(Call::Insert { generation: generation.saturating_add(1) }),
            (_, Answer::Refused(refusal)) => self.fail(generation, refusal),
            (_, answer) => {
                self.fail(generation, Refusal::Fault(format!("an answer that does not fit: {answer:?}"), None))
            }
        }
    }

    fn call(&mut self, call: Call) -> Next {
        self.calls += 1;
        if self.calls > MOST_CALLS {
            let text = format!("Google and meeting-mirror did not agree within {MOST_CALLS} calls");
            return self.fail(call.generation(), Refusal::Fault(text, None));
        }
        Next::Call(call)
    }

    fn agree(&self, presence: Presence, generation: u32, sequence: i32, seen_hash: Option<[u8; 32]>) -> Next {
        let content_hash = match self.wanted {
            Wanted::Event { content_hash } => Some(content_hash.to_vec()),
            Wanted::Nothing => None,
        };
        let seen_hash = seen_hash.map(Vec::from);
        Next::Agreed(Written { presence, generation, sequence, content_hash, seen_hash })
    }

    /// What is still known after a failure: an event that was there is there, and one whose first call was turned away is still
    /// absent; otherwise a call may have got through.
    fn fail(&self, generation: u32, refusal: Refusal) -> Next {
        let presence = match self.written.presence {
            Presence::Present if generation == self.written.generation => Presence::Present,
            Presence::Absent if self.calls == 1 && refusal.left_all_as_it_was() => Presence::Absent,
            _ => Presence::Unknown,
        };
        Next::Failed(
            refusal,
            Written { presence, generation, sequence: self.written.sequence, content_hash: None, seen_hash: None },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::retry::Setup;
    use super::*;

    const WANTED: Wanted = Wanted::Event { content_hash: [7; 32] };

    fn written(presence: Presence) -> Written {
        Written { presence, generation: 0, sequence: 3, content_hash: None, seen_hash: None }
    }

    fn wrote(sequence: i32) -> Answer {
        Answer::Written { sequence, seen_hash: [9; 32] }
    }

    /// Plays the answers; returns every call made and how it ended.
    fn play(wanted: Wanted, written: Written, answers: Vec<Answer>) -> (Vec<Call>, Next) {
        let mut convergence = Convergence::new(wanted, written);
        let mut next = convergence.first();
        let mut calls = Vec::new();
        for answer in answers {
            let Next::Call(call) = next else { panic!("an answer is left over: {answer:?}") };
            calls.push(call);
            next = convergence.next(call, answer);
        }
        (calls, next)
    }

    fn agreed(next: &Next) -> (Presence, u32, i32) {
        let Next::Agreed(written) = next else { panic!("not agreed: {next:?}") };
        (written.presence, written.generation, written.sequence)
    }

    #[test]
    fn the_same_content_sends_nothing() {
        let same = Written { content_hash: Some(vec![7; 32]), ..written(Presence::Present) };
        assert_eq!(play(WANTED, same.clone(), vec![]), (vec![], Next::Agreed(same)));
        assert_eq!(agreed(&play(Wanted::Nothing, written(Presence::Absent), vec![]).1).0, Presence::Absent);
    }

    #[test]
    fn an_insert_whose_answer_was_lost_is_taken_over() {
        let (calls, end) = play(
            WANTED,
            written(Presence::Unknown),
            vec![Answer::Refused(Refusal::Duplicate), Answer::Found { sequence: 5, deleted: false }, wrote(5)],
        );
        assert_eq!(calls[2], Call::Update { generation: 0, sequence: 5 });
        assert_eq!(agreed(&end), (Presence::Present, 0, 5));
    }

    #[test]
    fn a_deleted_event_is_revived_or_replaced_by_the_next_generation() {
        let deleted = Answer::Found { sequence: 2, deleted: true };
        let (_, end) = play(
            WANTED,
            written(Presence::Absent),
            vec![Answer::Refused(Refusal::Duplicate), deleted.clone(), wrote(2)],
        );
        assert_eq!(agreed(&end), (Presence::Present, 0, 2));
        let (calls, end) = play(
            WANTED,
            written(Presence::Absent),
            vec![
                Answer::Refused(Refusal::Duplicate),
                deleted,
                Answer::Refused(Refusal::Forbidden("no".into())),
                wrote(0),
            ],
        );
        assert_eq!(calls[3], Call::Insert { generation: 1 });
        assert_eq!(agreed(&end), (Presence::Present, 1, 0));
    }

    #[test]
    fn a_refused_update_is_about_the_calendar_unless_the_event_was_deleted_by_hand() {
        let refused = || Answer::Refused(Refusal::Forbidden("no".into()));
        let found = |deleted| Answer::Found { sequence: 3, deleted };
        let present = || written(Presence::Present);
        let (calls, end) = play(WANTED, present(), vec![refused(), found(true), wrote(0)]);
        assert_eq!(calls[2], Call::Insert { generation: 1 });
        assert_eq!(agreed(&end), (Presence::Present, 1, 0));
        let (_, end) = play(WANTED, present(), vec![refused(), found(false)]);
        let Next::Failed(Refusal::Forbidden(_), known) = end else { panic!("{end:?}") };
        assert_eq!((known.presence, known.generation), (Presence::Present, 0));
    }

    #[test]
    fn what_can_not_be_seen_gets_another_id_only_if_its_own_is_taken() {
        let refused = Answer::Refused;
        let first = vec![refused(Refusal::Gone), refused(Refusal::Missing), refused(Refusal::Missing)];
        let (calls, end) = play(WANTED, written(Presence::Present), first);
        assert_eq!(calls[2], Call::Insert { generation: 0 });
        let Next::Failed(Refusal::Missing, known) = end else { panic!("{end:?}") };
        assert_eq!((known.presence, known.generation), (Presence::Present, 0));
        let second = vec![refused(Refusal::Duplicate), refused(Refusal::Missing), wrote(0)];
        let (_, end) = play(WANTED, written(Presence::Absent), second);
        assert_eq!(agreed(&end), (Presence::Present, 0, 0));
        let (taken, unseen) = (|| refused(Refusal::Duplicate), || refused(Refusal::Missing));
        let third = vec![taken(), unseen(), taken(), unseen(), wrote(0)];
        let (_, end) = play(WANTED, written(Presence::Absent), third);
        assert_eq!(agreed(&end), (Presence::Present, 1, 0));
    }

    #[test]
    fn a_low_sequence_is_read_anew_once() {
        let again = || Answer::Refused(Refusal::BadSequence);
        let found = Answer::Found { sequence: 9, deleted: false };
        let (calls, end) = play(WANTED, written(Presence::Present), vec![again(), found, again()]);
        assert_eq!(calls[2], Call::Update { generation: 0, sequence: 9 });
        assert!(matches!(end, Next::Failed(Refusal::BadSequence, _)));
    }

    #[test]
    fn a_missing_event_counts_as_deleted_only_if_the_calendar_can_be_reached() {
        let missing = || Answer::Refused(Refusal::Missing);
        let (_, end) = play(Wanted::Nothing, written(Presence::Present), vec![missing(), Answer::Done]);
        assert_eq!(agreed(&end).0, Presence::Absent);
        let (_, end) = play(Wanted::Nothing, written(Presence::Present), vec![missing(), missing()]);
        let Next::Failed(Refusal::Missing, known) = end else { panic!("{end:?}") };
        assert_eq!(known.presence, Presence::Present);
    }

    #[test]
    fn a_failure_keeps_what_is_known() {
        let fault = || Refusal::Fault("slow".into(), None);
        let cases = [
            (Presence::Absent, fault(), Presence::Unknown),
            (Presence::Absent, Refusal::TimedOut, Presence::Unknown),
            (Presence::Unknown, Refusal::Missing, Presence::Unknown),
            (Presence::Present, fault(), Presence::Present),
        ];
        for (before, refusal, after) in cases {
            let (_, end) = play(WANTED, written(before), vec![Answer::Refused(refusal)]);
            let Next::Failed(_, known) = end else { panic!("{end:?}") };
            assert_eq!((known.presence, known.content_hash), (after, None));
        }
    }

    #[test]
    fn an_event_whose_first_call_was_turned_away_is_still_absent() {
        let text = || "no".to_owned();
        for refusal in [
            Refusal::Missing,
            Refusal::Forbidden(text()),
            Refusal::Throttled(text(), None),
            Refusal::QuotaUsedUp(text(), None),
            Refusal::Credentials(text()),
            Refusal::NotSetUp(Setup::ApiNotEnabled, text()),
            Refusal::Rejected(text()),
        ] {
            let refused = || Answer::Refused(refusal.clone());
            let (_, end) = play(WANTED, written(Presence::Absent), vec![refused()]);
            let Next::Failed(_, known) = end else { panic!("{end:?}") };
            assert_eq!(known.presence, Presence::Absent, "{refusal:?}");
            // Something was under that id, whatever comes after.
            let found = Answer::Found { sequence: 1, deleted: false };
            let answers = vec![Answer::Refused(Refusal::Duplicate), found, refused()];
            let end = match play(WANTED, written(Presence::Absent), answers).1 {
                Next::Call(_) => continue,
                end => end,
            };
            let Next::Failed(_, known) = end else { panic!("{end:?}") };
            assert_eq!(known.presence, Presence::Unknown, "{refusal:?}");
        }
    }

    #[test]
    fn it_always_ends() {
        let mut convergence = Convergence::new(WANTED, written(Presence::Absent));
        let mut next = convergence.first();
        for _ in 0..100 {
            let Next::Call(call) = next else { break };
            let answer = match call {
                Call::Look { .. } => Answer::Refused(Refusal::Missing),
                _ => Answer::Refused(Refusal::Duplicate),
            };
            next = convergence.next(call, answer);
        }
        assert!(matches!(next, Next::Failed(Refusal::Fault(..), _)));
    }
}
