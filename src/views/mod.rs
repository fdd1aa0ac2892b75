//! stub
pub mod feed;
pub mod feed_text;
pub mod feed_lint;
pub mod feed_token {
    pub enum FeedTokenError {
        Unknown,
        Rotated,
        Revoked,
        Store(crate::store::StoreError),
    }
    pub async fn feed_by_token(
        _site: &crate::web::site::Site,
        _token: &str,
    ) -> Result<crate::store::Feed, FeedTokenError> {
        Err(FeedTokenError::Unknown)
    }
}
pub fn router(site: crate::web::site::Site) -> axum::Router {
    feed::router().with_state(site)
}
