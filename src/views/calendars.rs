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
use crate::store::{Calendar, CalendarCheck, CalendarJob, MirrorCounts, NOT_CHECKED};
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
            counts: (!check.outcome.starts_with(NOT_CHECKED)).then_some(found),
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
    added: Option<i64>,
    retried: Option<i64>,
    removed: Option<i64>,
}

impl Said {
    /// What is said of a calendar in use.
    fn of(&self, id: i64, counts: &MirrorCounts, waits: bool) -> Option<String> {
        let id = Some(id);
        if id == self.new {
            let waiting = count(counts.pending, "meeting", "meetings");
            return Some(format!("Added. {waiting} {} to be mirrored.", verb(counts.pending, "waits", "wait")));
        }
        if id == self.edited {
            let deletes = "Saved. What that would delete waits for your decision, below.";
            return Some(if waits { deletes } else { "Saved. Its events follow." }.to_owned());
        }
        let (added, retried) = (self.added.unwrap_or_default(), self.retried.unwrap_or_default());
        (id == self.resynced).then(|| {
            let added = count(added, "meeting was", "meetings were");
            let retried = count(retried, "failure is", "failures are");
            format!("It is compared with what was written in a moment; {added} added, {retried} tried again.")
        })
    }
}

async fn show(visit: Visit, Params(said): Params<Said>) -> Result<Response, PageError> {
    let (store, times) = (&visit.site.store, visit.times);
    let mirror = Mirror::of(&visit.site);
    let counts = store.mirror_counts(times.now()).await?;
    let held = store.held_changes().await?;
    let frame = visit.frame(Section::Calendars);
    let (used, ended): (Vec<Calendar>, Vec<Calendar>) =
        store.all_calendars().await?.into_iter().partition(|calendar| calendar.removed_at.is_none());
    let mut removed = Vec::new();
    for calendar in ended {
        let job = store.latest_job(calendar.id).await?;
        removed.push(Removed {
            id: calendar.id,
            left: counts.iter().find(|counts| counts.calendar_id == calendar.id).map_or(0, |counts| counts.in_step),
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
            said: said.of(calendar.id, &summary.counts, !boxes.is_empty()),
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
    Ok(visit.show(CalendarsPage { frame, said, calendars, removed }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use crate::meeting::selection::Selection;
    use crate::store::{CalendarCheck, ProblemKind};
    use chrono::{DateTime, TimeDelta, Utc};

    fn check(at: DateTime<Utc>, outcome: &str) -> CalendarCheck {
        let outcome = outcome.to_owned();
        CalendarCheck {
            calendar_id: 1,
            started_at: at,
            finished_at: at,
            listed: 0,
            missing: 0,
            edited: 0,
            unwanted: 0,
            outcome,
        }
    }

    #[tokio::test]
    async fn without_calendars_it_says_how_to_add_one() {
        let mut stage = Stage::new().await;
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&["The mirror is off.", "MEETING_MIRROR_GOOGLE_CREDENTIALS"]);
        stage.google();
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&["No calendar yet.", "href=\"/calendars/new\""]);
        answer.assert_hides(&["The mirror is off.", "Check tries"]);
    }

    #[tokio::test]
    async fn a_calendar_in_step_says_what_it_holds() {
        let mut stage = Stage::new().await;
        stage.google();
        let selection = Selection { owners: vec!["priya@example.com".into()], ..Selection::default() };
        stage.calendar("Sales team", selection).await;
        stage.meeting("m-1", 24).await;
        stage.mirror(&[]).await;
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&[
            "Sales team",
            "In step",
            "sales-team@group.calendar.google.com",
            "meetings of owner priya@example.com",
            "from 30 days back to 365 days ahead",
            "a canceled meeting is deleted",
            "<dt>Last compared</dt><dd>not yet</dd>",
            "Next comparison",
            "Fri 20 Nov 2026, 13:15 CET in 15 minutes",
            "<dt>Changed by hand</dt><dd>put right at the next comparison</dd>",
        ]);
        answer.assert_hides(&["<progress", "wait to be deleted"]);
    }

    #[tokio::test]
    async fn a_backlog_shows_how_far_it_is_and_how_long_it_takes() {
        let mut stage = Stage::new().await;
        stage.google();
        let calendar = stage.calendar("Sales team", Selection::default()).await;
        stage.meeting("m-1", 24).await;
        stage.mirror(&[]).await;
        for number in 2..=3 {
            stage.meeting(&format!("m-{number}"), 24).await;
        }
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&[
            "1 of 3 meetings are mirrored; less than a minute left.",
            "<label for=\"progress-1\">",
            "<progress id=\"progress-1\" value=\"1\" max=\"3\">",
        ]);
        let mut tx = stage.site.store.write().await.unwrap();
        tx.pause_calendar(calendar.id, stage.now() + TimeDelta::hours(1), None, stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&[
            "1 of 3 meetings are mirrored.",
            "Next comparison</dt><dd><time datetime=\"2026-11-20T13:00:00Z\">",
        ]);
    }

    #[tokio::test]
    async fn a_comparison_says_what_it_found_or_why_it_was_not_made() {
        let mut stage = Stage::new().await;
        stage.calendar("Sales team", Selection::default()).await;
        let mut tx = stage.site.store.write().await.unwrap();
        let found = CalendarCheck { listed: 1200, edited: 2, ..check(stage.now(), "2 differences to be put right") };
        tx.record_check(&found, stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        stage.clock.advance(TimeDelta::minutes(20));
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&[
            "Last compared</dt><dd><time datetime=\"2026-11-20T12:00:00Z\">",
            "20 minutes ago",
            "2 differences to be put right. 1,200 events found; 0 missing, 2 changed by hand, 0 unwanted.",
        ]);
        answer.assert_hides(&["Next comparison"]);
        stage.google();
        stage.admin().await.get("/calendars").await.assert_shows(&["<dt>Next comparison</dt><dd>in a moment</dd>"]);
        let mut tx = stage.site.store.write().await.unwrap();
        let failed = check(stage.now(), "not checked: Google says <no>");
        tx.record_check(&failed, stage.now() + TimeDelta::minutes(15)).await.unwrap();
        tx.commit().await.unwrap();
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&["Not checked: Google says &#60;no&#62;.", "in 15 minutes"]);
        answer.assert_hides(&["0 events found", "<no>"]);
    }

    #[tokio::test]
    async fn a_calendar_in_trouble_says_what_a_person_must_do() {
        let mut stage = Stage::new().await;
        stage.google();
        let calendar = stage.calendar("Sales team", Selection::default()).await;
        let gone = stage.calendar("Old one", Selection::default()).await;
        stage.meeting("m-1", 24).await;
        stage.mirror(&[("m-1", "Google answered 404", ProblemKind::Person)]).await;
        let mut tx = stage.site.store.write().await.unwrap();
        let until = stage.now() + TimeDelta::minutes(30);
        tx.pause_calendar(calendar.id, until, Some("Share the calendar with <us>"), stage.now()).await.unwrap();
        tx.remove_calendar(gone.id, stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&[
            "Needs a person",
            "Share the calendar with &#60;us&#62;.",
            "Google answered 404.",
            "in 30 minutes",
            "check the calendar: that tells whether it works",
            "action=\"/calendars/1/check\"",
            "Old one",
            "href=\"/calendars/2/purge\"",
        ]);
    }

    #[tokio::test]
    async fn buttons_that_need_google_are_there_only_with_it() {
        let mut stage = Stage::new().await;
        stage.calendar("Sales <team>", Selection::default()).await;
        let needs_google = ["/calendars/1/check", "/calendars/1/resync", "/calendars/1/purge"];
        let always = ["href=\"/calendars/1/edit\"", "href=\"/calendars/1/remove\""];
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&always);
        answer.assert_hides(&needs_google);
        stage.google();
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&needs_google);
        answer.assert_shows(&always);
        answer.assert_hides(&["<team>", "meeting-mirror calendar"]);
    }

    #[tokio::test]
    async fn a_new_calendar_says_what_waits_and_whom_to_share_it_with() {
        let mut stage = Stage::new().await;
        stage.google();
        stage.calendar("Sales team", Selection::default()).await;
        stage.meeting("m-1", 24).await;
        let answer = stage.admin().await.get("/calendars?new=1").await;
        answer.assert_shows(&[
            "Added. 1 meeting waits to be mirrored.",
            "value=\"mirror@robot.example.com\"",
            "Make changes to events",
            "data-copy=\"account-1\"",
        ]);
        // What an address says of other calendars, or of none, is not told.
        for address in ["/calendars", "/calendars?new=2", "/calendars?new=x&removed=1&edited=%3Cb%3E"] {
            stage.admin().await.get(address).await.assert_hides(&["class=\"answer\"", "<b>"]);
        }
    }
}
