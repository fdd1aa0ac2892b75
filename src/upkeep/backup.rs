//! Backups: one to a file or a directory that somebody names, and the server's own on a schedule. A copy stands under its name
//! only when it was checked and is on disk; what is older goes only after that.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use crate::audit::entry::Actor;
use crate::clock::SharedClock;
use crate::config::KeepingSettings;
use crate::lifecycle::Pulse;
use crate::store::{BackupFailed, BackupMade, Fact, Store, StoreError, WriteTx};

/// How often the clock is looked at.
const POLL: Duration = Duration::from_secs(30);
/// A round takes at most this long: copying and checking a large database.
pub const ROUND: Duration = Duration::from_hours(2);
/// A backup that failed is tried again after this.
const TRY_AGAIN: TimeDelta = TimeDelta::minutes(10);
/// An unfinished file that is older was left by a run that was broken off.
const LEFT_BEHIND: TimeDelta = TimeDelta::days(1);
/// End of the name of a backup in a directory: the time, UTC.
const TIME: &str = "%Y%m%dT%H%M%SZ.db";
/// So many characters of the installation's id stand in the name, before the time.
const SHORT_ID: usize = 8;
/// What an unfinished one is called beside that.
const UNFINISHED: &str = ".part";

/// Why a backup was not made. No file is left.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Nothing is written over.
    #[error("{0} exists already: give a new name")]
    Exists(PathBuf),
    /// It would not fit.
    #[error(
        "a backup takes about {needed} MB, but only {free} MB are free in {dir}. Make room there, or choose another place."
    )]
    NoRoom {
        /// Where.
        dir: PathBuf,
        /// Megabytes.
        needed: u64,
        /// Megabytes.
        free: u64,
    },
    /// The place can't be used.
    #[error("{path} can't be written: {source}. See that the directory is there and that this user may write to it.")]
    Place {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database, or its copy.
    #[error("the copy can't be made: {0}")]
    Store(#[from] StoreError),
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Where it is.
    pub file: PathBuf,
    /// Unfinished files of backups that were broken off, or that another process is making. They were not touched.
    pub left: Vec<PathBuf>,
    /// Older backups in a directory that were to go and could not be removed, and why.
    pub stuck: Vec<(PathBuf, String)>,
}

/// Writes a backup to a new file.
///
/// # Errors
/// A [`BackupError`].
pub async fn to_file(store: &Store, file: &Path) -> Result<Copied, BackupError> {
    // Looked at before, too: copying takes long.
    if is_taken(file) {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let dir = match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    has_room(store, dir).await?;
    let mut left = Vec::new();
    let mut unfinished = beside(file, UNFINISHED);
    for number in 2.. {
        if !is_taken(&unfinished) {
            break;
        }
        left.push(std::mem::replace(&mut unfinished, beside(file, &format!(".{number}{UNFINISHED}"))));
    }
    store.copy_to(&unfinished).await?;
    if let Err(error) = name_anew(&unfinished, file) {
        let _ = std::fs::remove_file(&unfinished);
        return Err(error);
    }
    if let Err(error) = sync_dir(dir) {
        let _ = std::fs::remove_file(file);
        return Err(error);
    }
    Ok(Copied { file: file.to_owned(), left, stuck: Vec::new() })
}

/// Writes a backup into a directory, under a name made of the installation and the time. Then the installation's oldest backups
/// beyond `keep` are removed; none = all are kept. Those that say to be of a time ahead of now are from before the clock was set
/// back: they take nobody's place, and stay. Other files are never touched.
///
/// # Errors
/// A [`BackupError`]; then no backup was removed.
pub async fn to_dir(store: &Store, dir: &Path, keep: Option<u32>, now: DateTime<Utc>) -> Result<Copied, BackupError> {
    let names = names(store).await?;
    let mut left = Vec::new();
    // Earlier versions named them without the installation.
    for names in [names.as_str(), &format!("meeting-mirror-{TIME}")] {
        for (at, unfinished) in stamped(dir, names, UNFINISHED).map_err(failed(dir))? {
            if now - at > LEFT_BEHIND && std::fs::remove_file(&unfinished).is_err() {
                left.push(unfinished);
            }
        }
    }
    // Read now: once the copy is there nothing may fail any more.
    let mut older = stamped(dir, &names, "").map_err(failed(dir))?;
    older.retain(|(at, _)| *at <= now);
    let mut copied = to_file(store, &dir.join(now.format(&names).to_string())).await?;
    copied.left.append(&mut left);
    if let Some(keep) = keep {
        let going = (older.len() + 1).saturating_sub(usize::try_from(keep.max(1)).unwrap_or(usize::MAX));
        copied.stuck = remove(older.into_iter().take(going).map(|(_, old)| old));
    }
    Ok(copied)
}

/// Removes files. Returns those that are still there, and why.
fn remove(files: impl Iterator<Item = PathBuf>) -> Vec<(PathBuf, String)> {
    let stuck = files.filter_map(|file| match std::fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Some((file, error.to_string())),
        _ => None,
    });
    stuck.collect()
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Place { path, source }
}

/// Whether a name is in use, if only by a link that leads nowhere.
fn is_taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Gives a file a name that is not in use.
fn name_anew(file: &Path, name: &Path) -> Result<(), BackupError> {
    let renamed = match renameat_with(CWD, file, CWD, name, RenameFlags::NOREPLACE) {
        // Some file systems can't see to it themselves.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if !is_taken(name) => std::fs::rename(file, name),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::EXIST) => {
            return Err(BackupError::Exists(name.to_owned()));
        }
        renamed => renamed.map_err(io::Error::from),
    };
    renamed.map_err(failed(name))
}

/// How this installation names its backups in a directory: a format of times. Others may put theirs there, too.
async fn names(store: &Store) -> Result<String, StoreError> {
    let id = store.fact(Fact::Id).await?.unwrap_or_default();
    Ok(format!("meeting-mirror-{}-{TIME}", id.get(..SHORT_ID).unwrap_or(&id)))
}

/// Files that are named like this, with `suffix` after that; oldest first.
fn stamped(dir: &Path, names: &str, suffix: &str) -> io::Result<Vec<(DateTime<Utc>, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let stamp = name.to_str().and_then(|name| name.strip_suffix(suffix)).and_then(|name| {
            let at = NaiveDateTime::parse_from_str(name, names).ok()?.and_utc();
            // Reading is laxer than writing.
            (at.format(names).to_string() == name).then_some(at)
        });
        if let Some(at) = stamp.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file())) {
            found.push((at, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

async fn has_room(store: &Store, dir: &Path) -> Result<(), BackupError> {
    const MEGABYTE: u64 = 1_000_000;
    let needed = store.copy_octets().await?;
    let room =
        rustix::fs::statvfs(dir).map_err(|error| BackupError::Place { path: dir.to_owned(), source: error.into() })?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if free < needed {
        let (needed, free) = (needed.div_ceil(MEGABYTE), free / MEGABYTE);
        return Err(BackupError::NoRoom { dir: dir.to_owned(), needed, free });
    }
    Ok(())
}

/// Sees to it that names in a directory are on disk.
fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| BackupError::Place { path: dir.to_owned(), source })
}

/// The worker that makes backups on a schedule.
#[derive(Debug, Clone)]
pub struct BackupSchedule {
    /// The tables.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// Where to.
    pub dir: PathBuf,
    /// Time between two of them.
    pub every: TimeDelta,
    /// So many are kept.
    pub keep: u32,
}

impl BackupSchedule {
    /// The schedule of the settings; none without a directory.
    pub fn of(store: &Store, clock: &SharedClock, keeping: &KeepingSettings) -> Option<Self> {
        let (store, clock, dir) = (store.clone(), clock.clone(), keeping.backup_dir.clone()?);
        let every = TimeDelta::hours(keeping.backup_hours.into());
        Some(Self { store, clock, dir, every, keep: keeping.backup_keep })
    }

    /// Works until `stop`. A backup that is under way then is given up.
    pub async fn run(self, pulse: Pulse, stop: CancellationToken) {
        super::look_after("the schedule of backups", POLL, (pulse, stop), || self.run_due()).await;
    }

    /// Makes a backup if the newest one in the directory is old enough. One that fails is told, and tried again after some
    /// minutes. A recent one that nobody wrote down is written down: whoever made it was stopped, or the database was in use.
    /// Returns whether one was made.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn run_due(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        // What lies ahead of now is from before the clock was set back.
        let is_recent = |at: DateTime<Utc>, span| (at..at + span).contains(&now);
        if self.store.backup_failed().await?.is_some_and(|failed| is_recent(failed.at, TRY_AGAIN)) {
            return Ok(false);
        }
        let known = stamped(&self.dir, &names(&self.store).await?, "").unwrap_or_default();
        if let Some((at, file)) = known.into_iter().rfind(|(at, _)| is_recent(*at, self.every)) {
            let last = self.store.last_backup().await?.filter(|last| last.at <= now);
            if last.is_none_or(|last| last.at < at) {
                let mut tx = self.store.write().await?;
                write_down(&mut tx, at, &file, now).await?;
                tx.commit().await?;
            }
            return Ok(false);
        }
        let made = to_dir(&self.store, &self.dir, Some(self.keep), now).await;
        let mut tx = self.store.write().await?;
        match &made {
            Ok(Copied { file, left, stuck }) => {
                for left in left {
                    tracing::warn!(file = %left.display(), "an unfinished backup was left here: remove it");
                }
                for (stuck, error) in stuck {
                    tracing::warn!(file = %stuck.display(), error, "an old backup can't be removed: remove it");
                }
                write_down(&mut tx, now, file, now).await?;
            }
            Err(error) => {
                tracing::error!(%error, cause = ?error, "no backup was made; trying again in some minutes");
                tx.keep_backup_failed(Some(&BackupFailed { at: now, why: error.to_string() })).await?;
            }
        }
        tx.commit().await?;
        Ok(made.is_ok())
    }
}

async fn write_down(
    tx: &mut WriteTx<'_>,
    at: DateTime<Utc>,
    file: &Path,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let file = file.display().to_string();
    tracing::info!(file, "made a backup");
    tx.backup_was_made(&BackupMade { at, file }, Actor::SERVER, now).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_already_is_no_trouble_and_what_can_not_be_removed_is_told() {
        let place = tempfile::tempdir().unwrap();
        let [gone, stuck, old] = ["gone", "stuck", "old"].map(|name| place.path().join(name));
        // A directory can't be removed as a file is.
        std::fs::create_dir(&stuck).unwrap();
        std::fs::write(&old, "old").unwrap();
        let told = remove([gone, stuck.clone(), old.clone()].into_iter());
        assert_eq!(told.iter().map(|(file, _)| file).collect::<Vec<_>>(), [&stuck]);
        assert!(!told[0].1.is_empty() && !old.exists());
    }
}
