//! From a feed's bytes to its content lines (RFC 5545 section 3.1), saying what is wrong with the bytes on the way. It must
//! not judge what the lines say.

use std::borrow::Cow;

use super::{FOLDING, FORM, Findings};
use crate::views::feed::text::LONGEST_LINE;

/// A content line, unfolded.
pub(super) struct Line<'a> {
    /// Line as an editor counts, from 1; of its first piece.
    pub(super) number: usize,
    /// Upper case.
    pub(super) name: String,
    /// Names in upper case, values without quotes.
    pub(super) parameters: Vec<(String, String)>,
    /// As written.
    pub(super) value: Cow<'a, str>,
}

impl Line<'_> {
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.name == name && self.value.eq_ignore_ascii_case(value)
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Checks the lines as bytes and unfolds them (RFC 5545 section 3.1).
pub(super) fn content_lines<'a>(bytes: &'a [u8], found: &mut Findings) -> Vec<Line<'a>> {
    let mut unfolded: Vec<(usize, Cow<'a, [u8]>)> = Vec::new();
    let mut rest = bytes;
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let (line, after, ended) = match rest.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&rest[..at], &rest[at + 1..], true),
            None => (rest, &rest[rest.len()..], false),
        };
        rest = after;
        let whole = line.strip_suffix(b"\r").filter(|_| ended);
        if !ended {
            found.add(number, FORM, "the last line has no CRLF");
        } else if whole.is_none() {
            found.add(number, FORM, "the line ends in LF without CR");
        }
        let line = whole.unwrap_or(line);
        check_octets(number, line, found);
        match (line.first(), unfolded.last_mut()) {
            (Some(b' ' | b'\t'), Some((_, before))) => before.to_mut().extend_from_slice(&line[1..]),
            _ => unfolded.push((number, Cow::Borrowed(line))),
        }
    }
    unfolded.into_iter().filter_map(|(number, line)| content_line(number, line, found)).collect()
}

fn check_octets(number: usize, line: &[u8], found: &mut Findings) {
    if line.len() > LONGEST_LINE {
        found.add(number, FOLDING, format!("more than {LONGEST_LINE} octets"));
    }
    if std::str::from_utf8(line).is_err() {
        found.add(number, FOLDING, "not UTF-8 by itself: folded inside a character, or in another encoding");
    }
    if line.contains(&b'\r') {
        found.add(number, FORM, "CR without LF");
    }
    if let Some(byte) = line.iter().find(|byte| byte.is_ascii_control() && !matches!(**byte, b'\t' | b'\r')) {
        found.add(number, FORM, format!("control character {byte:#04x}"));
    }
}

/// Name, parameters and value; a colon inside a quoted parameter does not end the name.
fn content_line<'a>(number: usize, line: Cow<'a, [u8]>, found: &mut Findings) -> Option<Line<'a>> {
    let text = match line {
        Cow::Borrowed(line) => String::from_utf8_lossy(line),
        Cow::Owned(line) => Cow::Owned(String::from_utf8_lossy(&line).into_owned()),
    };
    let mut is_quoted = false;
    let mut ends = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ';' if !is_quoted => ends.push(at),
            ':' if !is_quoted => {
                ends.push(at);
                break;
            }
            _ => {}
        }
    }
    let colon = ends.last().copied().filter(|at| text[*at..].starts_with(':'));
    let (Some(colon), Some(name_end)) = (colon, ends.first().copied()) else {
        found.add(number, FORM, "no property: there is no colon");
        return None;
    };
    let name = text[..name_end].to_ascii_uppercase();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        found.add(number, FORM, "no property: the name has other characters than letters, digits and hyphen");
        return None;
    }
    let parameters = ends
        .windows(2)
        .filter_map(|pair| text[pair[0] + 1..pair[1]].split_once('='))
        .map(|(key, value)| (key.to_ascii_uppercase(), value.trim_matches('"').to_owned()))
        .collect();
    let value = match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[colon + 1..]),
        Cow::Owned(text) => Cow::Owned(text[colon + 1..].to_owned()),
    };
    Some(Line { number, name, parameters, value })
}
