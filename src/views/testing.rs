//! A stage for the tests of the pages: a real database in a temporary directory, a clock that stands still, and visitors
//! who keep cookies.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use url::Url;

use super::FeedCache;
use crate::clock::{Clock as _, ManualClock, Randomness};
use crate::config::Secret;
use crate::meeting::apply;
use crate::meeting::event::{
    Details, EventId, EventKey, Invitee, Kind, MeetingEvent, MeetingId, OrganizationId, Owner,
};
use crate::meeting::selection::{Detail, Selection, ShowAs, Window};
use crate::meeting::state::Meeting;
use crate::store::{
    Calendar, DeliveryStatus, Fact, Feed, Identity, Lease, NewCalendar, NewDelivery, NewFeed, OnCancel, Presence,
    ProblemKind, Store, Written,
};
use crate::web::links::Links;
use crate::web::secret_key::SecretKey;
use crate::web::site::{GoogleSide, SignInLimits, Site, Watching};
use crate::web::{csrf, password};

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
        let site = Site {
            store,
            clock: clock.clone(),
            randomness: random.clone(),
            links: Links::new(&Url::parse("https://mirror.example.com").unwrap(), &secret),
            time_zone: chrono_tz::Europe::Berlin,
            installation_id: "test".into(),
            google: None,
            started_at: now,
            sign_in_limits: Arc::new(SignInLimits::default()),
            password_is_set: false,
            csrf: csrf::config(&secret, false),
            watching: Watching::default(),
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
        self.site.google = Some(GoogleSide {
            account: "mirror@robot.example.com".into(),
            calls_per_second: 4,
            simulated_at: Some(at.to_owned()),
        });
    }

    /// Somebody who is not signed in.
    pub(super) fn visitor(&self) -> Visitor {
        let feeds = FeedCache::new(self.site.clone(), Arc::default());
        Visitor { router: super::router(&feeds), feeds, cookies: BTreeMap::new() }
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
        tx.settle_delivery(stored.id, DeliveryStatus::Applied, None, now).await.unwrap();
        let calendars = tx.calendars().await.unwrap();
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
    let entries = stage.site.store.audit_newest(None, 10).await.unwrap();
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

/// Somebody with a browser.
pub(super) struct Visitor {
    router: Router,
    feeds: FeedCache,
    cookies: BTreeMap<String, String>,
}

impl Visitor {
    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::builder().method(Method::POST).uri(path);
        self.send(request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded"), Body::from(body)).await
    }

    /// The value of a cookie; empty when there is none.
    pub(super) fn cookie(&self, name: &str) -> &str {
        self.cookies.get(name).map_or("", String::as_str)
    }

    /// Puts a cookie into the browser.
    pub(super) fn plant(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(header::COOKIE, cookies.join("; ")).body(body).unwrap();
        // As the worker does. Some tests close the database.
        let _ = self.feeds.catch_up().await;
        let response = self.router.clone().oneshot(request).await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    /// A header, empty when it is absent.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The text a person reads: without elements, white space as one space.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut inside = false;
        for c in self.body.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                _ if !inside => text.push(c),
                _ => {}
            }
        }
        let text = text.replace("&#38;", "&").replace("&#34;", "\"").replace("&#39;", "'");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The text a person reads in the main part, line by line as the source has it.
    pub(super) fn lines(&self) -> String {
        let (_, main) = self.body.split_once("<main").unwrap();
        let main = main.split_once("</main>").unwrap().0.split_once('>').unwrap().1;
        let lines = main.lines().map(|line| Self { body: line.to_owned(), ..Self::empty() }.text());
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn empty() -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), body: String::new() }
    }

    /// Asserts that each text stands on the page, as source or as people read it.
    pub(super) fn assert_shows(&self, texts: &[&str]) {
        let read = self.text();
        for text in texts {
            assert!(self.body.contains(text) || read.contains(text), "{text:?} is not on the page:\n{read}");
        }
    }

    /// Asserts that none of the texts stands on the page.
    pub(super) fn assert_hides(&self, texts: &[&str]) {
        for text in texts {
            assert!(!self.body.contains(text), "{text:?} is on the page:\n{}", self.text());
        }
    }

    /// Where the link of that text leads.
    pub(super) fn href(&self, text: &str) -> String {
        let (before, _) = self.body.split_once(&format!(">{text}</a>")).unwrap_or_else(|| panic!("no link {text:?}"));
        let (_, link) = before.rsplit_once("href=\"").unwrap();
        link.split_once('"').unwrap().0.replace("&#38;", "&")
    }

    /// The hidden field `token` of the first form.
    pub(super) fn form_token(&self) -> String {
        self.hidden("token").unwrap()
    }

    /// The first hidden field of that name.
    pub(super) fn hidden(&self, name: &str) -> Option<String> {
        let (_, rest) = self.body.split_once(&format!("name=\"{name}\" value=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    }
}
