//! Who is signed in. Sessions are tower-sessions', kept in our database so that a restart signs nobody out.

use async_trait::async_trait;
use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::TimeDelta;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::{Duration, OffsetDateTime};
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result as SessionResult};
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};

use crate::clock::SharedClock;
use crate::store::{Store, StoreError, StoredSession};
use crate::web::site::Site;

const SIGNED_IN: &str = "signed_in";

/// A session ends this long after the sign-in, however much it is used.
const LASTS: TimeDelta = TimeDelta::days(7);
/// A session that nobody uses for so long ends.
const IDLES: TimeDelta = TimeDelta::hours(24);
/// A session that begins so far ahead is from before the clock was set back: it must not last until then.
const AHEAD: TimeDelta = TimeDelta::days(1);
/// How often, at most, a session's use is written down.
const PUT_OFF_EVERY: TimeDelta = TimeDelta::minutes(5);

/// The name of a cookie. Where people come by https, a browser takes one of that name from this very host only: no other host of
/// the same domain can plant one (RFC 6265bis section 4.1.3.2).
pub(super) fn cookie_name(name: &str, secure: bool) -> String {
    if secure { format!("__Host-{name}") } else { name.to_owned() }
}

/// The layer that gives handlers their session; `secure` when people come by https.
pub fn layer(store: Store, clock: SharedClock, secure: bool) -> SessionManagerLayer<DatabaseSessions> {
    SessionManagerLayer::new(DatabaseSessions { store, clock })
        .with_name(cookie_name("meeting-mirror-session", secure))
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(secure)
        .with_expiry(Expiry::OnInactivity(Duration::seconds(LASTS.num_seconds())))
}

/// Marks the session as an admin's, under a new id: one that somebody planted before is worth nothing. It is stored when this
/// returns.
///
/// # Errors
/// When the session can't be stored.
pub async fn sign_in(session: &Session) -> Result<(), tower_sessions::session::Error> {
    session.cycle_id().await?;
    session.insert(SIGNED_IN, true).await?;
    session.save().await
}

/// Ends the session.
///
/// # Errors
/// When the session can't be removed.
pub async fn sign_out(session: &Session) -> Result<(), tower_sessions::session::Error> {
    session.flush().await
}

/// Has the session end later, since a person uses it: what a page that is only open asks for does not count.
///
/// # Errors
/// When the session can't be read.
pub async fn used(session: &Session, site: &Site) -> Result<(), StoreError> {
    let sessions = DatabaseSessions { store: site.store.clone(), clock: site.clock.clone() };
    match session.id() {
        Some(id) => sessions.used(&id).await,
        None => Ok(()),
    }
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

impl DatabaseSessions {
    async fn used(&self, id: &Id) -> Result<(), StoreError> {
        let (key, now) = (key(id), self.clock.now());
        if let Some(found) = self.store.session(&key, now).await?
            && found.expires_at < found.ends_at.min(now + IDLES - PUT_OFF_EVERY)
        {
            self.put_off(key);
        }
        Ok(())
    }

    /// The page does not wait for that: it must show what is wrong even when the database can't be written.
    fn put_off(&self, session: String) {
        let (store, expires_at) = (self.store.clone(), self.clock.now() + IDLES);
        tokio::spawn(async move {
            let put_off = async {
                let mut tx = store.write().await?;
                tx.put_off_session(&session, expires_at).await?;
                tx.commit().await
            };
            let put_off: Result<(), StoreError> = put_off.await;
            if let Err(error) = put_off {
                tracing::warn!(%error, cause = ?error, "the use of a session could not be written down");
            }
        });
    }
}

#[async_trait]
impl SessionStore for DatabaseSessions {
    async fn create(&self, record: &mut Record) -> SessionResult<()> {
        let data = serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
        let now = self.clock.now();
        let new = StoredSession { data, expires_at: now + IDLES, ends_at: now + LASTS };
        loop {
            let mut tx = self.store.write().await.map_err(backend)?;
            let added = tx.add_session(&key(&record.id), &new).await.map_err(backend)?;
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
        tx.save_session(&key(&record.id), &data).await.map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn load(&self, id: &Id) -> SessionResult<Option<Record>> {
        let now = self.clock.now();
        let found = self.store.session(&key(id), now).await.map_err(backend)?;
        let Some(found) = found.filter(|found| found.ends_at <= now + LASTS + AHEAD) else { return Ok(None) };
        let data = serde_json::from_str(&found.data).map_err(|error| Error::Decode(error.to_string()))?;
        let expiry_date = OffsetDateTime::from_unix_timestamp(found.ends_at.timestamp()).map_err(backend)?;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> SessionResult<()> {
        let now = self.clock.now();
        let mut tx = self.store.write().await.map_err(backend)?;
        tx.end_session(&key(id), now).await.map_err(backend)?;
        tx.commit().await.map_err(backend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, ManualClock};
    use std::collections::HashMap;
    use std::sync::Arc;
    use tempfile::TempDir;

    struct Begun {
        store: Store,
        clock: Arc<ManualClock>,
        sessions: DatabaseSessions,
        id: Id,
        _dir: TempDir,
    }

    /// A session that begins on Friday, 20 November 2026, 12:00 UTC.
    async fn begin() -> Begun {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let clock = Arc::new(ManualClock::new("2026-11-20T12:00:00Z".parse().unwrap()));
        let sessions = DatabaseSessions { store: store.clone(), clock: clock.clone() };
        let mut record = Record { id: Id::default(), data: HashMap::new(), expiry_date: OffsetDateTime::UNIX_EPOCH };
        sessions.create(&mut record).await.unwrap();
        Begun { store, clock, sessions, id: record.id, _dir: dir }
    }

    impl Begun {
        /// Uses the session; whether it is still there. What follows from the use is written down when this returns.
        async fn is_there(&self) -> bool {
            let found = self.sessions.load(&self.id).await.unwrap();
            self.sessions.used(&self.id).await.unwrap();
            tokio::task::yield_now().await;
            drop(self.store.write().await.unwrap());
            found.is_some()
        }

        async fn expires_at(&self) -> String {
            let found = self.store.session(&key(&self.id), self.clock.now()).await.unwrap().unwrap();
            found.expires_at.format("%d %H:%M").to_string()
        }
    }

    #[tokio::test]
    async fn a_session_ends_when_nobody_uses_it_for_a_day() {
        let begun = begin().await;
        begun.clock.advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
        assert!(begun.is_there().await);
        begun.clock.advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
        assert!(begun.is_there().await, "it was used");
        begun.clock.advance(TimeDelta::hours(24));
        assert!(!begun.is_there().await);
    }

    #[tokio::test]
    async fn a_session_ends_after_a_week_however_much_it_is_used() {
        let begun = begin().await;
        for hour in 0..7 * 24 {
            assert!(begun.is_there().await, "after {hour} hours");
            begun.clock.advance(TimeDelta::hours(1));
        }
        assert!(!begun.is_there().await);
    }

    #[tokio::test]
    async fn use_is_written_down_every_few_minutes_only_and_no_page_waits_for_it() {
        let begun = begin().await;
        begun.clock.advance(PUT_OFF_EVERY);
        assert!(begun.is_there().await);
        assert_eq!(begun.expires_at().await, "21 12:00");
        begun.clock.advance(TimeDelta::seconds(1));
        assert!(begun.is_there().await);
        assert_eq!(begun.expires_at().await, "21 12:05");
        begun.clock.advance(TimeDelta::hours(1));
        let writing = begun.store.write().await.unwrap();
        begun.sessions.used(&begun.id).await.unwrap();
        assert_eq!(begun.expires_at().await, "21 12:05");
        drop(writing);
        assert!(begun.is_there().await);
        assert_eq!(begun.expires_at().await, "21 13:05");
    }

    #[tokio::test]
    async fn the_database_does_not_hold_what_the_cookie_holds() {
        let Begun { store, clock, sessions, id, _dir } = begin().await;
        assert_eq!(store.session(&id.to_string(), clock.now()).await.unwrap(), None);
        assert_eq!(key(&id).len(), 64);
        assert_eq!(sessions.load(&id).await.unwrap().unwrap().id, id);
        sessions.delete(&id).await.unwrap();
        assert!(sessions.load(&id).await.unwrap().is_none());
    }
}
