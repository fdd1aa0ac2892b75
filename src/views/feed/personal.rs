//! Personal feeds: one for each owner of a meeting, and the list of their links to hand out.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::clock::Randomness;
use crate::meeting::selection::{Detail, Selection, ShowAs, Window, plain};
use crate::store::{Feed, MeetingOwner, NewFeed, Store, StoreError, UnreadFeed, WriteTx};
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
        let window = Window::USUAL;
        Self { detail: Detail::Full, window, canceled_days: NewFeed::CANCELED_DAYS, show_as: ShowAs::Busy }
    }
}

/// The owners of meetings by their personal feeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonalFeeds {
    /// Those who have none.
    pub missing: Vec<MeetingOwner>,
    /// How many have one.
    pub present: usize,
    /// Those whose feed was revoked by an admin: it is not made again.
    pub revoked: Vec<MeetingOwner>,
    /// Names of live feeds that can't be read, personal or not. If at least an owner can be read, none is made for them again.
    pub unread: Vec<String>,
}

impl PersonalFeeds {
    fn of(owners: Vec<MeetingOwner>, feeds: &[Result<Feed, Box<UnreadFeed>>]) -> Self {
        let (mut sorted, mut known) = (Self::default(), HashSet::new());
        let mut is_live = HashMap::<String, bool>::new();
        for feed in feeds {
            let (selection, revoked) = match feed {
                Ok(feed) => (Some(&feed.wish.selection), feed.revoked_at.is_some()),
                Err(unread) => {
                    sorted.unread.extend((!unread.is_revoked).then(|| unread.name.clone()));
                    (unread.selection.as_ref(), unread.is_revoked)
                }
            };
            if let Some(person) = selection.and_then(Selection::person) {
                *is_live.entry(plain(person)).or_default() |= !revoked;
            }
        }
        for owner in owners {
            let person = plain(&owner.username);
            // The database tells owners apart that a selection takes for the same.
            if !known.insert(person.clone()) {
                continue;
            }
            match is_live.get(&person) {
                None => sorted.missing.push(owner),
                Some(true) => sorted.present += 1,
                Some(false) => sorted.revoked.push(owner),
            }
        }
        sorted
    }

    /// As they are now.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn now(store: &Store) -> Result<Self, StoreError> {
        Ok(Self::of(store.meeting_owners().await?, &store.feeds_one_by_one().await?))
    }
}

/// Makes a personal feed for each owner of a meeting who has none. Returns how they were before. `actor` stands in the audit log.
///
/// # Errors
/// When the database can't be read or written; then none was made.
pub async fn add_missing(
    store: &Store,
    randomness: &Randomness,
    settings: PersonalSettings,
    actor: &'static str,
    now: DateTime<Utc>,
) -> Result<PersonalFeeds, StoreError> {
    let owners = store.meeting_owners().await?;
    let mut tx = store.write().await?;
    let feeds = tx.feeds_one_by_one().await?;
    let before = PersonalFeeds::of(owners, &feeds);
    let live = feeds.iter().flatten().filter(|feed| feed.revoked_at.is_none());
    let mut names: HashSet<String> =
        live.map(|feed| feed.wish.name.clone()).chain(before.unread.iter().cloned()).collect();
    for owner in &before.missing {
        add(&mut tx, randomness, settings, owner, &mut names, actor, now).await?;
    }
    tx.commit().await?;
    Ok(before)
}

async fn add(
    tx: &mut WriteTx<'_>,
    randomness: &Randomness,
    settings: PersonalSettings,
    owner: &MeetingOwner,
    names: &mut HashSet<String>,
    actor: &'static str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let PersonalSettings { detail, window, canceled_days, show_as } = settings;
    let public_id = Links::new_public_id(randomness);
    // Two people may have the same name; if even that is taken, the link's own id tells them apart.
    let MeetingOwner { username, name } = owner;
    let names_to_try =
        [format!("Meetings of {name}"), format!("Meetings of {username}"), format!("Meetings {public_id}")];
    let mut short = names_to_try.into_iter().map(|name| name.chars().take(LONGEST_NAME).collect::<String>());
    let name = short.find(|name| !names.contains(name)).unwrap_or_default();
    names.insert(name.clone());
    let selection = Selection { owners: vec![username.clone()], ..Selection::default() };
    let new = NewFeed { public_id, name, selection, detail, window, canceled_days, show_as };
    tx.new_feed(&new, actor, now).await.map(drop)
}

/// The links of all personal feeds that can be read, as CSV with a heading.
///
/// # Errors
/// When the database can't be read.
pub async fn links_csv(store: &Store, links: &Links) -> Result<Vec<u8>, StoreError> {
    let mut table = csv::Writer::from_writer(Vec::new());
    // Writing into memory doesn't fail.
    let _ = table.write_record(["owner", "feed", "subscription_page", "link"]);
    for feed in store.feeds_one_by_one().await?.into_iter().flatten() {
        let Some(person) = feed.wish.selection.person().filter(|_| feed.revoked_at.is_none()) else { continue };
        let texts = [person, &feed.wish.name, &links.subscribe_url(&feed), &links.feed_url(&feed)];
        let _ = table.write_record(texts.map(formula_safe));
    }
    Ok(table.into_inner().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_apart_as_selections_do() {
        let owner = |username: &str| MeetingOwner { username: username.into(), name: username.into() };
        let owners = ["Ünal@example.com", "ünal@example.com", " ÜNAL@example.com/", "bo@example.com"].map(owner);
        let found = PersonalFeeds::of(owners.to_vec(), &[]);
        assert_eq!(found.missing, [owner("Ünal@example.com"), owner("bo@example.com")]);
        let settings = PersonalSettings::default();
        let feed = Feed {
            id: 1,
            wish: NewFeed {
                public_id: "public".into(),
                name: "Meetings of Ünal".into(),
                selection: Selection { owners: vec!["ÜNAL@EXAMPLE.COM".into()], ..Selection::default() },
                detail: settings.detail,
                window: settings.window,
                canceled_days: settings.canceled_days,
                show_as: settings.show_as,
            },
            generation: 0,
            edition: 0,
            created_at: DateTime::UNIX_EPOCH,
            revoked_at: None,
        };
        let found = PersonalFeeds::of(owners.to_vec(), &[Ok(feed)]);
        assert_eq!((found.present, found.missing), (1, vec![owner("bo@example.com")]));
    }
}
