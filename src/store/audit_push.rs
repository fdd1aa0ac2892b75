//! How far the audit log was sent on to another system. One row of work: what is next is always the first entry that was not
//! taken, so entries go in their order, and none is skipped.

use chrono::{DateTime, Utc};

use super::{Store, StoreError, WriteTx, count, millis, time};
use crate::audit::chain::Hash;

/// How sending the log on stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPush {
    /// A keyed digest of the address it is sent to.
    pub endpoint: Hash,
    /// Number of the last entry that was taken; 0 = none.
    pub pushed_seq: i64,
    /// When that was.
    pub pushed_at: Option<DateTime<Utc>>,
    /// Tries of what is next that failed.
    pub attempts: u32,
    /// Not to be tried earlier.
    pub due_at: DateTime<Utc>,
    /// Why the last try failed, and when; none = it did not.
    pub problem: Option<(String, DateTime<Utc>)>,
}

impl Store {
    /// How sending the log on stands; none when it was never set up.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn audit_push(&self) -> Result<Option<AuditPush>, StoreError> {
        let row = sqlx::query!(
            "SELECT endpoint, pushed_seq, pushed_at, attempts, due_at, problem, problem_at FROM audit_push WHERE id = 1"
        )
        .fetch_optional(&self.reader)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let at = |millis, column| time(millis, "audit_push", column);
        let problem_at = row.problem_at.map(|millis| at(millis, "problem_at")).transpose()?;
        Ok(Some(AuditPush {
            endpoint: row.endpoint.try_into().map_err(|_| StoreError::row("audit_push", "endpoint", "not 32 bytes"))?,
            pushed_seq: row.pushed_seq,
            pushed_at: row.pushed_at.map(|millis| at(millis, "pushed_at")).transpose()?,
            attempts: count(row.attempts, "audit_push", "attempts")?,
            due_at: at(row.due_at, "due_at")?,
            problem: row.problem.zip(problem_at),
        }))
    }
}

impl WriteTx<'_> {
    /// Begins to send the log to this address, from its start when it is another one than before; `before` is the same address as
    /// earlier versions kept it. What failed is tried at once: somebody may have mended it.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn begin_audit_push(
        &mut self,
        endpoint: &Hash,
        before: &Hash,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (endpoint, before, now) = (endpoint.to_vec(), before.to_vec(), millis(now));
        sqlx::query!("UPDATE audit_push SET endpoint = ? WHERE endpoint = ?", endpoint, before)
            .execute(&mut *self.0)
            .await?;
        sqlx::query!(
            "INSERT INTO audit_push (id, endpoint, pushed_seq, attempts, due_at) VALUES (1, ?1, 0, 0, ?2)
             ON CONFLICT (id) DO UPDATE SET endpoint = ?1, pushed_seq = 0, pushed_at = NULL, attempts = 0, due_at = ?2,
                                            problem = NULL, problem_at = NULL
             WHERE endpoint <> ?1",
            endpoint,
            now
        )
        .execute(&mut *self.0)
        .await?;
        sqlx::query!("UPDATE audit_push SET due_at = min(due_at, ?) WHERE id = 1", now).execute(&mut *self.0).await?;
        Ok(())
    }

    /// Keeps that entries up to this number were taken.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn audit_was_pushed(&mut self, seq: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
        let now = millis(now);
        sqlx::query!(
            "UPDATE audit_push SET pushed_seq = ?1, pushed_at = ?2, attempts = 0, due_at = ?2, problem = NULL, problem_at = NULL
             WHERE id = 1",
            seq,
            now
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Keeps that a try failed, and when the next one is due.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn audit_push_failed(
        &mut self,
        problem: &str,
        due_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (due_at, now) = (millis(due_at), millis(now));
        sqlx::query!(
            "UPDATE audit_push SET attempts = attempts + 1, due_at = ?, problem = ?, problem_at = ? WHERE id = 1",
            due_at,
            problem,
            now
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }
}
