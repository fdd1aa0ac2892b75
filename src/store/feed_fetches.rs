//! Who reads a feed: how often programs of each class fetched it on each day, with what answer. Nothing tells of persons.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Store, StoreError, WriteTx, count, millis, time};

/// Days that are told to people, today included.
pub const TOLD_DAYS: i64 = 14;

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FetchKey {
    /// The feed.
    pub feed_id: i64,
    /// Class of the program.
    pub program: &'static str,
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    /// HTTP status of the answer.
    pub answer: u16,
}

/// How often and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub fetches: u32,
    /// Latest of them.
    pub last_at: DateTime<Utc>,
}

/// What is known of one class of programs and one feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Class of the program.
    pub program: String,
    /// Latest fetch.
    pub last_at: DateTime<Utc>,
    /// Its answer: an HTTP status.
    pub last_answer: u16,
    /// Fetches on each day on which there were any, days since 1970-01-01 UTC.
    pub days: BTreeMap<i64, u32>,
    /// Fetches by the present link: not those that were told that their link was ended.
    pub served: u32,
}

/// The day of a time: days since 1970-01-01, UTC.
pub fn day_of(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(TimeDelta::days(1).num_seconds())
}

impl WriteTx<'_> {
    /// Adds to the counts.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn add_fetches(
        &mut self,
        counted: impl IntoIterator<Item = (&FetchKey, &Tally)>,
    ) -> Result<(), StoreError> {
        for (key, tally) in counted {
            let last_at = millis(tally.last_at);
            sqlx::query!(
                "INSERT INTO feed_fetches (feed_id, program, day, answer, fetches, last_at) VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (feed_id, program, day, answer) DO UPDATE SET
                     fetches = fetches + excluded.fetches, last_at = max(last_at, excluded.last_at)",
                key.feed_id,
                key.program,
                key.day,
                key.answer,
                tally.fetches,
                last_at
            )
            .execute(&mut *self.0)
            .await?;
        }
        Ok(())
    }

    /// Removes some counts of the days before one, at most so many. Returns how many there were.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn remove_old_fetches(&mut self, before: i64, most: u32) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "DELETE FROM feed_fetches WHERE (feed_id, program, day, answer) IN (
                 SELECT feed_id, program, day, answer FROM feed_fetches WHERE day < ? LIMIT ?)",
            before,
            most
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected())
    }
}

/// Fetches of all feeds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchSummary {
    /// On each day on which there were any, days since 1970-01-01 UTC.
    pub days: BTreeMap<i64, u32>,
    /// Latest of them.
    pub last_at: Option<DateTime<Utc>>,
    /// Of the latest day with any, those that were answered with an error of ours.
    pub failed: u32,
}

impl Store {
    /// Fetches of all feeds in the last [`TOLD_DAYS`].
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn fetch_summary(&self, now: DateTime<Utc>) -> Result<FetchSummary, StoreError> {
        const TABLE: &str = "feed_fetches";
        let since = day_of(now) - TOLD_DAYS + 1;
        let rows = sqlx::query!(
            r#"SELECT day AS "day!", sum(fetches) AS "fetches!: i64", max(last_at) AS "last_at!: i64",
                      coalesce(sum(fetches) FILTER (WHERE answer >= 500), 0) AS "failed!: i64"
               FROM feed_fetches WHERE day >= ? GROUP BY day ORDER BY day"#,
            since
        )
        .fetch_all(&self.reader)
        .await?;
        let mut summary = FetchSummary::default();
        for row in rows {
            summary.days.insert(row.day, count(row.fetches, TABLE, "fetches")?);
            summary.last_at = summary.last_at.max(Some(time(row.last_at, TABLE, "last_at")?));
            summary.failed = count(row.failed, TABLE, "fetches")?;
        }
        Ok(summary)
    }

    /// Who read these feeds in the last [`TOLD_DAYS`], by feed; of each feed the program that fetched last comes first.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn readers(
        &self,
        feed_ids: &[i64],
        now: DateTime<Utc>,
    ) -> Result<BTreeMap<i64, Vec<Reader>>, StoreError> {
        const TABLE: &str = "feed_fetches";
        let since = day_of(now) - TOLD_DAYS + 1;
        let feed_ids = serde_json::to_string(feed_ids).unwrap_or_default();
        let rows = sqlx::query!(
            "SELECT feed_id, program, day, answer, fetches, last_at FROM feed_fetches
             WHERE feed_id IN (SELECT value FROM json_each(?)) AND day >= ?
             ORDER BY feed_id, last_at DESC",
            feed_ids,
            since
        )
        .fetch_all(&self.reader)
        .await?;
        let mut readers = BTreeMap::<i64, Vec<Reader>>::new();
        for row in rows {
            let of_feed = readers.entry(row.feed_id).or_default();
            let fetches = count(row.fetches, TABLE, "fetches")?;
            let served = if row.answer == 410 { 0 } else { fetches };
            if let Some(known) = of_feed.iter_mut().find(|reader| reader.program == row.program) {
                *known.days.entry(row.day).or_default() += fetches;
                known.served += served;
            } else {
                of_feed.push(Reader {
                    program: row.program,
                    last_at: time(row.last_at, TABLE, "last_at")?,
                    last_answer: u16::try_from(row.answer).map_err(|_| StoreError::row(TABLE, "answer", row.answer))?,
                    days: BTreeMap::from([(row.day, fetches)]),
                    served,
                });
            }
        }
        Ok(readers)
    }
}
