//! The only place where the stages meet: opens the installation, builds clients, merges routers, starts workers.

mod erasure;
mod installation;
mod parts;
mod settings_log;
mod workers;

use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

pub use erasure::Erasure;
pub use installation::{Installation, StartError};
pub use workers::Workers;

use self::installation::http_url;
use crate::clock::{Latest, Randomness, SharedClock};
use crate::config::{Secret, Settings};
use crate::inbound::inbox::Inbox;
use crate::inbound::signature::Verifier;
use crate::inbound::webhook::Webhook;
use crate::lifecycle::{Lifecycle, Pulse, Pulses};
use crate::outbound::check::Checker;
use crate::outbound::google;
use crate::outbound::mirror::Mirror;
use crate::store::{Fact, InboxWriter, Store};
use crate::upkeep::audit::AuditKeeper;
use crate::upkeep::backup::Backups;
use crate::upkeep::backup_schedule::BackupSchedule;
use crate::upkeep::retention::Retention;
use crate::views::{self, FeedCache};
use crate::web::counts::{HttpCounts, Tally};
use crate::web::links::Links;
use crate::web::server::{self, Limits, open_files};
use crate::web::site::{SignInLimits, Site, Watching};
use crate::web::{csrf, layers, password};

/// The service, built but not yet running.
#[derive(Debug)]
pub struct App {
    /// What pages are made from.
    pub site: Site,
    /// Every route.
    pub router: Router,
    /// What a peer may keep the server waiting with.
    pub limits: Limits,
    /// What works beside the requests.
    pub workers: Workers,
    /// The admin password, when it was made just now: to be shown once, then kept.
    pub new_password: Option<Secret>,
    writer: WriterTask,
    lock: File,
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
        let push_target = settings.audit_log.push_target()?;
        let alert_target = settings.alerts.target()?;
        // Before anything is opened, too: a wrong setting leaves no trace.
        if let Some(file) = &settings.google_credentials {
            google::check_credentials(file).await?;
        }
        let (installation, lock) = Installation::open_for_server(settings, clock.clone(), randomness.clone()).await?;
        let Installation { store, secret, id, .. } = &installation;
        let path = store.path().to_owned();
        let failed = |source| StartError::Store { path: path.clone(), source };

        let google = installation.google(settings).await?;
        let secrets = parts::secrets(&keys, password_set.as_ref(), push_target.as_ref(), alert_target.as_ref());
        let audit_sent_to = push_target.as_ref().map(|target| target.host().to_owned());
        let audit_push = parts::audit_push(&installation, push_target)?;
        let public_url = settings.public_url.clone().unwrap_or_else(|| http_url(bound));
        let links = Links::new(&public_url, secret);
        let alerts_sent_to = alert_target.as_ref().map(|to| to.target.host().to_owned());
        let messenger = parts::messenger(&installation, alert_target, &links)?;
        // Last of what can fail because of a setting: a password that was made must be shown.
        let password_is_set = password_set.is_some();
        let new_password = keep_password(store, password_set, &clock, &randomness).await?;
        let set = (settings, &secrets[..]);
        parts::begin(&installation, public_url.as_str(), set, audit_push.as_ref()).await.map_err(failed)?;

        let google_side = match &google {
            Some(google) => Some(parts::google_side(google, settings, simulated_google_at).await),
            None => None,
        };
        let https = public_url.scheme() == "https";
        let (arrived, due, changed) = (Arc::<Notify>::default(), Arc::<Notify>::default(), Arc::<Notify>::default());
        let (writer, writer_task) = InboxWriter::new(store.clone());
        let verifier = (!keys.is_empty()).then(|| Verifier::new(&keys, settings.signature_header.as_deref()).into());
        let answers = Tally::default();
        let webhook = Webhook { verifier, writer, arrived: arrived.clone(), clock: clock.clone(), answers };
        let inbox = Inbox::new(store.clone(), clock.clone(), arrived, vec![due.clone(), changed.clone()]);
        let http = HttpCounts::default();
        let counted = parts::counted(&http, &webhook, &inbox, google.as_ref());
        let site = Site {
            store: store.clone(),
            clock: clock.clone(),
            randomness: randomness.clone(),
            links,
            time_zone: settings.time_zone,
            installation_id: id.clone(),
            google: google_side,
            started_at: clock.now(),
            sign_in_limits: Arc::new(SignInLimits::new(&clock)),
            password_is_set,
            audit_sent_to,
            keeping: settings.keeping.clone(),
            alerts_sent_to,
            limits: parts::limits(settings),
            pulses: Pulses::new(clock.clone()),
            counted: Arc::new(counted),
            csrf: csrf::config(secret, https),
            watching: Watching::default(),
            tasks: TaskTracker::new(),
        };
        let limits = limits(settings);
        let feeds = FeedCache::new(site.clone(), changed);
        let router = layers::wrap(views::router(&feeds).merge(webhook.router()), clock.clone(), http, https);
        let alerts = parts::alerts(&site, messenger);
        let mirror = google.map(|google| Mirror {
            store: store.clone(),
            clock: clock.clone(),
            randomness,
            google,
            installation_id: id.clone(),
            due,
            latest: Latest::default(),
            pulse: Pulse::default(),
        });
        let every = TimeDelta::hours(settings.drift_check_hours.into());
        let checker = mirror.clone().map(|mirror| Checker { mirror, every });
        let reserve = settings.alerts.alert_disk_free_percent;
        let backups = BackupSchedule::of(Backups::new(store, reserve), &clock, &settings.keeping);
        let retention = Retention::of(store, &clock, &settings.keeping);
        let audit_keeper = AuditKeeper {
            store: store.clone(),
            clock,
            keep_days: settings.audit_log.audit_keep_days,
            sent_to: audit_push.as_ref().map(|push| push.endpoint(secret)),
        };
        let writer = WriterTask(Box::pin(writer_task));
        let workers = Workers { inbox, mirror, checker, audit_push, audit_keeper, backups, retention, alerts, feeds };
        Ok(Self { site, router, limits, workers, new_password, writer, lock })
    }

    /// Keeps the password that was made. Not before it was shown: were the start broken off in between, nobody would know it.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_new_password(&self) -> Result<(), StartError> {
        match &self.new_password {
            Some(made) => keep_hash(&self.site.store, made, None, &self.site.randomness).await,
            None => Ok(()),
        }
    }

    /// Starts serving and working. The service runs until `lifecycle` stops. Returns the lock on the data directory: to be held
    /// until the service has ended.
    #[must_use]
    pub fn start(self, listener: TcpListener, lifecycle: &Lifecycle) -> File {
        let pulses = self.site.pulses.clone();
        let (workers, lock) = self.start_serving(listener, lifecycle);
        workers.start(lifecycle, &pulses);
        lock
    }

    /// Starts serving only, and returns the workers for the caller to drive, with the lock on the data directory.
    pub fn start_serving(self, listener: TcpListener, lifecycle: &Lifecycle) -> (Workers, File) {
        let stop = lifecycle.stop();
        let Self { site, router, limits, workers, writer, lock, .. } = self;
        let (stopping, tasks) = (site.watching.stopping, site.tasks);
        lifecycle.spawn("deliveries writer", writer.0);
        lifecycle.spawn("http", async move {
            let stop_watching = async {
                stop.cancelled().await;
                stopping.cancel();
            };
            tokio::join!(server::serve(listener, router, limits, stop.clone()), stop_watching);
            // Nobody can begin another one.
            tasks.close();
            tasks.wait().await;
        });
        (workers, lock)
    }
}

/// As many connections as are wanted, if so many files may be open.
fn limits(settings: &Settings) -> Limits {
    let (wanted, possible) = (settings.max_connections as usize, open_files::for_connections());
    if wanted > possible {
        tracing::warn!(
            wanted,
            possible,
            "fewer connections than --max-connections: the limit on open files (ulimit -n) is low"
        );
    }
    Limits { connections: wanted.min(possible), ..Limits::default() }
}

/// Keeps the password that is set, if it is another one. Makes one, not yet kept, when none is set and none was kept before.
async fn keep_password(
    store: &Store,
    password_set: Option<Secret>,
    clock: &SharedClock,
    randomness: &Randomness,
) -> Result<Option<Secret>, StartError> {
    let failed = |source| StartError::Store { path: store.path().to_owned(), source };
    let kept = store.fact(Fact::AdminPasswordHash).await.map_err(failed)?;
    let change = kept.as_ref().map(|_| clock.now());
    match (password_set, kept) {
        (None, None) => return Ok(Some(password::generate(randomness))),
        (None, Some(_)) => {}
        (Some(set), Some(hash)) if password::verify(&set, &hash) => {}
        (Some(set), _) => keep_hash(store, &set, change, randomness).await?,
    }
    Ok(None)
}

/// Keeps the hash of a password; `change` is the time now when there was one before.
async fn keep_hash(
    store: &Store,
    secret: &Secret,
    change: Option<DateTime<Utc>>,
    randomness: &Randomness,
) -> Result<(), StartError> {
    let failed = |source| StartError::Store { path: store.path().to_owned(), source };
    let hash = password::hash(secret, randomness).map_err(|error| StartError::Password(error.to_string()))?;
    let mut tx = store.write().await.map_err(failed)?;
    tx.keep_fact(Fact::AdminPasswordHash, &hash).await.map_err(failed)?;
    // Whoever signed in with another password has to sign in again.
    tx.end_all_sessions().await.map_err(failed)?;
    if let Some(now) = change {
        let summary = "Set another admin password at the start of the server; every session was ended".to_owned();
        tx.append_admin_action("command line", "sign-in", summary, now).await.map_err(failed)?;
    }
    tx.commit().await.map_err(failed)
}
