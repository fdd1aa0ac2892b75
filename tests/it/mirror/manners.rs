//! How the mirror behaves at Google: it shows no more than the detail level allows, mails nobody, touches nothing that is
//! not its own, asks for one scope, and never calls without a token.

use chrono::TimeDelta;
use meeting_mirror::meeting::selection::Detail;
use meeting_mirror::simulated_google::{Access, TokenFault};
use meeting_mirror::store::OnCancel;
use serde_json::{Value, json};

use super::{deliver_and_settle, event_of, live, row, start};
use crate::support::{TEAM, TestApp, event, noon, with};

fn hour(minute: i64) -> u32 {
    9 + u32::try_from(minute).unwrap()
}

/// A meeting whose every text can be recognized.
fn telling(event_id: &str, kind: &str, minute: i64) -> Value {
    with(event(event_id, kind, "m-1", minute, hour(minute)), |data| {
        data["zoomMeetingId"] = json!("ZOOM-4711");
        data["meetingInfo"] = json!({
            "primaryInviteeName": "Invitee-Name",
            "primaryInvitee": "invitee@example.org",
            "optionalInvitees": "further@example.org",
            "meetingName": "The-Title",
            "location": "The-Place",
            "calendarUrl": "https://booking.example.com/The-Link",
            "calendarPath": "The-Schedule",
            "formValues": [{"question": "Form-Question", "answerText": "Form-Answer"}],
            "surveyQuestions": [{"question": "Survey-Question", "answer": "Survey-Answer", "isRequired": true}],
        });
    })
}

const INVITEE: [&str; 9] = [
    "Invitee-Name",
    "invitee@example.org",
    "further@example.org",
    "ZOOM-4711",
    "The-Link",
    "Form-Question",
    "Form-Answer",
    "Survey-Question",
    "Survey-Answer",
];
const MEETING: [&str; 3] = ["The-Title", "The-Place", "Ada Example"];

#[tokio::test]
async fn a_calendar_holds_no_more_than_its_detail_level_allows() {
    let app = TestApp::start_with_google().await;
    for (id, detail) in [("full", Detail::Full), ("title", Detail::Title), ("busy", Detail::Busy)] {
        app.google().add_calendar(id, id, Access::Writer);
        app.add_calendar(id, detail, OnCancel::Mark).await;
    }
    let steps = [("1", "scheduled"), ("2", "rescheduled"), ("3", "canceled"), ("4", "rescheduled")];
    for (minute, (event_id, kind)) in (0..).zip(steps) {
        deliver_and_settle(&app, &[telling(event_id, kind, minute)]).await;
        let text = |calendar: &str| app.google().events(calendar)[0].raw.to_string();
        let holds = |calendar: &str, words: &[&str], expected: bool| {
            for word in words {
                assert_eq!(text(calendar).contains(word), expected, "{word} in {calendar}: {}", text(calendar));
            }
        };
        holds("full", &INVITEE, true);
        holds("full", &MEETING, true);
        holds("title", &MEETING, true);
        holds("title", &INVITEE, false);
        holds("busy", &MEETING, false);
        holds("busy", &INVITEE, false);
        for word in ["ada@example.com", "The-Schedule", "org-1", "mail-m-1"] {
            holds("busy", &[word], false);
        }
    }
}

#[tokio::test]
async fn a_title_level_calendar_does_not_fall_back_to_the_invitee() {
    let app = TestApp::start_with_google().await;
    app.add_calendar(TEAM, Detail::Title, OnCancel::Delete).await;
    let untitled = with(telling("1", "scheduled", 0), |data| data["meetingInfo"]["meetingName"] = Value::Null);
    deliver_and_settle(&app, &[untitled]).await;
    assert_eq!(event_of(&app, "m-1").summary.as_deref(), Some("Meeting"));
}

#[tokio::test]
async fn nobody_is_invited_or_mailed_and_every_write_says_so() {
    let app = start(OnCancel::Delete).await;
    for (minute, kind) in (0..).zip(["scheduled", "rescheduled", "canceled", "rescheduled"]) {
        deliver_and_settle(&app, &[telling(&format!("evt-{minute}"), kind, minute)]).await;
        let events = app.google().events(TEAM);
        assert!(events.iter().all(|event| event.raw.get("attendees").is_none()), "{events:?}");
    }
    assert_eq!(app.google().mails(), []);
    let calls = app.google().calls();
    let writes: Vec<_> = calls.iter().filter(|call| call.method.writes()).collect();
    assert!(writes.len() >= 5);
    assert!(writes.iter().all(|call| call.send_updates.as_deref() == Some("none")), "{writes:?}");
}

#[tokio::test]
async fn one_scope_is_asked_for_whatever_is_done() {
    let app = start(OnCancel::Delete).await;
    app.google().refuse_revive(true);
    let kinds = ["scheduled", "rescheduled", "canceled", "rescheduled", "canceled"];
    for (minute, kind) in (0..).zip(kinds) {
        app.google().revoke_tokens();
        deliver_and_settle(&app, &[event(&format!("evt-{minute}"), kind, "m-1", minute, hour(minute))]).await;
    }
    // A deletion that finds nothing looks whether the calendar is there at all.
    deliver_and_settle(&app, &[event("x", "scheduled", "m-2", 0, 9)]).await;
    let id = event_of(&app, "m-2").id;
    assert!(app.google().delete_by_hand(TEAM, &id) && app.google().purge(TEAM, &id));
    deliver_and_settle(&app, &[event("y", "canceled", "m-2", 1, 9)]).await;
    let requests = app.google().token_requests();
    assert!(requests.len() >= 5, "{requests:?}");
    for request in requests {
        assert_eq!(request.scopes, ["https://www.googleapis.com/auth/calendar.events"]);
        assert_eq!(request.subject, None);
    }
}

#[tokio::test]
async fn events_of_other_people_are_never_touched() {
    let app = start(OnCancel::Delete).await;
    let starts = "2026-11-24T09:00:00Z".parse().unwrap();
    let theirs = app.google().insert_foreign_event(TEAM, "Demo m-1", starts, starts + TimeDelta::minutes(30)).unwrap();
    let before = app.google().event(TEAM, &theirs).unwrap();
    for (minute, kind) in (0..).zip(["scheduled", "rescheduled", "canceled"]) {
        deliver_and_settle(&app, &[event(&format!("evt-{minute}"), kind, "m-1", minute, hour(minute))]).await;
        assert_eq!(app.google().event(TEAM, &theirs).unwrap(), before);
    }
    let calls = app.google().calls();
    assert!(calls.iter().all(|call| call.event.as_deref() != Some(theirs.as_str())));
}

#[tokio::test]
async fn calendar_ids_with_odd_characters_stay_in_their_place() {
    let odd = "we/ird/../team#c?x=1&y%2F+ü@group.calendar.example.com";
    let app = TestApp::start_with_google().await;
    app.google().add_calendar(odd, "Odd", Access::Writer);
    for decoy in ["we", "team", "weird"] {
        app.google().add_calendar(decoy, "Decoy", Access::Writer);
    }
    app.add_calendar(odd, Detail::Full, OnCancel::Delete).await;
    deliver_and_settle(&app, &[event("1", "scheduled", "m-1", 0, 9)]).await;
    assert_eq!(live(&app, odd).len(), 1);
    deliver_and_settle(&app, &[event("2", "rescheduled", "m-1", 1, 10)]).await;
    deliver_and_settle(&app, &[event("3", "canceled", "m-1", 2, 10)]).await;
    deliver_and_settle(&app, &[event("4", "rescheduled", "m-1", 3, 10)]).await;
    assert_eq!(live(&app, odd).len(), 1);
    let calls = app.google().calls();
    assert!(calls.iter().all(|call| call.calendar.as_deref() == Some(odd)), "{calls:?}");
}

#[tokio::test]
async fn a_poisoned_token_is_never_used_and_the_mirror_recovers() {
    let app = start(OnCancel::Delete).await;
    app.google().fail_token(TokenFault::Unavailable503Json, 5);
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    app.mirror().await;
    let (text, ..) = row(&app, "m-1").await.problem.unwrap();
    assert!(text.contains("token"), "{text}");
    app.settle().await;
    assert_eq!(event_of(&app, "m-1").summary.as_deref(), Some("Demo m-1"));

    // The same when a token that was good is refused and its successor is poisoned.
    app.google().revoke_tokens();
    app.google().fail_token(TokenFault::Unavailable503Json, 3);
    deliver_and_settle(&app, &[event("2", "rescheduled", "m-1", 1, 10)]).await;
    assert_eq!(app.google().faults_left(), 0);
    let calls = app.google().calls();
    assert!(calls.iter().all(|call| call.authorization), "{calls:?}");
    assert!(row(&app, "m-1").await.problem.is_none());
    assert!(app.now() - noon() < TimeDelta::minutes(5), "an endpoint that fails is no case for a person");
}

#[tokio::test]
async fn a_token_that_expired_is_renewed_once() {
    let app = start(OnCancel::Delete).await;
    deliver_and_settle(&app, &[event("1", "scheduled", "m-1", 0, 9)]).await;
    assert_eq!(app.google().token_requests().len(), 1);
    app.google().revoke_tokens();
    app.deliver_all(&[event("2", "rescheduled", "m-1", 1, 10)]).await;
    app.mirror().await;
    assert_eq!(app.google().token_requests().len(), 2);
    let statuses: Vec<_> = app.google().calls().iter().map(|call| call.status.unwrap()).collect();
    assert_eq!(statuses, [200, 401, 200]);
    assert!(row(&app, "m-1").await.problem.is_none());
}
