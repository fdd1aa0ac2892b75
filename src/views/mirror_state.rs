//! Why a meeting is or isn't in a calendar or feed, in words. Everything here follows from the tables; nothing is asked of
//! Google.

use chrono::{DateTime, TimeDelta, Utc};

use super::feed::draft::{MOST_EVENTS, MOST_OCTETS};
use super::time_text::Times;
use super::words::{State, Tone, count, grouped};
use crate::meeting::selection::{Place, Selection, Window};
use crate::meeting::showing::Absence;
use crate::meeting::state::{Meeting, Status};
use crate::store::{Calendar, Feed, MirrorRow, OnCancel, PausedFor, Presence, ProblemKind};

/// Where a meeting stands in one calendar or feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placement {
    /// In a word or two.
    pub(super) state: State,
    /// In a sentence or two.
    pub(super) note: String,
    /// Its event would be deleted if an admin approved.
    pub(super) to_approve: bool,
}

fn placement(tone: Tone, word: impl Into<String>, note: impl Into<String>) -> Placement {
    Placement { state: State::new(tone, word), note: note.into(), to_approve: false }
}

/// Why a meeting does not belong somewhere: a word and a sentence. None = it belongs.
fn absence(meeting: &Meeting, selection: &Selection, window: Window, times: &Times) -> Option<(&'static str, String)> {
    not_in_force(meeting).or_else(|| not_selected(meeting, selection)).or_else(|| outside(meeting, window, times))
}

fn not_in_force(meeting: &Meeting) -> Option<(&'static str, String)> {
    if meeting.forget_since.is_some() {
        return Some(("Being forgotten", "It is to be forgotten: nothing shows it any more.".into()));
    }
    match meeting.status() {
        Status::Canceled => Some(("Canceled", "The meeting is canceled.".into())),
        Status::Replaced { .. } => Some(("Replaced", "Another booking took this one over.".into())),
        Status::Confirmed => None,
    }
}

fn not_selected(meeting: &Meeting, selection: &Selection) -> Option<(&'static str, String)> {
    let reason = selection.check(&meeting.details).err()?;
    Some(("Not selected", format!("Not wanted here, because {}.", reason.as_str())))
}

fn outside(meeting: &Meeting, window: Window, times: &Times) -> Option<(&'static str, String)> {
    match window.place(&meeting.details, times.now()) {
        Place::Inside => None,
        Place::Past => Some((
            "Too long ago",
            format!("It ended more than {} ago.", count(i64::from(window.past_days), "day", "days")),
        )),
        Place::Future => {
            let ahead = TimeDelta::days(i64::from(window.future_days));
            let from = times.at(meeting.details.starts_at - ahead);
            let days = count(i64::from(window.future_days), "day", "days");
            Some(("Too far ahead", format!("It begins more than {days} ahead. It will be added {}.", from.relative())))
        }
    }
}

/// Where a meeting stands in a calendar; `row` is its work row, if there is one.
pub(super) fn in_calendar(
    meeting: &Meeting,
    calendar: &Calendar,
    row: Option<&MirrorRow>,
    mirror_is_on: bool,
    times: &Times,
) -> Placement {
    let absence = absence(meeting, &calendar.wish.selection, calendar.wish.window, times);
    if calendar.removed_at.is_some() {
        return removed(row);
    }
    if !mirror_is_on {
        let note = "Nothing is written to Google: no credentials are set.";
        return placement(Tone::Quiet, "Mirror off", note);
    }
    let Some(row) = row else {
        // Nothing was ever asked for here: that it is not selected says more than that it is canceled.
        return match not_selected(meeting, &calendar.wish.selection).or(absence) {
            Some((word, note)) => placement(Tone::Quiet, word, note),
            None => placement(Tone::Waiting, "Planned", "It is selected and will be written within a few minutes."),
        };
    };
    // A canceled meeting goes by its own event; that waits for nobody.
    if row.held && row.presence != Presence::Absent && row.problem.is_none() && meeting.is_confirmed() {
        let note = "This calendar was edited and no longer selects it. Its event is still there: so many would be deleted \
                    that an admin must approve.";
        return Placement { to_approve: true, ..placement(Tone::Bad, "Deletion to approve", note) };
    }
    match (row.due_at, &row.problem) {
        (None, None) => settled(meeting, calendar, row, absence, times),
        (None, Some((text, _, at))) => placement(
            Tone::Bad,
            "Refused",
            format!(
                "Google refused it {}: {} Not tried again until the meeting changes.",
                times.at(*at).relative(),
                sentence(text)
            ),
        ),
        (Some(due), problem) => waiting(calendar, row, due, problem.as_ref(), times),
    }
}

fn removed(row: Option<&MirrorRow>) -> Placement {
    let there = row.is_some_and(|row| row.presence != Presence::Absent);
    let note = if there {
        "This calendar is no longer mirrored into, but what was written there before may still be there."
    } else {
        "This calendar is no longer mirrored into."
    };
    placement(Tone::Quiet, "Removed calendar", note)
}

fn settled(
    meeting: &Meeting,
    calendar: &Calendar,
    row: &MirrorRow,
    absence: Option<(&'static str, String)>,
    times: &Times,
) -> Placement {
    let since = row.written_at.map_or_else(String::new, |at| format!(" since {}", times.at(at).text()));
    let revision = row.written_revision.unwrap_or(row.wanted_revision);
    match (row.presence, absence) {
        (Presence::Present, Some(_)) if !meeting.is_confirmed() && calendar.wish.on_cancel == OnCancel::Mark => {
            placement(Tone::Good, "Marked canceled", format!("There, marked “Canceled” and free{since}."))
        }
        (Presence::Present, _) => {
            placement(Tone::Good, "In step", format!("In step{since}, with revision {revision}."))
        }
        (Presence::Absent, Some((word, note))) => placement(Tone::Quiet, word, format!("{note} Not there{since}.")),
        (Presence::Absent, None) => {
            placement(Tone::Waiting, "Not there", "It is selected but not there; it is added when it changes.")
        }
        (Presence::Unknown, _) => {
            placement(Tone::Waiting, "Not certain", "A write was begun and its answer is not known yet.")
        }
    }
}

fn waiting(
    calendar: &Calendar,
    row: &MirrorRow,
    due: DateTime<Utc>,
    problem: Option<&(String, ProblemKind, DateTime<Utc>)>,
    times: &Times,
) -> Placement {
    let shown = match row.written_revision {
        Some(written) if row.presence != Presence::Absent && written != row.wanted_revision => {
            format!(" Google shows revision {written}; revision {} is wanted.", row.wanted_revision)
        }
        _ => String::new(),
    };
    if let Some(until) = calendar.paused_until.filter(|until| *until > times.now()) {
        let why = calendar.problem.as_deref().map_or_else(String::new, |text| format!(": {}", sentence(text)));
        let tone = if calendar.problem.is_some() { Tone::Bad } else { Tone::Waiting };
        let until = times.at(until);
        let words = held_words(calendar);
        let note = format!("{words} {} ({}){why}{shown}", until.text(), until.relative());
        return placement(tone, "Held back", closed(&note));
    }
    let again = if due > times.now() {
        format!("Tried again {}.", times.at(due).relative())
    } else {
        "It will be tried again in a moment.".to_owned()
    };
    match problem {
        Some((text, kind, at)) => {
            let tone = if *kind == ProblemKind::Retry && row.attempts < 3 { Tone::Waiting } else { Tone::Bad };
            let times_failed = count(i64::from(row.attempts), "time", "times");
            let note =
                format!("Failed {times_failed}, last {}: {} {again}{shown}", times.at(*at).relative(), sentence(text));
            placement(tone, format!("Failed {}×", row.attempts), note)
        }
        None if due > times.now() => {
            let until = times.at(due);
            placement(Tone::Waiting, "Waiting", format!("Waits until {} ({}).{shown}", until.text(), until.relative()))
        }
        None => placement(
            Tone::Waiting,
            "Waiting",
            format!("Waits for its turn since {} ({}).{shown}", times.at(due).text(), times.at(due).relative()),
        ),
    }
}

/// Why a calendar is held back, up to the time until when.
pub(super) fn held_words(calendar: &Calendar) -> &'static str {
    match calendar.paused_for {
        Some(PausedFor::SlowDown) => "Google is slow or asked to wait; nothing is written until",
        Some(PausedFor::Quota) => "Google's quota is used up; nothing is written until",
        Some(PausedFor::Purge) => "For the purge, nothing is written until",
        Some(PausedFor::Person) | None => "Held back until",
    }
}

/// Where a meeting stands in a feed.
pub(super) fn in_feed(meeting: &Meeting, feed: &Feed, times: &Times) -> Placement {
    if let Some(at) = feed.revoked_at {
        return placement(Tone::Quiet, "Feed ended", format!("The feed was ended {}.", times.at(at).relative()));
    }
    let (wish, rule) = (&feed.wish, feed.wish.rule());
    let absence = rule.check(meeting, times.now()).err();
    let elsewhere = match absence {
        Some(Absence::NotSelected(_)) => not_selected(meeting, &wish.selection),
        Some(Absence::Past | Absence::Ahead { .. }) => outside(meeting, wish.window, times),
        Some(Absence::Forgotten) => not_in_force(meeting),
        Some(Absence::CanceledLongAgo) | None => None,
    };
    if let Some((word, note)) = elsewhere {
        return placement(Tone::Quiet, word, note);
    }
    let Some((word, note)) = not_in_force(meeting) else {
        return placement(Tone::Good, "In the feed", "Programs show it when they next fetch the feed.");
    };
    let note = if absence.is_none() {
        let until = times.at(rule.canceled_until(meeting));
        format!("{note} The feed says so until {}, then leaves it out.", until.text())
    } else {
        format!("{note} The feed said so for {}.", count(i64::from(wish.canceled_days), "day", "days"))
    };
    placement(Tone::Quiet, word, note)
}

/// Where a meeting stands that a feed would show if it had room.
pub(super) fn no_room() -> Placement {
    let note = format!(
        "The feed holds the nearest {} meetings and {} kB at most, and others are nearer. Narrow its selection or its days: its \
         link stays.",
        grouped(i64::try_from(MOST_EVENTS).unwrap_or(i64::MAX)),
        MOST_OCTETS / 1000
    );
    placement(Tone::Bad, "No room", note)
}

/// Where a meeting stands in a feed or calendar whose own row can't be read.
pub(super) fn unread(what: &str) -> Placement {
    placement(Tone::Bad, "Not readable", format!("The {what} can't be read; the server's log names the cause."))
}

/// The text as a sentence: with a full stop at its end.
pub(super) fn sentence(text: &str) -> String {
    closed(text.trim())
}

fn closed(text: &str) -> String {
    if text.ends_with(['.', '!', '?', '…']) { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, meeting_event};
    use super::*;
    use crate::meeting::event::Kind;

    async fn shown(stage: &Stage, id: &str) -> Vec<(Tone, String, String)> {
        let store = &stage.site.store;
        let meeting = store.meeting(id).await.unwrap().unwrap();
        let rows = store.mirror_rows(id).await.unwrap();
        let times = Times::of(&stage.site);
        let calendars = store.all_calendars().await.unwrap();
        let placements = calendars.iter().map(|calendar| {
            let row = rows.iter().find(|row| row.calendar_id == calendar.id);
            in_calendar(&meeting, calendar, row, stage.site.google.is_some(), &times)
        });
        placements.map(|placement| (placement.state.tone, placement.state.word, placement.note)).collect()
    }

    fn only(owner: &str) -> Selection {
        Selection { owners: vec![owner.into()], ..Selection::default() }
    }

    #[tokio::test]
    async fn a_meeting_goes_from_waiting_to_in_step_to_canceled() {
        let mut stage = Stage::new().await;
        stage.google();
        stage.calendar("Team", Selection::default()).await;
        stage.calendar("Other", only("someone@example.com")).await;
        stage.meeting("m-1", 24).await;
        stage.clock.advance(TimeDelta::minutes(4));
        let words = shown(&stage, "m-1").await;
        assert_eq!(words[0].1, "Waiting");
        assert_eq!(words[0].2, "Waits for its turn since Fri 20 Nov 2026, 13:00 CET (4 minutes ago).");
        assert_eq!((words[1].0, words[1].1.as_str()), (Tone::Quiet, "Not selected"));
        assert_eq!(words[1].2, "Not wanted here, because its owner is not selected.");

        stage.mirror(&[]).await;
        let words = shown(&stage, "m-1").await;
        assert_eq!(words[0].0, Tone::Good);
        assert_eq!(words[0].2, "In step since Fri 20 Nov 2026, 13:04 CET, with revision 0.");

        stage.event(&meeting_event("m-1", Kind::Canceled, stage.now(), 24)).await;
        assert!(shown(&stage, "m-1").await[0].2.ends_with("Google shows revision 0; revision 1 is wanted."));
        stage.mirror(&[]).await;
        let words = shown(&stage, "m-1").await;
        assert_eq!((words[0].0, words[0].1.as_str()), (Tone::Quiet, "Canceled"));
        assert_eq!(words[0].2, "The meeting is canceled. Not there since Fri 20 Nov 2026, 13:04 CET.");
    }

    #[tokio::test]
    async fn failures_say_what_google_said_and_what_follows() {
        let mut stage = Stage::new().await;
        stage.google();
        let calendar = stage.calendar("Team", Selection::default()).await;
        stage.meeting("late", 24).await;
        stage.meeting("bad", 25).await;
        let fail = [
            ("late", "Google asked to slow down", ProblemKind::Retry),
            ("bad", "The title is too long.", ProblemKind::Rejected),
        ];
        stage.mirror(&fail).await;
        let late = &shown(&stage, "late").await[0];
        assert_eq!((late.0, late.1.as_str()), (Tone::Waiting, "Failed 1×"));
        assert_eq!(late.2, "Failed 1 time, last just now: Google asked to slow down. Tried again in 2 minutes.");
        let bad = &shown(&stage, "bad").await[0];
        assert_eq!((bad.0, bad.1.as_str()), (Tone::Bad, "Refused"));
        assert!(bad.2.starts_with("Google refused it just now: The title is too long. Not tried again"));

        let mut tx = stage.site.store.write().await.unwrap();
        let problem = "Share the calendar with mirror@robot.example.com";
        let until = stage.now() + TimeDelta::minutes(10);
        tx.pause_calendar(calendar.id, until, PausedFor::Person, Some(problem), stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        let late = &shown(&stage, "late").await[0];
        assert_eq!((late.0, late.1.as_str()), (Tone::Bad, "Held back"));
        assert!(late.2.contains("(in 10 minutes): Share the calendar with mirror@robot.example.com."), "{}", late.2);
    }

    #[tokio::test]
    async fn without_a_mirror_or_a_row_the_reason_is_said() {
        let mut stage = Stage::new().await;
        stage.meeting("far", 24 * 400).await;
        stage.meeting("near", 24).await;
        stage.calendar("Team", Selection::default()).await;
        assert_eq!(shown(&stage, "near").await[0].1, "Mirror off");
        stage.google();
        assert_eq!(shown(&stage, "near").await[0].1, "Planned");
        let far = &shown(&stage, "far").await[0];
        assert_eq!(far.2, "It begins more than 365 days ahead. It will be added in 35 days.");
        stage.clock.advance(TimeDelta::days(40));
        assert_eq!(shown(&stage, "near").await[0].2, "It ended more than 30 days ago.");
    }

    #[tokio::test]
    async fn a_feed_says_why_a_meeting_is_not_in_it() {
        let stage = Stage::new().await;
        let feed = stage.feed("Team").await;
        let meeting = stage.meeting("m-1", 24).await;
        let times = Times::of(&stage.site);
        assert_eq!(in_feed(&meeting, &feed, &times).state.word, "In the feed");
        let mut other = feed.clone();
        other.wish.selection = only("someone@example.com");
        assert_eq!(in_feed(&meeting, &other, &times).state.word, "Not selected");
        let canceled = stage.event(&meeting_event("m-1", Kind::Canceled, stage.now(), 24)).await;
        let note = in_feed(&canceled, &feed, &times).note;
        assert_eq!(
            note,
            "The meeting is canceled. The feed says so until Fri 27 Nov 2026, 13:00 CET, then leaves it out."
        );
        assert_eq!(
            in_feed(&canceled, &Feed { revoked_at: Some(stage.now()), ..feed }, &times).state.word,
            "Feed ended"
        );
    }
}
