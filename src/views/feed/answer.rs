//! The HTTP answer of a feed that is ready: its bytes, or that the asker has them already (RFC 9110; facts: ICS subscribers
//! 11–15). Nothing here waits for anything.

use std::time::SystemTime;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;

/// The bytes of a feed with the headers that say which they are.
#[derive(Debug)]
pub(in crate::views) struct Content {
    /// The calendar text.
    pub(super) body: Bytes,
    /// SHA-256 of the text.
    pub(super) digest: Vec<u8>,
    /// Whole seconds.
    pub(super) last_modified_at: DateTime<Utc>,
    etag: HeaderValue,
    last_modified: HeaderValue,
}

/// Whether programs may keep an answer: one's own only, and never without asking again whether it is still the latest.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, no-cache");
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/calendar; charset=utf-8");

impl Content {
    pub(super) fn new(body: Bytes, digest: Vec<u8>, last_modified_at: DateTime<Utc>) -> Self {
        let etag = format!("\"{}\"", HEXLOWER.encode(&digest[..16.min(digest.len())]));
        let last_modified = httpdate::fmt_http_date(SystemTime::from(last_modified_at));
        let header = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        Self { body, digest, last_modified_at, etag: header(etag), last_modified: header(last_modified) }
    }

    /// 200 with the bytes, or 304. HEAD is answered by axum as GET without the body.
    pub(super) fn answer(&self, request: &HeaderMap) -> Response {
        let is_known = self.is_known(request);
        let mut response = Response::new(if is_known { Body::empty() } else { Body::from(self.body.clone()) });
        let headers = response.headers_mut();
        // With those that every answer has.
        headers.reserve(12);
        if !is_known {
            headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
        }
        // Also with 304, as with the 200 it stands for (RFC 9110 section 8.6): without it a 304 to HEAD would say 0. In a 304 to
        // GET hyper leaves it out.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        headers.insert(header::ETAG, self.etag.clone());
        headers.insert(header::LAST_MODIFIED, self.last_modified.clone());
        headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        response
    }

    /// Whether the asker has these bytes. The ETag wins over the date (RFC 9110 section 13.2.2).
    fn is_known(&self, request: &HeaderMap) -> bool {
        if request.contains_key(header::IF_NONE_MATCH) {
            return request.get_all(header::IF_NONE_MATCH).iter().any(|value| self.is_named_by(value));
        }
        let since = request.get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
        let since = since.and_then(|text| httpdate::parse_http_date(text).ok()).map(DateTime::<Utc>::from);
        since.is_some_and(|since| self.last_modified_at <= since)
    }

    /// Whether an If-None-Match value names the tag: a list, `*`, and weak tags count (RFC 9110 section 13.1.2).
    fn is_named_by(&self, value: &HeaderValue) -> bool {
        let Ok(text) = value.to_str() else { return false };
        text.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: &[(header::HeaderName, &str)]) -> u16 {
        let at = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let content = Content::new(Bytes::from_static(b"text"), vec![0xab; 32], at);
        let request: HeaderMap =
            request.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect();
        content.answer(&request).status().as_u16()
    }

    #[test]
    fn fact_13_the_etag_takes_lists_stars_and_weak_tags_and_wins_over_the_date() {
        let tag = "\"abababababababababababababababab\"";
        let (none_match, since) = (header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE);
        assert_eq!(status(&[]), 200);
        assert_eq!(status(&[(none_match.clone(), tag)]), 304);
        assert_eq!(status(&[(none_match.clone(), &format!("\"x\", W/{tag}"))]), 304);
        assert_eq!(status(&[(none_match.clone(), "\"x\""), (none_match.clone(), tag)]), 304);
        assert_eq!(status(&[(none_match.clone(), "*")]), 304);
        assert_eq!(status(&[(none_match.clone(), "\"x\""), (since.clone(), "Tue, 01 Jan 2030 00:00:00 GMT")]), 200);
        assert_eq!(status(&[(since.clone(), "Mon, 21 Sep 2026 14:13:20 GMT")]), 304);
        assert_eq!(status(&[(since.clone(), "Monday, 21-Sep-26 14:13:20 GMT")]), 304);
        assert_eq!(status(&[(since.clone(), "Mon Sep 21 14:13:20 2026")]), 304);
        assert_eq!(status(&[(since.clone(), "Mon, 21 Sep 2026 14:13:19 GMT")]), 200);
        assert_eq!(status(&[(since, "nonsense")]), 200);
    }
}
