//! Other settings than at the last start are a change like any other: they go into the audit log, without the secrets.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use url::Url;

use crate::audit::diff::{Change, diff};
use crate::audit::entry::{Actor, Entry, Source};
use crate::audit::secret::{HIDDEN, Secrets};
use crate::config::{AlertFormat, AlertSettings, AuditLogSettings, KeepingSettings, Settings};
use crate::store::{Fact, Store, StoreError, WriteTx};
use crate::web::secret_key::SecretKey;

/// A setting that is a secret: its flag's name, and what it is.
pub(super) type SecretSetting = (&'static str, Option<String>);

/// Writes down what is set otherwise than at the last start. The first start only remembers. A setting that only one of both
/// versions of the program knows was not changed by anybody.
pub(super) async fn record(
    store: &Store,
    tx: &mut WriteTx<'_>,
    (settings, secrets): (&Settings, &[SecretSetting]),
    key: &SecretKey,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut set = plain(settings);
    set.extend(secrets.iter().map(|(flag, secret)| ((*flag).to_owned(), digest(key, flag, secret.as_deref()))));
    let set = Value::Object(set);
    let text = set.to_string();
    let before = store.fact(Fact::Settings).await?;
    if before.as_ref() == Some(&text) {
        return Ok(());
    }
    tx.keep_fact(Fact::Settings, &text).await?;
    let Some(before) = before else { return Ok(()) };
    let before: Value = serde_json::from_str(&before).unwrap_or(Value::Null);
    let mut changes = diff(&before, &set);
    for change in changes.iter_mut().filter(|change| secrets.iter().any(|(flag, _)| *flag == change.field)) {
        hide(change);
    }
    let flags = |is_told: &dyn Fn(&str) -> bool| {
        changes.iter().map(|change| change.field.as_str()).filter(|flag| is_told(flag)).collect::<Vec<_>>().join(", ")
    };
    let (knew, knows) = (|flag: &str| before.get(flag).is_some(), |flag: &str| set.get(flag).is_some());
    let told = [
        ("Settings changed at the start of the server", flags(&|flag| knew(flag) && knows(flag))),
        ("Settings that are new with this version of the server", flags(&|flag| !knew(flag))),
        ("Settings that this version of the server does not know", flags(&|flag| !knows(flag))),
    ];
    let told = told.iter().filter(|(_, flags)| !flags.is_empty()).map(|(what, flags)| format!("{what}: {flags}"));
    let summary = told.collect::<Vec<_>>().join("; ");
    if summary.is_empty() {
        return Ok(());
    }
    tx.append_audit(&Entry {
        source: Source::Admin,
        event_id: None,
        category: "settings".to_owned(),
        summary,
        organization_id: None,
        actor: Actor::admin("command line"),
        changes,
        happened_at: now,
        recorded_at: now,
        inbox_id: None,
    })
    .await?;
    Ok(())
}

fn hide(change: &mut Change) {
    for value in [&mut change.before, &mut change.after] {
        if !value.is_null() {
            *value = HIDDEN.into();
        }
    }
}

/// What tells whether a secret is another one, to whoever has the installation's key.
fn digest(key: &SecretKey, flag: &str, secret: Option<&str>) -> Value {
    secret.map_or(Value::Null, |secret| HEXLOWER.encode(&key.derive(&format!("setting {flag}: {secret}"))).into())
}

/// Every setting that is no secret, by its flag's name.
fn plain(settings: &Settings) -> Map<String, Value> {
    let Settings {
        listen,
        max_connections,
        data_dir,
        public_url,
        signing_keys: _,
        signing_keys_file,
        signature_header,
        allow_unsigned,
        admin_password: _,
        admin_password_file,
        google_credentials,
        google_subject,
        google_api_url,
        google_rate,
        google_calendar_rate,
        drift_check_hours,
        audit_log,
        keeping,
        alerts,
        time_zone,
        log,
        log_format,
    } = settings;
    let AuditLogSettings {
        audit_push_url: _,
        audit_push_authorization: _,
        audit_push_authorization_file,
        audit_keep_days,
    } = audit_log;
    let KeepingSettings { backup_dir, backup_hours, backup_keep, keep_bodies_days, keep_meetings_days } = keeping;
    let AlertSettings {
        alert_url: _,
        alert_url_file,
        alert_format,
        alert_mirror_lag_minutes,
        alert_silence_hours,
        alert_disk_free_percent,
    } = alerts;
    let set = json!({
        "listen": listen.to_string(),
        "max-connections": max_connections,
        "data-dir": data_dir.to_string_lossy(),
        "public-url": public_url.as_ref().map(Url::as_str),
        "signing-keys-file": signing_keys_file.as_ref().map(|file| file.to_string_lossy()),
        "signature-header": signature_header,
        "allow-unsigned": allow_unsigned,
        "admin-password-file": admin_password_file.as_ref().map(|file| file.to_string_lossy()),
        "google-credentials": google_credentials.as_ref().map(|file| file.to_string_lossy()),
        "google-subject": google_subject,
        "google-api-url": google_api_url.as_ref().map(Url::as_str),
        "google-rate": google_rate,
        "google-calendar-rate": google_calendar_rate,
        "drift-check-hours": drift_check_hours,
        "audit-push-authorization-file": audit_push_authorization_file.as_ref().map(|file| file.to_string_lossy()),
        "audit-keep-days": audit_keep_days,
        "backup-dir": backup_dir.as_ref().map(|dir| dir.to_string_lossy()),
        "backup-hours": backup_hours,
        "backup-keep": backup_keep,
        "keep-bodies-days": keep_bodies_days,
        "keep-meetings-days": keep_meetings_days,
        "alert-url-file": alert_url_file.as_ref().map(|file| file.to_string_lossy()),
        "alert-format": alert_format.map(AlertFormat::as_str),
        "alert-mirror-lag-minutes": alert_mirror_lag_minutes,
        "alert-silence-hours": alert_silence_hours,
        "alert-disk-free-percent": alert_disk_free_percent,
        "time-zone": time_zone.name(),
        "log": log,
        "log-format": log_format.as_str(),
    });
    let Value::Object(set) = set else { return Map::new() };
    set.into_iter().map(|(flag, value)| (flag, without_secret(value))).collect()
}

/// An address may hold a password.
fn without_secret(value: Value) -> Value {
    match value {
        Value::String(text) if Secrets::default().hide(&text) => HIDDEN.into(),
        value => value,
    }
}
