//! Whether a delivery was signed with one of our keys. The sender's documentation leaves header, hash and encoding open
//! (facts: Cirrus Insight, Signature), so every plausible place is tried; only a holder of a key can produce a value
//! that matches, so this is as safe as one fixed header.

use std::fmt;

use axum::http::HeaderMap;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};

/// Header names with one of these in them may carry a signature.
const NAME_HINTS: [&str; 4] = ["signature", "hmac", "digest", "hash"];
/// Prefixes that some senders put before the value.
const PREFIXES: [&str; 4] = ["sha256=", "sha512=", "v1=", "v1,"];
/// More candidates than this in one request are not looked at: the work per request stays bounded.
const MOST_CANDIDATES: usize = 16;
/// The longest candidate worth decoding: a SHA-512 in hex with a prefix is 135 characters.
const LONGEST_CANDIDATE: usize = 256;

/// The keys that are active, and where to look for the signature.
#[derive(Clone)]
pub struct Verifier {
    keys: Vec<SigningKey>,
    pinned_header: Option<String>,
}

#[derive(Clone)]
struct SigningKey {
    /// The key's text as bytes.
    text: Vec<u8>,
    /// What the text means as base64, without the `whsec_` of Standard Webhooks keys.
    decoded: Option<Vec<u8>>,
}

/// What matched: shown on the status page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    header: String,
    scheme: &'static str,
    /// Counted from 1, in the order of the setting.
    key_number: usize,
}

impl fmt::Display for Matched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, key {}", self.header, self.scheme, self.key_number)
    }
}

/// Why a delivery is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No header that could carry a signature.
    #[error("no signature was found in the request")]
    Missing,
    /// Signed with another key, or the body was changed on the way.
    #[error("the signature does not match the body with any active signing key")]
    Mismatch,
}

impl Verifier {
    /// Verifies with any of `keys`. With `pinned_header`, only that header counts.
    pub fn new(keys: &[String], pinned_header: Option<&str>) -> Self {
        let keys = keys.iter().map(|key| SigningKey::new(key)).collect();
        Self { keys, pinned_header: pinned_header.map(str::to_ascii_lowercase) }
    }

    /// Compares in constant time. Each key goes over the body once, however many candidates there are.
    ///
    /// # Errors
    /// When nothing in the headers signs exactly these bytes with an active key.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Matched, Refused> {
        let candidates: Vec<(&str, &str)> = headers
            .iter()
            .filter(|(name, _)| self.may_carry(name.as_str()))
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .flat_map(|(name, value)| value.split_ascii_whitespace().map(move |candidate| (name, candidate)))
            .filter(|(_, candidate)| candidate.len() <= LONGEST_CANDIDATE)
            .take(MOST_CANDIDATES)
            .collect();
        if candidates.is_empty() {
            return Err(Refused::Missing);
        }
        let values: Vec<(&str, Vec<u8>)> = candidates
            .into_iter()
            .flat_map(|(name, candidate)| decodings(candidate).map(move |value| (name, value)))
            .collect();
        let standard = standard_webhooks_prefix(headers);
        let standard = standard.as_ref().map(String::as_bytes);
        for (index, key) in self.keys.iter().enumerate() {
            for secret in key.secrets() {
                if let Some((header, scheme)) = matches(secret, &values, standard, body) {
                    return Ok(Matched { header: header.to_owned(), scheme, key_number: index + 1 });
                }
            }
        }
        Err(Refused::Mismatch)
    }

    fn may_carry(&self, header: &str) -> bool {
        match &self.pinned_header {
            Some(pinned) => header == pinned,
            None => NAME_HINTS.iter().any(|hint| header.contains(hint)),
        }
    }
}

/// The header whose value is made with this secret, and how.
fn matches<'h>(
    secret: &[u8],
    values: &[(&'h str, Vec<u8>)],
    standard: Option<&[u8]>,
    body: &[u8],
) -> Option<(&'h str, &'static str)> {
    hit::<Hmac<Sha256>>(secret, values, 32, &[body])
        .map(|header| (header, "HMAC-SHA256"))
        .or_else(|| hit::<Hmac<Sha512>>(secret, values, 64, &[body]).map(|header| (header, "HMAC-SHA512")))
        .or_else(|| {
            let header = hit::<Hmac<Sha256>>(secret, values, 32, &[standard?, body])?;
            Some((header, "Standard Webhooks"))
        })
}

/// The header that carries the MAC of these parts. It is made once, and only when a value has its length.
fn hit<'h, M: Mac + KeyInit + Clone>(
    secret: &[u8],
    values: &[(&'h str, Vec<u8>)],
    length: usize,
    parts: &[&[u8]],
) -> Option<&'h str> {
    let mut fitting = values.iter().filter(|(_, value)| value.len() == length).peekable();
    fitting.peek()?;
    let mac = keyed::<M>(secret, parts);
    fitting.find(|(_, value)| mac.clone().verify_slice(value).is_ok()).map(|(header, _)| *header)
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({} keys, header {:?})", self.keys.len(), self.pinned_header)
    }
}

impl SigningKey {
    fn new(text: &str) -> Self {
        let base64 = text.strip_prefix("whsec_").unwrap_or(text).trim_end_matches('=');
        Self {
            text: text.as_bytes().to_vec(),
            decoded: BASE64_NOPAD.decode(base64.as_bytes()).ok().filter(|key| !key.is_empty()),
        }
    }

    fn secrets(&self) -> impl Iterator<Item = &[u8]> {
        [Some(&self.text), self.decoded.as_ref()].into_iter().flatten().map(Vec::as_slice)
    }
}

/// The value of the header `x-webhook-signature` for this body: what `send` and the demo sign with.
pub fn sign(key: &str, body: &[u8]) -> String {
    let mac = keyed::<Hmac<Sha256>>(key.as_bytes(), &[body]).finalize().into_bytes();
    format!("sha256={}", data_encoding::HEXLOWER.encode(&mac))
}

/// `{webhook-id}.{webhook-timestamp}.` of the Standard Webhooks specification. The time is not held against a
/// tolerance: a delivery played again is a duplicate and changes nothing, while a clock that is off would lose meetings.
fn standard_webhooks_prefix(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    Some(format!("{}.{}.", text("webhook-id")?, text("webhook-timestamp")?))
}

/// Every way to read the value as bytes of a SHA-256 or SHA-512.
fn decodings(candidate: &str) -> impl Iterator<Item = Vec<u8>> {
    let bare = PREFIXES
        .iter()
        .find_map(|prefix| {
            candidate
                .get(..prefix.len())
                .filter(|head| head.eq_ignore_ascii_case(prefix))
                .map(|_| &candidate[prefix.len()..])
        })
        .unwrap_or(candidate);
    [HEXLOWER_PERMISSIVE, BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD]
        .into_iter()
        .filter_map(move |encoding| encoding.decode(bare.as_bytes()).ok())
        .filter(|bytes| matches!(bytes.len(), 32 | 64))
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104 section 3)")]
fn keyed<M: Mac + KeyInit>(secret: &[u8], parts: &[&[u8]]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(secret).expect("any key length is fine");
    for part in parts {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    const BODY: &[u8] = br#"{"eventId":"evt-1"}"#;

    fn headers(pairs: &[(&str, String)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    fn mac256(key: &[u8], body: &[u8]) -> Vec<u8> {
        keyed::<Hmac<Sha256>>(key, &[body]).finalize().into_bytes().to_vec()
    }

    fn verify(keys: &[&str], pinned: Option<&str>, pairs: &[(&str, String)]) -> Result<String, Refused> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        Verifier::new(&keys, pinned).verify(&headers(pairs), BODY).map(|matched| matched.to_string())
    }

    #[test]
    fn every_encoding_prefix_and_header_name_is_found() {
        let mac = mac256(b"key", BODY);
        let values = [
            data_encoding::HEXLOWER.encode(&mac),
            data_encoding::HEXUPPER.encode(&mac),
            BASE64.encode(&mac),
            BASE64_NOPAD.encode(&mac),
            BASE64URL.encode(&mac),
            BASE64URL_NOPAD.encode(&mac),
        ];
        for name in ["x-signature", "x-cirrus-hmac", "content-digest", "x-body-hash"] {
            for prefix in ["", "sha256=", "SHA256=", "v1=", "v1,"] {
                for value in &values {
                    let found = verify(&["other", "key"], None, &[(name, format!("{prefix}{value}"))]);
                    assert_eq!(found, Ok(format!("{name}, HMAC-SHA256, key 2")), "{prefix}{value}");
                }
            }
        }
    }

    #[test]
    fn sha512_is_found() {
        let mac = keyed::<Hmac<Sha512>>(b"key", &[BODY]).finalize().into_bytes();
        let value = format!("sha512={}", data_encoding::HEXLOWER.encode(&mac));
        assert_eq!(verify(&["key"], None, &[("x-signature", value)]), Ok("x-signature, HMAC-SHA512, key 1".into()));
    }

    #[test]
    fn standard_webhooks_triples_are_found_among_several_values() {
        let secret = b"0123456789abcdef01234567";
        let mac = mac256(secret, format!("msg_1.1790000000.{}", String::from_utf8_lossy(BODY)).as_bytes());
        let pairs = [
            ("webhook-id", "msg_1".to_owned()),
            ("webhook-timestamp", "1790000000".to_owned()),
            ("webhook-signature", format!("v1,AAAA v1,{}", BASE64.encode(&mac))),
        ];
        let key = format!("whsec_{}", BASE64.encode(secret));
        assert_eq!(verify(&[&key], None, &pairs), Ok("webhook-signature, Standard Webhooks, key 1".into()));
    }

    #[test]
    fn a_pinned_header_excludes_all_others() {
        let value = sign("key", BODY);
        assert!(verify(&["key"], Some("X-Signature"), &[("x-signature", value.clone())]).is_ok());
        assert_eq!(verify(&["key"], Some("X-Signature"), &[("x-hmac", value)]), Err(Refused::Missing));
    }

    #[test]
    fn wrong_keys_changed_bodies_and_noise_are_refused() {
        assert_eq!(verify(&["key"], None, &[]), Err(Refused::Missing));
        assert_eq!(verify(&["key"], None, &[("x-signature", sign("other", BODY))]), Err(Refused::Mismatch));
        assert_eq!(verify(&["key"], None, &[("x-signature", sign("key", b"{}"))]), Err(Refused::Mismatch));
        assert_eq!(verify(&[], None, &[("x-signature", sign("", BODY))]), Err(Refused::Mismatch));
        for empty in ["whsec_", "="] {
            assert_eq!(verify(&[empty], None, &[("x-signature", sign("", BODY))]), Err(Refused::Mismatch));
        }
        let noise = "aa ".repeat(MOST_CANDIDATES + 1) + &sign("key", BODY);
        assert_eq!(verify(&["key"], None, &[("x-signature", noise)]), Err(Refused::Mismatch));
    }
}
