//! The mirror worker: leases work rows, reads each meeting as it is now, makes Google agree, records the result. No
//! transaction is open while Google is asked, and a row that fails holds up no other.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::converge::{Answer, Call, Convergence, Next, Wanted};
use super::event_body::{EventBody, event_id};
use super::google::{Google, GoogleAccess, Receipt};
use super::record::{Outcome, Record, Worked};
use super::retry::Refusal;
use crate::clock::{Latest, Randomness, SharedClock};
use crate::lifecycle::Pulse;
use crate::meeting::entry::Entry;
use crate::meeting::state::Meeting;
use crate::store::{Calendar, Lease, Store, StoreError};

/// Rows leased at a time: about two seconds' worth of calls at the limiter's rate, within these bounds, and one of each
/// calendar at least. What becomes due meanwhile and begins sooner waits no longer than that.
const BATCH: std::ops::RangeInclusive<u32> = 8..=256;
/// Calls under way at a time.
pub const CONCURRENCY: usize = 4;
/// A lease outlives a batch in which every call takes its full time. Work on a row is not begun after that: somebody else may
/// have begun.
const LEASE: TimeDelta = TimeDelta::minutes(15);
/// How often the table is looked at unasked: a command line may have put something there.
pub(super) const POLL: Duration = Duration::from_millis(500);
/// How often calendars are planned anew as their windows roll on.
const PLAN_EVERY: TimeDelta = TimeDelta::hours(1);
/// A step takes at most this long: the plan of a calendar, or a row whose every call takes its full time.
pub const ROUND: Duration = Duration::from_mins(20);

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
    /// The time of the last look at the work.
    pub latest: Latest,
    /// Told of each step.
    pub pulse: Pulse,
}

/// Calendars that turned out, while a batch is worked on, to take no more calls now: the rest of their rows wait.
#[derive(Debug, Default)]
struct HeldBack(Mutex<HashSet<i64>>);

impl HeldBack {
    fn hold(&self, calendar_id: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(calendar_id);
    }

    fn holds(&self, calendar_id: i64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&calendar_id)
    }
}

impl Mirror {
    /// Works until `stop`. What is in hand is finished.
    pub async fn run(mut self, pulse: Pulse, stop: CancellationToken) {
        self.pulse = pulse;
        let mut planned_at: Option<DateTime<Utc>> = None;
        loop {
            self.pulse.beat();
            // A plan that a stop breaks off is made at the next start.
            let planned = tokio::select! {
                () = stop.cancelled() => return,
                planned = self.plan_due(&mut planned_at) => planned,
            };
            if let Err(error) = planned {
                tracing::error!(%error, cause = ?error, "calendars could not be planned; trying again");
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

    /// Makes the plans that are due: every calendar's when they were not made within the hour, otherwise those that were asked
    /// for. `planned_at`: when every calendar was planned last; when that fails it stays as it was.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn plan_due(&self, planned_at: &mut Option<DateTime<Utc>>) -> Result<(), StoreError> {
        let now = self.clock.now();
        // A plan that lies ahead of now is from before the clock was set back.
        if planned_at.is_some_and(|at| (at..at + PLAN_EVERY).contains(&now)) {
            return self.plan_asked().await;
        }
        self.plan().await?;
        *planned_at = Some(now);
        Ok(())
    }

    /// Adds the work rows that calendars lack.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn plan(&self) -> Result<(), StoreError> {
        for unread in self.store.unread_calendars().await? {
            tracing::error!(calendar_id = unread.id, error = %unread.error, "a calendar can't be read; nothing is mirrored into it");
        }
        let calendars = self.store.calendars().await?;
        self.plan_each(calendars.iter().map(|calendar| calendar.id).collect()).await
    }

    /// Makes the plans that were asked for.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn plan_asked(&self) -> Result<(), StoreError> {
        self.plan_each(self.store.calendars_to_plan().await?).await
    }

    async fn plan_each(&self, calendars: Vec<i64>) -> Result<(), StoreError> {
        for calendar_id in calendars {
            self.pulse.beat();
            let added = self.store.plan_calendar(calendar_id, self.clock.now()).await?;
            if added > 0 {
                tracing::info!(calendar_id, meetings = added, "planned a calendar");
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
        let google = self.client().await?;
        if self.latest.is_before_last_look(now) {
            tracing::warn!("the clock was set back: what waits in the mirror is tried now");
            let mut tx = self.store.write().await?;
            tx.end_waits_beyond(now, now).await?;
            tx.commit().await?;
        }
        if self.store.next_mirror_due().await?.is_none_or(|due| due > now) {
            return Ok(0);
        }
        let rate = self.google.limiter().rates().in_total.get();
        let batch = rate.saturating_mul(2).clamp(*BATCH.start(), *BATCH.end());
        let mut tx = self.store.write().await?;
        let leases = tx.lease_mirror_work(batch, self.randomness.token(), LEASE, now).await?;
        // Of the same moment as the leases: an edit, and that what it would delete is held, are one change.
        let calendars = tx.readable_calendars().await?;
        tx.commit().await?;
        let count = leases.len();
        let held_back = HeldBack::default();
        // Collected first: the compiler can't prove a stream of borrowing closures to be Send.
        let work: Vec<_> =
            leases.into_iter().map(|lease| self.work(&google, lease, &calendars, &held_back, stop)).collect();
        let (results, to_record) = mpsc::channel(count.max(1));
        let all = async move {
            let mut done = stream::iter(work).buffer_unordered(CONCURRENCY);
            while let Some(result) = done.next().await {
                self.pulse.beat();
                // The recorder ends only after this.
                let _ = results.send(result).await;
            }
        };
        let ((), recorded) = tokio::join!(all, self.record_all(to_record, &calendars, google.account()));
        recorded?;
        Ok(count)
    }

    /// Records results as they come; those that come while one commit is under way share the next.
    async fn record_all(
        &self,
        mut results: mpsc::Receiver<Worked>,
        calendars: &[Calendar],
        account: &str,
    ) -> Result<(), StoreError> {
        let mut ready = Vec::new();
        let mut failed = Ok(());
        while results.recv_many(&mut ready, usize::MAX).await > 0 {
            // When the database can't be used the leases run out, and the work is done again.
            let recorded = self.record(std::mem::take(&mut ready), calendars, account).await;
            failed = failed.and(recorded);
        }
        failed
    }

    async fn record(&self, ready: Vec<Worked>, calendars: &[Calendar], account: &str) -> Result<(), StoreError> {
        let record = Record { clock: &self.clock, randomness: &self.randomness, account };
        let mut tx = self.store.write().await?;
        record.write(&mut tx, &ready, calendars).await?;
        tx.commit().await
    }

    /// The client for the credentials as they are now. With new ones, what waits for a person or for a later time is tried now.
    ///
    /// # Errors
    /// When the database can't be used.
    pub(super) async fn client(&self) -> Result<Google, StoreError> {
        let (google, renewed) = self.google.current().await;
        if renewed {
            self.try_again().await?;
        }
        Ok(google)
    }

    async fn try_again(&self) -> Result<(), StoreError> {
        for calendar in self.store.calendars().await? {
            self.store.try_calendar_again(&calendar, self.clock.now()).await?;
        }
        Ok(())
    }

    /// Works on one row; never fails as a whole.
    async fn work(
        &self,
        google: &Google,
        lease: Lease,
        calendars: &[Calendar],
        held_back: &HeldBack,
        stop: &CancellationToken,
    ) -> Worked {
        let calendar = calendars.iter().find(|calendar| calendar.id == lease.calendar_id);
        let takes_calls = |calendar: &&Calendar| !held_back.holds(calendar.id);
        let may_begin = !stop.is_cancelled() && self.clock.now() < lease.until;
        let Some(calendar) = calendar.filter(takes_calls).filter(|_| may_begin) else {
            return Worked { lease, outcome: Outcome::GivenBack };
        };
        let meeting = match self.store.meeting(lease.meeting_id.as_str()).await {
            Ok(Some(meeting)) => meeting,
            Ok(None) => return Worked { lease, outcome: Outcome::GivenBack },
            Err(error) => {
                tracing::error!(meeting_id = %lease.meeting_id, %error, cause = ?error, "a meeting could not be read");
                let refusal = Refusal::Fault(format!("the meeting can't be read ({error})"), None);
                let written = lease.written.clone();
                return Worked { lease, outcome: Outcome::Failed { refusal, written } };
            }
        };
        let was_there = lease.was_there();
        let holds = calendar.wish.rule().holds(&meeting, was_there, lease.held, self.clock.now());
        let body = holds.then(|| EventBody::new(&Entry::of(&meeting, calendar.wish.detail), meeting.revision));
        let wanted = body.as_ref().map_or(Wanted::Nothing, |body| Wanted::Event { content_hash: body.content_hash() });
        let mut convergence = Convergence::new(wanted, lease.written.clone());
        let mut next = convergence.first();
        let revision = meeting.revision;
        let outcome = loop {
            match next {
                Next::Call(call) => {
                    let answer = self.make(google, call, &meeting, calendar, body.as_ref()).await;
                    next = convergence.next(call, answer);
                }
                Next::Agreed(written) => break Outcome::Agreed { revision, written },
                Next::Failed(refusal, written) => {
                    if refusal.holds_back_calendar() {
                        held_back.hold(calendar.id);
                    }
                    break Outcome::Failed { refusal, written };
                }
            }
        };
        Worked { lease, outcome }
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
                .map(|found| Answer::Found { sequence: found.sequence, deleted: found.deleted }),
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
}
