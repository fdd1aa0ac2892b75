//! The mirror worker: leases work rows, reads each meeting as it is now, makes Google agree, records the result. No
//! transaction is open while Google is asked, and a row that fails holds up no other.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::converge::{Answer, Call, Convergence, Next, Wanted};
use super::event_body::{EventBody, event_id};
use super::google::{Google, GoogleAccess, Receipt};
use super::retry::{self, PERSON_PAUSE, Refusal};
use crate::clock::{Randomness, SharedClock};
use crate::meeting::entry::Entry;
use crate::meeting::state::Meeting;
use crate::store::{Calendar, Lease, Presence, ProblemKind, Store, StoreError, Written};

/// Rows leased at a time.
const BATCH: u32 = 16;
/// Calls under way at a time.
const CONCURRENCY: usize = 4;
/// A lease outlives the most calls one row can take.
const LEASE: TimeDelta = TimeDelta::minutes(5);
/// How often the table is looked at unasked: a command line may have put something there.
pub(super) const POLL: Duration = Duration::from_millis(500);
/// How often calendars are planned anew as their windows roll on.
const PLAN_EVERY: TimeDelta = TimeDelta::hours(1);

/// The mirror worker.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// The tables.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// For leases and jitter.
    pub randomness: Randomness,
    /// The API.
    pub google: GoogleAccess,
    /// Part of every event id.
    pub installation_id: Arc<str>,
    /// Told when there is work.
    pub due: Arc<Notify>,
}

impl Mirror {
    /// Works until `stop`. What is in hand is finished.
    pub async fn run(self, stop: CancellationToken) {
        let mut planned_at: Option<DateTime<Utc>> = None;
        loop {
            let now = self.clock.now();
            if planned_at.is_none_or(|at| now - at >= PLAN_EVERY) {
                match self.plan().await {
                    Ok(()) => planned_at = Some(now),
                    Err(error) => {
                        tracing::error!(%error, cause = ?error, "calendars could not be planned; trying again");
                    }
                }
            }
            match self.work_once(&stop).await {
                Ok(worked) if worked > 0 && !stop.is_cancelled() => continue,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, cause = ?error, "the mirror could not be worked on; trying again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.due.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Adds the work rows that calendars lack.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn plan(&self) -> Result<(), StoreError> {
        for calendar in self.store.calendars().await? {
            let added = self.store.plan_calendar(&calendar, self.clock.now()).await?;
            if added > 0 {
                tracing::info!(calendar_id = calendar.id, meetings = added, "planned a calendar");
            }
        }
        Ok(())
    }

    /// Works on one batch of what is due. Returns how many rows that were.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn work_once(&self, stop: &CancellationToken) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let (google, renewed) = self.google.current().await;
        if renewed {
            self.try_again().await?;
        }
        if self.store.next_mirror_due().await?.is_none_or(|due| due > now) {
            return Ok(0);
        }
        let mut tx = self.store.write().await?;
        let leases = tx.lease_mirror_work(BATCH, self.randomness.token(), LEASE, now).await?;
        tx.commit().await?;
        let calendars = self.store.all_calendars().await?;
        let count = leases.len();
        // Collected first: the compiler can't prove a stream of borrowing closures to be Send.
        let work: Vec<_> =
            leases.into_iter().map(|lease| self.work_or_give_back(&google, lease, &calendars, stop)).collect();
        let results: Vec<Result<(), StoreError>> = stream::iter(work).buffer_unordered(CONCURRENCY).collect().await;
        results.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(count)
    }

    /// New credentials: what waits for a person or for a later time is tried now.
    async fn try_again(&self) -> Result<(), StoreError> {
        let mut tx = self.store.write().await?;
        for calendar in tx.calendars().await? {
            tx.resume_calendar(calendar.id).await?;
            tx.retry_failed(calendar.id, self.clock.now()).await?;
        }
        tx.commit().await
    }

    async fn work_or_give_back(
        &self,
        google: &Google,
        lease: Lease,
        calendars: &[Calendar],
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let calendar = calendars.iter().find(|calendar| calendar.id == lease.calendar_id);
        match calendar.filter(|calendar| calendar.removed_at.is_none() && !stop.is_cancelled()) {
            Some(calendar) => self.work(google, lease, calendar).await,
            None => self.give_back(&lease).await,
        }
    }

    async fn give_back(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut tx = self.store.write().await?;
        tx.return_mirror_work(lease).await?;
        tx.commit().await
    }

    async fn work(&self, google: &Google, lease: Lease, calendar: &Calendar) -> Result<(), StoreError> {
        let Some(meeting) = self.store.meeting(lease.meeting_id.as_str()).await? else {
            return self.give_back(&lease).await;
        };
        let was_there = lease.written.presence != Presence::Absent;
        let holds = calendar.wish.rule().holds(&meeting, was_there, lease.held, self.clock.now());
        let body = holds.then(|| EventBody::new(&Entry::of(&meeting, calendar.wish.detail), meeting.revision));
        let wanted = body.as_ref().map_or(Wanted::Nothing, |body| Wanted::Event { content_hash: body.content_hash() });
        let mut convergence = Convergence::new(wanted, lease.written.clone());
        let mut next = convergence.first();
        loop {
            match next {
                Next::Call(call) => {
                    let answer = self.make(google, call, &meeting, calendar, body.as_ref()).await;
                    next = convergence.next(call, answer);
                }
                Next::Agreed(written) => return self.record_success(&lease, &meeting, calendar, &written).await,
                Next::Failed(refusal, written) => {
                    return self.record_failure(google.account(), &lease, &meeting, calendar, &refusal, &written).await;
                }
            }
        }
    }

    async fn make(
        &self,
        google: &Google,
        call: Call,
        meeting: &Meeting,
        calendar: &Calendar,
        body: Option<&EventBody>,
    ) -> Answer {
        let id = |generation| event_id(&self.installation_id, &meeting.id, generation);
        let calendar_id = calendar.wish.google_id.as_str();
        let written = |result: Result<Receipt, Refusal>| {
            result.map(|Receipt { sequence, seen_hash }| Answer::Written { sequence, seen_hash })
        };
        let result = match (call, body) {
            (Call::Insert { generation }, Some(body)) => {
                written(google.insert(calendar_id, &id(generation), &meeting.id, body).await)
            }
            (Call::Update { generation, sequence } | Call::Revive { generation, sequence }, Some(body)) => {
                written(google.update(calendar_id, &id(generation), &meeting.id, body, sequence).await)
            }
            (Call::Look { generation }, _) => google
                .look(calendar_id, &id(generation))
                .await
                .map(|found| Answer::Found { sequence: found.sequence, deleted: found.deleted, ours: found.ours }),
            (Call::Delete { generation }, _) => {
                google.delete(calendar_id, &id(generation)).await.map(|()| Answer::Done)
            }
            (Call::Reach { .. }, _) => google.reach(calendar_id).await.map(|()| Answer::Done),
            (Call::Insert { .. } | Call::Update { .. } | Call::Revive { .. }, None) => {
                Err(Refusal::Fault("a write without content".into(), None))
            }
        };
        tracing::debug!(calendar_id = calendar.id, meeting_id = %meeting.id, ?call, ?result, "asked Google");
        result.unwrap_or_else(Answer::Refused)
    }

    async fn record_success(
        &self,
        lease: &Lease,
        meeting: &Meeting,
        calendar: &Calendar,
        written: &Written,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.write().await?;
        tx.finish_mirror_work(lease, meeting.revision, written, self.clock.now()).await?;
        if calendar.problem.is_some() || calendar.paused_until.is_some() {
            tx.resume_calendar(calendar.id).await?;
        }
        tx.commit().await
    }

    async fn record_failure(
        &self,
        account: &str,
        lease: &Lease,
        meeting: &Meeting,
        calendar: &Calendar,
        refusal: &Refusal,
        written: &Written,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let later = |pause: Duration| now + TimeDelta::from_std(pause).unwrap_or(TimeDelta::hours(1));
        let jitter = self.randomness.fraction();
        let mut tx = self.store.write().await?;
        let (text, kind, again_at) = match refusal {
            Refusal::Fault(text, after) => {
                (text.clone(), ProblemKind::Retry, Some(later(retry::pause(lease.attempts, *after, jitter))))
            }
            Refusal::BadSequence | Refusal::Duplicate | Refusal::Gone => {
                let text = what_to_do(refusal, calendar, account);
                (text, ProblemKind::Retry, Some(later(retry::pause(lease.attempts, None, jitter))))
            }
            Refusal::Throttled(text, after) => {
                let until = later(retry::pause(lease.attempts, *after, jitter));
                tx.pause_calendar(calendar.id, until, None, now).await?;
                (text.clone(), ProblemKind::Retry, Some(until))
            }
            Refusal::QuotaUsedUp(text, after) => {
                let until = later(retry::quota_pause(*after));
                for calendar in tx.calendars().await? {
                    tx.pause_calendar(calendar.id, until, None, now).await?;
                }
                (text.clone(), ProblemKind::Retry, Some(until))
            }
            Refusal::Missing | Refusal::Forbidden(_) | Refusal::Credentials(_) => {
                let text = what_to_do(refusal, calendar, account);
                let until = later(PERSON_PAUSE);
                tx.pause_calendar(calendar.id, until, Some(&text), now).await?;
                (text, ProblemKind::Person, Some(until))
            }
            Refusal::Rejected(text) => (text.clone(), ProblemKind::Rejected, None),
        };
        tracing::warn!(calendar_id = calendar.id, meeting_id = %meeting.id, problem = text, ?again_at, "a meeting could not be mirrored");
        tx.fail_mirror_work(lease, meeting.revision, written, (&text, kind), again_at, now).await?;
        tx.commit().await
    }
}

/// What a person must do about a refusal.
pub fn what_to_do(refusal: &Refusal, calendar: &Calendar, account: &str) -> String {
    let id = &calendar.wish.google_id;
    match refusal {
        Refusal::Missing => format!(
            "Google knows no calendar {id} that {account} may see. In Google Calendar open the calendar's settings, “Share with \
             specific people”, and add {account} with “Make changes to events”."
        ),
        Refusal::Forbidden(text) => format!(
            "{account} may not change the calendar {id} ({text}). In Google Calendar open the calendar's settings, “Share with \
             specific people”, and give {account} “Make changes to events”. In Google Workspace an administrator may have to \
             allow sharing outside the organization."
        ),
        Refusal::Credentials(text) => format!(
            "Google refuses the credentials of {account} ({text}). Check in the Google Cloud console that the account and its key \
             exist and that the Google Calendar API is enabled; then point --google-credentials to a valid key."
        ),
        Refusal::Throttled(text, _)
        | Refusal::QuotaUsedUp(text, _)
        | Refusal::Fault(text, _)
        | Refusal::Rejected(text) => text.clone(),
        Refusal::Duplicate | Refusal::Gone | Refusal::BadSequence => {
            format!("Google's answers contradict each other ({refusal:?})")
        }
    }
}
