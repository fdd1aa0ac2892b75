//! Personal feeds: one for each owner of a meeting, and the list of their links to hand out.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::clock::Randomness;
use crate::meeting::selection::{Detail, Selection, ShowAs, Window};
use crate::store::{Feed, NewFeed, Store, StoreError, WriteTx};
use crate::web::csv_text::formula_safe;
use crate::web::links::Links;

/// Most characters in a feed's name.
const LONGEST_NAME: usize = 100;

/// What the feeds that are made have in common.
#[derive(Debug, Clone, Copy)]
pub struct PersonalSettings {
    /// How much of a meeting is shown.
    pub detail: Detail,
    /// In which days.
    pub window: Window,
    /// Days that a canceled meeting is shown.
    pub canceled_days: u32,
    /// Whether the meetings take the subscriber's time.
    pub show_as: ShowAs,
}

impl Default for PersonalSettings {
    fn default() -> Self {
        let window = Window { past_days: 30, future_days: 365 };
        Self { detail: Detail::Full, window, canceled_days: NewFeed::CANCELED_DAYS, show_as: ShowAs::Busy }
    }
}

/// What became of the owners.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Personal {
    /// Those for whom a feed was made, or is missing.
    pub added: Vec<String>,
    /// How many have one.
    pub present: usize,
    /// Those whose feed was ended by an admin: it is not made again.
    pub ended: Vec<String>,
}

fn key(owner: &str) -> String {
    owner.trim().to_ascii_lowercase()
}

/// Tells the owners apart by their feeds. The added ones come with their name.
fn sort(owners: Vec<(String, String)>, feeds: &[Feed]) -> (Personal, Vec<(String, String)>) {
    let mut known = HashMap::<String, bool>::new();
    for feed in feeds {
        if let Some(person) = feed.wish.selection.person() {
            *known.entry(key(person)).or_default() |= feed.revoked_at.is_none();
        }
    }
    let (mut outcome, mut missing) = (Personal::default(), Vec::new());
    for (owner, name) in owners {
        match known.get(&key(&owner)) {
            Some(true) => outcome.present += 1,
            Some(false) => outcome.ended.push(owner),
            None => {
                outcome.added.push(owner.clone());
                missing.push((owner, name));
            }
        }
    }
    (outcome, missing)
}

/// For whom a personal feed would be made.
///
/// # Errors
/// When the database can't be read.
pub async fn missing(store: &Store) -> Result<Personal, StoreError> {
    Ok(sort(store.owners().await?, &store.feeds().await?).0)
}

/// Makes a personal feed for each owner of a meeting who has none. `actor` stands in the audit log.
///
/// # Errors
/// When the database can't be read or written; then none was made.
pub async fn add_missing(
    store: &Store,
    randomness: &Randomness,
    settings: PersonalSettings,
    actor: &'static str,
    now: DateTime<Utc>,
) -> Result<Personal, StoreError> {
    let owners = store.owners().await?;
    let mut tx = store.write().await?;
    let feeds = tx.feeds().await?;
    let (outcome, missing) = sort(owners, &feeds);
    let live = feeds.iter().filter(|feed| feed.revoked_at.is_none());
    let mut names: HashSet<String> = live.map(|feed| feed.wish.name.clone()).collect();
    for (owner, name) in missing {
        add(&mut tx, randomness, settings, owner, &name, &mut names, now).await?;
    }
    if !outcome.added.is_empty() {
        let number = outcome.added.len();
        let summary = format!("Added {number} personal {}", if number == 1 { "feed" } else { "feeds" });
        tx.append_admin_action(actor, "feed", summary, now).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}

async fn add(
    tx: &mut WriteTx<'_>,
    randomness: &Randomness,
    settings: PersonalSettings,
    owner: String,
    name: &str,
    names: &mut HashSet<String>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let PersonalSettings { detail, window, canceled_days, show_as } = settings;
    let public_id = Links::new_public_id(randomness);
    // Two people may have the same name; if even that is taken, the link's own id tells them apart.
    let name =
        [format!("Meetings of {name}"), format!("Meetings of {owner}"), format!("Meetings of {owner} {public_id}")]
            .into_iter()
            .map(|name| name.chars().take(LONGEST_NAME).collect::<String>())
            .find(|name| !names.contains(name))
            .unwrap_or_else(|| format!("Meetings {public_id}"));
    names.insert(name.clone());
    let selection = Selection { owners: vec![owner], ..Selection::default() };
    let new = NewFeed { public_id, name, selection, detail, window, canceled_days, show_as };
    tx.add_feed(&new, now).await?;
    Ok(())
}

/// The links of all personal feeds, as CSV with a heading.
///
/// # Errors
/// When the database can't be read.
pub async fn links_csv(store: &Store, links: &Links) -> Result<Vec<u8>, StoreError> {
    let mut table = csv::Writer::from_writer(Vec::new());
    // Writing into memory doesn't fail.
    let _ = table.write_record(["owner", "feed", "subscription_page", "link"]);
    for feed in store.feeds().await? {
        let Some(person) = feed.wish.selection.person().filter(|_| feed.revoked_at.is_none()) else { continue };
        let texts = [person, &feed.wish.name, &links.subscribe_url(&feed), &links.feed_url(&feed)];
        let _ = table.write_record(texts.map(formula_safe));
    }
    Ok(table.into_inner().unwrap_or_default())
}
