//! Erasing an invitee: finding what holds an address, emptying it, and seeing to it that nothing of it is left in the files.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use sqlx::{ConnectOptions as _, Connection as _};

use super::meetings::MeetingRow;
use super::word_index::Sought;
use super::{DeliveryStatus, ERASED, Fact, Store, StoreError, WriteTx, json_text, millis};
use crate::meeting::state::Meeting;

/// Octets of bodies that are read or emptied at a time, or one body: each may be as large as a delivery.
pub(super) const STEP_OCTETS: i64 = 8 << 20;
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
    /// The next deliveries whose body is kept, by row id: at most so many, fewer when they are large.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn kept_bodies(&self, after: i64, most: u32) -> Result<Vec<KeptBody>, StoreError> {
        let mut rows = sqlx::query!(
            r#"SELECT id AS "id!", meeting_id, status, body FROM inbox
               WHERE id > ? AND body_removed_at IS NULL ORDER BY id LIMIT ?"#,
            after,
            most
        )
        .fetch(&self.reader);
        let (mut bodies, mut octets) = (Vec::new(), 0);
        while octets < STEP_OCTETS
            && let Some(row) = rows.try_next().await?
        {
            let status = DeliveryStatus::from_word(&row.status)
                .ok_or_else(|| StoreError::row("inbox", "status", &row.status))?;
            octets += i64::try_from(row.body.len()).unwrap_or(i64::MAX);
            bodies.push(KeptBody { id: row.id, meeting_id: row.meeting_id, status, body: row.body });
        }
        Ok(bodies)
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

    /// If it is due: sees to it that what was deleted is no longer in the database's files. The word index is made anew without
    /// it, step by step, and what was written is brought from the log into the file. Says whether that is done; while somebody
    /// uses the database the log can't be emptied, and it stays due. Nobody waits for it.
    ///
    /// # Errors
    /// When the database fails; then it stays due.
    pub async fn wipe_deleted(&self) -> Result<bool, StoreError> {
        let Some(due) = self.fact(Fact::WipeDue).await? else { return Ok(true) };
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
        sqlx::query("PRAGMA busy_timeout = 0").execute(&mut connection).await?;
        // This brings over nearly all while others write, so that there is little left to do while they can't.
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut connection).await?;
        let (is_busy, _, _): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await?;
        connection.close().await?;
        if is_busy != 0 {
            return Ok(false);
        }
        let mut tx = self.write().await?;
        tx.forget_fact(Fact::WipeDue, &due).await?;
        tx.commit().await?;
        Ok(true)
    }
}

impl WriteTx<'_> {
    /// Has what this transaction deletes wiped from the files, also after a stop: [`Store::wipe_deleted`] does it.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn ask_wipe(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.keep_fact(Fact::WipeDue, &now.to_rfc3339()).await
    }

    /// Empties deliveries for good, with the titles that they left in the history of meetings: also what was in quarantine is
    /// settled and can't be worked on again. What waits is left alone
    /// unless it is `applied`, being worked on just now: it arrived since it was looked for, and may change another meeting.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn erase_deliveries(&mut self, ids: &[i64], applied: bool, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.ask_wipe(now).await?;
        let (ids, now) = (json_text(&ids)?, millis(now));
        sqlx::query!("UPDATE meeting_history SET title = NULL WHERE inbox_id IN (SELECT value FROM json_each(?))", ids)
            .execute(&mut *self.0)
            .await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wiping_that_somebody_holds_up_stays_due_and_is_done_next_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let mut tx = store.write().await.unwrap();
        tx.ask_wipe(DateTime::UNIX_EPOCH).await.unwrap();
        tx.commit().await.unwrap();
        let mut reading = store.reader.begin().await.unwrap();
        sqlx::query("SELECT count(*) FROM inbox").execute(&mut *reading).await.unwrap();
        assert!(!store.wipe_deleted().await.unwrap());
        reading.rollback().await.unwrap();
        assert!(store.fact(Fact::WipeDue).await.unwrap().is_some());
        assert!(store.wipe_deleted().await.unwrap());
        assert_eq!(store.fact(Fact::WipeDue).await.unwrap(), None);
    }
}
