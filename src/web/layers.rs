//! The layer around every route: security headers, one log line and one count per request, and a panic that becomes an answer. It is
//! one layer and not four, since every request passes it and each layer costs about as much as finding the route.

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;

use super::counts::HttpCounts;
use super::problem::Problem;
use crate::clock::SharedClock;

/// Puts the layer around a router. `https` when people come by https.
pub fn wrap(router: Router, clock: SharedClock, counts: HttpCounts, https: bool) -> Router {
    let around = move |request, next| around(request, next, clock.clone(), counts.clone(), https);
    router.layer(middleware::from_fn(around))
}

async fn around(request: Request, next: Next, clock: SharedClock, counts: HttpCounts, https: bool) -> Response {
    let begun = clock.monotonic();
    let method = request.method().clone();
    // The route's pattern, not the path: a feed's link must not stand in a log.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong; the log says what.")
            .into_response()
    });
    set_security_headers(&mut response, https);
    let (status, took) = (response.status(), clock.monotonic().saturating_sub(begun));
    let milliseconds = took.as_millis();
    let pattern = route.as_ref().map_or("(no route)", MatchedPath::as_str);
    if status.is_server_error() {
        tracing::warn!(%method, route = pattern, status = status.as_u16(), milliseconds, "answered a request with an error");
    } else {
        tracing::debug!(%method, route = pattern, status = status.as_u16(), milliseconds, "answered a request");
    }
    counts.answered(route, status, took);
    response
}

/// What every answer says unless its handler says otherwise.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
];
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

fn set_security_headers(response: &mut Response, https: bool) {
    let headers = response.headers_mut();
    headers.reserve(SECURITY_HEADERS.len() + 1);
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(value);
    }
    if https {
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(HSTS);
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::registry;
    use super::*;
    use crate::clock::SystemClock;
    use axum::body::Body;
    use axum::routing::get;
    use prometheus_client::encoding::text::encode;
    use std::sync::Arc;
    use tower::ServiceExt as _;

    async fn panics() {
        panic!("made to fail");
    }

    #[tokio::test]
    async fn a_panic_is_answered_and_every_answer_has_its_headers() {
        let router = Router::new()
            .route("/panics", get(panics))
            .route("/own", get(|| async { ([(header::REFERRER_POLICY, "same-origin")], "fine") }));
        let counts = HttpCounts::default();
        let router = wrap(router, Arc::new(SystemClock::default()), counts.clone(), true);
        let ask = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap()
        };
        for (path, status, referrer) in
            [("/panics", 500, "no-referrer"), ("/own", 200, "same-origin"), ("/no", 404, "no-referrer")]
        {
            let response = ask(path).await;
            assert_eq!(response.status().as_u16(), status, "{path}");
            assert_eq!(response.headers()[header::REFERRER_POLICY], referrer, "{path}");
            assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert_eq!(response.headers()[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000", "{path}");
        }
        let (mut registry, mut told) = (registry(), String::new());
        counts.register(&mut registry);
        encode(&mut told, &registry).unwrap();
        for line in [
            "http_requests_total{route=\"/panics\",code=\"500\"} 1\n",
            "http_requests_total{route=\"/own\",code=\"200\"} 1\n",
            "http_requests_total{route=\"none\",code=\"404\"} 1\n",
            "http_request_duration_seconds_count{route=\"/own\"} 1\n",
        ] {
            assert!(told.contains(line), "{line} is missing in {told}");
        }
    }
}
