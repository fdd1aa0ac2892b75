//! Whatever stands in a meeting, two independent parsers read it from the feed as it was.

use chrono::TimeDelta;
use ical::tree::cst::IcalCst;
use ical::value::IcalValue;
use icalendar::parser::{read_calendar, unfold};
use meeting_mirror::meeting::entry::Entry;
use meeting_mirror::meeting::event::Answer;
use meeting_mirror::meeting::selection::Detail;
use meeting_mirror::meeting::state::Meeting;
use meeting_mirror::views::feed::lint::lint;
use proptest::prelude::*;

use super::{canceled, meeting, now, render, settings};

/// What the feed text documents as its cleaning, said another way.
fn cleaned(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\t' => out.push(c),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => out.push(c),
        }
    }
    out
}

const BREAKS_AND_CONTROLS: [char; 12] =
    ['\r', '\n', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}', '\t', '\0', '\u{1b}', '\u{7f}', '\u{feff}'];

fn any_text() -> impl Strategy<Value = Option<String>> {
    let character = prop_oneof![
        3 => any::<char>(),
        2 => prop::sample::select(&BREAKS_AND_CONTROLS[..]),
        3 => prop::sample::select(&['\\', ';', ',', ':', '"', '=', 'n', 'N', '^', '\''][..]),
        3 => prop::sample::select(&[' ', 'a', 'é', '老', '😀'][..]),
    ];
    let any = prop::collection::vec((character, 1..6_usize), 0..250)
        .prop_map(|runs| runs.into_iter().flat_map(|(c, times)| std::iter::repeat_n(c, times)).collect());
    prop::option::weighted(0.9, any)
}

prop_compose! {
    fn any_meeting()(
        title in any_text(), location in any_text(), name in any_text(), url in any_text(), question in any_text(),
        answer in any_text(), id in any_text(), is_canceled: bool, revision: u32, modified in 0..86_400_i64, hours in 0..8000_i64,
    ) -> Meeting {
        let mut any = meeting(&id.unwrap_or_default(), hours);
        any.details.title = title;
        any.details.location = location;
        any.details.invitee.name = name;
        any.details.booking_url = url.map(|rest| format!("https://book.example.com/{rest}"));
        any.details.answers =
            vec![Answer { question: question.unwrap_or_default(), answer: answer.unwrap_or_default() }];
        any.revision = revision;
        any.last_modified_at = now() - TimeDelta::seconds(modified);
        if is_canceled { canceled(any) } else { any }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_text_arrives_with_both_parsers(any in any_meeting(), is_full: bool, name in any_text()) {
        assert_arrives(&any, if is_full { Detail::Full } else { Detail::Title }, &name.unwrap_or_default());
    }
}

/// The lint has nothing to say of the feed, and both parsers read from it what the meeting holds.
pub(crate) fn assert_arrives(any: &Meeting, detail: Detail, name: &str) {
    let body = render(&settings(name, detail), std::slice::from_ref(any), now()).body;
    assert_eq!(lint(&body), []);
    let text = String::from_utf8(body.clone()).unwrap();

    let entry = Entry::of(any, detail);
    let is_marked = entry.canceled && detail != Detail::Busy;
    let title = if is_marked { format!("Canceled: {}", entry.title) } else { entry.title };
    let expected = [("SUMMARY", Some(title)), ("DESCRIPTION", entry.description), ("LOCATION", entry.location)]
        .map(|(key, text)| (key, text.map(|text| cleaned(&text)).filter(|text| !text.is_empty())));
    let modified = any.last_modified_at.format("%Y%m%dT%H%M%SZ").to_string();
    let sequence = any.revision.min(i32::MAX.unsigned_abs()).to_string();

    let unfolded = unfold(&text);
    let parsed = read_calendar(&unfolded).unwrap();
    assert_eq!(parsed.components.len(), 1);
    let event = &parsed.components[0];
    for (key, expected) in &expected {
        assert_eq!(event.find_prop(key).map(|property| property.val.as_str()), expected.as_deref(), "{key}");
    }
    assert_eq!(event.find_prop("SEQUENCE").map(|property| property.val.as_str()), Some(sequence.as_str()));
    for key in ["LAST-MODIFIED", "DTSTAMP"] {
        assert_eq!(event.find_prop(key).map(|property| property.val.as_str()), Some(modified.as_str()));
    }

    let tree = IcalCst::parse(&body).unwrap();
    let valid = tree.decode().validate().unwrap();
    assert_eq!(valid.components.len(), 1);
    let found = |properties: &[ical::prop::IcalProp<'_>], key: &str| {
        properties.iter().find(|property| *property.name == *key).map(|property| match &property.value {
            IcalValue::Text(text) => text.0.clone().into_owned(),
            other => format!("{other:?}"),
        })
    };
    for (key, expected) in &expected {
        assert_eq!(&found(&valid.components[0].props, key), expected, "{key}");
    }
    let name = Some(cleaned(name)).filter(|name| !name.is_empty());
    assert_eq!(found(&valid.props, "NAME"), name);
}
