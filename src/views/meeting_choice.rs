//! Which meetings a list or a week shows, as it stands in the page's address: read, said in the form's fields, and put into
//! links.

use serde::Deserialize;

use super::time_text::Times;
use super::words::{given, href_but};
use crate::store::{Calendar, MeetingCursor, MeetingFilter, MeetingOrder, Standing};

/// The choice as the address has it; what can't be read counts as not given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MeetingChoice {
    /// Words.
    pub(super) q: String,
    /// Of the meeting.
    pub(super) status: String,
    /// Username.
    pub(super) owner: String,
    /// Row id.
    pub(super) calendar: String,
    /// In that calendar.
    pub(super) standing: String,
    /// First day of begins, `YYYY-MM-DD`.
    pub(super) from: String,
    /// Last day of begins.
    pub(super) until: String,
    /// Order of the list.
    pub(super) sort: String,
    /// `week`, or a list.
    pub(super) view: String,
    /// A day of the week that is shown.
    pub(super) week: String,
    after: String,
    /// A meeting's id that no path can carry.
    pub(super) id: Option<String>,
}

/// A choice in a field.
pub(super) struct Choice {
    /// In the address.
    pub(super) value: String,
    /// For people.
    pub(super) label: String,
    /// Whether it is the present one.
    pub(super) current: bool,
}

/// Orders by their word in the address.
const ORDERS: [(&str, &str, MeetingOrder); 4] = [
    ("", "next first, then past", MeetingOrder::NextFirst),
    ("earliest", "earliest first", MeetingOrder::Earliest),
    ("latest", "latest first", MeetingOrder::Latest),
    ("changed", "last changed first", MeetingOrder::Changed),
];

const STANDINGS: [(&str, &str); 7] = [
    ("", "at all"),
    ("in step", "in step"),
    ("pending", "on the way"),
    ("again", "looked at again"),
    ("failing", "failing"),
    ("refused", "refused by Google"),
    ("unknown", "not certain"),
];

impl MeetingChoice {
    /// What the database is asked.
    pub(super) fn filter(&self, times: &Times) -> MeetingFilter {
        let (from, until) = times.days(&self.from, &self.until);
        MeetingFilter {
            text: given(&self.q),
            status: given(&self.status),
            owner: given(&self.owner),
            calendar: self.in_calendar(),
            from,
            until,
        }
    }

    fn in_calendar(&self) -> Option<(i64, Option<Standing>)> {
        self.calendar.parse().ok().map(|id| (id, Standing::from_word(&self.standing)))
    }

    /// Whether it is chosen how they stand in a calendar, but in which is not.
    pub(super) fn lacks_calendar(&self) -> bool {
        self.calendar.is_empty() && Standing::from_word(&self.standing).is_some()
    }

    /// The calendar and how they stand there, when nothing else is chosen.
    pub(super) fn only_in_calendar(&self) -> Option<(i64, Option<Standing>)> {
        let others = [&self.q, &self.status, &self.owner, &self.from, &self.until];
        self.in_calendar().filter(|_| others.iter().all(|text| text.is_empty()))
    }

    /// Whether all meetings are shown, or all of a status.
    pub(super) fn is_all_of_a_status(&self) -> bool {
        [&self.q, &self.owner, &self.calendar, &self.from, &self.until].iter().all(|text| text.is_empty())
    }

    /// The order of the list.
    pub(super) fn order(&self) -> MeetingOrder {
        ORDERS.iter().find(|(word, ..)| *word == self.sort).map_or(MeetingOrder::NextFirst, |(.., order)| *order)
    }

    /// Where the page begins.
    pub(super) fn after(&self) -> Option<MeetingCursor> {
        self.after.parse().ok()
    }

    /// Whether a week is shown.
    pub(super) fn is_week(&self) -> bool {
        self.view == "week"
    }

    /// Whether more is chosen than words and a status.
    pub(super) fn is_narrow(&self) -> bool {
        let fields = [&self.owner, &self.calendar, &self.from, &self.until, &self.sort];
        fields.iter().any(|text| !text.is_empty()) || self.lacks_calendar()
    }

    /// Whether anything is chosen.
    pub(super) fn is_any(&self) -> bool {
        self.is_narrow() || !self.q.is_empty() || !self.status.is_empty()
    }

    fn fields(&self) -> [(&'static str, &str); 10] {
        [
            ("q", &self.q),
            ("status", &self.status),
            ("owner", &self.owner),
            ("calendar", &self.calendar),
            ("standing", &self.standing),
            ("from", &self.from),
            ("until", &self.until),
            ("sort", &self.sort),
            ("view", &self.view),
            ("week", &self.week),
        ]
    }

    /// The address of the same choice, but for some fields.
    pub(super) fn href(&self, but: &[(&str, &str)]) -> String {
        href_but("/meetings", &self.fields(), but)
    }

    /// The orders to choose from.
    pub(super) fn orders(&self) -> Vec<Choice> {
        let choice = |(word, label, _): (&str, &str, _)| Choice {
            value: word.to_owned(),
            label: label.to_owned(),
            current: word == self.sort,
        };
        ORDERS.into_iter().map(choice).collect()
    }

    /// How a meeting may stand in the calendar.
    pub(super) fn standings(&self) -> Vec<Choice> {
        let choice = |(word, label): (&str, &str)| Choice {
            value: word.to_owned(),
            label: label.to_owned(),
            current: word == self.standing,
        };
        STANDINGS.into_iter().map(choice).collect()
    }

    /// The calendars to choose from, of all; of those that were removed only the one that is chosen.
    pub(super) fn calendars(&self, calendars: &[Calendar]) -> Vec<Choice> {
        let choice = |calendar: &Calendar| Choice {
            value: calendar.id.to_string(),
            label: calendar.wish.name.clone(),
            current: calendar.id.to_string() == self.calendar,
        };
        let choices = calendars.iter().map(|calendar| (choice(calendar), calendar.removed_at.is_none()));
        choices.filter(|(choice, is_used)| *is_used || choice.current).map(|(choice, _)| choice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::Query;
    use proptest::prelude::*;

    #[test]
    fn links_keep_the_choice_and_hold_any_text() {
        let choice = MeetingChoice { q: "a&b=\"c\"".into(), status: "canceled".into(), ..MeetingChoice::default() };
        assert_eq!(choice.href(&[("status", "")]), "/meetings?q=a%26b%3D%22c%22");
        assert_eq!(
            choice.href(&[("after", "0~1~x/y")]),
            "/meetings?q=a%26b%3D%22c%22&status=canceled&after=0%7E1%7Ex%2Fy"
        );
        assert_eq!(MeetingChoice::default().href(&[]), "/meetings");
    }

    proptest! {
        #[test]
        fn what_an_address_says_is_said_again_by_its_links(query in "((q|status|owner|from|sort|after|[a-z]{1,3})=[a-z0-9%+~&=-]{0,20}&?){0,8}") {
            let read = |address: &str| Query::<MeetingChoice>::try_from_uri(&address.parse().unwrap());
            if let Ok(Query(choice)) = read(&format!("/meetings?{query}")) {
                let link = choice.href(&[]);
                prop_assert_eq!(read(&link).unwrap().href(&[]), link);
            }
        }
    }
}
