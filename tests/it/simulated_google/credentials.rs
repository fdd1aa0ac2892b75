//! The token endpoint, access tokens and scopes.

use std::time::Duration;

use chrono::TimeDelta;
use meeting_mirror::simulated_google::{REFRESH_TOKEN, SimulatedGoogleConfig, TokenFault, TokenRequest};
use serde_json::{Value, json};

use super::{EVENTS_SCOPE, FULL_SCOPE, Setup, TEAM, events_path, meeting};

fn error(reply: &super::Reply) -> (u16, &str) {
    (reply.status, reply.body["error"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_service_account_gets_a_token_for_its_scopes_and_subject() {
    let setup = Setup::with(SimulatedGoogleConfig::new, EVENTS_SCOPE, Some("admin@example.com")).await;
    let mut claims = setup.claims();
    claims["sub"] = "ada@example.com".into();
    let reply = setup.ask_token(&setup.assertion(&claims)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body["token_type"], "Bearer");
    assert_eq!(reply.body["expires_in"], 3599);
    assert_eq!(
        setup.google.token_requests(),
        [TokenRequest {
            grant: "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned(),
            subject: Some("ada@example.com".to_owned()),
            scopes: vec![FULL_SCOPE.to_owned()],
            status: 200,
        }]
    );
}

#[tokio::test]
async fn an_assertion_that_is_not_right_is_refused() {
    let setup = Setup::new().await;
    let now = setup.clock.now().timestamp();
    let cases = [
        (json!({ "iss": "someone@else.example.com" }), "invalid_grant"),
        (json!({ "aud": "https://oauth2.example.com/token" }), "invalid_grant"),
        (json!({ "exp": now + 3601 }), "invalid_grant"),
        (json!({ "exp": now - 1 }), "invalid_grant"),
        (json!({ "iat": now - 3700, "exp": now - 100 }), "invalid_grant"),
        (json!({ "iat": now + 301, "exp": now + 3000 }), "invalid_grant"),
        (json!({ "iat": "soon" }), "invalid_grant"),
        (json!({ "scope": "https://www.googleapis.com/auth/drive" }), "invalid_scope"),
        (json!({ "scope": "https://www.googleapis.com/auth/calendarish" }), "invalid_scope"),
    ];
    for (change, expected) in cases {
        let mut claims = setup.claims();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let reply = setup.ask_token(&setup.assertion(&claims)).await;
        assert_eq!(error(&reply), (400, expected), "{change}");
    }
    let statuses: Vec<u16> = setup.google.token_requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [400; 9]);
}

#[tokio::test]
async fn a_signature_must_be_rs256_of_the_test_key() {
    let setup = Setup::new().await;
    let good = setup.assertion(&setup.claims());
    let mut other = setup.claims();
    other["sub"] = "boss@example.com".into();
    let other = setup.assertion(&other);
    let (claims_of_other, _) = other.rsplit_once('.').unwrap();
    let (_, signature) = good.rsplit_once('.').unwrap();
    let without_algorithm =
        format!("{}.{}", data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#), good.split_once('.').unwrap().1);
    let moved = format!("{claims_of_other}.{signature}");
    for bad in [moved.as_str(), &without_algorithm, "", "a.b", "a.b.c", "é.é.é"] {
        assert_eq!(error(&setup.ask_token(bad).await), (400, "invalid_grant"), "{bad}");
    }
}

#[tokio::test]
async fn padded_base64_is_accepted_because_yup_oauth2_sends_it() {
    let setup = Setup::new().await;
    let assertion = setup.assertion(&setup.claims());
    assert_eq!(setup.ask_token(&format!("{assertion}==")).await.status, 200);
}

#[tokio::test]
async fn a_manual_clock_frees_tokens_from_time_but_not_from_their_length() {
    let setup = Setup::with(SimulatedGoogleConfig::with_manual_clock, FULL_SCOPE, None).await;
    let mut claims = setup.claims();
    claims["iat"] = 0.into();
    claims["exp"] = 3600.into();
    assert_eq!(setup.ask_token(&setup.assertion(&claims)).await.status, 200);
    claims["exp"] = 3601.into();
    assert_eq!(setup.ask_token(&setup.assertion(&claims)).await.status, 400);
    setup.clock.advance(TimeDelta::days(400));
    assert_eq!(setup.get(&events_path("")).await.status, 200);
}

#[tokio::test]
async fn other_grants() {
    let setup = Setup::new().await;
    let refresh = |token, client| {
        [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client), ("client_secret", "any")]
    };
    let good = setup.token_form(&refresh(REFRESH_TOKEN, "any")).await;
    assert_eq!(good.status, 200);
    assert!(good.body["access_token"].is_string());
    let bad = setup.token_form(&refresh("stolen", "any")).await;
    assert_eq!(error(&bad), (400, "invalid_grant"));
    let nobody = setup.token_form(&refresh(REFRESH_TOKEN, "")).await;
    assert_eq!(error(&nobody), (400, "invalid_client"));
    let unknown = setup.token_form(&[("grant_type", "password")]).await;
    assert_eq!(error(&unknown), (400, "unsupported_grant_type"));
    let request = setup.http.post(setup.google.token_url()).json(&json!({}));
    let no_form = super::read(request.send().await.unwrap()).await;
    assert_eq!(error(&no_form), (400, "unsupported_grant_type"));
}

#[tokio::test]
async fn a_call_needs_a_token_that_counts() {
    let mut setup = Setup::new().await;
    let url = format!("{}{}", setup.google.api_url(), events_path(""));
    let bare = super::read(setup.http.get(&url).send().await.unwrap()).await;
    assert_eq!(bare.verdict(), (401, "authError"));
    assert_eq!(bare.body["error"]["code"], 401);
    assert_eq!(bare.body["error"]["status"], "UNAUTHENTICATED");
    assert_eq!(bare.body["error"]["errors"][0]["domain"], "global");

    let good = std::mem::replace(&mut setup.token, "invented".to_owned());
    assert_eq!(setup.get(&events_path("")).await.status, 401);
    let seen: Vec<(bool, Option<u16>)> =
        setup.google.calls().iter().map(|call| (call.authorization, call.status)).collect();
    assert_eq!(seen, [(false, Some(401)), (true, Some(401))]);

    setup.token = good;
    assert_eq!(setup.get(&events_path("")).await.status, 200);
    setup.google.revoke_tokens();
    assert_eq!(setup.get(&events_path("")).await.status, 401);
    setup.token = setup.new_token(&setup.claims()).await;
    assert_eq!(setup.get(&events_path("")).await.status, 200);
}

#[tokio::test]
async fn a_token_lasts_an_hour_and_only_here() {
    let setup = Setup::new().await;
    setup.clock.advance(TimeDelta::minutes(59));
    assert_eq!(setup.get(&events_path("")).await.status, 200);
    setup.clock.advance(TimeDelta::minutes(1));
    assert_eq!(setup.get(&events_path("")).await.status, 401);

    let mut other = Setup::new().await;
    other.token = Setup::new().await.token;
    assert_eq!(other.get(&events_path("")).await.status, 401);
}

#[tokio::test]
async fn each_method_needs_its_scope() {
    let events = Setup::with(SimulatedGoogleConfig::new, EVENTS_SCOPE, None).await;
    assert_eq!(events.insert(&meeting("aaaaa")).await.status, 200);
    assert_eq!(events.get(&events_path("")).await.status, 200);
    for path in [format!("calendars/{TEAM}"), format!("users/me/calendarList/{TEAM}")] {
        let reply = events.get(&path).await;
        assert_eq!(reply.verdict(), (403, "insufficientPermissions"), "{path}");
    }

    let readonly = "https://www.googleapis.com/auth/calendar.readonly";
    let reader = Setup::with(SimulatedGoogleConfig::new, readonly, None).await;
    assert_eq!(reader.get(&format!("calendars/{TEAM}")).await.status, 200);
    assert_eq!(reader.get(&events_path("")).await.status, 200);
    let refused = reader.insert(&meeting("aaaaa")).await;
    assert_eq!(refused.verdict(), (403, "insufficientPermissions"));
}

#[tokio::test]
async fn token_faults() {
    let setup = Setup::new().await;
    let assertion = setup.assertion(&setup.claims());
    setup.google.fail_token(TokenFault::Unavailable503Json, 1);
    setup.google.fail_token(TokenFault::Unavailable503Html, 1);
    setup.google.fail_token(TokenFault::InvalidGrant, 2);
    setup.google.fail_token(TokenFault::Slow(Duration::from_millis(1)), 1);
    assert_eq!(setup.google.faults_left(), 5);

    let json = setup.ask_token(&assertion).await;
    assert_eq!(json.status, 503);
    assert!(json.body["error"].is_object(), "{json:?}");
    let html = setup.ask_token(&assertion).await;
    assert!(html.status == 503 && matches!(html.body, Value::String(_)), "{html:?}");
    for _ in 0..2 {
        assert_eq!(error(&setup.ask_token(&assertion).await), (400, "invalid_grant"));
    }
    assert_eq!(setup.ask_token(&assertion).await.status, 200);
    assert_eq!(setup.ask_token(&assertion).await.status, 200);
    assert_eq!(setup.google.faults_left(), 0);
    let statuses: Vec<u16> = setup.google.token_requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [503, 503, 400, 400, 200, 200]);
}
