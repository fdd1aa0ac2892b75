//! What tells that a value is a secret: its name, its form, or that nobody would make it up. Guesses, all of them; where they
//! apply is decided in `secret`.

use std::sync::LazyLock;

use regex::RegexSet;

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
    "sharedkey",
    "masterkey",
    "accountkey",
    "licensekey",
    "connectionstring",
];

/// The same, where it is the last word of a name.
const SECRET_AT_THE_END: &[&str] = &["bearer", "cookie", "jwt", "otp", "pass", "pin", "psk"];

/// Words after that, which say that the value is about a secret, not one.
const ABOUT: &[&str] = &[
    "age",
    "algorithm",
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
    "minutes",
    "policy",
    "required",
    "reset",
    "seconds",
    "timeout",
    "type",
    "uri",
    "url",
];

/// Words that say the same as the first one of a name.
const ASKS: &[&str] = &["allow", "enable", "max", "min", "require", "required"];

/// Secrets that show by their form. ASCII only: that is much faster in long texts.
static FORMS: LazyLock<RegexSet> = LazyLock::new(|| {
    let forms = [
        r"-----BEGIN [A-Z ]*PRIVATE KEY",
        r"(?-u:\b)eyJ[[:word:]-]{8,}\.[[:word:]-]{8,}\.",
        r"(?-u:\b)[spr]k_(live|test)_[[:alnum:]]{8,}",
        r"(?-u:\b)whsec_[[:alnum:]+/=]{8,}",
        r"(?-u:\b)gh[pousr]_[[:alnum:]]{20,}",
        r"(?-u:\b)xox[abeprs]-[[:alnum:]-]{10,}",
        r"(?-u:\b)AKIA[0-9A-Z]{16}(?-u:\b)",
        r"(?-u:\b)AIza[[:word:]-]{30,}",
        r"(?-u:\b)ya29\.[[:word:]-]{10,}",
        r"(?-u:\b)GOCSPX-[[:word:]-]{10,}",
        r"(?-u:\b)1//[[:word:]-]{20,}",
        r"(?-u:\b)github_pat_[[:word:]]{20,}",
        r"(?-u:\b)glpat-[[:word:]-]{16,}",
        r"(?-u:\b)sk-[[:word:]-]{20,}",
        r"(?-u:\b)SG\.[[:word:]-]{16,}\.[[:word:]-]{16,}",
        r"(?-u:\b)hooks\.slack\.com/[[:word:]]+/\S{16,}",
        // Not "basic authentication".
        r"(?i:(?-u:\b)(bearer|basic))\s+[[:word:].~+/-]*([0-9=]|[a-z][A-Z])[[:word:].~+/=-]{4,}",
        r"://[^/\s:@]*:[^/\s@]+@",
    ];
    RegexSet::new(forms).unwrap_or_else(|_| RegexSet::empty())
});

/// A secret inside of a value of the configuration: `Password=…`, `?token=…`, or JSON in a text.
static WITHIN: LazyLock<RegexSet> = LazyLock::new(|| {
    let assigned = format!(r#"(?i)(?:{names})[\w-]*(?:=|"\s*:\s*"?)[^\s&;,"]"#, names = names_in_text());
    RegexSet::new([&assigned, r"(?i)[?&;](?:auth|code|hmac|jwt|key|pass|sig|signature)=[^\s&;]"])
        .unwrap_or_else(|_| RegexSet::empty())
});

/// The names of secrets, for a pattern in text.
pub(super) fn names_in_text() -> String {
    SECRET.join("|").replace("key|", "[_-]?key|")
}

/// Whether a text is a secret by its form.
pub(super) fn has_secret_form(text: &str) -> bool {
    FORMS.is_match(text)
}

/// Whether a value of the configuration has a secret in it.
pub(super) fn holds_a_secret(text: &str) -> bool {
    WITHIN.is_match(text)
}

/// Whether a name says that its value is a secret.
pub(super) fn names_a_secret(name: &str) -> bool {
    let words = words(name);
    let joined = words.concat();
    if words.last().is_some_and(|last| SECRET_AT_THE_END.contains(&last.as_str())) {
        return true;
    }
    let ends = SECRET.iter().filter_map(|part| joined.rfind(part).map(|at| at + part.len()));
    let Some(end) = ends.max() else { return false };
    let mut at = 0;
    let mut after = words.iter().filter(|word| {
        at += word.len();
        at - word.len() >= end
    });
    !after.any(|word| ABOUT.contains(&word.as_str()))
        && !words.first().is_some_and(|first| ASKS.contains(&first.as_str()))
}

/// Names like `userId` and `organizationGuid`.
pub(super) fn is_an_id(name: &str) -> bool {
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

/// One long word of letters, digits and signs that nobody would make up, other than a UUID.
pub(super) fn looks_random(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '_' | '-');
    if text.len() < 24 || !text.chars().all(fits) || is_uuid(text) || is_made_of_words(text) {
        return false;
    }
    let kind = |c: u8| (c.is_ascii_digit(), c.is_ascii_uppercase(), c.is_ascii_lowercase());
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let turns = text.as_bytes().windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count();
    // Words in camel case turn at most at every third letter or so.
    text.bytes().any(|c| c.is_ascii_alphabetic()) && (digits * 12 >= text.len() || turns * 2 >= text.len())
}

/// Words and numbers with signs between them, as in `sales-team-emea-2026-q1`.
fn is_made_of_words(text: &str) -> bool {
    text.split(['-', '_', '/']).all(|part| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        part.len() <= 3 || (digits == 0 && part.len() <= 12) || (digits == part.len() && digits <= 8)
    })
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "endpointSecret",
            "idToken",
            "clientIdAndSecret",
            "smtpPass",
            "pass\u{200b}word",
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
            "apiKeyId",
            "maxTokens",
            "bypassApproval",
            "Allow password reset",
            "pinnedMeetings",
            "opinion",
            "monkey",
            "companyName",
        ] {
            assert!(!names_a_secret(name), "{name}");
        }
    }
}
