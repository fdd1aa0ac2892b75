//! The feeds: what each contains in words, its links to copy, and which programs fetch it.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;

use super::day_bars::DayBars;
use super::error::PageError;
use super::feed::Program;
use super::frame::{Frame, Params, Section, Visit};
use super::personal_feeds::{PersonalBox, PersonalRow, Said};
use super::reach::Reach;
use super::time_text::{Moment, Times};
use super::words::{self, State, Tone, count, shell};
use crate::meeting::selection::ShowAs;
use crate::store::{Feed, LeftOut, Reader, RenditionFacts, day_of};
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
    personal: PersonalBox,
}

/// A live feed of more than one person.
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
pub(super) struct ReaderRow {
    pub(super) program: &'static str,
    pub(super) last: Moment,
    pub(super) answer: State,
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

async fn show(visit: Visit, Params(said): Params<Said>) -> Result<Response, PageError> {
    let (store, times, links) = (&visit.site.store, visit.times, &visit.site.links);
    let facts = store.rendition_facts().await?;
    let mut readers = store.readers(times.now()).await?;
    let (mut live, mut personal, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
    for feed in store.feeds().await? {
        let readers = readers.remove(&feed.id).unwrap_or_default();
        if let Some(at) = feed.revoked_at {
            let still = readers.iter().find(|reader| reader.last_answer == 410).map(|reader| times.at(reader.last_at));
            revoked.push(Revoked { id: feed.id, name: feed.wish.name, since: times.at(at), still });
            continue;
        }
        let facts = facts.iter().find(|facts| facts.feed_id == feed.id);
        if let Some(owner) = feed.wish.selection.person() {
            personal.push(PersonalRow {
                owner: owner.to_owned(),
                page_path: format!("/subscribe/{}", links.token(&feed)),
                detail: words::detail(feed.wish.detail),
                left_out: facts.and_then(|facts| left_out(&facts.left_out, &times)),
                reader: readers.first().map(|reader| row(reader, &times)),
                name: feed.wish.name,
            });
        } else {
            live.push(card(&visit, feed, facts, &readers));
        }
    }
    let page = FeedsPage {
        reach: Reach::of(links.public_url()).warning(),
        personal: PersonalBox::new(&visit, said, personal).await?,
        frame: visit.frame(Section::Feeds),
        feeds: live,
        revoked,
    };
    Ok(visit.show(page))
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
            days => format!("shown as canceled for {}", count(i64::from(days), "day", "days")),
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
    let all = left_out.meetings;
    let do_not_fit = if all == 1 { "does not fit" } else { "do not fit" };
    let past = all.saturating_sub(left_out.ahead);
    let first = left_out.from.map(|from| format!("the first on {}", times.at(from).text()));
    match (first, past) {
        _ if all == 0 => None,
        (Some(first), 0) => Some(format!("{} to come {do_not_fit}, {first}.", meetings(all))),
        (Some(first), past) => {
            let ahead = format!("{} to come, {first}", meetings(left_out.ahead));
            Some(format!("{} {do_not_fit}: {ahead}, and {} in the past.", meetings(all), meetings(past)))
        }
        (None, _) => Some(format!("{} in the past {do_not_fit}, those longest ago.", meetings(all))),
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

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;
    use crate::meeting::selection::{Detail, Selection};
    use crate::store::{FetchKey, Rendition, Tally};
    use chrono::{DateTime, TimeDelta};

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
            "shown as canceled for 7 days",
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
            "12 meetings do not fit: 2 meetings to come, the first on Fri 20 Nov 2026, 13:00 CET, and 10 meetings in the past.",
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
            text.contains("Outlook on the webFri 20 Nov 2026, 12:40 CET 20 minutes ago304, has the latest88"),
            "{text}"
        );
        assert!(text.contains("Google CalendarThu 19 Nov 2026, 12:00 CET 25 hours ago410, old link02"), "{text}");
        answer.assert_shows(&[
            "Fetches a day over the last 14 days, the latest last: 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 8",
        ]);
    }
}
