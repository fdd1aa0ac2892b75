//! Showing feeds: their settings, links and readers.

use serde_json::{Value, json};

use super::{Context, output};
use crate::app::Installation;
use crate::store::{Feed, Reader, RenditionFacts, TOLD_DAYS, day_of};
use crate::views::count;
use crate::views::feed::Program;
use crate::web::links::Links;

fn days(number: u32) -> String {
    count(i64::from(number), "day", "days")
}

fn as_json(feed: &Feed, facts: Option<&RenditionFacts>, readers: &[Reader], links: &Links) -> Value {
    let live = feed.revoked_at.is_none();
    json!({
        "id": feed.id,
        "name": feed.wish.name,
        "selection": feed.wish.selection,
        "detail": feed.wish.detail.as_str(),
        "pastDays": feed.wish.window.past_days,
        "futureDays": feed.wish.window.future_days,
        "canceledDays": feed.wish.canceled_days,
        "showAs": feed.wish.show_as.as_str(),
        "revoked": feed.revoked_at.is_some(),
        "link": live.then(|| links.feed_url(feed)),
        "subscribePage": live.then(|| links.subscribe_url(feed)),
        "lastChanged": facts.map(|facts| output::stamp(facts.last_modified_at)),
        "octets": facts.map(|facts| facts.length),
        "leftOut": facts.map(|facts| facts.left_out.meetings),
        "readers": readers.iter().map(|reader| json!({
            "program": reader.program,
            "lastFetched": output::stamp(reader.last_at),
            "lastAnswer": reader.last_answer,
            "fetches": reader.days.values().sum::<u32>(),
        })).collect::<Vec<_>>(),
    })
}

pub(super) async fn list(
    context: &Context,
    installation: &Installation,
    links: &Links,
    json: bool,
) -> anyhow::Result<()> {
    let store = &installation.store;
    let feeds = store.feeds().await?;
    let facts = store.rendition_facts().await?;
    let ids: Vec<i64> = feeds.iter().map(|feed| feed.id).collect();
    let readers = store.readers(&ids, context.clock.now()).await?;
    let facts_of = |feed: &Feed| facts.iter().find(|facts| facts.feed_id == feed.id);
    let readers_of = |feed: &Feed| readers.get(&feed.id).map_or(&[][..], Vec::as_slice);
    if json {
        let all = feeds.iter().map(|feed| as_json(feed, facts_of(feed), readers_of(feed), links));
        output::json(&Value::Array(all.collect()));
        return Ok(());
    }
    let zone = context.settings.time_zone;
    let rows = feeds.iter().map(|feed| {
        vec![
            feed.id.to_string(),
            feed.wish.name.clone(),
            feed.wish.selection.to_string(),
            feed.wish.detail.as_str().to_owned(),
            if feed.revoked_at.is_some() { "revoked" } else { "live" }.to_owned(),
            readers_of(feed).first().map_or_else(|| "-".to_owned(), |reader| output::time(reader.last_at, zone)),
        ]
    });
    let empty = "No feeds. Add one: meeting-mirror feed add --name \"Sales team\"";
    output::table(&["id", "name", "shows", "detail", "link", "last fetched"], rows.collect(), empty);
    Ok(())
}

pub(super) async fn show(
    context: &Context,
    installation: &Installation,
    feed: &Feed,
    links: &Links,
    json: bool,
) -> anyhow::Result<()> {
    let (store, zone, now) = (&installation.store, context.settings.time_zone, context.clock.now());
    let facts = store.rendition_facts().await?.into_iter().find(|facts| facts.feed_id == feed.id);
    let readers = store.readers(&[feed.id], now).await?.remove(&feed.id).unwrap_or_default();
    if json {
        output::json(&as_json(feed, facts.as_ref(), &readers, links));
        return Ok(());
    }
    let wish = &feed.wish;
    output::line(format_args!("{} (id {})", wish.name, feed.id));
    output::line(format_args!("  shows      {}", wish.selection));
    output::line(format_args!("  detail     {}", wish.detail.as_str()));
    output::line(format_args!(
        "  window     {} back, {} ahead",
        days(wish.window.past_days),
        days(wish.window.future_days)
    ));
    output::line(format_args!("  canceled   shown for {}", days(wish.canceled_days)));
    output::line(format_args!("  show as    {}", wish.show_as.as_str()));
    output::line(format_args!("  added      {}", output::time(feed.created_at, zone)));
    if let Some(at) = feed.revoked_at {
        output::line(format_args!("  revoked    {}", output::time(at, zone)));
    } else {
        output::line(format_args!("  link       {}", links.feed_url(feed)));
        output::line(format_args!("  subscribe  {}", links.subscribe_url(feed)));
    }
    if let Some(facts) = facts {
        output::line(format_args!("  changed    {}", output::time(facts.last_modified_at, zone)));
        if facts.left_out.meetings > 0 {
            output::line(format_args!(
                "  left out   {} for want of room",
                count(i64::from(facts.left_out.meetings), "meeting", "meetings")
            ));
        }
    }
    if readers.is_empty() {
        output::line(format_args!("  fetched    not in the last {TOLD_DAYS} days"));
    }
    for reader in readers {
        let today = reader.days.get(&day_of(now)).copied().unwrap_or_default();
        output::line(format_args!(
            "  fetched    {}: {}, answered {}; today {today}, in {TOLD_DAYS} days {}",
            Program::name_of(&reader.program),
            output::time(reader.last_at, zone),
            reader.last_answer,
            reader.days.values().sum::<u32>(),
        ));
    }
    Ok(())
}
