//! Texts and times out of a payload: lenient in form, strict in meaning.

use std::collections::HashSet;

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};

/// One line: control characters go, line breaks become spaces. `None` when nothing is left.
pub(super) fn line(text: &str) -> Option<String> {
    let text: String =
        text.chars().map(|c| if is_break(c) || c == '\t' { ' ' } else { c }).filter(|c| !is_unwanted(*c)).collect();
    some(text.trim())
}

/// Several lines: control characters go, every kind of line break becomes `\n`. `None` when nothing is left.
pub(super) fn block(text: &str) -> Option<String> {
    let text: String = text
        .replace("\r\n", "\n")
        .chars()
        .map(|c| if is_break(c) { '\n' } else { c })
        .filter(|c| matches!(c, '\n' | '\t') || !is_unwanted(*c))
        .collect();
    some(text.trim())
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Control characters and noncharacters, which neither RFC 5545 text nor XML-minded readers take.
fn is_unwanted(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Addresses in one string, separated by `,` `;` or white space (facts: the separator is open). When any part is an
/// address, parts that are not (names) are dropped. No repetition, order kept.
pub(super) fn addresses(text: &str) -> Vec<String> {
    let mut parts: Vec<&str> = text
        .split(|c: char| matches!(c, ',' | ';') || c.is_whitespace() || c.is_control())
        .map(|part| part.trim_matches(|c| matches!(c, '<' | '>' | '"' | '\'' | '(' | ')')))
        .filter(|part| !part.is_empty())
        .collect();
    if parts.iter().any(|part| part.contains('@')) {
        parts.retain(|part| part.contains('@'));
    }
    let mut known = HashSet::new();
    parts.retain(|part| known.insert(part.to_lowercase()));
    parts.into_iter().map(str::to_owned).collect()
}

/// ISO 8601 date and time with `Z`, an offset or neither (then UTC), with or without seconds and fraction.
/// `None` when it is none of these or outside the years 1970 to 2199.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let upper = text.to_ascii_uppercase().replacen(' ', "T", 1);
    let parsed = DateTime::parse_from_rfc3339(&upper)
        .ok()
        .or_else(|| DateTime::parse_from_str(&upper.replace('Z', "+00:00"), "%Y-%m-%dT%H:%M:%S%.f%#z").ok())
        .or_else(|| DateTime::parse_from_str(&upper.replace('Z', "+00:00"), "%Y-%m-%dT%H:%M%#z").ok())
        .map(|time| time.with_timezone(&Utc))
        .or_else(|| NaiveDateTime::parse_from_str(&upper, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|time| time.and_utc()))
        .or_else(|| NaiveDateTime::parse_from_str(&upper, "%Y-%m-%dT%H:%M").ok().map(|time| time.and_utc()))?;
    // A leap second is the second before it: no calendar shows it.
    let plain = DateTime::from_timestamp(parsed.timestamp(), parsed.timestamp_subsec_nanos().min(999_999_999))?;
    (1970..2200).contains(&plain.year()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_every_accepted_form() {
        let cases = [
            ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00+00:00"),
            ("2026-11-23T15:30:00+05:30", "2026-11-23T10:00:00+00:00"),
            ("2026-11-23T15:30:00+0530", "2026-11-23T10:00:00+00:00"),
            ("2026-11-23T12:00+02", "2026-11-23T10:00:00+00:00"),
            ("2026-11-23T10:00:00.1234567Z", "2026-11-23T10:00:00.123456700+00:00"),
            ("2026-11-23T10:00:00", "2026-11-23T10:00:00+00:00"),
            ("2026-11-23t10:00z", "2026-11-23T10:00:00+00:00"),
            ("2026-11-23 10:00:00.5", "2026-11-23T10:00:00.500+00:00"),
            ("2026-12-31T23:59:60Z", "2026-12-31T23:59:59.999999999+00:00"),
        ];
        for (text, expected) in cases {
            assert_eq!(time(text).map(|t| t.to_rfc3339()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_time() {
        for text in [
            "",
            "tomorrow at noon",
            "2026-11-23",
            "2026-13-01T00:00:00Z",
            "1790000000",
            "9999-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_are_split_leniently() {
        assert_eq!(
            addresses("a@example.com; b@example.com,c@example.com\td@example.com A@EXAMPLE.com"),
            ["a@example.com", "b@example.com", "c@example.com", "d@example.com"]
        );
        assert_eq!(
            addresses("Ann Lee <ann@example.com>; \"Bo\" <bo@example.com>"),
            ["ann@example.com", "bo@example.com"]
        );
        assert_eq!(addresses(" ;, "), Vec::<String>::new());
        assert_eq!(addresses("ann, bo"), ["ann", "bo"]);
    }

    #[test]
    fn a_flood_of_addresses_is_read_in_one_pass() {
        let flood = (0..200_000).map(|number| format!("{number:x}")).collect::<Vec<_>>().join(" ");
        assert_eq!(addresses(&flood).len(), 200_000);
    }

    #[test]
    fn control_characters_go_and_line_breaks_are_one_kind() {
        assert_eq!(line(" a\u{0}b\r\nc\u{2028}d "), Some("ab  c d".into()));
        assert_eq!(block("a\r\nb\rc\u{7}\u{2029}d\n"), Some("a\nb\nc\nd".into()));
        assert_eq!((line("\u{0}\n"), block("")), (None, None));
    }
}
