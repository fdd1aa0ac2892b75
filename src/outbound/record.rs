//! What came of work on the mirror, written into the tables: in step, or why not and when it is tried again.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::retry::{self, PERSON_PAUSE, Refusal, Setup};
use crate::clock::{Randomness, SharedClock};
use crate::store::{Calendar, Lease, PausedFor, ProblemKind, StoreError, WriteTx, Written};

/// What the service asks for; told to people.
const SCOPE: &str = "https://www.googleapis.com/auth/calendar.events";

/// A row that was worked on.
#[derive(Debug)]
pub(super) struct Worked {
    pub(super) lease: Lease,
    pub(super) outcome: Outcome,
}

/// How work on a row ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Google agrees with this revision of the meeting.
    Agreed { revision: u32, written: Written },
    /// It could not be done now.
    Failed { refusal: Refusal, written: Written },
    /// It was not begun.
    GivenBack,
}

/// Writes outcomes down.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) clock: &'a SharedClock,
    pub(super) randomness: &'a Randomness,
    /// Google's account, for what a person must do.
    pub(super) account: &'a str,
}

impl Record<'_> {
    /// Writes outcomes down: what succeeded at once, the rest one by one. `calendars` as they were when the work began.
    pub(super) async fn write(
        &self,
        tx: &mut WriteTx<'_>,
        worked: &[Worked],
        calendars: &[Calendar],
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut agreed = Vec::new();
        for Worked { lease, outcome } in worked {
            let calendar = calendars.iter().find(|calendar| calendar.id == lease.calendar_id);
            match (outcome, calendar) {
                (Outcome::Agreed { revision, written }, Some(calendar)) => {
                    agreed.push((lease, *revision, written));
                    if calendar.problem.is_some() || calendar.paused_until.is_some() {
                        tx.calendar_agreed(calendar.id, now).await?;
                    }
                }
                (Outcome::Failed { refusal, written }, Some(calendar)) => {
                    let (text, kind, again_at) = self.consequence(tx, lease, calendar, refusal, now).await?;
                    let meeting_id = &lease.meeting_id;
                    tracing::warn!(calendar_id = calendar.id, %meeting_id, problem = text, ?again_at, "a meeting could not be mirrored");
                    tx.fail_mirror_work(lease, written, (&text, kind), again_at, now).await?;
                }
                (Outcome::GivenBack, Some(_)) => tx.return_mirror_work(lease).await?,
                // Its row can't be read, which is told as such. Until somebody mends that its work comes round now and then.
                (_, None) => {
                    let until = now + TimeDelta::from_std(PERSON_PAUSE).unwrap_or(TimeDelta::hours(1));
                    tx.pause_calendar(lease.calendar_id, until, PausedFor::Person, None, now).await?;
                    tx.return_mirror_work(lease).await?;
                }
            }
        }
        if !agreed.is_empty() {
            tx.finish_mirror_work(&agreed, now).await?;
        }
        Ok(())
    }

    /// What follows from a refusal: for people, for this row, and for its calendar or all of them.
    async fn consequence(
        &self,
        tx: &mut WriteTx<'_>,
        lease: &Lease,
        calendar: &Calendar,
        refusal: &Refusal,
        now: DateTime<Utc>,
    ) -> Result<(String, ProblemKind, Option<DateTime<Utc>>), StoreError> {
        let later = |pause: Duration| now + TimeDelta::from_std(pause).unwrap_or(TimeDelta::hours(1));
        let jitter = self.randomness.fraction();
        let text = what_to_do(refusal, calendar, self.account);
        Ok(match refusal {
            Refusal::Fault(_, after) => {
                (text, ProblemKind::Retry, Some(later(retry::pause(lease.attempts, *after, jitter))))
            }
            // Each such call takes long, which others would wait for.
            Refusal::TimedOut => {
                let until = later(retry::pause(lease.attempts, None, jitter).max(retry::TIMED_OUT_PAUSE));
                tx.pause_calendar(calendar.id, until, PausedFor::SlowDown, None, now).await?;
                (text, ProblemKind::Retry, Some(until))
            }
            Refusal::BadSequence | Refusal::Duplicate | Refusal::Gone => {
                (text, ProblemKind::Retry, Some(later(retry::pause(lease.attempts, None, jitter))))
            }
            Refusal::Throttled(_, after) => {
                let until = later(retry::pause(lease.attempts, *after, jitter));
                tx.pause_calendar(calendar.id, until, PausedFor::SlowDown, None, now).await?;
                (text, ProblemKind::Retry, Some(until))
            }
            Refusal::QuotaUsedUp(_, after) => {
                let until = later(retry::quota_pause(*after));
                for calendar in tx.selecting_calendars().await? {
                    tx.pause_calendar(calendar.id, until, PausedFor::Quota, None, now).await?;
                }
                (text, ProblemKind::Retry, Some(until))
            }
            Refusal::Missing | Refusal::Forbidden(_) | Refusal::Credentials(_) | Refusal::NotSetUp(..) => {
                let until = later(PERSON_PAUSE);
                tx.pause_calendar(calendar.id, until, PausedFor::Person, Some(&text), now).await?;
                (text, ProblemKind::Person, Some(until))
            }
            Refusal::Rejected(_) => (text, ProblemKind::Rejected, None),
        })
    }
}

/// What a person must do about a refusal.
pub fn what_to_do(refusal: &Refusal, calendar: &Calendar, account: &str) -> String {
    let id = &calendar.wish.google_id;
    match refusal {
        Refusal::Missing => format!(
            "Google knows no calendar {id} that {account} may see. In Google Calendar open the calendar's settings, “Share with \
             specific people”, and add {account} with “Make changes to events”."
        ),
        Refusal::Forbidden(text) => format!(
            "{account} may not change the calendar {id} ({text}). In Google Calendar open the calendar's settings, “Share with \
             specific people”, and give {account} “Make changes to events”. In Google Workspace an administrator may have to \
             allow sharing outside the organization."
        ),
        Refusal::Credentials(text) => format!(
            "Google refuses the credentials of {account} ({text}). Check in the Google Cloud console that the account and its key \
             exist and that the Google Calendar API is enabled; then point --google-credentials to a valid key."
        ),
        Refusal::NotSetUp(setup, text) => set_up(*setup, text, account),
        Refusal::Throttled(text, _)
        | Refusal::QuotaUsedUp(text, _)
        | Refusal::Fault(text, _)
        | Refusal::Rejected(text) => text.clone(),
        Refusal::TimedOut => "Google did not answer in time".to_owned(),
        Refusal::Duplicate | Refusal::Gone | Refusal::BadSequence => {
            format!("Google's answers contradict each other ({refusal:?})")
        }
    }
}

fn set_up(setup: Setup, text: &str, account: &str) -> String {
    match setup {
        Setup::ApiNotEnabled => format!(
            "The Google Calendar API is not enabled in the Google Cloud project of {account} ({text}). In the Google Cloud console \
             select that project, open APIs & Services → Library → Google Calendar API, and choose Enable; it takes some minutes."
        ),
        Setup::ScopeMissing => format!(
            "What was granted to {account} does not cover changing events ({text}). With a saved sign-in, sign in again with: \
             meeting-mirror google login, and tick the box for viewing and editing events. A service account needs the scope {SCOPE}."
        ),
        Setup::NotDelegated => format!(
            "Google Workspace does not let the service account act for {account} ({text}). In the Workspace admin console open \
             Security → API controls → Domain-wide delegation, and add the service account's client id (client_id in the key \
             file) with the scope {SCOPE}. Without --google-subject the service account acts for itself."
        ),
        Setup::SignInOver => format!(
            "Google no longer takes the saved sign-in of {account} ({text}). Sign in again with: meeting-mirror google login"
        ),
    }
}
