//! The list of feeds, narrowed by words and turned page by page: what each contains, its page to hand out, who fetched it last.

use std::cmp::Reverse;
use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::error::PageError;
use super::feed_facts::ReaderRow;
use super::frame::{Frame, Params, Section, Visit};
use super::reach::Reach;
use super::tabs::Tab;
use super::time_text::Moment;
use super::words::{self, count, href, verb};
use crate::meeting::selection::{Detail, plain};
use crate::store::{Feed, NewFeed, Reader, RenditionFacts};
use crate::web::site::Site;

/// Feeds on one page.
const PAGE: usize = 50;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/feeds", get(show))
}

#[derive(Template)]
#[template(path = "feeds.html")]
struct FeedsPage {
    frame: Frame,
    reach: Option<&'static str>,
    said: Option<String>,
    choice: Choice,
    tabs: Vec<Tab>,
    /// That some can't be read.
    unread: Option<String>,
    is_empty: bool,
    has_personal: bool,
    rows: Vec<Row>,
    place: String,
    before: Option<String>,
    next: Option<String>,
}

/// Which feeds are listed, as it stands in the page's address; and what a form did.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Choice {
    /// Words of a name or of what is selected.
    q: String,
    /// Which tab.
    status: String,
    /// Number of the page, from 1.
    page: String,
    /// Personal feeds that were made.
    added: Option<u32>,
}

/// The tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Live,
    Cut,
    Ended,
}

impl Standing {
    const ALL: [Self; 3] = [Self::Live, Self::Cut, Self::Ended];

    /// The word in the address.
    fn as_str(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Cut => "cut",
            Self::Ended => "ended",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Cut => "too large",
            Self::Ended => "ended",
        }
    }

    fn holds(self, feed: &Feed, facts: Option<&RenditionFacts>) -> bool {
        match self {
            Self::Live => feed.revoked_at.is_none(),
            Self::Cut => feed.revoked_at.is_none() && facts.is_some_and(|facts| facts.left_out.meetings > 0),
            Self::Ended => feed.revoked_at.is_some(),
        }
    }
}

impl Choice {
    fn standing(&self) -> Standing {
        Standing::ALL.into_iter().find(|standing| standing.as_str() == self.status).unwrap_or(Standing::Live)
    }

    fn is_ended(&self) -> bool {
        self.standing() == Standing::Ended
    }

    /// Whether each word is in the feed's name, in what it selects, or in the name of an owner that it selects.
    fn finds(&self, feed: &Feed, names: &HashMap<String, String>) -> bool {
        let NewFeed { name, selection, .. } = &feed.wish;
        let owners: Vec<&str> =
            selection.owners.iter().filter_map(|owner| names.get(&plain(owner))).map(String::as_str).collect();
        let text = format!("{name} {selection} {}", owners.join(" ")).to_lowercase();
        self.q.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    fn href(&self, standing: Standing, page: usize) -> String {
        let page = if page > 1 { page.to_string() } else { String::new() };
        href("/feeds", &[("q", &self.q), ("status", standing.as_str()), ("page", &page)])
    }
}

/// A feed.
struct Row {
    id: i64,
    name: String,
    selection: String,
    detail: &'static str,
    /// Its page for people: whole, and its path; none when the feed was ended.
    page: Option<(String, String)>,
    ended: Option<Moment>,
    size: Option<String>,
    left_out: Option<String>,
    reader: Option<ReaderRow>,
}

async fn show(visit: Visit, Params(choice): Params<Choice>) -> Result<Response, PageError> {
    let (store, times) = (&visit.site.store, visit.times);
    let facts = store.rendition_facts().await?;
    let facts_of = |feed: &Feed| facts.iter().find(|facts| facts.feed_id == feed.id);
    let (mut all, mut unread) = (Vec::new(), 0);
    for feed in store.feeds_one_by_one().await? {
        match feed {
            Ok(feed) => all.push(feed),
            // The log has it already, from when the feeds were loaded.
            Err(_) => unread += 1,
        }
    }
    let is_personal = |feed: &Feed| feed.revoked_at.is_none() && feed.wish.selection.person().is_some();
    let (is_empty, has_personal) = (all.is_empty() && unread == 0, all.iter().any(is_personal));
    let owners = if choice.q.is_empty() { Vec::new() } else { store.meeting_owners().await? };
    let names = owners.into_iter().map(|owner| (plain(&owner.username), owner.name)).collect();
    let found: Vec<Feed> = all.into_iter().filter(|feed| choice.finds(feed, &names)).collect();
    let standing = choice.standing();
    let tabs = Standing::ALL.into_iter().map(|tab| {
        let number = found.iter().filter(|feed| tab.holds(feed, facts_of(feed))).count();
        let number = i64::try_from(number).ok();
        Tab { label: tab.label(), href: choice.href(tab, 1), number, current: tab == standing }
    });
    let tabs = tabs.collect();
    let mut found: Vec<Feed> = found.into_iter().filter(|feed| standing.holds(feed, facts_of(feed))).collect();
    found.sort_by_cached_key(|feed| (Reverse(feed.revoked_at), feed.wish.name.to_lowercase(), feed.id));
    let pages = found.len().div_ceil(PAGE).max(1);
    let page = choice.page.parse().unwrap_or(1).clamp(1, pages);
    let shown: Vec<Feed> = found.into_iter().skip((page - 1) * PAGE).take(PAGE).collect();
    let ids: Vec<i64> = shown.iter().map(|feed| feed.id).collect();
    let mut readers = store.readers(&ids, times.now()).await?;
    let page = FeedsPage {
        frame: visit.frame(Section::Feeds),
        reach: Reach::of(visit.site.links.public_url()).warning(),
        said: choice.added.map(|added| format!("{} made.", count(i64::from(added), "feed was", "feeds were"))),
        tabs,
        unread: (unread > 0).then(|| {
            let feeds = count(unread, "feed", "feeds");
            format!("{feeds} can't be read, and {} not listed.", verb(unread, "is", "are"))
        }),
        is_empty,
        has_personal,
        rows: shown
            .into_iter()
            .map(|feed| {
                let readers = readers.remove(&feed.id).unwrap_or_default();
                row(&visit, facts_of(&feed), readers.first(), feed)
            })
            .collect(),
        place: format!("Page {page} of {pages}"),
        before: (page > 1).then(|| choice.href(standing, page - 1)),
        next: (page < pages).then(|| choice.href(standing, page + 1)),
        choice,
    };
    Ok(visit.show(page))
}

fn row(visit: &Visit, facts: Option<&RenditionFacts>, reader: Option<&Reader>, feed: Feed) -> Row {
    let (links, times) = (&visit.site.links, &visit.times);
    let left_out = facts.map_or(0, |facts| facts.left_out.meetings);
    let page = || (links.subscribe_url(&feed), format!("/subscribe/{}", links.token(&feed)));
    Row {
        id: feed.id,
        selection: words::selection(&feed.wish.selection),
        detail: match feed.wish.detail {
            Detail::Full => "everything",
            Detail::Title => "title, owner and place",
            Detail::Busy => "only “Busy”",
        },
        page: feed.revoked_at.is_none().then(page),
        ended: feed.revoked_at.map(|at| times.at(at)),
        size: facts.map(|facts| words::octets(facts.length.unsigned_abs())),
        left_out: (left_out > 0).then(|| format!("{} left out", count(i64::from(left_out), "meeting", "meetings"))),
        reader: reader.map(|reader| ReaderRow::new(reader, times)),
        name: feed.wish.name,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use crate::meeting::selection::{Detail, Selection};
    use crate::store::{FetchKey, LeftOut, Rendition, Tally, day_of};

    fn of(owner: &str) -> Selection {
        Selection { owners: vec![owner.into()], ..Selection::default() }
    }

    #[tokio::test]
    async fn without_feeds_it_says_what_one_is_and_how_to_add_it() {
        let stage = Stage::new().await;
        let answer = stage.admin().await.get("/feeds").await;
        answer.assert_shows(&["No feed yet. A feed is a link", "href=\"/feeds/new\"", "href=\"/feeds/personal\""]);
        answer.assert_hides(&["role=\"search\"", "personal.csv", "<table"]);
    }

    #[tokio::test]
    async fn a_row_tells_what_a_feed_contains_its_page_and_who_fetched_it_last() {
        let stage = Stage::new().await;
        let feed = stage.feed_of("Sales <team>", Detail::Busy, of("priya@example.com")).await;
        let mut admin = stage.admin().await;
        let answer = admin.get("/feeds").await;
        answer.assert_shows(&[
            "href=\"/feeds/1/details\"",
            &format!("value=\"{}\" readonly", stage.site.links.subscribe_url(&feed)),
            "data-copy=\"page-1\"",
            "meetings of owner priya@example.com; only “Busy”",
            "not in 14 days",
            "not made yet",
            "live 1",
            "href=\"/feeds/personal.csv\"",
        ]);
        answer.assert_hides(&["<team>", "can't reach", "class=\"pager\""]);
        let mut tx = stage.site.store.write().await.unwrap();
        let google = FetchKey { feed_id: 1, program: "google", day: day_of(stage.now()), answer: 200 };
        tx.add_fetches([(&google, &Tally { fetches: 1, last_at: stage.now() })]).await.unwrap();
        let rendition = Rendition {
            body: vec![1; 4321],
            digest: vec![2],
            last_modified_at: stage.now(),
            left_out: LeftOut::default(),
        };
        tx.keep_rendition(&feed, &rendition).await.unwrap();
        tx.commit().await.unwrap();
        admin.get("/feeds").await.assert_shows(&["Google Calendar", "4.4 kB"]);
    }

    #[tokio::test]
    async fn a_cut_feed_a_private_address_and_an_ended_feed_are_told() {
        let mut stage = Stage::new().await;
        stage.public_url("http://192.168.1.20:8080");
        let feed = stage.feed("Everything").await;
        let gone = stage.feed("Gone").await;
        let mut tx = stage.site.store.write().await.unwrap();
        let left_out = LeftOut { meetings: 12, ahead: 2, from: Some(stage.now()) };
        let rendition = Rendition { body: vec![1; 9], digest: vec![2], last_modified_at: stage.now(), left_out };
        tx.keep_rendition(&feed, &rendition).await.unwrap();
        tx.revoke_feed(gone.id, stage.now()).await.unwrap();
        let old = FetchKey { feed_id: gone.id, program: "google", day: day_of(stage.now()), answer: 410 };
        tx.add_fetches([(&old, &Tally { fetches: 1, last_at: stage.now() })]).await.unwrap();
        tx.commit().await.unwrap();
        let mut admin = stage.admin().await;
        let answer = admin.get("/feeds").await;
        answer.assert_shows(&[
            "12 meetings left out",
            "inside this network only",
            "--public-url",
            "too large 1",
            "ended 1",
        ]);
        answer.assert_hides(&["Gone"]);
        let answer = admin.get("/feeds?status=ended").await;
        answer.assert_shows(&["Gone", "Fri 20 Nov 2026, 13:00 CET", "410, old link", "href=\"/feeds/2/details\""]);
        answer.assert_hides(&[&stage.site.links.token(&gone), "Everything"]);
        let answer = admin.get("/feeds?status=cut").await;
        answer.assert_shows(&["Everything"]);
    }

    #[tokio::test]
    async fn many_feeds_are_searched_by_name_and_owner_and_turned_page_by_page() {
        let stage = Stage::new().await;
        for number in 1..=51 {
            let feed = format!("Team {number:02}");
            let mut tx = stage.site.store.write().await.unwrap();
            let mut new = stage.wish(&feed);
            if number == 7 {
                new.selection = of("Ada.Byrne@example.com");
            }
            tx.add_feed(&new, stage.now()).await.unwrap();
            tx.commit().await.unwrap();
        }
        let mut admin = stage.admin().await;
        let first = admin.get("/feeds").await;
        first.assert_shows(&["Team 01", "Team 50", "Page 1 of 2", "live 51"]);
        first.assert_hides(&["Team 51", "rel=\"prev\""]);
        assert_eq!(first.href("Next page →"), "/feeds?page=2");
        let second = admin.get("/feeds?page=2").await;
        second.assert_shows(&["Team 51"]);
        second.assert_hides(&["Team 50", "rel=\"next\""]);
        for beyond in ["/feeds?page=99", "/feeds?page=x"] {
            assert!(admin.get(beyond).await.body.contains("Page "), "{beyond}");
        }
        for words in ["q=byrne+team", "q=ADA", "q=team+07"] {
            let found = admin.get(&format!("/feeds?{words}")).await;
            found.assert_shows(&["Team 07", "live 1"]);
            found.assert_hides(&["Team 08"]);
        }
        admin.get("/feeds?q=nobody").await.assert_shows(&["No such feed here.", "live 0", "value=\"nobody\""]);
    }

    #[tokio::test]
    async fn a_feed_is_found_by_the_name_of_its_owner() {
        let stage = Stage::new().await;
        stage.meeting("m-1", 24).await;
        stage.feed_of("First", Detail::Busy, of("PRIYA@example.com")).await;
        stage.feed_of("Second", Detail::Busy, of("ada@example.com")).await;
        let mut admin = stage.admin().await;
        for words in ["q=raghunathan", "q=priya+ragh+first"] {
            let found = admin.get(&format!("/feeds?{words}")).await;
            found.assert_shows(&["First", "live 1"]);
            found.assert_hides(&["Second"]);
        }
    }

    #[tokio::test]
    async fn without_a_database_it_says_so() {
        let stage = Stage::new().await;
        let mut admin = stage.admin().await;
        stage.site.store.close().await;
        for page in ["/feeds", "/feeds/1/details", "/feeds/new", "/feeds/personal", "/feeds/1/revoke"] {
            let answer = admin.get(page).await;
            assert!(answer.status.is_server_error(), "{page}: {}", answer.status);
            assert!(!answer.body.contains("sqlx") && !answer.body.contains("pool"), "{page}");
        }
    }
}
