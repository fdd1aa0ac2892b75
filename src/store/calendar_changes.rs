//! What an admin does with a calendar, on a page or on the command line: each deed is one transaction, with its entry in the
//! audit log. Editing and deciding are in `held_changes`.

use chrono::{DateTime, Utc};

use super::{Calendar, JobKind, NewCalendar, Plan, Store, StoreError};

impl NewCalendar {
    /// Google's id of a calendar, as somebody typed it.
    ///
    /// # Errors
    /// What to do instead, for whoever typed it.
    pub fn google_id(text: &str) -> Result<String, String> {
        let text = text.trim();
        let dots = text.chars().all(|c| c == '.');
        if dots || text.len() > 254 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(
                "copy it from the calendar's settings in Google Calendar; it looks like an e-mail address".to_owned()
            );
        }
        let id = text.to_lowercase();
        if id == "primary" {
            return Err(
                "primary means another calendar for each account; use the calendar's real id: for a person's main calendar, \
                 their e-mail address"
                    .to_owned(),
            );
        }
        Ok(id)
    }

    /// How another wish differs, each as "detail full → busy".
    pub fn differences(&self, after: &Self) -> Vec<String> {
        let settings = |wish: &Self| {
            [
                ("name", format!("“{}”", wish.name)),
                ("meetings", wish.selection.to_string()),
                ("detail", wish.detail.as_str().to_owned()),
                ("past days", wish.window.past_days.to_string()),
                ("future days", wish.window.future_days.to_string()),
                ("canceled", wish.on_cancel.as_str().to_owned()),
                ("changed by hand", wish.on_drift.as_str().to_owned()),
            ]
        };
        let pairs = settings(self).into_iter().zip(settings(after));
        pairs.filter(|(a, b)| a != b).map(|((name, before), (_, after))| format!("{name} {before} → {after}")).collect()
    }
}

impl Calendar {
    /// The live calendar, among these, that mirrors into the same Google calendar under another id. Events of ours look alike
    /// there: purging would delete its events, too.
    pub fn mirrored_again<'a>(&self, live: &'a [Self]) -> Option<&'a Self> {
        live.iter().find(|live| live.id != self.id && live.wish.google_id.eq_ignore_ascii_case(&self.wish.google_id))
    }
}

impl Store {
    /// Adds a calendar; the mirror's worker plans it. Returns its row id.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name or the Google calendar is in use, [`StoreError::Busy`] while that one is being purged;
    /// otherwise when the database can't be written.
    pub async fn new_calendar(&self, new: &NewCalendar, actor: &str, now: DateTime<Utc>) -> Result<i64, StoreError> {
        let mut tx = self.write().await?;
        let id = tx.add_calendar(new, now).await?;
        let summary = format!("Added calendar “{}” ({}): {}", new.name, new.google_id, new.selection);
        tx.append_admin_action(actor, "calendar", summary, now).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Has what a calendar lacks added, all compared with what was written, and what failed tried again, at once. Returns how
    /// many failures are tried again.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while it is being purged; otherwise when the database can't be written.
    pub async fn resync_calendar(
        &self,
        calendar: &Calendar,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        if tx.open_job(calendar.id, now).await? == Some(JobKind::Purge) {
            return Err(StoreError::Busy("a purge of this calendar"));
        }
        let retried = tx.retry_failed(calendar.id, now).await?;
        tx.resume_calendar(calendar.id).await?;
        tx.check_calendar_at(calendar.id, now).await?;
        tx.ask_plan(calendar.id, Plan::Lacking).await?;
        let summary = format!("Asked to resync calendar “{}”", calendar.wish.name);
        tx.append_admin_action(actor, "calendar", summary, now).await?;
        tx.commit().await?;
        Ok(retried)
    }

    /// Has what failed tried again, since nothing stands in the way any more, and compared what could not be. Returns how much
    /// failed: nothing while the calendar is being purged.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn try_calendar_again(&self, calendar: &Calendar, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        if tx.open_job(calendar.id, now).await? == Some(JobKind::Purge) {
            return Ok(0);
        }
        tx.resume_calendar(calendar.id).await?;
        if calendar.unreached.is_some() {
            tx.check_calendar_at(calendar.id, now).await?;
        }
        let again = tx.retry_failed(calendar.id, now).await?;
        tx.commit().await?;
        Ok(again)
    }

    /// How many events of ours may stand in a calendar, by what was written.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn events_there(&self, calendar_id: i64) -> Result<i64, StoreError> {
        let there = sqlx::query_scalar!(
            "SELECT count(*) FROM mirror WHERE calendar_id = ? AND presence <> 'absent'",
            calendar_id
        )
        .fetch_one(&self.reader)
        .await?;
        Ok(there)
    }

    /// Ends mirroring into a calendar. What was written there stays, or with `purge` is deleted by a worker, also when a purge
    /// was asked for before.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when it should be purged while it is being checked, [`StoreError::Changed`] when it was removed before;
    /// otherwise when the database can't be written.
    pub async fn end_calendar(
        &self,
        calendar: &Calendar,
        purge: bool,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        if !tx.readable_calendars().await?.iter().any(|live| live.id == calendar.id) {
            return Err(StoreError::Changed("the calendar"));
        }
        let what = match (purge, tx.open_job(calendar.id, now).await?) {
            (false, _) => "",
            (true, Some(JobKind::Check)) => return Err(StoreError::Busy("a check of this calendar")),
            (true, Some(JobKind::Purge)) => ", with a purge",
            (true, None) => {
                tx.ask_job(calendar.id, JobKind::Purge, None, now).await?;
                ", with a purge"
            }
        };
        tx.remove_calendar(calendar.id, now).await?;
        let summary = format!("Removed calendar “{}”{what}", calendar.wish.name);
        tx.append_admin_action(actor, "calendar", summary, now).await?;
        tx.commit().await
    }
}
