//! A feed that is being made: takes its meetings one by one, the nearest first, keeps what fits, and says how long the result
//! holds; pure.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use super::text;
use crate::meeting::event::MeetingId;
use crate::meeting::state::Meeting;
use crate::store::{Feed, FeedMeetings, LeftOut};

/// Most events in a feed (facts: ICS subscribers 10).
pub const MOST_EVENTS: usize = 1000;
/// Most octets in a feed (facts: ICS subscribers 10).
pub const MOST_OCTETS: usize = 900_000;

/// A feed that is being made. It never holds more than a feed's worth.
#[derive(Debug)]
pub struct Draft {
    feed: Feed,
    installation_id: String,
    now: DateTime<Utc>,
    head: String,
    /// Begin, id and text of each event that fits.
    events: Vec<(DateTime<Utc>, MeetingId, String)>,
    octets: usize,
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
    /// SHA-256 of it.
    pub digest: Vec<u8>,
    /// Events in it.
    pub events: usize,
    /// What did not fit.
    pub left_out: LeftOut,
    /// The meetings it shows or would show if it had a little more room.
    pub members: Members,
    /// Changes of meetings up to this one are in it.
    pub position: i64,
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

impl Draft {
    /// A feed without meetings.
    pub fn new(feed: Feed, installation_id: &str, now: DateTime<Utc>) -> Self {
        let head = text::head(&feed.wish.name);
        Self {
            octets: head.len() + text::FOOT.len(),
            head,
            feed,
            installation_id: installation_id.to_owned(),
            now,
            events: Vec::new(),
            left_out: LeftOut::default(),
            members: Vec::new(),
            leaves_at: None,
            ends_at: None,
        }
    }

    /// Takes the next meeting that the feed shows if there is room. Those that run or come are given first, by begin, then those
    /// in the past, from the latest back. One that is too large for the room left does not keep out smaller ones behind it.
    pub fn take(&mut self, meeting: Meeting) {
        let is_past = meeting.details.ends_at <= self.now;
        earlier(&mut self.leaves_at, self.feed.wish.rule().leaves_at(&meeting));
        if !is_past {
            earlier(&mut self.ends_at, meeting.details.ends_at);
        }
        self.members.push(digest(&meeting.id));
        if self.events.len() < MOST_EVENTS {
            let event = text::event(&self.feed, &self.installation_id, &meeting);
            if self.octets + event.len() <= MOST_OCTETS {
                self.octets += event.len();
                self.events.push((meeting.details.starts_at, meeting.id, event));
                return;
            }
        }
        self.left_out.meetings = self.left_out.meetings.saturating_add(1);
        if !is_past {
            self.left_out.ahead = self.left_out.ahead.saturating_add(1);
            earlier(&mut self.left_out.from, meeting.details.starts_at);
        }
    }

    /// The text; `beside` is what there is beside the meetings that were taken.
    ///
    /// No meetings give a calendar without events, which empties the subscriber's copy (facts: ICS subscribers 14). That is
    /// right when nothing is left to show. RFC 5545 section 3.6 asks for a component, but one that is there only for that would
    /// be shown or doubted by some program, so there is none. A failed read must never end here: the caller serves the last good
    /// bytes instead.
    pub fn finish(mut self, beside: &FeedMeetings) -> FeedText {
        self.events.sort_unstable();
        let mut body = String::with_capacity(self.octets);
        body.push_str(&self.head);
        for (_, _, event) in &self.events {
            body.push_str(event);
        }
        body.push_str(text::FOOT);
        self.members.sort_unstable();
        let mut left_out = self.left_out;
        left_out.ahead = left_out.ahead.saturating_add(beside.more_ahead);
        left_out.meetings = left_out.meetings.saturating_add(beside.more_ahead).saturating_add(beside.more_past);
        let gives_way_at = self.ends_at.filter(|_| left_out.meetings > 0);
        let changes = [self.leaves_at, gives_way_at, beside.next_enters_at, beside.next_leaves_at];
        FeedText {
            digest: Sha256::digest(&body).to_vec(),
            body: body.into_bytes(),
            events: self.events.len(),
            left_out,
            members: Members(self.members.into()),
            position: beside.position,
            holds_until: changes.into_iter().flatten().min(),
        }
    }
}

fn earlier(known: &mut Option<DateTime<Utc>>, found: DateTime<Utc>) {
    *known = Some(known.map_or(found, |known| known.min(found)));
}
