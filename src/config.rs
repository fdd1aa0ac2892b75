//! Every setting, once: its flag, its environment variable, its help and its default. Checked here; nothing else reads
//! the environment. Secrets don't show in `Debug`.

mod alerts;
mod audit_log;
mod keeping;
mod target;
mod values;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use url::Url;

pub use alerts::{AlertFormat, AlertSettings, AlertTarget};
pub use audit_log::AuditLogSettings;
pub use keeping::KeepingSettings;
pub use target::PushTarget;

use self::values::{at_least_one, google_api_url, header_name, listen_address, public_url, time_zone};

/// A text that must not show in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one who needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// Every setting of the program.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// Address and port to listen on; port 0 takes any free one
    #[arg(
        long,
        global = true,
        env = "MEETING_MIRROR_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        value_parser = listen_address
    )]
    pub listen: SocketAddr,

    /// Most connections at once; beyond that, those that have waited longest are closed
    #[arg(long, global = true, env = "MEETING_MIRROR_MAX_CONNECTIONS", value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(64..=1_000_000))]
    pub max_connections: u32,

    /// Directory of the database and of secret.key
    #[arg(long, global = true, env = "MEETING_MIRROR_DATA_DIR", value_name = "DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// Address under which people reach the service: base of every link shown [default: http on the --listen address]
    #[arg(long, global = true, env = "MEETING_MIRROR_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub public_url: Option<Url>,

    /// Signing keys of the webhook endpoint, separated by commas; all are active
    #[arg(long, global = true, env = "MEETING_MIRROR_SIGNING_KEYS", value_name = "KEY,…", hide_env_values = true)]
    pub signing_keys: Option<Secret>,

    /// File with the signing keys, separated by commas or lines
    #[arg(long, global = true, env = "MEETING_MIRROR_SIGNING_KEYS_FILE", value_name = "FILE")]
    pub signing_keys_file: Option<PathBuf>,

    /// Header that carries the signature [default: detect]
    #[arg(long, global = true, env = "MEETING_MIRROR_SIGNATURE_HEADER", value_name = "NAME", value_parser = header_name)]
    pub signature_header: Option<String>,

    /// Accept unsigned deliveries; only on a loopback address, for trying things out
    #[arg(long, global = true, env = "MEETING_MIRROR_ALLOW_UNSIGNED", value_parser = BoolishValueParser::new())]
    pub allow_unsigned: bool,

    /// Password of the admin pages [default: made and printed once at first start]
    #[arg(long, global = true, env = "MEETING_MIRROR_ADMIN_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub admin_password: Option<Secret>,

    /// File with the password of the admin pages
    #[arg(long, global = true, env = "MEETING_MIRROR_ADMIN_PASSWORD_FILE", value_name = "FILE")]
    pub admin_password_file: Option<PathBuf>,

    /// Google service-account key file, or a saved sign-in; without it nothing is mirrored
    #[arg(long, global = true, env = "MEETING_MIRROR_GOOGLE_CREDENTIALS", value_name = "FILE")]
    pub google_credentials: Option<PathBuf>,

    /// Google Workspace user the service account acts for (domain-wide delegation)
    #[arg(long, global = true, env = "MEETING_MIRROR_GOOGLE_SUBJECT", value_name = "EMAIL")]
    pub google_subject: Option<String>,

    /// Base address of the Google Calendar API, for tests; ends in /calendar/v3/ [default: Google's]
    #[arg(long, global = true, env = "MEETING_MIRROR_GOOGLE_API_URL", value_name = "URL", value_parser = google_api_url)]
    pub google_api_url: Option<Url>,

    /// Most calls to Google a second, in all
    #[arg(long, global = true, env = "MEETING_MIRROR_GOOGLE_RATE", value_name = "CALLS", default_value = "8", value_parser = at_least_one)]
    pub google_rate: NonZeroU32,

    /// Most calls to Google a second, into one calendar
    #[arg(long, global = true, env = "MEETING_MIRROR_GOOGLE_CALENDAR_RATE", value_name = "CALLS", default_value = "4", value_parser = at_least_one)]
    pub google_calendar_rate: NonZeroU32,

    /// Hours between two comparisons of a calendar's events with what was written
    #[arg(long, global = true, env = "MEETING_MIRROR_DRIFT_CHECK_HOURS", value_name = "HOURS", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=8760))]
    pub drift_check_hours: u32,

    #[command(flatten)]
    /// The audit log: where it is sent on, how long it is kept.
    pub audit_log: AuditLogSettings,

    #[command(flatten)]
    /// What is kept: backups, deliveries, meetings.
    pub keeping: KeepingSettings,

    #[command(flatten)]
    /// The alerts: where messages go, and from where on something is wrong.
    pub alerts: AlertSettings,

    /// Time zone of times on pages and in lists (an IANA name); feeds and Google always carry UTC
    #[arg(long, global = true, env = "MEETING_MIRROR_TIME_ZONE", value_name = "ZONE", default_value = "UTC", value_parser = time_zone)]
    pub time_zone: Tz,

    /// What to log: error, warn, info, debug, or a filter such as info,meeting_mirror::outbound=debug
    #[arg(long, global = true, env = "MEETING_MIRROR_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// Form of the log: text, or json (one object a line)
    #[arg(
        long,
        global = true,
        env = "MEETING_MIRROR_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    pub log_format: LogFormat,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// A line of text for each happening.
    #[default]
    Text,
    /// A JSON object on a line for each happening.
    Json,
}

impl LogFormat {
    /// The word of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// A setting that can't be used, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A file that a setting names can't be read.
    #[error("{flag} names {path}, which can't be read: {source}. Check the path and that this user may read it.")]
    Unreadable {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A secret is given twice or is empty.
    #[error("{0}")]
    Wrong(&'static str),
    /// The server would take deliveries from anybody.
    #[error(
        "no signing key is set, so anybody could send deliveries. Set MEETING_MIRROR_SIGNING_KEYS (or --signing-keys, or \
         --signing-keys-file) to the signing key of your webhook endpoint in Cirrus Insight. To try things out on this \
         machine only, use --allow-unsigned."
    )]
    NoSigningKey,
    /// `--allow-unsigned` on an address others can reach.
    #[error(
        "--allow-unsigned is only possible on a loopback address, but --listen is {0}. Listen on 127.0.0.1, or set \
         --signing-keys."
    )]
    UnsignedOpen(SocketAddr),
}

impl Settings {
    /// The active signing keys; empty only with `--allow-unsigned` on a loopback address.
    ///
    /// # Errors
    /// When there is none, or the file can't be read.
    pub fn signing_keys(&self) -> Result<Vec<String>, SettingError> {
        let from_file = self.signing_keys_file.as_deref().map(|path| read("--signing-keys-file", path)).transpose()?;
        let texts = [self.signing_keys.as_ref().map(Secret::reveal), from_file.as_deref()];
        let keys: Vec<String> = texts
            .into_iter()
            .flatten()
            .flat_map(|text| text.split([',', '\n']))
            .map(|key| key.trim().to_owned())
            .filter(|key| !key.is_empty())
            .collect();
        match (keys.is_empty(), self.allow_unsigned) {
            (false, _) => Ok(keys),
            (true, false) => Err(SettingError::NoSigningKey),
            (true, true) if self.listen.ip().is_loopback() => Ok(keys),
            (true, true) => Err(SettingError::UnsignedOpen(self.listen)),
        }
    }

    /// The admin password that is set, if any.
    ///
    /// # Errors
    /// When it is shorter than 8 characters, set twice, or its file can't be read.
    pub fn admin_password(&self) -> Result<Option<Secret>, SettingError> {
        let password = secret(
            self.admin_password.as_ref(),
            ("--admin-password-file", self.admin_password_file.as_deref()),
            "--admin-password and --admin-password-file are both set: keep one of them.",
        )?;
        match password {
            Some(password) if password.reveal().chars().count() < 8 => {
                Err(SettingError::Wrong("the admin password is shorter than 8 characters: set a longer one."))
            }
            password => Ok(password),
        }
    }
}

/// A secret that is set as it is or in a file.
fn secret(
    set: Option<&Secret>,
    (flag, file): (&'static str, Option<&Path>),
    both: &'static str,
) -> Result<Option<Secret>, SettingError> {
    match (set, file) {
        (Some(_), Some(_)) => Err(SettingError::Wrong(both)),
        (Some(secret), None) => Ok(Some(secret.clone())),
        (None, Some(path)) => Ok(Some(Secret::new(read(flag, path)?.trim_end_matches(['\r', '\n'])))),
        (None, None) => Ok(None),
    }
}

fn read(flag: &'static str, path: &Path) -> Result<String, SettingError> {
    std::fs::read_to_string(path).map_err(|source| SettingError::Unreadable {
        flag,
        path: path.display().to_string(),
        source,
    })
}
