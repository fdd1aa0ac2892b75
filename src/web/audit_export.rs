//! The audit log as a file: entries in their order, read and written piece by piece, so that a log of any length takes little
//! memory.

use std::io::Write as _;

use chrono::SecondsFormat;
use data_encoding::HEXLOWER;

use super::csv_text::formula_safe;
use crate::audit::json::as_json;
use crate::store::{AuditFilter, AuditHead, AuditPart, Store, StoreError, StoredEntry};

/// Entries in one piece. One may be as large as a delivery.
const PIECE: u32 = 100;

/// The columns of a table.
const COLUMNS: [&str; 13] = [
    "seq",
    "happened_at",
    "recorded_at",
    "source",
    "category",
    "organization_id",
    "actor_id",
    "actor_username",
    "actor_name",
    "summary",
    "changes",
    "event_id",
    "hash",
];

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFormat {
    /// A table that is safe to open in a spreadsheet.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl AuditFormat {
    /// The ending of its files, and its word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// The format of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Csv, Self::Jsonl].into_iter().find(|format| format.as_str() == word)
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Jsonl => "application/x-ndjson",
        }
    }
}

/// Why an export ends early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Entries can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry can't be written as text.
    #[error("an entry can't be written")]
    Written(#[source] std::io::Error),
    /// The oldest entries were removed before they were read.
    #[error("entries up to {0} were removed meanwhile, as they are too old to be kept: export again")]
    Removed(i64),
}

/// An export on its way. What is added to the log after its begin is not in it.
#[derive(Debug, Clone)]
pub struct AuditExport {
    format: AuditFormat,
    filter: AuditFilter,
    /// Where the log ended when the export began.
    pub head: AuditHead,
    /// Number of the last entry that was read: the next export goes on after it.
    pub cursor: i64,
    /// Entries so far.
    pub entries: u64,
    /// Number of the last entry that was removed as too old, when the export began; 0 = none was.
    pub removed: i64,
    begun: bool,
    ended: bool,
}

impl AuditExport {
    /// Begins an export of what stands after entry number `after`; 0 = of all.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn begin(
        store: &Store,
        format: AuditFormat,
        filter: AuditFilter,
        after: i64,
    ) -> Result<Self, StoreError> {
        let removed = removed(store).await?;
        let head = store.audit_head().await?;
        Ok(Self { format, filter, head, cursor: after, entries: 0, removed, begun: false, ended: false })
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When it can't be read or written; what was written so far is no whole export.
    pub async fn next(&mut self, store: &Store) -> Result<Option<Vec<u8>>, ExportError> {
        if self.ended {
            return Ok(None);
        }
        let part = AuditPart::After(self.cursor, self.head.seq);
        let entries = store.audit_entries(&self.filter, part, PIECE).await?;
        let removed = removed(store).await?;
        if removed > self.removed.max(self.cursor) {
            return Err(ExportError::Removed(removed));
        }
        let mut piece = Vec::new();
        match self.format {
            AuditFormat::Csv => self.table(&entries, &mut piece).map_err(ExportError::Written)?,
            AuditFormat::Jsonl => {
                for entry in &entries {
                    writeln!(piece, "{}", as_json(entry)).map_err(ExportError::Written)?;
                }
            }
        }
        self.begun = true;
        self.entries += entries.len() as u64;
        match entries.last() {
            Some(last) if entries.len() == PIECE as usize => self.cursor = last.seq,
            // What stands between the last entry of the list and the end of the log need not be looked at again.
            _ => {
                self.cursor = self.cursor.max(self.head.seq);
                self.ended = true;
            }
        }
        Ok(Some(piece))
    }

    fn table(&self, entries: &[StoredEntry], piece: &mut Vec<u8>) -> std::io::Result<()> {
        let mut table = csv::Writer::from_writer(piece);
        if !self.begun {
            table.write_record(COLUMNS)?;
        }
        for entry in entries {
            table.write_record(record(entry)?)?;
        }
        table.flush()
    }
}

/// Number of the last entry that was removed; 0 = none was.
async fn removed(store: &Store) -> Result<i64, StoreError> {
    Ok(store.audit_checkpoint().await?.map_or(0, |checkpoint| checkpoint.seq))
}

fn record(stored: &StoredEntry) -> std::io::Result<[String; COLUMNS.len()]> {
    let entry = &stored.entry;
    let given = |text: &Option<String>| formula_safe(text.as_deref().unwrap_or_default());
    Ok([
        stored.seq.to_string(),
        entry.happened_at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        entry.recorded_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        entry.source.as_str().to_owned(),
        formula_safe(&entry.category),
        given(&entry.organization_id),
        given(&entry.actor.id),
        given(&entry.actor.username),
        given(&entry.actor.name),
        formula_safe(&entry.summary),
        formula_safe(&serde_json::to_string(&entry.changes)?),
        given(&entry.event_id),
        HEXLOWER.encode(&stored.hash),
    ])
}
