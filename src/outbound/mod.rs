//! From the state tables to Google Calendar. The data's way: [`mirror`] leases work → [`converge`] decides each step →
//! [`google`] makes the call → [`retry`] says what a failure means → the result is recorded.

pub mod converge;
pub mod event_body;
pub mod google;
pub mod https;
pub mod mirror;
pub mod purge;
pub mod retry;
mod tokens;
