//! The worker that looks at what is wrong every half minute, keeps each episode, and tells of it once when it begins and once
//! when it ends. A message that is not taken is tried again by itself and holds up no other.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::alert_message::{Message, Site};
use super::endpoint::{Advice, Endpoint, Refused};
use super::https::Connector;
use crate::clock::{Randomness, SharedClock};
use crate::config::{AlertFormat, AlertTarget};
use crate::health::condition::{Condition, Limits, conditions};
use crate::health::episode::steps;
use crate::lifecycle::Pulse;
use crate::store::{Alert, Store, StoreError};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(30);
/// A round takes at most this long: a look, and an answer to what is sent at once.
pub const ROUND: Duration = Duration::from_mins(2);
/// Messages that are sent at a time.
const AT_ONCE: usize = 20;
/// A next try that lies further ahead is from before the clock was set back.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(2);

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
    /// When the server started.
    pub running_since: DateTime<Utc>,
    /// Who is told; none = nobody, and episodes are only kept.
    pub messenger: Option<Messenger>,
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
    /// When the database can't be used.
    pub async fn work_once(&self, stop: &CancellationToken) -> Result<usize, StoreError> {
        let found = self.look().await?;
        let Some(messenger) = &self.messenger else { return Ok(0) };
        let now = self.clock.now();
        let due = self.due(&found, now).await?;
        let mut sending: FuturesUnordered<_> =
            due.iter().map(async |alert| (alert, messenger.send(&Message::of(alert), now).await)).collect();
        let mut taken = 0;
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => return Ok(taken),
                next = sending.next() => next,
            };
            let Some((alert, sent)) = next else { return Ok(taken) };
            taken += usize::from(sent.is_ok());
            self.record(alert, &sent).await?;
        }
    }

    /// Keeps what began and what ended. Returns what is wrong now.
    async fn look(&self) -> Result<Vec<Condition>, StoreError> {
        let now = self.clock.now();
        let reading = self.store.reading(now).await?;
        let found = conditions(&reading.facts(self.running_since, self.mirror_is_on), &self.limits);
        let open: Vec<_> = self.store.open_alerts().await?.iter().map(Alert::open).collect();
        let steps = steps(&open, &found, now);
        if !steps.is_empty() {
            let mut tx = self.store.write().await?;
            tx.keep_alerts(&steps, now).await?;
            tx.commit().await?;
        }
        Ok(found)
    }

    /// The episodes of which a message is due, in the words of now.
    async fn due(&self, found: &[Condition], now: DateTime<Utc>) -> Result<Vec<Alert>, StoreError> {
        let mut open = self.store.open_alerts().await?;
        open.retain(|alert| alert.open().is_to_be_told(now));
        for alert in &mut open {
            if let Some(condition) = found.iter().find(|found| found.is_of(alert.kind, &alert.subject)) {
                alert.summary.clone_from(&condition.summary);
            }
        }
        open.extend(self.store.alerts_ended_untold().await?);
        open.retain(|alert| !(now < alert.due_at && alert.due_at < now + LONGEST_PAUSE));
        open.truncate(AT_ONCE);
        Ok(open)
    }

    async fn record(&self, alert: &Alert, sent: &Result<(), Refused>) -> Result<(), StoreError> {
        let (now, kind, ended) = (self.clock.now(), alert.kind.as_str(), alert.ended_at.is_some());
        let mut tx = self.store.write().await?;
        match sent {
            Ok(()) => {
                tracing::info!(
                    kind,
                    subject = alert.subject,
                    ended,
                    "told that something is wrong, or that it is over"
                );
                tx.alert_was_told(alert, now).await?;
            }
            Err(refused) => {
                let again_at = refused.again_at(alert.attempts, self.randomness.fraction(), now);
                let problem = &refused.problem;
                tracing::warn!(kind, problem, %again_at, "a message could not be sent");
                tx.alert_not_told(alert.id, problem, again_at).await?;
            }
        }
        tx.commit().await
    }
}
