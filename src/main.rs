//! Parses the arguments, runs the command, and turns its outcome into an exit code.

use std::process::ExitCode;

use meeting_mirror::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::read();
    cli::run(cli).await.unwrap_or_else(|error| {
        use std::io::Write as _;
        // Nothing is left to be done when even standard error is closed.
        let _ = writeln!(std::io::stderr(), "error: {}", cli::explain(&error));
        ExitCode::FAILURE
    })
}
