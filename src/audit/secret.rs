//! Secrets in what the sender tells: which values look like one, so that they are hidden in audit entries and wherever a body
//! is shown. Rather too much is hidden than too little; flags, names of kinds, and numbers whose name says nothing stay.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::diff::Change;
use super::secret_signs::{has_secret_form, holds_a_secret, is_an_id, looks_random, names_a_secret, names_in_text};

/// What stands in place of a value that looks like a secret.
pub const HIDDEN: &str = "[hidden]";

/// Octets of a name that may be a secret; no key is longer.
const LONGEST_NAME: usize = 4096;

/// Values that say something of a secret without telling it.
const HARMLESS: &[&str] = &[
    "",
    "changed",
    "disabled",
    "enabled",
    "false",
    "no",
    "none",
    "null",
    "off",
    "on",
    "optional",
    "required",
    "true",
    "unchanged",
    "yes",
];

/// A name that tells of a secret, and its value, in text that is no JSON.
static ASSIGNED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let names = names_in_text();
    Regex::new(&format!(r#"(?i)([\w-]*(?:{names})[\w-]*"?\s*[:=]\s*)("(?:\\.|[^"\\])*"?|[^\s,;&{{}}\[\]]+)"#)).ok()
});

/// Whether values are secrets at one place of an event's JSON, beside those whose own form says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a sign of its own, and any of them may hold")]
pub struct Secrets {
    /// It is of an organization's configuration: values that look random are taken for keys.
    configuration: bool,
    /// The setting it tells of is a secret by its name.
    setting: bool,
    /// A name on the way here says that what stands below is a secret.
    named: bool,
    /// One says that it is an id.
    id: bool,
}

impl Secrets {
    /// Of the whole body of an event.
    pub fn of_body(body: &Value) -> Self {
        match body.get("eventType").and_then(Value::as_str) {
            Some(event_type) if event_type.starts_with("organization.") => {
                Self::of_organization(body.get("data").unwrap_or(&Value::Null))
            }
            _ => Self::default(),
        }
    }

    /// Of the data of an `organization.*` event.
    pub fn of_organization(data: &Value) -> Self {
        let named = |field: &str| data.get("setting").and_then(|setting| setting.get(field)).and_then(Value::as_str);
        let setting = ["name", "title"].into_iter().filter_map(named).any(names_a_secret);
        Self { configuration: true, setting, ..Self::default() }
    }

    /// Of what stands below this name.
    #[must_use]
    pub fn below(self, name: &str) -> Self {
        let is_value = matches!(name, "value" | "default");
        Self {
            named: self.named || (self.setting && is_value) || names_a_secret(name),
            id: self.id || is_an_id(name),
            ..self
        }
    }

    /// Whether a text that stands here is to be hidden.
    pub fn hide(self, text: &str) -> bool {
        let text = text.trim();
        if HARMLESS.iter().any(|harmless| harmless.eq_ignore_ascii_case(text)) {
            return false;
        }
        self.named
            || has_secret_form(text)
            || (self.configuration && (holds_a_secret(text) || (!self.id && text.split_whitespace().any(looks_random))))
    }

    /// Whether numbers that stand here are to be hidden.
    pub fn hide_numbers(self) -> bool {
        self.named
    }

    /// The change with what looks like a secret hidden in it.
    #[must_use]
    pub fn hidden_in(self, change: Change) -> Change {
        let place = change.field.split('.').fold(self, Self::below);
        Change {
            field: hidden_name(change.field),
            before: place.hidden(change.before),
            after: place.hidden(change.after),
        }
    }

    fn hidden(self, value: Value) -> Value {
        match value {
            Value::String(text) if self.hide(&text) => HIDDEN.into(),
            Value::Number(_) if self.hide_numbers() => HIDDEN.into(),
            Value::Array(items) => items.into_iter().map(|item| self.hidden(item)).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| {
                    let value = self.below(&name).hidden(value);
                    (hidden_name(name), value)
                })
                .collect(),
            value => value,
        }
    }
}

/// A name, unless it is a secret itself.
pub fn hidden_name(name: String) -> String {
    if name.len() <= LONGEST_NAME && has_secret_form(&name) { HIDDEN.to_owned() } else { name }
}

/// Text that is no JSON, with what looks like a secret hidden.
pub fn hidden_in_text(text: &str) -> String {
    let Some(assigned) = &*ASSIGNED else { return HIDDEN.to_owned() };
    let text = assigned.replace_all(text, |found: &regex::Captures<'_>| {
        let value = found[2].trim_matches('"');
        if HARMLESS.iter().any(|harmless| harmless.eq_ignore_ascii_case(value)) {
            found[0].to_owned()
        } else {
            format!("{}{HIDDEN}", &found[1])
        }
    });
    if !has_secret_form(&text) {
        return text.into_owned();
    }
    // Word by word, so that what surrounds it stays readable.
    text.split_inclusive([' ', '\n', '\t', ',', '"'])
        .map(|word| {
            let end = word.trim_end_matches([' ', '\n', '\t', ',', '"']).len();
            if has_secret_form(&word[..end]) { format!("{HIDDEN}{}", &word[end..]) } else { word.to_owned() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_tell_of_secrets_by_their_form() {
        let plain = Secrets::default();
        let configuration = Secrets::of_organization(&Value::Null);
        for text in [
            concat!("-----BEGIN RSA PRIV", "ATE KEY-----\nMIIE…"),
            concat!("eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxIn0.c2ln"),
            concat!("sk_", "live_0123456789abcdef"),
            concat!("whsec", "_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            "Bearer 0123456789abcdef",
            "https://robot:hunter2@example.com/hook",
            "Basic dXNlcjpwYXNzd29yZA==",
        ] {
            assert!(plain.hide(text), "{text}");
        }
        for text in [
            "q7Jf93kd8Lw02nvB6xZs41Tp",
            "the key is q7Jf93kd8Lw02nvB6xZs41Tp",
            "kJdhFgTrYuPwQmZxNbVcLsAeRo",
            "https://example.com/hook?channel=1&access_token=abc",
            "https://example.com/hook?sig=abc",
            "Server=db.example.com;User=ada;Password=hunter2",
            r#"{"user": "ada", "client_secret": "hunter2"}"#,
        ] {
            assert!(configuration.below("value").hide(text), "{text}");
            assert!(!plain.below("location").hide(text), "meetings have long ids and links: {text}");
        }
        for (name, text) in [
            ("webAddress", "https://www.example.com/?ref=author&keyword=tokens"),
            ("logoUrl", "https://cdn.example.com/brand/northwind-2027-0123456789abcdef.png"),
            ("value", "0b80a255-53a1-4945-a932-58ef7777682c"),
            ("value", "AnInternationalCompanyOfManyWords"),
            ("value", "sales-team-emea-2026-spring-q1"),
            ("value", "Smart-Scheduler/Meeting-Reminder-2027/v12"),
            ("value", "Basic authentication, or a bearer token"),
            ("value", "mail01.eu-west-1.compute.example.com"),
            ("userId", "usr_0123456789abcdef01234567"),
            ("value", "15"),
            ("value", "ingrid.solberg@example.com"),
        ] {
            assert!(!configuration.below(name).hide(text), "{text}");
        }
    }

    #[test]
    fn a_setting_that_is_a_secret_hides_its_values_at_every_depth() {
        let secrets = Secrets::of_organization(&json!({"setting": {"name": "SmtpPassword", "title": "Mail server"}}));
        let change = |field: &str, before, after| secrets.hidden_in(Change { field: field.into(), before, after });
        let hidden = change("value", json!("hunter2"), json!(["a", {"b": "c"}, 3, true, null]));
        assert_eq!(
            hidden,
            Change {
                field: "value".into(),
                before: json!(HIDDEN),
                after: json!([HIDDEN, {"b": HIDDEN}, HIDDEN, true, null]),
            }
        );
        let open = change("allowUserOverride", json!(false), json!(true));
        assert_eq!((open.before, open.after), (json!(false), json!(true)));
        let flag = change("credentials", Value::Null, json!("changed"));
        assert_eq!(flag.after, json!("changed"));
        let deep = change("value.smtp", json!({"password": {"now": "x1"}}), Value::Null);
        assert_eq!(deep.before, json!({"password": {"now": HIDDEN}}));
        let key = concat!("sk_", "live_0123456789abcdef");
        let named = change(key, json!({key: 1}), Value::Null);
        assert_eq!((named.field.as_str(), named.before), (HIDDEN, json!({HIDDEN: 1})));
    }

    #[test]
    fn text_that_is_no_json_hides_what_is_assigned() {
        assert_eq!(
            hidden_in_text(r#"{"user":"ada","api_key": "k \" 1", "x":1, password=hunter2&y=2, "token": null"#),
            r#"{"user":"ada","api_key": [hidden], "x":1, password=[hidden]&y=2, "token": null"#
        );
        let key = concat!("sk_", "live_0123456789abcdef");
        assert_eq!(hidden_in_text(&format!("a {key}, b")), "a [hidden], b");
        assert_eq!(hidden_in_text("nothing here: at all"), "nothing here: at all");
    }
}
