//! The meetings of one feed, the nearest first, read from indexes. What the feed selects is decided in the database, so the cost
//! follows from what the feed shows, not from what was ever stored or lies in its days.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt as _;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::meetings::MeetingRow;
use super::{SELECTED, Store, StoreError, millis, time};
use crate::meeting::selection::plain;
use crate::meeting::showing::Rule;
use crate::meeting::state::Meeting;

/// What was found beside the meetings that were handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedMeetings {
    /// Changes up to this one are in what was read.
    pub position: i64,
    /// When the next meeting comes into the window.
    pub next_enters_at: Option<DateTime<Utc>>,
    /// When the first of those that were not handed over leaves it.
    pub next_leaves_at: Option<DateTime<Utc>>,
    /// Meetings that have not ended, beyond those handed over.
    pub more_ahead: u32,
    /// Meetings that have ended, beyond those handed over.
    pub more_past: u32,
}

/// A part of a feed's meetings. The first three make up the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Running,
    Upcoming,
    Past,
    /// They begin after the window.
    Beyond,
}

const COLUMNS: &str = "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, \
                       last_modified_at, forget_since";
const COUNT: &str = "SELECT count(*)";

/// A feed at a time, as the database is asked about it.
#[derive(Debug, Clone, Copy)]
struct FeedQuery<'a> {
    rule: &'a Rule<'a>,
    now: DateTime<Utc>,
    /// Whether those are meant, too, that no longer take place and of which the feed says so.
    with_canceled: bool,
}

impl FeedQuery<'_> {
    /// Whether the index of owners leads to those selected. The database's own lower case knows ASCII letters only.
    fn owners_are_indexed(&self) -> bool {
        let owners = &self.rule.selection.owners;
        !owners.is_empty() && owners.iter().all(|owner| owner.is_ascii())
    }

    fn query(&self, select: &str, part: Part) -> QueryBuilder<Sqlite> {
        let Rule { selection, window, .. } = self.rule;
        let (now, opens, closes) = (millis(self.now), millis(window.opens(self.now)), millis(window.closes(self.now)));
        let mut sql = QueryBuilder::new(select);
        sql.push(" FROM meetings WHERE ");
        let mut bound = |condition: &str, value: i64| {
            sql.push(condition).push_bind(value);
        };
        // A plus keeps the database from taking the index of begins where that would read all that ever began.
        match (part, !self.owners_are_indexed()) {
            (Part::Running, _) => {
                bound("ends_at > ", now);
                bound(" AND +starts_at <= ", now);
            }
            (Part::Upcoming, true) => {
                bound("starts_at > ", now);
                bound(" AND starts_at <= ", closes);
            }
            (Part::Upcoming, false) => {
                bound("ends_at > ", now);
                bound(" AND +starts_at > ", now);
                bound(" AND +starts_at <= ", closes);
            }
            (Part::Past, _) => {
                bound("ends_at >= ", opens);
                bound(" AND ends_at <= ", now);
            }
            (Part::Beyond, true) => bound("starts_at > ", closes),
            (Part::Beyond, false) => {
                bound("ends_at > ", closes);
                bound(" AND +starts_at > ", closes);
            }
        }
        let list = |texts: &[String]| serde_json::to_string(texts).unwrap_or_default();
        let mut one_of = |column: &str, texts: String| {
            sql.push(column).push(" IN (SELECT value FROM json_each(").push_bind(texts).push("))");
        };
        if self.owners_are_indexed() {
            one_of(" AND owner", list(&selection.owners.iter().map(|owner| plain(owner)).collect::<Vec<_>>()));
        } else if !selection.owners.is_empty() {
            one_of(&format!(" AND details ->> '$.owner.username' COLLATE {SELECTED}"), list(&selection.owners));
        }
        if !selection.organizations.is_empty() {
            one_of(&format!(" AND organization_id COLLATE {SELECTED}"), list(&selection.organizations));
        }
        if !selection.schedules.is_empty() {
            let schedules = list(&selection.schedules);
            one_of(&format!(" AND (details ->> '$.calendar_path' COLLATE {SELECTED}"), schedules.clone());
            let full_path = "((details ->> '$.organization_path') || '/' || (details ->> '$.calendar_path'))";
            one_of(&format!(" OR {full_path} COLLATE {SELECTED}"), schedules);
            sql.push(")");
        }
        sql.push(" AND forget_since IS NULL AND (kind < 2 AND replaced_by IS NULL");
        if self.with_canceled {
            let said_since = self.now - TimeDelta::days(i64::from(self.rule.canceled_days));
            sql.push(" OR last_modified_at > ").push_bind(millis(said_since));
        }
        sql.push(")");
        sql
    }

    /// The nearest meetings of a part.
    fn nearest(&self, part: Part, most: usize) -> QueryBuilder<Sqlite> {
        let mut sql = self.query(COLUMNS, part);
        sql.push(match part {
            Part::Past => " ORDER BY ends_at DESC",
            Part::Upcoming | Part::Beyond if !self.owners_are_indexed() => " ORDER BY starts_at",
            Part::Running | Part::Upcoming | Part::Beyond => " ORDER BY +starts_at",
        });
        sql.push(", meeting_id LIMIT ").push_bind(i64::try_from(most).unwrap_or(i64::MAX));
        sql
    }

    /// Hands over the nearest meetings of a part. Returns how many.
    async fn hand_over(
        &self,
        connection: &mut SqliteConnection,
        part: Part,
        most: usize,
        take: &mut (impl FnMut(Meeting) + Send),
    ) -> Result<usize, StoreError> {
        let mut sql = self.nearest(part, most);
        let mut rows = sql.build_query_as::<MeetingRow>().fetch(connection);
        let mut number = 0;
        while let Some(row) = rows.try_next().await? {
            take(Meeting::try_from(row)?);
            number += 1;
        }
        Ok(number)
    }

    async fn count(&self, connection: &mut SqliteConnection, part: Part) -> Result<u32, StoreError> {
        let number: i64 = self.query(COUNT, part).build_query_scalar().fetch_one(connection).await?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }
}

impl Store {
    /// Hands over the meetings that a feed of this rule shows now, as they all were at one moment: the nearest `most`, and one
    /// that is left out, if there are more.
    ///
    /// # Errors
    /// When they can't be read; then some were handed over already.
    pub async fn feed_meetings(
        &self,
        rule: &Rule<'_>,
        now: DateTime<Utc>,
        most: usize,
        mut take: impl FnMut(Meeting) + Send,
    ) -> Result<FeedMeetings, StoreError> {
        let mut moment = self.reader.begin().await?;
        let connection = &mut *moment;
        let ask = FeedQuery { rule, now, with_canceled: true };
        let position = sqlx::query_scalar!("SELECT position FROM changes WHERE of = 'meetings'")
            .fetch_one(&mut *connection)
            .await?;
        let mut look = FeedMeetings { position, ..FeedMeetings::default() };

        let mut ahead = ask.hand_over(connection, Part::Running, most + 1, &mut take).await?;
        ahead += ask.hand_over(connection, Part::Upcoming, (most + 1).saturating_sub(ahead), &mut take).await?;
        let room = (most + 1).saturating_sub(ahead);
        let past = ask.hand_over(connection, Part::Past, room, &mut take).await?;
        if past == room {
            let known = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            look.more_past = ask.count(connection, Part::Past).await?.saturating_sub(known(past));
            let mut oldest = ask.query("SELECT min(ends_at)", Part::Past);
            let oldest: Option<i64> = oldest.build_query_scalar().fetch_one(&mut *connection).await?;
            let oldest = oldest.map(|ends_at| time(ends_at, "meetings", "ends_at")).transpose()?;
            look.next_leaves_at = oldest.map(|ends_at| rule.passes_at(ends_at));
            if room == 0 {
                let all = ask.count(connection, Part::Running).await? + ask.count(connection, Part::Upcoming).await?;
                look.more_ahead = all.saturating_sub(known(ahead));
            }
        }
        ask.hand_over(connection, Part::Beyond, 1, &mut |next| look.next_enters_at = Some(rule.enters_at(&next)))
            .await?;
        Ok(look)
    }

    /// How many meetings a feed of this rule shows now, if it has room for all.
    ///
    /// # Errors
    /// When they can't be counted.
    pub async fn feed_count(&self, rule: &Rule<'_>, now: DateTime<Utc>) -> Result<u32, StoreError> {
        let mut moment = self.reader.begin().await?;
        let ask = FeedQuery { rule, now, with_canceled: true };
        let mut number = 0_u32;
        for part in [Part::Running, Part::Upcoming, Part::Past] {
            number = number.saturating_add(ask.count(&mut moment, part).await?);
        }
        Ok(number)
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
        let ask = FeedQuery { rule, now, with_canceled: false };
        let mut found = Vec::with_capacity(most);
        for part in [Part::Running, Part::Upcoming] {
            let room = most - found.len();
            ask.hand_over(&mut connection, part, room, &mut |meeting| found.push(meeting)).await?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meeting::selection::{Selection, Window};
    use sqlx::Row as _;

    async fn plan(store: &Store, selection: &Selection, part: Part) -> String {
        let window = Window { past_days: 30, future_days: 365 };
        let rule = Rule { selection, window, canceled_days: 7 };
        let ask = FeedQuery { rule: &rule, now: DateTime::UNIX_EPOCH, with_canceled: true };
        let sql = format!("EXPLAIN QUERY PLAN {}", ask.nearest(part, 1000).sql().as_str());
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&store.reader).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn a_feed_reads_the_index_that_leads_to_its_meetings() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let all = Selection::default();
        let some = Selection { owners: vec!["ada@example.com".into()], ..Selection::default() };
        let demo =
            Selection { schedules: vec!["demo".into()], organizations: vec!["o".into()], ..Selection::default() };
        for (part, of_all, of_owner) in [
            (Part::Running, "meetings_time (ends_at>?)", "meetings_owner (owner=? AND ends_at>?)"),
            (Part::Upcoming, "meetings_start (starts_at>? AND starts_at<?)", "meetings_owner (owner=? AND ends_at>?)"),
            (
                Part::Past,
                "meetings_time (ends_at>? AND ends_at<?)",
                "meetings_owner (owner=? AND ends_at>? AND ends_at<?)",
            ),
            (Part::Beyond, "meetings_start (starts_at>?)", "meetings_owner (owner=? AND ends_at>?)"),
        ] {
            for (selection, expected) in [(&all, of_all), (&demo, of_all), (&some, of_owner)] {
                let plan = plan(&store, selection, part).await;
                assert!(plan.starts_with(&format!("SEARCH meetings USING INDEX {expected}")), "{part:?}: {plan}");
            }
        }
    }
}
