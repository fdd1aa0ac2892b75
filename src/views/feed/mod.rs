//! The feeds: meetings in, ICS bytes out. `GET` and `HEAD` of `/feeds/<token>.ics`.
//!
//! The way of a request: `token` → `cache` → (only when something in the feed changed) `render` → `draft` → `text` → `answer`,
//! counted by `fetches`.

mod answer;
mod cache;
pub mod draft;
mod fetches;
pub mod lint;
pub mod personal;
mod program;
mod render;
mod slot;
pub mod text;
mod token;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub use cache::{CacheCounts, FeedCache, ROUND};
pub use program::Program;
pub use render::{Fault, render};

use self::token::FeedTokenError;
use crate::web::problem::Problem;
use crate::web::site::Site;

/// Tries when a feed is edited at the very moment at which it is asked for.
const TRIES: usize = 3;

/// The feed's route.
pub(super) fn router(cache: FeedCache) -> Router<Site> {
    let not_allowed = || async {
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "A feed can only be read.");
        ([(header::ALLOW, "GET, HEAD")], problem)
    };
    Router::new().route("/feeds/{file}", get(serve).fallback(not_allowed)).with_state(cache)
}

async fn serve(State(cache): State<FeedCache>, request: Request) -> Response {
    // A token has no letters that a path would encode.
    let token = request.uri().path().strip_prefix("/feeds/").and_then(|file| file.strip_suffix(".ics"));
    let Some(token) = token else { return unknown() };
    let headers = request.headers();
    let (feed_id, response) = answer(&cache, token, headers).await;
    if let Some(feed_id) = feed_id {
        let program = Program::of(headers.get(header::USER_AGENT).map(HeaderValue::as_bytes));
        cache.fetches().count(feed_id, program, response.status().as_u16(), cache.site().clock.now());
    }
    response
}

/// The answer, and the feed that the link leads or led to.
async fn answer(cache: &FeedCache, token: &str, headers: &HeaderMap) -> (Option<i64>, Response) {
    for _ in 0..TRIES {
        let slot = match cache.by_token(token).await {
            Ok(slot) => slot,
            Err(FeedTokenError::Unknown) => return (None, unknown()),
            Err(FeedTokenError::Rotated(feed_id) | FeedTokenError::Revoked(feed_id)) => {
                let text = "This link was ended. Ask whoever gave it to you for a new one.";
                return (Some(feed_id), Problem::new(StatusCode::GONE, "link_ended", text).into_response());
            }
            Err(FeedTokenError::Unreadable) => return (None, busy()),
            Err(FeedTokenError::Store(error)) => return (None, unavailable(&error.into())),
        };
        match cache.current(&slot).await {
            Ok(cached) => return (Some(slot.feed.id), cached.content.answer(headers)),
            Err(Fault::Outdated) => {}
            // It is in the log already, with its cause.
            Err(_) => return (Some(slot.feed.id), busy()),
        }
        if let Err(error) = cache.catch_up().await {
            return (Some(slot.feed.id), unavailable(&error.into()));
        }
    }
    (None, unavailable(&Fault::Outdated))
}

fn unknown() -> Response {
    Problem::new(StatusCode::NOT_FOUND, "no_such_feed", "There is no feed under this link.").into_response()
}

fn unavailable(error: &Fault) -> Response {
    tracing::error!(%error, cause = ?error, "a feed could not be served");
    busy()
}

fn busy() -> Response {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The feed can't be served now. Please come again.")
        .retry_after(60)
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;

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
}
