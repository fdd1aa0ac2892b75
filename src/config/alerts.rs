//! Settings of the alerts: where messages go, and from where on something is wrong.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::target::{PushTarget, push_address};
use super::{Secret, SettingError, secret};

/// A calendar may be behind for so long.
const MIRROR_LAG_MINUTES: u32 = 15;
/// Less free room than this is too little.
const DISK_FREE_PERCENT: u32 = 10;
/// Messages to this host are Slack's, unless a setting says otherwise.
const SLACK: &str = "hooks.slack.com";

/// Settings of the alerts.
#[derive(Debug, Clone, Args)]
pub struct AlertSettings {
    /// HTTPS address that a message is sent to when something goes wrong, and when that is over; without it none is sent
    #[arg(long, global = true, env = "MEETING_MIRROR_ALERT_URL", value_name = "URL", hide_env_values = true)]
    pub alert_url: Option<Secret>,

    /// File with that address
    #[arg(long, global = true, env = "MEETING_MIRROR_ALERT_URL_FILE", value_name = "FILE")]
    pub alert_url_file: Option<PathBuf>,

    /// Form of the messages: slack or json [default: slack for hooks.slack.com, else json]
    #[arg(
        long,
        global = true,
        env = "MEETING_MIRROR_ALERT_FORMAT",
        value_name = "FORMAT",
        hide_possible_values = true
    )]
    pub alert_format: Option<AlertFormat>,

    /// Minutes that work for a calendar may wait before that is wrong
    #[arg(long, global = true, env = "MEETING_MIRROR_ALERT_MIRROR_LAG_MINUTES", value_name = "MINUTES", default_value_t = MIRROR_LAG_MINUTES, value_parser = clap::value_parser!(u32).range(1..=10080))]
    pub alert_mirror_lag_minutes: u32,

    /// Hours without a delivery before that is wrong [default: longer than the longest pause in four weeks, once at least 20 deliveries came over 8 days]
    #[arg(long, global = true, env = "MEETING_MIRROR_ALERT_SILENCE_HOURS", value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=8760))]
    pub alert_silence_hours: Option<u32>,

    /// Free room on the disk of the database that is too little, in percent, also for a backup onto it; 0 = never
    #[arg(long, global = true, env = "MEETING_MIRROR_ALERT_DISK_FREE_PERCENT", value_name = "PERCENT", default_value_t = DISK_FREE_PERCENT, value_parser = clap::value_parser!(u32).range(0..=90))]
    pub alert_disk_free_percent: u32,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            alert_url: None,
            alert_url_file: None,
            alert_format: None,
            alert_mirror_lag_minutes: MIRROR_LAG_MINUTES,
            alert_silence_hours: None,
            alert_disk_free_percent: DISK_FREE_PERCENT,
        }
    }
}

/// The form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AlertFormat {
    /// A text, as Slack and many others take it.
    Slack,
    /// An object with fields of its own.
    Json,
}

impl AlertFormat {
    /// The word of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Json => "json",
        }
    }
}

/// Where messages go, and in which form.
#[derive(Debug, Clone)]
pub struct AlertTarget {
    /// Where.
    pub target: PushTarget,
    /// In which form.
    pub format: AlertFormat,
}

impl AlertSettings {
    /// Where messages go, if anywhere.
    ///
    /// # Errors
    /// When the address can't be used; the text does not repeat it.
    pub fn target(&self) -> Result<Option<AlertTarget>, SettingError> {
        let address = secret(
            self.alert_url.as_ref(),
            ("--alert-url-file", self.alert_url_file.as_deref()),
            "--alert-url and --alert-url-file are both set: keep one of them.",
        )?;
        let Some(address) = address else {
            return match self.alert_format {
                Some(_) => Err(SettingError::Wrong("--alert-format is set, but no address: set --alert-url, too.")),
                None => Ok(None),
            };
        };
        let address = push_address(address.reveal().trim()).ok_or(SettingError::Wrong(
            "--alert-url must be an https address in full, without user name, password and #, such as \
             https://hooks.slack.com/services/…; http is possible to this machine only.",
        ))?;
        let target = PushTarget { address, authorization: None };
        let usual = if target.host() == SLACK { AlertFormat::Slack } else { AlertFormat::Json };
        Ok(Some(AlertTarget { target, format: self.alert_format.unwrap_or(usual) }))
    }
}
