//! Everything the simulation knows, and what one call does to it.
//! Must not wait or do IO: it is held under a lock. Slow and lost answers are carried out by `server`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::TokenTimes;
use super::answer::{Answer, Refusal, Resource};
use super::calendar::{Access, Calendar, Change};
use super::call::{ApiMethod, Call, Request};
use super::event_rules::attendees;
use super::faults::{Effect, Faults, TokenFault};
use super::listing;
use super::tokens::{Grant, TokenRefusal, TokenRequest, Tokens};

/// A mail that Google would have sent to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The calendar's id.
    pub calendar: String,
    /// The event's id.
    pub event: String,
    /// What caused it.
    pub cause: ApiMethod,
    /// The attendees' addresses.
    pub to: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) calendars: BTreeMap<String, Calendar>,
    pub(super) tokens: Tokens,
    pub(super) faults: Faults,
    pub(super) calls: Vec<Call>,
    pub(super) token_requests: Vec<TokenRequest>,
    pub(super) mails: Vec<Mail>,
    pub(super) refuse_revive: bool,
}

/// How an answer is delivered.
pub(super) enum Delivery {
    Answer(Answer),
    /// After a delay.
    Late(Duration, Answer),
    /// The connection is closed instead.
    HangUp,
}

impl World {
    pub(super) fn calendar(&mut self, id: &str) -> Result<&mut Calendar, Refusal> {
        self.calendars.get_mut(id).ok_or_else(Refusal::not_found)
    }

    /// Answers one call of the API and logs it.
    pub(super) fn call(&mut self, request: &Request, times: TokenTimes, now: DateTime<Utc>) -> Delivery {
        let fault = self.faults.next(request);
        let delivery = match fault.map(|fault| fault.effect(request.method)) {
            None => Delivery::Answer(self.perform(request, times, now)),
            Some(Effect::Answer(answer)) => Delivery::Answer(answer),
            Some(Effect::Delay(delay)) => Delivery::Late(delay, self.perform(request, times, now)),
            Some(Effect::LoseAnswer) => {
                self.perform(request, times, now);
                Delivery::HangUp
            }
            Some(Effect::HangUp) => Delivery::HangUp,
        };
        self.calls.push(Call {
            at: now,
            method: request.method,
            calendar: request.calendar.clone(),
            event: request.event.clone(),
            send_updates: request.parameter("sendUpdates").map(str::to_owned),
            authorization: request.authorization.is_some(),
            status: match &delivery {
                Delivery::Answer(answer) | Delivery::Late(_, answer) => Some(answer.status),
                Delivery::HangUp => None,
            },
            fault,
        });
        delivery
    }

    fn perform(&mut self, request: &Request, times: TokenTimes, now: DateTime<Utc>) -> Answer {
        self.try_perform(request, times, now).unwrap_or_else(Answer::from)
    }

    fn try_perform(&mut self, request: &Request, times: TokenTimes, now: DateTime<Utc>) -> Result<Answer, Refusal> {
        let grant =
            self.tokens.check(request.authorization.as_deref(), times, now).cloned().ok_or_else(Refusal::auth_error)?;
        let id = request.calendar.as_deref().ok_or_else(Refusal::not_found)?;
        if !grant.covers(request.method.scopes()) {
            return Err(Refusal::forbidden("insufficientPermissions"));
        }
        request.check_parameters()?;
        let refuse_revive = self.refuse_revive;
        let calendar = self.calendar(id)?;
        match calendar.access {
            Access::NotShared => return Err(Refusal::not_found()),
            Access::Reader if request.method.writes() => {
                return Err(Refusal::forbidden("requiredAccessLevel"));
            }
            Access::Reader | Access::Writer => {}
        }
        check_if_match(calendar, request)?;
        let change = Change { now, refuse_revive, refuse_attendees: grant.is_bare_service_account() };
        let (answer, changed) = apply(calendar, request, change)?;
        self.send_mail(request, &grant, changed.as_ref());
        Ok(answer)
    }

    /// Attendees get mail unless `sendUpdates` is `none`. Google's documentation warns that without the parameter
    /// "some emails might still be sent", so the simulation takes that for a mail.
    fn send_mail(&mut self, request: &Request, grant: &Grant, changed: Option<&Resource>) {
        let to = changed.map(attendees).unwrap_or_default();
        let silent = request.parameter("sendUpdates") == Some("none");
        if to.is_empty() || silent || grant.is_bare_service_account() {
            return;
        }
        let id = changed.and_then(|event| event.get("id")?.as_str());
        self.mails.push(Mail {
            calendar: request.calendar.clone().unwrap_or_default(),
            event: id.unwrap_or_default().to_owned(),
            cause: request.method,
            to,
        });
    }

    /// Answers one request for a token and logs it.
    pub(super) fn token(
        &mut self,
        form: &HashMap<String, String>,
        token_url: &str,
        times: TokenTimes,
        now: DateTime<Utc>,
    ) -> Delivery {
        let fault = self.faults.next_token();
        let refused = match fault {
            None | Some(TokenFault::Slow(_)) => None,
            Some(TokenFault::InvalidGrant) => {
                Some(Answer::from(TokenRefusal("invalid_grant", "Invalid grant: account not found")))
            }
            Some(TokenFault::UnauthorizedClient) => Some(Answer::from(TokenRefusal(
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any \
                 of the scopes requested.",
            ))),
            Some(TokenFault::Unavailable503Html) => Some(Answer::html(503)),
            Some(TokenFault::Unavailable503Json) => Some(Answer::json(
                503,
                json!({ "error": { "code": 503, "message": "Service Unavailable", "status": "UNAVAILABLE" } }),
            )),
        };
        let answer = if let Some(answer) = refused {
            self.token_requests.push(TokenRequest {
                grant: form.get("grant_type").cloned().unwrap_or_default(),
                subject: None,
                scopes: Vec::new(),
                status: answer.status,
            });
            answer
        } else {
            let (answer, log) = self.tokens.request(form, token_url, times, now);
            self.token_requests.push(log);
            answer
        };
        match fault {
            Some(TokenFault::Slow(delay)) => Delivery::Late(delay, answer),
            _ => Delivery::Answer(answer),
        }
    }
}

/// `If-Match` with the event's etag (Google's documentation, "conditional modification").
fn check_if_match(calendar: &Calendar, request: &Request) -> Result<(), Refusal> {
    let (Some(wanted), Some(id)) = (&request.if_match, &request.event) else {
        return Ok(());
    };
    let etag = calendar.get(id)?.get("etag").and_then(Value::as_str);
    if wanted == "*" || etag == Some(wanted) {
        return Ok(());
    }
    Err(Refusal::condition_not_met())
}

/// Does what the call asks; also returns the event that changed.
fn apply(calendar: &mut Calendar, request: &Request, change: Change) -> Result<(Answer, Option<Resource>), Refusal> {
    let body = || {
        let unreadable = || Refusal::new(400, "global", "parseError", "Parse Error");
        request.body.as_ref().ok_or_else(unreadable)
    };
    let id = request.event.as_deref().unwrap_or_default();
    let event = match request.method {
        ApiMethod::EventsInsert => calendar.insert(body()?, change)?,
        ApiMethod::EventsUpdate => calendar.update(id, body()?, change)?,
        ApiMethod::EventsPatch => calendar.patch(id, body()?, change)?,
        ApiMethod::EventsDelete => {
            let event = calendar.delete(id, change.now)?;
            return Ok((Answer::no_content(), Some(event)));
        }
        ApiMethod::EventsGet => {
            return Ok((Answer::json(200, calendar.get(id)?.clone().into()), None));
        }
        ApiMethod::EventsList => {
            let page = listing::list(calendar, request, change.now)?;
            return Ok((Answer::json(200, page), None));
        }
        ApiMethod::CalendarsGet => return Ok((Answer::json(200, calendar.resource()), None)),
        ApiMethod::CalendarListGet if calendar.listed => {
            return Ok((Answer::json(200, calendar.list_entry()), None));
        }
        ApiMethod::CalendarListGet | ApiMethod::Unknown => return Err(Refusal::not_found()),
    };
    Ok((Answer::json(200, event.clone().into()), Some(event)))
}
