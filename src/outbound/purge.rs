//! Removing everything this installation wrote into a calendar, and nothing else; and the probe that tells whether a
//! calendar can be written.

use chrono::TimeDelta;

use super::event_body::{EventBody, probe_id};
use super::google::{Google, Listed};
use super::retry::Refusal;
use crate::clock::{Randomness, SharedClock};
use crate::meeting::event::MeetingId;

/// Every event in a calendar that carries our mark.
///
/// # Errors
/// A [`Refusal`]; nothing was changed.
pub async fn list(google: &Google, calendar: &str) -> Result<Vec<Listed>, Refusal> {
    let mut listed = Vec::new();
    let mut page = None;
    loop {
        let found = google.list_ours(calendar, page.as_deref()).await?;
        listed.extend(found.listed);
        match found.next {
            Some(next) => page = Some(next),
            None => return Ok(listed),
        }
    }
}

/// Deletes one event; one that is gone already is fine.
///
/// # Errors
/// A [`Refusal`]; the event may still be there.
pub async fn delete(google: &Google, calendar: &str, event_id: &str) -> Result<(), Refusal> {
    match google.delete(calendar, event_id).await {
        Ok(()) | Err(Refusal::Gone | Refusal::Missing) => Ok(()),
        Err(refusal) => Err(refusal),
    }
}

/// Reads the calendar, writes a marked event half a year back and deletes it again: whether mirroring can work.
///
/// # Errors
/// The first [`Refusal`].
pub async fn probe(
    google: &Google,
    calendar: &str,
    clock: &SharedClock,
    randomness: &Randomness,
) -> Result<(), Refusal> {
    google.reach(calendar).await?;
    let id = probe_id(randomness.bytes());
    let starts_at = clock.now() - TimeDelta::days(182);
    let body = EventBody {
        summary: "meeting-mirror checks that it may write here".to_owned(),
        description: None,
        location: None,
        starts_at: starts_at.timestamp(),
        ends_at: starts_at.timestamp() + 60,
        transparent: true,
        source_url: None,
        revision: 0,
    };
    google.insert(calendar, &id, &MeetingId::new("probe"), &body).await?;
    delete(google, calendar, &id).await
}
