//! The options that `feed add` and `calendar add` share: which meetings, how much of them, in which days.

use clap::Args;

use crate::meeting::selection::{Detail, Selection, Window};

/// Which meetings, how much of them, in which days.
#[derive(Debug, Args)]
pub(super) struct SelectionArgs {
    /// Only meetings of these owners [default: all]
    #[arg(long, value_name = "EMAIL", num_args = 1..)]
    owner: Vec<String>,
    /// Only meetings booked through these schedules: calendarPath, or organizationPath/calendarPath [default: all]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    schedule: Vec<String>,
    /// Only meetings of these organizations [default: all]
    #[arg(long, value_name = "ID", num_args = 1..)]
    organization: Vec<String>,
    /// How much is shown: full (title, place, invitee, answers, links), title (title, owner, place) or busy ("Busy")
    #[arg(long, value_name = "LEVEL", default_value = "full", value_parser = detail)]
    pub(super) detail: Detail,
    /// Days that past meetings stay
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=3650))]
    past_days: u32,
    /// Days ahead that are shown
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(0..=3650))]
    future_days: u32,
}

impl SelectionArgs {
    pub(super) fn selection(&self) -> Selection {
        Selection {
            owners: self.owner.clone(),
            schedules: self.schedule.clone(),
            organizations: self.organization.clone(),
        }
    }

    pub(super) fn window(&self) -> Window {
        Window { past_days: self.past_days, future_days: self.future_days }
    }
}

pub(super) fn detail(word: &str) -> Result<Detail, String> {
    Detail::from_word(word).ok_or_else(|| "use full, title or busy".to_owned())
}

/// A name people can tell apart: one line, not empty, not a number (ids are numbers).
pub(super) fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
        return Err("a name has 1 to 100 characters on one line".to_owned());
    }
    if text.chars().all(|c| c.is_ascii_digit()) {
        return Err("a name of digits only would be taken for an id: add a word".to_owned());
    }
    Ok(text.to_owned())
}
