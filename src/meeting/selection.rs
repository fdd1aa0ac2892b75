//! Which meetings a feed or calendar shows: by owner, schedule and organization, inside a rolling window of days.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::event::Details;

/// Owners, schedules and organizations; an empty list means all. They are compared without regard to case and to slashes and
/// spaces around them, by [`same_text`] and by the database alike; a schedule is named by its `calendarPath` or by
/// `organizationPath/calendarPath`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Usernames of meeting owners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// Schedules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<String>,
    /// Organization ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub organizations: Vec<String>,
}

/// Why a meeting is not selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusion {
    /// Its owner is not one of those selected.
    Owner,
    /// Its schedule is not one of those selected.
    Schedule,
    /// Its organization is not one of those selected.
    Organization,
}

impl Exclusion {
    /// A sentence part for people: "… because {this}".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "its owner is not selected",
            Self::Schedule => "its schedule is not selected",
            Self::Organization => "its organization is not selected",
        }
    }
}

impl Selection {
    /// Whether the meeting belongs.
    ///
    /// # Errors
    /// The first reason why it does not.
    pub fn check(&self, details: &Details) -> Result<(), Exclusion> {
        let any = |list: &[String], found: &[Option<&str>]| {
            list.is_empty() || list.iter().any(|wanted| found.iter().flatten().any(|f| same_text(wanted, f)))
        };
        if !any(&self.organizations, &[Some(details.organization_id.as_str())]) {
            return Err(Exclusion::Organization);
        }
        if !any(&self.owners, &[details.owner.username.as_deref()]) {
            return Err(Exclusion::Owner);
        }
        let full_path = match (&details.organization_path, &details.calendar_path) {
            (Some(organization), Some(calendar)) => Some(format!("{organization}/{calendar}")),
            _ => None,
        };
        if !any(&self.schedules, &[details.calendar_path.as_deref(), full_path.as_deref()]) {
            return Err(Exclusion::Schedule);
        }
        Ok(())
    }

    /// The one owner of a personal feed: selected by owner alone, and nobody else is.
    pub fn person(&self) -> Option<&str> {
        match (self.owners.as_slice(), self.schedules.is_empty() && self.organizations.is_empty()) {
            ([owner], true) => Some(owner),
            _ => None,
        }
    }
}

/// Whether two texts mean the same in a selection.
pub fn same_text(a: &str, b: &str) -> bool {
    plain(a) == plain(b)
}

/// A text of a selection as it is compared: without slashes and spaces around it, in lower case.
pub fn plain(text: &str) -> String {
    text.trim_matches(['/', ' ']).to_lowercase()
}

/// The name of a feed or calendar as somebody typed it: one that people can tell apart, on one line, and not a number (ids are
/// numbers).
///
/// # Errors
/// What to do instead, for whoever typed it.
pub fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
        return Err("a name has 1 to 100 characters on one line".to_owned());
    }
    if text.chars().all(|c| c.is_ascii_digit()) {
        return Err("a name of digits only would be taken for an id: add a word".to_owned());
    }
    Ok(text.to_owned())
}

/// One text of a selection as somebody typed it: something, not nothing.
///
/// # Errors
/// What to do instead, for whoever typed it.
pub fn part(text: &str) -> Result<String, String> {
    const LONGEST: usize = 320;
    match text.trim_matches(['/', ' ']) {
        "" => Err("say what to select, or leave it out to select all".to_owned()),
        long if long.chars().count() > LONGEST => Err(format!("use {LONGEST} characters at most for each")),
        odd if odd.contains(char::is_control) => Err("leave out characters that can't be seen".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> =
            [("owner", &self.owners), ("schedule", &self.schedules), ("organization", &self.organizations)]
                .into_iter()
                .filter(|(_, list)| !list.is_empty())
                .map(|(name, list)| format!("{name} {}", list.join(" or ")))
                .collect();
        if parts.is_empty() { f.write_str("all meetings") } else { f.write_str(&parts.join(", ")) }
    }
}

/// The rolling window, in days before and after now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Days a meeting stays after its end.
    pub past_days: u32,
    /// Days ahead in which a meeting begins.
    pub future_days: u32,
}

impl Window {
    /// The window unless somebody chooses.
    pub const USUAL: Self = Self { past_days: 30, future_days: 365 };
    /// The longest that either may be.
    pub const MOST_DAYS: u32 = 3650;

    /// A meeting whose end is before this is past the window.
    pub fn opens(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - TimeDelta::days(i64::from(self.past_days))
    }

    /// A meeting whose begin is after this is not yet in the window.
    pub fn closes(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::days(i64::from(self.future_days))
    }

    /// Where the meeting stands.
    pub fn place(&self, details: &Details, now: DateTime<Utc>) -> Place {
        if details.ends_at < self.opens(now) {
            Place::Past
        } else if details.starts_at > self.closes(now) {
            Place::Future
        } else {
            Place::Inside
        }
    }
}

/// Where a meeting stands to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It ended before the window opens.
    Past,
    /// It is shown.
    Inside,
    /// It begins after the window closes.
    Future,
}

/// How much of a meeting is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// Title, place, invitee, answers, links.
    Full,
    /// Title, owner, place.
    Title,
    /// "Busy".
    Busy,
}

impl Detail {
    /// The word in settings and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Title => "title",
            Self::Busy => "busy",
        }
    }

    /// The level of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Full, Self::Title, Self::Busy].into_iter().find(|level| level.as_str() == word)
    }
}

/// Whether a meeting takes its owner's time in the subscriber's program: "Show as" there, TRANSP in a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShowAs {
    /// The subscriber is busy: for one's own meetings.
    Busy,
    /// The subscriber is free: for the meetings of others.
    Free,
}

impl ShowAs {
    /// The word in settings and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Free => "free",
        }
    }

    /// The choice of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Busy, Self::Free].into_iter().find(|choice| choice.as_str() == word)
    }

    /// What suits a selection unless somebody chooses: one's own meetings are busy time, those of others are not.
    pub fn fitting(selection: &Selection) -> Self {
        if selection.person().is_some() { Self::Busy } else { Self::Free }
    }
}
