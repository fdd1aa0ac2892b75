//! A feed that is being made: takes meetings one by one, keeps the nearest that fit, and says how long the result holds; pure.
//! However many meetings there are, no more than a feed's worth is held.

use std::collections::BinaryHeap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use chrono::{DateTime, Utc};

use super::text;
use crate::meeting::event::MeetingId;
use crate::meeting::state::Meeting;
use crate::store::{Feed, LeftOut};

/// Most events in a feed (facts: ICS subscribers 10).
pub const MOST_EVENTS: usize = 1000;
/// Most octets in a feed (facts: ICS subscribers 10).
pub const MOST_OCTETS: usize = 900_000;

/// A feed that is being made.
#[derive(Debug)]
pub struct Draft {
    feed: Feed,
    now: DateTime<Utc>,
    nearest: BinaryHeap<Candidate>,
    left_out: LeftOut,
    members: Vec<u64>,
    /// When the first member is shown no more.
    leaves_at: Option<DateTime<Utc>>,
    /// When the first member that is not over ends: then it gives way to those that are still to come.
    ends_at: Option<DateTime<Utc>>,
}

/// A feed that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedText {
    /// The calendar: UTF-8, CRLF line ends.
    pub body: Vec<u8>,
    /// What did not fit.
    pub left_out: LeftOut,
    /// The meetings it shows or would show if it had room.
    pub members: Members,
    /// The text is another one from this time on, if nothing changes but time. None = never.
    pub holds_until: Option<DateTime<Utc>>,
}

/// A set of meetings, small in memory. Rarely it takes another meeting for one of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members(Box<[u64]>);

impl Members {
    /// Whether the meeting is one of them.
    pub fn contain(&self, id: &MeetingId) -> bool {
        self.0.binary_search(&digest(id)).is_ok()
    }
}

fn digest(id: &MeetingId) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// A meeting by how much it matters to a subscriber: what runs or comes, by begin, then what is past, from the latest back.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    rank: (bool, i64),
    meeting: Meeting,
}

impl Candidate {
    fn is_ahead(&self) -> bool {
        !self.rank.0
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank).then_with(|| self.meeting.id.cmp(&other.meeting.id))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Draft {
    /// A feed without meetings.
    pub fn new(feed: Feed, now: DateTime<Utc>) -> Self {
        let members = Vec::new();
        Self {
            feed,
            now,
            nearest: BinaryHeap::new(),
            left_out: LeftOut::default(),
            members,
            leaves_at: None,
            ends_at: None,
        }
    }

    /// Takes a meeting that the feed shows if there is room; each is given once.
    pub fn take(&mut self, meeting: Meeting) {
        let rule = self.feed.wish.rule();
        let details = &meeting.details;
        let is_past = details.ends_at <= self.now;
        let distance = if is_past { -details.ends_at.timestamp() } else { details.starts_at.timestamp() };
        earlier(&mut self.leaves_at, rule.leaves_at(&meeting));
        if !is_past {
            earlier(&mut self.ends_at, details.ends_at);
        }
        self.members.push(digest(&meeting.id));
        self.nearest.push(Candidate { rank: (is_past, distance), meeting });
        if self.nearest.len() > MOST_EVENTS
            && let Some(farthest) = self.nearest.pop()
        {
            self.leave_out(&farthest);
        }
    }

    fn leave_out(&mut self, candidate: &Candidate) {
        self.left_out.meetings = self.left_out.meetings.saturating_add(1);
        if candidate.is_ahead() {
            self.left_out.ahead = self.left_out.ahead.saturating_add(1);
            earlier(&mut self.left_out.from, candidate.meeting.details.starts_at);
        }
    }

    /// Counts meetings that would be shown if there was room, and that need not be taken: farther ones than those taken.
    pub fn more(&mut self, ahead: u32, past: u32) {
        self.left_out.meetings = self.left_out.meetings.saturating_add(ahead).saturating_add(past);
        self.left_out.ahead = self.left_out.ahead.saturating_add(ahead);
    }

    /// The text. Over the limits the nearest win; the rest is counted.
    ///
    /// No meetings give a calendar without events, which empties the subscriber's copy (facts: ICS subscribers 14). That is
    /// right when nothing is left to show. RFC 5545 section 3.6 asks for a component, but one that is there only for that would
    /// be shown or doubted by some program, so there is none. A failed read must never end here: the caller serves the last good
    /// bytes instead.
    pub fn finish(mut self, installation_id: &str) -> FeedText {
        let mut body = text::head(&self.feed.wish.name);
        let mut octets = body.len() + text::FOOT.len();
        let mut shown = Vec::new();
        for candidate in std::mem::take(&mut self.nearest).into_sorted_vec() {
            let event = text::event(&self.feed, installation_id, &candidate.meeting);
            // One that is too large for the room left does not keep out smaller ones behind it.
            if octets + event.len() <= MOST_OCTETS {
                octets += event.len();
                shown.push((candidate.meeting.details.starts_at, candidate.meeting.id, event));
            } else {
                self.leave_out(&candidate);
            }
        }
        shown.sort_unstable();
        body.reserve(octets - body.len());
        for (_, _, event) in &shown {
            body.push_str(event);
        }
        body.push_str(text::FOOT);
        self.members.sort_unstable();
        let gives_way_at = self.ends_at.filter(|_| self.left_out.meetings > 0);
        FeedText {
            body: body.into_bytes(),
            left_out: self.left_out,
            members: Members(self.members.into()),
            holds_until: [self.leaves_at, gives_way_at].into_iter().flatten().min(),
        }
    }
}

fn earlier(known: &mut Option<DateTime<Utc>>, found: DateTime<Utc>) {
    *known = Some(known.map_or(found, |known| known.min(found)));
}

/// Makes the feed of some meetings; those that it does not show are passed over.
pub fn render(
    feed: &Feed,
    installation_id: &str,
    meetings: impl IntoIterator<Item = Meeting>,
    now: DateTime<Utc>,
) -> FeedText {
    let mut draft = Draft::new(feed.clone(), now);
    for meeting in meetings {
        if feed.wish.rule().check(&meeting, now).is_ok() {
            draft.take(meeting);
        }
    }
    draft.finish(installation_id)
}
