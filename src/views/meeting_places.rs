//! Where a meeting is: every calendar and feed, and the answer to "is it there?" in a sentence or two.

use std::fmt::Write as _;

use super::error::PageError;
use super::feed::FeedCache;
use super::frame::{Mirror, Visit};
use super::mirror_state::{Placement, in_calendar, in_feed, no_room, unread};
use super::words::{Tone, count, verb};
use crate::meeting::state::{Meeting, Status};

/// With more feeds than this, those that don't show the meeting stand apart.
const FEW_FEEDS: usize = 8;

/// Every calendar and feed in use, and removed calendars that may still show the meeting.
pub(super) struct Places {
    calendars: Vec<Place>,
    removed: Vec<Place>,
    feeds: Vec<Place>,
}

/// A calendar or a feed, and whether the meeting is there.
pub(super) struct Place {
    /// What it is.
    pub(super) kind: &'static str,
    /// For people.
    pub(super) name: String,
    /// Where it stands there.
    pub(super) placement: Placement,
    /// Where an admin decides whether its event is deleted.
    pub(super) decide: Option<String>,
}

impl Place {
    /// The meeting is there, also when an admin may let it be deleted.
    fn has_it(&self) -> bool {
        self.placement.state.tone == Tone::Good || self.placement.to_approve
    }

    fn is_quiet(&self) -> bool {
        self.placement.state.tone == Tone::Quiet
    }
}

impl Places {
    /// Those of a meeting as it is now.
    pub(super) async fn of(visit: &Visit, cache: &FeedCache, meeting: &Meeting) -> Result<Self, PageError> {
        let (store, times) = (&visit.site.store, &visit.times);
        let rows = store.mirror_rows(meeting.id.as_str()).await?;
        let mirror_is_on = Mirror::of(&visit.site).is_on();
        let mut places = Self { calendars: Vec::new(), removed: Vec::new(), feeds: Vec::new() };
        for calendar in store.all_calendars().await? {
            let row = rows.iter().find(|row| row.calendar_id == calendar.id);
            let placement = in_calendar(meeting, &calendar, row, mirror_is_on, times);
            let decide = placement.to_approve.then(|| format!("/calendars#calendar-{}", calendar.id));
            let place = |kind| Place { kind, name: calendar.wish.name, placement, decide };
            if calendar.removed_at.is_none() {
                places.calendars.push(place("Google Calendar"));
            } else if row.is_some() {
                places.removed.push(place("Google Calendar, removed"));
            }
        }
        for calendar in store.unread_calendars().await? {
            let (name, placement) = (calendar.name, unread("calendar"));
            places.calendars.push(Place { kind: "Google Calendar", name, placement, decide: None });
        }
        let facts = store.rendition_facts().await?;
        for feed in store.feeds_in_use().await? {
            let feed = match feed {
                Ok(feed) => feed,
                Err(feed) => {
                    let placement = unread("feed");
                    places.feeds.push(Place { kind: "Feed", name: feed.name, placement, decide: None });
                    continue;
                }
            };
            let mut placement = in_feed(meeting, &feed, times);
            let is_cut = facts.iter().any(|facts| facts.feed_id == feed.id && facts.left_out.meetings > 0);
            // Only the feed as it is made tells which meetings fit.
            if is_cut && placement.state.tone == Tone::Good && cache.shows(&feed, &meeting.id).await == Some(false) {
                placement = no_room();
            }
            places.feeds.push(Place { kind: "Feed", name: feed.wish.name, placement, decide: None });
        }
        Ok(places)
    }

    /// Whether there is a calendar to be in.
    pub(super) fn has_calendar(&self) -> bool {
        !self.calendars.is_empty()
    }

    /// Whether there is a feed to be in.
    pub(super) fn has_feed(&self) -> bool {
        !self.feeds.is_empty()
    }

    fn feeds_stand_apart(&self) -> bool {
        self.feeds.len() > FEW_FEEDS
    }

    /// Those that one asks about first.
    pub(super) fn main(&self) -> Vec<&Place> {
        let apart = self.feeds_stand_apart();
        let feeds = self.feeds.iter().filter(|feed| !apart || !feed.is_quiet());
        self.calendars.iter().chain(&self.removed).chain(feeds).collect()
    }

    /// Feeds that don't show it, when there are many.
    pub(super) fn other_feeds(&self) -> Vec<&Place> {
        let apart = self.feeds_stand_apart();
        self.feeds.iter().filter(|feed| apart && feed.is_quiet()).collect()
    }

    /// The answer in a sentence or two. `waiting` deliveries about it are still to be worked on.
    pub(super) fn answer(&self, meeting: &Meeting, waiting: i64) -> String {
        let mut text = match meeting.status() {
            _ if meeting.forget_since.is_some() => {
                "It is being forgotten: once no calendar holds its event, nothing is kept of it."
            }
            Status::Confirmed => "It takes place.",
            Status::Canceled => "It is canceled: calendars and feeds mark it so or take it out.",
            Status::Replaced { .. } => {
                "Another booking took it over: calendars and feeds mark it canceled or take it out."
            }
        }
        .to_owned();
        let number = |places: usize| i64::try_from(places).unwrap_or(i64::MAX);
        let kinds = [(&self.calendars, "calendar", "calendars"), (&self.feeds, "feed", "feeds")];
        let kinds: Vec<String> = kinds
            .into_iter()
            .filter(|(places, ..)| !places.is_empty())
            .map(|(places, one, many)| {
                let there = places.iter().filter(|place| place.has_it()).count();
                format!("{there} of {}", count(number(places.len()), one, many))
            })
            .collect();
        if meeting.is_confirmed() && meeting.forget_since.is_none() && !kinds.is_empty() {
            let _ = write!(text, " It is in {}.", kinds.join(" and "));
        }
        let all = || self.calendars.iter().chain(&self.removed).chain(&self.feeds);
        for (tone, one, many) in
            [(Tone::Bad, "needs a look", "need a look"), (Tone::Waiting, "is on its way", "are on their way")]
        {
            let number = number(all().filter(|place| place.placement.state.tone == tone).count());
            if number > 0 {
                let _ = write!(text, " {} {}.", count(number, "place", "places"), verb(number, one, many));
            }
        }
        if waiting > 0 {
            let deliveries = count(waiting, "delivery is", "deliveries are");
            let _ = write!(text, " {deliveries} about it still to be worked on.");
        }
        text
    }
}
