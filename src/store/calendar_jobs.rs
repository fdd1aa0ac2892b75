//! Jobs at Google: checking whether a calendar can be written, and purging it. A worker carries out what an admin asked a page
//! for; a command at a terminal carries out its own, and is taken to be gone when it has not said for a while that it is still at
//! it. A calendar has at most one job that is not finished.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Calendar, Store, StoreError, WriteTx, count, millis, time};

const TABLE: &str = "calendar_jobs";
/// A command that has not said for so long that it is still at its job is gone.
const COMMAND_HOLDS: TimeDelta = TimeDelta::minutes(2);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// See whether credentials, sharing and writing are fine.
    Check,
    /// Delete everything this installation wrote there.
    Purge,
}

impl JobKind {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Purge => "purge",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Check, Self::Purge].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// How one thing that a job looked at stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// A person must act.
    Problem,
    /// Something before it failed.
    NotTried,
}

/// What a job found of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFinding {
    /// Of what: "sharing".
    pub about: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What to know, or to do, for a person.
    pub text: String,
}

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// No worker has taken it up.
    Waits,
    /// A worker is at it, or will go on with it.
    Runs,
    /// It ended, well or not.
    Finished {
        /// When.
        at: DateTime<Utc>,
        /// What came of it.
        findings: Vec<JobFinding>,
    },
}

/// A job.
#[derive(Debug, Clone)]
pub struct CalendarJob {
    /// Row id.
    pub id: i64,
    /// The calendar's row id.
    pub calendar_id: i64,
    /// What is to be done.
    pub kind: JobKind,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// How far it is.
    pub state: JobState,
    /// Events deleted so far.
    pub done: u32,
    /// Events to delete in all, once they are counted.
    pub total: Option<u32>,
    /// Until when a command at a terminal is at it; none = it is a worker's.
    pub command_until: Option<DateTime<Utc>>,
}

impl CalendarJob {
    /// Whether it is still to be worked on.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, JobState::Finished { .. })
    }

    /// Whether the command that was at it is gone.
    pub fn is_abandoned(&self, now: DateTime<Utc>) -> bool {
        self.is_open() && self.command_until.is_some_and(|until| until <= now)
    }
}

struct JobRow {
    id: i64,
    calendar_id: i64,
    kind: String,
    asked_at: i64,
    started_at: Option<i64>,
    done: i64,
    total: Option<i64>,
    finished_at: Option<i64>,
    findings: Option<String>,
    command_until: Option<i64>,
}

impl TryFrom<JobRow> for CalendarJob {
    type Error = StoreError;

    fn try_from(row: JobRow) -> Result<Self, StoreError> {
        let state = match (row.started_at, row.finished_at) {
            (_, Some(at)) => {
                let findings = row.findings.unwrap_or_default();
                JobState::Finished {
                    at: time(at, TABLE, "finished_at")?,
                    findings: serde_json::from_str(&findings)
                        .map_err(|_| StoreError::row(TABLE, "findings", &findings))?,
                }
            }
            (Some(_), None) => JobState::Runs,
            (None, None) => JobState::Waits,
        };
        Ok(Self {
            id: row.id,
            calendar_id: row.calendar_id,
            kind: JobKind::from_word(&row.kind).ok_or_else(|| StoreError::row(TABLE, "kind", &row.kind))?,
            asked_at: time(row.asked_at, TABLE, "asked_at")?,
            state,
            done: count(row.done, TABLE, "done")?,
            total: row.total.map(|total| count(total, TABLE, "total")).transpose()?,
            command_until: row.command_until.map(|until| time(until, TABLE, "command_until")).transpose()?,
        })
    }
}

impl Store {
    /// The jobs that are not finished, by calendar.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn open_jobs(&self) -> Result<Vec<CalendarJob>, StoreError> {
        let rows =
            sqlx::query_as!(JobRow, "SELECT * FROM calendar_jobs WHERE finished_at IS NULL ORDER BY calendar_id")
                .fetch_all(&self.reader)
                .await?;
        rows.into_iter().map(CalendarJob::try_from).collect()
    }

    /// The latest job of a calendar, finished or not.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn latest_job(&self, calendar_id: i64) -> Result<Option<CalendarJob>, StoreError> {
        let row = sqlx::query_as!(
            JobRow,
            "SELECT * FROM calendar_jobs WHERE calendar_id = ? ORDER BY id DESC LIMIT 1",
            calendar_id
        )
        .fetch_optional(&self.reader)
        .await?;
        row.map(CalendarJob::try_from).transpose()
    }

    /// Asks a worker for a job, and has `actor` stand in the audit log.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while another job of the calendar is open, [`StoreError::Exists`] when a purge would delete what another
    /// calendar mirrors there; otherwise when the database can't be written.
    pub async fn ask_job(
        &self,
        calendar: &Calendar,
        kind: JobKind,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.add_job(calendar, kind, None, actor, now).await.map(drop)
    }

    /// Begins a purge that a command carries out itself, and has `actor` stand in the audit log. Returns the job's row id. The
    /// command must say again and again that it is still at it: [`Store::keep_job`].
    ///
    /// # Errors
    /// As [`Store::ask_job`].
    pub async fn begin_command_purge(
        &self,
        calendar: &Calendar,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<i64, StoreError> {
        self.add_job(calendar, JobKind::Purge, Some(now + COMMAND_HOLDS), actor, now).await
    }

    async fn add_job(
        &self,
        calendar: &Calendar,
        kind: JobKind,
        command_until: Option<DateTime<Utc>>,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<i64, StoreError> {
        let mut tx = self.write().await?;
        if tx.open_job(calendar.id, now).await?.is_some() {
            return Err(StoreError::Busy("a check or purge of this calendar"));
        }
        if kind == JobKind::Purge && calendar.mirrored_again(&tx.calendars().await?).is_some() {
            return Err(StoreError::Exists("another mirror into this Google calendar"));
        }
        let id = tx.ask_job(calendar.id, kind, command_until, now).await?;
        let summary = format!("Asked to {} calendar “{}”", kind.as_str(), calendar.wish.name);
        tx.append_admin_action(actor, "calendar", summary, now).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Says for a command that it is still at its job, and how many events it has deleted, of how many. False when it was taken
    /// to be gone: then it must stop, as others no longer wait for it.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_job(
        &self,
        id: i64,
        progress: Option<(u32, u32)>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let until = millis(now + COMMAND_HOLDS);
        let mut tx = self.write().await?;
        let kept =
            sqlx::query!("UPDATE calendar_jobs SET command_until = ? WHERE id = ? AND finished_at IS NULL", until, id)
                .execute(&mut *tx.0)
                .await?;
        if let Some((done, total)) = progress {
            tx.progress_job(id, done, total).await?;
        }
        tx.commit().await?;
        Ok(kept.rows_affected() > 0)
    }
}

impl WriteTx<'_> {
    /// Ends the jobs whose commands are gone.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn end_abandoned_jobs(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let text =
            "the command that purged it was stopped before its end. Purge it again: it goes on where that stopped";
        let finding = JobFinding { about: "result".to_owned(), verdict: Verdict::Problem, text: text.to_owned() };
        let findings = serde_json::to_string(&[finding]).map_err(|error| StoreError::row(TABLE, "findings", error))?;
        let now = millis(now);
        sqlx::query!(
            "UPDATE calendar_jobs SET finished_at = ?1, findings = ?2 WHERE finished_at IS NULL AND command_until <= ?1",
            now,
            findings
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// What the job of a calendar that is not finished is to do.
    pub(super) async fn open_job(
        &mut self,
        calendar_id: i64,
        now: DateTime<Utc>,
    ) -> Result<Option<JobKind>, StoreError> {
        self.end_abandoned_jobs(now).await?;
        let kind = sqlx::query_scalar!(
            "SELECT kind FROM calendar_jobs WHERE calendar_id = ? AND finished_at IS NULL",
            calendar_id
        )
        .fetch_optional(&mut *self.0)
        .await?;
        kind.map(|kind| JobKind::from_word(&kind).ok_or_else(|| StoreError::row(TABLE, "kind", kind))).transpose()
    }

    /// Whether a purge of this Google calendar is not finished.
    pub(super) async fn is_being_purged(&mut self, google_id: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
        self.end_abandoned_jobs(now).await?;
        let found = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM calendar_jobs JOIN calendars ON calendars.id = calendar_jobs.calendar_id
                              WHERE finished_at IS NULL AND kind = 'purge' AND google_id = ?) AS "found!: bool""#,
            google_id
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(found)
    }

    pub(super) async fn ask_job(
        &mut self,
        calendar_id: i64,
        kind: JobKind,
        command_until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<i64, StoreError> {
        let (kind, command_until, now) = (kind.as_str(), command_until.map(millis), millis(now));
        let done = sqlx::query!(
            "INSERT INTO calendar_jobs (calendar_id, kind, asked_at, started_at, command_until)
             VALUES (?1, ?2, ?3, iif(?4 IS NULL, NULL, ?3), ?4)",
            calendar_id,
            kind,
            now,
            command_until
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.last_insert_rowid())
    }

    /// Notes that a worker takes a job up, or goes on with it.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn begin_job(&mut self, id: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
        let now = millis(now);
        sqlx::query!("UPDATE calendar_jobs SET started_at = coalesce(started_at, ?) WHERE id = ?", now, id)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Notes how many events a purge has deleted, of how many.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn progress_job(&mut self, id: i64, done: u32, total: u32) -> Result<(), StoreError> {
        sqlx::query!("UPDATE calendar_jobs SET done = ?, total = ? WHERE id = ?", done, total, id)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Ends a job with what came of it.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn finish_job(&mut self, id: i64, findings: &[JobFinding], now: DateTime<Utc>) -> Result<(), StoreError> {
        let findings = serde_json::to_string(findings).map_err(|error| StoreError::row(TABLE, "findings", error))?;
        let now = millis(now);
        sqlx::query!("UPDATE calendar_jobs SET finished_at = ?, findings = ? WHERE id = ?", now, findings, id)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}
