//! Lists of deliveries as people page through them, and what an admin has done with a whole list: worked on again, or set aside.

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite};

use super::inbox::DeliveryRow;
use super::{Delivery, DeliveryStatus, Store, StoreError, WriteTx, json_text, millis};

/// Deliveries that are put in line, or set aside, in one transaction.
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

/// What an admin has done with deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// They are worked on again.
    Replay,
    /// They will never be understood: out of quarantine, they count as ignored.
    SetAside,
}

impl Deed {
    /// Those of a list with which it can be done.
    pub fn within(self, filter: DeliveryFilter) -> DeliveryFilter {
        match self {
            Self::Replay => DeliveryFilter { with_body: true, ..filter },
            Self::SetAside => DeliveryFilter { status: Some(DeliveryStatus::Quarantined), ..filter },
        }
    }

    /// Its kind in the audit log.
    fn category(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::SetAside => "set-aside",
        }
    }

    /// What happens to a delivery.
    fn happens(self) -> &'static str {
        match self {
            Self::Replay => "worked on again",
            Self::SetAside => "set aside",
        }
    }
}

/// How far a deed on a list came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarriedOut {
    /// Deliveries with which it was done.
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

    /// Carries out a deed on all deliveries of a list with which it can be done, with one entry in the audit log; `way` and `what`
    /// stand there. After each step it ends early unless it `goes_on`.
    ///
    /// # Errors
    /// When the database fails; with those before that it is done, and the audit log says that it was begun.
    pub async fn carry_out(
        &self,
        deed: Deed,
        filter: &DeliveryFilter,
        (way, what): (&str, &str),
        now: DateTime<Utc>,
        goes_on: impl Fn() -> bool,
    ) -> Result<CarriedOut, StoreError> {
        let (mut deliveries, mut rest) = (0, deed.within(filter.clone()));
        loop {
            let step = self.deliveries(&rest, STEP).await?;
            let Some(last) = step.last() else { return Ok(CarriedOut { deliveries, is_finished: true }) };
            if rest.after.is_some() && !goes_on() {
                return Ok(CarriedOut { deliveries, is_finished: false });
            }
            let ids: Vec<i64> = step.iter().map(|delivery| delivery.id).collect();
            let mut tx = self.write().await?;
            if rest.after.is_none() {
                let summary = format!("Deliveries are {}: {what}", deed.happens());
                tx.append_admin_action(way, deed.category(), summary, now).await?;
            }
            deliveries += tx.carry_out(deed, &ids, now).await?;
            tx.commit().await?;
            rest.after = Some(last.id);
        }
    }

    /// Carries out a deed on one delivery, with an entry in the audit log; `way` stands there. False, and nothing is done, when it
    /// can't be done with this one: it waits already, or is not in quarantine.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn carry_out_on_one(
        &self,
        deed: Deed,
        delivery: &Delivery,
        way: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let is_done = tx.carry_out(deed, &[delivery.id], now).await? > 0;
        if is_done {
            let summary = format!("Delivery {} (event {}) is {}", delivery.id, delivery.event_id, deed.happens());
            tx.append_admin_action(way, deed.category(), summary, now).await?;
        }
        tx.commit().await?;
        Ok(is_done)
    }
}

impl WriteTx<'_> {
    async fn carry_out(&mut self, deed: Deed, ids: &[i64], now: DateTime<Utc>) -> Result<u64, StoreError> {
        match deed {
            Deed::Replay => self.replay_deliveries(ids, now).await,
            Deed::SetAside => self.set_deliveries_aside(ids).await,
        }
    }

    /// Has deliveries worked on again. Returns how many: neither those that wait already, nor those without their body.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn replay_deliveries(&mut self, ids: &[i64], now: DateTime<Utc>) -> Result<u64, StoreError> {
        let (ids, now) = (json_text(&ids)?, millis(now));
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

    /// Sets deliveries aside. Returns how many: only those that are in quarantine.
    async fn set_deliveries_aside(&mut self, ids: &[i64]) -> Result<u64, StoreError> {
        let ids = json_text(&ids)?;
        let done = sqlx::query!(
            "UPDATE inbox SET status = 'ignored', reason = 'Set aside by an admin; it was: ' || coalesce(reason, 'not understood')
             WHERE id IN (SELECT value FROM json_each(?)) AND status = 'quarantined'",
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
