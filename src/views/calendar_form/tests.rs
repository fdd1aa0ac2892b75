//! The forms as an admin fills them.

use super::super::testing::{Answer, Stage, Visitor, meeting_event, recorded};
use super::*;
use crate::meeting::event::Kind;

const GOOD: [(&str, &str); 10] = [
    ("name", "Sales <team>"),
    ("google_id", "Sales@group.calendar.google.com "),
    ("owners", "ada@example.com\r\nbo@example.com"),
    ("schedules", ""),
    ("organizations", ""),
    ("detail", "title"),
    ("past_days", "7"),
    ("future_days", "90"),
    ("on_cancel", "mark"),
    ("on_drift", "report"),
];

async fn send(admin: &mut Visitor, path: &str, changes: &[(&str, &str)]) -> Answer {
    admin.fill(path, &GOOD, changes).await
}

#[tokio::test]
async fn the_form_explains_whom_to_share_the_calendar_with() {
    let mut stage = Stage::new().await;
    stage.meeting("m-1", 24).await;
    let answer = stage.admin().await.get("/calendars/new").await;
    answer.assert_shows(&["The mirror is off.", "the service account's address", "value=\"30\"", "value=\"365\""]);
    stage.google();
    let answer = stage.admin().await.get("/calendars/new").await;
    answer.assert_shows(&[
        "Share with specific people",
        "value=\"mirror@robot.example.com\"",
        "data-copy=\"account\"",
        "Known so far: priya@example.com.",
        "value=\"full\" checked",
        "value=\"delete\" checked",
        "value=\"repair\" checked",
    ]);
    answer.assert_hides(&["role=\"alert\"", "aria-invalid"]);
}

#[tokio::test]
async fn a_calendar_is_added_as_typed_and_its_meetings_wait() {
    let mut stage = Stage::new().await;
    stage.google();
    let mut event = meeting_event("m-1", Kind::Scheduled, stage.now(), 24);
    event.details.owner.username = Some("Ada@example.com".into());
    stage.event(&event).await;
    stage.meeting("m-2", 24).await;
    let mut admin = stage.admin().await;
    let answer = send(&mut admin, "/calendars/new", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/calendars?new=1#calendar-1"));
    let wish = stage.site.store.calendar("1").await.unwrap().unwrap().wish;
    assert_eq!((wish.name.as_str(), wish.google_id.as_str()), ("Sales <team>", "sales@group.calendar.google.com"));
    assert_eq!(wish.selection.owners, ["ada@example.com", "bo@example.com"]);
    assert_eq!((wish.detail, wish.window), (Detail::Title, Window { past_days: 7, future_days: 90 }));
    assert_eq!((wish.on_cancel, wish.on_drift), (OnCancel::Mark, OnDrift::Report));
    assert_eq!(
        recorded(&stage, "calendar").await,
        [
            "admin page: Added calendar “Sales <team>” (sales@group.calendar.google.com): owner ada@example.com or bo@example.com"
        ]
    );
    let counting =
        ["Added. Its meetings are not counted yet.", "Which meetings belong here is being found out", "data-live"];
    let answer = admin.get("/calendars?new=1").await;
    answer.assert_shows(&counting);
    answer.assert_hides(&["to be mirrored."]);
    stage.plan().await;
    let answer = admin.get("/calendars?new=1").await;
    answer.assert_shows(&["1 meeting waits to be mirrored."]);
    answer.assert_hides(&counting);
}

#[tokio::test]
async fn what_is_wrong_is_said_beside_the_field_and_what_was_typed_stays() {
    let stage = Stage::new().await;
    stage.calendar("Team", Selection::default()).await;
    let mut admin = stage.admin().await;
    for (field, typed, says) in [
        ("name", " ", "A name has 1 to 100 characters on one line."),
        ("name", "42", "A name of digits only would be taken for an id: add a word."),
        ("name", "Team", "A calendar of this name exists already."),
        ("google_id", "not an id", "Copy it from the calendar&#39;s settings in Google Calendar"),
        ("google_id", "PRIMARY", "use the calendar&#39;s real id"),
        ("google_id", "team@group.calendar.google.com", "A mirror into this Google calendar exists already."),
        ("owners", "a@example.com\n<b>/\n//", "Say what to select"),
        ("detail", "<b>", "Choose one."),
        ("past_days", "ten", "Type a number of days, from 0 to 3650."),
        ("future_days", "3651", "Type a number of days, from 0 to 3650."),
        ("on_cancel", "", "Choose one."),
        ("on_drift", "x", "Choose one."),
    ] {
        let answer = send(&mut admin, "/calendars/new", &[(field, typed)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{field} {typed}");
        answer.assert_shows(&[
            says,
            &format!("<li><a href=\"#{field}\">"),
            &format!("id=\"{field}-wrong\""),
            &format!("{field}-wrong\""),
            "role=\"alert\"",
        ]);
        let kept: &[&str] = match field {
            "name" => &["value=\"Sales@group.calendar.google.com \"", "value=\"7\""],
            _ => &["value=\"Sales &#60;team&#62;\"", "value=\"title\" checked"],
        };
        if field != "detail" {
            answer.assert_shows(kept);
        }
        answer.assert_hides(&["<b>", "<team>"]);
    }
    assert_eq!(stage.site.store.all_calendars().await.unwrap().len(), 1);
    assert_eq!(recorded(&stage, "calendar").await, [""; 0]);
}

#[tokio::test]
async fn an_edit_shows_what_is_and_changes_what_is_typed() {
    let stage = Stage::new().await;
    let selection = Selection { owners: vec!["ada@example.com".into()], ..Selection::default() };
    stage.calendar("Team", selection).await;
    stage.calendar("Other", Selection::default()).await;
    let mut admin = stage.admin().await;
    let answer = admin.get("/calendars/1/edit").await;
    answer.assert_shows(&["Edit “<bdi>Team</bdi>”", "ada@example.com</textarea>", "team@group.calendar.google.com"]);
    answer.assert_hides(&["name=\"google_id\""]);
    let elsewhere = [("name", "Desk"), ("owners", ""), ("google_id", "elsewhere@example.com")];
    let answer = send(&mut admin, "/calendars/1/edit", &elsewhere).await;
    assert_eq!(answer.header("location"), "/calendars?edited=1#calendar-1");
    let wish = stage.site.store.calendar("1").await.unwrap().unwrap().wish;
    assert_eq!((wish.name.as_str(), wish.google_id.as_str()), ("Desk", "team@group.calendar.google.com"));
    assert_eq!(wish.selection, Selection::default());
    assert_eq!(
        recorded(&stage, "calendar").await,
        ["admin page: Edited calendar “Team”: name “Team” → “Desk”; meetings owner ada@example.com → all meetings; \
          detail full → title; past days 30 → 7; future days 365 → 90; canceled delete → mark; \
          changed by hand repair → report"]
    );
    admin.get("/calendars?edited=1").await.assert_shows(&["Saved. Its events follow."]);
    let answer = send(&mut admin, "/calendars/1/edit", &[("name", "Other")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.assert_shows(&["A calendar of this name exists already."]);
    // Sent as it is: nothing to do, and nothing to record.
    send(&mut admin, "/calendars/1/edit", &[("name", "Desk"), ("owners", "")]).await;
    assert_eq!(recorded(&stage, "calendar").await.len(), 1);
}

#[tokio::test]
async fn an_edit_that_would_delete_many_events_waits_and_shows_them() {
    let mut stage = Stage::new().await;
    stage.google();
    stage.calendar("Team", Selection::default()).await;
    for number in 0..30 {
        stage.meeting(&format!("m-{number}"), 24 + number).await;
    }
    stage.mirror(&[]).await;
    let mut admin = stage.admin().await;
    admin.get("/calendars/1/edit").await.assert_shows(&["more than 20 events", "waits until you have seen which"]);
    send(&mut admin, "/calendars/1/edit", &[("owners", "nobody@example.com")]).await;
    admin.get("/calendars?edited=1").await.assert_shows(&[
        "Saved. What that would delete waits for your decision, below.",
        "30 of 30 events wait to be deleted.",
        "href=\"/meetings/m-0\"",
    ]);
}

#[tokio::test]
async fn of_two_who_edit_at_once_the_second_is_told_and_keeps_what_he_typed() {
    let stage = Stage::new().await;
    let calendar = stage.calendar("Team", Selection::default()).await;
    let mut admin = stage.admin().await;
    let page = admin.get("/calendars/1/edit").await;
    let seen = page.body.split("name=\"seen\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let wish = NewCalendar { detail: Detail::Busy, ..calendar.wish.clone() };
    stage.site.store.change_calendar(&calendar, &wish, "test", stage.now()).await.unwrap();
    let token = page.form_token();
    let fields: Vec<(&str, &str)> = [("token", token.as_str()), ("seen", seen)].into_iter().chain(GOOD).collect();
    let answer = admin.post("/calendars/1/edit", &fields).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    answer.assert_shows(&["somebody else has changed the calendar meanwhile", "value=\"Sales &#60;team&#62;\""]);
    assert_eq!(stage.site.store.calendar("1").await.unwrap().unwrap().wish, wish);
    // He looks, and saves his own.
    assert_eq!(send(&mut admin, "/calendars/1/edit", &[]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_was_typed_stays_when_somebody_else_saves_at_the_same_moment() {
    let stage = Stage::new().await;
    stage.calendar("Team", Selection::default()).await;
    let mut admin = stage.admin().await;
    // Only transactions see it: as when another edit is committed after the form was compared with the calendar.
    let beside =
        ["CREATE TEMP TABLE calendars AS SELECT * FROM main.calendars", "UPDATE temp.calendars SET detail = 'busy'"];
    stage.site.store.tamper(&beside).await;
    let answer = send(&mut admin, "/calendars/1/edit", &[]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    answer.assert_shows(&[
        "somebody else has changed the calendar meanwhile",
        "value=\"Sales &#60;team&#62;\"",
        "value=\"90\"",
    ]);
    assert_eq!(recorded(&stage, "calendar").await, [""; 0]);
    assert_eq!(send(&mut admin, "/calendars/1/edit", &[]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_nobody_may_send_changes_nothing() {
    let stage = Stage::new().await;
    let gone = stage.calendar("Gone", Selection::default()).await;
    stage.site.store.end_calendar(&gone, false, "test", stage.now()).await.unwrap();
    let mut admin = stage.admin().await;
    for (path, status) in [("/calendars/1/edit", StatusCode::CONFLICT), ("/calendars/9/edit", StatusCode::NOT_FOUND)] {
        assert_eq!(admin.get(path).await.status, status);
    }
    let token = admin.get("/calendars/new").await.form_token();
    let forged: Vec<(&str, &str)> = [("token", "AAAA")].into_iter().chain(GOOD).collect();
    for path in ["/calendars/new", "/calendars/1/edit"] {
        assert_eq!(admin.post(path, &forged).await.status, StatusCode::FORBIDDEN);
        let long = "x".repeat(70_000);
        let answer = admin.post(path, &[("token", &token), ("owners", &long)]).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(stage.visitor().get(path).await.header("location").starts_with("/login"));
    }
    assert_eq!(recorded(&stage, "calendar").await, ["test: Removed calendar “Gone”"]);
}
