//! Faults on script and at random, so that a client can be shown everything Google has ever answered.
//! Must not change events: a fault decides what happens to a call, the rules decide what the call does.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::answer::{Answer, Refusal};
use super::call::{ApiMethod, Request};

/// Something that goes wrong with a call of the API. Unless stated otherwise the call is **not** applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429 `rateLimitExceeded`; `retry_after` in seconds, as a `Retry-After` header (Google's documentation).
    RateLimited429 { retry_after: Option<u32> },
    /// 403 with a reason: `rateLimitExceeded`, `userRateLimitExceeded`, `quotaExceeded` (retry), `forbidden`,
    /// `insufficientPermissions` (a person must act), … (Google's documentation).
    Forbidden { reason: &'static str },
    /// 401 `authError`, whatever the token. The token stays valid: see also `SimulatedGoogle::revoke_tokens`.
    Unauthorized401,
    /// 400 `invalid`.
    BadRequest400,
    /// 404 `notFound`.
    NotFound404,
    /// 409 `duplicate`.
    Conflict409,
    /// 410 `deleted`; for a list 410 `fullSyncRequired`.
    Gone410,
    /// 412 `conditionNotMet`.
    PreconditionFailed412,
    /// 500 `backendError`.
    BackendError500,
    /// 502 with an HTML page instead of JSON.
    BadGateway502Html,
    /// 503 with an HTML page instead of JSON.
    Unavailable503Html,
    /// The call is applied at once and answered after this delay (of tokio's time).
    Slow(Duration),
    /// The call is applied, then the connection is closed without an answer.
    LostAnswer,
    /// The connection is closed without an answer and without applying the call.
    ResetBefore,
}

impl Fault {
    /// The faults that pass by themselves: a client that retries converges in spite of them.
    pub const TRANSIENT: [Self; 10] = [
        Self::RateLimited429 { retry_after: None },
        Self::RateLimited429 { retry_after: Some(2) },
        Self::Forbidden { reason: "rateLimitExceeded" },
        Self::Forbidden { reason: "userRateLimitExceeded" },
        Self::Unauthorized401,
        Self::BackendError500,
        Self::BadGateway502Html,
        Self::Unavailable503Html,
        Self::LostAnswer,
        Self::ResetBefore,
    ];

    pub(super) fn effect(self, method: ApiMethod) -> Effect {
        let answer: Answer = match self {
            Self::Slow(delay) => return Effect::Delay(delay),
            Self::LostAnswer => return Effect::LoseAnswer,
            Self::ResetBefore => return Effect::HangUp,
            Self::BadGateway502Html => Answer::html(502),
            Self::Unavailable503Html => Answer::html(503),
            Self::RateLimited429 { retry_after } => {
                Answer::from(Refusal::new(429, "usageLimits", "rateLimitExceeded", "Rate Limit Exceeded"))
                    .retry_after(retry_after)
            }
            Self::Forbidden { reason } => Refusal::forbidden(reason).into(),
            Self::Unauthorized401 => Refusal::auth_error().into(),
            Self::BadRequest400 => Refusal::invalid("Bad Request").into(),
            Self::NotFound404 => Refusal::not_found().into(),
            Self::Conflict409 => Refusal::duplicate().into(),
            Self::Gone410 if method == ApiMethod::EventsList => Refusal::full_sync_required().into(),
            Self::Gone410 => Refusal::deleted().into(),
            Self::PreconditionFailed412 => Refusal::condition_not_met().into(),
            Self::BackendError500 => Refusal::new(500, "global", "backendError", "Backend Error").into(),
        };
        Effect::Answer(answer)
    }
}

/// What a fault does to a call.
pub(super) enum Effect {
    /// Not applied, answered with this.
    Answer(Answer),
    /// Applied, answered late.
    Delay(Duration),
    /// Applied, connection closed.
    LoseAnswer,
    /// Not applied, connection closed.
    HangUp,
}

/// Something that goes wrong with a request for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// 503 with a JSON body that is no OAuth answer. yup-oauth2 ignores the status and takes it for a token without
    /// text, which it then keeps (tried, see the facts on Google Calendar).
    Unavailable503Json,
    /// 503 with an HTML page.
    Unavailable503Html,
    /// 400 `invalid_grant`: the key was deleted or the grant withdrawn.
    InvalidGrant,
    /// 400 `unauthorized_client`: the service account may not act for the user.
    UnauthorizedClient,
    /// Answered properly, after this delay (of tokio's time).
    Slow(Duration),
}

/// Which calls a scripted fault is for. Everything left open matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matcher {
    method: Option<ApiMethod>,
    calendar: Option<String>,
    event: Option<String>,
}

impl Matcher {
    /// Every call.
    pub fn any() -> Self {
        Self::default()
    }

    /// Calls of one method.
    pub fn method(method: ApiMethod) -> Self {
        Self::any().and_method(method)
    }

    /// Calls for one calendar.
    pub fn calendar(id: impl Into<String>) -> Self {
        Self::any().and_calendar(id)
    }

    /// Narrows to one method.
    #[must_use]
    pub fn and_method(mut self, method: ApiMethod) -> Self {
        self.method = Some(method);
        self
    }

    /// Narrows to one calendar.
    #[must_use]
    pub fn and_calendar(mut self, id: impl Into<String>) -> Self {
        self.calendar = Some(id.into());
        self
    }

    /// Narrows to one event.
    #[must_use]
    pub fn and_event(mut self, id: impl Into<String>) -> Self {
        self.event = Some(id.into());
        self
    }

    fn matches(&self, request: &Request) -> bool {
        self.method.is_none_or(|method| method == request.method)
            && (self.calendar.is_none() || self.calendar == request.calendar)
            && (self.event.is_none() || self.event == request.event)
    }
}

/// The scripted and random faults that are still to come.
#[derive(Debug, Default)]
pub(super) struct Faults {
    scripts: Vec<Script>,
    chaos: Option<Chaos>,
    token: VecDeque<TokenFault>,
}

#[derive(Debug)]
struct Script {
    matcher: Matcher,
    fault: Fault,
    left: u32,
}

#[derive(Debug)]
struct Chaos {
    seed: u64,
    share: f64,
    faults: Vec<Fault>,
    /// How often each call was seen, so that the draw doesn't depend on how different calls interleave.
    seen: HashMap<String, u64>,
}

impl Faults {
    pub(super) fn script(&mut self, matcher: Matcher, fault: Fault, times: u32) {
        self.scripts.push(Script { matcher, fault, left: times });
    }

    pub(super) fn script_token(&mut self, fault: TokenFault, times: u32) {
        self.token.extend((0..times).map(|_| fault));
    }

    pub(super) fn next_token(&mut self) -> Option<TokenFault> {
        self.token.pop_front()
    }

    pub(super) fn start_chaos(&mut self, seed: u64, share: f64, faults: Vec<Fault>) {
        self.chaos = Some(Chaos { seed, share, faults, seen: HashMap::new() });
    }

    pub(super) fn calm(&mut self) {
        self.chaos = None;
    }

    /// How many scripted faults have not been played yet.
    pub(super) fn left(&self) -> usize {
        self.token.len() + self.scripts.iter().map(|script| script.left as usize).sum::<usize>()
    }

    /// The fault for this call: the first script that matches, else a draw.
    pub(super) fn next(&mut self, request: &Request) -> Option<Fault> {
        let found = self.scripts.iter_mut().find(|script| script.left > 0 && script.matcher.matches(request));
        if let Some(script) = found {
            script.left -= 1;
            return Some(script.fault);
        }
        self.chaos.as_mut()?.draw(request)
    }
}

impl Chaos {
    fn draw(&mut self, request: &Request) -> Option<Fault> {
        let key = format!("{:?} {:?} {:?}", request.method, request.calendar, request.event);
        let times_seen = self.seen.entry(key.clone()).or_default();
        *times_seen += 1;
        let digest = Sha256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(times_seen.to_be_bytes())
            .chain_update(key.as_bytes())
            .finalize();
        let mut numbers = digest.chunks(8).map(number);
        let (first, second) = (numbers.next()?, numbers.next()?);
        #[expect(clippy::cast_precision_loss, reason = "a probability needs no 64 bits")]
        let strikes = (first as f64) < self.share * (u64::MAX as f64);
        let count = u64::try_from(self.faults.len()).ok()?;
        let index = usize::try_from(second.checked_rem(count)?).ok()?;
        self.faults.get(index).copied().filter(|_| strikes)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
