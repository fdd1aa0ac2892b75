//! Deliveries that wait to be applied: stored while nothing serves, and how long it takes until none waits.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use meeting_mirror::clock::{Clock as _, SystemClock};
use meeting_mirror::inbound::payload::{self, Payload};
use meeting_mirror::store::{DeliveryStatus, Identity, NewDelivery, Store};

use super::common::{now, serve};
use super::{Plan, client};

/// Stores deliveries with these numbers.
pub(crate) async fn store(data: &Path, first: u32, many: u32, at: DateTime<Utc>) {
    let store = Store::open(data).await.unwrap();
    for from in (first..first + many).step_by(5000) {
        let mut tx = store.write().await.unwrap();
        for number in from..(from + 5000).min(first + many) {
            let body = client::body(number, at);
            let envelope = payload::parse(&body).unwrap();
            let identity = Identity {
                event_id: envelope.event_id.to_string(),
                event_type: Some(envelope.event_type),
                organization_id: envelope.organization_id.map(|id| id.to_string()),
                happened_at: Some(envelope.happened_at),
                delivery_attempt: envelope.delivery_attempt,
                meeting_id: match &envelope.payload {
                    Payload::Meeting(event) => Some(event.meeting_id.to_string()),
                    _ => None,
                },
            };
            let delivery = NewDelivery {
                identity,
                body,
                headers: r#"[["content-type","application/json"],["x-webhook-signature","sha256=3fa1b…"]]"#.into(),
                signature: "x-webhook-signature, HMAC-SHA256, key 1".into(),
                received_at: at,
                status: DeliveryStatus::Pending,
                reason: None,
            };
            tx.store_delivery(&delivery).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    store.close().await;
}

/// How many wait now.
pub(crate) async fn waiting(data: &Path) -> i64 {
    let store = Store::open(data).await.unwrap();
    let counts = store.inbox_counts().await.unwrap();
    store.close().await;
    counts.of(DeliveryStatus::Pending)
}

/// Waits until the server that runs there has applied everything. Returns how many deliveries a second that were.
pub(crate) async fn applied(data: &Path) -> f64 {
    let store = Store::open(data).await.unwrap();
    let count = async || store.inbox_counts().await.unwrap().of(DeliveryStatus::Pending);
    let (begun, first) = (now(), count().await);
    while count().await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(store.inbox_counts().await.unwrap().of(DeliveryStatus::Quarantined), 0);
    store.close().await;
    f64::from(u32::try_from(first).unwrap()) / seconds
}

pub(crate) async fn measure(plan: &Plan) {
    let at = SystemClock::default().now();
    let data = plan.fresh();
    store(&data, 0, plan.backlog, at).await;
    let _server = serve(&data, &[]);
    println!("\na backlog of {} deliveries, once: {:.0} applied a second", plan.backlog, applied(&data).await);
}
