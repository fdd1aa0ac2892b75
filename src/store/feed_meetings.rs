//! The meetings of one feed, read from indexes: a window of days, of everybody or of some owners. The cost follows from what
//! is in the window, not from what was ever stored.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use super::meetings::MeetingRow;
use super::{Store, StoreError, millis};
use crate::meeting::event::Owner;
use crate::meeting::selection::Selection;
use crate::meeting::showing::{Absence, Rule};
use crate::meeting::state::Meeting;

/// Meetings beyond the window that are looked at for the next one to come in.
const LOOKED_AHEAD: usize = 100;

/// What was found beside a feed's meetings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedLook {
    /// Changes up to this one are in what was read.
    pub position: i64,
    /// When to look again although nothing changed: a meeting comes into the window then, or may.
    pub next_enters_at: Option<DateTime<Utc>>,
}

/// In the window: takes its beginning and its end. The plus keeps the database from reading all that ever began before the
/// window's end.
const INSIDE: &str = "ends_at >= ? AND +starts_at <= ?";
/// After the window, the first one first: takes its end, and how many.
const BEYOND: &str = "starts_at > ? ORDER BY starts_at LIMIT ?";
/// Running or to come in the window, the first one to end first: takes now, and the window's end.
const UPCOMING: &str = "ends_at > ? AND +starts_at <= ? ORDER BY ends_at, meeting_id";

/// Rows of all owners, or of those selected, under a condition that takes two numbers. The caller checks the rest of the
/// selection.
fn rows<'c>(
    connection: &'c mut SqliteConnection,
    selection: &Selection,
    condition: &'static str,
    bounds: [i64; 2],
) -> BoxStream<'c, Result<MeetingRow, sqlx::Error>> {
    let sql = sql(selection, condition);
    let mut query = sqlx::query_as::<Sqlite, MeetingRow>(AssertSqlSafe(sql));
    if !selection.owners.is_empty() {
        query = query.bind(serde_json::to_string(&selection.owner_keys().collect::<Vec<_>>()).unwrap_or_default());
    }
    query.bind(bounds[0]).bind(bounds[1]).fetch(connection)
}

fn sql(selection: &Selection, condition: &'static str) -> String {
    let owners = if selection.owners.is_empty() { "" } else { "owner IN (SELECT value FROM json_each(?)) AND " };
    format!(
        "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, \
         last_modified_at FROM meetings WHERE {owners}{condition}"
    )
}

impl Store {
    /// Hands over each meeting that a feed of this rule shows now, in no order, as they all were at one moment.
    ///
    /// # Errors
    /// When they can't be read; then some were handed over already.
    pub async fn look_for_feed(
        &self,
        rule: &Rule<'_>,
        now: DateTime<Utc>,
        mut take: impl FnMut(Meeting) + Send,
    ) -> Result<FeedLook, StoreError> {
        let mut moment = self.reader.begin().await?;
        let position =
            sqlx::query_scalar!("SELECT position FROM changes WHERE of = 'meetings'").fetch_one(&mut *moment).await?;
        let closes = millis(rule.window.closes(now));
        let mut inside = rows(&mut moment, rule.selection, INSIDE, [millis(rule.window.opens(now)), closes]);
        while let Some(row) = inside.try_next().await? {
            let meeting = Meeting::try_from(row)?;
            if rule.check(&meeting, now).is_ok() {
                take(meeting);
            }
        }
        drop(inside);
        let most = i64::try_from(LOOKED_AHEAD).unwrap_or(i64::MAX);
        let mut beyond = rows(&mut moment, rule.selection, BEYOND, [closes, most]);
        let mut looked_at = 0;
        let mut next_enters_at = None;
        while let Some(row) = beyond.try_next().await? {
            let meeting = Meeting::try_from(row)?;
            looked_at += 1;
            if matches!(rule.check(&meeting, now), Err(Absence::Ahead { .. })) || looked_at == LOOKED_AHEAD {
                next_enters_at = Some(rule.enters_at(&meeting));
                break;
            }
        }
        drop(beyond);
        Ok(FeedLook { position, next_enters_at })
    }

    /// The next meetings that take place and that a feed of this rule shows, by begin.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn next_meetings(
        &self,
        rule: &Rule<'_>,
        now: DateTime<Utc>,
        most: usize,
    ) -> Result<Vec<Meeting>, StoreError> {
        let mut connection = self.reader.acquire().await?;
        let mut upcoming =
            rows(&mut connection, rule.selection, UPCOMING, [millis(now), millis(rule.window.closes(now))]);
        let mut found: Vec<Meeting> = Vec::with_capacity(most);
        while found.len() < most {
            let Some(row) = upcoming.try_next().await? else { break };
            let meeting = Meeting::try_from(row)?;
            if meeting.is_confirmed() && rule.check(&meeting, now).is_ok() {
                found.push(meeting);
            }
        }
        drop(upcoming);
        found.sort_by(|a, b| (a.details.starts_at, a.id.as_str()).cmp(&(b.details.starts_at, b.id.as_str())));
        Ok(found)
    }

    /// Every owner of a meeting, with a name for people: the one that their latest meeting tells.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn owners(&self) -> Result<Vec<(String, String)>, StoreError> {
        // Each step finds the next owner in the index; the meetings between are not read.
        let rows = sqlx::query!(
            r#"WITH RECURSIVE owners (key) AS (
                   SELECT min(owner) FROM meetings
                   UNION ALL
                   SELECT (SELECT min(owner) FROM meetings WHERE owner > key) FROM owners WHERE key IS NOT NULL
               )
               SELECT key AS "key!: String",
                      (SELECT details -> '$.owner' FROM meetings WHERE owner = key ORDER BY ends_at DESC LIMIT 1)
                          AS "owner!: String"
               FROM owners WHERE key IS NOT NULL"#
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter()
            .map(|row| {
                let owner: Owner = serde_json::from_str(&row.owner)
                    .map_err(|_| StoreError::row("meetings", "details", format_args!("owner {}", row.key)))?;
                let name = owner.display_name().unwrap_or_else(|| row.key.clone());
                Ok((owner.username.unwrap_or(row.key), name))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Row as _;

    async fn plan(store: &Store, selection: &Selection, condition: &'static str) -> String {
        let sql = format!("EXPLAIN QUERY PLAN {}", sql(selection, condition));
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&store.reader).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn a_feed_reads_indexes_and_sorts_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let all = Selection::default();
        let some = Selection { owners: vec!["ada@example.com".into()], ..Selection::default() };
        for (selection, condition, expected) in [
            (&all, INSIDE, "SEARCH meetings USING INDEX meetings_time (ends_at>?)"),
            (&all, BEYOND, "SEARCH meetings USING INDEX meetings_start (starts_at>?)"),
            (&all, UPCOMING, "SEARCH meetings USING INDEX meetings_time (ends_at>?)"),
            (&some, INSIDE, "SEARCH meetings USING INDEX meetings_owner (owner=? AND ends_at>?)"),
            (&some, UPCOMING, "SEARCH meetings USING INDEX meetings_owner (owner=? AND ends_at>?)"),
        ] {
            let plan = plan(&store, selection, condition).await;
            assert!(plan.starts_with(expected), "{condition}: {plan}");
        }
    }
}
