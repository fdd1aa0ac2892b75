//! The Google Calendars that are mirrored into: how each fares, what a person must do or decide, and what was asked for.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::calendar_job::JobBox;
use super::calendar_summary::CalendarSummary;
use super::error::PageError;
use super::frame::{Frame, Mirror, Params, Section, Visit};
use super::held_change::HeldBox;
use super::mirror_state::sentence;
use super::progress::Progress;
use super::time_text::{Moment, Times};
use super::words::{self, capital, count, grouped, verb};
use crate::store::{Calendar, CalendarCheck, CalendarJob, UnreadCalendar};
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/calendars", get(show))
}

#[derive(Template)]
#[template(path = "calendars.html")]
struct CalendarsPage {
    frame: Frame,
    said: Option<String>,
    calendars: Vec<Card>,
    unread: Vec<UnreadCalendar>,
    removed: Vec<Removed>,
}

/// A calendar in use.
struct Card {
    summary: CalendarSummary,
    said: Option<String>,
    /// It was just added: what to do next.
    is_new: bool,
    job: Option<JobBox>,
    /// A worker is to do something there.
    is_busy: bool,
    held: Vec<HeldBox>,
    progress: Option<Progress>,
    last_check: Option<LastCheck>,
    next_check: NextCheck,
    google_id: String,
    selection: String,
    detail: &'static str,
    window: String,
    on_cancel: &'static str,
    on_drift: &'static str,
    created: Moment,
}

/// What the latest comparison with Google found.
struct LastCheck {
    at: Moment,
    outcome: String,
    /// None when it could not be made.
    counts: Option<String>,
}

impl LastCheck {
    fn new(check: &CalendarCheck, times: &Times) -> Self {
        let found = format!(
            "{} found; {} missing, {} changed by hand, {} unwanted",
            count(check.listed.into(), "event", "events"),
            grouped(check.missing.into()),
            grouped(check.edited.into()),
            grouped(check.unwanted.into())
        );
        Self {
            at: times.at(check.finished_at),
            outcome: capital(sentence(&check.outcome)),
            counts: check.was_made().then_some(found),
        }
    }
}

/// When Google is next asked what is there.
enum NextCheck {
    /// Not while the mirror is off.
    Never,
    /// In a moment.
    Due,
    At(Moment),
}

impl NextCheck {
    fn of(calendar: &Calendar, mirror: &Mirror, times: &Times) -> Self {
        let at = calendar.paused_until.map_or(calendar.next_check_at, |until| until.max(calendar.next_check_at));
        match mirror {
            Mirror::Off => Self::Never,
            _ if at <= times.now() => Self::Due,
            _ => Self::At(times.at(at)),
        }
    }
}

/// A calendar that is no longer mirrored into.
struct Removed {
    id: i64,
    name: String,
    google_id: String,
    since: Option<Moment>,
    left: i64,
    job: Option<JobBox>,
    is_busy: bool,
    /// Name of the calendar that mirrors into the same Google calendar now.
    again: Option<String>,
}

/// What a button or a form did, told in the address that one is sent to: each names a calendar.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Said {
    new: Option<i64>,
    edited: Option<i64>,
    resynced: Option<i64>,
    retried: Option<i64>,
    removed: Option<i64>,
}

impl Said {
    /// What is said of a calendar in use; `waits`: something waits for a decision.
    fn of(&self, calendar: &CalendarSummary, waits: bool) -> Option<String> {
        let id = Some(calendar.id);
        if id == self.new && calendar.to_plan {
            return Some("Added. Its meetings are not counted yet.".to_owned());
        }
        if id == self.new {
            let number = calendar.counts.pending;
            let waiting = count(number, "meeting", "meetings");
            return Some(format!("Added. {waiting} {} to be mirrored.", verb(number, "waits", "wait")));
        }
        if id == self.edited {
            let deletes = "Saved. What that would delete waits for your decision, below.";
            return Some(if waits { deletes } else { "Saved. Its events follow." }.to_owned());
        }
        (id == self.resynced).then(|| {
            let retried = count(self.retried.unwrap_or_default(), "failure is", "failures are");
            format!("What it lacks is added, then all is compared with what was written; {retried} tried again.")
        })
    }
}

async fn show(visit: Visit, Params(said): Params<Said>) -> Result<Response, PageError> {
    let (store, times) = (&visit.site.store, visit.times);
    let mirror = Mirror::of(&visit.site);
    // Before the counts: what was planned by then is counted.
    let all = store.all_calendars().await?;
    let counts = store.mirror_counts(times.now()).await?;
    let held = store.held_changes().await?;
    let frame = visit.frame(Section::Calendars);
    let (used, ended): (Vec<Calendar>, Vec<Calendar>) =
        all.into_iter().partition(|calendar| calendar.removed_at.is_none());
    let mut removed = Vec::new();
    for calendar in ended {
        let job = store.latest_job(calendar.id).await?;
        removed.push(Removed {
            id: calendar.id,
            left: store.events_there(calendar.id).await?,
            is_busy: job.as_ref().is_some_and(CalendarJob::is_open),
            job: job.and_then(|job| JobBox::new(&job, &mirror, &times)),
            again: calendar.mirrored_again(&used).map(|again| again.wish.name.clone()),
            name: calendar.wish.name,
            google_id: calendar.wish.google_id,
            since: calendar.removed_at.map(|at| times.at(at)),
        });
    }
    let mut calendars = Vec::new();
    for calendar in used {
        let summary = CalendarSummary::new(&calendar, &counts, &held, &mirror, &times);
        let mut boxes = Vec::new();
        for change in held.iter().filter(|change| change.calendar_id == calendar.id) {
            boxes.push(HeldBox::new(change, &frame.token, store, &times).await?);
        }
        let rate = visit.site.google.as_ref().map(|google| google.calls_per_second);
        let last_check = store.latest_check(calendar.id).await?;
        let job = store.latest_job(calendar.id).await?;
        calendars.push(Card {
            said: said.of(&summary, !boxes.is_empty()),
            is_new: said.new == Some(calendar.id),
            is_busy: job.as_ref().is_some_and(CalendarJob::is_open),
            job: job.and_then(|job| JobBox::new(&job, &mirror, &times)),
            held: boxes,
            progress: Progress::of(&summary.counts, rate.filter(|_| summary.held_until.is_none())),
            last_check: last_check.map(|check| LastCheck::new(&check, &times)),
            next_check: NextCheck::of(&calendar, &mirror, &times),
            selection: words::selection(&calendar.wish.selection),
            detail: words::detail(calendar.wish.detail),
            window: words::window(calendar.wish.window),
            on_cancel: words::on_cancel(calendar.wish.on_cancel),
            on_drift: words::on_drift(calendar.wish.on_drift),
            created: times.at(calendar.created_at),
            google_id: calendar.wish.google_id,
            summary,
        });
    }
    let said = removed
        .iter()
        .find(|calendar| said.removed == Some(calendar.id))
        .map(|calendar| format!("“{}” is no longer mirrored into.", calendar.name));
    let unread = store.unread_calendars().await?;
    Ok(visit.show(CalendarsPage { frame, said, calendars, unread, removed }))
}

#[cfg(test)]
mod tests;
