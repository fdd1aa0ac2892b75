//! `inbox`: deliveries as received.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Context, output};
use crate::store::{Deed, Delivery, DeliveryFilter, DeliveryStatus, Store};
use crate::views::{count, deed_question, readable};

/// Who does it, in the audit log.
const ACTOR: &str = "command line";
const ONLY_QUARANTINED: &str = "only what is quarantined can be set aside";

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
    /// Work on deliveries again: by number or event id, or all of a status
    Replay(Chosen),
    /// Set deliveries in quarantine aside, as they never will be understood: by number or event id, or all with `--status quarantined`
    Ignore(Chosen),
}

/// Which deliveries something is done with.
#[derive(Debug, Args)]
pub(super) struct Chosen {
    /// Number or event id
    #[arg(value_name = "ID", required_unless_present = "status", conflicts_with = "status")]
    ids: Vec<String>,
    /// All of this status
    #[arg(long, value_parser = status)]
    status: Option<DeliveryStatus>,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

fn status(word: &str) -> Result<DeliveryStatus, String> {
    DeliveryStatus::from_word(word).ok_or_else(|| "use pending, applied, superseded, ignored or quarantined".to_owned())
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let store = context.open().await?.store;
    match command {
        Command::List { status, limit, json } => list(context, &store, status, limit, json).await,
        Command::Show { id, json } => show(context, &store, &id, json).await,
        Command::Replay(chosen) => carry_out(context, &store, Deed::Replay, chosen).await,
        Command::Ignore(chosen) => carry_out(context, &store, Deed::SetAside, chosen).await,
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

async fn carry_out(context: &Context, store: &Store, deed: Deed, chosen: Chosen) -> anyhow::Result<()> {
    let done = match chosen.status {
        None => carry_out_on_each(context, store, deed, &chosen.ids).await?,
        Some(status) => carry_out_on_all(context, store, deed, status, chosen.yes).await?,
    };
    let Some(done) = done else { return Ok(()) };
    let done = i64::try_from(done).unwrap_or(i64::MAX);
    match deed {
        Deed::Replay => output::line(format_args!(
            "{} to be applied again; a running server does so at once",
            count(done, "delivery waits", "deliveries wait")
        )),
        Deed::SetAside => output::line(format_args!("{} set aside", count(done, "delivery is", "deliveries are"))),
    }
    Ok(())
}

async fn carry_out_on_each(
    context: &Context,
    store: &Store,
    deed: Deed,
    ids: &[String],
) -> anyhow::Result<Option<u64>> {
    let mut deliveries = Vec::new();
    for id in ids {
        deliveries.push(find(store, id).await?);
    }
    for delivery in &deliveries {
        match deed {
            Deed::Replay if delivery.body_removed_at.is_some() => {
                bail!("the body of delivery {} was removed: it can't be worked on again", delivery.id);
            }
            Deed::SetAside if delivery.status != DeliveryStatus::Quarantined => {
                bail!("delivery {} is {}: {ONLY_QUARANTINED}", delivery.id, delivery.status.as_str());
            }
            _ => {}
        }
    }
    let mut done = 0;
    for delivery in &deliveries {
        done += u64::from(store.carry_out_on_one(deed, delivery, ACTOR, context.clock.now()).await?);
    }
    Ok(Some(done))
}

/// None when there are no such deliveries.
async fn carry_out_on_all(
    context: &Context,
    store: &Store,
    deed: Deed,
    status: DeliveryStatus,
    yes: bool,
) -> anyhow::Result<Option<u64>> {
    if deed == Deed::SetAside && status != DeliveryStatus::Quarantined {
        bail!("{ONLY_QUARANTINED}");
    }
    let filter = deed.within(DeliveryFilter { status: Some(status), ..DeliveryFilter::default() });
    let number = store.delivery_count(&filter).await?;
    if number == 0 {
        output::line("No delivery is like that: there is nothing to do.");
        return Ok(None);
    }
    output::confirm(&format!("{}?", deed_question(deed, number)), yes)?;
    let what = format!("{number} that were {}", status.as_str());
    let done = store.carry_out(deed, &filter, (ACTOR, &what), context.clock.now(), || true).await?;
    Ok(Some(done.deliveries))
}
