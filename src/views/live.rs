//! Tells pages that are open when anything was changed, as server-sent events. What changed they ask for themselves.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::{StreamExt as _, stream};

use super::error::PageError;
use crate::web::session::Admin;
use crate::web::site::Site;

/// How often changes are looked for, and most often told.
const EVERY: Duration = Duration::from_secs(1);
/// After this a page asks anew, so that nobody watches whose session has ended.
const LOOKS: usize = 600;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/live", get(watch))
}

/// No [`Visit`](super::frame::Visit): that would be a use of the session, and a page that is left open is none.
async fn watch(_: Admin, State(site): State<Site>) -> Result<Response, PageError> {
    let watching = site.watching;
    let Ok(place) = watching.places.try_acquire_owned() else {
        // Without it a page shows what was when it was opened.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    let database = site.store.watch_changes().await?;
    let looks = stream::unfold((database, place), |(mut database, place)| async move {
        tokio::time::sleep(EVERY).await;
        // A database that can't be read ends it; the page asks again later.
        let has_changed = database.has_changed().await.ok()?;
        Some((has_changed, (database, place)))
    });
    let told = looks
        .take(LOOKS)
        .filter(|has_changed| std::future::ready(*has_changed))
        .map(|_| Ok::<_, Infallible>(Event::default().data("changed")));
    let told = told.take_until(watching.stopping.cancelled_owned());
    // A proxy passes on each event at once.
    let unbuffered = [("x-accel-buffering", "no")];
    Ok((unbuffered, Sse::new(told).keep_alive(KeepAlive::default())).into_response())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, Stage, Visitor};
    use crate::store::{DeliveryStatus, Identity};
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use chrono::TimeDelta;

    /// Asks for a page as one that is open does.
    async fn renew(visitor: &mut Visitor, page: &str) -> Answer {
        visitor.send(Request::get(page).header("x-renewal", "1"), Body::empty()).await
    }

    #[tokio::test]
    async fn a_page_that_is_only_open_does_not_keep_its_session() {
        let stage = Stage::new().await;
        // What would be told has an end.
        stage.site.watching.stopping.cancel();
        let (mut left, mut looked_at) = (stage.admin().await, stage.admin().await);
        for hour in 1..=30 {
            stage.clock.advance(TimeDelta::hours(1));
            let (told, renewed) = (left.get("/live").await.status, renew(&mut left, "/status").await.status);
            let expected = if hour < 24 { StatusCode::OK } else { StatusCode::SEE_OTHER };
            assert_eq!((told, renewed), (expected, expected), "after {hour} hours");
            assert_eq!(renew(&mut looked_at, "/status").await.status, StatusCode::OK, "after {hour} hours");
            if hour == 20 {
                assert_eq!(looked_at.get("/status").await.status, StatusCode::OK);
                // Its use is being written down.
                tokio::task::yield_now().await;
                drop(stage.site.store.write().await.unwrap());
            }
        }
        let answer = left.get("/status").await;
        assert!(answer.header("location").starts_with("/login"), "{answer:?}");
    }

    #[tokio::test]
    async fn a_change_by_anybody_is_told() {
        let stage = Stage::new().await;
        let mut database = stage.site.store.watch_changes().await.unwrap();
        assert!(!database.has_changed().await.unwrap());
        stage.store_delivery(&stage.delivery(Identity::default(), DeliveryStatus::Ignored)).await;
        assert!(database.has_changed().await.unwrap());
        assert!(!database.has_changed().await.unwrap());
    }

    #[tokio::test]
    async fn the_stream_is_for_admins_ends_with_the_server_and_has_a_bound() {
        let stage = Stage::new().await;
        assert_eq!(stage.visitor().get("/live").await.status, StatusCode::SEE_OTHER);
        let mut admin = stage.admin().await;
        stage.site.watching.stopping.cancel();
        let answer = admin.get("/live").await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "text/event-stream"));
        let all = stage.site.watching.places.clone();
        let _taken = all.try_acquire_many(u32::try_from(all.available_permits()).unwrap()).unwrap();
        assert_eq!(admin.get("/live").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
