//! A story of deliveries, a machine that goes through it with a fault, and what must stand at the end: what a run without a fault
//! leaves, in the tables, at Google, in the feed and in the audit log. Must not know the fault.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use meeting_mirror::clock::{Clock as _, Randomness, SystemClock};
use meeting_mirror::simulated_google::{Access, Fault, REFRESH_TOKEN, SimulatedGoogle, SimulatedGoogleConfig};
use meeting_mirror::views::feed::lint::lint;
use serde_json::{Value, json};

use crate::process_support::{KEY, Machine, Server, browser, event, get};

const TEAM: &str = "team@group.calendar.example.com";
const MEETINGS: usize = 48;
const SETTINGS: usize = 40;
/// Deliveries under way at a time.
pub(super) const PARALLEL: usize = 8;

/// Chooses; the same from the same seed.
pub(super) struct Dice(Randomness);

impl Dice {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(Randomness::seeded(seed))
    }

    pub(super) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.0.token() % i64::try_from(bound).unwrap()).unwrap()
    }

    fn shuffle<T>(&self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

/// An event as it is delivered.
#[derive(Clone)]
pub(super) struct Sent {
    id: String,
    body: String,
}

/// Everything that happens to some meetings and to their organization, each event once, in its order.
fn events(dice: &Dice, begin: DateTime<Utc>) -> Vec<Sent> {
    let mut told = Vec::new();
    let mut tell = |mut envelope: Value| {
        let id = format!("e-{}", told.len());
        envelope["eventId"] = json!(id);
        let at = begin + TimeDelta::seconds(i64::try_from(told.len()).unwrap());
        envelope["eventTimestamp"] = json!(at);
        told.push(Sent { id, body: envelope.to_string() });
    };
    for number in 0..MEETINGS {
        let id = format!("m-{number}");
        let hours = |dice: &Dice| i64::try_from(dice.below(200)).unwrap() + 2;
        tell(event("", "scheduled", &id, hours(dice)));
        for _ in 0..dice.below(4) {
            tell(event("", "rescheduled", &id, hours(dice)));
        }
        match dice.below(4) {
            0 => tell(event("", "canceled", &id, hours(dice))),
            // Another booking takes the meeting over.
            1 => {
                let mut takes_over = event("", "rescheduled", &format!("{id}-again"), hours(dice));
                takes_over["data"]["meetingInfo"]["existingEmailMeetingId"] = json!(format!("mail-{id}"));
                tell(takes_over);
            }
            _ => {}
        }
    }
    for number in 0..SETTINGS {
        tell(json!({
            "organizationGuid": "org-1", "eventType": "organization.setting.changed", "deliveryAttempt": 1,
            "data": {
                "current": {"value": number}, "previous": {"value": number + 1},
                "setting": {"module": "Smart Scheduler", "name": "BufferMinutes", "title": "Buffer"},
                "modifiedBy": {"userId": "u-1", "username": "ada@example.com", "firstName": "Ada", "lastName": "Example"},
            },
        }));
    }
    told
}

/// Everything that happens, and what is left of it without a fault.
pub(super) struct Story {
    events: Vec<Sent>,
    meetings: BTreeMap<String, Value>,
}

impl Story {
    /// Told to a machine without a fault.
    pub(super) fn told(dice: &Dice) -> Self {
        let events = events(dice, SystemClock::default().now() - TimeDelta::hours(1));
        let calm = Machine::new();
        let server = calm.serve(&[]);
        let stream = calm.file("story.ndjson", events.iter().map(|sent| sent.body.clone() + "\n").collect::<String>());
        calm.ok(&["send", &stream, "--url", &server.url, "--key", KEY]);
        settle(&calm);
        let meetings = meetings(&calm);
        server.stop();
        Self { events, meetings }
    }

    /// All events in any order, some of them twice.
    pub(super) fn shuffled(&self, dice: &Dice) -> VecDeque<Sent> {
        let mut queue = self.events.clone();
        let again = (0..queue.len() / 4).map(|_| self.events[dice.below(self.events.len())].clone());
        queue.extend(again);
        dice.shuffle(&mut queue);
        queue.into()
    }
}

/// The machine that suffers, its Google, and what was promised to the sender.
pub(super) struct Course {
    pub(super) machine: Machine,
    pub(super) google: SimulatedGoogle,
    credentials: String,
    pub(super) http: reqwest::Client,
    /// How often each event was answered with 200.
    answered: HashMap<String, u64>,
}

impl Course {
    pub(super) fn begin() -> Self {
        let google =
            SimulatedGoogle::start(SimulatedGoogleConfig::new(Arc::new(|| SystemClock::default().now()))).unwrap();
        google.add_calendar(TEAM, "Team", Access::Writer);
        // Answers take a while, so that a fault finds calls under way.
        google.chaos_of(1, 1.0, &[Fault::Slow(Duration::from_millis(15))]);
        let machine = Machine::new();
        let credentials = machine.file("google.json", google.credentials().unwrap());
        Self { machine, google, credentials, http: browser(), answered: HashMap::new() }
    }

    /// Has Google reached by a person's saved sign-in, and not by a service account.
    pub(super) fn sign_in_as_a_person(&mut self) {
        let client = json!({
            "client_id": "client", "client_secret": "secret", "redirect_uris": [],
            "auth_uri": self.google.token_url(), "token_uri": self.google.token_url(),
        });
        let saved = json!({
            "type": "meeting_mirror_sign_in", "account": "ada@example.com", "client": client,
            "refresh_token": REFRESH_TOKEN,
        });
        self.credentials = self.machine.file("sign-in.json", saved.to_string());
    }

    /// Adds the calendar and a feed. Returns the feed's path.
    pub(super) fn set_up(&self) -> String {
        self.machine.ok(&["calendar", "add", "--name", "Team", "--calendar-id", TEAM]);
        let link = self.machine.ok(&["feed", "add", "--name", "Sales"]);
        format!("/feeds/{}", link.trim().split("/feeds/").nth(1).unwrap())
    }

    pub(super) fn command(&self) -> std::process::Command {
        let mut command = self.machine.command(&["serve", "--listen", "127.0.0.1:0"]);
        command
            .env("MEETING_MIRROR_SIGNING_KEYS", KEY)
            .env("MEETING_MIRROR_GOOGLE_CREDENTIALS", &self.credentials)
            .env("MEETING_MIRROR_GOOGLE_API_URL", self.google.api_url())
            .env("MEETING_MIRROR_GOOGLE_RATE", "1000")
            .env("MEETING_MIRROR_GOOGLE_CALENDAR_RATE", "1000");
        command
    }

    /// Sends what is in the queue, and has something done after so many answers. What got no answer, or a bad one, comes back.
    pub(super) async fn send(
        &mut self,
        server: &Server,
        queue: Vec<Sent>,
        then: Option<(usize, &dyn Fn())>,
    ) -> Vec<Sent> {
        let mut unanswered = Vec::new();
        let mut answers = stream::iter(queue)
            .map(|sent| async { (server.post(&self.http, sent.body.clone()).await, sent) })
            .buffer_unordered(PARALLEL);
        let mut heard = 0;
        while let Some((answer, sent)) = answers.next().await {
            match answer {
                Ok((200, told)) => {
                    assert_eq!(told["eventId"], json!(sent.id));
                    *self.answered.entry(sent.id).or_default() += 1;
                    heard += 1;
                    if let Some((_, act)) = then.filter(|(after, _)| *after == heard) {
                        act();
                    }
                }
                // What is cut off promises nothing.
                Ok((503, _)) | Err(_) => unanswered.push(sent),
                Ok((status, told)) => panic!("{status} {told}"),
            }
        }
        unanswered
    }

    /// Waits until everything is applied and mirrored.
    pub(super) fn settle(&self) {
        settle(&self.machine);
        self.machine.until(&["calendar", "list", "--json"], |list| list[0]["waiting"] == 0 && list[0]["failing"] == 0);
    }

    /// What was answered is there once, and all that can be seen is as without a fault.
    pub(super) async fn assert_ended(&self, story: &Story, server: &Server, feed: &str) {
        let machine = &self.machine;
        let rows = machine.json(&["inbox", "list", "--limit", "10000", "--json"]);
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), story.events.len(), "every event is there once");
        for sent in &story.events {
            let row = rows.iter().find(|row| row["eventId"] == json!(sent.id));
            let row = row.unwrap_or_else(|| panic!("{} was answered with 200 and is gone", sent.id));
            assert!(row["deliveries"].as_u64().unwrap() >= self.answered[&sent.id], "{row}");
            assert!(["applied", "superseded"].contains(&row["status"].as_str().unwrap()), "{row}");
        }
        assert_eq!(meetings(machine), story.meetings);
        self.assert_mirrored(story);

        let (status, text) = get(&self.http, &format!("{}{feed}", server.url)).await;
        assert_eq!((status, lint(text.as_bytes()).len()), (200, 0), "{text}");
        for (id, meeting) in &story.meetings {
            let shown = text.matches(&format!("SUMMARY:Demo {id}\r\n")).count();
            assert_eq!(shown, usize::from(meeting["status"] == "confirmed"), "{id} in the feed");
        }

        machine.ok(&["audit", "verify"]);
        let audit = machine.json(&["audit", "list", "--limit", "10000", "--json"]);
        let mut told: Vec<&str> =
            audit.as_array().unwrap().iter().filter_map(|entry| entry["eventId"].as_str()).collect();
        told.sort_unstable();
        let settings = &story.events[story.events.len() - SETTINGS..];
        let mut changes: Vec<&str> = settings.iter().map(|sent| sent.id.as_str()).collect();
        changes.sort_unstable();
        assert_eq!(told, changes, "every change of a setting is in the audit log once");
    }

    /// Google's calendar holds each meeting that takes place, once, at its time.
    fn assert_mirrored(&self, story: &Story) {
        let confirmed: BTreeMap<&String, &Value> =
            story.meetings.iter().filter(|(_, of)| of["status"] == "confirmed").collect();
        assert!((10..MEETINGS).contains(&confirmed.len()), "{}", confirmed.len());
        let events: Vec<_> = self.google.events(TEAM).into_iter().filter(|event| !event.is_deleted()).collect();
        let mut mirrored = BTreeMap::new();
        for event in &events {
            let starts = event.start.as_ref().unwrap().instant().to_rfc3339_opts(SecondsFormat::Millis, true);
            mirrored.insert(&event.private_properties["meetingMirrorMeeting"], json!(starts));
        }
        assert_eq!(mirrored.len(), events.len(), "an event stands twice");
        let begins: BTreeMap<_, _> = confirmed.iter().map(|(id, of)| (*id, of["startsAt"].clone())).collect();
        assert_eq!(mirrored, begins);
        assert!(self.google.mails().is_empty());
    }
}

/// Meetings as they stand, but for what tells the way they came.
fn meetings(machine: &Machine) -> BTreeMap<String, Value> {
    let list = machine.json(&["meeting", "list", "--past", "--limit", "10000", "--json"]);
    let without_way = |mut meeting: Value| {
        let meeting_fields = meeting.as_object_mut().unwrap();
        meeting_fields.remove("revision");
        meeting_fields.remove("lastModifiedAt");
        (meeting["id"].as_str().unwrap().to_owned(), meeting)
    };
    list.as_array().unwrap().iter().cloned().map(without_way).collect()
}

fn settle(machine: &Machine) {
    machine.until(&["inbox", "list", "--status", "pending", "--json"], |list| *list == json!([]));
}
