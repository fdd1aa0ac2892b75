//! JSON set out for reading: its own characters in its own order, with line breaks and indentation added between them.
//! Numbers keep their digits and repeated keys stay, which a reader and writer of values would lose. What looks like a secret
//! is hidden.

use serde_json::Value;

use crate::audit::secret::{HIDDEN, Secrets, hidden_in_text, hidden_name};

/// Deeper levels are not indented further, so that a body can't blow up the page.
const DEEPEST: usize = 12;

/// The bytes as text for people, and whether they are JSON set out for reading. What is no character is shown as one.
pub fn readable(body: &[u8]) -> (String, bool) {
    match std::str::from_utf8(body) {
        Ok(text) if let Ok(value) = serde_json::from_str::<Value>(text) => {
            (set_out(text, Secrets::of_body(&value)), true)
        }
        _ => (visible(&hidden_in_text(&String::from_utf8_lossy(body))), false),
    }
}

/// Control characters as their pictures (U+2400 and up), so that nothing hides.
fn visible(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(c),
            '\u{7f}' => '\u{2421}',
            '\u{80}'..='\u{9f}' => char::REPLACEMENT_CHARACTER,
            _ => c,
        })
        .collect()
}

fn set_out(text: &str, secrets: Secrets) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let hidden = Value::from(HIDDEN).to_string();
    // For each level the place of itself, and of the field that is read.
    let mut places: Vec<(Secrets, Secrets)> = Vec::new();
    let mut rest = text;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(DEEPEST)));
    };
    while let Some(c) = rest.chars().next() {
        let token;
        (token, rest) = rest.split_at(match c {
            '"' => string_end(rest),
            '0'..='9' | '-' => rest.find([',', '}', ']', ' ', '\n', '\r', '\t']).unwrap_or(rest.len()),
            _ => c.len_utf8(),
        });
        let place = places.last().map_or(secrets, |(_, field)| *field);
        match c {
            '"' => {
                let string: String = serde_json::from_str(token).unwrap_or_default();
                let is_name = rest.trim_ascii_start().starts_with(':');
                if is_name && let Some((level, field)) = places.last_mut() {
                    *field = level.below(&string);
                }
                let hide = if is_name { hidden_name(string) == HIDDEN } else { place.hide(&string) };
                out.push_str(if hide { &hidden } else { token });
            }
            '0'..='9' | '-' if place.hide_numbers() => out.push_str(&hidden),
            '{' | '[' => {
                out.push(c);
                rest = rest.trim_ascii_start();
                if let Some(after) = rest.strip_prefix(['}', ']']) {
                    out.push_str(&rest[..1]);
                    rest = after;
                } else {
                    places.push((place, place));
                    line(&mut out, places.len());
                }
            }
            '}' | ']' => {
                places.pop();
                line(&mut out, places.len());
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, places.len());
            }
            ':' => out.push_str(": "),
            _ if c.is_ascii_whitespace() => {}
            _ => out.push_str(token),
        }
    }
    out
}

/// Octets of the string that the text begins with, quotes included.
fn string_end(text: &str) -> usize {
    let mut escaped = true;
    let end = text.bytes().position(|octet| {
        let ends = octet == b'"' && !escaped;
        escaped = octet == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_characters() {
        let body = br#"{"n":1.50, "n":[1,{}, [ ]],"t":"a \" {,:"}"#;
        let expected = "{\n  \"n\": 1.50,\n  \"n\": [\n    1,\n    {},\n    []\n  ],\n  \"t\": \"a \\\" {,:\"\n}";
        assert_eq!(readable(body), (expected.to_owned(), true));
    }

    #[test]
    fn secrets_are_hidden_and_nothing_else() {
        let body = r#"{"eventType":"organization.x","data":{"current":{"pass\u0077ord":"hunter2","a":[{"apiKey":["k\"1",-2]},"open"],"hint":"open"},"password":"unchanged"}}"#;
        let (text, _) = readable(body.as_bytes());
        let flat: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let expected = body.replace("hunter2", HIDDEN).replace("k\\\"1", HIDDEN).replace("-2", "\"[hidden]\"");
        assert_eq!(flat, expected);
        let meeting = br#"{"eventType":"scheduling.x","data":{"emailMeetingId":"AAMkAGI2THVSAAA0123456789abcdef"}}"#;
        assert!(!readable(meeting).0.contains(HIDDEN));
        assert_eq!(readable(b"password=hunter2").0, "password=[hidden]");
    }

    #[test]
    fn anything_else_stays_text_and_hides_nothing() {
        assert_eq!(readable(b"<b>\0\x1b[31m\xff"), ("<b>\u{2400}\u{241b}[31m\u{fffd}".to_owned(), false));
        assert_eq!(readable(b""), (String::new(), false));
        assert!(!readable(b"{\"a\":").1);
    }

    #[test]
    fn a_deep_body_does_not_blow_up() {
        let body = [b"[".repeat(100), b"1,".repeat(10_000), b"1".to_vec(), b"]".repeat(100)].concat();
        let (text, pretty) = readable(&body);
        assert!(pretty && text.len() < body.len() * 20, "{}", text.len());
        assert!(!readable(&b"[".repeat(100_000)).1);
    }
}
