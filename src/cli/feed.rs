//! `feed`: ICS feeds that people subscribe to.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Subcommand;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use url::Url;

use super::selection::{SelectionArgs, name};
use super::{Context, output};
use crate::app::{Installation, StartError};
use crate::outbound::https;
use crate::store::{Feed, NewFeed};
use crate::views;
use crate::web::links::Links;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a feed and print its link
    Add {
        /// Name, shown in people's calendar programs
        #[arg(long, value_parser = name)]
        name: String,
        #[command(flatten)]
        selection: SelectionArgs,
    },
    /// List feeds
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a feed with its link and the page that explains how to subscribe
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
    /// Check a feed's text against what calendar programs need
    Lint {
        /// A feed's id or name, a file, or an http address on this machine
        target: String,
    },
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    if let Command::Lint { target } = &command {
        return lint(context, target).await;
    }
    let installation = context.open().await?;
    let links = installation.links(&context.settings).await?;
    match command {
        Command::Add { name, selection } => add(context, &installation, &links, name, &selection).await?,
        Command::List { json } => list(&installation, &links, json).await?,
        Command::Show { feed, json } => show(context, &find(&installation, &feed).await?, &links, json),
        Command::Rotate { feed, yes } => rotate(context, &installation, &links, &feed, yes).await?,
        Command::Revoke { feed, yes } => revoke(context, &installation, &feed, yes).await?,
        Command::Export { feed, file } => export(&installation, &feed, file).await?,
        Command::Lint { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(
    context: &Context,
    installation: &Installation,
    links: &Links,
    name: String,
    selection: &SelectionArgs,
) -> anyhow::Result<()> {
    let now = context.clock.now();
    let new = NewFeed {
        public_id: Links::new_public_id(&context.randomness),
        name,
        selection: selection.selection(),
        detail: selection.detail,
        window: selection.window(),
    };
    let mut tx = installation.store.write().await?;
    let id = tx.add_feed(&new, now).await?;
    let summary = format!("Added feed “{}”: {}, {}", new.name, new.selection, new.detail.as_str());
    tx.append_admin_action("command line", "feed", summary, now).await?;
    tx.commit().await?;
    let feed = Feed { id, wish: new, generation: 1, created_at: now, revoked_at: None };
    output::line(links.feed_url(&feed));
    output::note(format_args!("Show people how to subscribe: {}", links.subscribe_url(&feed)));
    Ok(())
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

fn as_json(feed: &Feed, links: &Links) -> Value {
    json!({
        "id": feed.id,
        "name": feed.wish.name,
        "selection": feed.wish.selection,
        "detail": feed.wish.detail.as_str(),
        "pastDays": feed.wish.window.past_days,
        "futureDays": feed.wish.window.future_days,
        "revoked": feed.revoked_at.is_some(),
        "link": feed.revoked_at.is_none().then(|| links.feed_url(feed)),
        "subscribePage": feed.revoked_at.is_none().then(|| links.subscribe_url(feed)),
    })
}

async fn list(installation: &Installation, links: &Links, json: bool) -> anyhow::Result<()> {
    let feeds = installation.store.feeds().await?;
    if json {
        output::json(&Value::Array(feeds.iter().map(|feed| as_json(feed, links)).collect()));
        return Ok(());
    }
    let rows = feeds.iter().map(|feed| {
        vec![
            feed.id.to_string(),
            feed.wish.name.clone(),
            feed.wish.selection.to_string(),
            feed.wish.detail.as_str().to_owned(),
            if feed.revoked_at.is_some() { "revoked" } else { "live" }.to_owned(),
        ]
    });
    let empty = "No feeds. Add one: meeting-mirror feed add --name \"Sales team\"";
    output::table(&["id", "name", "shows", "detail", "link"], rows.collect(), empty);
    Ok(())
}

fn show(context: &Context, feed: &Feed, links: &Links, json: bool) {
    if json {
        output::json(&as_json(feed, links));
        return;
    }
    let window = feed.wish.window;
    output::line(format_args!("{} (id {})", feed.wish.name, feed.id));
    output::line(format_args!("  shows      {}", feed.wish.selection));
    output::line(format_args!("  detail     {}", feed.wish.detail.as_str()));
    output::line(format_args!("  window     {} days back, {} days ahead", window.past_days, window.future_days));
    output::line(format_args!("  added      {}", output::time(feed.created_at, context.settings.time_zone)));
    if let Some(at) = feed.revoked_at {
        output::line(format_args!("  revoked    {}", output::time(at, context.settings.time_zone)));
    } else {
        output::line(format_args!("  link       {}", links.feed_url(feed)));
        output::line(format_args!("  subscribe  {}", links.subscribe_url(feed)));
    }
}

async fn rotate(
    context: &Context,
    installation: &Installation,
    links: &Links,
    feed: &str,
    yes: bool,
) -> anyhow::Result<()> {
    let mut feed = find_live(installation, feed).await?;
    let question = format!("Make a new link for “{}”? Everybody who subscribed must subscribe again.", feed.wish.name);
    output::confirm(&question, yes)?;
    let mut tx = installation.store.write().await?;
    feed.generation = tx.rotate_feed(feed.id).await?;
    let summary = format!("Made a new link for feed “{}”", feed.wish.name);
    tx.append_admin_action("command line", "feed", summary, context.clock.now()).await?;
    tx.commit().await?;
    output::line(links.feed_url(&feed));
    Ok(())
}

async fn revoke(context: &Context, installation: &Installation, feed: &str, yes: bool) -> anyhow::Result<()> {
    let feed = find_live(installation, feed).await?;
    let question = format!("End the feed “{}”? Its link stops working for good.", feed.wish.name);
    output::confirm(&question, yes)?;
    let now = context.clock.now();
    let mut tx = installation.store.write().await?;
    tx.revoke_feed(feed.id, now).await?;
    tx.append_admin_action("command line", "feed", format!("Revoked feed “{}”", feed.wish.name), now).await?;
    tx.commit().await?;
    output::line(format_args!("revoked “{}”; its link answers 410 from now on", feed.wish.name));
    Ok(())
}

async fn text_of(installation: &Installation, feed: &Feed) -> anyhow::Result<Vec<u8>> {
    let now = installation.clock.now();
    Ok(views::feed::render(&installation.store, &installation.id, feed, now).await?.body)
}

async fn export(installation: &Installation, feed: &str, file: Option<PathBuf>) -> anyhow::Result<()> {
    let text = text_of(installation, &find_live(installation, feed).await?).await?;
    if let Some(file) = file {
        tokio::fs::write(&file, text).await.with_context(|| format!("{} can't be written", file.display()))?;
    } else {
        output::bytes(&text)?;
    }
    Ok(())
}

/// The text of a feed or a file. A file can be read without an installation, too.
async fn feed_or_file(context: &Context, target: &str) -> anyhow::Result<Vec<u8>> {
    let installation = match context.open().await {
        Err(error) if matches!(error.downcast_ref(), Some(StartError::NoInstallation(_))) => {
            return tokio::fs::read(target).await.map_err(|_| error);
        }
        opened => opened?,
    };
    match installation.store.feed(target).await? {
        Some(feed) => text_of(&installation, &feed).await,
        None => tokio::fs::read(target)
            .await
            .with_context(|| format!("{target} is neither a feed nor a file that can be read")),
    }
}

async fn lint(context: &Context, target: &str) -> anyhow::Result<ExitCode> {
    let text = if target.starts_with("http://") || target.starts_with("https://") {
        fetch(target).await?
    } else {
        feed_or_file(context, target).await?
    };
    let findings = views::feed_lint::lint(&text);
    for finding in &findings {
        output::line(finding);
    }
    if findings.is_empty() {
        output::note(format_args!("{target}: nothing wrong in {} bytes", text.len()));
        return Ok(ExitCode::SUCCESS);
    }
    output::note(format_args!("{target}: {} findings", findings.len()));
    Ok(ExitCode::FAILURE)
}

async fn fetch(address: &str) -> anyhow::Result<Vec<u8>> {
    let url = Url::parse(address)?;
    let local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if !local {
        bail!("only addresses on this machine are fetched; save the feed to a file and check that");
    }
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(https::connector()?);
    let response = client.get(url.as_str().parse()?).await.with_context(|| format!("{address} can't be reached"))?;
    if !response.status().is_success() {
        bail!("{address} answered {}", response.status());
    }
    Ok(response.into_body().collect().await?.to_bytes().into())
}
