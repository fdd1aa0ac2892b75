//! How long it takes from a delivery to the feed and to Google's calendar (the simulated one), one delivery after the other.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use meeting_mirror::clock::{Clock as _, Randomness, SystemClock};
use meeting_mirror::meeting::selection::{Detail, Selection, Window};
use meeting_mirror::simulated_google::{Access, SimulatedGoogle, SimulatedGoogleConfig};
use meeting_mirror::store::{NewCalendar, OnCancel, OnDrift, Store};
use meeting_mirror::web::links::Links;
use meeting_mirror::web::secret_key::SecretKey;
use url::Url;

use super::Plan;
use super::client::{body, signed};
use super::common::{now, serve};
use super::connection::{Connection, header, request};
use super::feed::add_feed;
use super::figures::resident;

const CALENDAR: &str = "team@group.calendar.example.com";
/// How often feed and calendar are looked at.
const LOOK: Duration = Duration::from_millis(1);
/// Between two deliveries: fewer than the calls to Google that are allowed.
const BETWEEN: Duration = Duration::from_millis(300);

/// The middle, and what nearly all stay within.
fn told(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    format!("{:.1} | {:.1} | {:.1}", times[times.len() / 2], times[times.len() * 99 / 100], times[times.len() - 1])
}

pub(crate) async fn measure(plan: &Plan) {
    let at = SystemClock::default().now();
    let data = plan.fresh();
    let google = SimulatedGoogle::start(SimulatedGoogleConfig::new(Arc::new(|| SystemClock::default().now()))).unwrap();
    google.add_calendar(CALENDAR, "Team", Access::Writer);
    let credentials = plan.dir.join("key.json");
    google.write_credentials(&credentials).unwrap();
    let store = Store::open(&data).await.unwrap();
    let feed = add_feed(&store, "Team", Selection::default(), at).await;
    let calendar = NewCalendar {
        name: "Team".into(),
        google_id: CALENDAR.into(),
        selection: Selection::default(),
        detail: Detail::Full,
        window: Window { past_days: 30, future_days: 365 },
        on_cancel: OnCancel::Delete,
        on_drift: OnDrift::Repair,
    };
    let mut tx = store.write().await.unwrap();
    tx.add_calendar(&calendar, at).await.unwrap();
    tx.commit().await.unwrap();
    let secret = SecretKey::load(&data, true, &Randomness::from_system().unwrap()).unwrap();
    let path = format!("/feeds/{}.ics", Links::new(&Url::parse("http://localhost").unwrap(), &secret).token(&feed));
    store.close().await;
    let more = ["--google-credentials", credentials.to_str().unwrap(), "--google-api-url", &google.api_url()];
    let (server, address) = serve(&data, &more);
    let idle = resident(server.0.id());

    let (mut sender, mut reader) = (Connection::to(address).await, Connection::to(address).await);
    let (_, head, _) = reader.ask(&request(&path, None)).await;
    let mut known = header(&head, "etag").unwrap().to_owned();
    let (mut answered, mut in_feed, mut at_google) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..plan.followed {
        tokio::time::sleep(BETWEEN).await;
        let delivery = signed(&body(number, at));
        let before = google.events(CALENDAR).len();
        let begun = now();
        let milliseconds = || begun.elapsed().as_secs_f64() * 1000.0;
        assert_eq!(sender.ask(&delivery).await.0, 200);
        answered.push(milliseconds());
        let feed = async {
            loop {
                let (status, head, _) = reader.ask(&request(&path, Some(&known))).await;
                if status == 200 {
                    header(&head, "etag").unwrap().clone_into(&mut known);
                    return milliseconds();
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let calendar = async {
            while google.events(CALENDAR).len() == before {
                tokio::time::sleep(LOOK).await;
            }
            milliseconds()
        };
        let (feed, calendar) = join(feed, calendar).await;
        in_feed.push(feed);
        at_google.push(calendar);
    }
    println!("\n| from a delivery, ms | p50 | p99 | most |\n|---|---|---|---|");
    println!("| until it is answered | {} |", told(answered));
    println!("| until the feed shows it | {} |", told(in_feed));
    println!("| until Google's calendar holds it | {} |", told(at_google));
    println!("memory of the server: {idle:.0} MB idle, {:.0} MB afterwards", resident(server.0.id()));
    drop(server);
    google.shutdown().await;
}
