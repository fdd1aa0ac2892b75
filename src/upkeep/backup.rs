//! Backups, to a file or into a directory. A copy stands under its name only when it was checked and is on disk; what is older
//! goes only after that.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tokio::sync::Mutex;

use crate::health::condition::Room;
use crate::store::{Fact, Store, StoreError, room_at};

/// The file system is waited for so long, but for the copying itself.
const PATIENCE: Duration = Duration::from_mins(1);
/// Copying and checking a large database takes less.
const COPIED_WITHIN: Duration = Duration::from_hours(1);
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
    /// It would leave the database too little.
    #[error(
        "a backup takes about {needed} MB and must leave {reserve} MB on the database's own disk, but only {free} MB are free in \
         {dir}. Make room there, or choose a place on another disk."
    )]
    NoReserve {
        /// Where.
        dir: PathBuf,
        /// Megabytes.
        needed: u64,
        /// Megabytes.
        reserve: u64,
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

/// Makes backups. The file system is asked beside the async threads, one question after the other, and only waited for so long:
/// a directory on a network may hang, and then it holds up one thread and nobody else.
#[derive(Debug, Clone)]
pub struct Backups {
    pub(super) store: Store,
    reserve_percent: u32,
    /// Held while the file system is asked.
    turn: Arc<Mutex<()>>,
    patience: Duration,
}

impl Backups {
    /// Of this database. On its own disk a backup leaves at least so many percent free.
    pub fn new(store: &Store, reserve_percent: u32) -> Self {
        Self { store: store.clone(), reserve_percent, turn: Arc::default(), patience: PATIENCE }
    }

    /// Writes a backup to a new file.
    ///
    /// # Errors
    /// A [`BackupError`].
    pub async fn to_file(&self, file: &Path) -> Result<Copied, BackupError> {
        let octets = self.store.copy_octets().await?;
        let need = Need { octets, database: self.store.path().to_owned(), reserve_percent: self.reserve_percent };
        let asked = file.to_owned();
        let (unfinished, left) = self.ask(file, move || begin(&asked, &need)).await?;
        tokio::time::timeout(COPIED_WITHIN, self.store.copy_to(&unfinished)).await.map_err(|_| no_answer(file))??;
        let asked = file.to_owned();
        self.ask(file, move || finish(&unfinished, &asked)).await?;
        Ok(Copied { file: file.to_owned(), left, stuck: Vec::new() })
    }

    /// Writes a backup into a directory, under a name made of the installation and the time. Then the installation's oldest backups
    /// beyond `keep` are removed; none = all are kept. Those that say to be of a time ahead of now are from before the clock was set
    /// back: they take nobody's place, and stay. Other files are never touched.
    ///
    /// # Errors
    /// A [`BackupError`]; then no backup was removed.
    pub async fn to_dir(&self, dir: &Path, keep: Option<u32>, now: DateTime<Utc>) -> Result<Copied, BackupError> {
        let mut left = self.remove_left_behind(dir, now).await?;
        // Read now: once the copy is there nothing may fail any more.
        let mut older = self.known(dir).await?;
        older.retain(|(at, _)| *at <= now);
        let name = now.format(&names(&self.store).await?).to_string();
        let mut copied = self.to_file(&dir.join(name)).await?;
        copied.left.append(&mut left);
        if let Some(keep) = keep {
            let going = (older.len() + 1).saturating_sub(usize::try_from(keep.max(1)).unwrap_or(usize::MAX));
            let going = older.into_iter().take(going).map(|(_, old)| old);
            let removed = self.ask(dir, move || Ok(remove(going))).await;
            copied.stuck = removed.unwrap_or_else(|error| vec![(dir.to_owned(), error.to_string())]);
        }
        Ok(copied)
    }

    /// The installation's backups in a directory; oldest first.
    pub(super) async fn known(&self, dir: &Path) -> Result<Vec<(DateTime<Utc>, PathBuf)>, BackupError> {
        let (names, asked) = (names(&self.store).await?, dir.to_owned());
        self.ask(dir, move || stamped(&asked, &names, "").map_err(failed(&asked))).await
    }

    /// Removes old unfinished files. Returns those that are still there.
    async fn remove_left_behind(&self, dir: &Path, now: DateTime<Utc>) -> Result<Vec<PathBuf>, BackupError> {
        // Earlier versions named them without the installation.
        let names = [names(&self.store).await?, format!("meeting-mirror-{TIME}")];
        let asked = dir.to_owned();
        let remove_left = move || {
            let mut left = Vec::new();
            for names in names {
                for (at, unfinished) in stamped(&asked, &names, UNFINISHED).map_err(failed(&asked))? {
                    if now - at > LEFT_BEHIND && std::fs::remove_file(&unfinished).is_err() {
                        left.push(unfinished);
                    }
                }
            }
            Ok(left)
        };
        self.ask(dir, remove_left).await
    }

    /// Asks the file system about a path. What was asked before and was not answered yet is waited for, too.
    async fn ask<T: Send + 'static>(
        &self,
        path: &Path,
        question: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
    ) -> Result<T, BackupError> {
        let answer = async {
            let turn = self.turn.clone().lock_owned().await;
            let asking = move || {
                let _turn = turn;
                question()
            };
            tokio::task::spawn_blocking(asking).await
        };
        match tokio::time::timeout(self.patience, answer).await {
            Ok(answer) => answer.map_err(|error| failed(path)(error.into()))?,
            Err(_) => Err(no_answer(path)),
        }
    }
}

fn no_answer(path: &Path) -> BackupError {
    failed(path)(io::Error::new(io::ErrorKind::TimedOut, "its disk does not answer"))
}

/// The room that a backup needs.
#[derive(Debug)]
struct Need {
    octets: u64,
    database: PathBuf,
    reserve_percent: u32,
}

/// Sees that a backup can be made, and under which unfinished name; the second are those that are in use.
fn begin(file: &Path, need: &Need) -> Result<(PathBuf, Vec<PathBuf>), BackupError> {
    // Looked at before, too: copying takes long.
    if is_taken(file) {
        return Err(BackupError::Exists(file.to_owned()));
    }
    has_room(dir_of(file), need)?;
    let mut left = Vec::new();
    let mut unfinished = beside(file, UNFINISHED);
    for number in 2.. {
        if !is_taken(&unfinished) {
            break;
        }
        left.push(std::mem::replace(&mut unfinished, beside(file, &format!(".{number}{UNFINISHED}"))));
    }
    Ok((unfinished, left))
}

/// Gives a checked copy its name.
fn finish(unfinished: &Path, file: &Path) -> Result<(), BackupError> {
    if let Err(error) = name_anew(unfinished, file) {
        let _ = std::fs::remove_file(unfinished);
        return Err(error);
    }
    sync_dir(dir_of(file)).inspect_err(|_| {
        let _ = std::fs::remove_file(file);
    })
}

fn dir_of(file: &Path) -> &Path {
    file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
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

/// Sees that a backup fits. On the database's own disk it must leave some room, else it would take the last of it.
fn has_room(dir: &Path, need: &Need) -> Result<(), BackupError> {
    const MEGABYTE: u64 = 1_000_000;
    let Need { octets, database, reserve_percent } = need;
    let Room { free, total } = room_at(dir).map_err(failed(dir))?;
    let device = |path: &Path| path.metadata().map(|found| found.dev()).map_err(failed(path));
    let is_its_own = device(dir)? == device(database)?;
    let reserve = if is_its_own { total / 100 * u64::from(*reserve_percent) } else { 0 };
    if free >= octets.saturating_add(reserve) {
        return Ok(());
    }
    let (dir, needed, free) = (dir.to_owned(), octets.div_ceil(MEGABYTE), free / MEGABYTE);
    Err(match reserve {
        0 => BackupError::NoRoom { dir, needed, free },
        _ => BackupError::NoReserve { dir, needed, free, reserve: reserve.div_ceil(MEGABYTE) },
    })
}

/// Sees to it that names in a directory are on disk.
fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| BackupError::Place { path: dir.to_owned(), source })
}

#[cfg(test)]
impl Backups {
    /// Asks what is answered only when what this returns is dropped, and waits no longer for anything.
    pub(super) async fn hang(&mut self) -> std::sync::mpsc::Sender<()> {
        let (answers, waits) = std::sync::mpsc::channel();
        self.patience = Duration::from_millis(20);
        let asked = self.ask(Path::new("."), move || Ok(waits.recv().is_err())).await;
        assert!(asked.is_err());
        answers
    }
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
