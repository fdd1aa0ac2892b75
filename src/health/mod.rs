//! The pure core that decides what is wrong now: for the status page and for the messages that go out, so that the two never
//! disagree. No IO: facts are handed in.
//!
//! `facts` + `limits` → [`condition`] → [`episode`] (what is told of it, and when). [`rhythm`] knows which silence is usual.

pub mod condition;
pub mod episode;
pub mod kind;
pub mod rhythm;
pub mod words;
