//! One feed: its links to hand out, what it contains in words and numbers, and who reads it.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::day_bars::DayBars;
use super::error::PageError;
use super::feed::FeedCache;
use super::feed_facts::{ReaderRow, find, left_out};
use super::frame::{Frame, Params, Section, Visit};
use super::reach::Reach;
use super::time_text::Moment;
use super::words::{self, count, grouped};
use crate::meeting::selection::{Detail, Selection, ShowAs};
use crate::store::{Feed, RenditionFacts};
use crate::web::site::Site;

pub(super) fn router(cache: FeedCache) -> Router<Site> {
    Router::new().route("/feeds/{id}/details", get(show)).with_state(cache)
}

#[derive(Template)]
#[template(path = "feed.html")]
struct FeedPage {
    frame: Frame,
    said: Option<String>,
    /// What subscribers see now and did not see before.
    more: Option<String>,
    reach: Option<&'static str>,
    id: i64,
    name: String,
    links: Option<FeedLinks>,
    /// Since when it is ended.
    ended: Option<Moment>,
    meetings: Meetings,
    left_out: Option<String>,
    selection: String,
    detail: &'static str,
    window: String,
    canceled: String,
    show_as: &'static str,
    created: Moment,
    generation: u32,
    changed: Option<(Moment, String)>,
    readers: Vec<ReaderRow>,
    fetches: Option<DayBars>,
}

/// What is handed out.
struct FeedLinks {
    page: String,
    page_path: String,
    feed: String,
    qr: String,
}

/// How many meetings it shows.
struct Meetings {
    words: String,
    /// None is, and that may be a slip of the pen.
    is_suspicious: bool,
}

/// What a form did, told in the address that one is sent to.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Said {
    new: Option<u8>,
    /// 1 = changed, 0 = nothing was to be changed.
    edited: Option<u8>,
    renewed: Option<u8>,
    ended: Option<u8>,
    /// How much it showed before the edit.
    detail: Option<Detail>,
    /// How many meetings it showed before the edit.
    meetings: Option<u32>,
}

impl Said {
    fn words(self) -> Option<&'static str> {
        match self {
            Self { new: Some(_), .. } => {
                Some("Added. Hand out its page, below: it has the link and the steps for each calendar program.")
            }
            Self { edited: Some(0), .. } => Some("Nothing was changed: it was like that already."),
            Self { edited: Some(_), .. } => {
                Some("Saved. The link stays; programs show the change when they next fetch it.")
            }
            Self { renewed: Some(_), .. } => Some(
                "There is a new link, and the old one has ended. Hand out the page again: everybody has to subscribe anew.",
            ),
            Self { ended: Some(_), .. } => Some("Ended. Its links say so from now on."),
            Self { .. } => None,
        }
    }

    /// What an edit lets subscribers see beyond what they saw before.
    fn more(self, feed: &Feed, meetings: u32) -> Option<String> {
        self.edited?;
        let level = |detail| match detail {
            Detail::Busy => 0,
            Detail::Title => 1,
            Detail::Full => 2,
        };
        let detail = self.detail.filter(|before| level(*before) < level(feed.wish.detail));
        let detail = detail.map(|_| format!("more of each meeting ({})", words::detail(feed.wish.detail)));
        let further = self.meetings.map(|before| meetings.saturating_sub(before)).filter(|more| *more > 0);
        let further = further.map(|more| count(i64::from(more), "further meeting", "further meetings"));
        let both: Vec<String> = detail.into_iter().chain(further).collect();
        (!both.is_empty()).then(|| format!("Whoever has the link now sees {}.", both.join(", and ")))
    }
}

async fn show(
    State(cache): State<FeedCache>,
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    Params(said): Params<Said>,
) -> Result<Response, PageError> {
    let feed = find(&visit, id).await?;
    let (store, times) = (&visit.site.store, visit.times);
    // Made as a subscriber would get it, so that what is left out is told before somebody subscribes.
    let ready = match cache.by_token(&visit.site.links.token(&feed)).await {
        Ok(slot) => cache.current(&slot).await.ok(),
        Err(_) => None,
    };
    let facts = store.rendition_facts().await?.into_iter().find(|facts| facts.feed_id == feed.id);
    let readers = store.readers(&[feed.id], times.now()).await?.remove(&feed.id).unwrap_or_default();
    let selected = store.feed_count(&feed.wish.rule(), times.now()).await?;
    let too_many = ready.map(|ready| ready.left_out).or(facts.map(|facts| facts.left_out));
    let too_many = too_many.unwrap_or_default();
    let mut fetches = BTreeMap::<i64, u32>::new();
    for (day, number) in readers.iter().flat_map(|reader| &reader.days) {
        *fetches.entry(*day).or_default() += number;
    }
    let page = FeedPage {
        frame: visit.frame(Section::Feeds),
        said: said.words().map(str::to_owned),
        more: said.more(&feed, selected),
        reach: Reach::of(visit.site.links.public_url()).warning(),
        id: feed.id,
        links: feed.revoked_at.is_none().then(|| links(&visit, &feed)),
        ended: feed.revoked_at.map(|at| times.at(at)),
        meetings: meetings(&feed, selected, too_many.meetings),
        left_out: left_out(&too_many, &times),
        selection: words::selection(&feed.wish.selection),
        detail: words::detail(feed.wish.detail),
        window: words::window(feed.wish.window),
        canceled: match feed.wish.canceled_days {
            0 => "left out at once".to_owned(),
            days => format!("shown as canceled for {}", count(i64::from(days), "day", "days")),
        },
        show_as: match feed.wish.show_as {
            ShowAs::Busy => "busy",
            ShowAs::Free => "free",
        },
        created: times.at(feed.created_at),
        generation: feed.generation,
        changed: facts.map(|RenditionFacts { last_modified_at, length, .. }| {
            (times.at(last_modified_at), words::octets(length.unsigned_abs()))
        }),
        readers: readers.iter().map(|reader| ReaderRow::new(reader, &times)).collect(),
        fetches: (!fetches.is_empty()).then(|| DayBars::new("Fetches", &fetches, times.now())),
        name: feed.wish.name,
    };
    Ok(visit.show(page))
}

fn links(visit: &Visit, feed: &Feed) -> FeedLinks {
    let links = &visit.site.links;
    let page_path = format!("/subscribe/{}", links.token(feed));
    FeedLinks {
        page: links.subscribe_url(feed),
        feed: links.feed_url(feed),
        qr: format!("{page_path}/qr.svg"),
        page_path,
    }
}

fn meetings(feed: &Feed, selected: u32, left_out: u32) -> Meetings {
    let shown = i64::from(selected.saturating_sub(left_out));
    let of = if left_out > 0 { format!(" of {}", grouped(selected.into())) } else { String::new() };
    Meetings {
        words: format!("{}{of}", count(shown, "meeting", "meetings")),
        is_suspicious: selected == 0 && feed.wish.selection != Selection::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;
    use crate::store::{FetchKey, Tally, day_of};
    use axum::http::StatusCode;
    use chrono::{DateTime, TimeDelta};

    #[tokio::test]
    async fn the_page_has_what_is_handed_out_and_says_what_the_feed_shows() {
        let stage = Stage::new().await;
        let feed = stage.feed_of("Sales <team>", Detail::Busy, Selection::default()).await;
        stage.meeting("m-1", 24).await;
        stage.meeting("m-2", 25).await;
        let answer = stage.admin().await.get("/feeds/1/details").await;
        let links = &stage.site.links;
        answer.assert_shows(&[
            &format!("value=\"{}\" readonly", links.feed_url(&feed)),
            &format!("value=\"{}\" readonly", links.subscribe_url(&feed)),
            &format!("<img class=\"qr\" src=\"/subscribe/{}/qr.svg\"", links.token(&feed)),
            "Shows 2 meetings now.",
            "only “Busy”: no title, no names",
            "all meetings, from 30 days back to 365 days ahead",
            "shown as canceled for 7 days",
            "show as free",
            "Nobody has fetched it in the last 14 days.",
            "href=\"/feeds/1/edit\"",
            "href=\"/feeds/1/rotate\"",
            "href=\"/feeds/1/revoke\"",
        ]);
        answer.assert_hides(&["<team>", "can't reach", "do not fit", "No meeting fits"]);
    }

    #[tokio::test]
    async fn a_feed_that_selects_nothing_that_is_known_says_so() {
        let stage = Stage::new().await;
        let nobody = Selection { owners: vec!["nobody@example.com".into()], ..Selection::default() };
        stage.feed_of("Slip", Detail::Full, nobody).await;
        stage.meeting("m-1", 24).await;
        stage
            .admin()
            .await
            .get("/feeds/1/details")
            .await
            .assert_shows(&["Shows 0 meetings now.", "No meeting fits yet."]);
    }

    #[tokio::test]
    async fn what_does_not_fit_and_a_private_address_are_told() {
        let mut stage = Stage::new().await;
        stage.public_url("http://127.0.0.1:8080");
        stage.feed("Everything").await;
        for number in 0..1002 {
            stage.meeting(&format!("m-{number}"), 24 + number).await;
        }
        let mut admin = stage.admin().await;
        let answer = admin.get("/feeds/1/details").await;
        answer.assert_shows(&[
            "Shows 1,000 meetings of 1,002 now.",
            "2 meetings to come do not fit, the first on",
            "on the machine that runs the service only",
        ]);
        admin.get("/feeds?status=cut").await.assert_shows(&["2 meetings left out"]);
    }

    #[tokio::test]
    async fn an_ended_feed_has_no_links_and_an_unknown_one_no_page() {
        let stage = Stage::new().await;
        let feed = stage.feed("Gone").await;
        stage.site.store.end_feed(&feed, "test", stage.now()).await.unwrap();
        let mut admin = stage.admin().await;
        let answer = admin.get("/feeds/1/details").await;
        answer.assert_shows(&["Gone", "Ended", "13:00 CET"]);
        answer.assert_hides(&[&stage.site.links.token(&feed), "/feeds/1/edit", "/feeds/1/revoke", "class=\"qr\""]);
        for unknown in ["/feeds/9/details", "/feeds/x/details", "/feeds/1/nothing"] {
            assert_eq!(admin.get(unknown).await.status, StatusCode::NOT_FOUND, "{unknown}");
        }
        assert!(stage.visitor().get("/feeds/1/details").await.header("location").starts_with("/login"));
    }

    #[tokio::test]
    async fn who_fetches_a_feed_is_told_by_program_not_by_person() {
        let stage = Stage::new().await;
        let feed = stage.feed("Team").await;
        let mut tx = stage.site.store.write().await.unwrap();
        let (now, today) = (stage.now(), day_of(stage.now()));
        let fetched = |program, day, answer, fetches, minutes_ago| {
            let last_at: DateTime<_> = now - TimeDelta::minutes(minutes_ago);
            (FetchKey { feed_id: feed.id, program, day, answer }, Tally { fetches, last_at })
        };
        let counted = [
            fetched("outlook-web", today, 304, 7, 20),
            fetched("outlook-web", today, 200, 1, 90),
            fetched("google", today - 1, 410, 2, 1500),
        ];
        tx.add_fetches(counted.iter().map(|(key, tally)| (key, tally))).await.unwrap();
        tx.commit().await.unwrap();
        let answer = stage.admin().await.get("/feeds/1/details").await;
        let text = answer.text();
        assert!(
            text.contains("Outlook on the webFri 20 Nov 2026, 12:40 CET · 20 minutes ago304, has the latest88"),
            "{text}"
        );
        assert!(text.contains("Google CalendarThu 19 Nov 2026, 12:00 CET · 25 hours ago410, old link02"), "{text}");
        answer.assert_shows(&[
            "Fetches a day over the last 14 days, the latest last: 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 8",
        ]);
    }
}
