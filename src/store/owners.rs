//! Who owns meetings.

use super::{Store, StoreError};
use crate::meeting::event::Owner;

/// Somebody who owns at least one meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeetingOwner {
    /// What tells one owner from another, without regard to the case of ASCII letters.
    pub username: String,
    /// For people: the name that their latest meeting tells, else the username.
    pub name: String,
}

impl Store {
    /// Every owner of a meeting, each once.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn meeting_owners(&self) -> Result<Vec<MeetingOwner>, StoreError> {
        // Each step finds the next owner in the index; the meetings between are not read.
        let rows = sqlx::query!(
            r#"WITH RECURSIVE owners (key) AS (
                   SELECT min(owner) FROM meetings
                   UNION ALL
                   SELECT (SELECT min(owner) FROM meetings WHERE owner > key) FROM owners WHERE key IS NOT NULL
               )
               SELECT key AS "key!: String",
                      (SELECT details -> '$.owner' FROM meetings WHERE owner = key ORDER BY ends_at DESC LIMIT 1)
                          AS "owner: String"
               FROM owners WHERE key IS NOT NULL"#
        )
        .fetch_all(&self.reader)
        .await?;
        let owners = rows.into_iter().map(|row| {
            // Of a row that can't be read the name is missing, not the owner.
            let owner: Owner = row.owner.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            let name = owner.display_name().unwrap_or_else(|| row.key.clone());
            MeetingOwner { username: owner.username.unwrap_or(row.key), name }
        });
        Ok(owners.collect())
    }
}
