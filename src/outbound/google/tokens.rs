//! Access tokens. yup-oauth2 ignores the token endpoint's HTTP status and keeps any JSON answer as a token for ever (facts:
//! Google Calendar, yup-oauth2), so each token is looked at before it is used; it also asks once per cold call and
//! without a time-out, so asking is done one at a time within a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use google_calendar3::common::GetToken;
use tokio::sync::Mutex;
use yup_oauth2::authenticator::Authenticator;

use super::super::https::Connector;
use super::super::https::root;
use super::super::retry::{Refusal, Setup};
use super::sign_in::{SignIn, for_a_person};

/// A token that takes longer is an error.
const TOKEN_WITHIN: Duration = Duration::from_secs(15);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What it means that no token could be had, as an error on its way through google-calendar3.
#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
pub(super) struct NoToken(pub(super) Refusal);

/// Where tokens come from.
#[derive(Clone)]
pub(super) enum Source {
    /// A service account's key.
    Key(Authenticator<Connector>),
    /// A person's sign-in.
    SignIn(Arc<SignIn>),
}

impl Source {
    /// A token that has a text, if the answer held one.
    async fn token(&self, scopes: &[&str], fresh: bool) -> Result<Option<String>, Refusal> {
        let answer = match self {
            Self::SignIn(sign_in) => return sign_in.token(fresh).await.map(Some),
            Self::Key(authenticator) if fresh => authenticator.force_refreshed_token(scopes).await,
            Self::Key(authenticator) => authenticator.token(scopes).await,
        };
        let token = answer.map_err(|error| refused(&error))?;
        Ok(token.token().filter(|text| !text.is_empty()).map(str::to_owned))
    }
}

/// Only the token endpoint's own word calls for a person.
fn refused(error: &yup_oauth2::Error) -> Refusal {
    match error {
        yup_oauth2::Error::AuthError(error) if error.error.as_str() == "unauthorized_client" => {
            Refusal::NotSetUp(Setup::NotDelegated, error.to_string())
        }
        yup_oauth2::Error::AuthError(error) if for_a_person(error.error.as_str()) => {
            Refusal::Credentials(format!("no access token: {error}"))
        }
        error => Refusal::Fault(format!("no access token: {}", root(error)), None),
    }
}

/// Access tokens of one account.
#[derive(Clone)]
pub(super) struct Tokens {
    source: Source,
    one_at_a_time: Arc<Mutex<()>>,
    refused: Arc<AtomicBool>,
}

impl Tokens {
    pub(super) fn new(source: Source) -> Self {
        Self { source, one_at_a_time: Arc::default(), refused: Arc::default() }
    }

    /// The API refused the token: the next one asked for is a fresh one.
    pub(super) fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// A token that has a text.
    pub(super) async fn token(&self, scopes: &[&str]) -> Result<String, Refusal> {
        let fault = |why: &str| Refusal::Fault(format!("no access token: {why}"), None);
        let _one = self.one_at_a_time.lock().await;
        tokio::time::timeout(TOKEN_WITHIN, async {
            if !self.refused.load(Ordering::Relaxed)
                && let Some(text) = self.source.token(scopes, false).await?
            {
                return Ok(text);
            }
            let fresh = self.source.token(scopes, true).await?;
            let text = fresh.ok_or_else(|| fault("the token endpoint's answer holds no token"))?;
            self.refused.store(false, Ordering::Relaxed);
            Ok(text)
        })
        .await
        .map_err(|_| fault("the token endpoint did not answer in time"))?
    }
}

impl GetToken for Tokens {
    fn get_token<'a>(
        &'a self,
        scopes: &'a [&str],
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Option<String>, Failure>> + Send + 'a>> {
        Box::pin(async move { self.token(scopes).await.map(Some).map_err(|refusal| NoToken(refusal).into()) })
    }
}
