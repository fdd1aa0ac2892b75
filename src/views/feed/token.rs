//! From the token in a link to what it is worth. The page for people and the feed itself share it.

use crate::store::{Feed, StoreError};
use crate::views::error::PageError;
use crate::web::links::{Links, TokenState};

/// Why a token leads to no feed.
#[derive(Debug, thiserror::Error)]
pub enum FeedTokenError {
    /// It never was a link of ours.
    #[error("the link is not one of ours")]
    Unknown,
    /// The feed of this row id has a new link.
    #[error("the link of feed {0} was replaced by a new one")]
    Rotated(i64),
    /// The feed of this row id was ended.
    #[error("the feed {0} was ended")]
    Revoked(i64),
    /// What the database has of the feed can't be read. It is in the log already.
    #[error("the feed's settings can't be read")]
    Unreadable,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<FeedTokenError> for PageError {
    fn from(error: FeedTokenError) -> Self {
        match error {
            FeedTokenError::Unknown => Self::NoFeed,
            FeedTokenError::Rotated(_) => Self::FeedRotated,
            FeedTokenError::Revoked(_) => Self::FeedRevoked,
            FeedTokenError::Unreadable => Self::Internal,
            FeedTokenError::Store(error) => error.into(),
        }
    }
}

/// Says whether `token` is the present link of `feed`, which its public id names. In constant time.
///
/// # Errors
/// [`FeedTokenError::Unknown`] for a token that never was a link (answer 404), [`FeedTokenError::Rotated`] and
/// [`FeedTokenError::Revoked`] for one that was (410).
pub(super) fn check(links: &Links, token: &str, feed: &Feed) -> Result<(), FeedTokenError> {
    match (links.check(token, feed), feed.revoked_at) {
        (TokenState::Forged, _) => Err(FeedTokenError::Unknown),
        (TokenState::Current | TokenState::Rotated, Some(_)) => Err(FeedTokenError::Revoked(feed.id)),
        (TokenState::Rotated, None) => Err(FeedTokenError::Rotated(feed.id)),
        (TokenState::Current, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::Stage;

    #[tokio::test]
    async fn only_the_present_link_leads_to_the_feed() {
        let stage = Stage::new().await;
        let mut feed = stage.feed("Team").await;
        let links = &stage.site.links;
        let token = links.token(&feed);
        assert!(check(links, &token, &feed).is_ok());
        for forged in ["", "abc", "nobody.aaaa", &format!("{}.aaaa", feed.wish.public_id)] {
            assert!(matches!(check(links, forged, &feed), Err(FeedTokenError::Unknown)), "{forged}");
        }
        feed.generation += 1;
        assert!(matches!(check(links, &token, &feed), Err(FeedTokenError::Rotated(_))));
        feed.revoked_at = Some(stage.now());
        assert!(matches!(check(links, &token, &feed), Err(FeedTokenError::Revoked(_))));
    }
}
