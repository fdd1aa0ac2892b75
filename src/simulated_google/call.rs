//! One call of the API as it arrives: which method, on which calendar and event, with which parameters.
//! Must not touch any state.

use axum::extract::Query;
use axum::http::{Method, Uri};
use chrono::{DateTime, Utc};

use super::answer::{Refusal, Resource};
use super::faults::Fault;

/// The methods of the Calendar API that the simulation knows, named as in Google's reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiMethod {
    /// `POST calendars/{calendarId}/events`
    EventsInsert,
    /// `GET calendars/{calendarId}/events/{eventId}`
    EventsGet,
    /// `GET calendars/{calendarId}/events`
    EventsList,
    /// `PUT calendars/{calendarId}/events/{eventId}`
    EventsUpdate,
    /// `PATCH calendars/{calendarId}/events/{eventId}`
    EventsPatch,
    /// `DELETE calendars/{calendarId}/events/{eventId}`
    EventsDelete,
    /// `GET calendars/{calendarId}`
    CalendarsGet,
    /// `GET users/me/calendarList/{calendarId}`
    CalendarListGet,
    /// Anything else: answered 404.
    Unknown,
}

impl ApiMethod {
    /// Whether the method changes events.
    pub fn writes(self) -> bool {
        matches!(self, Self::EventsInsert | Self::EventsUpdate | Self::EventsPatch | Self::EventsDelete)
    }

    /// The scopes of which a token needs one (Google's documentation, "Authorization" of each method). The scopes for
    /// calendars that the caller owns or made are left out: here every calendar belongs to somebody else.
    pub(super) fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::EventsInsert | Self::EventsUpdate | Self::EventsPatch | Self::EventsDelete => {
                &["calendar", "calendar.events"]
            }
            Self::EventsGet | Self::EventsList => {
                &["calendar", "calendar.events", "calendar.readonly", "calendar.events.readonly"]
            }
            Self::CalendarsGet => {
                &["calendar", "calendar.readonly", "calendar.calendars", "calendar.calendars.readonly"]
            }
            Self::CalendarListGet => {
                &["calendar", "calendar.readonly", "calendar.calendarlist", "calendar.calendarlist.readonly"]
            }
            Self::Unknown => &[],
        }
    }

    /// The query parameters the simulation honours or can safely ignore.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::EventsInsert | Self::EventsUpdate | Self::EventsPatch | Self::EventsDelete => {
                &["sendUpdates", "conferenceDataVersion", "maxAttendees", "supportsAttachments"]
            }
            Self::EventsGet => &["maxAttendees", "timeZone"],
            Self::EventsList => &[
                "maxAttendees",
                "maxResults",
                "pageToken",
                "privateExtendedProperty",
                "showDeleted",
                "singleEvents",
                "syncToken",
                "timeMax",
                "timeMin",
                "timeZone",
            ],
            Self::CalendarsGet | Self::CalendarListGet | Self::Unknown => &[],
        }
    }
}

/// One line of the log of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it arrived, by the injected clock.
    pub at: DateTime<Utc>,
    pub method: ApiMethod,
    /// The calendar's id, percent-decoded.
    pub calendar: Option<String>,
    /// The event's id from the path, percent-decoded; for an insert, from the body.
    pub event: Option<String>,
    /// The parameter `sendUpdates`.
    pub send_updates: Option<String>,
    /// Whether an `Authorization` header came with it.
    pub authorization: bool,
    /// The HTTP status answered; `None` when the connection was closed without an answer.
    pub status: Option<u16>,
    /// The fault that was played, if any.
    pub fault: Option<Fault>,
}

/// A parsed call.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: ApiMethod,
    pub(super) calendar: Option<String>,
    pub(super) event: Option<String>,
    query: Vec<(String, String)>,
    /// The body of a write; `None` when it isn't a JSON object.
    pub(super) body: Option<Resource>,
    pub(super) authorization: Option<String>,
    pub(super) if_match: Option<String>,
}

impl Request {
    pub(super) fn parse(
        method: &Method,
        uri: &Uri,
        body: &[u8],
        authorization: Option<String>,
        if_match: Option<String>,
    ) -> Self {
        let (api_method, calendar, event) = route(method, uri.path()).unwrap_or((ApiMethod::Unknown, None, None));
        let body: Option<Resource> = serde_json::from_slice(body).ok();
        let event = event.or_else(|| {
            let id = body.as_ref()?.get("id")?.as_str()?;
            (api_method == ApiMethod::EventsInsert).then(|| id.to_owned())
        });
        let query = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
        Self { method: api_method, calendar, event, query, body, authorization, if_match }
    }

    /// The last value of a query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters(name).last()
    }

    pub(super) fn parameters(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A boolean query parameter; absent is false.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.parameter(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Refusal::invalid(format!("Invalid boolean value: '{other}'."))),
        }
    }

    /// Refuses parameters that the simulation doesn't know, so that no test passes because one was ignored.
    pub(super) fn check_parameters(&self) -> Result<(), Refusal> {
        const EVERYWHERE: [&str; 4] = ["alt", "key", "prettyPrint", "quotaUser"];
        for (name, value) in &self.query {
            let known = EVERYWHERE.contains(&name.as_str()) || self.method.parameters().contains(&name.as_str());
            if !known {
                return Err(Refusal::not_modelled(&format!("the parameter '{name}'")));
            }
            if name == "sendUpdates" && !["all", "externalOnly", "none"].contains(&value.as_str()) {
                return Err(Refusal::invalid("Invalid value for sendUpdates."));
            }
        }
        Ok(())
    }
}

type Route = (ApiMethod, Option<String>, Option<String>);

fn route(method: &Method, path: &str) -> Option<Route> {
    let segments: Vec<&str> = path.strip_prefix("/calendar/v3/")?.split('/').collect();
    match (method.as_str(), segments.as_slice()) {
        ("POST", ["calendars", calendar, "events"]) => Some((ApiMethod::EventsInsert, Some(segment(calendar)?), None)),
        ("GET", ["calendars", calendar, "events"]) => Some((ApiMethod::EventsList, Some(segment(calendar)?), None)),
        (verb, ["calendars", calendar, "events", event]) => {
            let api_method = match verb {
                "GET" => ApiMethod::EventsGet,
                "PUT" => ApiMethod::EventsUpdate,
                "PATCH" => ApiMethod::EventsPatch,
                "DELETE" => ApiMethod::EventsDelete,
                _ => return None,
            };
            Some((api_method, Some(segment(calendar)?), Some(segment(event)?)))
        }
        ("GET", ["calendars", calendar]) => Some((ApiMethod::CalendarsGet, Some(segment(calendar)?), None)),
        ("GET", ["users", "me", "calendarList", calendar]) => {
            Some((ApiMethod::CalendarListGet, Some(segment(calendar)?), None))
        }
        _ => None,
    }
}

/// Decodes one path segment (RFC 3986 section 2.1). A `+` stays a `+`.
fn segment(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let pair = tail.get(..2)?;
            let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(pair).ok()?;
            bytes.extend(decoded);
            rest = tail.get(2..)?;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}
