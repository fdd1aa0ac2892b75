//! Access tokens of a person's saved sign-in. Asked for here and not through yup-oauth2, which takes any failed renewal for
//! the end of the sign-in (facts: Google Calendar, yup-oauth2).

use std::time::Duration;

use google_calendar3::hyper_util::client::legacy::Client;
use google_calendar3::hyper_util::rt::TokioExecutor;
use http_body_util::{BodyExt as _, Limited};
use hyper::{Request, header};
use serde_json::Value;
use tokio::sync::Mutex;
use url::form_urlencoded;

use super::super::https::Connector;
use super::super::https::root;
use super::super::retry::{Refusal, Setup, retry_after};
use super::credentials::SavedSignIn;
use crate::clock::SharedClock;

/// An answer that is longer is no token.
const LONGEST_ANSWER: usize = 64 * 1024;
/// How long a token lasts when the answer doesn't say.
const LASTS: u64 = 3600;
/// A token is renewed this long before it ends.
const MARGIN: Duration = Duration::from_mins(1);

/// A person's sign-in.
pub(super) struct SignIn {
    http: Client<Connector, String>,
    saved: SavedSignIn,
    clock: SharedClock,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    text: String,
    until: Duration,
}

impl SignIn {
    pub(super) fn new(saved: SavedSignIn, connector: Connector, clock: SharedClock) -> Self {
        let http = Client::builder(TokioExecutor::new()).build(connector);
        Self { http, saved, clock, kept: Mutex::default() }
    }

    /// A token: the one that is kept, unless it is over or a fresh one is wanted.
    pub(super) async fn token(&self, fresh: bool) -> Result<String, Refusal> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.monotonic();
        if let Some(kept) = kept.as_ref().filter(|kept| !fresh && now < kept.until) {
            return Ok(kept.text.clone());
        }
        let (text, lasts) = self.renew().await?;
        *kept = Some(Kept { text: text.clone(), until: now + lasts.saturating_sub(MARGIN) });
        Ok(text)
    }

    /// A new token and how long it lasts (RFC 6749 sections 5 and 6).
    async fn renew(&self) -> Result<(String, Duration), Refusal> {
        let fault = |why: &str| Refusal::Fault(format!("no access token: {why}"), None);
        let client = &self.saved.client;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &client.client_id)
            .append_pair("client_secret", &client.client_secret)
            .append_pair("refresh_token", &self.saved.refresh_token)
            .append_pair("grant_type", "refresh_token")
            .finish();
        let request = Request::post(&client.token_uri)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form)
            .map_err(|error| fault(&format!("the address of the token endpoint can't be used: {error}")))?;
        let response = self.http.request(request).await.map_err(|error| fault(&root(&error)))?;
        let status = response.status();
        let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(retry_after);
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| fault(&format!("the token endpoint's answer was cut: {error}")))?.to_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        if status.is_success() && !text("access_token").is_empty() {
            let lasts = answer.get("expires_in").and_then(Value::as_u64).unwrap_or(LASTS);
            return Ok((text("access_token").to_owned(), Duration::from_secs(lasts)));
        }
        let told: Vec<&str> =
            [text("error"), text("error_description")].into_iter().filter(|told| !told.is_empty()).collect();
        let told: String = told.join(": ").chars().take(300).collect();
        if status.is_client_error() && for_a_person(text("error")) {
            return Err(Refusal::NotSetUp(Setup::SignInOver, told));
        }
        let status = status.as_u16();
        Err(Refusal::Fault(
            format!("no access token: the token endpoint answered {status} {told}").trim().to_owned(),
            wait,
        ))
    }
}

/// Whether the token endpoint's word (RFC 6749 section 5.2) calls for a person; anything else may pass.
pub(super) fn for_a_person(error: &str) -> bool {
    matches!(error, "invalid_grant" | "invalid_client" | "unauthorized_client")
}
