//! Counts for the status page and the metrics.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{DeliveryStatus, Store, StoreError, count, millis, time};
use crate::health::rhythm::hour_of;
use crate::meeting::event::MeetingId;

/// Deliveries by where they stand.
#[derive(Debug, Clone, Default)]
pub struct InboxCounts {
    /// Number of distinct deliveries in each status.
    pub by_status: Vec<(DeliveryStatus, i64)>,
    /// Repeated arrivals of the same event.
    pub duplicates: i64,
    /// When the oldest one that still waits arrived.
    pub oldest_pending_at: Option<DateTime<Utc>>,
    /// Latest `developer.webhook.test`, with what signature matched.
    pub last_test: Option<(DateTime<Utc>, String)>,
}

impl InboxCounts {
    /// Number in one status.
    pub fn of(&self, status: DeliveryStatus) -> i64 {
        self.by_status.iter().find(|(found, _)| *found == status).map_or(0, |(_, count)| *count)
    }

    /// Number of distinct deliveries.
    pub fn all(&self) -> i64 {
        self.by_status.iter().map(|(_, count)| count).sum()
    }
}

/// How a meeting stands in a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is there and as wanted.
    InStep,
    /// It waits for its turn.
    Pending,
    /// It is there and up to date, and only looked at again.
    Again,
    /// It failed and is tried again.
    Failing,
    /// Google refuses it until it changes.
    Refused,
    /// It is rightly not there.
    Absent,
    /// It may be there: a write was begun, and nobody works on it any more.
    Unknown,
}

impl Standing {
    pub(super) const ALL: [Self; 7] =
        [Self::InStep, Self::Pending, Self::Again, Self::Failing, Self::Refused, Self::Absent, Self::Unknown];

    /// The word in the database and in addresses of lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InStep => "in step",
            Self::Pending => "pending",
            Self::Again => "again",
            Self::Failing => "failing",
            Self::Refused => "refused",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }

    /// The standing of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == word)
    }
}

/// Mirror work of one calendar.
#[derive(Debug, Clone, Default)]
pub struct MirrorCounts {
    /// The calendar's row id.
    pub calendar_id: i64,
    /// Events that are there and as wanted.
    pub in_step: i64,
    /// Waiting for their turn, without a failure.
    pub pending: i64,
    /// Of those, events that are there and up to date with their meeting: only looked at again, after the calendar was edited or
    /// a check.
    pub again: i64,
    /// Failed and to be tried again.
    pub failing: i64,
    /// Refused by Google until they change.
    pub rejected: i64,
    /// May be there: a write was begun, and nobody works on it any more.
    pub unknown: i64,
    /// Since when the oldest work waits, however often it was tried.
    pub waits_since: Option<DateTime<Utc>>,
    /// Text of the latest failure.
    pub last_problem: Option<String>,
    /// When Google last agreed with anything.
    pub last_written_at: Option<DateTime<Utc>>,
}

/// A meeting that could not be mirrored.
#[derive(Debug, Clone)]
pub struct MirrorProblem {
    /// The meeting.
    pub meeting_id: MeetingId,
    /// Its own name, if it has one.
    pub title: Option<String>,
    /// The calendar's row id.
    pub calendar_id: i64,
    /// Text of the failure.
    pub text: String,
    /// When it failed last.
    pub at: DateTime<Utc>,
    /// Failures since the last success or change.
    pub attempts: u32,
    /// When it is tried again; none = not until the meeting changes.
    pub again_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Deliveries by where they stand.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn inbox_counts(&self) -> Result<InboxCounts, StoreError> {
        let rows = sqlx::query!("SELECT status, deliveries, repeats FROM inbox_tally").fetch_all(&self.reader).await?;
        let mut counts = InboxCounts::default();
        for row in rows {
            let status = DeliveryStatus::from_word(&row.status)
                .ok_or_else(|| StoreError::row("inbox_tally", "status", &row.status))?;
            counts.by_status.push((status, row.deliveries));
            counts.duplicates += row.repeats;
        }
        let pending = sqlx::query_scalar!(
            r#"SELECT min(pending_since) AS "pending: i64" FROM inbox INDEXED BY inbox_pending_since WHERE status = 'pending'"#
        )
        .fetch_one(&self.reader)
        .await?;
        counts.oldest_pending_at = pending.map(|at| time(at, "inbox", "pending_since")).transpose()?;
        let test = sqlx::query!(
            "SELECT last_received_at, signature FROM inbox INDEXED BY inbox_tests
             WHERE event_type = 'developer.webhook.test' ORDER BY id DESC LIMIT 1"
        )
        .fetch_optional(&self.reader)
        .await?;
        counts.last_test = test
            .map(|row| Ok::<_, StoreError>((time(row.last_received_at, "inbox", "last_received_at")?, row.signature)))
            .transpose()?;
        Ok(counts)
    }

    /// The latest arrival of a delivery up to now. What lies ahead came while the clock was wrong; within this hour that counts
    /// as now.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn last_arrival(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, StoreError> {
        let now = millis(now);
        let last = sqlx::query_scalar!(
            r#"SELECT min(last_at, ?1) AS "last!: i64" FROM arrivals WHERE hour <= ?1 / 3600000 ORDER BY hour DESC LIMIT 1"#,
            now
        )
        .fetch_optional(&self.reader)
        .await?;
        last.map(|at| time(at, "arrivals", "last_at")).transpose()
    }

    /// Arrivals of deliveries by hour, hours since 1970-01-01 UTC, from `since` up to now; repeated ones count as well.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn arrivals(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> Result<BTreeMap<i64, u32>, StoreError> {
        let [first, last] = [since, now].map(hour_of);
        let rows = sqlx::query!(
            r#"SELECT hour AS "hour!", arrivals FROM arrivals WHERE hour BETWEEN ? AND ? ORDER BY hour"#,
            first,
            last
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter().map(|row| Ok((row.hour, count(row.arrivals, "arrivals", "arrivals")?))).collect()
    }

    /// Meetings by status: confirmed, canceled, replaced.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn meeting_counts(&self) -> Result<[i64; 3], StoreError> {
        let rows = sqlx::query!("SELECT status, meetings FROM meeting_tally").fetch_all(&self.reader).await?;
        let of = |status| rows.iter().find(|row| row.status == status).map_or(0, |row| row.meetings);
        Ok([of("confirmed"), of("canceled"), of("replaced")])
    }

    /// Mirror work by calendar.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn mirror_counts(&self, now: DateTime<Utc>) -> Result<Vec<MirrorCounts>, StoreError> {
        let now = millis(now);
        let tally = sqlx::query!("SELECT calendar_id, standing, meetings FROM mirror_tally ORDER BY calendar_id")
            .fetch_all(&self.reader)
            .await?;
        let mut counts: Vec<MirrorCounts> = Vec::new();
        for row in tally {
            if counts.last().is_none_or(|last| last.calendar_id != row.calendar_id) {
                counts.push(MirrorCounts { calendar_id: row.calendar_id, ..MirrorCounts::default() });
            }
            let (Some(of), Some(standing)) = (counts.last_mut(), Standing::from_word(&row.standing)) else {
                return Err(StoreError::row("mirror_tally", "standing", &row.standing));
            };
            match standing {
                Standing::InStep => of.in_step = row.meetings,
                Standing::Pending => of.pending += row.meetings,
                Standing::Again => {
                    of.pending += row.meetings;
                    of.again = row.meetings;
                }
                Standing::Failing => of.failing = row.meetings,
                Standing::Refused => of.rejected = row.meetings,
                Standing::Absent => {}
                Standing::Unknown => of.unknown = row.meetings,
            }
        }
        for of in &mut counts {
            let row = sqlx::query!(
                r#"SELECT (SELECT min(waits_since) FROM mirror WHERE calendar_id = ?1 AND waits_since <= ?2) AS "oldest: i64",
                          (SELECT max(written_at) FROM mirror WHERE calendar_id = ?1) AS "written: i64",
                          (SELECT problem FROM mirror WHERE calendar_id = ?1 AND problem IS NOT NULL
                           ORDER BY problem_at DESC LIMIT 1) AS "problem: String""#,
                of.calendar_id,
                now
            )
            .fetch_one(&self.reader)
            .await?;
            of.waits_since = row.oldest.map(|at| time(at, "mirror", "waits_since")).transpose()?;
            of.last_written_at = row.written.map(|at| time(at, "mirror", "written_at")).transpose()?;
            of.last_problem = row.problem;
        }
        Ok(counts)
    }

    /// Meetings that could not be mirrored into calendars in use, the latest failure first; not those that only wait for a person,
    /// since then the calendar itself says what to do.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn mirror_problems(&self, most: u32) -> Result<Vec<MirrorProblem>, StoreError> {
        // Of each calendar its latest: one that was removed may have left any number of failures.
        let rows = sqlx::query!(
            r#"SELECT mirror.meeting_id, meetings.details ->> '$.title' AS "title?: String", mirror.calendar_id AS "calendar_id!",
                      mirror.problem AS "problem!", mirror.problem_at AS "problem_at!", mirror.attempts, mirror.due_at
               FROM calendars
               CROSS JOIN mirror ON mirror.calendar_id = calendars.id AND mirror.meeting_id IN (
                   SELECT meeting_id FROM mirror AS latest
                   WHERE latest.calendar_id = calendars.id AND problem IS NOT NULL AND problem_at IS NOT NULL
                         AND problem_kind IS NOT 'person'
                   ORDER BY problem_at DESC, meeting_id LIMIT ?1)
               JOIN meetings ON meetings.meeting_id = mirror.meeting_id
               WHERE calendars.removed_at IS NULL
               ORDER BY mirror.problem_at DESC, mirror.meeting_id LIMIT ?1"#,
            most
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(MirrorProblem {
                    meeting_id: MeetingId::new(row.meeting_id),
                    title: row.title,
                    calendar_id: row.calendar_id,
                    text: row.problem,
                    at: time(row.problem_at, "mirror", "problem_at")?,
                    attempts: count(row.attempts, "mirror", "attempts")?,
                    again_at: row.due_at.map(|at| time(at, "mirror", "due_at")).transpose()?,
                })
            })
            .collect()
    }
}
