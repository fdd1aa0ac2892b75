//! How the installation is kept: the size of the database, the oldest body, and whether the audit log was verified.

use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{Fact, Store, StoreError, WriteTx, time};
use crate::audit::chain::{Break, Hash, Mark, Verification};
use crate::audit::checkpoint::Checkpoint;
use crate::health::condition::Room;

/// Audit entries read at a time: a log of any length takes little memory, even if each is as large as a delivery.
const STEP: u32 = 100;

/// What is stored, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// Octets of the database's files.
    pub octets: u64,
    /// Octets of the write-ahead log among them.
    pub wal_octets: u64,
    /// The disk that they are on; none when it can't be told.
    pub room: Option<Room>,
    /// Arrival of the oldest delivery whose body is kept.
    pub oldest_body_at: Option<DateTime<Utc>>,
}

/// What verifying the audit log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerified {
    /// When.
    pub at: DateTime<Utc>,
    /// Entries that are intact, from the first.
    pub entries: i64,
    /// Number of the last of them. Only what an earlier version wrote lacks it; there it is as many as there are.
    #[serde(default)]
    pub last: Option<i64>,
    /// Hash of the last entry that was read, hexadecimal.
    pub head: String,
    /// Where the chain breaks; none = it holds.
    pub broken: Option<String>,
    /// When it breaks: the number of the last entry when it last held, and its hash.
    #[serde(default)]
    pub held: Option<(i64, String)>,
}

impl AuditVerified {
    /// Where the chain ended when it last held.
    fn last_held(self) -> Option<(i64, String)> {
        if self.broken.is_some() { self.held } else { Some((self.last.unwrap_or(self.entries), self.head)) }
    }
}

pub(super) fn read<T: for<'de> Deserialize<'de>>(
    fact: Option<String>,
    name: &'static str,
) -> Result<Option<T>, StoreError> {
    let read =
        fact.map(|text| serde_json::from_str(&text).map_err(|error| StoreError::row("installation", name, error)));
    read.transpose()
}

/// The room on the disk that holds a file or directory.
///
/// # Errors
/// When the system does not tell.
pub fn room_at(path: &Path) -> io::Result<Room> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(Room { free: disk.f_bavail.saturating_mul(disk.f_frsize), total: disk.f_blocks.saturating_mul(disk.f_frsize) })
}

fn to_hash(hexadecimal: &str) -> Result<Hash, StoreError> {
    let bytes = HEXLOWER.decode(hexadecimal.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| StoreError::row("installation", "audit_verified", hexadecimal))
}

impl Store {
    /// What is stored, and since when.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn storage(&self) -> Result<Storage, StoreError> {
        let size = async |suffix| {
            let mut file = self.path().as_os_str().to_owned();
            file.push(suffix);
            // The two beside the database come and go.
            tokio::fs::metadata(&file).await.map_or(0, |file| file.len())
        };
        let wal_octets = size("-wal").await;
        let octets = size("").await + wal_octets + size("-shm").await;
        let room = room_at(self.path()).ok();
        let oldest =
            sqlx::query_scalar!(r#"SELECT min(received_at) AS "oldest: i64" FROM inbox WHERE body_removed_at IS NULL"#)
                .fetch_one(&self.reader)
                .await?;
        let oldest_body_at = oldest.map(|at| time(at, "inbox", "received_at")).transpose()?;
        Ok(Storage { octets, wal_octets, room, oldest_body_at })
    }

    /// What the audit log's last verification found.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn audit_verified(&self) -> Result<Option<AuditVerified>, StoreError> {
        read(self.fact(Fact::AuditVerified).await?, "audit_verified")
    }

    /// Verifies the audit log from its first entry to its last, and that it still holds the entry with which it ended when it last
    /// was found to hold.
    ///
    /// # Errors
    /// When it can't be read; that the chain breaks is no error, but what was found.
    pub async fn verify_audit(&self, now: DateTime<Utc>) -> Result<AuditVerified, StoreError> {
        loop {
            let checkpoint = self.audit_checkpoint().await?;
            let found = self.verify_audit_from(checkpoint, now).await?;
            // Entries that were too old may have been removed meanwhile: then what is left is read anew.
            if found.broken.is_none() || self.audit_checkpoint().await? == checkpoint {
                return Ok(found);
            }
        }
    }

    async fn verify_audit_from(
        &self,
        checkpoint: Option<Checkpoint>,
        now: DateTime<Utc>,
    ) -> Result<AuditVerified, StoreError> {
        let known = self.audit_verified().await?.and_then(AuditVerified::last_held);
        let mark = known.as_ref().map(|(seq, head)| Ok::<_, StoreError>(Mark { seq: *seq, hash: to_hash(head)? }));
        let mut verification = Verification::new(checkpoint, mark.transpose()?);
        let mut most = STEP;
        let broken = loop {
            let step = match self.audit_after(verification.last(), most).await {
                Err(error) if error.is_unavailable() => return Err(error),
                // One of them is not even in the form that entries have: one by one shows which.
                Err(_) if most > 1 => {
                    most = 1;
                    continue;
                }
                Err(_) => break Some(Break::Unreadable(verification.last() + 1)),
                Ok(step) => step,
            };
            if step.is_empty() {
                break verification.finish().err();
            }
            if let Some(broken) = step.iter().find_map(|link| verification.step(link).err()) {
                break Some(broken);
            }
        };
        let entries = match broken {
            // Which entry before that was replaced, nobody can tell.
            Some(Break::Replaced(_)) => 0,
            _ => verification.count(),
        };
        Ok(AuditVerified {
            at: now,
            entries,
            last: Some(verification.last()),
            head: HEXLOWER.encode(&verification.head()),
            held: known.filter(|_| broken.is_some()),
            broken: broken.map(|broken| broken.to_string()),
        })
    }
}

impl WriteTx<'_> {
    /// Keeps what a verification of the audit log found.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_audit_verified(&mut self, found: &AuditVerified) -> Result<(), StoreError> {
        self.keep_fact(Fact::AuditVerified, &serde_json::to_string(found).unwrap_or_default()).await
    }

    /// The same for a verification that an admin asked for, who came by `way`: the log tells of it, and if a head was remembered,
    /// of which entry that is.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_asked_audit_verified(
        &mut self,
        way: &str,
        found: &AuditVerified,
        remembered: Option<(Hash, Option<i64>)>,
    ) -> Result<(), StoreError> {
        let what = match &found.broken {
            Some(broken) => format!("broken: {broken}"),
            None if found.entries == 1 => "1 entry is intact".to_owned(),
            None => format!("{} entries are intact", found.entries),
        };
        let head = match remembered {
            None => String::new(),
            Some((_, Some(seq))) => format!("; the remembered head is that of entry {seq}"),
            Some((head, None)) => format!("; no entry has the remembered head {}", HEXLOWER.encode(&head)),
        };
        self.append_admin_action(way, "audit", format!("Verified the audit log: {what}{head}"), found.at).await?;
        self.keep_audit_verified(found).await
    }
}

#[cfg(test)]
impl Store {
    /// Changes an entry of the audit log beside the program's ways.
    pub(crate) async fn tamper_with_audit(&self) {
        for statement in ["DROP TRIGGER audit_no_update", "UPDATE audit SET summary = 'nothing' WHERE seq = 1"] {
            sqlx::query(statement).execute(&self.writer).await.unwrap();
        }
    }

    /// Cuts off the end of the audit log beside the program's ways.
    pub(crate) async fn cut_audit_after(&self, last: i64) {
        sqlx::query("DROP TRIGGER IF EXISTS audit_no_delete").execute(&self.writer).await.unwrap();
        sqlx::query("DELETE FROM audit WHERE seq > ?").bind(last).execute(&self.writer).await.unwrap();
    }
}
