//! Signed-in sessions, so that a restart signs nobody out.

use chrono::{DateTime, Utc};

use super::{Store, StoreError, WriteTx, millis};

impl Store {
    /// The data of a session that has not expired.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn session(&self, id: &str, now: DateTime<Utc>) -> Result<Option<String>, StoreError> {
        let now = millis(now);
        Ok(sqlx::query_scalar!("SELECT data FROM sessions WHERE id = ? AND expires_at > ?", id, now)
            .fetch_optional(&self.reader)
            .await?)
    }
}

impl WriteTx<'_> {
    /// Adds a session; false when the id is taken.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn add_session(&mut self, id: &str, data: &str, expires_at: DateTime<Utc>) -> Result<bool, StoreError> {
        let expires_at = millis(expires_at);
        let done = sqlx::query!(
            "INSERT INTO sessions (id, data, expires_at) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
            id,
            data,
            expires_at
        )
        .execute(&mut *self.0)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Changes a session. One that is gone is not brought back.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn save_session(&mut self, id: &str, data: &str, expires_at: DateTime<Utc>) -> Result<(), StoreError> {
        let expires_at = millis(expires_at);
        sqlx::query!("UPDATE sessions SET data = ?, expires_at = ? WHERE id = ?", data, expires_at, id)
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
