//! Changing the admin password. Whoever does it proves that they know the present one, as often as they may try to sign in.

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use serde::Deserialize;
use tower_sessions::Session;

use super::error::PageError;
use super::frame::{Frame, Params, Section, Visit};
use super::login::{begin_session, blocking, verified_hash};
use crate::config::Secret;
use crate::store::Fact;
use crate::web::client_address::ClientAddress;
use crate::web::password;
use crate::web::site::Site;

/// Fewest characters of a password that is chosen here.
const SHORTEST: usize = 12;
const NOT_PRESENT: &str = "That is not the present password.";
/// A form holds a token and three passwords; nothing is longer than this.
const LONGEST_FORM: usize = 16 * 1024;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/password", get(show).post(change)).layer(DefaultBodyLimit::max(LONGEST_FORM))
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    frame: Frame,
    shortest: usize,
    changed: bool,
    is_set: bool,
    wrong: Wrong,
}

/// What is wrong, by field.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wrong {
    old: Option<&'static str>,
    new: Option<&'static str>,
    again: Option<&'static str>,
}

#[derive(Debug, Default, Deserialize)]
struct Query {
    #[serde(default)]
    changed: bool,
}

#[derive(Deserialize)]
struct Change {
    token: String,
    old: String,
    new: String,
    again: String,
}

impl Change {
    fn wrong(&self, is_old_right: bool) -> Wrong {
        Wrong {
            old: (!is_old_right).then_some(NOT_PRESENT),
            new: match self.new.chars().count() {
                0..SHORTEST => {
                    Some("This is too short: several words with spaces between them are easy to keep in mind.")
                }
                _ if self.new == self.old => Some("This is the present password: choose another one."),
                _ => None,
            },
            again: (self.again != self.new).then_some("The two are not the same: type the new password again."),
        }
    }
}

async fn show(visit: Visit, Params(query): Params<Query>) -> Response {
    page(visit, query.changed, Wrong::default())
}

fn page(visit: Visit, changed: bool, wrong: Wrong) -> Response {
    let is_set = visit.site.password_is_set;
    let page = PasswordPage { frame: visit.frame(Section::Password), shortest: SHORTEST, changed, is_set, wrong };
    visit.show(page)
}

async fn change(
    State(site): State<Site>,
    ClientAddress(address): ClientAddress,
    visit: Visit,
    session: Session,
    form: Result<Form<Change>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(form) = form.map_err(PageError::from)?;
    visit.check(&form.token)?;
    let old_hash = verified_hash(&site, address, Secret::new(&*form.old)).await?;
    let (wrong, now) = (form.wrong(old_hash.is_some()), visit.times.now());
    let refused = |why| format!("Change of the admin password from {address} refused: {why}");
    if old_hash.is_none() {
        let mut tx = site.store.write().await?;
        tx.append_admin_action("admin page", "sign-in", refused("wrong password"), now).await?;
        tx.commit().await?;
    }
    if wrong != Wrong::default() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page(visit, false, wrong)).into_response());
    }
    let (new, randomness) = (Secret::new(form.new), site.randomness.clone());
    let new_hash = blocking(move || password::hash(&new, &randomness)).await?.map_err(|error| failed(&error))?;
    let mut tx = site.store.write().await?;
    // Nobody else writes now, so it stays what it is.
    if site.store.fact(Fact::AdminPasswordHash).await? != old_hash {
        tx.append_admin_action("admin page", "sign-in", refused("it was changed meanwhile"), now).await?;
        tx.commit().await?;
        let wrong = Wrong { old: Some(NOT_PRESENT), ..Wrong::default() };
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page(visit, false, wrong)).into_response());
    }
    tx.keep_fact(Fact::AdminPasswordHash, &new_hash).await?;
    tx.end_all_sessions().await?;
    let summary = format!("Changed the admin password from {address}; every other session was ended");
    tx.append_admin_action("admin page", "sign-in", summary, now).await?;
    tx.commit().await?;
    // This one was ended, too: it goes on under a new id, unless the password was changed once more.
    begin_session(&site, &session, &new_hash).await?;
    Ok(Redirect::to("/password?changed=true").into_response())
}

fn failed(error: &dyn std::error::Error) -> PageError {
    tracing::error!(%error, "a password could not be hashed");
    PageError::Internal
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, PASSWORD, Stage, Visitor};
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use chrono::{DateTime, Utc};
    use std::pin::Pin;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::Notify;

    const NEW: &str = "a longer one with words";

    async fn change(admin: &mut Visitor, [old, new, again]: [&str; 3]) -> Answer {
        let token = admin.get("/password").await.form_token();
        admin.post("/password", &[("token", &token), ("old", old), ("new", new), ("again", again)]).await
    }

    async fn newest_entry(stage: &Stage) -> String {
        stage.site.store.audit_newest(1).await.unwrap().remove(0).entry.summary
    }

    #[tokio::test]
    async fn a_new_password_ends_every_other_session_and_goes_on_with_this_one() {
        let stage = Stage::new().await;
        let (mut admin, mut other) = (stage.admin().await, stage.admin().await);
        let before = admin.cookie("__Host-meeting-mirror-session").to_owned();
        admin.get("/password").await.assert_hides(&["admin-password", "was changed"]);
        let answer = change(&mut admin, [PASSWORD, NEW, NEW]).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/password?changed=true"));
        admin
            .get("/password?changed=true")
            .await
            .assert_shows(&["The password was changed, and every other session has ended."]);
        assert_ne!(admin.cookie("__Host-meeting-mirror-session"), before, "the session has a new id");
        assert_eq!(other.get("/status").await.status, StatusCode::SEE_OTHER);
        assert_eq!(
            newest_entry(&stage).await,
            "Changed the admin password from 127.0.0.1; every other session was ended"
        );
        let token = other.get("/login").await.form_token();
        let answer = other.post("/login", &[("token", &token), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        let answer = other.post("/login", &[("token", &token), ("password", NEW)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
    }

    /// Tells when it was first asked for the time.
    #[derive(Debug)]
    struct Asked(Arc<ManualClock>, Notify);

    impl Clock for Asked {
        fn now(&self) -> DateTime<Utc> {
            self.1.notify_one();
            self.0.now()
        }

        fn monotonic(&self) -> Duration {
            self.0.monotonic()
        }

        fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            self.0.sleep(duration)
        }
    }

    #[tokio::test]
    async fn a_sign_in_with_the_old_password_while_it_is_changed_leaves_no_session() {
        let mut stage = Stage::new().await;
        let asked = Arc::new(Asked(stage.clock.clone(), Notify::new()));
        stage.site.clock = asked.clone();
        let mut late = stage.visitor();
        let token = late.get("/login").await.form_token();
        let mut change = stage.site.store.write().await.unwrap();
        let fields = [("token", &*token), ("password", PASSWORD)];
        let mut signing_in = Box::pin(late.post("/login", &fields));
        // Once the old password is verified, it makes a session; that can't be stored before the change is.
        tokio::select! {
            answer = &mut signing_in => panic!("it did not wait: {answer:?}"),
            () = asked.1.notified() => {}
        }
        change.keep_fact(Fact::AdminPasswordHash, "another").await.unwrap();
        change.end_all_sessions().await.unwrap();
        change.commit().await.unwrap();
        let answer = signing_in.as_mut().await;
        drop(signing_in);
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        answer.assert_shows(&["That is not the password."]);
        assert_eq!(late.get("/status").await.status, StatusCode::SEE_OTHER);
        let expected = "Sign-in from 127.0.0.1 refused: the password was changed meanwhile";
        assert_eq!(newest_entry(&stage).await, expected);
    }

    #[tokio::test]
    async fn of_two_changes_at_once_the_second_has_to_know_the_password_of_the_first() {
        let stage = Stage::new().await;
        let (mut one, mut other) = (stage.admin().await, stage.admin().await);
        let another = "another one with words";
        let (first, second) =
            tokio::join!(change(&mut one, [PASSWORD, NEW, NEW]), change(&mut other, [PASSWORD, another, another]));
        let changed = [&first, &second].into_iter().filter(|answer| answer.status == StatusCode::SEE_OTHER).count();
        assert_eq!(changed, 1, "{first:?} {second:?}");
        let refused = "Change of the admin password from 127.0.0.1 refused: it was changed meanwhile";
        assert_eq!(newest_entry(&stage).await, refused);
        let there = [one.get("/status").await.status, other.get("/status").await.status];
        assert_eq!(there.iter().filter(|status| **status == StatusCode::OK).count(), 1, "{there:?}");
    }

    #[tokio::test]
    async fn each_field_says_what_is_wrong_and_nothing_is_changed() {
        let stage = Stage::new().await;
        let mut admin = stage.admin().await;
        for (fields, field, text) in [
            (["guess-guess", NEW, NEW], "old", "That is not the present password."),
            ([PASSWORD, "elevenchars", "elevenchars"], "new", "This is too short"),
            ([PASSWORD, PASSWORD, PASSWORD], "new", "This is the present password: choose another one."),
            ([PASSWORD, NEW, "a longer one with word"], "again", "The two are not the same"),
        ] {
            let answer = change(&mut admin, fields).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
            answer.assert_shows(&[text, &format!("id=\"{field}-wrong\"")]);
            answer.assert_hides(&[NEW, PASSWORD, "guess-guess"]);
            assert_eq!(answer.body.matches("aria-invalid").count(), 1, "{}", answer.text());
            assert_eq!(answer.body.matches("autofocus").count(), 1, "{}", answer.text());
        }
        assert_eq!(newest_entry(&stage).await, "Change of the admin password from 127.0.0.1 refused: wrong password");
        // The sign-in and these four were five attempts.
        assert_eq!(change(&mut admin, [PASSWORD, NEW, NEW]).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(admin.get("/status").await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn it_says_when_a_setting_wins_at_the_next_start() {
        let mut stage = Stage::new().await;
        stage.site.password_is_set = true;
        stage
            .admin()
            .await
            .get("/password")
            .await
            .assert_shows(&["What is set there holds again after the next start"]);
    }
}
