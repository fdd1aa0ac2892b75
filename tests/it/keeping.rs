//! What is kept for how long, and backups, on the real parts: bodies go and nothing else changes; meetings that are too old go
//! everywhere, and nothing brings them back but what is greater.

use std::cell::Cell;

use chrono::{DateTime, TimeDelta, Utc};
use meeting_mirror::config::Settings;
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::meeting::state::Status;
use meeting_mirror::store::{Deed, DeliveryFilter, DeliveryStatus, Forgetting, OnCancel, Store};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{TEAM, TestApp, event, noon, with};

fn keep_meetings(settings: &mut Settings) {
    settings.keeping.keep_meetings_days = Some(100);
}

impl TestApp {
    async fn retain(&self) {
        self.retention.run_once().await.unwrap();
        self.retention.remove_forgotten().await.unwrap();
    }

    /// Octets of a delivery's body.
    async fn body(&self, event_id: &str) -> usize {
        let delivery = self.store.delivery(event_id).await.unwrap().unwrap();
        self.store.delivery_content(delivery.id).await.unwrap().unwrap().0.len()
    }

    async fn status(&self, event_id: &str) -> (DeliveryStatus, Option<String>) {
        let delivery = self.store.delivery(event_id).await.unwrap().unwrap();
        (delivery.status, delivery.reason)
    }

    /// What the server itself wrote into the audit log, latest first.
    async fn own_entries(&self) -> Vec<String> {
        let entries = self.store.audit_newest(50).await.unwrap().into_iter().map(|link| link.entry);
        entries.filter(|entry| entry.category == "retention").map(|entry| entry.summary).collect()
    }
}

/// The event, with the meeting on another day after the usual one.
fn later(event: Value, days: i64) -> Value {
    let day = (noon() + TimeDelta::days(1 + days)).format("%Y-%m-%d");
    with(event, |data| {
        data["meetingStart"] = format!("{day}T10:00:00Z").into();
        data["meetingEnd"] = format!("{day}T10:30:00Z").into();
    })
}

#[tokio::test]
async fn bodies_of_settled_deliveries_go_and_the_deliveries_are_still_known() {
    let app = TestApp::start().await;
    let scheduled = event("e-1", "scheduled", "m-1", 5, 10);
    app.deliver_all(&[scheduled.clone(), event("e-0", "scheduled", "m-1", 1, 9)]).await;
    app.post("not JSON").await;
    let before = app.meeting("m-1").await;
    app.clock.advance(TimeDelta::days(89));
    app.deliver_all(&[event("e-2", "scheduled", "m-2", 6, 11)]).await;
    app.retain().await;
    assert!(app.body("e-1").await > 0, "it is not old enough");

    app.clock.advance(TimeDelta::days(2));
    app.retain().await;
    assert_eq!((app.body("e-0").await, app.body("e-1").await), (0, 0));
    assert!(app.body("e-2").await > 0);
    let filter = DeliveryFilter { status: Some(DeliveryStatus::Quarantined), ..DeliveryFilter::default() };
    let quarantined = app.store.deliveries(&filter, 5).await.unwrap().remove(0);
    assert_eq!(app.body(&quarantined.event_id).await, 8, "it can still be worked on");
    assert_eq!(app.own_entries().await, ["Removes the bodies of 2 deliveries older than 90 days"]);
    assert!(!app.retention.run_due().await.unwrap(), "the next run is due in a day");

    assert_eq!(app.deliver(&scheduled).await, "duplicate");
    app.apply().await;
    assert_eq!(app.status("e-1").await.0, DeliveryStatus::Applied);
    let all = DeliveryFilter::default();
    let replayed = app.store.carry_out(Deed::Replay, &all, ("test", "all"), app.now(), || true).await.unwrap();
    assert_eq!(replayed.deliveries, 2, "those without a body are not worked on again");
    app.apply().await;
    assert_eq!(app.meeting("m-1").await, before);

    app.sign_in().await;
    let page = app.page("/inbox/1").await;
    assert!(page.contains("body and headers were removed") && !page.contains("Work on it again"), "{page}");
    let question = app.page("/inbox/replay").await;
    assert!(question.contains("Work on 2 deliveries again") && question.contains("2 further deliveries are left out"));
    assert!(app.page("/status").await.contains("bodies of deliveries 90 days, meetings for ever"));

    let aside = app.store.carry_out(Deed::SetAside, &all, ("test", "all"), app.now(), || true).await.unwrap();
    assert_eq!(aside.deliveries, 1);
    app.clock.advance(TimeDelta::days(1));
    app.retain().await;
    assert_eq!(app.body(&quarantined.event_id).await, 0, "what was set aside is kept no longer than others");
    let reason = app.status(&quarantined.event_id).await.1.unwrap();
    assert!(reason.starts_with("Set aside by an admin; it was: body: found bytes that are not clean JSON"), "{reason}");
}

#[tokio::test]
async fn meetings_that_are_too_old_go_everywhere_and_only_a_greater_event_brings_one_back() {
    let app = TestApp::start_with_google_and(keep_meetings).await;
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    let feed = app.add_feed("Team", Selection::default(), Detail::Full).await;
    // More than an edit of a calendar could delete without approval.
    let many: Vec<Value> = (0..30).map(|n| event(&format!("e-{n}"), "scheduled", &format!("m-{n}"), 5, 10)).collect();
    app.deliver_all(&many).await;
    app.deliver_all(&[later(event("late", "scheduled", "m-late", 5, 10), 200)]).await;
    app.settle().await;
    assert_eq!(app.mirrored(TEAM).len(), 31);
    assert!(app.feed_text(&feed).await.contains("Demo m-1\r\n"));

    app.clock.advance(TimeDelta::days(102));
    app.retain().await;
    assert_eq!(app.store.leaving().await.unwrap().events.iter().map(|(_, events)| events).sum::<i64>(), 30);
    app.settle().await;
    app.retention.remove_forgotten().await.unwrap();
    assert_eq!(app.mirrored(TEAM).iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["m-late"]);
    assert!(app.store.held_changes().await.unwrap().is_empty());
    assert_eq!(app.store.meeting_counts().await.unwrap(), [1, 0, 0]);
    assert!(app.store.meeting("m-1").await.unwrap().is_none());
    assert!(app.store.history("m-1").await.unwrap().is_empty());
    let text = app.feed_text(&feed).await;
    assert!(text.contains("Demo m-late") && !text.contains("Demo m-1\r\n"), "{text}");
    assert_eq!(app.own_entries().await[0], "Forgets 30 meetings that ended more than 100 days ago");
    app.check_calendars().await;
    let check = app.store.latest_check(1).await.unwrap().unwrap();
    assert_eq!((check.unwanted, check.missing, check.outcome.as_str()), (0, 0, "as it should be"));

    // What is not greater than what was known changes nothing, and is not kept either.
    app.deliver_all(&[later(event("e-00", "scheduled", "m-1", 4, 10), 150)]).await;
    let reason = "This meeting ended longer ago than --keep-meetings-days and was forgotten.";
    assert_eq!(app.status("e-00").await, (DeliveryStatus::Ignored, Some(reason.to_owned())));
    assert_eq!(app.body("e-00").await, 0);
    assert!(app.store.meeting("m-1").await.unwrap().is_none());
    app.deliver_all(&[later(event("e-new", "rescheduled", "m-1", 6, 10), 150)]).await;
    app.settle().await;
    assert_eq!(app.mirrored(TEAM).len(), 2);
    assert!(app.feed_text(&feed).await.contains("Demo m-1\r\n"));
}

#[tokio::test]
async fn a_meeting_waits_until_its_event_is_gone_and_a_greater_event_keeps_it_meanwhile() {
    let app = TestApp::start_with_google_and(keep_meetings).await;
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    let feed = app.add_feed("Team", Selection::default(), Detail::Full).await;
    let feed = app.edit_feed(&feed, |wish| wish.window.past_days = 365).await;
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 5, 10), event("e-2", "scheduled", "m-2", 5, 10)]).await;
    app.settle().await;
    app.clock.advance(TimeDelta::days(102));
    assert!(app.feed_text(&feed).await.contains("Demo m-1\r\n"));
    app.google().set_online(false);
    app.retain().await;
    app.mirror().await;
    assert!(!app.feed_text(&feed).await.contains("Demo m-1\r\n"));
    app.retention.remove_forgotten().await.unwrap();
    app.sign_in().await;
    let status = app.page("/status").await;
    assert!(status.contains("2 events must be deleted at Google first"), "{status}");
    let page = app.page("/meetings/m-1").await;
    assert!(page.contains("It is being forgotten"), "{page}");

    // Nothing visible changes in this meeting but that it is kept.
    app.deliver_all(&[event("e-1b", "rescheduled", "m-1", 6, 10)]).await;
    app.google().set_online(true);
    app.settle().await;
    app.retention.remove_forgotten().await.unwrap();
    assert!(app.store.meeting("m-2").await.unwrap().is_none());
    assert_eq!(app.meeting("m-1").await.forget_since, None);
    assert!(app.feed_text(&feed).await.contains("Demo m-1\r\n"));
    assert_eq!(app.mirrored(TEAM).iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["m-1"]);
    app.check_calendars().await;
    assert_eq!(app.mirrored(TEAM).len(), 1);
}

#[tokio::test]
async fn an_event_that_somebody_brought_back_goes_before_its_meeting_does() {
    let app = TestApp::start_with_google_and(keep_meetings).await;
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 5, 10)]).await;
    app.settle().await;
    app.deliver_all(&[event("e-2", "canceled", "m-1", 6, 10)]).await;
    app.settle().await;
    assert!(app.mirrored(TEAM).is_empty());
    let event_id = app.google().events(TEAM).remove(0).id;
    // Out of the bin.
    assert!(app.google().edit_by_hand(TEAM, &event_id, |event| event["status"] = "confirmed".into()));
    app.clock.advance(TimeDelta::days(102));
    app.retain().await;
    assert_eq!(app.store.leaving().await.unwrap().events, [(1, 1)]);
    app.settle().await;
    app.retention.remove_forgotten().await.unwrap();
    assert!(app.mirrored(TEAM).is_empty());
    assert!(app.store.meeting("m-1").await.unwrap().is_none());
}

#[tokio::test]
async fn a_meeting_that_comes_back_has_a_greater_revision_than_it_ever_had() {
    let app = TestApp::start_with(keep_meetings).await;
    let feed = app.add_feed("Team", Selection::default(), Detail::Full).await;
    for (minute, hour) in [(5, 10), (6, 11), (7, 12), (8, 13)] {
        app.deliver_all(&[event(&format!("e-{minute}"), "rescheduled", "m-1", minute, hour)]).await;
    }
    assert_eq!(app.meeting("m-1").await.revision, 3);
    app.clock.advance(TimeDelta::days(102));
    app.retain().await;
    assert!(app.store.meeting("m-1").await.unwrap().is_none());
    app.deliver_all(&[later(event("e-9", "rescheduled", "m-1", 9, 10), 150)]).await;
    let revision = app.meeting("m-1").await.revision;
    assert!(revision > 3, "{revision}");
    assert!(app.feed_text(&feed).await.contains(&format!("SEQUENCE:{revision}\r\n")));
    app.deliver_all(&[later(event("e-10", "rescheduled", "m-1", 10, 11), 151)]).await;
    assert_eq!(app.meeting("m-1").await.revision, revision + 1);
}

#[tokio::test]
async fn a_booking_that_was_taken_over_goes_with_the_one_that_took_it() {
    let app = TestApp::start_with(keep_meetings).await;
    let taking = with(event("e-2", "rescheduled", "m-2", 6, 10), |data| {
        data["meetingInfo"]["existingEmailMeetingId"] = "mail-m-1".into();
    });
    app.deliver_all(&[later(event("e-1", "scheduled", "m-1", 5, 10), 300), taking]).await;
    assert!(!app.meeting("m-1").await.is_confirmed());
    app.clock.advance(TimeDelta::days(102));
    app.retain().await;
    assert_eq!(app.store.meeting_counts().await.unwrap(), [0, 0, 0]);
    // It was taken over: what is older than that does not bring it back.
    app.deliver_all(&[later(event("e-3", "scheduled", "m-1", 5, 10), 300)]).await;
    assert_eq!(app.status("e-3").await.0, DeliveryStatus::Ignored);
    app.deliver_all(&[later(event("e-4", "rescheduled", "m-1", 7, 10), 300)]).await;
    assert!(app.meeting("m-1").await.is_confirmed());
}

#[tokio::test]
async fn what_a_forgotten_booking_took_over_stays_taken_over() {
    for (taking_comes_late, erased) in [(false, false), (true, false), (false, true), (true, true)] {
        let app = TestApp::start_with_google_and(keep_meetings).await;
        app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
        let of_m2 = |id: &str, minute, claims: Option<&str>| {
            with(event(id, "rescheduled", "m-2", minute, 10), |data| {
                data["meetingInfo"]["existingEmailMeetingId"] = claims.into();
            })
        };
        let (taking, newer) = (of_m2("e-2", 6, Some("mail-m-1")), of_m2("e-3", 7, None));
        let first: &[Value] = if taking_comes_late { &[newer] } else { &[taking.clone(), newer] };
        app.deliver_all(first).await;
        app.settle().await;
        if erased {
            let mut tx = app.store.write().await.unwrap();
            tx.forget_meetings(&["m-2".into()], Forgetting::Erased, app.now()).await.unwrap();
            tx.commit().await.unwrap();
        } else {
            app.clock.advance(TimeDelta::days(102));
            app.retain().await;
        }
        app.settle().await;
        app.retention.remove_forgotten().await.unwrap();
        assert!(app.store.meeting("m-2").await.unwrap().is_none());
        app.deliver_all(&[later(event("e-1", "scheduled", "m-1", 5, 10), 150)]).await;
        app.settle().await;
        assert_eq!(app.meeting("m-1").await.is_confirmed(), taking_comes_late);
        if taking_comes_late {
            app.deliver_all(&[taking]).await;
            app.settle().await;
            assert_eq!(app.status("e-2").await.0, DeliveryStatus::Ignored);
        }
        assert!(matches!(app.meeting("m-1").await.status(), Status::Replaced { by } if by.as_str() == "m-2"));
        assert!(app.mirrored(TEAM).is_empty());
        // What is newer than that takes place.
        app.deliver_all(&[later(event("e-4", "rescheduled", "m-1", 8, 10), 150)]).await;
        assert!(app.meeting("m-1").await.is_confirmed());
    }
}

/// How many bodies are kept, as another one sees it who writes between the steps of some work.
async fn seen_between(app: &TestApp, work: impl Future<Output = ()>) -> Vec<i64> {
    let (is_done, mut seen) = (Cell::new(false), Vec::new());
    let work = async {
        work.await;
        is_done.set(true);
    };
    let look = async {
        while !is_done.get() {
            let tx = app.store.write().await.unwrap();
            seen.push(app.store.too_old(app.now(), None).await.unwrap().bodies);
            tx.commit().await.unwrap();
        }
    };
    tokio::join!(work, look);
    seen.dedup();
    seen
}

#[tokio::test]
async fn large_bodies_go_in_steps_between_which_others_write() {
    // In a step go 8 MiB: nine of them, and nine, and two.
    let large: Vec<Value> = (0..20)
        .map(|n| {
            with(event(&format!("e-{n}"), "rescheduled", "m-1", n, 10), |data| {
                data["padding"] = " ".repeat(1_000_000).into();
            })
        })
        .collect();
    let kept_longer = |settings: &mut Settings| {
        keep_meetings(settings);
        settings.keeping.keep_bodies_days = 1000;
    };
    let (bodies, meetings) = (TestApp::start().await, TestApp::start_with(kept_longer).await);
    for app in [&bodies, &meetings] {
        app.deliver_all(&large).await;
        app.clock.advance(TimeDelta::days(102));
    }
    let old_bodies = async { bodies.retention.run_once().await.unwrap() };
    let seen = seen_between(&bodies, old_bodies).await;
    assert!(seen.ends_with(&[11, 2, 0]), "{seen:?}");
    meetings.retention.run_once().await.unwrap();
    let forgotten = async { assert_eq!(meetings.retention.remove_forgotten().await.unwrap(), 1) };
    let seen = seen_between(&meetings, forgotten).await;
    assert!(seen.ends_with(&[11, 2, 0]), "{seen:?}");
}

/// What happens to a delivery, or to all.
#[derive(Debug, Clone, Copy)]
enum Step {
    Deliver(usize),
    Replay,
    Retain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        6 => (0..6_usize).prop_map(Step::Deliver),
        1 => Just(Step::Replay),
        2 => Just(Step::Retain),
    ];
    prop::collection::vec(one, 1..25)
}

/// Three meetings, of which one is moved, one canceled and one taken over by another.
fn deliveries() -> [Value; 6] {
    [
        event("e-1", "scheduled", "m-1", 1, 9),
        event("e-2", "rescheduled", "m-1", 2, 11),
        event("e-3", "scheduled", "m-2", 3, 12),
        event("e-4", "canceled", "m-2", 4, 12),
        event("e-5", "scheduled", "m-3", 5, 13),
        with(event("e-6", "rescheduled", "m-4", 6, 14), |data| {
            data["meetingInfo"]["existingEmailMeetingId"] = "mail-m-3".into();
        }),
    ]
}

async fn states(store: &Store) -> Vec<(String, String, DateTime<Utc>, bool)> {
    let mut found = Vec::new();
    for id in ["m-1", "m-2", "m-3", "m-4"] {
        if let Some(meeting) = store.meeting(id).await.unwrap() {
            let status = meeting.status().as_str().to_owned();
            found.push((id.to_owned(), status, meeting.details.starts_at, meeting.forget_since.is_some()));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn retention_changes_no_meeting_that_is_kept(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (kept, plain) = (TestApp::start().await, TestApp::start().await);
            let mut seen = [false; 6];
            for step in &steps {
                match *step {
                    Step::Deliver(index) => {
                        let envelope = &deliveries()[index];
                        let expected = if std::mem::replace(&mut seen[index], true) { "duplicate" } else { "accepted" };
                        for app in [&kept, &plain] {
                            assert_eq!(app.deliver(envelope).await, expected);
                            app.apply().await;
                        }
                    }
                    Step::Replay => {
                        for app in [&kept, &plain] {
                            let all = DeliveryFilter::default();
                            app.store.carry_out(Deed::Replay, &all, ("test", "all"), app.now(), || true).await.unwrap();
                            app.apply().await;
                        }
                    }
                    Step::Retain => {
                        // All that was settled is old enough now, and no meeting is too old.
                        kept.clock.advance(TimeDelta::days(91));
                        kept.retain().await;
                    }
                }
                assert_eq!(states(&kept.store).await, states(&plain.store).await, "after {step:?}");
            }
        });
    }
}
