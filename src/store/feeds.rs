//! ICS feeds and their settings.

use chrono::{DateTime, Utc};

use super::{Store, StoreError, WriteTx, count, millis, shown, time};
use crate::meeting::selection::{Detail, Selection, ShowAs, Window};
use crate::meeting::showing::Rule;

/// A feed to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFeed {
    /// First part of the link's token.
    pub public_id: String,
    /// For people; the calendar's name in their program.
    pub name: String,
    /// Which meetings.
    pub selection: Selection,
    /// How much of them.
    pub detail: Detail,
    /// In which days.
    pub window: Window,
    /// Days that a canceled meeting is shown, struck through.
    pub canceled_days: u32,
    /// Whether its meetings take the subscriber's time.
    pub show_as: ShowAs,
}

impl NewFeed {
    /// Days that a canceled meeting is shown, unless somebody chooses.
    pub const CANCELED_DAYS: u32 = 7;

    /// What decides over a meeting here.
    pub fn rule(&self) -> Rule<'_> {
        Rule { selection: &self.selection, window: self.window, canceled_days: self.canceled_days }
    }
}

/// A feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// Row id.
    pub id: i64,
    /// What was asked for.
    pub wish: NewFeed,
    /// Raised by rotate; older links answer 410.
    pub generation: u32,
    /// Raised by every edit.
    pub edition: u32,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Set: the link answers 410.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A feed whose row can't be read.
#[derive(Debug)]
pub struct UnreadFeed {
    /// Row id.
    pub id: i64,
    /// First part of the link's token.
    pub public_id: String,
    /// For people.
    pub name: String,
    /// Which meetings, if at least that can be read.
    pub selection: Option<Selection>,
    /// Whether it was ended.
    pub is_revoked: bool,
    /// What is wrong with it.
    pub error: StoreError,
}

struct FeedRow {
    id: i64,
    public_id: String,
    name: String,
    selection: String,
    detail: String,
    past_days: i64,
    future_days: i64,
    generation: i64,
    created_at: i64,
    revoked_at: Option<i64>,
    canceled_days: i64,
    show_as: String,
    edition: i64,
}

impl TryFrom<FeedRow> for Feed {
    type Error = StoreError;

    fn try_from(row: FeedRow) -> Result<Self, StoreError> {
        const TABLE: &str = "feeds";
        let (selection, detail, window) = shown(TABLE, &row.selection, &row.detail, row.past_days, row.future_days)?;
        let wish = NewFeed {
            public_id: row.public_id,
            name: row.name,
            selection,
            detail,
            window,
            canceled_days: count(row.canceled_days, TABLE, "canceled_days")?,
            show_as: ShowAs::from_word(&row.show_as).ok_or_else(|| StoreError::row(TABLE, "show_as", &row.show_as))?,
        };
        Ok(Self {
            id: row.id,
            wish,
            generation: count(row.generation, TABLE, "generation")?,
            edition: count(row.edition, TABLE, "edition")?,
            created_at: time(row.created_at, TABLE, "created_at")?,
            revoked_at: row.revoked_at.map(|at| time(at, TABLE, "revoked_at")).transpose()?,
        })
    }
}

impl FeedRow {
    fn read_each(rows: Vec<Self>) -> Vec<Result<Feed, Box<UnreadFeed>>> {
        let read = |row: Self| {
            let (id, public_id, name) = (row.id, row.public_id.clone(), row.name.clone());
            let (selection, is_revoked) = (serde_json::from_str(&row.selection).ok(), row.revoked_at.is_some());
            row.try_into().map_err(|error| Box::new(UnreadFeed { id, public_id, name, selection, is_revoked, error }))
        };
        rows.into_iter().map(read).collect()
    }
}

impl Store {
    /// Every feed, also revoked ones, by id.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn feeds(&self) -> Result<Vec<Feed>, StoreError> {
        self.feeds_one_by_one().await?.into_iter().map(|feed| feed.map_err(|unread| unread.error)).collect()
    }

    /// Every feed, also revoked ones, by id; each may be one that can't be read.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn feeds_one_by_one(&self) -> Result<Vec<Result<Feed, Box<UnreadFeed>>>, StoreError> {
        let rows = sqlx::query_as!(FeedRow, "SELECT * FROM feeds ORDER BY id").fetch_all(&self.reader).await?;
        Ok(FeedRow::read_each(rows))
    }

    /// The feeds in use, by id; each may be one that can't be read.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn feeds_in_use(&self) -> Result<Vec<Result<Feed, Box<UnreadFeed>>>, StoreError> {
        let mut feeds = self.feeds_one_by_one().await?;
        feeds.retain(|feed| match feed {
            Ok(feed) => feed.revoked_at.is_none(),
            Err(unread) => !unread.is_revoked,
        });
        Ok(feeds)
    }

    /// The feed of that row id. Only that row is read: another that can't be read is no matter.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn feed_by_id(&self, id: i64) -> Result<Option<Feed>, StoreError> {
        let row = sqlx::query_as!(FeedRow, "SELECT * FROM feeds WHERE id = ?", id).fetch_optional(&self.reader).await?;
        row.map(Feed::try_from).transpose()
    }

    /// The feed of that id or name; a live one comes before a revoked one.
    ///
    /// # Errors
    /// When it can't be read. Another that can't be read is no matter.
    pub async fn feed(&self, id_or_name: &str) -> Result<Option<Feed>, StoreError> {
        let is_it = |id: i64, name: &str| name == id_or_name || id.to_string() == id_or_name;
        let mut found = Vec::new();
        for feed in self.feeds_one_by_one().await? {
            match feed {
                Ok(feed) if is_it(feed.id, &feed.wish.name) => found.push(feed),
                Err(unread) if is_it(unread.id, &unread.name) => return Err(unread.error),
                _ => {}
            }
        }
        found.sort_by_key(|feed| (feed.revoked_at.is_some(), feed.wish.name != id_or_name));
        Ok(found.into_iter().next())
    }
}

impl WriteTx<'_> {
    /// The feed of that row id. Only that row is read: another that can't be read is no matter.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) async fn feed_by_id(&mut self, id: i64) -> Result<Option<Feed>, StoreError> {
        let row = sqlx::query_as!(FeedRow, "SELECT * FROM feeds WHERE id = ?", id).fetch_optional(&mut *self.0).await?;
        row.map(Feed::try_from).transpose()
    }

    /// Every feed, also revoked ones, by id; each may be one that can't be read.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn feeds_one_by_one(&mut self) -> Result<Vec<Result<Feed, Box<UnreadFeed>>>, StoreError> {
        let rows = sqlx::query_as!(FeedRow, "SELECT * FROM feeds ORDER BY id").fetch_all(&mut *self.0).await?;
        Ok(FeedRow::read_each(rows))
    }

    /// Adds a feed. Returns its id.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is in use.
    pub async fn add_feed(&mut self, new: &NewFeed, now: DateTime<Utc>) -> Result<i64, StoreError> {
        self.refuse_taken_name(&new.name, None).await?;
        let selection = serde_json::to_string(&new.selection).unwrap_or_default();
        let (detail, show_as, now) = (new.detail.as_str(), new.show_as.as_str(), millis(now));
        let done = sqlx::query!(
            "INSERT INTO feeds (public_id, name, selection, detail, past_days, future_days, canceled_days, show_as, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            new.public_id,
            new.name,
            selection,
            detail,
            new.window.past_days,
            new.window.future_days,
            new.canceled_days,
            show_as,
            now
        )
        .execute(&mut *self.0)
        .await?;
        self.feeds_changed().await?;
        Ok(done.last_insert_rowid())
    }

    /// Changes what a feed shows; its link stays. What it showed before is forgotten: it may be more than it is to show now.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is in use.
    pub async fn edit_feed(&mut self, id: i64, wish: &NewFeed) -> Result<(), StoreError> {
        self.refuse_taken_name(&wish.name, Some(id)).await?;
        let selection = serde_json::to_string(&wish.selection).unwrap_or_default();
        let (detail, show_as) = (wish.detail.as_str(), wish.show_as.as_str());
        sqlx::query!(
            "UPDATE feeds SET name = ?, selection = ?, detail = ?, past_days = ?, future_days = ?, canceled_days = ?, show_as = ?,
                    edition = edition + 1
             WHERE id = ?",
            wish.name,
            selection,
            detail,
            wish.window.past_days,
            wish.window.future_days,
            wish.canceled_days,
            show_as,
            id
        )
        .execute(&mut *self.0)
        .await?;
        self.forget_rendition(id).await?;
        self.feeds_changed().await
    }

    /// Makes a new link; older ones answer 410 from now on. Returns the new generation; none when the feed was revoked.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn rotate_feed(&mut self, id: i64) -> Result<Option<u32>, StoreError> {
        let generation = sqlx::query_scalar!(
            "UPDATE feeds SET generation = generation + 1 WHERE id = ? AND revoked_at IS NULL RETURNING generation",
            id
        )
        .fetch_optional(&mut *self.0)
        .await?;
        self.feeds_changed().await?;
        generation.map(|generation| count(generation, "feeds", "generation")).transpose()
    }

    /// Ends a feed; its links answer 410 from now on, and its bytes are forgotten. One that was revoked before stays as it is.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn revoke_feed(&mut self, id: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
        let now = millis(now);
        sqlx::query!("UPDATE feeds SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", now, id)
            .execute(&mut *self.0)
            .await?;
        self.forget_rendition(id).await?;
        self.feeds_changed().await
    }

    async fn refuse_taken_name(&mut self, name: &str, but_for: Option<i64>) -> Result<(), StoreError> {
        let taken = sqlx::query_scalar!(
            "SELECT id FROM feeds WHERE name = ? AND revoked_at IS NULL AND id IS NOT ?",
            name,
            but_for
        )
        .fetch_optional(&mut *self.0)
        .await?;
        if taken.is_some() { Err(StoreError::Exists("a feed of this name")) } else { Ok(()) }
    }
}
