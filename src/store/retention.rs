//! What is too old to be kept: bodies of deliveries, and meetings. A delivery whose body was removed keeps its identity.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::erasure::STEP_OCTETS;
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

/// A delivery whose body is emptied.
struct Emptied {
    id: i64,
    octets: i64,
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
    /// Empties bodies and headers of some settled deliveries that first arrived before a time: at most so many, fewer when they
    /// are large. What waits or is in quarantine keeps them: it can still be worked on. Returns how many there were.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn empty_old_bodies(
        &mut self,
        before: DateTime<Utc>,
        most: u32,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let before = millis(before);
        let old = sqlx::query_as!(
            Emptied,
            r#"SELECT id AS "id!", length(body) AS "octets!: i64" FROM inbox INDEXED BY inbox_bodies
               WHERE body_removed_at IS NULL AND received_at < ? AND status IN ('applied', 'superseded', 'ignored')
               ORDER BY received_at LIMIT ?"#,
            before,
            most
        )
        .fetch_all(&mut *self.0)
        .await?;
        self.empty_bodies(old, now).await
    }

    /// Empties bodies and headers of some settled deliveries of meetings, as [`WriteTx::empty_old_bodies`]. Returns how many there
    /// were.
    pub(super) async fn empty_bodies_of(&mut self, meetings: &[String], now: DateTime<Utc>) -> Result<u64, StoreError> {
        let meetings = json_text(&meetings)?;
        let theirs = sqlx::query_as!(
            Emptied,
            r#"SELECT id AS "id!", length(body) AS "octets!: i64" FROM inbox
               WHERE meeting_id IN (SELECT value FROM json_each(?)) AND body_removed_at IS NULL
                     AND status IN ('applied', 'superseded', 'ignored')
               LIMIT 500"#,
            meetings
        )
        .fetch_all(&mut *self.0)
        .await?;
        self.empty_bodies(theirs, now).await
    }

    /// Empties the first of these, one at least, until they are so large that others should write in between.
    async fn empty_bodies(&mut self, found: Vec<Emptied>, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut octets = 0;
        let fit = found.into_iter().take_while(|body| {
            let fits = octets < STEP_OCTETS;
            octets += body.octets;
            fits
        });
        let (ids, now) = (json_text(&fit.map(|body| body.id).collect::<Vec<_>>())?, millis(now));
        let done = sqlx::query!(
            "UPDATE inbox SET body = x'', headers = '[]', body_removed_at = ? WHERE id IN (SELECT value FROM json_each(?))",
            now,
            ids
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DeliveryStatus, Identity, NewDelivery};

    #[tokio::test]
    async fn large_bodies_go_a_few_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let mut tx = store.write().await.unwrap();
        // The last one is larger than a step.
        for (event_id, octets) in [("a", 3_000_000), ("b", 3_000_000), ("c", 3_000_000), ("d", 3), ("e", 9_000_000)] {
            let delivery = NewDelivery {
                identity: Identity { event_id: event_id.to_owned(), ..Identity::default() },
                body: vec![b' '; octets],
                headers: "[]".into(),
                signature: "unsigned".into(),
                received_at: DateTime::UNIX_EPOCH,
                status: DeliveryStatus::Ignored,
                reason: None,
            };
            tx.store_delivery(&delivery).await.unwrap();
        }
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1);
        for expected in [3, 2, 0] {
            assert_eq!(tx.empty_old_bodies(now, 500, now).await.unwrap(), expected);
        }
    }
}
