//! The text of an ICS feed: the head, and one event for each meeting; pure. It must not show more than the detail level
//! allows, must not let "now" into the bytes (an unchanged feed has unchanged bytes), and must not let one meeting's text break
//! the feed.

use std::fmt::Write as _;

use chrono::TimeDelta;
use data_encoding::HEXLOWER;
use icalendar::{Calendar, Component as _, Event, EventLike as _, EventStatus, Property, ValueType};
use sha2::{Digest as _, Sha256};

use crate::meeting::entry::Entry;
use crate::meeting::event::MeetingId;
use crate::meeting::selection::{Detail, ShowAs};
use crate::meeting::state::{Meeting, whole_seconds};
use crate::store::Feed;

/// Most octets in a line without its CRLF (RFC 5545 section 3.1).
pub const LONGEST_LINE: usize = 75;
/// Most octets of one text before escaping; longer ones are cut and end in "…". So no meeting fills a feed by itself.
pub const LONGEST_TEXT: usize = 16 * 1024;
/// Most octets of a URL; a longer one is left out, since a cut address leads nowhere.
const LONGEST_URL: usize = 2048;

/// Everything before the first event. No METHOD (facts: ICS subscribers 6).
pub(super) fn head(name: &str) -> String {
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

/// Everything after the last event.
pub(super) const FOOT: &str = "END:VCALENDAR\r\n";

/// One VEVENT. A meeting that was canceled or taken over says so in its title too, since some programs don't show STATUS;
/// at busy level the title stays "Busy", which tells nothing.
///
/// Every edit of the feed counts like a change of each of its meetings: programs keep what they have unless SEQUENCE and
/// LAST-MODIFIED both rise (facts: ICS subscribers 5).
pub(super) fn event(feed: &Feed, installation_id: &str, meeting: &Meeting) -> String {
    let detail = feed.wish.detail;
    let entry = Entry::of(meeting, detail);
    let starts_at = whole_seconds(entry.starts_at);
    let title =
        if entry.canceled && detail != Detail::Busy { format!("Canceled: {}", entry.title) } else { entry.title };
    let modified_at = meeting.last_modified_at + TimeDelta::seconds(i64::from(feed.edition));
    let mut event = Event::new();
    event
        .uid(&uid(installation_id, &meeting.id))
        .timestamp(modified_at)
        .last_modified(modified_at)
        .created(meeting.first_seen_at)
        // INTEGER is signed (RFC 5545 section 3.3.8).
        .sequence(meeting.revision.saturating_add(feed.edition).min(i32::MAX.unsigned_abs()))
        .starts(starts_at)
        .ends(entry.ends_at.max(starts_at + TimeDelta::seconds(1)))
        .summary(&title)
        .status(if entry.canceled { EventStatus::Cancelled } else { EventStatus::Confirmed })
        .add_property("TRANSP", transp(feed.wish.show_as, entry.canceled));
    if let Some(description) = &entry.description {
        event.description(description);
    }
    if let Some(location) = &entry.location {
        event.location(location);
    }
    if let Some(url) = entry.url.as_deref().map(uri).filter(|url| url.len() <= LONGEST_URL) {
        event.url(&url);
    }
    if let Some(category) = &entry.category {
        event.add_property("CATEGORIES", category);
    }
    let mut text = "BEGIN:VEVENT\r\n".to_owned();
    for property in event.properties().values() {
        write_property(&mut text, property);
    }
    text.push_str("END:VEVENT\r\n");
    text
}

/// What does not take place takes nobody's time.
fn transp(show_as: ShowAs, canceled: bool) -> &'static str {
    match show_as {
        ShowAs::Busy if !canceled => "OPAQUE",
        ShowAs::Busy | ShowAs::Free => "TRANSPARENT",
    }
}

/// The same at every revision and in every feed, unique per meeting, and telling nothing of it: the installation's id is
/// random and not public, so the digest can't be guessed from meeting ids either.
pub fn uid(installation_id: &str, meeting: &MeetingId) -> String {
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
