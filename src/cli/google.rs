//! `google`: signing in with a person's account.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Context, output};
use crate::app::{Installation, StartError};
use crate::outbound::google::login;
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Sign in with a person's Google account, for mirroring in that person's name
    Login {
        /// OAuth client file (Google Cloud console, Credentials, OAuth client ID of type Desktop app)
        #[arg(long, value_name = "FILE")]
        client: PathBuf,
        /// The account you sign in with
        #[arg(long, value_name = "EMAIL")]
        account: String,
        /// Where to save the sign-in [default: google-sign-in.json in the data directory]
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let Command::Login { client, account, save } = command;
    let save = save.unwrap_or_else(|| context.settings.data_dir.join("google-sign-in.json"));
    if let Some(directory) = save.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)?;
    }
    let show = |link: &str| {
        output::line(format_args!("Open this link in a browser on this machine, sign in and agree:\n\n{link}\n"));
        output::note("Waiting for you to agree, 10 minutes at most.");
    };
    let store = store_here(context).await?;
    login(&client, &account, &save, show).await?;
    if let Some(store) = store {
        let summary = format!("Signed in with the Google account {account}; saved in {}", save.display());
        let mut tx = store.write().await?;
        tx.append_admin_action("command line", "sign-in", summary, context.clock.now()).await?;
        tx.commit().await?;
    }
    output::line(format_args!(
        "saved the sign-in of {account}; start the server with --google-credentials {}",
        save.display()
    ));
    Ok(())
}

/// None on a machine where no server was ever started: then there is no audit log to tell of it, either.
async fn store_here(context: &Context) -> anyhow::Result<Option<Store>> {
    let (settings, clock, randomness) = (&context.settings, context.clock.clone(), context.randomness.clone());
    match Installation::open(settings, clock, randomness, false).await {
        Ok(installation) => Ok(Some(installation.store)),
        Err(StartError::NoInstallation(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
