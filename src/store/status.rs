//! Counts for the status page and the metrics.

use chrono::{DateTime, Utc};

use super::{DeliveryStatus, Store, StoreError, count, millis, time};
use crate::meeting::event::MeetingId;

/// Deliveries by where they stand.
#[derive(Debug, Clone, Default)]
pub struct InboxCounts {
    /// Number of distinct deliveries in each status.
    pub by_status: Vec<(DeliveryStatus, i64)>,
    /// Repeated arrivals of the same event.
    pub duplicates: i64,
    /// Latest arrival of any kind.
    pub last_received_at: Option<DateTime<Utc>>,
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
    /// When the oldest work that waits became due.
    pub oldest_due_at: Option<DateTime<Utc>>,
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
        let rows = sqlx::query!(
            r#"SELECT status AS "status!", count(*) AS "count!: i64", sum(deliveries - 1) AS "duplicates!: i64",
                      max(last_received_at) AS "last!: i64", min(received_at) AS "first!: i64"
               FROM inbox GROUP BY status"#
        )
        .fetch_all(&self.reader)
        .await?;
        let mut counts = InboxCounts::default();
        for row in rows {
            let status = DeliveryStatus::from_word(&row.status)
                .ok_or_else(|| StoreError::row("inbox", "status", &row.status))?;
            counts.by_status.push((status, row.count));
            counts.duplicates += row.duplicates;
            let last = time(row.last, "inbox", "last_received_at")?;
            counts.last_received_at = counts.last_received_at.max(Some(last));
            if status == DeliveryStatus::Pending {
                counts.oldest_pending_at = Some(time(row.first, "inbox", "received_at")?);
            }
        }
        let test = sqlx::query!(
            "SELECT last_received_at, signature FROM inbox WHERE event_type = 'developer.webhook.test' ORDER BY id DESC LIMIT 1"
        )
        .fetch_optional(&self.reader)
        .await?;
        counts.last_test = test
            .map(|row| Ok::<_, StoreError>((time(row.last_received_at, "inbox", "last_received_at")?, row.signature)))
            .transpose()?;
        Ok(counts)
    }

    /// Meetings by status: confirmed, canceled, replaced.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn meeting_counts(&self) -> Result<[i64; 3], StoreError> {
        let row = sqlx::query!(
            r#"SELECT coalesce(sum(replaced_by IS NULL AND kind < 2), 0) AS "confirmed!: i64",
                      coalesce(sum(replaced_by IS NULL AND kind = 2), 0) AS "canceled!: i64",
                      coalesce(sum(replaced_by IS NOT NULL), 0) AS "replaced!: i64"
               FROM meetings"#
        )
        .fetch_one(&self.reader)
        .await?;
        Ok([row.confirmed, row.canceled, row.replaced])
    }

    /// Mirror work by calendar.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn mirror_counts(&self, now: DateTime<Utc>) -> Result<Vec<MirrorCounts>, StoreError> {
        let now = millis(now);
        let rows = sqlx::query!(
            r#"SELECT calendar_id AS "calendar_id!: i64",
                      sum(due_at IS NULL AND problem IS NULL AND presence = 'present') AS "in_step!: i64",
                      sum(due_at IS NOT NULL AND problem IS NULL) AS "pending!: i64",
                      coalesce(sum(due_at IS NOT NULL AND problem IS NULL AND presence = 'present'
                                   AND written_revision = wanted_revision), 0) AS "again!: i64",
                      sum(due_at IS NOT NULL AND problem IS NOT NULL) AS "failing!: i64",
                      sum(due_at IS NULL AND problem IS NOT NULL) AS "rejected!: i64",
                      min(CASE WHEN due_at <= ? THEN due_at END) AS "oldest: i64",
                      max(written_at) AS "last_written: i64"
               FROM mirror GROUP BY calendar_id ORDER BY calendar_id"#,
            now
        )
        .fetch_all(&self.reader)
        .await?;
        let mut counts = Vec::with_capacity(rows.len());
        for row in rows {
            let last_problem = sqlx::query_scalar!(
                "SELECT problem FROM mirror WHERE calendar_id = ? AND problem IS NOT NULL ORDER BY problem_at DESC LIMIT 1",
                row.calendar_id
            )
            .fetch_optional(&self.reader)
            .await?
            .flatten();
            counts.push(MirrorCounts {
                calendar_id: row.calendar_id,
                in_step: row.in_step,
                pending: row.pending,
                again: row.again,
                failing: row.failing,
                rejected: row.rejected,
                oldest_due_at: row.oldest.map(|at| time(at, "mirror", "due_at")).transpose()?,
                last_problem,
                last_written_at: row.last_written.map(|at| time(at, "mirror", "written_at")).transpose()?,
            });
        }
        Ok(counts)
    }

    /// Meetings that could not be mirrored into calendars in use, the latest failure first.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn mirror_problems(&self, most: u32) -> Result<Vec<MirrorProblem>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT mirror.meeting_id, meetings.details ->> '$.title' AS "title?: String", mirror.calendar_id AS "calendar_id!",
                      mirror.problem AS "problem!", mirror.problem_at AS "problem_at!", mirror.attempts, mirror.due_at
               FROM mirror
               JOIN meetings USING (meeting_id)
               JOIN calendars ON calendars.id = mirror.calendar_id
               WHERE mirror.problem IS NOT NULL AND mirror.problem_at IS NOT NULL AND calendars.removed_at IS NULL
               ORDER BY mirror.problem_at DESC, mirror.meeting_id LIMIT ?"#,
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
