//! Deletions that wait for an admin: how many, why, and which; and the two answers to them. Each answer names the change it
//! is for, so that a newer one is never approved by accident.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path};
use axum::response::Redirect;
use axum::routing::post;
use axum::{Form, Router};
use serde::Deserialize;

use super::error::PageError;
use super::frame::Visit;
use super::time_text::{Moment, Times};
use super::words::{count, grouped, meeting_href, verb};
use crate::meeting::entry::full_title;
use crate::store::{HeldChange, HeldReason, Store, StoreError};
use crate::web::site::Site;

/// Meetings that are told of.
const SHOWN: u32 = 10;

pub(super) fn router() -> Router<Site> {
    // Who was sent to sign in from a button comes back by a link: to the calendars.
    let back = Redirect::to("/calendars");
    Router::new()
        .route("/calendars/{id}/approve", post(approve).get(back.clone()))
        .route("/calendars/{id}/reject", post(reject).get(back))
        .layer(DefaultBodyLimit::max(4096))
}

/// A change that waits, with its two forms.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/held_change.html")]
pub(super) struct HeldBox {
    id: i64,
    calendar_id: i64,
    token: String,
    what: String,
    why: &'static str,
    since: Moment,
    going: Vec<Going>,
    more: i64,
    delete: String,
    keep: &'static str,
}

// Its template escapes what it shows.
impl HtmlSafe for HeldBox {}

/// A meeting whose event would go.
#[derive(Debug, Clone)]
struct Going {
    href: String,
    title: String,
    when: Moment,
}

impl HeldBox {
    /// Puts it together; `token` is for the forms.
    pub(super) async fn new(
        change: &HeldChange,
        token: &str,
        store: &Store,
        times: &Times,
    ) -> Result<Self, StoreError> {
        let mut going = Vec::new();
        // Of the others only their ids at Google are known.
        if change.reason == HeldReason::Selection {
            for id in store.held_meetings(change.calendar_id, SHOWN).await? {
                going.extend(store.meeting(&id).await?.map(|meeting| Going {
                    href: meeting_href(&id),
                    title: full_title(&meeting),
                    when: times.span(meeting.details.starts_at, meeting.details.ends_at),
                }));
            }
        }
        let told = i64::try_from(going.len()).unwrap_or(i64::MAX);
        let (why, keep) = match change.reason {
            HeldReason::Selection => (
                "The calendar was edited and no longer selects their meetings.",
                "Keeping them takes the edit back: the calendar shows what it showed before.",
            ),
            HeldReason::Strays => (
                "A comparison found them: this installation wrote them, but no meeting that it mirrors there asks for them. That \
                 happens after an old backup was restored.",
                "Keeping them leaves them in the calendar as they are.",
            ),
        };
        let events = count(change.deletions, "event", "events");
        Ok(Self {
            id: change.id,
            calendar_id: change.calendar_id,
            token: token.to_owned(),
            what: format!(
                "{} of {} {} to be deleted.",
                grouped(change.deletions),
                count(change.mirrored, "event", "events"),
                verb(change.deletions, "waits", "wait")
            ),
            why,
            since: times.at(change.created_at),
            // Fewer than can be told of: those are all that are left.
            more: if told < i64::from(SHOWN) { 0 } else { change.deletions - told },
            going,
            delete: format!("Delete {events}"),
            keep,
        })
    }
}

#[derive(Deserialize)]
struct Decision {
    token: String,
    change: i64,
}

async fn approve(
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Decision>, FormRejection>,
) -> Result<Redirect, PageError> {
    decide(visit, id, form, true).await
}

async fn reject(
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Decision>, FormRejection>,
) -> Result<Redirect, PageError> {
    decide(visit, id, form, false).await
}

async fn decide(
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Decision>, FormRejection>,
    approved: bool,
) -> Result<Redirect, PageError> {
    let Path(id) = id.map_err(|_| PageError::NoPage)?;
    let Form(form) = form.map_err(PageError::from)?;
    visit.check(&form.token)?;
    let (store, now) = (&visit.site.store, visit.times.now());
    let waiting = store.held_changes().await?;
    let change = waiting.iter().find(|change| change.calendar_id == id && change.id == form.change);
    let change = change.ok_or(PageError::NothingWaits)?;
    if !store.decide(change, approved, "admin page", now).await? {
        return Err(PageError::NothingWaits);
    }
    Ok(Redirect::to("/calendars"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, meeting_event};
    use crate::meeting::event::Kind;
    use crate::meeting::selection::Selection;
    use crate::store::{Calendar, HeldChange, HeldReason, Why};
    use axum::http::StatusCode;
    use chrono::TimeDelta;

    fn of(owner: &str) -> Selection {
        Selection { owners: vec![owner.into()], ..Selection::default() }
    }

    /// Fifty mirrored meetings, half of them Ada's.
    async fn mirrored() -> (Stage, Calendar) {
        let mut stage = Stage::new().await;
        stage.google();
        let calendar = stage.calendar("Sales", Selection::default()).await;
        for number in 0..50 {
            let mut event = meeting_event(&format!("m-{number:02}"), Kind::Scheduled, stage.now(), 24 + number);
            if number % 2 == 0 {
                event.details.owner.username = Some("ada@example.com".into());
            }
            event.details.title = Some(format!("Demo <{number:02}>"));
            stage.event(&event).await;
        }
        stage.mirror(&[]).await;
        (stage, calendar)
    }

    /// Edits the calendar so that only that owner's meetings are selected.
    async fn edit(stage: &Stage, calendar: &Calendar, owner: &str) -> HeldChange {
        let now = stage.site.store.calendar(&calendar.id.to_string()).await.unwrap().unwrap();
        let mut wish = now.wish.clone();
        wish.selection = of(owner);
        stage.site.store.change_calendar(&now, &wish, "test", stage.now()).await.unwrap().expect("it waits")
    }

    /// What was done on a page.
    async fn recorded(stage: &Stage) -> Vec<String> {
        let entries = stage.site.store.audit_newest(10).await.unwrap();
        let here = |link: &crate::store::StoredEntry| {
            link.entry.category == "calendar" && link.entry.actor.display() == "admin page"
        };
        let ours = entries.into_iter().filter(here);
        ours.map(|link| format!("{}: {}", link.entry.actor.display(), link.entry.summary)).collect()
    }

    #[tokio::test]
    async fn what_would_go_is_shown_wherever_one_looks() {
        let (stage, calendar) = mirrored().await;
        edit(&stage, &calendar, "ada@example.com").await;
        stage.clock.advance(TimeDelta::minutes(3));
        let mut admin = stage.admin().await;
        let answer = admin.get("/calendars").await;
        answer.assert_shows(&[
            "25 deletions to approve",
            "25 of 50 events wait to be deleted.",
            "The calendar was edited and no longer selects their meetings.",
            "3 minutes ago",
            "href=\"/meetings/m-01\"",
            "Demo &#60;01&#62;",
            "Sat 21 Nov 2026, 14:00–14:30 CET",
            "and 15 more",
            "<button class=\"danger\">Delete 25 events</button>",
            "Keep them",
            "takes the edit back",
        ]);
        answer.assert_hides(&["/meetings/m-00\"", "/meetings/m-21\"", "Demo <"]);
        let answer = admin.get("/status").await;
        answer.assert_shows(&[
            "25 deletions in “Sales” wait for approval.",
            "Nothing is deleted before you decide.",
            "href=\"/calendars#calendar-1\">Decide on 25 deletions",
        ]);
        let answer = admin.get("/meetings/m-01").await;
        answer.assert_shows(&[
            "It is in 1 of 1 calendar.",
            "Deletion to approve",
            "href=\"/calendars#calendar-1\">Decide",
        ]);
        admin.get("/meetings/m-00").await.assert_hides(&["to approve"]);
    }

    #[tokio::test]
    async fn approving_lets_them_go_and_is_recorded() {
        let (stage, calendar) = mirrored().await;
        let held = edit(&stage, &calendar, "ada@example.com").await;
        let mut admin = stage.admin().await;
        let token = admin.get("/calendars").await.form_token();
        let form = [("token", token.as_str()), ("change", &held.id.to_string())];
        let answer = admin.post("/calendars/1/approve", &form).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/calendars"));
        assert!(stage.site.store.held_changes().await.unwrap().is_empty());
        assert!(stage.site.store.known_rows(calendar.id).await.unwrap().iter().all(|row| !row.held));
        assert_eq!(
            recorded(&stage).await,
            ["admin page: Approved the deletion of 25 events from calendar “Sales”".to_owned()]
        );
        admin.get("/calendars").await.assert_hides(&["wait to be deleted"]);
        // Pressed twice.
        let answer = admin.post("/calendars/1/approve", &form).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        answer.assert_shows(&["no longer waits for a decision", "Nothing was approved or rejected just now"]);
        assert_eq!(recorded(&stage).await.len(), 1);
        assert_eq!(admin.get("/calendars/1/approve").await.header("location"), "/calendars");
    }

    #[tokio::test]
    async fn keeping_them_takes_the_edit_back() {
        let (stage, calendar) = mirrored().await;
        let held = edit(&stage, &calendar, "ada@example.com").await;
        let mut admin = stage.admin().await;
        let token = admin.get("/calendars").await.form_token();
        let form = [("token", token.as_str()), ("change", &held.id.to_string())];
        assert_eq!(admin.post("/calendars/1/reject", &form).await.header("location"), "/calendars");
        let calendar = stage.site.store.calendar("Sales").await.unwrap().unwrap();
        assert_eq!(calendar.wish.selection, Selection::default());
        assert_eq!(
            recorded(&stage).await,
            ["admin page: Rejected the deletion of 25 events from calendar “Sales”".to_owned()]
        );
        assert_eq!(admin.get("/calendars/1/reject").await.header("location"), "/calendars");
    }

    #[tokio::test]
    async fn what_does_not_fit_what_waits_changes_nothing() {
        let (stage, calendar) = mirrored().await;
        let old = edit(&stage, &calendar, "ada@example.com").await;
        let mut admin = stage.admin().await;
        let token = admin.get("/calendars").await.form_token();
        // Somebody edits it anew while the page is open: now everything would go.
        let new = edit(&stage, &calendar, "nobody@example.com").await;
        assert_eq!((old.deletions, new.deletions), (25, 50));
        let (old, new) = (old.id.to_string(), new.id.to_string());
        for (path, token, change, status, says) in [
            ("/calendars/1/approve", "bm8=", new.as_str(), StatusCode::FORBIDDEN, "This form was no longer valid."),
            ("/calendars/1/reject", "bm8=", &new, StatusCode::FORBIDDEN, "Nothing was changed."),
            ("/calendars/1/approve", &token, &old, StatusCode::CONFLICT, "a newer change of the calendar"),
            ("/calendars/1/reject", &token, &old, StatusCode::CONFLICT, "a newer change of the calendar"),
            ("/calendars/2/approve", &token, &new, StatusCode::CONFLICT, "no longer waits"),
            ("/calendars/1/approve", &token, "", StatusCode::BAD_REQUEST, "could not be read"),
            ("/calendars/x/approve", &token, &new, StatusCode::NOT_FOUND, "no such page"),
        ] {
            let answer = admin.post(path, &[("token", token), ("change", change)]).await;
            assert_eq!(answer.status, status, "{path} {change}");
            answer.assert_shows(&[says]);
        }
        let stranger = stage.visitor().post("/calendars/1/approve", &[("token", &token), ("change", &new)]).await;
        assert!(stranger.header("location").starts_with("/login"));
        let waiting = stage.site.store.held_changes().await.unwrap();
        assert_eq!(waiting.iter().map(|change| change.deletions).collect::<Vec<_>>(), [50]);
        assert_eq!(recorded(&stage).await, [""; 0]);
    }

    #[tokio::test]
    async fn strays_wait_beside_an_edit_and_each_is_decided_alone() {
        let (stage, calendar) = mirrored().await;
        let mut tx = stage.site.store.write().await.unwrap();
        let event_ids: Vec<String> = (0..30).map(|number| format!("stray{number}")).collect();
        tx.hold(calendar.id, 30, 80, &Why::Strays { event_ids: &event_ids }, stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        edit(&stage, &calendar, "ada@example.com").await;
        let mut admin = stage.admin().await;
        let answer = admin.get("/calendars").await;
        answer.assert_shows(&[
            "30 of 80 events",
            "no meeting that it mirrors there asks for them",
            "25 of 50 events",
            "55 deletions to approve",
        ]);
        let token = answer.form_token();
        let strays = stage.site.store.held_strays(calendar.id).await.unwrap().remove(0);
        let form = [("token", token.as_str()), ("change", &strays.id.to_string())];
        assert_eq!(admin.post("/calendars/1/approve", &form).await.status, StatusCode::SEE_OTHER);
        let waiting = stage.site.store.held_changes().await.unwrap();
        assert_eq!(waiting.iter().map(|change| change.reason).collect::<Vec<_>>(), [HeldReason::Selection]);
        assert_eq!(stage.site.store.held_meetings(calendar.id, 100).await.unwrap().len(), 25);
        // Nobody is asked about a calendar that is no longer mirrored into.
        let mut tx = stage.site.store.write().await.unwrap();
        tx.remove_calendar(calendar.id, stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        admin.get("/calendars").await.assert_hides(&["wait to be deleted"]);
        admin.get("/status").await.assert_hides(&["for your approval"]);
        let form = [("token", token.as_str()), ("change", &waiting[0].id.to_string())];
        assert_eq!(admin.post("/calendars/1/approve", &form).await.status, StatusCode::CONFLICT);
    }
}
