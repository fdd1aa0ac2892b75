//! An organization's change in one line that a person reads at once.

use serde_json::Value;

use super::diff::Change;
use super::secret::{HIDDEN, Secrets};
use super::secret_signs::words;

/// Changes that are told; more are counted.
const TOLD: usize = 3;
/// Items of a list that are told; more are counted.
const ITEMS: usize = 5;
/// Characters of a value that are told.
const LONGEST: usize = 80;

/// One line on the changes that an event of this category told. Secrets are hidden in them already.
pub(super) fn of(category: &str, data: &Value, changes: &[Change]) -> String {
    let subject = spoken(category);
    let told = match category {
        "setting" => setting(data, changes),
        "profile" => profile(changes),
        "service_account" => service_account(data, changes),
        "domains" => domains(changes),
        _ => None,
    };
    told.unwrap_or_else(|| {
        let kind = if category.is_empty() { "organization" } else { &subject };
        let name = name_beside(data).map(|name| format!(" “{name}”")).unwrap_or_default();
        other(&format!("{kind}{name}"), changes)
    })
}

/// The name of what an event of a kind yet to come is about, when that stands beside what changed, as with settings.
fn name_beside(data: &Value) -> Option<String> {
    let fields = data.as_object().filter(|_| is_there(data, "current") || is_there(data, "previous"))?;
    let mut beside = fields.keys().filter(|field| !["current", "previous", "modifiedBy"].contains(&field.as_str()));
    beside.find_map(|field| name(data, &format!("/{field}/title")).or_else(|| name(data, &format!("/{field}/name"))))
}

/// A name in the event's data, unless it looks like a secret.
fn name(data: &Value, pointer: &str) -> Option<String> {
    let text = data.pointer(pointer).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())?;
    let is_secret = Secrets::of_organization(data).hide(text);
    Some(if is_secret { HIDDEN.to_owned() } else { cut(text) })
}

/// `None` when it is not of the shape that is known.
fn setting(data: &Value, changes: &[Change]) -> Option<String> {
    let title = name(data, "/setting/title").or_else(|| name(data, "/setting/name"))?;
    let title = format!("“{title}”");
    if changes.is_empty() {
        return Some(format!("Saved {title} without a change"));
    }
    let mut changes: Vec<&Change> = changes.iter().collect();
    changes.sort_by_key(|change| change.field != "value");
    Some(joined(changes.into_iter().enumerate().map(|(place, change)| {
        let it = if place == 0 { title.as_str() } else { "it" };
        match (change.field.as_str(), switched(change)) {
            ("allowUserOverride", Some(true)) => format!("Allowed users to override {it}"),
            ("allowUserOverride", Some(false)) => format!("Stopped users from overriding {it}"),
            ("value", _) => one(it, change),
            (field, _) => {
                one(&format!("{} of {it}", field_words(field.strip_prefix("value.").unwrap_or(field))), change)
            }
        }
    })))
}

fn profile(changes: &[Change]) -> Option<String> {
    (!changes.is_empty()).then(|| joined(changes.iter().map(|change| one(&field_words(&change.field), change))))
}

fn service_account(data: &Value, changes: &[Change]) -> Option<String> {
    let (existed, exists) = (is_there(data, "previous"), is_there(data, "current"));
    let side = if exists { "/current" } else { "/previous" };
    let kind = name(data, &format!("{side}/type")).map(|kind| format!("{kind} ")).unwrap_or_default();
    let name = name(data, &format!("{side}/name")).map(|name| format!(" “{name}”")).unwrap_or_default();
    let account = format!("{kind}service account{name}");
    match (existed, exists) {
        (false, true) => return Some(format!("Added {account}")),
        (true, false) => return Some(format!("Removed {account}")),
        (false, false) => return None,
        (true, true) if changes.is_empty() => return Some(format!("Saved {account} without a change")),
        (true, true) => {}
    }
    Some(joined(changes.iter().enumerate().map(|(place, change)| {
        let (it, its) = if place == 0 { (account.as_str(), "") } else { ("it", "its ") };
        let of_it = if place == 0 { format!(" of {account}") } else { String::new() };
        match change.field.as_str() {
            "credentials" => format!("Changed {its}credentials{of_it}"),
            "domains" => list("domain", &format!(" {{}} {it}"), change).unwrap_or_else(|| one("domains", change)),
            field => one(&format!("{its}{}{of_it}", field_words(field)), change),
        }
    })))
}

fn is_there(data: &Value, side: &str) -> bool {
    data.get(side).is_some_and(|side| !side.is_null())
}

fn domains(changes: &[Change]) -> Option<String> {
    match changes {
        [] => Some("Saved the domains without a change".to_owned()),
        [change] if change.field == "value" => list("domain", "", change),
        _ => None,
    }
}

fn other(subject: &str, changes: &[Change]) -> String {
    if changes.is_empty() {
        return capitalized(&format!("{subject}: nothing changed"));
    }
    let told = joined(changes.iter().map(|change| uncapitalized(&one(&field_words(&change.field), change))));
    capitalized(&format!("{subject}: {told}"))
}

/// What became of one thing.
fn one(subject: &str, change: &Change) -> String {
    if change.of_list().is_some()
        && let Some(told) = list("", &format!(" {{}} {subject}"), change)
    {
        return told;
    }
    let is_secret = |value: &Value| value.to_string().contains(HIDDEN);
    match (switched(change), &change.before, &change.after) {
        (Some(true), _, _) => format!("Turned on {subject}"),
        (Some(false), _, _) => format!("Turned off {subject}"),
        (None, before, after) if is_secret(before) || is_secret(after) => format!("Changed {subject} (not shown)"),
        (None, before, after) if is_empty(before) => format!("Set {subject} to {}", short(after)),
        (None, before, after) if is_empty(after) => format!("Cleared {subject} (was {})", short(before)),
        (None, before, after) => format!("Changed {subject} from {} to {}", short(before), short(after)),
    }
}

/// What was added to a list and removed from it. `{}` in `place` becomes "to" or "from".
fn list(noun: &str, place: &str, change: &Change) -> Option<String> {
    let told = change.of_list()?;
    let part = |verb: &str, preposition: &str, items: &[&Value]| {
        let plural = if items.len() == 1 || noun.is_empty() { "" } else { "s" };
        let space = if noun.is_empty() { "" } else { " " };
        let shown: Vec<String> = items.iter().take(ITEMS).map(|item| bare(item)).collect();
        let more = items.len().saturating_sub(ITEMS);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("{verb} {noun}{plural}{space}{}{more}{}", shown.join(", "), place.replace("{}", preposition))
    };
    Some(match (told.added.as_slice(), told.removed.as_slice()) {
        ([], []) => {
            let what = if place.is_empty() { format!("{noun}s") } else { place.replace("{}", "").trim().to_owned() };
            format!("Changed the order of {what}")
        }
        (added, []) => part("Added", "to", added),
        ([], removed) => part("Removed", "from", removed),
        (added, removed) => format!("{}; {}", part("Added", "to", added), part("removed", "from", removed)),
    })
}

/// Whether a switch was turned on or off; the sender tells flags as such or as words.
fn switched(change: &Change) -> Option<bool> {
    let flag = |value: &Value| match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let after = flag(&change.after)?;
    (is_empty(&change.before) || flag(&change.before).is_some()).then_some(after)
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// Up to three parts, then how many more; the first one begins the sentence.
fn joined(parts: impl ExactSizeIterator<Item = String>) -> String {
    let more = parts.len().saturating_sub(TOLD);
    let told: Vec<String> = parts
        .take(TOLD)
        .enumerate()
        .map(|(place, part)| if place == 0 { part } else { uncapitalized(&part) })
        .collect();
    let more = if more == 0 { String::new() } else { format!("; {more} more") };
    format!("{}{more}", told.join("; "))
}

/// A value as it stands in a sentence.
fn short(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        Value::String(text) => format!("“{}”", cut(text)),
        other => cut(&other.to_string()),
    }
}

/// An item of a list: without quotes when it is one word.
fn bare(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains([' ', ',', ';']) => cut(text),
        other => short(other),
    }
}

fn cut(text: &str) -> String {
    let cut: String = text.chars().take(LONGEST).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

/// The words of a field: `companyName` is "company name". A path stays as it is.
fn field_words(field: &str) -> String {
    if field.contains('.') { cut(field) } else { spoken(field) }
}

fn spoken(name: &str) -> String {
    let words: Vec<String> = words(name)
        .into_iter()
        .map(|word| if word == "url" || word == "id" { word.to_uppercase() } else { word })
        .collect();
    if words.is_empty() { cut(name) } else { cut(&words.join(" ")) }
}

fn uncapitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::organization::OrganizationChange;
    use std::fmt::Write as _;

    use serde_json::{Value, json};

    /// Summary and changes of each event, as they would stand in the log.
    fn told(events: &[(&str, Value)]) -> String {
        let mut told = String::new();
        for (category, data) in events {
            let change = OrganizationChange::new(&format!("organization.{category}.changed"), data);
            writeln!(told, "{}", change.summary).unwrap();
            for change in change.changes {
                writeln!(told, "    {}: {} → {}", change.field, change.before, change.after).unwrap();
            }
        }
        told
    }

    fn fixture(name: &str) -> (&str, Value) {
        let path = format!("{}/fixtures/webhooks/organization.{name}.changed.json", env!("CARGO_MANIFEST_DIR"));
        let mut body: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        (name, body["data"].take())
    }

    #[test]
    fn settings() {
        let setting = |previous: Value, current: Value| {
            let named = json!({"module": "Smart Scheduler", "name": "MeetingReminder", "title": "Meeting reminder"});
            ("setting", json!({"current": current, "previous": previous, "setting": named}))
        };
        let password = json!({"name": "SmtpPassword", "title": "SMTP password"});
        let told = told(&[
            fixture("setting"),
            setting(json!({"allowUserOverride": false}), json!({"allowUserOverride": true})),
            setting(json!({"value": "15"}), json!({"value": "30"})),
            setting(json!({"value": false}), json!({"value": true})),
            setting(json!({"value": "true"}), json!({"value": "false"})),
            setting(json!({"value": "15"}), json!({"value": null})),
            setting(json!({"value": null}), json!({"value": "a text with spaces"})),
            setting(json!({"value": ["a", "b"]}), json!({"value": ["b", "c d"]})),
            setting(json!({"value": ["a", "b"]}), json!({"value": ["b", "a"]})),
            setting(
                json!({"value": {"mail": {"on": true, "minutes": 5}}}),
                json!({"value": {"mail": {"on": false, "minutes": 5}}}),
            ),
            setting(json!({"value": "15"}), json!({"value": "15"})),
            setting(Value::Null, json!({"value": "on", "allowUserOverride": true})),
            ("setting", json!({"current": {"value": "new"}, "previous": {"value": "old"}, "setting": password})),
            ("setting", json!({"current": {"value": 1}, "previous": {"value": 2}})),
        ]);
        insta::assert_snapshot!(told);
    }

    #[test]
    fn profiles_accounts_and_domains() {
        let account = |name: &str| json!({"type": "Google", "name": name, "domains": ["example.com"]});
        let with = |mut account: Value, field: &str, value: Value| {
            account[field] = value;
            account
        };
        let robot = account("robot@example.com");
        let domains = |previous: Value, current: Value| {
            ("domains", json!({"current": {"value": current}, "previous": {"value": previous}}))
        };
        let many: Vec<String> = (1..=9).map(|number| format!("d{number}.example.org")).collect();
        let told = told(&[
            fixture("profile"),
            ("profile", json!({"current": {"logoUrl": ""}, "previous": {"logoUrl": "https://example.com/logo.png"}})),
            fixture("service_account"),
            (
                "service_account",
                json!({"current": with(robot.clone(), "credentials", json!("changed")), "previous": robot}),
            ),
            (
                "service_account",
                json!({"current": with(robot.clone(), "credentials", json!("unchanged")), "previous": robot}),
            ),
            (
                "service_account",
                json!({"current": with(robot.clone(), "domains", json!(["example.com", "example.org"])), "previous": robot}),
            ),
            ("service_account", json!({"current": robot, "previous": null})),
            ("service_account", json!({"current": null, "previous": robot})),
            ("service_account", json!({"current": with(robot.clone(), "privateKey", json!("abc")), "previous": robot})),
            fixture("domains"),
            domains(json!(["example.com", "example.org"]), json!(["example.com"])),
            domains(json!(["example.com"]), json!(["example.net"])),
            domains(json!(["example.com", "example.org"]), json!(["example.org", "example.com"])),
            domains(json!([]), json!(many)),
            domains(json!(["example.com"]), json!(["example.com"])),
        ]);
        insta::assert_snapshot!(told);
    }

    #[test]
    fn events_yet_to_come_and_shapes_nobody_knows() {
        let told = told(&[
            ("billing_plan", json!({"plan": "team", "modifiedBy": {"userId": "7"}})),
            (
                "billing_plan",
                json!({"current": {"plan": "team", "seats": 12}, "previous": {"plan": "solo", "seats": 1}}),
            ),
            (
                "user.created",
                json!({"user": {"email": "ada@example.com", "roles": ["admin"], "temporaryPassword": "x-x-x"}}),
            ),
            (
                "team",
                json!({"team": {"id": 7, "name": "Sales"}, "current": {"seats": 12}, "previous": {"seats": 1}, "modifiedBy": {"name": "Ada"}}),
            ),
            ("x", Value::Null),
            ("x", json!([1, {"a": 2}])),
            ("x", json!("text")),
            ("setting", json!({"current": "text", "previous": {"value": 1}, "setting": "no object"})),
            ("domains", json!({"current": ["a"], "previous": {"value": ["a"]}})),
            ("profile", json!({"current": {"a": 1, "b": 2, "c": 3, "d": 4, "e": {"f": [1]}}, "previous": {}})),
            ("", json!({"current": {"": {"": "x"}}, "previous": null})),
            ("x", json!({"current": {"text": "long ".repeat(100)}, "previous": {"text": "„ünïcode“"}})),
        ]);
        insta::assert_snapshot!(told);
    }
}
