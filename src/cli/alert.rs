//! `alert`: messages when something goes wrong.

use anyhow::{Context as _, bail};
use clap::Subcommand;

use super::{Context, output};
use crate::outbound::alerts::Messenger;
use crate::outbound::https;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send a message to --alert-url that only says that messages arrive
    Test,
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let Command::Test = command;
    let settings = &context.settings;
    let Some(to) = settings.alerts.target()? else {
        bail!("no address is set: set --alert-url (or MEETING_MIRROR_ALERT_URL) to where messages are to be sent");
    };
    let (host, format) = (to.target.host().to_owned(), to.format.as_str());
    let installation = context.open().await?;
    let links = installation.links(settings).await?;
    let connector = https::connector().context("the system's root certificates can't be read")?;
    let messenger = Messenger::new(to, connector, links.public_url(), &installation.id);
    if let Err(problem) = messenger.send_test(context.clock.now()).await {
        bail!("the message was not taken: {problem}");
    }
    output::line(format_args!("{host} took a test message as {format}; look whether it arrived"));
    Ok(())
}
