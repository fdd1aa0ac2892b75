//! Lists of deliveries as people page through them, and having a whole list worked on again.

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite};

use super::inbox::DeliveryRow;
use super::{Delivery, DeliveryStatus, Store, StoreError, WriteTx, millis};

/// Deliveries that are put in line in one transaction.
const STEP: u32 = 500;

/// Which deliveries to list. All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Of this status.
    pub status: Option<DeliveryStatus>,
    /// Of this type, the sender's word.
    pub event_type: Option<String>,
    /// With this as its event id, or about the meeting of this id.
    pub about: Option<String>,
    /// Arrived more than once.
    pub repeated: bool,
    /// Can be worked on again: its body is kept.
    pub with_body: bool,
    /// First arrived then or later.
    pub from: Option<DateTime<Utc>>,
    /// First arrived earlier.
    pub until: Option<DateTime<Utc>>,
    /// Stands after this row in the list: the next page.
    pub after: Option<i64>,
}

/// How far having a list worked on again came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Deliveries that were put in line.
    pub deliveries: u64,
    /// Whether these are all.
    pub is_finished: bool,
}

impl DeliveryFilter {
    /// Whether every delivery of the list has its body: no other status loses it.
    fn has_bodies(&self) -> bool {
        matches!(self.status, Some(DeliveryStatus::Pending | DeliveryStatus::Quarantined))
    }

    /// Where the list is read from, and the conditions. The index is named: the one that leads to the fewest rows in the order of
    /// the list, and the rest is held against what stands in it.
    fn push(&self, sql: &mut QueryBuilder<Sqlite>) {
        sql.push(match self {
            // A few rows, by their ids.
            Self { about: Some(_), .. } => " FROM inbox NOT INDEXED WHERE 1",
            Self { repeated: true, .. } => " FROM inbox INDEXED BY inbox_again WHERE 1",
            Self { status: Some(_), event_type: Some(_), .. } => " FROM inbox INDEXED BY inbox_status_type WHERE 1",
            Self { status: Some(_), .. } => " FROM inbox INDEXED BY inbox_status WHERE 1",
            Self { event_type: Some(_), .. } => " FROM inbox INDEXED BY inbox_type WHERE 1",
            _ => " FROM inbox INDEXED BY inbox_received WHERE 1",
        });
        if let Some(about) = &self.about {
            sql.push(" AND id IN (SELECT id FROM inbox WHERE source = 'cirrus-insight' AND event_id = ");
            sql.push_bind(about.clone()).push(" UNION ALL SELECT id FROM inbox WHERE meeting_id = ");
            sql.push_bind(about.clone()).push(")");
        }
        if let Some(status) = self.status {
            sql.push(" AND status = ").push_bind(status.as_str());
        }
        if let Some(event_type) = &self.event_type {
            sql.push(" AND event_type = ").push_bind(event_type.clone());
        }
        if self.with_body && !self.has_bodies() {
            sql.push(" AND body_removed_at IS NULL");
        }
        if self.repeated {
            sql.push(" AND deliveries > 1");
        }
        // A plus keeps the database from beginning there when the place is further on.
        let until = if self.after.is_some() { "+received_at < " } else { "received_at < " };
        for (bound, condition) in [(self.from, "received_at >= "), (self.until, until)] {
            if let Some(bound) = bound {
                sql.push(format_args!(" AND {condition}")).push_bind(millis(bound));
            }
        }
        if let Some(after) = self.after {
            sql.push(" AND (received_at, id) < ((SELECT received_at FROM inbox WHERE id = ");
            sql.push_bind(after).push("), ").push_bind(after).push(")");
        }
    }
}

impl Store {
    /// Deliveries by their first arrival, newest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn deliveries(&self, filter: &DeliveryFilter, most: u32) -> Result<Vec<Delivery>, StoreError> {
        let mut sql = QueryBuilder::new(
            "SELECT id, event_id, event_type, meeting_id, signature, received_at, last_received_at, deliveries, \
             delivery_attempt, status, reason, replays, body_removed_at",
        );
        filter.push(&mut sql);
        sql.push(" ORDER BY received_at DESC, id DESC LIMIT ").push_bind(most);
        let rows: Vec<DeliveryRow> = sql.build_query_as().fetch_all(&self.reader).await?;
        rows.into_iter().map(Delivery::try_from).collect()
    }

    /// How many deliveries a list holds.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn delivery_count(&self, filter: &DeliveryFilter) -> Result<i64, StoreError> {
        let of_status = DeliveryFilter {
            status: filter.status,
            with_body: filter.with_body && filter.has_bodies(),
            ..DeliveryFilter::default()
        };
        if *filter == of_status {
            let counts = self.inbox_counts().await?;
            return Ok(filter.status.map_or_else(|| counts.all(), |status| counts.of(status)));
        }
        let mut sql = QueryBuilder::new("SELECT count(*)");
        filter.push(&mut sql);
        Ok(sql.build_query_scalar().fetch_one(&self.reader).await?)
    }

    /// Types of the deliveries that arrived, by name.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn event_types(&self) -> Result<Vec<String>, StoreError> {
        // Each step finds the next type in the index; the deliveries between are not read.
        Ok(sqlx::query_scalar!(
            r#"WITH RECURSIVE types (name) AS (
                   SELECT min(event_type) FROM inbox
                   UNION ALL
                   SELECT (SELECT min(event_type) FROM inbox WHERE event_type > name) FROM types WHERE name IS NOT NULL
               )
               SELECT name AS "name!: String" FROM types WHERE name IS NOT NULL"#
        )
        .fetch_all(&self.reader)
        .await?)
    }

    /// Has all deliveries of a list worked on again that don't wait already and whose body is kept, with one entry in the audit log. `way` stands
    /// there. After each step it ends early unless it `goes_on`.
    ///
    /// # Errors
    /// When the database fails; those put in line before that are worked on, and the audit log says that it was begun.
    pub async fn replay(
        &self,
        filter: &DeliveryFilter,
        way: &str,
        what: &str,
        now: DateTime<Utc>,
        goes_on: impl Fn() -> bool,
    ) -> Result<Replayed, StoreError> {
        let (mut deliveries, mut rest) = (0, DeliveryFilter { with_body: true, ..filter.clone() });
        loop {
            let step = self.deliveries(&rest, STEP).await?;
            let Some(last) = step.last() else { return Ok(Replayed { deliveries, is_finished: true }) };
            if rest.after.is_some() && !goes_on() {
                return Ok(Replayed { deliveries, is_finished: false });
            }
            let ids: Vec<i64> = step.iter().map(|delivery| delivery.id).collect();
            let mut tx = self.write().await?;
            if rest.after.is_none() {
                tx.append_admin_action(way, "replay", format!("Deliveries are worked on again: {what}"), now).await?;
            }
            deliveries += tx.replay_deliveries(&ids, now).await?;
            tx.commit().await?;
            rest.after = Some(last.id);
        }
    }

    /// Has one delivery worked on again, with an entry in the audit log; `way` stands there. False, and nothing is done, when it
    /// waits already.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn replay_one(&self, delivery: &Delivery, way: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let is_replayed = tx.replay_deliveries(&[delivery.id], now).await? > 0;
        if is_replayed {
            let summary = format!("Delivery {} (event {}) is worked on again", delivery.id, delivery.event_id);
            tx.append_admin_action(way, "replay", summary, now).await?;
        }
        tx.commit().await?;
        Ok(is_replayed)
    }
}

impl WriteTx<'_> {
    /// Has deliveries worked on again. Returns how many: neither those that wait already, nor those without their body.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn replay_deliveries(&mut self, ids: &[i64], now: DateTime<Utc>) -> Result<u64, StoreError> {
        let (ids, now) = (serde_json::json!(ids).to_string(), millis(now));
        let done = sqlx::query!(
            "UPDATE inbox SET status = 'pending', reason = NULL, settled_at = NULL, replays = replays + 1, pending_since = ?
             WHERE id IN (SELECT value FROM json_each(?)) AND status <> 'pending' AND body_removed_at IS NULL",
            now,
            ids
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Row as _;

    async fn plan(store: &Store, filter: &DeliveryFilter, select: &str, order: &str) -> String {
        let mut sql = QueryBuilder::new(format!("EXPLAIN QUERY PLAN SELECT {select}"));
        filter.push(&mut sql);
        sql.push(order);
        let rows = sql.build().fetch_all(&store.reader).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn a_page_of_the_inbox_is_read_from_an_index_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let event_type = Some("scheduling".to_owned());
        for status in [None, Some(DeliveryStatus::Applied), Some(DeliveryStatus::Pending)] {
            for event_type in [None, event_type.clone()] {
                for (repeated, with_body) in [(false, false), (true, false), (false, true), (true, true)] {
                    let index = match (repeated, status, &event_type) {
                        (true, ..) => "inbox_again",
                        (_, Some(_), Some(_)) => "inbox_status_type (status=? AND event_type=?",
                        (_, Some(_), None) => "inbox_status (status=?",
                        (_, None, Some(_)) => "inbox_type (event_type=?",
                        (_, None, None) => "inbox_received",
                    };
                    for (from, after) in [(None, None), (Some(DateTime::UNIX_EPOCH), Some(7))] {
                        let event_type = event_type.clone();
                        let until = from;
                        let filter =
                            DeliveryFilter { status, event_type, repeated, from, until, after, about: None, with_body };
                        let page = plan(&store, &filter, "body", " ORDER BY received_at DESC, id DESC LIMIT 50").await;
                        assert!(page.contains(&format!("inbox USING INDEX {index}")), "{filter:?}: {page}");
                        assert!(!page.contains("USE TEMP B-TREE"), "{filter:?}: {page}");
                        let count = plan(&store, &filter, "count(*)", "").await;
                        // What only some rows stand in, the database does not call covering.
                        let covers = if repeated { "" } else { "COVERING " };
                        assert!(count.contains(&format!("inbox USING {covers}INDEX {index}")), "{filter:?}: {count}");
                    }
                    let about = Some("m-1".to_owned());
                    let filter = DeliveryFilter {
                        status,
                        event_type: event_type.clone(),
                        repeated,
                        about,
                        ..DeliveryFilter::default()
                    };
                    let plan = plan(&store, &filter, "body", "").await;
                    assert!(plan.starts_with("SEARCH inbox USING INTEGER PRIMARY KEY (rowid=?)"), "{plan}");
                    assert!(!plan.contains("SCAN inbox"), "{plan}");
                }
            }
        }
    }
}
