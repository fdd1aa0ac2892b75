//! Meetings of a week, day by day.

use chrono::{Datelike as _, NaiveDate, TimeDelta};

use super::meeting_choice::MeetingChoice;
use super::time_text::{self, Times};
use super::words::meeting_href;
use crate::meeting::entry::full_title;
use crate::meeting::state::Meeting;
use crate::store::{MeetingFilter, Store, StoreError};

/// Meetings of one day; the rest is in the day's list.
const PER_DAY: usize = 40;

/// A week.
pub(super) struct Week {
    /// "23–29 Nov 2026".
    pub(super) title: String,
    /// The week before.
    pub(super) before: String,
    /// This week, when another one is shown.
    pub(super) now: Option<String>,
    /// The week after.
    pub(super) after: String,
    /// Monday to Sunday.
    pub(super) days: Vec<Day>,
}

/// A day of it.
pub(super) struct Day {
    /// "Mon 23 Nov".
    pub(super) name: String,
    /// Whether it is the present one.
    pub(super) is_today: bool,
    /// By begin.
    pub(super) entries: Vec<Entry>,
    /// The day's list, when not all are here.
    pub(super) more: Option<String>,
}

/// A meeting of it.
pub(super) struct Entry {
    /// "11:00–11:30".
    pub(super) time: String,
    /// Its page.
    pub(super) href: String,
    /// For people.
    pub(super) title: String,
    /// Whose it is.
    pub(super) owner: String,
    /// Whether it takes place.
    pub(super) confirmed: bool,
}

impl Week {
    /// The week that the choice names, or the present one.
    pub(super) async fn read(
        store: &Store,
        choice: &MeetingChoice,
        filter: &MeetingFilter,
        times: &Times,
    ) -> Result<Self, StoreError> {
        let today = times.day(times.now());
        let monday_of = |day: NaiveDate| day - TimeDelta::days(day.weekday().num_days_from_monday().into());
        let monday = monday_of(time_text::day(&choice.week).unwrap_or(today));
        let begins: Vec<_> = monday.iter_days().take(8).map(|day| times.begin_of(day)).collect();
        let meetings = store.meetings_in_spans(filter, &begins, PER_DAY + 1).await?;
        let days = monday.iter_days().zip(&meetings).map(|(day, meetings)| Day::new(choice, day, meetings, times));
        let week = |monday: NaiveDate| choice.href(&[("week", &monday.to_string()), ("from", ""), ("until", "")]);
        Ok(Self {
            title: title(monday),
            before: week(monday - TimeDelta::weeks(1)),
            now: (monday != monday_of(today)).then(|| choice.href(&[("week", ""), ("from", ""), ("until", "")])),
            after: week(monday + TimeDelta::weeks(1)),
            days: days.collect(),
        })
    }
}

fn title(monday: NaiveDate) -> String {
    let sunday = monday + TimeDelta::days(6);
    let begin = match (monday.year() == sunday.year(), monday.month() == sunday.month()) {
        (true, true) => "%-d",
        (true, false) => "%-d %b",
        (false, _) => "%-d %b %Y",
    };
    format!("{}–{}", monday.format(begin), sunday.format("%-d %b %Y"))
}

impl Day {
    fn new(choice: &MeetingChoice, day: NaiveDate, meetings: &[Meeting], times: &Times) -> Self {
        let date = day.to_string();
        let list =
            || choice.href(&[("view", ""), ("week", ""), ("from", &date), ("until", &date), ("sort", "earliest")]);
        Self {
            name: day.format("%a %-d %b").to_string(),
            is_today: day == times.day(times.now()),
            entries: meetings.iter().take(PER_DAY).map(|meeting| Entry::of(meeting, times)).collect(),
            more: (meetings.len() > PER_DAY).then(list),
        }
    }
}

impl Entry {
    fn of(meeting: &Meeting, times: &Times) -> Self {
        let details = &meeting.details;
        Self {
            time: times.hours(details.starts_at, details.ends_at),
            href: meeting_href(meeting.id.as_str()),
            title: full_title(meeting),
            owner: details.owner.display_name().unwrap_or_default(),
            confirmed: meeting.is_confirmed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, meeting_event};
    use super::*;
    use crate::meeting::event::Kind;
    use std::str::FromStr as _;

    #[tokio::test]
    async fn a_week_shows_its_days_in_the_sites_zone() {
        let stage = Stage::new().await;
        // Friday, 20 November 2026, 12:00 UTC. In Berlin, 23:30 UTC is the next day already.
        stage.meeting("friday", 2).await;
        let mut late = meeting_event("late", Kind::Scheduled, stage.now(), 11);
        late.details.starts_at += TimeDelta::minutes(30);
        late.details.ends_at += TimeDelta::minutes(30);
        stage.event(&late).await;
        stage.event(&meeting_event("off", Kind::Canceled, stage.now(), 72)).await;
        let mut admin = stage.admin().await;
        let answer = admin.get("/meetings?view=week").await;
        answer.assert_shows(&["16–22 Nov 2026", "Fri 20 Nov", "15:00–15:30", "00:30–01:00", "Today"]);
        let at = |text: &str| answer.body.find(text).unwrap();
        assert!(at("Fri 20 Nov") < at("Demo friday") && at("Demo friday") < at("Sat 21 Nov"));
        assert!(at("Sat 21 Nov") < at("Demo late") && at("Demo late") < at("Sun 22 Nov"));
        answer.assert_hides(&["Demo off", "This week"]);
        let next = admin.get(&answer.href("Next week →")).await;
        next.assert_shows(&["23–29 Nov 2026", "Demo off", "This week", "class=\"off\""]);
        assert_eq!(next.href("This week"), "/meetings?view=week");
        let list = next.href("List");
        assert_eq!(list, "/meetings");
        admin.get("/meetings?view=week&week=9999-99-99").await.assert_shows(&["16–22 Nov 2026"]);
        admin.get("/meetings?view=week&q=nothing").await.assert_shows(&["No meeting begins on this day."]);
    }

    #[tokio::test]
    async fn a_full_day_leads_to_its_list() {
        let stage = Stage::new().await;
        for number in 0..=PER_DAY {
            stage.meeting(&format!("m-{number}"), 2).await;
        }
        let mut admin = stage.admin().await;
        let answer = admin.get("/meetings?view=week").await;
        let list = answer.href("All of this day");
        assert_eq!(list, "/meetings?from=2026-11-20&until=2026-11-20&sort=earliest");
        admin.get(&list).await.assert_shows(&[&format!("Demo m-{PER_DAY}")]);
    }

    #[test]
    fn a_week_is_named_by_its_first_and_last_day() {
        let title = |day: &str| title(NaiveDate::from_str(day).unwrap());
        assert_eq!(title("2026-11-23"), "23–29 Nov 2026");
        assert_eq!(title("2026-11-30"), "30 Nov–6 Dec 2026");
        assert_eq!(title("2026-12-28"), "28 Dec 2026–3 Jan 2027");
    }
}
