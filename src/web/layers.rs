//! Layers around every route: security headers, one log line per request, and a panic that becomes an answer.

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use super::problem::Problem;
use crate::clock::SharedClock;

/// Puts the layers around a router. `https` when people come by https.
pub fn wrap(router: Router, clock: SharedClock, https: bool) -> Router {
    router
        .layer(CatchPanicLayer::custom(|_| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong; the log says what.")
                .into_response()
        }))
        .layer(middleware::from_fn(move |request, next| security_headers(request, next, https)))
        .layer(middleware::from_fn(move |request, next| log(request, next, clock.clone())))
}

/// One line per request. The path is the route's pattern: a feed's link must not stand in a log.
async fn log(request: Request, next: Next, clock: SharedClock) -> Response {
    let begun = clock.now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("(no route)", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let milliseconds = (clock.now() - begun).num_milliseconds();
    if response.status().is_server_error() {
        tracing::warn!(%method, route, status, milliseconds, "answered a request with an error");
    } else {
        tracing::debug!(%method, route, status, milliseconds, "answered a request");
    }
    response
}

async fn security_headers(request: Request, next: Next, https: bool) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("x-robots-tag"), "noindex");
    set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    );
    if https {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}
