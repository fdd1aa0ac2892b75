//! Whatever Google answers while meetings change, once it answers properly again the calendar holds exactly the wanted
//! events: none twice, none left behind, nobody else's touched, and within a bounded number of calls.

use std::time::Duration;

use chrono::TimeDelta;
use meeting_mirror::meeting::selection::Detail;
use meeting_mirror::simulated_google::Fault;
use meeting_mirror::store::OnCancel;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::support::{TEAM, TestApp, event, noon};

/// Everything the mirror may be told, true or not.
const FAULTS: [Fault; 18] = [
    Fault::Slow(Duration::from_millis(2)),
    Fault::RateLimited429 { retry_after: None },
    Fault::RateLimited429 { retry_after: Some(3) },
    Fault::Forbidden { reason: "rateLimitExceeded" },
    Fault::Forbidden { reason: "userRateLimitExceeded" },
    Fault::Forbidden { reason: "quotaExceeded" },
    Fault::Forbidden { reason: "forbidden" },
    Fault::Unauthorized401,
    Fault::NotFound404,
    Fault::Conflict409,
    Fault::Gone410,
    Fault::PreconditionFailed412,
    Fault::BackendError500,
    Fault::BadGateway502Html,
    Fault::Unavailable503Html,
    Fault::LostAnswer,
    Fault::ResetBefore,
    Fault::LostAnswer,
];

/// Whether it may make the mirror believe what is not so, and leave an event that only a comparison finds.
fn misleads(fault: &Fault) -> bool {
    let refused = Fault::Forbidden { reason: "forbidden" };
    [Fault::NotFound404, Fault::Conflict409, Fault::Gone410, refused].contains(fault)
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// An event about a meeting: which, what, at which hour.
    Change(usize, &'static str, u32),
    /// The mirror works on one batch.
    Mirror,
    /// Time passes, in seconds.
    Wait(i64),
    /// Somebody deletes the n-th event of ours by hand.
    DeleteByHand(usize),
    /// Somebody edits the n-th event of ours by hand.
    EditByHand(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just("scheduled"), Just("rescheduled"), Just("canceled")];
    prop_oneof![
        4 => (0..5_usize, kind, 8..18_u32).prop_map(|(meeting, kind, hour)| Step::Change(meeting, kind, hour)),
        3 => Just(Step::Mirror),
        1 => (1..2000_i64).prop_map(Step::Wait),
        1 => (0..5_usize).prop_map(Step::DeleteByHand),
        1 => (0..5_usize).prop_map(Step::EditByHand),
    ]
}

/// `misled`: Google may answer what is not true, and somebody deletes and edits by hand. Otherwise the calendar is as wanted
/// without having been compared.
async fn run(steps: Vec<Step>, seed: u64, share: f64, mark: bool, misled: bool) {
    let app = TestApp::start_with_google().await;
    let google = app.google.as_ref().unwrap();
    let on_cancel = if mark { OnCancel::Mark } else { OnCancel::Delete };
    app.add_calendar(TEAM, Detail::Full, on_cancel).await;
    let foreign = google.insert_foreign_event(TEAM, "Lunch", noon(), noon() + TimeDelta::hours(1)).unwrap();
    let foreign_before = google.event(TEAM, &foreign).unwrap().raw;

    let faults: Vec<Fault> = FAULTS.into_iter().filter(|fault| misled || !misleads(fault)).collect();
    google.chaos_of(seed, share, &faults);
    let stop = CancellationToken::new();
    let mut minute = 0;
    for step in steps {
        let nth = |n: usize| app.mirrored(TEAM).into_iter().nth(n).map(|(_, event)| event.id);
        match step {
            Step::Change(meeting, kind, hour) => {
                minute += 1;
                let id = format!("e-{minute}");
                app.deliver(&event(&id, kind, &format!("m-{meeting}"), minute, hour)).await;
                app.apply().await;
            }
            Step::Mirror => {
                app.mirror.as_ref().unwrap().work_once(&stop).await.unwrap();
            }
            Step::Wait(seconds) => app.clock.advance(TimeDelta::seconds(seconds)),
            Step::DeleteByHand(_) | Step::EditByHand(_) if !misled => {}
            Step::DeleteByHand(n) => {
                nth(n).map(|id| google.delete_by_hand(TEAM, &id));
            }
            Step::EditByHand(n) => {
                nth(n).map(|id| google.edit_by_hand(TEAM, &id, |event| event["summary"] = "changed by hand".into()));
            }
        }
    }
    google.calm();
    google.clear_calls();
    app.settle().await;
    if !misled {
        holds_what_is_wanted(&app, mark).await;
    }
    app.check_calendars().await;
    app.check_calendars().await;
    holds_what_is_wanted(&app, mark).await;
    assert_eq!(google.event(TEAM, &foreign).unwrap().raw, foreign_before, "somebody else's event was touched");
    assert!(google.mails().is_empty());
    assert!(google.calls().len() <= 100, "{} calls to come to rest", google.calls().len());
    assert_eq!(app.store.next_mirror_due().await.unwrap(), None);
}

/// Each meeting that takes place is there once, as it is now, and no other is, unless it is marked as canceled.
async fn holds_what_is_wanted(app: &TestApp, mark: bool) {
    let mut wanted = Vec::new();
    for number in 0..5 {
        let id = format!("m-{number}");
        let Some(meeting) = app.store.meeting(&id).await.unwrap() else { continue };
        if meeting.is_confirmed() {
            wanted.push((id.clone(), format!("Demo {id}"), meeting.details.starts_at));
        }
    }
    let found: Vec<_> = app
        .mirrored(TEAM)
        .into_iter()
        .filter(|(_, event)| !event.summary.as_deref().unwrap_or_default().starts_with("Canceled: "))
        .map(|(id, event)| (id, event.summary.unwrap(), event.start.unwrap().instant()))
        .collect();
    assert_eq!(found, wanted);
    let mut ids: Vec<String> = app.mirrored(TEAM).into_iter().map(|(id, _)| id).collect();
    ids.dedup();
    assert_eq!(ids.len(), app.mirrored(TEAM).len(), "an event stands twice");
    assert!(mark || ids.len() == wanted.len(), "a canceled meeting was left behind");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_calendar_ends_as_wanted_whatever_google_answers(
        steps in prop::collection::vec(step(), 1..40),
        seed: u64,
        share in 0.0..0.7,
        mark: bool,
        misled: bool,
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(run(steps, seed, share, mark, misled));
    }
}
