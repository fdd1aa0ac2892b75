//! Protection of forms against requests that another site makes in an admin's name: a token in a cookie, and its keyed
//! hash in every form (axum_csrf).

use axum_csrf::{CsrfConfig, CsrfToken, Key, SameSite};
use data_encoding::HEXLOWER;

use super::secret_key::SecretKey;
use super::session::cookie_name;

/// The protection's settings; `secure` when people come by https.
pub fn config(secret: &SecretKey, secure: bool) -> CsrfConfig {
    let key = [secret.derive("form cookie, signing"), secret.derive("form cookie, encryption")].concat();
    CsrfConfig::default()
        .with_cookie_name(&cookie_name("meeting-mirror-form", secure))
        .with_cookie_same_site(SameSite::Strict)
        .with_http_only(true)
        .with_secure(secure)
        .with_key(Some(Key::from(&key)))
        .with_salt(HEXLOWER.encode(&secret.derive("form token")))
}

/// The text of the hidden field `token` of a form. It verifies only beside the cookie that the page sets.
pub fn field(token: &CsrfToken) -> String {
    // The only error is a key of a wrong length, and HMAC takes any. An empty field would verify with nothing.
    token.authenticity_token().unwrap_or_default()
}
