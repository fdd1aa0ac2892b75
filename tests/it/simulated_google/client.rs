//! The client libraries that the service uses, google-calendar3 and yup-oauth2, against the simulation: what
//! was found out about them before holds here, too.

use google_calendar3::CalendarHub;
use google_calendar3::api::{Event, EventDateTime, Scope};
use google_calendar3::common::Error;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use meeting_mirror::simulated_google::{Access, Fault, SimulatedGoogleConfig, TokenFault};
use serde_json::{Value, json};
use yup_oauth2::ServiceAccountAuthenticator;
use yup_oauth2::authenticator::Authenticator;

use super::{FULL_SCOPE, Setup, TEAM, at};

async fn authenticator(setup: &Setup, subject: Option<&str>) -> Authenticator<HttpConnector> {
    let key = yup_oauth2::parse_service_account_key(setup.google.credentials().unwrap()).unwrap();
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let client = yup_oauth2::CustomHyperClientBuilder::from(client);
    let mut builder = ServiceAccountAuthenticator::with_client(key, client);
    if let Some(subject) = subject {
        builder = builder.subject(subject);
    }
    builder.build().await.unwrap()
}

/// yup-oauth2 reads the system's clock, so tokens are freed from the test's.
async fn setup() -> (Setup, CalendarHub<HttpConnector>) {
    let setup = Setup::with(SimulatedGoogleConfig::with_manual_clock, FULL_SCOPE, None).await;
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let mut hub = CalendarHub::new(client, authenticator(&setup, None).await);
    hub.base_url(setup.google.api_url());
    (setup, hub)
}

fn event(id: &str, summary: &str) -> Event {
    let time = |text| Some(EventDateTime { date_time: Some(at(text)), ..EventDateTime::default() });
    Event {
        id: Some(id.to_owned()),
        summary: Some(summary.to_owned()),
        start: time("2026-03-03T10:00:00Z"),
        end: time("2026-03-03T10:30:00Z"),
        ..Event::default()
    }
}

/// Code and reason of an error with a JSON body.
fn verdict<T>(result: Result<T, Error>) -> (u64, String) {
    match result {
        Err(Error::BadRequest(body)) => {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let error = &body["error"];
            (error["code"].as_u64().unwrap(), text(&error["errors"][0]["reason"]))
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("no error"),
    }
}

#[tokio::test]
async fn an_event_lives_and_dies_through_the_client() {
    let (setup, hub) = setup().await;
    let insert = || {
        let call = hub.events().insert(event("abcde", "First"), TEAM);
        call.send_updates("none").add_scope(Scope::Event).doit()
    };
    let (_, inserted) = insert().await.unwrap();
    assert_eq!((inserted.sequence, inserted.status.as_deref()), (Some(0), Some("confirmed")));
    assert_eq!(verdict(insert().await), (409, "duplicate".to_owned()));

    let mut body = event("abcde", "Second");
    body.sequence = Some(1);
    let update = |body| {
        let call = hub.events().update(body, TEAM, "abcde");
        call.send_updates("none").add_scope(Scope::Event).doit()
    };
    assert_eq!(update(body.clone()).await.unwrap().1.sequence, Some(1));
    assert_eq!(verdict(update(event("abcde", "Third")).await), (400, "invalid".to_owned()));
    let patch = hub.events().patch(Event { location: Some("Room".to_owned()), ..Event::default() }, TEAM, "abcde");
    let patched = patch.send_updates("none").add_scope(Scope::Event).doit().await.unwrap().1;
    assert_eq!((patched.summary.as_deref(), patched.location.as_deref()), (Some("Second"), Some("Room")));

    let delete = || {
        let call = hub.events().delete(TEAM, "abcde");
        call.send_updates("none").add_scope(Scope::Event).doit()
    };
    delete().await.unwrap();
    assert_eq!(verdict(delete().await), (410, "deleted".to_owned()));
    let got = hub.events().get(TEAM, "abcde").add_scope(Scope::Event).doit().await.unwrap().1;
    assert_eq!(got.status.as_deref(), Some("cancelled"));
    body.status = Some("confirmed".to_owned());
    assert_eq!(update(body).await.unwrap().1.status.as_deref(), Some("confirmed"));

    let list = hub.events().list(TEAM).max_results(2500).show_deleted(true).single_events(true);
    let list = list.add_private_extended_property("a=b").add_scope(Scope::Event).doit().await.unwrap().1;
    assert_eq!(list.items.map(|items| items.len()), Some(0));
    let calendar = hub.calendars().get(TEAM).add_scope(Scope::Full).doit().await.unwrap().1;
    assert_eq!(calendar.summary.as_deref(), Some("Sales team"));
    let entry = hub.calendar_list().get(TEAM).add_scope(Scope::Full).doit().await.unwrap().1;
    assert_eq!(entry.access_role.as_deref(), Some("writer"));
    assert_eq!(setup.google.mails(), []);
}

#[tokio::test]
async fn path_parameters_go_out_raw_and_must_be_encoded_by_the_caller() {
    let (setup, hub) = setup().await;
    setup.google.add_calendar("team#1/x@example.com", "Odd", Access::Writer);
    let raw = hub.events().insert(event("abcde", "x"), "team#1/x@example.com");
    raw.add_scope(Scope::Event).doit().await.unwrap_err();
    let encoded = hub.events().insert(event("abcde", "x"), "team%231%2Fx%40example.com");
    encoded.add_scope(Scope::Event).doit().await.unwrap();
    assert_eq!(setup.google.events("team#1/x@example.com").len(), 1);
}

#[tokio::test]
async fn a_html_answer_is_a_failure_and_a_lost_one_an_http_error() {
    let (setup, hub) = setup().await;
    let get = || hub.events().get(TEAM, "abcde").add_scope(Scope::Event).doit();
    setup.google.fail_next(Fault::Unavailable503Html);
    let failure = get().await;
    assert!(matches!(&failure, Err(Error::Failure(response)) if response.status() == 503), "{failure:?}");
    for fault in [Fault::LostAnswer, Fault::ResetBefore] {
        setup.google.fail_next(fault);
        let lost = get().await;
        assert!(matches!(lost, Err(Error::HttpError(_))), "{fault:?}: {lost:?}");
    }
    setup.google.fail_next(Fault::Forbidden { reason: "quotaExceeded" });
    assert_eq!(verdict(get().await), (403, "quotaExceeded".to_owned()));
    assert_eq!(setup.google.call_count(), 4, "nothing is tried again behind the caller's back");
}

#[tokio::test]
async fn yup_oauth2_impersonates_and_refreshes() {
    let setup = Setup::with(SimulatedGoogleConfig::with_manual_clock, FULL_SCOPE, None).await;
    let auth = authenticator(&setup, Some("ada@example.com")).await;
    let first = auth.token(&[FULL_SCOPE]).await.unwrap();
    assert_eq!(auth.token(&[FULL_SCOPE]).await.unwrap().token(), first.token());
    let second = auth.force_refreshed_token(&[FULL_SCOPE]).await.unwrap();
    assert_ne!(first.token(), second.token());
    let subjects: Vec<_> =
        setup.google.token_requests().into_iter().map(|request| (request.subject, request.status)).collect();
    let ada = (Some("ada@example.com".to_owned()), 200);
    assert_eq!(subjects, [ada.clone(), ada]);

    setup.google.fail_token(TokenFault::InvalidGrant, 1);
    let refused = auth.force_refreshed_token(&[FULL_SCOPE]).await.unwrap_err();
    assert!(refused.to_string().contains("invalid_grant"), "{refused}");
}

#[tokio::test]
async fn an_answer_that_is_no_oauth_poisons_the_token_of_yup_oauth2() {
    let (setup, hub) = setup().await;
    setup.google.fail_token(TokenFault::Unavailable503Json, 1);
    let list = || hub.events().list(TEAM).add_scope(Scope::Full).doit();
    for _ in 0..2 {
        assert_eq!(verdict(list().await), (401, "authError".to_owned()));
    }
    let calls = setup.google.calls();
    assert!(calls.iter().all(|call| !call.authorization), "{calls:?}");
    assert_eq!(setup.google.token_requests().len(), 1, "the bad answer is kept");

    let auth = authenticator(&setup, None).await;
    setup.google.fail_token(TokenFault::Unavailable503Json, 1);
    assert_eq!(auth.token(&[FULL_SCOPE]).await.unwrap().token(), None);
    assert!(auth.force_refreshed_token(&[FULL_SCOPE]).await.unwrap().token().is_some());
    setup.google.fail_token(TokenFault::Unavailable503Html, 1);
    assert!(auth.force_refreshed_token(&[FULL_SCOPE]).await.is_err());
}

#[tokio::test]
async fn the_key_of_another_simulation_is_no_use_here() {
    let (setup, _) = setup().await;
    let elsewhere = Setup::new().await;
    let mut key: Value = serde_json::from_str(&elsewhere.google.credentials().unwrap()).unwrap();
    let mut claims = setup.claims();
    claims["aud"] = key["token_uri"].take();
    let reply = setup.ask_token(&setup.assertion(&claims)).await;
    assert_eq!((reply.status, &reply.body["error"]), (400, &json!("invalid_grant")));
}
