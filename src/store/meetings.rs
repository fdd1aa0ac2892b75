//! The meeting state table and the history of each meeting.

use chrono::{DateTime, Utc};

use super::{Store, StoreError, WriteTx, count, millis, time, word_index};
use crate::meeting::apply::Effect;
use crate::meeting::event::{EventId, EventKey, Kind, MeetingEvent, MeetingId, OrganizationId};
use crate::meeting::state::Meeting;

#[derive(sqlx::FromRow)]
pub(super) struct MeetingRow {
    pub(super) meeting_id: String,
    pub(super) happened_at_ns: i64,
    pub(super) kind: i64,
    pub(super) event_id: String,
    pub(super) replaced_by: Option<String>,
    pub(super) details: String,
    pub(super) revision: i64,
    pub(super) first_seen_at: i64,
    pub(super) last_modified_at: i64,
    pub(super) forget_since: Option<i64>,
}

impl TryFrom<MeetingRow> for Meeting {
    type Error = StoreError;

    fn try_from(row: MeetingRow) -> Result<Self, StoreError> {
        let details = serde_json::from_str(&row.details).map_err(|error| {
            StoreError::row("meetings", "details", format_args!("of meeting {} ({error})", row.meeting_id))
        })?;
        Ok(Self {
            latest: event_key("meetings", row.happened_at_ns, row.kind, row.event_id)?,
            id: MeetingId::new(row.meeting_id),
            details,
            replaced_by: row.replaced_by.map(MeetingId::new),
            revision: count(row.revision, "meetings", "revision")?,
            first_seen_at: time(row.first_seen_at, "meetings", "first_seen_at")?,
            last_modified_at: time(row.last_modified_at, "meetings", "last_modified_at")?,
            forget_since: row.forget_since.map(|at| time(at, "meetings", "forget_since")).transpose()?,
        })
    }
}

pub(super) fn event_key(table: &'static str, nanos: i64, kind: i64, event_id: String) -> Result<EventKey, StoreError> {
    let kind = match kind {
        0 => Kind::Scheduled,
        1 => Kind::Rescheduled,
        2 => Kind::Canceled,
        _ => return Err(StoreError::row(table, "kind", kind)),
    };
    Ok(EventKey { happened_at: DateTime::from_timestamp_nanos(nanos), kind, event_id: EventId::new(event_id) })
}

/// A key as columns. Times are read inside 1970 to 2199, where nanoseconds fit.
pub(super) fn key_columns(key: &EventKey) -> (i64, i64, &str) {
    let kind = match key.kind {
        Kind::Scheduled => 0,
        Kind::Rescheduled => 1,
        Kind::Canceled => 2,
    };
    (key.happened_at.timestamp_nanos_opt().unwrap_or(i64::MAX), kind, key.event_id.as_str())
}

/// One event in the history of a meeting.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// The meeting the event speaks of; another one when that booking took this one over.
    pub origin: MeetingId,
    /// The delivery.
    pub inbox_id: i64,
    /// Place in the total order.
    pub key: EventKey,
    /// Begin, as the event said.
    pub starts_at: DateTime<Utc>,
    /// End, as the event said.
    pub ends_at: DateTime<Utc>,
    /// Title, as the event said.
    pub title: Option<String>,
    /// What it did: the word of [`Effect::as_str`].
    pub effect: String,
    /// Revision of the meeting after it.
    pub revision: u32,
    /// When it was applied.
    pub applied_at: DateTime<Utc>,
}

impl WriteTx<'_> {
    /// The meeting of that id.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn meeting(&mut self, id: &MeetingId) -> Result<Option<Meeting>, StoreError> {
        let id = id.as_str();
        let row = sqlx::query_as!(
            MeetingRow,
            "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, last_modified_at, forget_since
             FROM meetings WHERE meeting_id = ?",
            id
        )
        .fetch_optional(&mut *self.0)
        .await?;
        row.map(Meeting::try_from).transpose()
    }

    /// Writes the meeting's row. If its revision is another one, that is a change later than all others.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn save_meeting(&mut self, meeting: &Meeting) -> Result<(), StoreError> {
        let is_no_json = |error| StoreError::row("meetings", "details", error);
        let details = serde_json::to_string(&meeting.details).map_err(is_no_json)?;
        let words =
            word_index::of_meeting(meeting.id.as_str(), &serde_json::to_value(&meeting.details).map_err(is_no_json)?);
        let (nanos, kind, event_id) = key_columns(&meeting.latest);
        let (id, replaced_by) = (meeting.id.as_str(), meeting.replaced_by.as_ref().map(MeetingId::as_str));
        let (starts, ends) = (millis(meeting.details.starts_at), millis(meeting.details.ends_at));
        let (first_seen, modified) = (millis(meeting.first_seen_at), millis(meeting.last_modified_at));
        sqlx::query!(
            "INSERT INTO meetings (meeting_id, happened_at_ns, kind, event_id, replaced_by, starts_at, ends_at, details, revision,
                                   first_seen_at, last_modified_at, words, number, position)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, (SELECT coalesce(max(number), 0) + 1 FROM meetings),
                     (SELECT position + 1 FROM changes WHERE of = 'meetings'))
             ON CONFLICT (meeting_id) DO UPDATE SET
                 happened_at_ns = ?2, kind = ?3, event_id = ?4, replaced_by = ?5, starts_at = ?6, ends_at = ?7, details = ?8,
                 revision = ?9, last_modified_at = ?11, words = ?12,
                 position = CASE WHEN revision = ?9 THEN position ELSE excluded.position END",
            id,
            nanos,
            kind,
            event_id,
            replaced_by,
            starts,
            ends,
            details,
            meeting.revision,
            first_seen,
            modified,
            words
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// The greatest of a meeting's own events that was not a cancellation.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn latest_live_event(&mut self, id: &MeetingId) -> Result<Option<EventKey>, StoreError> {
        let id = id.as_str();
        let row = sqlx::query!(
            "SELECT happened_at_ns, kind, event_id FROM meeting_history
             WHERE meeting_id = ?1 AND origin_id = ?1 AND kind < 2
             ORDER BY happened_at_ns DESC, kind DESC, event_id DESC LIMIT 1",
            id
        )
        .fetch_optional(&mut *self.0)
        .await?;
        row.map(|row| event_key("meeting_history", row.happened_at_ns, row.kind, row.event_id)).transpose()
    }

    /// The booking with the greatest claim on a meeting's `emailMeetingId` that is later than `after`.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn claimant(
        &mut self,
        meeting: &Meeting,
        after: Option<&EventKey>,
    ) -> Result<Option<MeetingId>, StoreError> {
        let Some(email_id) = meeting.details.email_meeting_id.as_deref() else { return Ok(None) };
        let (organization, id) = (meeting.details.organization_id.as_str(), meeting.id.as_str());
        let (nanos, kind, event_id) = after.map_or((i64::MIN, -1, ""), key_columns);
        let claimant = sqlx::query_scalar!(
            r#"SELECT origin_id AS "origin_id!" FROM (
                   SELECT origin_id, happened_at_ns, kind, event_id FROM meeting_history
                   WHERE organization_id = ?1 AND claims = ?2 AND meeting_id = origin_id
                   UNION ALL
                   SELECT origin_id, happened_at_ns, kind, event_id FROM forgotten_claims
                   WHERE organization_id = ?1 AND claims = ?2)
               WHERE origin_id <> ?3 AND (happened_at_ns, kind, event_id) > (?4, ?5, ?6)
               ORDER BY happened_at_ns DESC, kind DESC, event_id DESC LIMIT 1"#,
            organization,
            email_id,
            id,
            nanos,
            kind,
            event_id
        )
        .fetch_optional(&mut *self.0)
        .await?;
        Ok(claimant.map(MeetingId::new))
    }

    /// The meetings of an organization that are this event in their owner's calendar, but for `except`.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn meetings_with_email_id(
        &mut self,
        organization: &OrganizationId,
        email_id: &str,
        except: &MeetingId,
    ) -> Result<Vec<Meeting>, StoreError> {
        let (organization, except) = (organization.as_str(), except.as_str());
        let rows = sqlx::query_as!(
            MeetingRow,
            "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, last_modified_at, forget_since
             FROM meetings WHERE organization_id = ? AND email_meeting_id = ? AND meeting_id <> ?",
            organization,
            email_id,
            except
        )
        .fetch_all(&mut *self.0)
        .await?;
        rows.into_iter().map(Meeting::try_from).collect()
    }

    /// Adds an event to the history of `meeting`. The same event again adds nothing, but corrects what it said: a newer version
    /// may read it differently. What it did then stays.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn add_history(
        &mut self,
        meeting: &Meeting,
        event: &MeetingEvent,
        inbox_id: i64,
        effect: Effect,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (nanos, kind, event_id) = key_columns(&event.key);
        let (id, origin) = (meeting.id.as_str(), event.meeting_id.as_str());
        // Only the event's own row carries the claim, so each claim stands once.
        let claims = if meeting.id == event.meeting_id { event.claim() } else { None };
        let organization = event.details.organization_id.as_str();
        let (starts, ends) = (millis(event.details.starts_at), millis(event.details.ends_at));
        let (effect, now) = (effect.as_str(), millis(now));
        sqlx::query!(
            "INSERT INTO meeting_history (meeting_id, origin_id, inbox_id, event_id, happened_at_ns, kind, claims, organization_id,
                                          starts_at, ends_at, title, effect, revision, applied_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (meeting_id, event_id, origin_id) DO UPDATE SET
                 happened_at_ns = excluded.happened_at_ns, kind = excluded.kind, claims = excluded.claims,
                 organization_id = excluded.organization_id, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
                 title = excluded.title",
            id,
            origin,
            inbox_id,
            event_id,
            nanos,
            kind,
            claims,
            organization,
            starts,
            ends,
            event.details.title,
            effect,
            meeting.revision,
            now
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }
}

impl Store {
    /// The meeting of that id.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn meeting(&self, id: &str) -> Result<Option<Meeting>, StoreError> {
        let row = sqlx::query_as!(
            MeetingRow,
            "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, last_modified_at, forget_since
             FROM meetings WHERE meeting_id = ?",
            id
        )
        .fetch_optional(&self.reader)
        .await?;
        row.map(Meeting::try_from).transpose()
    }

    /// Every event that touched a meeting, in the order of application.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn history(&self, id: &str) -> Result<Vec<HistoryEntry>, StoreError> {
        let rows = sqlx::query!(
            "SELECT origin_id, inbox_id, event_id, happened_at_ns, kind, starts_at, ends_at, title, effect, revision, applied_at
             FROM meeting_history WHERE meeting_id = ? ORDER BY id",
            id
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(HistoryEntry {
                    origin: MeetingId::new(row.origin_id),
                    inbox_id: row.inbox_id,
                    key: event_key("meeting_history", row.happened_at_ns, row.kind, row.event_id)?,
                    starts_at: time(row.starts_at, "meeting_history", "starts_at")?,
                    ends_at: time(row.ends_at, "meeting_history", "ends_at")?,
                    title: row.title,
                    effect: row.effect,
                    revision: count(row.revision, "meeting_history", "revision")?,
                    applied_at: time(row.applied_at, "meeting_history", "applied_at")?,
                })
            })
            .collect()
    }
}
