//! The feeds: what each contains in words, its links to copy, and which programs fetch it; and feeds for everybody who has none.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::FormRejection;
use axum::http::header;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use chrono::TimeDelta;
use serde::Deserialize;

use super::day_bars::{DAYS, DayBars};
use super::error::PageError;
use super::feed::Program;
use super::feed::personal::{self, PersonalSettings};
use super::frame::{Frame, Params, Section, Visit};
use super::reach::Reach;
use super::time_text::{Moment, Times};
use super::words::{self, State, Tone, count, shell, verb};
use crate::meeting::selection::ShowAs;
use crate::store::{Feed, LeftOut, Reader, RenditionFacts, day_of};
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/feeds", get(show))
        // Who was sent to sign in from the button comes back by a link.
        .route("/feeds/personal", post(add_personal).get(Redirect::to("/feeds#personal")))
        .route("/feeds/personal.csv", get(personal_links))
        .layer(DefaultBodyLimit::max(4096))
}

#[derive(Template)]
#[template(path = "feeds.html")]
struct FeedsPage {
    frame: Frame,
    reach: Option<&'static str>,
    feeds: Vec<Card>,
    revoked: Vec<Revoked>,
    personal: PersonalBox,
}

/// Feeds for everybody who has none.
struct PersonalBox {
    said: Option<String>,
    state: String,
    button: Option<String>,
    has_links: bool,
    ended: Vec<String>,
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
    canceled: String,
    show_as: &'static str,
    created: Moment,
    generation: u32,
    changed: Option<(Moment, String)>,
    left_out: Option<String>,
    readers: Vec<ReaderRow>,
    fetches: Option<DayBars>,
}

/// A class of programs that fetches a feed.
struct ReaderRow {
    program: &'static str,
    last: Moment,
    answer: State,
    today: u32,
    in_all: u32,
}

/// A feed that was ended.
struct Revoked {
    id: i64,
    name: String,
    since: Moment,
    still: Option<Moment>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Said {
    added: Option<u32>,
}

async fn show(visit: Visit, Params(said): Params<Said>) -> Result<Response, PageError> {
    let (store, times, links) = (&visit.site.store, visit.times, &visit.site.links);
    let facts = store.rendition_facts().await?;
    let mut readers = store.readers(times.now() - TimeDelta::days(DAYS - 1)).await?;
    let (mut live, mut revoked, mut has_links) = (Vec::new(), Vec::new(), false);
    for feed in store.feeds().await? {
        let readers = readers.remove(&feed.id).unwrap_or_default();
        if let Some(at) = feed.revoked_at {
            let still = readers.iter().find(|reader| reader.last_answer == 410).map(|reader| times.at(reader.last_at));
            revoked.push(Revoked { id: feed.id, name: feed.wish.name, since: times.at(at), still });
        } else {
            has_links |= feed.wish.selection.person().is_some();
            let facts = facts.iter().find(|facts| facts.feed_id == feed.id);
            live.push(card(&visit, feed, facts, &readers));
        }
    }
    let page = FeedsPage {
        reach: Reach::of(links.public_url()).warning(),
        personal: personal_box(&visit, said.added, has_links).await?,
        frame: visit.frame(Section::Feeds),
        feeds: live,
        revoked,
    };
    Ok(visit.show(page))
}

async fn personal_box(visit: &Visit, added: Option<u32>, has_links: bool) -> Result<PersonalBox, PageError> {
    let missing = personal::missing(&visit.site.store).await?;
    let number = i64::try_from(missing.added.len()).unwrap_or(i64::MAX);
    let state = match (number, missing.present + missing.ended.len()) {
        (0, 0) => "No meeting with an owner is known yet.".to_owned(),
        (0, _) => "Everybody who owns a meeting has one.".to_owned(),
        _ => {
            let owners = count(number, "owner", "owners");
            format!("{owners} of meetings {} none of their own.", verb(number, "has", "have"))
        }
    };
    Ok(PersonalBox {
        said: added.map(|added| format!("{} made.", count(i64::from(added), "feed was", "feeds were"))),
        state,
        button: (number > 0).then(|| format!("Make {}", count(number, "personal feed", "personal feeds"))),
        has_links,
        ended: missing.ended,
    })
}

fn card(visit: &Visit, feed: Feed, facts: Option<&RenditionFacts>, readers: &[Reader]) -> Card {
    let (times, links) = (&visit.times, &visit.site.links);
    let mut fetches = BTreeMap::<i64, u32>::new();
    for (day, number) in readers.iter().flat_map(|reader| &reader.days) {
        *fetches.entry(*day).or_default() += number;
    }
    Card {
        id: feed.id,
        argument: shell(&feed.wish.name),
        link: links.feed_url(&feed),
        page: links.subscribe_url(&feed),
        page_path: format!("/subscribe/{}", links.token(&feed)),
        selection: words::selection(&feed.wish.selection),
        detail: words::detail(feed.wish.detail),
        window: words::window(feed.wish.window),
        canceled: match feed.wish.canceled_days {
            0 => "left out at once".to_owned(),
            days => format!("shown for {}, struck through", count(i64::from(days), "day", "days")),
        },
        show_as: match feed.wish.show_as {
            ShowAs::Busy => "busy",
            ShowAs::Free => "free",
        },
        created: times.at(feed.created_at),
        generation: feed.generation,
        changed: facts.map(|facts| (times.at(facts.last_modified_at), size(facts.length))),
        left_out: facts.and_then(|facts| left_out(&facts.left_out, times)),
        readers: readers.iter().map(|reader| row(reader, times)).collect(),
        fetches: (!fetches.is_empty()).then(|| DayBars::new("Fetches", &fetches, times.now())),
        name: feed.wish.name,
    }
}

fn size(octets: i64) -> String {
    if octets < 1000 { format!("{octets} bytes") } else { format!("{} kB", (octets + 500) / 1000) }
}

/// What does not fit into a feed; none when everything does.
pub(super) fn left_out(left_out: &LeftOut, times: &Times) -> Option<String> {
    let meetings = |number: u32| count(i64::from(number), "meeting", "meetings");
    let past = left_out.meetings - left_out.ahead.min(left_out.meetings);
    let verb = verb(i64::from(left_out.meetings), "does", "do");
    match (left_out.meetings, left_out.from) {
        (0, _) => None,
        (all, None) => Some(format!("The longest past {} {verb} not fit.", meetings(all))),
        (all, Some(from)) => {
            let ahead = format!("{} to come, the first on {}", meetings(left_out.ahead), times.at(from).text());
            let past = if past > 0 {
                format!(", and {} that {} past", meetings(past), if past == 1 { "is" } else { "are" })
            } else {
                String::new()
            };
            Some(format!("{} {verb} not fit: {ahead}{past}.", meetings(all)))
        }
    }
}

fn row(reader: &Reader, times: &Times) -> ReaderRow {
    let answer = match reader.last_answer {
        200 => State::new(Tone::Good, "200, sent"),
        304 => State::new(Tone::Good, "304, has the latest"),
        410 => State::new(Tone::Waiting, "410, old link"),
        status => State::new(Tone::Bad, format!("{status}, failed")),
    };
    ReaderRow {
        program: Program::name_of(&reader.program),
        last: times.at(reader.last_at),
        answer,
        today: reader.days.get(&day_of(times.now())).copied().unwrap_or_default(),
        in_all: reader.days.values().sum(),
    }
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

async fn add_personal(visit: Visit, form: Result<Form<Token>, FormRejection>) -> Result<Redirect, PageError> {
    let Form(form) = form.map_err(|_| PageError::BadForm)?;
    visit.check(&form.token)?;
    let (site, now) = (&visit.site, visit.times.now());
    let settings = PersonalSettings::default();
    let outcome = personal::add_missing(&site.store, &site.randomness, settings, "admin page", now).await?;
    Ok(Redirect::to(&format!("/feeds?added={}#personal", outcome.added.len())))
}

async fn personal_links(visit: Visit) -> Result<Response, PageError> {
    let table = personal::links_csv(&visit.site.store, &visit.site.links).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"personal-feeds.csv\""),
    ];
    Ok((headers, table).into_response())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, meeting_event};
    use super::*;
    use crate::meeting::event::Kind;
    use crate::meeting::selection::{Detail, Selection};
    use crate::store::{FetchKey, Rendition, Tally};
    use axum::http::StatusCode;
    use chrono::DateTime;

    #[tokio::test]
    async fn without_feeds_it_says_how_to_make_one() {
        let stage = Stage::new().await;
        stage.admin().await.get("/feeds").await.assert_shows(&[
            "No feed yet.",
            "meeting-mirror feed add --name",
            "No meeting with an owner is known yet.",
        ]);
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
            "shown for 7 days, struck through",
            "Show as free",
            "Nobody has fetched it in the last 14 days.",
        ]);
        answer.assert_hides(&["<team>", "can't reach", "do not fit"]);
    }

    #[tokio::test]
    async fn a_cut_feed_a_private_address_and_an_ended_feed_are_told() {
        let mut stage = Stage::new().await;
        stage.public_url("http://192.168.1.20:8080");
        let feed = stage.feed("Everything").await;
        let gone = stage.feed("Gone").await;
        let mut tx = stage.site.store.write().await.unwrap();
        let left_out = LeftOut { meetings: 12, ahead: 2, from: Some(stage.now()) };
        let rendition = Rendition { body: vec![1; 4321], digest: vec![2], last_modified_at: stage.now(), left_out };
        tx.keep_rendition(&feed, &rendition).await.unwrap();
        tx.revoke_feed(gone.id, stage.now()).await.unwrap();
        let old = FetchKey { feed_id: gone.id, program: "google", day: day_of(stage.now()), answer: 410 };
        tx.add_fetches([(&old, &Tally { fetches: 1, last_at: stage.now() })], stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        let answer = stage.admin().await.get("/feeds").await;
        answer.assert_shows(&[
            "12 meetings do not fit: 2 meetings to come, the first on Fri 20 Nov 2026, 13:00 CET, and 10 meetings that are past.",
            "4 kB",
            "inside this network only",
            "--public-url",
            "Gone",
            "ended",
            "still asked for",
        ]);
        answer.assert_hides(&[&stage.site.links.token(&gone)]);
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
        tx.add_fetches(counted.iter().map(|(key, tally)| (key, tally)), now).await.unwrap();
        tx.commit().await.unwrap();
        let answer = stage.admin().await.get("/feeds").await;
        let text = answer.text();
        assert!(
            text.contains("Outlook on the web Fri 20 Nov 2026, 12:40 CET 20 minutes ago 304, has the latest 8 8"),
            "{text}"
        );
        assert!(text.contains("Google Calendar Thu 19 Nov 2026, 12:00 CET 25 hours ago 410, old link 0 2"), "{text}");
        answer.assert_shows(&[
            "Fetches a day over the last 14 days, the latest last: 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 8",
        ]);
    }

    #[tokio::test]
    async fn one_button_makes_the_missing_personal_feeds_and_their_links_can_be_handed_out() {
        let stage = Stage::new().await;
        stage.meeting("m-1", 24).await;
        let mut other = meeting_event("m-2", Kind::Scheduled, stage.now(), 25);
        other.details.owner.username = Some("=cmd@example.com".into());
        stage.event(&other).await;
        let mut admin = stage.admin().await;
        let page = admin.get("/feeds").await;
        page.assert_shows(&["2 owners of meetings have none of their own.", "Make 2 personal feeds"]);
        page.assert_hides(&["personal.csv"]);
        let token = page.form_token();
        assert_eq!(admin.post("/feeds/personal", &[("token", "forged")]).await.status, StatusCode::FORBIDDEN);
        let answer = admin.post("/feeds/personal", &[("token", &token)]).await;
        assert_eq!(answer.header("location"), "/feeds?added=2#personal");
        admin.get("/feeds?added=2").await.assert_shows(&[
            "2 feeds were made.",
            "Everybody who owns a meeting has one.",
            "Meetings of Priya Raghunathan",
            "Show as busy",
            "href=\"/feeds/personal.csv\"",
        ]);
        let csv = admin.get("/feeds/personal.csv").await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        let feeds = stage.site.store.feeds().await.unwrap();
        let priya = feeds.iter().find(|feed| feed.wish.selection.owners == ["priya@example.com"]).unwrap();
        let links = &stage.site.links;
        let line = format!(
            "priya@example.com,Meetings of Priya Raghunathan,{},{}\n",
            links.subscribe_url(priya),
            links.feed_url(priya)
        );
        assert!(csv.body.contains(&line), "{}", csv.body);
        assert!(csv.body.contains("\n'=cmd@example.com,"), "{}", csv.body);
        assert_eq!(stage.visitor().get("/feeds/personal.csv").await.status, StatusCode::SEE_OTHER);
    }
}
