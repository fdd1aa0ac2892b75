//! Whether a calendar can be mirrored into: tried by doing it, and told step by step.

use chrono::TimeDelta;

use super::event_body::{EventBody, probe_id};
use super::google::Google;
use super::purge::{Errand, delete};
use super::retry::Refusal;
use crate::clock::{Randomness, SharedClock};
use crate::meeting::event::MeetingId;
use crate::store::{JobFinding, StoreError, Verdict};

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

/// What is told of each need but the rate, which is told with the backlog.
const NEEDS: [(Need, &str, &str); 3] = [
    (Need::Credentials, "credentials", "Google gives access tokens"),
    (Need::Sharing, "sharing", "the calendar can be read"),
    (Need::Writing, "writing", "an event was written and deleted"),
];

impl Errand<'_> {
    /// Probes the calendar; when all is well, has what failed before tried again. Tells of each need, and how far the mirror has
    /// come at this many calls a second.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn check(&self, calls_per_second: u32) -> Result<Vec<JobFinding>, StoreError> {
        let lack = probe(self.google, &self.calendar.wish.google_id, self.clock, self.randomness).await.err();
        let finding = |about: &str, verdict, text| JobFinding { about: about.to_owned(), verdict, text };
        let mut findings = Vec::new();
        for (need, about, well) in NEEDS {
            findings.push(match &lack {
                Some(lack) if lack.need == need => finding(about, Verdict::Problem, self.what_to_do(&lack.refusal)),
                Some(lack) if need >= lack.step => finding(about, Verdict::NotTried, String::new()),
                _ => finding(about, Verdict::Fine, well.to_owned()),
            });
        }
        let well = lack.is_none();
        let mut again = 0;
        if well && self.calendar.removed_at.is_none() {
            again = self.store.try_calendar_again(self.calendar, self.clock.now()).await?;
        }
        findings.push(match lack.filter(|lack| lack.need == Need::Rate) {
            Some(lack) => {
                let text = format!(
                    "{}. Google takes no more calls for now: wait and check again; if it stays, lower --google-rate or \
                     --google-calendar-rate.",
                    self.what_to_do(&lack.refusal)
                );
                finding("backlog", Verdict::Problem, text)
            }
            None => finding("backlog", Verdict::Fine, self.backlog(again, well.then_some(calls_per_second)).await?),
        });
        Ok(findings)
    }

    /// How far the mirror has come, and how long the rest takes at this many calls a second: none while it can't go on.
    async fn backlog(&self, again: u64, calls_per_second: Option<u32>) -> Result<String, StoreError> {
        let counts = self.store.mirror_counts(self.clock.now()).await?;
        let counts = counts.into_iter().find(|counts| counts.calendar_id == self.calendar.id).unwrap_or_default();
        let waiting = counts.pending + counts.failing;
        if waiting == 0 {
            return Ok(format!("nothing waits, {} in step", counts.in_step));
        }
        let rest = match calls_per_second.map(|rate| (rate, waiting / i64::from(rate) / 60)) {
            None => "waits until then".to_owned(),
            Some((_, 0)) => "takes less than a minute".to_owned(),
            Some((rate, minutes)) => format!("takes about {} minutes at {rate} calls a second", minutes + 1),
        };
        let again = if again > 0 { format!("; {again} that failed are tried again now") } else { String::new() };
        let (done, all) = (counts.in_step, counts.in_step + waiting);
        Ok(format!("{done} of {all} meetings are mirrored; the rest {rest}{again}"))
    }
}
