//! What a delivery's bytes mean: the sender's envelope and its data (facts: Cirrus Insight). Pure; a body that can't be
//! understood gives a [`Rejection`] that a person can act on.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{json, text};
use crate::audit::organization::OrganizationChange;
use crate::meeting::event::{
    Answer, Details, EventId, EventKey, Invitee, Kind, MeetingEvent, MeetingId, OrganizationId, Owner,
};
use crate::meeting::state::whole_seconds;

/// Ids longer than this are refused: no real one comes near.
const LONGEST_ID: usize = 512;

/// One event, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Identity of the event.
    pub event_id: EventId,
    /// `eventType` as sent.
    pub event_type: String,
    /// `organizationGuid`.
    pub organization_id: Option<OrganizationId>,
    /// `eventTimestamp`.
    pub happened_at: DateTime<Utc>,
    /// `deliveryAttempt`, when it is a count.
    pub delivery_attempt: Option<u32>,
    /// What it says.
    pub payload: Payload,
}

/// What an event says, by its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// `scheduling.smartscheduler.*`
    Meeting(Box<MeetingEvent>),
    /// `organization.*`, present or future.
    Organization(Box<OrganizationChange>),
    /// `developer.webhook.test`: the sender tries the endpoint out.
    EndpointTest,
    /// A type this version does not know.
    Unknown,
}

/// Why a body can't be understood: which field, what was found, what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    field: String,
    found: String,
    expected: &'static str,
}

impl Rejection {
    fn new(field: impl Into<String>, found: Option<&Value>, expected: &'static str) -> Self {
        Self { field: field.into(), found: describe(found), expected }
    }

    /// The same where a time or an id should be: what stands there says what is wrong with it.
    fn quoting(field: impl Into<String>, found: Option<&Value>, expected: &'static str) -> Self {
        let quoted = match found {
            Some(Value::String(text)) if !text.contains('@') => {
                format!("\"{}\"", cut(text).replace(char::is_control, "\u{fffd}"))
            }
            other => describe(other),
        };
        Self { field: field.into(), found: quoted, expected }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, expected {}", self.field, self.found, self.expected)
    }
}

impl std::error::Error for Rejection {}

/// A short description of what was found, safe to show and to keep when the body is not kept any more: a text may tell of
/// somebody, so only its length.
fn describe(found: Option<&Value>) -> String {
    match found {
        None => "nothing".into(),
        Some(Value::Null) => "null".into(),
        Some(Value::Object(_)) => "an object".into(),
        Some(Value::Array(_)) => "a list".into(),
        Some(Value::String(text)) => format!("a text, {} long", text.chars().count()),
        Some(other) => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// Understands one delivery.
///
/// # Errors
/// When it is no JSON object, an id is missing, or a time can't be read or makes no sense.
pub fn parse(body: &[u8]) -> Result<Envelope, Rejection> {
    let value = json::read(body).map_err(|error| Rejection {
        field: "body".into(),
        found: if body.is_empty() { "no bytes".into() } else { format!("bytes that are not clean JSON ({error})") },
        expected: "one JSON object",
    })?;
    let Value::Object(envelope) = &value else {
        return Err(Rejection::new("body", Some(&value), "one JSON object"));
    };
    let envelope = Fields { path: String::new(), map: envelope };
    let event_id = EventId::new(envelope.id("eventId")?);
    let event_type = envelope.id("eventType")?;
    let happened_at = envelope.time("eventTimestamp")?;
    let organization_id = envelope.text("organizationGuid")?.map(OrganizationId::new);
    let delivery_attempt =
        envelope.map.get("deliveryAttempt").and_then(Value::as_u64).and_then(|attempt| u32::try_from(attempt).ok());

    let kind = match event_type.as_str() {
        "scheduling.smartscheduler.scheduled" => Some(Kind::Scheduled),
        "scheduling.smartscheduler.rescheduled" => Some(Kind::Rescheduled),
        "scheduling.smartscheduler.canceled" => Some(Kind::Canceled),
        _ => None,
    };
    let payload = if let Some(kind) = kind {
        let key = EventKey { happened_at, kind, event_id: event_id.clone() };
        Payload::Meeting(Box::new(meeting_event(key, &envelope.object("data")?, organization_id.as_ref())?))
    } else if event_type.starts_with("organization.") {
        let data = envelope.map.get("data").unwrap_or(&Value::Null);
        Payload::Organization(Box::new(OrganizationChange::new(&event_type, data)))
    } else if event_type == "developer.webhook.test" {
        Payload::EndpointTest
    } else {
        Payload::Unknown
    };
    Ok(Envelope { event_id, event_type, organization_id, happened_at, delivery_attempt, payload })
}

/// What a body that can't be understood still tells of its identity, read as strictly as in one that can.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Legible {
    /// `eventType`.
    pub event_type: Option<String>,
    /// `organizationGuid`.
    pub organization_id: Option<String>,
    /// `data.id` of an event about a meeting.
    pub meeting_id: Option<String>,
}

/// Reads that much of a body.
pub fn legible(body: &[u8]) -> Legible {
    let Ok(Value::Object(envelope)) = json::read(body) else { return Legible::default() };
    let envelope = Fields { path: String::new(), map: &envelope };
    let event_type = envelope.id("eventType").ok();
    let is_meeting = event_type.as_ref().is_some_and(|text| text.starts_with("scheduling.smartscheduler."));
    let data = envelope.object("data").ok().filter(|_| is_meeting);
    Legible {
        event_type,
        organization_id: envelope.text("organizationGuid").ok().flatten(),
        meeting_id: data.and_then(|data| data.id("id").ok()),
    }
}

fn meeting_event(
    mut key: EventKey,
    data: &Fields<'_>,
    organization_guid: Option<&OrganizationId>,
) -> Result<MeetingEvent, Rejection> {
    let meeting_id = MeetingId::new(data.id("id")?);
    let organization_id = match (data.text("organizationId")?, organization_guid) {
        (Some(id), _) => OrganizationId::new(id),
        (None, Some(guid)) => guid.clone(),
        (None, None) => return Err(Rejection::new("data.organizationId", None, "the organization's id")),
    };
    let starts_at = whole_seconds(data.time("meetingStart")?);
    let ends_at = whole_seconds(data.time("meetingEnd")?);
    if ends_at <= starts_at {
        return Err(Rejection::quoting(
            "data.meetingEnd",
            data.map.get("meetingEnd"),
            "a time after data.meetingStart",
        ));
    }
    if data.flag("isCanceled")? {
        key.kind = Kind::Canceled;
    }
    let empty = Map::new();
    let owner = data.optional_object("meetingOwner", &empty)?;
    let info = data.optional_object("meetingInfo", &empty)?;
    let mut answers = info.answers("formValues", "answerText")?;
    answers.extend(info.answers("surveyQuestions", "answer")?);
    let details = Details {
        organization_id,
        email_meeting_id: data.text("emailMeetingId")?,
        zoom_meeting_id: data.text("zoomMeetingId")?,
        starts_at,
        ends_at,
        owner: Owner {
            user_id: owner.text("userId")?,
            username: owner.text("username")?,
            first_name: owner.text("firstName")?,
            last_name: owner.text("lastName")?,
        },
        title: info.text("meetingName")?,
        location: info.text("location")?,
        invitee: Invitee { name: info.text("primaryInviteeName")?, email: info.text("primaryInvitee")? },
        further_invitees: info.addresses("optionalInvitees")?,
        booking_url: info.text("calendarUrl")?,
        organization_path: info.text("organizationPath")?,
        calendar_path: info.text("calendarPath")?,
        answers,
    };
    Ok(MeetingEvent { key, meeting_id, details, existing_email_meeting_id: info.text("existingEmailMeetingId")? })
}

/// The fields of one object, with the path that leads there.
struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn reject(&self, name: &str, expected: &'static str) -> Rejection {
        Rejection::new(self.path(name), self.map.get(name), expected)
    }

    fn reject_quoting(&self, name: &str, expected: &'static str) -> Rejection {
        Rejection::quoting(self.path(name), self.map.get(name), expected)
    }

    /// A text that must be there. A whole number is taken as its digits.
    fn id(&self, name: &str) -> Result<String, Rejection> {
        const EXPECTED: &str = "an id of 1 to 512 characters";
        let id = match self.map.get(name) {
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Number(number)) if number.is_u64() => number.to_string(),
            _ => return Err(self.reject_quoting(name, EXPECTED)),
        };
        let fits = !id.is_empty() && id.len() <= LONGEST_ID && !id.chars().any(char::is_control);
        if fits { Ok(id) } else { Err(self.reject_quoting(name, EXPECTED)) }
    }

    fn time(&self, name: &str) -> Result<DateTime<Utc>, Rejection> {
        let text = self.map.get(name).and_then(Value::as_str);
        text.and_then(text::time).ok_or_else(|| {
            self.reject_quoting(name, "an ISO 8601 date and time between 1970 and 2199, such as 2026-11-23T10:00:00Z")
        })
    }

    /// One line of text that may be absent, null or empty.
    fn text(&self, name: &str) -> Result<Option<String>, Rejection> {
        Ok(self.raw_text(name)?.and_then(|text| text::line(&text)))
    }

    fn raw_text(&self, name: &str) -> Result<Option<String>, Rejection> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
            Some(_) => Err(self.reject(name, "a text")),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, Rejection> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.reject(name, "true or false")),
        }
    }

    fn object(&self, name: &str) -> Result<Fields<'a>, Rejection> {
        match self.map.get(name) {
            Some(Value::Object(map)) => Ok(Fields { path: self.path(name), map }),
            _ => Err(self.reject(name, "an object")),
        }
    }

    /// An object that may be absent or null; then `empty` stands for it.
    fn optional_object(&self, name: &str, empty: &'a Map<String, Value>) -> Result<Fields<'a>, Rejection> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(Fields { path: self.path(name), map: empty }),
            Some(_) => self.object(name),
        }
    }

    /// One string with any separator, or a list of strings.
    fn addresses(&self, name: &str) -> Result<Vec<String>, Rejection> {
        match self.map.get(name) {
            Some(Value::Array(list)) => {
                let joined: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                Ok(text::addresses(&joined.join(",")))
            }
            _ => Ok(self.raw_text(name)?.map(|text| text::addresses(&text)).unwrap_or_default()),
        }
    }

    fn answers(&self, name: &str, answer_field: &str) -> Result<Vec<Answer>, Rejection> {
        let list = match self.map.get(name) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(self.reject(name, "a list")),
        };
        let mut answers = Vec::new();
        for item in list {
            let Value::Object(map) = item else {
                return Err(Rejection::new(self.path(name), Some(item), "a list of objects"));
            };
            let item = Fields { path: format!("{}[]", self.path(name)), map };
            let answer = item.raw_text(answer_field)?.and_then(|text| text::block(&text));
            if let Some(answer) = answer {
                answers.push(Answer { question: item.text("question")?.unwrap_or_default(), answer });
            }
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_quotes_times_and_ids_and_no_text_that_may_tell_of_somebody() {
        let told = |data: &str| {
            let body = format!(
                r#"{{"eventId":"e","eventType":"scheduling.smartscheduler.scheduled","eventTimestamp":"2026-11-23T10:00:00Z",
                    "data":{{"id":"m","organizationId":"o","meetingEnd":"2026-11-24T11:00:00Z",{data}}}}}"#
            );
            parse(body.as_bytes()).unwrap_err().to_string()
        };
        let start = r#""meetingStart":"2026-11-24T10:00:00Z""#;
        for (data, found) in [
            (r#""meetingStart":"tomorrow at noon""#.to_owned(), "data.meetingStart: found \"tomorrow at noon\""),
            (r#""meetingStart":"2026-11-25T10:00:00Z""#.to_owned(), "data.meetingEnd: found \"2026-11-24T11:00:00Z\""),
            (r#""meetingStart":"ask bo@example.org""#.to_owned(), "data.meetingStart: found a text, 18 long"),
            (format!(r#"{start},"meetingInfo":"Bo Guest""#), "data.meetingInfo: found a text, 8 long"),
            (format!(r#"{start},"isCanceled":"Bo Guest""#), "data.isCanceled: found a text, 8 long"),
            (
                format!(r#"{start},"meetingInfo":{{"formValues":["Bo"]}}"#),
                "data.meetingInfo.formValues: found a text, 2 long",
            ),
        ] {
            let told = told(&data);
            assert!(told.starts_with(&format!("{found}, expected ")), "{told}");
        }
        assert!(parse(br#""Bo Guest""#).unwrap_err().to_string().starts_with("body: found a text, 8 long"));
    }
}
