//! Settings of the audit log: where it is sent on, how long it is kept.

use std::path::PathBuf;

use clap::Args;
use hyper::header::HeaderValue;

use super::target::{PushTarget, push_address};
use super::{Secret, SettingError, secret};

/// Settings of the audit log.
#[derive(Debug, Clone, Default, Args)]
pub struct AuditLogSettings {
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
}

impl AuditLogSettings {
    /// Where the audit log is sent on, if it is.
    ///
    /// # Errors
    /// When the address or the authorization can't be used; the text does not repeat them.
    pub fn push_target(&self) -> Result<Option<PushTarget>, SettingError> {
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

fn push_authorization(text: &str) -> Result<HeaderValue, SettingError> {
    let mut value =
        HeaderValue::from_str(text.trim()).ok().filter(|value| !value.is_empty()).ok_or(SettingError::Wrong(
            "--audit-push-authorization must be one line of plain letters, digits and signs: the whole value of the \
         Authorization header, such as \"Bearer …\".",
        ))?;
    value.set_sensitive(true);
    Ok(value)
}
