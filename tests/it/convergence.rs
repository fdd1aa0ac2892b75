//! Promise 2, for any events: whatever the order, the repetitions, the moments of application and a restart, the same
//! deliveries end in the same meetings, and these are the ones that the design's rules give for the whole set.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use chrono::{DateTime, TimeDelta, Utc};
use meeting_mirror::clock::ManualClock;
use meeting_mirror::inbound::inbox::Inbox;
use meeting_mirror::inbound::webhook::Webhook;
use meeting_mirror::meeting::event::Kind;
use meeting_mirror::meeting::state::Meeting;
use meeting_mirror::store::{InboxWriter, MeetingFilter, Store};
use meeting_mirror::web::counts::Tally;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::support::{WEBHOOK, event, noon, with};

/// One event as generated. Few values for everything, so that times tie and claims meet.
#[derive(Debug, Clone)]
struct Told {
    event_id: String,
    meeting: String,
    organization: String,
    minute: i64,
    kind: Kind,
    says_canceled: bool,
    email_id: Option<String>,
    claims: Option<String>,
    hour: u32,
}

impl Told {
    fn effective_kind(&self) -> Kind {
        if self.says_canceled { Kind::Canceled } else { self.kind }
    }

    /// Place in the total order.
    fn key(&self) -> (i64, Kind, &str) {
        (self.minute, self.effective_kind(), &self.event_id)
    }

    fn envelope(&self) -> Value {
        with(event(&self.event_id, self.kind.as_str(), &self.meeting, self.minute, self.hour), |data| {
            data["organizationId"] = json!(self.organization);
            data["isCanceled"] = json!(self.says_canceled);
            data["emailMeetingId"] = json!(self.email_id);
            data["meetingInfo"]["existingEmailMeetingId"] = json!(self.claims);
        })
    }
}

fn told() -> impl Strategy<Value = Told> {
    let one_of = |prefix: &'static str, count: usize| (0..count).prop_map(move |number| format!("{prefix}-{number}"));
    (
        (any::<u16>(), one_of("m", 4), prop_oneof![6 => Just("org-1"), 1 => Just("org-2")]),
        (0_i64..6, prop_oneof![2 => Just(Kind::Scheduled), 4 => Just(Kind::Rescheduled), 1 => Just(Kind::Canceled)]),
        (prop::bool::weighted(0.15), prop::option::weighted(0.9, one_of("mail", 3))),
        (prop::option::weighted(0.6, one_of("mail", 3)), 9_u32..11),
    )
        .prop_map(|((id, meeting, organization), (minute, kind), (says_canceled, email_id), (claims, hour))| {
            Told {
                event_id: format!("evt-{id}"),
                meeting,
                organization: organization.to_owned(),
                minute,
                kind,
                says_canceled,
                email_id,
                claims,
                hour,
            }
        })
}

/// One delivery: which event, whether the inbox is worked on after it, and how the clock moves meanwhile.
#[derive(Debug, Clone)]
struct Step {
    event: usize,
    apply: bool,
    seconds: i64,
}

/// A way for events to arrive: each at least once, in any order, with a restart before some step.
#[derive(Debug, Clone)]
struct Way {
    steps: Vec<Step>,
    restart_before: usize,
}

fn way(events: usize) -> impl Strategy<Value = Way> {
    prop::collection::vec(0..events, 0..=events / 2)
        .prop_map(move |repeated| (0..events).chain(repeated).collect::<Vec<_>>())
        .prop_shuffle()
        .prop_flat_map(|order| {
            let count = order.len();
            let moves = prop::collection::vec((prop::bool::weighted(0.4), -1_i64..3), count);
            (Just(order), moves, 0..=count)
        })
        .prop_map(|(order, moves, restart_before)| Way {
            steps: std::iter::zip(order, moves)
                .map(|(event, (apply, seconds))| Step { event, apply, seconds })
                .collect(),
            restart_before,
        })
}

fn events_and_two_ways() -> impl Strategy<Value = (Vec<Told>, Way, Way)> {
    prop::collection::vec(told(), 1..14)
        .prop_map(|mut events| {
            events.sort_by(|a, b| a.event_id.cmp(&b.event_id));
            events.dedup_by(|a, b| a.event_id == b.event_id);
            events
        })
        .prop_flat_map(|events| {
            let count = events.len();
            (Just(events), way(count), way(count))
        })
}

/// The webhook and the inbox worker over a database, without a server around them.
struct Bench {
    clock: Arc<ManualClock>,
    store: Store,
    webhook: Router,
    inbox: Inbox,
    dir: TempDir,
}

impl Bench {
    async fn open(dir: TempDir, clock: Arc<ManualClock>) -> Self {
        let store = Store::open(dir.path()).await.unwrap();
        let (writer, task) = InboxWriter::new(store.clone());
        tokio::spawn(task);
        let webhook = Webhook {
            verifier: None,
            writer,
            arrived: Arc::default(),
            clock: clock.clone(),
            answers: Tally::default(),
        }
        .router();
        let inbox = Inbox::new(store.clone(), clock.clone(), Arc::default(), Vec::new());
        Self { clock, store, webhook, inbox, dir }
    }

    async fn restart(self) -> Self {
        let Self { clock, store, webhook, dir, .. } = self;
        drop(webhook);
        store.close().await;
        Self::open(dir, clock).await
    }

    async fn deliver(&self, told: &Told) {
        let request = Request::post(WEBHOOK).body(Body::from(told.envelope().to_string())).unwrap();
        assert_eq!(self.webhook.clone().oneshot(request).await.unwrap().status(), 200);
    }

    async fn meetings(&self) -> BTreeMap<String, Meeting> {
        let all = self.store.meetings(&MeetingFilter::default(), 1000).await.unwrap();
        all.into_iter().map(|meeting| (meeting.id.to_string(), meeting)).collect()
    }

    /// Goes one way to its end. On the way revision and last-modified only rise, and rise with every visible change.
    async fn go(mut self, events: &[Told], way: &Way) -> Self {
        let mut seen = BTreeMap::new();
        for (number, step) in way.steps.iter().enumerate() {
            if number == way.restart_before {
                self = self.restart().await;
            }
            self.deliver(&events[step.event]).await;
            self.clock.advance(TimeDelta::seconds(step.seconds));
            if step.apply || number + 1 == way.steps.len() {
                self.inbox.drain().await.unwrap();
                let now = self.meetings().await;
                for (id, before) in &seen {
                    only_rises(before, &now[id]);
                }
                seen = now;
            }
        }
        self
    }

    /// The event ids of a meeting's own history, sorted.
    async fn own_history(&self, id: &str) -> Vec<String> {
        let history = self.store.history(id).await.unwrap();
        let own = history.iter().filter(|entry| entry.origin.as_str() == id);
        let mut ids: Vec<String> = own.map(|entry| entry.key.event_id.to_string()).collect();
        ids.sort();
        ids
    }
}

fn only_rises(before: &Meeting, after: &Meeting) {
    let visible = |meeting: &Meeting| (meeting.details.clone(), meeting.status().as_str());
    assert!(after.revision >= before.revision && after.last_modified_at >= before.last_modified_at);
    assert_eq!(after.first_seen_at, before.first_seen_at);
    assert_eq!(after.revision > before.revision, after.last_modified_at > before.last_modified_at);
    if visible(before) != visible(after) {
        assert!(after.revision > before.revision, "{before:?} became {after:?}");
    }
}

/// A meeting without what tells the way: revision, first seen, last modified.
fn without_the_way(mut meeting: Meeting) -> Meeting {
    meeting.revision = 0;
    meeting.first_seen_at = DateTime::<Utc>::UNIX_EPOCH;
    meeting.last_modified_at = DateTime::<Utc>::UNIX_EPOCH;
    meeting
}

/// What the design says of a meeting, in short.
#[derive(Debug, PartialEq, Eq)]
struct Short {
    latest: String,
    status: &'static str,
    replaced_by: Option<String>,
    organization: String,
    email_id: Option<String>,
    starts_at: DateTime<Utc>,
}

impl From<&Meeting> for Short {
    fn from(meeting: &Meeting) -> Self {
        Self {
            latest: meeting.latest.event_id.to_string(),
            status: meeting.status().as_str(),
            replaced_by: meeting.replaced_by.as_ref().map(ToString::to_string),
            organization: meeting.details.organization_id.to_string(),
            email_id: meeting.details.email_meeting_id.clone(),
            starts_at: meeting.details.starts_at,
        }
    }
}

/// The meetings that the rules give for the whole set, told without regard to any order: the greatest event wins; a live
/// rescheduled event that names the meeting's `emailMeetingId` in the same organization replaces it, unless the meeting
/// itself said something live later.
fn model(events: &[Told]) -> BTreeMap<String, Short> {
    let mut meetings = BTreeMap::new();
    for id in events.iter().map(|told| &told.meeting) {
        let own = || events.iter().filter(|told| told.meeting == *id);
        let Some(latest) = own().max_by_key(|told| told.key()) else { continue };
        let live = own().filter(|told| told.effective_kind() != Kind::Canceled).max_by_key(|told| told.key());
        let replaced_by = events
            .iter()
            .filter(|other| other.meeting != *id && other.organization == latest.organization)
            .filter(|other| other.effective_kind() == Kind::Rescheduled)
            .filter(|other| other.claims.is_some() && other.claims == latest.email_id)
            .filter(|other| live.is_none_or(|live| other.key() > live.key()))
            .max_by_key(|other| other.key())
            .map(|other| other.meeting.clone());
        let status = match (&replaced_by, latest.effective_kind()) {
            (Some(_), _) => "replaced",
            (None, Kind::Canceled) => "canceled",
            (None, _) => "confirmed",
        };
        let starts_at = format!("2026-11-24T{:02}:00:00Z", latest.hour).parse().unwrap();
        let short = Short {
            latest: latest.event_id.clone(),
            status,
            replaced_by,
            organization: latest.organization.clone(),
            email_id: latest.email_id.clone(),
            starts_at,
        };
        meetings.insert(id.clone(), short);
    }
    meetings
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_way_ends_in_the_meetings_that_the_rules_give((events, one_way, other_way) in events_and_two_ways()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let expected = model(&events);
            let mut ends = Vec::new();
            for way in [&one_way, &other_way] {
                let bench = Bench::open(tempfile::tempdir().unwrap(), Arc::new(ManualClock::new(noon()))).await;
                let bench = bench.go(&events, way).await;
                let meetings = bench.meetings().await;
                let found: BTreeMap<String, Short> =
                    meetings.iter().map(|(id, meeting)| (id.clone(), Short::from(meeting))).collect();
                prop_assert_eq!(&found, &expected);
                for id in meetings.keys() {
                    let told = events.iter().filter(|told| told.meeting == *id);
                    let mut told: Vec<String> = told.map(|told| told.event_id.clone()).collect();
                    told.sort();
                    prop_assert_eq!(bench.own_history(id).await, told, "the history of {}", id);
                }
                ends.push(meetings.into_values().map(without_the_way).collect::<Vec<Meeting>>());
            }
            prop_assert_eq!(&ends[0], &ends[1]);
            Ok(())
        })?;
    }
}
