//! A calendar's whole mirror in a few words: for its own page and for the status page.

use super::frame::Mirror;
use super::mirror_state::{held_words, sentence};
use super::time_text::{Moment, Times};
use super::words::{State, Tone, count, grouped};
use crate::store::{Calendar, HeldChange, MirrorCounts};

/// A calendar and how its mirror fares.
#[derive(Debug, Clone)]
pub(super) struct CalendarSummary {
    /// Row id.
    pub(super) id: i64,
    /// For people.
    pub(super) name: String,
    /// In a word or two.
    pub(super) state: State,
    /// Which meetings it needs is still to be found out.
    pub(super) to_plan: bool,
    /// Numbers behind the state.
    pub(super) counts: MirrorCounts,
    /// Events that would be deleted if an admin approved.
    pub(super) deletions: i64,
    /// Since when the oldest work waits.
    pub(super) waits_since: Option<Moment>,
    /// When Google last agreed with anything.
    pub(super) last_written: Option<Moment>,
    /// What a person must do, with since when.
    pub(super) problem: Option<(String, Option<Moment>)>,
    /// Until when it is held back.
    pub(super) held_until: Option<Moment>,
    /// Why, up to the time.
    pub(super) held_words: &'static str,
    /// Latest failure of a single meeting.
    pub(super) last_problem: Option<String>,
}

impl CalendarSummary {
    /// Puts it together; `counts` and `held` of all calendars.
    pub(super) fn new(
        calendar: &Calendar,
        counts: &[MirrorCounts],
        held: &[HeldChange],
        mirror: &Mirror,
        times: &Times,
    ) -> Self {
        let found = counts.iter().find(|counts| counts.calendar_id == calendar.id);
        let counts = found.cloned().unwrap_or_default();
        let waiting = held.iter().filter(|change| change.calendar_id == calendar.id);
        let deletions = waiting.map(|change| change.deletions).sum();
        let held_until = calendar.paused_until.filter(|until| *until > times.now());
        Self {
            id: calendar.id,
            name: calendar.wish.name.clone(),
            state: state(calendar, &counts, deletions, held_until.is_some(), mirror.is_on()),
            to_plan: calendar.to_plan,
            waits_since: counts.waits_since.map(|at| times.at(at)),
            last_written: counts.last_written_at.map(|at| times.at(at)),
            problem: calendar.needs_person().map(|text| (sentence(text), calendar.problem_at.map(|at| times.at(at)))),
            held_until: held_until.map(|until| times.at(until)),
            held_words: held_words(calendar),
            last_problem: counts.last_problem.as_deref().map(sentence),
            counts,
            deletions,
        }
    }

    /// Those of all calendars in use.
    pub(super) fn all(
        calendars: &[Calendar],
        counts: &[MirrorCounts],
        held: &[HeldChange],
        mirror: &Mirror,
        times: &Times,
    ) -> Vec<Self> {
        let used = calendars.iter().filter(|calendar| calendar.removed_at.is_none());
        used.map(|calendar| Self::new(calendar, counts, held, mirror, times)).collect()
    }
}

fn state(calendar: &Calendar, counts: &MirrorCounts, deletions: i64, held_back: bool, mirror_is_on: bool) -> State {
    if !mirror_is_on {
        State::new(Tone::Quiet, "Mirror off")
    } else if calendar.needs_person().is_some() {
        State::new(Tone::Bad, "Needs a person")
    } else if counts.rejected > 0 {
        State::new(Tone::Bad, format!("{} refused", counts.rejected))
    } else if deletions > 0 {
        State::new(Tone::Bad, format!("{} to approve", count(deletions, "deletion", "deletions")))
    } else if counts.failing > 0 {
        State::new(Tone::Waiting, format!("{} failing", counts.failing))
    } else if held_back {
        State::new(Tone::Waiting, "Held back")
    } else if counts.pending > 0 && counts.pending == counts.again {
        State::new(Tone::Waiting, format!("{} looked at again", grouped(counts.again)))
    } else if counts.pending > 0 {
        State::new(Tone::Waiting, format!("{} on the way", count(counts.pending, "change", "changes")))
    } else if calendar.to_plan {
        State::new(Tone::Waiting, "Being planned")
    } else if counts.in_step > 0 {
        State::new(Tone::Good, "In step")
    } else {
        State::new(Tone::Quiet, "Empty")
    }
}
