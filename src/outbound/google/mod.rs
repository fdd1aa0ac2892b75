//! Google Calendar's API: this folder alone names google-calendar3. Every call waits for its turn, has a time-out, asks for
//! one scope, sends no mail, and ends in an answer or a [`Refusal`].

mod access;
mod credentials;
mod event;
mod heard;
mod login;
mod sign_in;
mod tokens;

use std::time::Duration;

use google_calendar3::CalendarHub;
use google_calendar3::api::{Event, Scope};
use google_calendar3::hyper_util::client::legacy::Client;
use google_calendar3::hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;

use self::heard::Heard;
use self::tokens::Tokens;
use super::event_body::EventBody;
use super::https::{self, Connector};
use super::limiter::Limiter;
use super::retry::Refusal;
use crate::meeting::event::MeetingId;

pub use self::access::GoogleAccess;
pub use self::credentials::{CredentialsError, GoogleSettings, check_credentials};
pub use self::event::{Listed, Receipt};
pub use self::login::{LoginError, login};

/// The one scope: see and change events.
const SCOPE: Scope = Scope::Event;

/// A client of the API for one account.
#[derive(Clone)]
pub struct Google {
    hub: CalendarHub<Connector>,
    tokens: Tokens,
    limiter: Limiter,
    account: String,
    installation_id: String,
    call_within: Duration,
}

/// What is there under an event id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Google's sequence of it.
    pub sequence: i32,
    /// It is deleted.
    pub deleted: bool,
}

/// One page of the events that carry our mark.
#[derive(Debug, Default)]
pub struct Page {
    /// Events that are not deleted.
    pub listed: Vec<Listed>,
    /// Where the next page begins.
    pub next: Option<String>,
}

impl Google {
    /// Makes a client from what the credentials file holds. Nothing is sent yet.
    ///
    /// # Errors
    /// When the credentials can't be used.
    pub async fn new(
        settings: &GoogleSettings,
        limiter: Limiter,
        installation_id: &str,
    ) -> Result<Self, CredentialsError> {
        let (source, account) = credentials::source(settings, limiter.clock()).await?;
        let tokens = Tokens::new(source);
        let connector = https::connector().map_err(CredentialsError::Tls)?;
        let mut hub = CalendarHub::new(Client::builder(TokioExecutor::new()).build(connector), tokens.clone());
        hub.user_agent(concat!("meeting-mirror/", env!("CARGO_PKG_VERSION")).to_owned());
        if let Some(url) = &settings.api_url {
            hub.base_url(url.clone());
        }
        let installation_id = installation_id.to_owned();
        Ok(Self { hub, tokens, limiter, account, installation_id, call_within: settings.call_within })
    }

    /// The account to share calendars with.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Whether an access token can be had.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn authenticate(&self) -> Result<(), Refusal> {
        self.tokens.token(&[SCOPE.as_ref()]).await.map(drop)
    }

    /// Makes an event.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn insert(
        &self,
        calendar: &str,
        id: &str,
        meeting: &MeetingId,
        body: &EventBody,
    ) -> Result<Receipt, Refusal> {
        let event = Event { id: Some(id.to_owned()), ..event::made(&self.installation_id, meeting, body, 0) };
        let mut heard = self.heard(calendar).await;
        let call = self.hub.events().insert(event, &encode(calendar)).send_updates("none");
        let result = timeout(self.call_within, call.add_scope(SCOPE).delegate(&mut heard).doit()).await;
        heard.outcome(result).map(|(_, event)| Receipt::of(&event, 0))
    }

    /// Writes over an event, also over a deleted one.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn update(
        &self,
        calendar: &str,
        id: &str,
        meeting: &MeetingId,
        body: &EventBody,
        sequence: i32,
    ) -> Result<Receipt, Refusal> {
        let event = event::made(&self.installation_id, meeting, body, sequence);
        let mut heard = self.heard(calendar).await;
        let call = self.hub.events().update(event, &encode(calendar), id).send_updates("none");
        let result = timeout(self.call_within, call.add_scope(SCOPE).delegate(&mut heard).doit()).await;
        heard.outcome(result).map(|(_, event)| Receipt::of(&event, sequence))
    }

    /// Looks at an event.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn look(&self, calendar: &str, id: &str) -> Result<Found, Refusal> {
        let mut heard = self.heard(calendar).await;
        let call = self.hub.events().get(&encode(calendar), id);
        let result = timeout(self.call_within, call.add_scope(SCOPE).delegate(&mut heard).doit()).await;
        let (_, event) = heard.outcome(result)?;
        Ok(Found { sequence: event.sequence.unwrap_or(0), deleted: event.status.as_deref() == Some("cancelled") })
    }

    /// Deletes an event.
    ///
    /// # Errors
    /// A [`Refusal`]; `Gone` and `Missing` mean that there is nothing to delete.
    pub async fn delete(&self, calendar: &str, id: &str) -> Result<(), Refusal> {
        let mut heard = self.heard(calendar).await;
        let call = self.hub.events().delete(&encode(calendar), id).send_updates("none");
        let result = timeout(self.call_within, call.add_scope(SCOPE).delegate(&mut heard).doit()).await;
        heard.outcome(result).map(drop)
    }

    /// Whether the calendar can be read.
    ///
    /// # Errors
    /// A [`Refusal`]; `Missing` when it does not exist for us.
    pub async fn reach(&self, calendar: &str) -> Result<(), Refusal> {
        let mut heard = self.heard(calendar).await;
        let call = self.hub.events().list(&encode(calendar)).max_results(1);
        let result = timeout(self.call_within, call.add_scope(SCOPE).delegate(&mut heard).doit()).await;
        heard.outcome(result).map(drop)
    }

    /// One page of the events that carry our mark, 250 at most.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn list_ours(&self, calendar: &str, page: Option<&str>) -> Result<Page, Refusal> {
        let mut heard = self.heard(calendar).await;
        let filter = format!("{}={}", event::INSTALLATION, self.installation_id);
        let mut call =
            self.hub.events().list(&encode(calendar)).add_private_extended_property(&filter).max_results(250);
        if let Some(page) = page {
            call = call.page_token(page);
        }
        let result = timeout(self.call_within, call.add_scope(SCOPE).delegate(&mut heard).doit()).await;
        let (_, events) = heard.outcome(result)?;
        let listed = events.items.unwrap_or_default().iter().filter_map(Listed::of).collect();
        Ok(Page { listed, next: events.next_page_token })
    }

    async fn heard(&self, calendar: &str) -> Heard<'_> {
        self.limiter.turn(calendar).await;
        Heard::new(&self.tokens, &self.limiter)
    }
}

impl std::fmt::Debug for Google {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Google").field("account", &self.account).finish_non_exhaustive()
    }
}

/// Percent-encodes a calendar id for a path: google-calendar3 puts it in raw. `.` and `..` can't be made safe so (a URL
/// parser reads `%2E%2E` as `..`); no calendar is called that, and adding one is refused.
fn encode(calendar: &str) -> String {
    utf8_percent_encode(calendar, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn calendar_ids_can_not_leave_their_place_in_the_path() {
        assert_eq!(encode("team@group.example.com"), "team%40group%2Eexample%2Ecom");
        assert_eq!(encode("a/../b?c#d%"), "a%2F%2E%2E%2Fb%3Fc%23d%25");
    }
}
