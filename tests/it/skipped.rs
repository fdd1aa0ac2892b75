//! What a test says when something that it needs is not on this machine: a line on standard error, and it is skipped; or a
//! failure, where that is asked for.

use std::io::Write as _;

/// Says that something is not there, so that a test, or a part of it, is skipped. The environment variable `setting` makes that a
/// failure when it is `required`.
#[track_caller]
pub(crate) fn skip<T>(setting: &str, missing: &str) -> Option<T> {
    let required = std::env::var(setting).is_ok_and(|value| value == "required");
    assert!(!required, "{setting}=required, but there is no {missing}");
    // Past the test runner, which shows what a test prints only when it fails.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let mut terminal = std::io::stderr();
    writeln!(terminal, "SKIPPED {test}: there is no {missing}").unwrap();
    None
}
