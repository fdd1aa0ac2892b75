//! Signed-in sessions, so that a restart signs nobody out.

use chrono::{DateTime, Utc};

use super::{Store, StoreError, WriteTx, millis, time};

/// A session that has not expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// What the session layer keeps in it.
    pub data: String,
    /// When it ends if it is not used before.
    pub expires_at: DateTime<Utc>,
    /// When it ends however much it is used.
    pub ends_at: DateTime<Utc>,
}

impl Store {
    /// A session that has not expired.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn session(&self, id: &str, now: DateTime<Utc>) -> Result<Option<StoredSession>, StoreError> {
        const TABLE: &str = "sessions";
        let now = millis(now);
        let row =
            sqlx::query!("SELECT data, expires_at, ends_at FROM sessions WHERE id = ? AND expires_at > ?", id, now)
                .fetch_optional(&self.reader)
                .await?;
        row.map(|row| {
            Ok(StoredSession {
                data: row.data,
                expires_at: time(row.expires_at, TABLE, "expires_at")?,
                ends_at: time(row.ends_at, TABLE, "ends_at")?,
            })
        })
        .transpose()
    }
}

impl WriteTx<'_> {
    /// Adds a session; false when the id is taken.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn add_session(&mut self, id: &str, new: &StoredSession) -> Result<bool, StoreError> {
        let (expires_at, ends_at) = (millis(new.expires_at), millis(new.ends_at));
        let done = sqlx::query!(
            "INSERT INTO sessions (id, data, expires_at, ends_at) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            id,
            new.data,
            expires_at,
            ends_at
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Changes what is kept in a session. One that is gone is not brought back.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn save_session(&mut self, id: &str, data: &str) -> Result<(), StoreError> {
        sqlx::query!("UPDATE sessions SET data = ? WHERE id = ?", data, id).execute(&mut *self.0).await?;
        Ok(())
    }

    /// Puts off the end of a session that is used, never back and never beyond its last day.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn put_off_session(&mut self, id: &str, expires_at: DateTime<Utc>) -> Result<(), StoreError> {
        let expires_at = millis(expires_at);
        sqlx::query!("UPDATE sessions SET expires_at = max(expires_at, min(?, ends_at)) WHERE id = ?", expires_at, id)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Ends a session, and forgets those that expired.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn end_session(&mut self, id: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let now = millis(now);
        sqlx::query!("DELETE FROM sessions WHERE id = ? OR expires_at <= ?", id, now).execute(&mut *self.0).await?;
        Ok(())
    }

    /// Ends every session.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn end_all_sessions(&mut self) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM sessions").execute(&mut *self.0).await?;
        Ok(())
    }
}
