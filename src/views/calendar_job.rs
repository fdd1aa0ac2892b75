//! What an admin has a worker do at Google: checking and purging. Here how far that is, or what came of it, and the buttons
//! that ask for it at once; purging is asked for on a page of its own.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path};
use axum::response::Redirect;
use axum::routing::post;
use axum::{Form, Router};
use chrono::TimeDelta;
use serde::Deserialize;

use super::error::PageError;
use super::frame::{Mirror, Visit};
use super::mirror_state::sentence;
use super::time_text::{Moment, Times};
use super::words::{State, Tone, capital, count, grouped, verb};
use crate::store::{Calendar, CalendarJob, JobFinding, JobKind, JobState, StoreError, Verdict};
use crate::web::site::Site;

/// What went well is told for so long.
const TOLD_FOR: TimeDelta = TimeDelta::days(1);

pub(super) fn router() -> Router<Site> {
    // Who was sent to sign in from a button comes back by a link: to the calendars.
    let back = Redirect::to("/calendars");
    Router::new()
        .route("/calendars/{id}/check", post(check).get(back.clone()))
        .route("/calendars/{id}/resync", post(resync).get(back))
        .layer(DefaultBodyLimit::max(4096))
}

/// The latest job of a calendar.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/calendar_job.html")]
pub(super) struct JobBox {
    id: i64,
    /// In a sentence.
    what: String,
    /// When it ended; none = it is still at it.
    ended: Option<Moment>,
    /// Events deleted, of how many.
    progress: Option<(u32, u32)>,
    is_bad: bool,
    lines: Vec<Line>,
}

// Its template escapes what it shows.
impl HtmlSafe for JobBox {}

/// One thing that was looked at.
#[derive(Debug, Clone)]
struct Line {
    state: State,
    text: String,
}

impl Line {
    fn new(finding: &JobFinding) -> Self {
        let (tone, text) = match finding.verdict {
            Verdict::Fine => (Tone::Good, sentence(&finding.text)),
            Verdict::Problem => (Tone::Bad, sentence(&finding.text)),
            Verdict::NotTried => (Tone::Quiet, "Not tried: what comes before it failed.".to_owned()),
        };
        Self { state: State::new(tone, capital(finding.about.clone())), text: capital(text) }
    }
}

impl JobBox {
    /// Puts it together; none when there is nothing to tell any more.
    pub(super) fn new(job: &CalendarJob, mirror: &Mirror, times: &Times) -> Option<Self> {
        if let JobState::Finished { at, findings } = &job.state {
            let well = findings.iter().all(|finding| finding.verdict == Verdict::Fine);
            let what = match job.kind {
                JobKind::Check => "Checked",
                JobKind::Purge if well => "Purged",
                JobKind::Purge => "The purge stopped",
            };
            let lines = findings.iter().map(Line::new).collect();
            let ended = Some(times.at(*at));
            let told = !well || times.now() - *at <= TOLD_FOR;
            return told.then(|| Self {
                id: job.id,
                what: what.to_owned(),
                ended,
                progress: None,
                is_bad: !well,
                lines,
            });
        }
        // A command at a terminal needs no worker.
        let waits = !mirror.is_on() && job.command_until.is_none();
        let what = match (job.kind, job.total) {
            (JobKind::Check, _) if waits => "A check waits until the mirror is on.".to_owned(),
            (JobKind::Purge, _) if waits => "A purge waits until the mirror is on.".to_owned(),
            (JobKind::Check, _) => "It is being checked.".to_owned(),
            (JobKind::Purge, None) => "It is being purged: the events are being counted.".to_owned(),
            (JobKind::Purge, Some(total)) => {
                let events = count(total.into(), "event", "events");
                let is = verb(total.into(), "is", "are");
                format!("It is being purged: {} of {events} {is} deleted.", grouped(job.done.into()))
            }
        };
        let progress = job.total.map(|total| (job.done, total));
        Some(Self { id: job.id, what, ended: None, progress, is_bad: false, lines: Vec::new() })
    }
}

/// A form that is only a button.
#[derive(Deserialize)]
struct Press {
    token: String,
}

/// The calendar of a button that was pressed. The mirror is on, and the calendar is mirrored into.
async fn pressed(
    visit: &Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Press>, FormRejection>,
) -> Result<Calendar, PageError> {
    let Path(id) = id.map_err(|_| PageError::NoPage)?;
    let Form(form) = form.map_err(PageError::from)?;
    visit.check(&form.token)?;
    if !Mirror::of(&visit.site).is_on() {
        return Err(PageError::NotNow);
    }
    let live = visit.site.store.calendars().await?;
    live.into_iter().find(|calendar| calendar.id == id).ok_or(PageError::NotNow)
}

/// What a page says when the calendar does not allow it, or not now.
pub(super) fn refused(error: StoreError) -> PageError {
    match error {
        StoreError::Busy(_) | StoreError::Changed(_) | StoreError::Exists(_) => PageError::NotNow,
        other => other.into(),
    }
}

async fn check(
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Press>, FormRejection>,
) -> Result<Redirect, PageError> {
    let calendar = pressed(&visit, id, form).await?;
    let asked = visit.site.store.ask_job(&calendar, JobKind::Check, "admin page", visit.times.now()).await;
    asked.map_err(refused)?;
    Ok(Redirect::to(&format!("/calendars#calendar-{}", calendar.id)))
}

async fn resync(
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Press>, FormRejection>,
) -> Result<Redirect, PageError> {
    let calendar = pressed(&visit, id, form).await?;
    let asked = visit.site.store.resync_calendar(&calendar, "admin page", visit.times.now()).await;
    let (retried, id) = (asked.map_err(refused)?, calendar.id);
    Ok(Redirect::to(&format!("/calendars?resynced={id}&retried={retried}#calendar-{id}")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, recorded};
    use super::*;
    use crate::meeting::selection::Selection;
    use crate::store::ProblemKind;
    use axum::http::StatusCode;

    async fn with_calendar() -> Stage {
        let mut stage = Stage::new().await;
        stage.google();
        stage.calendar("Sales team", Selection::default()).await;
        stage.plan().await;
        stage
    }

    fn finding(about: &str, verdict: Verdict, text: &str) -> JobFinding {
        JobFinding { about: about.to_owned(), verdict, text: text.to_owned() }
    }

    async fn ask(stage: &Stage, kind: JobKind) -> CalendarJob {
        let calendar = stage.site.store.calendar("1").await.unwrap().unwrap();
        stage.site.store.ask_job(&calendar, kind, "admin page", stage.now()).await.unwrap();
        stage.site.store.latest_job(1).await.unwrap().unwrap()
    }

    async fn finish(stage: &Stage, job: &CalendarJob, findings: &[JobFinding]) {
        let mut tx = stage.site.store.write().await.unwrap();
        tx.finish_job(job.id, findings, stage.now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn a_check_is_asked_for_and_its_result_is_told_line_by_line() {
        let stage = with_calendar().await;
        let mut admin = stage.admin().await;
        let token = admin.get("/calendars").await.form_token();
        let answer = admin.post("/calendars/1/check", &[("token", &token)]).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/calendars#calendar-1"));
        assert_eq!(recorded(&stage, "calendar").await, ["admin page: Asked to check calendar “Sales team”"]);
        let answer = admin.get("/calendars").await;
        answer.assert_shows(&["It is being checked.", "<progress", "Reload the page", "data-live", "live.js"]);
        answer.assert_hides(&["/calendars/1/check", "/calendars/1/purge"]);
        // Pressed twice.
        let answer = admin.post("/calendars/1/check", &[("token", &token)]).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        answer.assert_shows(&["This can't be done right now.", "another check or purge is not finished"]);
        assert_eq!(recorded(&stage, "calendar").await.len(), 1);

        let job = stage.site.store.latest_job(1).await.unwrap().unwrap();
        let findings = [
            finding("credentials", Verdict::Fine, "Google gives access tokens"),
            finding("sharing", Verdict::Problem, "Google knows no <calendar>"),
            finding("writing", Verdict::NotTried, ""),
        ];
        finish(&stage, &job, &findings).await;
        stage.clock.advance(TimeDelta::days(3));
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&[
            "Checked",
            "3 days ago",
            "state-good\"><span class=\"mark\" aria-hidden=\"true\"></span>Credentials",
            "Google gives access tokens.",
            "state-bad\"><span class=\"mark\" aria-hidden=\"true\"></span>Sharing",
            "Google knows no &#60;calendar&#62;.",
            "Not tried: what comes before it failed.",
            "/calendars/1/check",
        ]);
        answer.assert_hides(&["data-live", "<calendar>"]);
    }

    #[tokio::test]
    async fn what_went_well_is_told_for_a_day() {
        let stage = with_calendar().await;
        let job = ask(&stage, JobKind::Check).await;
        finish(&stage, &job, &[finding("backlog", Verdict::Fine, "nothing waits, 2 in step")]).await;
        stage.admin().await.get("/calendars").await.assert_shows(&["Nothing waits, 2 in step."]);
        stage.clock.advance(TimeDelta::hours(25));
        stage.admin().await.get("/calendars").await.assert_hides(&["Nothing waits, 2 in step."]);
    }

    #[tokio::test]
    async fn a_purge_shows_how_far_it_is_and_what_stopped_it() {
        let mut stage = with_calendar().await;
        let job = ask(&stage, JobKind::Purge).await;
        stage.admin().await.get("/calendars").await.assert_shows(&["the events are being counted"]);
        let mut tx = stage.site.store.write().await.unwrap();
        tx.begin_job(job.id, stage.now()).await.unwrap();
        tx.progress_job(job.id, 1200, 3000).await.unwrap();
        tx.commit().await.unwrap();
        stage
            .admin()
            .await
            .get("/calendars")
            .await
            .assert_shows(&["It is being purged: 1,200 of 3,000 events are deleted.", "value=\"1200\" max=\"3000\""]);
        let google = stage.site.google.take();
        stage.admin().await.get("/calendars").await.assert_shows(&["A purge waits until the mirror is on."]);
        // A command does so itself.
        assert!(stage.site.store.keep_job(job.id, None, stage.now()).await.unwrap());
        stage.admin().await.get("/calendars").await.assert_shows(&["It is being purged: 1,200 of 3,000 events"]);
        stage.site.google = google;
        finish(&stage, &job, &[finding("purge", Verdict::Problem, "1 event was deleted. Purge it again")]).await;
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&["The purge stopped", "Purge it again.", "/calendars/1/purge"]);
        answer.assert_hides(&["<progress"]);
    }

    #[tokio::test]
    async fn a_resync_is_done_at_once_and_says_what_it_found() {
        let stage = with_calendar().await;
        for id in ["m-1", "m-2"] {
            stage.meeting(id, 24).await;
        }
        stage.mirror(&[("m-1", "too long", ProblemKind::Rejected)]).await;
        let mut admin = stage.admin().await;
        let token = admin.get("/calendars").await.form_token();
        let answer = admin.post("/calendars/1/resync", &[("token", &token)]).await;
        assert_eq!(answer.header("location"), "/calendars?resynced=1&retried=1#calendar-1");
        assert_eq!(stage.site.store.calendars_to_plan().await.unwrap(), [1]);
        let answer = admin.get("/calendars?resynced=1&retried=1").await;
        answer.assert_shows(&["What it lacks is added", "1 failure is tried again.", "in a moment"]);
        assert_eq!(recorded(&stage, "calendar").await, ["admin page: Asked to resync calendar “Sales team”"]);
        assert!(stage.site.store.calendar("1").await.unwrap().unwrap().next_check_at <= stage.now());
        // A purge must not be crossed.
        ask(&stage, JobKind::Purge).await;
        assert_eq!(admin.post("/calendars/1/resync", &[("token", &token)]).await.status, StatusCode::CONFLICT);
    }

    #[tokio::test]
    async fn what_nobody_may_ask_for_changes_nothing() {
        let mut stage = with_calendar().await;
        let gone = stage.calendar("Gone", Selection::default()).await;
        stage.site.store.end_calendar(&gone, false, "test", stage.now()).await.unwrap();
        let mut admin = stage.admin().await;
        let token = admin.get("/calendars").await.form_token();
        for button in ["check", "resync"] {
            for (calendar, token, status) in [
                ("1", "AAAA", StatusCode::FORBIDDEN),
                ("2", &token, StatusCode::CONFLICT),
                ("9", &token, StatusCode::CONFLICT),
                ("x", &token, StatusCode::NOT_FOUND),
            ] {
                let answer = admin.post(&format!("/calendars/{calendar}/{button}"), &[("token", token)]).await;
                assert_eq!(answer.status, status, "{calendar} {button}");
            }
            let path = format!("/calendars/1/{button}");
            assert_eq!(admin.post(&path, &[]).await.status, StatusCode::BAD_REQUEST);
            assert_eq!(admin.get(&path).await.header("location"), "/calendars");
            assert!(stage.visitor().post(&path, &[("token", &token)]).await.header("location").starts_with("/login"));
        }
        stage.site.google = None;
        let mut admin = stage.admin().await;
        let token = admin.get("/calendars").await.form_token();
        assert_eq!(admin.post("/calendars/1/check", &[("token", &token)]).await.status, StatusCode::CONFLICT);
        assert!(stage.site.store.open_jobs().await.unwrap().is_empty());
        assert_eq!(recorded(&stage, "calendar").await, ["test: Removed calendar “Gone”"]);
    }
}
