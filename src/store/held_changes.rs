//! Editing a calendar, and changes that wait for an admin's approval because they would delete many events at once.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;

use super::meetings::MeetingRow;
use super::{Calendar, NewCalendar, Plan, Store, StoreError, WriteTx, json_text, millis, time};
use crate::meeting::event::MeetingId;
use crate::meeting::mirroring::needs_approval;
use crate::meeting::state::Meeting;

/// Why events would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldReason {
    /// The calendar was edited and no longer selects them.
    Selection,
    /// A check found events of ours that should not be there: no meeting knows them, or their meeting should have none.
    Strays,
}

impl HeldReason {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Selection => "selection",
            Self::Strays => "strays",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Selection, Self::Strays].into_iter().find(|reason| reason.as_str() == word)
    }
}

/// A change that waits, or waited, for an admin's approval.
#[derive(Debug, Clone)]
pub struct HeldChange {
    /// Row id.
    pub id: i64,
    /// The calendar's row id.
    pub calendar_id: i64,
    /// Why events would go.
    pub reason: HeldReason,
    /// Events that would go.
    pub deletions: i64,
    /// Events that were there in all.
    pub mirrored: i64,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// True = approved, false = rejected, none = waits or was overtaken by a purge.
    pub approved: Option<bool>,
    /// Ids of the events at Google; empty for an edit.
    pub event_ids: Vec<String>,
    before: Option<String>,
}

struct HeldRow {
    id: i64,
    calendar_id: i64,
    reason: String,
    deletions: i64,
    mirrored: i64,
    before: Option<String>,
    event_ids: Option<String>,
    created_at: i64,
    decision: Option<String>,
}

impl TryFrom<HeldRow> for HeldChange {
    type Error = StoreError;

    fn try_from(row: HeldRow) -> Result<Self, StoreError> {
        const TABLE: &str = "held_changes";
        Ok(Self {
            id: row.id,
            calendar_id: row.calendar_id,
            reason: HeldReason::from_word(&row.reason).ok_or_else(|| StoreError::row(TABLE, "reason", &row.reason))?,
            deletions: row.deletions,
            mirrored: row.mirrored,
            created_at: time(row.created_at, TABLE, "created_at")?,
            approved: row.decision.map(|decision| decision == "approved"),
            event_ids: match &row.event_ids {
                Some(ids) => serde_json::from_str(ids).map_err(|_| StoreError::row(TABLE, "event_ids", row.id))?,
                None => Vec::new(),
            },
            before: row.before,
        })
    }
}

impl Store {
    /// The changes that wait for approval.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn held_changes(&self) -> Result<Vec<HeldChange>, StoreError> {
        let rows = sqlx::query_as!(
            HeldRow,
            "SELECT id, calendar_id, reason, deletions, mirrored, before, event_ids, created_at, decision
             FROM held_changes WHERE decided_at IS NULL ORDER BY id"
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter().map(HeldChange::try_from).collect()
    }

    /// The changes of a calendar because of strays, decided or not, oldest first.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn held_strays(&self, calendar_id: i64) -> Result<Vec<HeldChange>, StoreError> {
        let rows = sqlx::query_as!(
            HeldRow,
            "SELECT id, calendar_id, reason, deletions, mirrored, before, event_ids, created_at, decision
             FROM held_changes WHERE calendar_id = ? AND reason = 'strays' ORDER BY id",
            calendar_id
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter().map(HeldChange::try_from).collect()
    }

    /// The ids of up to `most` meetings whose events are there and wait for approval to be deleted.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn held_meetings(&self, calendar_id: i64, most: u32) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT meeting_id FROM mirror JOIN meetings USING (meeting_id)
             WHERE calendar_id = ? AND held = 1 AND presence <> 'absent'
             ORDER BY starts_at, meeting_id LIMIT ?",
            calendar_id,
            most
        )
        .fetch_all(&self.reader)
        .await?)
    }

    /// Edits a calendar; the mirror's worker plans it anew. When the edit would delete many events at once, they stay until an admin
    /// approves, and the held edit is returned. An edit that changes nothing leaves all as it is. `actor` stands in the audit log.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is in use, [`StoreError::Changed`] when the calendar is no longer as given; otherwise
    /// when the database can't be used.
    pub async fn change_calendar(
        &self,
        calendar: &Calendar,
        wish: &NewCalendar,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<HeldChange>, StoreError> {
        if *wish == calendar.wish {
            return self.held_edit(calendar.id).await;
        }
        let rows = self.known_rows(calendar.id).await?;
        let held: HashMap<&str, bool> =
            rows.iter().filter(|row| row.may_be_there()).map(|row| (row.meeting_id.as_str(), row.held)).collect();
        let mirrored = held.len();
        let mut going = Vec::new();
        let mut meetings = sqlx::query_as!(
            MeetingRow,
            "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, last_modified_at, forget_since
             FROM mirror JOIN meetings USING (meeting_id) WHERE calendar_id = ?",
            calendar.id
        )
        .fetch(&self.reader);
        while let Some(row) = meetings.try_next().await? {
            let Some(held) = held.get(row.meeting_id.as_str()) else { continue };
            let meeting = Meeting::try_from(row)?;
            // Also what an earlier edit lets go and is not gone yet. What its own event canceled is never held, nor is what is to be forgotten.
            if meeting.forget_since.is_none()
                && (meeting.is_confirmed() || calendar.wish.rule().holds(&meeting, true, *held, now))
                && !wish.rule().holds(&meeting, true, false, now)
            {
                going.push(meeting.id);
            }
        }
        drop(meetings);
        let held = needs_approval(going.len(), mirrored);
        let mut tx = self.write().await?;
        // Two edits at once: the second was made from what the first has changed, and would take it back.
        if !tx.readable_calendars().await?.iter().any(|now| now.id == calendar.id && now.wish == calendar.wish) {
            return Err(StoreError::Changed("the calendar"));
        }
        // An edit on top of a held one: what an admin would return to is still what was before the first.
        let open = tx.close_held_edits(calendar.id, now).await?;
        tx.release_held(calendar.id).await?;
        if held {
            let before = serde_json::to_string(&calendar.wish).unwrap_or_default();
            let before = open.unwrap_or(before);
            let (count, why) = (going.len(), Why::Edit { before: &before });
            tx.hold(calendar.id, count, mirrored, &why, now).await?;
            let going = json_text(&going.iter().map(MeetingId::as_str).collect::<Vec<_>>())?;
            sqlx::query!(
                "UPDATE mirror SET held = 1 WHERE calendar_id = ? AND meeting_id IN (SELECT value FROM json_each(?))",
                calendar.id,
                going
            )
            .execute(&mut *tx.0)
            .await?;
        }
        tx.save_calendar(calendar.id, wish).await?;
        let differences = calendar.wish.differences(wish).join("; ");
        let summary = format!("Edited calendar “{}”: {differences}", calendar.wish.name);
        tx.append_admin_action(actor, "calendar", summary, now).await?;
        tx.commit().await?;
        self.held_edit(calendar.id).await
    }

    /// The edit of a calendar that waits for approval.
    async fn held_edit(&self, calendar_id: i64) -> Result<Option<HeldChange>, StoreError> {
        let is_it = |change: &HeldChange| change.calendar_id == calendar_id && change.reason == HeldReason::Selection;
        Ok(self.held_changes().await?.into_iter().find(is_it))
    }

    /// Carries out an admin's decision over a held change; `actor` stands in the audit log. False when it was decided or replaced
    /// by another meanwhile.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn decide(
        &self,
        change: &HeldChange,
        approved: bool,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let (decision, at) = (if approved { "approved" } else { "rejected" }, millis(now));
        let decided = sqlx::query!(
            "UPDATE held_changes SET decided_at = ?, decision = ? WHERE id = ? AND decided_at IS NULL",
            at,
            decision,
            change.id
        )
        .execute(&mut *tx.0)
        .await?;
        if decided.rows_affected() == 0 {
            return Ok(false);
        }
        match change.reason {
            HeldReason::Selection => {
                tx.release_held(change.calendar_id).await?;
                if let (false, Some(before)) = (approved, &change.before) {
                    let before =
                        serde_json::from_str(before).map_err(|_| StoreError::row("held_changes", "before", before))?;
                    tx.save_calendar(change.calendar_id, &before).await?;
                } else {
                    tx.ask_plan(change.calendar_id, Plan::All).await?;
                }
            }
            HeldReason::Strays => tx.check_calendar_at(change.calendar_id, now).await?,
        }
        let calendar = tx.readable_calendars().await?.into_iter().find(|calendar| calendar.id == change.calendar_id);
        let Some(calendar) = calendar else { return Ok(false) };
        let verb = if approved { "Approved" } else { "Rejected" };
        let (deletions, name) = (change.deletions, &calendar.wish.name);
        let summary = format!("{verb} the deletion of {deletions} events from calendar “{name}”");
        tx.append_admin_action(actor, "calendar", summary, now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Why a change is held.
#[derive(Debug)]
pub enum Why<'a> {
    /// An edit; JSON of what the calendar showed before.
    Edit {
        /// JSON of a [`NewCalendar`].
        before: &'a str,
    },
    /// Events that should not be there.
    Strays {
        /// Their ids at Google.
        event_ids: &'a [String],
    },
}

impl WriteTx<'_> {
    /// Notes a change that waits for approval.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn hold(
        &mut self,
        calendar_id: i64,
        deletions: usize,
        mirrored: usize,
        why: &Why<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (reason, before, event_ids) = match why {
            Why::Edit { before } => (HeldReason::Selection, Some(*before), None),
            Why::Strays { event_ids } => (HeldReason::Strays, None, serde_json::to_string(event_ids).ok()),
        };
        let (reason, now) = (reason.as_str(), millis(now));
        let to_i64 = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (deletions, mirrored) = (to_i64(deletions), to_i64(mirrored));
        sqlx::query!(
            "INSERT INTO held_changes (calendar_id, reason, deletions, mirrored, before, event_ids, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            calendar_id,
            reason,
            deletions,
            mirrored,
            before,
            event_ids,
            now
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Ends the held edits of a calendar because another edit follows. Returns what it showed before the earliest of them.
    async fn close_held_edits(&mut self, calendar_id: i64, now: DateTime<Utc>) -> Result<Option<String>, StoreError> {
        let now = millis(now);
        let before = sqlx::query_scalar!(
            "SELECT before FROM held_changes WHERE calendar_id = ? AND decided_at IS NULL AND reason = 'selection'
             ORDER BY id LIMIT 1",
            calendar_id
        )
        .fetch_optional(&mut *self.0)
        .await?;
        sqlx::query!(
            "UPDATE held_changes SET decided_at = ?, decision = 'rejected'
             WHERE calendar_id = ? AND decided_at IS NULL AND reason = 'selection'",
            now,
            calendar_id
        )
        .execute(&mut *self.0)
        .await?;
        Ok(before.flatten())
    }

    /// Approvals of strays were carried out: they say nothing of events that come to stand there later.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn use_up_approvals(&mut self, calendar_id: i64) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE held_changes SET event_ids = NULL WHERE calendar_id = ? AND reason = 'strays' AND decision = 'approved'",
            calendar_id
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Ends the held changes of a calendar undecided: what they would delete is gone already.
    pub(super) async fn overtake_held(&mut self, calendar_id: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
        let now = millis(now);
        // Without their ids: neither spared nor deleted is what may come to stand there later.
        sqlx::query!(
            "UPDATE held_changes SET decided_at = ?, event_ids = NULL WHERE calendar_id = ? AND decided_at IS NULL",
            now,
            calendar_id
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn release_held(&mut self, calendar_id: i64) -> Result<(), StoreError> {
        sqlx::query!("UPDATE mirror SET held = 0 WHERE calendar_id = ? AND held = 1", calendar_id)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}
