//! Adding a feed and editing one. What was typed stays when something is wrong with it.

use askama::Template;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use serde::Deserialize;

use super::error::PageError;
use super::feed_facts::find_live;
use super::field::{Field, Input, Wrong};
use super::frame::{Frame, Section, Visit};
use super::shown_form::{Shown, ShownTyped, days};
use crate::meeting::selection::{Detail, Selection, ShowAs, Window};
use crate::store::{Feed, NewFeed, StoreError};
use crate::web::links::Links;
use crate::web::site::Site;

/// The word for what suits the selection.
const FITTING: &str = "fitting";

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/feeds/new", get(ask_new).post(add))
        .route("/feeds/{id}/edit", get(ask_edit).post(edit))
        .layer(DefaultBodyLimit::max(64 * 1024))
}

#[derive(Template)]
#[template(path = "feed_form.html")]
struct FormPage {
    frame: Frame,
    /// The feed that is edited; none when one is added.
    edited: Option<Edited>,
    wrong: Wrong,
    /// It was changed by somebody else since the form was shown.
    changed: bool,
    name: Field,
    fields: Vec<Field>,
}

struct Edited {
    id: i64,
    name: String,
    edition: u32,
}

/// The fields that only feeds have, as typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct OwnTyped {
    canceled_days: String,
    show_as: String,
}

impl OwnTyped {
    /// The fields with these values in them.
    pub(super) fn of(canceled_days: u32, show_as: Option<ShowAs>) -> Self {
        let show_as = show_as.map_or(FITTING, ShowAs::as_str).to_owned();
        Self { canceled_days: canceled_days.to_string(), show_as }
    }

    /// Reads the fields, or notes what is wrong with each. No choice of time: what suits the selection.
    pub(super) fn read(&self, wrong: &mut Wrong) -> Option<(u32, Option<ShowAs>)> {
        let canceled_days = wrong.read("canceled_days", days(&self.canceled_days));
        let show_as = match ShowAs::from_word(&self.show_as) {
            None if self.show_as != FITTING => Err("choose one".to_owned()),
            choice => Ok(choice),
        };
        let show_as = wrong.read("show_as", show_as);
        Some((canceled_days?, show_as?))
    }

    /// The fields; with `fitting`, one may leave the choice of time to what suits the selection.
    pub(super) fn fields(&self, fitting: bool, wrong: &Wrong) -> [Field; 2] {
        let suits = fitting.then_some((FITTING, "As it suits: busy in a feed of one owner, free in any other"));
        let words =
            [(ShowAs::Busy, "Busy: the meetings take the subscriber's time"), (ShowAs::Free, "Free: they don't")];
        let words = suits.into_iter().chain(words.map(|(choice, text)| (choice.as_str(), text)));
        let choices = words.map(|(word, text)| (word, text.to_owned())).collect();
        let days = Field::new("canceled_days", "Days canceled ones stay", Input::Days, &self.canceled_days, wrong);
        [
            days.hint("Marked as canceled; 0: left out at once."),
            Field::new("show_as", "In the subscriber's program, show as", Input::Choice(choices), &self.show_as, wrong),
        ]
    }
}

/// The form, as typed.
#[derive(Debug, Clone, Default, Deserialize)]
struct Typed {
    token: String,
    /// Edition of the feed when the form was shown.
    #[serde(default)]
    seen: String,
    #[serde(flatten)]
    shown: ShownTyped,
    #[serde(flatten)]
    own: OwnTyped,
}

impl Typed {
    fn empty() -> Self {
        let (name, selection) = (String::new(), Selection::default());
        let shown = Shown { name, selection, detail: Detail::Full, window: Window::USUAL };
        Self { shown: (&shown).into(), own: OwnTyped::of(NewFeed::CANCELED_DAYS, None), ..Self::default() }
    }

    fn of(wish: &NewFeed) -> Self {
        let (name, selection) = (wish.name.clone(), wish.selection.clone());
        let shown = Shown { name, selection, detail: wish.detail, window: wish.window };
        let own = OwnTyped::of(wish.canceled_days, Some(wish.show_as));
        Self { shown: (&shown).into(), own, ..Self::default() }
    }

    /// Reads the form, or notes what is wrong with each field.
    fn read(&self, public_id: String, wrong: &mut Wrong) -> Option<NewFeed> {
        let (shown, own) = (self.shown.read(wrong), self.own.read(wrong));
        let Shown { name, selection, detail, window } = shown?;
        let (canceled_days, show_as) = own?;
        let show_as = show_as.unwrap_or_else(|| ShowAs::fitting(&selection));
        Some(NewFeed { public_id, name, selection, detail, window, canceled_days, show_as })
    }
}

async fn show(
    visit: Visit,
    typed: &Typed,
    feed: Option<&Feed>,
    wrong: Wrong,
    changed: bool,
) -> Result<Response, PageError> {
    let owners = visit.site.store.meeting_owners().await?;
    let owners: Vec<String> = owners.into_iter().map(|owner| owner.username).collect();
    let status = match (changed, wrong.is_empty()) {
        (true, _) => StatusCode::CONFLICT,
        (false, true) => StatusCode::OK,
        (false, false) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let mut fields = typed.shown.fields(&owners, &wrong);
    fields.extend(typed.own.fields(feed.is_none(), &wrong));
    let page = FormPage {
        frame: visit.frame(Section::Feeds),
        edited: feed.map(|feed| Edited { id: feed.id, name: feed.wish.name.clone(), edition: feed.edition }),
        name: typed.shown.name(&wrong),
        fields,
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
    let public_id = Links::new_public_id(&visit.site.randomness);
    let Some(new) = typed.read(public_id, &mut wrong) else {
        return show(visit, &typed, None, wrong, false).await;
    };
    match visit.site.store.new_feed(&new, "admin page", visit.times.now()).await {
        Ok(feed) => Ok(Redirect::to(&format!("/feeds/{}/details?new=1", feed.id)).into_response()),
        Err(StoreError::Exists(what)) => {
            wrong.add("name", format!("{what} exists already"));
            show(visit, &typed, None, wrong, false).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn ask_edit(visit: Visit, id: Result<Path<i64>, PathRejection>) -> Result<Response, PageError> {
    let feed = find_live(&visit, id).await?;
    show(visit, &Typed::of(&feed.wish), Some(&feed), Wrong::default(), false).await
}

async fn edit(
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(typed) = form.map_err(PageError::from)?;
    visit.check(&typed.token)?;
    let feed = find_live(&visit, id).await?;
    if typed.seen != feed.edition.to_string() {
        return show(visit, &typed, Some(&feed), Wrong::default(), true).await;
    }
    let mut wrong = Wrong::default();
    let Some(wish) = typed.read(feed.wish.public_id.clone(), &mut wrong) else {
        return show(visit, &typed, Some(&feed), wrong, false).await;
    };
    let (store, now) = (&visit.site.store, visit.times.now());
    let before = store.feed_count(&feed.wish.rule(), now).await?;
    match store.change_feed(&feed, &wish, "admin page", now).await {
        Ok(differences) => {
            let (edited, detail) = (u8::from(!differences.is_empty()), feed.wish.detail.as_str());
            let said = format!("edited={edited}&detail={detail}&meetings={before}");
            Ok(Redirect::to(&format!("/feeds/{}/details?{said}", feed.id)).into_response())
        }
        Err(StoreError::Exists(what)) => {
            wrong.add("name", format!("{what} exists already"));
            show(visit, &typed, Some(&feed), wrong, false).await
        }
        // Between what was read above and the change itself.
        Err(StoreError::Changed(_)) => {
            let feed = find_live(&visit, Ok(Path(feed.id))).await?;
            show(visit, &typed, Some(&feed), Wrong::default(), true).await
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
