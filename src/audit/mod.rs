//! The pure core of the audit log: what an entry says ([`entry`]), what changed ([`diff`]) and how entries are chained
//! so that a change to the log can be detected ([`chain`]). Uses nothing of the rest of the program.

pub mod chain;
pub mod diff;
pub mod entry;
