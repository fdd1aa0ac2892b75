//! One feed's place in the cache: its settings, and the bytes that were made with them.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;

use super::answer::Content;
use super::draft::{FeedText, Members};
use super::token::{self, FeedTokenError};
use crate::config::Secret;
use crate::meeting::showing::Absence;
use crate::store::{ChangedMeeting, Feed, LeftOut, Rendition};
use crate::web::links::Links;

/// Milliseconds. No feed rests longer.
const LONGEST_REST: i64 = 60_000;

/// One feed's place in the cache.
#[derive(Debug)]
pub(in crate::views) struct Slot {
    /// The feed as the database has it. When it is changed, it gets another slot.
    pub(in crate::views) feed: Feed,
    /// Of its present link.
    token: Secret,
    cached: RwLock<Option<Arc<Cached>>>,
    /// Held while the bytes are made.
    pub(super) making: Mutex<()>,
    /// Unix milliseconds before which they are not tried to be made again: they failed.
    rests_until: AtomicI64,
}

/// The bytes of a feed, and how long they hold.
#[derive(Debug)]
pub(in crate::views) struct Cached {
    pub(super) content: Content,
    /// What did not fit.
    pub(in crate::views) left_out: LeftOut,
    /// Unix milliseconds when they were made. What was made later than now is from before the clock was set back: it shows the
    /// days of that time.
    made_at: i64,
    /// Changes of meetings up to this one are in it.
    pub(super) position: i64,
    members: Members,
    /// Unix milliseconds from which on they must be made anew.
    fresh_until: AtomicI64,
}

impl Slot {
    /// The slot of a feed. What the old one holds goes over if it is what this feed shows, too.
    pub(super) fn renewed(feed: Feed, old: Option<Arc<Self>>, links: &Links) -> Arc<Self> {
        let old = match old {
            Some(old) if old.feed == feed => return old,
            old => old.filter(|old| old.feed.edition == feed.edition && feed.revoked_at.is_none()),
        };
        let cached = RwLock::new(old.and_then(|old| old.cached()));
        let (token, making) = (Secret::new(links.token(&feed)), Mutex::default());
        Arc::new(Self { feed, token, cached, making, rests_until: AtomicI64::new(i64::MIN) })
    }

    /// Whether the token is that of the feed's present link, or why not. In constant time.
    pub(super) fn check(&self, token: &str, links: &Links) -> Result<(), FeedTokenError> {
        // The MAC of the present link is known, so that it need not be made for each request.
        if self.feed.revoked_at.is_none() && self.token.reveal().as_bytes().ct_eq(token.as_bytes()).into() {
            return Ok(());
        }
        token::check(links, token, &self.feed)
    }

    /// The bytes, fresh or not.
    pub(super) fn cached(&self) -> Option<Arc<Cached>> {
        self.cached.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The bytes, if they are what the feed shows now.
    pub(super) fn fresh(&self, now: DateTime<Utc>) -> Option<Arc<Cached>> {
        let now = now.timestamp_millis();
        self.cached().filter(|cached| (cached.made_at..cached.fresh_until.load(Ordering::Acquire)).contains(&now))
    }

    /// Whether it failed a moment ago. A clock that was set back does not make it rest for ever.
    pub(super) fn rests(&self, now: DateTime<Utc>) -> bool {
        let left = self.rests_until.load(Ordering::Acquire).saturating_sub(now.timestamp_millis());
        (1..=LONGEST_REST).contains(&left)
    }

    pub(super) fn rest_until(&self, at: DateTime<Utc>) {
        self.rests_until.store(at.timestamp_millis(), Ordering::Release);
    }

    pub(super) fn put(&self, cached: Arc<Cached>) {
        *self.cached.write().unwrap_or_else(PoisonError::into_inner) = Some(cached);
    }
}

impl Cached {
    /// Bytes that were made now. Those known from before are shared if they are the same.
    pub(super) fn made(
        made: FeedText,
        last_modified_at: DateTime<Utc>,
        known: Option<&Self>,
        now: DateTime<Utc>,
    ) -> Self {
        let same = known.filter(|known| known.content.digest == made.digest);
        let body = same.map_or_else(|| Bytes::from(made.body), |known| known.content.body.clone());
        let holds_until = made.holds_until.map_or(i64::MAX, |at| at.timestamp_millis());
        Self {
            content: Content::new(body, made.digest, last_modified_at),
            left_out: made.left_out,
            made_at: now.timestamp_millis(),
            position: made.position,
            members: made.members,
            fresh_until: AtomicI64::new(holds_until),
        }
    }

    /// The last good bytes, of an earlier run.
    pub(super) fn kept(kept: Rendition) -> Self {
        Self {
            content: Content::new(Bytes::from(kept.body), kept.digest, kept.last_modified_at),
            left_out: kept.left_out,
            made_at: i64::MIN,
            position: i64::MIN,
            members: Members::default(),
            fresh_until: AtomicI64::new(i64::MIN),
        }
    }

    /// Has them made anew at the next request.
    pub(super) fn outdate(&self) {
        self.fresh_until.store(i64::MIN, Ordering::Release);
    }

    /// A meeting changed: they must be made anew if they show it, or now would, or when it comes into the window; and if it may
    /// be one of those that were counted because they did not fit.
    pub(super) fn note(&self, change: &ChangedMeeting, feed: &Feed, now: DateTime<Utc>) {
        if change.position <= self.position {
            return;
        }
        if self.members.contain(&change.id) {
            return self.outdate();
        }
        let Some(meeting) = &change.meeting else {
            // It may be one of those that were counted.
            if self.left_out.meetings > 0 {
                self.outdate();
            }
            return;
        };
        // Nothing that is told of for the first time was counted.
        let may_be_counted = self.left_out.meetings > 0 && meeting.revision > 0;
        match feed.wish.rule().check(meeting, now) {
            Ok(()) => self.outdate(),
            Err(Absence::Past | Absence::CanceledLongAgo | Absence::Ahead { .. }) if may_be_counted => self.outdate(),
            Err(Absence::Ahead { until }) => {
                self.fresh_until.fetch_min(until.timestamp_millis(), Ordering::AcqRel);
            }
            Err(Absence::NotSelected(_) | Absence::Past | Absence::CanceledLongAgo | Absence::Forgotten) => {}
        }
    }
}
