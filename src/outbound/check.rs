//! The check worker: on a schedule, or when asked, lists what a calendar holds of ours, compares it with the work rows, and
//! has differences put right by the mirror. Events of others are never listed, so never touched.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::drift::{Drift, compare};
use super::event_body::event_id;
use super::google::Google;
use super::mirror::{Mirror, POLL};
use super::purge;
use super::record::what_to_do;
use super::retry::Refusal;
use crate::meeting::mirroring::needs_approval;
use crate::store::{Calendar, CalendarCheck, HeldReason, OnDrift, Presence, StoreError};

/// A check that failed is tried again after this.
const TRY_AGAIN: TimeDelta = TimeDelta::minutes(15);

/// The check worker.
#[derive(Debug, Clone)]
pub struct Checker {
    /// Shares the mirror's tables and client.
    pub mirror: Mirror,
    /// Time between two checks of a calendar.
    pub every: TimeDelta,
}

impl Checker {
    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let pause = match self.check_due().await {
                Ok(_) => POLL,
                Err(error) => {
                    tracing::error!(%error, cause = ?error, "calendars could not be checked; trying again");
                    Duration::from_secs(10)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Checks every calendar whose time has come. Returns how many.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn check_due(&self) -> Result<usize, StoreError> {
        let now = self.mirror.clock.now();
        let due: Vec<Calendar> = self
            .mirror
            .store
            .calendars()
            .await?
            .into_iter()
            .filter(|calendar| calendar.next_check_at <= now && calendar.paused_until.is_none_or(|until| until <= now))
            .collect();
        for calendar in &due {
            self.check(calendar).await?;
        }
        Ok(due.len())
    }

    async fn check(&self, calendar: &Calendar) -> Result<(), StoreError> {
        let started_at = self.mirror.clock.now();
        let (google, _) = self.mirror.google.current().await;
        let checked = self.compare_and_mend(&google, calendar).await?;
        let finished_at = self.mirror.clock.now();
        let (drift, listed, outcome, next_at) = match checked {
            Ok((drift, listed, outcome)) => (drift, listed, outcome, finished_at + self.every),
            Err(refusal) => {
                let outcome = format!("not checked: {}", what_to_do(&refusal, calendar, google.account()));
                (Drift::default(), 0, outcome, finished_at + TRY_AGAIN.min(self.every))
            }
        };
        tracing::info!(calendar_id = calendar.id, listed, outcome, "checked a calendar");
        let count = |list: usize| u32::try_from(list).unwrap_or(u32::MAX);
        let check = CalendarCheck {
            calendar_id: calendar.id,
            started_at,
            finished_at,
            listed: count(listed),
            missing: count(drift.missing.len()),
            edited: count(drift.edited.len()),
            unwanted: count(drift.unwanted.len() + drift.strays.len()),
            outcome,
        };
        let mut tx = self.mirror.store.write().await?;
        tx.record_check(&check, next_at).await?;
        tx.commit().await?;
        self.mirror.due.notify_one();
        Ok(())
    }

    /// What differs, how many events were listed, and in words what was done.
    async fn compare_and_mend(
        &self,
        google: &Google,
        calendar: &Calendar,
    ) -> Result<Result<(Drift, usize, String), Refusal>, StoreError> {
        // The rows first: what is written while the listing runs is then not settled, or not known to have been there.
        let rows = self.mirror.store.known_rows(calendar.id).await?;
        let listed = match purge::list(google, &calendar.wish.google_id).await {
            Ok(listed) => listed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // What got a row meanwhile is no stray.
        let now_known = self.mirror.store.known_rows(calendar.id).await?;
        let id = |row: &crate::store::KnownRow| event_id(&self.mirror.installation_id, &row.meeting_id, row.generation);
        let mut drift = compare(&rows, &listed, id);
        let known: std::collections::HashSet<String> = now_known.iter().map(id).collect();
        drift.strays.retain(|stray| !known.contains(stray));

        let mut done = Vec::new();
        let mended = drift.missing.len() + drift.edited.len() + drift.unwanted.len();
        if mended > 0 && calendar.wish.on_drift == OnDrift::Report {
            done.push(format!("{mended} differences left alone"));
        } else if mended > 0 {
            self.doubt(calendar, &drift).await?;
            done.push(format!("{mended} differences to be put right"));
        }
        if !drift.strays.is_empty() {
            match self.remove_strays(google, calendar, &drift.strays, listed.len()).await? {
                Ok(text) => done.push(text),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        let outcome = if done.is_empty() { "as it should be".to_owned() } else { done.join("; ") };
        Ok(Ok((drift, listed.len(), outcome)))
    }

    /// Has the mirror look at the rows again.
    async fn doubt(&self, calendar: &Calendar, drift: &Drift) -> Result<(), StoreError> {
        let now = self.mirror.clock.now();
        let doubts = [
            (&drift.missing, Presence::Unknown),
            (&drift.edited, Presence::Present),
            (&drift.unwanted, Presence::Unknown),
        ];
        for (meetings, presence) in doubts {
            for step in meetings.chunks(200) {
                let mut tx = self.mirror.store.write().await?;
                for meeting_id in step {
                    tx.doubt_event(calendar.id, meeting_id, presence, now).await?;
                }
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// Deletes events of ours that no row knows, unless they are so many that an admin must approve.
    async fn remove_strays(
        &self,
        google: &Google,
        calendar: &Calendar,
        strays: &[String],
        listed: usize,
    ) -> Result<Result<String, Refusal>, StoreError> {
        let now: DateTime<Utc> = self.mirror.clock.now();
        if calendar.wish.on_drift == OnDrift::Report {
            return Ok(Ok(format!("{} events that belong to no meeting left alone", strays.len())));
        }
        if needs_approval(strays.len(), listed) {
            let latest = self.mirror.store.latest_strays(calendar.id).await?;
            let same =
                latest.filter(|change| usize::try_from(change.deletions).is_ok_and(|count| count >= strays.len()));
            match same.and_then(|change| change.approved.map(Some).or(Some(None))) {
                Some(Some(true)) => {}
                Some(Some(false)) => {
                    return Ok(Ok(format!("{} events that belong to no meeting left alone, as decided", strays.len())));
                }
                waiting => {
                    if waiting.is_none() {
                        let mut tx = self.mirror.store.write().await?;
                        tx.hold(calendar.id, HeldReason::Strays, strays.len(), listed, None, now).await?;
                        tx.commit().await?;
                    }
                    return Ok(Ok(format!(
                        "{} events that belong to no meeting wait for approval to be deleted",
                        strays.len()
                    )));
                }
            }
        }
        for stray in strays {
            if let Err(refusal) = purge::delete(google, &calendar.wish.google_id, stray).await {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(format!("{} events that belong to no meeting deleted", strays.len())))
    }
}
