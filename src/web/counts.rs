//! What is counted since the start, in memory; whoever counts registers it, and the metrics write it out. Every label has few
//! values, all of them the program's own: routes, not paths.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Happenings by one word.
pub type Tally = Family<[(&'static str, &'static str); 1], Counter>;

/// Seconds that an answer takes.
const TOOK: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// An empty registry: every name in it begins with the program's.
pub fn registry() -> Registry {
    Registry::with_prefix("meeting_mirror")
}

/// Requests of all routes.
#[derive(Debug, Clone)]
pub struct HttpCounts {
    answers: Family<Answer, Counter>,
    took: Family<Route, Histogram>,
}

impl Default for HttpCounts {
    fn default() -> Self {
        let took = Family::new_with_constructor((|| Histogram::new(TOOK)) as fn() -> Histogram);
        Self { answers: Family::default(), took }
    }
}

impl HttpCounts {
    /// Has them counted there.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests by route and status code", self.answers.clone());
        let help = "How long answers took until their head was ready, by route";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, self.took.clone());
    }

    /// Counts an answer.
    pub fn answered(&self, route: Option<MatchedPath>, status: StatusCode, took: Duration) {
        let route = Route(route);
        self.took.get_or_create(&route).observe(took.as_secs_f64());
        self.answers.get_or_create(&Answer(route, status)).inc();
    }
}

/// A route's pattern, kept as axum has it: counting a request allocates nothing.
#[derive(Debug, Clone)]
struct Route(Option<MatchedPath>);

impl Route {
    fn as_str(&self) -> &str {
        self.0.as_ref().map_or("none", MatchedPath::as_str)
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl EncodeLabelSet for Route {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [("route", self.as_str())].encode(encoder)
    }
}

/// An answer of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Answer(Route, StatusCode);

impl EncodeLabelSet for Answer {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)?;
        [("code", u32::from(self.1.as_u16()))].encode(encoder)
    }
}
