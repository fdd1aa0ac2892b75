//! How far calendars are in step, and whether they can be.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Context, find, find_live, google, output};
use crate::app::Installation;
use crate::outbound::purge::{self, Need};
use crate::outbound::record::what_to_do;
use crate::store::{Calendar, CalendarCheck, HeldChange, MirrorCounts};

fn state(calendar: &Calendar, counts: &MirrorCounts, held: Option<&HeldChange>) -> String {
    if calendar.removed_at.is_some() {
        return "removed".to_owned();
    }
    if let Some(problem) = &calendar.problem {
        return problem.clone();
    }
    let held = held.map(|held| format!("{} deletions wait for approval", held.deletions));
    let mut parts = vec![format!("{} in step", counts.in_step)];
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
                "problem": calendar.problem,
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
    let mut fine = true;
    for calendar in calendars {
        let result = purge::probe(&google, &calendar.wish.google_id, &context.clock, &context.randomness).await;
        let lack = result.err();
        fine &= lack.is_none();
        output::line(&calendar.wish.name);
        for (need, word, well) in NEEDS {
            let state = match &lack {
                Some(lack) if lack.need == need => {
                    format!("PROBLEM: {}", what_to_do(&lack.refusal, &calendar, google.account()))
                }
                Some(lack) if need >= lack.step => "not tried".to_owned(),
                _ => format!("ok, {well}"),
            };
            output::line(format_args!("  {word:<12} {state}"));
        }
        let mut again = 0;
        if lack.is_none() && calendar.removed_at.is_none() {
            let mut tx = installation.store.write().await?;
            tx.resume_calendar(calendar.id).await?;
            again = tx.retry_failed(calendar.id, context.clock.now()).await?;
            tx.commit().await?;
        }
        let lack = lack.filter(|lack| lack.need == Need::Rate);
        let state = match lack {
            Some(lack) => format!(
                "PROBLEM: {}. Google takes no more calls for now: wait and check again; if it stays, lower --google-rate or \
                 --google-calendar-rate.",
                what_to_do(&lack.refusal, &calendar, google.account())
            ),
            None => format!("ok, {}", backlog(context, installation, &calendar, again).await?),
        };
        output::line(format_args!("  {:<12} {state}", "backlog"));
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is told of each need but the rate, which is told with the backlog.
const NEEDS: [(Need, &str, &str); 3] = [
    (Need::Credentials, "credentials", "Google gives access tokens"),
    (Need::Sharing, "sharing", "the calendar can be read"),
    (Need::Writing, "writing", "an event was written and deleted"),
];

/// How far the mirror has come.
async fn backlog(
    context: &Context,
    installation: &Installation,
    calendar: &Calendar,
    again: u64,
) -> anyhow::Result<String> {
    let counts = installation.store.mirror_counts(context.clock.now()).await?;
    let counts = counts.into_iter().find(|counts| counts.calendar_id == calendar.id).unwrap_or_default();
    let waiting = counts.pending + counts.failing;
    if waiting == 0 {
        return Ok(format!("nothing waits, {} in step", counts.in_step));
    }
    let settings = &context.settings;
    let rate = i64::from(settings.google_calendar_rate.min(settings.google_rate).get());
    let again = if again > 0 { format!("; {again} that failed are tried again now") } else { String::new() };
    Ok(format!(
        "{} of {} meetings are mirrored; the rest takes about {} minutes at {rate} calls a second{again}",
        counts.in_step,
        counts.in_step + waiting,
        waiting / rate / 60 + 1
    ))
}

pub(super) async fn resync(context: &Context, installation: &Installation, calendar: &str) -> anyhow::Result<()> {
    let calendar = find_live(installation, calendar).await?;
    let now = context.clock.now();
    let added = installation.store.plan_calendar(&calendar, now).await?;
    let mut tx = installation.store.write().await?;
    let retried = tx.retry_failed(calendar.id, now).await?;
    tx.resume_calendar(calendar.id).await?;
    tx.check_calendar_at(calendar.id, now).await?;
    let summary = format!("Asked to resync calendar “{}”", calendar.wish.name);
    tx.append_admin_action("command line", "calendar", summary, now).await?;
    tx.commit().await?;
    output::line(format_args!(
        "“{}” is compared with what was written ({added} meetings added, {retried} tried again); a running server does so at once",
        calendar.wish.name
    ));
    output::note(format_args!("What it finds is shown by: meeting-mirror calendar list"));
    Ok(())
}
