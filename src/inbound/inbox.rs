//! The inbox worker: takes deliveries that wait, in batches of one transaction each, and applies them to meetings, history,
//! audit log and mirror work. A delivery that can't be applied is quarantined; the others go on.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::payload::{self, Envelope, Payload, Rejection};
use super::webhook;
use crate::audit::entry::{Entry, Source};
use crate::audit::organization::OrganizationChange;
use crate::clock::SharedClock;
use crate::lifecycle::Pulse;
use crate::meeting::apply::{Effect, receive, settle, settled_effect};
use crate::meeting::event::{EventKey, Kind, MeetingEvent};
use crate::meeting::state::Meeting;
use crate::store::{
    DeliveryStatus, ERASED, Forgetting, Forgotten, PendingDelivery, Selecting, Settled, Store, StoreError, WriteTx,
};
use crate::web::counts::Tally;

/// How often the table is looked at unasked: a command line may have put something there.
const POLL: Duration = Duration::from_millis(500);
/// The pause after the database could not be used.
const PAUSE: Duration = Duration::from_secs(1);
/// A round takes at most this long: one batch, when others use the database, too.
pub const ROUND: Duration = Duration::from_mins(1);

/// Why a delivery is ignored whose meeting was forgotten.
const TOO_OLD: &str = "This meeting ended longer ago than --keep-meetings-days and was forgotten.";

/// Reads one body.
type Interpret = fn(&[u8]) -> Result<Envelope, Rejection>;

/// The inbox worker.
#[derive(Debug, Clone)]
pub struct Inbox {
    store: Store,
    clock: SharedClock,
    /// Told by the webhook.
    arrived: Arc<Notify>,
    /// To be told when something was applied.
    tell: Vec<Arc<Notify>>,
    interpret: Interpret,
    settled: Tally,
}

impl Inbox {
    /// A worker that is woken by `arrived`, and wakes each of `tell` when it applied something.
    pub fn new(store: Store, clock: SharedClock, arrived: Arc<Notify>, tell: Vec<Arc<Notify>>) -> Self {
        Self { store, clock, arrived, tell, interpret: payload::parse, settled: Tally::default() }
    }

    /// Has the deliveries that were applied, or not, counted there.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Deliveries that were worked on, by what became of them; failed: a batch that is tried again";
        registry.register("deliveries_settled", help, self.settled.clone());
    }

    /// Works until `stop`. A batch that was begun is finished.
    pub async fn run(self, pulse: Pulse, stop: CancellationToken) {
        while !stop.is_cancelled() {
            pulse.beat();
            let pause = match self.apply_next().await {
                Ok(applied) if applied > 0 => continue,
                Ok(_) => POLL,
                Err(error) => {
                    tracing::error!(%error, cause = ?error, "the inbox could not be worked on; trying again");
                    PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.arrived.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Applies everything that waits. Returns how many deliveries that were.
    ///
    /// # Errors
    /// When the database can't be used; what was not applied still waits.
    pub async fn drain(&self) -> Result<usize, StoreError> {
        let mut total = 0;
        loop {
            match self.apply_next().await? {
                0 => return Ok(total),
                applied => total += applied,
            }
        }
    }

    /// Applies the next batch. Returns how many deliveries that were.
    async fn apply_next(&self) -> Result<usize, StoreError> {
        // Asked of a reading connection: an idle look must not take the writer.
        if !self.store.has_pending_deliveries().await? {
            return Ok(0);
        }
        let applied = self.apply_batch().await;
        if applied.is_err() {
            self.settled.get_or_create(&[("status", "failed")]).inc();
        }
        self.tell.iter().for_each(|worker| worker.notify_one());
        applied
    }

    /// Applies what waits longest. When one of them can't be applied, only that one is settled, and the others are begun anew.
    /// Returns how many were settled.
    async fn apply_batch(&self) -> Result<usize, StoreError> {
        let most = self.store.turn().await;
        let mut tx = self.store.write().await?;
        let pending = tx.pending_deliveries(most).await?;
        let calendars = tx.selecting_calendars().await?;
        let now = self.clock.now();
        let mut settled = Vec::with_capacity(pending.len());
        for delivery in &pending {
            if self.store.is_turn_over(settled.len()) {
                break;
            }
            let applied = AssertUnwindSafe(self.apply_one(&mut tx, delivery, &calendars, now)).catch_unwind().await;
            let reason = match applied {
                Ok(Ok((status, reason))) => {
                    settled.push(Settled { id: delivery.id, status, reason });
                    continue;
                }
                Ok(Err(error)) if error.is_unavailable() => return Err(error),
                Ok(Err(error)) => {
                    tracing::error!(inbox_id = delivery.id, %error, cause = ?error, "a delivery could not be applied");
                    format!("applying it failed ({error}); it can be replayed")
                }
                Err(_) => {
                    tracing::error!(inbox_id = delivery.id, "applying a delivery panicked");
                    "applying it failed inside meeting-mirror: please report this; it can be replayed after an upgrade"
                        .to_owned()
                }
            };
            // What it and the others changed is undone.
            drop(tx);
            tx = self.store.write().await?;
            settled = vec![Settled { id: delivery.id, status: DeliveryStatus::Quarantined, reason: Some(reason) }];
            break;
        }
        tx.settle_deliveries(&settled, now).await?;
        tx.commit().await?;
        for delivery in &settled {
            self.settled.get_or_create(&[("status", delivery.status.as_str())]).inc();
        }
        Ok(settled.len())
    }

    async fn apply_one(
        &self,
        tx: &mut WriteTx<'_>,
        delivery: &PendingDelivery,
        calendars: &[Selecting],
        now: DateTime<Utc>,
    ) -> Result<(DeliveryStatus, Option<String>), StoreError> {
        let envelope = match (self.interpret)(&delivery.body) {
            Ok(envelope) => envelope,
            Err(rejection) => return Ok((DeliveryStatus::Quarantined, Some(rejection.to_string()))),
        };
        if envelope.event_id.as_str() != delivery.event_id {
            // It was quarantined under its digest and is understood now.
            match tx.identify_delivery(delivery.id, &webhook::identity(&envelope)).await {
                Err(StoreError::Exists(_)) => {
                    let reason = format!("the event {} was received in another form, too", envelope.event_id);
                    return Ok((DeliveryStatus::Ignored, Some(reason)));
                }
                done => done?,
            }
        }
        let status = match &envelope.payload {
            Payload::Meeting(event) => {
                let first_revision = match admit(tx, event, now).await? {
                    Ok(first_revision) => first_revision,
                    Err(reason) => {
                        // Settled with its reason below; what it says is not kept either, but for what it took over.
                        tx.erase_deliveries(&[delivery.id], true, now).await?;
                        if event.claim().is_some() {
                            tx.keep_claim(event).await?;
                            settle_claimed(tx, event, None, calendars, now).await?;
                        }
                        return Ok((DeliveryStatus::Ignored, Some(reason.to_owned())));
                    }
                };
                match apply_meeting(tx, event, first_revision, delivery.id, calendars, now).await? {
                    Effect::Superseded => DeliveryStatus::Superseded,
                    _ => DeliveryStatus::Applied,
                }
            }
            Payload::Organization(_) if delivery.entry_removed => {
                let reason = "its entry in the audit log was older than --audit-keep-days and was removed; it is not written again";
                return Ok((DeliveryStatus::Ignored, Some(reason.to_owned())));
            }
            Payload::Organization(change) => {
                tx.append_audit(&audit_entry(&envelope, change, delivery.id, now)).await?;
                DeliveryStatus::Applied
            }
            Payload::EndpointTest => DeliveryStatus::Applied,
            Payload::Unknown => return Ok((DeliveryStatus::Ignored, Some(webhook::unknown_type(&envelope)))),
        };
        Ok((status, None))
    }
}

/// Why an event is not applied, because its meeting was forgotten; or else the revision with which the meeting begins if it is not
/// known: beyond those that it had before it was forgotten, or programs would keep what they have. A meeting that was too old is
/// kept from now on when a greater event speaks of it.
async fn admit(
    tx: &mut WriteTx<'_>,
    event: &MeetingEvent,
    now: DateTime<Utc>,
) -> Result<Result<u32, &'static str>, StoreError> {
    match tx.forgotten(&event.meeting_id).await? {
        None => Ok(Ok(0)),
        Some(Forgotten { why: Forgetting::Erased, .. }) => Ok(Err(ERASED)),
        Some(Forgotten { why: Forgetting::TooOld, latest, .. }) if event.key <= latest => Ok(Err(TOO_OLD)),
        Some(Forgotten { revision, .. }) => {
            tx.keep_meeting(&event.meeting_id, now).await?;
            Ok(Ok(revision.saturating_add(1)))
        }
    }
}

/// Applies an event to its meeting, then to those it takes over. A meeting that is not known begins with `first_revision`.
async fn apply_meeting(
    tx: &mut WriteTx<'_>,
    event: &MeetingEvent,
    first_revision: u32,
    inbox_id: i64,
    calendars: &[Selecting],
    now: DateTime<Utc>,
) -> Result<Effect, StoreError> {
    let current = tx.meeting(&event.meeting_id).await?;
    let known_revision = current.as_ref().map(|meeting| meeting.revision);
    let (mut meeting, received) = receive(current, event, now);
    let own = (event.key.kind != Kind::Canceled).then_some(&event.key);
    let live = match known_revision {
        Some(_) => tx.latest_live_event(&meeting.id).await?,
        // It has no history.
        None => None,
    };
    let settled = settle_claims(tx, &mut meeting, live.as_ref().max(own), now).await?;
    // However much one event changes of its meeting, people see one change.
    meeting.revision = match known_revision {
        Some(known) => meeting.revision.min(known.saturating_add(1)),
        None => first_revision,
    };
    let effect = settled_effect(received, settled, meeting.status());
    if effect != Effect::Superseded {
        tx.save_meeting(&meeting).await?;
    }
    tx.add_history(&meeting, event, inbox_id, effect, now).await?;
    if known_revision != Some(meeting.revision) {
        tx.want_in_calendars(&meeting, calendars, now).await?;
    }

    settle_claimed(tx, event, Some(inbox_id), calendars, now).await?;
    Ok(effect)
}

/// Decides anew by whom those are replaced that an event takes over. Their history tells of it under `inbox_id`; none: of the event
/// nothing is kept that a history could tell.
async fn settle_claimed(
    tx: &mut WriteTx<'_>,
    event: &MeetingEvent,
    inbox_id: Option<i64>,
    calendars: &[Selecting],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(claim) = event.claim() else { return Ok(()) };
    for mut other in tx.meetings_with_email_id(&event.details.organization_id, claim, &event.meeting_id).await? {
        let revision = other.revision;
        let live = tx.latest_live_event(&other.id).await?;
        if settle_claims(tx, &mut other, live.as_ref(), now).await? {
            tx.save_meeting(&other).await?;
            if let Some(inbox_id) = inbox_id {
                tx.add_history(&other, event, inbox_id, Effect::Replaced, now).await?;
            }
        }
        if other.revision != revision {
            tx.want_in_calendars(&other, calendars, now).await?;
        }
    }
    Ok(())
}

/// Decides by whom a meeting is replaced. `live` is the latest of its own events that was not a cancellation.
async fn settle_claims(
    tx: &mut WriteTx<'_>,
    meeting: &mut Meeting,
    live: Option<&EventKey>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let claimant = tx.claimant(meeting, live).await?;
    Ok(settle(meeting, claimant, now))
}

fn audit_entry(envelope: &Envelope, change: &OrganizationChange, inbox_id: i64, now: DateTime<Utc>) -> Entry {
    Entry {
        source: Source::CirrusInsight,
        event_id: Some(envelope.event_id.to_string()),
        category: change.category.clone(),
        summary: change.summary.clone(),
        organization_id: envelope.organization_id.as_ref().map(ToString::to_string),
        actor: change.actor.clone(),
        changes: change.changes.clone(),
        happened_at: envelope.happened_at,
        recorded_at: now,
        inbox_id: Some(inbox_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::lifecycle::Pulses;
    use crate::store::{DeliveryFilter, Identity, NewDelivery};

    async fn inbox_with(bodies: &[&str], interpret: Interpret) -> (tempfile::TempDir, Inbox) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let mut tx = store.write().await.unwrap();
        for body in bodies {
            let delivery = NewDelivery {
                identity: Identity { event_id: (*body).to_owned(), ..Identity::default() },
                body: body.as_bytes().to_vec(),
                headers: "[]".into(),
                signature: "unsigned".into(),
                received_at: now,
                status: DeliveryStatus::Pending,
                reason: None,
            };
            tx.store_delivery(&delivery).await.unwrap();
        }
        tx.commit().await.unwrap();
        let mut inbox = Inbox::new(store, Arc::new(ManualClock::new(now)), Arc::default(), Vec::new());
        inbox.interpret = interpret;
        (dir, inbox)
    }

    #[tokio::test]
    async fn a_panic_quarantines_its_delivery_and_the_others_go_on() {
        let interpret: Interpret = |body| {
            assert!(body != b"second", "made to fail");
            payload::parse(
                format!(
                    r#"{{"eventId":"{}","eventType":"developer.webhook.test","eventTimestamp":"2026-11-23T10:00:00Z"}}"#,
                    String::from_utf8_lossy(body)
                )
                .as_bytes(),
            )
        };
        let (_dir, inbox) = inbox_with(&["first", "second", "third"], interpret).await;
        assert_eq!(inbox.drain().await.unwrap(), 3);
        let mut found = inbox.store.deliveries(&DeliveryFilter::default(), 10).await.unwrap();
        found.reverse();
        let statuses: Vec<_> = found.iter().map(|delivery| delivery.status).collect();
        assert_eq!(statuses, [DeliveryStatus::Applied, DeliveryStatus::Quarantined, DeliveryStatus::Applied]);
        assert!(found[1].reason.as_deref().unwrap().contains("please report this"));
    }

    #[tokio::test]
    async fn no_batch_is_begun_after_the_stop() {
        let (_dir, inbox) = inbox_with(&["no json"], payload::parse).await;
        let stop = CancellationToken::new();
        stop.cancel();
        let pulse = Pulses::new(inbox.clock.clone()).begin("inbox", ROUND);
        inbox.clone().run(pulse, stop).await;
        assert!(inbox.store.has_pending_deliveries().await.unwrap());
    }

    #[tokio::test]
    async fn a_delivery_that_is_still_not_understood_stays_in_quarantine() {
        let (_dir, inbox) = inbox_with(&["no json"], payload::parse).await;
        assert_eq!(inbox.drain().await.unwrap(), 1);
        let found = inbox.store.delivery("no json").await.unwrap().unwrap();
        assert_eq!(found.status, DeliveryStatus::Quarantined);
        assert!(found.reason.unwrap().starts_with("body: found bytes that are not clean JSON"));
        assert_eq!(inbox.drain().await.unwrap(), 0);
    }
}
