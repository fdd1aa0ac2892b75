//! `calendar`: Google Calendars that are kept in step.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::selection::{SelectionArgs, name};
use super::{Context, output};
use crate::app::Installation;
use crate::outbound::google::Google;
use crate::outbound::mirror::what_to_do;
use crate::outbound::purge;
use crate::store::{Calendar, MirrorCounts, NewCalendar, OnCancel};

/// While a calendar is purged, the running server must not write to it.
const HOLD: TimeDelta = TimeDelta::hours(1);

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Mirror meetings into a Google Calendar
    Add {
        /// Name, for people
        #[arg(long, value_parser = name)]
        name: String,
        /// Google's id of the calendar (calendar settings, "Integrate calendar")
        #[arg(long, value_name = "ID", value_parser = google_id)]
        calendar_id: String,
        #[command(flatten)]
        selection: SelectionArgs,
        /// What becomes of a canceled meeting's event: delete, or mark ("Canceled: …", free)
        #[arg(long, value_name = "WHAT", default_value = "delete", value_parser = on_cancel)]
        on_cancel: OnCancel,
    },
    /// List calendars and how far they are in step
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// See whether credentials, sharing and writing are fine, by writing and deleting a marked event
    Check {
        /// Its id or name [default: all]
        calendar: Option<String>,
    },
    /// Write every event of a calendar again
    Resync {
        /// Its id or name
        calendar: String,
    },
    /// Delete everything this installation wrote into a calendar, and nothing else
    Purge {
        /// Its id or name
        calendar: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Stop mirroring into a calendar; what was written stays unless purged
    Remove {
        /// Its id or name
        calendar: String,
        /// Also delete what was written there
        #[arg(long)]
        purge: bool,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
}

fn on_cancel(word: &str) -> Result<OnCancel, String> {
    OnCancel::from_word(word).ok_or_else(|| "use delete or mark".to_owned())
}

fn google_id(text: &str) -> Result<String, String> {
    let text = text.trim();
    let dots = text.chars().all(|c| c == '.');
    if dots || text.len() > 254 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(
            "copy it from the calendar's settings in Google Calendar; it looks like an e-mail address".to_owned()
        );
    }
    Ok(text.to_owned())
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    let installation = context.open().await?;
    match command {
        Command::Add { name, calendar_id, selection, on_cancel } => {
            let new = NewCalendar {
                name,
                google_id: calendar_id,
                selection: selection.selection(),
                detail: selection.detail,
                window: selection.window(),
                on_cancel,
            };
            add(context, &installation, new).await?;
        }
        Command::List { json } => list(context, &installation, json).await?,
        Command::Check { calendar } => return check(context, &installation, calendar).await,
        Command::Resync { calendar } => resync(context, &installation, &calendar).await?,
        Command::Purge { calendar, yes } => {
            let calendar = find(&installation, &calendar).await?;
            purge(context, &installation, &calendar, yes).await?;
        }
        Command::Remove { calendar, purge, yes } => remove(context, &installation, &calendar, purge, yes).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(installation: &Installation, id_or_name: &str) -> anyhow::Result<Calendar> {
    match installation.store.calendar(id_or_name).await? {
        Some(calendar) => Ok(calendar),
        None => bail!("there is no calendar {id_or_name}; see: meeting-mirror calendar list"),
    }
}

async fn google(context: &Context, installation: &Installation) -> anyhow::Result<Google> {
    installation
        .google(&context.settings)
        .await?
        .context("no Google credentials are set: point --google-credentials to a service-account key file")
}

async fn add(context: &Context, installation: &Installation, new: NewCalendar) -> anyhow::Result<()> {
    // First: with credentials that can't be used, nothing is added.
    let google = installation.google(&context.settings).await?;
    let now = context.clock.now();
    let mut tx = installation.store.write().await?;
    let id = tx.add_calendar(&new, now).await?;
    let summary = format!("Added calendar “{}” ({}): {}", new.name, new.google_id, new.selection);
    tx.append_admin_action("command line", "calendar", summary, now).await?;
    tx.commit().await?;
    let calendar = find(installation, &id.to_string()).await?;
    let planned = installation.store.plan_calendar(&calendar, now).await?;
    output::line(format_args!("calendar {id} “{}”: {planned} meetings wait to be mirrored", new.name));
    match google {
        Some(google) => output::note(format_args!(
            "Share the calendar with {} (“Make changes to events”), then: meeting-mirror calendar check {id}",
            google.account()
        )),
        None => output::note("No Google credentials are set here; the server needs --google-credentials to mirror."),
    }
    Ok(())
}

fn state(calendar: &Calendar, counts: &MirrorCounts) -> String {
    if calendar.removed_at.is_some() {
        return "removed".to_owned();
    }
    if let Some(problem) = &calendar.problem {
        return problem.clone();
    }
    let mut parts = vec![format!("{} in step", counts.in_step)];
    for (count, word) in [(counts.pending, "waiting"), (counts.failing, "failing"), (counts.rejected, "refused")] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    parts.join(", ")
}

async fn list(context: &Context, installation: &Installation, json: bool) -> anyhow::Result<()> {
    let calendars = installation.store.all_calendars().await?;
    let counts = installation.store.mirror_counts(context.clock.now()).await?;
    let none = MirrorCounts::default();
    let of = |calendar: &Calendar| counts.iter().find(|c| c.calendar_id == calendar.id).unwrap_or(&none);
    if json {
        let rows = calendars.iter().map(|calendar| {
            let counts = of(calendar);
            json!({
                "id": calendar.id,
                "name": calendar.wish.name,
                "calendarId": calendar.wish.google_id,
                "selection": calendar.wish.selection,
                "detail": calendar.wish.detail.as_str(),
                "onCancel": calendar.wish.on_cancel.as_str(),
                "removed": calendar.removed_at.is_some(),
                "problem": calendar.problem,
                "inStep": counts.in_step,
                "waiting": counts.pending,
                "failing": counts.failing,
                "refused": counts.rejected,
            })
        });
        output::json(&Value::Array(rows.collect()));
        return Ok(());
    }
    let rows = calendars.iter().map(|calendar| {
        vec![
            calendar.id.to_string(),
            calendar.wish.name.clone(),
            calendar.wish.google_id.clone(),
            calendar.wish.selection.to_string(),
            state(calendar, of(calendar)),
        ]
    });
    let empty = "No calendars. Add one: meeting-mirror calendar add --name \"Sales team\" --calendar-id ID";
    output::table(&["id", "name", "google id", "shows", "state"], rows.collect(), empty);
    Ok(())
}

async fn check(context: &Context, installation: &Installation, calendar: Option<String>) -> anyhow::Result<ExitCode> {
    let google = google(context, installation).await?;
    output::line(format_args!("account: {}", google.account()));
    let calendars = match calendar {
        Some(calendar) => vec![find(installation, &calendar).await?],
        None => installation.store.calendars().await?,
    };
    if calendars.is_empty() {
        output::note("No calendars. Add one: meeting-mirror calendar add --name \"Sales team\" --calendar-id ID");
    }
    let mut fine = true;
    for calendar in calendars {
        let result = purge::probe(&google, &calendar.wish.google_id, &context.clock, &context.randomness).await;
        match result {
            Ok(()) => {
                let mut tx = installation.store.write().await?;
                tx.resume_calendar(calendar.id).await?;
                tx.commit().await?;
                output::line(format_args!("{}: fine, an event was written and deleted", calendar.wish.name));
            }
            Err(refusal) => {
                fine = false;
                output::line(format_args!(
                    "{}: {}",
                    calendar.wish.name,
                    what_to_do(&refusal, &calendar, google.account())
                ));
            }
        }
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn resync(context: &Context, installation: &Installation, calendar: &str) -> anyhow::Result<()> {
    let calendar = find(installation, calendar).await?;
    if calendar.removed_at.is_some() {
        bail!("the calendar “{}” was removed", calendar.wish.name);
    }
    let now = context.clock.now();
    installation.store.plan_calendar(&calendar, now).await?;
    let mut tx = installation.store.write().await?;
    let rows = tx.rewrite_calendar(calendar.id, now).await?;
    tx.resume_calendar(calendar.id).await?;
    let summary = format!("Asked to write calendar “{}” again", calendar.wish.name);
    tx.append_admin_action("command line", "calendar", summary, now).await?;
    tx.commit().await?;
    output::line(format_args!(
        "{rows} meetings of “{}” wait to be written again; a running server does so at once",
        calendar.wish.name
    ));
    Ok(())
}

async fn purge(context: &Context, installation: &Installation, calendar: &Calendar, yes: bool) -> anyhow::Result<()> {
    let google = google(context, installation).await?;
    let google_id = calendar.wish.google_id.as_str();
    let failed = |refusal| anyhow::anyhow!(what_to_do(&refusal, calendar, google.account()));
    let found = purge::list(&google, google_id).await.map_err(failed)?.len();
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
        let ids = purge::list(&google, google_id).await.map_err(failed)?;
        if ids.is_empty() {
            break;
        }
        for id in ids {
            purge::delete(&google, google_id, &id).await.map_err(failed)?;
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

async fn remove(
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
