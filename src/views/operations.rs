//! For those who run the service: is it alive, can it work, what are its numbers. None of it needs a session and none of
//! it tells of people.

use std::borrow::Cow;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::feed::FeedCache;
use super::metrics;
use crate::lifecycle::PulseAge;
use crate::store::StoreError;
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
    if let Some(stuck) = site.pulses.ages().into_iter().find(PulseAge::is_stuck) {
        let (worker, seconds) = (stuck.worker, stuck.age.as_secs());
        tracing::warn!(worker, seconds, "not ready: a worker hangs");
        let detail = format!("The worker “{worker}” hangs: it last went round {seconds} s ago. Restart the service.");
        return not_ready("worker_stuck", detail);
    }
    match tokio::time::timeout(READY_WITHIN, try_database(&site)).await {
        Ok(Ok(true)) => ([NOT_KEPT], "ready\n").into_response(),
        Ok(Ok(false)) => {
            tracing::warn!("not ready: the tables of the database are not those of this version");
            let detail =
                "The tables of the database are of an older version. Restart the service: that brings them up to date.";
            not_ready("migrations_pending", detail)
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, cause = ?error, "not ready: the database failed");
            not_ready("database_failed", "The database can't be read and written. The log says why.")
        }
        Err(_) => {
            tracing::warn!("not ready: the database did not answer in time");
            not_ready("database_slow", "The database does not answer in time: another program may hold it.")
        }
    }
}

/// Reads, and takes the right to write without writing: a probe every few seconds must not cost a flush to disk each. Returns
/// whether the tables are those of this version.
async fn try_database(site: &Site) -> Result<bool, StoreError> {
    let is_current = site.store.is_current().await?;
    site.store.write().await.map(drop)?;
    Ok(is_current)
}

fn not_ready(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Response {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(5).into_response()
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
    use chrono::TimeDelta;
    use std::time::Duration;

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
        assert!(answer.body.contains("database_failed") && !answer.body.contains("pool"));
        assert_eq!(probe.get("/metrics").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn a_worker_that_hangs_makes_it_not_ready_until_it_goes_round_again() {
        let stage = Stage::new().await;
        let mut probe = stage.visitor();
        let pulse = stage.site.pulses.begin("mirror", Duration::from_mins(20));
        stage.clock.advance(TimeDelta::minutes(20));
        assert_eq!(probe.get("/readyz").await.status, StatusCode::OK);
        stage.clock.advance(TimeDelta::seconds(1));
        let answer = probe.get("/readyz").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.body.contains("worker_stuck") && answer.body.contains("“mirror” hangs"), "{}", answer.body);
        pulse.beat();
        assert_eq!(probe.get("/readyz").await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn tables_of_an_older_version_are_not_ready() {
        let stage = Stage::new().await;
        let last = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
        stage.site.store.tamper(&[last]).await;
        let answer = stage.visitor().get("/readyz").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.body.contains("migrations_pending"), "{}", answer.body);
    }

    #[tokio::test]
    async fn robots_may_read_feeds() {
        let stage = Stage::new().await;
        assert_eq!(stage.visitor().get("/robots.txt").await.body, "User-agent: *\nDisallow:\n");
    }
}
