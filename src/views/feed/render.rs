//! Makes a feed from the tables as they are now. Nothing is kept here.

use chrono::{DateTime, Utc};

use super::draft::{Draft, FeedText, MOST_EVENTS};
use crate::store::{Feed, Store, StoreError};

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

/// Makes a feed as it is now.
///
/// # Errors
/// When the database can't be read.
pub async fn render(
    store: &Store,
    installation_id: &str,
    feed: &Feed,
    now: DateTime<Utc>,
) -> Result<FeedText, StoreError> {
    let mut draft = Draft::new(feed.clone(), installation_id, now);
    let beside = store.feed_meetings(&feed.wish.rule(), now, MOST_EVENTS, |meeting| draft.take(meeting)).await?;
    Ok(draft.finish(&beside))
}
