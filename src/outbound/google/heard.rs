//! What google-calendar3 tells of a failed answer, and what it means for us.

use std::time::Duration;

use google_calendar3::common::{self, Delegate, Retry};
use tokio::time::error::Elapsed;

use super::super::https::root;
use super::super::limiter::Limiter;
use super::super::retry::{Refusal, refusal, retry_after};
use super::tokens::{NoToken, Tokens};

/// What google-calendar3 tells of a failed answer on the way; its error has lost status and headers by then.
pub(super) struct Heard<'a> {
    tokens: &'a Tokens,
    limiter: &'a Limiter,
    begun: Duration,
    refreshed: bool,
    status: u16,
    reason: String,
    message: String,
    retry_after: Option<Duration>,
}

impl Delegate for Heard<'_> {
    /// Has the call made once more with a fresh token when the token was refused; everything else is ours to decide.
    fn http_failure(&mut self, response: &common::Response, error: Option<&serde_json::Value>) -> Retry {
        let text = |pointer| {
            error.and_then(|error| error.pointer(pointer)).and_then(|value| value.as_str()).unwrap_or_default()
        };
        self.status = response.status().as_u16();
        self.reason = text("/error/errors/0/reason").into();
        self.message = text("/error/message").chars().take(300).collect();
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        self.retry_after = header.and_then(retry_after);
        if self.status == 401 && !self.refreshed {
            self.refreshed = true;
            self.tokens.refuse();
            return Retry::After(Duration::ZERO);
        }
        Retry::Abort
    }
}

impl<'a> Heard<'a> {
    pub(super) fn new(tokens: &'a Tokens, limiter: &'a Limiter) -> Self {
        let begun = limiter.clock().monotonic();
        let (reason, message) = (String::new(), String::new());
        Self { tokens, limiter, begun, refreshed: false, status: 0, reason, message, retry_after: None }
    }

    /// The value, or what the failure means. Either is counted.
    pub(super) fn outcome<T>(self, result: Result<common::Result<T>, Elapsed>) -> Result<T, Refusal> {
        let (limiter, begun) = (self.limiter, self.begun);
        let outcome = self.meaning(result);
        let word = outcome.as_ref().map_or_else(Refusal::word, |_| "ok");
        limiter.counts().answered(word, limiter.clock().monotonic().saturating_sub(begun));
        outcome
    }

    fn meaning<T>(self, result: Result<common::Result<T>, Elapsed>) -> Result<T, Refusal> {
        let error = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => return Err(Refusal::TimedOut),
        };
        Err(match error {
            common::Error::BadRequest(_) | common::Error::Failure(_) => {
                refusal(self.status, &self.reason, &self.message, self.retry_after)
            }
            common::Error::MissingToken(error) => match error.downcast::<NoToken>() {
                Ok(no_token) => no_token.0,
                Err(error) => Refusal::Fault(format!("no access token: {}", root(&*error)), None),
            },
            common::Error::HttpError(error) => {
                Refusal::Fault(format!("Google can't be reached: {}", root(&error)), None)
            }
            common::Error::JsonDecodeError(..) => Refusal::Fault("Google's answer was cut or is no JSON".into(), None),
            error => Refusal::Fault(format!("the call failed: {error}"), None),
        })
    }
}
