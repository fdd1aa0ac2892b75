//! Holding a calendar back: nothing is tried there for a while.

use chrono::{DateTime, Utc};

use super::{StoreError, WriteTx, millis};

/// Why a calendar is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedFor {
    /// Google asked for fewer calls, or did not answer in time.
    SlowDown,
    /// Google's quota for the whole project is used up.
    Quota,
    /// A person must act.
    Person,
    /// It is being purged, or was a moment ago.
    Purge,
}

impl PausedFor {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SlowDown => "slow down",
            Self::Quota => "quota",
            Self::Person => "person",
            Self::Purge => "purge",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::SlowDown, Self::Quota, Self::Person, Self::Purge].into_iter().find(|why| why.as_str() == word)
    }
}

impl WriteTx<'_> {
    /// Holds a calendar back until a time, with what a person must do (if one must). A longer pause stays, with its reason.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn pause_calendar(
        &mut self,
        id: i64,
        until: DateTime<Utc>,
        why: PausedFor,
        problem: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (until, why, now) = (millis(until), why.as_str(), millis(now));
        sqlx::query!(
            "UPDATE calendars SET paused_for = CASE WHEN ?1 >= coalesce(paused_until, 0) THEN ?5 ELSE paused_for END,
                    paused_until = max(?1, coalesce(paused_until, 0)), problem = coalesce(?2, problem),
                    problem_at = CASE WHEN ?2 IS NULL THEN problem_at ELSE coalesce(problem_at, ?3) END
             WHERE id = ?4",
            until,
            problem,
            now,
            id,
            why
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Google agreed: a problem and a pause that is over are forgotten. A pause that still runs stays: another call or an
    /// admin asked for it meanwhile.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn calendar_agreed(&mut self, id: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
        let now = millis(now);
        sqlx::query!(
            "UPDATE calendars SET paused_until = NULL, paused_for = NULL, problem = NULL, problem_at = NULL
             WHERE id = ? AND coalesce(paused_until, 0) <= ? AND (paused_until IS NOT NULL OR problem IS NOT NULL)",
            id,
            now
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Lets a calendar run again: an admin wants it tried now.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn resume_calendar(&mut self, id: i64) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE calendars SET paused_until = NULL, paused_for = NULL, problem = NULL, problem_at = NULL
             WHERE id = ? AND (paused_until IS NOT NULL OR problem IS NOT NULL)",
            id
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }
}
