//! Logging: one line per happening on standard error, with fields. Tokens, keys, bodies and invitees are never logged.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging.
///
/// # Errors
/// When the filter can't be read; the text says why.
pub fn start(filter: &str) -> Result<(), String> {
    // Whatever the setting says: yup-oauth2 prints secrets at debug (facts: Google Calendar), and sqlx's statements are noise.
    let filter =
        EnvFilter::try_new(format!("{filter},yup_oauth2=info,sqlx=warn,hyper=info,hyper_util=info,rustls=info"))
            .map_err(|error| format!("--log: {error}; use for example info, or info,meeting_mirror::outbound=debug"))?;
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
    if started.is_ok() {
        std::panic::set_hook(Box::new(|info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, "a panic: please report this");
        }));
    }
    Ok(())
}
