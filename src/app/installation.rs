//! The data directory, opened: what every command works on.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use url::Url;

use crate::clock::{Randomness, SharedClock};
use crate::config::{SettingError, Settings};
use crate::outbound::google::{CredentialsError, GoogleAccess, GoogleSettings};
use crate::outbound::limiter::{Limiter, Rates};
use crate::store::{DATABASE_FILE, Fact, Store, StoreError};
use crate::web::data_dir;
use crate::web::links::Links;
use crate::web::secret_key::{SecretKey, SecretKeyError};

/// A call to Google that takes longer counts as lost.
const GOOGLE_CALL_WITHIN: Duration = Duration::from_secs(20);

/// Why the program can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The data directory.
    #[error(
        "the data directory {path} can't be used: {source}. Check that this user may write there, or set --data-dir."
    )]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another server works there.
    #[error(
        "another meeting-mirror server is running on the data directory {0}. Stop it first, or give this one its own --data-dir."
    )]
    InUse(PathBuf),
    /// Nothing was ever made there.
    #[error("there is no installation in {0}: set --data-dir (or MEETING_MIRROR_DATA_DIR), or start the server once")]
    NoInstallation(PathBuf),
    /// The tables must be brought up to date, but a server is at work on them.
    #[error(
        "the database in {0} is from before this version of meeting-mirror, and a server is running on it. Restart the server \
         with this version first: it brings the database up to date."
    )]
    Behind(PathBuf),
    /// The database.
    #[error("{path} can't be opened")]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The secret.
    #[error(transparent)]
    SecretKey(#[from] SecretKeyError),
    /// Google's credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// TLS, to send the audit log or messages elsewhere.
    #[error("neither the audit log nor messages can be sent elsewhere: the system's root certificates can't be read")]
    Tls(#[source] std::io::Error),
    /// The admin password.
    #[error("the admin password can't be hashed: {0}")]
    Password(String),
}

/// What every command works on: the data directory, opened.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The tables.
    pub store: Store,
    /// The secret.
    pub secret: SecretKey,
    /// Random name of this installation.
    pub id: Arc<str>,
    /// The time.
    pub clock: SharedClock,
    /// Random bytes.
    pub randomness: Randomness,
}

impl Installation {
    /// Opens the data directory for a command, also beside a running server. Where there is no installation, one is made only
    /// if `may_create` is set: in a directory that was mistyped, none should appear.
    ///
    /// # Errors
    /// When it can't be used; the text says what to do.
    pub async fn open(
        settings: &Settings,
        clock: SharedClock,
        randomness: Randomness,
        may_create: bool,
    ) -> Result<Self, StartError> {
        let dir = &settings.data_dir;
        let path = dir.join(DATABASE_FILE);
        let unusable = |source| StartError::DataDir { path: dir.clone(), source };
        if may_create {
            data_dir::make(dir).map_err(unusable)?;
        } else if !path.try_exists().map_err(unusable)? {
            return Err(StartError::NoInstallation(dir.clone()));
        }
        let failed = |source| StartError::Store { path: path.clone(), source };
        if let Some(store) = Store::open_current(dir).await.map_err(failed)? {
            return Self::of(store, dir, clock, randomness).await;
        }
        let lock = lock(dir).map_err(|error| match error {
            StartError::InUse(dir) => StartError::Behind(dir),
            other => other,
        })?;
        let store = Store::open(dir).await.map_err(failed)?;
        let installation = Self::of(store, dir, clock, randomness).await;
        drop(lock);
        installation
    }

    /// Opens the data directory for a server, and makes what is missing. The lock comes first: no server may change the tables
    /// under another one.
    pub(super) async fn open_for_server(
        settings: &Settings,
        clock: SharedClock,
        randomness: Randomness,
    ) -> Result<(Self, File), StartError> {
        let dir = &settings.data_dir;
        data_dir::make(dir).map_err(|source| StartError::DataDir { path: dir.clone(), source })?;
        let lock = lock(dir)?;
        let failed = |source| StartError::Store { path: dir.join(DATABASE_FILE), source };
        let store = Store::open(dir).await.map_err(failed)?;
        Ok((Self::of(store, dir, clock, randomness).await?, lock))
    }

    async fn of(store: Store, dir: &Path, clock: SharedClock, randomness: Randomness) -> Result<Self, StartError> {
        let failed = |source| StartError::Store { path: store.path().to_owned(), source };
        let known = store.fact(Fact::Id).await.map_err(failed)?;
        let secret = SecretKey::load(dir, known.is_none(), &randomness)?;
        let id = match known {
            Some(id) => id,
            None => new_id(&store, &randomness).await.map_err(failed)?,
        };
        Ok(Self { store, secret, id: id.into(), clock, randomness })
    }

    /// Whether a server runs on the data directory.
    pub fn is_served(settings: &Settings) -> bool {
        matches!(lock(&settings.data_dir), Err(StartError::InUse(_)))
    }

    /// Links below the setting, or the address that the server last had.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn links(&self, settings: &Settings) -> Result<Links, StoreError> {
        let url = match &settings.public_url {
            Some(url) => Some(url.clone()),
            None => self.store.fact(Fact::PublicUrl).await?.and_then(|url| Url::parse(&url).ok()),
        };
        Ok(Links::new(&url.unwrap_or_else(|| http_url(settings.listen)), &self.secret))
    }

    /// The Google client of the settings; none when there are no credentials.
    ///
    /// # Errors
    /// When the credentials can't be used.
    pub async fn google(&self, settings: &Settings) -> Result<Option<GoogleAccess>, CredentialsError> {
        let Some(credentials) = settings.google_credentials.clone() else { return Ok(None) };
        let google = GoogleSettings {
            credentials,
            subject: settings.google_subject.clone(),
            api_url: settings.google_api_url.as_ref().map(Url::to_string),
            call_within: GOOGLE_CALL_WITHIN,
        };
        let rates = Rates { in_total: settings.google_rate, per_calendar: settings.google_calendar_rate };
        GoogleAccess::new(google, Limiter::new(rates, self.clock.clone()), self.id.clone()).await.map(Some)
    }
}

async fn new_id(store: &Store, randomness: &Randomness) -> Result<String, StoreError> {
    let mut tx = store.write().await?;
    // Another process may have been faster.
    if let Some(id) = store.fact(Fact::Id).await? {
        return Ok(id);
    }
    let id = HEXLOWER.encode(&randomness.bytes::<16>());
    tx.keep_fact(Fact::Id, &id).await?;
    tx.commit().await?;
    Ok(id)
}

pub(super) fn http_url(address: SocketAddr) -> Url {
    #[expect(clippy::expect_used, reason = "a socket address is always the host and port of a URL")]
    Url::parse(&format!("http://{address}")).expect("an address makes a URL")
}

/// Locks the data directory.
fn lock(dir: &Path) -> Result<File, StartError> {
    data_dir::lock(dir).map_err(|error| match error {
        TryLockError::WouldBlock => StartError::InUse(dir.to_owned()),
        TryLockError::Error(source) => StartError::DataDir { path: dir.to_owned(), source },
    })
}
