//! Episodes of what is wrong: which are open, and what of them is still to be told. One message is never behind another: each
//! has its own next try.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::{Store, StoreError, WriteTx, count, millis, time};
use crate::health::condition::Condition;
use crate::health::episode::{Open, is_past};
use crate::health::kind::Kind;

/// An episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Row id; none = it is not in the table yet.
    pub id: Option<i64>,
    /// Of which kind.
    pub kind: Kind,
    /// What of that kind: a calendar's row id; empty where there is only one.
    pub subject: String,
    /// The condition in a sentence, as it was last told, or as it was when it began.
    pub summary: String,
    /// When the condition was first seen.
    pub began_at: DateTime<Utc>,
    /// Since when it is not seen; none = it is.
    pub gone_since: Option<DateTime<Utc>>,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// When its begin was taken by whoever is told.
    pub told_at: Option<DateTime<Utc>>,
    /// The same for its end.
    pub end_told_at: Option<DateTime<Utc>>,
    /// Tries of the next message that failed.
    pub attempts: u32,
    /// That is not to be tried earlier.
    pub due_at: DateTime<Utc>,
    /// Why the last try failed.
    pub problem: Option<String>,
}

impl Alert {
    /// An episode that begins now.
    pub fn begins(condition: Condition, now: DateTime<Utc>) -> Self {
        let Condition { kind, subject, summary } = condition;
        Self {
            id: None,
            kind,
            subject,
            summary,
            began_at: now,
            gone_since: None,
            ended_at: None,
            told_at: None,
            end_told_at: None,
            attempts: 0,
            due_at: now,
            problem: None,
        }
    }

    /// Makes its next message due, of which nothing was tried yet.
    pub fn make_due(&mut self, now: DateTime<Utc>) {
        (self.attempts, self.due_at, self.problem) = (0, now, None);
    }

    /// Whether it ended and its end is to be told, as its begin was.
    pub fn end_is_untold(&self) -> bool {
        self.ended_at.is_some() && self.told_at.is_some() && self.end_told_at.is_none()
    }

    /// What decides about it while it is open; `id` as whoever asks knows it.
    pub fn open(&self, id: usize) -> Open {
        let (kind, subject) = (self.kind, self.subject.clone());
        let (began_at, gone_since) = (self.began_at, self.gone_since);
        Open { id, kind, subject, began_at, gone_since, told: self.told_at.is_some() }
    }

    /// Whether it has lasted so long that it counts.
    pub fn is_steady(&self, now: DateTime<Utc>) -> bool {
        self.ended_at.is_some() || is_past(self.began_at, now)
    }

    /// When somebody was last told of it.
    pub fn last_told_at(&self) -> Option<DateTime<Utc>> {
        self.end_told_at.or(self.told_at)
    }
}

/// Episodes of which the tables don't say what is known, since they could not be written. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Unkept(Arc<Mutex<Vec<Alert>>>);

impl Unkept {
    fn lock(&self) -> MutexGuard<'_, Vec<Alert>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the tables say, as far as it is known better, and then what they don't.
    fn put_right(&self, kept: Vec<Alert>) -> Vec<Alert> {
        let unkept = self.lock();
        let known = |alert: Alert| unkept.iter().find(|known| known.id == alert.id).cloned().unwrap_or(alert);
        let right = kept.into_iter().map(known);
        right.chain(unkept.iter().filter(|alert| alert.id.is_none()).cloned()).collect()
    }
}

struct AlertRow {
    id: i64,
    kind: String,
    subject: String,
    summary: String,
    began_at: i64,
    gone_since: Option<i64>,
    ended_at: Option<i64>,
    told_at: Option<i64>,
    end_told_at: Option<i64>,
    attempts: i64,
    due_at: i64,
    problem: Option<String>,
}

impl TryFrom<AlertRow> for Alert {
    type Error = StoreError;

    fn try_from(row: AlertRow) -> Result<Self, StoreError> {
        let at = |millis, column| time(millis, "alerts", column);
        Ok(Self {
            id: Some(row.id),
            kind: Kind::from_word(&row.kind).ok_or_else(|| StoreError::row("alerts", "kind", &row.kind))?,
            subject: row.subject,
            summary: row.summary,
            began_at: at(row.began_at, "began_at")?,
            gone_since: row.gone_since.map(|millis| at(millis, "gone_since")).transpose()?,
            ended_at: row.ended_at.map(|millis| at(millis, "ended_at")).transpose()?,
            told_at: row.told_at.map(|millis| at(millis, "told_at")).transpose()?,
            end_told_at: row.end_told_at.map(|millis| at(millis, "end_told_at")).transpose()?,
            attempts: count(row.attempts, "alerts", "attempts")?,
            due_at: at(row.due_at, "due_at")?,
            problem: row.problem,
        })
    }
}

impl Store {
    /// The episodes that have not ended, in the order in which they began.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn open_alerts(&self) -> Result<Vec<Alert>, StoreError> {
        let rows = sqlx::query_as!(
            AlertRow,
            "SELECT id, kind, subject, summary, began_at, gone_since, ended_at, told_at, end_told_at, attempts, due_at, problem
             FROM alerts WHERE ended_at IS NULL ORDER BY id"
        )
        .fetch_all(&self.reader)
        .await?;
        let mut open = self.unkept.put_right(rows.into_iter().map(Alert::try_from).collect::<Result<_, _>>()?);
        open.retain(|alert| alert.ended_at.is_none());
        Ok(open)
    }

    /// Has these, which could not be kept, told to whoever asks: all of them, until it is called again.
    pub fn tell_unkept(&self, alerts: Vec<Alert>) {
        *self.unkept.lock() = alerts;
    }

    /// When each silence began that lasted, from `since` on.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn silences(&self, since: DateTime<Utc>) -> Result<Vec<DateTime<Utc>>, StoreError> {
        let (kind, since) = (Kind::Silence.as_str(), millis(since));
        let rows = sqlx::query_scalar!(
            "SELECT began_at FROM alerts WHERE kind = ? AND began_at >= ? AND ended_at IS NOT NULL",
            kind,
            since
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter().map(|at| time(at, "alerts", "began_at")).collect()
    }

    /// The latest episodes, the latest first.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn latest_alerts(&self, most: u32) -> Result<Vec<Alert>, StoreError> {
        let rows = sqlx::query_as!(
            AlertRow,
            "SELECT id, kind, subject, summary, began_at, gone_since, ended_at, told_at, end_told_at, attempts, due_at, problem
             FROM alerts ORDER BY id DESC LIMIT ?",
            most
        )
        .fetch_all(&self.reader)
        .await?;
        let mut latest = self.unkept.put_right(rows.into_iter().map(Alert::try_from).collect::<Result<_, _>>()?);
        // Stable: what is not in the table yet began last.
        latest.sort_by_key(|alert| alert.id.is_some());
        Ok(latest)
    }

    /// Episodes whose end is to be told, as their begin was.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn alerts_ended_untold(&self) -> Result<Vec<Alert>, StoreError> {
        let rows = sqlx::query_as!(
            AlertRow,
            "SELECT id, kind, subject, summary, began_at, gone_since, ended_at, told_at, end_told_at, attempts, due_at, problem
             FROM alerts WHERE ended_at IS NOT NULL AND told_at IS NOT NULL AND end_told_at IS NULL
             ORDER BY id"
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter().map(Alert::try_from).collect()
    }
}

impl WriteTx<'_> {
    /// Keeps an episode as it is. Returns its row id.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_alert(&mut self, alert: &Alert) -> Result<i64, StoreError> {
        let (kind, began_at, due_at) = (alert.kind.as_str(), millis(alert.began_at), millis(alert.due_at));
        let [gone_since, ended_at, told_at, end_told_at] =
            [alert.gone_since, alert.ended_at, alert.told_at, alert.end_told_at].map(|at| at.map(millis));
        let id = sqlx::query_scalar!(
            "INSERT INTO alerts (id, kind, subject, summary, began_at, gone_since, ended_at, told_at, end_told_at, attempts, due_at, problem)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (id) DO UPDATE SET
                 summary = ?4, gone_since = ?6, ended_at = ?7, told_at = ?8, end_told_at = ?9, attempts = ?10, due_at = ?11, problem = ?12
             RETURNING id",
            alert.id,
            kind,
            alert.subject,
            alert.summary,
            began_at,
            gone_since,
            ended_at,
            told_at,
            end_told_at,
            alert.attempts,
            due_at,
            alert.problem
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(id)
    }

    /// Forgets these episodes, which never were.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn forget_alerts(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        for id in ids {
            sqlx::query!("DELETE FROM alerts WHERE id = ?", id).execute(&mut *self.0).await?;
        }
        Ok(())
    }

    /// Removes some episodes that ended before a time, at most so many. Returns how many there were.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn remove_old_alerts(&mut self, before: DateTime<Utc>, most: u32) -> Result<u64, StoreError> {
        let before = millis(before);
        let done = sqlx::query!(
            "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE ended_at < ? LIMIT ?)",
            before,
            most
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected())
    }

    /// Has every message that was not taken tried now: somebody may have mended it.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn try_alerts_again(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let now = millis(now);
        sqlx::query!("UPDATE alerts SET due_at = ?1 WHERE due_at > ?1", now).execute(&mut *self.0).await?;
        Ok(())
    }
}
