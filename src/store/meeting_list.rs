//! Lists of meetings as people page through them, filtered and in several orders, read from indexes page by page.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite};

use super::meetings::MeetingRow;
use super::word_index::words;
use super::{Standing, Store, StoreError, millis};
use crate::meeting::state::Meeting;

/// What finds fewer meetings than this is looked up first and then put in order: that takes as long as going past four times as
/// many in that order. What finds more is met soon enough on the way.
const FEW: i64 = if cfg!(test) { 8 } else { 20_000 };

const COLUMNS: &str = "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, \
                       last_modified_at, forget_since";

/// Which meetings to list. All that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct MeetingFilter {
    /// Each word begins a word of its id or of one of its texts, without regard to case and accents.
    pub text: Option<String>,
    /// The word of [`crate::meeting::state::Status::as_str`]. Another word finds nothing.
    pub status: Option<String>,
    /// Username of the owner.
    pub owner: Option<String>,
    /// How it stands in a calendar, by the calendar's row id; with no standing, it is worked on or there.
    pub calendar: Option<(i64, Option<Standing>)>,
    /// It begins then or later.
    pub from: Option<DateTime<Utc>>,
    /// It begins earlier.
    pub until: Option<DateTime<Utc>>,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MeetingOrder {
    /// What runs or is to come by begin, then what is past, the latest first.
    #[default]
    NextFirst,
    /// What runs or is to come by begin, and nothing else.
    Ahead,
    /// By begin.
    Earliest,
    /// By begin, the latest first.
    Latest,
    /// By their last change, the latest first.
    Changed,
}

/// A part of a list, in one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// They have not ended.
    Ahead,
    Past,
    Earliest,
    Latest,
    Changed,
}

impl MeetingOrder {
    fn parts(self) -> &'static [Part] {
        match self {
            Self::NextFirst => &[Part::Ahead, Part::Past],
            Self::Ahead => &[Part::Ahead],
            Self::Earliest => &[Part::Earliest],
            Self::Latest => &[Part::Latest],
            Self::Changed => &[Part::Changed],
        }
    }
}

impl Part {
    /// What the part is in order of, and whether the greatest comes first.
    fn order(self) -> (&'static str, bool) {
        match self {
            Self::Ahead | Self::Earliest => ("starts_at", false),
            Self::Past | Self::Latest => ("starts_at", true),
            Self::Changed => ("last_modified_at", true),
        }
    }

    fn key(self, meeting: &Meeting) -> DateTime<Utc> {
        match self {
            Self::Ahead | Self::Past | Self::Earliest | Self::Latest => meeting.details.starts_at,
            Self::Changed => meeting.last_modified_at,
        }
    }
}

/// A place in a list: what comes after it is the next page. As text it is safe in an address once encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeetingCursor {
    /// Index of the part in its order's parts.
    part: usize,
    /// Unix milliseconds.
    key: i64,
    id: String,
}

impl fmt::Display for MeetingCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}~{}", self.part, self.key, self.id)
    }
}

impl FromStr for MeetingCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut fields = text.splitn(3, '~');
        let mut next = || fields.next().ok_or(());
        let (part, key) = (next()?.parse().map_err(|_| ())?, next()?.parse().map_err(|_| ())?);
        Ok(Self { part, key, id: next()?.to_owned() })
    }
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct MeetingPage {
    /// What stands on it.
    pub meetings: Vec<Meeting>,
    /// Where the next page begins; none = this is the last.
    pub next: Option<MeetingCursor>,
}

/// What leads to the meetings of a list; the rest is held against each that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    /// Few hold the words.
    Text,
    /// Few stand so in the calendar.
    Calendar,
    /// An index in the order of the list.
    Order,
}

/// A filter as the database is asked.
struct Conditions<'a> {
    filter: &'a MeetingFilter,
    /// The text for the word index; none = no text is asked for.
    words: Option<String>,
    lead: Lead,
}

impl Conditions<'_> {
    /// Where meetings are read from, and the conditions. The index is named, so that the way is the same for every choice.
    fn push(&self, sql: &mut QueryBuilder<Sqlite>, order: &str) {
        let filter = self.filter;
        match (self.lead, &self.words, filter.calendar) {
            (Lead::Text, Some(words), _) => {
                sql.push(" FROM meeting_texts CROSS JOIN meetings ON number = meeting_texts.rowid");
                sql.push(" WHERE meeting_texts MATCH ").push_bind(words.clone());
            }
            (Lead::Calendar, _, Some(calendar)) => {
                sql.push(" FROM mirror CROSS JOIN meetings USING (meeting_id) WHERE ");
                push_standing(sql, calendar);
            }
            _ => {
                sql.push(" FROM meetings INDEXED BY ").push(match (order, &filter.owner, &filter.status) {
                    ("last_modified_at", ..) => "meetings_modified",
                    (_, Some(_), _) => "meetings_owner_start",
                    (_, None, Some(_)) => "meetings_status",
                    (_, None, None) => "meetings_start",
                });
                sql.push(" WHERE 1");
            }
        }
        if let Some(words) = self.words.as_ref().filter(|_| self.lead != Lead::Text) {
            sql.push(" AND number IN (SELECT rowid FROM meeting_texts WHERE meeting_texts MATCH ");
            sql.push_bind(words.clone()).push(")");
        }
        if let Some(calendar) = filter.calendar.filter(|_| self.lead != Lead::Calendar) {
            sql.push(" AND EXISTS (SELECT 1 FROM mirror WHERE mirror.meeting_id = meetings.meeting_id AND ");
            push_standing(sql, calendar);
            sql.push(")");
        }
        if let Some(status) = &filter.status {
            sql.push(" AND status = ").push_bind(status.clone());
        }
        if let Some(owner) = &filter.owner {
            sql.push(" AND owner = ").push_bind(owner.trim().to_ascii_lowercase());
        }
    }

    fn query(&self, part: Part, now: i64, after: Option<&MeetingCursor>, most: i64) -> QueryBuilder<Sqlite> {
        let (column, falls) = part.order();
        let mut sql = QueryBuilder::new(COLUMNS);
        // What is not found in order is put in order before its details are read.
        let is_sorted = self.lead == Lead::Order;
        sql.push(if is_sorted { "" } else { " FROM meetings WHERE meeting_id IN (SELECT meeting_id" });
        self.push(&mut sql, column);
        match part {
            Part::Ahead => _ = sql.push(" AND ends_at > ").push_bind(now),
            Part::Past => _ = sql.push(" AND ends_at <= ").push_bind(now),
            Part::Earliest | Part::Latest | Part::Changed => {}
        }
        // Where the part begins in the index; a place in it lies behind that.
        match (part, after) {
            (Part::Ahead, None) => {
                sql.push(" AND starts_at >= (SELECT min(starts_at) FROM meetings INDEXED BY meetings_time");
                sql.push(" WHERE ends_at > ").push_bind(now).push(")");
            }
            (Part::Past, None) => _ = sql.push(" AND starts_at < ").push_bind(now),
            _ => {}
        }
        let days = [(self.filter.from, "starts_at >= ", !falls), (self.filter.until, "starts_at < ", falls)];
        for (bound, condition, is_first) in days {
            if let Some(bound) = bound {
                // A plus keeps the database from beginning there when the place is further on.
                let plus = if is_first && after.is_some() { "+" } else { "" };
                sql.push(format_args!(" AND {plus}{condition}")).push_bind(millis(bound));
            }
        }
        if let Some(MeetingCursor { key, id, .. }) = after {
            let than = if falls { "<" } else { ">" };
            sql.push(format_args!(" AND ({column}, meeting_id) {than} (")).push_bind(*key);
            sql.push(", ").push_bind(id.clone()).push(")");
        }
        let direction = if falls { " DESC" } else { "" };
        let order = format!(" ORDER BY {column}{direction}, meeting_id{direction}");
        sql.push(&order).push(" LIMIT ").push_bind(most);
        if !is_sorted {
            sql.push(")").push(&order);
        }
        sql
    }

    /// The first of each span of time from one bound to the next, by begin. One statement: what finds the words is read once.
    fn spans(&self, bounds: &[DateTime<Utc>], most: i64) -> QueryBuilder<Sqlite> {
        let mut sql = QueryBuilder::new("WITH spans (opens, closes) AS (");
        sql.push_values(bounds.windows(2), |mut span, bounds| {
            span.push_bind(millis(bounds[0])).push_bind(millis(bounds[1]));
        });
        sql.push(") ").push(COLUMNS);
        sql.push(" FROM spans CROSS JOIN meetings WHERE meeting_id IN (SELECT meeting_id");
        self.push(&mut sql, "starts_at");
        sql.push(" AND starts_at >= opens AND starts_at < closes ORDER BY starts_at, meeting_id LIMIT ")
            .push_bind(most);
        sql.push(") ORDER BY starts_at, meeting_id");
        sql
    }
}

/// How a meeting stands in a calendar.
fn push_standing(sql: &mut QueryBuilder<Sqlite>, (calendar_id, standing): (i64, Option<Standing>)) {
    sql.push("calendar_id = ").push_bind(calendar_id);
    sql.push(" AND standing IN (SELECT value FROM json_each(").push_bind(standings(standing)).push("))");
}

/// The words of the standings that are meant, as a JSON array.
fn standings(standing: Option<Standing>) -> String {
    let all = Standing::ALL.into_iter().filter(|one| match standing {
        // What is looked at again is on the way, too.
        Some(Standing::Pending) => matches!(one, Standing::Pending | Standing::Again),
        Some(standing) => *one == standing,
        None => *one != Standing::Absent,
    });
    serde_json::json!(all.map(Standing::as_str).collect::<Vec<_>>()).to_string()
}

impl Store {
    /// One page of the list of meetings: at most `most`, after the cursor.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn meeting_page(
        &self,
        filter: &MeetingFilter,
        order: MeetingOrder,
        now: DateTime<Utc>,
        after: Option<&MeetingCursor>,
        most: usize,
    ) -> Result<MeetingPage, StoreError> {
        let words = filter.text.as_deref().map(words);
        if words == Some(None) {
            return Ok(MeetingPage { meetings: Vec::new(), next: None });
        }
        let words = words.flatten();
        let lead = self.lead(words.as_deref(), filter.calendar).await?;
        let conditions = Conditions { filter, words, lead };
        let parts = order.parts();
        let first = after.map_or(0, |after| after.part);
        let mut meetings = Vec::new();
        for (index, part) in parts.iter().enumerate().skip(first) {
            let left = most.saturating_add(1) - meetings.len();
            if left == 0 {
                break;
            }
            let after = after.filter(|_| index == first);
            let mut sql = conditions.query(*part, millis(now), after, i64::try_from(left).unwrap_or(i64::MAX));
            let rows = sql.build_query_as::<MeetingRow>().fetch_all(&self.reader).await?;
            for row in rows {
                meetings.push((index, Meeting::try_from(row)?));
            }
        }
        let more = meetings.len() > most;
        meetings.truncate(most);
        let next = meetings.last().filter(|_| more).map(|(index, meeting)| MeetingCursor {
            part: *index,
            key: millis(parts[*index].key(meeting)),
            id: meeting.id.as_str().to_owned(),
        });
        Ok(MeetingPage { meetings: meetings.into_iter().map(|(_, meeting)| meeting).collect(), next })
    }

    /// Meetings by begin, earliest first.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn meetings(&self, filter: &MeetingFilter, most: usize) -> Result<Vec<Meeting>, StoreError> {
        let page = self.meeting_page(filter, MeetingOrder::Earliest, DateTime::UNIX_EPOCH, None, most).await?;
        Ok(page.meetings)
    }

    /// Meetings that begin in each span of time from one bound to the next, by begin: at most `most` of each span. The spans stand
    /// for the filter's own days.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn meetings_in_spans(
        &self,
        filter: &MeetingFilter,
        bounds: &[DateTime<Utc>],
        most: usize,
    ) -> Result<Vec<Vec<Meeting>>, StoreError> {
        let mut spans: Vec<Vec<Meeting>> = bounds.windows(2).map(|_| Vec::new()).collect();
        let words = filter.text.as_deref().map(words);
        if spans.is_empty() || words == Some(None) {
            return Ok(spans);
        }
        let conditions = Conditions { filter, words: words.flatten(), lead: Lead::Order };
        let mut sql = conditions.spans(bounds, i64::try_from(most).unwrap_or(i64::MAX));
        for row in sql.build_query_as::<MeetingRow>().fetch_all(&self.reader).await? {
            let meeting = Meeting::try_from(row)?;
            let span = bounds[1..].partition_point(|closes| *closes <= meeting.details.starts_at);
            if let Some(span) = spans.get_mut(span) {
                span.push(meeting);
            }
        }
        Ok(spans)
    }

    /// What finds the fewest.
    async fn lead(&self, words: Option<&str>, calendar: Option<(i64, Option<Standing>)>) -> Result<Lead, StoreError> {
        // What the words find is looked up in the calendar, too, before it is put in order.
        let few = if calendar.is_some() { FEW / 4 } else { FEW };
        let text = match words {
            Some(words) => self.texts_up_to(words, few).await?,
            None => few,
        };
        let there = match calendar {
            Some((calendar_id, standing)) => self.standing_count(calendar_id, standing).await?,
            None => FEW,
        };
        Ok(if text < few && text <= there {
            Lead::Text
        } else if there < FEW {
            Lead::Calendar
        } else {
            Lead::Order
        })
    }

    /// How many meetings hold the words, counted up to `most`.
    async fn texts_up_to(&self, words: &str, most: i64) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!: i64" FROM (SELECT 1 FROM meeting_texts WHERE meeting_texts MATCH ? LIMIT ?)"#,
            words,
            most
        )
        .fetch_one(&self.reader)
        .await?)
    }

    /// How many meetings stand so in a calendar; with no standing, are worked on or there.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn standing_count(&self, calendar_id: i64, standing: Option<Standing>) -> Result<i64, StoreError> {
        let standings = standings(standing);
        Ok(sqlx::query_scalar!(
            r#"SELECT coalesce(sum(meetings), 0) AS "count!: i64" FROM mirror_tally
               WHERE calendar_id = ? AND standing IN (SELECT value FROM json_each(?))"#,
            calendar_id,
            standings
        )
        .fetch_one(&self.reader)
        .await?)
    }
}

#[cfg(test)]
mod tests;
