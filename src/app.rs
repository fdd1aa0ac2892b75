//! The only place where the stages meet: opens the installation, builds clients, merges routers, starts workers.

mod password;

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use chrono::TimeDelta;
use data_encoding::HEXLOWER;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use url::Url;

use crate::clock::{Randomness, SharedClock};
use crate::config::{Secret, SettingError, Settings};
use crate::inbound::inbox::Inbox;
use crate::inbound::signature::Verifier;
use crate::inbound::webhook::Webhook;
use crate::lifecycle::Lifecycle;
use crate::outbound::check::Checker;
use crate::outbound::google::{self, CredentialsError, GoogleAccess, GoogleSettings};
use crate::outbound::jobs::Jobs;
use crate::outbound::limiter::{Limiter, Rates};
use crate::outbound::mirror::Mirror;
use crate::store::{DATABASE_FILE, Fact, InboxWriter, Store, StoreError};
use crate::views::{self, FeedCache};
use crate::web::links::Links;
use crate::web::secret_key::{SecretKey, SecretKeyError};
use crate::web::site::{GoogleSide, SignInLimits, Site};
use crate::web::{csrf, data_dir, layers};

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
    async fn open_for_server(
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

fn http_url(address: SocketAddr) -> Url {
    #[expect(clippy::expect_used, reason = "a socket address is always the host and port of a URL")]
    Url::parse(&format!("http://{address}")).expect("an address makes a URL")
}

/// The service, built but not yet running.
#[derive(Debug)]
pub struct App {
    /// What pages are made from.
    pub site: Site,
    /// Every route.
    pub router: Router,
    /// Applies deliveries.
    pub inbox: Inbox,
    /// Keeps Google in step; none without credentials.
    pub mirror: Option<Mirror>,
    /// Compares what is at Google with what was written; none without credentials.
    pub checker: Option<Checker>,
    /// Keeps feeds ready to be served.
    pub feeds: FeedCache,
    /// The admin password, when it was made just now: to be shown once.
    pub new_password: Option<Secret>,
    writer: WriterTask,
    lock: File,
}

/// The workers of a service that is serving.
#[derive(Debug)]
pub struct Workers {
    /// Applies deliveries.
    pub inbox: Inbox,
    /// Keeps Google in step.
    pub mirror: Option<Mirror>,
    /// Compares what is at Google with what was written.
    pub checker: Option<Checker>,
    /// Keeps feeds ready to be served.
    pub feeds: FeedCache,
    /// To be held until the last of them has ended, so that no second server works on the same data.
    pub lock: File,
}

struct WriterTask(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>);

impl std::fmt::Debug for WriterTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriterTask")
    }
}

impl App {
    /// Builds the service that will listen on `bound`. `simulated_google_at` is set when Google is only simulated.
    ///
    /// # Errors
    /// When it can't start; the text says what to do.
    pub async fn build(
        settings: &Settings,
        bound: SocketAddr,
        clock: SharedClock,
        randomness: Randomness,
        simulated_google_at: Option<String>,
    ) -> Result<Self, StartError> {
        let keys = settings.signing_keys()?;
        let password_set = settings.admin_password()?;
        // Before anything is opened, too: a wrong setting leaves no trace.
        if let Some(file) = &settings.google_credentials {
            google::check_credentials(file).await?;
        }
        let (installation, lock) = Installation::open_for_server(settings, clock.clone(), randomness.clone()).await?;
        let Installation { store, secret, id, .. } = &installation;
        let path = store.path().to_owned();
        let failed = |source| StartError::Store { path: path.clone(), source };

        let google = installation.google(settings).await?;
        let public_url = settings.public_url.clone().unwrap_or_else(|| http_url(bound));
        // Last of what can fail because of a setting: a password that was made must be shown.
        let password_is_set = password_set.is_some();
        let new_password = password::keep(store, password_set, &clock, &randomness).await?;
        let mut tx = store.write().await.map_err(failed)?;
        tx.keep_fact(Fact::PublicUrl, public_url.as_str()).await.map_err(failed)?;
        tx.void_leases().await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;

        let google_side = match &google {
            Some(google) => {
                let account = google.current().await.0.account().to_owned();
                let calls_per_second = settings.google_calendar_rate.min(settings.google_rate).get();
                Some(GoogleSide { account, calls_per_second, simulated_at: simulated_google_at })
            }
            None => None,
        };
        let https = public_url.scheme() == "https";
        let site = Site {
            store: store.clone(),
            clock: clock.clone(),
            randomness: randomness.clone(),
            links: Links::new(&public_url, secret),
            time_zone: settings.time_zone,
            installation_id: id.clone(),
            google: google_side,
            started_at: clock.now(),
            sign_in_limits: Arc::new(SignInLimits::default()),
            password_is_set,
            csrf: csrf::config(secret, https),
        };
        let (arrived, due, changed) = (Arc::<Notify>::default(), Arc::<Notify>::default(), Arc::<Notify>::default());
        let feeds = FeedCache::new(site.clone(), changed.clone());
        let (writer, writer_task) = InboxWriter::new(store.clone());
        let verifier = (!keys.is_empty()).then(|| Verifier::new(&keys, settings.signature_header.as_deref()).into());
        let webhook = Webhook { verifier, writer, arrived: arrived.clone(), clock: clock.clone() };
        let router = layers::wrap(views::router(&feeds).merge(webhook.router()), clock.clone(), https);
        let mirror = google.map(|google| Mirror {
            store: store.clone(),
            clock: clock.clone(),
            randomness,
            google,
            installation_id: id.clone(),
            due: due.clone(),
        });
        let every = TimeDelta::hours(settings.drift_check_hours.into());
        let checker = mirror.clone().map(|mirror| Checker { mirror, every });
        let inbox = Inbox::new(store.clone(), clock, arrived, vec![due, changed]);
        let writer = WriterTask(Box::pin(writer_task));
        Ok(Self { site, router, inbox, mirror, checker, feeds, new_password, writer, lock })
    }

    /// Starts serving and working. The service runs until `lifecycle` stops. Returns the lock on the data directory: to be held
    /// until the service has ended.
    #[must_use]
    pub fn start(self, listener: TcpListener, lifecycle: &Lifecycle) -> File {
        let stop = lifecycle.stop();
        let Workers { inbox, mirror, checker, feeds, lock } = self.start_serving(listener, lifecycle);
        lifecycle.spawn("inbox", inbox.run(stop.clone()));
        lifecycle.spawn("feeds", feeds.run(stop.clone()));
        if let Some(mirror) = mirror {
            lifecycle.spawn("calendar jobs", Jobs { mirror: mirror.clone() }.run(stop.clone()));
            lifecycle.spawn("mirror", mirror.run(stop.clone()));
        }
        if let Some(checker) = checker {
            lifecycle.spawn("calendar checks", checker.run(stop));
        }
        lock
    }

    /// Starts serving only, and returns the workers for the caller to drive.
    pub fn start_serving(self, listener: TcpListener, lifecycle: &Lifecycle) -> Workers {
        let stop = lifecycle.stop();
        let Self { router, inbox, mirror, checker, feeds, writer, lock, .. } = self;
        lifecycle.spawn("deliveries writer", writer.0);
        lifecycle.spawn("http", async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            let listener = listener.tap_io(|connection| {
                // An answer is written whole: nothing is gained by waiting for more.
                let _ = connection.set_nodelay(true);
            });
            if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await {
                tracing::error!(%error, "the server failed");
            }
        });
        Workers { inbox, mirror, checker, feeds, lock }
    }
}

/// Locks the data directory.
fn lock(dir: &Path) -> Result<File, StartError> {
    data_dir::lock(dir).map_err(|error| match error {
        TryLockError::WouldBlock => StartError::InUse(dir.to_owned()),
        TryLockError::Error(source) => StartError::DataDir { path: dir.to_owned(), source },
    })
}
