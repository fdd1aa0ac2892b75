//! How fast the mirror writes a calendar, beside a bare loop of google-calendar3 inserts with the same concurrency, both
//! into the simulated Google over HTTP with limits off. Run: `cargo bench --bench mirror`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures_util::{StreamExt as _, stream};
use google_calendar3::CalendarHub;
use google_calendar3::api::{Event, EventDateTime, Scope};
use google_calendar3::hyper_util::client::legacy::Client;
use google_calendar3::hyper_util::rt::TokioExecutor;
use meeting_mirror::clock::{Clock as _, Randomness, SystemClock};
use meeting_mirror::inbound::inbox::Inbox;
use meeting_mirror::meeting::selection::{Detail, Selection, Window};
use meeting_mirror::outbound::google::{GoogleAccess, GoogleSettings};
use meeting_mirror::outbound::https;
use meeting_mirror::outbound::limiter::{Limiter, Rates};
use meeting_mirror::outbound::mirror::{CONCURRENCY, Mirror};
use meeting_mirror::simulated_google::{Access, Fault, SimulatedGoogle, SimulatedGoogleConfig};
use meeting_mirror::store::{DeliveryStatus, Identity, NewCalendar, NewDelivery, OnCancel, OnDrift, Store};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use yup_oauth2::authenticator::ServiceAccountAuthenticator;
use yup_oauth2::{CustomHyperClientBuilder, ServiceAccountKey};

const MEETINGS: u32 = 1000;
const ROUNDS: usize = 5;
const CALENDAR: &str = "bench@group.calendar.example.com";

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the time that passes")]
fn now() -> Instant {
    Instant::now()
}

/// A simulated Google that takes `answer` for each answer.
fn google(answer: Duration) -> SimulatedGoogle {
    let google = SimulatedGoogle::start(SimulatedGoogleConfig::new(Arc::new(|| SystemClock::default().now()))).unwrap();
    google.add_calendar(CALENDAR, "Bench", Access::Writer);
    if !answer.is_zero() {
        google.chaos_of(1, 1.0, &[Fault::Slow(answer)]);
    }
    google
}

/// Meetings a second that the mirror writes.
async fn mirror(dir: &Path, answer: Duration) -> f64 {
    let google = google(answer);
    let credentials = dir.join("key.json");
    google.write_credentials(&credentials).unwrap();
    let data = dir.join("data");
    std::fs::create_dir(&data).unwrap();
    let store = Store::open(&data).await.unwrap();
    let clock = Arc::new(SystemClock::default());
    let at = clock.now();

    let mut tx = store.write().await.unwrap();
    let calendar = NewCalendar {
        name: "Bench".into(),
        google_id: CALENDAR.into(),
        selection: Selection::default(),
        detail: Detail::Full,
        window: Window { past_days: 30, future_days: 365 },
        on_cancel: OnCancel::Delete,
        on_drift: OnDrift::Repair,
    };
    tx.add_calendar(&calendar, at).await.unwrap();
    for number in 0..MEETINGS {
        let starts = at + TimeDelta::minutes(i64::from(number));
        let body = json!({
            "organizationGuid": "org", "eventId": format!("e-{number}"), "eventTimestamp": at,
            "eventType": "scheduling.smartscheduler.scheduled",
            "data": {
                "id": format!("m-{number}"), "meetingStart": starts, "meetingEnd": starts + TimeDelta::minutes(30),
                "meetingInfo": {"meetingName": format!("Meeting {number}"), "location": "Room 1"},
            },
        });
        let delivery = NewDelivery {
            identity: Identity { event_id: format!("e-{number}"), ..Identity::default() },
            body: body.to_string().into_bytes(),
            headers: "[]".into(),
            signature: "unsigned".into(),
            received_at: at,
            status: DeliveryStatus::Pending,
            reason: None,
        };
        tx.store_delivery(&delivery).await.unwrap();
    }
    tx.commit().await.unwrap();
    Inbox::new(store.clone(), clock.clone(), Arc::default(), Vec::new()).drain().await.unwrap();

    let settings = GoogleSettings {
        credentials,
        subject: None,
        api_url: Some(google.api_url()),
        call_within: Duration::from_secs(20),
    };
    let off = Rates { in_total: NonZeroU32::MAX, per_calendar: NonZeroU32::MAX };
    let access = GoogleAccess::new(settings, Limiter::new(off, clock.clone()), "bench".into()).await.unwrap();
    let mirror = Mirror {
        store,
        clock,
        randomness: Randomness::seeded(1),
        google: access,
        installation_id: "bench".into(),
        latest: meeting_mirror::clock::Latest::default(),
        pulse: meeting_mirror::lifecycle::Pulse::default(),
        due: Arc::default(),
    };
    let stop = CancellationToken::new();
    let begun = now();
    while mirror.work_once(&stop).await.unwrap() > 0 {}
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(google.events(CALENDAR).len(), MEETINGS as usize);
    f64::from(MEETINGS) / seconds
}

/// Events a second that a bare loop inserts.
async fn bare(answer: Duration) -> f64 {
    let google = google(answer);
    let key: ServiceAccountKey = serde_json::from_str(&google.credentials().unwrap()).unwrap();
    let connector = https::connector().unwrap();
    let client = CustomHyperClientBuilder::from(Client::builder(TokioExecutor::new()).build(connector.clone()));
    let authenticator = ServiceAccountAuthenticator::with_client(key, client).build().await.unwrap();
    authenticator.token(&[Scope::Event.as_ref()]).await.unwrap();
    let mut hub = CalendarHub::new(Client::builder(TokioExecutor::new()).build(connector), authenticator);
    hub.base_url(google.api_url());
    let at = SystemClock::default().now();
    let begun = now();
    stream::iter(0..MEETINGS)
        .for_each_concurrent(CONCURRENCY, |number| {
            let hub = &hub;
            async move {
                let time = |minutes: u32| {
                    let date_time = Some(at + TimeDelta::minutes(minutes.into()));
                    Some(EventDateTime { date_time, ..EventDateTime::default() })
                };
                let event = Event {
                    id: Some(format!("bare{number:08}")),
                    summary: Some(format!("Meeting {number}")),
                    location: Some("Room 1".into()),
                    start: time(number),
                    end: time(number + 30),
                    ..Event::default()
                };
                let call = hub.events().insert(event, CALENDAR).send_updates("none").add_scope(Scope::Event);
                call.doit().await.unwrap();
            }
        })
        .await;
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(google.events(CALENDAR).len(), MEETINGS as usize);
    f64::from(MEETINGS) / seconds
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("{MEETINGS} meetings, {CONCURRENCY} calls at a time; events a second");
    for milliseconds in [0, 10] {
        let answer = Duration::from_millis(milliseconds);
        println!("\n{milliseconds} ms for an answer\n{:>10} {:>10} {:>10}", "mirror", "bare loop", "ratio");
        let (mut mirrored, mut inserted, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let dir = tempfile::tempdir().unwrap();
            let a = runtime.block_on(mirror(dir.path(), answer));
            let b = runtime.block_on(bare(answer));
            println!("{a:>10.0} {b:>10.0} {:>10.2}", a / b);
            mirrored.push(a);
            inserted.push(b);
            ratios.push(a / b);
        }
        println!("{:>10.0} {:>10.0} {:>10.2}  median", median(mirrored), median(inserted), median(ratios));
    }
}
