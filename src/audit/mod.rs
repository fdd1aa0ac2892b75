//! The pure core of the audit log: what an organization's event says ([`organization`]), what changed ([`diff`]) in one
//! line (`summary`) without the secrets in it ([`secret`]), what an entry holds ([`entry`]) and how entries are chained so
//! that a change to the log can be detected ([`chain`]), also after its oldest part was removed ([`checkpoint`]). Uses nothing of the rest of the program.

pub mod chain;
pub mod checkpoint;
pub mod diff;
pub mod entry;
pub mod json;
pub mod organization;
pub mod secret;
mod secret_signs;
mod summary;
