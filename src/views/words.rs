//! Words that several pages share: settings said in words, counted nouns, states with their tone, and safe links.

use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;

pub use crate::health::words::count;
pub(super) use crate::health::words::{grouped, length, octets, verb};
use crate::meeting::selection::{Detail, Selection, Window};
use crate::store::{OnCancel, OnDrift};

/// How a state feels; a page shows it by shape and colour beside the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// Not there, and rightly so; or nothing to say.
    Quiet,
    /// On its way, by itself.
    Waiting,
    /// Failed, or a person must look.
    Bad,
}

impl Tone {
    /// The word in class names.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Quiet => "quiet",
            Self::Waiting => "waiting",
            Self::Bad => "bad",
        }
    }
}

/// A state in a word or two, with a mark for its tone.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/state.html")]
pub(super) struct State {
    /// How it feels.
    pub(super) tone: Tone,
    /// What it is.
    pub(super) word: String,
}

// Its template escapes what it shows.
impl HtmlSafe for State {}

impl State {
    /// A state of that tone.
    pub(super) fn new(tone: Tone, word: impl Into<String>) -> Self {
        Self { tone, word: word.into() }
    }
}

/// [`count`] of the things in a list.
pub(super) fn count_of<T>(list: &[T], one: &str, many: &str) -> String {
    count(i64::try_from(list.len()).unwrap_or(i64::MAX), one, many)
}

/// The text with a large first letter.
pub(super) fn capital(mut text: String) -> String {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// What a detail level shows.
pub(super) fn detail(detail: Detail) -> &'static str {
    match detail {
        Detail::Full => "everything: title, place, invitee, answers and links",
        Detail::Title => "title, owner and place; not the invitee",
        Detail::Busy => "only “Busy”: no title, no names",
    }
}

/// The days a window covers.
pub(super) fn window(window: Window) -> String {
    let days = |number: u32| count(i64::from(number), "day", "days");
    format!("from {} back to {} ahead", days(window.past_days), days(window.future_days))
}

/// Which meetings are selected.
pub(super) fn selection(selection: &Selection) -> String {
    if *selection == Selection::default() { "all meetings".to_owned() } else { format!("meetings of {selection}") }
}

/// What becomes of canceled meetings at Google.
pub(super) fn on_cancel(choice: OnCancel) -> &'static str {
    match choice {
        OnCancel::Delete => "a canceled meeting is deleted",
        OnCancel::Mark => "a canceled meeting stays, marked “Canceled” and free",
    }
}

/// What becomes of events that somebody changed at Google by hand.
pub(super) fn on_drift(choice: OnDrift) -> &'static str {
    match choice {
        OnDrift::Repair => "put right at the next comparison",
        OnDrift::Report => "only reported, and left as they are",
    }
}

/// The address of a meeting's page. Ids are the sender's text and may hold anything.
pub(super) fn meeting_href(id: &str) -> String {
    // Programs read "." and ".." as steps in a path, however they are written; the last one is a button's address.
    if matches!(id, "." | ".." | "mirror-again") {
        format!("/meetings?id={}", encode(id))
    } else {
        format!("/meetings/{}", encode(id))
    }
}

/// What was chosen in a field; none when nothing was.
pub(super) fn given(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// An address with a query of those fields that hold something.
pub(super) fn href(path: &str, fields: &[(&str, &str)]) -> String {
    let given = fields.iter().filter(|(_, value)| !value.is_empty());
    let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", encode(value))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// [`href`] with other values of some fields.
pub(super) fn href_but(path: &str, fields: &[(&str, &str)], but: &[(&str, &str)]) -> String {
    let kept = fields.iter().filter(|(name, _)| !but.iter().any(|(changed, _)| changed == name));
    href(path, &kept.chain(but).copied().collect::<Vec<_>>())
}

/// Text for one part of a path or one value of a query: every octet but letters, digits, `-` and `_` as `%XX`
/// (RFC 3986 section 2.1).
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Uri;
    use proptest::prelude::*;
    use url::form_urlencoded;

    #[test]
    fn links_to_meetings_carry_any_id() {
        assert_eq!(meeting_href("244caf9c-4dab"), "/meetings/244caf9c-4dab");
        assert_eq!(meeting_href("a/b?c#d\"><é"), "/meetings/a%2Fb%3Fc%23d%22%3E%3C%C3%A9");
        assert_eq!(meeting_href(".."), "/meetings?id=%2E%2E");
    }

    proptest! {
        #[test]
        fn an_address_carries_any_text(names in prop::collection::vec("[a-z]{1,8}", 0..6), values in prop::collection::vec(any::<String>(), 6)) {
            let fields: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
            let address = href("/meetings", &fields);
            prop_assert!(address.parse::<Uri>().is_ok() && address.is_ascii());
            let query = address.split_once('?').map_or("", |(_, query)| query);
            let read: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let given = fields.iter().filter(|(_, value)| !value.is_empty());
            prop_assert_eq!(read, given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>());
        }
    }

    #[test]
    fn settings_are_said_in_words() {
        assert_eq!(window(Window { past_days: 1, future_days: 365 }), "from 1 day back to 365 days ahead");
        assert_eq!(selection(&Selection::default()), "all meetings");
        let some = Selection { owners: vec!["a@example.com".into()], ..Selection::default() };
        assert_eq!(selection(&some), "meetings of owner a@example.com");
    }

    #[test]
    fn a_state_escapes_its_word() {
        assert_eq!(
            State::new(Tone::Bad, "<b>").to_string(),
            "<span class=\"state state-bad\"><span class=\"mark\" aria-hidden=\"true\"></span>&#60;b&#62;</span>"
        );
    }
}
