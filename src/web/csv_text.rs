//! Texts of others in a table for spreadsheets.

/// Characters that a formula begins with, also as they are written in East Asia, and the minus of mathematics.
const BEGINS: [char; 9] = ['=', '+', '-', '@', '\u{2212}', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// A spreadsheet takes a cell that begins so for a formula, some also after blanks; an apostrophe before it makes it a text. One
/// that separates cells by semicolons or tabs takes what follows these, or a line break, for the begin of a cell, too.
pub fn formula_safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let begin = rest.trim_start_matches(is_blank);
        if begin.starts_with(BEGINS) {
            safe.push('\'');
        }
        let begin_at = rest.len() - begin.len();
        let Some(end) = begin.find([';', '\t', '\n', '\r']) else { break };
        let cell;
        (cell, rest) = rest.split_at(begin_at + end + 1);
        safe.push_str(cell);
    }
    safe + rest
}

/// White space, controls, and what is not seen at all.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_as_a_formula() {
        for (text, safe) in [
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("  -1", "'  -1"),
            ("\t\r\n+1", "'\t\r\n+1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("\u{2212}1", "'\u{2212}1"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            ("a;=1;b\n@c\t -d", "a;'=1;b\n'@c\t' -d"),
            ("a;\"=1\"", "a;'\"=1\""),
            ("a=1; b-2, +3", "a=1; b-2, +3"),
            ("[{\"before\":-1}]", "[{\"before\":-1}]"),
            ("é;", "é;"),
            ("", ""),
        ] {
            assert_eq!(formula_safe(text), safe, "{text:?}");
        }
    }
}
