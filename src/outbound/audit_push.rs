//! The worker that sends new entries of the audit log on to another system, in their order and at least once. What was not
//! taken is sent again before anything after it. Of the address only the host is ever told, of the authorization nothing.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::https::{Connector, root};
use super::mirror::POLL;
use super::retry::{self, PERSON_PAUSE};
use crate::audit::chain::Hash;
use crate::audit::json::as_json;
use crate::audit::secret::hidden_in_text;
use crate::clock::{Randomness, SharedClock};
use crate::config::PushTarget;
use crate::store::{AuditPush, Store, StoreError, StoredEntry};
use crate::web::secret_key::SecretKey;

/// The most entries in one request.
const MOST_ENTRIES: u32 = 100;
/// The most octets in one request; a larger entry goes alone.
const MOST_OCTETS: usize = 1 << 20;
/// What the endpoint says with its answer has this long to arrive.
const TEXT_WITHIN: Duration = Duration::from_secs(2);
/// Octets of it that are read.
const TEXT_READ: usize = 4096;
/// Characters of it that are told.
const TEXT_TOLD: usize = 160;
/// The pause after the database could not be used.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// The worker.
#[derive(Debug, Clone)]
pub struct AuditPusher {
    store: Store,
    clock: SharedClock,
    randomness: Randomness,
    target: PushTarget,
    /// An endpoint that takes longer did not take the entries.
    pub answer_within: Duration,
    client: Client<Connector, Full<Bytes>>,
}

/// Why entries were not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refused {
    /// What the endpoint answered; none when it did not answer.
    status: Option<StatusCode>,
    /// For people.
    problem: String,
    /// The pause that the endpoint asked for.
    retry_after: Option<Duration>,
}

impl Refused {
    /// Whether no waiting mends it.
    fn is_for_a_person(&self) -> bool {
        let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        self.status.is_some_and(|status| status.is_client_error() && !passes.contains(&status))
    }

    fn is_too_large(&self) -> bool {
        self.status == Some(StatusCode::PAYLOAD_TOO_LARGE)
    }
}

impl AuditPusher {
    /// A worker that sends to `target`. Nothing is sent yet.
    pub fn new(
        store: Store,
        clock: SharedClock,
        randomness: Randomness,
        target: PushTarget,
        connector: Connector,
    ) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { store, clock, randomness, target, answer_within: Duration::from_secs(20), client }
    }

    /// What tells the address from others. It may hold a secret, which nobody can guess from this without the key.
    pub fn endpoint(&self, key: &SecretKey) -> Hash {
        key.derive(&format!("audit push {}", self.target.address))
    }

    /// The same as earlier versions kept it: the SHA-256 of the address.
    pub fn endpoint_before(&self) -> Hash {
        Sha256::digest(self.target.address.to_string()).into()
    }

    /// Works until `stop`. A request that is under way then is given up: it is sent again after the next start.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let pause = match self.push_due(&stop).await {
                Ok(true) if !stop.is_cancelled() => continue,
                Ok(_) => POLL,
                Err(error) => {
                    tracing::error!(%error, cause = ?error, "the audit log could not be sent on; trying again");
                    TRY_AGAIN
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends one request with what comes next, if it is time. Returns whether it was taken.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn push_due(&self, stop: &CancellationToken) -> Result<bool, StoreError> {
        let Some(standing) = self.store.audit_push().await? else { return Ok(false) };
        let now = self.clock.now();
        // A failure that lies ahead of now is from before the clock was set back.
        if standing.problem.as_ref().is_some_and(|(_, failed_at)| (*failed_at..standing.due_at).contains(&now)) {
            return Ok(false);
        }
        let mut entries = match self.entries_after(standing.pushed_seq).await? {
            Ok(entries) => entries,
            Err(refused) => return self.failed(&standing, &refused).await,
        };
        loop {
            let (body, count) = lines(&entries);
            entries.truncate(count);
            let Some(last) = entries.last().map(|link| link.seq) else { return Ok(false) };
            let sent = tokio::select! {
                () = stop.cancelled() => return Ok(false),
                sent = self.send(body) => sent,
            };
            match sent {
                Ok(()) => {
                    let mut tx = self.store.write().await?;
                    tx.audit_was_pushed(last, self.clock.now()).await?;
                    tx.commit().await?;
                    tracing::debug!(entries = count, last, "sent the audit log on");
                    return Ok(true);
                }
                // How much an endpoint takes at once nobody knows but itself.
                Err(refused) if refused.is_too_large() && count > 1 => entries.truncate(count / 2),
                Err(refused) => return self.failed(&standing, &refused).await,
            }
        }
    }

    /// The entries that come next; a refusal when the first of them can't be read.
    async fn entries_after(&self, seq: i64) -> Result<Result<Vec<StoredEntry>, Refused>, StoreError> {
        let mut most = MOST_ENTRIES;
        loop {
            match self.store.audit_after(seq, most).await {
                Ok(entries) => return Ok(Ok(entries)),
                Err(error) if error.is_unavailable() => return Err(error),
                // One of them is not in the form that entries have: those before it can go.
                Err(_) if most > 1 => most /= 2,
                Err(_) => {
                    let problem = format!(
                        "the entry that follows number {seq} can't be read, and none is left out: see meeting-mirror audit verify"
                    );
                    return Ok(Err(Refused { status: None, problem, retry_after: Some(PERSON_PAUSE) }));
                }
            }
        }
    }

    /// Keeps why entries were not taken, and when they are sent again.
    async fn failed(&self, standing: &AuditPush, refused: &Refused) -> Result<bool, StoreError> {
        let pause = if refused.is_for_a_person() {
            PERSON_PAUSE
        } else {
            retry::pause(standing.attempts, refused.retry_after, self.randomness.fraction())
        };
        let now = self.clock.now();
        let again_at = now + TimeDelta::from_std(pause).unwrap_or(TimeDelta::hours(1));
        let problem = &refused.problem;
        tracing::warn!(problem, %again_at, "the audit log could not be sent on");
        let mut tx = self.store.write().await?;
        tx.audit_push_failed(problem, again_at, now).await?;
        tx.commit().await?;
        Ok(false)
    }

    async fn send(&self, body: Bytes) -> Result<(), Refused> {
        let host = self.target.host();
        let no_answer = |problem| Refused { status: None, problem, retry_after: None };
        let mut request = Request::post(self.target.address.clone())
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(USER_AGENT, concat!("meeting-mirror/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &self.target.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body)).map_err(|error| no_answer(error.to_string()))?;
        let response = match timeout(self.answer_within, self.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(no_answer(format!("{host} can't be reached: {}", root(&error)))),
            Err(_) => {
                let seconds = self.answer_within.as_secs();
                return Err(no_answer(format!("{host} did not answer within {seconds} s")));
            }
        };
        let (status, retry_after) = (response.status(), asked_pause(response.headers(), self.clock.now()));
        // Also when nobody needs it: a connection whose answer was read can be used again.
        let text = timeout(TEXT_WITHIN, beginning(response.into_body())).await.unwrap_or_default();
        if status.is_success() {
            return Ok(());
        }
        let text = told(&text, &self.target).map(|text| format!(" ({text})")).unwrap_or_default();
        let mut refused =
            Refused { status: Some(status), problem: format!("{host} answered {status}{text}"), retry_after };
        if status.is_redirection() {
            refused.problem +=
                ". Redirects are not followed: set --audit-push-url to the address that takes the entries.";
        } else if refused.is_for_a_person() {
            refused.problem += ". Check --audit-push-url and --audit-push-authorization, and restart the server.";
        }
        Err(refused)
    }
}

/// The entries as one JSON object a line, as many from the first on as go into one request, and how many these are.
fn lines(entries: &[StoredEntry]) -> (Bytes, usize) {
    let (mut body, mut count) = (String::new(), 0);
    for link in entries {
        let line = as_json(link).to_string();
        if count > 0 && body.len() + line.len() + 1 > MOST_OCTETS {
            break;
        }
        body += &line;
        body.push('\n');
        count += 1;
    }
    (body.into(), count)
}

/// Retry-After, in seconds or as a date (RFC 9110 section 10.2.3).
fn asked_pause(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let header = headers.get(RETRY_AFTER)?.to_str().ok()?;
    retry::retry_after(header).or_else(|| {
        let until = DateTime::<Utc>::from(httpdate::parse_http_date(header).ok()?);
        (until - now).to_std().ok()
    })
}

/// The first octets of an answer.
async fn beginning(mut body: Incoming) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < TEXT_READ {
        let Some(Ok(frame)) = body.frame().await else { break };
        text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    text.truncate(TEXT_READ);
    text
}

/// What an endpoint says, short and printable; none when that is nothing, a web page, or repeats what nobody should read.
fn told(text: &[u8], target: &PushTarget) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let heard = [letters(&text), letters(&percent_decode_str(&text).decode_utf8_lossy())];
    if text.trim_start().starts_with('<')
        || private(target).iter().any(|part| heard.iter().any(|text| text.contains(part)))
    {
        return None;
    }
    let printable = |c: char| if c.is_alphanumeric() || c.is_ascii_punctuation() { c } else { ' ' };
    let plain: String = hidden_in_text(&text).chars().map(printable).collect();
    let short: String = plain.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(TEXT_TOLD).collect();
    (!short.is_empty()).then_some(short)
}

/// What must not be told, letters and digits only: endpoints write it in other ways than we do.
fn private(target: &PushTarget) -> Vec<String> {
    let address = target.address.path_and_query().map_or("", |path| path.as_str());
    let address = percent_decode_str(address).decode_utf8_lossy();
    // A short part of an address is a word, such as "audit".
    let parts = address.split(['/', '?', '&', '=']).map(letters).filter(|part| part.len() >= 8);
    let authorization = target.authorization.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (scheme, credentials) = authorization.split_once(' ').unwrap_or(("", authorization));
    let whole = [letters(&address), letters(credentials), letters(&format!("{scheme}{credentials}"))];
    parts.chain(whole).filter(|part| part.len() >= 3).collect()
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn target() -> PushTarget {
        PushTarget {
            address: "https://logs.example.com:8443/hooks/T0aB/Xy%2F12345678?key=s3cr3t-value".parse().unwrap(),
            authorization: Some(HeaderValue::from_static("Splunk 0f1e2d3c-abcd")),
        }
    }

    #[test]
    fn what_an_endpoint_says_is_told_short_and_printable() {
        let target = target();
        for (said, expected) in [
            (&b"{\"text\":\"Invalid token\",\"code\":4}"[..], Some(r#"{"text":"Invalid token","code":4}"#)),
            (b"over\x1b[31mload\r\n\xff \xe2\x80\xaetry  later", Some("over [31mload try later")),
            (b" \n", None),
            (b"\n<!doctype html><title>502", None),
            (b"no hook at /hooks/T0aB/Xy%2F12345678", None),
            (br#"no hook {"path":"Xy\/12345678"}"#, None),
            (b"wrong key S3CR3T-VALUE", None),
            (b"the token 0f1e2d3cabcd is wrong", None),
            (b"password=hunter2", Some("password=[hidden]")),
        ] {
            assert_eq!(told(said, &target).as_deref(), expected, "{}", String::from_utf8_lossy(said));
        }
        assert_eq!(told(&b"long ".repeat(200), &target).unwrap().chars().count(), TEXT_TOLD);
        assert_eq!(target.host(), "logs.example.com:8443");
        let debug = format!("{target:?}");
        assert!(debug.contains("logs.example.com") && !debug.contains("T0aB") && !debug.contains("0f1e"), "{debug}");
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_until_a_date() {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        for (header, expected) in [
            ("120", Some(120)),
            ("Mon, 23 Nov 2026 12:01:30 GMT", Some(90)),
            ("Mon, 23 Nov 2026 11:00:00 GMT", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(header))]);
            assert_eq!(asked_pause(&headers, now), expected.map(Duration::from_secs), "{header}");
        }
    }

    #[test]
    fn only_a_person_mends_what_the_request_itself_is_wrong_with() {
        let of = |status| {
            let status = Some(StatusCode::from_u16(status).unwrap());
            Refused { status, problem: String::new(), retry_after: None }.is_for_a_person()
        };
        assert_eq!([400, 401, 403, 404, 413, 422].map(of), [true; 6]);
        assert_eq!([301, 302, 307, 408, 425, 429, 500, 503].map(of), [false; 8]);
    }
}
