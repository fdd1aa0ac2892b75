//! For those who run the service: is it alive, can it work, what are its numbers. None of it needs a session and none of
//! it tells of people.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::feed::FeedCache;
use super::metrics;
use crate::store::{Fact, StoreError};
use crate::web::problem::Problem;
use crate::web::site::Site;

/// A database that takes longer than this to answer is not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

pub(super) fn router(feeds: FeedCache) -> Router<Site> {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .route("/robots.txt", get(robots))
        .with_state(feeds)
}

const NOT_KEPT: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

async fn live() -> impl IntoResponse {
    ([NOT_KEPT], "ok\n")
}

async fn ready(State(site): State<Site>) -> Response {
    match tokio::time::timeout(READY_WITHIN, try_database(&site)).await {
        Ok(Ok(())) => ([NOT_KEPT], "ready\n").into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, cause = ?error, "not ready: the database failed");
            not_ready("The database can't be read and written.")
        }
        Err(_) => {
            tracing::warn!("not ready: the database did not answer in time");
            not_ready("The database does not answer in time.")
        }
    }
}

/// Reads, and takes the right to write without writing: a probe every few seconds must not cost a flush to disk each.
async fn try_database(site: &Site) -> Result<(), StoreError> {
    site.store.fact(Fact::Id).await?;
    site.store.write().await.map(drop)
}

fn not_ready(detail: &'static str) -> Response {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", detail).retry_after(5).into_response()
}

async fn numbers(State(feeds): State<FeedCache>) -> Response {
    match metrics::text(&feeds).await {
        Ok(text) => ([NOT_KEPT, (header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, cause = ?error, "the metrics could not be read");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The numbers can't be read now.")
                .into_response()
        }
    }
}

/// Calendar programs' importers obey it, so it forbids nothing (facts: ICS subscribers 16); pages answer `noindex`.
async fn robots() -> &'static str {
    "User-agent: *\nDisallow:\n"
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use axum::http::StatusCode;

    #[tokio::test]
    async fn it_is_ready_as_long_as_the_database_is() {
        let stage = Stage::new().await;
        let mut probe = stage.visitor();
        assert_eq!(probe.get("/livez").await.body, "ok\n");
        assert_eq!(probe.get("/readyz").await.status, StatusCode::OK);
        assert_eq!(probe.get("/readyz").await.status, StatusCode::OK, "the right to write was given back");
        stage.site.store.close().await;
        assert_eq!(probe.get("/livez").await.status, StatusCode::OK);
        let answer = probe.get("/readyz").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(answer.body.contains("not-ready") && !answer.body.contains("pool"));
        assert_eq!(probe.get("/metrics").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn robots_may_read_feeds() {
        let stage = Stage::new().await;
        assert_eq!(stage.visitor().get("/robots.txt").await.body, "User-agent: *\nDisallow:\n");
    }
}
