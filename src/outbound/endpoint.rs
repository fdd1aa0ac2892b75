//! An address elsewhere that takes what is posted to it, or says why not. Every request has a bound. Of the address only the
//! host is ever told, of the authorization nothing.

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
use tokio::time::timeout;

use super::https::{Connector, root};
use super::retry::{self, PERSON_PAUSE};
use crate::audit::secret::hidden_in_text;
use crate::config::PushTarget;

/// What the endpoint says with its answer has this long to arrive.
const TEXT_WITHIN: Duration = Duration::from_secs(2);
/// Octets of it that are read.
const TEXT_READ: usize = 4096;
/// Characters of it that are told.
const TEXT_TOLD: usize = 160;

/// The address.
#[derive(Debug, Clone)]
pub struct Endpoint {
    target: PushTarget,
    advice: Advice,
    /// One that takes longer did not take what was sent.
    pub answer_within: Duration,
    client: Client<Connector, Full<Bytes>>,
}

/// What a person can look at when it does not work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Advice {
    /// The flag of the address.
    pub(super) address: &'static str,
    /// Everything: "Check …".
    pub(super) all: &'static str,
}

/// Why something was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// What the endpoint answered; none when it did not answer.
    pub(super) status: Option<StatusCode>,
    /// For people.
    pub(super) problem: String,
    /// The pause that the endpoint asked for.
    pub(super) retry_after: Option<Duration>,
}

impl Refused {
    /// Whether no waiting mends it.
    pub(super) fn is_for_a_person(&self) -> bool {
        let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        self.status.is_some_and(|status| status.is_client_error() && !passes.contains(&status))
    }

    /// Whether less at once may be taken.
    pub(super) fn is_too_large(&self) -> bool {
        self.status == Some(StatusCode::PAYLOAD_TOO_LARGE)
    }

    /// When it is tried again after that many failures before.
    pub(super) fn again_at(&self, attempts: u32, jitter: f64, now: DateTime<Utc>) -> DateTime<Utc> {
        let pause =
            if self.is_for_a_person() { PERSON_PAUSE } else { retry::pause(attempts, self.retry_after, jitter) };
        now + TimeDelta::from_std(pause).unwrap_or(TimeDelta::hours(1))
    }
}

impl Endpoint {
    /// Nothing is sent yet.
    pub(super) fn new(target: PushTarget, advice: Advice, connector: Connector) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { target, advice, answer_within: Duration::from_secs(20), client }
    }

    /// The address, for the one who needs it.
    pub fn target(&self) -> &PushTarget {
        &self.target
    }

    /// Posts a body. Anything but an answer of 200 to 299 means that it was not taken.
    ///
    /// # Errors
    /// Why it was not taken; the text tells no secret.
    pub(super) async fn post(&self, content_type: &str, body: Bytes, now: DateTime<Utc>) -> Result<(), Refused> {
        let host = self.target.host();
        let no_answer = |problem| Refused { status: None, problem, retry_after: None };
        let mut request = Request::post(self.target.address.clone())
            .header(CONTENT_TYPE, content_type)
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
        let (status, retry_after) = (response.status(), asked_pause(response.headers(), now));
        // Also when nobody needs it: a connection whose answer was read can be used again.
        let text = timeout(TEXT_WITHIN, beginning(response.into_body())).await.unwrap_or_default();
        if status.is_success() {
            return Ok(());
        }
        let text = told(&text, &self.target).map(|text| format!(" ({text})")).unwrap_or_default();
        let mut refused = Refused { status: Some(status), problem: String::new(), retry_after };
        let advice = if status.is_redirection() {
            let flag = self.advice.address;
            format!(". Redirects are not followed: set {flag} to the address that takes what is sent.")
        } else if refused.is_for_a_person() {
            format!(". Check {}.", self.advice.all)
        } else {
            String::new()
        };
        refused.problem = format!("{host} answered {status}{text}{advice}");
        Err(refused)
    }
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
