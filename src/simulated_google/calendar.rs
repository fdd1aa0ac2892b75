//! One simulated calendar and its events, deleted ones included, with the rules for each operation on them.
//! Must not know HTTP, tokens or faults.

use std::collections::BTreeMap;
use std::ops::Bound;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::answer::{Refusal, Resource};
use super::event_rules::{self, EventTime};

/// How a calendar is shared with the service account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// "Make changes to events".
    Writer,
    /// "See all event details": writes are answered 403 `requiredAccessLevel`.
    Reader,
    /// Not at all: everything is answered 404 `notFound`.
    NotShared,
}

/// An event as it stands in a simulated calendar.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedEvent {
    pub id: String,
    /// `confirmed`, `tentative` or, when deleted, `cancelled`.
    pub status: String,
    pub summary: Option<String>,
    pub description: Option<String>,
    pub location: Option<String>,
    /// `None` only when an edit by hand broke it.
    pub start: Option<EventTime>,
    /// `None` only when an edit by hand broke it.
    pub end: Option<EventTime>,
    pub sequence: i64,
    /// `opaque` (busy) or `transparent` (free).
    pub transparency: String,
    pub private_properties: BTreeMap<String, String>,
    /// The whole resource, as GET answers it.
    pub raw: Value,
}

impl SimulatedEvent {
    /// Whether it was deleted: Google keeps deleted events as `cancelled`.
    pub fn is_deleted(&self) -> bool {
        self.status == "cancelled"
    }

    pub(super) fn read(event: &Resource) -> Self {
        let text = |field: &str| event.get(field).and_then(Value::as_str).map(str::to_owned);
        Self {
            id: text("id").unwrap_or_default(),
            status: text("status").unwrap_or_default(),
            summary: text("summary"),
            description: text("description"),
            location: text("location"),
            start: EventTime::read(event.get("start")),
            end: EventTime::read(event.get("end")),
            sequence: event.get("sequence").and_then(Value::as_i64).unwrap_or(0),
            transparency: text("transparency").unwrap_or_else(|| "opaque".to_owned()),
            private_properties: private_properties(event)
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            raw: Value::Object(event.clone()),
        }
    }
}

/// The circumstances of a change: when, and whether the injected rule against reviving holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) now: DateTime<Utc>,
    /// Some users saw 403 when they revived a deleted event.
    pub(super) refuse_revive: bool,
    /// Attendees are refused: the caller is a service account that impersonates nobody.
    pub(super) refuse_attendees: bool,
}

#[derive(Debug)]
pub(super) struct Calendar {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) access: Access,
    /// Whether it is in the caller's calendar list.
    pub(super) listed: bool,
    /// `http://127.0.0.1:PORT`, for links.
    origin: String,
    events: BTreeMap<String, Resource>,
    /// Counts changes: makes etags and generated ids.
    changes: u64,
}

impl Calendar {
    pub(super) fn new(id: &str, name: &str, access: Access, origin: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            access,
            listed: true,
            origin: origin.to_owned(),
            events: BTreeMap::new(),
            changes: 0,
        }
    }

    /// Every event, deleted ones too, by id.
    pub(super) fn events(&self) -> impl DoubleEndedIterator<Item = (&str, &Resource)> {
        self.events.iter().map(|(id, event)| (id.as_str(), event))
    }

    pub(super) fn events_after<'a>(&'a self, after: Bound<&str>) -> impl Iterator<Item = (&'a str, &'a Resource)> {
        self.events.range::<str, _>((after, Bound::Unbounded)).map(|(id, event)| (id.as_str(), event))
    }

    /// A deleted event is found, as `cancelled`; one that never was or was purged is not (Google's documentation).
    pub(super) fn get(&self, id: &str) -> Result<&Resource, Refusal> {
        self.events.get(id).ok_or_else(Refusal::not_found)
    }

    /// An id can be used once, deleted or not (Google's documentation; for deleted ones reported by users).
    pub(super) fn insert(&mut self, body: &Resource, change: Change) -> Result<Resource, Refusal> {
        let given_id = body.get("id").filter(|id| !id.is_null());
        let ical_uid = body.get("iCalUID").filter(|uid| !uid.is_null());
        if given_id.is_some() && ical_uid.is_some() {
            return Err(Refusal::invalid("Only one of id and iCalUID may be given."));
        }
        let id = match given_id {
            Some(id) => event_rules::check_id(id)?.to_owned(),
            None => self.generated_id(),
        };
        let mut event = event_rules::writable(body)?;
        event_rules::check(&mut event)?;
        event_rules::sequence(&event)?;
        refuse_attendees(&event, change)?;
        if self.events.contains_key(&id) {
            return Err(Refusal::duplicate());
        }
        let uid = ical_uid.and_then(Value::as_str).map_or_else(|| format!("{id}@google.com"), str::to_owned);
        let identity = self.identity(&id, &uid, change.now);
        Ok(self.store(id, identity, event, change.now))
    }

    /// PUT: replaces all writable fields and revives a deleted event (reported by users).
    pub(super) fn update(&mut self, id: &str, body: &Resource, change: Change) -> Result<Resource, Refusal> {
        let stored = self.get(id)?.clone();
        let event = event_rules::writable(body)?;
        self.replace(id, &stored, event, body, change)
    }

    /// PATCH: merges.
    pub(super) fn patch(&mut self, id: &str, body: &Resource, change: Change) -> Result<Resource, Refusal> {
        let stored = self.get(id)?.clone();
        event_rules::writable(body)?;
        let mut merged = stored.clone();
        event_rules::merge(&mut merged, body);
        let event = event_rules::writable(&merged)?;
        self.replace(id, &stored, event, body, change)
    }

    fn replace(
        &mut self,
        id: &str,
        stored: &Resource,
        mut event: Resource,
        body: &Resource,
        change: Change,
    ) -> Result<Resource, Refusal> {
        event_rules::check(&mut event)?;
        refuse_attendees(body, change)?;
        let revives = is_deleted(stored) && !is_deleted(&event);
        if revives && change.refuse_revive {
            return Err(Refusal::forbidden("forbidden"));
        }
        let given = event_rules::sequence(&event)?;
        event_rules::check_sequence(given, event_rules::sequence(stored)?)?;
        let identity = ["kind", "id", "iCalUID", "htmlLink", "created", "creator", "organizer"]
            .into_iter()
            .filter_map(|field| Some((field.to_owned(), stored.get(field)?.clone())))
            .collect();
        Ok(self.store(id.to_owned(), identity, event, change.now))
    }

    /// A deleted event stays, as `cancelled`; deleting it again is 410 (Google's documentation).
    pub(super) fn delete(&mut self, id: &str, now: DateTime<Utc>) -> Result<Resource, Refusal> {
        let stored = self.get(id)?;
        if is_deleted(stored) {
            return Err(Refusal::deleted());
        }
        let mut event = stored.clone();
        event.insert("status".to_owned(), "cancelled".into());
        Ok(self.store(id.to_owned(), Resource::new(), event, now))
    }

    /// A person changes an event in Google's own pages: no rule is applied.
    pub(super) fn edit_by_hand(
        &mut self,
        id: &str,
        edit: impl FnOnce(&mut Value),
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let mut value = Value::Object(self.get(id)?.clone());
        edit(&mut value);
        let Value::Object(event) = value else {
            return Err(Refusal::invalid("An event is a JSON object."));
        };
        self.store(id.to_owned(), Resource::new(), event, now);
        Ok(())
    }

    /// Google forgets deleted events after some weeks.
    pub(super) fn purge(&mut self, id: &str) -> bool {
        self.events.remove(id).is_some()
    }

    fn store(&mut self, id: String, identity: Resource, mut event: Resource, now: DateTime<Utc>) -> Resource {
        self.changes += 1;
        event.extend(identity);
        event.insert("etag".to_owned(), format!("\"{:016}\"", self.changes).into());
        let updated = now.to_rfc3339_opts(SecondsFormat::Millis, true);
        event.insert("updated".to_owned(), updated.into());
        for (field, default) in [
            ("status", json!("confirmed")),
            ("sequence", json!(0)),
            ("eventType", json!("default")),
            ("reminders", json!({ "useDefault": true })),
        ] {
            event.entry(field).or_insert(default);
        }
        self.events.insert(id, event.clone());
        event
    }

    fn identity(&self, id: &str, uid: &str, now: DateTime<Utc>) -> Resource {
        let owner = json!({ "email": self.id, "displayName": self.name, "self": true });
        let fields = [
            ("kind", json!("calendar#event")),
            ("id", json!(id)),
            ("iCalUID", json!(uid)),
            ("htmlLink", json!(format!("{}/#{}", self.origin, self.anchor(id)))),
            ("created", json!(now.to_rfc3339_opts(SecondsFormat::Secs, true))),
            ("creator", owner.clone()),
            ("organizer", owner),
        ];
        fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
    }

    /// The event's place on the page for people.
    pub(super) fn anchor(&self, id: &str) -> String {
        data_encoding::BASE64URL_NOPAD.encode(format!("{id} {}", self.id).as_bytes())
    }

    fn generated_id(&self) -> String {
        let digest = Sha256::digest(format!("{} {}", self.id, self.changes));
        let id = data_encoding::BASE32_DNSSEC.encode(&digest);
        id.chars().take(26).collect()
    }

    /// `calendars.get`.
    pub(super) fn resource(&self) -> Value {
        json!({
            "kind": "calendar#calendar",
            "etag": "\"simulated\"",
            "id": self.id,
            "summary": self.name,
            "timeZone": "UTC",
        })
    }

    /// `calendarList.get`.
    pub(super) fn list_entry(&self) -> Value {
        json!({
            "kind": "calendar#calendarListEntry",
            "etag": "\"simulated\"",
            "id": self.id,
            "summary": self.name,
            "timeZone": "UTC",
            "accessRole": self.access_role(),
            "defaultReminders": [],
        })
    }

    pub(super) fn access_role(&self) -> &'static str {
        match self.access {
            Access::Writer => "writer",
            Access::Reader => "reader",
            Access::NotShared => "none",
        }
    }
}

pub(super) fn is_deleted(event: &Resource) -> bool {
    event.get("status").is_some_and(|status| status == "cancelled")
}

/// Private extended properties, which only this caller sees.
pub(super) fn private_properties(event: &Resource) -> impl Iterator<Item = (&str, &str)> {
    event
        .get("extendedProperties")
        .and_then(|properties| properties.get("private"))
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// Google's documentation: service accounts can't invite without impersonating a person.
fn refuse_attendees(body: &Resource, change: Change) -> Result<(), Refusal> {
    if change.refuse_attendees && !event_rules::attendees(body).is_empty() {
        return Err(Refusal::forbidden("forbiddenForServiceAccounts"));
    }
    Ok(())
}
