//! Lists of meetings as people page through them, filtered and in several orders, read from indexes page by page.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use self::query::{BEGIN, Conditions, Lead, SOON, standings};
use super::meetings::MeetingRow;
use super::word_index::Sought;
use super::{Standing, Store, StoreError, millis};
use crate::meeting::state::Meeting;

mod query;

/// When fewer than this stand so in a calendar, they are looked up first and then put in order: that takes as long as going past
/// four times as many in that order. When more do, they are met soon enough on the way.
const FEW: i64 = if cfg!(test) { 8 } else { 20_000 };
/// The same where a calendar's own index has them in order, and it matters not how they stand: then none is met in vain.
const FEW_AT_ALL: i64 = if cfg!(test) { 4 } else { 1000 };

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
            Self::Ahead | Self::Earliest => (BEGIN, false),
            Self::Past | Self::Latest => (BEGIN, true),
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
        let sought = filter.text.as_deref().map(Sought::new);
        if sought == Some(None) {
            return Ok(MeetingPage { meetings: Vec::new(), next: None });
        }
        let sought = sought.flatten();
        let few_there = self.few_there(filter, order).await?;
        let parts = order.parts();
        let first = after.map_or(0, |after| after.part);
        let mut meetings = Vec::new();
        for (index, part) in parts.iter().enumerate().skip(first) {
            let left = most.saturating_add(1) - meetings.len();
            if left == 0 {
                break;
            }
            let after = after.filter(|_| index == first);
            let read = async |lead| {
                let conditions = Conditions { filter, sought: sought.as_ref(), lead };
                let mut sql = conditions.query(*part, millis(now), after, left);
                sql.build_query_as::<MeetingRow>().fetch_all(&self.reader).await
            };
            // Words that many hold are met soon in the order of the list; the index would tell all those that hold them first.
            let is_soon = sought.is_some() && left <= SOON && few_there.is_none();
            let mut rows = if is_soon { read(Lead::Soon).await? } else { Vec::new() };
            if rows.len() < left {
                rows = read(self.lead(sought.as_ref(), filter, few_there).await?).await?;
            }
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
        let sought = filter.text.as_deref().map(Sought::new);
        if spans.is_empty() || sought == Some(None) {
            return Ok(spans);
        }
        // The days alone leave so few that each is asked for the words.
        let conditions = Conditions { filter, sought: sought.as_ref().and_then(Option::as_ref), lead: Lead::Order };
        let mut sql = conditions.spans(bounds, most);
        for row in sql.build_query_as::<MeetingRow>().fetch_all(&self.reader).await? {
            let meeting = Meeting::try_from(row)?;
            let span = bounds[1..].partition_point(|closes| *closes <= meeting.details.starts_at);
            if let Some(span) = spans.get_mut(span) {
                span.push(meeting);
            }
        }
        Ok(spans)
    }

    /// What finds the fewest; `few_there` stand so in the calendar.
    async fn lead(
        &self,
        sought: Option<&Sought>,
        filter: &MeetingFilter,
        few_there: Option<i64>,
    ) -> Result<Lead, StoreError> {
        if let Some(sought) = sought
            && (filter.calendar.is_none() || self.is_in_fewer(sought, few_there.unwrap_or(FEW)).await?)
        {
            return Ok(Lead::Text);
        }
        Ok(if few_there.is_some() { Lead::Calendar } else { Lead::Order })
    }

    /// How many stand so in the calendar, if these are few.
    async fn few_there(&self, filter: &MeetingFilter, order: MeetingOrder) -> Result<Option<i64>, StoreError> {
        let Some((calendar_id, standing)) = filter.calendar else { return Ok(None) };
        let has_order = order != MeetingOrder::Changed && filter.owner.is_none() && filter.status.is_none();
        let few = if has_order && standing.is_none() { FEW_AT_ALL } else { FEW };
        Ok(Some(self.standing_count(calendar_id, standing).await?).filter(|there| *there < few))
    }

    /// Whether fewer meetings than that hold what is sought.
    async fn is_in_fewer(&self, sought: &Sought, than: i64) -> Result<bool, StoreError> {
        let sought = sought.in_index();
        let found = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!: i64" FROM (SELECT 1 FROM meeting_texts WHERE meeting_texts MATCH ? LIMIT ?)"#,
            sought,
            than
        )
        .fetch_one(&self.reader)
        .await?;
        Ok(found < than)
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
