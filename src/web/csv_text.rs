//! Texts of others in a table for spreadsheets.

/// A spreadsheet takes a cell that begins so for a formula; an apostrophe before it makes it a text.
pub fn formula_safe(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
