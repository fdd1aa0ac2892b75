//! Feeds as subscribers get them: over HTTP from the real program. Must not test what a feed's text looks like.

mod cache;
mod changes;
mod http;
mod readers;
mod selected;
mod subscriber;

use meeting_mirror::store::{Feed, NewFeed};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::support::TestApp;

/// What a subscriber got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) status: u16,
    headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Got {
    /// A header; empty when it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The values of a property, unfolded.
    pub(crate) fn values(&self, property: &str) -> Vec<String> {
        let unfolded = self.body.replace("\r\n ", "");
        let lines = unfolded.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(name, _)| *name == property).map(|(_, value)| value.to_owned()).collect()
    }
}

impl TestApp {
    pub(crate) fn feed_url(&self, feed: &Feed) -> String {
        self.url(&format!("/feeds/{}.ics", self.site.links.token(feed)))
    }

    /// Fetches a feed, once its worker has caught up.
    pub(crate) async fn fetch(&self, feed: &Feed, headers: &[(&str, &str)]) -> Got {
        self.feeds.catch_up().await.unwrap();
        self.fetch_as_it_is(feed, headers).await
    }

    /// Fetches a feed. Its worker stands still.
    pub(crate) async fn fetch_as_it_is(&self, feed: &Feed, headers: &[(&str, &str)]) -> Got {
        let mut request = self.http.get(self.feed_url(feed));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Got { status, headers, body: response.text().await.unwrap() }
    }

    /// Changes a feed's settings. Returns the feed as it is then.
    pub(crate) async fn edit_feed(&self, feed: &Feed, change: impl FnOnce(&mut NewFeed)) -> Feed {
        let mut wish = feed.wish.clone();
        change(&mut wish);
        let mut tx = self.store.write().await.unwrap();
        tx.edit_feed(feed.id, &wish).await.unwrap();
        tx.commit().await.unwrap();
        self.store.feed(&feed.id.to_string()).await.unwrap().unwrap()
    }

    /// Does to the database what the program never does.
    pub(crate) async fn sql(&self, statements: &'static str) {
        let mut connection = SqliteConnectOptions::new().filename(self.store.path()).connect().await.unwrap();
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
        sqlx::Connection::close(connection).await.unwrap();
    }

    /// Damages every meeting, as a change that feeds learn of.
    pub(crate) async fn damage_meetings(&self) {
        self.sql(
            "UPDATE changes SET position = position + 1;
             UPDATE meetings SET details = '{}', position = (SELECT position FROM changes WHERE of = 'meetings');",
        )
        .await;
    }
}
