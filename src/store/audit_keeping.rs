//! Removing the oldest part of the audit log: first a checkpoint, signed off by an entry of the log, then the entries, step by
//! step.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;

use super::audit::to_hash;
use super::{Fact, Store, StoreError, WriteTx, millis};
use crate::audit::checkpoint::{self, Checkpoint};

/// A part of the log that is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Number of its first entry.
    pub first: i64,
    /// Number of its last entry.
    pub last: i64,
    /// Hash of its last entry, hexadecimal.
    pub hash: String,
}

impl Store {
    /// The last entry that was removed; none when the log is whole.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn audit_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let row =
            sqlx::query!(r#"SELECT seq AS "seq!", hash, signed_off FROM audit_checkpoints ORDER BY seq DESC LIMIT 1"#)
                .fetch_optional(&self.reader)
                .await?;
        row.map(|row| Ok(Checkpoint { seq: row.seq, hash: to_hash(row.hash, "hash")?, signed_off: row.signed_off }))
            .transpose()
    }

    /// When the log was last seen to, as every day.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn audit_kept_at(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let kept = self.fact(Fact::AuditKept).await?;
        kept.map(|text| text.parse().map_err(|_| StoreError::row("installation", "audit_kept", text))).transpose()
    }
}

impl WriteTx<'_> {
    /// Decides that what was recorded before `before` is removed, up to number `up_to`, and writes so in the log. Until the next
    /// entry that is kept, nothing is: the log has no gaps. None when there is nothing to remove but what tells of removals.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_audit_removal(
        &mut self,
        before: DateTime<Utc>,
        up_to: i64,
        now: DateTime<Utc>,
    ) -> Result<Option<Removed>, StoreError> {
        let bound = millis(before);
        let edge = sqlx::query!(
            r#"SELECT coalesce((SELECT max(seq) FROM audit_checkpoints), 0) AS "removed!: i64",
                      coalesce((SELECT max(seq) FROM audit), 0) AS "last!: i64",
                      (SELECT seq FROM audit WHERE recorded_at >= ? ORDER BY seq LIMIT 1) AS "kept: i64""#,
            bound
        )
        .fetch_one(&mut *self.0)
        .await?;
        let last = edge.kept.map_or(edge.last, |kept| kept - 1).min(up_to);
        let category = checkpoint::CATEGORY;
        let other = sqlx::query_scalar!(
            "SELECT seq FROM audit WHERE seq > ? AND seq <= ? AND category <> ? ORDER BY seq LIMIT 1",
            edge.removed,
            last,
            category
        )
        .fetch_optional(&mut *self.0)
        .await?;
        if other.is_none() {
            return Ok(None);
        }
        let hash = sqlx::query_scalar!("SELECT hash FROM audit WHERE seq = ?", last).fetch_one(&mut *self.0).await?;
        let hash = to_hash(hash, "hash")?;
        let first = edge.removed + 1;
        self.append_audit(&checkpoint::removal(first, last, &hash, before, now)).await?;
        let (bytes, signed_off) = (hash.to_vec(), edge.last + 1);
        sqlx::query!("INSERT INTO audit_checkpoints (seq, hash, signed_off) VALUES (?, ?, ?)", last, bytes, signed_off)
            .execute(&mut *self.0)
            .await?;
        Ok(Some(Removed { first, last, hash: HEXLOWER.encode(&hash) }))
    }

    /// Keeps when the log was seen to.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn audit_was_kept(&mut self, at: DateTime<Utc>) -> Result<(), StoreError> {
        self.keep_fact(Fact::AuditKept, &at.to_rfc3339()).await
    }

    /// Removes at most so many of the entries whose removal was decided. Returns how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_audit_entries(&mut self, most: u32) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "DELETE FROM audit WHERE seq IN (
                 SELECT seq FROM audit WHERE seq <= (SELECT max(seq) FROM audit_checkpoints) ORDER BY seq LIMIT ?)",
            most
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected())
    }
}
