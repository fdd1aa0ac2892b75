//! The audit log. Entries are only added, each chained to the one before.

use std::fmt::Display;

use chrono::{DateTime, Utc};

use super::{Store, StoreError, WriteTx, millis, time};
use crate::audit::chain::{self, Hash, Link};
use crate::audit::diff::Change;
use crate::audit::entry::{Actor, Entry, Source};

/// An entry as stored, with its place in the chain.
pub type StoredEntry = Link;

#[derive(sqlx::FromRow)]
pub(super) struct AuditRow {
    seq: i64,
    source: String,
    event_id: Option<String>,
    category: String,
    summary: String,
    organization_id: Option<String>,
    actor_id: Option<String>,
    actor_username: Option<String>,
    actor_name: Option<String>,
    changes: String,
    happened_at_ns: i64,
    recorded_at: i64,
    inbox_id: Option<i64>,
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
}

impl TryFrom<AuditRow> for Link {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.seq,
            previous: to_hash(row.previous_hash, "previous_hash")?,
            hash: to_hash(row.hash, "hash")?,
            entry: Entry {
                source: Source::from_word(&row.source)
                    .ok_or_else(|| StoreError::row("audit", "source", &row.source))?,
                event_id: row.event_id,
                category: row.category,
                summary: row.summary,
                organization_id: row.organization_id,
                actor: Actor { id: row.actor_id, username: row.actor_username, name: row.actor_name },
                changes: read_changes(row.seq, &row.changes)?,
                happened_at: DateTime::<Utc>::from_timestamp_nanos(row.happened_at_ns),
                recorded_at: time(row.recorded_at, "audit", "recorded_at")?,
                inbox_id: row.inbox_id,
            },
        })
    }
}

/// The changes of entry `seq`. Only the text that was written is taken, not one that means the same.
fn read_changes(seq: i64, text: &str) -> Result<Vec<Change>, StoreError> {
    let damaged = |why: &dyn Display| StoreError::row("audit", "changes", format_args!("of entry {seq} ({why})"));
    let changes: Vec<Change> = serde_json::from_str(text).map_err(|error| damaged(&error))?;
    match serde_json::to_string(&changes) {
        Ok(written) if written == text => Ok(changes),
        _ => Err(damaged(&"not as it was written")),
    }
}

pub(super) fn to_hash(bytes: Vec<u8>, column: &'static str) -> Result<Hash, StoreError> {
    bytes.try_into().map_err(|bytes: Vec<u8>| StoreError::row("audit", column, format_args!("{} bytes", bytes.len())))
}

impl WriteTx<'_> {
    /// Adds an entry at the end of the chain. An event that is in the log already adds nothing. Returns whether it was
    /// added.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn append_audit(&mut self, entry: &Entry) -> Result<bool, StoreError> {
        let source = entry.source.as_str();
        if entry.event_id.is_some() {
            let known =
                sqlx::query_scalar!("SELECT seq FROM audit WHERE source = ? AND event_id = ?", source, entry.event_id)
                    .fetch_optional(&mut *self.0)
                    .await?;
            if known.is_some() {
                return Ok(false);
            }
        }
        let last = sqlx::query!(r#"SELECT seq AS "seq!", hash FROM audit ORDER BY seq DESC LIMIT 1"#)
            .fetch_optional(&mut *self.0)
            .await?;
        let (seq, previous) = match last {
            Some(last) => (last.seq + 1, to_hash(last.hash, "hash")?),
            None => (1, chain::START),
        };
        let hash = chain::hash(&previous, seq, entry).to_vec();
        let previous = previous.to_vec();
        let changes =
            serde_json::to_string(&entry.changes).map_err(|error| StoreError::row("audit", "changes", error))?;
        let happened = entry.happened_at.timestamp_nanos_opt().unwrap_or_default();
        let recorded = millis(entry.recorded_at);
        sqlx::query!(
            "INSERT INTO audit (seq, source, event_id, category, summary, organization_id, actor_id, actor_username, actor_name,
                                changes, happened_at_ns, recorded_at, inbox_id, previous_hash, hash)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            seq,
            source,
            entry.event_id,
            entry.category,
            entry.summary,
            entry.organization_id,
            entry.actor.id,
            entry.actor.username,
            entry.actor.name,
            changes,
            happened,
            recorded,
            entry.inbox_id,
            previous,
            hash
        )
        .execute(&mut *self.0)
        .await?;
        Ok(true)
    }

    /// Records an action done in this service.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn append_admin_action(
        &mut self,
        way: &str,
        category: &str,
        summary: String,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.append_audit(&Entry {
            source: Source::Admin,
            event_id: None,
            category: category.to_owned(),
            summary,
            organization_id: None,
            actor: Actor::admin(way),
            changes: Vec::new(),
            happened_at: now,
            recorded_at: now,
            inbox_id: None,
        })
        .await?;
        Ok(())
    }
}

impl Store {
    /// One entry.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn audit_entry(&self, seq: i64) -> Result<Option<StoredEntry>, StoreError> {
        let row =
            sqlx::query_as!(AuditRow, "SELECT * FROM audit WHERE seq = ?", seq).fetch_optional(&self.reader).await?;
        row.map(Link::try_from).transpose()
    }

    /// Number of the entry that has this hash, back to the last one that was removed; 0 = the hash that the first entry follows.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn audit_entry_of_head(&self, head: &Hash) -> Result<Option<i64>, StoreError> {
        if *head == chain::START {
            return Ok(Some(0));
        }
        let head = head.to_vec();
        Ok(sqlx::query_scalar!(
            r#"SELECT seq AS "seq!" FROM audit WHERE hash = ?1
               UNION SELECT max(seq) FROM audit_checkpoints HAVING hash = ?1"#,
            head
        )
        .fetch_optional(&self.reader)
        .await?)
    }

    /// Entries after number `after`, oldest first.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn audit_after(&self, after: i64, most: u32) -> Result<Vec<StoredEntry>, StoreError> {
        let rows = sqlx::query_as!(AuditRow, "SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", after, most)
            .fetch_all(&self.reader)
            .await?;
        rows.into_iter().map(Link::try_from).collect()
    }
}
