//! For those who run the service: is it alive, can it work, what are its numbers. None of it needs a session and none of
//! it tells of people.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;

use super::feed::FeedCache;
use super::metrics;
use crate::clock::SharedClock;
use crate::lifecycle::PulseAge;
use crate::store::StoreError;
use crate::web::problem::Problem;
use crate::web::site::Site;

/// A database that takes longer than this to answer is not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);
/// Its answer counts for so long.
const KEPT_FOR: Duration = Duration::from_secs(1);

pub(super) fn router(feeds: FeedCache) -> Router<Site> {
    let kept = KeptAnswer::default();
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(move |State(site): State<Site>| ready(site, kept.clone())))
        .route("/metrics", get(numbers))
        .route("/robots.txt", get(robots))
        .with_state(feeds)
}

const NOT_KEPT: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

async fn live() -> impl IntoResponse {
    ([NOT_KEPT], "ok\n")
}

/// What the database answered last, and when by the clock that never runs back. Anybody may ask, and whoever stores a delivery
/// waits for its turn behind them: so one asks, and the others get the same.
#[derive(Debug, Clone, Default)]
struct KeptAnswer(Arc<Mutex<Option<(Duration, Answer)>>>);

/// Whether it is ready.
type Answer = Result<(), Problem>;

impl KeptAnswer {
    async fn or(&self, clock: &SharedClock, ask: impl Future<Output = Answer>) -> Answer {
        let mut kept = self.0.lock().await;
        if let Some((at, answer)) = &*kept
            && clock.monotonic() < *at + KEPT_FOR
        {
            return answer.clone();
        }
        let answer = ask.await;
        *kept = Some((clock.monotonic(), answer.clone()));
        answer
    }
}

async fn ready(site: Site, kept: KeptAnswer) -> Response {
    if let Some(stuck) = site.pulses.ages().into_iter().find(PulseAge::is_stuck) {
        let (worker, seconds) = (stuck.worker, stuck.age.as_secs());
        tracing::warn!(worker, seconds, "not ready: a worker hangs");
        let detail = format!("The worker “{worker}” hangs: it last went round {seconds} s ago. Restart the service.");
        return not_ready("worker_stuck", detail).into_response();
    }
    match kept.or(&site.clock, ask_database(&site)).await {
        Ok(()) => ([NOT_KEPT], "ready\n").into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn ask_database(site: &Site) -> Answer {
    match tokio::time::timeout(READY_WITHIN, try_database(site)).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => {
            tracing::warn!("not ready: the tables of the database are not those of this version");
            let detail =
                "The tables of the database are of an older version. Restart the service: that brings them up to date.";
            Err(not_ready("migrations_pending", detail))
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, cause = ?error, "not ready: the database failed");
            Err(not_ready("database_failed", "The database can't be read and written. The log says why."))
        }
        Err(_) => {
            tracing::warn!("not ready: the database did not answer in time");
            Err(not_ready("database_slow", "The database does not answer in time: another program may hold it."))
        }
    }
}

/// Reads and writes. Returns whether the tables are those of this version.
async fn try_database(site: &Site) -> Result<bool, StoreError> {
    let is_current = site.store.is_current().await?;
    site.store.check_writing().await?;
    Ok(is_current)
}

fn not_ready(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(5)
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
    use super::KeptAnswer;
    use crate::clock::SharedClock;
    use axum::http::StatusCode;
    use chrono::TimeDelta;
    use futures_util::future::join_all;
    use std::cell::Cell;
    use std::time::Duration;

    #[tokio::test]
    async fn it_is_ready_as_long_as_the_database_is() {
        let stage = Stage::new().await;
        let mut probe = stage.visitor();
        assert_eq!(probe.get("/livez").await.body, "ok\n");
        assert_eq!(probe.get("/readyz").await.status, StatusCode::OK);
        stage.clock.advance(TimeDelta::seconds(1));
        assert_eq!(probe.get("/readyz").await.status, StatusCode::OK, "the right to write was given back");
        stage.clock.advance(TimeDelta::seconds(1));
        stage.site.store.close().await;
        assert_eq!(probe.get("/livez").await.status, StatusCode::OK);
        let answer = probe.get("/readyz").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(answer.body.contains("database_failed") && !answer.body.contains("pool"));
        assert_eq!(probe.get("/metrics").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn however_many_ask_the_database_is_asked_once_a_second() {
        let stage = Stage::new().await;
        let (clock, kept, asked): (SharedClock, _, _) = (stage.clock.clone(), KeptAnswer::default(), Cell::new(0));
        let ask = async || {
            asked.set(asked.get() + 1);
            tokio::task::yield_now().await;
            Ok(())
        };
        let crowd = async || {
            join_all((0..1000).map(|_| kept.or(&clock, ask()))).await;
            asked.get()
        };
        assert_eq!(crowd().await, 1);
        stage.clock.advance(TimeDelta::milliseconds(999));
        assert_eq!(crowd().await, 1);
        stage.clock.advance(TimeDelta::milliseconds(1));
        assert_eq!(crowd().await, 2);

        let mut database = stage.site.store.watch_changes().await.unwrap();
        let mut probe = stage.visitor();
        for is_asked in [true, false] {
            assert_eq!(probe.get("/readyz").await.status, StatusCode::OK);
            assert_eq!(database.has_changed().await.unwrap(), is_asked);
        }
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
