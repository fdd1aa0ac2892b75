//! Adding a calendar and editing one. What was typed stays when something is wrong with it.

use askama::Template;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::calendar_end;
use super::error::PageError;
use super::field::{Field, Input, Wrong};
use super::frame::{Frame, Section, Visit};
use super::shown_form::{Shown, ShownTyped};
use super::words;
use crate::meeting::selection::{Detail, Selection, Window};
use crate::store::{Calendar, NewCalendar, OnCancel, OnDrift, StoreError};
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/calendars/new", get(ask_new).post(add))
        .route("/calendars/{id}/edit", get(ask_edit).post(edit))
        .layer(DefaultBodyLimit::max(64 * 1024))
}

#[derive(Template)]
#[template(path = "calendar_form.html")]
struct FormPage {
    frame: Frame,
    /// Of the calendar that is edited; none when one is added.
    edited: Option<Edited>,
    wrong: Wrong,
    /// It was changed by somebody else since the form was shown.
    changed: bool,
    name: Field,
    google_id: Option<Field>,
    fields: Vec<Field>,
}

/// The calendar that is edited.
struct Edited {
    id: i64,
    name: String,
    google_id: String,
    /// What the calendar was when the form was shown.
    seen: String,
}

/// The form, as typed.
#[derive(Debug, Clone, Default, Deserialize)]
struct Typed {
    token: String,
    #[serde(default)]
    seen: String,
    #[serde(default)]
    google_id: String,
    #[serde(default)]
    on_cancel: String,
    #[serde(default)]
    on_drift: String,
    #[serde(flatten)]
    shown: ShownTyped,
}

impl From<&NewCalendar> for Typed {
    fn from(wish: &NewCalendar) -> Self {
        let shown = Shown {
            name: wish.name.clone(),
            selection: wish.selection.clone(),
            detail: wish.detail,
            window: wish.window,
        };
        Self {
            token: String::new(),
            seen: seen(wish),
            google_id: wish.google_id.clone(),
            on_cancel: wish.on_cancel.as_str().to_owned(),
            on_drift: wish.on_drift.as_str().to_owned(),
            shown: (&shown).into(),
        }
    }
}

impl Typed {
    fn empty() -> Self {
        Self::from(&NewCalendar {
            name: String::new(),
            google_id: String::new(),
            selection: Selection::default(),
            detail: Detail::Full,
            window: Window::USUAL,
            on_cancel: OnCancel::Delete,
            on_drift: OnDrift::Repair,
        })
    }

    /// Reads the form, or notes what is wrong with each field.
    fn read(&self, wrong: &mut Wrong) -> Option<NewCalendar> {
        let one = || "choose one".to_owned();
        let google_id = wrong.read("google_id", NewCalendar::google_id(&self.google_id));
        let shown = self.shown.read(wrong);
        let on_cancel = wrong.read("on_cancel", OnCancel::from_word(&self.on_cancel).ok_or_else(one));
        let on_drift = wrong.read("on_drift", OnDrift::from_word(&self.on_drift).ok_or_else(one));
        let Shown { name, selection, detail, window } = shown?;
        Some(NewCalendar {
            name,
            google_id: google_id?,
            selection,
            detail,
            window,
            on_cancel: on_cancel?,
            on_drift: on_drift?,
        })
    }

    fn fields(&self, owners: &[String], wrong: &Wrong) -> Vec<Field> {
        let label = |words: &str| words::capital(words.to_owned());
        let on_cancel = [OnCancel::Delete, OnCancel::Mark].map(|it| (it.as_str(), label(words::on_cancel(it))));
        let on_drift = [OnDrift::Repair, OnDrift::Report].map(|it| (it.as_str(), label(words::on_drift(it))));
        let mut fields = self.shown.fields(owners, wrong);
        let choice = |id, legend, choices, value| Field::new(id, legend, Input::Choice(choices), value, wrong);
        fields.push(choice("on_cancel", "Canceled meetings", on_cancel.into(), &self.on_cancel));
        fields.push(choice(
            "on_drift",
            "Events that somebody changes or deletes in Google Calendar",
            on_drift.into(),
            &self.on_drift,
        ));
        fields
    }
}

/// Tells one state of a calendar's settings from another.
fn seen(wish: &NewCalendar) -> String {
    let text = serde_json::to_string(wish).unwrap_or_default();
    HEXLOWER.encode(&Sha256::digest(text.as_bytes())[..8])
}

async fn show(
    visit: Visit,
    typed: &Typed,
    calendar: Option<&Calendar>,
    wrong: Wrong,
    changed: bool,
) -> Result<Response, PageError> {
    let owners = visit.site.store.meeting_owners().await?;
    let owners: Vec<String> = owners.into_iter().map(|owner| owner.username).collect();
    let google_id = Field::new("google_id", "Google's id of the calendar", Input::Line, &typed.google_id, &wrong).hint(
        "From the calendar's settings in Google Calendar, “Integrate calendar”. It looks like an e-mail address.",
    );
    let status = match (changed, wrong.is_empty()) {
        (true, _) => StatusCode::CONFLICT,
        (false, true) => StatusCode::OK,
        (false, false) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = FormPage {
        frame: visit.frame(Section::Calendars),
        edited: calendar.map(|calendar| Edited {
            id: calendar.id,
            name: calendar.wish.name.clone(),
            google_id: calendar.wish.google_id.clone(),
            seen: seen(&calendar.wish),
        }),
        name: typed.shown.name(&wrong),
        google_id: calendar.is_none().then_some(google_id),
        fields: typed.fields(&owners, &wrong),
        wrong,
        changed,
    };
    Ok((status, visit.show(page)).into_response())
}

async fn ask_new(visit: Visit) -> Result<Response, PageError> {
    show(visit, &Typed::empty(), None, Wrong::default(), false).await
}

async fn add(visit: Visit, form: Result<Form<Typed>, FormRejection>) -> Result<Response, PageError> {
    let Form(typed) = form.map_err(PageError::from)?;
    visit.check(&typed.token)?;
    let mut wrong = Wrong::default();
    let Some(new) = typed.read(&mut wrong).filter(|_| wrong.is_empty()) else {
        return show(visit, &typed, None, wrong, false).await;
    };
    let added = visit.site.store.new_calendar(&new, "admin page", visit.times.now()).await;
    match added {
        Ok(id) => Ok(Redirect::to(&format!("/calendars?new={id}#calendar-{id}")).into_response()),
        Err(StoreError::Exists(what)) => {
            let names = visit.site.store.calendars().await?.into_iter().any(|live| live.wish.name == new.name);
            let text = format!("{what} exists already");
            wrong.add(if names { "name" } else { "google_id" }, text);
            show(visit, &typed, None, wrong, false).await
        }
        Err(error @ StoreError::Busy(_)) => {
            wrong.add("google_id", error.to_string());
            show(visit, &typed, None, wrong, false).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn find_live(visit: &Visit, id: Result<Path<i64>, PathRejection>) -> Result<Calendar, PageError> {
    let calendar = calendar_end::find(visit, id).await?;
    if calendar.removed_at.is_some() { Err(PageError::NotNow) } else { Ok(calendar) }
}

async fn ask_edit(visit: Visit, id: Result<Path<i64>, PathRejection>) -> Result<Response, PageError> {
    let calendar = find_live(&visit, id).await?;
    let typed = Typed::from(&calendar.wish);
    show(visit, &typed, Some(&calendar), Wrong::default(), false).await
}

async fn edit(
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(typed) = form.map_err(PageError::from)?;
    visit.check(&typed.token)?;
    let calendar = find_live(&visit, id).await?;
    // A calendar stays where it is.
    let typed = Typed { google_id: calendar.wish.google_id.clone(), ..typed };
    if typed.seen != seen(&calendar.wish) {
        return show(visit, &typed, Some(&calendar), Wrong::default(), true).await;
    }
    let mut wrong = Wrong::default();
    let Some(wish) = typed.read(&mut wrong).filter(|_| wrong.is_empty()) else {
        return show(visit, &typed, Some(&calendar), wrong, false).await;
    };
    match visit.site.store.change_calendar(&calendar, &wish, "admin page", visit.times.now()).await {
        Ok(_) => Ok(Redirect::to(&format!("/calendars?edited={0}#calendar-{0}", calendar.id)).into_response()),
        Err(StoreError::Exists(what)) => {
            wrong.add("name", format!("{what} exists already"));
            show(visit, &typed, Some(&calendar), wrong, false).await
        }
        // Between what was read above and the change itself.
        Err(StoreError::Changed(_)) => {
            let calendar = find_live(&visit, Ok(Path(calendar.id))).await?;
            show(visit, &typed, Some(&calendar), Wrong::default(), true).await
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
