//! Which entries of the audit log are shown, as it stands in the page's address: read, said in the form's fields, and put into
//! links.

use serde::Deserialize;

use super::time_text::Times;
use super::words::{given, href_but};
use crate::audit::entry::Source;
use crate::store::{AuditFilter, AuditPart};

/// The choice as the address has it; what can't be read counts as not given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AuditChoice {
    /// Words.
    pub(super) q: String,
    /// Words of who did it.
    pub(super) person: String,
    /// What kind of thing changed.
    pub(super) category: String,
    /// Its id.
    pub(super) organization: String,
    /// Who told of it.
    pub(super) source: String,
    /// First day, `YYYY-MM-DD`.
    pub(super) from: String,
    /// Last day.
    pub(super) until: String,
    /// The number before which the page begins.
    pub(super) before: String,
    /// A head that somebody remembers, hexadecimal.
    pub(super) head: Option<String>,
}

impl AuditChoice {
    /// What the database is asked.
    pub(super) fn filter(&self, times: &Times) -> AuditFilter {
        let (from, until) = times.days(&self.from, &self.until);
        AuditFilter {
            text: given(&self.q),
            person: given(&self.person),
            category: given(&self.category),
            organization: given(&self.organization),
            source: Source::from_word(&self.source),
            from,
            until,
        }
    }

    /// The part of the list that the page shows; none = it begins with the newest entry.
    pub(super) fn part(&self) -> Option<AuditPart> {
        self.before.parse().ok().map(AuditPart::Before)
    }

    fn fields(&self) -> [(&'static str, &str); 7] {
        [
            ("q", &self.q),
            ("person", &self.person),
            ("category", &self.category),
            ("organization", &self.organization),
            ("source", &self.source),
            ("from", &self.from),
            ("until", &self.until),
        ]
    }

    /// Whether anything is chosen.
    pub(super) fn is_any(&self) -> bool {
        self.fields().iter().any(|(_, value)| !value.is_empty())
    }

    /// Whether more is chosen than words.
    pub(super) fn is_narrow(&self) -> bool {
        self.fields()[1..].iter().any(|(_, value)| !value.is_empty())
    }

    /// The address below `path` of the same choice, with more.
    pub(super) fn href(&self, path: &str, more: &[(&str, &str)]) -> String {
        href_but(path, &self.fields(), more)
    }
}
