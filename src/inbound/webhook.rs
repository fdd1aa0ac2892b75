//! The webhook: verifies the signature on the raw bytes, stores them, answers. What a delivery means is decided later, by
//! [`super::inbox`]; here it is only read far enough to know its identity.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, HttpBody as _};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use data_encoding::HEXLOWER;
use prometheus_client::registry::Registry;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::payload::{self, Envelope, Legible, Payload};
use super::signature::Verifier;
use crate::clock::SharedClock;
use crate::store::{DeliveryStatus, Identity, InboxWriter, LARGEST_BODY, NewDelivery};
use crate::web::counts::Tally;
use crate::web::problem::Problem;
use crate::web::server::BodyError;

/// The route that the sender posts to.
pub const PATH: &str = "/webhooks/cirrus-insight";

/// A body that takes longer to arrive is given up: nobody may hold a connection for ever.
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);

/// A delivery that is not on disk after this is answered with 503: the sender tries again (facts: aim far below 5 s).
const STORE_WITHIN: Duration = Duration::from_secs(4);

/// What the webhook needs.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Checks signatures; none = unsigned deliveries are taken (loopback only).
    pub verifier: Option<Arc<Verifier>>,
    /// Commits deliveries.
    pub writer: InboxWriter,
    /// Wakes the inbox worker.
    pub arrived: Arc<Notify>,
    /// The time.
    pub clock: SharedClock,
    /// Answers, counted.
    pub answers: Tally,
}

impl Webhook {
    /// Has the answers counted there.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Requests to the webhook by their answer; bad_signature: none was made with an active key";
        registry.register("webhook_answers", help, self.answers.clone());
    }

    /// The webhook's route.
    pub fn router(self) -> Router {
        let not_allowed = || async {
            let problem =
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Deliveries come by POST.");
            ([(header::ALLOW, "POST")], problem)
        };
        Router::new()
            .route(PATH, post(receive).fallback(not_allowed))
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .with_state(self)
    }
}

/// The answer to a delivery that is on disk.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    status: &'static str,
    event_id: String,
}

/// Why a body is not even read.
fn unread(request: &Request) -> Option<Response> {
    let is_coded = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if request.headers().get_all(header::CONTENT_ENCODING).iter().any(is_coded) {
        let detail = "A delivery is signed as it is sent: send it without Content-Encoding.";
        let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoded", detail);
        return Some(([(header::ACCEPT_ENCODING, "identity")], problem).into_response());
    }
    let is_too_large = request.body().size_hint().lower() > LARGEST_BODY as u64;
    is_too_large.then(|| too_large().into_response())
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "A delivery may have 1 MiB at most.")
}

fn not_stored(detail: &'static str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_stored", detail).retry_after(10)
}

/// The whole body.
async fn whole_body(request: Request, within: Duration) -> Result<Bytes, Problem> {
    match tokio::time::timeout(within, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large()),
        Ok(Err(rejection)) if has_no_room(&rejection) => {
            Err(not_stored("Too much is arriving at once. Please send it again."))
        }
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "incomplete", "The body did not arrive whole.")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "The body did not arrive in time.")),
    }
}

/// Whether there was no room for a body.
fn has_no_room(rejection: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(rejection), |&error| error.source())
        .any(|error| matches!(error.downcast_ref(), Some(BodyError::NoRoom)))
}

async fn receive(State(webhook): State<Webhook>, headers: HeaderMap, request: Request) -> Response {
    if let Some(refused) = unread(&request) {
        webhook.answers.get_or_create(&[("answer", "unread")]).inc();
        return refused;
    }
    let (word, response) = match take(&webhook, &headers, request).await {
        Ok(receipt) => (receipt.status, axum::Json(receipt).into_response()),
        Err(problem) => (problem.code(), problem.into_response()),
    };
    webhook.answers.get_or_create(&[("answer", word)]).inc();
    response
}

async fn take(webhook: &Webhook, headers: &HeaderMap, request: Request) -> Result<Receipt, Problem> {
    let body = whole_body(request, ARRIVES_WITHIN).await?;
    let signature = match webhook.verifier.as_ref().map(|verifier| verifier.verify(headers, &body)) {
        None => "unsigned".to_owned(),
        Some(Ok(matched)) => matched.to_string(),
        Some(Err(refused)) => {
            tracing::warn!(reason = %refused, bytes = body.len(), "refused a delivery");
            let detail = "The request carries no signature made with an active signing key over exactly these bytes.";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "bad_signature", detail));
        }
    };
    let delivery = read(webhook, headers, body, signature);
    let event_id = delivery.identity.event_id.clone();
    let settled = match delivery.status {
        DeliveryStatus::Quarantined => "quarantined",
        DeliveryStatus::Ignored => "ignored",
        DeliveryStatus::Pending | DeliveryStatus::Applied | DeliveryStatus::Superseded => "accepted",
    };
    // The writer has logged why.
    let Ok(Ok(stored)) = tokio::time::timeout(STORE_WITHIN, webhook.writer.store(delivery)).await else {
        return Err(not_stored("The delivery could not be stored. Please send it again."));
    };
    webhook.arrived.notify_one();
    let status = if stored.duplicate { "duplicate" } else { settled };
    tracing::info!(inbox_id = stored.id, event_id, status, "stored a delivery");
    Ok(Receipt { status, event_id })
}

/// Reads a delivery far enough to store it. Even a fault in reading loses nothing: it is quarantined then.
fn read(webhook: &Webhook, headers: &HeaderMap, body: Bytes, signature: String) -> NewDelivery {
    let understood = catch_unwind(AssertUnwindSafe(|| payload::parse(&body)));
    let (identity, status, reason) = match understood {
        Ok(Ok(envelope)) => {
            let ignored = matches!(envelope.payload, Payload::Unknown);
            let reason = ignored.then(|| unknown_type(&envelope));
            let status = if ignored { DeliveryStatus::Ignored } else { DeliveryStatus::Pending };
            (identity(&envelope), status, reason)
        }
        Ok(Err(rejection)) => {
            let Legible { event_type, organization_id, meeting_id } = payload::legible(&body);
            let identity = Identity { event_type, organization_id, meeting_id, ..digest_identity(&body) };
            (identity, DeliveryStatus::Quarantined, Some(rejection.to_string()))
        }
        Err(_) => {
            let reason =
                "reading it failed inside meeting-mirror: please report this; it can be replayed after an upgrade";
            (digest_identity(&body), DeliveryStatus::Quarantined, Some(reason.to_owned()))
        }
    };
    NewDelivery {
        identity,
        headers: masked(headers),
        signature,
        received_at: webhook.clock.now(),
        status,
        reason,
        body: body.into(),
    }
}

/// What is said of an event of a type that is not known.
pub(super) fn unknown_type(envelope: &Envelope) -> String {
    format!("eventType: \"{}\" is not a type this version uses", envelope.event_type)
}

/// The identity an envelope tells.
pub(super) fn identity(envelope: &Envelope) -> Identity {
    let meeting_id = match &envelope.payload {
        Payload::Meeting(event) => Some(event.meeting_id.to_string()),
        Payload::Organization(_) | Payload::EndpointTest | Payload::Unknown => None,
    };
    Identity {
        event_id: envelope.event_id.to_string(),
        event_type: Some(envelope.event_type.clone()),
        organization_id: envelope.organization_id.as_ref().map(ToString::to_string),
        happened_at: Some(envelope.happened_at),
        delivery_attempt: envelope.delivery_attempt,
        meeting_id,
    }
}

/// The identity of bytes that can't be understood: their digest.
fn digest_identity(body: &[u8]) -> Identity {
    Identity { event_id: format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(body))), ..Identity::default() }
}

/// Headers as they are kept: credentials masked, signatures cut, long ones shortened.
fn masked(headers: &HeaderMap) -> String {
    let shown: Vec<(&str, String)> = headers
        .iter()
        .take(64)
        .map(|(name, value)| {
            let name = name.as_str();
            let value = String::from_utf8_lossy(value.as_bytes());
            let short = |most: usize| {
                let cut: String = value.chars().take(most).collect();
                if cut.len() < value.len() { format!("{cut}…") } else { cut }
            };
            let value = match name {
                "authorization" | "proxy-authorization" | "cookie" => "(masked)".to_owned(),
                _ if ["signature", "hmac", "digest", "hash", "token", "secret", "key"]
                    .iter()
                    .any(|hint| name.contains(hint)) =>
                {
                    short(12)
                }
                _ => short(256),
            };
            (name, value)
        })
        .collect();
    serde_json::to_string(&shown).unwrap_or_else(|_| "[]".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use futures_util::stream;

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::convert::Infallible>>());
        let answer = whole_body(Request::new(body), Duration::from_millis(1)).await.unwrap_err().into_response();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[tokio::test]
    async fn a_body_for_which_there_is_no_room_may_come_again() {
        let body = Body::from_stream(stream::iter([Err::<Bytes, _>(BodyError::NoRoom)]));
        let answer = whole_body(Request::new(body), ARRIVES_WITHIN).await.unwrap_err().into_response();
        assert_eq!(
            (answer.status(), answer.headers()[header::RETRY_AFTER].as_bytes()),
            (StatusCode::SERVICE_UNAVAILABLE, &b"10"[..])
        );
    }
}
