//! A server that is killed again and again, at moments chosen by how far it has come, while deliveries arrive in any order and
//! some twice, and while Google is written. What stands at the end is what a run without a fault leaves.
//! Must not kill by time: only a start that is broken off ends wherever it happens to be.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use meeting_mirror::clock::{Clock as _, Randomness, SystemClock};
use meeting_mirror::simulated_google::{Access, Fault, SimulatedGoogle, SimulatedGoogleConfig};
use meeting_mirror::views::feed::lint::lint;
use serde_json::{Value, json};

use crate::process_support::{KEY, Machine, Process, Server, browser, event, get};

const TEAM: &str = "team@group.calendar.example.com";
/// `CRASH_SEED` tries another course.
const SEED: u64 = 20_261_127;
const KILLS: usize = 32;
const MEETINGS: usize = 48;
const SETTINGS: usize = 40;
/// Deliveries under way at a time.
const PARALLEL: usize = 8;
/// No server gets further than so many answers before it is killed.
const MOST_ANSWERS: usize = 24;

/// Chooses; the same from the same seed.
struct Dice(Randomness);

impl Dice {
    fn below(&self, bound: usize) -> usize {
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
struct Sent {
    id: String,
    body: String,
}

/// Everything that happens to some meetings and to their organization, each event once, in its order.
fn story(dice: &Dice, begin: DateTime<Utc>) -> Vec<Sent> {
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

/// When a server is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// While it starts.
    Starting,
    /// After so many of its answers.
    Answers(usize),
    /// After so many calls to Google.
    Calls(usize),
}

impl Moment {
    fn chosen(dice: &Dice) -> Self {
        match dice.below(8) {
            0 => Self::Starting,
            1..=3 => Self::Calls(dice.below(20) + 1),
            _ => Self::Answers(dice.below(MOST_ANSWERS)),
        }
    }
}

/// The machine that suffers, its Google, and what was promised to the sender.
struct Course {
    machine: Machine,
    google: SimulatedGoogle,
    credentials: String,
    http: reqwest::Client,
    /// How often each event was answered with 200.
    answered: HashMap<String, u64>,
}

impl Course {
    fn begin() -> Self {
        let google =
            SimulatedGoogle::start(SimulatedGoogleConfig::new(Arc::new(|| SystemClock::default().now()))).unwrap();
        google.add_calendar(TEAM, "Team", Access::Writer);
        // Answers take a while, so that a kill finds calls under way whose answers nobody hears.
        google.chaos_of(1, 1.0, &[Fault::Slow(Duration::from_millis(15))]);
        let machine = Machine::new();
        let credentials = machine.file("google.json", google.credentials().unwrap());
        Self { machine, google, credentials, http: browser(), answered: HashMap::new() }
    }

    fn command(&self) -> std::process::Command {
        let mut command = self.machine.command(&["serve", "--listen", "127.0.0.1:0"]);
        command
            .env("MEETING_MIRROR_SIGNING_KEYS", KEY)
            .env("MEETING_MIRROR_GOOGLE_CREDENTIALS", &self.credentials)
            .env("MEETING_MIRROR_GOOGLE_API_URL", self.google.api_url())
            .env("MEETING_MIRROR_GOOGLE_RATE", "1000")
            .env("MEETING_MIRROR_GOOGLE_CALENDAR_RATE", "1000");
        command
    }

    /// Sends what is in the queue, and kills the server after so many answers. What got no answer, or a bad one, comes back.
    async fn send(&mut self, server: &Server, queue: Vec<Sent>, kill_after: Option<usize>) -> Vec<Sent> {
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
                    if kill_after == Some(heard) {
                        server.process.signal("KILL");
                    }
                }
                // What is cut off by the kill promises nothing.
                Ok((503, _)) | Err(_) => unanswered.push(sent),
                Ok((status, told)) => panic!("{status} {told}"),
            }
        }
        unanswered
    }

    /// One server's life. Takes from the queue, and puts back what got no answer.
    async fn live(&mut self, moment: Moment, queue: &mut VecDeque<Sent>) {
        if matches!(moment, Moment::Starting) {
            let mut process = Process::start(&mut self.command(), b"");
            process.signal("KILL");
            assert_eq!(process.ends_within(Duration::from_mins(1)), -9);
            return;
        }
        let mut server = Server::start(&mut self.command());
        let calls = self.google.call_count();
        let share = |queue: &mut VecDeque<Sent>, most: usize| queue.drain(..queue.len().min(most)).collect::<Vec<_>>();
        let unanswered = match moment {
            Moment::Answers(most) if most > 0 && queue.len() >= most => {
                let share = share(queue, most + PARALLEL);
                self.send(&server, share, Some(most)).await
            }
            Moment::Calls(most) => {
                let share = share(queue, MOST_ANSWERS);
                let unanswered = self.send(&server, share, None).await;
                // Each look takes an answer. Either the mirror goes on, or it has nothing to do.
                for _ in 0..500 {
                    if self.google.call_count() >= calls + most {
                        break;
                    }
                    get(&self.http, &format!("{}/livez", server.url)).await;
                }
                server.process.signal("KILL");
                unanswered
            }
            _ => {
                server.process.signal("KILL");
                Vec::new()
            }
        };
        assert_eq!(server.process.ends_within(Duration::from_mins(1)), -9, "{moment:?}");
        queue.extend(unanswered);
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

#[tokio::test(flavor = "multi_thread")]
async fn whenever_it_is_killed_everything_ends_as_without_a_fault() {
    let seed = std::env::var("CRASH_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    writeln!(std::io::stdout(), "CRASH_SEED={seed}").unwrap();
    let dice = Dice(Randomness::seeded(seed));
    let story = story(&dice, SystemClock::default().now() - TimeDelta::hours(1));

    let calm = Machine::new();
    let server = calm.serve(&[]);
    let stream = calm.file("story.ndjson", story.iter().map(|sent| sent.body.clone() + "\n").collect::<String>());
    calm.ok(&["send", &stream, "--url", &server.url, "--key", KEY]);
    settle(&calm);
    let wanted = meetings(&calm);
    server.stop();

    let mut course = Course::begin();
    course.machine.ok(&["calendar", "add", "--name", "Team", "--calendar-id", TEAM]);
    let link = course.machine.ok(&["feed", "add", "--name", "Sales"]);
    let mut queue = story.clone();
    queue.extend((0..story.len() / 4).map(|_| story[dice.below(story.len())].clone()));
    dice.shuffle(&mut queue);
    let mut queue = VecDeque::from(queue);
    for _ in 0..KILLS {
        course.live(Moment::chosen(&dice), &mut queue).await;
    }
    let server = Server::start(&mut course.command());
    let rest = course.send(&server, queue.into(), None).await;
    assert!(rest.is_empty(), "{} are refused by a server at rest", rest.len());

    let machine = &course.machine;
    settle(machine);
    machine.until(&["calendar", "list", "--json"], |list| list[0]["waiting"] == 0 && list[0]["failing"] == 0);
    let rows = machine.json(&["inbox", "list", "--limit", "10000", "--json"]);
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), story.len(), "every event is there once");
    for sent in &story {
        let row = rows.iter().find(|row| row["eventId"] == json!(sent.id));
        let row = row.unwrap_or_else(|| panic!("{} was answered with 200 and is gone", sent.id));
        assert!(row["deliveries"].as_u64().unwrap() >= course.answered[&sent.id], "{row}");
        assert!(["applied", "superseded"].contains(&row["status"].as_str().unwrap()), "{row}");
    }
    let found = meetings(machine);
    assert_eq!(found, wanted);

    let confirmed: BTreeMap<&String, &Value> = wanted.iter().filter(|(_, of)| of["status"] == "confirmed").collect();
    assert!((10..MEETINGS).contains(&confirmed.len()), "{}", confirmed.len());
    let events: Vec<_> = course.google.events(TEAM).into_iter().filter(|event| !event.is_deleted()).collect();
    let mut mirrored = BTreeMap::new();
    for event in &events {
        let starts = event.start.as_ref().unwrap().instant().to_rfc3339_opts(SecondsFormat::Millis, true);
        mirrored.insert(&event.private_properties["meetingMirrorMeeting"], json!(starts));
    }
    assert_eq!(mirrored.len(), events.len(), "an event stands twice");
    let begins: BTreeMap<_, _> = confirmed.iter().map(|(id, of)| (*id, of["startsAt"].clone())).collect();
    assert_eq!(mirrored, begins);
    assert!(course.google.mails().is_empty());

    let path = link.trim().split("/feeds/").nth(1).unwrap();
    let (status, text) = get(&course.http, &format!("{}/feeds/{path}", server.url)).await;
    assert_eq!((status, lint(text.as_bytes()).len()), (200, 0), "{text}");
    for (id, meeting) in &wanted {
        let shown = text.matches(&format!("SUMMARY:Demo {id}\r\n")).count();
        assert_eq!(shown, usize::from(meeting["status"] == "confirmed"), "{id} in the feed");
    }

    machine.ok(&["audit", "verify"]);
    let audit = machine.json(&["audit", "list", "--limit", "10000", "--json"]);
    let mut told: Vec<&str> = audit.as_array().unwrap().iter().filter_map(|entry| entry["eventId"].as_str()).collect();
    told.sort_unstable();
    let mut changes: Vec<&str> = story[story.len() - SETTINGS..].iter().map(|sent| sent.id.as_str()).collect();
    changes.sort_unstable();
    assert_eq!(told, changes, "every change of a setting is in the audit log once");
    server.stop();
}
