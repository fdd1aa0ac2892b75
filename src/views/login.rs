//! Signing in and out. One password; attempts are limited and stand in the audit log, the password never does.

use std::net::IpAddr;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts as _, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use axum_csrf::CsrfToken;
use serde::Deserialize;
use tower_sessions::Session;

use super::error::PageError;
use super::frame::{Params, Visit};
use crate::config::Secret;
use crate::store::{Fact, StoreError};
use crate::web::client_address::ClientAddress;
use crate::web::session::{self, Admin};
use crate::web::site::Site;
use crate::web::{csrf, password};

/// A form holds a token, a password and a path; nothing is longer than this.
const LONGEST_FORM: usize = 16 * 1024;

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/login", get(show).post(sign_in))
        // Who was sent here from the button after the session had ended finds the pages again.
        .route("/logout", post(sign_out).get(Redirect::to("/status")))
        .layer(DefaultBodyLimit::max(LONGEST_FORM))
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    token: String,
    next: String,
    wrong: bool,
}

#[derive(Debug, Default, Deserialize)]
struct Query {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct SignIn {
    token: String,
    password: String,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct SignOut {
    token: String,
}

/// A path on this site; anything else leads to the status page.
fn local(next: &str) -> &str {
    let inside = next.starts_with('/') && !next.starts_with("//");
    // Browsers read `\` as `/` and drop control characters, so both could lead elsewhere.
    if inside && next.chars().all(|c| c.is_ascii_graphic() && c != '\\') { next } else { "/status" }
}

async fn show(State(site): State<Site>, token: CsrfToken, Params(query): Params<Query>, mut parts: Parts) -> Response {
    if Admin::from_request_parts(&mut parts, &site).await.is_ok() {
        return Redirect::to(local(&query.next)).into_response();
    }
    page(token, query.next, false)
}

fn page(token: CsrfToken, next: String, wrong: bool) -> Response {
    let page = LoginPage { token: csrf::field(&token), next, wrong };
    let status = if wrong { StatusCode::FORBIDDEN } else { StatusCode::OK };
    (status, token, WebTemplate(page)).into_response()
}

async fn sign_in(
    State(site): State<Site>,
    ClientAddress(address): ClientAddress,
    session: Session,
    token: CsrfToken,
    form: Result<Form<SignIn>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(form) = form.map_err(PageError::from)?;
    token.verify(&form.token).map_err(|_| PageError::StaleForm)?;
    let refusal = match verified_hash(&site, address, Secret::new(form.password)).await? {
        None => Some("wrong password"),
        Some(hash) if !begin_session(&site, &session, &hash).await? => Some("the password was changed meanwhile"),
        Some(_) => None,
    };
    if let Some(refusal) = refusal {
        record(&site, format!("Sign-in from {address} refused: {refusal}")).await?;
        return Ok(page(token, form.next, true));
    }
    record(&site, format!("Signed in from {address}")).await?;
    Ok(Redirect::to(local(&form.next)).into_response())
}

/// The admin password's hash if that is the password. How often it is tried is limited, wherever it is asked for.
pub(super) async fn verified_hash(site: &Site, address: IpAddr, given: Secret) -> Result<Option<String>, PageError> {
    if !site.sign_in_limits.allow(address) {
        site.sign_in_limits.refused.inc();
        tracing::warn!(%address, "too many attempts at the password");
        return Err(PageError::TooManySignIns);
    }
    let Some(hash) = site.store.fact(Fact::AdminPasswordHash).await? else { return Err(PageError::NoPassword) };
    let verified = blocking(move || password::verify(&given, &hash).then_some(hash)).await?;
    if verified.is_none() {
        site.sign_in_limits.refused.inc();
    }
    Ok(verified)
}

/// Signs in who knew the password of this hash. False, and no session, when the password is another one by now.
pub(super) async fn begin_session(site: &Site, session: &Session, hash: &str) -> Result<bool, PageError> {
    session::sign_in(session).await?;
    // Whoever changes the password ends the sessions that are there. One that came too late for that finds the new hash here.
    if site.store.fact(Fact::AdminPasswordHash).await?.as_deref() == Some(hash) {
        return Ok(true);
    }
    session::sign_out(session).await?;
    Ok(false)
}

/// Hashing takes long: off the threads that answer.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PageError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a password could not be hashed");
        PageError::Internal
    })
}

async fn sign_out(
    visit: Visit,
    session: Session,
    form: Result<Form<SignOut>, FormRejection>,
) -> Result<Redirect, PageError> {
    let Form(form) = form.map_err(PageError::from)?;
    visit.check(&form.token)?;
    session::sign_out(&session).await?;
    record(&visit.site, "Signed out".to_owned()).await?;
    Ok(Redirect::to("/login"))
}

async fn record(site: &Site, summary: String) -> Result<(), StoreError> {
    let mut tx = site.store.write().await?;
    tx.append_admin_action("admin page", "sign-in", summary, site.clock.now()).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::super::testing::{PASSWORD, Stage};
    use super::*;

    const SESSION: &str = "__Host-meeting-mirror-session";

    async fn audit(stage: &Stage) -> Vec<String> {
        let entries = stage.site.store.audit_newest(10).await.unwrap();
        entries.into_iter().map(|link| link.entry.summary).collect()
    }

    #[tokio::test]
    async fn the_right_password_leads_to_the_page_that_was_asked_for() {
        let stage = Stage::new().await;
        let mut visitor = stage.visitor();
        let asked = visitor.get("/inbox?status=quarantined").await.header("location").to_owned();
        let form = visitor.get(&asked).await;
        form.assert_shows(&["name=\"next\" value=\"/inbox?status=quarantined\"", "<label for=\"password\">"]);
        let fields = [("token", &*form.form_token()), ("password", PASSWORD), ("next", "/inbox?status=quarantined")];
        let answer = visitor.post("/login", &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.header("location"), "/inbox?status=quarantined");
        assert_eq!(visitor.get("/inbox").await.status, StatusCode::OK);
        assert_eq!(visitor.get("/login").await.header("location"), "/status");
        assert_eq!(audit(&stage).await, ["Signed in from 127.0.0.1"]);
    }

    #[tokio::test]
    async fn a_wrong_password_is_refused_and_recorded_without_the_password() {
        let stage = Stage::new().await;
        let mut visitor = stage.visitor();
        let token = visitor.get("/login").await.form_token();
        let answer = visitor.post("/login", &[("token", &token), ("password", "guess-guess")]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        answer.assert_shows(&["That is not the password.", "aria-invalid=\"true\""]);
        answer.assert_hides(&["guess-guess"]);
        assert_eq!(visitor.get("/status").await.status, StatusCode::SEE_OTHER);
        assert_eq!(audit(&stage).await, ["Sign-in from 127.0.0.1 refused: wrong password"]);
    }

    #[tokio::test]
    async fn the_sixth_attempt_in_a_minute_is_refused() {
        let stage = Stage::new().await;
        let mut visitor = stage.visitor();
        let token = visitor.get("/login").await.form_token();
        for _ in 0..5 {
            let answer = visitor.post("/login", &[("token", &token), ("password", "guess-guess")]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
        }
        let answer = visitor.post("/login", &[("token", &token), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.header("retry-after"), "60");
        answer.assert_shows(&["Too many attempts to sign in.", "Wait a minute"]);
    }

    #[tokio::test]
    async fn a_form_without_its_token_changes_nothing() {
        let stage = Stage::new().await;
        let mut visitor = stage.visitor();
        visitor.get("/login").await;
        let answer = visitor.post("/login", &[("token", "AAAA"), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        answer.assert_shows(&["This form was no longer valid.", "reload the page"]);
        let token = stage.visitor().get("/login").await.form_token();
        let answer = visitor.post("/login", &[("token", &token), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "another visitor's token");
        assert_eq!(visitor.post("/login", &[("password", PASSWORD)]).await.status, StatusCode::BAD_REQUEST);
        assert!(audit(&stage).await.is_empty());
    }

    #[tokio::test]
    async fn a_session_that_somebody_planted_before_is_worth_nothing_after() {
        let stage = Stage::new().await;
        let (mut admin, mut thief) = (stage.visitor(), stage.visitor());
        let planted = "AAAAAAAAAAAAAAAAAAAAAA";
        admin.plant(SESSION, planted);
        thief.plant(SESSION, planted);
        let token = admin.get("/login").await.form_token();
        let answer = admin.post("/login", &[("token", &token), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert!(admin.cookie(SESSION).len() == planted.len() && admin.cookie(SESSION) != planted);
        assert_eq!(admin.get("/status").await.status, StatusCode::OK);
        assert_eq!(thief.get("/status").await.status, StatusCode::SEE_OTHER);
        // Nor is one's own from before: who signs in again gets another.
        let before = admin.cookie(SESSION).to_owned();
        let token = admin.get("/status").await.form_token();
        admin.post("/login", &[("token", &token), ("password", PASSWORD)]).await;
        thief.plant(SESSION, &before);
        assert_eq!(admin.get("/status").await.status, StatusCode::OK);
        assert_eq!(thief.get("/status").await.status, StatusCode::SEE_OTHER);
    }

    #[tokio::test]
    async fn signing_out_ends_the_session() {
        let stage = Stage::new().await;
        let mut admin = stage.admin().await;
        let token = admin.get("/status").await.form_token();
        assert_eq!(admin.post("/logout", &[("token", "AAAA")]).await.status, StatusCode::FORBIDDEN);
        assert_eq!(admin.post("/logout", &[("token", &token)]).await.header("location"), "/login");
        assert_eq!(admin.get("/status").await.status, StatusCode::SEE_OTHER);
        assert_eq!(audit(&stage).await[0], "Signed out");
    }

    #[test]
    fn only_paths_on_this_site_are_followed() {
        for good in ["/status", "/meetings?q=a%20b", "/meetings/%2F%2F"] {
            assert_eq!(local(good), good);
        }
        for bad in ["", "status", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "/ü"]
        {
            assert_eq!(local(bad), "/status", "{bad}");
        }
    }
}
