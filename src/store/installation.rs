//! What this installation knows of itself: a few named values.

use super::{Store, StoreError, WriteTx};

/// The values that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// Random name of this installation; part of every event id at Google, and the mark on what we wrote there.
    Id,
    /// Argon2 hash of the admin password.
    AdminPasswordHash,
    /// Base of every link, as the server that ran last had it.
    PublicUrl,
    /// The last backup, whoever made it: JSON of [`super::BackupMade`].
    LastBackup,
    /// The last one of the schedule: JSON of [`super::BackupMade`].
    ScheduledBackup,
    /// JSON of [`super::BackupFailed`].
    BackupFailed,
    /// Since when backups are to be made on a schedule: JSON of the time.
    BackupsSince,
    /// JSON of [`super::RetentionRun`].
    Retention,
    /// When something was deleted of which nothing may be left in the files, and still may be (RFC 3339); none = nothing.
    WipeDue,
    /// JSON of [`super::AuditVerified`].
    AuditVerified,
    /// When the audit log was last seen to, as every day (RFC 3339).
    AuditKept,
    /// The settings of the server that ran last: JSON by the names of flags, of secrets only a keyed digest.
    Settings,
}

impl Fact {
    fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::AdminPasswordHash => "admin_password_hash",
            Self::PublicUrl => "public_url",
            Self::LastBackup => "last_backup",
            Self::ScheduledBackup => "scheduled_backup",
            Self::BackupFailed => "backup_failed",
            Self::BackupsSince => "backups_since",
            Self::Retention => "retention",
            Self::WipeDue => "wipe_due",
            Self::AuditVerified => "audit_verified",
            Self::AuditKept => "audit_kept",
            Self::Settings => "settings",
        }
    }
}

impl Store {
    /// A kept value.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn fact(&self, fact: Fact) -> Result<Option<String>, StoreError> {
        let name = fact.as_str();
        Ok(sqlx::query_scalar!("SELECT value FROM installation WHERE name = ?", name)
            .fetch_optional(&self.reader)
            .await?)
    }
}

impl WriteTx<'_> {
    /// Keeps a value.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_fact(&mut self, fact: Fact, value: &str) -> Result<(), StoreError> {
        let name = fact.as_str();
        sqlx::query!(
            "INSERT INTO installation (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
            name,
            value
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Forgets a value, unless it is another one by now.
    pub(super) async fn forget_fact(&mut self, fact: Fact, value: &str) -> Result<(), StoreError> {
        let name = fact.as_str();
        sqlx::query!("DELETE FROM installation WHERE name = ? AND value = ?", name, value)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}
