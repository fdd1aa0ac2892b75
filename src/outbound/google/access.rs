//! The client for the credentials file as it is now: read again when the file changes, so that a new key needs no restart.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Mutex;

use super::super::limiter::Limiter;
use super::{CredentialsError, Google, GoogleSettings};

/// The client, kept up to date.
#[derive(Debug, Clone)]
pub struct GoogleAccess {
    settings: GoogleSettings,
    limiter: Limiter,
    installation_id: Arc<str>,
    current: Arc<Mutex<Current>>,
}

#[derive(Debug)]
struct Current {
    google: Google,
    read: Option<Stamp>,
}

/// What tells one version of a file from the next.
type Stamp = (SystemTime, u64);

impl GoogleAccess {
    /// Reads the credentials for the first time.
    ///
    /// # Errors
    /// When they can't be used.
    pub async fn new(
        settings: GoogleSettings,
        limiter: Limiter,
        installation_id: Arc<str>,
    ) -> Result<Self, CredentialsError> {
        let read = stamp(&settings.credentials).await;
        let google = Google::new(&settings, limiter.clone(), &installation_id).await?;
        let current = Arc::new(Mutex::new(Current { google, read }));
        Ok(Self { settings, limiter, installation_id, current })
    }

    /// The client, and whether its credentials are newer than at the last call. A changed file that can't be used is
    /// reported once, and the old credentials go on.
    pub async fn current(&self) -> (Google, bool) {
        let mut current = self.current.lock().await;
        let stamp = stamp(&self.settings.credentials).await;
        if stamp.is_none() || stamp == current.read {
            return (current.google.clone(), false);
        }
        current.read = stamp;
        match Google::new(&self.settings, self.limiter.clone(), &self.installation_id).await {
            Ok(google) => {
                tracing::info!(account = google.account(), "read the Google credentials again: the file has changed");
                current.google = google;
                (current.google.clone(), true)
            }
            Err(error) => {
                tracing::error!(%error, "the Google credentials file has changed, but can't be used; the old ones go on");
                (current.google.clone(), false)
            }
        }
    }

    /// The limiter of its calls.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }
}

async fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = tokio::fs::metadata(path).await.ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
