//! What a calendar shows of a meeting at each detail level. Feeds and Google get the same words from here, and nothing
//! that the level does not allow ever leaves this file.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::selection::Detail;
use super::state::Meeting;

/// What a calendar shows of one meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Never empty.
    pub title: String,
    /// Lines for the notes field.
    pub description: Option<String>,
    /// Place.
    pub location: Option<String>,
    /// The booking page; http or https only.
    pub url: Option<String>,
    /// The schedule it was booked through.
    pub category: Option<String>,
    /// Begin, whole seconds.
    pub starts_at: DateTime<Utc>,
    /// End, whole seconds.
    pub ends_at: DateTime<Utc>,
    /// Whether it no longer takes place.
    pub canceled: bool,
}

impl Entry {
    /// What `meeting` looks like at `detail`.
    pub fn of(meeting: &Meeting, detail: Detail) -> Self {
        let details = &meeting.details;
        let (title, description, location, url, category) = match detail {
            Detail::Busy => ("Busy".to_owned(), None, None, None, None),
            Detail::Title => (
                details.title.clone().unwrap_or_else(|| "Meeting".to_owned()),
                details.owner.display_name().map(|owner| format!("Owner: {owner}")),
                details.location.clone(),
                None,
                None,
            ),
            Detail::Full => (
                full_title(meeting),
                full_description(meeting),
                details.location.clone(),
                details.booking_url.clone().filter(|url| is_web_address(url)),
                details.calendar_path.clone(),
            ),
        };
        Self {
            title,
            description,
            location,
            url,
            category,
            starts_at: details.starts_at,
            ends_at: details.ends_at,
            canceled: !meeting.is_confirmed(),
        }
    }
}

/// The meeting's own name, else "Meeting with {invitee}", else "Meeting". For people who may see everything.
pub fn full_title(meeting: &Meeting) -> String {
    let details = &meeting.details;
    match (&details.title, details.invitee.display_name()) {
        (Some(title), _) => title.clone(),
        (None, Some(invitee)) => format!("Meeting with {invitee}"),
        (None, None) => "Meeting".to_owned(),
    }
}

fn full_description(meeting: &Meeting) -> Option<String> {
    let details = &meeting.details;
    let mut text = String::new();
    let mut line = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{label}: {value}");
        }
    };
    line("Owner", details.owner.display_name());
    line(
        "Invitee",
        match (&details.invitee.name, &details.invitee.email) {
            (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
            (name, email) => name.clone().or_else(|| email.clone()),
        },
    );
    line("Also invited", (!details.further_invitees.is_empty()).then(|| details.further_invitees.join(", ")));
    line("Zoom meeting", details.zoom_meeting_id.clone());
    line("Booking page", details.booking_url.clone().filter(|url| is_web_address(url)));
    for answer in &details.answers {
        let question = answer.question.trim_end_matches(':');
        let label = if question.is_empty() { "Answer" } else { question };
        let _ = write!(text, "\n{label}\n{}\n", answer.answer);
    }
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether the text is an absolute http or https address without white space, fit for a link.
pub fn is_web_address(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>'))
}
