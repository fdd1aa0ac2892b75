//! What stands in the rows of mirror work, for pages, for lists and for whoever waits until something is due.

use chrono::{DateTime, Utc};

use super::mirror::{Presence, ProblemKind};
use super::{Store, StoreError, count, time};

/// A row as pages show it.
#[derive(Debug, Clone)]
pub struct MirrorRow {
    /// The calendar's row id.
    pub calendar_id: i64,
    /// The revision that is wanted.
    pub wanted_revision: u32,
    /// The revision Google last agreed with.
    pub written_revision: Option<u32>,
    /// Whether the event is there.
    pub presence: Presence,
    /// When it is worked on next; none = in step.
    pub due_at: Option<DateTime<Utc>>,
    /// Failures since the last success or change.
    pub attempts: u32,
    /// The last failure, with when and what follows.
    pub problem: Option<(String, ProblemKind, DateTime<Utc>)>,
    /// When Google last agreed.
    pub written_at: Option<DateTime<Utc>>,
    /// Part of the event id.
    pub generation: u32,
    /// No longer selected, but kept until an admin approves.
    pub held: bool,
}

impl Store {
    /// When the earliest row becomes due, leases and held-back calendars left aside; none = nothing waits.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn next_mirror_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let due = sqlx::query_scalar!(
            r#"SELECT min(max(mirror.due_at, coalesce(mirror.leased_until, 0), coalesce(calendars.paused_until, 0)))
                      AS "due?: i64"
               FROM mirror JOIN calendars ON calendars.id = mirror.calendar_id
               WHERE mirror.due_at IS NOT NULL AND calendars.removed_at IS NULL"#
        )
        .fetch_one(&self.reader)
        .await?;
        due.map(|due| time(due, "mirror", "due_at")).transpose()
    }

    /// Where a meeting stands in each calendar.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn mirror_rows(&self, meeting_id: &str) -> Result<Vec<MirrorRow>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT calendar_id, wanted_revision, written_revision, presence, due_at, attempts, problem, problem_kind,
                      problem_at, written_at, generation, held AS "held: bool"
               FROM mirror WHERE meeting_id = ? ORDER BY calendar_id"#,
            meeting_id
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter()
            .map(|row| {
                let problem = match (row.problem, row.problem_kind, row.problem_at) {
                    (Some(text), Some(kind), Some(at)) => Some((
                        text,
                        ProblemKind::from_word(&kind)
                            .ok_or_else(|| StoreError::row("mirror", "problem_kind", &kind))?,
                        time(at, "mirror", "problem_at")?,
                    )),
                    _ => None,
                };
                Ok(MirrorRow {
                    calendar_id: row.calendar_id,
                    wanted_revision: count(row.wanted_revision, "mirror", "wanted_revision")?,
                    written_revision: row
                        .written_revision
                        .map(|revision| count(revision, "mirror", "written_revision"))
                        .transpose()?,
                    presence: Presence::from_word(&row.presence)
                        .ok_or_else(|| StoreError::row("mirror", "presence", &row.presence))?,
                    due_at: row.due_at.map(|at| time(at, "mirror", "due_at")).transpose()?,
                    attempts: count(row.attempts, "mirror", "attempts")?,
                    problem,
                    written_at: row.written_at.map(|at| time(at, "mirror", "written_at")).transpose()?,
                    generation: count(row.generation, "mirror", "generation")?,
                    held: row.held,
                })
            })
            .collect()
    }
}
