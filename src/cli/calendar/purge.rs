//! Deleting what was written into a calendar, and ending a calendar.

use anyhow::bail;
use chrono::TimeDelta;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Context, find, google, output};
use crate::app::Installation;
use crate::outbound::purge as events;
use crate::outbound::record::what_to_do;
use crate::store::Calendar;

/// While a calendar is purged, the running server must not write to it.
const HOLD: TimeDelta = TimeDelta::hours(1);

pub(super) async fn purge(
    context: &Context,
    installation: &Installation,
    calendar: &Calendar,
    yes: bool,
) -> anyhow::Result<()> {
    let google = google(context, installation).await?;
    let google_id = calendar.wish.google_id.as_str();
    let failed = |refusal| anyhow::anyhow!(what_to_do(&refusal, calendar, google.account()));
    let found = events::list(&google, google_id).await.map_err(failed)?.len();
    let question =
        format!("Delete the {found} events that were written into “{}”? Nothing else is touched.", calendar.wish.name);
    output::confirm(&question, yes)?;

    let now = context.clock.now();
    let mut tx = installation.store.write().await?;
    tx.pause_calendar(calendar.id, now + HOLD, None, now).await?;
    tx.commit().await?;
    let bar = ProgressBar::new(found as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events, {eta} left") {
        bar.set_style(style);
    }
    let mut deleted = 0;
    // What was under way when the calendar was held may have been written after it was listed: list until nothing is left.
    loop {
        let listed = events::list(&google, google_id).await.map_err(failed)?;
        if listed.is_empty() {
            break;
        }
        for event in listed {
            events::delete(&google, google_id, &event.event_id).await.map_err(failed)?;
            deleted += 1;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let mut tx = installation.store.write().await?;
    tx.forget_mirror(calendar.id).await?;
    let summary = format!("Purged calendar “{}”: {deleted} events deleted", calendar.wish.name);
    tx.append_admin_action("command line", "calendar", summary, context.clock.now()).await?;
    tx.commit().await?;
    output::line(format_args!("deleted {deleted} events from “{}”", calendar.wish.name));
    if calendar.removed_at.is_none() {
        output::note(format_args!(
            "Nothing is mirrored there for an hour. To end it for good: meeting-mirror calendar remove {0}; to fill it again now: \
             meeting-mirror calendar resync {0}",
            calendar.id
        ));
    }
    Ok(())
}

pub(super) async fn remove(
    context: &Context,
    installation: &Installation,
    calendar: &str,
    purge_it: bool,
    yes: bool,
) -> anyhow::Result<()> {
    let calendar = find(installation, calendar).await?;
    if calendar.removed_at.is_some() {
        bail!("the calendar “{}” was removed already", calendar.wish.name);
    }
    // Whoever can be asked is asked; a script says --purge.
    let purge_it =
        purge_it || !yes && output::ask(&format!("Also delete what was written into “{}”?", calendar.wish.name))?;
    let stays = if purge_it { "What was written there is deleted." } else { "What was written there stays." };
    output::confirm(&format!("Stop mirroring into “{}”? {stays}", calendar.wish.name), yes)?;
    if purge_it {
        purge(context, installation, &calendar, true).await?;
    }
    let now = context.clock.now();
    let mut tx = installation.store.write().await?;
    tx.remove_calendar(calendar.id, now).await?;
    tx.append_admin_action("command line", "calendar", format!("Removed calendar “{}”", calendar.wish.name), now)
        .await?;
    tx.commit().await?;
    output::line(format_args!("“{}” is no longer mirrored into", calendar.wish.name));
    if !purge_it {
        output::note(format_args!(
            "What was written there can still be deleted: meeting-mirror calendar purge {}",
            calendar.id
        ));
    }
    Ok(())
}
