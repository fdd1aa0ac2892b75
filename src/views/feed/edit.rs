//! Editing a feed: what changes is told in words, and written to the audit log.

use chrono::{DateTime, Utc};

use crate::store::{Feed, NewFeed, Store, StoreError};

/// What became of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// The feed is there no more, or was ended.
    Gone,
    /// It is as wished already; nothing was done.
    Same(Feed),
    /// It was changed: how, each as "detail full → busy".
    Changed(Feed, Vec<String>),
}

/// Changes a feed's settings; its link stays. `actor` stands in the audit log.
///
/// # Errors
/// [`StoreError::Exists`] when the new name is in use, and the database's own errors.
pub async fn edit(
    store: &Store,
    feed_id: i64,
    change: impl FnOnce(&mut NewFeed) + Send,
    actor: &'static str,
    now: DateTime<Utc>,
) -> Result<Edited, StoreError> {
    let mut tx = store.write().await?;
    let feed = tx.feeds().await?.into_iter().find(|feed| feed.id == feed_id && feed.revoked_at.is_none());
    let Some(mut feed) = feed else { return Ok(Edited::Gone) };
    let before = feed.wish.clone();
    change(&mut feed.wish);
    if feed.wish == before {
        return Ok(Edited::Same(feed));
    }
    let differences = differences(&before, &feed.wish);
    tx.edit_feed(feed.id, &feed.wish).await?;
    let summary = format!("Edited feed “{}”: {}", before.name, differences.join("; "));
    tx.append_admin_action(actor, "feed", summary, now).await?;
    tx.commit().await?;
    feed.edition += 1;
    Ok(Edited::Changed(feed, differences))
}

fn differences(before: &NewFeed, after: &NewFeed) -> Vec<String> {
    let settings = |feed: &NewFeed| {
        [
            ("name", format!("“{}”", feed.name)),
            ("meetings", feed.selection.to_string()),
            ("detail", feed.detail.as_str().to_owned()),
            ("past days", feed.window.past_days.to_string()),
            ("future days", feed.window.future_days.to_string()),
            ("canceled days", feed.canceled_days.to_string()),
            ("show as", feed.show_as.as_str().to_owned()),
        ]
    };
    let pairs = settings(before).into_iter().zip(settings(after));
    pairs.filter(|(a, b)| a != b).map(|((name, before), (_, after))| format!("{name} {before} → {after}")).collect()
}
