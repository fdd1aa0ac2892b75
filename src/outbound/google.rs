//! Google Calendar's API: the only file that names google-calendar3. Every call has a time-out, asks for one scope, sends
//! no mail, and ends in an answer or a [`Refusal`].

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use google_calendar3::CalendarHub;
use google_calendar3::api::{Event, EventDateTime, EventExtendedProperties, EventReminders, EventSource, Scope};
use google_calendar3::common::{self, Delegate, Retry};
use google_calendar3::hyper_util::client::legacy::Client;
use google_calendar3::hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use yup_oauth2::authenticator::ServiceAccountAuthenticator;
use yup_oauth2::{CustomHyperClientBuilder, HyperClientBuilder as _};

use super::event_body::EventBody;
use super::https::{self, Connector};
use super::retry::{Refusal, refusal, retry_after};
use super::tokens::Tokens;
use crate::meeting::event::MeetingId;

/// The one scope: see and change events.
const SCOPE: Scope = Scope::Event;
/// Extended properties that mark an event as ours (keys at most 44 characters).
const INSTALLATION: &str = "meetingMirrorInstallation";
const MEETING: &str = "meetingMirrorMeeting";
const REVISION: &str = "meetingMirrorRevision";

/// How Google is reached.
#[derive(Debug, Clone)]
pub struct GoogleSettings<'a> {
    /// Service-account key file.
    pub credentials: &'a Path,
    /// User the service account acts for.
    pub subject: Option<&'a str>,
    /// Base address; none = Google's.
    pub api_url: Option<&'a str>,
    /// A call that takes longer counts as lost.
    pub call_within: Duration,
}

/// The credentials can't be used, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file can't be read.
    #[error(
        "the Google credentials file {path} can't be read: {source}. Check the path and that this user may read it."
    )]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no service-account key.
    #[error(
        "{path} is no service-account key ({why}). In the Google Cloud console open IAM → Service accounts → your account → \
         Keys, add a key of type JSON, and point --google-credentials to the file."
    )]
    NoKey {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// No TLS.
    #[error("no TLS connection can be made: {0}. Install the system's root certificates (Debian: ca-certificates).")]
    Tls(std::io::Error),
}

/// A client of the API for one account.
#[derive(Clone)]
pub struct Google {
    hub: CalendarHub<Connector>,
    tokens: Tokens,
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
    /// It carries our mark.
    pub ours: bool,
}

/// One page of the events that carry our mark.
#[derive(Debug, Default)]
pub struct Page {
    /// Ids of events that are not deleted.
    pub event_ids: Vec<String>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// Whether the file holds a key, without using it.
///
/// # Errors
/// When it does not.
pub async fn check_key_file(path: &Path) -> Result<(), CredentialsError> {
    read_key(path).await.map(drop)
}

async fn read_key(path: &Path) -> Result<yup_oauth2::ServiceAccountKey, CredentialsError> {
    let unreadable = |source| CredentialsError::Unreadable { path: path.display().to_string(), source };
    let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
    serde_json::from_str(&text).map_err(|error| no_key(path, error))
}

fn no_key(path: &Path, why: impl std::fmt::Display) -> CredentialsError {
    CredentialsError::NoKey { path: path.display().to_string(), why: why.to_string() }
}

impl Google {
    /// Reads the credentials and makes a client. Nothing is sent yet.
    ///
    /// # Errors
    /// When the credentials can't be used.
    pub async fn new(settings: &GoogleSettings<'_>, installation_id: &str) -> Result<Self, CredentialsError> {
        let key = read_key(settings.credentials).await?;
        let account = settings.subject.map_or_else(|| key.client_email.clone(), str::to_owned);

        let connector = https::connector().map_err(CredentialsError::Tls)?;
        let client = Client::builder(TokioExecutor::new()).build(connector.clone());
        let token_client = CustomHyperClientBuilder::from(Client::builder(TokioExecutor::new()).build(connector))
            .with_timeout(settings.call_within);
        let mut builder = ServiceAccountAuthenticator::with_client(key, token_client);
        if let Some(subject) = settings.subject {
            builder = builder.subject(subject);
        }
        let authenticator = builder.build().await.map_err(|error| no_key(settings.credentials, error))?;
        let tokens = Tokens::new(authenticator);
        let mut hub = CalendarHub::new(client, tokens.clone());
        hub.user_agent(concat!("meeting-mirror/", env!("CARGO_PKG_VERSION")).to_owned());
        if let Some(url) = settings.api_url {
            hub.base_url(url.to_owned());
        }
        Ok(Self {
            hub,
            tokens,
            account,
            installation_id: installation_id.to_owned(),
            call_within: settings.call_within,
        })
    }

    /// The account to share calendars with.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Makes an event. Returns its sequence.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn insert(
        &self,
        calendar: &str,
        id: &str,
        meeting: &MeetingId,
        body: &EventBody,
    ) -> Result<i32, Refusal> {
        let event = Event { id: Some(id.to_owned()), ..self.event(meeting, body, 0) };
        let mut heard = self.heard();
        let call = self.hub.events().insert(event, &encode(calendar)).send_updates("none");
        let result = timeout(self.call_within, call.add_scope(SCOPE).delegate(&mut heard).doit()).await;
        heard.outcome(result).map(|(_, event)| event.sequence.unwrap_or(0))
    }

    /// Writes over an event, also over a deleted one. Returns its sequence.
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
    ) -> Result<i32, Refusal> {
        let event = self.event(meeting, body, sequence);
        let mut heard = self.heard();
        let call = self.hub.events().update(event, &encode(calendar), id).send_updates("none");
        let result = timeout(self.call_within, call.add_scope(SCOPE).delegate(&mut heard).doit()).await;
        heard.outcome(result).map(|(_, event)| event.sequence.unwrap_or(sequence))
    }

    /// Looks at an event.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn look(&self, calendar: &str, id: &str) -> Result<Found, Refusal> {
        let mut heard = self.heard();
        let call = self.hub.events().get(&encode(calendar), id);
        let result = timeout(self.call_within, call.add_scope(SCOPE).delegate(&mut heard).doit()).await;
        let (_, event) = heard.outcome(result)?;
        let mark =
            event.extended_properties.as_ref().and_then(|properties| properties.private.as_ref()?.get(INSTALLATION));
        Ok(Found {
            sequence: event.sequence.unwrap_or(0),
            deleted: event.status.as_deref() == Some("cancelled"),
            ours: mark == Some(&self.installation_id),
        })
    }

    /// Deletes an event.
    ///
    /// # Errors
    /// A [`Refusal`]; `Gone` and `Missing` mean that there is nothing to delete.
    pub async fn delete(&self, calendar: &str, id: &str) -> Result<(), Refusal> {
        let mut heard = self.heard();
        let call = self.hub.events().delete(&encode(calendar), id).send_updates("none");
        let result = timeout(self.call_within, call.add_scope(SCOPE).delegate(&mut heard).doit()).await;
        heard.outcome(result).map(drop)
    }

    /// Whether the calendar can be read.
    ///
    /// # Errors
    /// A [`Refusal`]; `Missing` when it does not exist for us.
    pub async fn reach(&self, calendar: &str) -> Result<(), Refusal> {
        let mut heard = self.heard();
        let call = self.hub.events().list(&encode(calendar)).max_results(1);
        let result = timeout(self.call_within, call.add_scope(SCOPE).delegate(&mut heard).doit()).await;
        heard.outcome(result).map(drop)
    }

    /// One page of the events that carry our mark, 250 at most.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn list_ours(&self, calendar: &str, page: Option<&str>) -> Result<Page, Refusal> {
        let mut heard = self.heard();
        let filter = format!("{INSTALLATION}={}", self.installation_id);
        let mut call =
            self.hub.events().list(&encode(calendar)).add_private_extended_property(&filter).max_results(250);
        if let Some(page) = page {
            call = call.page_token(page);
        }
        let result = timeout(self.call_within, call.add_scope(SCOPE).delegate(&mut heard).doit()).await;
        let (_, events) = heard.outcome(result)?;
        let event_ids = events.items.unwrap_or_default().into_iter().filter_map(|event| event.id).collect();
        Ok(Page { event_ids, next: events.next_page_token })
    }

    fn heard(&self) -> Heard<'_> {
        Heard {
            tokens: &self.tokens,
            refreshed: false,
            status: 0,
            reason: String::new(),
            message: String::new(),
            retry_after: None,
        }
    }

    fn event(&self, meeting: &MeetingId, body: &EventBody, sequence: i32) -> Event {
        let time =
            |seconds| EventDateTime { date_time: DateTime::from_timestamp(seconds, 0), ..EventDateTime::default() };
        let mark = HashMap::from([
            (INSTALLATION.to_owned(), self.installation_id.clone()),
            (MEETING.to_owned(), meeting.to_string()),
            (REVISION.to_owned(), body.revision.to_string()),
        ]);
        Event {
            summary: Some(body.summary.clone()),
            description: body.description.clone(),
            location: body.location.clone(),
            start: Some(time(body.starts_at)),
            end: Some(time(body.ends_at)),
            status: Some("confirmed".to_owned()),
            transparency: Some(if body.transparent { "transparent" } else { "opaque" }.to_owned()),
            source: body
                .source_url
                .clone()
                .map(|url| EventSource { title: Some("Booking page".to_owned()), url: Some(url) }),
            extended_properties: Some(EventExtendedProperties { private: Some(mark), shared: None }),
            reminders: Some(EventReminders { use_default: Some(false), overrides: None }),
            sequence: Some(sequence),
            ..Event::default()
        }
    }
}

impl std::fmt::Debug for Google {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Google").field("account", &self.account).finish_non_exhaustive()
    }
}

/// What google-calendar3 tells of a failed answer on the way; its error has lost status and headers by then.
struct Heard<'a> {
    tokens: &'a Tokens,
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

impl Heard<'_> {
    fn outcome<T>(self, result: Result<common::Result<T>, Elapsed>) -> Result<T, Refusal> {
        let error = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => return Err(Refusal::Fault("Google did not answer in time".into(), None)),
        };
        Err(match error {
            common::Error::BadRequest(_) | common::Error::Failure(_) => {
                refusal(self.status, &self.reason, &self.message, self.retry_after)
            }
            common::Error::MissingToken(error) => no_token(&*error),
            common::Error::HttpError(error) => {
                Refusal::Fault(format!("Google can't be reached: {}", root(&error)), None)
            }
            common::Error::JsonDecodeError(..) => Refusal::Fault("Google's answer was cut or is no JSON".into(), None),
            error => Refusal::Fault(format!("the call failed: {error}"), None),
        })
    }
}

/// What it means that no token could be had: only the token endpoint's own word calls for a person.
fn no_token(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Refusal {
    let text = format!("no access token: {}", root(error));
    match error.downcast_ref::<yup_oauth2::Error>() {
        Some(yup_oauth2::Error::AuthError(_) | yup_oauth2::Error::UserError(_)) => Refusal::Credentials(text),
        _ => Refusal::Fault(text, None),
    }
}

/// The innermost cause: outer ones only say that there was an error.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
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
