//! Adding, changing and ending feeds.

use clap::Args;

use super::super::selection::{ShownArgs, ShownEdit, days, nothing_to_change};
use super::{Context, FeedArgs, find_live, output, show_as};
use crate::app::Installation;
use crate::meeting::selection::{Selection, ShowAs};
use crate::store::{Feed, NewFeed};
use crate::views::count;
use crate::views::feed::personal::{self, PersonalFeeds, PersonalSettings};
use crate::views::feed::render;
use crate::web::links::Links;

const ACTOR: &str = "command line";

/// What to change; what is not given stays.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(in crate::cli) struct EditArgs {
    #[command(flatten)]
    shown: ShownEdit,
    /// Days that a canceled meeting is still shown, as canceled
    #[arg(long, value_name = "DAYS", value_parser = days())]
    canceled_days: Option<u32>,
    /// Whether the meetings take the subscriber's time: busy or free
    #[arg(long, value_name = "WHAT", value_parser = show_as)]
    show_as: Option<ShowAs>,
}

/// Tells how many meetings a feed holds: a selection that was mistyped holds none.
async fn tell_events(context: &Context, installation: &Installation, feed: &Feed) -> anyhow::Result<()> {
    let text = render(&installation.store, &installation.id, feed, context.clock.now()).await?;
    let number = i64::try_from(text.events).unwrap_or(i64::MAX);
    if number == 0 && feed.wish.selection != Selection::default() {
        output::note(
            "No meeting fits yet. To see how owners and schedules are spelled: meeting-mirror meeting list --json",
        );
    } else {
        output::note(format_args!("It holds {} now.", count(number, "meeting", "meetings")));
    }
    if feed.wish.show_as != ShowAs::fitting(&feed.wish.selection) {
        let as_what = feed.wish.show_as.as_str();
        output::note(format_args!(
            "Its meetings show as {as_what} in the subscriber's program (--show-as changes that)."
        ));
    }
    Ok(())
}

pub(super) async fn add(
    context: &Context,
    installation: &Installation,
    links: &Links,
    new: NewFeed,
) -> anyhow::Result<()> {
    let feed = installation.store.new_feed(&new, ACTOR, context.clock.now()).await?;
    output::line(links.feed_url(&feed));
    output::note(format_args!("Show people how to subscribe: {}", links.subscribe_url(&feed)));
    tell_events(context, installation, &feed).await
}

pub(super) async fn edit(
    context: &Context,
    installation: &Installation,
    feed: &str,
    edit: EditArgs,
) -> anyhow::Result<()> {
    if edit == EditArgs::default() {
        nothing_to_change();
    }
    let mut feed = find_live(installation, feed).await?;
    let before = feed.clone();
    let EditArgs { shown, canceled_days, show_as } = edit;
    let wish = &mut feed.wish;
    shown.apply(&mut wish.name, &mut wish.selection, &mut wish.detail, &mut wish.window);
    wish.canceled_days = canceled_days.unwrap_or(wish.canceled_days);
    wish.show_as = show_as.unwrap_or(wish.show_as);
    let differences = installation.store.change_feed(&before, &feed.wish, ACTOR, context.clock.now()).await?;
    if differences.is_empty() {
        output::line(format_args!("nothing to change: “{}” is like that already", feed.wish.name));
        return Ok(());
    }
    for difference in differences {
        output::line(difference);
    }
    output::note("The link is the same; programs show the change when they next fetch it.");
    tell_events(context, installation, &feed).await
}

pub(super) async fn personal(
    context: &Context,
    installation: &Installation,
    links: &Links,
    shown: &ShownArgs,
    own: &FeedArgs,
    list: bool,
) -> anyhow::Result<()> {
    let store = &installation.store;
    let unread = PersonalFeeds::now(store).await?.unread;
    if !unread.is_empty() {
        output::note(format_args!("Not in the list, as they can't be read: the feeds {}", unread.join(", ")));
    }
    if !list {
        let settings = PersonalSettings {
            detail: shown.detail,
            window: shown.window(),
            canceled_days: own.canceled_days,
            show_as: own.show_as.unwrap_or(ShowAs::Busy),
        };
        let now = context.clock.now();
        let outcome = personal::add_missing(store, &context.randomness, settings, ACTOR, now).await?;
        let present = count(i64::try_from(outcome.present).unwrap_or(i64::MAX), "owner", "owners");
        output::note(format_args!("{} added; {present} had one", outcome.missing.len()));
        if outcome.missing.is_empty() && outcome.present == 0 && outcome.revoked.is_empty() {
            output::note("No meeting with an owner is known yet: come again when the first ones have arrived.");
        }
        if !outcome.revoked.is_empty() {
            let owners: Vec<&str> = outcome.revoked.iter().map(|owner| owner.username.as_str()).collect();
            output::note(format_args!(
                "Not made again, since it was revoked: the feed of {}. To have it all the same: meeting-mirror feed add --owner",
                owners.join(", ")
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
    let feed = find_live(installation, feed).await?;
    let question = format!("Make a new link for “{}”? Everybody who subscribed must subscribe again.", feed.wish.name);
    output::confirm(&question, yes)?;
    let feed = installation.store.new_feed_link(&feed, ACTOR, context.clock.now()).await?;
    output::line(links.feed_url(&feed));
    output::note(format_args!("Show people how to subscribe: {}", links.subscribe_url(&feed)));
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
    installation.store.end_feed(&feed, ACTOR, context.clock.now()).await?;
    output::line(format_args!("revoked “{}”; its link answers 410 from now on", feed.wish.name));
    Ok(())
}
