//! Credentials: a service account with and without a user to act for, a person's saved sign-in, and a file that changes
//! while the server runs.

use std::sync::Mutex;

use chrono::TimeDelta;
use meeting_mirror::meeting::selection::Detail;
use meeting_mirror::outbound::google::{LoginError, login};
use meeting_mirror::simulated_google::{AUTHORIZATION_CODE, SimulatedGoogle, TokenFault};
use meeting_mirror::store::{OnCancel, ProblemKind};
use serde_json::json;
use url::Url;

use crate::support::{TEAM, TestApp, event};

fn client_file(google: &SimulatedGoogle) -> String {
    json!({"installed": {
        "client_id": "client.apps.example.com",
        "client_secret": "not so secret",
        "auth_uri": "https://accounts.example.com/o/oauth2/auth",
        "token_uri": google.token_url(),
        "redirect_uris": ["http://localhost"],
    }})
    .to_string()
}

/// Plays the person: opens the link, agrees, and is sent back with `code`.
fn agree(code: &'static str) -> impl Fn(&str) + Send + Sync + 'static {
    let once = Mutex::new(());
    move |link: &str| {
        let _once = once.lock().unwrap();
        let link = Url::parse(link).unwrap();
        let of = |name: &str| link.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        assert_eq!(of("scope").as_deref(), Some("https://www.googleapis.com/auth/calendar.events"));
        assert_eq!((of("access_type").as_deref(), of("prompt").as_deref()), (Some("offline"), Some("consent")));
        let mut keys: Vec<_> = link.query_pairs().map(|(key, _)| key.into_owned()).collect();
        keys.sort();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "a key twice is refused: {link}");
        let back = format!("{}/?code={code}", of("redirect_uri").unwrap());
        tokio::spawn(async move { reqwest::get(back).await.unwrap() });
    }
}

#[tokio::test]
async fn a_person_signs_in_and_the_service_mirrors_in_their_name() {
    let app = TestApp::start_with_google().await;
    let google = app.google.as_ref().unwrap();
    let client = app.dir.path().join("client.json");
    std::fs::write(&client, client_file(google)).unwrap();
    // The key file is replaced by the sign-in while the server runs.
    let credentials = app.dir.path().join("google-key.json");
    login(&client, "ada@example.com", &credentials, agree(AUTHORIZATION_CODE)).await.unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&credentials).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    google.clear_calls();

    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    app.deliver(&event("e-1", "scheduled", "m-1", 1, 9)).await;
    app.settle().await;
    assert_eq!(app.mirrored(TEAM).len(), 1);
    let grants: Vec<String> = google.token_requests().into_iter().map(|request| request.grant).collect();
    assert_eq!(grants, ["refresh_token"]);

    // The sign-in is withdrawn: nothing blocks, and a person is told what to do.
    google.revoke_tokens();
    google.fail_token(TokenFault::InvalidGrant, 1000);
    app.deliver(&event("e-2", "rescheduled", "m-1", 2, 10)).await;
    app.apply().await;
    app.mirror().await;
    let problem = app.store.calendars().await.unwrap().remove(0).problem.unwrap();
    assert!(problem.contains("meeting-mirror google login"), "{problem}");
    assert!(problem.contains("ada@example.com"), "{problem}");
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_for_a_moment_does_not_end_a_sign_in() {
    for fault in [TokenFault::Unavailable503Html, TokenFault::Unavailable503Json] {
        let app = TestApp::start_with_google().await;
        let google = app.google.as_ref().unwrap();
        let client = app.dir.path().join("client.json");
        std::fs::write(&client, client_file(google)).unwrap();
        let credentials = app.dir.path().join("google-key.json");
        login(&client, "ada@example.com", &credentials, agree(AUTHORIZATION_CODE)).await.unwrap();
        app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
        for (minute, hour) in [(1, 9), (2, 10)] {
            google.revoke_tokens();
            // Two calls, each of which would renew the token.
            google.fail_token(fault, 2);
            let began = app.now();
            app.deliver(&event(&format!("e-{minute}"), "rescheduled", "m-1", minute, hour)).await;
            app.apply().await;
            app.mirror().await;
            let (problem, kind, _) = app.store.mirror_rows("m-1").await.unwrap().remove(0).problem.unwrap();
            assert!(kind == ProblemKind::Retry && problem.contains("503"), "{problem}");
            assert_eq!(app.store.calendars().await.unwrap()[0].problem, None, "no case for a person");
            app.settle().await;
            assert!(app.now() - began < TimeDelta::minutes(1), "{fault:?} held the mirror up");
            assert_eq!(app.mirrored(TEAM).len(), 1);
            assert_eq!(google.faults_left(), 0);
        }
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_not_sooner() {
    let app = TestApp::start_with_google().await;
    let google = app.google.as_ref().unwrap();
    let client = app.dir.path().join("client.json");
    std::fs::write(&client, client_file(google)).unwrap();
    let credentials = app.dir.path().join("google-key.json");
    login(&client, "ada@example.com", &credentials, agree(AUTHORIZATION_CODE)).await.unwrap();
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    google.clear_calls();
    for (step, minutes, requests) in [(1, 0, 1), (2, 50, 1), (3, 9, 2), (4, 1, 2)] {
        app.clock.advance(TimeDelta::minutes(minutes));
        app.deliver(&event(&format!("e-{step}"), "rescheduled", "m-1", step, 8 + u32::try_from(step).unwrap())).await;
        app.settle().await;
        assert_eq!(google.token_requests().len(), requests, "step {step}");
    }
    assert_eq!(google.call_count(), 4, "no call was refused for its token");
}

#[tokio::test]
async fn a_sign_in_that_is_refused_saves_nothing() {
    let app = TestApp::start_with_google().await;
    let (client, saved) = (app.dir.path().join("client.json"), app.dir.path().join("saved.json"));
    std::fs::write(&client, client_file(app.google.as_ref().unwrap())).unwrap();
    let refused = login(&client, "ada@example.com", &saved, agree("another code")).await;
    assert!(matches!(refused, Err(LoginError::Refused(_))), "{refused:?}");
    assert!(!saved.exists());
    std::fs::write(&client, "{}").unwrap();
    let refused = login(&client, "ada@example.com", &saved, agree(AUTHORIZATION_CODE)).await.unwrap_err();
    assert!(refused.to_string().contains("type Desktop app"), "{refused}");
}

#[tokio::test]
async fn a_changed_credentials_file_is_read_again_and_a_damaged_one_is_not_used() {
    let app = TestApp::start_with_google().await;
    let google = app.google.as_ref().unwrap();
    let credentials = app.dir.path().join("google-key.json");
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    app.deliver(&event("e-1", "scheduled", "m-1", 1, 9)).await;
    google.fail_token(TokenFault::InvalidGrant, 1);
    app.apply().await;
    app.mirror().await;
    assert!(app.store.calendars().await.unwrap()[0].problem.is_some());

    // A new key: tried at once, not after the pause for a person.
    let key = google.credentials().unwrap();
    std::fs::write(&credentials, format!("{key}\n\n")).unwrap();
    app.mirror().await;
    assert_eq!(app.mirrored(TEAM).len(), 1);
    assert_eq!(app.store.calendars().await.unwrap()[0].problem, None);

    std::fs::write(&credentials, "half a fi").unwrap();
    app.deliver(&event("e-2", "rescheduled", "m-1", 2, 10)).await;
    app.settle().await;
    assert_eq!(app.store.next_mirror_due().await.unwrap(), None, "the old credentials go on");
}
