//! The page as an admin sees it.

use super::super::testing::{Answer, Stage, meeting_event};
use crate::meeting::event::Kind;
use crate::meeting::selection::Selection;
use crate::store::{CalendarCheck, PausedFor, ProblemKind};
use chrono::{DateTime, TimeDelta, Utc};

fn check(at: DateTime<Utc>, outcome: &str) -> CalendarCheck {
    let outcome = outcome.to_owned();
    CalendarCheck {
        calendar_id: 1,
        started_at: at,
        finished_at: at,
        listed: 0,
        missing: 0,
        edited: 0,
        unwanted: 0,
        outcome,
    }
}

#[tokio::test]
async fn without_calendars_it_says_how_to_add_one() {
    let mut stage = Stage::new().await;
    let answer = stage.admin().await.get("/calendars").await;
    answer.assert_shows(&["The mirror is off.", "MEETING_MIRROR_GOOGLE_CREDENTIALS"]);
    stage.google();
    let answer = stage.admin().await.get("/calendars").await;
    answer.assert_shows(&["No calendar yet.", "href=\"/calendars/new\""]);
    answer.assert_hides(&["The mirror is off.", "Check tries"]);
}

#[tokio::test]
async fn a_calendar_in_step_says_what_it_holds() {
    let mut stage = Stage::new().await;
    stage.google();
    let selection = Selection { owners: vec!["priya@example.com".into()], ..Selection::default() };
    stage.calendar("Sales team", selection).await;
    stage.meeting("m-1", 24).await;
    stage.mirror(&[]).await;
    let answer = stage.admin().await.get("/calendars").await;
    answer.assert_shows(&[
        "Sales team",
        "In step",
        "sales-team@group.calendar.google.com",
        "meetings of owner priya@example.com",
        "from 30 days back to 365 days ahead",
        "a canceled meeting is deleted",
        "<dt>Last compared</dt><dd>not yet</dd>",
        "Next comparison",
        "Fri 20 Nov 2026, 13:15 CET · in 15 minutes",
        "<dt>Changed by hand</dt><dd>put right at the next comparison</dd>",
    ]);
    answer.assert_hides(&["<progress", "wait to be deleted"]);
}

#[tokio::test]
async fn a_backlog_shows_how_far_it_is_and_how_long_it_takes() {
    let mut stage = Stage::new().await;
    stage.google();
    let calendar = stage.calendar("Sales team", Selection::default()).await;
    stage.meeting("m-1", 24).await;
    stage.mirror(&[]).await;
    for number in 2..=3 {
        stage.meeting(&format!("m-{number}"), 24).await;
    }
    let answer = stage.admin().await.get("/calendars").await;
    answer.assert_shows(&[
        "1 of 3 meetings are mirrored; less than a minute left.",
        "<label for=\"progress-1\">",
        "<progress id=\"progress-1\" value=\"1\" max=\"3\">",
    ]);
    let mut tx = stage.site.store.write().await.unwrap();
    tx.pause_calendar(calendar.id, stage.now() + TimeDelta::hours(1), PausedFor::SlowDown, None, stage.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let answer = stage.admin().await.get("/calendars").await;
    answer.assert_shows(&[
        "1 of 3 meetings are mirrored.",
        "Next comparison</dt><dd><time datetime=\"2026-11-20T13:00:00Z\">",
    ]);
}

#[tokio::test]
async fn a_comparison_says_what_it_found_or_why_it_was_not_made() {
    let mut stage = Stage::new().await;
    stage.calendar("Sales team", Selection::default()).await;
    let mut tx = stage.site.store.write().await.unwrap();
    let found = CalendarCheck { listed: 1200, edited: 2, ..check(stage.now(), "2 differences to be put right") };
    tx.record_check(&found, stage.now()).await.unwrap();
    tx.commit().await.unwrap();
    stage.clock.advance(TimeDelta::minutes(20));
    let answer = stage.admin().await.get("/calendars").await;
    answer.assert_shows(&[
        "Last compared</dt><dd><time datetime=\"2026-11-20T12:00:00Z\">",
        "20 minutes ago",
        "2 differences to be put right. 1,200 events found; 0 missing, 2 changed by hand, 0 unwanted.",
    ]);
    answer.assert_hides(&["Next comparison"]);
    stage.google();
    stage.admin().await.get("/calendars").await.assert_shows(&["<dt>Next comparison</dt><dd>in a moment</dd>"]);
    let mut tx = stage.site.store.write().await.unwrap();
    let failed = check(stage.now(), "not checked: Google says <no>");
    tx.record_check(&failed, stage.now() + TimeDelta::minutes(15)).await.unwrap();
    tx.commit().await.unwrap();
    let answer = stage.admin().await.get("/calendars").await;
    answer.assert_shows(&["Not checked: Google says &#60;no&#62;.", "in 15 minutes"]);
    answer.assert_hides(&["0 events found", "<no>"]);
}

#[tokio::test]
async fn a_calendar_in_trouble_says_what_a_person_must_do() {
    let mut stage = Stage::new().await;
    stage.google();
    let calendar = stage.calendar("Sales team", Selection::default()).await;
    let gone = stage.calendar("Old one", Selection::default()).await;
    stage.meeting("m-1", 24).await;
    stage.mirror(&[("m-1", "Google answered 404", ProblemKind::Person)]).await;
    let mut tx = stage.site.store.write().await.unwrap();
    let until = stage.now() + TimeDelta::minutes(30);
    tx.pause_calendar(calendar.id, until, PausedFor::Person, Some("Share the calendar with <us>"), stage.now())
        .await
        .unwrap();
    tx.remove_calendar(gone.id, stage.now()).await.unwrap();
    tx.commit().await.unwrap();
    let answer = stage.admin().await.get("/calendars").await;
    answer.assert_shows(&[
        "Needs a person",
        "Share the calendar with &#60;us&#62;.",
        "Google answered 404.",
        "in 30 minutes",
        "check the calendar: that tells whether it works",
        "action=\"/calendars/1/check\"",
        "Old one",
        "href=\"/calendars/2/purge\"",
    ]);
}

#[tokio::test]
async fn buttons_that_need_google_are_there_only_with_it() {
    let mut stage = Stage::new().await;
    stage.calendar("Sales <team>", Selection::default()).await;
    let needs_google = ["/calendars/1/check", "/calendars/1/resync", "/calendars/1/purge"];
    let always = ["href=\"/calendars/1/edit\"", "href=\"/calendars/1/remove\""];
    let answer = stage.admin().await.get("/calendars").await;
    answer.assert_shows(&always);
    answer.assert_hides(&needs_google);
    stage.google();
    let answer = stage.admin().await.get("/calendars").await;
    answer.assert_shows(&needs_google);
    answer.assert_shows(&always);
    answer.assert_hides(&["<team>", "meeting-mirror calendar"]);
}

#[tokio::test]
async fn a_new_calendar_says_what_waits_and_whom_to_share_it_with() {
    let mut stage = Stage::new().await;
    stage.google();
    stage.meeting("m-1", 24).await;
    stage.calendar("Sales team", Selection::default()).await;
    let answer = stage.admin().await.get("/calendars?new=1").await;
    answer.assert_shows(&["Added. Its meetings are not counted yet.", "Being planned"]);
    stage.visitor().get("/metrics").await.assert_shows(&["calendar_being_planned{calendar=\"1\"} 1\n"]);
    stage.plan().await;
    stage.visitor().get("/metrics").await.assert_shows(&["calendar_being_planned{calendar=\"1\"} 0\n"]);
    let answer = stage.admin().await.get("/calendars?new=1").await;
    answer.assert_hides(&["Being planned"]);
    answer.assert_shows(&[
        "Added. 1 meeting waits to be mirrored.",
        "value=\"mirror@robot.example.com\"",
        "Make changes to events",
        "data-copy=\"account-1\"",
    ]);
    // What an address says of other calendars, or of none, is not told.
    for address in ["/calendars", "/calendars?new=2", "/calendars?new=x&removed=1&edited=%3Cb%3E"] {
        stage.admin().await.get(address).await.assert_hides(&["class=\"answer\"", "<b>"]);
    }
}

#[tokio::test]
async fn each_number_leads_to_the_meetings_that_it_counts() {
    let mut stage = Stage::new().await;
    stage.google();
    stage.calendar("Sales team", Selection::default()).await;
    for id in ["m-1", "m-2", "m-3", "m-4"] {
        stage.meeting(id, 24).await;
    }
    stage.mirror(&[("m-1", "slow", ProblemKind::Retry), ("m-2", "too long", ProblemKind::Rejected)]).await;
    stage.meeting("m-5", 24).await;
    stage.site.store.tamper(&["UPDATE mirror SET presence = 'unknown' WHERE meeting_id = 'm-4'"]).await;
    let mut admin = stage.admin().await;
    let page = admin.get("/calendars").await;
    for (standing, number, label, meeting) in [
        ("in+step", 1, "in step", "m-3"),
        ("pending", 1, "on the way", "m-5"),
        ("failing", 1, "failing", "m-1"),
        ("refused", 1, "refused", "m-2"),
        ("unknown", 1, "not certain", "m-4"),
    ] {
        let path = format!("/meetings?calendar=1&standing={standing}");
        let link =
            format!("href=\"{}\"><span class=\"number\">{number}</span> {label}</a>", path.replace('&', "&amp;"));
        page.assert_shows(&[&link]);
        let list = admin.get(&path).await;
        list.assert_shows(&[&format!("Demo {meeting}")]);
        assert_eq!(list.text().matches("Demo m-").count(), 1, "{standing}");
    }
    admin.get("/status").await.assert_shows(&["href=\"/meetings?calendar=1&amp;standing=unknown\">1 not certain</a>"]);
    for number in 6..60 {
        stage.meeting(&format!("m-{number}"), 24).await;
    }
    // Also of a list that has more than one page, and when there are no more meetings.
    admin.get("/meetings?calendar=1&standing=pending").await.assert_shows(&["<p class=\"quiet\">55 meetings</p>"]);
    page.assert_shows(&["Which meetings fail", "; ", "Which meetings are refused"]);
}

#[tokio::test]
async fn a_removed_calendar_says_how_many_events_may_still_be_there() {
    let mut stage = Stage::new().await;
    stage.google();
    let calendar = stage.calendar("Old one", Selection::default()).await;
    for id in ["there", "failing", "refused", "begun"] {
        stage.meeting(id, 24).await;
    }
    stage.mirror(&[]).await;
    for id in ["failing", "refused"] {
        stage.event(&meeting_event(id, Kind::Rescheduled, stage.now(), 25)).await;
    }
    stage.mirror(&[("failing", "slow", ProblemKind::Retry), ("refused", "too long", ProblemKind::Rejected)]).await;
    stage.site.store.tamper(&["UPDATE mirror SET presence = 'unknown' WHERE meeting_id = 'begun'"]).await;
    stage.event(&meeting_event("gone", Kind::Canceled, stage.now(), 24)).await;
    stage.site.store.end_calendar(&calendar, false, "test", stage.now()).await.unwrap();
    let mut admin = stage.admin().await;
    let link = "data-label=\"Still there\" class=\"n\"><a href=\"/meetings?calendar=1\">4</a></td>";
    admin.get("/calendars").await.assert_shows(&[link, "Purge…"]);
    let list = admin.get("/meetings?calendar=1").await;
    list.assert_shows(&["<p class=\"quiet\">4 meetings</p>", "value=\"1\" selected>Old one"]);
    admin.get("/meetings").await.assert_hides(&["Old one"]);
    admin.get("/calendars/1/purge").await.assert_shows(&["Delete 4 events"]);
}

#[tokio::test]
async fn until_when_google_asked_to_wait_is_told_and_nothing_when_it_did_not() {
    let mut stage = Stage::new().await;
    stage.google();
    let calendar = stage.calendar("Sales team", Selection::default()).await;
    stage.meeting("m-1", 24).await;
    let mut admin = stage.admin().await;
    let says = |why| match why {
        PausedFor::SlowDown => "Google is slow or asked to wait; nothing is written until",
        PausedFor::Quota => "Google's quota is used up; nothing is written until",
        PausedFor::Purge => "For the purge, nothing is written until",
        PausedFor::Person => "Held back until",
    };
    let all = [PausedFor::SlowDown, PausedFor::Quota, PausedFor::Purge, PausedFor::Person];
    let told = |page: &Answer, why| page.text().contains(says(why));
    for (hours, why) in (1..).zip(all) {
        let mut tx = stage.site.store.write().await.unwrap();
        tx.pause_calendar(calendar.id, stage.now() + TimeDelta::hours(hours), why, None, stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        for page in ["/calendars", "/status", "/meetings/m-1"] {
            let page = admin.get(page).await;
            assert!(told(&page, why), "{why:?}: {}", page.text());
            assert!(page.text().contains(&format!("{}:00 CET", 13 + hours)));
        }
    }
    stage.clock.advance(TimeDelta::hours(5));
    for page in ["/calendars", "/status", "/meetings/m-1"] {
        let page = admin.get(page).await;
        assert!(all.into_iter().all(|why| !told(&page, why)), "{}", page.text());
    }
}

#[tokio::test]
async fn what_is_not_planned_yet_is_told_as_such() {
    let mut stage = Stage::new().await;
    stage.calendar("Sales team", Selection::default()).await;
    let waits = "Which meetings belong here is found out when the mirror is on.";
    let answer = stage.admin().await.get("/calendars?new=1").await;
    answer.assert_shows(&["Added. Its meetings are not counted yet.", waits]);
    answer.assert_hides(&["data-live"]);
    stage.google();
    let answer = stage.admin().await.get("/calendars").await;
    answer.assert_shows(&["Which meetings belong here is being found out", "data-live"]);
    answer.assert_hides(&[waits]);
}
