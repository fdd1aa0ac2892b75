//! Signing in with a person's Google account: the program prints a link, the person agrees in a browser on the same machine,
//! and Google sends the browser back to a loopback address. What is saved lets the service act without the person.

use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use yup_oauth2::authenticator::InstalledFlowAuthenticator;
use yup_oauth2::authenticator_delegate::InstalledFlowDelegate;
use yup_oauth2::storage::{TokenInfo, TokenStorage, TokenStorageError};
use yup_oauth2::{ConsoleApplicationSecret, InstalledFlowReturnMethod};

use super::SCOPE;
use super::credentials::{SAVED_SIGN_IN, SavedSignIn, client};

/// The person has this long to agree.
const AGREE_WITHIN: Duration = Duration::from_mins(10);
/// The token endpoint has this long to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Why signing in failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The client file can't be used.
    #[error(
        "{path} is no OAuth client ({why}). In the Google Cloud console open APIs & Services → Credentials, create an OAuth client ID \
         of type Desktop app, and download its JSON."
    )]
    NoClient {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Nobody agreed.
    #[error("nobody agreed within 10 minutes: run the command again")]
    TooLate,
    /// Google refused.
    #[error("Google did not sign you in: {0}")]
    Refused(String),
    /// The file can't be written.
    #[error("the sign-in can't be saved: {0}")]
    NotSaved(#[from] std::io::Error),
}

/// Signs in and saves the result to a new file, readable by its owner only. `show` is given the link to open.
///
/// # Errors
/// When the client file can't be used, the person or Google refuses, or the file can't be written.
pub async fn login(
    client_file: &Path,
    account: &str,
    save_to: &Path,
    show: impl Fn(&str) + Send + Sync + 'static,
) -> Result<(), LoginError> {
    let no_client = |why: String| LoginError::NoClient { path: client_file.display().to_string(), why };
    let text = tokio::fs::read_to_string(client_file).await.map_err(|error| no_client(error.to_string()))?;
    let console: ConsoleApplicationSecret =
        serde_json::from_str(&text).map_err(|error| no_client(error.to_string()))?;
    let secret = console.installed.ok_or_else(|| no_client("it has no part named installed".to_owned()))?;
    let refused = |error: &dyn std::fmt::Display| LoginError::Refused(error.to_string());

    let kept = Kept::default();
    let client = client(ANSWER_WITHIN).map_err(|error| refused(&error))?;
    let authenticator =
        InstalledFlowAuthenticator::with_client(secret.clone(), InstalledFlowReturnMethod::HTTPRedirect, client)
            .flow_delegate(Box::new(Shown(Box::new(show))))
            .with_storage(Box::new(kept.clone()))
            .build()
            .await?;
    tokio::time::timeout(AGREE_WITHIN, authenticator.token(&[SCOPE.as_ref()]))
        .await
        .map_err(|_| LoginError::TooLate)?
        .map_err(|error| refused(&error))?;
    let token = kept.0.lock().await.take();
    let refresh_token = token
        .and_then(|token| token.refresh_token)
        .ok_or_else(|| refused(&"its answer lets nobody act later (no refresh token)"))?;
    let saved =
        SavedSignIn { r#type: SAVED_SIGN_IN.to_owned(), account: account.to_owned(), client: secret, refresh_token };
    save(save_to, &serde_json::to_string_pretty(&saved).map_err(std::io::Error::other)?)?;
    Ok(())
}

/// Whole or not at all, readable by its owner only.
fn save(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    writeln!(file, "{text}")?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

struct Shown(Box<dyn Fn(&str) + Send + Sync>);

impl InstalledFlowDelegate for Shown {
    fn present_user_url<'a>(
        &'a self,
        url: &'a str,
        _: bool,
    ) -> Pin<Box<dyn Future<Output = Result<String, String>> + Send + 'a>> {
        // Without this Google gives no refresh token to somebody who agreed before.
        (self.0)(&format!("{url}&prompt=consent"));
        Box::pin(async { Ok(String::new()) })
    }
}

/// Keeps the token of the sign-in.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Option<TokenInfo>>>);

#[async_trait]
impl TokenStorage for Kept {
    async fn set(&self, _: &[&str], token: TokenInfo) -> Result<(), TokenStorageError> {
        *self.0.lock().await = Some(token);
        Ok(())
    }

    async fn get(&self, _: &[&str]) -> Option<TokenInfo> {
        None
    }
}
