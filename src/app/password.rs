//! The admin password at the start of the server.

use super::StartError;
use crate::clock::{Randomness, SharedClock};
use crate::config::Secret;
use crate::store::{Fact, Store};
use crate::web::password;

/// Keeps the hash of the password that is set; makes a password when none is set and none was made before.
pub(super) async fn keep(
    store: &Store,
    password_set: Option<Secret>,
    clock: &SharedClock,
    randomness: &Randomness,
) -> Result<Option<Secret>, StartError> {
    let failed = |source| StartError::Store { path: store.path().to_owned(), source };
    let kept = store.fact(Fact::AdminPasswordHash).await.map_err(failed)?;
    let is_change = kept.is_some();
    let (secret, made) = match (password_set, kept) {
        (None, Some(_)) => return Ok(None),
        (Some(set), Some(hash)) if password::verify(&set, &hash) => return Ok(None),
        (Some(set), _) => (set, None),
        (None, None) => {
            let made = password::generate(randomness);
            (made.clone(), Some(made))
        }
    };
    let hash = password::hash(&secret, randomness).map_err(|error| StartError::Password(error.to_string()))?;
    let mut tx = store.write().await.map_err(failed)?;
    tx.keep_fact(Fact::AdminPasswordHash, &hash).await.map_err(failed)?;
    // Whoever signed in with another password has to sign in again.
    tx.end_all_sessions().await.map_err(failed)?;
    if is_change {
        let summary = "Set another admin password at the start of the server; every session was ended".to_owned();
        tx.append_admin_action("command line", "sign-in", summary, clock.now()).await.map_err(failed)?;
    }
    tx.commit().await.map_err(failed)?;
    Ok(made)
}
