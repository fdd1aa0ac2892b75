//! All that the service's health is judged by, read at once: the status page, the metrics and the alerts go by the same.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    AuditVerified, BackupMade, Calendar, DeliveryStatus, Feed, HeldChange, InboxCounts, MirrorCounts, RenditionFacts,
    Storage, Store, StoreError, UnreadCalendar,
};
use crate::health::condition::{CalendarFacts, Facts};
use crate::health::rhythm::longest_pause;

/// Days of arrivals that are read: what is usual needs four weeks.
pub const ARRIVAL_DAYS: i64 = 30;

/// What the service's health is judged by.
#[derive(Debug)]
pub struct Reading {
    /// When it was read.
    pub now: DateTime<Utc>,
    /// Deliveries.
    pub inbox: InboxCounts,
    /// Latest arrival of a delivery.
    pub last_delivery_at: Option<DateTime<Utc>>,
    /// Arrivals by hours since 1970-01-01 UTC, of [`ARRIVAL_DAYS`] before the last one.
    pub arrivals: BTreeMap<i64, u32>,
    /// When a silence began that was unusual, in these days.
    pub silences: Vec<DateTime<Utc>>,
    /// Calendars in use.
    pub calendars: Vec<Calendar>,
    /// Others, which can't be read.
    pub unread_calendars: Vec<UnreadCalendar>,
    /// Mirror work by calendar.
    pub mirror: Vec<MirrorCounts>,
    /// Changes of calendars that wait for an admin's approval.
    pub held: Vec<HeldChange>,
    /// Feeds in use.
    pub feeds: Vec<Feed>,
    /// Others, which can't be read.
    pub unread_feeds: i64,
    /// Bytes of feeds that are kept, also of some that were revoked.
    pub renditions: Vec<RenditionFacts>,
    /// What the audit log's last verification found.
    pub audit: Option<AuditVerified>,
    /// The last backup that counts.
    pub backup: Option<BackupMade>,
    /// Since when they are to be made on a schedule.
    pub backups_since: Option<DateTime<Utc>>,
    /// What is stored, and where.
    pub storage: Storage,
}

impl Store {
    /// Reads it.
    ///
    /// # Errors
    /// When something of it can't be read.
    pub async fn reading(&self, now: DateTime<Utc>) -> Result<Reading, StoreError> {
        let (feeds, unread): (Vec<_>, Vec<_>) = self.feeds_in_use().await?.into_iter().partition(Result::is_ok);
        let last_delivery_at = self.last_arrival(now).await?;
        // However long nothing has come, what was usual before is known.
        let since = last_delivery_at.unwrap_or(now) - TimeDelta::days(ARRIVAL_DAYS);
        Ok(Reading {
            now,
            inbox: self.inbox_counts().await?,
            last_delivery_at,
            arrivals: self.arrivals(since, now).await?,
            silences: self.silences(since).await?,
            calendars: self.calendars().await?,
            unread_calendars: self.unread_calendars().await?,
            mirror: self.mirror_counts(now).await?,
            held: self.held_changes().await?,
            feeds: feeds.into_iter().flatten().collect(),
            unread_feeds: i64::try_from(unread.len()).unwrap_or(i64::MAX),
            renditions: self.rendition_facts().await?,
            audit: self.audit_verified().await?,
            backup: self.backup_that_counts().await?,
            backups_since: self.backups_since().await?,
            storage: self.storage().await?,
        })
    }
}

impl Reading {
    /// Mirror work of a calendar.
    pub fn mirror_of(&self, calendar_id: i64) -> MirrorCounts {
        self.mirror.iter().find(|counts| counts.calendar_id == calendar_id).cloned().unwrap_or_default()
    }

    /// How long deliveries usually stay away, at most; none when too few have come to say.
    pub fn usual_pause(&self) -> Option<TimeDelta> {
        longest_pause(&self.arrivals, &self.silences, self.last_delivery_at?)
    }

    /// Feeds in use that leave meetings out.
    pub fn cut_feeds(&self) -> i64 {
        let is_used = |id| self.feeds.iter().any(|feed| feed.id == id);
        let cut = self.renditions.iter().filter(|facts| facts.left_out.meetings > 0 && is_used(facts.feed_id));
        i64::try_from(cut.count()).unwrap_or(i64::MAX)
    }

    /// What is judged. Without a mirror calendars don't matter.
    pub fn facts(&self, mirror_is_on: bool) -> Facts<'_> {
        let calendars = self.calendars.iter().filter(|_| mirror_is_on).map(|calendar| {
            let counts = self.mirror_of(calendar.id);
            let held = self.held.iter().filter(|change| change.calendar_id == calendar.id);
            CalendarFacts {
                id: calendar.id,
                name: &calendar.wish.name,
                has_problem: calendar.needs_person().is_some(),
                refused: counts.rejected,
                deletions: held.map(|change| change.deletions).sum(),
                waiting: counts.pending + counts.failing,
                waits_since: counts.waits_since,
            }
        });
        let unread = self.unread_calendars.iter().filter(|_| mirror_is_on).map(|calendar| CalendarFacts {
            id: calendar.id,
            name: &calendar.name,
            has_problem: true,
            ..CalendarFacts::default()
        });
        Facts {
            now: self.now,
            last_delivery_at: self.last_delivery_at,
            usual_pause: self.usual_pause(),
            quarantined: self.inbox.of(DeliveryStatus::Quarantined),
            calendars: calendars.chain(unread).collect(),
            cut_feeds: self.cut_feeds(),
            room: self.storage.room,
            audit_broken: self.audit.as_ref().and_then(|found| found.broken.as_deref()),
            last_backup_at: self.backup.as_ref().map(|made| made.at),
            backups_since: self.backups_since,
        }
    }
}
