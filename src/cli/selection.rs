//! The options that feeds and calendars share: which meetings, how much of them, in which days.

use clap::Args;

use crate::meeting::selection::{self, Detail, Selection, Window};

/// Which meetings.
#[derive(Debug, Args)]
pub(super) struct SelectionArgs {
    /// Only meetings of these owners [default: all]
    #[arg(long, value_name = "EMAIL", num_args = 1.., value_parser = selection::part)]
    owner: Vec<String>,
    /// Only meetings booked through these schedules: calendarPath, or organizationPath/calendarPath [default: all]
    #[arg(long, value_name = "PATH", num_args = 1.., value_parser = selection::part)]
    schedule: Vec<String>,
    /// Only meetings of these organizations [default: all]
    #[arg(long, value_name = "ID", num_args = 1.., value_parser = selection::part)]
    organization: Vec<String>,
}

impl SelectionArgs {
    pub(super) fn selection(&self) -> Selection {
        Selection {
            owners: self.owner.clone(),
            schedules: self.schedule.clone(),
            organizations: self.organization.clone(),
        }
    }
}

/// How much of them, in which days.
#[derive(Debug, Args)]
pub(super) struct ShownArgs {
    /// How much is shown: full (title, place, invitee, answers, links), title (title, owner, place) or busy ("Busy")
    #[arg(long, value_name = "LEVEL", default_value = "full", value_parser = detail)]
    pub(super) detail: Detail,
    /// Days that past meetings stay
    #[arg(long, value_name = "DAYS", default_value_t = Window::USUAL.past_days, value_parser = days())]
    past_days: u32,
    /// Days ahead that are shown
    #[arg(long, value_name = "DAYS", default_value_t = Window::USUAL.future_days, value_parser = days())]
    future_days: u32,
}

impl ShownArgs {
    pub(super) fn window(&self) -> Window {
        Window { past_days: self.past_days, future_days: self.future_days }
    }
}

/// What to change; what is not given stays.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(super) struct ShownEdit {
    /// New name
    #[arg(long, value_parser = selection::name)]
    name: Option<String>,
    /// Only meetings of these owners
    #[arg(long, value_name = "EMAIL", num_args = 1.., value_parser = selection::part)]
    owner: Option<Vec<String>>,
    /// Only meetings booked through these schedules
    #[arg(long, value_name = "PATH", num_args = 1.., value_parser = selection::part)]
    schedule: Option<Vec<String>>,
    /// Only meetings of these organizations
    #[arg(long, value_name = "ID", num_args = 1.., value_parser = selection::part)]
    organization: Option<Vec<String>>,
    /// All meetings
    #[arg(long, conflicts_with_all = ["owner", "schedule", "organization"])]
    all: bool,
    /// How much is shown: full, title or busy
    #[arg(long, value_name = "LEVEL", value_parser = detail)]
    detail: Option<Detail>,
    /// Days back from which meetings are shown
    #[arg(long, value_name = "DAYS", value_parser = days())]
    past_days: Option<u32>,
    /// Days ahead that are shown
    #[arg(long, value_name = "DAYS", value_parser = days())]
    future_days: Option<u32>,
}

impl ShownEdit {
    pub(super) fn apply(self, name: &mut String, selection: &mut Selection, detail: &mut Detail, window: &mut Window) {
        if self.all {
            *selection = Selection::default();
        }
        let lists = [
            (self.owner, &mut selection.owners),
            (self.schedule, &mut selection.schedules),
            (self.organization, &mut selection.organizations),
        ];
        for (given, list) in lists {
            if let Some(given) = given {
                *list = given;
            }
        }
        if let Some(given) = self.name {
            *name = given;
        }
        *detail = self.detail.unwrap_or(*detail);
        window.past_days = self.past_days.unwrap_or(window.past_days);
        window.future_days = self.future_days.unwrap_or(window.future_days);
    }
}

/// Ends a command that was not told what to change, as other wrong usage does.
pub(super) fn nothing_to_change() -> ! {
    let text = "say what to change, for example --detail title; --help lists what can be changed\n";
    clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, text).exit()
}

/// A number of days that windows take.
pub(super) fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(0..=i64::from(Window::MOST_DAYS))
}

fn detail(word: &str) -> Result<Detail, String> {
    Detail::from_word(word).ok_or_else(|| "use full, title or busy".to_owned())
}
