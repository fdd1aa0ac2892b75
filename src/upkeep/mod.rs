//! What the server does by itself to keep the installation in order, beside what flows through it: [`audit`] sees to the audit
//! log. Must not talk to anybody outside.

pub mod audit;
