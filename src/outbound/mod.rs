//! From the state tables to Google Calendar. The data's way: [`mirror`] leases work → [`converge`] decides each step →
//! [`google`] makes the call → [`retry`] says what a failure means → the result is recorded. [`check`] compares what is
//! there with what was written, by the rules of [`drift`]; [`jobs`] does what an admin asks for: [`probe`] and [`purge`].
//! Beside it, [`audit_push`] sends the audit log on, and [`alerts`] tell of what is wrong; both to an [`endpoint`].

mod alert_book;
mod alert_message;
pub mod alerts;
pub mod audit_push;
pub mod call_counts;
pub mod check;
pub mod converge;
pub mod drift;
pub mod endpoint;
pub mod event_body;
pub mod google;
pub mod https;
pub mod jobs;
pub mod limiter;
pub mod mirror;
pub mod probe;
pub mod purge;
pub mod record;
pub mod retry;
