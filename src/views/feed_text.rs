//! The text of an ICS feed: meetings in, bytes out; pure. It must not show more than the detail level allows, must not let
//! "now" into the bytes (an unchanged feed has unchanged bytes), and must not let one meeting's text break the feed.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use icalendar::{Calendar, Component as _, Event, EventLike as _, EventStatus, Property, ValueType};
use sha2::{Digest as _, Sha256};

use crate::meeting::entry::Entry;
use crate::meeting::event::MeetingId;
use crate::meeting::selection::{Detail, Place, Window};
use crate::meeting::state::{Meeting, whole_seconds};

/// Most events in a feed (facts: ICS subscribers 10).
pub const MOST_EVENTS: usize = 1000;
/// Most octets in a feed (facts: ICS subscribers 10).
pub const MOST_OCTETS: usize = 900_000;
/// Most octets in a line without its CRLF (RFC 5545 section 3.1).
pub const LONGEST_LINE: usize = 75;
/// Most octets of one text before escaping; longer ones are cut and end in "…". So no meeting fills a feed by itself.
pub const LONGEST_TEXT: usize = 16 * 1024;
/// Most octets of a URL; a longer one is left out, since a cut address leads nowhere.
const LONGEST_URL: usize = 2048;

/// A rendered feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedText {
    /// The calendar: UTF-8, CRLF line ends.
    pub body: Vec<u8>,
    /// Meetings that would be shown but for [`MOST_EVENTS`] and [`MOST_OCTETS`].
    pub left_out: u32,
}

/// Renders the feed `name` of `meetings`, each given once. Those outside the window are not shown. One that no longer takes
/// place is shown as canceled for `canceled_days` days after its last change. Over the limits the nearest win: running and
/// upcoming ones by begin, then past ones from the latest back; the rest is counted in [`FeedText::left_out`].
///
/// No meetings give a calendar without events, which empties the subscriber's copy (facts: ICS subscribers 14). That is
/// right when nothing is left to show. RFC 5545 section 3.6 asks for a component, but one that is there only for that would
/// be shown or doubted by some program, so there is none. A failed read must never reach this function as an empty list:
/// the caller serves the last good bytes instead.
pub fn render(
    name: &str,
    installation_id: &str,
    detail: Detail,
    window: Window,
    canceled_days: u32,
    meetings: &[Meeting],
    now: DateTime<Utc>,
) -> FeedText {
    let mut candidates: Vec<&Meeting> = meetings
        .iter()
        .filter(|meeting| window.place(&meeting.details, now) == Place::Inside)
        .filter(|meeting| meeting.is_confirmed() || is_recently_canceled(meeting, canceled_days, now))
        .collect();
    candidates.sort_by(|a, b| nearness(a, now).cmp(&nearness(b, now)));

    let mut body = head(name);
    let foot = "END:VCALENDAR\r\n";
    let mut octets = body.len() + foot.len();
    let mut shown = Vec::new();
    let mut left_out = 0_u32;
    for meeting in candidates {
        // One that is too large for the room left does not keep out smaller ones behind it.
        let text = (shown.len() < MOST_EVENTS)
            .then(|| event_text(installation_id, detail, meeting))
            .filter(|text| octets + text.len() <= MOST_OCTETS);
        if let Some(text) = text {
            octets += text.len();
            shown.push((meeting.details.starts_at, meeting.id.as_str(), text));
        } else {
            left_out = left_out.saturating_add(1);
        }
    }
    shown.sort_unstable();
    for (_, _, text) in &shown {
        body.push_str(text);
    }
    body.push_str(foot);
    FeedText { body: body.into_bytes(), left_out }
}

/// Struck-out meetings pile up in some programs, so they go after a while (facts: ICS subscribers 8).
fn is_recently_canceled(meeting: &Meeting, canceled_days: u32, now: DateTime<Utc>) -> bool {
    now - meeting.last_modified_at < TimeDelta::days(i64::from(canceled_days))
}

/// Sorts what matters most to a subscriber first.
fn nearness(meeting: &Meeting, now: DateTime<Utc>) -> (bool, i64, &str) {
    let details = &meeting.details;
    let is_past = details.ends_at <= now;
    let distance = if is_past { -details.ends_at.timestamp() } else { details.starts_at.timestamp() };
    (is_past, distance, meeting.id.as_str())
}

/// Everything before the first event. No METHOD (facts: ICS subscribers 6).
fn head(name: &str) -> String {
    let mut calendar = Calendar::empty();
    calendar
        .append_property(("VERSION", "2.0"))
        .append_property(("PRODID", "-//meeting-mirror//feed//EN"))
        .append_property(("CALSCALE", "GREGORIAN"))
        .name(name)
        .append_property(Property::new("REFRESH-INTERVAL", "PT1H").append_parameter(ValueType::Duration).done())
        .append_property(("X-PUBLISHED-TTL", "PT1H"));
    let mut text = "BEGIN:VCALENDAR\r\n".to_owned();
    for property in &calendar.properties {
        write_property(&mut text, property);
    }
    text
}

/// One VEVENT. A meeting that was canceled or taken over says so in its title too, since some programs don't show STATUS;
/// at busy level the title stays "Busy", which tells nothing.
fn event_text(installation_id: &str, detail: Detail, meeting: &Meeting) -> String {
    let entry = Entry::of(meeting, detail);
    let starts_at = whole_seconds(entry.starts_at);
    let title =
        if entry.canceled && detail != Detail::Busy { format!("Canceled: {}", entry.title) } else { entry.title };
    let mut event = Event::new();
    event
        .uid(&uid(installation_id, &meeting.id))
        .timestamp(meeting.last_modified_at)
        .last_modified(meeting.last_modified_at)
        .created(meeting.first_seen_at)
        // INTEGER is signed (RFC 5545 section 3.3.8).
        .sequence(meeting.revision.min(i32::MAX.unsigned_abs()))
        .starts(starts_at)
        .ends(entry.ends_at.max(starts_at + TimeDelta::seconds(1)))
        .summary(&title)
        .status(if entry.canceled { EventStatus::Cancelled } else { EventStatus::Confirmed })
        .add_property("TRANSP", "TRANSPARENT");
    if let Some(description) = &entry.description {
        event.description(description);
    }
    if let Some(location) = &entry.location {
        event.location(location);
    }
    if let Some(url) = entry.url.as_deref().map(uri).filter(|url| url.len() <= LONGEST_URL) {
        event.url(&url);
    }
    let mut text = "BEGIN:VEVENT\r\n".to_owned();
    for property in event.properties().values() {
        write_property(&mut text, property);
    }
    text.push_str("END:VEVENT\r\n");
    text
}

/// The same at every revision and in every feed, unique per meeting, and telling nothing of it: the installation's id is
/// random and not public, so the digest can't be guessed from meeting ids either.
fn uid(installation_id: &str, meeting: &MeetingId) -> String {
    let digest = Sha256::new_with_prefix("feed uid\0")
        .chain_update(installation_id)
        .chain_update("\0")
        .chain_update(meeting.as_str())
        .finalize();
    let mut name = HEXLOWER.encode(&digest);
    name.truncate(32);
    name.push_str("@meeting-mirror");
    name
}

/// Percent-encodes what RFC 3986 doesn't allow in an address, as strict readers drop the event or the feed over it.
fn uri(address: &str) -> String {
    let mut text = String::with_capacity(address.len());
    for byte in address.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Writes one content line; every octet that comes from a meeting or a feed's name passes here. Nothing is written when no
/// text is left of a value.
///
/// The crate's own writer is not used. Its folding makes lines of 76 octets, and on certain texts with wide characters
/// before many spaces it panics or never ends; NAME goes out unescaped, so a name could add lines; CR and other control
/// characters pass; a DTSTAMP that is not set becomes "now". Parameters are this file's own constants and need no quotes.
fn write_property(out: &mut String, property: &Property) {
    let is_text = property.key() == "NAME" || property.value_type() == Some(ValueType::Text);
    let value = clean(property.value());
    let value = if is_text { escape(cut(&value, LONGEST_TEXT)) } else { value.replace('\n', "") };
    if value.is_empty() {
        return;
    }
    let mut line = property.key().to_owned();
    for parameter in property.params().values() {
        let _ = write!(line, ";{}={}", parameter.key(), parameter.value());
    }
    line.push(':');
    line.push_str(&value);
    fold(out, &line);
}

/// Every kind of line break becomes `\n`; other control characters but tab, and noncharacters that programs choke on, go.
/// Some programs split lines wherever Unicode would, which is why its line separators are not left alone.
fn clean(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| if matches!(c, '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}') { '\n' } else { c })
        .filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')))
        .collect()
}

/// The first `most` octets or a few less, so that no character is split; "…" tells that there was more.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most)])
}

/// TEXT (RFC 5545 section 3.3.11).
fn escape(text: String) -> String {
    if !text.contains(['\\', ';', ',', '\n']) {
        return text;
    }
    text.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,").replace('\n', "\\n")
}

/// Appends the line in pieces of at most [`LONGEST_LINE`] octets, never inside a character (facts: ICS subscribers 2).
fn fold(out: &mut String, line: &str) {
    let mut room = LONGEST_LINE;
    for c in line.chars() {
        if c.len_utf8() > room {
            out.push_str("\r\n ");
            room = LONGEST_LINE - 1;
        }
        out.push(c);
        room -= c.len_utf8();
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(line: &str) -> String {
        let mut out = String::new();
        fold(&mut out, line);
        out
    }

    #[test]
    fn folding_at_the_edge() {
        assert_eq!(folded(&"a".repeat(75)), format!("{}\r\n", "a".repeat(75)));
        assert_eq!(folded(&"a".repeat(149)), format!("{}\r\n {}\r\n", "a".repeat(75), "a".repeat(74)));
        assert_eq!(folded(&"a".repeat(150)), format!("{}\r\n {}\r\n a\r\n", "a".repeat(75), "a".repeat(74)));
        assert_eq!(folded(&format!("{}é", "a".repeat(74))), format!("{}\r\n é\r\n", "a".repeat(74)));
    }

    #[test]
    fn a_value_can_not_add_a_line() {
        for key in ["NAME", "SUMMARY", "URL", "X-WR-CALNAME"] {
            let mut out = String::new();
            write_property(&mut out, &Property::new(key, "a\r\nMETHOD:PUBLISH\rb\nc\u{2028}d\u{0}"));
            assert_eq!(out.matches(['\r', '\n', '\u{2028}', '\u{0}']).count(), 2, "{out:?}");
        }
    }

    #[test]
    fn a_line_without_a_value_is_not_written() {
        let mut out = String::new();
        write_property(&mut out, &Property::new("LOCATION", "\u{0}\u{feff}"));
        assert_eq!(out, "");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("aéé", 5), "aéé");
        assert_eq!(cut("aéé", 4), "aé…");
    }

    #[test]
    fn addresses_are_ascii() {
        assert_eq!(uri("https://example.com/a|b?c=é#d"), "https://example.com/a%7Cb?c=%C3%A9#d");
    }

    #[test]
    fn uids_differ_by_installation_and_meeting_and_tell_neither() {
        let one = uid("i-1", &MeetingId::new("m-1"));
        assert_eq!(one, uid("i-1", &MeetingId::new("m-1")));
        assert_ne!(one, uid("i-1", &MeetingId::new("m-2")));
        assert_ne!(one, uid("i-2", &MeetingId::new("m-1")));
        assert_eq!(one.len(), 47);
        assert!(!one.contains("m-1") && !one.contains("i-1"));
    }
}
