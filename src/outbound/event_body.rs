//! What an event at Google holds: the entry's words inside Google's limits, marked as ours. Pure. Never attendees: nobody
//! is invited or mailed.

use data_encoding::{BASE32HEX_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

use crate::meeting::entry::Entry;
use crate::meeting::event::MeetingId;

/// Longest description, in characters (facts: Google Calendar, Semantics).
const LONGEST_DESCRIPTION: usize = 8192;
/// Longest summary and location, in characters.
const LONGEST_LINE: usize = 1024;
/// Begin of the ids of events that probe.
const PROBE: &str = "mmprobe";

/// An event as it should be at Google.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBody {
    /// Title.
    pub summary: String,
    /// Notes.
    pub description: Option<String>,
    /// Place.
    pub location: Option<String>,
    /// Begin, Unix seconds.
    pub starts_at: i64,
    /// End, Unix seconds.
    pub ends_at: i64,
    /// Whether the time counts as free.
    pub transparent: bool,
    /// Booking page; http or https.
    pub source_url: Option<String>,
    /// The meeting's revision, kept with the event; not part of its content.
    pub revision: u32,
}

impl EventBody {
    /// The body for an entry. A canceled one (only calendars that mark get these) says so and is free.
    pub fn new(entry: &Entry, revision: u32) -> Self {
        let summary = if entry.canceled { format!("Canceled: {}", entry.title) } else { entry.title.clone() };
        Self {
            summary: cut(&summary, LONGEST_LINE),
            description: entry.description.as_deref().map(|text| cut(text, LONGEST_DESCRIPTION)),
            location: entry.location.as_deref().map(|text| cut(text, LONGEST_LINE)),
            starts_at: entry.starts_at.timestamp(),
            ends_at: entry.ends_at.timestamp(),
            transparent: entry.canceled,
            source_url: entry.url.clone(),
            revision,
        }
    }

    /// SHA-256 of the content: two bodies that look the same to people have the same.
    pub fn content_hash(&self) -> [u8; 32] {
        let Self { summary, description, location, starts_at, ends_at, transparent, source_url, revision: _ } = self;
        let content = serde_json::json!([summary, description, location, starts_at, ends_at, transparent, source_url]);
        Sha256::digest(content.to_string()).into()
    }
}

/// The event's id at Google: the same at every try, so that no try can make a second one. Characters a–v and 0–9, 52 long.
pub fn event_id(installation_id: &str, meeting_id: &MeetingId, generation: u32) -> String {
    let digest = Sha256::digest(format!("{installation_id}\n{meeting_id}\n{generation}"));
    BASE32HEX_NOPAD.encode(&digest).to_ascii_lowercase()
}

/// The id of the event that probes whether a calendar can be written.
pub fn probe_id(nonce: [u8; 16]) -> String {
    format!("{PROBE}{}", HEXLOWER.encode(&nonce))
}

/// Whether an id has the form of ours. A copy that a person makes of an event of ours may carry its mark, but has an id of
/// Google's making.
pub fn is_id_of_ours(id: &str) -> bool {
    id.starts_with(PROBE) || id.len() == 52 && id.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'v'))
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn entry(title: &str, canceled: bool) -> Entry {
        let starts_at = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        Entry {
            title: title.into(),
            description: Some("d".repeat(9000)),
            location: None,
            category: None,
            url: None,
            starts_at,
            ends_at: starts_at + chrono::TimeDelta::minutes(30),
            canceled,
        }
    }

    #[test]
    fn long_texts_are_cut_with_an_ellipsis_and_canceled_ones_say_so() {
        let body = EventBody::new(&entry(&"é".repeat(2000), true), 1);
        assert!(body.summary.starts_with("Canceled: é") && body.summary.ends_with('…'));
        assert_eq!((body.summary.chars().count(), body.transparent), (1024, true));
        assert_eq!(body.description.unwrap().chars().count(), 8192);
    }

    #[test]
    fn the_revision_is_not_content() {
        let (one, two) = (EventBody::new(&entry("a", false), 1), EventBody::new(&entry("a", false), 2));
        assert_eq!(one.content_hash(), two.content_hash());
        assert_ne!(one.content_hash(), EventBody::new(&entry("b", false), 1).content_hash());
    }

    #[test]
    fn ids_have_googles_characters_and_differ_by_each_part() {
        let id = |i, m, g| event_id(i, &MeetingId::new(m), g);
        let ids = [id("a", "m", 0), id("b", "m", 0), id("a", "n", 0), id("a", "m", 1), probe_id([255; 16])];
        for (index, one) in ids.iter().enumerate() {
            assert!(one.chars().all(|c| matches!(c, 'a'..='v' | '0'..='9')), "{one}");
            assert!(!ids[..index].contains(one));
        }
        assert_eq!(id("a", "m", 0), id("a", "m", 0));
    }
}
