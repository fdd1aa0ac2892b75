//! Parses the arguments, runs the command, and turns its outcome into an exit code.

use std::process::ExitCode;
use std::time::Duration;

use meeting_mirror::cli::{self, Cli};
use tokio::runtime::Runtime;

/// What still waits for a disk at the end has so long. One that hangs would hold the process for ever.
const LAST_MOMENT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let cli = Cli::read();
    let ended = Runtime::new().map_err(Into::into).and_then(|runtime| {
        let ended = runtime.block_on(cli::run(cli));
        runtime.shutdown_timeout(LAST_MOMENT);
        ended
    });
    ended.unwrap_or_else(|error| {
        use std::io::Write as _;
        // Nothing is left to be done when even standard error is closed.
        let _ = writeln!(std::io::stderr(), "error: {}", cli::explain(&error));
        ExitCode::FAILURE
    })
}
