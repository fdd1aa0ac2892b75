//! What the forms of feeds and calendars share: a name, which meetings, how much of them, and in which days. Read by the same
//! rules as on the command line.

use serde::Deserialize;

use super::field::{Field, Input, Wrong};
use super::words;
use crate::meeting::selection::{self, Detail, Selection, Window};

/// The fields, as typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ShownTyped {
    name: String,
    owners: String,
    schedules: String,
    organizations: String,
    detail: String,
    past_days: String,
    future_days: String,
}

/// The fields, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) selection: Selection,
    pub(super) detail: Detail,
    pub(super) window: Window,
}

impl From<&Shown> for ShownTyped {
    fn from(shown: &Shown) -> Self {
        Self {
            name: shown.name.clone(),
            owners: shown.selection.owners.join("\n"),
            schedules: shown.selection.schedules.join("\n"),
            organizations: shown.selection.organizations.join("\n"),
            detail: shown.detail.as_str().to_owned(),
            past_days: shown.window.past_days.to_string(),
            future_days: shown.window.future_days.to_string(),
        }
    }
}

impl ShownTyped {
    /// Reads the fields, or notes what is wrong with each.
    pub(super) fn read(&self, wrong: &mut Wrong) -> Option<Shown> {
        let name = wrong.read("name", selection::name(&self.name));
        let owners = wrong.read("owners", list(&self.owners));
        let schedules = wrong.read("schedules", list(&self.schedules));
        let organizations = wrong.read("organizations", list(&self.organizations));
        let how = self.read_how(wrong);
        let (name, (detail, window)) = (name?, how?);
        let selection = Selection { owners: owners?, schedules: schedules?, organizations: organizations? };
        Some(Shown { name, selection, detail, window })
    }

    /// Reads the fields of how much is shown and in which days.
    pub(super) fn read_how(&self, wrong: &mut Wrong) -> Option<(Detail, Window)> {
        let detail = wrong.read("detail", Detail::from_word(&self.detail).ok_or_else(|| "choose one".to_owned()));
        let past_days = wrong.read("past_days", days(&self.past_days));
        let future_days = wrong.read("future_days", days(&self.future_days));
        Some((detail?, Window { past_days: past_days?, future_days: future_days? }))
    }

    /// The field of the name.
    pub(super) fn name(&self, wrong: &Wrong) -> Field {
        Field::new("name", "Name", Input::Line, &self.name, wrong).hint("For people, such as “Sales team”.")
    }

    /// The fields of which meetings, how much of them, in which days. `owners` are those known, as suggestions.
    pub(super) fn fields(&self, owners: &[String], wrong: &Wrong) -> Vec<Field> {
        let lines = |id, label, value: &String| Field::new(id, label, Input::Lines, value, wrong);
        let which = [
            lines("owners", "Only meetings of these owners", &self.owners)
                .hint("E-mail addresses, one a line. Empty: of everybody.")
                .known(owners),
            lines("schedules", "Only meetings booked through these schedules", &self.schedules)
                .hint("Paths, one a line: schedule, or organization/schedule. Empty: through any."),
            lines("organizations", "Only meetings of these organizations", &self.organizations)
                .hint("Ids, one a line. Empty: of all."),
        ];
        which.into_iter().chain(self.fields_of_how(wrong)).collect()
    }

    /// The fields of how much is shown and in which days.
    pub(super) fn fields_of_how(&self, wrong: &Wrong) -> [Field; 3] {
        let levels = [Detail::Full, Detail::Title, Detail::Busy]
            .map(|level| (level.as_str(), words::capital(words::detail(level).to_owned())));
        [
            Field::new("detail", "How much is shown", Input::Choice(levels.into()), &self.detail, wrong),
            Field::new("past_days", "Days back", Input::Days, &self.past_days, wrong),
            Field::new("future_days", "Days ahead", Input::Days, &self.future_days, wrong),
        ]
    }
}

/// Texts in one list.
const MOST_PARTS: usize = 200;

/// Texts, one a line or between commas; each once.
fn list(text: &str) -> Result<Vec<String>, String> {
    let mut parts: Vec<String> = Vec::new();
    for typed in text.split(['\n', ',']).map(str::trim).filter(|typed| !typed.is_empty()) {
        let part = selection::part(typed)?;
        if !parts.iter().any(|known| selection::same_text(known, &part)) {
            parts.push(part);
        }
    }
    if parts.len() > MOST_PARTS {
        return Err(format!(
            "name {MOST_PARTS} at most; make several feeds or calendars, or leave it empty to select all"
        ));
    }
    Ok(parts)
}

/// A number of days that windows take.
pub(super) fn days(text: &str) -> Result<u32, String> {
    let number = text.trim().parse().ok().filter(|days| *days <= Window::MOST_DAYS);
    number.ok_or_else(|| format!("type a number of days, from 0 to {}", Window::MOST_DAYS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_by_line_and_comma_each_text_once() {
        assert_eq!(
            list(" a@example.com\r\nB@example.com, ,b@EXAMPLE.com\n").unwrap(),
            ["a@example.com", "B@example.com"]
        );
        assert_eq!(list(" \n").unwrap(), [""; 0]);
        assert!(list("a@example.com\n / ").is_err());
        assert!(list("a@example.com\rb@example.com").is_err(), "an end of line that nobody sees");
        assert!(list(&"x".repeat(321)).is_err());
        let many: Vec<String> = (0..201).map(|number| format!("owner-{number}@example.com")).collect();
        assert!(list(&many.join("\n")).is_err());
    }

    #[test]
    fn what_is_shown_is_typed_as_it_is_read() {
        let shown = Shown {
            name: "Sales".into(),
            selection: Selection {
                owners: vec!["a@example.com".into(), "b@example.com".into()],
                ..Selection::default()
            },
            detail: Detail::Busy,
            window: Window { past_days: 0, future_days: Window::MOST_DAYS },
        };
        let mut wrong = Wrong::default();
        assert_eq!(ShownTyped::from(&shown).read(&mut wrong), Some(shown));
        assert!(wrong.is_empty());
    }

    #[test]
    fn each_field_that_is_wrong_is_named() {
        let typed = ShownTyped { past_days: "3651".into(), future_days: "-1".into(), ..ShownTyped::default() };
        let mut wrong = Wrong::default();
        assert_eq!(typed.read(&mut wrong), None);
        let fields: Vec<&str> = wrong.all().iter().map(|(field, _)| *field).collect();
        assert_eq!(fields, ["name", "detail", "past_days", "future_days"]);
    }
}
