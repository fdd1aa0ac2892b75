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
    /// Others, which can't be read.
    pub(super) unread_feeds: i64,
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
        let (feeds, unread): (Vec<_>, Vec<_>) = store.feeds_in_use().await?.into_iter().partition(Result::is_ok);
        let read: Vec<i64> = feeds.iter().flatten().map(|feed| feed.id).collect();
        let fetched = store.fetch_summary(times.now()).await?;
        let number = fetched.days.values().map(|number| i64::from(*number)).sum();
        let facts = store.rendition_facts().await?;
        let cut = facts.iter().filter(|facts| facts.left_out.meetings > 0 && read.contains(&facts.feed_id)).count();
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
            feeds: read.len(),
            unread_feeds: i64::try_from(unread.len()).unwrap_or(i64::MAX),
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

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use axum::http::StatusCode;
    use chrono::TimeDelta;

    #[tokio::test]
    async fn what_is_wrong_with_feeds_and_the_log_is_told_first_and_holds_up_no_page() {
        let mut stage = Stage::new().await;
        stage.site.audit_sent_to = Some("logs.example.com".to_owned());
        stage.meeting("m-1", 24).await;
        stage.feed("Team").await;
        stage.feed("Broken <b>").await;
        stage.site.store.tamper(&["UPDATE feeds SET selection = '?' WHERE id = 2"]).await;
        let mut tx = stage.site.store.write().await.unwrap();
        tx.begin_audit_push(&[7; 32], &[7; 32], stage.now()).await.unwrap();
        tx.audit_push_failed("The answer was 403", stage.now() + TimeDelta::minutes(15), stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        let mut admin = stage.admin().await;
        let page = admin.get("/status").await;
        page.assert_shows(&[
            "1 feed can't be read.",
            "The audit log can't be sent on to logs.example.com: The answer was 403.",
            "href=\"/feeds\">1 feed</a>",
        ]);
        page.assert_hides(&["Everything is in step", "Every delivery is applied"]);
        let page = admin.get("/meetings/m-1").await;
        page.assert_shows(&["1 of 2 feeds", "Broken &#60;b&#62;", "Not readable"]);
        let metrics = admin.get("/metrics").await;
        assert_eq!(metrics.status, StatusCode::OK);
        metrics.assert_shows(&["feeds 2"]);
    }
}
