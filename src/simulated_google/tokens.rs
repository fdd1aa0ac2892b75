//! The simulated token endpoint: the service-account grant (RFC 7523), and the authorization-code and refresh-token
//! grants of a person (RFC 6749 sections 4.1.3 and 6).
//! Must accept no key but the worthless test key in `fixtures/google`, and must never be used outside a simulation.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use rustls::SignatureScheme;
use rustls::crypto::ring;
use serde::Deserialize;
use serde_json::{Value, json};

use super::TokenTimes;
use super::answer::Answer;

/// The service-account key that the simulation accepts, and nobody else.
pub(super) const KEY_FILE: &str = include_str!("../../fixtures/google/service-account-key.json");
const PUBLIC_KEY: &str = include_str!("../../fixtures/google/service-account-public-key.pem");

/// The service account's address in the key file.
pub const CLIENT_EMAIL: &str = "mirror@simulated.iam.example.com";
/// The refresh token that the simulation accepts, with any client id and secret: that of a person, not of the service
/// account.
pub const REFRESH_TOKEN: &str = "simulated-refresh-token";

/// The code that a person's browser brings back after agreeing.
pub const AUTHORIZATION_CODE: &str = "simulated-authorization-code";

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPE_PREFIX: &str = "https://www.googleapis.com/auth/";
/// Google's documentation: an assertion and an access token live for an hour at most.
const HOUR: TimeDelta = TimeDelta::hours(1);
/// How far a client's clock may be ahead.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// One line of the log of requests for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// `grant_type` as it was sent.
    pub grant: String,
    /// The person whom the service account impersonates (`sub`), if the assertion was accepted.
    pub subject: Option<String>,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// The HTTP status answered.
    pub status: u16,
}

/// What an access token stands for.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    scopes: Vec<String>,
    subject: Option<String>,
    service_account: bool,
    expires: DateTime<Utc>,
}

impl Grant {
    /// Whether it covers one of these scopes, given without their common prefix.
    pub(super) fn covers(&self, scopes: &[&str]) -> bool {
        self.scopes.iter().any(|granted| granted.strip_prefix(SCOPE_PREFIX).is_some_and(|name| scopes.contains(&name)))
    }

    /// A service account that acts for itself, not for a person.
    pub(super) fn is_bare_service_account(&self) -> bool {
        self.service_account && self.subject.is_none()
    }
}

/// The access tokens handed out.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    issued: u64,
    valid: HashMap<String, Grant>,
}

impl Tokens {
    pub(super) fn revoke(&mut self) {
        self.valid.clear();
    }

    /// The grant behind an `Authorization` header.
    pub(super) fn check(&self, authorization: Option<&str>, times: TokenTimes, now: DateTime<Utc>) -> Option<&Grant> {
        let grant = self.valid.get(authorization?.strip_prefix("Bearer ")?)?;
        (times == TokenTimes::Ignore || now < grant.expires).then_some(grant)
    }

    /// Answers one request for a token.
    pub(super) fn request(
        &mut self,
        form: &HashMap<String, String>,
        token_url: &str,
        times: TokenTimes,
        now: DateTime<Utc>,
    ) -> (Answer, TokenRequest) {
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let grant = match field("grant_type") {
            JWT_BEARER => verify(field("assertion"), token_url, times, now),
            "refresh_token" => person(field("refresh_token") == REFRESH_TOKEN, field("client_id"), now),
            "authorization_code" => person(field("code") == AUTHORIZATION_CODE, field("client_id"), now),
            _ => Err(TokenRefusal("unsupported_grant_type", "Invalid grant_type")),
        };
        let mut log =
            TokenRequest { grant: field("grant_type").to_owned(), subject: None, scopes: Vec::new(), status: 200 };
        let answer = match grant {
            Err(refusal) => Answer::from(refusal),
            Ok(grant) => {
                log.subject.clone_from(&grant.subject);
                log.scopes.clone_from(&grant.scopes);
                self.issue(grant, token_url, field("grant_type") == "authorization_code")
            }
        };
        log.status = answer.status;
        (answer, log)
    }

    fn issue(&mut self, grant: Grant, token_url: &str, first: bool) -> Answer {
        self.issued += 1;
        // The address makes it unique among simulations in one process.
        let address = BASE64URL_NOPAD.encode(token_url.as_bytes());
        let token = format!("simulated-{address}-{}", self.issued);
        let mut answer = json!({
            "access_token": token,
            "expires_in": HOUR.num_seconds() - 1,
            "scope": grant.scopes.join(" "),
            "token_type": "Bearer",
        });
        // Google gives the refresh token only with the code.
        if first {
            answer["refresh_token"] = json!(REFRESH_TOKEN);
        }
        self.valid.insert(token, grant);
        Answer::json(200, answer)
    }
}

/// An OAuth error: code and description (RFC 6749 section 5.2).
pub(super) struct TokenRefusal(pub(super) &'static str, pub(super) &'static str);

impl From<TokenRefusal> for Answer {
    fn from(TokenRefusal(error, description): TokenRefusal) -> Self {
        Self::json(400, json!({ "error": error, "error_description": description }))
    }
}

impl TokenRefusal {
    fn grant(description: &'static str) -> Self {
        Self("invalid_grant", description)
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    exp: i64,
    iat: i64,
    scope: String,
    sub: Option<String>,
}

fn verify(assertion: &str, token_url: &str, times: TokenTimes, now: DateTime<Utc>) -> Result<Grant, TokenRefusal> {
    let malformed = || TokenRefusal::grant("Invalid JWT: malformed assertion.");
    let (signed, signature) = assertion.rsplit_once('.').ok_or_else(malformed)?;
    let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
    let header: Value = decode(header).ok_or_else(malformed)?;
    let signature = decode_bytes(signature).ok_or_else(malformed)?;
    if header["alg"] != "RS256" || !is_signed(signed.as_bytes(), &signature) {
        return Err(TokenRefusal::grant("Invalid JWT Signature."));
    }
    let claims: Claims = decode(claims).ok_or_else(malformed)?;
    if claims.iss != CLIENT_EMAIL {
        return Err(TokenRefusal::grant("Invalid grant: account not found"));
    }
    if claims.aud != token_url {
        return Err(TokenRefusal::grant("Invalid JWT: Failed audience check."));
    }
    check_times(&claims, times, now)?;
    let scopes: Vec<String> = claims.scope.split_whitespace().map(str::to_owned).collect();
    if !scopes.iter().any(|scope| is_calendar_scope(scope)) {
        return Err(TokenRefusal("invalid_scope", "Invalid OAuth scope or ID token audience provided."));
    }
    Ok(Grant { scopes, subject: claims.sub, service_account: true, expires: now + HOUR })
}

/// Google's documentation: `exp` at most an hour after `iat`, and both around now.
fn check_times(claims: &Claims, times: TokenTimes, now: DateTime<Utc>) -> Result<(), TokenRefusal> {
    let refusal = || {
        TokenRefusal::grant(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your \
             iat and exp values in the JWT claim.",
        )
    };
    let issued = DateTime::from_timestamp(claims.iat, 0).ok_or_else(refusal)?;
    let expires = DateTime::from_timestamp(claims.exp, 0).ok_or_else(refusal)?;
    let short_lived = expires > issued && expires - issued <= HOUR;
    let around_now = times == TokenTimes::Ignore || (issued <= now + SKEW && now < expires);
    (short_lived && around_now).then_some(()).ok_or_else(refusal)
}

fn person(proven: bool, client_id: &str, now: DateTime<Utc>) -> Result<Grant, TokenRefusal> {
    if client_id.is_empty() {
        return Err(TokenRefusal("invalid_client", "The OAuth client was not found."));
    }
    if !proven {
        return Err(TokenRefusal::grant("Bad Request"));
    }
    Ok(Grant {
        scopes: vec![format!("{SCOPE_PREFIX}calendar")],
        subject: None,
        service_account: false,
        expires: now + HOUR,
    })
}

fn is_calendar_scope(scope: &str) -> bool {
    scope.strip_prefix(SCOPE_PREFIX).is_some_and(|name| name == "calendar" || name.starts_with("calendar."))
}

/// RS256 (RFC 7518 section 3.3) with the fixture's public key.
fn is_signed(message: &[u8], signature: &[u8]) -> bool {
    let body: String = PUBLIC_KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let Ok(public_key) = BASE64.decode(body.as_bytes()) else {
        return false;
    };
    ring::default_provider()
        .signature_verification_algorithms
        .mapping
        .iter()
        .filter(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256)
        .flat_map(|(_, algorithms)| algorithms.iter())
        .any(|algorithm| algorithm.verify_signature(&public_key, message, signature).is_ok())
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&decode_bytes(part)?).ok()
}

/// yup-oauth2 sends base64url with padding, others without.
fn decode_bytes(part: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(part.trim_end_matches('=').as_bytes()).ok()
}
