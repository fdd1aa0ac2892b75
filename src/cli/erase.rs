//! `erase`: forgets an invitee everywhere, by e-mail address.

use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};

use super::{Context, output};
use crate::app::{Erasure, Installation};
use crate::store::{EventsThere, StoreError};
use crate::views::count;

/// How often it is looked what still waits.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Looks without any progress after which it is not waited for longer: the server goes on by itself.
const PATIENCE: u32 = 50;
/// How the audit log names whoever asks.
const WAY: &str = "command line";

/// Whom.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// E-mail address of the invitee
    email: String,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let address = args.email.trim();
    let is_alone = !address.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | ':'));
    if !is_alone || address.split_once('@').is_none_or(|(name, host)| name.is_empty() || host.is_empty()) {
        bail!("an e-mail address is needed, and nothing beside it, such as bo@example.org");
    }
    let installation = context.open().await?;
    let spinner = output::spinner("Looking for the address");
    let found = Erasure::find(&installation, address, |seen| {
        spinner.set_message(format!("Looking for the address: {seen} deliveries"));
    })
    .await;
    spinner.finish_and_clear();
    let mut found = found?;
    if found.is_empty() {
        return report(&installation, &args, &found, &[], true).await;
    }
    output::confirm(&format!("Found: {}. Forget all of it? It can't be undone.", in_words(&found)), args.yes)?;
    let wait = async |found: &Erasure| wait(context, &installation, found).await;
    let waiting = found.carry_out(&installation, address, WAY, wait).await?;
    let is_wiped = wipe(context, &installation, &found).await?;
    report(&installation, &args, &found, &waiting, is_wiped).await
}

fn number(list: usize, one: &str, many: &str) -> String {
    count(i64::try_from(list).unwrap_or(i64::MAX), one, many)
}

fn in_words(found: &Erasure) -> String {
    let (mirrored, removed) = split(&found.events);
    let events = |list: &[&EventsThere]| count(list.iter().map(|there| there.events).sum(), "event", "events");
    let mut parts = vec![
        format!("{} ({} to come)", number(found.meetings.len(), "meeting", "meetings"), found.to_come),
        format!("the bodies of {}", number(found.deliveries.len(), "delivery", "deliveries")),
        format!("{} in {}", events(&mirrored), number(mirrored.len(), "calendar", "calendars")),
    ];
    if !removed.is_empty() {
        parts.push(format!("{} in calendars that are no longer mirrored into", events(&removed)));
    }
    parts.push(number(found.feeds.len(), "feed that shows them", "feeds that show them"));
    parts.join(", ")
}

/// Events in calendars that are mirrored into, and in those that no longer are.
fn split(events: &[EventsThere]) -> (Vec<&EventsThere>, Vec<&EventsThere>) {
    events.iter().partition(|there| !there.removed)
}

/// Waits until Google is done, or nothing goes on any more. Returns what is left there.
async fn wait(context: &Context, installation: &Installation, found: &Erasure) -> Result<Vec<EventsThere>, StoreError> {
    let spinner = output::spinner("Waiting for the server to delete events at Google");
    let mut waiting = found.go_on(installation).await?;
    let mut looks = 0;
    while !waiting.is_empty() && looks < PATIENCE && Installation::is_served(&context.settings) {
        let left: i64 = waiting.iter().map(|there| there.events).sum();
        spinner.set_message(format!("Waiting for the server to delete {} at Google", count(left, "event", "events")));
        context.clock.sleep(LOOK_AGAIN).await;
        let now = found.go_on(installation).await?;
        looks = if now == waiting { looks + 1 } else { 0 };
        waiting = now;
    }
    spinner.finish_and_clear();
    Ok(waiting)
}

/// Has the files wiped. False when the database was in use at every look.
async fn wipe(context: &Context, installation: &Installation, found: &Erasure) -> anyhow::Result<bool> {
    let mut is_wiped = found.finish(installation).await?;
    for _ in 0..PATIENCE {
        if is_wiped {
            break;
        }
        context.clock.sleep(LOOK_AGAIN).await;
        is_wiped = installation.store.wipe_deleted().await?;
    }
    Ok(is_wiped)
}

async fn report(
    installation: &Installation,
    args: &Args,
    found: &Erasure,
    waiting: &[EventsThere],
    is_wiped: bool,
) -> anyhow::Result<()> {
    let backup = installation.store.last_backup().await?;
    let (_, removed) = split(&found.events);
    if args.json {
        let events = |list: Vec<&EventsThere>| -> Vec<Value> {
            let each = |there: &EventsThere| json!({"calendar": there.calendar, "id": there.calendar_id, "events": there.events});
            list.into_iter().map(each).collect()
        };
        output::json(&json!({
            "meetings": found.meetings.len(),
            "toCome": found.to_come,
            "deliveries": found.deliveries.len(),
            "calendars": events(split(&found.events).0),
            "waiting": events(waiting.iter().collect()),
            "removedCalendars": events(removed),
            "feeds": found.feeds,
            "mentions": found.mentions,
            "arrivedMeanwhile": {"meetings": found.late_meetings, "deliveries": found.late_deliveries},
            // What waits for Google still has its rows in the database.
            "filesAreClean": is_wiped && waiting.is_empty(),
            "lastBackup": backup.map(|backup| json!({"at": output::stamp(backup.at), "file": backup.file})),
        }));
        return Ok(());
    }
    if found.is_empty() {
        output::line("Nothing here tells of that invitee.");
    } else {
        output::line(format_args!("erased: {}", in_words(found)));
        if found.late_deliveries > 0 {
            let meetings = number(found.late_meetings, "meeting", "meetings");
            let deliveries = number(found.late_deliveries, "delivery", "deliveries");
            output::line(format_args!("Of this, {meetings} and the bodies of {deliveries} arrived meanwhile."));
        }
        if !found.feeds.is_empty() {
            output::line("Feeds show it no more; calendar programs follow when they next fetch them.");
        }
    }
    for there in waiting {
        let events = count(there.events, "event", "events");
        output::line(format_args!(
            "WAITS: {events} in calendar “{}”. A running server with Google's credentials deletes them by itself; the status page tells \
             when it can't.",
            there.calendar
        ));
    }
    if !waiting.is_empty() {
        output::line(
            "Until then these meetings stand in the database itself, and in backups that are made of it; nothing shows them.",
        );
    }
    for there in removed {
        let events = count(there.events, "event", "events");
        output::line(format_args!(
            "STAYS: {events} in “{}”, which is no longer mirrored into. To delete what was written there: meeting-mirror calendar purge {}",
            there.calendar, there.calendar_id
        ));
    }
    if found.mentions > 0 {
        let meetings = number(found.mentions, "meeting", "meetings");
        output::line(format_args!(
            "STAYS: the address stands in texts of {meetings} with other invitees: meeting-mirror meeting list --search {}",
            args.email
        ));
    }
    if !is_wiped {
        output::line(
            "The database was in use all the time: what was deleted may stand in its files until a server, running or started \
             later, has wiped it.",
        );
    }
    if let Some(backup) = backup {
        output::line(format_args!(
            "Backups from before may still hold it; the last one known is {}: remove them when you no longer need them.",
            backup.file
        ));
    }
    Ok(())
}
