//! Google's rules for one event resource: which fields count, which values are refused, what is cut.
//! Must stay pure: no clock, no calendar, no caller.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use serde_json::Value;

use super::answer::{Refusal, Resource};

/// The fields a client may set; Google ignores what it is sent in the others.
const WRITABLE: [&str; 21] = [
    "anyoneCanAddSelf",
    "attendees",
    "attendeesOmitted",
    "colorId",
    "description",
    "end",
    "eventType",
    "extendedProperties",
    "gadget",
    "guestsCanInviteOthers",
    "guestsCanModify",
    "guestsCanSeeOtherGuests",
    "location",
    "reminders",
    "sequence",
    "source",
    "start",
    "status",
    "summary",
    "transparency",
    "visibility",
];

/// Fields Google knows and the simulation doesn't.
const NOT_MODELLED: [&str; 4] = ["recurrence", "recurringEventId", "conferenceData", "attachments"];

/// Characters (reported by users).
const LONGEST_DESCRIPTION: usize = 8192;
/// Characters of a summary or a location (reported by users).
const LONGEST_TITLE: usize = 1024;
/// Characters; a longer key is dropped (Google's documentation).
const LONGEST_PROPERTY_KEY: usize = 44;
/// Characters; a longer value is cut (Google's documentation).
const LONGEST_PROPERTY_VALUE: usize = 1024;

/// A start or an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTime {
    /// Of an all-day event; as an end it is exclusive.
    Day(NaiveDate),
    /// Of any other event.
    At(DateTime<Utc>),
}

impl EventTime {
    /// The instant that sorts and filters; a day counts from midnight UTC.
    pub fn instant(self) -> DateTime<Utc> {
        match self {
            Self::Day(day) => day.and_time(chrono::NaiveTime::MIN).and_utc(),
            Self::At(instant) => instant,
        }
    }

    /// Reads the `start` or `end` of a stored event.
    pub(super) fn read(value: Option<&Value>) -> Option<Self> {
        parse_time(value, "").ok()
    }

    fn write(self, time_zone: Option<&Value>) -> Value {
        match self {
            Self::Day(day) => serde_json::json!({ "date": day.to_string() }),
            Self::At(instant) => serde_json::json!({
                "dateTime": instant.to_rfc3339_opts(SecondsFormat::Secs, true),
                "timeZone": time_zone.and_then(Value::as_str).unwrap_or("UTC"),
            }),
        }
    }
}

/// An id that a client may choose: 5 to 1024 characters of `a-v` and `0-9`, base32hex (Google's documentation).
pub(super) fn check_id(id: &Value) -> Result<&str, Refusal> {
    id.as_str()
        .filter(|id| (5..=1024).contains(&id.len()))
        .filter(|id| id.bytes().all(|byte| matches!(byte, b'a'..=b'v' | b'0'..=b'9')))
        .ok_or_else(|| Refusal::invalid("Invalid resource id value."))
}

/// What of a body counts: fields a client may set, without nulls.
pub(super) fn writable(body: &Resource) -> Result<Resource, Refusal> {
    if let Some(field) = NOT_MODELLED.iter().find(|field| body.contains_key(**field)) {
        return Err(Refusal::not_modelled(&format!("the field '{field}'")));
    }
    Ok(body
        .iter()
        .filter(|(field, value)| WRITABLE.contains(&field.as_str()) && !value.is_null())
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect())
}

/// PATCH: objects are merged, null takes a field away, anything else replaces (Google's documentation, "patch
/// semantics").
pub(super) fn merge(into: &mut Resource, patch: &Resource) {
    for (field, value) in patch {
        match (into.get_mut(field), value) {
            (_, Value::Null) => {
                into.remove(field);
            }
            (Some(Value::Object(inner)), Value::Object(inner_patch)) => merge(inner, inner_patch),
            (_, Value::Object(inner_patch)) => {
                let mut inner = Resource::new();
                merge(&mut inner, inner_patch);
                into.insert(field.clone(), inner.into());
            }
            _ => {
                into.insert(field.clone(), value.clone());
            }
        }
    }
}

/// Refuses what Google refuses and changes what Google changes silently.
pub(super) fn check(event: &mut Resource) -> Result<(), Refusal> {
    check_text(event, "summary", LONGEST_TITLE)?;
    check_text(event, "location", LONGEST_TITLE)?;
    check_text(event, "description", LONGEST_DESCRIPTION)?;
    check_choice(event, "status", &["confirmed", "tentative", "cancelled"])?;
    check_choice(event, "transparency", &["opaque", "transparent"])?;
    check_choice(event, "visibility", &["default", "public", "private", "confidential"])?;
    check_choice(event, "eventType", &["default"])?;
    let colors = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
    check_choice(event, "colorId", &colors)?;
    check_source(event)?;
    limit_properties(event)?;
    check_times(event)
}

/// The sequence a body gives; absent counts as 0 (reported by users).
pub(super) fn sequence(event: &Resource) -> Result<i64, Refusal> {
    match event.get("sequence") {
        None => Ok(0),
        Some(value) => value
            .as_i64()
            .filter(|sequence| (0..=i64::from(i32::MAX)).contains(sequence))
            .ok_or_else(|| Refusal::invalid("Invalid sequence value.")),
    }
}

/// A lower sequence than the stored one is refused (reported by users).
pub(super) fn check_sequence(given: i64, stored: i64) -> Result<(), Refusal> {
    if given < stored {
        return Err(Refusal::invalid(
            "Invalid sequence value. The specified sequence number is below the current sequence number of the \
             resource.",
        ));
    }
    Ok(())
}

/// The addresses that would get mail.
pub(super) fn attendees(event: &Resource) -> Vec<String> {
    let list = event.get("attendees").and_then(Value::as_array);
    list.into_iter().flatten().map(|attendee| attendee["email"].as_str().unwrap_or_default().to_owned()).collect()
}

fn check_text(event: &Resource, field: &str, longest: usize) -> Result<(), Refusal> {
    match event.get(field) {
        None => Ok(()),
        Some(Value::String(text)) if text.chars().count() <= longest => Ok(()),
        Some(_) => Err(Refusal::invalid(format!("Invalid value for {field}: at most {longest} characters of text."))),
    }
}

fn check_choice(event: &Resource, field: &str, choices: &[&str]) -> Result<(), Refusal> {
    match event.get(field) {
        None => Ok(()),
        Some(Value::String(choice)) if choices.contains(&choice.as_str()) => Ok(()),
        Some(_) => Err(Refusal::invalid(format!("Invalid value for {field}."))),
    }
}

/// `source.url` must be http or https (Google's documentation).
fn check_source(event: &Resource) -> Result<(), Refusal> {
    let Some(source) = event.get("source") else {
        return Ok(());
    };
    let url = source["url"].as_str().unwrap_or_default().to_ascii_lowercase();
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if host.is_none_or(str::is_empty) {
        return Err(Refusal::invalid("Invalid source URL: it must be http or https."));
    }
    Ok(())
}

fn limit_properties(event: &mut Resource) -> Result<(), Refusal> {
    let Some(properties) = event.get_mut("extendedProperties") else {
        return Ok(());
    };
    for kind in ["private", "shared"] {
        let Some(values) = properties.get_mut(kind) else {
            continue;
        };
        let limited = values.as_object().and_then(|values| {
            values
                .iter()
                .filter(|(key, _)| key.chars().count() <= LONGEST_PROPERTY_KEY)
                .map(|(key, value)| {
                    let cut: String = value.as_str()?.chars().take(LONGEST_PROPERTY_VALUE).collect();
                    Some((key.clone(), Value::String(cut)))
                })
                .collect::<Option<Resource>>()
        });
        *values = limited.ok_or_else(|| Refusal::invalid("Invalid extended property: a text is needed."))?.into();
    }
    Ok(())
}

fn check_times(event: &mut Resource) -> Result<(), Refusal> {
    let start = parse_time(event.get("start"), "start")?;
    let end = parse_time(event.get("end"), "end")?;
    let empty = match (start, end) {
        (EventTime::Day(start), EventTime::Day(end)) => start >= end,
        (EventTime::At(start), EventTime::At(end)) => start >= end,
        _ => {
            return Err(Refusal::invalid("Start and end times must either both be date or both be dateTime."));
        }
    };
    if empty {
        return Err(Refusal::time_range_empty());
    }
    for (field, time) in [("start", start), ("end", end)] {
        let written = time.write(event.get(field).and_then(|value| value.get("timeZone")));
        event.insert(field.to_owned(), written);
    }
    Ok(())
}

fn parse_time(value: Option<&Value>, field: &str) -> Result<EventTime, Refusal> {
    let missing = || Refusal::required(format!("Missing {field} time."));
    let invalid = || Refusal::invalid(format!("Invalid {field} time."));
    let part = |name| value.and_then(|value| value.get(name)).filter(|part| !part.is_null());
    match (part("date"), part("dateTime")) {
        (None, None) => Err(missing()),
        (Some(_), Some(_)) => Err(invalid()),
        (Some(date), None) => date.as_str().and_then(|text| text.parse().ok()).map(EventTime::Day).ok_or_else(invalid),
        (None, Some(date_time)) => {
            let text = date_time.as_str().ok_or_else(invalid)?;
            if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
                return Ok(EventTime::At(instant.to_utc()));
            }
            let local: NaiveDateTime = text.parse().map_err(|_| invalid())?;
            match part("timeZone").and_then(Value::as_str) {
                Some("UTC" | "Etc/UTC") => Ok(EventTime::At(local.and_utc())),
                Some(_) => Err(Refusal::not_modelled("local times in a zone other than UTC")),
                None => Err(Refusal::required(format!("Missing time zone definition for {field} time."))),
            }
        }
    }
}
