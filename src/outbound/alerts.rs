//! The worker that looks at what is wrong every half minute, keeps each episode, and tells of it once when it begins and once
//! when it ends. A message that is not taken is tried again by itself and holds up no other.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::alert_book::Book;
pub use super::alert_book::Knowledge;
use super::alert_message::{Message, Site};
use super::endpoint::{Advice, Endpoint, Refused};
use super::https::Connector;
use crate::clock::{Randomness, SharedClock};
use crate::config::{AlertFormat, AlertTarget};
use crate::health::condition::{Condition, Limits, conditions};
use crate::lifecycle::Pulse;
use crate::store::{Alert, Store, StoreError};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(30);
/// A round takes at most this long: a look, and an answer to what is sent at once.
pub const ROUND: Duration = Duration::from_mins(2);
/// Messages that are sent at a time.
const AT_ONCE: usize = 20;

/// The worker.
#[derive(Debug, Clone)]
pub struct Alerts {
    /// The tables.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// For jitter.
    pub randomness: Randomness,
    /// From where on something is wrong.
    pub limits: Limits,
    /// Whether Google credentials are set.
    pub mirror_is_on: bool,
    /// Who is told; none = nobody, and episodes are only kept.
    pub messenger: Option<Messenger>,
    /// What is known of episodes.
    pub known: Knowledge,
}

/// Sends messages.
#[derive(Debug, Clone)]
pub struct Messenger {
    /// Where to.
    pub endpoint: Endpoint,
    format: AlertFormat,
    site: Site,
}

impl Messenger {
    /// Nothing is sent yet. `public_url` without a slash at its end.
    pub fn new(to: AlertTarget, connector: Connector, public_url: &str, installation: &str) -> Self {
        let advice = Advice { address: "--alert-url", all: "--alert-url and --alert-format, and restart the server" };
        let endpoint = Endpoint::new(to.target, advice, connector);
        let site = Site { public_url: public_url.to_owned(), installation: installation.to_owned() };
        Self { endpoint, format: to.format, site }
    }

    /// Sends a message that only says that messages arrive.
    ///
    /// # Errors
    /// Why it was not taken, for a person.
    pub async fn send_test(&self, now: DateTime<Utc>) -> Result<(), String> {
        let message = Message {
            kind: "test",
            subject: String::new(),
            summary: "This is a test: messages of this kind arrive when something goes wrong.".to_owned(),
            path: "/status".to_owned(),
            began_at: now,
            ended_at: None,
        };
        self.send(&message, now).await.map_err(|refused| refused.problem)
    }

    async fn send(&self, message: &Message, now: DateTime<Utc>) -> Result<(), Refused> {
        self.endpoint.post("application/json", message.body(self.format, &self.site).into(), now).await
    }
}

impl Alerts {
    /// Works until `stop`. A message that is under way then is given up: it is sent again after the next start.
    pub async fn run(self, pulse: Pulse, stop: CancellationToken) {
        loop {
            pulse.beat();
            if let Err(error) = self.work_once(&stop).await {
                tracing::error!(%error, cause = ?error, "what is wrong could not be looked at; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Looks once, and sends what is due. Returns how many messages were taken.
    ///
    /// # Errors
    /// When what was told before can't be read.
    pub async fn work_once(&self, stop: &CancellationToken) -> Result<usize, StoreError> {
        let mut book = self.known.0.lock().await;
        let book = match &mut *book {
            Some(book) => book,
            unread => unread.insert(Book::open(&self.store).await?),
        };
        let now = self.clock.now();
        let mut found = self.look(now).await;
        book.follow(found.as_mut().map_err(|unread| &*unread), now);
        self.keep(book).await;
        let mut due = book.due(&found.unwrap_or_else(|unread| vec![unread]), now);
        due.truncate(AT_ONCE);
        let taken = match &self.messenger {
            Some(messenger) if !due.is_empty() => self.send(messenger, &due, book, stop).await,
            _ => return Ok(0),
        };
        self.keep(book).await;
        Ok(taken)
    }

    /// What is wrong now, as far as the database tells.
    ///
    /// # Errors
    /// What is wrong with the database when it does not.
    async fn look(&self, now: DateTime<Utc>) -> Result<Vec<Condition>, Condition> {
        match self.store.reading(now).await {
            Ok(reading) => Ok(conditions(&reading.facts(self.mirror_is_on), &self.limits)),
            Err(error) => {
                tracing::error!(%error, cause = ?error, "what is wrong could not be looked at; trying again");
                Err(match error {
                    StoreError::Row { .. } => Condition::database_unread(),
                    _ => Condition::database_fails(),
                })
            }
        }
    }

    async fn keep(&self, book: &mut Book) {
        if let Err(error) = book.keep(&self.store).await {
            tracing::error!(%error, cause = ?error, "what is wrong and who was told could not be kept; trying again");
        }
    }

    /// Sends what is due. Returns how many messages were taken.
    async fn send(
        &self,
        messenger: &Messenger,
        due: &[(usize, Alert)],
        book: &mut Book,
        stop: &CancellationToken,
    ) -> usize {
        let now = self.clock.now();
        let mut sending: FuturesUnordered<_> = (due.iter())
            .map(async |(place, alert)| (*place, alert, messenger.send(&Message::of(alert), now).await))
            .collect();
        let mut taken = 0;
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => return taken,
                next = sending.next() => next,
            };
            let Some((place, alert, sent)) = next else { return taken };
            taken += usize::from(sent.is_ok());
            self.note(book, place, alert, sent);
        }
    }

    fn note(&self, book: &mut Book, place: usize, alert: &Alert, sent: Result<(), Refused>) {
        let (now, kind, subject, ended) =
            (self.clock.now(), alert.kind.as_str(), &alert.subject, alert.ended_at.is_some());
        match sent {
            Ok(()) => {
                tracing::info!(kind, subject, ended, "told that something is wrong, or that it is over");
                book.was_told(place, &alert.summary, now);
            }
            Err(refused) => {
                let again_at = refused.again_at(alert.attempts, self.randomness.fraction(), now);
                let problem = refused.problem;
                tracing::warn!(kind, problem, %again_at, "a message could not be sent");
                book.was_not_told(place, problem, again_at);
            }
        }
    }
}
