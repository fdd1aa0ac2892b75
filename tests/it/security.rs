//! What keeps strangers out: headers and cookies of real answers, forms that other sites send, and texts of others that try to
//! break out of where they are shown.

mod hostile;
pub(crate) mod page;

use std::path::Path;

use meeting_mirror::config::Secret;
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::store::OnCancel;
use reqwest::{Response, StatusCode};
use url::Url;

use crate::support::{PASSWORD, TestApp, event};

/// Every route that takes a POST, with 1 for each parameter, as the pages' sources name them.
fn post_routes() -> Vec<String> {
    let (mut routes, mut folders) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/views")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("views/testing") {
                folders.push(path);
                continue;
            }
            if path.is_dir() || path.ends_with("views/testing.rs") || path.ends_with("tests.rs") {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let source = source.split("#[cfg(test)]").next().unwrap();
            let calls = source.split(".route(").skip(1).map(|rest| rest.split("\n        .").next().unwrap());
            let posts: Vec<&str> = calls.filter(|call| call.contains("post(")).collect();
            let said = source.lines().filter(|line| !line.contains("fn ")).map(|line| line.matches("post(").count());
            assert_eq!(said.sum::<usize>(), posts.len(), "{}: a POST route is not understood", path.display());
            for post in posts {
                let route = post.split('"').nth(1).unwrap();
                let parts = route.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
                routes.push(parts.collect::<Vec<_>>().join("/"));
            }
        }
    }
    routes.sort();
    routes
}

/// Fields that some form has, so that only the token is missing; the others don't mind them.
const FIELDS: [(&str, &str); 10] = [
    ("events", "keep"),
    ("id", "m-1"),
    ("password", PASSWORD),
    ("next", "/status"),
    ("change", "1"),
    ("old", PASSWORD),
    ("new", "another password for tests"),
    ("again", "another password for tests"),
    ("name", "Sales"),
    ("count", "1"),
];

#[tokio::test]
async fn no_form_is_taken_without_its_token_or_without_a_session() {
    let app = TestApp::start().await;
    app.add_calendar("team@group.calendar.example.com", Detail::Full, OnCancel::Delete).await;
    app.add_feed("Sales", Selection::default(), Detail::Full).await;
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 0, 9)]).await;
    app.sign_in().await;
    let entries = async || app.store.audit_newest(100).await.unwrap().len();
    let before = entries().await;
    let stranger = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let routes = post_routes();
    for known in [
        "/login",
        "/logout",
        "/password",
        "/feeds/new",
        "/feeds/1/edit",
        "/feeds/1/rotate",
        "/feeds/1/revoke",
        "/feeds/personal",
        "/calendars/1/approve",
        "/inbox/1/replay",
        "/inbox/1/ignore",
        "/inbox/ignore",
    ] {
        assert!(routes.iter().any(|route| route == known), "{known} is not among {routes:?}");
    }
    for route in routes {
        let post = async |client: &reqwest::Client, token: &str| -> Response {
            let fields: Vec<(&str, &str)> = FIELDS.into_iter().chain([("token", token)]).collect();
            client.post(app.url(&route)).form(&fields).send().await.unwrap()
        };
        for token in ["", "AAAA"] {
            assert_eq!(post(&app.http, token).await.status(), StatusCode::FORBIDDEN, "{route} with token {token:?}");
        }
        let status = app.http.post(app.url(&route)).form(&FIELDS).send().await.unwrap().status();
        assert!(matches!(status.as_u16(), 400 | 403), "{route} without the field: {status}");
        if route != "/login" {
            let answer = post(&stranger, "").await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{route} without a session");
            assert!(answer.headers()["location"].to_str().unwrap().starts_with("/login"), "{route}");
        }
    }
    assert_eq!(entries().await, before, "something was done");
    assert!(app.page("/status").await.contains("Sign out"), "the session was ended");
}

#[tokio::test]
async fn a_token_of_one_browser_is_worth_nothing_in_another() {
    let app = TestApp::start().await;
    app.sign_in().await;
    let token = page::form_token(&app.page("/status").await);
    let other =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).cookie_store(true).build().unwrap();
    let form = other.get(app.url("/login")).send().await.unwrap().text().await.unwrap();
    let fields = [("token", &*page::form_token(&form)), ("password", PASSWORD), ("next", "/status")];
    assert_eq!(other.post(app.url("/login")).form(&fields).send().await.unwrap().status(), 303);
    let answer = other.post(app.url("/logout")).form(&[("token", &token)]).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

fn assert_guarded(answer: &Response, https: bool) {
    let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap());
    let path = answer.url().path();
    assert_eq!(header("content-security-policy"), POLICY, "{path}");
    assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
    assert_eq!(header("strict-transport-security"), if https { "max-age=31536000" } else { "" }, "{path}");
    for cookie in answer.headers().get_all("set-cookie") {
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite="), "{cookie}");
        assert_eq!(cookie.contains("; Secure"), https, "{cookie}");
        // Browsers take such a cookie from no other host, and only with these.
        assert_eq!(cookie.starts_with("__Host-"), https, "{cookie}");
        assert!(cookie.contains("; Path=/") && !cookie.contains("; Domain"), "{cookie}");
    }
}

#[tokio::test]
async fn every_answer_says_what_browsers_must_not_do_and_cookies_keep_to_https() {
    for https in [true, false] {
        let scheme = if https { "https" } else { "http" };
        let app = TestApp::start_with(|settings| {
            settings.public_url = Some(Url::parse(&format!("{scheme}://mirror.example.com")).unwrap());
            settings.admin_password = Some(Secret::new(PASSWORD));
        })
        .await;
        let feed = app.add_feed("Sales", Selection::default(), Detail::Full).await;
        let token = app.site.links.token(&feed);
        let style = page::elements(&app.page("/login").await)
            .into_iter()
            .find_map(|element| {
                element.name.eq("link").then(|| element.value("href").to_owned()).filter(|href| href.contains(".css"))
            })
            .unwrap();
        let paths = [
            "/",
            "/status",
            "/login",
            "/password",
            "/feeds/personal.csv",
            "/nowhere",
            "/livez",
            "/readyz",
            "/metrics",
            "/robots.txt",
            "/subscribe/nothing",
            "/feeds/nothing.ics",
            "/webhooks/cirrus-insight",
            &style,
            &format!("/feeds/{token}.ics"),
            &format!("/subscribe/{token}"),
        ];
        for path in paths {
            assert_guarded(&app.http.get(app.url(path)).send().await.unwrap(), https);
        }
        // The client keeps Secure cookies from a server that has no TLS, so they are handed on by hand.
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let form = client.get(app.url("/login")).send().await.unwrap();
        let cookies = page::cookies(&form);
        assert_eq!(cookies.matches("meeting-mirror-form").count(), 1, "{cookies}");
        let token = page::form_token(&form.text().await.unwrap());
        let fields = [("token", &*token), ("password", PASSWORD), ("next", "/status")];
        let answer = client.post(app.url("/login")).header("cookie", &cookies).form(&fields).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        assert_guarded(&answer, https);
        let session = page::cookies(&answer);
        assert!(session.contains("meeting-mirror-session="), "{session}");
        let answer =
            client.get(app.url("/status")).header("cookie", format!("{cookies}; {session}")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_guarded(&answer, https);
    }
}
