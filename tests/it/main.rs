//! One integration binary: each module proves one part of the promise on the real parts.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod alert_kinds;
mod alerts;
mod architecture;
mod audit_events;
mod audit_keeping;
mod audit_push;
mod backups;
mod browser;
mod browser_live;
mod browser_pages;
mod browser_support;
mod calendar_approvals;
mod calendar_checks;
mod calendar_jobs;
mod cli;
mod clock_jumps;
mod convergence;
mod erasing;
mod feed;
mod feed_text;
mod flow;
mod fuzz;
mod hostile;
mod keeping;
mod mirror;
mod metrics;
mod mirror_chaos;
mod process;
mod process_support;
mod receiver;
mod replaced;
mod replay;
mod security;
mod sign_in;
mod simulated_google;
mod skipped;
mod state;
mod support;
mod upgrade;
mod webhook;
