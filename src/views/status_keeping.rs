//! The lower part of the status page: feeds, the audit log, what is stored, and who is told when something goes wrong.

use super::alerts::Alerts;
use super::day_bars::DayBars;
use super::error::PageError;
use super::feed::FeedCache;
use super::sent_on::SentOn;
use super::time_text::{Moment, Times};
use super::words::{count, octets};
use crate::config::KeepingSettings;
use crate::store::{AuditVerified, BackupFailed, BackupMade, Leaving, Reading, TOLD_DAYS};
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
    /// What is wrong for how long, and who is told.
    pub(super) alerts: Alerts,
    /// "12.4 MB".
    pub(super) database: String,
    /// The room on its disk.
    pub(super) room: Option<String>,
    /// Arrival of the oldest delivery whose body is kept.
    pub(super) oldest_body: Option<Moment>,
    /// For how long deliveries and meetings are kept.
    pub(super) kept_for: String,
    /// What is being forgotten, and what that waits for; empty when nothing is.
    pub(super) leaving: String,
    /// Whether backups are made on a schedule.
    pub(super) has_schedule: bool,
    /// The last backup that counts.
    pub(super) backup: Option<(BackupMade, Moment)>,
    /// How the last backup of the schedule failed; none when it did not, or there is no schedule.
    pub(super) backup_trouble: Option<String>,
}

impl Keeping {
    /// As it is now.
    pub(super) async fn of(
        site: &Site,
        reading: &Reading,
        cache: &FeedCache,
        times: &Times,
    ) -> Result<Self, PageError> {
        let store = &site.store;
        let fetched = store.fetch_summary(times.now()).await?;
        let number = fetched.days.values().map(|number| i64::from(*number)).sum();
        let faults = i64::try_from(cache.counts().faults).unwrap_or(i64::MAX);
        let mut feed_troubles = Vec::new();
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
        let (storage, cut) = (&reading.storage, reading.cut_feeds());
        Ok(Self {
            feeds: reading.feeds.len(),
            unread_feeds: reading.unread_feeds,
            fetches: (number > 0).then(|| DayBars::new("Fetches", &fetched.days, times.now())),
            fetched: format!("{} in {TOLD_DAYS} days", count(number, "fetch", "fetches")),
            last_fetch: fetched.last_at.map(|at| times.at(at)),
            cut_feeds: (cut > 0).then(|| count(cut, "feed is too large", "feeds are too large")),
            feed_troubles,
            last_entry: entry.map(|link| (link.seq, link.entry.summary, times.at(link.entry.recorded_at))),
            verified: reading.audit.clone().map(|found| {
                let at = times.at(found.at);
                (found, at)
            }),
            sent_on: SentOn::of(site, times).await?,
            alerts: Alerts::of(site, times).await?,
            database: octets(storage.octets),
            room: storage.room.map(|room| format!("{} of {} are free", octets(room.free), octets(room.total))),
            oldest_body: storage.oldest_body_at.map(|at| times.at(at)),
            kept_for: kept_for(&site.keeping),
            leaving: leaving(&store.leaving().await?, site.google.is_some(), times),
            backup_trouble: backup_trouble(site, store.backup_failed().await?, times),
            has_schedule: site.keeping.backup_dir.is_some(),
            backup: reading.backup.clone().map(|made| {
                let at = times.at(made.at);
                (made, at)
            }),
        })
    }
}

fn kept_for(keeping: &KeepingSettings) -> String {
    let days = |days: u32| count(days.into(), "day", "days");
    let meetings =
        keeping.keep_meetings_days.map_or("for ever".to_owned(), |kept| format!("{} after their end", days(kept)));
    format!("bodies of deliveries {}, meetings {meetings}", days(keeping.keep_bodies_days))
}

fn leaving(leaving: &Leaving, mirror_is_on: bool, times: &Times) -> String {
    let Some(since) = leaving.since else { return String::new() };
    let meetings = count(leaving.meetings, "meeting", "meetings");
    let events: i64 = leaving.events.iter().map(|(_, events)| events).sum();
    let since = times.at(since);
    let waits = match (events, mirror_is_on) {
        (0, _) => String::new(),
        (_, true) => format!("; {} must be deleted at Google first", count(events, "event", "events")),
        (_, false) => format!(
            "; {} must be deleted at Google first, and the mirror is off: start the server with --google-credentials",
            count(events, "event", "events")
        ),
    };
    format!("{meetings} since {}{waits}", since.text())
}

/// That one is overdue is told with everything else that is wrong.
fn backup_trouble(site: &Site, failed: Option<BackupFailed>, times: &Times) -> Option<String> {
    let failed = failed.filter(|_| site.keeping.backup_dir.is_some())?;
    Some(format!("The backup failed {}: {}", times.at(failed.at).relative(), failed.why))
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
        tx.begin_audit_push(&[7; 32], &[0; 32], stage.now()).await.unwrap();
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
