//! The feeds: what each contains in words, and its links to copy.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;

use super::error::PageError;
use super::frame::{Frame, Section, Visit};
use super::reach::Reach;
use super::time_text::Moment;
use super::words::{self, shell};
use crate::store::Feed;
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/feeds", get(show))
}

#[derive(Template)]
#[template(path = "feeds.html")]
struct FeedsPage {
    frame: Frame,
    reach: Option<&'static str>,
    feeds: Vec<Card>,
    revoked: Vec<Revoked>,
}

/// A live feed.
struct Card {
    id: i64,
    name: String,
    argument: String,
    link: String,
    page: String,
    page_path: String,
    selection: String,
    detail: &'static str,
    window: String,
    created: Moment,
    generation: u32,
    changed: Option<Moment>,
    left_out: String,
}

/// A feed that was ended.
struct Revoked {
    id: i64,
    name: String,
    since: Moment,
}

async fn show(visit: Visit) -> Result<Response, PageError> {
    let (store, times, links) = (&visit.site.store, visit.times, &visit.site.links);
    let (mut live, mut revoked) = (Vec::new(), Vec::new());
    for feed in store.feeds().await? {
        match feed.revoked_at {
            Some(at) => revoked.push(Revoked { id: feed.id, name: feed.wish.name, since: times.at(at) }),
            None => live.push(card(&visit, feed).await?),
        }
    }
    let page = FeedsPage {
        frame: visit.frame(Section::Feeds),
        reach: Reach::of(links.public_url()).warning(),
        feeds: live,
        revoked,
    };
    Ok(visit.show(page))
}

async fn card(visit: &Visit, feed: Feed) -> Result<Card, PageError> {
    let (times, links) = (&visit.times, &visit.site.links);
    let rendition = visit.site.store.rendition(feed.id).await?;
    let left_out = rendition.as_ref().map_or(0, |rendition| rendition.left_out);
    Ok(Card {
        id: feed.id,
        argument: shell(&feed.wish.name),
        link: links.feed_url(&feed),
        page: links.subscribe_url(&feed),
        page_path: format!("/subscribe/{}", links.token(&feed)),
        selection: words::selection(&feed.wish.selection),
        detail: words::detail(feed.wish.detail),
        window: words::window(feed.wish.window),
        created: times.at(feed.created_at),
        generation: feed.generation,
        changed: rendition.map(|rendition| times.at(rendition.last_modified_at)),
        left_out: if left_out == 0 {
            String::new()
        } else {
            words::count(i64::from(left_out), "meeting does", "meetings do")
        },
        name: feed.wish.name,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use crate::meeting::selection::{Detail, Selection};
    use crate::store::Rendition;

    #[tokio::test]
    async fn without_feeds_it_says_how_to_make_one() {
        let stage = Stage::new().await;
        stage.admin().await.get("/feeds").await.assert_shows(&["No feed yet.", "meeting-mirror feed add --name"]);
    }

    #[tokio::test]
    async fn a_feed_shows_its_links_and_what_it_contains() {
        let stage = Stage::new().await;
        let feed = stage.feed_of("Sales <team>", Detail::Busy, Selection::default()).await;
        let answer = stage.admin().await.get("/feeds").await;
        answer.assert_shows(&[
            &format!("value=\"{}\"", stage.site.links.feed_url(&feed)),
            &format!("value=\"{}\"", stage.site.links.subscribe_url(&feed)),
            "only “Busy”: no title, no names",
            "all meetings",
            "not fetched yet",
        ]);
        answer.assert_hides(&["<team>", "can't reach"]);
    }

    #[tokio::test]
    async fn a_cut_feed_a_private_address_and_an_ended_feed_are_told() {
        let mut stage = Stage::new().await;
        stage.public_url("http://192.168.1.20:8080");
        let feed = stage.feed("Everything").await;
        let gone = stage.feed("Gone").await;
        let mut tx = stage.site.store.write().await.unwrap();
        let rendition = Rendition { body: vec![1], digest: vec![2], last_modified_at: stage.now(), left_out: 12 };
        tx.keep_rendition(feed.id, &rendition).await.unwrap();
        tx.revoke_feed(gone.id, stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        let answer = stage.admin().await.get("/feeds").await;
        answer.assert_shows(&["12 meetings do not fit", "inside this network only", "--public-url", "Gone", "ended"]);
        answer.assert_hides(&[&stage.site.links.token(&gone)]);
    }
}
