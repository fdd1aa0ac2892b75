//! `inbox`: deliveries as received.

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Context, output};
use crate::store::{Delivery, DeliveryFilter, DeliveryStatus, Store};
use crate::views::readable;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List deliveries, newest first
    List {
        /// Only of this status: pending, applied, superseded, ignored or quarantined
        #[arg(long, value_parser = status)]
        status: Option<DeliveryStatus>,
        /// Most rows
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one delivery with its body
    Show {
        /// Its number or event id
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Work on deliveries again: one by number or event id, or all of a status
    Replay {
        /// Its number or event id
        #[arg(required_unless_present = "status", conflicts_with = "status")]
        id: Option<String>,
        /// All of this status
        #[arg(long, value_parser = status)]
        status: Option<DeliveryStatus>,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
}

fn status(word: &str) -> Result<DeliveryStatus, String> {
    DeliveryStatus::from_word(word).ok_or_else(|| "use pending, applied, superseded, ignored or quarantined".to_owned())
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let store = context.open().await?.store;
    match command {
        Command::List { status, limit, json } => list(context, &store, status, limit, json).await,
        Command::Show { id, json } => show(context, &store, &id, json).await,
        Command::Replay { id, status, yes } => replay(context, &store, id, status, yes).await,
    }
}

async fn list(
    context: &Context,
    store: &Store,
    status: Option<DeliveryStatus>,
    limit: u32,
    json: bool,
) -> anyhow::Result<()> {
    let filter = DeliveryFilter { status, ..DeliveryFilter::default() };
    let found = store.deliveries(&filter, limit).await?;
    if json {
        output::json(&Value::Array(found.iter().map(as_json).collect()));
        return Ok(());
    }
    let rows = found.into_iter().map(|delivery| {
        vec![
            delivery.id.to_string(),
            output::time(delivery.received_at, context.settings.time_zone),
            delivery.status.as_str().to_owned(),
            delivery.deliveries.to_string(),
            delivery.event_type.unwrap_or_else(|| "?".to_owned()),
            delivery.event_id,
            delivery.reason.unwrap_or_default(),
        ]
    });
    let heading = ["no", "received", "status", "times", "type", "event", "reason"];
    output::table(&heading, rows.collect(), "No deliveries. Has the endpoint been set up in Cirrus Insight?");
    Ok(())
}

fn as_json(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.id,
        "eventId": delivery.event_id,
        "eventType": delivery.event_type,
        "meetingId": delivery.meeting_id,
        "status": delivery.status.as_str(),
        "reason": delivery.reason,
        "deliveries": delivery.deliveries,
        "receivedAt": output::stamp(delivery.received_at),
        "lastReceivedAt": output::stamp(delivery.last_received_at),
        "signature": delivery.signature,
        "replays": delivery.replays,
        "bodyRemovedAt": delivery.body_removed_at.map(output::stamp),
    })
}

async fn find(store: &Store, id: &str) -> anyhow::Result<Delivery> {
    match store.delivery(id).await? {
        Some(delivery) => Ok(delivery),
        None => bail!("there is no delivery {id}; see: meeting-mirror inbox list"),
    }
}

async fn show(context: &Context, store: &Store, id: &str, json: bool) -> anyhow::Result<()> {
    let delivery = find(store, id).await?;
    let (body, headers) = store.delivery_content(delivery.id).await?.unwrap_or_default();
    let (body, _) = readable(&body);
    let headers: Value = serde_json::from_str(&headers)?;
    if json {
        let mut shown = as_json(&delivery);
        shown["headers"] = headers;
        shown["body"] = json!(body);
        output::json(&shown);
        return Ok(());
    }
    let zone = context.settings.time_zone;
    output::line(format_args!("delivery   {} ({})", delivery.id, delivery.event_id));
    output::line(format_args!("type       {}", delivery.event_type.as_deref().unwrap_or("not readable")));
    output::line(format_args!("status     {}", delivery.status.as_str()));
    if let Some(reason) = &delivery.reason {
        output::line(format_args!("reason     {reason}"));
    }
    if let Some(meeting) = &delivery.meeting_id {
        output::line(format_args!("meeting    {meeting}"));
    }
    output::line(format_args!(
        "received   {}, {} times",
        output::time(delivery.received_at, zone),
        delivery.deliveries
    ));
    output::line(format_args!("signature  {}", delivery.signature));
    for pair in headers.as_array().into_iter().flatten() {
        let text = |index: usize| pair.get(index).and_then(Value::as_str).unwrap_or_default();
        output::line(format_args!("  {}: {}", text(0), text(1)));
    }
    output::line("");
    match delivery.body_removed_at {
        Some(at) => output::line(format_args!("body and headers were removed {}", output::time(at, zone))),
        None => output::line(body),
    }
    Ok(())
}

async fn replay(
    context: &Context,
    store: &Store,
    id: Option<String>,
    status: Option<DeliveryStatus>,
    yes: bool,
) -> anyhow::Result<()> {
    let now = context.clock.now();
    let replayed = if let Some(id) = &id {
        let delivery = find(store, id).await?;
        if delivery.body_removed_at.is_some() {
            bail!("the body of delivery {} was removed: it can't be worked on again", delivery.id);
        }
        u64::from(store.replay_one(&delivery, "command line", now).await?)
    } else {
        let filter = DeliveryFilter { status, with_body: true, ..DeliveryFilter::default() };
        let number = store.delivery_count(&filter).await?;
        if number == 0 {
            output::line("No delivery is like that: there is nothing to work on.");
            return Ok(());
        }
        output::confirm(&format!("Work on {number} deliveries again?"), yes)?;
        let what = format!("{number} that were {}", status.map_or("received", DeliveryStatus::as_str));
        store.replay(&filter, "command line", &what, now, || true).await?.deliveries
    };
    let wait = if replayed == 1 { "delivery waits" } else { "deliveries wait" };
    output::line(format_args!("{replayed} {wait} to be applied again; a running server does so at once"));
    Ok(())
}
