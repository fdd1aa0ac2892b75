//! How fast the admin pages are answered by the built server, with 100,000 meetings and 300,000 deliveries in the database, four
//! calendars and feeds of which some are full. Run: `cargo bench --bench pages`. Each page is asked for in turn with the others,
//! so that what else the machine does meets all of them; `/livez`, which reads nothing, tells what a request costs by itself.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod common;
#[path = "common/visitor.rs"]
mod visitor;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use meeting_mirror::clock::{Clock as _, Randomness, SystemClock};
use meeting_mirror::meeting::apply::receive;
use meeting_mirror::meeting::event::{EventId, Kind, MeetingEvent, MeetingId};
use meeting_mirror::meeting::selection::{Detail, Selection, ShowAs, Window};
use meeting_mirror::simulated_google::{Access, Fault, SimulatedGoogle, SimulatedGoogleConfig};
use meeting_mirror::store::{
    DeliveryStatus, Identity, NewCalendar, NewDelivery, NewFeed, OnCancel, OnDrift, Presence, ProblemKind, Settled,
    Store, Written,
};
use meeting_mirror::web::links::Links;

use common::{meeting, now, serve};
use visitor::signed_in;

const MEETINGS: u32 = 100_000;
const OWNERS: u32 = 50;
/// Type of a few deliveries.
const RARE: &str = "organization.renamed";
/// Times that each page is asked for.
const ROUNDS: usize = 60;

/// One of a meeting's events: meetings lie two years around `at`.
fn event(number: u32, kind: Kind, at: DateTime<Utc>) -> MeetingEvent {
    let minutes = i64::from(number) * 1_051_200 / i64::from(MEETINGS) - 525_600;
    let mut event = meeting(number, &format!("owner-{}@example.com", number % OWNERS), minutes, at);
    let seconds = if kind == Kind::Scheduled { 60 } else { 30 };
    event.key.happened_at = at - TimeDelta::seconds(seconds);
    event.key.event_id = EventId::new(format!("e-{number}-{}", kind.as_str()));
    event.key.kind = kind;
    event
}

fn delivery(event: &MeetingEvent, id: String, at: DateTime<Utc>) -> NewDelivery {
    NewDelivery {
        identity: Identity {
            event_id: id,
            event_type: Some(format!("scheduling.smartscheduler.{}", event.key.kind.as_str())),
            organization_id: Some("org-1".into()),
            happened_at: Some(event.key.happened_at),
            delivery_attempt: Some(1),
            meeting_id: Some(event.meeting_id.as_str().into()),
        },
        body: serde_json::to_vec(&event.details).unwrap(),
        headers: r#"[["content-type","application/json"],["x-signature","3fa1… (cut)"]]"#.into(),
        signature: "x-signature, HMAC-SHA256 hex, key 1".into(),
        received_at: at,
        status: DeliveryStatus::Pending,
        reason: None,
    }
}

/// Three deliveries for each meeting: two that are applied, and one that comes late or is of no use, a few of these of a rare
/// type; each fifth time they arrive twice. And some that are not understood.
async fn fill(store: &Store, at: DateTime<Utc>) {
    for first in (0..MEETINGS).step_by(5000) {
        let mut tx = store.write().await.unwrap();
        for number in first..first + 5000 {
            let received = at - TimeDelta::seconds(i64::from(MEETINGS - number) * 30);
            let mut known = None;
            let last = if number % 10 == 0 { Kind::Canceled } else { Kind::Rescheduled };
            for (kind, late) in [(Kind::Scheduled, ""), (last, ""), (Kind::Scheduled, "-late")] {
                let event = event(number, kind, at);
                let mut new = delivery(&event, format!("{}{late}", event.key.event_id.as_str()), received);
                let is_ignored = !late.is_empty() && number % 2 == 0;
                if is_ignored {
                    let event_type = if number % 5000 == 0 { RARE } else { "user.updated" };
                    (new.identity.event_type, new.identity.meeting_id) = (Some(event_type.into()), None);
                }
                let stored = tx.store_delivery(&new).await.unwrap();
                if number % 5 == 0 {
                    tx.store_delivery(&new).await.unwrap();
                }
                let (mut meeting, effect) = receive(known, &event, received);
                if late.is_empty() {
                    if kind == last && number % 333 == 1 {
                        meeting.replaced_by = Some(MeetingId::new("another"));
                    }
                    tx.save_meeting(&meeting).await.unwrap();
                    tx.add_history(&meeting, &event, stored.id, effect, received).await.unwrap();
                }
                let status = match (late, is_ignored) {
                    ("", _) => DeliveryStatus::Applied,
                    (_, true) => DeliveryStatus::Ignored,
                    (_, false) => DeliveryStatus::Superseded,
                };
                tx.settle_deliveries(&[Settled { id: stored.id, status, reason: None }], received).await.unwrap();
                known = Some(meeting);
            }
        }
        tx.commit().await.unwrap();
    }
    let mut tx = store.write().await.unwrap();
    for number in 0..200 {
        let identity = Identity { event_id: format!("sha256:{number}"), ..Identity::default() };
        let mut new = delivery(&event(number, Kind::Scheduled, at), String::new(), at);
        (new.identity, new.status, new.reason) =
            (identity, DeliveryStatus::Quarantined, Some("data.id: found nothing, expected an id".into()));
        tx.store_delivery(&new).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Two calendars of everything, one of some days of an owner and one of some months. Nearly everything is written, some failed
/// and some waits.
async fn mirror(store: &Store, at: DateTime<Utc>) {
    let mut tx = store.write().await.unwrap();
    let of_owner = Selection { owners: vec!["owner-7@example.com".into()], ..Selection::default() };
    for (name, selection, past_days, future_days) in [
        ("Team", Selection::default(), 400, 400),
        ("Everybody", Selection::default(), 400, 400),
        ("Few", of_owner, 10, 10),
        ("Months", Selection::default(), 30, 90),
    ] {
        let new = NewCalendar {
            name: name.into(),
            google_id: format!("{}@group.calendar.example.com", name.to_lowercase()),
            selection,
            detail: Detail::Full,
            window: Window { past_days, future_days },
            on_cancel: OnCancel::Mark,
            on_drift: OnDrift::Repair,
        };
        tx.add_calendar(&new, at).await.unwrap();
    }
    tx.commit().await.unwrap();
    for calendar in store.calendars().await.unwrap() {
        store.plan_calendar(calendar.id, at).await.unwrap();
    }
    let written = Written {
        presence: Presence::Present,
        generation: 0,
        sequence: 1,
        content_hash: Some(vec![1; 32]),
        seen_hash: None,
    };
    loop {
        let mut tx = store.write().await.unwrap();
        let leases = tx.lease_mirror_work(20_000, 7, TimeDelta::minutes(5), at).await.unwrap();
        if leases.len() < 500 {
            for (number, lease) in leases.iter().enumerate() {
                let kind = if number % 2 == 0 { ProblemKind::Retry } else { ProblemKind::Rejected };
                let again = (kind == ProblemKind::Retry).then(|| at + TimeDelta::days(1));
                let problem = ("Google is not well", kind);
                tx.fail_mirror_work(lease, &lease.written, problem, again, at).await.unwrap();
            }
            tx.commit().await.unwrap();
            break;
        }
        let kept = leases.len() - leases.len().min(20);
        let done: Vec<_> = leases[..kept].iter().map(|lease| (lease, 1, &written)).collect();
        tx.finish_mirror_work(&done, at).await.unwrap();
        for lease in &leases[kept..] {
            tx.fail_mirror_work(lease, &lease.written, ("Google is not well", ProblemKind::Rejected), None, at)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    }
}

/// One personal feed for each owner, and some of everything, which are too full.
async fn feeds(store: &Store, at: DateTime<Utc>) {
    let random = Randomness::from_system().unwrap();
    let mut tx = store.write().await.unwrap();
    for number in 0..OWNERS + 3 {
        let owners = if number < OWNERS { vec![format!("owner-{number}@example.com")] } else { vec![] };
        let selection = Selection { owners, ..Selection::default() };
        let new = NewFeed {
            public_id: Links::new_public_id(&random),
            name: format!("Feed {number}"),
            show_as: ShowAs::fitting(&selection),
            selection,
            detail: Detail::Full,
            window: Window::USUAL,
            canceled_days: NewFeed::CANCELED_DAYS,
        };
        tx.add_feed(&new, at).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn pages() -> Vec<(&'static str, String)> {
    let meeting = format!("/meetings/0b6f2c1e-5a0d-4d7e-9a55-{:012}", MEETINGS / 2);
    let path = |name, path: &str| (name, path.to_owned());
    vec![
        path("nothing read", "/livez"),
        path("status", "/status"),
        path("meetings", "/meetings"),
        path("meetings, canceled", "/meetings?status=canceled"),
        path("meetings, replaced", "/meetings?status=replaced"),
        path("meetings, replaced, latest changed", "/meetings?status=replaced&sort=changed"),
        path("meetings of an owner", "/meetings?owner=owner-7%40example.com"),
        path("canceled ones of an owner", "/meetings?owner=owner-7%40example.com&status=canceled"),
        path("meetings, latest changed", "/meetings?sort=changed"),
        path("search, one is found", "/meetings?q=Guest41234"),
        path("search, a tenth is found", "/meetings?q=Guest4"),
        path("search, all are found", "/meetings?q=product+demo"),
        path("search in canceled ones", "/meetings?q=product&status=canceled"),
        path("in step in a calendar", "/meetings?calendar=1&standing=in+step"),
        path("refused in a calendar", "/meetings?calendar=1&standing=refused"),
        path("few in a calendar at all", "/meetings?calendar=3"),
        path("some months in a calendar, earliest", "/meetings?calendar=4&sort=earliest"),
        path("a search in a calendar, earliest", "/meetings?calendar=4&q=product&sort=earliest"),
        path("a week", "/meetings?view=week"),
        path("a week of a search, all are found", "/meetings?view=week&q=product+demo"),
        ("a meeting", meeting),
        path("inbox", "/inbox"),
        path("inbox, quarantined", "/inbox?status=quarantined"),
        path("inbox, a type", "/inbox?type=scheduling.smartscheduler.canceled"),
        path("inbox, superseded of a type", "/inbox?status=superseded&type=scheduling.smartscheduler.scheduled"),
        path("inbox, ignored of a rare type", "/inbox?status=ignored&type=organization.renamed"),
        path("inbox, repeated", "/inbox?repeated=1"),
        path("inbox, repeated, waiting (none)", "/inbox?repeated=1&status=pending"),
        path("inbox, repeated of a rare type", "/inbox?repeated=1&type=organization.renamed"),
        path("a delivery", "/inbox/150001"),
        path("replay of all, the question", "/inbox/replay"),
        path("replay of applied of a type", "/inbox/replay?status=applied&type=scheduling.smartscheduler.scheduled"),
        path("replay of what came since 2001", "/inbox/replay?from=2001-01-01"),
        path("replay of repeated ones", "/inbox/replay?repeated=1"),
        path("calendars", "/calendars"),
        path("removing a calendar, the question", "/calendars/1/remove"),
        path("feeds", "/feeds"),
        path("a feed of everybody", "/feeds/51/details"),
        path("audit log", "/audit"),
    ]
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let dir = tempfile::tempdir().unwrap();
    let at = SystemClock::default().now();
    let begun = now();
    let store = Store::open(dir.path()).await.unwrap();
    fill(&store, at).await;
    mirror(&store, at).await;
    feeds(&store, at).await;
    store.close().await;
    println!("filled in {:.0} s", begun.elapsed().as_secs_f64());

    let google = SimulatedGoogle::start(SimulatedGoogleConfig::new(Arc::new(|| SystemClock::default().now()))).unwrap();
    google.add_calendar("team@group.calendar.example.com", "Team", Access::Writer);
    google.chaos_of(1, 1.0, &[Fault::NotFound404]);
    let begun = now();
    let credentials = dir.path().join("key.json");
    google.write_credentials(&credentials).unwrap();
    let more = ["--google-credentials", credentials.to_str().unwrap(), "--google-api-url", &google.api_url()];
    let (_server, address) = serve(dir.path(), &more);
    let url = format!("http://{address}");
    println!("the server listens after {:.2} s\n", begun.elapsed().as_secs_f64());
    let client = signed_in(&url).await;
    let pages = pages();
    let mut times = vec![Vec::new(); pages.len()];
    let mut sizes = vec![0; pages.len()];
    // The first round is to warm up.
    for round in 0..=ROUNDS {
        for (index, (name, path)) in pages.iter().enumerate() {
            let begun = now();
            let answer = client.get(format!("{url}{path}")).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{name}");
            sizes[index] = answer.bytes().await.unwrap().len();
            if round > 0 {
                times[index].push(begun.elapsed());
            }
        }
    }
    println!("| page | median ms | 90 % | most | kB | to nothing read |\n|---|---|---|---|---|---|");
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut least = 0.0;
    for ((name, _), (mut times, size)) in pages.iter().zip(times.into_iter().zip(sizes)) {
        times.sort();
        let median = milliseconds(times[times.len() / 2]);
        if least == 0.0 {
            least = median;
        }
        let (most_of, most) = (milliseconds(times[times.len() * 9 / 10]), milliseconds(times[times.len() - 1]));
        println!(
            "| {name} | {median:.1} | {most_of:.1} | {most:.1} | {:.0} | {:.0} |",
            f64::from(u32::try_from(size).unwrap()) / 1000.0,
            median / least
        );
    }
}
