//! The rate of calls to Google: so many a second in all, and so many into one calendar (Google throttles writes to one
//! calendar in quick succession besides its published quotas). Work waits for its turn here; it is never refused.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Reference as _;
use governor::{NotUntil, Quota};

use super::call_counts::CallCounts;
use crate::clock::{DirectLimiter, KeyedLimiter, SharedClock, direct_limiter, keyed_limiter};

/// Most calls a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// In all.
    pub in_total: NonZeroU32,
    /// Into one calendar.
    pub per_calendar: NonZeroU32,
}

/// Lets calls through at the rates.
#[derive(Clone)]
pub struct Limiter {
    clock: SharedClock,
    rates: Rates,
    in_total: Arc<DirectLimiter>,
    per_calendar: Arc<KeyedLimiter<String>>,
    counts: CallCounts,
}

impl Limiter {
    /// A limiter with these rates. A second's worth of calls may come at once.
    pub fn new(rates: Rates, clock: SharedClock) -> Self {
        Self {
            in_total: Arc::new(direct_limiter(Quota::per_second(rates.in_total), &clock)),
            per_calendar: Arc::new(keyed_limiter(Quota::per_second(rates.per_calendar), &clock)),
            clock,
            rates,
            counts: CallCounts::default(),
        }
    }

    /// Waits until one more call into the calendar may be made.
    pub async fn turn(&self, calendar: &str) {
        let calendar = calendar.to_owned();
        // The calendar first: who waits for its calendar must not use up what others could have.
        while let Err(wait) = self.per_calendar.check_key(&calendar).map_err(|not_until| self.wait(&not_until)) {
            self.counts.waited(wait);
            self.clock.sleep(wait).await;
        }
        while let Err(wait) = self.in_total.check().map_err(|not_until| self.wait(&not_until)) {
            self.counts.waited(wait);
            self.clock.sleep(wait).await;
        }
    }

    /// The clock it goes by.
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// The calls that were let through, and what came of them.
    pub fn counts(&self) -> &CallCounts {
        &self.counts
    }

    /// The rates, for people.
    pub fn rates(&self) -> Rates {
        self.rates
    }

    fn wait(&self, not_until: &NotUntil<Duration>) -> Duration {
        not_until.earliest_possible().duration_since(self.clock.monotonic()).into()
    }
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Limiter").field(&self.rates).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, ManualClock};

    #[tokio::test]
    async fn calls_come_at_the_rates_and_calendars_do_not_hold_up_each_other() {
        let clock = Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH));
        let rate = |n| NonZeroU32::new(n).unwrap();
        let limiter = Limiter::new(Rates { in_total: rate(8), per_calendar: rate(4) }, clock.clone());
        for _ in 0..404 {
            limiter.turn("one").await;
        }
        // 4 at once, then 400 at 4 a second.
        assert!((99.9..100.1).contains(&clock.monotonic().as_secs_f64()), "{:?}", clock.monotonic());

        let before = clock.monotonic();
        for call in 0..808_usize {
            limiter.turn(["one", "two", "three", "four"][call % 4]).await;
        }
        let took = clock.monotonic().as_secs_f64() - before.as_secs_f64();
        assert!((98.0..101.0).contains(&took), "{took}");
    }
}
