//! Lists of audit entries as people page through them, search them and export them.

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite};

use super::audit::AuditRow;
use super::word_index::in_index_of_texts;
use super::{Store, StoreError, StoredEntry};
use crate::audit::chain::{Hash, Link, START};
use crate::audit::entry::Source;

/// Which entries to list. All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Each word begins a word of the entry, without regard to case and accents.
    pub text: Option<String>,
    /// Each word begins a word of the username, the name or the id of who did it.
    pub person: Option<String>,
    /// Of this category.
    pub category: Option<String>,
    /// Of the organization of this id.
    pub organization: Option<String>,
    /// Told by this source.
    pub source: Option<Source>,
    /// Happened then or later.
    pub from: Option<DateTime<Utc>>,
    /// Happened earlier.
    pub until: Option<DateTime<Utc>>,
}

/// The part of the log's order that is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditPart {
    /// Entries before this number, the newest first.
    Before(i64),
    /// Entries after the first number up to the second one, the oldest first.
    After(i64, i64),
}

impl AuditPart {
    /// All entries, the newest first.
    pub const NEWEST: Self = Self::Before(i64::MAX);
}

/// Where the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// Number of its last entry; 0 = there is none.
    pub seq: i64,
    /// Hash of that entry.
    pub hash: Hash,
}

impl AuditFilter {
    /// The words it asks for, for the word index; `Err` when it asks for some, but there is no word in them.
    fn words(&self) -> Result<Option<String>, ()> {
        let words = |text: &str| in_index_of_texts(text).ok_or(());
        let text = self.text.as_deref().map(words).transpose()?;
        let person = self.person.as_deref().map(words).transpose()?;
        Ok(match (text, person) {
            (None, None) => None,
            (Some(text), None) => Some(text),
            (None, Some(person)) => Some(format!("who : ({person})")),
            (Some(text), Some(person)) => Some(format!("who : ({person}) AND ({text})")),
        })
    }

    /// A query of these columns; none when nothing can meet the filter.
    fn query(&self, columns: &str) -> Option<QueryBuilder<Sqlite>> {
        let words = self.words().ok()?;
        let mut sql = QueryBuilder::new("SELECT ");
        sql.push(columns);
        if let Some(words) = words {
            // The word index is in the order of the log, too: a page ends as soon as it is full.
            sql.push(" FROM audit_texts CROSS JOIN audit ON audit.seq = audit_texts.rowid WHERE audit_texts MATCH ");
            sql.push_bind(words);
        } else {
            sql.push(" FROM audit WHERE 1");
        }
        if let Some(category) = &self.category {
            sql.push(" AND category = ").push_bind(category.clone());
        }
        if let Some(organization) = &self.organization {
            sql.push(" AND organization_id = ").push_bind(organization.clone());
        }
        if let Some(source) = self.source {
            sql.push(" AND source = ").push_bind(source.as_str());
        }
        for (bound, condition) in [(self.from, " AND happened_at_ns >= "), (self.until, " AND happened_at_ns < ")] {
            if let Some(bound) = bound {
                let beyond = if bound < DateTime::UNIX_EPOCH { i64::MIN } else { i64::MAX };
                sql.push(condition).push_bind(bound.timestamp_nanos_opt().unwrap_or(beyond));
            }
        }
        Some(sql)
    }

    /// A query of a part of the list, of at most so many entries; none when nothing can meet the filter.
    pub(super) fn list(&self, part: AuditPart, most: u32) -> Option<QueryBuilder<Sqlite>> {
        let number = self.number();
        match part {
            AuditPart::Before(before) if self.is_only_of_a_time() => {
                // The index of times alone tells which: no other entry of a long time is read.
                let mut sql = self.query("audit.* FROM audit WHERE seq IN (SELECT seq")?;
                sql.push(" AND seq < ").push_bind(before).push(" ORDER BY +seq DESC LIMIT ").push_bind(most);
                sql.push(") ORDER BY seq DESC");
                Some(sql)
            }
            AuditPart::Before(before) => {
                let mut sql = self.query("audit.*")?;
                sql.push(format_args!(" AND {number} < ")).push_bind(before);
                sql.push(format_args!(" ORDER BY {number} DESC LIMIT ")).push_bind(most);
                Some(sql)
            }
            AuditPart::After(after, last) => {
                let mut sql = self.query("audit.*")?;
                sql.push(format_args!(" AND {number} > ")).push_bind(after);
                sql.push(format_args!(" AND {number} <= ")).push_bind(last);
                sql.push(format_args!(" ORDER BY {number} LIMIT ")).push_bind(most);
                Some(sql)
            }
        }
    }

    fn is_only_of_a_time(&self) -> bool {
        let Self { from, until, .. } = *self;
        (from.is_some() || until.is_some()) && *self == Self { from, until, ..Self::default() }
    }

    fn number(&self) -> &'static str {
        if self.text.is_some() || self.person.is_some() { "audit_texts.rowid" } else { "seq" }
    }
}

impl Store {
    /// Entries of a list, at most so many.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn audit_entries(
        &self,
        filter: &AuditFilter,
        part: AuditPart,
        most: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let Some(mut sql) = filter.list(part, most) else { return Ok(Vec::new()) };
        let rows: Vec<AuditRow> = sql.build_query_as().fetch_all(&self.reader).await?;
        rows.into_iter().map(Link::try_from).collect()
    }

    /// The newest entries of all, at most so many.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn audit_newest(&self, most: u32) -> Result<Vec<StoredEntry>, StoreError> {
        self.audit_entries(&AuditFilter::default(), AuditPart::NEWEST, most).await
    }

    /// How many entries up to number `last` a list holds.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn audit_count(&self, filter: &AuditFilter, last: i64) -> Result<i64, StoreError> {
        let Some(mut sql) = filter.query("count(*)") else { return Ok(0) };
        sql.push(format_args!(" AND {} <= ", filter.number())).push_bind(last);
        Ok(sql.build_query_scalar().fetch_one(&self.reader).await?)
    }

    /// Where the log ends.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        let last = sqlx::query!(r#"SELECT seq AS "seq!", hash FROM audit ORDER BY seq DESC LIMIT 1"#)
            .fetch_optional(&self.reader)
            .await?;
        match last {
            Some(last) => Ok(AuditHead { seq: last.seq, hash: super::audit::to_hash(last.hash, "hash")? }),
            None => Ok(AuditHead { seq: 0, hash: START }),
        }
    }

    /// Categories of the entries, by name.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn audit_categories(&self) -> Result<Vec<String>, StoreError> {
        // Each step finds the next one in the index; the entries between are not read.
        Ok(sqlx::query_scalar!(
            r#"WITH RECURSIVE found (name) AS (
                   SELECT min(category) FROM audit
                   UNION ALL
                   SELECT (SELECT min(category) FROM audit WHERE category > name) FROM found WHERE name IS NOT NULL
               )
               SELECT name AS "name!: String" FROM found WHERE name IS NOT NULL LIMIT 500"#
        )
        .fetch_all(&self.reader)
        .await?)
    }

    /// Ids of the organizations that entries are about, by id.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn audit_organizations(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"WITH RECURSIVE found (id) AS (
                   SELECT min(organization_id) FROM audit WHERE organization_id IS NOT NULL
                   UNION ALL
                   SELECT (SELECT min(organization_id) FROM audit WHERE organization_id > id) FROM found WHERE id IS NOT NULL
               )
               SELECT id AS "id!: String" FROM found WHERE id IS NOT NULL LIMIT 500"#
        )
        .fetch_all(&self.reader)
        .await?)
    }
}
