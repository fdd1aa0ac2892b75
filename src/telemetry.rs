//! Logging: one line per happening on standard error, with fields, as text or as JSON. Tokens, keys, bodies and invitees are never logged.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;

/// Starts logging.
///
/// # Errors
/// When the filter can't be read; the text says why.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    // Whatever the setting says: yup-oauth2 prints secrets at debug (facts: Google Calendar), and sqlx's statements are noise.
    let filter =
        EnvFilter::try_new(format!("{filter},yup_oauth2=info,sqlx=warn,hyper=info,hyper_util=info,rustls=info"))
            .map_err(|error| format!("--log: {error}; use for example info, or info,meeting_mirror::outbound=debug"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => lines.json().with_current_span(false).with_span_list(false).finish().try_init(),
    };
    if started.is_ok() {
        std::panic::set_hook(Box::new(|info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, "a panic: please report this");
        }));
    }
    Ok(())
}
