//! Parts of the service that are made from settings, each by itself.

use chrono::{DateTime, TimeDelta, Utc};
use prometheus_client::registry::Registry;

use super::installation::{Installation, StartError};
use super::settings_log::{self, SecretSetting};
use crate::config::{AlertTarget, PushTarget, Secret, Settings};
use crate::health::condition::{Condition, Limits};
use crate::health::kind::Kind;
use crate::inbound::inbox::Inbox;
use crate::inbound::webhook::Webhook;
use crate::outbound::alerts::{Alerts, Knowledge, Messenger};
use crate::outbound::audit_push::AuditPusher;
use crate::outbound::google::GoogleAccess;
use crate::outbound::https;
use crate::outbound::retry;
use crate::store::{Alert, Fact, Store, StoreError};
use crate::upkeep::audit;
use crate::web::counts::{self, HttpCounts};
use crate::web::links::Links;
use crate::web::site::{GoogleSide, Site};

/// From where on something is wrong.
pub(super) fn limits(settings: &Settings) -> Limits {
    Limits {
        mirror_lag_minutes: settings.alerts.alert_mirror_lag_minutes,
        silence_hours: settings.alerts.alert_silence_hours,
        disk_free_percent: settings.alerts.alert_disk_free_percent,
        backup_hours: settings.keeping.backup_dir.as_ref().map(|_| settings.keeping.backup_hours),
    }
}

/// Every setting that is a secret.
pub(super) fn secrets(
    keys: &[String],
    password: Option<&Secret>,
    push: Option<&PushTarget>,
    alert: Option<&AlertTarget>,
) -> [SecretSetting; 5] {
    [
        ("signing-keys", (!keys.is_empty()).then(|| keys.join("\n"))),
        ("admin-password", password.map(|password| password.reveal().to_owned())),
        ("audit-push-url", push.map(|target| target.address.to_string())),
        ("audit-push-authorization", push.and_then(PushTarget::authorization_text)),
        ("alert-url", alert.map(|to| to.target.address.to_string())),
    ]
}

/// Tells of what is wrong, by the same rules as the pages of this site.
pub(super) fn alerts(site: &Site, messenger: Option<Messenger>) -> Alerts {
    Alerts {
        store: site.store.clone(),
        clock: site.clock.clone(),
        randomness: site.randomness.clone(),
        limits: site.limits.clone(),
        mirror_is_on: site.google.is_some(),
        messenger,
        known: Knowledge::default(),
    }
}

/// Sends the audit log on, if it is to be sent.
pub(super) fn audit_push(
    installation: &Installation,
    target: Option<PushTarget>,
) -> Result<Option<AuditPusher>, StartError> {
    let Installation { store, clock, randomness, .. } = installation.clone();
    let pusher = target.map(|target| {
        https::connector().map(|connector| AuditPusher::new(store, clock, randomness, target, connector))
    });
    pusher.transpose().map_err(StartError::Tls)
}

/// Sends messages, if any are to be sent.
pub(super) fn messenger(
    installation: &Installation,
    target: Option<AlertTarget>,
    links: &Links,
) -> Result<Option<Messenger>, StartError> {
    let messenger = target.map(|to| {
        https::connector().map(|connector| Messenger::new(to, connector, links.public_url(), &installation.id))
    });
    messenger.transpose().map_err(StartError::Tls)
}

/// What pages say of Google's side.
pub(super) async fn google_side(
    google: &GoogleAccess,
    settings: &Settings,
    simulated_at: Option<String>,
) -> GoogleSide {
    let account = google.current().await.0.account().to_owned();
    let calls_per_second = settings.google_calendar_rate.min(settings.google_rate).get();
    GoogleSide { account, calls_per_second, simulated_at }
}

/// What is counted since the start, wherever that is.
pub(super) fn counted(http: &HttpCounts, webhook: &Webhook, inbox: &Inbox, google: Option<&GoogleAccess>) -> Registry {
    let mut registry = counts::registry();
    http.register(&mut registry);
    webhook.register(&mut registry);
    inbox.register(&mut registry);
    if let Some(google) = google {
        google.limiter().counts().register(&mut registry);
    }
    registry
}

/// Writes down that a server starts, and with which settings. What was tried in vain before is tried again.
pub(super) async fn begin(
    installation: &Installation,
    public_url: &str,
    set: (&Settings, &[SecretSetting]),
    audit_push: Option<&AuditPusher>,
) -> Result<(), StoreError> {
    let Installation { store, secret, clock, .. } = installation;
    let mut tx = store.write().await?;
    tx.keep_fact(Fact::PublicUrl, public_url).await?;
    tx.end_waits_beyond(clock.now() + retry::LONGEST_PAUSE, clock.now()).await?;
    settings_log::record(store, &mut tx, set, secret, clock.now()).await?;
    // A time that lies ahead is from before the clock was set back.
    let since = store.backups_since().await?.map_or(clock.now(), |since| since.min(clock.now()));
    tx.keep_backups_since(set.0.keeping.backup_dir.as_ref().map(|_| since)).await?;
    if let Some(push) = audit_push {
        let (endpoint, before) = (push.endpoint(secret), push.endpoint_before());
        tx.begin_audit_push(&endpoint, &before, clock.now()).await?;
    }
    tx.try_alerts_again(clock.now()).await?;
    match downtime(store, clock.now()).await {
        Ok(None) => {}
        Ok(Some(down)) => {
            tx.keep_alert(&down).await?;
        }
        Err(error) => tracing::warn!(%error, "how long the server was down could not be found out"),
    }
    tx.commit().await
}

/// That the server was down for a day or longer, as a silence that nobody need be told of. It shows in that the audit log was not
/// seen to when that was due.
async fn downtime(store: &Store, now: DateTime<Utc>) -> Result<Option<Alert>, StoreError> {
    let Some(seen_to) = store.audit_kept_at().await? else { return Ok(None) };
    let since = seen_to + audit::EVERY + TimeDelta::hours(1);
    let is_open = store.open_alerts().await?.iter().any(|alert| alert.kind == Kind::Silence);
    let is_known = is_open || !store.silences(since).await?.is_empty();
    let ran = store.last_arrival(now).await?.is_none_or(|last| last > since);
    let down = Alert { ended_at: Some(now), ..Alert::begins(Condition::server_was_down(now - since), since) };
    Ok((now - since >= TimeDelta::days(1) && !is_known && !ran).then_some(down))
}
