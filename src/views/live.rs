//! Tells pages that are open when anything was changed, as server-sent events. What changed they ask for themselves.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::{StreamExt as _, stream};

use super::error::PageError;
use super::frame::Visit;
use crate::web::site::Site;

/// How often changes are looked for, and most often told.
const EVERY: Duration = Duration::from_secs(1);
/// After this a page asks anew, so that nobody watches whose session has ended.
const LOOKS: usize = 600;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/live", get(watch))
}

async fn watch(visit: Visit) -> Result<Response, PageError> {
    let watching = visit.site.watching.clone();
    let Ok(place) = watching.places.try_acquire_owned() else {
        // Without it a page shows what was when it was opened.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    let database = visit.site.store.watch_changes().await?;
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
    use super::super::testing::Stage;
    use crate::store::{DeliveryStatus, Identity};
    use axum::http::StatusCode;

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
