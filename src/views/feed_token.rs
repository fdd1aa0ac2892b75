//! From the token in a link to its feed, or why there is none. The page for people and the feed itself share it.

use super::error::PageError;
use crate::store::{Feed, StoreError};
use crate::web::links::{Links, TokenState};
use crate::web::site::Site;

/// Why a token leads to no feed.
#[derive(Debug, thiserror::Error)]
pub enum FeedTokenError {
    /// It never was a link of ours.
    #[error("the link is not one of ours")]
    Unknown,
    /// The feed has a new link.
    #[error("the link was replaced by a new one")]
    Rotated,
    /// The feed was ended.
    #[error("the feed was ended")]
    Revoked,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<FeedTokenError> for PageError {
    fn from(error: FeedTokenError) -> Self {
        match error {
            FeedTokenError::Unknown => Self::NoFeed,
            FeedTokenError::Rotated => Self::FeedRotated,
            FeedTokenError::Revoked => Self::FeedRevoked,
            FeedTokenError::Store(error) => error.into(),
        }
    }
}

/// The feed whose present link carries `token`.
///
/// # Errors
/// [`FeedTokenError::Unknown`] for a token that never was a link (answer 404), [`FeedTokenError::Rotated`] and
/// [`FeedTokenError::Revoked`] for one that was (410), and the database's own errors.
pub async fn feed_by_token(site: &Site, token: &str) -> Result<Feed, FeedTokenError> {
    let public_id = Links::public_id(token).ok_or(FeedTokenError::Unknown)?;
    let feed = site.store.feed_by_public_id(public_id).await?.ok_or(FeedTokenError::Unknown)?;
    match (site.links.check(token, &feed), feed.revoked_at) {
        (TokenState::Forged, _) => Err(FeedTokenError::Unknown),
        (TokenState::Current | TokenState::Rotated, Some(_)) => Err(FeedTokenError::Revoked),
        (TokenState::Rotated, None) => Err(FeedTokenError::Rotated),
        (TokenState::Current, None) => Ok(feed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;

    #[tokio::test]
    async fn only_the_present_link_leads_to_the_feed() {
        let stage = Stage::new().await;
        let feed = stage.feed("Team").await;
        let token = stage.site.links.token(&feed);
        assert_eq!(feed_by_token(&stage.site, &token).await.unwrap().id, feed.id);

        for forged in ["", "abc", "nobody.aaaa", &format!("{}.aaaa", feed.wish.public_id)] {
            assert!(matches!(feed_by_token(&stage.site, forged).await, Err(FeedTokenError::Unknown)), "{forged}");
        }
        let mut tx = stage.site.store.write().await.unwrap();
        tx.rotate_feed(feed.id).await.unwrap();
        tx.commit().await.unwrap();
        assert!(matches!(feed_by_token(&stage.site, &token).await, Err(FeedTokenError::Rotated)));

        let mut tx = stage.site.store.write().await.unwrap();
        tx.revoke_feed(feed.id, stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        assert!(matches!(feed_by_token(&stage.site, &token).await, Err(FeedTokenError::Revoked)));
    }
}
