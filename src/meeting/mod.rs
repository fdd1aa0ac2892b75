//! The pure core: what meeting events mean. No async, no input or output, nothing of the rest of the program.
//! The data's way: [`event`] → [`apply`] → [`state`] → [`selection`] → [`entry`].

pub mod apply;
pub mod entry;
pub mod event;
pub mod mirroring;
pub mod selection;
pub mod showing;
pub mod state;
