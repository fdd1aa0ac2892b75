//! Credentials files: a service-account key, or the sign-in of a person that `google login` saved.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use google_calendar3::hyper_util::client::legacy::Client;
use google_calendar3::hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use yup_oauth2::authenticator::ServiceAccountAuthenticator;
use yup_oauth2::{ApplicationSecret, CustomHyperClientBuilder, HyperClientBuilder as _, ServiceAccountKey};

use super::super::https::{self, Connector};
use super::sign_in::SignIn;
use super::tokens::Source;
use crate::clock::SharedClock;

/// How Google is reached.
#[derive(Debug, Clone)]
pub struct GoogleSettings {
    /// Credentials file.
    pub credentials: PathBuf,
    /// User the service account acts for.
    pub subject: Option<String>,
    /// Base address; none = Google's.
    pub api_url: Option<String>,
    /// A call that takes longer counts as lost.
    pub call_within: Duration,
}

/// The credentials can't be used, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file can't be read.
    #[error(
        "the Google credentials file {path} can't be read: {source}. Check the path and that this user may read it."
    )]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is neither a service-account key nor a saved sign-in.
    #[error(
        "{path} holds no Google credentials ({why}). In the Google Cloud console open IAM → Service accounts → your account → Keys, \
         add a key of type JSON, and point --google-credentials to the file; or sign in with: meeting-mirror google login"
    )]
    NoKey {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// No TLS.
    #[error("no TLS connection can be made: {0}. Install the system's root certificates (Debian: ca-certificates).")]
    Tls(std::io::Error),
}

/// What `google login` saves.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedSignIn {
    /// Always [`SAVED_SIGN_IN`].
    pub(super) r#type: String,
    /// The account, for people.
    pub(super) account: String,
    /// The OAuth client.
    pub(super) client: ApplicationSecret,
    /// Lets the service get access tokens.
    pub(super) refresh_token: String,
}

pub(super) const SAVED_SIGN_IN: &str = "meeting_mirror_sign_in";

/// What a credentials file holds.
enum Held {
    Key(Box<ServiceAccountKey>),
    SignIn(Box<SavedSignIn>),
}

/// Whether the file holds credentials, without using them.
///
/// # Errors
/// When it does not.
pub async fn check_credentials(path: &Path) -> Result<(), CredentialsError> {
    read(path).await.map(drop)
}

async fn read(path: &Path) -> Result<Held, CredentialsError> {
    let unreadable = |source| CredentialsError::Unreadable { path: path.display().to_string(), source };
    let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| no_key(path, error))?;
    if value.get("type").and_then(serde_json::Value::as_str) == Some(SAVED_SIGN_IN) {
        serde_json::from_value(value).map(|saved| Held::SignIn(Box::new(saved))).map_err(|error| no_key(path, error))
    } else {
        serde_json::from_value(value).map(|key| Held::Key(Box::new(key))).map_err(|error| no_key(path, error))
    }
}

fn no_key(path: &Path, why: impl std::fmt::Display) -> CredentialsError {
    CredentialsError::NoKey { path: path.display().to_string(), why: why.to_string() }
}

/// Where the tokens for the credentials file come from, and the account it stands for.
pub(super) async fn source(
    settings: &GoogleSettings,
    clock: &SharedClock,
) -> Result<(Source, String), CredentialsError> {
    match read(&settings.credentials).await? {
        Held::SignIn(saved) => {
            let account = saved.account.clone();
            let connector = https::connector().map_err(CredentialsError::Tls)?;
            Ok((Source::SignIn(Arc::new(SignIn::new(*saved, connector, clock.clone()))), account))
        }
        Held::Key(key) => {
            let account = settings.subject.clone().unwrap_or_else(|| key.client_email.clone());
            let mut builder = ServiceAccountAuthenticator::with_client(*key, client(settings.call_within)?);
            if let Some(subject) = &settings.subject {
                builder = builder.subject(subject);
            }
            let built = builder.build().await.map_err(|error| no_key(&settings.credentials, error))?;
            Ok((Source::Key(built), account))
        }
    }
}

/// The client of the token endpoint.
pub(super) fn client(within: Duration) -> Result<CustomHyperClientBuilder<Connector>, CredentialsError> {
    let connector = https::connector().map_err(CredentialsError::Tls)?;
    Ok(CustomHyperClientBuilder::from(Client::builder(TokioExecutor::new()).build(connector)).with_timeout(within))
}
