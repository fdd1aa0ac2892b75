//! Whether a delivery tells of an invitee: asked of bodies as they came, when somebody is to be erased.

use serde_json::Value;

use super::payload::{self, Payload};
use crate::meeting::event::holds_address;

/// Looks for one address in bodies.
#[derive(Debug, Clone)]
pub struct InviteeSearch {
    /// In lower case.
    address: String,
}

impl InviteeSearch {
    /// A search for an address; case does not matter.
    pub fn new(address: &str) -> Self {
        Self { address: address.trim().to_lowercase() }
    }

    /// Whether the body tells of a meeting with that invitee. Of a body that can't be understood every text counts; what
    /// organizations and the endpoint's tests say does not.
    pub fn finds(&self, body: &[u8]) -> bool {
        // Most bodies need not be read: a text can hide the address only behind escapes.
        let text = String::from_utf8_lossy(body).to_lowercase();
        if !text.contains(&self.address) && !text.contains("\\u") {
            return false;
        }
        match payload::parse(body).map(|envelope| envelope.payload) {
            Ok(Payload::Meeting(event)) => event.details.invites(&self.address),
            Ok(Payload::Organization(_) | Payload::EndpointTest) => false,
            Ok(Payload::Unknown) | Err(_) => {
                holds_address(&text, &self.address)
                    || serde_json::from_slice(body).is_ok_and(|value: Value| self.stands_in(&value))
            }
        }
    }

    /// Whether the body is understood and tells of a meeting with that invitee.
    pub fn invites(&self, body: &[u8]) -> bool {
        payload::parse(body).is_ok_and(
            |envelope| matches!(envelope.payload, Payload::Meeting(event) if event.details.invites(&self.address)),
        )
    }

    fn stands_in(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => holds_address(&text.to_lowercase(), &self.address),
            Value::Array(list) => list.iter().any(|value| self.stands_in(value)),
            Value::Object(map) => map.values().any(|value| self.stands_in(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitee_is_found_in_any_form_and_nobody_else() {
        let search = InviteeSearch::new(" Bo@Example.ORG ");
        let meeting = |owner: &str, invitee: &str, others: &str| {
            format!(
                r#"{{"eventId":"e","eventType":"scheduling.smartscheduler.scheduled","eventTimestamp":"2026-11-23T10:00:00Z",
                    "data":{{"id":"m","organizationId":"o","meetingStart":"2026-11-24T10:00:00Z","meetingEnd":"2026-11-24T11:00:00Z",
                    "meetingOwner":{{"username":"{owner}"}},"meetingInfo":{{"primaryInvitee":"{invitee}","optionalInvitees":"{others}"}}}}}}"#
            )
        };
        let organization = r#"{"eventId":"e","eventType":"organization.changed","eventTimestamp":"2026-11-23T10:00:00Z",
                               "data":{"user":"bo@example.org"}}"#;
        for (body, found) in [
            (meeting("ada@example.com", "BO@example.org", ""), true),
            (meeting("ada@example.com", r"bo\u0040example.org", ""), true),
            (meeting("ada@example.com", "cy@example.org", "dee@example.org, bo@example.org"), true),
            (meeting("ada@example.com", "mailto:bo@example.org", ""), true),
            (meeting("ada@example.com", "", r#"\"Bo Guest\"<bo@example.org>"#), true),
            (meeting("ada@example.com", "", "Bo<bo@example.org>; cy@example.org"), true),
            (meeting("ada@example.com", "", "bo@example.org."), true),
            (meeting("ada@example.com", "", "cy@example.org/bo@example.org"), true),
            (meeting("ada@example.com", "", "Jim<jim.bo@example.org>"), false),
            (meeting("bo@example.org", "cy@example.org", ""), false),
            (meeting("ada@example.com", "jimbo@example.org", ""), false),
            (organization.to_owned(), false),
            (r#"{"note":"ask bo@example.org"}"#.to_owned(), true),
            (r#"{"note":"ask bo\u0040example.org"}"#.to_owned(), true),
            ("not JSON: bo@example.org".to_owned(), true),
            ("not JSON: jimbo@example.org, bo@example.org.uk".to_owned(), false),
        ] {
            assert_eq!(search.finds(body.as_bytes()), found, "{body}");
        }
    }
}
