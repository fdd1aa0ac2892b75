//! `feed`: ICS feeds that people subscribe to.

mod change;
mod show;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::selection::{SelectionArgs, ShownArgs, days};
use super::{Context, output};
use crate::app::Installation;
use crate::meeting::selection::{self, ShowAs};
use crate::store::{Feed, NewFeed};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a feed and print its link
    Add {
        /// Name, shown in people's calendar programs
        #[arg(long, value_parser = selection::name)]
        name: String,
        #[command(flatten)]
        selection: SelectionArgs,
        #[command(flatten)]
        shown: ShownArgs,
        #[command(flatten)]
        own: FeedArgs,
    },
    /// Change what a feed shows; its link stays
    Edit {
        /// Its id or name
        feed: String,
        #[command(flatten)]
        edit: change::EditArgs,
    },
    /// Add a feed for each owner of a meeting who has none of their own, and print the links of all personal feeds as CSV
    Personal {
        #[command(flatten)]
        shown: ShownArgs,
        #[command(flatten)]
        own: FeedArgs,
        /// Only print the links, add nothing
        #[arg(long, conflicts_with_all = ["detail", "past_days", "future_days", "canceled_days", "show_as"])]
        list: bool,
    },
    /// List feeds
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a feed with its link, the page that explains how to subscribe, and which programs fetch it
    Show {
        /// Its id or name
        feed: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a new link and print it; the old one stops working
    Rotate {
        /// Its id or name
        feed: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// End a feed; its link stops working for good
    Revoke {
        /// Its id or name
        feed: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Write the feed's text to a file, or to standard output
    Export {
        /// Its id or name
        feed: String,
        /// The file
        file: Option<PathBuf>,
    },
    /// Check a feed's text against what calendar programs need; of an address, also how it is served
    Lint {
        /// A feed's id or name, a file, or an http address on this machine
        target: String,
    },
}

/// What only feeds have.
#[derive(Debug, Args)]
pub(super) struct FeedArgs {
    /// Days that a canceled meeting is still shown, as canceled
    #[arg(long, value_name = "DAYS", default_value_t = NewFeed::CANCELED_DAYS, value_parser = days())]
    canceled_days: u32,
    /// Whether the meetings take the subscriber's time: busy or free [default: busy in a feed of one owner, else free]
    #[arg(long, value_name = "WHAT", value_parser = show_as)]
    show_as: Option<ShowAs>,
}

fn show_as(word: &str) -> Result<ShowAs, String> {
    ShowAs::from_word(word).ok_or_else(|| "use busy or free".to_owned())
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    if let Command::Lint { target } = &command {
        return text::lint(context, target).await;
    }
    let installation = context.open().await?;
    let links = installation.links(&context.settings).await?;
    match command {
        Command::Add { name, selection, shown, own } => {
            let selection = selection.selection();
            let new = NewFeed {
                public_id: crate::web::links::Links::new_public_id(&context.randomness),
                name,
                detail: shown.detail,
                window: shown.window(),
                canceled_days: own.canceled_days,
                show_as: own.show_as.unwrap_or_else(|| ShowAs::fitting(&selection)),
                selection,
            };
            change::add(context, &installation, &links, new).await?;
        }
        Command::Edit { feed, edit } => change::edit(context, &installation, &feed, edit).await?,
        Command::Personal { shown, own, list } => {
            change::personal(context, &installation, &links, &shown, &own, list).await?;
        }
        Command::List { json } => show::list(context, &installation, &links, json).await?,
        Command::Show { feed, json } => {
            show::show(context, &installation, &find(&installation, &feed).await?, &links, json).await?;
        }
        Command::Rotate { feed, yes } => change::rotate(context, &installation, &links, &feed, yes).await?,
        Command::Revoke { feed, yes } => change::revoke(context, &installation, &feed, yes).await?,
        Command::Export { feed, file } => text::export(&installation, &feed, file).await?,
        Command::Lint { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(installation: &Installation, id_or_name: &str) -> anyhow::Result<Feed> {
    match installation.store.feed(id_or_name).await? {
        Some(feed) => Ok(feed),
        None => bail!("there is no feed {id_or_name}; see: meeting-mirror feed list"),
    }
}

async fn find_live(installation: &Installation, id_or_name: &str) -> anyhow::Result<Feed> {
    let feed = find(installation, id_or_name).await?;
    if feed.revoked_at.is_some() {
        bail!("the feed “{}” was revoked: add a new one", feed.wish.name);
    }
    Ok(feed)
}
