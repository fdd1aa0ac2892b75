//! Texts of others that try to break out: every page that is reached by links from the status page, the CSV and the feed.

use std::collections::BTreeSet;

use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::store::{DeliveryStatus, NewCalendar, OnCancel};
use meeting_mirror::views::feed::lint::lint;
use serde_json::{Value, json};

use super::page::{self, Element};
use meeting_mirror::inbound::signature::sign;

use crate::support::{KEY, TEAM, TestApp, event, wish, with};

/// Ends an element, an attribute, a script, a title, a comment, a header, a line of a calendar, and the direction of a text.
const HOSTILE: &str = "\"><x-broke x-broke=1>' x-broke='1 </script></title></textarea>--><x-broke>{{7*7}}\r\nX-Broke: 1\r\n\
                       BEGIN:VALARM\r\n\u{202e}exe.txt";
/// The same for ids and types, which have no control characters.
const ID: &str = "\"><x-broke x-broke=1>' x-broke='1/?#%2e&\u{202e}exe.txt";
/// The character that turns the direction of what follows.
const OVERRIDE: char = '\u{202e}';
/// What a spreadsheet takes for a formula.
const FORMULA: &str = "=HYPERLINK(\"javascript:alert(1)\";\"x-broke\")";
/// What a browser would run.
const URL: &str = "javascript:alert(1)//\"><x-broke>";

/// A meeting with something hostile in every field.
fn meeting() -> Value {
    let mut envelope = with(event(&format!("e-1{ID}"), "scheduled", &format!("m-1{ID}"), 0, 9), |data| {
        data["organizationId"] = ID.into();
        data["emailMeetingId"] = ID.into();
        data["zoomMeetingId"] = ID.into();
        data["meetingOwner"] = json!({
            "userId": ID, "username": format!("{FORMULA}{HOSTILE}"), "firstName": FORMULA, "lastName": HOSTILE,
        });
        let info = &mut data["meetingInfo"];
        info["primaryInviteeName"] = HOSTILE.into();
        info["primaryInvitee"] = format!("{HOSTILE}@example.com").into();
        info["optionalInvitees"] = format!("{URL}@example.com, {HOSTILE}").into();
        info["meetingName"] = HOSTILE.into();
        info["location"] = URL.into();
        info["calendarUrl"] = URL.into();
        info["organizationPath"] = HOSTILE.into();
        info["calendarPath"] = HOSTILE.into();
        info["formValues"] =
            json!([{"question": HOSTILE, "answerText": URL}, {"question": FORMULA, "answerText": HOSTILE}]);
        info["surveyQuestions"] = json!([{"question": HOSTILE, "answer": HOSTILE, "isRequired": true}]);
    });
    envelope["organizationGuid"] = ID.into();
    envelope
}

/// A changed setting with something hostile in every field.
fn setting() -> Value {
    let mut envelope = event(&format!("e-2{ID}"), "scheduled", "m-2", 0, 9);
    envelope["eventType"] = "organization.setting.changed".into();
    envelope["data"] = json!({
        "current": {"value": HOSTILE, "allowUserOverride": true},
        "previous": {"value": URL, "allowUserOverride": false},
        "setting": {"module": HOSTILE, "name": HOSTILE, "default": HOSTILE, "title": HOSTILE, "helpText": HOSTILE},
        "modifiedBy": {"userId": ID, "username": FORMULA, "firstName": HOSTILE, "lastName": HOSTILE},
    });
    envelope
}

async fn deliver(app: &TestApp, body: String) {
    let signature = sign(KEY, body.as_bytes());
    let headers = [("x-signature", &*signature), ("user-agent", "\"><x-broke>"), ("x-other\u{2d}hash", "'><x-broke>")];
    assert_eq!(app.post_with(&headers, body).await.status(), 200);
}

/// What a text of others did to a page; nothing, when all is well.
fn broken(elements: &[Element]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut isolated = 0;
    for element in elements {
        match &*element.name {
            "bdi" => isolated += 1,
            "/bdi" => isolated -= 1,
            _ => {}
        }
        let mut find = |what: &str| findings.push(format!("{what}: {element:?}"));
        if element.name.contains("x-broke") || matches!(&*element.name, "iframe" | "object" | "embed" | "base") {
            find("an element of theirs");
        }
        if element.name == "script" && (element.value("src").is_empty() || !element.text.trim().is_empty()) {
            find("a script inside the page");
        }
        for (name, value) in &element.attributes {
            if name.contains("x-broke") || name.starts_with("on") || name == "style" {
                find("an attribute of theirs");
            }
            let known = ["/", "#", "?", "http://", "https://", "webcal://", "mailto:"];
            if matches!(&**name, "href" | "src" | "action" | "formaction")
                && !known.iter().any(|begin| value.starts_with(begin))
            {
                find("an address that is none");
            }
        }
        // In these elements there is no markup, and browsers keep them apart from the rest.
        let apart = isolated > 0 || matches!(&*element.name, "title" | "textarea" | "option" | "pre" | "code");
        if element.text.contains(OVERRIDE) && !apart {
            find("a text that turns the direction of what follows");
        }
    }
    findings
}

#[tokio::test]
async fn no_text_of_others_breaks_out_of_any_page_header_table_or_feed() {
    let app = TestApp::start_with_google().await;
    let feed = app.add_feed(HOSTILE, Selection::default(), Detail::Full).await;
    app.add_feed(
        "Owner",
        Selection { owners: vec![HOSTILE.into()], schedules: vec![HOSTILE.into()], ..Selection::default() },
        Detail::Full,
    )
    .await;
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    app.mirror_into(&NewCalendar { name: HOSTILE.into(), ..wish(&format!("{HOSTILE}@example.com")) }).await;
    deliver(&app, meeting().to_string()).await;
    deliver(&app, setting().to_string()).await;
    let mut unknown = event("e-3", "scheduled", "m-3", 0, 9);
    unknown["eventType"] = ID.into();
    deliver(&app, unknown.to_string()).await;
    deliver(
        &app,
        with(event("e-4", "scheduled", "m-4", 0, 9), |data| data["meetingStart"] = HOSTILE.into()).to_string(),
    )
    .await;
    deliver(&app, HOSTILE.to_owned()).await;
    app.apply().await;
    app.mirror().await;
    let counts = app.store.inbox_counts().await.unwrap();
    let of = |status| counts.of(status);
    let found = (of(DeliveryStatus::Applied), of(DeliveryStatus::Ignored), of(DeliveryStatus::Quarantined));
    assert_eq!(found, (2, 1, 2), "{counts:?}");
    app.sign_in().await;
    let token = page::form_token(&app.page("/feeds").await);
    let made = [
        ("token", &*token),
        ("detail", "full"),
        ("past_days", "30"),
        ("future_days", "365"),
        ("canceled_days", "7"),
        ("show_as", "busy"),
    ];
    let made = app.http.post(app.url("/feeds/personal")).form(&made).send().await.unwrap();
    assert_eq!(made.status(), 303);
    app.http.get(app.feed_url(&feed)).header("user-agent", "\"><x-broke>").send().await.unwrap();
    app.feeds.flush().await;

    let typed: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let mut waiting: BTreeSet<String> =
        ["/status", "/password", "/login", "/nowhere", "/feeds/personal.csv"].map(str::to_owned).into();
    for place in [
        "/meetings?q=",
        "/meetings?status=",
        "/inbox?q=",
        "/inbox?status=",
        "/audit?before=",
        "/login?next=",
        "/feeds?added=",
        "/feeds?q=",
        "/feeds/1/details?detail=",
        "/nowhere/",
        "/subscribe/",
        "/meetings/",
        "/inbox/",
    ] {
        waiting.insert(format!("{place}{typed}"));
    }
    waiting.insert(format!("/subscribe/{}", app.site.links.token(&feed)));
    let (mut known, mut findings, mut pages, mut shown) = (waiting.clone(), Vec::new(), 0, 0);
    while let Some(path) = waiting.pop_first() {
        let answer = app.http.get(app.url(&path)).send().await.unwrap();
        let status = answer.status().as_u16();
        assert!(matches!(status, 200 | 303 | 400 | 404), "{path}: {status}");
        for (name, value) in answer.headers() {
            assert!(name != "x-broke", "{path}: a header of theirs");
            assert!(name != "location" || value.to_str().unwrap().starts_with('/'), "{path}: led to {value:?}");
        }
        if !answer.headers().get("content-type").is_some_and(|kind| kind.to_str().unwrap().starts_with("text/html")) {
            continue;
        }
        let body = answer.text().await.unwrap();
        let elements = page::elements(&body);
        findings.extend(broken(&elements).into_iter().map(|finding| format!("{path}: {finding}")));
        pages += 1;
        shown += usize::from(body.contains("x-broke"));
        for element in elements {
            let href = element.value("href").split('#').next().unwrap().to_owned();
            if element.name == "a" && href.starts_with('/') && known.len() < 400 && known.insert(href.clone()) {
                waiting.insert(href);
            }
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
    assert!(pages > 25 && shown > 12, "too little was seen to prove anything: {pages} pages, {shown} with such texts");

    let table = app.page("/feeds/personal.csv").await;
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(table.as_bytes());
    let cells: Vec<String> =
        rows.records().flat_map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(cells.iter().any(|cell| cell.starts_with("'=HYPERLINK")), "{cells:#?}");
    assert!(cells.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])), "{cells:#?}");
    let text = app.feed_text(&feed).await;
    assert_eq!(lint(text.as_bytes()), []);
    assert!(text.contains("x-broke") && !text.contains("\nX-Broke") && !text.contains("\nBEGIN:VALARM"), "{text}");
}
