//! Who may do what, and who would get mail.

use meeting_mirror::simulated_google::{Access, ApiMethod, Mail, REFRESH_TOKEN, SimulatedGoogleConfig};
use serde_json::json;

use super::{FULL_SCOPE, Setup, TEAM, events_path, meeting, meeting_with};

#[tokio::test]
async fn a_service_account_by_itself_cannot_invite() {
    let setup = Setup::new().await;
    let guests = json!({ "attendees": [{ "email": "guest@example.com" }] });
    let refused = setup.insert(&meeting_with("abcde", guests.clone())).await;
    assert_eq!(refused.verdict(), (403, "forbiddenForServiceAccounts"));
    assert_eq!(setup.google.events(TEAM), []);
    setup.insert(&meeting_with("abcde", json!({ "attendees": [] }))).await;
    assert_eq!(setup.put("abcde", &meeting_with("x", guests.clone())).await.status, 403);
    assert_eq!(setup.patch("abcde", &guests).await.status, 403);
    assert_eq!(setup.google.mails(), []);
}

#[tokio::test]
async fn every_mail_google_would_send_is_recorded() {
    let impersonating = Setup::with(SimulatedGoogleConfig::new, FULL_SCOPE, Some("boss@example.com")).await;
    let mut person = Setup::new().await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", REFRESH_TOKEN), ("client_id", "x")];
    let token = person.token_form(&form).await.body["access_token"].clone();
    person.token = token.as_str().unwrap().to_owned();

    for setup in [impersonating, person] {
        let body = meeting_with("abcde", json!({ "attendees": [{ "email": "guest@example.com" }] }));
        let silent = events_path("?sendUpdates=none");
        assert_eq!(setup.call("POST", &silent, Some(&body)).await.status, 200);
        assert_eq!(setup.delete("abcde").await.status, 204);
        assert_eq!(setup.put("abcde", &body).await.status, 200);
        assert_eq!(setup.google.mails(), []);

        let loud = events_path("/abcde?sendUpdates=all");
        setup.call("PUT", &loud, Some(&body)).await;
        let unsaid = events_path("/abcde");
        setup.call("PATCH", &unsaid, Some(&json!({ "summary": "moved" }))).await;
        setup.call("DELETE", &events_path("/abcde?sendUpdates=externalOnly"), None).await;
        setup.insert(&meeting_with("fghij", json!({ "attendees": body["attendees"] }))).await;
        setup.insert(&meeting("klmno")).await;
        let causes: Vec<(String, ApiMethod)> =
            setup.google.mails().into_iter().map(|mail| (mail.event, mail.cause)).collect();
        let expected = [
            ("abcde".to_owned(), ApiMethod::EventsUpdate),
            ("abcde".to_owned(), ApiMethod::EventsPatch),
            ("abcde".to_owned(), ApiMethod::EventsDelete),
            ("fghij".to_owned(), ApiMethod::EventsInsert),
        ];
        assert_eq!(causes, expected);
        let first = Mail {
            calendar: TEAM.to_owned(),
            event: "abcde".to_owned(),
            cause: ApiMethod::EventsUpdate,
            to: vec!["guest@example.com".to_owned()],
        };
        assert_eq!(setup.google.mails().first(), Some(&first));
    }
}

#[tokio::test]
async fn sharing_decides_what_works() {
    let setup = Setup::new().await;
    setup.insert(&meeting("abcde")).await;
    let calendar = format!("calendars/{TEAM}");
    let entry = format!("users/me/calendarList/{TEAM}");
    assert_eq!(setup.get(&calendar).await.body["summary"], "Sales team");
    assert_eq!(setup.get(&entry).await.body["accessRole"], "writer");
    assert!(setup.google.set_listed(TEAM, false));
    assert_eq!(setup.get(&entry).await.verdict(), (404, "notFound"));
    assert!(setup.google.set_listed(TEAM, true));

    assert!(setup.google.set_access(TEAM, Access::Reader));
    assert_eq!(setup.get(&entry).await.body["accessRole"], "reader");
    assert_eq!(setup.get(&events_path("/abcde")).await.status, 200);
    assert_eq!(setup.get(&events_path("")).await.body["accessRole"], "reader");
    for reply in [
        setup.insert(&meeting("fghij")).await,
        setup.put("abcde", &meeting("abcde")).await,
        setup.patch("abcde", &json!({})).await,
        setup.delete("abcde").await,
    ] {
        assert_eq!(reply.verdict(), (403, "requiredAccessLevel"));
    }

    assert!(setup.google.set_access(TEAM, Access::NotShared));
    for reply in [
        setup.insert(&meeting("fghij")).await,
        setup.put("abcde", &meeting("abcde")).await,
        setup.patch("abcde", &json!({})).await,
        setup.delete("abcde").await,
        setup.get(&events_path("/abcde")).await,
        setup.get(&events_path("")).await,
        setup.get(&calendar).await,
        setup.get(&entry).await,
        setup.get("calendars/unknown@example.com").await,
    ] {
        assert_eq!(reply.verdict(), (404, "notFound"));
    }
    assert!(!setup.google.set_access("unknown@example.com", Access::Writer));
}
