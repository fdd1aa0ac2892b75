//! Giving a feed a new link, and ending it: first the question, with who would lose it in numbers, then the deed.

use askama::Template;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path};
use axum::response::{Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use serde::Deserialize;

use super::error::PageError;
use super::feed_facts::{ReaderRow, find_live, refused};
use super::frame::{Frame, Section, Visit};
use super::words::count;
use crate::store::{Feed, Reader};
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/feeds/{id}/rotate", get(ask_rotate).post(rotate))
        .route("/feeds/{id}/revoke", get(ask_revoke).post(revoke))
        .layer(DefaultBodyLimit::max(4096))
}

#[derive(Template)]
#[template(path = "feed_rotate.html")]
struct RotatePage {
    frame: Frame,
    id: i64,
    name: String,
    generation: u32,
    losing: Losing,
}

#[derive(Template)]
#[template(path = "feed_revoke.html")]
struct RevokePage {
    frame: Frame,
    id: i64,
    name: String,
    losing: Losing,
}

/// Who would lose the feed.
#[derive(Template)]
#[template(path = "parts/losing.html")]
struct Losing {
    /// How often it was fetched; none = never.
    fetched: Option<String>,
    readers: Vec<(ReaderRow, String)>,
}

// Its template escapes what it shows.
impl askama::filters::HtmlSafe for Losing {}

impl Losing {
    async fn of(visit: &Visit, feed: &Feed) -> Result<Self, PageError> {
        let readers = visit.site.store.readers(&[feed.id], visit.times.now()).await?.remove(&feed.id);
        let mut readers = readers.unwrap_or_default();
        // Who comes by an older link has lost it already.
        readers.retain(|reader| reader.served > 0);
        let times = |number: u32| count(i64::from(number), "time", "times");
        let all: u32 = readers.iter().map(|reader| reader.served).sum();
        let row = |reader: &Reader| (ReaderRow::new(reader, &visit.times), times(reader.served));
        Ok(Self { fetched: (all > 0).then(|| times(all)), readers: readers.iter().map(row).collect() })
    }
}

async fn ask_rotate(visit: Visit, id: Result<Path<i64>, PathRejection>) -> Result<Response, PageError> {
    let feed = find_live(&visit, id).await?;
    let page = RotatePage {
        frame: visit.frame(Section::Feeds),
        id: feed.id,
        generation: feed.generation,
        losing: Losing::of(&visit, &feed).await?,
        name: feed.wish.name,
    };
    Ok(visit.show(page))
}

#[derive(Deserialize)]
struct Rotate {
    token: String,
    /// Number of the link that is to end. Another may have been made and handed out since the question.
    generation: Option<u32>,
}

async fn rotate(
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Rotate>, FormRejection>,
) -> Result<Redirect, PageError> {
    let Form(form) = form.map_err(PageError::from)?;
    visit.check(&form.token)?;
    let feed = find_live(&visit, id).await?;
    if form.generation != Some(feed.generation) {
        return Err(PageError::FeedChanged);
    }
    visit.site.store.new_feed_link(&feed, "admin page", visit.times.now()).await.map_err(refused)?;
    Ok(Redirect::to(&format!("/feeds/{}/details?renewed=1", feed.id)))
}

async fn ask_revoke(visit: Visit, id: Result<Path<i64>, PathRejection>) -> Result<Response, PageError> {
    let feed = find_live(&visit, id).await?;
    let page = RevokePage {
        frame: visit.frame(Section::Feeds),
        id: feed.id,
        losing: Losing::of(&visit, &feed).await?,
        name: feed.wish.name,
    };
    Ok(visit.show(page))
}

#[derive(Deserialize)]
struct Revoke {
    token: String,
}

async fn revoke(
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Revoke>, FormRejection>,
) -> Result<Redirect, PageError> {
    let Form(form) = form.map_err(PageError::from)?;
    visit.check(&form.token)?;
    let feed = find_live(&visit, id).await?;
    visit.site.store.end_feed(&feed, "admin page", visit.times.now()).await.map_err(refused)?;
    Ok(Redirect::to(&format!("/feeds/{}/details?ended=1", feed.id)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, Stage, Visitor, recorded};
    use crate::store::{FetchKey, Tally, day_of};
    use axum::http::StatusCode;

    /// A feed that Google fetched twice, and an iPhone by an older link.
    async fn fetched() -> Stage {
        let stage = Stage::new().await;
        let feed = stage.feed("Sales <team>").await;
        let mut tx = stage.site.store.write().await.unwrap();
        let key = |program, answer| FetchKey { feed_id: feed.id, program, day: day_of(stage.now()), answer };
        let tally = |fetches| Tally { fetches, last_at: stage.now() };
        let counted = [(key("google", 200), tally(2)), (key("google", 410), tally(40)), (key("apple", 410), tally(3))];
        tx.add_fetches(counted.iter().map(|(key, tally)| (key, tally))).await.unwrap();
        tx.commit().await.unwrap();
        stage
    }

    async fn press(admin: &mut Visitor, path: &str) -> Answer {
        let page = admin.get(path).await;
        let generation = page.hidden("generation").unwrap_or_default();
        admin.post(path, &[("token", &page.form_token()), ("generation", &generation)]).await
    }

    #[tokio::test]
    async fn a_new_link_is_made_once_somebody_has_seen_who_loses_the_old_one() {
        let stage = fetched().await;
        let before = stage.site.store.feed("1").await.unwrap().unwrap();
        let mut admin = stage.admin().await;
        let question = admin.get("/feeds/1/rotate").await;
        question.assert_shows(&[
            "Make a new link for “<bdi>Sales &#60;team&#62;</bdi>”?",
            "It was fetched 2 times in the last 14 days.",
            "Google Calendar",
        ]);
        question.assert_hides(&["<team>", "42 times", "3 times"]);
        assert_eq!(stage.site.store.feed("1").await.unwrap().unwrap(), before, "a question is no deed");
        let answer = press(&mut admin, "/feeds/1/rotate").await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/feeds/1/details?renewed=1"));
        let after = stage.site.store.feed("1").await.unwrap().unwrap();
        assert_eq!(after.generation, before.generation + 1);
        assert_eq!(recorded(&stage, "feed").await, ["admin page: Made a new link for feed “Sales <team>”"]);
        let page = admin.get("/feeds/1/details?renewed=1").await;
        page.assert_shows(&["There is a new link, and the old one has ended.", &stage.site.links.feed_url(&after)]);
        page.assert_hides(&[&stage.site.links.feed_url(&before)]);
        // Asked before that: it would end the link that was handed out since.
        let old = [("token", &*question.form_token()), ("generation", "1")];
        assert_eq!(admin.post("/feeds/1/rotate", &old).await.status, StatusCode::CONFLICT);
        assert_eq!(stage.site.store.feed("1").await.unwrap().unwrap(), after);
    }

    #[tokio::test]
    async fn a_feed_ends_once_somebody_has_seen_who_loses_it() {
        let stage = fetched().await;
        stage.feed("Quiet").await;
        let mut admin = stage.admin().await;
        admin.get("/feeds/2/revoke").await.assert_shows(&["Nobody has fetched it in the last 14 days."]);
        admin.get("/feeds/1/revoke").await.assert_shows(&["End “<bdi>Sales", "fetched 2 times", "Google Calendar"]);
        assert_eq!(recorded(&stage, "feed").await, [""; 0], "a question is no deed");
        let answer = press(&mut admin, "/feeds/1/revoke").await;
        assert_eq!(answer.header("location"), "/feeds/1/details?ended=1");
        admin.get("/feeds/1/details?ended=1").await.assert_shows(&["Ended. Its links say so from now on."]);
        let feed = stage.site.store.feed("1").await.unwrap().unwrap();
        assert_eq!(feed.revoked_at, Some(stage.now()));
        assert_eq!(recorded(&stage, "feed").await, ["admin page: Revoked feed “Sales <team>”"]);
        let link = format!("/feeds/{}.ics", stage.site.links.token(&feed));
        assert_eq!(stage.visitor().get(&link).await.status, StatusCode::GONE);
        // Ended twice.
        let token = admin.get("/feeds/new").await.form_token();
        for path in ["/feeds/1/revoke", "/feeds/1/rotate"] {
            let answer = admin.get(path).await;
            assert_eq!(answer.status, StatusCode::GONE);
            answer.assert_shows(&["This feed was ended.", "href=\"/feeds\""]);
            let again = [("token", &*token), ("generation", "1")];
            assert_eq!(admin.post(path, &again).await.status, StatusCode::GONE);
        }
        assert_eq!(recorded(&stage, "feed").await.len(), 1);
    }

    #[tokio::test]
    async fn a_form_of_another_site_or_an_unknown_feed_changes_nothing() {
        let stage = fetched().await;
        let before = stage.site.store.feeds().await.unwrap();
        let mut admin = stage.admin().await;
        let token = admin.get("/feeds/new").await.form_token();
        for page in ["rotate", "revoke"] {
            let forged = [("token", "AAAA"), ("generation", "1")];
            assert_eq!(admin.post(&format!("/feeds/1/{page}"), &forged).await.status, StatusCode::FORBIDDEN);
            for unknown in ["9", "x"] {
                let path = format!("/feeds/{unknown}/{page}");
                assert_eq!(admin.get(&path).await.status, StatusCode::NOT_FOUND);
                let sent = [("token", &*token), ("generation", "1")];
                assert_eq!(admin.post(&path, &sent).await.status, StatusCode::NOT_FOUND);
            }
            let stranger = stage.visitor().get(&format!("/feeds/1/{page}")).await;
            assert!(stranger.header("location").starts_with("/login"));
        }
        assert_eq!(stage.site.store.feeds().await.unwrap(), before);
        assert_eq!(recorded(&stage, "feed").await, [""; 0]);
    }
}
