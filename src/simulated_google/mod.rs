//! A simulated Google Calendar: an HTTP server on a free port of this machine that keeps Google's rules, fails on
//! script and shows what it holds. It is for `meeting-mirror demo` and for tests.
//! It must not use anything else of this crate, must never be reachable from outside, and proves nothing about Google
//! beyond the rules that were known when it was written.

mod answer;
mod calendar;
mod call;
mod event_rules;
mod faults;
mod listing;
mod page;
mod server;
mod tokens;
mod world;

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use self::calendar::{Calendar, Change};
use self::server::Shared;

pub use self::calendar::{Access, SimulatedEvent};
pub use self::call::{ApiMethod, Call};
pub use self::event_rules::EventTime;
pub use self::faults::{Fault, Matcher, TokenFault};
pub use self::tokens::{AUTHORIZATION_CODE, CLIENT_EMAIL, REFRESH_TOKEN, TokenRequest};
pub use self::world::Mail;

/// The injected clock.
pub type Now = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Whether the times in tokens are held against the injected clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenTimes {
    /// As Google does: `iat` and `exp` of an assertion must be around now, access tokens last an hour.
    FollowClock,
    /// For a manual clock: yup-oauth2 reads the system's clock and can't be given another, so only `exp` against `iat`
    /// is checked, and access tokens last until they are revoked.
    Ignore,
}

/// What a simulation needs to start.
#[derive(Clone)]
pub struct SimulatedGoogleConfig {
    pub now: Now,
    pub token_times: TokenTimes,
}

impl SimulatedGoogleConfig {
    /// Everything as at Google.
    pub fn new(now: Now) -> Self {
        Self { now, token_times: TokenTimes::FollowClock }
    }

    /// For a clock that doesn't agree with the system's.
    pub fn with_manual_clock(now: Now) -> Self {
        Self { now, token_times: TokenTimes::Ignore }
    }
}

impl fmt::Debug for SimulatedGoogleConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedGoogleConfig").field("token_times", &self.token_times).finish_non_exhaustive()
    }
}

/// A running simulation. Dropping it ends it.
pub struct SimulatedGoogle {
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

/// Starting, stopping, addresses.
impl SimulatedGoogle {
    /// Binds a free port on 127.0.0.1 and serves on a task of the current tokio runtime.
    ///
    /// # Errors
    /// When there is no runtime or no free port.
    pub fn start(config: SimulatedGoogleConfig) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let shared = Arc::new(Shared::new(config.now, config.token_times, address));
        let task = runtime.spawn(server::serve(listener, Arc::clone(&shared)));
        Ok(Self { shared, task: Some(task) })
    }

    /// The base of the API, for `--google-api-url`; ends in `/calendar/v3/`.
    pub fn api_url(&self) -> String {
        format!("{}/calendar/v3/", self.shared.origin)
    }

    /// Where tokens are asked for.
    pub fn token_url(&self) -> String {
        self.shared.token_url()
    }

    /// The page on which a person can watch.
    pub fn page_url(&self) -> String {
        format!("{}/", self.shared.origin)
    }

    /// A service-account key file that works with this simulation and nowhere else, as JSON.
    ///
    /// # Errors
    /// When the fixture is broken.
    pub fn credentials(&self) -> io::Result<String> {
        let mut key: Value = serde_json::from_str(tokens::KEY_FILE)?;
        key["token_uri"] = self.token_url().into();
        Ok(serde_json::to_string_pretty(&key)?)
    }

    /// Writes [`Self::credentials`] to a file.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_credentials(&self, path: impl AsRef<Path>) -> io::Result<()> {
        std::fs::write(path, self.credentials()?)
    }

    /// While offline every connection is closed without an answer, and nothing is applied or logged.
    pub fn set_online(&self, online: bool) {
        self.shared.online.store(online, Ordering::Release);
    }

    /// Ends the simulation and waits until it has.
    pub async fn shutdown(mut self) {
        self.stop();
        if let Some(task) = self.task.take() {
            // A panic in there has been reported by the panic hook.
            let _ = task.await;
        }
    }

    fn stop(&self) {
        self.set_online(false);
        self.shared.stopped.send_replace(true);
    }
}

impl Drop for SimulatedGoogle {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for SimulatedGoogle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedGoogle").field("api_url", &self.api_url()).finish_non_exhaustive()
    }
}

/// Calendars, and what people do to them by hand.
impl SimulatedGoogle {
    /// Adds an empty calendar, or replaces one.
    pub fn add_calendar(&self, id: &str, name: &str, access: Access) {
        let calendar = Calendar::new(id, name, access, &self.shared.origin);
        self.shared.world().calendars.insert(id.to_owned(), calendar);
    }

    /// Shares a calendar otherwise. False when there is no such calendar.
    pub fn set_access(&self, calendar: &str, access: Access) -> bool {
        self.with(calendar, |calendar| calendar.access = access).is_some()
    }

    /// Whether the calendar is in the caller's calendar list (it is, until this says otherwise). Users report that
    /// sharing a calendar with a service account does not put it there: then `calendarList.get` answers 404.
    pub fn set_listed(&self, calendar: &str, listed: bool) -> bool {
        self.with(calendar, |calendar| calendar.listed = listed).is_some()
    }

    /// All events of a calendar by id, deleted ones as `cancelled`. None when there is no such calendar.
    pub fn events(&self, calendar: &str) -> Vec<SimulatedEvent> {
        self.with(calendar, |calendar| calendar.events().map(|(_, event)| SimulatedEvent::read(event)).collect())
            .unwrap_or_default()
    }

    /// One event, deleted or not.
    pub fn event(&self, calendar: &str, id: &str) -> Option<SimulatedEvent> {
        self.with(calendar, |calendar| calendar.get(id).map(SimulatedEvent::read).ok())?
    }

    /// A person adds an event of their own. Returns its id; `None` when there is no such calendar or the times are
    /// refused.
    pub fn insert_foreign_event(
        &self,
        calendar: &str,
        summary: &str,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Option<String> {
        let text = |instant: DateTime<Utc>| instant.to_rfc3339_opts(SecondsFormat::Secs, true);
        let Value::Object(body) = json!({
            "summary": summary,
            "start": { "dateTime": text(start) },
            "end": { "dateTime": text(end) },
        }) else {
            return None;
        };
        let change = Change { now: (self.shared.now)(), refuse_revive: false, refuse_attendees: false };
        let event = self.with(calendar, |calendar| calendar.insert(&body, change).ok())??;
        Some(event.get("id")?.as_str()?.to_owned())
    }

    /// A person changes an event: no rule is applied. False when there is no such event. `edit` must not call the
    /// simulation, which is locked meanwhile.
    pub fn edit_by_hand(&self, calendar: &str, id: &str, edit: impl FnOnce(&mut Value)) -> bool {
        let now = (self.shared.now)();
        self.with(calendar, |calendar| calendar.edit_by_hand(id, edit, now).is_ok()) == Some(true)
    }

    /// A person deletes an event. False when there is no such event or it was deleted before.
    pub fn delete_by_hand(&self, calendar: &str, id: &str) -> bool {
        let now = (self.shared.now)();
        self.with(calendar, |calendar| calendar.delete(id, now).is_ok()) == Some(true)
    }

    /// Google forgets a deleted event for good: from then on it is unknown, and its id is free.
    pub fn purge(&self, calendar: &str, id: &str) -> bool {
        self.with(calendar, |calendar| calendar.purge(id)) == Some(true)
    }

    /// Whether a PUT that would revive a deleted event is answered 403, as some users report.
    pub fn refuse_revive(&self, refuse: bool) {
        self.shared.world().refuse_revive = refuse;
    }

    fn with<T>(&self, calendar: &str, act: impl FnOnce(&mut Calendar) -> T) -> Option<T> {
        self.shared.world().calendar(calendar).ok().map(act)
    }
}

/// Faults.
impl SimulatedGoogle {
    /// The next call of the API fails.
    pub fn fail_next(&self, fault: Fault) {
        self.fail(Matcher::any(), fault, 1);
    }

    /// The next `times` calls that match fail. Scripts are tried in the order in which they were given.
    pub fn fail(&self, matcher: Matcher, fault: Fault, times: u32) {
        self.shared.world().faults.script(matcher, fault, times);
    }

    /// The next `times` requests for a token fail.
    pub fn fail_token(&self, fault: TokenFault, times: u32) {
        self.shared.world().faults.script_token(fault, times);
    }

    /// How many scripted faults have not been played yet.
    pub fn faults_left(&self) -> usize {
        self.shared.world().faults.left()
    }

    /// From now on this share of calls (0 to 1) fails with one of [`Fault::TRANSIENT`]. What fails depends only on the
    /// seed, the call (method, calendar, event) and how often that call was made, not on how calls interleave.
    pub fn chaos(&self, seed: u64, share: f64) {
        self.chaos_of(seed, share, &Fault::TRANSIENT);
    }

    /// Like [`Self::chaos`], with faults of one's own choice.
    pub fn chaos_of(&self, seed: u64, share: f64, faults: &[Fault]) {
        self.shared.world().faults.start_chaos(seed, share, faults.to_vec());
    }

    /// Ends the chaos; scripted faults stay.
    pub fn calm(&self) {
        self.shared.world().faults.calm();
    }

    /// All access tokens handed out so far are worth nothing: 401 until a new one is asked for.
    pub fn revoke_tokens(&self) {
        self.shared.world().tokens.revoke();
    }
}

/// What happened.
impl SimulatedGoogle {
    /// The calls of the API in the order in which they were applied.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.world().calls.clone()
    }

    /// How many calls of the API there were.
    pub fn call_count(&self) -> usize {
        self.shared.world().calls.len()
    }

    /// Forgets the calls and the requests for tokens.
    pub fn clear_calls(&self) {
        let mut world = self.shared.world();
        world.calls.clear();
        world.token_requests.clear();
    }

    /// The requests for tokens, in order.
    pub fn token_requests(&self) -> Vec<TokenRequest> {
        self.shared.world().token_requests.clone()
    }

    /// Every mail that Google would have sent to people. A mirror must never cause one.
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.world().mails.clone()
    }
}
