//! The installation's secret: a random key in a file of the data directory, made at first start. Feed links and form
//! tokens are made with keys derived from it; nothing secret stands in the database.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::Randomness;

/// Name of the file in the data directory.
pub const SECRET_KEY_FILE: &str = "secret.key";

/// The installation's secret.
#[derive(Clone)]
pub struct SecretKey([u8; 32]);

/// Why the secret can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretKeyError {
    /// The file can't be read or written.
    #[error("{path} can't be used: {source}. Check that this user may read and write the data directory.")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not hold a key.
    #[error(
        "{0} is damaged: it should hold 64 hexadecimal digits. Restore it from your backup; with another key every feed link changes."
    )]
    Damaged(PathBuf),
    /// The same, but nothing was ever made with it.
    #[error(
        "{0} is damaged: it should hold 64 hexadecimal digits. Nothing was made with it yet: remove it, and start again."
    )]
    DamagedUnused(PathBuf),
    /// The database was used with a key, but the key is gone.
    #[error(
        "{0} is missing, but the database was used with it before. Restore it from your backup. If it is lost for good, make \
         a new one with `openssl rand -hex 32 > {0}`: every feed link changes then."
    )]
    Missing(PathBuf),
}

impl SecretKey {
    /// Reads the key. If there is none and `may_create` is set, makes one, whole or not at all, readable by its owner only.
    ///
    /// # Errors
    /// When the file can't be read or made, or holds something else.
    pub fn load(data_dir: &Path, may_create: bool, randomness: &Randomness) -> Result<Self, SecretKeyError> {
        let path = data_dir.join(SECRET_KEY_FILE);
        let failed = |source| SecretKeyError::Io { path: path.clone(), source };
        if !path.exists() {
            if !may_create {
                return Err(SecretKeyError::Missing(path));
            }
            let key: [u8; 32] = randomness.bytes();
            create(data_dir, &path, &HEXLOWER.encode(&key)).map_err(failed)?;
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let key = HEXLOWER.decode(text.trim().to_ascii_lowercase().as_bytes()).ok().and_then(|key| key.try_into().ok());
        let damaged = if may_create { SecretKeyError::DamagedUnused } else { SecretKeyError::Damaged };
        key.map(Self).ok_or_else(|| damaged(path))
    }

    /// A key for one purpose. Keys of different purposes tell nothing of each other.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        mac(&self.0, purpose.as_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

/// HMAC-SHA256.
pub(super) fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    keyed(key, text).finalize().into_bytes().into()
}

/// An HMAC-SHA256 that has taken the text.
#[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104 section 3)")]
pub(super) fn keyed(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length is fine");
    mac.update(text);
    mac
}

/// Through a temporary file (mode 0600) and a rename, so that an interrupted first start leaves no half key. If another
/// process was faster, its key stays.
fn create(data_dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(data_dir)?;
    writeln!(file, "{text}")?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        // Also its name: the database must not outlive it when the power goes.
        Ok(_) => File::open(data_dir)?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let random = Randomness::seeded(1);
        let first = SecretKey::load(dir.path(), true, &random).unwrap();
        let mode = std::fs::metadata(dir.path().join(SECRET_KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = SecretKey::load(dir.path(), false, &random).unwrap();
        assert_eq!(first.derive("x"), again.derive("x"));
        assert_ne!(first.derive("x"), first.derive("y"));
    }

    #[test]
    fn a_missing_or_damaged_key_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let random = Randomness::seeded(1);
        assert!(matches!(SecretKey::load(dir.path(), false, &random), Err(SecretKeyError::Missing(_))));
        std::fs::write(dir.path().join(SECRET_KEY_FILE), "abc").unwrap();
        assert!(matches!(SecretKey::load(dir.path(), false, &random), Err(SecretKeyError::Damaged(_))));
        assert!(matches!(SecretKey::load(dir.path(), true, &random), Err(SecretKeyError::DamagedUnused(_))));
    }
}
