//! The Google Calendars that are mirrored into: how each fares, what a person must do, and what was asked for.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;

use super::calendar_summary::CalendarSummary;
use super::error::PageError;
use super::frame::{Frame, Mirror, Section, Visit};
use super::time_text::Moment;
use super::words;
use crate::store::Calendar;
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/calendars", get(show))
}

#[derive(Template)]
#[template(path = "calendars.html")]
struct CalendarsPage {
    frame: Frame,
    calendars: Vec<Card>,
    removed: Vec<Removed>,
}

/// A calendar in use.
struct Card {
    summary: CalendarSummary,
    google_id: String,
    selection: String,
    detail: &'static str,
    window: String,
    on_cancel: &'static str,
    created: Moment,
}

/// A calendar that is no longer mirrored into.
struct Removed {
    id: i64,
    name: String,
    google_id: String,
    since: Option<Moment>,
    left: i64,
}

async fn show(visit: Visit) -> Result<Response, PageError> {
    let (store, times) = (&visit.site.store, visit.times);
    let mirror = Mirror::of(&visit.site);
    let counts = store.mirror_counts(times.now()).await?;
    let (used, removed): (Vec<Calendar>, Vec<Calendar>) =
        store.all_calendars().await?.into_iter().partition(|calendar| calendar.removed_at.is_none());
    let calendars = used.into_iter().map(|calendar| Card {
        summary: CalendarSummary::new(&calendar, &counts, &mirror, &times),
        selection: words::selection(&calendar.wish.selection),
        detail: words::detail(calendar.wish.detail),
        window: words::window(calendar.wish.window),
        on_cancel: words::on_cancel(calendar.wish.on_cancel),
        created: times.at(calendar.created_at),
        google_id: calendar.wish.google_id,
    });
    let removed = removed.into_iter().map(|calendar| Removed {
        id: calendar.id,
        left: counts.iter().find(|counts| counts.calendar_id == calendar.id).map_or(0, |counts| counts.in_step),
        name: calendar.wish.name,
        google_id: calendar.wish.google_id,
        since: calendar.removed_at.map(|at| times.at(at)),
    });
    let page = CalendarsPage {
        frame: visit.frame(Section::Calendars),
        calendars: calendars.collect(),
        removed: removed.collect(),
    };
    Ok(visit.show(page))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use crate::meeting::selection::Selection;
    use crate::store::ProblemKind;
    use chrono::TimeDelta;

    #[tokio::test]
    async fn without_calendars_it_says_how_to_add_one() {
        let mut stage = Stage::new().await;
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&["The mirror is off.", "MEETING_MIRROR_GOOGLE_CREDENTIALS"]);
        stage.google();
        let answer = stage.admin().await.get("/calendars").await;
        answer.assert_shows(&["mirror@robot.example.com", "meeting-mirror calendar add", "Make changes to events"]);
        answer.assert_hides(&["The mirror is off."]);
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
        ]);
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
            "meeting-mirror calendar check &#39;Sales team&#39;",
            "Old one",
            "meeting-mirror calendar purge 2",
        ]);
    }
}
