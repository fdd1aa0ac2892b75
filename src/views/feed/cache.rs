//! Feeds ready to be served. A request is answered from here without touching the database; the bytes are made anew when
//! something in that feed changed, by the next request that asks for it. A worker learns of changes from the database, so it
//! does not matter which process made them.
//!
//! An error never empties a feed: when it can't be rendered, its last good bytes are served (facts: ICS subscribers 14).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::FromRef;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use super::fetches::Fetches;
use super::render::{self, Fault};
use super::slot::{Cached, Slot};
use super::token::FeedTokenError;
use crate::store::{Positions, StoreError};
use crate::web::links::Links;
use crate::web::site::Site;

/// How often the database is asked for changes unasked: another process may have made some.
const POLL: Duration = Duration::from_millis(100);
/// The pause after the database could not be used.
const PAUSE: Duration = Duration::from_secs(1);
/// How often counted fetches are added to the database.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// A feed that takes longer than this to render counts as failed.
const RENDER_WITHIN: Duration = Duration::from_secs(5);
/// A feed that failed is not tried again for so long; its last good bytes are served meanwhile.
const RETRY_AFTER: TimeDelta = TimeDelta::seconds(5);
/// With more changed meetings at once than this, every feed counts as changed.
const MOST_CHANGES: u32 = 1000;

/// Every feed, ready to be served.
#[derive(Debug, Clone)]
pub struct FeedCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    site: Site,
    /// By public id.
    slots: RwLock<HashMap<String, Arc<Slot>>>,
    /// How far the database's changes are known here.
    seen: Mutex<Option<Positions>>,
    /// Told when meetings may have changed.
    changed: Arc<Notify>,
    fetches: Fetches,
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
        let (slots, seen, fetches) = (RwLock::default(), Mutex::default(), Fetches::default());
        let (renders, faults) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Inner { site, slots, seen, changed, fetches, renders, faults }))
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
        let slots = self.0.slots.read().unwrap_or_else(PoisonError::into_inner);
        let octets = slots.values().filter_map(|slot| slot.cached()).map(|cached| cached.content.body.len()).sum();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheCounts { renders: count(&self.0.renders), faults: count(&self.0.faults), octets }
    }

    /// Learns of changes until `stop`, and keeps the count of fetches.
    pub async fn run(self, stop: CancellationToken) {
        let clock = &self.0.site.clock;
        let mut flushed_at = clock.monotonic();
        loop {
            let mut pause = POLL;
            if let Err(error) = self.catch_up().await {
                tracing::error!(%error, cause = ?error, "changes of feeds and meetings could not be read; trying again");
                pause = PAUSE;
            }
            if clock.monotonic().saturating_sub(flushed_at) >= FLUSH_EVERY {
                flushed_at = clock.monotonic();
                self.flush().await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.0.changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.flush().await;
    }

    /// Adds the counted fetches to the database.
    pub async fn flush(&self) {
        let site = &self.0.site;
        if let Err(error) = self.0.fetches.flush(&site.store, site.clock.now()).await {
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
        if seen.is_none_or(|seen| seen.feeds != now.feeds) {
            self.reload().await?;
        }
        // At the first look nothing is cached yet.
        if let Some(seen) = *seen
            && seen.meetings < now.meetings
        {
            let slots = self.slots();
            now.meetings = now.meetings.max(self.note_changes(slots.iter().map(Arc::as_ref), seen.meetings).await?);
        }
        *seen = Some(now);
        Ok(())
    }

    async fn reload(&self) -> Result<(), StoreError> {
        let feeds = self.0.site.store.feeds().await?;
        let mut slots = self.0.slots.write().unwrap_or_else(PoisonError::into_inner);
        let mut known = std::mem::take(&mut *slots);
        *slots = feeds
            .into_iter()
            .map(|feed| {
                let old = known.remove(&feed.wish.public_id);
                (feed.wish.public_id.clone(), Slot::renewed(feed, old, &self.0.site.links))
            })
            .collect();
        Ok(())
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.0.slots.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Tells these slots of the meetings that changed after a position. Returns how far that goes.
    async fn note_changes(&self, slots: impl Iterator<Item = &Slot> + Send, after: i64) -> Result<i64, StoreError> {
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
        for slot in slots {
            let Some(cached) = slot.cached() else { continue };
            match &changed {
                Some(changed) => changed.iter().for_each(|change| cached.note(change, &slot.feed, now)),
                None => cached.outdate(),
            }
        }
        Ok(changed.and_then(|changed| changed.last().map(|change| change.position)).unwrap_or(after))
    }

    /// The slot whose present link carries `token`.
    pub(in crate::views) async fn by_token(&self, token: &str) -> Result<Arc<Slot>, FeedTokenError> {
        let public_id = Links::public_id(token).ok_or(FeedTokenError::Unknown)?;
        let find = || self.0.slots.read().unwrap_or_else(PoisonError::into_inner).get(public_id).cloned();
        let mut slot = find();
        if slot.is_none() {
            // It may have been added a moment ago.
            self.catch_up().await?;
            slot = find();
        }
        let slot = slot.ok_or(FeedTokenError::Unknown)?;
        slot.check(token, &self.0.site.links)?;
        Ok(slot)
    }

    /// The feed as it is now, or its last good bytes when it can't be made.
    pub(in crate::views) async fn current(&self, slot: &Slot) -> Result<Arc<Cached>, Fault> {
        let now = self.0.site.clock.now();
        if let Some(cached) = slot.fresh(now) {
            return Ok(cached);
        }
        // One request makes it; the others wait for that.
        let mut retry_at = slot.making.lock().await;
        if let Some(cached) = slot.fresh(now) {
            return Ok(cached);
        }
        if retry_at.is_some_and(|at| now < at && at - now <= RETRY_AFTER) {
            return self.last_good(slot).await.ok_or(Fault::Again);
        }
        match self.make(slot, now).await {
            Ok(cached) => {
                *retry_at = None;
                Ok(cached)
            }
            Err(Fault::Outdated) => Err(Fault::Outdated),
            Err(fault) => {
                *retry_at = Some(now + RETRY_AFTER);
                self.0.faults.fetch_add(1, Ordering::Relaxed);
                tracing::error!(feed_id = slot.feed.id, error = %fault, cause = ?fault, "a feed could not be made");
                self.last_good(slot).await.ok_or(fault)
            }
        }
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

    async fn make(&self, slot: &Slot, now: DateTime<Utc>) -> Result<Arc<Cached>, Fault> {
        let made =
            tokio::time::timeout(RENDER_WITHIN, self.try_make(slot, now)).await.unwrap_or(Err(Fault::TooSlow))?;
        self.0.renders.fetch_add(1, Ordering::Relaxed);
        Ok(made)
    }

    async fn try_make(&self, slot: &Slot, now: DateTime<Utc>) -> Result<Arc<Cached>, Fault> {
        let site = &self.0.site;
        let rendered = render::render(&site.store, &site.installation_id, &slot.feed, now).await?;
        let known = match slot.cached() {
            Some(cached) => Some(cached),
            None => self.kept(slot).await?,
        };
        let last_modified_at = match &known {
            Some(known) if known.content.digest == rendered.digest && known.left_out == rendered.text.left_out => {
                known.content.last_modified_at
            }
            _ => {
                let rendition = rendered.rendition(now);
                let mut tx = site.store.write().await?;
                let at = tx.keep_rendition(&slot.feed, &rendition).await?.ok_or(Fault::Outdated)?;
                tx.commit().await?;
                at
            }
        };
        let seen = self.0.seen.lock().await;
        let cached = Arc::new(Cached::made(rendered, last_modified_at, known.as_deref()));
        slot.put(cached.clone());
        // What changed between the look at the meetings and now was told to the bytes that were here before.
        if seen.is_some_and(|seen| cached.position < seen.meetings)
            && let Err(error) = self.note_changes(std::iter::once(slot), cached.position).await
        {
            cached.outdate();
            return Err(error.into());
        }
        Ok(cached)
    }
}
