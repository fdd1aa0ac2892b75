//! What the database finds for a feed is what the rule says of each meeting: the nearest of them, and how many more there are.

use chrono::{DateTime, TimeDelta, Utc};
use meeting_mirror::meeting::apply::receive;
use meeting_mirror::meeting::event::{
    Details, EventId, EventKey, Invitee, Kind, MeetingEvent, MeetingId, OrganizationId, Owner,
};
use meeting_mirror::meeting::selection::{Selection, Window};
use meeting_mirror::meeting::showing::{Absence, Rule};
use meeting_mirror::meeting::state::Meeting;
use meeting_mirror::store::{MeetingFilter, Store};
use proptest::prelude::*;
use proptest::sample::select;

use crate::feed_text::nearness;
use crate::support::noon;

const OWNERS: [&str; 4] = ["ada@example.com", "Ada@Example.com", "bo@example.com", "ÖZ@example.com"];
const SCHEDULES: [&str; 5] = ["demo", "Demo/", "northwind/demo", "/NORTHWIND/review/", "review"];
const ORGANIZATIONS: [&str; 3] = ["org-1", "ORG-1", "org-2"];

prop_compose! {
    fn any_event()(
        id in 0..60_u32,
        hours in prop_oneof![-800..9000_i64, -3..3_i64],
        quarters in 1..100_i64,
        owner in prop::option::of(select(&OWNERS[..])),
        schedule in prop::option::of(select(&SCHEDULES[..])),
        path in prop::option::of(select(&["northwind", "Northwind", "other"][..])),
        organization in select(&ORGANIZATIONS[..]),
        is_canceled: bool,
        days_ago in 0..9_i64,
    ) -> (MeetingEvent, DateTime<Utc>) {
        let (starts_at, told_at) = (noon() + TimeDelta::hours(hours), noon() - TimeDelta::days(days_ago));
        let kind = if is_canceled { Kind::Canceled } else { Kind::Scheduled };
        let event = MeetingEvent {
            key: EventKey { happened_at: told_at, kind, event_id: EventId::new(format!("e-{id}")) },
            meeting_id: MeetingId::new(format!("m-{id}")),
            details: Details {
                organization_id: OrganizationId::new(organization),
                email_meeting_id: None,
                zoom_meeting_id: None,
                starts_at,
                ends_at: starts_at + TimeDelta::minutes(15 * quarters),
                owner: Owner { username: owner.map(str::to_owned), ..Owner::default() },
                title: None,
                location: None,
                invitee: Invitee::default(),
                further_invitees: vec![],
                booking_url: None,
                organization_path: path.map(str::to_owned),
                calendar_path: schedule.map(str::to_owned),
                answers: vec![],
            },
            existing_email_meeting_id: None,
        };
        (event, told_at)
    }
}

fn any_selection() -> impl Strategy<Value = Selection> {
    let some = |of: &'static [&'static str]| {
        prop_oneof![Just(vec![]), prop::collection::vec(select(of), 1..3)]
            .prop_map(|texts| texts.into_iter().map(str::to_owned).collect::<Vec<String>>())
    };
    (some(&OWNERS), some(&SCHEDULES), some(&ORGANIZATIONS)).prop_map(|(owners, schedules, organizations)| Selection {
        owners,
        schedules,
        organizations,
    })
}

async fn check(events: Vec<(MeetingEvent, DateTime<Utc>)>, selection: Selection, most: usize, past_days: u32) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let mut tx = store.write().await.unwrap();
    for (event, told_at) in events {
        let known = tx.meeting(&event.meeting_id).await.unwrap();
        tx.save_meeting(&receive(known, &event, told_at).0).await.unwrap();
    }
    tx.commit().await.unwrap();
    let rule = Rule { selection: &selection, window: Window { past_days, future_days: 300 }, canceled_days: 5 };
    let now = noon() + TimeDelta::milliseconds(1);
    let all = store.meetings(&MeetingFilter::default(), usize::MAX).await.unwrap();
    let mut expected: Vec<&Meeting> = all.iter().filter(|meeting| rule.check(meeting, now).is_ok()).collect();
    expected.sort_by_key(|meeting| nearness(meeting, now));

    let mut found = Vec::new();
    let beside = store.feed_meetings(&rule, now, most, |meeting| found.push(meeting)).await.unwrap();
    found.sort_by_key(|meeting| nearness(meeting, now));
    let ids = |meetings: &[&Meeting]| meetings.iter().map(|meeting| meeting.id.to_string()).collect::<Vec<_>>();
    let handed = expected.len().min(most + 1);
    assert_eq!(ids(&found.iter().collect::<Vec<_>>()), ids(&expected[..handed]), "the nearest, and one more");
    let more = |past: bool| expected[handed..].iter().filter(|meeting| nearness(meeting, now).0 == past).count();
    assert_eq!((beside.more_ahead as usize, beside.more_past as usize), (more(false), more(true)));
    let enters = all.iter().filter_map(|meeting| match rule.check(meeting, now) {
        // One of which nothing would be said any more does not come in.
        Err(Absence::Ahead { until }) if meeting.is_confirmed() || rule.canceled_until(meeting) > now => Some(until),
        _ => None,
    });
    assert_eq!(beside.next_enters_at, enters.min());

    let next = store.next_meetings(&rule, now, 3).await.unwrap();
    let upcoming: Vec<&Meeting> = expected
        .iter()
        .filter(|meeting| meeting.is_confirmed() && !nearness(meeting, now).0)
        .copied()
        .take(3)
        .collect();
    assert_eq!(ids(&next.iter().collect::<Vec<_>>()), ids(&upcoming));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_database_finds_what_the_rule_says(
        events in prop::collection::vec(any_event(), 0..80),
        selection in any_selection(),
        most in 0..20_usize,
        past_days in 0..40_u32,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(events, selection, most, past_days));
    }
}
