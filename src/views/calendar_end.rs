//! Purging a calendar and removing it: first the question, with what goes and what stays in numbers, then the deed. Events at
//! Google are deleted by a worker.

use askama::Template;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path};
use axum::response::{Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use serde::Deserialize;

use super::calendar_job::refused;
use super::error::PageError;
use super::frame::{Frame, Mirror, Section, Visit};
use super::words::{count, verb};
use crate::store::{Calendar, JobKind};
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/calendars/{id}/purge", get(ask_purge).post(purge))
        .route("/calendars/{id}/remove", get(ask_remove).post(remove))
        .layer(DefaultBodyLimit::max(4096))
}

/// What was written into a calendar, in words.
struct There {
    /// "the 12 events that were written there", "what was written there".
    words: String,
    /// "are", "is".
    is: &'static str,
    /// "12 events", "everything written there".
    short: String,
}

impl There {
    /// By the mirror's table, which may have been restored from a backup: none in it need not mean none at Google.
    async fn of(visit: &Visit, calendar: &Calendar) -> Result<Self, PageError> {
        let there = visit.site.store.events_there(calendar.id).await?;
        if there == 0 {
            let short = "what may be left there".to_owned();
            return Ok(Self { words: "what may be left there of this installation".to_owned(), is: "is", short });
        }
        let short = count(there, "event", "events");
        let written = verb(there, "that was written there", "that were written there");
        Ok(Self { words: format!("the {short} {written}"), is: verb(there, "is", "are"), short })
    }
}

#[derive(Template)]
#[template(path = "calendar_purge.html")]
struct PurgePage {
    frame: Frame,
    id: i64,
    name: String,
    google_id: String,
    is_live: bool,
    there: There,
    /// Name of the calendar that mirrors into the same Google calendar.
    again: Option<String>,
}

#[derive(Template)]
#[template(path = "calendar_remove.html")]
struct RemovePage {
    frame: Frame,
    id: i64,
    name: String,
    google_id: String,
    there: There,
}

/// The calendar that an address names, live or removed.
pub(super) async fn find(visit: &Visit, id: Result<Path<i64>, PathRejection>) -> Result<Calendar, PageError> {
    let Path(id) = id.map_err(|_| PageError::NoPage)?;
    let calendars = visit.site.store.all_calendars().await?;
    calendars.into_iter().find(|calendar| calendar.id == id).ok_or(PageError::NoPage)
}

async fn ask_purge(visit: Visit, id: Result<Path<i64>, PathRejection>) -> Result<Response, PageError> {
    let calendar = find(&visit, id).await?;
    let live = visit.site.store.calendars().await?;
    let page = PurgePage {
        frame: visit.frame(Section::Calendars),
        id: calendar.id,
        there: There::of(&visit, &calendar).await?,
        again: calendar.mirrored_again(&live).map(|again| again.wish.name.clone()),
        is_live: calendar.removed_at.is_none(),
        name: calendar.wish.name,
        google_id: calendar.wish.google_id,
    };
    Ok(visit.show(page))
}

#[derive(Deserialize)]
struct Purge {
    token: String,
}

async fn purge(
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Purge>, FormRejection>,
) -> Result<Redirect, PageError> {
    let Form(form) = form.map_err(PageError::from)?;
    visit.check(&form.token)?;
    let calendar = find(&visit, id).await?;
    if !Mirror::of(&visit.site).is_on() {
        return Err(PageError::NotNow);
    }
    let asked = visit.site.store.ask_job(&calendar, JobKind::Purge, "admin page", visit.times.now()).await;
    asked.map_err(refused)?;
    Ok(Redirect::to(&format!("/calendars#calendar-{}", calendar.id)))
}

async fn ask_remove(visit: Visit, id: Result<Path<i64>, PathRejection>) -> Result<Response, PageError> {
    let calendar = find(&visit, id).await?;
    if calendar.removed_at.is_some() {
        return Err(PageError::NotNow);
    }
    let page = RemovePage {
        frame: visit.frame(Section::Calendars),
        id: calendar.id,
        there: There::of(&visit, &calendar).await?,
        name: calendar.wish.name,
        google_id: calendar.wish.google_id,
    };
    Ok(visit.show(page))
}

#[derive(Deserialize)]
struct Remove {
    token: String,
    /// Which button was pressed.
    events: Events,
}

/// What becomes of what was written.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Events {
    Keep,
    Delete,
}

async fn remove(
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Remove>, FormRejection>,
) -> Result<Redirect, PageError> {
    let Form(form) = form.map_err(PageError::from)?;
    visit.check(&form.token)?;
    let calendar = find(&visit, id).await?;
    let purge = form.events == Events::Delete;
    if purge && !Mirror::of(&visit.site).is_on() {
        return Err(PageError::NotNow);
    }
    let ended = visit.site.store.end_calendar(&calendar, purge, "admin page", visit.times.now()).await;
    ended.map_err(refused)?;
    Ok(Redirect::to(&format!("/calendars?removed={0}#calendar-{0}", calendar.id)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, Stage, Visitor, recorded};
    use super::*;
    use crate::meeting::selection::Selection;
    use axum::http::StatusCode;

    /// A calendar with two meetings that are mirrored.
    async fn mirrored() -> Stage {
        let mut stage = Stage::new().await;
        stage.google();
        stage.calendar("Sales <team>", Selection::default()).await;
        stage.meeting("m-1", 24).await;
        stage.meeting("m-2", 25).await;
        stage.mirror(&[]).await;
        stage
    }

    async fn open(stage: &Stage) -> Vec<(i64, JobKind)> {
        let jobs = stage.site.store.open_jobs().await.unwrap();
        jobs.iter().map(|job| (job.calendar_id, job.kind)).collect()
    }

    async fn press(admin: &mut Visitor, path: &str, events: &str) -> Answer {
        let token = admin.get("/calendars").await.form_token();
        admin.post(path, &[("token", &token), ("events", events)]).await
    }

    #[tokio::test]
    async fn a_purge_says_in_numbers_what_goes_and_is_done_by_a_worker() {
        let stage = mirrored().await;
        let mut admin = stage.admin().await;
        let answer = admin.get("/calendars/1/purge").await;
        answer.assert_shows(&[
            "Purge “<bdi>Sales &#60;team&#62;</bdi>”?",
            "the 2 events that were written there are deleted. Nothing else in it is touched",
            "Nothing is mirrored there for an hour",
            "<button class=\"danger\">Delete 2 events</button>",
            "href=\"/calendars/1/remove\"",
        ]);
        answer.assert_hides(&["<team>"]);
        assert!(open(&stage).await.is_empty(), "a question is no deed");
        let answer = press(&mut admin, "/calendars/1/purge", "").await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/calendars#calendar-1"));
        assert_eq!(open(&stage).await, [(1, JobKind::Purge)]);
        assert_eq!(recorded(&stage, "calendar").await, ["admin page: Asked to purge calendar “Sales <team>”"]);
        assert_eq!(press(&mut admin, "/calendars/1/purge", "").await.status, StatusCode::CONFLICT);
    }

    #[tokio::test]
    async fn removing_keeps_or_deletes_what_was_written_as_one_chooses() {
        for (events, purged, audit) in [
            ("keep", false, "admin page: Removed calendar “Sales <team>”"),
            ("delete", true, "admin page: Removed calendar “Sales <team>”, with a purge"),
        ] {
            let stage = mirrored().await;
            let mut admin = stage.admin().await;
            admin.get("/calendars/1/remove").await.assert_shows(&[
                "What becomes of the 2 events that were written there?",
                "Remove, and keep 2 events",
                "Remove, and delete 2 events",
            ]);
            assert!(stage.site.store.calendar("1").await.unwrap().unwrap().removed_at.is_none());
            let answer = press(&mut admin, "/calendars/1/remove", events).await;
            assert_eq!(answer.header("location"), "/calendars?removed=1#calendar-1");
            assert!(stage.site.store.calendar("1").await.unwrap().unwrap().removed_at.is_some());
            assert_eq!(open(&stage).await.len(), usize::from(purged));
            assert_eq!(recorded(&stage, "calendar").await, [audit]);
            let answer = admin.get("/calendars?removed=1").await;
            answer.assert_shows(&["” is no longer mirrored into.", "No calendar yet."]);
            let told = if purged { "the events are being counted" } else { "href=\"/calendars/1/purge\"" };
            answer.assert_shows(&[told]);
            // Removed twice.
            assert_eq!(press(&mut admin, "/calendars/1/remove", events).await.status, StatusCode::CONFLICT);
            assert_eq!(admin.get("/calendars/1/remove").await.status, StatusCode::CONFLICT);
            assert_eq!(recorded(&stage, "calendar").await.len(), 1);
        }
    }

    #[tokio::test]
    async fn what_is_mirrored_again_is_not_purged_through_the_removed_one() {
        let stage = mirrored().await;
        let calendar = stage.site.store.calendar("1").await.unwrap().unwrap();
        stage.site.store.end_calendar(&calendar, false, "test", stage.now()).await.unwrap();
        let again = crate::store::NewCalendar { name: "Again".to_owned(), ..calendar.wish };
        stage.site.store.new_calendar(&again, "test", stage.now()).await.unwrap();
        let mut admin = stage.admin().await;
        let answer = admin.get("/calendars/1/purge").await;
        answer.assert_shows(&["can't be purged", "mirrored into again, by “<bdi>Again</bdi>”"]);
        answer.assert_hides(&["<button class=\"danger\">"]);
        let answer = admin.get("/calendars").await;
        answer.assert_shows(&["Mirrored into again, by “<bdi>Again</bdi>”"]);
        answer.assert_hides(&["/calendars/1/purge"]);
        assert_eq!(press(&mut admin, "/calendars/1/purge", "").await.status, StatusCode::CONFLICT);
        assert!(open(&stage).await.is_empty());
    }

    #[tokio::test]
    async fn while_the_mirror_is_off_nothing_is_promised_to_be_deleted() {
        let mut stage = mirrored().await;
        stage.site.google = None;
        let mut admin = stage.admin().await;
        admin.get("/calendars/1/purge").await.assert_hides(&["<button class=\"danger\">"]);
        let answer = admin.get("/calendars/1/remove").await;
        answer.assert_shows(&["Remove, and keep 2 events", "the mirror is off"]);
        answer.assert_hides(&["and delete 2 events"]);
        assert_eq!(press(&mut admin, "/calendars/1/purge", "").await.status, StatusCode::CONFLICT);
        assert_eq!(press(&mut admin, "/calendars/1/remove", "delete").await.status, StatusCode::CONFLICT);
        assert_eq!(recorded(&stage, "calendar").await, [""; 0]);
        assert_eq!(press(&mut admin, "/calendars/1/remove", "keep").await.status, StatusCode::SEE_OTHER);
    }

    #[tokio::test]
    async fn a_form_of_another_site_or_an_unknown_calendar_changes_nothing() {
        let stage = mirrored().await;
        let mut admin = stage.admin().await;
        for page in ["purge", "remove"] {
            let forged = [("token", "AAAA"), ("events", "delete")];
            assert_eq!(admin.post(&format!("/calendars/1/{page}"), &forged).await.status, StatusCode::FORBIDDEN);
            for unknown in ["9", "x"] {
                let path = format!("/calendars/{unknown}/{page}");
                assert_eq!(admin.get(&path).await.status, StatusCode::NOT_FOUND);
                assert_eq!(press(&mut admin, &path, "delete").await.status, StatusCode::NOT_FOUND);
            }
            let stranger = stage.visitor().get(&format!("/calendars/1/{page}")).await;
            assert!(stranger.header("location").starts_with("/login"));
        }
        assert_eq!(press(&mut admin, "/calendars/1/remove", "burn").await.status, StatusCode::BAD_REQUEST);
        assert!(open(&stage).await.is_empty());
        assert_eq!(recorded(&stage, "calendar").await, [""; 0]);
    }
}
