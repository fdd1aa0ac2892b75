use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::sample::select;
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::*;
use crate::meeting::apply::receive;
use crate::meeting::event::{
    Details, EventId, EventKey, Invitee, Kind, MeetingEvent, MeetingId, OrganizationId, Owner,
};
use crate::meeting::selection::{Detail, Selection, Window};
use crate::store::{NewCalendar, OnCancel, OnDrift};

const OWNERS: [&str; 3] = ["ada@example.com", "Ada@Example.com", "bo@example.com"];
/// The calendar that two of three meetings are to be mirrored into.
const CALENDAR: i64 = 1;
const TITLES: [&str; 4] = ["Title of a demo", "100% sure", "Zoë's review", "Say \"hi\""];

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn event(id: u32, hours: i64, length: i64, kind: Kind, owner: &str, title: &str) -> MeetingEvent {
    let starts_at = now() + TimeDelta::hours(hours);
    MeetingEvent {
        key: EventKey { happened_at: now(), kind, event_id: EventId::new(format!("e-{id}")) },
        meeting_id: MeetingId::new(format!("m-{id}")),
        details: Details {
            organization_id: OrganizationId::new("org"),
            email_meeting_id: None,
            zoom_meeting_id: None,
            starts_at,
            ends_at: starts_at + TimeDelta::hours(length),
            owner: Owner { username: Some(owner.into()), ..Owner::default() },
            title: Some(title.into()),
            location: None,
            invitee: Invitee::default(),
            further_invitees: vec![],
            booking_url: None,
            organization_path: None,
            calendar_path: None,
            answers: vec![],
        },
        existing_email_meeting_id: None,
    }
}

async fn store(dir: &std::path::Path, events: &[MeetingEvent]) -> Store {
    std::fs::create_dir_all(dir).unwrap();
    let store = Store::open(dir).await.unwrap();
    let mut tx = store.write().await.unwrap();
    let calendar = NewCalendar {
        name: "Team".into(),
        google_id: "team@example.com".into(),
        selection: Selection::default(),
        detail: Detail::Full,
        window: Window::USUAL,
        on_cancel: OnCancel::Delete,
        on_drift: OnDrift::Repair,
    };
    assert_eq!(tx.add_calendar(&calendar, now()).await.unwrap(), CALENDAR);
    for (number, event) in (0..).zip(events) {
        let known = tx.meeting(&event.meeting_id).await.unwrap();
        let meeting = receive(known, event, now() + TimeDelta::minutes(number)).0;
        tx.save_meeting(&meeting).await.unwrap();
        if number % 3 > 0 {
            tx.want(&meeting, CALENDAR, now()).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    store
}

fn ids(meetings: &[Meeting]) -> Vec<&str> {
    meetings.iter().map(|meeting| meeting.id.as_str()).collect()
}

/// What the filter means, said of one meeting; the calendar is left to the database.
fn is_meant(filter: &MeetingFilter, meeting: &Meeting) -> bool {
    let lower = |text: &str| text.to_lowercase().replace('ë', "e");
    let title = lower(meeting.details.title.as_deref().unwrap());
    let words: Vec<&str> = title.split(|c: char| !c.is_alphanumeric()).collect();
    let begins_a_word = |word: &str| words.iter().any(|text| text.starts_with(word));
    let starts_at = meeting.details.starts_at;
    filter.text.as_deref().is_none_or(|text| lower(text).split_whitespace().all(begins_a_word))
        && filter.status.as_deref().is_none_or(|status| status == meeting.status().as_str())
        && filter.owner.as_deref().is_none_or(|owner| {
            meeting.details.owner.username.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(owner))
        })
        && filter.from.is_none_or(|from| starts_at >= from)
        && filter.until.is_none_or(|until| starts_at < until)
}

/// Every meeting that the filter means, by begin.
async fn meant(store: &Store, filter: &MeetingFilter) -> Vec<Meeting> {
    let mut meant = Vec::new();
    for meeting in store.meetings(&MeetingFilter::default(), usize::MAX).await.unwrap() {
        let is_there = !store.mirror_rows(meeting.id.as_str()).await.unwrap().is_empty();
        if is_meant(filter, &meeting) && (is_there || filter.calendar.is_none()) {
            meant.push(meeting);
        }
    }
    meant
}

/// Spans of five hours around now, each with its first meetings.
async fn check_spans(store: &Store, filter: &MeetingFilter, most: usize) {
    let bounds: Vec<_> = (-4..4).map(|number| now() + TimeDelta::hours(5 * number)).collect();
    let expected = meant(store, &MeetingFilter { from: None, until: None, ..filter.clone() }).await;
    let expected: Vec<Vec<&str>> = bounds
        .windows(2)
        .map(|span| {
            let is_in = |meeting: &&Meeting| (span[0]..span[1]).contains(&meeting.details.starts_at);
            expected.iter().filter(is_in).take(most).map(|meeting| meeting.id.as_str()).collect()
        })
        .collect();
    let found = store.meetings_in_spans(filter, &bounds, most).await.unwrap();
    assert_eq!(found.iter().map(|span| ids(span)).collect::<Vec<_>>(), expected, "{filter:?}");
}

async fn check(events: Vec<MeetingEvent>, filter: MeetingFilter, order: MeetingOrder, size: usize) {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), &events).await;
    check_spans(&store, &filter, size).await;
    let mut expected = meant(&store, &filter).await;
    expected.retain(|meeting| meeting.details.ends_at > now() || order != MeetingOrder::Ahead);
    let (of, id) = (|meeting: &Meeting| meeting.details.starts_at, |meeting: &Meeting| meeting.id.clone());
    expected.sort_by(|a, b| match order {
        MeetingOrder::NextFirst => {
            let is_past = |meeting: &Meeting| meeting.details.ends_at <= now();
            let by_begin = (of(a), id(a)).cmp(&(of(b), id(b)));
            is_past(a).cmp(&is_past(b)).then(if is_past(a) { by_begin.reverse() } else { by_begin })
        }
        MeetingOrder::Ahead | MeetingOrder::Earliest => (of(a), id(a)).cmp(&(of(b), id(b))),
        MeetingOrder::Latest => (of(b), id(b)).cmp(&(of(a), id(a))),
        MeetingOrder::Changed => (b.last_modified_at, id(b)).cmp(&(a.last_modified_at, id(a))),
    });
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.meeting_page(&filter, order, now(), after.as_ref(), size).await.unwrap();
        assert!(page.meetings.len() == size || page.next.is_none(), "only the last page is short");
        found.extend(page.meetings);
        match page.next {
            // As it comes back in an address.
            Some(next) => after = Some(next.to_string().parse().unwrap()),
            None => break,
        }
    }
    assert_eq!(ids(&found), ids(&expected), "{filter:?} {order:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pages_of_a_list_are_all_that_is_meant_in_order(
        meetings in prop::collection::vec(
            (0..25_u32, prop_oneof![-900..900_i64, -3..3_i64], 1..40_i64, select(&OWNERS[..]), select(&TITLES[..]), 0..4_u8),
            0..25
        ),
        text in prop::option::of(select(&["demo", "DE", "zoe", "sure 100", "hi", "title of"][..])),
        status in prop::option::of(select(&["confirmed", "canceled", "replaced"][..])),
        owner in prop::option::of(select(&OWNERS[..])),
        from in prop::option::of(-50..50_i64),
        until in prop::option::of(-50..50_i64),
        order in select(&[
            MeetingOrder::NextFirst, MeetingOrder::Ahead, MeetingOrder::Earliest, MeetingOrder::Latest, MeetingOrder::Changed,
        ][..]),
        calendar in select(&[None, Some((CALENDAR, None)), Some((CALENDAR, Some(Standing::Pending)))][..]),
        size in 1..9_usize,
    ) {
        let events = meetings.into_iter().map(|(id, hours, length, owner, title, kind)| {
            event(id, hours, length, if kind == 0 { Kind::Canceled } else { Kind::Scheduled }, owner, title)
        });
        let hour = |hours| now() + TimeDelta::hours(hours);
        let filter = MeetingFilter {
            text: text.map(str::to_owned),
            status: status.map(str::to_owned),
            owner: owner.map(str::to_owned),
            calendar,
            from: from.map(hour),
            until: until.map(hour),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(events.collect(), filter, order, size));
    }
}

#[tokio::test]
async fn words_are_found_wherever_they_stand_and_only_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = event(1, 2, 1, Kind::Scheduled, "ada@example.com", "Title of a demo");
    demo.details.invitee =
        Invitee { name: Some("Łukasz Müller".into()), email: Some("lukasz@larkfield.example".into()) };
    demo.details.location = Some("https://zoom.example.com/j/4711".into());
    let store = store(dir.path(), &[demo]).await;
    let found = async |text: &str| {
        let filter = MeetingFilter { text: Some(text.into()), ..MeetingFilter::default() };
        !store.meetings(&filter, 9).await.unwrap().is_empty()
    };
    for text in ["muller", "MÜLL", "larkfield.example", "lukasz@lark", "m-1", "4711", "demo title", "ada", "  demo  & "]
    {
        assert!(found(text).await, "{text}");
    }
    // No names of fields, no times, nothing inside a word, and signs that mean something to the database.
    for text in
        ["invitee_name", "2026", "iller", "demo review", "&", "\"", "demo\" OR \"x", "NOT demo", "text : x", "x\0y", ""]
    {
        assert!(!found(text).await, "{text}");
    }
    let mut tx = store.write().await.unwrap();
    let known = tx.meeting(&MeetingId::new("m-1")).await.unwrap();
    let mut later = event(1, 2, 1, Kind::Rescheduled, "ada@example.com", "Another name");
    later.key.happened_at += TimeDelta::hours(1);
    tx.save_meeting(&receive(known, &later, now()).0).await.unwrap();
    tx.commit().await.unwrap();
    assert!(found("another").await && !found("demo").await, "the words follow the meeting");
}

async fn plan(store: &Store, sql: QueryBuilder<Sqlite>) -> String {
    let sql = format!("EXPLAIN QUERY PLAN {}", sql.sql().as_str());
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&store.reader).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn what_finds_the_fewest_leads() {
    let dir = tempfile::tempdir().unwrap();
    let title = |id| match id {
        0 => "Rare fine demo",
        1..4 => "Fine demo",
        _ => "Demo",
    };
    let events: Vec<_> = (0..16).map(|id| event(id, 2, 1, Kind::Scheduled, "ada@example.com", title(id))).collect();
    let few = store(&dir.path().join("few"), &events[..3]).await;
    let many = store(&dir.path().join("many"), &events).await;
    let (all, none) = (Some((CALENDAR, None)), Some((CALENDAR, Some(Standing::Refused))));
    for (store, text, calendar, expected) in [
        (&many, None, None, Lead::Order),
        (&many, None, all, Lead::Order),
        (&many, Some("demo"), None, Lead::Text),
        (&many, Some("demo"), all, Lead::Order),
        (&many, Some("rare"), all, Lead::Text),
        (&many, Some("demo"), none, Lead::Calendar),
        (&many, Some("rare"), none, Lead::Calendar),
        (&few, None, all, Lead::Calendar),
        (&few, Some("demo"), all, Lead::Calendar),
    ] {
        let filter = MeetingFilter { calendar, ..MeetingFilter::default() };
        let few_there = store.few_there(&filter, MeetingOrder::Earliest).await.unwrap();
        let lead = store.lead(text.and_then(Sought::new).as_ref(), &filter, few_there).await.unwrap();
        assert_eq!(lead, expected, "{text:?} {calendar:?}");
    }
    // Four are few where they are not in order.
    let middle = store(&dir.path().join("middle"), &events[..7]).await;
    let filter = MeetingFilter { calendar: all, ..MeetingFilter::default() };
    for (order, expected) in [(MeetingOrder::Latest, Lead::Order), (MeetingOrder::Changed, Lead::Calendar)] {
        let few_there = middle.few_there(&filter, order).await.unwrap();
        assert_eq!(middle.lead(None, &filter, few_there).await.unwrap(), expected);
    }
}

const PARTS: [Part; 5] = [Part::Ahead, Part::Past, Part::Earliest, Part::Latest, Part::Changed];

#[tokio::test]
async fn a_page_is_read_from_an_index_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let after = MeetingCursor { part: 0, key: 5, id: "m".into() };
    let (day, owner, status) = (Some(now()), Some("ada@example.com".to_owned()), Some("canceled".to_owned()));
    for (filter, by_begin) in [
        (MeetingFilter::default(), "meetings_start"),
        (MeetingFilter { status: status.clone(), ..MeetingFilter::default() }, "meetings_status (status=?"),
        (MeetingFilter { owner: owner.clone(), ..MeetingFilter::default() }, "meetings_owner_start (owner=?"),
        (MeetingFilter { status, owner, ..MeetingFilter::default() }, "meetings_owner_start (owner=?"),
    ] {
        for calendar in [None, Some((1, Some(Standing::InStep))), Some((1, None))] {
            for sought in [None, Sought::new("demo")] {
                for (from, after) in [(None, None), (None, Some(&after)), (day, None), (day, Some(&after))] {
                    let filter = MeetingFilter { from, until: from, calendar, ..filter.clone() };
                    let by_begin = match calendar {
                        Some(_) if by_begin == "meetings_start" => {
                            "mirror USING INDEX mirror_begin (calendar_id=?".into()
                        }
                        _ => format!("meetings USING INDEX {by_begin}"),
                    };
                    let many = |lead| Conditions { filter: &filter, sought: sought.as_ref(), lead };
                    for part in PARTS {
                        let changed = "meetings USING INDEX meetings_modified".to_owned();
                        let index = if part == Part::Changed { &changed } else { &by_begin };
                        let in_order = plan(&store, many(Lead::Order).query(part, 1, after, 50)).await;
                        assert!(in_order.contains(index), "{part:?} {filter:?} {in_order}");
                        assert!(!in_order.contains("USE TEMP B-TREE FOR ORDER BY"), "{part:?} {filter:?} {in_order}");
                        // What is met soon is put in order at the end, and nothing else.
                        let soon = plan(&store, many(Lead::Soon).query(part, 1, after, 50)).await;
                        assert!(soon.contains(index), "{part:?} {filter:?} {soon}");
                        let sorted = soon.matches("USE TEMP B-TREE FOR ORDER BY").count();
                        assert!(soon.starts_with("CO-ROUTINE") && sorted <= 1, "{part:?} {filter:?} {soon}");
                    }
                    let plan = plan(&store, many(Lead::Order).spans(&[now(), now()], 50)).await;
                    assert!(plan.contains(&by_begin), "{filter:?} {plan}");
                    let bounds = ["starts_at>? AND starts_at<?", "begins_at>? AND begins_at<?"];
                    assert!(bounds.iter().any(|bounds| plan.contains(bounds)), "{filter:?} {plan}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_few_meetings_meet_leads_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let after = MeetingCursor { part: 0, key: 5, id: "m".into() };
    let sought = Sought::new("demo");
    for standing in [Some(Standing::InStep), Some(Standing::Pending), None] {
        let filter = MeetingFilter {
            status: Some("canceled".into()),
            owner: Some("ada@example.com".into()),
            from: Some(now()),
            calendar: Some((1, standing)),
            ..MeetingFilter::default()
        };
        for part in PARTS {
            let few = |lead| Conditions { filter: &filter, sought: sought.as_ref(), lead };
            let of_words = plan(&store, few(Lead::Text).query(part, 1, Some(&after), 50)).await;
            let late = "SEARCH meetings USING INDEX sqlite_autoindex_meetings_1 (meeting_id=?); LIST SUBQUERY";
            assert!(of_words.starts_with(late), "{of_words}");
            assert!(of_words.contains("SCAN meeting_texts VIRTUAL TABLE INDEX"), "{of_words}");
            assert!(of_words.contains("SEARCH meetings USING INDEX meetings_number (number=?)"), "{of_words}");
            let of_calendar = plan(&store, few(Lead::Calendar).query(part, 1, Some(&after), 50)).await;
            let index = "SEARCH mirror USING INDEX mirror_standing (calendar_id=? AND standing=?)";
            assert!(of_calendar.starts_with(late) && of_calendar.contains(index), "{of_calendar}");
            assert!(!of_calendar.contains("SCAN meetings"), "{of_calendar}");
        }
    }
}
