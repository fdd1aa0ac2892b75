//! Who is signed in. Sessions are tower-sessions', kept in our database so that a restart signs nobody out.

use async_trait::async_trait;
use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::{Duration, OffsetDateTime};
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result as SessionResult};
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};

use crate::clock::SharedClock;
use crate::store::Store;

const SIGNED_IN: &str = "signed_in";

/// A session ends this long after sign-in. Putting the end off with each request would need a write for each, and a page must
/// show what is wrong even when the database can't be written.
const LASTS: Duration = Duration::days(7);

/// The layer that gives handlers their session; `secure` when people come by https.
pub fn layer(store: Store, clock: SharedClock, secure: bool) -> SessionManagerLayer<DatabaseSessions> {
    SessionManagerLayer::new(DatabaseSessions { store, clock })
        .with_name("meeting-mirror-session")
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(secure)
        .with_expiry(Expiry::OnInactivity(LASTS))
}

/// Marks the session as an admin's, under a new id: one that somebody planted before is worth nothing.
///
/// # Errors
/// When the session can't be stored.
pub async fn sign_in(session: &Session) -> Result<(), tower_sessions::session::Error> {
    session.cycle_id().await?;
    session.insert(SIGNED_IN, true).await
}

/// Ends the session.
///
/// # Errors
/// When the session can't be removed.
pub async fn sign_out(session: &Session) -> Result<(), tower_sessions::session::Error> {
    session.flush().await
}

/// Proof that the request comes from a signed-in admin. Anybody else is sent to the sign-in page and, from a page they
/// asked for, back.
#[derive(Debug, Clone, Copy)]
pub struct Admin(());

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = Session::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        if session.get::<bool>(SIGNED_IN).await.ok().flatten() == Some(true) {
            return Ok(Self(()));
        }
        let uri = OriginalUri::from_request_parts(parts, state).await.map(|uri| uri.0).unwrap_or_default();
        let page = uri.path_and_query().map_or("/", |path| path.as_str());
        let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", page).finish();
        Err(Redirect::to(&format!("/login?{query}")).into_response())
    }
}

/// Sessions in the database.
#[derive(Debug, Clone)]
pub struct DatabaseSessions {
    store: Store,
    clock: SharedClock,
}

/// What stands for a session in the database. Whoever reads a copy of it can't sign in with this.
fn key(id: &Id) -> String {
    HEXLOWER.encode(&Sha256::digest(id.to_string()))
}

fn backend(error: impl std::fmt::Display) -> Error {
    Error::Backend(error.to_string())
}

fn expiry(record: &Record) -> DateTime<Utc> {
    DateTime::from_timestamp(record.expiry_date.unix_timestamp(), 0).unwrap_or_default()
}

#[async_trait]
impl SessionStore for DatabaseSessions {
    async fn create(&self, record: &mut Record) -> SessionResult<()> {
        loop {
            let data = serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
            let mut tx = self.store.write().await.map_err(backend)?;
            let added = tx.add_session(&key(&record.id), &data, expiry(record)).await.map_err(backend)?;
            tx.commit().await.map_err(backend)?;
            if added {
                return Ok(());
            }
            record.id = Id::default();
        }
    }

    async fn save(&self, record: &Record) -> SessionResult<()> {
        let data = serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
        let mut tx = self.store.write().await.map_err(backend)?;
        tx.save_session(&key(&record.id), &data, expiry(record)).await.map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn load(&self, id: &Id) -> SessionResult<Option<Record>> {
        let Some(data) = self.store.session(&key(id), self.clock.now()).await.map_err(backend)? else {
            return Ok(None);
        };
        let data = serde_json::from_str(&data).map_err(|error| Error::Decode(error.to_string()))?;
        let expiry_date = OffsetDateTime::from_unix_timestamp(self.clock.now().timestamp()).map_err(backend)? + LASTS;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> SessionResult<()> {
        let mut tx = self.store.write().await.map_err(backend)?;
        tx.end_session(&key(id), self.clock.now()).await.map_err(backend)?;
        tx.commit().await.map_err(backend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, ManualClock};
    use std::collections::HashMap;
    use std::sync::Arc;

    #[tokio::test]
    async fn the_database_does_not_hold_what_the_cookie_holds() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let clock = Arc::new(ManualClock::new(DateTime::from_timestamp(1_790_000_000, 0).unwrap()));
        let sessions = DatabaseSessions { store: store.clone(), clock: clock.clone() };
        let expiry_date = OffsetDateTime::from_unix_timestamp(1_790_003_600).unwrap();
        let mut record = Record { id: Id::default(), data: HashMap::new(), expiry_date };
        sessions.create(&mut record).await.unwrap();
        let id = record.id;
        assert_eq!(store.session(&id.to_string(), clock.now()).await.unwrap(), None);
        assert_eq!(key(&id).len(), 64);
        assert_eq!(sessions.load(&id).await.unwrap().unwrap().id, id);
        sessions.delete(&id).await.unwrap();
        assert!(sessions.load(&id).await.unwrap().is_none());
    }
}
