//! The last good bytes of each feed: served when a feed can't be rendered, and the memory of its ETag and Last-Modified.

use chrono::{DateTime, Utc};

use super::{Feed, Store, StoreError, WriteTx, count, millis, time};

const TABLE: &str = "feed_renditions";

/// The bytes of a feed as served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// The calendar text.
    pub body: Vec<u8>,
    /// SHA-256 of the text.
    pub digest: Vec<u8>,
    /// Whole seconds, strictly rising per feed.
    pub last_modified_at: DateTime<Utc>,
    /// What did not fit.
    pub left_out: LeftOut,
}

/// Meetings that a feed would show if it had room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// All of them.
    pub meetings: u32,
    /// Of those, the ones that had not ended; the others are the longest past.
    pub ahead: u32,
    /// When the first of those begins.
    pub from: Option<DateTime<Utc>>,
}

/// What is known of a feed's bytes without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenditionFacts {
    /// Whose they are.
    pub feed_id: i64,
    /// Octets.
    pub length: i64,
    /// When they last changed.
    pub last_modified_at: DateTime<Utc>,
    /// What did not fit.
    pub left_out: LeftOut,
}

fn left_out(meetings: i64, ahead: i64, from: Option<i64>) -> Result<LeftOut, StoreError> {
    Ok(LeftOut {
        meetings: count(meetings, TABLE, "left_out")?,
        ahead: count(ahead, TABLE, "left_out_ahead")?,
        from: from.map(|at| time(at, TABLE, "left_out_from")).transpose()?,
    })
}

impl Store {
    /// The last good bytes of a feed; none when it was never rendered with the settings it has now.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn rendition(&self, feed_id: i64) -> Result<Option<Rendition>, StoreError> {
        let row = sqlx::query!(
            "SELECT body, digest, last_modified_at, left_out, left_out_ahead, left_out_from
             FROM feed_renditions WHERE feed_id = ? AND length(body) > 0",
            feed_id
        )
        .fetch_optional(&self.reader)
        .await?;
        row.map(|row| {
            Ok(Rendition {
                body: row.body,
                digest: row.digest,
                last_modified_at: time(row.last_modified_at, TABLE, "last_modified_at")?,
                left_out: left_out(row.left_out, row.left_out_ahead, row.left_out_from)?,
            })
        })
        .transpose()
    }

    /// What is known of every feed's bytes.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn rendition_facts(&self) -> Result<Vec<RenditionFacts>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT feed_id, length(body) AS "length!: i64", last_modified_at, left_out, left_out_ahead, left_out_from
               FROM feed_renditions WHERE length(body) > 0"#
        )
        .fetch_all(&self.reader)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(RenditionFacts {
                    feed_id: row.feed_id,
                    length: row.length,
                    last_modified_at: time(row.last_modified_at, TABLE, "last_modified_at")?,
                    left_out: left_out(row.left_out, row.left_out_ahead, row.left_out_from)?,
                })
            })
            .collect()
    }
}

impl WriteTx<'_> {
    /// Keeps the bytes of a feed. If they differ from those kept, a time that is not later than the one kept is raised by one
    /// second over it, so that Last-Modified never moves back. Returns the time kept; none, and nothing is kept, when the feed
    /// was edited or revoked since it was read.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_rendition(&mut self, feed: &Feed, new: &Rendition) -> Result<Option<DateTime<Utc>>, StoreError> {
        let modified = millis(new.last_modified_at);
        let from = new.left_out.from.map(millis);
        let kept = sqlx::query_scalar!(
            "INSERT INTO feed_renditions (feed_id, body, digest, last_modified_at, left_out, left_out_ahead, left_out_from)
             SELECT id, ?2, ?3, ?4, ?5, ?6, ?7 FROM feeds WHERE id = ?1 AND edition = ?8 AND revoked_at IS NULL
             ON CONFLICT (feed_id) DO UPDATE SET
                 body = ?2, digest = ?3, left_out = ?5, left_out_ahead = ?6, left_out_from = ?7,
                 last_modified_at = CASE WHEN digest = ?3 THEN last_modified_at ELSE max(?4, last_modified_at + 1000) END
             RETURNING last_modified_at",
            feed.id,
            new.body,
            new.digest,
            modified,
            new.left_out.meetings,
            new.left_out.ahead,
            from,
            feed.edition
        )
        .fetch_optional(&mut *self.0)
        .await?;
        kept.map(|at| time(at, TABLE, "last_modified_at")).transpose()
    }

    /// Forgets the bytes of a feed, but not their ETag and Last-Modified.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn forget_rendition(&mut self, feed_id: i64) -> Result<(), StoreError> {
        sqlx::query!("UPDATE feed_renditions SET body = x'' WHERE feed_id = ?", feed_id).execute(&mut *self.0).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Row as _;

    #[tokio::test]
    async fn what_is_known_of_all_feeds_is_read_from_an_index_and_not_from_their_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let plan =
            "EXPLAIN QUERY PLAN SELECT feed_id, length(body), last_modified_at, left_out, left_out_ahead, left_out_from
                    FROM feed_renditions WHERE length(body) > 0";
        let rows = sqlx::query(plan).fetch_all(&store.reader).await.unwrap();
        assert_eq!(
            rows[0].get::<String, _>("detail"),
            "SCAN feed_renditions USING COVERING INDEX feed_renditions_facts"
        );
    }
}
