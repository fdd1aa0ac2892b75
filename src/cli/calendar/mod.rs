//! `calendar`: Google Calendars that are kept in step.

mod change;
mod purge;
mod state;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;

use super::selection::{SelectionArgs, ShownArgs};
use super::{Context, output};
use crate::app::Installation;
use crate::meeting::selection;
use crate::outbound::google::Google;
use crate::store::{Calendar, NewCalendar, OnCancel, OnDrift};

/// Who stands in the audit log.
const ACTOR: &str = "command line";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Mirror meetings into a Google Calendar
    Add {
        /// Name, for people
        #[arg(long, value_parser = selection::name)]
        name: String,
        /// Google's id of the calendar (calendar settings, "Integrate calendar")
        #[arg(long, value_name = "ID", value_parser = NewCalendar::google_id)]
        calendar_id: String,
        #[command(flatten)]
        selection: SelectionArgs,
        #[command(flatten)]
        shown: ShownArgs,
        /// What becomes of a canceled meeting's event: delete, or mark ("Canceled: …", free)
        #[arg(long, value_name = "WHAT", default_value = "delete", value_parser = on_cancel)]
        on_cancel: OnCancel,
        /// What becomes of events that somebody changed or deleted by hand: repair, or report
        #[arg(long, value_name = "WHAT", default_value = "repair", value_parser = on_drift)]
        on_drift: OnDrift,
    },
    /// Change what a calendar shows; what would delete many events waits for approval
    Edit {
        /// Its id or name
        calendar: String,
        #[command(flatten)]
        edit: change::EditArgs,
    },
    /// Carry out a change that waits because it deletes many events
    Approve {
        /// Its id or name
        calendar: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Give up a change that waits: the calendar stays as it was
    Reject {
        /// Its id or name
        calendar: String,
    },
    /// List calendars and how far they are in step
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// See whether credentials, sharing and writing are fine, by writing and deleting a marked event; then try again what
    /// failed
    Check {
        /// Its id or name [default: all]
        calendar: Option<String>,
    },
    /// Compare a calendar's events with what was written, put differences right, and try again what failed
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

fn on_drift(word: &str) -> Result<OnDrift, String> {
    OnDrift::from_word(word).ok_or_else(|| "use repair or report".to_owned())
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    let installation = context.open().await?;
    match command {
        Command::Add { name, calendar_id, selection, shown, on_cancel, on_drift } => {
            let new = NewCalendar {
                name,
                google_id: calendar_id,
                selection: selection.selection(),
                detail: shown.detail,
                window: shown.window(),
                on_cancel,
                on_drift,
            };
            change::add(context, &installation, new).await?;
        }
        Command::Edit { calendar, edit } => change::edit(context, &installation, &calendar, edit).await?,
        Command::Approve { calendar, yes } => change::decide(context, &installation, &calendar, true, yes).await?,
        Command::Reject { calendar } => change::decide(context, &installation, &calendar, false, true).await?,
        Command::List { json } => state::list(context, &installation, json).await?,
        Command::Check { calendar } => return state::check(context, &installation, calendar).await,
        Command::Resync { calendar } => state::resync(context, &installation, &calendar).await?,
        Command::Purge { calendar, yes } => {
            let calendar = find(&installation, &calendar).await?;
            purge::purge(context, &installation, &calendar, yes).await?;
        }
        Command::Remove { calendar, purge, yes } => {
            purge::remove(context, &installation, &calendar, purge, yes).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(installation: &Installation, id_or_name: &str) -> anyhow::Result<Calendar> {
    match installation.store.calendar(id_or_name).await? {
        Some(calendar) => Ok(calendar),
        None => bail!("there is no calendar {id_or_name}; see: meeting-mirror calendar list"),
    }
}

async fn find_live(installation: &Installation, id_or_name: &str) -> anyhow::Result<Calendar> {
    let calendar = find(installation, id_or_name).await?;
    if calendar.removed_at.is_some() {
        bail!("the calendar “{}” was removed", calendar.wish.name);
    }
    Ok(calendar)
}

async fn google(context: &Context, installation: &Installation) -> anyhow::Result<Google> {
    let access = installation.google(&context.settings).await?;
    let access =
        access.context("no Google credentials are set: point --google-credentials to a service-account key file")?;
    Ok(access.current().await.0)
}
