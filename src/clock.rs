//! The only source of time and randomness. Everything else is handed a [`Clock`] and a [`Randomness`], so that tests
//! decide both.

use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// Tells the time and waits.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now, UTC. It may jump when the system's clock is set.
    fn now(&self) -> DateTime<Utc>;

    /// Time since some moment in the past. It never runs back.
    fn monotonic(&self) -> Duration;

    /// Waits.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// A clock as it is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// A clock as rate limiters read it.
#[derive(Debug, Clone)]
pub struct Ticks(SharedClock);

impl governor::clock::Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

/// Limits one rate.
pub type DirectLimiter = RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Duration>>;

/// Limits a rate for each key.
pub type KeyedLimiter<K> = RateLimiter<K, DashMapStateStore<K>, Ticks, NoOpMiddleware<Duration>>;

/// A limiter of one rate.
pub fn direct_limiter(quota: Quota, clock: &SharedClock) -> DirectLimiter {
    RateLimiter::direct_with_clock(quota, Ticks(clock.clone()))
}

/// A limiter of a rate for each key.
pub fn keyed_limiter<K: Clone + Eq + Hash>(quota: Quota, clock: &SharedClock) -> KeyedLimiter<K> {
    RateLimiter::dashmap_with_clock(quota, Ticks(clock.clone()))
}

/// The first moment of a day in a time zone.
pub fn begin_of_day(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    // Where clocks go forward at midnight, the day begins later.
    let mut hours = (0..24).map(|hours| midnight + TimeDelta::hours(hours));
    let begin = hours.find_map(|time| time.and_local_timezone(zone).earliest());
    begin.map_or_else(|| midnight.and_utc(), |time| time.with_timezone(&Utc))
}

/// Notices that the clock was set back. Clones share what they saw.
#[derive(Debug, Clone, Default)]
pub struct Latest(Arc<AtomicI64>);

impl Latest {
    /// Whether the time now is earlier than at the last look.
    pub fn is_before_last_look(&self, now: DateTime<Utc>) -> bool {
        let now = now.timestamp_millis();
        self.0.swap(now, Ordering::Relaxed) > now
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
impl Default for SystemClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that stands still until it is moved; for tests. Whoever waits on it moves it.
#[derive(Debug)]
pub struct ManualClock(Mutex<Hands>);

#[derive(Debug, Clone, Copy)]
struct Hands {
    now: DateTime<Utc>,
    monotonic: Duration,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(Hands { now, monotonic: Duration::ZERO }))
    }

    /// Moves the clock; a negative step sets it back.
    pub fn advance(&self, step: TimeDelta) {
        let mut hands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hands.now += step;
        hands.monotonic += step.to_std().unwrap_or_default();
    }

    fn hands(&self) -> Hands {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.hands().now
    }

    fn monotonic(&self) -> Duration {
        self.hands().monotonic
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.advance(TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX));
        Box::pin(tokio::task::yield_now())
    }
}

/// A source of random bytes, seeded by the operating system or by a test.
#[derive(Clone)]
pub struct Randomness(Arc<Mutex<StdRng>>);

impl Randomness {
    /// Seeded by the operating system; fit for keys.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn from_system() -> std::io::Result<Self> {
        let rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).map_err(std::io::Error::other)?;
        Ok(Self(Arc::new(Mutex::new(rng))))
    }

    /// The same sequence for the same seed; for tests.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }

    /// A number from 0 up to and not including 1.
    pub fn fraction(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random::<f64>()
    }

    /// A positive number that tells one lease or one session from another.
    pub fn token(&self) -> i64 {
        i64::from_be_bytes(self.bytes()) & i64::MAX
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Randomness")
    }
}
