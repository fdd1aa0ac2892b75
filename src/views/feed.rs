//! The feed itself: `GET` and `HEAD` of `/feeds/<token>.ics`. An error never empties a feed: when it can't be rendered, the
//! last good bytes are served, and 503 only if there are none (facts: ICS subscribers 14).

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use futures_util::FutureExt as _;
use sha2::{Digest, Sha256};

use super::feed_text;
use super::feed_token::{FeedTokenError, feed_by_token};
use crate::meeting::state::whole_seconds;
use crate::store::{Feed, MeetingFilter, Rendition, Store, StoreError};
use crate::web::problem::Problem;
use crate::web::site::Site;

/// Days that a canceled meeting stays in a feed, struck through, before it is left out (facts: ICS subscribers 8).
pub const CANCELED_DAYS: u32 = 7;

/// The feed's route.
pub fn router() -> Router<Site> {
    let not_allowed = || async {
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "A feed can only be read.");
        ([(header::ALLOW, "GET, HEAD")], problem)
    };
    Router::new().route("/feeds/{file}", get(serve).fallback(not_allowed))
}

/// Why a feed can't be rendered.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("rendering it panicked")]
    Panicked,
}

/// Turns a panic into a fault.
async fn unpanicked<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, Fault> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Fault::Panicked),
    }
}

/// Renders a feed as it is now. Nothing is kept.
///
/// # Errors
/// When the database can't be read.
pub async fn render(
    store: &Store,
    installation_id: &str,
    feed: &Feed,
    now: DateTime<Utc>,
) -> Result<Rendition, StoreError> {
    let wish = &feed.wish;
    let filter = MeetingFilter { text: None, from: Some(wish.window.opens(now)), until: Some(wish.window.closes(now)) };
    let mut meetings = store.meetings(&filter, u32::MAX).await?;
    meetings.retain(|meeting| wish.selection.check(&meeting.details).is_ok());
    let text = feed_text::render(&wish.name, installation_id, wish.detail, wish.window, CANCELED_DAYS, &meetings, now);
    let digest = Sha256::digest(&text.body).to_vec();
    Ok(Rendition { body: text.body, digest, last_modified_at: whole_seconds(now), left_out: text.left_out })
}

/// Renders a feed and keeps it, so that Last-Modified only rises and the last good bytes survive a fault.
async fn refresh(site: &Site, feed: &Feed) -> Result<Rendition, Fault> {
    let mut fresh = unpanicked(render(&site.store, &site.installation_id, feed, site.clock.now())).await?;
    if let Some(kept) = site.store.rendition(feed.id).await?
        && kept.digest == fresh.digest
    {
        return Ok(kept);
    }
    let mut tx = site.store.write().await?;
    fresh.last_modified_at = tx.keep_rendition(feed.id, &fresh).await?;
    tx.commit().await?;
    Ok(fresh)
}

async fn serve(State(site): State<Site>, file: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Response {
    let unknown =
        || Problem::new(StatusCode::NOT_FOUND, "no_such_feed", "There is no feed under this link.").into_response();
    let Ok(Path(file)) = file else { return unknown() };
    let Some(token) = file.strip_suffix(".ics") else { return unknown() };
    let feed = match feed_by_token(&site, token).await {
        Ok(feed) => feed,
        Err(FeedTokenError::Unknown) => return unknown(),
        Err(FeedTokenError::Rotated | FeedTokenError::Revoked) => {
            let text = "This link was ended. Ask whoever gave it to you for a new one.";
            return Problem::new(StatusCode::GONE, "link_ended", text).into_response();
        }
        Err(FeedTokenError::Store(error)) => return unavailable(&error.into()),
    };
    let rendition = match refresh(&site, &feed).await {
        Ok(rendition) => rendition,
        Err(error) => match site.store.rendition(feed.id).await {
            Ok(Some(kept)) => {
                tracing::error!(feed_id = feed.id, %error, cause = ?error, "a feed could not be rendered; serving its last good bytes");
                kept
            }
            _ => return unavailable(&error),
        },
    };
    answer(&headers, rendition)
}

fn unavailable(error: &Fault) -> Response {
    tracing::error!(%error, cause = ?error, "a feed could not be served");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The feed can't be served now. Please come again.")
        .retry_after(60)
        .into_response()
}

/// 200 with the bytes, or 304. HEAD is answered by axum as GET without the body.
fn answer(headers: &HeaderMap, rendition: Rendition) -> Response {
    let etag = format!("\"{}\"", HEXLOWER.encode(&rendition.digest[..16.min(rendition.digest.len())]));
    let modified = rendition.last_modified_at;
    let not_modified = match headers.get(header::IF_NONE_MATCH) {
        // The ETag wins over the date (RFC 9110 section 13.2.2).
        Some(_) => headers.get_all(header::IF_NONE_MATCH).iter().any(|value| names(value, &etag)),
        None => headers.get(header::IF_MODIFIED_SINCE).and_then(http_date).is_some_and(|since| modified <= since),
    };
    let length = rendition.body.len();
    let mut response = if not_modified {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(rendition.body).into_response()
    };
    let headers = response.headers_mut();
    let mut set = |name, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    set(header::ETAG, etag);
    set(header::LAST_MODIFIED, modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
    set(header::CACHE_CONTROL, "private, max-age=300".to_owned());
    if !not_modified {
        set(header::CONTENT_TYPE, "text/calendar; charset=utf-8".to_owned());
        set(header::CONTENT_LENGTH, length.to_string());
    }
    response
}

/// Whether an If-None-Match value names the tag: a list, `*`, and weak tags count (RFC 9110 section 13.1.2).
fn names(value: &HeaderValue, etag: &str) -> bool {
    let Ok(text) = value.to_str() else { return false };
    text.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The three date forms of RFC 9110 section 5.6.7 that still occur begin alike; only the first is sent today.
fn http_date(value: &HeaderValue) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(value.to_str().ok()?).ok().map(|date| date.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;

    fn status(request: &[(header::HeaderName, &str)]) -> u16 {
        let rendition = Rendition {
            body: b"text".to_vec(),
            digest: vec![0xab; 32],
            last_modified_at: DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
            left_out: 0,
        };
        let headers: HeaderMap =
            request.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect();
        answer(&headers, rendition).status().as_u16()
    }

    #[tokio::test]
    async fn a_panic_is_a_fault_like_any_other() {
        let fine = unpanicked(async { Ok(1) }).await;
        assert!(matches!(fine, Ok(1)), "{fine:?}");
        let panics = unpanicked::<()>(async { panic!("made to fail") }).await;
        assert!(matches!(panics, Err(Fault::Panicked)), "{panics:?}");
    }

    #[tokio::test]
    async fn what_is_no_feed_and_what_can_not_be_done_to_one_are_told_to_programs() {
        let stage = Stage::new().await;
        let mut visitor = stage.visitor();
        let answer = visitor.get("/feeds/%FF.ics").await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (404, "application/problem+json"));
        let answer = visitor.post("/feeds/x.ics", &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (405, "application/problem+json"));
        assert_eq!(answer.header("allow"), "GET, HEAD");
    }

    #[test]
    fn fact_13_the_etag_takes_lists_stars_and_weak_tags_and_wins_over_the_date() {
        let tag = "\"abababababababababababababababab\"";
        let (none_match, since) = (header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE);
        assert_eq!(status(&[]), 200);
        assert_eq!(status(&[(none_match.clone(), tag)]), 304);
        assert_eq!(status(&[(none_match.clone(), &format!("\"x\", W/{tag}"))]), 304);
        assert_eq!(status(&[(none_match.clone(), "*")]), 304);
        assert_eq!(status(&[(none_match.clone(), "\"x\""), (since.clone(), "Tue, 01 Jan 2030 00:00:00 GMT")]), 200);
        assert_eq!(status(&[(since.clone(), "Mon, 21 Sep 2026 14:13:20 GMT")]), 304);
        assert_eq!(status(&[(since.clone(), "Mon, 21 Sep 2026 14:13:19 GMT")]), 200);
        assert_eq!(status(&[(since, "nonsense")]), 200);
    }
}
