//! Feeds ready to be served. A request is answered from here without touching the database; the bytes are made anew when
//! something in that feed changed, by the next request that asks for it. A worker learns of changes from the database, so it
//! does not matter which process made them.
//!
//! An error never empties a feed: when it can't be rendered, its last good bytes are served (facts: ICS subscribers 14).

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use axum::extract::FromRef;
use chrono::TimeDelta;
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::fetches::Fetches;
use super::render::{self, Fault};
use super::slot::{Cached, Slot};
use super::text;
use super::token::FeedTokenError;
use crate::clock::{DirectLimiter, direct_limiter};
use crate::lifecycle::Pulse;
use crate::meeting::event::MeetingId;
use crate::meeting::state::whole_seconds;
use crate::store::{Feed, Positions, Rendition, StoreError, UnreadFeed};
use crate::web::links::Links;
use crate::web::site::Site;

/// How often the database is asked for changes unasked: another process may have made some.
const POLL: Duration = Duration::from_millis(100);
/// The pause after the database could not be used.
const PAUSE: Duration = Duration::from_secs(1);
/// A round takes at most this long: reading every feed and a thousand changes.
pub const ROUND: Duration = Duration::from_mins(1);
/// How often counted fetches are added to the database.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// Nobody waits longer than this for a feed to be made; its last good bytes are served, and it is made all the same.
const WAIT_FOR: Duration = Duration::from_secs(5);
/// A feed that failed is not tried again for so long; its last good bytes are served meanwhile.
const RETRY_AFTER: TimeDelta = TimeDelta::seconds(5);
/// How often a second a link that nobody knows is looked up.
const LOOKS: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// So many feeds read their meetings at once, at most: the connections that read are few, and others need them, too.
const READ_AT_ONCE: usize = 2;
/// With more changed meetings at once than this, every feed counts as changed.
const MOST_CHANGES: u32 = 1000;

/// Every feed, ready to be served.
#[derive(Debug, Clone)]
pub struct FeedCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    site: Site,
    /// By public id. None = what the database has of that feed can't be read, and never could since the start.
    slots: RwLock<HashMap<String, Option<Arc<Slot>>>>,
    /// How far the database's changes are known here.
    seen: Mutex<Option<Positions>>,
    /// Whether the feeds were read once.
    is_loaded: AtomicBool,
    /// Told when meetings may have changed.
    changed: Arc<Notify>,
    fetches: Fetches,
    looks: DirectLimiter,
    readers: Semaphore,
    renders: AtomicU64,
    faults: AtomicU64,
}

/// What the cache did since the server started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheCounts {
    /// Feeds made anew.
    pub renders: u64,
    /// Feeds that could not be made.
    pub faults: u64,
    /// Octets of all that are ready.
    pub octets: usize,
}

impl FromRef<FeedCache> for Site {
    fn from_ref(cache: &FeedCache) -> Self {
        cache.0.site.clone()
    }
}

impl FeedCache {
    /// An empty cache. `changed` wakes its worker.
    pub fn new(site: Site, changed: Arc<Notify>) -> Self {
        Self(Arc::new(Inner {
            looks: direct_limiter(governor::Quota::per_second(LOOKS), &site.clock),
            site,
            slots: RwLock::default(),
            seen: Mutex::default(),
            is_loaded: AtomicBool::new(false),
            changed,
            fetches: Fetches::default(),
            readers: Semaphore::new(READ_AT_ONCE),
            renders: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        }))
    }

    /// What the site serves.
    pub(in crate::views) fn site(&self) -> &Site {
        &self.0.site
    }

    /// Who fetches what.
    pub(super) fn fetches(&self) -> &Fetches {
        &self.0.fetches
    }

    /// What it did.
    pub fn counts(&self) -> CacheCounts {
        let octets = self
            .read_slots()
            .values()
            .flatten()
            .filter_map(|slot| slot.cached())
            .map(|cached| cached.content.body.len())
            .sum();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheCounts { renders: count(&self.0.renders), faults: count(&self.0.faults), octets }
    }

    /// Learns of changes until `stop`, and keeps the count of fetches.
    pub async fn run(self, pulse: Pulse, stop: CancellationToken) {
        // Two loops: writing waits for whoever else writes, learning of changes must not.
        tokio::join!(self.learn(&pulse, &stop), self.write_fetches(&stop));
        self.flush().await;
    }

    async fn learn(&self, pulse: &Pulse, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            pulse.beat();
            let learned = self.catch_up().await;
            if let Err(error) = &learned {
                tracing::error!(%error, cause = ?error, "changes of feeds and meetings could not be read; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.0.changed.notified(), if learned.is_ok() => {}
                () = tokio::time::sleep(if learned.is_ok() { POLL } else { PAUSE }) => {}
            }
        }
    }

    async fn write_fetches(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            self.flush().await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(FLUSH_EVERY) => {}
            }
        }
    }

    /// Adds the counted fetches to the database.
    pub async fn flush(&self) {
        let site = &self.0.site;
        if let Err(error) = self.0.fetches.flush(&site.store).await {
            tracing::warn!(%error, cause = ?error, "who fetched feeds could not be written down; trying again later");
        }
    }

    /// Learns of every change up to now.
    ///
    /// # Errors
    /// When the database can't be read; what was not learned is asked for again.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        let store = &self.0.site.store;
        let mut seen = self.0.seen.lock().await;
        let mut now = store.positions().await?;
        let are_new = seen.is_none_or(|seen| seen.feeds != now.feeds);
        let reloaded = if are_new { self.reload().await } else { Ok(()) };
        if reloaded.is_err() {
            // Changes of meetings still reach the feeds that are known.
            let Some(before) = *seen else { return reloaded };
            now.feeds = before.feeds;
        }
        // At the first look nothing is cached yet.
        if let Some(before) = *seen
            && before.meetings < now.meetings
        {
            let slots: Vec<Arc<Slot>> = self.read_slots().values().flatten().cloned().collect();
            let cached = slots.iter().filter_map(|slot| Some((&slot.feed, slot.cached()?)));
            now.meetings = now.meetings.max(self.note_changes(cached, before.meetings).await?);
        }
        *seen = Some(now);
        self.0.is_loaded.store(true, Ordering::Release);
        reloaded
    }

    async fn reload(&self) -> Result<(), StoreError> {
        let feeds = self.0.site.store.feeds_one_by_one().await?;
        let mut slots = self.0.slots.write().unwrap_or_else(PoisonError::into_inner);
        let mut known = std::mem::take(&mut *slots);
        *slots = feeds
            .into_iter()
            .map(|feed| match feed {
                Ok(feed) => {
                    let public_id = feed.wish.public_id.clone();
                    let old = known.remove(&public_id).flatten();
                    (public_id, Some(Slot::renewed(feed, old, &self.0.site.links)))
                }
                Err(unread) => {
                    let UnreadFeed { public_id, error, .. } = *unread;
                    tracing::error!(%error, public_id, "a feed's settings can't be read; it stays as it was known");
                    let old = known.remove(&public_id).flatten();
                    (public_id, old)
                }
            })
            .collect();
        Ok(())
    }

    fn read_slots(&self) -> RwLockReadGuard<'_, HashMap<String, Option<Arc<Slot>>>> {
        self.0.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells bytes of the meetings that changed after a position. Returns how far that goes.
    async fn note_changes(
        &self,
        cached: impl Iterator<Item = (&Feed, Arc<Cached>)> + Send,
        after: i64,
    ) -> Result<i64, StoreError> {
        let now = self.0.site.clock.now();
        let changed = match self.0.site.store.changed_meetings(after, MOST_CHANGES).await {
            Err(error) if error.is_unavailable() => return Err(error),
            Err(error) => {
                // A row that can't be read: whoever needs it will say so.
                tracing::error!(%error, cause = ?error, "a changed meeting could not be read; every feed is made anew");
                None
            }
            Ok(changed) if changed.len() >= MOST_CHANGES as usize => None,
            Ok(changed) => Some(changed),
        };
        for (feed, cached) in cached {
            match &changed {
                Some(changed) => changed.iter().for_each(|change| cached.note(change, feed, now)),
                None => cached.outdate(),
            }
        }
        Ok(changed.and_then(|changed| changed.last().map(|change| change.position)).unwrap_or(after))
    }

    /// The slot whose present link carries `token`.
    pub(in crate::views) async fn by_token(&self, token: &str) -> Result<Arc<Slot>, FeedTokenError> {
        let known = self.find(token);
        if !matches!(known, Err(FeedTokenError::Unknown)) {
            return known;
        }
        // The link may have been made a moment ago. How often that is looked up does not depend on who guesses links.
        if self.0.is_loaded.load(Ordering::Acquire) && self.0.looks.check().is_err() {
            return known;
        }
        match self.catch_up().await {
            Err(error) if !self.knows(token) => Err(error.into()),
            _ => self.find(token),
        }
    }

    fn find(&self, token: &str) -> Result<Arc<Slot>, FeedTokenError> {
        let slot = Links::public_id(token).and_then(|id| self.read_slots().get(id).cloned());
        let slot = slot.ok_or(FeedTokenError::Unknown)?.ok_or(FeedTokenError::Unreadable)?;
        slot.check(token, &self.0.site.links)?;
        Ok(slot)
    }

    /// Whether the feed that the token names is known, whoever made the token.
    fn knows(&self, token: &str) -> bool {
        Links::public_id(token).is_some_and(|id| self.read_slots().contains_key(id))
    }

    /// The feed as it is now, or its last good bytes when it can't be made.
    pub(in crate::views) async fn current(&self, slot: &Arc<Slot>) -> Result<Arc<Cached>, Fault> {
        self.current_within(WAIT_FOR, slot).await
    }

    async fn current_within(&self, wait: Duration, slot: &Arc<Slot>) -> Result<Arc<Cached>, Fault> {
        let now = self.0.site.clock.now();
        if let Some(cached) = slot.fresh(now) {
            return Ok(cached);
        }
        // In a task of its own: it is finished also when whoever asked does not wait.
        let (cache, its) = (self.clone(), slot.clone());
        let making = tokio::spawn(async move { cache.make(&its).await });
        let made = match tokio::time::timeout(wait, making).await {
            Ok(Ok(made)) => made,
            Ok(Err(_)) => Err(self.failed(slot, Fault::Panicked)),
            // It may yet be made, so it does not rest.
            Err(_) => Err(self.tell(slot, Fault::TooSlow)),
        };
        let answer = match made {
            Ok(_) | Err(Fault::Outdated) => made,
            Err(fault) => self.last_good(slot).await.ok_or(fault),
        };
        // While it was waited for, the feed may have been edited or its link ended.
        let is_latest =
            matches!(self.read_slots().get(&slot.feed.wish.public_id), Some(Some(now)) if Arc::ptr_eq(now, slot));
        if is_latest { answer } else { Err(Fault::Outdated) }
    }

    /// Whether a feed shows a meeting now; none when that can't be told.
    pub(in crate::views) async fn shows(&self, feed: &Feed, id: &MeetingId) -> Option<bool> {
        let slot = self.read_slots().get(&feed.wish.public_id).cloned().flatten()?;
        let uid = text::uid(&self.0.site.installation_id, id);
        let body = self.current(&slot).await.ok()?.content.body.clone();
        Some(body.windows(uid.len()).any(|octets| octets == uid.as_bytes()))
    }

    /// Makes the feed anew, unless another request did so meanwhile or failed a moment ago.
    async fn make(&self, slot: &Slot) -> Result<Arc<Cached>, Fault> {
        let _turn = slot.making.lock().await;
        let now = self.0.site.clock.now();
        if let Some(cached) = slot.fresh(now) {
            return Ok(cached);
        }
        if slot.rests(now) {
            return Err(Fault::Again);
        }
        match self.try_make(slot).await {
            Ok(cached) => {
                self.0.renders.fetch_add(1, Ordering::Relaxed);
                Ok(cached)
            }
            Err(Fault::Outdated) => Err(Fault::Outdated),
            Err(fault) => Err(self.failed(slot, fault)),
        }
    }

    /// Tells of a failure, once, and lets the feed rest.
    fn failed(&self, slot: &Slot, fault: Fault) -> Fault {
        slot.rest_until(self.0.site.clock.now() + RETRY_AFTER);
        self.tell(slot, fault)
    }

    fn tell(&self, slot: &Slot, fault: Fault) -> Fault {
        self.0.faults.fetch_add(1, Ordering::Relaxed);
        tracing::error!(feed_id = slot.feed.id, error = %fault, cause = ?fault, "a feed could not be made");
        fault
    }

    async fn try_make(&self, slot: &Slot) -> Result<Arc<Cached>, Fault> {
        let site = &self.0.site;
        // Nobody closes it.
        let turn = self.0.readers.acquire().await;
        let now = site.clock.now();
        let made = render::render(&site.store, &site.installation_id, &slot.feed, now).await?;
        drop(turn);
        let known = match slot.cached() {
            Some(cached) => Some(cached),
            None => self.kept(slot).await?,
        };
        let last_modified_at = match &known {
            Some(known) if known.content.digest == made.digest && known.left_out == made.left_out => {
                known.content.last_modified_at
            }
            _ => {
                let rendition = Rendition {
                    body: made.body.clone(),
                    digest: made.digest.clone(),
                    last_modified_at: whole_seconds(now),
                    left_out: made.left_out,
                };
                let mut tx = site.store.write().await?;
                let at = tx.keep_rendition(&slot.feed, &rendition).await?.ok_or(Fault::Outdated)?;
                tx.commit().await?;
                at
            }
        };
        let cached = Arc::new(Cached::made(made, last_modified_at, known.as_deref(), now));
        // What changed since the look at the meetings was told to the bytes that are still here. Nothing is awaited between
        // telling the new ones and putting them here.
        let seen = self.0.seen.lock().await;
        if seen.is_some_and(|seen| cached.position < seen.meetings) {
            self.note_changes([(&slot.feed, cached.clone())].into_iter(), cached.position).await?;
        }
        slot.put(cached.clone());
        Ok(cached)
    }

    async fn last_good(&self, slot: &Slot) -> Option<Arc<Cached>> {
        match slot.cached() {
            Some(cached) => Some(cached),
            None => self.kept(slot).await.ok().flatten(),
        }
    }

    /// What an earlier run of the program left.
    async fn kept(&self, slot: &Slot) -> Result<Option<Arc<Cached>>, StoreError> {
        Ok(self.0.site.store.rendition(slot.feed.id).await?.map(|kept| Arc::new(Cached::kept(kept))))
    }
}

#[cfg(test)]
mod tests;
