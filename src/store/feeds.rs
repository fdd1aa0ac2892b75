//! ICS feeds and the last good bytes of each.

use chrono::{DateTime, Utc};

use super::{Store, StoreError, WriteTx, count, millis, shown, time};
use crate::meeting::selection::{Detail, Selection, Window};

/// A feed to be made.
#[derive(Debug, Clone)]
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
}

/// A feed.
#[derive(Debug, Clone)]
pub struct Feed {
    /// Row id.
    pub id: i64,
    /// What was asked for.
    pub wish: NewFeed,
    /// Raised by rotate; older links answer 410.
    pub generation: u32,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Set: the link answers 410.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The bytes of a feed as served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// The calendar text.
    pub body: Vec<u8>,
    /// SHA-256 of the text.
    pub digest: Vec<u8>,
    /// Whole seconds, strictly rising per feed.
    pub last_modified_at: DateTime<Utc>,
    /// Events cut to stay inside the size limits.
    pub left_out: u32,
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
}

impl TryFrom<FeedRow> for Feed {
    type Error = StoreError;

    fn try_from(row: FeedRow) -> Result<Self, StoreError> {
        const TABLE: &str = "feeds";
        let (selection, detail, window) = shown(TABLE, &row.selection, &row.detail, row.past_days, row.future_days)?;
        Ok(Self {
            id: row.id,
            wish: NewFeed { public_id: row.public_id, name: row.name, selection, detail, window },
            generation: count(row.generation, TABLE, "generation")?,
            created_at: time(row.created_at, TABLE, "created_at")?,
            revoked_at: row.revoked_at.map(|at| time(at, TABLE, "revoked_at")).transpose()?,
        })
    }
}

impl Store {
    /// Every feed, also revoked ones, by id.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn feeds(&self) -> Result<Vec<Feed>, StoreError> {
        let rows = sqlx::query_as!(FeedRow, "SELECT * FROM feeds ORDER BY id").fetch_all(&self.reader).await?;
        rows.into_iter().map(Feed::try_from).collect()
    }

    /// The feed of that id or name; a live one comes before a revoked one.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn feed(&self, id_or_name: &str) -> Result<Option<Feed>, StoreError> {
        let mut found: Vec<Feed> = self
            .feeds()
            .await?
            .into_iter()
            .filter(|feed| feed.wish.name == id_or_name || feed.id.to_string() == id_or_name)
            .collect();
        found.sort_by_key(|feed| (feed.revoked_at.is_some(), feed.wish.name != id_or_name));
        Ok(found.into_iter().next())
    }

    /// The feed of that public id.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn feed_by_public_id(&self, public_id: &str) -> Result<Option<Feed>, StoreError> {
        let row = sqlx::query_as!(FeedRow, "SELECT * FROM feeds WHERE public_id = ?", public_id)
            .fetch_optional(&self.reader)
            .await?;
        row.map(Feed::try_from).transpose()
    }

    /// The last good bytes of a feed.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn rendition(&self, feed_id: i64) -> Result<Option<Rendition>, StoreError> {
        let row = sqlx::query!(
            "SELECT body, digest, last_modified_at, left_out FROM feed_renditions WHERE feed_id = ?",
            feed_id
        )
        .fetch_optional(&self.reader)
        .await?;
        row.map(|row| {
            Ok(Rendition {
                body: row.body,
                digest: row.digest,
                last_modified_at: time(row.last_modified_at, "feed_renditions", "last_modified_at")?,
                left_out: count(row.left_out, "feed_renditions", "left_out")?,
            })
        })
        .transpose()
    }
}

impl WriteTx<'_> {
    /// Adds a feed. Returns its id.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is in use.
    pub async fn add_feed(&mut self, new: &NewFeed, now: DateTime<Utc>) -> Result<i64, StoreError> {
        let taken = sqlx::query_scalar!("SELECT id FROM feeds WHERE name = ? AND revoked_at IS NULL", new.name)
            .fetch_optional(&mut *self.0)
            .await?;
        if taken.is_some() {
            return Err(StoreError::Exists("a feed of this name"));
        }
        let selection = serde_json::to_string(&new.selection).unwrap_or_default();
        let (detail, now) = (new.detail.as_str(), millis(now));
        let done = sqlx::query!(
            "INSERT INTO feeds (public_id, name, selection, detail, past_days, future_days, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            new.public_id,
            new.name,
            selection,
            detail,
            new.window.past_days,
            new.window.future_days,
            now
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.last_insert_rowid())
    }

    /// Makes a new link; older ones answer 410 from now on. Returns the new generation.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn rotate_feed(&mut self, id: i64) -> Result<u32, StoreError> {
        let generation =
            sqlx::query_scalar!("UPDATE feeds SET generation = generation + 1 WHERE id = ? RETURNING generation", id)
                .fetch_one(&mut *self.0)
                .await?;
        count(generation, "feeds", "generation")
    }

    /// Ends a feed; its links answer 410 from now on, and its bytes are forgotten.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn revoke_feed(&mut self, id: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
        let now = millis(now);
        sqlx::query!("UPDATE feeds SET revoked_at = ? WHERE id = ?", now, id).execute(&mut *self.0).await?;
        sqlx::query!("DELETE FROM feed_renditions WHERE feed_id = ?", id).execute(&mut *self.0).await?;
        Ok(())
    }

    /// Keeps the bytes of a feed. A time that is not later than the one kept is raised by one second over it, so that
    /// Last-Modified never moves back. Returns the time kept.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_rendition(&mut self, feed_id: i64, new: &Rendition) -> Result<DateTime<Utc>, StoreError> {
        let modified = millis(new.last_modified_at);
        let kept = sqlx::query_scalar!(
            "INSERT INTO feed_renditions (feed_id, body, digest, last_modified_at, left_out) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (feed_id) DO UPDATE SET
                 body = ?2, digest = ?3, left_out = ?5,
                 last_modified_at = CASE WHEN digest = ?3 THEN last_modified_at ELSE max(?4, last_modified_at + 1000) END
             RETURNING last_modified_at",
            feed_id,
            new.body,
            new.digest,
            modified,
            new.left_out
        )
        .fetch_one(&mut *self.0)
        .await?;
        time(kept, "feed_renditions", "last_modified_at")
    }
}
