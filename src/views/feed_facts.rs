//! What the pages of feeds tell of one: its size, what does not fit, and which programs fetch it.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;

use super::error::PageError;
use super::feed::Program;
use super::frame::Visit;
use super::time_text::{Moment, Times};
use super::words::{State, Tone, count};
use crate::store::{Feed, LeftOut, Reader, StoreError, day_of};

/// A class of programs that fetches a feed.
pub(super) struct ReaderRow {
    pub(super) program: &'static str,
    pub(super) last: Moment,
    pub(super) answer: State,
    pub(super) today: u32,
    pub(super) in_all: u32,
}

impl ReaderRow {
    pub(super) fn new(reader: &Reader, times: &Times) -> Self {
        let answer = match reader.last_answer {
            200 => State::new(Tone::Good, "200, sent"),
            304 => State::new(Tone::Good, "304, has the latest"),
            410 => State::new(Tone::Waiting, "410, old link"),
            status => State::new(Tone::Bad, format!("{status}, failed")),
        };
        Self {
            program: Program::name_of(&reader.program),
            last: times.at(reader.last_at),
            answer,
            today: reader.days.get(&day_of(times.now())).copied().unwrap_or_default(),
            in_all: reader.days.values().sum(),
        }
    }
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

/// The feed that an address names, live or ended.
pub(super) async fn find(visit: &Visit, id: Result<Path<i64>, PathRejection>) -> Result<Feed, PageError> {
    let Path(id) = id.map_err(|_| PageError::NoPage)?;
    visit.site.store.feed_by_id(id).await?.ok_or(PageError::NoPage)
}

/// The live feed that an address names.
pub(super) async fn find_live(visit: &Visit, id: Result<Path<i64>, PathRejection>) -> Result<Feed, PageError> {
    let feed = find(visit, id).await?;
    if feed.revoked_at.is_some() { Err(PageError::FeedEnded) } else { Ok(feed) }
}

/// Why a deed on a feed was refused.
pub(super) fn refused(error: StoreError) -> PageError {
    if matches!(error, StoreError::Changed(_)) { PageError::FeedChanged } else { error.into() }
}
