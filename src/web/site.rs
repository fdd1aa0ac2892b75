//! The site that handlers serve: what every page and resource needs.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::FromRef;
use axum_csrf::CsrfConfig;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use governor::Quota;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::links::Links;
use crate::clock::{DirectLimiter, KeyedLimiter, Randomness, SharedClock, direct_limiter, keyed_limiter};
use crate::config::KeepingSettings;
use crate::health::condition::Limits;
use crate::lifecycle::Pulses;
use crate::store::Store;

/// What every page and resource needs.
#[derive(Debug, Clone)]
pub struct Site {
    /// The tables.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// Random bytes.
    pub randomness: Randomness,
    /// Feed links and the public address.
    pub links: Links,
    /// For times on pages.
    pub time_zone: Tz,
    /// This installation's id.
    pub installation_id: Arc<str>,
    /// Google's side; none = the mirror is off.
    pub google: Option<GoogleSide>,
    /// When the server started.
    pub started_at: DateTime<Utc>,
    /// Limits of sign-in attempts.
    pub sign_in_limits: Arc<SignInLimits>,
    /// Whether a setting says the admin password: then it holds again after the next start.
    pub password_is_set: bool,
    /// Host that the audit log is sent on to; none = it is kept here only.
    pub audit_sent_to: Option<String>,
    /// How backups are made, and what is kept for how long.
    pub keeping: KeepingSettings,
    /// Host that is told when something goes wrong; none = nobody is.
    pub alerts_sent_to: Option<String>,
    /// From where on something is wrong.
    pub limits: Limits,
    /// Tell which workers go round.
    pub pulses: Pulses,
    /// What is counted since the start.
    pub counted: Arc<Registry>,
    /// Protection of forms.
    pub csrf: CsrfConfig,
    /// Pages that are told of changes while they are open.
    pub watching: Watching,
    /// What goes on when whoever asked for it does not wait: the server stops when it has ended.
    pub tasks: TaskTracker,
}

/// Open pages that are told of changes.
#[derive(Debug, Clone)]
pub struct Watching {
    /// Cancelled when the server stops: it would wait for them, and for what takes long.
    pub stopping: CancellationToken,
    /// One for each.
    pub places: Arc<Semaphore>,
}

impl Default for Watching {
    fn default() -> Self {
        const MOST: usize = 32;
        Self { stopping: CancellationToken::new(), places: Arc::new(Semaphore::new(MOST)) }
    }
}

/// What pages say of Google's side.
#[derive(Debug, Clone)]
pub struct GoogleSide {
    /// The account to share calendars with.
    pub account: String,
    /// Most calls a second into one calendar: tells how long a backlog takes.
    pub calls_per_second: u32,
    /// Set when Google is only simulated: where the simulated calendars can be looked at. Every page says so.
    pub simulated_at: Option<String>,
}

impl FromRef<Site> for CsrfConfig {
    fn from_ref(site: &Site) -> Self {
        site.csrf.clone()
    }
}

/// Sign-in attempts are limited per address and in total: guessing a password takes centuries.
#[derive(Debug)]
pub struct SignInLimits {
    per_address: KeyedLimiter<IpAddr>,
    in_total: DirectLimiter,
    /// Passwords that were wrong, and attempts that were too many.
    pub refused: Counter,
}

impl SignInLimits {
    /// Nobody has tried yet.
    pub fn new(clock: &SharedClock) -> Self {
        const PER_ADDRESS: NonZeroU32 = NonZeroU32::new(5).unwrap();
        const IN_TOTAL: NonZeroU32 = NonZeroU32::new(60).unwrap();
        Self {
            per_address: keyed_limiter(Quota::per_minute(PER_ADDRESS), clock),
            in_total: direct_limiter(Quota::per_minute(IN_TOTAL), clock),
            refused: Counter::default(),
        }
    }

    /// Counts an attempt. False when there were too many: five a minute from one address, sixty in all. Of IPv6 addresses a whole
    /// network of 64 bits counts as one: whoever has one address there has them all.
    pub fn allow(&self, address: IpAddr) -> bool {
        let address = match address {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
            IpAddr::V4(_) => address,
        };
        // What one address is refused does not count for the others.
        let allowed = self.per_address.check_key(&address).is_ok() && self.in_total.check().is_ok();
        self.per_address.retain_recent();
        allowed
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn who_has_a_network_of_addresses_has_no_more_attempts() {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let shared: SharedClock = clock.clone();
        let limits = SignInLimits::new(&shared);
        let attempts = |network: u16| {
            let allowed = |host: u16| limits.allow(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host)));
            (0..20).filter(|host| allowed(*host)).count()
        };
        assert_eq!([attempts(1), attempts(2)], [5, 5]);
        clock.advance(TimeDelta::seconds(24));
        assert_eq!(attempts(1), 2, "five a minute");
    }
}
