//! The real program in a test: router over HTTP on a free port, SQLite file, google-calendar3 over HTTP against the
//! simulated Google. The clock stands until it is moved, and the workers work when they are told to, so nothing waits.

mod calendars;
mod settings;

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use meeting_mirror::app::{App, Workers};
use meeting_mirror::clock::{Clock, ManualClock, Randomness};
use meeting_mirror::config::Settings;
use meeting_mirror::inbound::signature::sign;
use meeting_mirror::lifecycle::Lifecycle;
use meeting_mirror::meeting::selection::{Detail, Selection, ShowAs, Window};
use meeting_mirror::meeting::state::Meeting;
use meeting_mirror::simulated_google::{Access, SimulatedGoogle, SimulatedGoogleConfig};
use meeting_mirror::store::{Feed, NewCalendar, NewFeed, OnCancel, OnDrift, Store};
use meeting_mirror::web::links::Links;
use meeting_mirror::web::server::Limits;
use meeting_mirror::web::site::Site;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) use settings::settings;

/// The signing key of every test.
pub(crate) const KEY: &str = "a signing key for tests";
/// The admin password of every test.
pub(crate) const PASSWORD: &str = "a password for tests";
/// The route that deliveries are posted to.
pub(crate) const WEBHOOK: &str = "/webhooks/cirrus-insight";
/// A Google calendar that the account may write.
pub(crate) const TEAM: &str = "team@group.calendar.example.com";

/// When every test begins: noon of a Monday.
pub(crate) fn noon() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// A file of `fixtures/`.
pub(crate) fn fixture(path: &str) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The running program.
pub(crate) struct TestApp {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) site: Site,
    pub(crate) store: Store,
    pub(crate) google: Option<SimulatedGoogle>,
    pub(crate) address: SocketAddr,
    pub(crate) http: reqwest::Client,
    pub(crate) dir: TempDir,
    settings: Settings,
    lifecycle: Lifecycle,
    workers: Workers,
}

/// Its workers are named as if they were its own.
impl Deref for TestApp {
    type Target = Workers;

    fn deref(&self) -> &Workers {
        &self.workers
    }
}

impl DerefMut for TestApp {
    fn deref_mut(&mut self) -> &mut Workers {
        &mut self.workers
    }
}

impl TestApp {
    /// Without Google.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Without Google, with settings of the test's own.
    pub(crate) async fn start_with(set: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(&dir);
        set(&mut settings);
        Self::build(dir, settings, Arc::new(ManualClock::new(noon())), None, Limits::default()).await
    }

    /// Without Google, with other limits of its connections.
    pub(crate) async fn start_within(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir);
        Self::build(dir, settings, Arc::new(ManualClock::new(noon())), None, limits).await
    }

    /// With a simulated Google that has the calendar [`TEAM`], not yet mirrored into.
    pub(crate) async fn start_with_google() -> Self {
        Self::start_with_google_and(|_| {}).await
    }

    /// The same, with settings of the test's own.
    pub(crate) async fn start_with_google_and(set: impl FnOnce(&mut Settings)) -> Self {
        let clock = Arc::new(ManualClock::new(noon()));
        let now = clock.clone();
        let config = SimulatedGoogleConfig::with_manual_clock(Arc::new(move || now.now()));
        let google = SimulatedGoogle::start(config).unwrap();
        google.add_calendar(TEAM, "Team", Access::Writer);
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(&dir);
        let credentials = dir.path().join("google-key.json");
        google.write_credentials(&credentials).unwrap();
        settings.google_credentials = Some(credentials);
        settings.google_api_url = Some(Url::parse(&google.api_url()).unwrap());
        set(&mut settings);
        Box::pin(Self::build(dir, settings, clock, Some(google), Limits::default())).await
    }

    async fn build(
        dir: TempDir,
        settings: Settings,
        clock: Arc<ManualClock>,
        google: Option<SimulatedGoogle>,
        limits: Limits,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let building = App::build(&settings, address, clock.clone(), Randomness::seeded(7), None);
        // It is large, and so would be every test.
        let mut app = Box::pin(building).await.unwrap();
        app.limits = limits;
        let site = app.site.clone();
        let lifecycle = Lifecycle::default();
        // The lock goes at once: the program may be started anew while workers are still there.
        let (workers, _) = app.start_serving(listener, &lifecycle);
        let http =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).cookie_store(true).build().unwrap();
        Self { clock, store: site.store.clone(), site, google, address, http, dir, settings, lifecycle, workers }
    }

    /// Ends the program wherever it is, and starts it again on the same data. The clock and Google go on.
    pub(crate) async fn restart(self) -> Self {
        // It is large, and so would be every test.
        Box::pin(self.restart_with(|_| {})).await
    }

    /// The same, with other settings.
    pub(crate) async fn restart_with(self, set: impl FnOnce(&mut Settings)) -> Self {
        let Self { clock, google, dir, mut settings, lifecycle, store, .. } = self;
        set(&mut settings);
        lifecycle.stop().cancel();
        lifecycle.ended().await;
        store.close().await;
        Box::pin(Self::build(dir, settings, clock, google, Limits::default())).await
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Signs and posts a body. Returns status and answer.
    pub(crate) async fn post(&self, body: impl Into<Vec<u8>>) -> (u16, Value) {
        let body = body.into();
        let signature = sign(KEY, &body);
        let response = self.post_with(&[("x-signature", &signature)], body).await;
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    /// Posts a body to the webhook with these headers and no others of ours.
    pub(crate) async fn post_with(&self, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> reqwest::Response {
        let mut request = self.http.post(self.url(WEBHOOK)).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Signs and posts an envelope that must be stored. Returns the answer's status word.
    pub(crate) async fn deliver(&self, envelope: &Value) -> String {
        let (status, answer) = self.post(envelope.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        answer["status"].as_str().unwrap().to_owned()
    }

    /// Delivers these one after the other and applies them together.
    pub(crate) async fn deliver_all(&self, envelopes: &[Value]) {
        for envelope in envelopes {
            self.deliver(envelope).await;
        }
        self.apply().await;
    }

    /// A meeting that must be there.
    pub(crate) async fn meeting(&self, id: &str) -> Meeting {
        self.store.meeting(id).await.unwrap().unwrap_or_else(|| panic!("there is no meeting {id}"))
    }

    /// Each event of a meeting's history with what it did, in the order of application.
    pub(crate) async fn effects(&self, id: &str) -> Vec<(String, String)> {
        let history = self.store.history(id).await.unwrap();
        history.into_iter().map(|entry| (entry.key.event_id.to_string(), entry.effect)).collect()
    }

    /// Applies what waits in the inbox.
    pub(crate) async fn apply(&self) {
        self.inbox.drain().await.unwrap();
        self.feeds.catch_up().await.unwrap();
    }

    /// Works on the mirror until nothing is due now. Returns how many rows were worked on.
    pub(crate) async fn mirror(&self) -> usize {
        let mirror = self.mirror.as_ref().expect("this test has no Google");
        mirror.plan().await.unwrap();
        let (mut total, stop) = (0, CancellationToken::new());
        loop {
            let worked = mirror.work_once(&stop).await.unwrap();
            total += worked;
            if worked == 0 {
                return total;
            }
            assert!(total < 10_000, "the mirror works in a hot loop");
        }
    }

    /// Applies and mirrors, moving the clock on as long as work waits for a later time.
    pub(crate) async fn settle(&self) {
        self.apply().await;
        if self.mirror.is_none() {
            return;
        }
        for _ in 0..200 {
            self.mirror().await;
            let Some(due) = self.store.next_mirror_due().await.unwrap() else { return };
            self.clock.advance((due - self.now()).max(TimeDelta::milliseconds(1)));
        }
        panic!("the mirror does not come to rest");
    }

    pub(crate) async fn add_feed(&self, name: &str, selection: Selection, detail: Detail) -> Feed {
        let new = NewFeed {
            public_id: Links::new_public_id(&Randomness::seeded(name.bytes().map(u64::from).sum())),
            name: name.to_owned(),
            selection,
            detail,
            window: Window { past_days: 30, future_days: 365 },
            canceled_days: NewFeed::CANCELED_DAYS,
            show_as: ShowAs::Free,
        };
        let mut tx = self.store.write().await.unwrap();
        let id = tx.add_feed(&new, self.now()).await.unwrap();
        tx.commit().await.unwrap();
        self.store.feed(&id.to_string()).await.unwrap().unwrap()
    }

    pub(crate) async fn add_calendar(&self, google_id: &str, detail: Detail, on_cancel: OnCancel) -> i64 {
        self.mirror_into(&NewCalendar { detail, on_cancel, ..wish(google_id) }).await
    }

    /// Adds a calendar. Returns its row id.
    pub(crate) async fn mirror_into(&self, new: &NewCalendar) -> i64 {
        let mut tx = self.store.write().await.unwrap();
        let id = tx.add_calendar(new, self.now()).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// The simulated Google of a test that has one.
    pub(crate) fn google(&self) -> &SimulatedGoogle {
        self.google.as_ref().expect("this test has no Google")
    }

    /// Signs in as the admin.
    pub(crate) async fn sign_in(&self) {
        let form = self.http.get(self.url("/login")).send().await.unwrap().text().await.unwrap();
        let token = form.split("name=\"token\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let fields = [("token", token), ("password", PASSWORD), ("next", "/status")];
        let answer = self.http.post(self.url("/login")).form(&fields).send().await.unwrap();
        assert_eq!(answer.status(), 303, "the sign-in was refused");
    }

    /// A page, for those who are signed in, or a feed.
    pub(crate) async fn page(&self, path: &str) -> String {
        let response = self.http.get(self.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    /// The text of a feed, as a subscriber gets it.
    pub(crate) async fn feed_text(&self, feed: &Feed) -> String {
        self.feeds.catch_up().await.unwrap();
        let path = format!("/feeds/{}.ics", self.site.links.token(feed));
        self.page(&path).await
    }
}

/// Everything in full, a month back and a year ahead; what is canceled is deleted, what is changed by hand put right.
pub(crate) fn wish(google_id: &str) -> NewCalendar {
    NewCalendar {
        name: google_id.to_owned(),
        google_id: google_id.to_owned(),
        selection: Selection::default(),
        detail: Detail::Full,
        window: Window { past_days: 30, future_days: 365 },
        on_cancel: OnCancel::Delete,
        on_drift: OnDrift::Repair,
    }
}

/// A meeting event: `kind` is scheduled, rescheduled or canceled; `minute` is when it happened, after [`noon`]; the
/// meeting begins at `hour` of the next day and lasts half an hour.
pub(crate) fn event(event_id: &str, kind: &str, meeting_id: &str, minute: i64, hour: u32) -> Value {
    let happened = noon() + TimeDelta::minutes(minute);
    json!({
        "organizationGuid": "org-1",
        "eventId": event_id,
        "eventType": format!("scheduling.smartscheduler.{kind}"),
        "eventTimestamp": happened,
        "deliveryTimestamp": happened,
        "deliveryAttempt": 1,
        "data": {
            "id": meeting_id,
            "organizationId": "org-1",
            "emailMeetingId": format!("mail-{meeting_id}"),
            "meetingStart": format!("2026-11-24T{hour:02}:00:00Z"),
            "meetingEnd": format!("2026-11-24T{hour:02}:30:00Z"),
            "isCanceled": kind == "canceled",
            "meetingOwner": {"userId": "u-1", "username": "ada@example.com", "firstName": "Ada", "lastName": "Example"},
            "meetingInfo": {
                "primaryInviteeName": "Bo Guest",
                "primaryInvitee": "bo@example.org",
                "meetingName": format!("Demo {meeting_id}"),
                "location": "Room 1",
                "calendarPath": "product-demo",
                "organizationPath": "northwind",
            },
        },
    })
}

/// The event with its `data` changed.
pub(crate) fn with(mut event: Value, change: impl FnOnce(&mut Value)) -> Value {
    change(&mut event["data"]);
    event
}
