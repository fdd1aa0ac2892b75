//! What an audit entry says: who changed what, from what to what, and when.

use chrono::{DateTime, Utc};

use super::diff::Change;

/// Who told us of the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An `organization.*` event.
    CirrusInsight,
    /// An action done in this service.
    Admin,
}

impl Source {
    /// The word in the database and in exports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CirrusInsight => "cirrus-insight",
            Self::Admin => "admin",
        }
    }

    /// The source of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::CirrusInsight, Self::Admin].into_iter().find(|source| source.as_str() == word)
    }
}

/// Who did it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// `userId`.
    pub id: Option<String>,
    /// `username`, or how an admin came here.
    pub username: Option<String>,
    /// First and last name.
    pub name: Option<String>,
}

impl Actor {
    /// The way in of what the server did unasked.
    pub const SERVER: &str = "server";

    /// An admin, by the way in: "command line", "admin page", or [`Actor::SERVER`].
    pub fn admin(way: &str) -> Self {
        Self { username: Some(way.to_owned()), ..Self::default() }
    }

    /// Name and username for people.
    pub fn display(&self) -> String {
        match (&self.name, &self.username, &self.id) {
            (Some(name), Some(username), _) => format!("{name} ({username})"),
            (Some(one), None, _) | (None, Some(one), _) | (None, None, Some(one)) => one.clone(),
            (None, None, None) => "not told".to_owned(),
        }
    }
}

/// An entry before it is chained.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Who told us.
    pub source: Source,
    /// The sender's event; none for actions done here.
    pub event_id: Option<String>,
    /// What kind of thing changed.
    pub category: String,
    /// One line for a person.
    pub summary: String,
    /// The organization that changed.
    pub organization_id: Option<String>,
    /// Who did it.
    pub actor: Actor,
    /// Field by field.
    pub changes: Vec<Change>,
    /// When it was done.
    pub happened_at: DateTime<Utc>,
    /// When it was written here; whole milliseconds.
    pub recorded_at: DateTime<Utc>,
    /// The delivery that told it.
    pub inbox_id: Option<i64>,
}
