//! Erasing an invitee: finding what holds an address, emptying it, and seeing to it that nothing of it is left in the files.

use chrono::{DateTime, Utc};
use sqlx::ConnectOptions as _;

use super::meetings::MeetingRow;
use super::word_index::Sought;
use super::{DeliveryStatus, ERASED, Store, StoreError, WriteTx, json_text, millis};
use crate::meeting::state::Meeting;

/// Pages of the word index that are merged in one transaction.
const MERGE: i64 = 500;

/// A delivery whose body is kept.
#[derive(Debug, Clone)]
pub struct KeptBody {
    /// Row in the inbox.
    pub id: i64,
    /// The meeting it speaks of.
    pub meeting_id: Option<String>,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// The raw bytes.
    pub body: Vec<u8>,
}

/// Events of some meetings in a calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsThere {
    /// Name of the calendar.
    pub calendar: String,
    /// Row id of the calendar.
    pub calendar_id: i64,
    /// Whether it is no longer mirrored into.
    pub removed: bool,
    /// How many may be there.
    pub events: i64,
}

impl Store {
    /// Deliveries whose body is kept, by row id.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn kept_bodies(&self, after: i64, most: u32) -> Result<Vec<KeptBody>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT id AS "id!", meeting_id, status, body FROM inbox
               WHERE id > ? AND body_removed_at IS NULL ORDER BY id LIMIT ?"#,
            after,
            most
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter()
            .map(|row| {
                let status = DeliveryStatus::from_word(&row.status)
                    .ok_or_else(|| StoreError::row("inbox", "status", &row.status))?;
                Ok(KeptBody { id: row.id, meeting_id: row.meeting_id, status, body: row.body })
            })
            .collect()
    }

    /// The meetings in which the words of a text stand one after the other.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn meetings_holding(&self, text: &str) -> Result<Vec<Meeting>, StoreError> {
        let Some(words) = Sought::new(text).map(|sought| sought.in_index()) else { return Ok(Vec::new()) };
        let rows = sqlx::query_as!(
            MeetingRow,
            "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, last_modified_at, forget_since
             FROM meetings WHERE number IN (SELECT rowid FROM meeting_texts WHERE meeting_texts MATCH ?)",
            words
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter().map(Meeting::try_from).collect()
    }

    /// Events of some meetings that may be at Google, by calendar.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn events_of(&self, meetings: &[String]) -> Result<Vec<EventsThere>, StoreError> {
        let meetings = json_text(&meetings)?;
        let rows = sqlx::query!(
            r#"SELECT calendars.id AS "id!", calendars.name AS "name!", calendars.removed_at, sum(1) AS "events!: i64"
               FROM json_each(?) AS one JOIN mirror ON mirror.meeting_id = one.value
               JOIN calendars ON calendars.id = mirror.calendar_id
               WHERE mirror.presence <> 'absent' GROUP BY calendars.id"#,
            meetings
        )
        .fetch_all(&self.reader)
        .await?;
        let rows = rows.into_iter().map(|row| EventsThere {
            calendar: row.name,
            calendar_id: row.id,
            removed: row.removed_at.is_some(),
            events: row.events,
        });
        Ok(rows.collect())
    }

    /// The feeds whose kept bytes hold one of these texts, by row id.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn feeds_holding(&self, texts: &[String]) -> Result<Vec<i64>, StoreError> {
        let feeds = sqlx::query_scalar!("SELECT feed_id FROM feed_renditions WHERE length(body) > 0")
            .fetch_all(&self.reader)
            .await?;
        let texts = json_text(&texts)?;
        let mut holding = Vec::new();
        // One by one: each may have some hundred kilobytes.
        for feed in feeds {
            let holds = sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT 1 FROM feed_renditions, json_each(?) AS text
                   WHERE feed_id = ? AND instr(body, CAST(text.value AS BLOB)) > 0) AS "holds!: bool""#,
                texts,
                feed
            )
            .fetch_one(&self.reader)
            .await?;
            if holds {
                holding.push(feed);
            }
        }
        Ok(holding)
    }

    /// Sees to it that what was deleted is no longer in the database's files: the word index is made anew without it, step by
    /// step, and what was written is brought from the log into the file. Says whether the log could be emptied: a reader may
    /// hold it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wipe_deleted(&self) -> Result<bool, StoreError> {
        // The first step has all parts of the index merged; the next ones go on, until a step changes nothing.
        let mut step = -MERGE;
        loop {
            let mut tx = self.write().await?;
            let before: i64 = sqlx::query_scalar("SELECT total_changes()").fetch_one(&mut *tx.0).await?;
            sqlx::query("INSERT INTO meeting_texts (meeting_texts, rank) VALUES ('merge', ?)")
                .bind(step)
                .execute(&mut *tx.0)
                .await?;
            let after: i64 = sqlx::query_scalar("SELECT total_changes()").fetch_one(&mut *tx.0).await?;
            tx.commit().await?;
            // The insertion itself counts as one.
            if after - before < 2 {
                break;
            }
            step = MERGE;
        }
        let mut connection =
            self.reader.connect_options().as_ref().clone().pragma("query_only", "OFF").connect().await?;
        let (is_busy, _, _): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await?;
        Ok(is_busy == 0)
    }
}

impl WriteTx<'_> {
    /// Empties deliveries for good: also what was in quarantine is settled and can't be worked on again. What waits is left alone
    /// unless it is `applied`, being worked on just now: it arrived since it was looked for, and may change another meeting.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn erase_deliveries(&mut self, ids: &[i64], applied: bool, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (ids, now) = (json_text(&ids)?, millis(now));
        sqlx::query!(
            "UPDATE inbox SET body = x'', headers = '[]', body_removed_at = ?1, settled_at = coalesce(settled_at, ?1),
                    reason = CASE WHEN status IN ('applied', 'superseded') THEN reason ELSE ?2 END,
                    status = CASE WHEN status IN ('applied', 'superseded') THEN status ELSE 'ignored' END
             WHERE id IN (SELECT value FROM json_each(?3)) AND (?4 OR status <> 'pending')",
            now,
            ERASED,
            ids,
            applied
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }
}
