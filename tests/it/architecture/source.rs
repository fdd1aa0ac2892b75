//! Reads Rust sources far enough to know which names they use: comments and texts don't count.
//! Must not need a compiler: a source that does not build yet is read, too.

/// The source with comments, texts and characters blanked; lines stay where they are.
pub(super) fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// Where the comment, text or character that begins at `at` ends; `at` when none begins there.
fn skipped(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => at + block_comment(rest),
        ['"', ..] => at + quoted(rest, '"'),
        ['r', '"' | '#', ..] if at == 0 || !is_name(chars[at - 1]) || chars[at - 1] == 'b' => at + raw(rest),
        // A character, not a lifetime.
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => at + quoted(rest, '\''),
        _ => at,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A raw text; 0 when it is a raw name such as `r#type`.
fn raw(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let begin = 2 + hashes;
    let found = rest[begin..].windows(end.len()).position(|window| window == end);
    found.map_or(rest.len(), |found| begin + found + end.len())
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A name in a source, and what follows it on the way of a path.
#[derive(Debug, PartialEq)]
pub(super) struct Word<'a> {
    pub(super) line: usize,
    pub(super) text: &'a str,
    /// The code after it, without blanks before.
    pub(super) after: &'a str,
}

/// Every name of the code, in order.
pub(super) fn words(code: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let (mut line, mut begin) = (1, None);
    for (at, c) in code.char_indices().chain([(code.len(), ' ')]) {
        match (is_name(c), begin) {
            (true, None) => begin = Some(at),
            (false, Some(from)) => {
                words.push(Word { line, text: &code[from..at], after: code[at..].trim_start() });
                begin = None;
            }
            _ => {}
        }
        line += usize::from(c == '\n');
    }
    words
}

/// Which top-level modules of the crate the code names, by line: through `crate::` or up through `super::`. A list right
/// after `crate::` counts as `{`. `depth` is how many modules lead to this file, itself included.
pub(super) fn modules_named(code: &str, depth: usize) -> Vec<(usize, String)> {
    let inner = inner_modules(code);
    let words = words(code);
    let mut named = Vec::new();
    let mut climbed = 0;
    for (index, word) in words.iter().enumerate() {
        let target = match word.text {
            "crate" => word.after.strip_prefix("::"),
            "super" => {
                climbed += 1;
                let path = word.after.strip_prefix("::");
                let goes_on = words.get(index + 1).is_some_and(|next| next.text == "super") && path.is_some();
                let levels = depth + inner[word.line - 1];
                if goes_on {
                    continue;
                }
                let leaves = std::mem::take(&mut climbed) >= levels;
                path.filter(|_| leaves)
            }
            _ => None,
        };
        if let Some(path) = target {
            let path = path.trim_start();
            let name: String = path.chars().take_while(|c| is_name(*c)).collect();
            named.push((word.line, if name.is_empty() { path.chars().take(1).collect() } else { name }));
        }
    }
    named
}

/// For each line, how many `mod name {` are open there. Relies on rustfmt's indentation.
fn inner_modules(code: &str) -> Vec<usize> {
    let mut open: Vec<usize> = Vec::new();
    let mut depths = Vec::new();
    for line in code.lines() {
        let indent = line.len() - line.trim_start().len();
        if line.trim_end() == format!("{}}}", " ".repeat(indent)) && open.last() == Some(&indent) {
            open.pop();
        }
        depths.push(open.len());
        let mut words = line.split_whitespace().rev();
        let opens = words.next() == Some("{") && words.nth(1) == Some("mod");
        if opens {
            open.push(indent);
        }
    }
    depths.push(0);
    depths
}

#[test]
fn comments_texts_and_characters_are_blanked_and_nothing_else() {
    let cases = [
        ("a // crate::x\nb", "a            \nb"),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("a(\"b \\\" // c\") d", "a(           ) d"),
        ("r#\"a \" b\"# c", "           c"),
        ("br\"a\\\" c", "b      c"),
        ("r#type", "r#type"),
        ("fn a<'b>(c: &'b str, d: char) { d == '\"' }", "fn a<'b>(c: &'b str, d: char) { d ==     }"),
        ("'\\'' a", "     a"),
        ("\"a\nb\" c", "  \n   c"),
    ];
    for (source, expected) in cases {
        assert_eq!(code(source), expected, "{source}");
    }
}

#[test]
fn modules_are_found_however_they_are_named() {
    let named = |source: &str, depth| modules_named(&code(source), depth);
    assert_eq!(named("use crate::views::feed;", 2), [(1, "views".to_owned())]);
    assert_eq!(named("\nlet a = crate :: store::open();", 1), [(2, "store".to_owned())]);
    assert_eq!(named("use crate::{views, store};", 1), [(1, "{".to_owned())]);
    assert_eq!(named("pub(crate) struct A;", 1), []);
    assert_eq!(named("use super::inbox;", 2), []);
    assert_eq!(named("use super::super::views;", 2), [(1, "views".to_owned())]);
    assert_eq!(named("use super::views;", 1), [(1, "views".to_owned())]);
    assert_eq!(named("mod tests {\n    use super::*;\n}\nuse super::*;", 1), [(4, "*".to_owned())]);
    assert_eq!(
        named("pub mod a {\n    mod b {\n        use super::super::super::c;\n    }\n}", 1),
        [(3, "c".to_owned())]
    );
    assert_eq!(named("fn a() {\n    b(super::x, super::y);\n}", 2), []);
}
