//! One integration binary: each module proves one part of the promise on the real parts.

#![expect(unreachable_pub, reason = "helpers are pub within the one test binary")]

mod calendar_checks;
mod feed_text;
mod mirror_chaos;
mod sign_in;
mod simulated_google;
mod support;
