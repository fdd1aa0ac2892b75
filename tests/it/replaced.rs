//! Bookings that take over another one's calendar event: which one replaces which, in every order of arrival.
//! Every test delivers its events in all orders, applied one by one, and expects the same end.

use chrono::TimeDelta;
use meeting_mirror::meeting::state::Status;
use serde_json::{Value, json};

use crate::support::{TestApp, event, with};

/// A rescheduled event of `meeting_id` that takes over the calendar event `claims`.
fn claim(event_id: &str, meeting_id: &str, minute: i64, claims: &str) -> Value {
    with(event(event_id, "rescheduled", meeting_id, minute, 14), |data| {
        data["meetingInfo"]["existingEmailMeetingId"] = json!(claims);
    })
}

/// Every order of the numbers below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in orders(count - 1) {
        for place in 0..count {
            let mut order = shorter.clone();
            order.insert(place, count - 1);
            all.push(order);
        }
    }
    all
}

/// The status as one text: `confirmed`, `canceled` or `replaced by ID`.
async fn status(app: &TestApp, id: &str) -> String {
    match app.meeting(id).await.status() {
        Status::Replaced { by } => format!("replaced by {by}"),
        other => other.as_str().to_owned(),
    }
}

/// Delivers the events in every order; each order must end in these statuses.
async fn always_ends(events: &[Value], expected: &[(&str, &str)]) {
    let app = TestApp::start().await;
    for (number, order) in orders(events.len()).into_iter().enumerate() {
        // One organization for each order, and ids of its own, so that they don't meet.
        let own = |text: &str| format!("{text}/{number}");
        for index in &order {
            let mut event = events[*index].clone();
            event["eventId"] = json!(own(event["eventId"].as_str().unwrap()));
            let data = &mut event["data"];
            for field in ["id", "organizationId"] {
                data[field] = json!(own(data[field].as_str().unwrap()));
            }
            app.deliver(&event).await;
            app.apply().await;
        }
        for (id, expected) in expected {
            let found = status(&app, &own(id)).await.replace(&format!("/{number}"), "");
            assert_eq!(found, *expected, "{id}, when delivered in the order {order:?}");
        }
    }
}

#[tokio::test]
async fn a_booking_that_names_the_other_ones_calendar_event_replaces_it() {
    let events = [event("1", "scheduled", "m-1", 0, 9), claim("2", "m-2", 5, "mail-m-1")];
    always_ends(&events, &[("m-1", "replaced by m-2"), ("m-2", "confirmed")]).await;
}

#[tokio::test]
async fn a_cancellation_after_being_replaced_leaves_it_replaced() {
    let events =
        [event("1", "scheduled", "m-1", 0, 9), claim("2", "m-2", 5, "mail-m-1"), event("3", "canceled", "m-1", 6, 9)];
    always_ends(&events, &[("m-1", "replaced by m-2"), ("m-2", "confirmed")]).await;
}

#[tokio::test]
async fn a_cancellation_before_being_replaced_also_does() {
    let events =
        [event("1", "scheduled", "m-1", 0, 9), event("2", "canceled", "m-1", 4, 9), claim("3", "m-2", 5, "mail-m-1")];
    always_ends(&events, &[("m-1", "replaced by m-2"), ("m-2", "confirmed")]).await;
}

#[tokio::test]
async fn a_replaced_booking_that_is_booked_again_later_is_there_again() {
    let events = [
        event("1", "scheduled", "m-1", 0, 9),
        claim("2", "m-2", 5, "mail-m-1"),
        event("3", "rescheduled", "m-1", 9, 11),
    ];
    always_ends(&events, &[("m-1", "confirmed"), ("m-2", "confirmed")]).await;
}

#[tokio::test]
async fn a_chain_of_replacements_leaves_only_the_last() {
    let events = [
        event("1", "scheduled", "m-1", 0, 9),
        claim("2", "m-2", 5, "mail-m-1"),
        claim("3", "m-3", 9, "mail-m-2"),
        event("4", "canceled", "m-2", 9, 9),
    ];
    let expected = [("m-1", "replaced by m-2"), ("m-2", "replaced by m-3"), ("m-3", "confirmed")];
    always_ends(&events, &expected).await;
}

#[tokio::test]
async fn bookings_that_share_one_calendar_event_are_replaced_together_but_never_by_themselves() {
    // Each new booking keeps the calendar event it takes over.
    let keeps = |event: Value| with(event, |data| data["emailMeetingId"] = json!("mail-m-1"));
    let events = [
        event("1", "scheduled", "m-1", 0, 9),
        keeps(claim("2", "m-2", 5, "mail-m-1")),
        keeps(claim("3", "m-3", 9, "mail-m-1")),
    ];
    let expected = [("m-1", "replaced by m-3"), ("m-2", "replaced by m-3"), ("m-3", "confirmed")];
    always_ends(&events, &expected).await;
}

#[tokio::test]
async fn two_bookings_that_claim_each_other_leave_the_later_one() {
    let events = [claim("1", "m-1", 3, "mail-m-2"), claim("2", "m-2", 5, "mail-m-1")];
    always_ends(&events, &[("m-1", "replaced by m-2"), ("m-2", "confirmed")]).await;
}

#[tokio::test]
async fn what_is_no_live_rescheduled_event_of_the_same_organization_replaces_nothing() {
    let names = |event: Value| with(event, |data| data["meetingInfo"]["existingEmailMeetingId"] = json!("mail-m-1"));
    let events = [
        event("1", "scheduled", "m-1", 0, 9),
        names(event("2", "scheduled", "m-2", 5, 9)),
        names(event("3", "canceled", "m-3", 5, 9)),
        with(claim("4", "m-4", 5, "mail-m-1"), |data| data["organizationId"] = json!("org-2")),
        with(claim("5", "m-1", 6, "mail-m-1"), |data| data["isCanceled"] = json!(false)),
    ];
    always_ends(&events[..4], &[("m-1", "confirmed")]).await;
    always_ends(&events[3..], &[("m-1", "confirmed"), ("m-4", "confirmed")]).await;
}

#[tokio::test]
async fn a_claim_on_a_calendar_event_that_is_learned_later_counts() {
    let events = [
        with(event("1", "scheduled", "m-1", 0, 9), |data| data["emailMeetingId"] = Value::Null),
        claim("2", "m-2", 5, "mail-m-1"),
        event("3", "canceled", "m-1", 6, 9),
    ];
    always_ends(&events, &[("m-1", "replaced by m-2"), ("m-2", "confirmed")]).await;
}

#[tokio::test]
async fn being_replaced_is_one_visible_change_and_stands_in_both_histories() {
    let app = TestApp::start().await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    let before = app.meeting("m-1").await;
    app.clock.advance(TimeDelta::seconds(30));
    app.deliver_all(&[claim("2", "m-2", 5, "mail-m-1")]).await;
    let after = app.meeting("m-1").await;
    assert_eq!(after.revision, before.revision + 1);
    assert!(after.last_modified_at > before.last_modified_at);
    assert_eq!(after.details, before.details);
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(id, effect)| ((*id).to_owned(), (*effect).to_owned())).collect()
    };
    assert_eq!(app.effects("m-1").await, pairs(&[("1", "created"), ("2", "replaced")]));
    assert_eq!(app.effects("m-2").await, pairs(&[("2", "created")]));
    assert_eq!(app.store.history("m-1").await.unwrap()[1].origin.as_str(), "m-2");

    app.deliver_all(&[event("3", "rescheduled", "m-1", 9, 16)]).await;
    let back = app.meeting("m-1").await;
    assert!(back.is_confirmed());
    assert_eq!(back.revision, after.revision + 1, "moved and there again: one event, one visible change");
    assert_eq!(app.effects("m-1").await[2], ("3".into(), "changed".into()));
}
