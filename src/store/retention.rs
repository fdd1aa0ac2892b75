//! What is too old to be kept: bodies of deliveries, and meetings. A delivery whose body was removed keeps its identity.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Fact, Forgetting, Store, StoreError, WriteTx, json_text, millis, upkeep};

/// When retention last ran, and with which settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionRun {
    /// When.
    pub at: DateTime<Utc>,
    /// Days that bodies are kept.
    pub bodies_days: u32,
    /// Days that meetings are kept; none = for ever.
    pub meetings_days: Option<u32>,
}

/// What is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOld {
    /// Bodies of deliveries that are settled.
    pub bodies: i64,
    /// Meetings.
    pub meetings: i64,
}

impl Store {
    /// How many bodies are of settled deliveries that first arrived before `bodies`, and how many meetings ended before
    /// `meetings`.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn too_old(&self, bodies: DateTime<Utc>, meetings: Option<DateTime<Utc>>) -> Result<TooOld, StoreError> {
        let (bodies, meetings) = (millis(bodies), meetings.map(millis));
        let row = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM inbox INDEXED BY inbox_bodies
                       WHERE body_removed_at IS NULL AND received_at < ?1
                             AND status IN ('applied', 'superseded', 'ignored')) AS "bodies!: i64",
                      (SELECT count(*) FROM meetings WHERE ends_at < ?2 AND forget_since IS NULL) AS "meetings!: i64""#,
            bodies,
            meetings
        )
        .fetch_one(&self.reader)
        .await?;
        Ok(TooOld { bodies: row.bodies, meetings: row.meetings })
    }

    /// When retention last ran; none when it never did.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn retention_run(&self) -> Result<Option<RetentionRun>, StoreError> {
        upkeep::read(self.fact(Fact::Retention).await?, "retention")
    }
}

impl WriteTx<'_> {
    /// Empties bodies and headers of some settled deliveries that first arrived before a time. What waits or is in quarantine
    /// keeps them: it can still be worked on. Returns how many there were.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn empty_old_bodies(
        &mut self,
        before: DateTime<Utc>,
        most: u32,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let (before, now) = (millis(before), millis(now));
        let done = sqlx::query!(
            "UPDATE inbox SET body = x'', headers = '[]', body_removed_at = ?1 WHERE id IN (
                 SELECT id FROM inbox INDEXED BY inbox_bodies
                 WHERE body_removed_at IS NULL AND received_at < ?2 AND status IN ('applied', 'superseded', 'ignored')
                 ORDER BY received_at LIMIT ?3)",
            now,
            before,
            most
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected())
    }

    /// Empties bodies and headers of the settled deliveries of some meetings.
    pub(super) async fn empty_bodies_of(&mut self, meetings: &[String], now: DateTime<Utc>) -> Result<(), StoreError> {
        let (meetings, now) = (json_text(&meetings)?, millis(now));
        sqlx::query!(
            "UPDATE inbox SET body = x'', headers = '[]', body_removed_at = ?1
             WHERE meeting_id IN (SELECT value FROM json_each(?2)) AND body_removed_at IS NULL
                   AND status IN ('applied', 'superseded', 'ignored')",
            now,
            meetings
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Marks some meetings that ended before a time, to be forgotten. Returns how many there were.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn forget_old_meetings(
        &mut self,
        before: DateTime<Utc>,
        most: u32,
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        let before = millis(before);
        let meetings = sqlx::query_scalar!(
            "SELECT meeting_id FROM meetings WHERE ends_at < ? AND forget_since IS NULL ORDER BY ends_at LIMIT ?",
            before,
            most
        )
        .fetch_all(&mut *self.0)
        .await?;
        if !meetings.is_empty() {
            self.forget_meetings(&meetings, Forgetting::TooOld, now).await?;
        }
        Ok(meetings.len())
    }

    /// Keeps when retention ran.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn retention_ran(&mut self, run: &RetentionRun) -> Result<(), StoreError> {
        self.keep_fact(Fact::Retention, &serde_json::to_string(run).unwrap_or_default()).await
    }
}
