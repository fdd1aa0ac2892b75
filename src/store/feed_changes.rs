//! What an admin does with a feed, on a page or on the command line: each deed is one transaction, with its entry in the audit
//! log.

use chrono::{DateTime, Utc};

use super::{Feed, NewFeed, Store, StoreError, WriteTx};

impl NewFeed {
    /// How another wish differs, each as "detail full → busy".
    pub fn differences(&self, after: &Self) -> Vec<String> {
        let settings = |feed: &Self| {
            [
                ("name", format!("“{}”", feed.name)),
                ("meetings", feed.selection.to_string()),
                ("detail", feed.detail.as_str().to_owned()),
                ("past days", feed.window.past_days.to_string()),
                ("future days", feed.window.future_days.to_string()),
                ("canceled days", feed.canceled_days.to_string()),
                ("show as", feed.show_as.as_str().to_owned()),
            ]
        };
        let pairs = settings(self).into_iter().zip(settings(after));
        pairs.filter(|(a, b)| a != b).map(|((name, before), (_, after))| format!("{name} {before} → {after}")).collect()
    }
}

impl Store {
    /// Adds a feed. `actor` stands in the audit log.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is in use; otherwise when the database can't be written.
    pub async fn new_feed(&self, new: &NewFeed, actor: &str, now: DateTime<Utc>) -> Result<Feed, StoreError> {
        let mut tx = self.write().await?;
        let id = tx.new_feed(new, actor, now).await?;
        tx.commit().await?;
        Ok(Feed { id, wish: new.clone(), generation: 1, edition: 0, created_at: now, revoked_at: None })
    }

    /// Changes what a feed shows; its link stays. Returns how it differs, each as "detail full → busy"; none, and nothing is
    /// done, when it is as wished already.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is in use, [`StoreError::Changed`] when the feed was edited or ended since it was
    /// read; otherwise when the database can't be written.
    pub async fn change_feed(
        &self,
        feed: &Feed,
        wish: &NewFeed,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, StoreError> {
        let mut tx = self.write().await?;
        tx.still_live(feed, |present| present.edition == feed.edition).await?;
        let differences = feed.wish.differences(wish);
        if differences.is_empty() {
            return Ok(differences);
        }
        tx.edit_feed(feed.id, wish).await?;
        let summary = format!("Edited feed “{}”: {}", feed.wish.name, differences.join("; "));
        tx.append_admin_action(actor, "feed", summary, now).await?;
        tx.commit().await?;
        Ok(differences)
    }

    /// Makes a new link; older ones answer 410 from now on. Returns the feed with it.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when the feed was ended or got another link since it was read; otherwise when the database can't
    /// be written.
    pub async fn new_feed_link(&self, feed: &Feed, actor: &str, now: DateTime<Utc>) -> Result<Feed, StoreError> {
        let mut tx = self.write().await?;
        tx.still_live(feed, |present| present.generation == feed.generation).await?;
        let generation = tx.rotate_feed(feed.id).await?.ok_or(StoreError::Changed("the feed"))?;
        let summary = format!("Made a new link for feed “{}”", feed.wish.name);
        tx.append_admin_action(actor, "feed", summary, now).await?;
        tx.commit().await?;
        Ok(Feed { generation, ..feed.clone() })
    }

    /// Ends a feed; its links answer 410 from now on.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it was ended before; otherwise when the database can't be written.
    pub async fn end_feed(&self, feed: &Feed, actor: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        tx.still_live(feed, |_| true).await?;
        tx.revoke_feed(feed.id, now).await?;
        tx.append_admin_action(actor, "feed", format!("Revoked feed “{}”", feed.wish.name), now).await?;
        tx.commit().await
    }
}

impl WriteTx<'_> {
    /// Adds a feed, as one of several. Returns its id.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is in use; otherwise when the database can't be written.
    pub async fn new_feed(&mut self, new: &NewFeed, actor: &str, now: DateTime<Utc>) -> Result<i64, StoreError> {
        let id = self.add_feed(new, now).await?;
        let NewFeed { name, selection, detail, .. } = new;
        let summary = format!("Added feed “{name}”: {selection}, {}", detail.as_str());
        self.append_admin_action(actor, "feed", summary, now).await?;
        Ok(id)
    }

    /// Refuses a deed on a feed that was ended, or is no longer as it was read.
    async fn still_live(&mut self, feed: &Feed, is_same: impl Fn(&Feed) -> bool + Send) -> Result<(), StoreError> {
        let present = self.feed_by_id(feed.id).await?.filter(|present| present.revoked_at.is_none());
        if present.as_ref().is_some_and(is_same) { Ok(()) } else { Err(StoreError::Changed("the feed")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meeting::selection::{Detail, Selection, ShowAs, Window};

    #[tokio::test]
    async fn a_feed_that_can_not_be_read_holds_up_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let now = DateTime::UNIX_EPOCH;
        let feed = |name: &str| NewFeed {
            public_id: name.into(),
            name: name.into(),
            selection: Selection::default(),
            detail: Detail::Full,
            window: Window::USUAL,
            canceled_days: 7,
            show_as: ShowAs::Free,
        };
        store.new_feed(&feed("bad"), "test", now).await.unwrap();
        let good = store.new_feed(&feed("good"), "test", now).await.unwrap();
        let mut tx = store.write().await.unwrap();
        sqlx::query("UPDATE feeds SET selection = '?' WHERE name = 'bad'").execute(&mut *tx.0).await.unwrap();
        tx.commit().await.unwrap();
        assert!(store.feeds().await.is_err() && store.feed("bad").await.is_err());
        assert_eq!(store.feed("good").await.unwrap().as_ref(), Some(&good));
        let good = store.new_feed_link(&good, "test", now).await.unwrap();
        store.change_feed(&good, &feed("better"), "test", now).await.unwrap();
        let good = store.feed_by_id(good.id).await.unwrap().unwrap();
        assert_eq!((good.wish.name.as_str(), good.generation), ("better", 2));
        store.end_feed(&good, "test", now).await.unwrap();
        assert!(store.end_feed(&good, "test", now).await.is_err());
    }
}
