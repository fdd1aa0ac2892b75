//! Deleting what was written into a calendar, and ending a calendar.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use chrono::TimeDelta;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Context, find, google, output};
use crate::app::Installation;
use crate::outbound::purge::{self as events, Patience};
use crate::outbound::record::what_to_do;
use crate::store::Calendar;

/// While a calendar is purged, the running server must not write to it.
const HOLD: TimeDelta = TimeDelta::hours(1);
/// It is held again after this.
const HOLD_AGAIN: Duration = Duration::from_mins(20);
/// Longer than the server may hold a meeting it works on.
const BEGUN_WORK_WITHIN: Duration = Duration::from_mins(6);

pub(super) async fn purge(
    context: &Context,
    installation: &Installation,
    calendar: &Calendar,
    yes: bool,
) -> anyhow::Result<()> {
    refuse_live(installation, calendar).await?;
    let google = google(context, installation).await?;
    let events = Patience {
        google: &google,
        calendar: &calendar.wish.google_id,
        clock: &context.clock,
        randomness: &context.randomness,
    };
    let found = events.list().await.map_err(|refusal| anyhow!(what_to_do(&refusal, calendar, google.account())))?.len();
    let question =
        format!("Delete the {found} events that were written into “{}”? Nothing else is touched.", calendar.wish.name);
    output::confirm(&question, yes)?;

    hold(context, installation, calendar).await?;
    wait_for_begun_work(context, installation, calendar).await?;
    let mut deleted = 0;
    let done = delete_all(context, installation, calendar, &events, found, &mut deleted).await;
    let left = found.saturating_sub(deleted);
    let mut tx = installation.store.write().await?;
    let summary = match &done {
        Ok(()) => {
            tx.forget_mirror(calendar.id).await?;
            format!("Purged calendar “{}”: {deleted} events deleted", calendar.wish.name)
        }
        Err(_) => format!("Purging calendar “{}” stopped: {deleted} events deleted, {left} left", calendar.wish.name),
    };
    tx.append_admin_action("command line", "calendar", summary, context.clock.now()).await?;
    tx.commit().await?;
    done.with_context(|| {
        format!("{deleted} events were deleted and {left} are left; run the command again, it goes on where it stopped")
    })?;
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

/// All events of ours in a Google calendar look alike: what is mirrored there under another id would be deleted, too.
async fn refuse_live(installation: &Installation, calendar: &Calendar) -> anyhow::Result<()> {
    let same = |live: &Calendar| live.wish.google_id.eq_ignore_ascii_case(&calendar.wish.google_id);
    let live = installation.store.calendars().await?.into_iter().find(|live| live.id != calendar.id && same(live));
    let Some(live) = live else { return Ok(()) };
    bail!(
        "the Google calendar {} is mirrored into again, by calendar {} “{}”: purging would delete its events, too. To delete \
         them all: meeting-mirror calendar purge {}",
        live.wish.google_id,
        live.id,
        live.wish.name,
        live.id
    )
}

/// Has the running server write nothing into the calendar.
async fn hold(context: &Context, installation: &Installation, calendar: &Calendar) -> anyhow::Result<()> {
    let now = context.clock.now();
    let mut tx = installation.store.write().await?;
    tx.pause_calendar(calendar.id, now + HOLD, None, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Waits until the running server has ended what it began before the calendar was held: it could still write.
async fn wait_for_begun_work(
    context: &Context,
    installation: &Installation,
    calendar: &Calendar,
) -> anyhow::Result<()> {
    let give_up_at = context.clock.monotonic() + BEGUN_WORK_WITHIN;
    let mut told = false;
    loop {
        let leased = installation.store.leased_rows(calendar.id, context.clock.now()).await?;
        if leased == 0 {
            return Ok(());
        }
        if context.clock.monotonic() > give_up_at {
            bail!(
                "the server still works on {leased} meetings of this calendar; nothing was deleted, run the command again"
            );
        }
        if !told {
            output::note(format_args!("Waiting for the server to end its work on {leased} meetings of this calendar."));
            told = true;
        }
        context.clock.sleep(Duration::from_millis(200)).await;
    }
}

/// Deletes until nothing is listed any more, counting in `deleted`.
async fn delete_all(
    context: &Context,
    installation: &Installation,
    calendar: &Calendar,
    events: &Patience<'_>,
    found: usize,
    deleted: &mut usize,
) -> anyhow::Result<()> {
    let failed = |refusal| anyhow!(what_to_do(&refusal, calendar, events.google.account()));
    let bar = ProgressBar::new(found as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events, {eta} left") {
        bar.set_style(style);
    }
    let mut held_at = context.clock.monotonic();
    loop {
        let listed = events.list().await.map_err(failed)?;
        if listed.is_empty() {
            bar.finish_and_clear();
            return Ok(());
        }
        for event in listed {
            // Many events take longer than the calendar is held at a time.
            if context.clock.monotonic() > held_at + HOLD_AGAIN {
                hold(context, installation, calendar).await?;
                held_at = context.clock.monotonic();
            }
            events.delete(&event.event_id).await.map_err(failed)?;
            *deleted += 1;
            bar.inc(1);
        }
    }
}

/// How many events a purge would delete, when that can be told.
async fn written(context: &Context, installation: &Installation, calendar: &Calendar) -> Option<usize> {
    context.settings.google_credentials.as_ref()?;
    let listed = match google(context, installation).await {
        Ok(google) => events::list(&google, &calendar.wish.google_id)
            .await
            .map_err(|refusal| anyhow!(what_to_do(&refusal, calendar, google.account()))),
        Err(error) => Err(error),
    };
    match listed {
        Ok(listed) => Some(listed.len()),
        Err(error) => {
            output::note(format_args!("How many events were written there can't be told: {error}"));
            None
        }
    }
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
    let found = written(context, installation, &calendar).await;
    let what = found.map_or("what was".to_owned(), |found| format!("the {found} events that were"));
    // Whoever can be asked is asked; a script says --purge.
    let purge_it =
        purge_it || !yes && output::ask(&format!("Also delete {what} written into “{}”?", calendar.wish.name))?;
    let stays = match (found, purge_it) {
        (Some(found), true) => format!("The {found} events that were written there are deleted."),
        (Some(found), false) => format!("The {found} events that were written there stay."),
        (None, true) => "What was written there is deleted.".to_owned(),
        (None, false) => "What was written there stays.".to_owned(),
    };
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
        let what = found.map_or("What was".to_owned(), |found| format!("The {found} events that were"));
        output::note(format_args!(
            "{what} written there can still be deleted: meeting-mirror calendar purge {}",
            calendar.id
        ));
    }
    Ok(())
}
