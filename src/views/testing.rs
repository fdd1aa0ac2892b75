//! A stage for the tests of the pages: a real database in a temporary directory, a clock that stands still, and visitors
//! who keep cookies.

mod visitor;

use std::sync::{Arc, OnceLock};

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::task::TaskTracker;
use url::Url;

pub(super) use visitor::{Answer, Visitor};

use crate::clock::{Clock as _, ManualClock, Randomness, SharedClock};
use crate::config::{KeepingSettings, Secret};
use crate::health::condition::Limits;
use crate::lifecycle::Pulses;
use crate::meeting::apply;
use crate::meeting::event::{
    Details, EventId, EventKey, Invitee, Kind, MeetingEvent, MeetingId, OrganizationId, Owner,
};
use crate::meeting::selection::{Detail, Selection, ShowAs, Window};
use crate::meeting::state::Meeting;
use crate::store::{
    Calendar, DeliveryStatus, Fact, Feed, Identity, Lease, NewCalendar, NewDelivery, NewFeed, OnCancel, Presence,
    ProblemKind, Settled, Store, Written,
};
use crate::web::links::Links;
use crate::web::secret_key::SecretKey;
use crate::web::site::{GoogleSide, SignInLimits, Site, Watching};
use crate::web::{counts, csrf, password};

/// The admin password on every stage.
pub(super) const PASSWORD: &str = "open-sesame-42";

/// A site with its own database.
pub(super) struct Stage {
    dir: tempfile::TempDir,
    pub(super) site: Site,
    pub(super) clock: Arc<ManualClock>,
}

impl Stage {
    /// An empty site; it is Friday, 20 November 2026, 12:00 UTC.
    pub(super) async fn new() -> Self {
        static HASH: OnceLock<String> = OnceLock::new();
        let dir = tempfile::tempdir().unwrap();
        let now: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().unwrap();
        let (clock, random) = (Arc::new(ManualClock::new(now)), Randomness::seeded(7));
        let store = Store::open(dir.path()).await.unwrap();
        let hash = HASH.get_or_init(|| password::hash(&Secret::new(PASSWORD), &random).unwrap());
        let mut tx = store.write().await.unwrap();
        tx.keep_fact(Fact::AdminPasswordHash, hash).await.unwrap();
        tx.commit().await.unwrap();
        let secret = SecretKey::load(dir.path(), true, &random).unwrap();
        let shared: SharedClock = clock.clone();
        let site = Site {
            store,
            clock: shared.clone(),
            randomness: random.clone(),
            links: Links::new(&Url::parse("https://mirror.example.com").unwrap(), &secret),
            time_zone: chrono_tz::Europe::Berlin,
            installation_id: "test".into(),
            google: None,
            started_at: now,
            sign_in_limits: Arc::new(SignInLimits::new(&shared)),
            password_is_set: false,
            audit_sent_to: None,
            keeping: KeepingSettings::default(),
            alerts_sent_to: None,
            // How full the disk is depends on the machine.
            limits: Limits { mirror_lag_minutes: 15, silence_hours: None, disk_free_percent: 0, backup_hours: None },
            pulses: Pulses::new(clock.clone()),
            counted: Arc::new(counts::registry()),
            csrf: csrf::config(&secret, false),
            watching: Watching::default(),
            tasks: TaskTracker::new(),
        };
        Self { dir, site, clock }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Has links begin with another address.
    pub(super) fn public_url(&mut self, url: &str) {
        let secret = SecretKey::load(self.dir.path(), false, &Randomness::seeded(7)).unwrap();
        self.site.links = Links::new(&Url::parse(url).unwrap(), &secret);
    }

    /// Turns the mirror on.
    pub(super) fn google(&mut self) {
        self.site.google =
            Some(GoogleSide { account: "mirror@robot.example.com".into(), calls_per_second: 4, simulated_at: None });
    }

    /// Turns the mirror on, with a Google that is only simulated.
    pub(super) fn simulate_google(&mut self, at: &str) {
        self.google();
        self.site.google.as_mut().unwrap().simulated_at = Some(at.to_owned());
    }

    /// Somebody who is not signed in.
    pub(super) fn visitor(&self) -> Visitor {
        Visitor::new(self)
    }

    /// Somebody who is.
    pub(super) async fn admin(&self) -> Visitor {
        let mut visitor = self.visitor();
        let token = visitor.get("/login").await.form_token();
        let answer = visitor.post("/login", &[("token", &token), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        visitor
    }

    /// A feed of all meetings.
    pub(super) async fn feed(&self, name: &str) -> Feed {
        self.feed_of(name, Detail::Full, Selection::default()).await
    }

    /// A feed.
    pub(super) async fn feed_of(&self, name: &str, detail: Detail, selection: Selection) -> Feed {
        let mut tx = self.site.store.write().await.unwrap();
        let new = NewFeed { selection, detail, ..self.wish(name) };
        let id = tx.add_feed(&new, self.now()).await.unwrap();
        tx.commit().await.unwrap();
        self.site.store.feed(&id.to_string()).await.unwrap().unwrap()
    }

    /// A feed of all meetings to be made.
    pub(super) fn wish(&self, name: &str) -> NewFeed {
        NewFeed {
            public_id: Links::new_public_id(&self.site.randomness),
            name: name.into(),
            selection: Selection::default(),
            detail: Detail::Full,
            window: Window::USUAL,
            canceled_days: NewFeed::CANCELED_DAYS,
            show_as: ShowAs::Free,
        }
    }

    /// A calendar of those meetings.
    pub(super) async fn calendar(&self, name: &str, selection: Selection) -> Calendar {
        let mut tx = self.site.store.write().await.unwrap();
        let new = NewCalendar {
            name: name.into(),
            google_id: format!("{}@group.calendar.google.com", name.to_lowercase().replace(' ', "-")),
            selection,
            detail: Detail::Full,
            window: Window { past_days: 30, future_days: 365 },
            on_cancel: OnCancel::Delete,
            on_drift: crate::store::OnDrift::Repair,
        };
        let id = tx.add_calendar(&new, self.now()).await.unwrap();
        tx.commit().await.unwrap();
        self.site.store.calendar(&id.to_string()).await.unwrap().unwrap()
    }

    /// A meeting that was scheduled and begins that many hours from now.
    pub(super) async fn meeting(&self, id: &str, hours: i64) -> Meeting {
        self.event(&meeting_event(id, Kind::Scheduled, self.now(), hours)).await
    }

    /// Stores and applies one event, as the inbox does.
    pub(super) async fn event(&self, event: &MeetingEvent) -> Meeting {
        let now = self.now();
        let mut tx = self.site.store.write().await.unwrap();
        let identity = Identity {
            event_id: event.key.event_id.as_str().into(),
            event_type: Some(format!("scheduling.smartscheduler.{}", event.key.kind.as_str())),
            meeting_id: Some(event.meeting_id.as_str().into()),
            ..Identity::default()
        };
        let stored = tx.store_delivery(&self.delivery(identity, DeliveryStatus::Pending)).await.unwrap();
        let current = tx.meeting(&event.meeting_id).await.unwrap();
        let (meeting, effect) = apply::receive(current, event, now);
        tx.save_meeting(&meeting).await.unwrap();
        tx.add_history(&meeting, event, stored.id, effect, now).await.unwrap();
        let applied = Settled { id: stored.id, status: DeliveryStatus::Applied, reason: None };
        tx.settle_deliveries(&[applied], now).await.unwrap();
        let calendars = tx.selecting_calendars().await.unwrap();
        tx.want_in_calendars(&meeting, &calendars, now).await.unwrap();
        tx.commit().await.unwrap();
        meeting
    }

    /// A delivery as it would arrive now.
    pub(super) fn delivery(&self, identity: Identity, status: DeliveryStatus) -> NewDelivery {
        NewDelivery {
            body: format!("{{\"eventId\":\"{}\",\"data\":{{\"n\":1.50}}}}", identity.event_id).into_bytes(),
            identity,
            headers: r#"[["content-type","application/json"],["x-signature","3fa1… (cut)"]]"#.into(),
            signature: "x-signature, HMAC-SHA256 hex, key 1".into(),
            received_at: self.now(),
            status,
            reason: None,
        }
    }

    /// Stores a delivery that was not understood. Returns its number.
    pub(super) async fn quarantined(&self, event_id: &str, reason: &str, body: &[u8]) -> i64 {
        let identity = Identity { event_id: event_id.into(), ..Identity::default() };
        let mut new = self.delivery(identity, DeliveryStatus::Quarantined);
        new.reason = Some(reason.into());
        new.body = body.to_vec();
        self.store_delivery(&new).await
    }

    /// Stores a delivery. Returns its number.
    pub(super) async fn store_delivery(&self, new: &NewDelivery) -> i64 {
        let mut tx = self.site.store.write().await.unwrap();
        let stored = tx.store_delivery(new).await.unwrap();
        tx.commit().await.unwrap();
        stored.id
    }

    /// Makes the plans that were asked for, as the mirror's worker does.
    pub(super) async fn plan(&self) {
        let store = &self.site.store;
        for calendar in store.calendars_to_plan().await.unwrap() {
            store.plan_calendar(calendar, self.now()).await.unwrap();
        }
    }

    /// Works on everything that is due: `fail` says for which meeting ids Google answers with what problem.
    pub(super) async fn mirror(&self, fail: &[(&str, &str, ProblemKind)]) {
        self.plan().await;
        let now = self.now();
        let mut tx = self.site.store.write().await.unwrap();
        for lease in tx.lease_mirror_work(1000, 1, TimeDelta::minutes(1), now).await.unwrap() {
            let meeting = tx.meeting(&lease.meeting_id).await.unwrap().unwrap();
            let presence = if meeting.is_confirmed() { Presence::Present } else { Presence::Absent };
            let written =
                Written { presence, generation: 0, sequence: 0, content_hash: Some(vec![1]), seen_hash: None };
            match fail.iter().find(|(id, ..)| *id == meeting.id.as_str()) {
                None => {
                    tx.finish_mirror_work(&[(&lease, meeting.revision, &written)], now).await.unwrap();
                }
                Some((_, text, kind)) => {
                    let Lease { written, .. } = lease.clone();
                    let again = (*kind != ProblemKind::Rejected).then(|| now + TimeDelta::minutes(2));
                    let problem = (*text, *kind);
                    tx.fail_mirror_work(&lease, &written, problem, again, now).await.unwrap();
                }
            }
        }
        tx.commit().await.unwrap();
    }
}

/// What the audit log has of a category, the latest first, each with who did it.
pub(super) async fn recorded(stage: &Stage, category: &str) -> Vec<String> {
    let entries = stage.site.store.audit_newest(10).await.unwrap();
    let ours = entries.into_iter().filter(|link| link.entry.category == category);
    ours.map(|link| format!("{}: {}", link.entry.actor.display(), link.entry.summary)).collect()
}

/// An event of a meeting between Priya and Eleanor.
pub(super) fn meeting_event(id: &str, kind: Kind, happened_at: DateTime<Utc>, hours: i64) -> MeetingEvent {
    let begin = happened_at + TimeDelta::hours(hours);
    MeetingEvent {
        key: EventKey { happened_at, kind, event_id: EventId::new(format!("e-{id}-{}", kind.as_str())) },
        meeting_id: MeetingId::new(id),
        details: Details {
            organization_id: OrganizationId::new("org-1"),
            email_meeting_id: None,
            zoom_meeting_id: None,
            starts_at: begin,
            ends_at: begin + TimeDelta::minutes(30),
            owner: Owner {
                username: Some("priya@example.com".into()),
                first_name: Some("Priya".into()),
                last_name: Some("Raghunathan".into()),
                ..Owner::default()
            },
            title: Some(format!("Demo {id}")),
            location: Some("https://zoom.example.com/j/1".into()),
            invitee: Invitee {
                name: Some("Eleanor Whitcombe".into()),
                email: Some("eleanor@larkfield.example".into()),
            },
            further_invitees: vec![],
            booking_url: None,
            organization_path: Some("northwind".into()),
            calendar_path: Some("demo".into()),
            answers: vec![],
        },
        existing_email_meeting_id: None,
    }
}
