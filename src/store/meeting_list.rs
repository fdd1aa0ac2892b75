//! Lists of meetings as people page through them, filtered and in several orders, read from indexes page by page.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite};

use super::meetings::MeetingRow;
use super::{Standing, Store, StoreError, millis};
use crate::meeting::state::Meeting;

/// What finds fewer meetings than this is looked up first and then put in order; what finds more is met soon enough on the way
/// through all meetings in that order.
const FEW: i64 = if cfg!(test) { 4 } else { 2000 };

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
    Running,
    Upcoming,
    Past,
    Earliest,
    Latest,
    Changed,
}

impl MeetingOrder {
    fn parts(self) -> &'static [Part] {
        match self {
            Self::NextFirst => &[Part::Running, Part::Upcoming, Part::Past],
            Self::Ahead => &[Part::Running, Part::Upcoming],
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
            Self::Running | Self::Upcoming | Self::Earliest => ("starts_at", false),
            Self::Past | Self::Latest => ("starts_at", true),
            Self::Changed => ("last_modified_at", true),
        }
    }

    fn key(self, meeting: &Meeting) -> DateTime<Utc> {
        match self {
            Self::Running | Self::Upcoming | Self::Past | Self::Earliest | Self::Latest => meeting.details.starts_at,
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

/// A filter as the database is asked: what few meetings meet leads the way, the rest is held against each.
struct Conditions<'a> {
    filter: &'a MeetingFilter,
    /// The text for the word index; none = no text is asked for.
    words: Option<String>,
    text_is_rare: bool,
    calendar_is_rare: bool,
}

impl Conditions<'_> {
    fn are_rare(&self) -> bool {
        self.text_is_rare || self.calendar_is_rare
    }

    fn push(&self, sql: &mut QueryBuilder<Sqlite>, part: Part) {
        if let Some(words) = &self.words {
            // A plus keeps the database from taking that index.
            sql.push(if self.text_is_rare { " AND number" } else { " AND +number" });
            sql.push(" IN (SELECT rowid FROM meeting_texts WHERE meeting_texts MATCH ")
                .push_bind(words.clone())
                .push(")");
        }
        if let Some((calendar_id, standing)) = self.filter.calendar {
            sql.push(if self.calendar_is_rare {
                " AND meeting_id IN (SELECT meeting_id FROM mirror WHERE calendar_id = "
            } else {
                " AND EXISTS (SELECT 1 FROM mirror WHERE mirror.meeting_id = meetings.meeting_id AND calendar_id = "
            });
            sql.push_bind(calendar_id);
            match standing {
                // What is looked at again is on the way, too.
                Some(Standing::Pending) => sql.push(" AND standing IN ('pending', 'again')"),
                Some(standing) => sql.push(" AND standing = ").push_bind(standing.as_str()),
                None => sql.push(" AND standing <> ").push_bind(Standing::Absent.as_str()),
            };
            sql.push(")");
        }
        let plus = if self.are_rare() { "+" } else { "" };
        if let Some(status) = &self.filter.status {
            // Its index is in order of begins.
            let plus = if matches!(part, Part::Running | Part::Changed) { "+" } else { plus };
            sql.push(format_args!(" AND {plus}status = ")).push_bind(status.clone());
        }
        if let Some(owner) = &self.filter.owner {
            sql.push(format_args!(" AND {plus}owner = ")).push_bind(owner.trim().to_ascii_lowercase());
        }
        for (bound, condition) in [(self.filter.from, "starts_at >= "), (self.filter.until, "starts_at < ")] {
            if let Some(bound) = bound {
                sql.push(format_args!(" AND {plus}{condition}")).push_bind(millis(bound));
            }
        }
    }

    fn query(&self, part: Part, now: i64, after: Option<&MeetingCursor>, most: i64) -> QueryBuilder<Sqlite> {
        let (column, falls) = part.order();
        // What runs now is found by its end: of what began before now nearly all is past.
        let plus = if self.are_rare() || part == Part::Running { "+" } else { "" };
        let mut sql = QueryBuilder::new(
            "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, \
             last_modified_at FROM meetings WHERE ",
        );
        match part {
            Part::Running => {
                let plus = if self.are_rare() { "+" } else { "" };
                sql.push(format_args!("{plus}ends_at > ")).push_bind(now).push(" AND +starts_at <= ").push_bind(now);
            }
            Part::Upcoming => _ = sql.push(format_args!("{plus}starts_at > ")).push_bind(now),
            Part::Past => {
                sql.push(format_args!("{plus}starts_at < ")).push_bind(now).push(" AND +ends_at <= ").push_bind(now);
            }
            Part::Earliest | Part::Latest | Part::Changed => _ = sql.push("1"),
        }
        self.push(&mut sql, part);
        if let Some(MeetingCursor { key, id, .. }) = after {
            let than = if falls { "<" } else { ">" };
            sql.push(format_args!(" AND ({plus}{column}, meeting_id) {than} (")).push_bind(*key);
            sql.push(", ").push_bind(id.clone()).push(")");
        }
        let direction = if falls { " DESC" } else { "" };
        sql.push(format_args!(" ORDER BY {plus}{column}{direction}, meeting_id{direction} LIMIT ")).push_bind(most);
        sql
    }
}

/// A text for a word index: each word begins a word of what is looked for. None when it holds no word.
pub(super) fn words(text: &str) -> Option<String> {
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| word.contains(char::is_alphanumeric))
        .map(|word| format!("\"{}\"*", word.replace('"', "\"\"")))
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
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
        let text_is_rare = match &words {
            Some(words) => self.texts_up_to(words, FEW).await? < FEW,
            None => false,
        };
        let calendar_is_rare = match filter.calendar {
            Some((calendar_id, Some(standing))) => self.standing_count(calendar_id, standing).await? < FEW,
            _ => false,
        };
        let conditions = Conditions { filter, words, text_is_rare, calendar_is_rare };
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

    async fn standing_count(&self, calendar_id: i64, standing: Standing) -> Result<i64, StoreError> {
        let standing = standing.as_str();
        Ok(sqlx::query_scalar!(
            r#"SELECT coalesce(sum(meetings), 0) AS "count!: i64" FROM mirror_tally
               WHERE calendar_id = ?1 AND (standing = ?2 OR ?2 = 'pending' AND standing = 'again')"#,
            calendar_id,
            standing
        )
        .fetch_one(&self.reader)
        .await?)
    }
}

#[cfg(test)]
mod tests;
