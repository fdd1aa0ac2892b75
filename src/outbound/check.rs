//! The check worker: on a schedule, or when asked, lists what a calendar holds of ours, compares it with the work rows, and
//! has differences put right by the mirror. Events of others are never listed, so never touched.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::drift::{Drift, compare};
use super::event_body::event_id;
use super::google::{Google, Listed};
use super::mirror::{Mirror, POLL};
use super::purge;
use super::record::what_to_do;
use super::retry::Refusal;
use crate::lifecycle::Pulse;
use crate::meeting::event::MeetingId;
use crate::meeting::mirroring::needs_approval;
use crate::store::{Calendar, CalendarCheck, KnownRow, NEEDS_PERSON, NOT_CHECKED, OnDrift, Presence, StoreError, Why};

/// A check that failed is tried again after this.
const TRY_AGAIN: TimeDelta = TimeDelta::minutes(15);
/// A step takes at most this long: a page of what is in a calendar, or a deletion.
pub const ROUND: Duration = Duration::from_mins(20);

/// The check worker.
#[derive(Debug, Clone)]
pub struct Checker {
    /// Shares the mirror's tables and client; with a pulse of its own.
    pub mirror: Mirror,
    /// Time between two checks of a calendar.
    pub every: TimeDelta,
}

impl Checker {
    /// Works until `stop`.
    pub async fn run(mut self, pulse: Pulse, stop: CancellationToken) {
        self.mirror.pulse = pulse;
        loop {
            self.mirror.pulse.beat();
            let pause = match self.check_next().await {
                Ok(true) => Duration::ZERO,
                Ok(false) => POLL,
                Err(error) => {
                    tracing::error!(%error, cause = ?error, "calendars could not be checked; trying again");
                    Duration::from_secs(10)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Checks every calendar whose time has come. Returns how many.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn check_due(&self) -> Result<usize, StoreError> {
        let mut checked = 0;
        while self.check_next().await? {
            checked += 1;
        }
        Ok(checked)
    }

    /// Checks a calendar whose time has come and whose plan is made: without its rows, what is there would look like strays.
    /// Returns whether there was one.
    async fn check_next(&self) -> Result<bool, StoreError> {
        let now = self.mirror.clock.now();
        let calendars = self.mirror.store.calendars().await?;
        let due = calendars.iter().find(|calendar| {
            // A check that lies further ahead than the next one can is from before the clock was set back.
            let is_time = calendar.next_check_at <= now || calendar.next_check_at > now + self.every;
            is_time && calendar.paused_until.is_none_or(|until| until <= now) && !calendar.to_plan
        });
        let Some(calendar) = due else { return Ok(false) };
        self.check(calendar).await?;
        Ok(true)
    }

    async fn check(&self, calendar: &Calendar) -> Result<(), StoreError> {
        let started_at = self.mirror.clock.now();
        let google = self.mirror.client().await?;
        let checked = self.compare_and_mend(&google, calendar).await?;
        let finished_at = self.mirror.clock.now();
        let (drift, listed, outcome, next_at) = match checked {
            Ok((drift, listed, outcome)) => (drift, listed, outcome, finished_at + self.every),
            Err(refusal) => {
                let begin = if refusal.needs_person() { NEEDS_PERSON } else { NOT_CHECKED };
                let outcome = format!("{begin}{}", what_to_do(&refusal, calendar, google.account()));
                (Drift::default(), 0, outcome, finished_at + TRY_AGAIN.min(self.every))
            }
        };
        tracing::info!(calendar_id = calendar.id, listed, outcome, "checked a calendar");
        let count = |list: usize| u32::try_from(list).unwrap_or(u32::MAX);
        let check = CalendarCheck {
            calendar_id: calendar.id,
            started_at,
            finished_at,
            listed: count(listed),
            missing: count(drift.missing.len()),
            edited: count(drift.edited.len()),
            unwanted: count(drift.unwanted.len() + drift.strays.len()),
            outcome,
        };
        let mut tx = self.mirror.store.write().await?;
        tx.record_check(&check, next_at).await?;
        tx.commit().await?;
        self.mirror.due.notify_one();
        Ok(())
    }

    /// What differs, how many events were listed, and in words what was done.
    async fn compare_and_mend(
        &self,
        google: &Google,
        calendar: &Calendar,
    ) -> Result<Result<(Drift, usize, String), Refusal>, StoreError> {
        // The rows first: what is written while the listing runs is then not settled, or not known to have been there.
        let rows = self.mirror.store.known_rows(calendar.id).await?;
        let listed = match purge::list(google, &calendar.wish.google_id, &self.mirror.pulse).await {
            Ok(listed) => listed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // What got a row meanwhile is no stray.
        let known = self.mirror.store.known_rows(calendar.id).await?;
        let mut drift = compare(&rows, &listed, |row| self.event_id(row));
        let known: HashSet<String> = known.iter().flat_map(|row| self.ids(row)).collect();
        drift.strays.retain(|stray| !known.contains(stray));

        let mut done = Vec::new();
        let differ = drift.missing.len() + drift.edited.len();
        if differ > 0 && calendar.wish.on_drift == OnDrift::Report {
            done.push(format!("{} left alone", differences(differ)));
        } else if differ > 0 {
            self.doubt(calendar, &drift.missing, Presence::Unknown).await?;
            self.doubt(calendar, &drift.edited, Presence::Present).await?;
            done.push(format!("{} to be put right", differences(differ)));
        }
        if !drift.strays.is_empty() || !drift.unwanted.is_empty() {
            match self.remove(google, calendar, &drift, &rows, &listed).await? {
                Ok(texts) => done.extend(texts),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        let outcome = if done.is_empty() { "as it should be".to_owned() } else { done.join("; ") };
        Ok(Ok((drift, listed.len(), outcome)))
    }

    /// Has the mirror look at rows again.
    async fn doubt(&self, calendar: &Calendar, meetings: &[MeetingId], presence: Presence) -> Result<(), StoreError> {
        for step in meetings.chunks(200) {
            let mut tx = self.mirror.store.write().await?;
            for meeting_id in step {
                tx.doubt_event(calendar.id, meeting_id, presence, self.mirror.clock.now()).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// Removes events of ours that should not be there. Those that are too many at once wait for an admin; what was approved
    /// goes, and what was rejected stays.
    async fn remove(
        &self,
        google: &Google,
        calendar: &Calendar,
        drift: &Drift,
        rows: &[KnownRow],
        listed: &[Listed],
    ) -> Result<Result<Vec<String>, Refusal>, StoreError> {
        let unwanted: HashMap<String, &MeetingId> = rows
            .iter()
            .filter(|row| drift.unwanted.contains(&row.meeting_id))
            .map(|row| (self.event_id(row), &row.meeting_id))
            .collect();
        let decided = self.mirror.store.held_strays(calendar.id).await?;
        let of = |approved: Option<bool>| -> HashSet<&String> {
            decided.iter().filter(|change| change.approved == approved).flat_map(|change| &change.event_ids).collect()
        };
        let (approved, rejected, waiting) = (of(Some(true)), of(Some(false)), of(None));
        let all = drift.strays.iter().chain(unwanted.keys());
        let (spared, left): (Vec<&String>, Vec<&String>) =
            all.partition(|id| rejected.contains(id) && !approved.contains(id));
        let (mut going, open): (Vec<&String>, Vec<&String>) = left.into_iter().partition(|id| approved.contains(id));

        let mut done = Vec::new();
        if !spared.is_empty() {
            done.push(format!("{} left alone, as decided", wrong_events(spared.len())));
        }
        if needs_approval(open.len(), listed.len()) || open.iter().any(|id| waiting.contains(id)) {
            if !open.iter().all(|id| waiting.contains(id)) {
                let event_ids: Vec<String> =
                    open.iter().filter(|id| !waiting.contains(*id)).map(|id| (*id).clone()).collect();
                let mut tx = self.mirror.store.write().await?;
                let why = Why::Strays { event_ids: &event_ids };
                tx.hold(calendar.id, event_ids.len(), listed.len(), &why, self.mirror.clock.now()).await?;
                tx.commit().await?;
            }
            done.push(format!("{} held until an admin approves their deletion", wrong_events(open.len())));
        } else {
            going.extend(open);
        }
        let of_meeting: HashMap<&String, &MeetingId> =
            listed.iter().filter_map(|event| Some((&event.event_id, event.meeting_id.as_ref()?))).collect();
        let mut deleted = 0;
        for id in going {
            self.mirror.pulse.beat();
            if let Some(meeting_id) = unwanted.get(id) {
                self.doubt(calendar, std::slice::from_ref(*meeting_id), Presence::Unknown).await?;
            } else if self.is_known(calendar, of_meeting.get(id).copied(), id).await? {
                continue;
            } else if let Err(refusal) = purge::delete(google, &calendar.wish.google_id, id).await {
                return Ok(Err(refusal));
            }
            deleted += 1;
        }
        if !approved.is_empty() {
            let mut tx = self.mirror.store.write().await?;
            tx.use_up_approvals(calendar.id).await?;
            tx.commit().await?;
        }
        if deleted > 0 {
            done.push(format!("{} deleted", wrong_events(deleted)));
        }
        Ok(Ok(done))
    }

    /// Whether a row knows an event by now: while others were deleted, the mirror may have taken it over.
    async fn is_known(
        &self,
        calendar: &Calendar,
        meeting_id: Option<&MeetingId>,
        event_id: &String,
    ) -> Result<bool, StoreError> {
        let Some(meeting_id) = meeting_id else { return Ok(false) };
        let row = self.mirror.store.known_row(calendar.id, meeting_id).await?;
        Ok(row.is_some_and(|row| self.ids(&row).any(|id| id == *event_id)))
    }

    fn event_id(&self, row: &KnownRow) -> String {
        event_id(&self.mirror.installation_id, &row.meeting_id, row.generation)
    }

    /// The ids of events that a row knows: while it is worked on, the next generation's may just be made.
    fn ids(&self, row: &KnownRow) -> impl Iterator<Item = String> {
        let next = KnownRow { generation: row.generation.saturating_add(1), ..row.clone() };
        let being_made = (!row.settled).then(|| self.event_id(&next));
        std::iter::once(self.event_id(row)).chain(being_made)
    }
}

fn differences(count: usize) -> String {
    if count == 1 { "1 difference".to_owned() } else { format!("{count} differences") }
}

fn wrong_events(count: usize) -> String {
    let events = if count == 1 { "event" } else { "events" };
    format!("{count} {events} that should not be there")
}
