//! The feed text against the facts about calendar programs, against two parsers, and against its own lint.

pub(crate) mod parsers;

use chrono::{DateTime, TimeDelta, Utc};
use ical::tree::cst::IcalCst;
use meeting_mirror::meeting::event::{
    Answer, Details, EventId, EventKey, Invitee, Kind, MeetingId, OrganizationId, Owner,
};
use meeting_mirror::meeting::selection::{Detail, Selection, ShowAs, Window};
use meeting_mirror::meeting::state::Meeting;
use meeting_mirror::store::{Feed, FeedMeetings, NewFeed};
use meeting_mirror::views::feed::draft::{Draft, FeedText, MOST_OCTETS};
use meeting_mirror::views::feed::lint::lint;
use meeting_mirror::views::feed::text::LONGEST_TEXT;

const WINDOW: Window = Window { past_days: 30, future_days: 365 };

pub(crate) fn now() -> DateTime<Utc> {
    // 2026-11-20T09:00:00Z
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_795_165_200)
}

/// A meeting of one hour that begins this many hours from now.
pub(crate) fn meeting(id: &str, hours: i64) -> Meeting {
    let text = |text: &str| Some(text.to_owned());
    let starts_at = now() + TimeDelta::hours(hours);
    Meeting {
        id: MeetingId::new(id),
        latest: EventKey {
            happened_at: now(),
            kind: Kind::Scheduled,
            event_id: EventId::new(format!("event-of-{id}")),
        },
        details: Details {
            organization_id: OrganizationId::new("org-1"),
            email_meeting_id: text("calendar-event-1"),
            zoom_meeting_id: text("812 3456 7890"),
            starts_at,
            ends_at: starts_at + TimeDelta::hours(1),
            owner: Owner {
                user_id: text("user-1"),
                username: text("ann@example.com"),
                first_name: text("Ann"),
                last_name: text("Lee"),
            },
            title: text("Demo"),
            location: text("Room 4, 2nd floor"),
            invitee: Invitee { name: text("Bo Berg"), email: text("bo@example.org") },
            further_invitees: vec!["cy@example.org".into()],
            booking_url: text("https://book.example.com/acme/demo?a=1&b=2"),
            organization_path: text("acme"),
            calendar_path: text("demo"),
            answers: vec![Answer { question: "Your goal".into(), answer: "Fewer no-shows;\nmore demos".into() }],
        },
        replaced_by: None,
        revision: 0,
        first_seen_at: now() - TimeDelta::milliseconds(1_645_199_877),
        last_modified_at: now() - TimeDelta::hours(49),
        forget_since: None,
    }
}

fn canceled(mut meeting: Meeting) -> Meeting {
    meeting.latest.kind = Kind::Canceled;
    meeting
}

pub(crate) fn settings(name: &str, detail: Detail) -> Feed {
    Feed {
        id: 1,
        wish: NewFeed {
            public_id: "public".into(),
            name: name.into(),
            selection: Selection::default(),
            detail,
            window: WINDOW,
            canceled_days: NewFeed::CANCELED_DAYS,
            show_as: ShowAs::Free,
        },
        generation: 1,
        edition: 0,
        created_at: now(),
        revoked_at: None,
    }
}

pub(crate) fn render(settings: &Feed, meetings: &[Meeting], now: DateTime<Utc>) -> FeedText {
    from_scratch(settings, "installation-1", meetings, now)
}

/// Makes the feed of all these meetings without asking a database which it shows, or in what order.
pub(crate) fn from_scratch(
    settings: &Feed,
    installation_id: &str,
    meetings: &[Meeting],
    now: DateTime<Utc>,
) -> FeedText {
    let mut shown: Vec<&Meeting> =
        meetings.iter().filter(|meeting| settings.wish.rule().check(meeting, now).is_ok()).collect();
    shown.sort_by_key(|meeting| nearness(meeting, now));
    let mut draft = Draft::new(settings.clone(), installation_id, now);
    for meeting in shown {
        draft.take(meeting.clone());
    }
    draft.finish(&FeedMeetings::default())
}

/// Sorts what runs or comes first, by begin, then what is past, from the latest back.
pub(crate) fn nearness(meeting: &Meeting, now: DateTime<Utc>) -> (bool, i64, String) {
    let details = &meeting.details;
    let is_past = details.ends_at <= now;
    let distance = if is_past { -details.ends_at.timestamp() } else { details.starts_at.timestamp() };
    (is_past, distance, meeting.id.as_str().to_owned())
}

fn feed(detail: Detail, meetings: &[Meeting]) -> FeedText {
    render(&settings("Demos", detail), meetings, now())
}

/// The feed as text, which the lint and a strict validator accept.
fn text(detail: Detail, meetings: &[Meeting]) -> String {
    let feed = feed(detail, meetings);
    assert_eq!(lint(&feed.body), [], "{}", String::from_utf8_lossy(&feed.body));
    let text = String::from_utf8_lossy(&feed.body).into_owned();
    assert!(IcalCst::parse(&feed.body).is_ok_and(|tree| tree.decode().validate().is_ok()), "{text}");
    text
}

/// The values of a property, unfolded, as written.
fn values(text: &str, property: &str) -> Vec<String> {
    let unfolded = text.replace("\r\n ", "");
    unfolded
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| *name == property)
        .map(|(_, v)| v.into())
        .collect()
}

fn golden(name: &str, detail: Detail, meetings: &[Meeting]) {
    insta::assert_snapshot!(name, text(detail, meetings).replace("\r\n", "\n"));
}

#[test]
fn what_a_feed_looks_like() {
    golden("full", Detail::Full, &[meeting("m-2", 30), meeting("m-1", 30), meeting("m-3", -40)]);
    golden("title", Detail::Title, &[meeting("m-1", 30)]);
    golden("busy", Detail::Busy, &[meeting("m-1", 30), canceled(meeting("m-2", 31))]);
    golden("canceled", Detail::Full, &[canceled(meeting("m-1", 30))]);
    let replaced = Meeting { replaced_by: Some(MeetingId::new("m-2")), ..meeting("m-1", 30) };
    golden("replaced", Detail::Title, &[replaced]);
    golden("empty", Detail::Full, &[]);
}

#[test]
fn what_hard_texts_look_like() {
    let mut wide = meeting("m-1", 30);
    wide.details.title = Some(format!("{} end", "Grüße an 老虎 und 👩‍👩‍👧 ".repeat(6)));
    // Folding at white space alone would find no place here.
    wide.details.location = Some(format!("{}{}x", "😀".repeat(40), " ".repeat(100)));
    wide.details.booking_url = Some("https://book.example.com/größe|a".into());
    golden("unicode", Detail::Title, &[wide.clone()]);
    golden("unicode_full", Detail::Full, &[wide]);

    let mut hostile = meeting("m-1\r\nMETHOD:CANCEL", 30);
    hostile.details.title = Some("Demo\r\nATTENDEE:mailto:x@example.com\r\n\tBEGIN:VALARM\u{2028}END:VEVENT".into());
    hostile.details.location = Some("a;b,c\\d\\n\"e\":f\u{0}\u{7}\u{1b}\u{7f}\u{85}\u{feff}=\\".into());
    hostile.details.owner.first_name = Some("END:VCALENDAR\rEND".into());
    hostile.details.booking_url = Some("https://book.example.com/\u{feff};,a\\".into());
    let name = "Demos;\r\nMETHOD:PUBLISH,\\";
    let body = render(&settings(name, Detail::Full), &[hostile], now()).body;
    assert_eq!(lint(&body), []);
    insta::assert_snapshot!("hostile", String::from_utf8(body).unwrap().replace("\r\n", "\n"));
}

#[test]
fn fact_01_utc_only() {
    let text = text(Detail::Full, &[meeting("m-1", 30)]);
    assert_eq!(values(&text, "DTSTART"), ["20261121T150000Z"]);
    assert_eq!(values(&text, "DTEND"), ["20261121T160000Z"]);
    assert!(!text.contains("TZID"));
}

#[test]
fn fact_02_folded_at_75_octets_between_characters() {
    for length in 50..250 {
        let mut long = meeting("m-1", 1);
        long.details.title = Some("a".repeat(length));
        long.details.location = Some(format!("{}{}", "b".repeat(length % 9), "é老😀".repeat(length / 9)));
        for line in text(Detail::Full, &[long]).split("\r\n") {
            assert!(line.len() <= 75, "{line}");
        }
    }
}

#[test]
fn fact_03_escaped_complete_and_one_event_per_uid() {
    let mut inside_out = meeting("m-2", 2);
    inside_out.details.ends_at = inside_out.details.starts_at;
    let text = text(Detail::Full, &[meeting("m-1", 1), inside_out]);
    assert!(text.ends_with("END:VCALENDAR\r\n"));
    assert_eq!(values(&text, "LOCATION")[0], r"Room 4\, 2nd floor");
    assert!(values(&text, "DESCRIPTION")[0].ends_with(r"Your goal\nFewer no-shows\;\nmore demos"));
    let uids = values(&text, "UID");
    assert!(uids.len() == 2 && uids[0] != uids[1]);
    assert!(values(&text, "DTEND")[1] > values(&text, "DTSTART")[1]);
}

#[test]
fn fact_04_the_bytes_do_not_know_the_time() {
    let meetings = [meeting("m-1", 30), canceled(meeting("m-2", 31))];
    let later = now() + TimeDelta::hours(5);
    let second = render(&settings("Demos", Detail::Full), &meetings, later);
    assert_eq!(feed(Detail::Full, &meetings), second);
    let turned: Vec<Meeting> = meetings.iter().rev().cloned().collect();
    assert_eq!(feed(Detail::Full, &turned), second);
    assert_eq!(values(&text(Detail::Full, &meetings), "DTSTAMP"), ["20261118T080000Z", "20261118T080000Z"]);
}

#[test]
fn fact_05_sequence_and_last_modified_come_from_the_meeting_and_the_uid_stays() {
    let first = text(Detail::Full, &[meeting("m-1", 30)]);
    let modified = now() - TimeDelta::days(1);
    let second = text(Detail::Full, &[Meeting { revision: 7, last_modified_at: modified, ..meeting("m-1", 31) }]);
    assert_eq!((values(&first, "SEQUENCE"), values(&second, "SEQUENCE")), (vec!["0".into()], vec!["7".into()]));
    assert_eq!(values(&first, "LAST-MODIFIED"), ["20261118T080000Z"]);
    assert_eq!(values(&second, "LAST-MODIFIED"), ["20261119T090000Z"]);
    assert_eq!(values(&second, "CREATED"), ["20261101T080000Z"]);
    assert_eq!(values(&first, "UID"), values(&second, "UID"));
}

#[test]
fn fact_06_no_method_and_nobody_is_invited() {
    let text = text(Detail::Full, &[meeting("m-1", 30), canceled(meeting("m-2", 30))]);
    for absent in ["METHOD", "ORGANIZER", "ATTENDEE", "mailto:"] {
        assert!(!text.contains(absent), "{absent}");
    }
    assert!(values(&text, "DESCRIPTION")[0].contains("Invitee: Bo Berg <bo@example.org>"));
}

#[test]
fn fact_07_no_alarm_no_class_and_busy_only_in_ones_own_feed() {
    let meetings = [meeting("m-1", 30), canceled(meeting("m-2", 31))];
    let team = text(Detail::Full, &meetings);
    assert!(!team.contains("VALARM") && !team.contains("CLASS"));
    assert_eq!(values(&team, "TRANSP"), ["TRANSPARENT", "TRANSPARENT"]);
    let mut own = settings("Demos", Detail::Full);
    own.wish.show_as = ShowAs::Busy;
    let own = String::from_utf8(render(&own, &meetings, now()).body).unwrap();
    assert_eq!(values(&own, "TRANSP"), ["OPAQUE", "TRANSPARENT"], "what is canceled takes no time");
}

#[test]
fn fact_08_canceled_meetings_are_shown_for_a_limited_time() {
    let gone = |days: i64| Meeting { last_modified_at: now() - TimeDelta::days(days), ..canceled(meeting("m-1", 30)) };
    let shown = text(Detail::Full, &[gone(6)]);
    assert_eq!(
        (values(&shown, "STATUS"), values(&shown, "SUMMARY")),
        (vec!["CANCELLED".into()], vec!["Canceled: Demo".into()])
    );
    assert!(values(&text(Detail::Full, &[gone(7)]), "STATUS").is_empty());
    let mut at_once = settings("Demos", Detail::Full);
    at_once.wish.canceled_days = 0;
    assert_eq!(render(&at_once, &[gone(0)], now()), feed(Detail::Full, &[]));
}

#[test]
fn fact_09_refresh_interval_and_both_names() {
    let text = text(Detail::Full, &[]);
    assert!(text.contains("\r\nREFRESH-INTERVAL;VALUE=DURATION:PT1H\r\nX-PUBLISHED-TTL:PT1H\r\n"));
    assert!(text.contains("\r\nNAME:Demos\r\nX-WR-CALNAME:Demos\r\n"));
}

#[test]
fn fact_10_the_nearest_thousand_inside_the_window() {
    // Every hour, 600 past and 600 to come; one runs now. Beyond the window on both sides: not counted as left out.
    let mut meetings: Vec<Meeting> = (-600..600).map(|hour| meeting(&format!("m{hour}"), hour)).collect();
    meetings.extend([meeting("too-early", -31 * 24), meeting("too-late", 366 * 24)]);
    let cut = feed(Detail::Busy, &meetings);
    let text = text(Detail::Busy, &meetings);
    let starts = values(&text, "DTSTART");
    insta::assert_snapshot!(
        "size_cut",
        format!(
            "{} shown, {} left out, {} … {}",
            starts.len(),
            cut.left_out.meetings,
            starts[0],
            starts[starts.len() - 1]
        )
    );
    assert!(starts.is_sorted());
    assert_eq!((cut.left_out.ahead, cut.left_out.from), (0, None), "all that is to come is there");
    // When the one that runs now is over, it gives way: until then nothing changes.
    let until = cut.holds_until.unwrap();
    assert_eq!(until, now() + TimeDelta::hours(1));
    let at = |time| render(&settings("Demos", Detail::Busy), &meetings, time).body;
    assert_eq!(at(until - TimeDelta::seconds(1)), cut.body);

    let ahead: Vec<Meeting> = (0..1300).map(|hour| meeting(&format!("m{hour}"), hour)).collect();
    let cut = feed(Detail::Busy, &ahead);
    assert_eq!((cut.left_out.meetings, cut.left_out.ahead), (300, 300));
    assert_eq!(cut.left_out.from, Some(now() + TimeDelta::hours(1000)));
    let later = render(&settings("Demos", Detail::Busy), &ahead, cut.holds_until.unwrap());
    assert_ne!(later.body, cut.body);
}

#[test]
fn fact_10_at_most_900_kilobytes() {
    let mut meetings: Vec<Meeting> = (0..100).map(|hour| meeting(&format!("m{hour}"), hour)).collect();
    for meeting in &mut meetings {
        meeting.details.location = Some("é".repeat(10_000));
    }
    meetings.push(Meeting { details: Details { location: None, ..meeting("", 900).details }, ..meeting("small", 900) });
    let cut = feed(Detail::Title, &meetings);
    let text = text(Detail::Title, &meetings);
    assert!(cut.body.len() <= MOST_OCTETS && cut.body.len() > MOST_OCTETS - 20_000, "{}", cut.body.len());
    let starts = values(&text, "DTSTART");
    assert_eq!(starts.len() + usize::try_from(cut.left_out.meetings).unwrap(), 101);
    // The nearest are there, and the small one behind them that still fits.
    assert_eq!((starts[0].as_str(), starts[starts.len() - 1].as_str()), ("20261120T090000Z", "20261227T210000Z"));
    let location = &values(&text, "LOCATION")[0];
    assert!(location.ends_with("é…") && location.len() <= LONGEST_TEXT + 3);
}

#[test]
fn busy_tells_nothing() {
    let mut secret = meeting("id-of-the-meeting", 30);
    secret.details.calendar_path = Some("path-of-the-schedule".into());
    let text = text(Detail::Busy, &[secret.clone(), canceled(Meeting { id: MeetingId::new("other"), ..secret })]);
    assert_eq!(values(&text, "SUMMARY"), ["Busy", "Busy"]);
    for absent in [
        "Demo\r",
        "Canceled",
        "Room",
        "Ann",
        "ann@",
        "Bo ",
        "bo@",
        "cy@",
        "http",
        "id-of",
        "path-of",
        "812",
        "org-1",
        "installation",
    ] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
}
