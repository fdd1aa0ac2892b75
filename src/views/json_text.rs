//! JSON set out for reading: its own characters in its own order, with line breaks and indentation added between them.
//! Numbers keep their digits and repeated keys stay, which a reader and writer of values would lose.

use serde_json::Value;

/// Deeper levels are not indented further, so that a body can't blow up the page.
const DEEPEST: usize = 12;

/// The bytes as text for a page, and whether they are JSON set out for reading. What is no character is shown as one.
pub(super) fn readable(body: &[u8]) -> (String, bool) {
    match std::str::from_utf8(body) {
        Ok(text) if serde_json::from_str::<Value>(text).is_ok() => (set_out(text), true),
        _ => (visible(&String::from_utf8_lossy(body)), false),
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

fn set_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0usize;
    let mut chars = text.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(DEEPEST)));
    };
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.push(c);
                while let Some(inner) = chars.next() {
                    out.push(inner);
                    match inner {
                        '\\' => out.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ if c.is_ascii_whitespace() => {}
            _ => out.push(c),
        }
    }
    out
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
