//! From the sender to the state tables. The data's way: [`webhook`] ([`signature`], [`payload`]) → the inbox table →
//! [`inbox`] → meetings, history, audit log and mirror work. [`invitee`] asks what came whether it tells of somebody.

pub mod inbox;
pub mod invitee;
mod json;
pub mod payload;
pub mod signature;
mod text;
pub mod webhook;
