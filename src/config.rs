//! Every setting, once: its flag, its environment variable, its help and its default. Checked here; nothing else reads
//! the environment. Secrets don't show in `Debug`.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use clap::Args;
use clap::builder::BoolishValueParser;
use hyper::Uri;
use hyper::header::HeaderValue;
use url::{Host, Url};

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

/// Where the audit log is sent on. Of the address only the host is told.
#[derive(Clone)]
pub struct PushTarget {
    /// The address.
    pub address: Uri,
    /// Value of the Authorization header.
    pub authorization: Option<HeaderValue>,
}

impl PushTarget {
    /// Host, and port if there is one.
    pub fn host(&self) -> &str {
        self.address.authority().map_or("", |authority| authority.as_str())
    }

    /// The authorization, for the one who needs it.
    pub fn authorization_text(&self) -> Option<String> {
        self.authorization.as_ref().and_then(|value| value.to_str().ok()).map(str::to_owned)
    }
}

impl fmt::Debug for PushTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushTarget").field("host", &self.host()).finish_non_exhaustive()
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

    /// HTTPS address that new entries of the audit log are sent to, as JSON Lines; without it they are not sent
    #[arg(long, global = true, env = "MEETING_MIRROR_AUDIT_PUSH_URL", value_name = "URL", hide_env_values = true)]
    pub audit_push_url: Option<Secret>,

    /// Value of the Authorization header that goes with them, such as "Bearer …"
    #[arg(
        long,
        global = true,
        env = "MEETING_MIRROR_AUDIT_PUSH_AUTHORIZATION",
        value_name = "VALUE",
        hide_env_values = true
    )]
    pub audit_push_authorization: Option<Secret>,

    /// File with that value
    #[arg(long, global = true, env = "MEETING_MIRROR_AUDIT_PUSH_AUTHORIZATION_FILE", value_name = "FILE")]
    pub audit_push_authorization_file: Option<PathBuf>,

    /// Days that entries of the audit log are kept, 30 at least [default: they are kept for ever]
    #[arg(long, global = true, env = "MEETING_MIRROR_AUDIT_KEEP_DAYS", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(30..))]
    pub audit_keep_days: Option<u32>,

    /// Time zone of times on pages and in lists (an IANA name); feeds and Google always carry UTC
    #[arg(long, global = true, env = "MEETING_MIRROR_TIME_ZONE", value_name = "ZONE", default_value = "UTC", value_parser = time_zone)]
    pub time_zone: Tz,

    /// What to log: error, warn, info, debug, or a filter such as info,meeting_mirror::outbound=debug
    #[arg(long, global = true, env = "MEETING_MIRROR_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
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

    /// Where the audit log is sent on, if it is.
    ///
    /// # Errors
    /// When the address or the authorization can't be used; the text does not repeat them.
    pub fn audit_push(&self) -> Result<Option<PushTarget>, SettingError> {
        let authorization = secret(
            self.audit_push_authorization.as_ref(),
            ("--audit-push-authorization-file", self.audit_push_authorization_file.as_deref()),
            "--audit-push-authorization and --audit-push-authorization-file are both set: keep one of them.",
        )?;
        let Some(address) = &self.audit_push_url else {
            return match authorization {
                Some(_) => Err(SettingError::Wrong(
                    "an authorization for sending the audit log on is set, but no address: set --audit-push-url, too.",
                )),
                None => Ok(None),
            };
        };
        let address = push_address(address.reveal()).ok_or(SettingError::Wrong(
            "--audit-push-url must be an https address in full, without user name, password and #, such as \
             https://logs.example.com/audit; http is possible to this machine only. Who sends is told by \
             --audit-push-authorization.",
        ))?;
        let authorization = authorization.map(|value| push_authorization(value.reveal())).transpose()?;
        Ok(Some(PushTarget { address, authorization }))
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

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an IP address and a port are needed, such as 127.0.0.1:8080 or 0.0.0.0:8080".into())
}

/// An http or https address without the slash at its end, so that paths can be put after it.
fn public_url(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text).map_err(|error| format!("{error}; give it in full, such as https://mirror.example.com"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user name or password has no place in it: every link that is shown would carry it".into());
    }
    if !matches!(url.path(), "" | "/") {
        return Err(
            "a path has no place in it: the service answers at the root of its host only, so give it a host name of \
                    its own, such as https://mirror.example.com"
                .into(),
        );
    }
    let fits =
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none();
    // A feed link is about 60 characters longer, and calendar programs take 256 (facts: ICS subscribers 12).
    if fits && text.len() <= 160 {
        Ok(url)
    } else {
        Err("an http or https address of at most 160 characters without ? and # is needed, such as https://mirror.example.com".into())
    }
}

fn push_address(text: &str) -> Option<Uri> {
    let url = Url::parse(text).ok()?;
    let on_this_machine = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let fits = (url.scheme() == "https" || url.scheme() == "http" && on_this_machine)
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    url.as_str().parse().ok().filter(|_| fits)
}

fn push_authorization(text: &str) -> Result<HeaderValue, SettingError> {
    let mut value =
        HeaderValue::from_str(text.trim()).ok().filter(|value| !value.is_empty()).ok_or(SettingError::Wrong(
            "--audit-push-authorization must be one line of plain letters, digits and signs: the whole value of the \
         Authorization header, such as \"Bearer …\".",
        ))?;
    value.set_sensitive(true);
    Ok(value)
}

fn google_api_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let fits = url.filter(|url| url.path().ends_with("/calendar/v3/"));
    fits.ok_or_else(|| "an http or https address that ends in /calendar/v3/ is needed".into())
}

fn at_least_one(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| "a whole number from 1 up is needed".into())
}

fn header_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if fits { Ok(text.to_ascii_lowercase()) } else { Err("a header name such as X-Signature is needed".into()) }
}

fn time_zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| "an IANA name such as Europe/Berlin or America/New_York is needed".into())
}
