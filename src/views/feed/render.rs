//! Makes a feed from the tables as they are now. Nothing is kept here.

use std::panic::AssertUnwindSafe;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use sha2::{Digest as _, Sha256};

use super::draft::{Draft, FeedText, MOST_EVENTS};
use crate::meeting::state::whole_seconds;
use crate::store::{Feed, Rendition, Store, StoreError};

/// Why a feed can't be made.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A bug.
    #[error("making it panicked")]
    Panicked,
    /// The machine is too busy, or the disk hangs.
    #[error("making it took too long")]
    TooSlow,
    /// It was edited or ended meanwhile.
    #[error("it was edited or ended while it was made")]
    Outdated,
    /// It failed a moment ago, and is not tried again so soon.
    #[error("making it failed a moment ago")]
    Again,
}

/// A feed that was made.
#[derive(Debug)]
pub struct Rendered {
    /// Its text.
    pub text: FeedText,
    /// SHA-256 of the text.
    pub digest: Vec<u8>,
    /// Changes of meetings up to this one are in it.
    pub position: i64,
}

impl Rendered {
    /// As it is kept in the database.
    pub(super) fn rendition(&self, now: DateTime<Utc>) -> Rendition {
        Rendition {
            body: self.text.body.clone(),
            digest: self.digest.clone(),
            last_modified_at: whole_seconds(now),
            left_out: self.text.left_out,
        }
    }
}

/// Makes a feed as it is now.
///
/// # Errors
/// When the database can't be read, or making it panics.
pub async fn render(store: &Store, installation_id: &str, feed: &Feed, now: DateTime<Utc>) -> Result<Rendered, Fault> {
    unpanicked(try_render(store, installation_id.to_owned(), feed, now)).await
}

async fn try_render(
    store: &Store,
    installation_id: String,
    feed: &Feed,
    now: DateTime<Utc>,
) -> Result<Rendered, Fault> {
    let mut draft = Draft::new(feed.clone(), now);
    let look = store.look_for_feed(&feed.wish.rule(), now, MOST_EVENTS, |meeting| draft.take(meeting)).await?;
    draft.more(look.more_ahead, look.more_past);
    // A large one takes some milliseconds of pure work: other requests go on meanwhile.
    let made = tokio::task::spawn_blocking(move || {
        let text = draft.finish(&installation_id);
        let digest = Sha256::digest(&text.body).to_vec();
        (text, digest)
    });
    let (mut text, digest) = made.await.map_err(|_| Fault::Panicked)?;
    text.holds_until = [text.holds_until, look.next_enters_at].into_iter().flatten().min();
    Ok(Rendered { text, digest, position: look.position })
}

/// Turns a panic into a fault.
async fn unpanicked<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(Fault::Panicked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_fault_like_any_other() {
        let fine = unpanicked(async { Ok(1) }).await;
        assert!(matches!(fine, Ok(1)), "{fine:?}");
        let panics = unpanicked::<()>(async { panic!("made to fail") }).await;
        assert!(matches!(panics, Err(Fault::Panicked)), "{panics:?}");
    }
}
