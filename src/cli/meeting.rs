//! `meeting`: meetings as they stand.

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Context, output};
use crate::meeting::entry::full_title;
use crate::meeting::event::MeetingId;
use crate::meeting::state::{Meeting, Status};
use crate::store::{HistoryEntry, MeetingFilter, MeetingOrder, MirrorRow, Store};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List meetings by begin
    List {
        /// Only meetings of these words: each begins a word of its id or of one of its texts
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Also meetings that ended
        #[arg(long)]
        past: bool,
        /// Most rows
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one meeting: what stands, its history, where it is mirrored
    Show {
        /// Its id or title
        meeting: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let store = context.open().await?.store;
    match command {
        Command::List { search, past, limit, json } => {
            let filter = MeetingFilter { text: search, ..MeetingFilter::default() };
            let order = if past { MeetingOrder::Earliest } else { MeetingOrder::Ahead };
            let found = store.meeting_page(&filter, order, context.clock.now(), None, limit).await?.meetings;
            if json {
                output::json(&Value::Array(found.iter().map(as_json).collect()));
                return Ok(());
            }
            let zone = context.settings.time_zone;
            let rows = found.iter().map(|meeting| {
                vec![
                    output::time(meeting.details.starts_at, zone),
                    meeting.status().as_str().to_owned(),
                    full_title(meeting),
                    meeting.details.owner.display_name().unwrap_or_default(),
                    meeting.id.to_string(),
                ]
            });
            let empty = "No meetings. Past ones are shown with --past.";
            output::table(&["begins", "status", "title", "owner", "id"], rows.collect(), empty);
            Ok(())
        }
        Command::Show { meeting, json } => show(context, &store, find(context, &store, &meeting).await?, json).await,
    }
}

fn as_json(meeting: &Meeting) -> Value {
    let details = &meeting.details;
    json!({
        "id": meeting.id.as_str(),
        "status": meeting.status().as_str(),
        "replacedBy": meeting.replaced_by.as_ref().map(MeetingId::as_str),
        "title": full_title(meeting),
        "startsAt": output::stamp(details.starts_at),
        "endsAt": output::stamp(details.ends_at),
        "owner": details.owner.username,
        "invitee": details.invitee.email,
        "location": details.location,
        "organizationId": details.organization_id.as_str(),
        "emailMeetingId": details.email_meeting_id,
        "schedule": details.calendar_path,
        "revision": meeting.revision,
        "lastModifiedAt": output::stamp(meeting.last_modified_at),
        "eventId": meeting.latest.event_id.as_str(),
        "eventTimestamp": output::stamp(meeting.latest.happened_at),
    })
}

/// The meeting of that id, or the only one of that title.
async fn find(context: &Context, store: &Store, id_or_title: &str) -> anyhow::Result<Meeting> {
    if let Some(meeting) = store.meeting(id_or_title).await? {
        return Ok(meeting);
    }
    // A title that was made of the invitee's name is not stored as a whole.
    let text = id_or_title.strip_prefix("Meeting with ").unwrap_or(id_or_title).to_owned();
    let filter = MeetingFilter { text: Some(text), ..MeetingFilter::default() };
    let mut found = store.meetings(&filter, usize::MAX).await?;
    found.retain(|meeting| full_title(meeting) == id_or_title);
    match found.len() {
        0 => bail!("there is no meeting {id_or_title}; see: meeting-mirror meeting list --past"),
        1 => Ok(found.remove(0)),
        several => {
            let lines: String = found.iter().fold(String::new(), |lines, meeting| {
                let begins = output::time(meeting.details.starts_at, context.settings.time_zone);
                format!("{lines}\n  {begins}  {}  {}", meeting.status().as_str(), meeting.id)
            });
            bail!("{several} meetings are called “{id_or_title}”; name one by its id:{lines}")
        }
    }
}

async fn show(context: &Context, store: &Store, meeting: Meeting, json: bool) -> anyhow::Result<()> {
    let id = meeting.id.as_str();
    let history = store.history(id).await?;
    let mirrored = store.mirror_rows(id).await?;
    let calendars = store.all_calendars().await?;
    let name = |row: &MirrorRow| {
        let calendar = calendars.iter().find(|calendar| calendar.id == row.calendar_id);
        calendar.map_or_else(|| row.calendar_id.to_string(), |calendar| calendar.wish.name.clone())
    };
    if json {
        let mut shown = as_json(&meeting);
        shown["history"] = history.iter().map(history_json).collect();
        shown["calendars"] = mirrored
            .iter()
            .map(|row| {
                json!({
                    "calendar": name(row),
                    "wantedRevision": row.wanted_revision,
                    "writtenRevision": row.written_revision,
                    "presence": row.presence.as_str(),
                    "problem": row.problem.as_ref().map(|(text, _, _)| text),
                })
            })
            .collect();
        output::json(&shown);
        return Ok(());
    }
    let zone = context.settings.time_zone;
    let details = &meeting.details;
    output::line(format_args!("{}", full_title(&meeting)));
    let status = match meeting.status() {
        Status::Replaced { by } => format!("replaced by {by}"),
        other => other.as_str().to_owned(),
    };
    output::line(format_args!("  status    {status}, revision {}", meeting.revision));
    output::line(format_args!("  begins    {}", output::time(details.starts_at, zone)));
    output::line(format_args!("  ends      {}", output::time(details.ends_at, zone)));
    for (label, value) in [
        ("owner", details.owner.display_name()),
        ("invitee", details.invitee.display_name().map(str::to_owned)),
        ("place", details.location.clone()),
        ("schedule", details.calendar_path.clone()),
    ] {
        if let Some(value) = value {
            output::line(format_args!("  {label:<9} {value}"));
        }
    }
    output::line("\nhistory");
    let rows = history.iter().map(|entry| {
        vec![
            output::time(entry.applied_at, zone),
            entry.key.kind.as_str().to_owned(),
            entry.effect.clone(),
            output::time(entry.starts_at, zone),
            format!("delivery {}", entry.inbox_id),
        ]
    });
    output::table(&["applied", "event", "effect", "meeting at", ""], rows.collect(), "  none");
    output::line("\ncalendars");
    let rows = mirrored.iter().map(|row| {
        let state = match (&row.problem, row.due_at) {
            (Some((text, _, _)), _) => text.clone(),
            (None, Some(_)) => "waits for its turn".to_owned(),
            (None, None) => row.presence.as_str().to_owned(),
        };
        vec![name(row), state]
    });
    output::table(&["calendar", "state"], rows.collect(), "  mirrored nowhere");
    Ok(())
}

fn history_json(entry: &HistoryEntry) -> Value {
    json!({
        "eventId": entry.key.event_id.as_str(),
        "eventTimestamp": output::stamp(entry.key.happened_at),
        "kind": entry.key.kind.as_str(),
        "ofMeeting": entry.origin.as_str(),
        "effect": entry.effect,
        "revision": entry.revision,
        "startsAt": output::stamp(entry.starts_at),
        "endsAt": output::stamp(entry.ends_at),
        "delivery": entry.inbox_id,
        "appliedAt": output::stamp(entry.applied_at),
    })
}
