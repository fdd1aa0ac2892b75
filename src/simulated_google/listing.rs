//! `events.list`: filters and pages.
//! Must keep Google's freedom: a page holds what is left of a stretch of stored events after filtering, so it may be
//! short or empty although more pages follow.

use std::ops::Bound;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::answer::{Refusal, Resource};
use super::calendar::{Calendar, is_deleted, private_properties};
use super::call::Request;
use super::event_rules::EventTime;

/// Google's documentation.
const DEFAULT_PAGE: usize = 250;
/// Google's documentation.
const LARGEST_PAGE: usize = 2500;

pub(super) fn list(calendar: &Calendar, request: &Request, now: DateTime<Utc>) -> Result<Value, Refusal> {
    let filter = Filter::parse(request)?;
    let page = page_size(request)?;
    let after = request.parameter("pageToken").map(read_page_token).transpose()?;
    let after = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);

    let mut stretch: Vec<(&str, &Resource)> = calendar.events_after(after).take(page + 1).collect();
    let more = stretch.len() > page;
    stretch.truncate(page);
    let next = stretch.last().filter(|_| more).map(|(id, _)| page_token(id));
    let items: Vec<&Resource> =
        stretch.into_iter().map(|(_, event)| event).filter(|event| filter.admits(event)).collect();

    let mut answer = json!({
        "kind": "calendar#events",
        "etag": "\"simulated\"",
        "summary": calendar.name,
        "updated": now.to_rfc3339_opts(SecondsFormat::Millis, true),
        "timeZone": "UTC",
        "accessRole": calendar.access_role(),
        "defaultReminders": [],
        "items": items,
    });
    if let Some(token) = next {
        answer["nextPageToken"] = token.into();
    }
    Ok(answer)
}

struct Filter {
    show_deleted: bool,
    time_min: Option<DateTime<Utc>>,
    time_max: Option<DateTime<Utc>>,
    /// All of these must be there (Google's documentation).
    private_properties: Vec<(String, String)>,
}

impl Filter {
    fn parse(request: &Request) -> Result<Self, Refusal> {
        let private_properties = request
            .parameters("privateExtendedProperty")
            .map(|pair| {
                let (key, value) = pair.split_once('=')?;
                Some((key.to_owned(), value.to_owned()))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Refusal::invalid("Invalid privateExtendedProperty: key=value is needed."))?;
        let filter = Self {
            show_deleted: request.flag("showDeleted")?,
            time_min: instant(request, "timeMin")?,
            time_max: instant(request, "timeMax")?,
            private_properties,
        };
        request.flag("singleEvents")?;
        if let (Some(from), Some(to)) = (filter.time_min, filter.time_max)
            && from >= to
        {
            return Err(Refusal::time_range_empty());
        }
        if request.parameter("syncToken").is_some() {
            let filtered =
                !filter.private_properties.is_empty() || filter.time_min.is_some() || filter.time_max.is_some();
            return Err(if filtered {
                Refusal::invalid("Sync token cannot be used with other query restrictions.")
            } else {
                // The simulation hands out none, so every one is unknown.
                Refusal::full_sync_required()
            });
        }
        Ok(filter)
    }

    fn admits(&self, event: &Resource) -> bool {
        let time = |field| EventTime::read(event.get(field)).map(EventTime::instant);
        (self.show_deleted || !is_deleted(event))
            && self.time_min.is_none_or(|from| time("end").is_some_and(|end| end > from))
            && self.time_max.is_none_or(|to| time("start").is_some_and(|start| start < to))
            && self
                .private_properties
                .iter()
                .all(|(key, value)| private_properties(event).any(|found| found == (key.as_str(), value.as_str())))
    }
}

fn instant(request: &Request, name: &str) -> Result<Option<DateTime<Utc>>, Refusal> {
    let Some(text) = request.parameter(name) else {
        return Ok(None);
    };
    DateTime::parse_from_rfc3339(text)
        .map(|instant| Some(instant.to_utc()))
        .map_err(|_| Refusal::invalid(format!("Invalid value for {name}: RFC 3339 with an offset is needed.")))
}

fn page_size(request: &Request) -> Result<usize, Refusal> {
    match request.parameter("maxResults") {
        None => Ok(DEFAULT_PAGE),
        Some(text) => match text.parse() {
            Ok(0) | Err(_) => Err(Refusal::invalid("Invalid value for maxResults.")),
            Ok(size) => Ok(LARGEST_PAGE.min(size)),
        },
    }
}

fn page_token(last: &str) -> String {
    data_encoding::BASE64URL_NOPAD.encode(last.as_bytes())
}

fn read_page_token(token: &str) -> Result<String, Refusal> {
    data_encoding::BASE64URL_NOPAD
        .decode(token.as_bytes())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Refusal::invalid("Invalid page token value."))
}
