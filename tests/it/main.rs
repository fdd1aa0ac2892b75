//! One integration binary: each module proves one part of the promise on the real parts.

mod feed_text;
mod simulated_google;
