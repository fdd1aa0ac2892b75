//! How far calendars are in step, and whether they can be.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{ACTOR, Context, find, find_live, google, output};
use crate::app::Installation;
use crate::outbound::purge::Errand;
use crate::store::{Calendar, CalendarCheck, HeldChange, MirrorCounts, Verdict};

fn state(calendar: &Calendar, counts: &MirrorCounts, held: Option<&HeldChange>) -> String {
    if calendar.removed_at.is_some() {
        return "removed".to_owned();
    }
    if let Some(problem) = calendar.needs_person() {
        return problem.to_owned();
    }
    let held = held.map(|held| format!("{} deletions wait for approval", held.deletions));
    let mut parts = vec![format!("{} in step", counts.in_step)];
    if calendar.to_plan {
        parts.push("being planned".to_owned());
    }
    for (count, word) in [(counts.pending, "waiting"), (counts.failing, "failing"), (counts.rejected, "refused")] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    parts.extend(held);
    parts.join(", ")
}

pub(super) async fn list(context: &Context, installation: &Installation, json: bool) -> anyhow::Result<()> {
    let calendars = installation.store.all_calendars().await?;
    for unread in installation.store.unread_calendars().await? {
        output::note(format_args!(
            "calendar {} “{}” can't be read and is left out: {}",
            unread.id, unread.name, unread.error
        ));
    }
    let counts = installation.store.mirror_counts(context.clock.now()).await?;
    let held = installation.store.held_changes().await?;
    let held_of = |calendar: &Calendar| held.iter().find(|held| held.calendar_id == calendar.id);
    let mut checks = Vec::new();
    for calendar in &calendars {
        checks.extend(installation.store.latest_check(calendar.id).await?);
    }
    let check_of = |calendar: &Calendar| checks.iter().find(|check| check.calendar_id == calendar.id);
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
                "pastDays": calendar.wish.window.past_days,
                "futureDays": calendar.wish.window.future_days,
                "onCancel": calendar.wish.on_cancel.as_str(),
                "onDrift": calendar.wish.on_drift.as_str(),
                "removed": calendar.removed_at.is_some(),
                "problem": calendar.needs_person(),
                "inStep": counts.in_step,
                "waiting": counts.pending,
                "failing": counts.failing,
                "refused": counts.rejected,
                "heldDeletions": held_of(calendar).map(|held| held.deletions),
                "lastCheck": check_of(calendar).map(check_json),
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
            state(calendar, of(calendar), held_of(calendar)),
            check_of(calendar).map(|check| check.outcome.clone()).unwrap_or_default(),
        ]
    });
    let empty = "No calendars. Add one: meeting-mirror calendar add --name \"Sales team\" --calendar-id ID";
    output::table(&["id", "name", "google id", "shows", "state", "last check"], rows.collect(), empty);
    Ok(())
}

fn check_json(check: &CalendarCheck) -> Value {
    json!({
        "finishedAt": output::stamp(check.finished_at),
        "listed": check.listed,
        "missing": check.missing,
        "edited": check.edited,
        "unwanted": check.unwanted,
        "outcome": check.outcome,
    })
}

pub(super) async fn check(
    context: &Context,
    installation: &Installation,
    calendar: Option<String>,
) -> anyhow::Result<ExitCode> {
    let google = google(context, installation).await?;
    output::line(format_args!("account: {}", google.account()));
    let calendars = match calendar {
        Some(calendar) => vec![find(installation, &calendar).await?],
        None => installation.store.calendars().await?,
    };
    if calendars.is_empty() {
        output::note("No calendars. Add one: meeting-mirror calendar add --name \"Sales team\" --calendar-id ID");
    }
    let settings = &context.settings;
    let calls_per_second = settings.google_calendar_rate.min(settings.google_rate).get();
    let mut fine = true;
    for calendar in &calendars {
        let (store, clock, randomness) = (&installation.store, &context.clock, &context.randomness);
        let errand = Errand { store, google: &google, calendar, clock, randomness };
        // What failed before is tried again by it.
        let mut tx = store.write().await?;
        let summary = format!("Asked to check calendar “{}”", calendar.wish.name);
        tx.append_admin_action(ACTOR, "calendar", summary, clock.now()).await?;
        tx.commit().await?;
        output::line(&calendar.wish.name);
        for finding in errand.check(calls_per_second).await? {
            fine &= finding.verdict == Verdict::Fine;
            let state = match finding.verdict {
                Verdict::Fine => format!("ok, {}", finding.text),
                Verdict::Problem => format!("PROBLEM: {}", finding.text),
                Verdict::NotTried => "not tried".to_owned(),
            };
            output::line(format_args!("  {:<12} {state}", finding.about));
        }
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) async fn resync(context: &Context, installation: &Installation, calendar: &str) -> anyhow::Result<()> {
    let calendar = find_live(installation, calendar).await?;
    let retried = installation.store.resync_calendar(&calendar, ACTOR, context.clock.now()).await?;
    output::line(format_args!(
        "“{}” is compared with what was written, what it lacks is added, and {retried} failures are tried again; a running server \
         does so at once",
        calendar.wish.name
    ));
    output::note(format_args!("What it finds is shown by: meeting-mirror calendar list"));
    Ok(())
}
