//! What one connection is doing, as far as others must know: whether it waits for its peer, and since when. It is told by the
//! connection's own task and read by whoever closes connections; no locks, since every request passes here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Hall {
    /// Numbers what begins, so that it can be told what waits longest.
    begun: AtomicU64,
    /// Bytes of bodies that are in memory.
    held: AtomicUsize,
    /// From here on connections that are slow with their bodies are closed.
    most_held: usize,
    /// Told when that is so.
    pub(super) is_full: Notify,
}

impl Hall {
    pub(super) fn new(most_held: usize) -> Self {
        Self { begun: AtomicU64::new(1), held: AtomicUsize::new(0), most_held, is_full: Notify::new() }
    }

    fn next(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether too much is in memory.
    pub(super) fn holds_too_much(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.most_held
    }
}

/// What a connection waits for: each has its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The head of a request, of which something may be there.
    Head,
    /// Another request.
    Request,
    /// The rest of a body.
    Body,
    /// That the peer takes what was written.
    Reader,
    /// That the peer stops sending what nobody reads.
    End,
}

/// A wait and its number: the smaller, the longer ago it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) what: Wait,
    pub(super) number: u64,
}

const HEAD: u64 = 0;
const REQUEST: u64 = 1;
const BODY: u64 = 2;
const END: u64 = 3;
/// A handler is at work.
const WORK: u64 = 4;
/// The connection is being closed.
const GIVEN_UP: u64 = 5;
/// The lowest bits of a turn say what it is, the rest is its number.
const BITS: u32 = 3;

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    hall: Arc<Hall>,
    turn: AtomicU64,
    /// Number of a write that can't go on; 0 = none.
    stuck: AtomicU64,
    /// Bytes of the present request's body.
    held: AtomicUsize,
    /// Whether a body was not read to its end, so that more of it may come.
    left_unread: AtomicBool,
}

impl Line {
    pub(super) fn new(hall: Arc<Hall>) -> Self {
        let turn = AtomicU64::new(hall.next() << BITS | HEAD);
        Self { hall, turn, stuck: AtomicU64::new(0), held: AtomicUsize::new(0), left_unread: AtomicBool::new(false) }
    }

    /// Goes from one turn to another. False when it is at none of `from`.
    fn turn(&self, from: &[u64], to: u64, is_new: bool) -> bool {
        let turned = self.turn.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            let (number, what) = (now >> BITS, now & ((1 << BITS) - 1));
            from.contains(&what).then(|| if is_new { self.hall.next() } else { number } << BITS | to)
        });
        turned.is_ok()
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        // Who was slow before is not young because of one more byte: the number stays.
        if self.turn.load(Ordering::Relaxed) & ((1 << BITS) - 1) == REQUEST {
            self.turn(&[REQUEST], HEAD, false);
        }
    }

    /// A request's head is there. False when the connection is being closed: the request must not be worked on.
    pub(super) fn begin(&self) -> bool {
        // A body that was left before did come whole.
        self.left_unread.store(false, Ordering::Relaxed);
        self.turn(&[HEAD, REQUEST], WORK, true)
    }

    /// More of the body is waited for.
    pub(super) fn awaits_body(&self) {
        self.turn(&[WORK], BODY, false);
    }

    /// It came, or nobody waits for it any more.
    pub(super) fn goes_on(&self) {
        self.turn(&[BODY], WORK, false);
    }

    /// More of the body is in memory. False when there is no room for it.
    pub(super) fn hold(&self, bytes: usize) -> bool {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        let all = self.hall.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all > self.hall.most_held {
            self.hall.is_full.notify_one();
        }
        // Closing others takes a moment.
        all <= self.hall.most_held * 2
    }

    /// Its body is in memory no more.
    pub(super) fn let_go(&self) {
        let held = self.held.swap(0, Ordering::Relaxed);
        if held > 0 {
            self.hall.held.fetch_sub(held, Ordering::Relaxed);
        }
    }

    /// The body was given up before its end.
    pub(super) fn leave_unread(&self) {
        self.left_unread.store(true, Ordering::Relaxed);
    }

    /// The answer is made.
    pub(super) fn answered(&self) {
        self.let_go();
        self.turn(&[WORK, BODY], REQUEST, true);
    }

    /// The answer is sent and the connection is to end. Whether the peer may still be sending: what it sends must be taken then,
    /// or it loses the answer.
    pub(super) fn ends(&self) -> bool {
        let is_half_heard = self.turn.load(Ordering::Relaxed) & ((1 << BITS) - 1) == HEAD;
        let goes_on = is_half_heard || self.left_unread.load(Ordering::Relaxed);
        if goes_on {
            self.turn(&[HEAD, REQUEST], END, true);
        }
        goes_on
    }

    /// A write can't go on.
    pub(super) fn sticks(&self) {
        if self.stuck.load(Ordering::Relaxed) == 0 {
            self.stuck.store(self.hall.next(), Ordering::Release);
        }
    }

    /// A write went on.
    pub(super) fn moves(&self) {
        if self.stuck.load(Ordering::Relaxed) != 0 {
            self.stuck.store(0, Ordering::Release);
        }
    }

    /// What it waits for; none while a handler is at work.
    pub(super) fn waiting(&self) -> Option<Waiting> {
        let number = self.stuck.load(Ordering::Acquire);
        if number != 0 {
            return Some(Waiting { what: Wait::Reader, number });
        }
        let turn = self.turn.load(Ordering::Acquire);
        let what = match turn & ((1 << BITS) - 1) {
            HEAD => Wait::Head,
            REQUEST => Wait::Request,
            BODY => Wait::Body,
            END => Wait::End,
            _ => return None,
        };
        Some(Waiting { what, number: turn >> BITS })
    }

    /// Whether nothing is in hand, so that the connection can be closed without anybody losing an answer.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.waiting(), Some(Waiting { what: Wait::Head | Wait::Request, .. }))
    }

    /// Gives the connection up if it still waits as it was seen to. From then on it begins no request.
    pub(super) fn give_up(&self, seen: Waiting) -> bool {
        let now = match seen.what {
            Wait::Reader if self.stuck.load(Ordering::Acquire) == seen.number => {
                return self.turn(&[HEAD, REQUEST, BODY, END, WORK], GIVEN_UP, false);
            }
            Wait::Reader => return false,
            Wait::Head => HEAD,
            Wait::Request => REQUEST,
            Wait::Body => BODY,
            Wait::End => END,
        };
        let (seen, given_up) = (seen.number << BITS | now, seen.number << BITS | GIVEN_UP);
        self.turn.compare_exchange(seen, given_up, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether some of its body is in memory.
    pub(super) fn holds_any(&self) -> bool {
        self.held.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.let_go();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line::new(Arc::new(Hall::new(100)))
    }

    fn what(line: &Line) -> Option<Wait> {
        line.waiting().map(|waiting| waiting.what)
    }

    #[test]
    fn it_waits_for_its_peer_but_while_a_handler_is_at_work() {
        let line = line();
        assert_eq!((what(&line), line.is_idle()), (Some(Wait::Head), true));
        assert!(line.begin());
        assert_eq!((what(&line), line.is_idle()), (None, false));
        line.awaits_body();
        assert_eq!((what(&line), line.is_idle()), (Some(Wait::Body), false));
        line.goes_on();
        line.sticks();
        assert_eq!((what(&line), line.is_idle()), (Some(Wait::Reader), false));
        line.moves();
        assert_eq!(what(&line), None);
        line.answered();
        assert_eq!(what(&line), Some(Wait::Request));
        let since = line.waiting().unwrap().number;
        line.heard();
        assert_eq!(line.waiting(), Some(Waiting { what: Wait::Head, number: since }), "it waits as long as before");
    }

    #[test]
    fn who_waits_longest_is_told_by_its_number() {
        let hall = Arc::new(Hall::new(100));
        let (first, second) = (Line::new(hall.clone()), Line::new(hall));
        let number = |line: &Line| line.waiting().unwrap().number;
        assert!(number(&first) < number(&second));
        first.begin();
        first.answered();
        assert!(number(&first) > number(&second));
    }

    #[test]
    fn only_who_still_waits_is_given_up_and_begins_nothing_then() {
        let line = line();
        let seen = line.waiting().unwrap();
        assert!(line.begin() && !line.give_up(seen), "a request came meanwhile");
        line.answered();
        let seen = line.waiting().unwrap();
        assert!(line.give_up(seen) && !line.begin());
    }

    #[test]
    fn what_bodies_hold_is_counted_until_the_answer_or_the_end() {
        let hall = Arc::new(Hall::new(100));
        let (first, second) = (Line::new(hall.clone()), Line::new(hall.clone()));
        first.begin();
        assert!(first.hold(100) && !hall.holds_too_much());
        second.begin();
        assert!(second.hold(100) && hall.holds_too_much() && second.holds_any());
        assert!(!second.hold(1), "there is no room");
        drop(second);
        assert!(!hall.holds_too_much());
        first.answered();
        assert_eq!((hall.held.load(Ordering::Relaxed), first.holds_any()), (0, false));
    }

    #[test]
    fn what_nobody_reads_is_taken_before_the_end_only_if_more_may_come() {
        let line = line();
        line.begin();
        line.answered();
        assert!(!line.ends());
        line.begin();
        line.leave_unread();
        line.answered();
        assert!(line.ends() && what(&line) == Some(Wait::End));
        assert!(!line.is_idle(), "closed now, the peer might lose the answer");
    }
}
