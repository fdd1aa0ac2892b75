//! What commands print: lines and tables on standard output, questions on the terminal.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::ProgressBar;

/// Prints a line.
pub(super) fn line(text: impl Display) {
    if let Err(error) = bytes(format!("{text}\n").as_bytes()) {
        // Half an answer must not look like a whole one.
        note(format_args!("error: the answer can't be written: {error}"));
        std::process::exit(1);
    }
}

/// Prints a line, for a command that has to tidy up before it ends.
///
/// # Errors
/// When it can't be printed; [`reader_is_gone`] tells whether that is all.
pub(super) fn try_line(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// Whether printing failed because whoever reads us stopped reading.
pub(super) fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes bytes as they are. Whoever reads us may stop reading (`| head`): that ends the program quietly.
///
/// # Errors
/// When they can't be written: a full disk behind `> file`.
pub(super) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => done,
    }
}

/// Prints a line on standard error, beside the answer.
pub(super) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints JSON, indented.
pub(super) fn json(value: &serde_json::Value) {
    line(format_args!("{value:#}"));
}

/// Prints rows under a heading, or `empty` when there are none.
pub(super) fn table(heading: &[&str], rows: Vec<Vec<String>>, empty: &str) {
    if rows.is_empty() {
        note(empty);
        return;
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(heading.to_vec());
    // Into a pipe, a row is one line; on a terminal it fits the width.
    let arrangement =
        if io::stdout().is_terminal() { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
    table.set_content_arrangement(arrangement);
    for row in rows {
        table.add_row(row);
    }
    for row in table.lines() {
        line(row.trim_end());
    }
}

/// A time in the zone of the settings, to the minute.
pub(super) fn time(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string()
}

/// A time for programs.
pub(super) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// Shows on a terminal that something takes its time.
pub(super) fn spinner(message: impl Into<Cow<'static, str>>) -> ProgressBar {
    const TURN: Duration = Duration::from_millis(120);
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(TURN);
    spinner
}

/// Asks before something that can't be undone.
///
/// # Errors
/// When the answer is not yes, or nobody can be asked.
pub(super) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        bail!("{question} Nobody can be asked here: add --yes to go on.");
    }
    if ask(question)? { Ok(()) } else { bail!("nothing was changed") }
}

/// Asks; where nobody can be asked the answer is no.
///
/// # Errors
/// When the terminal can't be read.
pub(super) fn ask(question: &str) -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
