//! The simulated Google Calendar keeps the rules it promises, over real HTTP.
//! Must not test the mirror: only the simulation itself.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests may stop a test, too")]

mod bodies;
mod client;
mod credentials;
mod events;
mod faults;
mod life;
mod listing;
mod sharing;

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::BASE64URL_NOPAD;
use meeting_mirror::simulated_google::{Access, CLIENT_EMAIL, SimulatedEvent, SimulatedGoogle, SimulatedGoogleConfig};
use rustls::SignatureScheme;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

const TEAM: &str = "team@group.calendar.example.com";
const EVENTS_SCOPE: &str = "https://www.googleapis.com/auth/calendar.events";
const FULL_SCOPE: &str = "https://www.googleapis.com/auth/calendar";

/// A clock that a test sets.
#[derive(Clone)]
struct Clock(Arc<Mutex<DateTime<Utc>>>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(at("2026-03-02T09:00:00Z"))))
    }

    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// An answer of the API, or of the token endpoint.
#[derive(Debug, Clone, PartialEq)]
struct Reply {
    status: u16,
    body: Value,
    retry_after: Option<String>,
}

impl Reply {
    fn reason(&self) -> &str {
        self.body["error"]["errors"][0]["reason"].as_str().unwrap_or_default()
    }

    /// Status and reason, as a client judges.
    fn verdict(&self) -> (u16, &str) {
        (self.status, self.reason())
    }
}

/// A simulation with one writable calendar, a clock and a client with a token.
struct Setup {
    google: SimulatedGoogle,
    clock: Clock,
    http: reqwest::Client,
    token: String,
}

impl Setup {
    async fn new() -> Self {
        Self::with(SimulatedGoogleConfig::new, FULL_SCOPE, None).await
    }

    async fn with(
        config: impl FnOnce(meeting_mirror::simulated_google::Now) -> SimulatedGoogleConfig,
        scope: &str,
        subject: Option<&str>,
    ) -> Self {
        let clock = Clock::new();
        let now = clock.clone();
        let google = SimulatedGoogle::start(config(Arc::new(move || now.now()))).unwrap();
        google.add_calendar(TEAM, "Sales team", Access::Writer);
        let mut setup = Self { google, clock, http: reqwest::Client::new(), token: String::new() };
        let mut claims = setup.claims();
        claims["scope"] = scope.into();
        if let Some(subject) = subject {
            claims["sub"] = subject.into();
        }
        setup.token = setup.new_token(&claims).await;
        setup.google.clear_calls();
        setup
    }

    /// What a well-behaved service account claims.
    fn claims(&self) -> Value {
        let now = self.clock.now().timestamp();
        json!({
            "iss": CLIENT_EMAIL,
            "aud": self.google.token_url(),
            "iat": now,
            "exp": now + 3600,
            "scope": FULL_SCOPE,
        })
    }

    async fn new_token(&self, claims: &Value) -> String {
        let reply = self.ask_token(&self.assertion(claims)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["access_token"].as_str().unwrap().to_owned()
    }

    fn assertion(&self, claims: &Value) -> String {
        let key: Value = serde_json::from_str(&self.google.credentials().unwrap()).unwrap();
        let pem = key["private_key"].as_str().unwrap();
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let signed = format!(
            "{}.{}",
            BASE64URL_NOPAD.encode(br#"{"alg":"RS256","typ":"JWT"}"#),
            BASE64URL_NOPAD.encode(claims.to_string().as_bytes())
        );
        let signature = ring::default_provider()
            .key_provider
            .load_private_key(key)
            .unwrap()
            .choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])
            .unwrap()
            .sign(signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    async fn ask_token(&self, assertion: &str) -> Reply {
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        self.token_form(&[("grant_type", grant), ("assertion", assertion)]).await
    }

    async fn token_form(&self, fields: &[(&str, &str)]) -> Reply {
        let request = self.http.post(self.google.token_url()).form(fields);
        read(request.send().await.unwrap()).await
    }

    /// A request with the token; `path` is relative to the API's base.
    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", self.google.api_url());
        let request = self.http.request(method, url).bearer_auth(&self.token);
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        read(self.request(method, path, body).send().await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }

    async fn insert(&self, body: &Value) -> Reply {
        self.call("POST", &events_path(""), Some(body)).await
    }

    async fn put(&self, id: &str, body: &Value) -> Reply {
        self.call("PUT", &event_path(id), Some(body)).await
    }

    async fn patch(&self, id: &str, body: &Value) -> Reply {
        self.call("PATCH", &event_path(id), Some(body)).await
    }

    async fn delete(&self, id: &str) -> Reply {
        self.call("DELETE", &event_path(id), None).await
    }

    fn event(&self, id: &str) -> SimulatedEvent {
        self.google.event(TEAM, id).unwrap()
    }
}

fn events_path(query: &str) -> String {
    format!("calendars/{TEAM}/events{query}")
}

fn event_path(id: &str) -> String {
    events_path(&format!("/{id}?sendUpdates=none"))
}

async fn read(response: reqwest::Response) -> Reply {
    let status = response.status().as_u16();
    let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
    let retry_after = header("retry-after");
    let text = response.text().await.unwrap();
    Reply { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)), retry_after }
}

/// A plain event of half an hour.
fn meeting(id: &str) -> Value {
    json!({
        "id": id,
        "summary": "Demo with Ada",
        "start": { "dateTime": "2026-03-03T10:00:00Z" },
        "end": { "dateTime": "2026-03-03T10:30:00Z" },
    })
}

/// A plain event with some fields set otherwise.
fn meeting_with(id: &str, fields: Value) -> Value {
    let mut meeting = meeting(id);
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    for (field, value) in fields {
        meeting[field] = value;
    }
    meeting
}
