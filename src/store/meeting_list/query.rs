//! A list of meetings as the database is asked for it: where it is read from, what each must meet, in which order.

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite};

use super::{MeetingCursor, MeetingFilter, Part};
use crate::store::word_index::Sought;
use crate::store::{Standing, millis};

/// Meetings that are asked for the words in the order of the list, before the word index is.
pub(super) const SOON: usize = if cfg!(test) { 4 } else { 1000 };

/// What most lists are in order of.
pub(super) const BEGIN: &str = "starts_at";

const COLUMNS: &str = "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, \
                       last_modified_at, forget_since";

/// What leads to the meetings of a list; the rest is held against each that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// The word index.
    Text,
    /// What stands so in the calendar.
    Calendar,
    /// An index in the order of the list.
    Order,
    /// The same, but only its first [`SOON`] are asked for the words.
    Soon,
}

/// A filter as the database is asked.
pub(super) struct Conditions<'a> {
    pub(super) filter: &'a MeetingFilter,
    /// None = no text is asked for.
    pub(super) sought: Option<&'a Sought>,
    pub(super) lead: Lead,
}

impl Conditions<'_> {
    /// Whether the list is read in the order of a calendar's own index: nothing else leads to fewer, and no row is beside it.
    fn is_of_calendar(&self, order: &str) -> bool {
        let filter = self.filter;
        matches!(self.lead, Lead::Order | Lead::Soon)
            && order == BEGIN
            && filter.owner.is_none()
            && filter.status.is_none()
            && filter.calendar.is_some_and(|(_, standing)| standing != Some(Standing::Absent))
    }

    /// Where meetings are read from, and the conditions. The index is named, so that the way is the same for every choice.
    fn push(&self, sql: &mut QueryBuilder<Sqlite>, order: &str) {
        let filter = self.filter;
        match (self.lead, self.sought, filter.calendar) {
            (Lead::Text, Some(sought), _) => {
                sql.push(" FROM meeting_texts CROSS JOIN meetings ON number = meeting_texts.rowid");
                sql.push(" WHERE meeting_texts MATCH ").push_bind(sought.in_index());
            }
            (Lead::Calendar, _, Some(calendar)) => {
                sql.push(" FROM mirror CROSS JOIN meetings USING (meeting_id) WHERE ");
                push_standing(sql, calendar);
            }
            (_, _, Some(calendar)) if self.is_of_calendar(order) => {
                sql.push(" FROM mirror INDEXED BY mirror_begin CROSS JOIN meetings USING (meeting_id)");
                sql.push(" WHERE standing <> 'absent' AND ");
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
        if let Some(calendar) = filter.calendar.filter(|_| self.lead != Lead::Calendar && !self.is_of_calendar(order)) {
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
        if let Some(sought) = self.sought.filter(|_| matches!(self.lead, Lead::Order | Lead::Calendar)) {
            sought.push(sql);
        }
    }

    /// One part of the list after a place in it, at most so many.
    pub(super) fn query(
        &self,
        part: Part,
        now: i64,
        after: Option<&MeetingCursor>,
        most: usize,
    ) -> QueryBuilder<Sqlite> {
        let (order, falls) = part.order();
        let begin = if self.is_of_calendar(order) { "begins_at" } else { BEGIN };
        let column = if order == BEGIN { begin } else { order };
        let mut sql = QueryBuilder::new(COLUMNS);
        match self.lead {
            Lead::Order => {}
            Lead::Soon => _ = sql.push(" FROM (").push(COLUMNS).push(", words, ").push(column),
            // What is not found in order is put in order before its details are read.
            Lead::Text | Lead::Calendar => _ = sql.push(" FROM meetings WHERE meeting_id IN (SELECT meeting_id"),
        }
        self.push(&mut sql, order);
        match part {
            Part::Ahead => _ = sql.push(" AND ends_at > ").push_bind(now),
            Part::Past => _ = sql.push(" AND ends_at <= ").push_bind(now),
            Part::Earliest | Part::Latest | Part::Changed => {}
        }
        // Where the part begins in the index; a place in it lies behind that.
        match (part, after) {
            (Part::Ahead, None) => {
                sql.push(format_args!(" AND {begin} >= (SELECT min(starts_at) FROM meetings INDEXED BY meetings_time"));
                sql.push(" WHERE ends_at > ").push_bind(now).push(")");
            }
            (Part::Past, None) => _ = sql.push(format_args!(" AND {begin} < ")).push_bind(now),
            _ => {}
        }
        let days = [(self.filter.from, ">=", !falls), (self.filter.until, "<", falls)];
        for (bound, than, is_first) in days {
            if let Some(bound) = bound {
                // A plus keeps the database from beginning there when the place is further on.
                let plus = if is_first && after.is_some() { "+" } else { "" };
                sql.push(format_args!(" AND {plus}{begin} {than} ")).push_bind(millis(bound));
            }
        }
        if let Some(MeetingCursor { key, id, .. }) = after {
            let than = if falls { "<" } else { ">" };
            sql.push(format_args!(" AND ({column}, meeting_id) {than} (")).push_bind(*key);
            sql.push(", ").push_bind(id.clone()).push(")");
        }
        let direction = if falls { " DESC" } else { "" };
        let sorted = format!(" ORDER BY {column}{direction}, meeting_id{direction}");
        if self.lead == Lead::Soon {
            sql.push(&sorted).push(format_args!(" LIMIT {SOON}) WHERE 1"));
            if let Some(sought) = self.sought {
                sought.push(&mut sql);
            }
        }
        sql.push(&sorted).push(" LIMIT ").push_bind(i64::try_from(most).unwrap_or(i64::MAX));
        if matches!(self.lead, Lead::Text | Lead::Calendar) {
            sql.push(")").push(&sorted);
        }
        sql
    }

    /// The first of each span of time from one bound to the next, by begin.
    pub(super) fn spans(&self, bounds: &[DateTime<Utc>], most: usize) -> QueryBuilder<Sqlite> {
        let mut sql = QueryBuilder::new("WITH spans (opens, closes) AS (");
        sql.push_values(bounds.windows(2), |mut span, bounds| {
            span.push_bind(millis(bounds[0])).push_bind(millis(bounds[1]));
        });
        sql.push(") ").push(COLUMNS);
        sql.push(" FROM spans CROSS JOIN meetings WHERE meeting_id IN (SELECT meeting_id");
        self.push(&mut sql, BEGIN);
        let begin = if self.is_of_calendar(BEGIN) { "begins_at" } else { BEGIN };
        sql.push(format_args!(" AND {begin} >= opens AND {begin} < closes ORDER BY {begin}, meeting_id LIMIT "))
            .push_bind(i64::try_from(most).unwrap_or(i64::MAX));
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
pub(super) fn standings(standing: Option<Standing>) -> String {
    let all = Standing::ALL.into_iter().filter(|one| match standing {
        // What is looked at again is on the way, too.
        Some(Standing::Pending) => matches!(one, Standing::Pending | Standing::Again),
        Some(standing) => *one == standing,
        None => *one != Standing::Absent,
    });
    serde_json::json!(all.map(Standing::as_str).collect::<Vec<_>>()).to_string()
}
