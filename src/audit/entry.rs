//! What an audit entry says: who changed what, from what to what, and when.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::diff::{Change, diff};

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
    /// An admin, by the way in: "command line" or "admin page".
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

/// What an `organization.*` event says changed.
#[derive(Debug, Clone, PartialEq)]
pub struct OrganizationChange {
    /// The middle of the event type: `setting`, `profile`, `service_account`, `domains`, or one yet to come.
    pub category: String,
    /// One line for a person.
    pub summary: String,
    /// `modifiedBy`.
    pub actor: Actor,
    /// Field by field.
    pub changes: Vec<Change>,
}

impl OrganizationChange {
    /// Reads the data of an event of type `organization.{category}.changed`. Data of an unknown shape is never refused:
    /// what differs between `previous` and `current` is recorded, whatever it is.
    pub fn new(event_type: &str, data: &Value) -> Self {
        let category = event_type.strip_prefix("organization.").unwrap_or(event_type);
        let category = category.strip_suffix(".changed").unwrap_or(category).to_owned();
        let null = &Value::Null;
        let (previous, current) = (data.get("previous").unwrap_or(null), data.get("current").unwrap_or(null));
        let changes = if previous.is_null() && current.is_null() {
            diff(null, &without_actor(data))
        } else {
            diff(previous, current)
        };
        let actor = actor(data.get("modifiedBy").unwrap_or(null));
        let summary = format!("{}: {}", subject(&category, data), what(&changes));
        Self { category, summary, actor, changes }
    }
}

fn without_actor(data: &Value) -> Value {
    let mut data = data.clone();
    if let Some(map) = data.as_object_mut() {
        map.remove("modifiedBy");
    }
    data
}

fn actor(modified_by: &Value) -> Actor {
    let text = |name: &str| match modified_by.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let names: Vec<String> = [text("firstName"), text("lastName")].into_iter().flatten().collect();
    Actor { id: text("userId"), username: text("username"), name: (!names.is_empty()).then(|| names.join(" ")) }
}

fn subject(category: &str, data: &Value) -> String {
    let named = |pointer: &str| data.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    match category {
        "setting" => {
            let title = named("/setting/title").or_else(|| named("/setting/name")).unwrap_or("without a name");
            format!("Setting “{title}”")
        }
        "profile" => "Company profile".to_owned(),
        "service_account" => match named("/current/name").or_else(|| named("/current/type")) {
            Some(name) => format!("Service account “{name}”"),
            None => "Service account".to_owned(),
        },
        "domains" => "Domains".to_owned(),
        other => other.replace(['_', '.'], " "),
    }
}

/// What changed, in a few words: up to three fields, then how many more.
fn what(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "nothing changed".to_owned();
    }
    let shown: Vec<String> = changes
        .iter()
        .take(3)
        .map(|change| format!("{} {} → {}", change.field, short(&change.before), short(&change.after)))
        .collect();
    let more = changes.len().saturating_sub(3);
    if more == 0 { shown.join("; ") } else { format!("{}; {more} more", shown.join("; ")) }
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => return "none".to_owned(),
        Value::Bool(true) => return "on".to_owned(),
        Value::Bool(false) => return "off".to_owned(),
        Value::String(text) => format!("“{text}”"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(short).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    };
    let cut: String = text.chars().take(80).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_setting_is_named_by_its_title_with_before_and_after() {
        let data = json!({
            "current": {"value": "30", "allowUserOverride": true},
            "previous": {"value": "15", "allowUserOverride": true},
            "setting": {"module": "Scheduler", "name": "Reminder", "title": "Meeting reminder"},
            "modifiedBy": {"userId": 7, "username": "ada@example.com", "firstName": "Ada", "lastName": ""},
        });
        let change = OrganizationChange::new("organization.setting.changed", &data);
        assert_eq!(change.category, "setting");
        assert_eq!(change.summary, "Setting “Meeting reminder”: value “15” → “30”");
        assert_eq!(change.actor.display(), "Ada (ada@example.com)");
    }

    #[test]
    fn an_unknown_category_or_shape_is_still_recorded() {
        let change = OrganizationChange::new("organization.billing_plan.changed", &json!({"plan": "team"}));
        assert_eq!(change.summary, "billing plan: plan none → “team”");
        assert_eq!(change.actor.display(), "not told");
        assert_eq!(OrganizationChange::new("organization.x", &Value::Null).summary, "x: nothing changed");
    }
}
