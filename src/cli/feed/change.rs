//! Adding, changing and ending feeds.

use clap::Args;

use super::super::selection::{ShownArgs, ShownEdit, days};
use super::{Context, OwnArgs, find_live, output, show_as};
use crate::app::Installation;
use crate::meeting::selection::ShowAs;
use crate::store::{Feed, NewFeed};
use crate::views::feed::personal::{self, PersonalSettings};
use crate::web::links::Links;

const ACTOR: &str = "command line";

/// What to change; what is not given stays.
#[derive(Debug, Args)]
#[group(skip)]
pub(in crate::cli) struct EditArgs {
    #[command(flatten)]
    shown: ShownEdit,
    /// Days that a canceled meeting is shown, struck through
    #[arg(long, value_name = "DAYS", value_parser = days())]
    canceled_days: Option<u32>,
    /// Whether the meetings take the subscriber's time: busy or free
    #[arg(long, value_name = "WHAT", value_parser = show_as)]
    show_as: Option<ShowAs>,
}

pub(super) async fn add(
    context: &Context,
    installation: &Installation,
    links: &Links,
    new: NewFeed,
) -> anyhow::Result<()> {
    let now = context.clock.now();
    let mut tx = installation.store.write().await?;
    let id = tx.add_feed(&new, now).await?;
    let summary = format!("Added feed “{}”: {}, {}", new.name, new.selection, new.detail.as_str());
    tx.append_admin_action(ACTOR, "feed", summary, now).await?;
    tx.commit().await?;
    let feed = Feed { id, wish: new, generation: 1, edition: 0, created_at: now, revoked_at: None };
    output::line(links.feed_url(&feed));
    output::note(format_args!("Show people how to subscribe: {}", links.subscribe_url(&feed)));
    Ok(())
}

pub(super) async fn edit(
    context: &Context,
    installation: &Installation,
    feed: &str,
    edit: EditArgs,
) -> anyhow::Result<()> {
    let feed = find_live(installation, feed).await?;
    let mut wish = feed.wish.clone();
    edit.shown.apply(&mut wish.name, &mut wish.selection, &mut wish.detail, &mut wish.window);
    wish.canceled_days = edit.canceled_days.unwrap_or(wish.canceled_days);
    wish.show_as = edit.show_as.unwrap_or(wish.show_as);
    let now = context.clock.now();
    let mut tx = installation.store.write().await?;
    tx.edit_feed(feed.id, &wish).await?;
    let summary = format!("Edited feed “{}”: {}, {}", wish.name, wish.selection, wish.detail.as_str());
    tx.append_admin_action(ACTOR, "feed", summary, now).await?;
    tx.commit().await?;
    output::line(format_args!(
        "“{}” now shows {}, {}; its link is the same, and programs show the change when they next fetch it",
        wish.name,
        wish.selection,
        wish.detail.as_str()
    ));
    Ok(())
}

pub(super) async fn personal(
    context: &Context,
    installation: &Installation,
    links: &Links,
    shown: &ShownArgs,
    own: &OwnArgs,
    list: bool,
) -> anyhow::Result<()> {
    let store = &installation.store;
    if !list {
        let settings = PersonalSettings {
            detail: shown.detail,
            window: shown.window(),
            canceled_days: own.canceled_days,
            show_as: own.show_as.unwrap_or(ShowAs::Busy),
        };
        let now = context.clock.now();
        let outcome = personal::add_missing(store, &context.randomness, settings, ACTOR, now).await?;
        let owners = if outcome.present == 1 { "owner" } else { "owners" };
        output::note(format_args!("{} added; {} {owners} had one", outcome.added.len(), outcome.present));
        if outcome.added.is_empty() && outcome.present == 0 && outcome.ended.is_empty() {
            output::note("No meeting with an owner is known yet: come again when the first ones have arrived.");
        }
        if !outcome.ended.is_empty() {
            output::note(format_args!(
                "Not made again, since it was revoked: the feed of {}. To have it all the same: meeting-mirror feed add --owner",
                outcome.ended.join(", ")
            ));
        }
    }
    output::bytes(&personal::links_csv(store, links).await?)?;
    Ok(())
}

pub(super) async fn rotate(
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
    tx.append_admin_action(ACTOR, "feed", summary, context.clock.now()).await?;
    tx.commit().await?;
    output::line(links.feed_url(&feed));
    Ok(())
}

pub(super) async fn revoke(
    context: &Context,
    installation: &Installation,
    feed: &str,
    yes: bool,
) -> anyhow::Result<()> {
    let feed = find_live(installation, feed).await?;
    let question = format!("End the feed “{}”? Its link stops working for good.", feed.wish.name);
    output::confirm(&question, yes)?;
    let now = context.clock.now();
    let mut tx = installation.store.write().await?;
    tx.revoke_feed(feed.id, now).await?;
    tx.append_admin_action(ACTOR, "feed", format!("Revoked feed “{}”", feed.wish.name), now).await?;
    tx.commit().await?;
    output::line(format_args!("revoked “{}”; its link answers 410 from now on", feed.wish.name));
    Ok(())
}
