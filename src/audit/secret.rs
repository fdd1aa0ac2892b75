//! Secrets in what the sender tells: which values look like one, so that they are hidden in audit entries and wherever a body
//! is shown. Rather too much is hidden than too little; numbers, flags and names of kinds stay.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};
use serde_json::Value;

use super::diff::Change;

/// What stands in place of a value that looks like a secret.
pub const HIDDEN: &str = "[hidden]";

/// Parts of a name that say its value is a secret.
const SECRET: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "credential",
    "authorization",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "connectionstring",
];

/// Words of a name that say its value is about a secret, not one.
const ABOUT: &[&str] = &[
    "age",
    "algorithm",
    "allow",
    "allowed",
    "count",
    "days",
    "enabled",
    "endpoint",
    "expiration",
    "expires",
    "expiry",
    "hours",
    "id",
    "length",
    "lifetime",
    "max",
    "min",
    "minutes",
    "policy",
    "required",
    "seconds",
    "timeout",
    "type",
    "uri",
    "url",
];

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

/// Secrets that show by their form.
static FORMS: LazyLock<RegexSet> = LazyLock::new(|| {
    let forms = [
        r"-----BEGIN [A-Z ]*PRIVATE KEY",
        r"\beyJ[\w-]{8,}\.[\w-]{8,}\.",
        r"\b[spr]k_(live|test)_[[:alnum:]]{8,}",
        r"\bwhsec_[[:alnum:]+/=]{8,}",
        r"\bgh[pousr]_[[:alnum:]]{20,}",
        r"\bxox[abeprs]-[[:alnum:]-]{10,}",
        r"\bAKIA[0-9A-Z]{16}\b",
        r"\bAIza[\w-]{30,}",
        r"\bya29\.[\w-]{10,}",
        r"\bGOCSPX-[\w-]{10,}",
        r"\b1//[\w-]{20,}",
        r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{12,}",
        r"://[^/\s:@]*:[^/\s:@]+@",
    ];
    RegexSet::new(forms).unwrap_or_else(|_| RegexSet::empty())
});

/// A name that tells of a secret, and its value, in text that is no JSON.
static ASSIGNED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let names = SECRET.join("|").replace("key|", "[_-]?key|");
    Regex::new(&format!(r#"(?i)([\w-]*(?:{names})[\w-]*"?\s*[:=]\s*)("(?:\\.|[^"\\])*"?|[^\s,;&{{}}\[\]]+)"#)).ok()
});

/// Where in an event's JSON values are secrets, beside those whose own name or form says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Secrets {
    /// It tells of an organization's configuration: values that look random are taken for keys.
    configuration: bool,
    /// The setting it tells of is a secret by its name.
    setting: bool,
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
        Self { configuration: true, setting: ["name", "title"].into_iter().filter_map(named).any(names_a_secret) }
    }

    /// Whether a text is to be hidden that stands under these names, from the outermost to its own.
    pub fn hide(self, names: &[impl AsRef<str>], text: &str) -> bool {
        let text = text.trim();
        if HARMLESS.iter().any(|harmless| harmless.eq_ignore_ascii_case(text)) {
            return false;
        }
        let is_value = |name: &str| matches!(name, "value" | "default");
        names.iter().any(|name| names_a_secret(name.as_ref()) || (self.setting && is_value(name.as_ref())))
            || FORMS.is_match(text)
            || (self.configuration && !names.iter().any(|name| is_an_id(name.as_ref())) && looks_random(text))
    }

    /// The change with what looks like a secret hidden in it.
    #[must_use]
    pub fn hidden_in(self, change: Change) -> Change {
        let mut names: Vec<String> = change.field.split('.').map(str::to_owned).collect();
        let Change { field, mut before, mut after } = change;
        self.hide_in(&mut names, &mut before);
        self.hide_in(&mut names, &mut after);
        Change { field, before, after }
    }

    fn hide_in(self, names: &mut Vec<String>, value: &mut Value) {
        match value {
            Value::String(text) if self.hide(names, text) => HIDDEN.clone_into(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_in(names, item)),
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    names.push(name.clone());
                    self.hide_in(names, value);
                    names.pop();
                }
            }
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }
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
    if !FORMS.is_match(&text) {
        return text.into_owned();
    }
    // Word by word, so that what surrounds it stays readable.
    text.split_inclusive([' ', '\n', '\t', ',', '"'])
        .map(|word| {
            let end = word.trim_end_matches([' ', '\n', '\t', ',', '"']).len();
            if FORMS.is_match(&word[..end]) { format!("{HIDDEN}{}", &word[end..]) } else { word.to_owned() }
        })
        .collect()
}

/// Whether a name says that its value is a secret.
fn names_a_secret(name: &str) -> bool {
    let words = words(name);
    let joined = words.concat();
    (SECRET.iter().any(|part| joined.contains(part)) || words.iter().any(|word| word == "pin"))
        && !words.iter().any(|word| ABOUT.contains(&word.as_str()))
}

/// Names like `userId` and `organizationGuid`.
fn is_an_id(name: &str) -> bool {
    words(name).last().is_some_and(|word| matches!(word.as_str(), "id" | "guid" | "uuid"))
}

/// The words of a name in camel case, with underscores, or as people write it; in lower case.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut fresh = true;
    let mut chars = name.chars().peekable();
    let mut before_was_lower = false;
    while let Some(c) = chars.next() {
        if !c.is_alphanumeric() {
            fresh = true;
            continue;
        }
        let next_is_lower = chars.peek().is_some_and(|next| next.is_lowercase());
        // A word begins at `Key` of `apiKey`, and at `Key` of `APIKey`.
        if c.is_uppercase() && (before_was_lower || (next_is_lower && !fresh)) {
            fresh = true;
        }
        if fresh {
            words.push(String::new());
            fresh = false;
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
        before_was_lower = c.is_lowercase() || c.is_numeric();
    }
    words
}

/// One long word of letters and digits that nobody would make up, other than a UUID.
fn looks_random(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '_' | '-');
    if text.len() < 24 || !text.chars().all(fits) || is_uuid(text) {
        return false;
    }
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let letters = text.chars().filter(char::is_ascii_alphabetic).count();
    digits * 12 >= text.len() && letters > 0
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_tell_of_secrets() {
        for name in [
            "password",
            "smtpPassword",
            "SMTP password",
            "client_secret",
            "clientSecret",
            "apiKey",
            "API key",
            "X-API-Key",
            "APIKey",
            "refresh_token",
            "privateKey",
            "credentials",
            "Dial-in PIN",
            "webhookSigningKey",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in [
            "title",
            "Meeting reminder",
            "passwordPolicy",
            "tokenLifetimeMinutes",
            "Token lifetime",
            "tokenUrl",
            "keyboard",
            "credentialType",
            "Allow password reset",
            "pinnedMeetings",
            "opinion",
            "monkey",
            "companyName",
        ] {
            assert!(!names_a_secret(name), "{name}");
        }
    }

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
        ] {
            assert!(plain.hide(&["value"], text), "{text}");
        }
        let random = "q7Jf93kd8Lw02nvB6xZs41Tp";
        assert!(configuration.hide(&["value"], random));
        assert!(!plain.hide(&["emailMeetingId"], random), "meetings have long ids");
        for (name, text) in [
            ("webAddress", "https://www.example.com"),
            ("logoUrl", "https://cdn.example.com/brand/northwind-2027-0123456789abcdef.png"),
            ("value", "0b80a255-53a1-4945-a932-58ef7777682c"),
            ("value", "AnInternationalCompanyOfManyWords"),
            ("userId", "usr_0123456789abcdef01234567"),
            ("value", "15"),
            ("value", "ingrid.solberg@example.com"),
        ] {
            assert!(!configuration.hide(&[name], text), "{text}");
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
                after: json!([HIDDEN, {"b": HIDDEN}, 3, true, null]),
            }
        );
        let open = change("allowUserOverride", json!(false), json!(true));
        assert_eq!((open.before, open.after), (json!(false), json!(true)));
        let flag = change("credentials", Value::Null, json!("changed"));
        assert_eq!(flag.after, json!("changed"));
        let deep = change("value.smtp", json!({"password": {"now": "x1"}}), Value::Null);
        assert_eq!(deep.before, json!({"password": {"now": HIDDEN}}));
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
