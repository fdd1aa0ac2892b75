//! Removing everything this installation wrote into a calendar, and nothing else; and the probe that tells whether a
//! calendar can be written.

use std::time::Duration;

use chrono::TimeDelta;

use super::event_body::{EventBody, probe_id};
use super::google::{Google, Listed};
use super::retry::{Refusal, pause};
use crate::clock::{Randomness, SharedClock};
use crate::meeting::event::MeetingId;

/// A call that is made while somebody waits for it is made so many times at most.
const TRIES: u32 = 6;
/// Nobody is made to wait longer than this for the next try.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// Every event in a calendar that carries our mark.
///
/// # Errors
/// A [`Refusal`]; nothing was changed.
pub async fn list(google: &Google, calendar: &str) -> Result<Vec<Listed>, Refusal> {
    list_with(google, calendar, None).await
}

async fn list_with(google: &Google, calendar: &str, patience: Option<&Patience<'_>>) -> Result<Vec<Listed>, Refusal> {
    let mut listed = Vec::new();
    let mut page: Option<String> = None;
    let mut tries = 0;
    loop {
        match (google.list_ours(calendar, page.as_deref()).await, patience) {
            (Ok(found), _) => {
                listed.extend(found.listed);
                tries = 0;
                match found.next {
                    Some(next) => page = Some(next),
                    None => return Ok(listed),
                }
            }
            (Err(refusal), Some(patience)) => patience.wait(refusal, &mut tries).await?,
            (Err(refusal), None) => return Err(refusal),
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

/// Lists and deletes for somebody who waits: what passes is waited for.
#[derive(Debug)]
pub struct Patience<'a> {
    /// The calendar's account.
    pub google: &'a Google,
    /// Google's id of the calendar.
    pub calendar: &'a str,
    /// Waits.
    pub clock: &'a SharedClock,
    /// Makes the waits differ.
    pub randomness: &'a Randomness,
}

impl Patience<'_> {
    /// Every event that carries our mark.
    ///
    /// # Errors
    /// A [`Refusal`] that does not pass, or not soon.
    pub async fn list(&self) -> Result<Vec<Listed>, Refusal> {
        list_with(self.google, self.calendar, Some(self)).await
    }

    /// Deletes one event; one that is gone already is fine.
    ///
    /// # Errors
    /// A [`Refusal`] that does not pass, or not soon.
    pub async fn delete(&self, event_id: &str) -> Result<(), Refusal> {
        let mut tries = 0;
        while let Err(refusal) = delete(self.google, self.calendar, event_id).await {
            self.wait(refusal, &mut tries).await?;
        }
        Ok(())
    }

    /// Waits until the call may be made again, or gives up.
    async fn wait(&self, refusal: Refusal, tries: &mut u32) -> Result<(), Refusal> {
        let (Refusal::Throttled(_, after) | Refusal::Fault(_, after)) = &refusal else { return Err(refusal) };
        let pause = pause(*tries, *after, self.randomness.fraction());
        *tries += 1;
        if *tries >= TRIES || pause > LONGEST_WAIT {
            return Err(refusal);
        }
        tracing::info!(?refusal, ?pause, "trying again");
        self.clock.sleep(pause).await;
        Ok(())
    }
}

/// What mirroring needs, in the order in which it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A token is had, and Google takes it.
    Credentials,
    /// The calendar can be read.
    Sharing,
    /// An event can be written and deleted.
    Writing,
    /// Google takes as many calls as are made.
    Rate,
}

/// Why mirroring can't work.
#[derive(Debug)]
pub struct Lack {
    /// What is lacking.
    pub need: Need,
    /// The step at which that showed; the ones before went well.
    pub step: Need,
    /// What Google said.
    pub refusal: Refusal,
}

/// Gets a token, reads the calendar, writes a marked event half a year back and deletes it again: whether mirroring can
/// work.
///
/// # Errors
/// The first [`Lack`].
pub async fn probe(google: &Google, calendar: &str, clock: &SharedClock, randomness: &Randomness) -> Result<(), Lack> {
    let at = |step: Need| {
        move |refusal: Refusal| {
            let need = match refusal {
                Refusal::Credentials(_) | Refusal::NotSetUp(..) => Need::Credentials,
                Refusal::Throttled(..) | Refusal::QuotaUsedUp(..) => Need::Rate,
                _ => step,
            };
            Lack { need, step, refusal }
        }
    };
    google.authenticate().await.map_err(at(Need::Credentials))?;
    google.reach(calendar).await.map_err(at(Need::Sharing))?;
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
    google.insert(calendar, &id, &MeetingId::new("probe"), &body).await.map_err(at(Need::Writing))?;
    delete(google, calendar, &id).await.map_err(at(Need::Writing))
}
