//! Deleting what was written into a calendar, and ending a calendar.

use std::time::Duration;

use anyhow::{anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use super::{ACTOR, Context, find, google, output};
use crate::app::Installation;
use crate::clock::SharedClock;
use crate::lifecycle::Pulse;
use crate::outbound::purge::{self as events, Errand, PurgeStep, PurgeStop};
use crate::outbound::record::what_to_do;
use crate::store::{Calendar, Store};

/// How often a command says that it is still at its job.
const SAY_AGAIN: Duration = Duration::from_secs(10);

pub(super) async fn purge(
    context: &Context,
    installation: &Installation,
    calendar: &Calendar,
    yes: bool,
) -> anyhow::Result<()> {
    let google = google(context, installation).await?;
    let (store, clock, randomness) = (&installation.store, &context.clock, &context.randomness);
    let errand = Errand { store, google: &google, calendar, clock, randomness };
    if let Some(stop) = errand.mirrored_again().await? {
        return Err(stopped(&stop));
    }
    let found = errand.list().await.map_err(|refusal| anyhow!(errand.what_to_do(&refusal)))?.len();
    let question =
        format!("Delete the {found} events that were written into “{}”? Nothing else is touched.", calendar.wish.name);
    output::confirm(&question, yes)?;

    // As a job, so that nothing has the mirror write there meanwhile.
    let job = store.begin_command_purge(calendar, ACTOR, clock.now()).await?;
    let (steps, told) = watch::channel(PurgeStep::Begins);
    let purged = tokio::select! {
        (purged, ()) = async { tokio::join!(errand.purge(0, steps), show(told.clone())) } => purged?,
        () = keep(store, clock, job, told.clone()) => bail!(
            "this command was taken to be stopped, as nothing was heard of it for minutes. Run it again: it goes on where it stopped."
        ),
    };
    let mut tx = store.write().await?;
    purged.record(&mut tx, &errand, ACTOR).await?;
    tx.finish_job(job, &[purged.finding()], clock.now()).await?;
    tx.commit().await?;
    if let Some(stop) = &purged.stopped {
        return Err(stopped(stop));
    }
    output::line(format_args!("deleted {} events from “{}”", purged.deleted, calendar.wish.name));
    if calendar.removed_at.is_none() {
        output::note(format_args!(
            "Nothing is mirrored there for an hour. To end it for good: meeting-mirror calendar remove {0}; to fill it again now: \
             meeting-mirror calendar resync {0}",
            calendar.id
        ));
    }
    Ok(())
}

/// Why it stopped, and what to do.
fn stopped(stop: &PurgeStop) -> anyhow::Error {
    let next = match stop {
        PurgeStop::MirroredAgain { id, .. } => format!("To delete them all: meeting-mirror calendar purge {id}"),
        PurgeStop::StillAtWork(_) => "Run the command again.".to_owned(),
        PurgeStop::Refused { .. } => "Run the command again: it goes on where it stopped.".to_owned(),
    };
    anyhow!("{}. {next}", stop.to_string().trim_end_matches('.'))
}

/// Says again and again that the command is still at its job. Ends when it no longer is its own.
async fn keep(store: &Store, clock: &SharedClock, job: i64, told: watch::Receiver<PurgeStep>) {
    loop {
        clock.sleep(SAY_AGAIN).await;
        let progress = match *told.borrow() {
            PurgeStep::Deletes { done, total } => Some((done, total)),
            PurgeStep::Begins | PurgeStep::Waits { .. } => None,
        };
        // A database that can't be used now may be the next time.
        if matches!(store.keep_job(job, progress, clock.now()).await, Ok(false)) {
            return;
        }
    }
}

/// Shows how far a purge has come.
async fn show(mut steps: watch::Receiver<PurgeStep>) {
    let mut bar: Option<ProgressBar> = None;
    let mut waits = false;
    while steps.changed().await.is_ok() {
        match *steps.borrow_and_update() {
            PurgeStep::Waits { leased } if !waits => {
                waits = true;
                output::note(format_args!(
                    "Waiting for the server to end its work on {leased} meetings of this calendar."
                ));
            }
            PurgeStep::Begins | PurgeStep::Waits { .. } => {}
            PurgeStep::Deletes { done, total } => {
                let bar = bar.get_or_insert_with(|| new_bar(total.into()));
                bar.set_length(total.into());
                bar.set_position(done.into());
            }
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn new_bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// How many events a purge would delete, when that can be told.
async fn written(context: &Context, installation: &Installation, calendar: &Calendar) -> Option<usize> {
    context.settings.google_credentials.as_ref()?;
    let listed = match google(context, installation).await {
        Ok(google) => events::list(&google, &calendar.wish.google_id, &Pulse::default())
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
    installation.store.end_calendar(&calendar, false, ACTOR, context.clock.now()).await?;
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
