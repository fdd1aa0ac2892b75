//! The page a feed's link comes with: what the calendar contains, the link to copy, and the steps for each program. It is
//! public, so it shows nothing that the feed itself does not.

use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use qrcode::QrCode;
use qrcode::render::svg::Color;

use super::error::PageError;
use super::feed::FeedCache;
use super::feed_facts::left_out;
use super::reach::Reach;
use super::time_text::{Moment, Times};
use super::words;
use crate::meeting::entry::Entry;
use crate::meeting::selection::{Detail, ShowAs};
use crate::store::{Feed, StoreError};
use crate::web::site::Site;

/// Meetings that are shown as a sample.
const SAMPLE: usize = 3;

pub(super) fn router(cache: FeedCache) -> Router<Site> {
    Router::new().route("/subscribe/{token}", get(show)).route("/subscribe/{token}/qr.svg", get(qr)).with_state(cache)
}

#[derive(Template)]
#[template(path = "subscribe.html")]
struct SubscribePage {
    name: String,
    selection: &'static str,
    detail: &'static str,
    window: String,
    canceled: Option<String>,
    busy: bool,
    left_out: Option<String>,
    next: Option<Vec<Next>>,
    link: String,
    path: String,
    webcal: String,
    qr: String,
    warning: Option<&'static str>,
}

/// A meeting as the feed shows it.
struct Next {
    title: String,
    when: Moment,
    location: Option<String>,
}

/// Pages and pictures that hold a link are kept by nobody.
const NOT_KEPT: (HeaderName, &str) = (header::CACHE_CONTROL, "private, no-store");

async fn show(
    State(cache): State<FeedCache>,
    token: Result<Path<String>, PathRejection>,
) -> Result<Response, PageError> {
    let Path(token) = token.map_err(|_| PageError::NoFeed)?;
    let slot = cache.by_token(&token).await?;
    let (site, feed) = (cache.site(), &slot.feed);
    let times = Times::of(site);
    // Of a feed that can't be made now the log tells; the page has its steps all the same.
    let next = next(site, feed, &times).await.inspect_err(|error| {
        tracing::error!(%error, cause = ?error, feed_id = feed.id, "the next meetings of a feed could not be read");
    });
    let left_out = cache.current(&slot).await.ok().and_then(|cached| left_out(&cached.left_out, &times));
    let (link, token) = (site.links.feed_url(feed), site.links.token(feed));
    let webcal = link.split_once("://").map_or_else(String::new, |(_, rest)| format!("webcal://{rest}"));
    let page = SubscribePage {
        name: feed.wish.name.clone(),
        selection: selection(feed),
        detail: words::detail(feed.wish.detail),
        window: words::window(feed.wish.window),
        canceled: canceled(feed),
        busy: feed.wish.show_as == ShowAs::Busy,
        left_out,
        next: next.ok(),
        qr: format!("/subscribe/{token}/qr.svg"),
        path: format!("/feeds/{token}.ics"),
        warning: Reach::of(site.links.public_url()).warning(),
        link,
        webcal,
    };
    Ok(([NOT_KEPT], WebTemplate(page)).into_response())
}

/// Which meetings, without the names and addresses of those selected: a "busy" feed must not tell them.
fn selection(feed: &Feed) -> &'static str {
    let selection = &feed.wish.selection;
    match (selection.owners.as_slice(), selection.schedules.is_empty() && selection.organizations.is_empty()) {
        ([], true) => "all booked meetings",
        ([], false) => "the booked meetings of some schedules",
        ([_], _) => "the booked meetings of one person",
        (_, _) => "the booked meetings of some people",
    }
}

/// What becomes of a canceled meeting, as the subscriber sees it (facts: ICS subscribers 8); nothing when it is left out at once.
fn canceled(feed: &Feed) -> Option<String> {
    let days = Some(feed.wish.canceled_days).filter(|days| *days > 0)?;
    let how = if feed.wish.detail == Detail::Busy { "struck through" } else { "as “Canceled: …”" };
    let days = words::count(i64::from(days), "day", "days");
    Some(format!("A canceled meeting stays for {days}, {how}; Google Calendar hides it at once."))
}

async fn next(site: &Site, feed: &Feed, times: &Times) -> Result<Vec<Next>, StoreError> {
    let detail = feed.wish.detail;
    let meetings = site.store.next_meetings(&feed.wish.rule(), times.now(), SAMPLE).await?;
    let entries = meetings.iter().map(|meeting| Entry::of(meeting, detail)).map(|entry| Next {
        title: entry.title,
        when: times.span(entry.starts_at, entry.ends_at),
        location: entry.location.filter(|_| detail != Detail::Busy),
    });
    Ok(entries.collect())
}

/// The picture leads to this page, not to the feed: a phone that scans it finds the steps for its own program.
async fn qr(State(cache): State<FeedCache>, token: Result<Path<String>, PathRejection>) -> Result<Response, PageError> {
    let Path(token) = token.map_err(|_| PageError::NoFeed)?;
    let slot = cache.by_token(&token).await?;
    let code = QrCode::new(cache.site().links.subscribe_url(&slot.feed)).map_err(|error| {
        tracing::error!(%error, feed_id = slot.feed.id, "a QR code could not be made");
        PageError::Internal
    })?;
    let picture = code.render::<Color<'_>>().min_dimensions(264, 264).build();
    Ok(([NOT_KEPT, (header::CONTENT_TYPE, "image/svg+xml")], picture).into_response())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, meeting_event};
    use crate::meeting::apply::receive;
    use crate::meeting::event::Kind;
    use crate::meeting::selection::{Detail, Selection};
    use crate::store::Feed;
    use axum::http::StatusCode;

    fn path(stage: &Stage, feed: &Feed) -> String {
        format!("/subscribe/{}", stage.site.links.token(feed))
    }

    #[tokio::test]
    async fn the_page_explains_the_feed_to_somebody_who_is_not_signed_in() {
        let stage = Stage::new().await;
        let feed = stage.feed_of("Sales team", Detail::Title, Selection::default()).await;
        for number in 1..=5 {
            stage.meeting(&format!("m-{number}"), number * 5).await;
        }
        stage.event(&meeting_event("m-2", Kind::Canceled, stage.now(), 10)).await;
        let answer = stage.visitor().get(&path(&stage, &feed)).await;
        assert_eq!(answer.status, StatusCode::OK);
        let link = stage.site.links.feed_url(&feed);
        answer.assert_shows(&[
            "Sales team",
            "all booked meetings",
            "title, owner and place; not the invitee",
            &format!("value=\"{link}\" readonly"),
            &format!("href=\"{}\"", link.replace("https:", "webcal:")),
            "https://calendar.google.com/calendar/u/0/r/settings/addbyurl",
            "https://outlook.office.com/calendar/addcalendar",
            "Thunderbird",
            "Demo m-1",
            "Demo m-3",
            "Demo m-4",
            "qr.svg",
        ]);
        answer.assert_hides(&["Demo m-2", "Demo m-5", "Eleanor", "can't reach", "Sign out"]);
        assert_eq!(answer.header("cache-control"), "private, no-store");
        assert!(answer.headers.get("set-cookie").is_none());
    }

    #[tokio::test]
    async fn a_busy_feed_tells_no_names_and_an_empty_one_says_so() {
        let stage = Stage::new().await;
        let priya = Selection { owners: vec!["priya@example.com".into()], ..Selection::default() };
        let feed = stage.feed_of("Busy", Detail::Busy, priya).await;
        let mut visitor = stage.visitor();
        visitor.get(&path(&stage, &feed)).await.assert_shows(&["No meeting lies ahead"]);
        stage.meeting("m-1", 5).await;
        let answer = visitor.get(&path(&stage, &feed)).await;
        answer.assert_shows(&["<bdi>Busy</bdi>", "the booked meetings of one person"]);
        answer.assert_hides(&["Demo", "priya", "Priya", "zoom.example.com", "Eleanor"]);
    }

    #[tokio::test]
    async fn dead_links_say_what_to_do() {
        let stage = Stage::new().await;
        let feed = stage.feed("Team").await;
        let (path, mut visitor) = (path(&stage, &feed), stage.visitor());
        for unknown in ["/subscribe/abc", "/subscribe/abc.def", "/subscribe/%FF", &format!("{path}a")] {
            let answer = visitor.get(unknown).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{unknown}");
            answer.assert_shows(&["This link does not lead to a calendar."]);
        }
        let mut tx = stage.site.store.write().await.unwrap();
        tx.rotate_feed(feed.id).await.unwrap();
        tx.commit().await.unwrap();
        let answer = visitor.get(&path).await;
        assert_eq!(answer.status, StatusCode::GONE);
        answer.assert_shows(&["This calendar has a new link.", "Ask whoever gave it to you"]);
        answer.assert_hides(&["/status"]);
        assert_eq!(visitor.get(&format!("{path}/qr.svg")).await.status, StatusCode::GONE);
        let mut tx = stage.site.store.write().await.unwrap();
        tx.revoke_feed(feed.id, stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        let answer = visitor.get(&path).await;
        assert_eq!(answer.status, StatusCode::GONE);
        answer.assert_shows(&["This calendar is no longer offered."]);
    }

    #[tokio::test]
    async fn a_calendar_that_holds_too_much_says_what_it_leaves_out_and_so_does_the_meeting() {
        let stage = Stage::new().await;
        let feed = stage.feed("Everything").await;
        let mut tx = stage.site.store.write().await.unwrap();
        for number in 0..1003 {
            let event = meeting_event(&format!("m-{number}"), Kind::Scheduled, stage.now(), number + 1);
            tx.save_meeting(&receive(None, &event, stage.now()).0).await.unwrap();
        }
        tx.commit().await.unwrap();
        stage.visitor().get(&path(&stage, &feed)).await.assert_shows(&[
            "3 meetings to come do not fit, the first on Fri 1 Jan 2027, 06:00 CET.",
            "the nearest 1,000 meetings and 900 kB at most",
        ]);
        let mut admin = stage.admin().await;
        admin.get("/meetings/m-1002").await.assert_shows(&["No room", "others are nearer", "1 place needs a look"]);
        let near = admin.get("/meetings/m-999").await;
        near.assert_shows(&["In the feed"]);
        near.assert_hides(&["No room"]);
        // Nobody has fetched the feed since: the page looks at what it holds now.
        stage.event(&meeting_event("m-new", Kind::Scheduled, stage.now(), 1)).await;
        admin.get("/meetings/m-new").await.assert_hides(&["No room"]);
        admin.get("/meetings/m-999").await.assert_shows(&["No room"]);
    }

    #[tokio::test]
    async fn the_picture_is_a_plain_svg_and_a_private_address_is_told() {
        let mut stage = Stage::new().await;
        stage.public_url("http://localhost:8080");
        let feed = stage.feed("Team").await;
        let mut visitor = stage.visitor();
        let answer = visitor.get(&format!("{}/qr.svg", path(&stage, &feed))).await;
        assert_eq!(answer.header("content-type"), "image/svg+xml");
        assert!(answer.body.contains("<svg") && !answer.body.contains("style"));
        visitor.get(&path(&stage, &feed)).await.assert_shows(&["on the machine that runs the service only"]);
    }
}
