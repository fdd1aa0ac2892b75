//! What came of the calls to Google since the start, and how long they took; how long calls waited for their turn.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::web::counts::Tally;

/// Seconds that a call takes, up to its time-out.
const TOOK: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];

/// The counts.
#[derive(Debug, Clone)]
pub struct CallCounts {
    outcomes: Tally,
    took: Histogram,
    waits: Counter,
    waited: Counter<f64, AtomicU64>,
}

impl Default for CallCounts {
    fn default() -> Self {
        let (outcomes, waits, waited) = (Tally::default(), Counter::default(), Counter::default());
        Self { outcomes, took: Histogram::new(TOOK), waits, waited }
    }
}

impl CallCounts {
    /// Has them counted there.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("google_calls", "Calls to Google by their outcome", self.outcomes.clone());
        let help = "How long calls to Google took";
        registry.register_with_unit("google_call_duration", help, Unit::Seconds, self.took.clone());
        registry.register("google_waits", "Waits of calls for their turn, to keep to the rates", self.waits.clone());
        registry.register_with_unit("google_waited", "How long they waited", Unit::Seconds, self.waited.clone());
    }

    pub(super) fn answered(&self, outcome: &'static str, took: Duration) {
        self.outcomes.get_or_create(&[("outcome", outcome)]).inc();
        self.took.observe(took.as_secs_f64());
    }

    pub(super) fn waited(&self, wait: Duration) {
        self.waits.inc();
        self.waited.inc_by(wait.as_secs_f64());
    }
}
