//! The lower part of the status page: feeds, the audit log and what is stored.

use super::day_bars::DayBars;
use super::error::PageError;
use super::feed::FeedCache;
use super::sent_on::SentOn;
use super::time_text::{Moment, Times};
use super::words::{count, octets};
use crate::store::{AuditVerified, BackupMade, TOLD_DAYS};
use crate::web::site::Site;

/// How it all is kept.
pub(super) struct Keeping {
    /// Feeds in use.
    pub(super) feeds: usize,
    /// Fetches by day; none when there were none.
    pub(super) fetches: Option<DayBars>,
    /// "1,204 fetches in 14 days".
    pub(super) fetched: String,
    /// Latest fetch.
    pub(super) last_fetch: Option<Moment>,
    /// How many feeds are too large; none when all have room.
    pub(super) cut_feeds: Option<String>,
    /// What else is wrong with feeds, each in a sentence.
    pub(super) feed_troubles: Vec<String>,
    /// Latest entry of the audit log, with its number.
    pub(super) last_entry: Option<(i64, String, Moment)>,
    /// What the last verification of the audit log found.
    pub(super) verified: Option<(AuditVerified, Moment)>,
    /// How sending it on stands; none when it is not sent on.
    pub(super) sent_on: Option<SentOn>,
    /// "12.4 MB".
    pub(super) database: String,
    /// Arrival of the oldest delivery whose body is kept.
    pub(super) oldest_body: Option<Moment>,
    /// The last backup.
    pub(super) backup: Option<(BackupMade, Moment)>,
}

impl Keeping {
    /// As it is now.
    pub(super) async fn of(site: &Site, cache: &FeedCache, times: &Times) -> Result<Self, PageError> {
        let store = &site.store;
        let feeds: Vec<i64> =
            store.feeds().await?.iter().filter(|feed| feed.revoked_at.is_none()).map(|feed| feed.id).collect();
        let fetched = store.fetch_summary(times.now()).await?;
        let number = fetched.days.values().map(|number| i64::from(*number)).sum();
        let facts = store.rendition_facts().await?;
        let cut = facts.iter().filter(|facts| facts.left_out.meetings > 0 && feeds.contains(&facts.feed_id)).count();
        let faults = i64::try_from(cache.counts().faults).unwrap_or(i64::MAX);
        let mut feed_troubles = Vec::new();
        let cut = i64::try_from(cut).unwrap_or(i64::MAX);
        if fetched.failed > 0 {
            let failed = count(fetched.failed.into(), "fetch", "fetches");
            feed_troubles.push(format!("{failed} of the last day could not be answered."));
        }
        if faults > 0 {
            let times = count(faults, "time", "times");
            feed_troubles
                .push(format!("A feed could not be made {times} since the start; its last good content was served."));
        }
        let entry = store.audit_newest(1).await?.pop();
        let storage = store.storage().await?;
        Ok(Self {
            feeds: feeds.len(),
            fetches: (number > 0).then(|| DayBars::new("Fetches", &fetched.days, times.now())),
            fetched: format!("{} in {TOLD_DAYS} days", count(number, "fetch", "fetches")),
            last_fetch: fetched.last_at.map(|at| times.at(at)),
            cut_feeds: (cut > 0).then(|| count(cut, "feed is too large", "feeds are too large")),
            feed_troubles,
            last_entry: entry.map(|link| (link.seq, link.entry.summary, times.at(link.entry.recorded_at))),
            verified: store.audit_verified().await?.map(|found| {
                let at = times.at(found.at);
                (found, at)
            }),
            sent_on: SentOn::of(site, times).await?,
            database: octets(storage.octets),
            oldest_body: storage.oldest_body_at.map(|at| times.at(at)),
            backup: store.last_backup().await?.map(|made| {
                let at = times.at(made.at);
                (made, at)
            }),
        })
    }
}
