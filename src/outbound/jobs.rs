//! The worker that does at Google what an admin asked a page for. Each calendar's job is worked on beside the others; what a
//! stop breaks off is taken up again at the next start.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, future};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::mirror::{Mirror, POLL};
use super::purge::{Errand, PurgeStep};
use crate::lifecycle::Pulse;
use crate::store::{Calendar, CalendarJob, JobKind, StoreError};

/// Jobs are asked for there.
const ACTOR: &str = "admin page";
/// When the database can't be used, a job is tried again after this.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// A round takes at most this long: reading which jobs are open. The jobs themselves go on beside it.
pub const ROUND: Duration = Duration::from_mins(1);

/// The worker.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// Shares the mirror's tables and client.
    pub mirror: Mirror,
}

impl Jobs {
    /// Works until `stop`.
    pub async fn run(self, pulse: Pulse, stop: CancellationToken) {
        let (mut at_work, mut taken) = (FuturesUnordered::new(), HashSet::new());
        loop {
            pulse.beat();
            // The jobs go on meanwhile: one of them may hold the right to write that this waits for.
            let (mut open, mut ended) = (pin!(self.open()), Vec::new());
            let open = loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    open = &mut open => break open,
                    Some(id) = at_work.next() => ended.push(id),
                }
            };
            match open {
                Ok(open) => {
                    at_work.extend(open.into_iter().filter(|job| taken.insert(job.id)).map(|job| self.see_to(job)));
                }
                Err(error) => {
                    tracing::error!(%error, cause = ?error, "jobs could not be read; trying again");
                }
            }
            // Only now: what ended meanwhile may have been read as open.
            for id in ended {
                taken.remove(&id);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                Some(id) = at_work.next() => { taken.remove(&id); }
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Works on every job that is open. Returns how many.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn work_once(&self) -> Result<usize, StoreError> {
        let open = self.open().await?;
        let count = open.len();
        future::try_join_all(open.iter().map(|job| self.work(job))).await?;
        Ok(count)
    }

    /// The jobs that are a worker's and not finished. Those of commands that are gone are ended.
    async fn open(&self) -> Result<Vec<CalendarJob>, StoreError> {
        let Mirror { store, clock, .. } = &self.mirror;
        let open = store.open_jobs().await?;
        if open.iter().any(|job| job.is_abandoned(clock.now())) {
            let mut tx = store.write().await?;
            tx.end_abandoned_jobs(clock.now()).await?;
            tx.commit().await?;
        }
        Ok(open.into_iter().filter(|job| job.command_until.is_none()).collect())
    }

    /// Works on a job. One that the database breaks off stays open. Returns its row id.
    async fn see_to(&self, job: CalendarJob) -> i64 {
        if let Err(error) = self.work(&job).await {
            tracing::error!(job = job.id, %error, cause = ?error, "a job could not be worked on; trying again");
            tokio::time::sleep(TRY_AGAIN).await;
        }
        job.id
    }

    async fn work(&self, job: &CalendarJob) -> Result<(), StoreError> {
        let Mirror { store, clock, randomness, google, due, .. } = &self.mirror;
        let Some(calendar) = &store.calendar_by_id(job.calendar_id).await? else { return Ok(()) };
        let mut tx = store.write().await?;
        tx.begin_job(job.id, clock.now()).await?;
        tx.commit().await?;
        let client = self.mirror.client().await?;
        let errand = Errand { store, google: &client, calendar, clock, randomness };
        match job.kind {
            JobKind::Check => {
                let rates = google.limiter().rates();
                let findings = errand.check(rates.per_calendar.min(rates.in_total).get()).await?;
                let mut tx = store.write().await?;
                tx.finish_job(job.id, &findings, clock.now()).await?;
                tx.commit().await?;
            }
            JobKind::Purge => self.purge(job, calendar, &errand).await?,
        }
        tracing::info!(calendar_id = calendar.id, job = job.kind.as_str(), "did what an admin asked for");
        due.notify_one();
        Ok(())
    }

    async fn purge(&self, job: &CalendarJob, calendar: &Calendar, errand: &Errand<'_>) -> Result<(), StoreError> {
        let (steps, told) = watch::channel(PurgeStep::Begins);
        let (purged, told) = tokio::join!(errand.purge(job.done, steps), self.write_down(job.id, told));
        let purged = purged?;
        told?;
        tracing::info!(calendar_id = calendar.id, deleted = purged.deleted, stopped = ?purged.stopped, "purged a calendar");
        let mut tx = self.mirror.store.write().await?;
        purged.record(&mut tx, errand, ACTOR).await?;
        tx.finish_job(job.id, &[purged.finding()], errand.clock.now()).await?;
        tx.commit().await
    }

    /// Writes down how far a purge has come, for the page and for whoever goes on with it.
    async fn write_down(&self, job_id: i64, mut steps: watch::Receiver<PurgeStep>) -> Result<(), StoreError> {
        while steps.changed().await.is_ok() {
            let step = *steps.borrow_and_update();
            if let PurgeStep::Deletes { done, total } = step {
                let mut tx = self.mirror.store.write().await?;
                tx.progress_job(job_id, done, total).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }
}
