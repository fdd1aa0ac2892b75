//! The data directory: made for its owner only, and locked by the server that works in it.

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Name of the file in the data directory that a running server holds locked.
const LOCK_FILE: &str = "server.lock";

/// Makes the data directory, whatever the umask. One that is there stays as it is.
///
/// # Errors
/// When it can't be made.
pub fn make(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700))
}

/// Locks the data directory until the file is dropped. The file stays where it is: were it removed, two servers could each
/// lock one of that name.
///
/// # Errors
/// When another one holds the lock, or the file can't be made.
pub fn lock(dir: &Path) -> Result<File, TryLockError> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(dir.join(LOCK_FILE)).map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}
