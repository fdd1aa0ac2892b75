//! The command line: one file per command group. Every command but `serve` and `demo` also works beside a running server.

mod alert;
mod audit;
mod backup;
mod calendar;
mod check;
mod deliver;
mod demo;
mod erase;
mod feed;
mod google;
mod inbox;
mod meeting;
mod output;
mod selection;
mod send;
mod serve;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::app::Installation;
use crate::clock::{Randomness, SharedClock, SystemClock};
use crate::config::{LogFormat, Settings};
use crate::telemetry;

/// Mirrors meetings booked through Cirrus Insight's Smart Scheduler into Google Calendars and ICS feeds.
#[derive(Debug, Parser)]
#[command(name = "meeting-mirror", version, max_term_width = 110, after_help = "Try it: meeting-mirror demo")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Settings,
    /// Whether the data directory was named, as a flag or in the environment.
    #[arg(skip)]
    data_dir_named: bool,
}

impl Cli {
    /// Reads the arguments and the environment. Ends the program when they make no sense.
    pub fn read() -> Self {
        let matches = Self::command().get_matches();
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        cli.data_dir_named = matches.value_source("data_dir").is_some_and(|source| source != ValueSource::DefaultValue);
        cli
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: take deliveries, mirror, serve feeds and pages
    Serve,
    /// Show everything at work on made-up data, with nothing configured
    Demo,
    /// Sign payloads and deliver them to a running server
    Send(send::Args),
    /// ICS feeds that people subscribe to
    #[command(subcommand)]
    Feed(feed::Command),
    /// Google Calendars that are kept in step
    #[command(subcommand)]
    Calendar(calendar::Command),
    /// Signing in to Google with a person's account
    #[command(subcommand)]
    Google(google::Command),
    /// Deliveries as received
    #[command(subcommand)]
    Inbox(inbox::Command),
    /// Meetings as they stand
    #[command(subcommand)]
    Meeting(meeting::Command),
    /// Messages when something goes wrong
    #[command(subcommand)]
    Alert(alert::Command),
    /// Configuration changes and admin actions
    #[command(subcommand)]
    Audit(audit::Command),
    /// Write a consistent copy of the database, also while the server runs
    Backup(backup::Args),
    /// Forget an invitee everywhere, by e-mail address: meetings, deliveries, events at Google
    Erase(erase::Args),
    /// Check settings, database and credentials
    Check,
}

/// What every command gets.
struct Context {
    settings: Settings,
    clock: SharedClock,
    randomness: Randomness,
    /// Whether this command may make an installation where there is none.
    may_create: bool,
}

impl Context {
    async fn open(&self) -> anyhow::Result<Installation> {
        let (clock, randomness) = (self.clock.clone(), self.randomness.clone());
        Ok(Installation::open(&self.settings, clock, randomness, self.may_create).await?)
    }
}

/// The error with its causes, each told once: some texts name their cause before they say what to do.
pub fn explain(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// Runs the command.
///
/// # Errors
/// When it fails; the text says what to do.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let settings = cli.settings;
    let serving = matches!(cli.command, Command::Serve);
    // Commands that print their answer keep quiet otherwise, unless asked.
    let filter = if serving || settings.log != "info" { settings.log.as_str() } else { "warn" };
    telemetry::start(filter, settings.log_format).map_err(anyhow::Error::msg)?;
    let randomness = Randomness::from_system().context("the operating system gives no random bytes")?;
    // For scripts that set up before the first start, in a directory that they name.
    let sets_up = matches!(
        cli.command,
        Command::Feed(feed::Command::Add { .. }) | Command::Calendar(calendar::Command::Add { .. })
    );
    let may_create = sets_up && cli.data_dir_named;
    let context = Context { settings, clock: Arc::new(SystemClock::default()), randomness, may_create };
    match cli.command {
        Command::Serve => {
            let served = serve::run(&context).await;
            return match served {
                // Every line of such a log can be read by a program, also the last one.
                Err(error) if context.settings.log_format == LogFormat::Json => {
                    tracing::error!(error = explain(&error), "the service can't run");
                    Ok(ExitCode::FAILURE)
                }
                served => served,
            };
        }
        Command::Demo => return demo::run(context).await,
        Command::Send(args) => return send::run(&context, args).await,
        Command::Check => return check::run(&context).await,
        Command::Feed(command) => return feed::run(&context, command).await,
        Command::Calendar(command) => return calendar::run(&context, command).await,
        Command::Audit(command) => return audit::run(&context, command).await,
        Command::Alert(command) => alert::run(&context, command).await?,
        Command::Google(command) => google::run(&context, command).await?,
        Command::Inbox(command) => inbox::run(&context, command).await?,
        Command::Meeting(command) => meeting::run(&context, command).await?,
        Command::Backup(args) => backup::run(&context, args).await?,
        Command::Erase(args) => erase::run(&context, args).await?,
    }
    Ok(ExitCode::SUCCESS)
}
