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

/// A token that takes longer is an error.
const TOKEN_WITHIN: Duration = Duration::from_secs(15);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Access tokens of one account.
#[derive(Clone)]
pub(super) struct Tokens {
    authenticator: Authenticator<Connector>,
    one_at_a_time: Arc<Mutex<()>>,
    refused: Arc<AtomicBool>,
}

impl Tokens {
    pub(super) fn new(authenticator: Authenticator<Connector>) -> Self {
        Self { authenticator, one_at_a_time: Arc::default(), refused: Arc::default() }
    }

    /// The API refused the token: the next one asked for is a fresh one.
    pub(super) fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// A token that has a text.
    async fn token(&self, scopes: &[&str]) -> Result<String, Failure> {
        let _one = self.one_at_a_time.lock().await;
        tokio::time::timeout(TOKEN_WITHIN, async {
            if !self.refused.load(Ordering::Relaxed)
                && let Some(text) = text(&self.authenticator.token(scopes).await?)
            {
                return Ok(text);
            }
            let fresh = self.authenticator.force_refreshed_token(scopes).await?;
            let text = text(&fresh).ok_or("the token endpoint's answer holds no token")?;
            self.refused.store(false, Ordering::Relaxed);
            Ok(text)
        })
        .await
        .map_err(|_| "the token endpoint did not answer in time")?
    }
}

fn text(token: &yup_oauth2::AccessToken) -> Option<String> {
    token.token().filter(|text| !text.is_empty()).map(str::to_owned)
}

impl GetToken for Tokens {
    fn get_token<'a>(
        &'a self,
        scopes: &'a [&str],
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Option<String>, Failure>> + Send + 'a>> {
        Box::pin(async move { self.token(scopes).await.map(Some) })
    }
}
