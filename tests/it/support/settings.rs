//! The settings of a test. Must not depend on the machine.

use std::num::NonZeroU32;

use meeting_mirror::config::{AlertSettings, AuditLogSettings, KeepingSettings, LogFormat, Secret, Settings};
use tempfile::TempDir;

use super::{KEY, PASSWORD};

/// The settings of a test.
pub(crate) fn settings(dir: &TempDir) -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        max_connections: 1000,
        data_dir: dir.path().join("data"),
        public_url: None,
        signing_keys: Some(Secret::new(KEY)),
        signing_keys_file: None,
        signature_header: None,
        allow_unsigned: false,
        admin_password: Some(Secret::new(PASSWORD)),
        admin_password_file: None,
        google_credentials: None,
        google_subject: None,
        google_api_url: None,
        google_rate: NonZeroU32::MAX,
        google_calendar_rate: NonZeroU32::MAX,
        drift_check_hours: 6,
        audit_log: AuditLogSettings::default(),
        keeping: KeepingSettings::default(),
        // How full the disk is depends on the machine.
        alerts: AlertSettings { alert_disk_free_percent: 0, ..AlertSettings::default() },
        time_zone: chrono_tz::UTC,
        log: "warn".to_owned(),
        log_format: LogFormat::Text,
    }
}
