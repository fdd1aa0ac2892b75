//! From the sender to the state tables. The data's way: [`webhook`] ([`signature`], [`payload`]) → the inbox table →
//! [`inbox`] → meetings, history, audit log and mirror work.

pub mod inbox;
mod json;
pub mod payload;
pub mod signature;
mod text;
pub mod webhook;
