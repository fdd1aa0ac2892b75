//! What a failed call means, and when to try again. Pure.

use std::time::Duration;

use chrono::TimeDelta;

/// The longest pause between two tries of one piece of work.
const LONGEST_BACKOFF: Duration = Duration::from_secs(64);
/// The longest pause a server may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// No work waits longer than this after a failure: what a server asks for, and the jitter.
pub const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(3601);
/// The pause when a quota is used up: it can last hours, so asking sooner only wastes calls.
const QUOTA_PAUSE: Duration = Duration::from_mins(10);
/// The pause when a person must act.
pub const PERSON_PAUSE: Duration = Duration::from_mins(15);

/// The pause after a call that was not answered in time.
pub(super) const TIMED_OUT_PAUSE: Duration = Duration::from_mins(1);

/// Why a call did not do what it was meant to, as far as it decides what comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 409: an event of this id exists or existed.
    Duplicate,
    /// 404: no such event, or no such calendar for us.
    Missing,
    /// 410: the event is deleted.
    Gone,
    /// 400: the sequence is lower than the stored one.
    BadSequence,
    /// 403 that no waiting mends: not ours to change.
    Forbidden(String),
    /// Too many calls to this calendar: all its work waits.
    Throttled(String, Option<Duration>),
    /// A quota of the whole project is used up: everything waits.
    QuotaUsedUp(String, Option<Duration>),
    /// A fault that passes: try this work again.
    Fault(String, Option<Duration>),
    /// No answer came in time: try this work again, and nothing else there just now, as each such call takes long.
    TimedOut,
    /// The credentials are refused: a person must act.
    Credentials(String),
    /// Something other than the calendar's sharing is not set up with Google: a person must act.
    NotSetUp(Setup, String),
    /// Google refuses this event as it is.
    Rejected(String),
}

/// What a person must set up with Google.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// The Google Calendar API is not enabled in the project.
    ApiNotEnabled,
    /// What was granted does not cover events.
    ScopeMissing,
    /// The service account may not act for the user.
    NotDelegated,
    /// The person's sign-in was withdrawn or has run out.
    SignInOver,
}

impl Refusal {
    /// The word in metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Missing => "missing",
            Self::Gone => "gone",
            Self::BadSequence => "bad_sequence",
            Self::Forbidden(_) => "forbidden",
            Self::Throttled(..) => "throttled",
            Self::QuotaUsedUp(..) => "quota",
            Self::Fault(..) => "fault",
            Self::TimedOut => "timed_out",
            Self::Credentials(_) => "credentials",
            Self::NotSetUp(..) => "not_set_up",
            Self::Rejected(_) => "rejected",
        }
    }

    /// Whether it proves that the call changed nothing: it was turned away before anything was done.
    pub(super) fn left_all_as_it_was(&self) -> bool {
        match self {
            Self::Throttled(..)
            | Self::QuotaUsedUp(..)
            | Self::Missing
            | Self::Forbidden(_)
            | Self::Credentials(_)
            | Self::NotSetUp(..)
            | Self::Rejected(_) => true,
            Self::Duplicate | Self::Gone | Self::BadSequence | Self::Fault(..) | Self::TimedOut => false,
        }
    }

    /// Whether it is about the calendar, or all of them, so that other calls into it now would fare no better.
    pub(super) fn holds_back_calendar(&self) -> bool {
        self.needs_person() || matches!(self, Self::Throttled(..) | Self::QuotaUsedUp(..) | Self::TimedOut)
    }

    /// Whether nothing more can be done in the calendar before a person acts.
    pub(super) fn needs_person(&self) -> bool {
        match self {
            Self::Missing | Self::Forbidden(_) | Self::Credentials(_) | Self::NotSetUp(..) => true,
            Self::Throttled(..)
            | Self::QuotaUsedUp(..)
            | Self::TimedOut
            | Self::Duplicate
            | Self::Gone
            | Self::BadSequence
            | Self::Fault(..)
            | Self::Rejected(_) => false,
        }
    }
}

/// What an answer that is no success means (facts: Google Calendar, Semantics).
pub fn refusal(status: u16, reason: &str, message: &str, retry_after: Option<Duration>) -> Refusal {
    let text = || match (reason.is_empty(), message.is_empty()) {
        (true, true) => format!("Google answered {status}"),
        (true, false) => format!("Google answered {status}: {message}"),
        (false, true) => format!("Google answered {status} {reason}"),
        (false, false) => format!("Google answered {status} {reason}: {message}"),
    };
    match (status, reason) {
        (400, _) if message.contains("Invalid sequence value") => Refusal::BadSequence,
        (401, _) => Refusal::Credentials(text()),
        (403 | 429, "quotaExceeded" | "dailyLimitExceeded") => Refusal::QuotaUsedUp(text(), retry_after),
        (403, "rateLimitExceeded" | "userRateLimitExceeded") | (429, _) => Refusal::Throttled(text(), retry_after),
        (403, "accessNotConfigured") => Refusal::NotSetUp(Setup::ApiNotEnabled, text()),
        (403, "insufficientPermissions") => Refusal::NotSetUp(Setup::ScopeMissing, text()),
        (403, _) => Refusal::Forbidden(text()),
        (404, _) => Refusal::Missing,
        (409, _) => Refusal::Duplicate,
        (410, _) => Refusal::Gone,
        (400 | 413 | 422, _) => Refusal::Rejected(text()),
        // Also what no Google answers, but a proxy or a sign-in page of the network may.
        _ => Refusal::Fault(text(), retry_after),
    }
}

/// How long to wait before the next try: `min(2^attempts s + jitter, 64 s)`, or what the server asks for within an hour if
/// that is longer: one that asks for a second each time must not be called each second. `jitter` is a random fraction from
/// 0 to 1.
pub fn pause(attempts: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let jitter = Duration::from_secs_f64(jitter.clamp(0.0, 1.0));
    let backoff = (Duration::from_secs(1 << attempts.min(6)) + jitter).min(LONGEST_BACKOFF);
    retry_after.map_or(backoff, |asked| (asked.min(LONGEST_RETRY_AFTER) + jitter).max(backoff))
}

/// How long everything waits when a quota is used up.
pub fn quota_pause(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or(QUOTA_PAUSE).clamp(Duration::from_secs(1), LONGEST_RETRY_AFTER)
}

/// A Retry-After header in seconds (RFC 9110 section 10.2.3); a date in it is not used by Google.
pub fn retry_after(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_same_status_means_different_things_by_reason() {
        let of = |status, reason| refusal(status, reason, "", None);
        assert!(matches!(of(403, "rateLimitExceeded"), Refusal::Throttled(..)));
        assert!(matches!(of(403, "quotaExceeded"), Refusal::QuotaUsedUp(..)));
        assert!(matches!(of(403, "forbidden"), Refusal::Forbidden(_)));
        assert!(matches!(of(429, "whatever"), Refusal::Throttled(..)));
        assert!(matches!(of(503, ""), Refusal::Fault(..)));
        assert!(matches!(of(400, "invalid"), Refusal::Rejected(_)));
        assert_eq!(refusal(400, "invalid", "Invalid sequence value. The …", None), Refusal::BadSequence);
        for status in [413, 422] {
            assert!(matches!(of(status, ""), Refusal::Rejected(_)), "{status}");
        }
        for status in [302, 304, 402, 405, 407, 408, 412, 418, 421, 425, 451, 501] {
            assert!(matches!(of(status, ""), Refusal::Fault(..)), "{status}");
        }
        assert!(matches!(of(403, "accessNotConfigured"), Refusal::NotSetUp(Setup::ApiNotEnabled, _)));
        assert!(matches!(of(403, "insufficientPermissions"), Refusal::NotSetUp(Setup::ScopeMissing, _)));
        assert_eq!(of(401, "authError"), Refusal::Credentials("Google answered 401 authError".into()));
    }

    proptest! {
        #[test]
        fn a_pause_is_never_short_and_never_endless(attempts: u32, asked in proptest::option::of(0_u64..1_000_000), jitter in 0.0..1.0) {
            let pause = pause(attempts, asked.map(Duration::from_secs), jitter);
            prop_assert!(pause >= Duration::from_secs(1));
            prop_assert!(pause <= LONGEST_PAUSE.to_std().unwrap());
            if asked.is_none() {
                prop_assert!(pause <= LONGEST_BACKOFF);
            }
        }
    }
}
