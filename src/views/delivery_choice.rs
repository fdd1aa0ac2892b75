//! Which deliveries the inbox shows, as it stands in the page's address: read, said in the form's fields and in words, and put
//! into links.

use serde::Deserialize;

use super::time_text::{Times, day};
use super::words::{given, href_but};
use crate::store::{DeliveryFilter, DeliveryStatus};

/// The choice as the address has it; what can't be read counts as not given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct DeliveryChoice {
    /// Where it stands.
    pub(super) status: String,
    /// The sender's word.
    #[serde(rename = "type")]
    pub(super) event_type: String,
    /// Event id or meeting id.
    pub(super) about: String,
    /// Set: arrived more than once.
    pub(super) repeated: String,
    /// First day of arrivals, `YYYY-MM-DD`.
    pub(super) from: String,
    /// Last day of arrivals.
    pub(super) until: String,
    /// The row after which the page begins.
    pub(super) after: String,
}

impl DeliveryChoice {
    /// Where it stands.
    pub(super) fn status(&self) -> Option<DeliveryStatus> {
        DeliveryStatus::from_word(&self.status)
    }

    /// What the database is asked.
    pub(super) fn filter(&self, times: &Times) -> DeliveryFilter {
        let (from, until) = times.days(&self.from, &self.until);
        DeliveryFilter {
            status: self.status(),
            event_type: given(&self.event_type),
            about: given(&self.about),
            repeated: !self.repeated.is_empty(),
            with_body: false,
            from,
            until,
            after: self.after.parse().ok(),
        }
    }

    /// The fields by their names in the address, but for where the page begins.
    pub(super) fn fields(&self) -> [(&'static str, &str); 6] {
        [
            ("status", &self.status),
            ("type", &self.event_type),
            ("about", &self.about),
            ("repeated", &self.repeated),
            ("from", &self.from),
            ("until", &self.until),
        ]
    }

    /// Whether more is chosen than where it stands.
    pub(super) fn is_narrow(&self) -> bool {
        self.fields()[1..].iter().any(|(_, value)| !value.is_empty())
    }

    /// Whether it is what arrived more than once, and nothing else.
    pub(super) fn is_repeated_only(&self) -> bool {
        self.fields().iter().all(|(name, value)| value.is_empty() != (*name == "repeated"))
    }

    /// The address below `path` of the same choice, but for some fields.
    pub(super) fn href(&self, path: &str, but: &[(&str, &str)]) -> String {
        href_but(path, &self.fields(), but)
    }

    /// What it chooses, to stand after "deliveries": "that are quarantined, of type …".
    pub(super) fn words(&self) -> String {
        let mut words = Vec::new();
        if let Some(status) = self.status() {
            words.push(format!("that are {}", status.as_str()));
        }
        for (value, before) in [(&self.event_type, "of type"), (&self.about, "about")] {
            if !value.trim().is_empty() {
                words.push(format!("{before} {}", value.trim()));
            }
        }
        if !self.repeated.is_empty() {
            words.push("that arrived more than once".to_owned());
        }
        for (value, before) in [(&self.from, "arrived from"), (&self.until, "arrived until")] {
            if let Some(day) = day(value) {
                words.push(format!("{before} {}", day.format("%-d %b %Y")));
            }
        }
        words.join(", ")
    }
}
