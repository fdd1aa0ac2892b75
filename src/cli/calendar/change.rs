//! Adding and editing calendars, and deciding over changes that wait.

use anyhow::{Context as _, bail};
use clap::Args;

use super::super::selection::{ShownEdit, nothing_to_change};
use super::{ACTOR, Context, find, find_live, on_cancel, on_drift, output};
use crate::app::Installation;
use crate::store::{HeldChange, HeldReason, NewCalendar, OnCancel, OnDrift};

/// What to change; what is not given stays.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(in crate::cli) struct EditArgs {
    #[command(flatten)]
    shown: ShownEdit,
    /// What becomes of a canceled meeting's event: delete, or mark
    #[arg(long, value_name = "WHAT", value_parser = on_cancel)]
    on_cancel: Option<OnCancel>,
    /// What becomes of events changed by hand: repair, or report
    #[arg(long, value_name = "WHAT", value_parser = on_drift)]
    on_drift: Option<OnDrift>,
}

impl EditArgs {
    fn apply(self, wish: &mut NewCalendar) {
        self.shown.apply(&mut wish.name, &mut wish.selection, &mut wish.detail, &mut wish.window);
        wish.on_cancel = self.on_cancel.unwrap_or(wish.on_cancel);
        wish.on_drift = self.on_drift.unwrap_or(wish.on_drift);
    }
}

pub(super) async fn add(context: &Context, installation: &Installation, new: NewCalendar) -> anyhow::Result<()> {
    // First: with credentials that can't be used, nothing is added.
    let google = installation.google(&context.settings).await?;
    let id = installation.store.new_calendar(&new, ACTOR, context.clock.now()).await?;
    output::line(format_args!("calendar {id} “{}” was added", new.name));
    output::note(format_args!("A running server fills it at once; else the next one does."));
    match google {
        Some(access) => output::note(format_args!(
            "Share the calendar with {} (“Make changes to events”), then: meeting-mirror calendar check {id}",
            access.current().await.0.account()
        )),
        None => output::note("No Google credentials are set here; the server needs --google-credentials to mirror."),
    }
    Ok(())
}

pub(super) async fn edit(
    context: &Context,
    installation: &Installation,
    calendar: &str,
    edit: EditArgs,
) -> anyhow::Result<()> {
    if edit == EditArgs::default() {
        nothing_to_change();
    }
    let calendar = find_live(installation, calendar).await?;
    let mut wish = calendar.wish.clone();
    edit.apply(&mut wish);
    let held = installation.store.change_calendar(&calendar, &wish, ACTOR, context.clock.now()).await?;
    output::line(format_args!("“{}” now shows {}, {}", wish.name, wish.selection, wish.detail.as_str()));
    if let Some(held) = held {
        tell(installation, &held).await?;
        output::note(format_args!(
            "Nothing is deleted before you decide: meeting-mirror calendar approve {0}, or meeting-mirror calendar reject {0}",
            calendar.id
        ));
    }
    Ok(())
}

/// Shows what waits.
async fn tell(installation: &Installation, held: &HeldChange) -> anyhow::Result<()> {
    let what = match held.reason {
        HeldReason::Selection => "are no longer selected",
        HeldReason::Strays => "belong to no meeting",
    };
    output::line(format_args!("{} of {} events {what} and wait to be deleted", held.deletions, held.mirrored));
    for id in installation.store.held_meetings(held.calendar_id, 10).await? {
        if let Some(meeting) = installation.store.meeting(&id).await? {
            let begins = meeting.details.starts_at.format("%Y-%m-%d %H:%M UTC");
            output::line(format_args!("  {begins}  {}", crate::meeting::entry::full_title(&meeting)));
        }
    }
    if held.reason == HeldReason::Selection && held.deletions > 10 {
        output::line(format_args!("  and {} more", held.deletions - 10));
    }
    Ok(())
}

pub(super) async fn decide(
    context: &Context,
    installation: &Installation,
    calendar: &str,
    approved: bool,
    yes: bool,
) -> anyhow::Result<()> {
    let calendar = find(installation, calendar).await?;
    let held = installation.store.held_changes().await?.into_iter().find(|held| held.calendar_id == calendar.id);
    let held = held.with_context(|| format!("nothing waits for approval in “{}”", calendar.wish.name))?;
    if calendar.removed_at.is_some() {
        bail!("the calendar “{}” was removed", calendar.wish.name);
    }
    tell(installation, &held).await?;
    if approved {
        output::confirm("Delete them?", yes)?;
    }
    if !installation.store.decide(&held, approved, ACTOR, context.clock.now()).await? {
        bail!("it was decided or replaced meanwhile; see: meeting-mirror calendar list");
    }
    let verb = if approved { "approved" } else { "rejected" };
    output::line(format_args!("{verb} the deletion of {} events", held.deletions));
    Ok(())
}
