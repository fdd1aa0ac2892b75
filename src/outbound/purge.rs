//! Removing everything this installation wrote into a calendar, and nothing else: the same for whoever waits at a terminal
//! and for a page.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;

use super::google::{Google, Listed};
use super::record::what_to_do;
use super::retry::{Refusal, pause};
use crate::clock::{Randomness, SharedClock};
use crate::lifecycle::Pulse;
use crate::store::{Calendar, JobFinding, PausedFor, Store, StoreError, Verdict, WriteTx};

/// While a calendar is purged, the mirror must not write to it.
const HOLD: TimeDelta = TimeDelta::hours(1);
/// It is held again after this.
const HOLD_AGAIN: Duration = Duration::from_mins(20);
/// Longer than the mirror may hold a meeting it works on.
const BEGUN_WORK_WITHIN: Duration = Duration::from_mins(6);
/// How often it is looked whether begun work has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A call that is made while somebody waits for it is made so many times at most.
const TRIES: u32 = 6;
/// Nobody is made to wait longer than this for the next try.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// Every event in a calendar that carries our mark. Each page is told by the pulse.
///
/// # Errors
/// A [`Refusal`]; nothing was changed.
pub async fn list(google: &Google, calendar: &str, pulse: &Pulse) -> Result<Vec<Listed>, Refusal> {
    list_with(google, calendar, pulse, None).await
}

async fn list_with(
    google: &Google,
    calendar: &str,
    pulse: &Pulse,
    errand: Option<&Errand<'_>>,
) -> Result<Vec<Listed>, Refusal> {
    let mut listed = Vec::new();
    let mut page: Option<String> = None;
    let mut tries = 0;
    loop {
        pulse.beat();
        match (google.list_ours(calendar, page.as_deref()).await, errand) {
            (Ok(found), _) => {
                listed.extend(found.listed);
                tries = 0;
                match found.next {
                    Some(next) => page = Some(next),
                    None => return Ok(listed),
                }
            }
            (Err(refusal), Some(errand)) => errand.wait(refusal, &mut tries).await?,
            (Err(refusal), None) => return Err(refusal),
        }
    }
}

/// Deletes one event; one that is gone already is fine.
///
/// # Errors
/// A [`Refusal`]; the event may still be there.
pub async fn delete(google: &Google, calendar: &str, event_id: &str) -> Result<(), Refusal> {
    match google.delete(calendar, event_id).await {
        Ok(()) | Err(Refusal::Gone | Refusal::Missing) => Ok(()),
        Err(refusal) => Err(refusal),
    }
}

/// What somebody waits for in a calendar: failures that pass are waited for.
#[derive(Debug)]
pub struct Errand<'a> {
    /// The tables.
    pub store: &'a Store,
    /// The calendar's account.
    pub google: &'a Google,
    /// Where.
    pub calendar: &'a Calendar,
    /// Waits.
    pub clock: &'a SharedClock,
    /// Makes the waits differ.
    pub randomness: &'a Randomness,
}

/// How far a purge has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PurgeStep {
    /// It begins.
    #[default]
    Begins,
    /// It waits until the mirror has ended its work on so many meetings.
    Waits {
        /// Meetings.
        leased: i64,
    },
    /// It deletes.
    Deletes {
        /// Events deleted so far.
        done: u32,
        /// Events in all.
        total: u32,
    },
}

/// Why a purge did not come to its end. Each text is part of a sentence.
#[derive(Debug, thiserror::Error)]
pub enum PurgeStop {
    /// It would delete what another calendar mirrors.
    #[error(
        "the Google calendar {google_id} is mirrored into again, by calendar {id} “{name}”: purging would delete its events, too"
    )]
    MirroredAgain {
        /// Google's id.
        google_id: String,
        /// The other's row id.
        id: i64,
        /// Its name.
        name: String,
    },
    /// The mirror does not end what it has begun.
    #[error("the server still works on {0} meetings of this calendar; nothing was deleted")]
    StillAtWork(i64),
    /// Google refused.
    #[error("{}: {text}", so_far(*.deleted, *.left))]
    Refused {
        /// Deleted so far.
        deleted: u32,
        /// Left, when that was told.
        left: Option<u32>,
        /// What to do.
        text: String,
    },
}

fn so_far(deleted: u32, left: Option<u32>) -> String {
    match left {
        None if deleted == 0 => "nothing was deleted".to_owned(),
        None => format!("{deleted} events were deleted"),
        Some(left) => format!("{deleted} events were deleted and {left} are left"),
    }
}

/// What a purge did.
#[derive(Debug)]
pub struct Purged {
    /// Events deleted.
    pub deleted: u32,
    /// Why it stopped; none = nothing is left.
    pub stopped: Option<PurgeStop>,
}

impl Purged {
    /// What came of it, for a page.
    pub fn finding(&self) -> JobFinding {
        let (verdict, text) = match &self.stopped {
            None => {
                let text = match self.deleted {
                    0 => "nothing of this installation was there".to_owned(),
                    1 => "the one event was deleted".to_owned(),
                    deleted => format!("all {deleted} events were deleted"),
                };
                (Verdict::Fine, text)
            }
            Some(stop) => {
                let next = match stop {
                    PurgeStop::MirroredAgain { .. } => "To delete them all, purge that one.",
                    PurgeStop::StillAtWork(_) => "Purge it again.",
                    PurgeStop::Refused { .. } => "Purge it again: it goes on where it stopped.",
                };
                (Verdict::Problem, format!("{}. {next}", stop.to_string().trim_end_matches('.')))
            }
        };
        JobFinding { about: "result".to_owned(), verdict, text }
    }

    /// Writes down what it did. Once nothing is left at Google, nothing is known of it here, either.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn record(&self, tx: &mut WriteTx<'_>, errand: &Errand<'_>, actor: &str) -> Result<(), StoreError> {
        let (name, deleted) = (&errand.calendar.wish.name, self.deleted);
        let summary = match &self.stopped {
            None => {
                tx.forget_mirror(errand.calendar.id, errand.clock.now()).await?;
                format!("Purged calendar “{name}”: {deleted} events deleted")
            }
            Some(PurgeStop::Refused { left, .. }) => {
                let left = left.map_or_else(String::new, |left| format!(", {left} left"));
                format!("Purging calendar “{name}” stopped: {deleted} events deleted{left}")
            }
            Some(PurgeStop::MirroredAgain { .. } | PurgeStop::StillAtWork(_)) => return Ok(()),
        };
        tx.append_admin_action(actor, "calendar", summary, errand.clock.now()).await
    }
}

impl Errand<'_> {
    /// Every event that carries our mark.
    ///
    /// # Errors
    /// A [`Refusal`] that does not pass, or not soon.
    pub async fn list(&self) -> Result<Vec<Listed>, Refusal> {
        list_with(self.google, &self.calendar.wish.google_id, &Pulse::default(), Some(self)).await
    }

    /// Deletes one event; one that is gone already is fine.
    ///
    /// # Errors
    /// A [`Refusal`] that does not pass, or not soon.
    pub async fn delete(&self, event_id: &str) -> Result<(), Refusal> {
        let mut tries = 0;
        while let Err(refusal) = delete(self.google, &self.calendar.wish.google_id, event_id).await {
            self.wait(refusal, &mut tries).await?;
        }
        Ok(())
    }

    /// Waits until the call may be made again, or gives up.
    async fn wait(&self, refusal: Refusal, tries: &mut u32) -> Result<(), Refusal> {
        let after = match &refusal {
            Refusal::Throttled(_, after) | Refusal::Fault(_, after) => *after,
            Refusal::TimedOut => None,
            _ => return Err(refusal),
        };
        let pause = pause(*tries, after, self.randomness.fraction());
        *tries += 1;
        if *tries >= TRIES || pause > LONGEST_WAIT {
            return Err(refusal);
        }
        tracing::info!(?refusal, ?pause, "trying again");
        self.clock.sleep(pause).await;
        Ok(())
    }

    /// What a person must do about a refusal.
    pub fn what_to_do(&self, refusal: &Refusal) -> String {
        what_to_do(refusal, self.calendar, self.google.account())
    }

    /// Whether a purge would delete what another calendar mirrors there.
    ///
    /// # Errors
    /// When the calendars can't be read.
    pub async fn mirrored_again(&self) -> Result<Option<PurgeStop>, StoreError> {
        let live = self.store.calendars().await?;
        Ok(self.calendar.mirrored_again(&live).map(|other| PurgeStop::MirroredAgain {
            google_id: other.wish.google_id.clone(),
            id: other.id,
            name: other.wish.name.clone(),
        }))
    }

    /// Deletes every event of ours until none is listed any more, and nothing else. The mirror is held off for an hour. Run
    /// again it goes on where it stopped: `before` is how many events were deleted by then.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn purge(&self, before: u32, steps: watch::Sender<PurgeStep>) -> Result<Purged, StoreError> {
        let mut deleted = before;
        if let stopped @ Some(_) = self.mirrored_again().await? {
            return Ok(Purged { deleted, stopped });
        }
        self.hold().await?;
        if let stopped @ Some(_) = self.wait_for_begun_work(&steps).await? {
            return Ok(Purged { deleted, stopped });
        }
        let mut held_at = self.clock.monotonic();
        loop {
            let listed = match self.list().await {
                Ok(listed) => listed,
                Err(refusal) => return Ok(self.refused(deleted, None, &refusal)),
            };
            if listed.is_empty() {
                return Ok(Purged { deleted, stopped: None });
            }
            let total = deleted.saturating_add(u32::try_from(listed.len()).unwrap_or(u32::MAX));
            steps.send_replace(PurgeStep::Deletes { done: deleted, total });
            for event in listed {
                // Many events take longer than the calendar is held at a time.
                if self.clock.monotonic() > held_at + HOLD_AGAIN {
                    self.hold().await?;
                    held_at = self.clock.monotonic();
                }
                if let Err(refusal) = self.delete(&event.event_id).await {
                    return Ok(self.refused(deleted, Some(total - deleted), &refusal));
                }
                deleted = deleted.saturating_add(1).min(total);
                steps.send_replace(PurgeStep::Deletes { done: deleted, total });
            }
        }
    }

    fn refused(&self, deleted: u32, left: Option<u32>, refusal: &Refusal) -> Purged {
        let text = self.what_to_do(refusal);
        Purged { deleted, stopped: Some(PurgeStop::Refused { deleted, left, text }) }
    }

    /// Has the mirror write nothing into the calendar.
    async fn hold(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        tx.pause_calendar(self.calendar.id, now + HOLD, PausedFor::Purge, None, now).await?;
        tx.commit().await
    }

    /// Waits until the mirror has ended what it began before the calendar was held: it could still write.
    async fn wait_for_begun_work(&self, steps: &watch::Sender<PurgeStep>) -> Result<Option<PurgeStop>, StoreError> {
        let give_up_at = self.clock.monotonic() + BEGUN_WORK_WITHIN;
        loop {
            let leased = self.store.leased_rows(self.calendar.id, self.clock.now()).await?;
            if leased == 0 {
                return Ok(None);
            }
            if self.clock.monotonic() > give_up_at {
                return Ok(Some(PurgeStop::StillAtWork(leased)));
            }
            steps.send_replace(PurgeStep::Waits { leased });
            self.clock.sleep(LOOK_AGAIN).await;
        }
    }
}
