//! What a visitor does on a stage, and what comes back.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::Stage;
use crate::views::{self, FeedCache};

/// Somebody with a browser.
pub(in crate::views) struct Visitor {
    router: Router,
    feeds: FeedCache,
    cookies: BTreeMap<String, String>,
}

impl Visitor {
    /// Who comes to the stage for the first time.
    pub(super) fn new(stage: &Stage) -> Self {
        let feeds = FeedCache::new(stage.site.clone(), std::sync::Arc::default());
        Self { router: views::router(&feeds), feeds, cookies: BTreeMap::new() }
    }

    pub(in crate::views) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    pub(in crate::views) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::builder().method(Method::POST).uri(path);
        self.send(request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded"), Body::from(body)).await
    }

    /// Opens a form and sends it with these fields, changed as given.
    pub(in crate::views) async fn fill(
        &mut self,
        path: &str,
        usual: &[(&str, &str)],
        changes: &[(&str, &str)],
    ) -> Answer {
        let page = self.get(path).await;
        let (token, seen) = (page.form_token(), page.hidden("seen").unwrap_or_default());
        let mut fields = vec![("token", token.as_str()), ("seen", seen.as_str())];
        for (name, value) in usual {
            let other = changes.iter().find(|(field, _)| field == name);
            fields.push(*other.unwrap_or(&(*name, *value)));
        }
        self.post(path, &fields).await
    }

    /// The value of a cookie; empty when there is none.
    pub(in crate::views) fn cookie(&self, name: &str) -> &str {
        self.cookies.get(name).map_or("", String::as_str)
    }

    /// Puts a cookie into the browser.
    pub(in crate::views) fn plant(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    pub(in crate::views) async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(header::COOKIE, cookies.join("; ")).body(body).unwrap();
        // As the worker does. Some tests close the database.
        let _ = self.feeds.catch_up().await;
        let response = self.router.clone().oneshot(request).await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

/// What came back.
#[derive(Debug)]
pub(in crate::views) struct Answer {
    pub(in crate::views) status: StatusCode,
    pub(in crate::views) headers: HeaderMap,
    pub(in crate::views) body: String,
}

impl Answer {
    /// A header, empty when it is absent.
    pub(in crate::views) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The text a person reads: without elements, white space as one space.
    pub(in crate::views) fn text(&self) -> String {
        let mut text = String::new();
        let mut inside = false;
        for c in self.body.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                _ if !inside => text.push(c),
                _ => {}
            }
        }
        let text = text.replace("&#38;", "&").replace("&#34;", "\"").replace("&#39;", "'");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The text a person reads in the main part, line by line as the source has it.
    pub(in crate::views) fn lines(&self) -> String {
        let (_, main) = self.body.split_once("<main").unwrap();
        let main = main.split_once("</main>").unwrap().0.split_once('>').unwrap().1;
        let lines = main.lines().map(|line| Self { body: line.to_owned(), ..Self::empty() }.text());
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn empty() -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), body: String::new() }
    }

    /// Asserts that each text stands on the page, as source or as people read it.
    pub(in crate::views) fn assert_shows(&self, texts: &[&str]) {
        let read = self.text();
        for text in texts {
            assert!(self.body.contains(text) || read.contains(text), "{text:?} is not on the page:\n{read}");
        }
    }

    /// Asserts that none of the texts stands on the page.
    pub(in crate::views) fn assert_hides(&self, texts: &[&str]) {
        for text in texts {
            assert!(!self.body.contains(text), "{text:?} is on the page:\n{}", self.text());
        }
    }

    /// Where the link of that text leads.
    pub(in crate::views) fn href(&self, text: &str) -> String {
        let (before, _) = self.body.split_once(&format!(">{text}</a>")).unwrap_or_else(|| panic!("no link {text:?}"));
        let (_, link) = before.rsplit_once("href=\"").unwrap();
        link.split_once('"').unwrap().0.replace("&#38;", "&")
    }

    /// The hidden field `token` of the first form.
    pub(in crate::views) fn form_token(&self) -> String {
        self.hidden("token").unwrap()
    }

    /// The first hidden field of that name.
    pub(in crate::views) fn hidden(&self, name: &str) -> Option<String> {
        let (_, rest) = self.body.split_once(&format!("name=\"{name}\" value=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    }
}
