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
    /// The conditions. A plus keeps the database from taking the index of a column where another one leads to fewer rows.
    fn push(&self, sql: &mut QueryBuilder<Sqlite>) {
        use DeliveryStatus::{Applied, Superseded};
        let by_about = self.about.is_some();
        // Nearly all deliveries are applied; of the other statuses there are few.
        let by_status = !by_about
            && self.status.is_some_and(|status| self.event_type.is_none() || !matches!(status, Applied | Superseded));
        let plus = |leads: bool| if leads { "" } else { "+" };
        if let Some(about) = &self.about {
            sql.push(" AND (source = 'cirrus-insight' AND event_id = ").push_bind(about.clone());
            sql.push(" OR meeting_id = ").push_bind(about.clone()).push(")");
        }
        if let Some(status) = self.status {
            sql.push(format_args!(" AND {}status = ", plus(by_status))).push_bind(status.as_str());
        }
        if let Some(event_type) = &self.event_type {
            let leads = !by_about && !by_status;
            sql.push(format_args!(" AND {}event_type = ", plus(leads))).push_bind(event_type.clone());
        }
        if self.repeated {
            sql.push(" AND deliveries > 1");
        }
        for (bound, condition) in [(self.from, "received_at >= "), (self.until, "received_at < ")] {
            if let Some(bound) = bound {
                sql.push(format_args!(" AND {}{condition}", plus(!by_about))).push_bind(millis(bound));
            }
        }
        if let Some(after) = self.after {
            let at = plus(!by_about);
            sql.push(format_args!(" AND ({at}received_at, id) < ((SELECT received_at FROM inbox WHERE id = "));
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
             delivery_attempt, status, reason, replays FROM inbox WHERE 1",
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
        if let Some(status) = filter.status
            && *filter == (DeliveryFilter { status: Some(status), ..DeliveryFilter::default() })
        {
            return Ok(self.inbox_counts().await?.of(status));
        }
        let mut sql = QueryBuilder::new("SELECT count(*) FROM inbox WHERE 1");
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

    /// Has all deliveries of a list worked on again that don't wait already, with one entry in the audit log. `way` stands
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
        let (mut deliveries, mut rest) = (0, filter.clone());
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
}

impl WriteTx<'_> {
    /// Has deliveries worked on again. Returns how many of them did not wait already.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn replay_deliveries(&mut self, ids: &[i64], now: DateTime<Utc>) -> Result<u64, StoreError> {
        let (ids, now) = (serde_json::json!(ids).to_string(), millis(now));
        let done = sqlx::query!(
            "UPDATE inbox SET status = 'pending', reason = NULL, settled_at = NULL, replays = replays + 1, pending_since = ?
             WHERE id IN (SELECT value FROM json_each(?)) AND status <> 'pending'",
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

    #[tokio::test]
    async fn a_page_of_the_inbox_is_read_from_an_index_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let of = |status, event_type: bool| DeliveryFilter {
            status,
            event_type: event_type.then(|| "scheduling".to_owned()),
            ..DeliveryFilter::default()
        };
        for (filter, index) in [
            (DeliveryFilter::default(), "inbox_received"),
            (DeliveryFilter { repeated: true, ..DeliveryFilter::default() }, "inbox_again"),
            (of(Some(DeliveryStatus::Applied), false), "inbox_status (status=?"),
            (of(None, true), "inbox_type (event_type=?"),
            (of(Some(DeliveryStatus::Quarantined), true), "inbox_status (status=?"),
            (of(Some(DeliveryStatus::Applied), true), "inbox_type (event_type=?"),
        ] {
            for after in [None, Some(7)] {
                for from in [None, Some(DateTime::UNIX_EPOCH)] {
                    let filter = DeliveryFilter { after, from, until: from, ..filter.clone() };
                    let mut sql = QueryBuilder::new("EXPLAIN QUERY PLAN SELECT id, body FROM inbox WHERE 1");
                    filter.push(&mut sql);
                    sql.push(" ORDER BY received_at DESC, id DESC LIMIT 50");
                    let rows = sql.build().fetch_all(&store.reader).await.unwrap();
                    let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
                    let plan = plan.join("; ");
                    assert!(plan.contains(&format!("inbox USING INDEX {index}")), "{filter:?}: {plan}");
                    assert!(!plan.contains("USE TEMP B-TREE"), "{filter:?}: {plan}");
                }
            }
        }
        let about = DeliveryFilter { about: Some("m-1".into()), ..DeliveryFilter::default() };
        let mut sql = QueryBuilder::new("EXPLAIN QUERY PLAN SELECT id, body FROM inbox WHERE 1");
        about.push(&mut sql);
        let rows = sql.build().fetch_all(&store.reader).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        assert_eq!(plan[0], "MULTI-INDEX OR", "{plan:?}");
    }
}
