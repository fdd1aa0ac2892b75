//! The pages in a real browser: what an admin does to find an answer, what a subscriber does to get a link, and that every
//! page fits a phone, has a dark side and breaks no rule of its own content policy.

use std::path::PathBuf;

use chrono::TimeDelta;
use meeting_mirror::meeting::selection::{Detail, Selection, Window};
use meeting_mirror::simulated_google::Access;
use meeting_mirror::store::{Calendar, NewCalendar, OnCancel, OnDrift};
use serde_json::{Value, json};
use url::Url;

use crate::browser_support::Browser;
use crate::support::{PASSWORD, TEAM, TestApp, event, fixture};

const CONTROL: &str = "\u{e009}";
/// A folder: the pictures of the README are written there.
const SCREENSHOTS: &str = "BROWSER_SCREENSHOTS";

fn of(owners: &[&str]) -> Selection {
    Selection { owners: owners.iter().map(|&owner| owner.to_owned()).collect(), ..Selection::default() }
}

async fn add_calendar(app: &TestApp, name: &str, google_id: &str, selection: Selection, detail: Detail) -> Calendar {
    let new = NewCalendar {
        name: name.to_owned(),
        google_id: google_id.to_owned(),
        selection,
        detail,
        window: Window { past_days: 30, future_days: 365 },
        on_cancel: OnCancel::Delete,
        on_drift: OnDrift::Repair,
    };
    let mut tx = app.store.write().await.unwrap();
    let id = tx.add_calendar(&new, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    app.store.calendar(&id.to_string()).await.unwrap().unwrap()
}

/// Edits the calendar so that only these owners' meetings are selected.
async fn narrow(app: &TestApp, calendar: &Calendar, owners: &[&str]) {
    let wish = NewCalendar { selection: of(owners), ..calendar.wish.clone() };
    app.store.change_calendar(calendar, &wish, "test", app.now()).await.unwrap().expect("it waits for approval");
    app.settle().await;
}

async fn sign_in(app: &TestApp, browser: &Browser) {
    browser.open(&app.url("/status")).await;
    browser.enter("//input[@id='password']", PASSWORD).await;
    browser.see("Sign out").await;
}

#[tokio::test]
async fn an_admin_signs_in_finds_a_meeting_replays_a_delivery_and_approves_a_deletion() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start_with_google().await;
    let calendar = add_calendar(&app, "Sales", TEAM, Selection::default(), Detail::Full).await;
    for number in 0..50 {
        let mut envelope = event(&format!("e-{number:02}"), "scheduled", &format!("m-{number:02}"), 1, 9);
        let owner = if number % 2 == 0 { "ada@example.com" } else { "bo@example.com" };
        envelope["data"]["meetingOwner"]["username"] = owner.into();
        app.deliver(&envelope).await;
    }
    assert_eq!(app.post(fixture("webhooks/difficult/end-before-start.json")).await.1["status"], "quarantined");
    app.settle().await;
    narrow(&app, &calendar, &["ada@example.com"]).await;

    browser.open(&app.url("/meetings?q=Demo")).await;
    browser.type_into("//input[@id='password']", "a wrong one").await;
    browser.follow("Sign in").await;
    browser.see("That is not the password.").await;
    let refused = browser.console().await;
    assert!(refused.iter().all(|entry| entry.contains("status of 403")), "{refused:?}");
    browser.enter("//input[@id='password']", PASSWORD).await;
    browser.see("Demo m-00").await;

    browser.follow("Status").await;
    browser.see("25 deletions in “Sales” wait for your approval.").await;
    browser.follow("Meetings").await;
    browser.enter("//input[@id='q']", "demo m-07").await;
    browser.follow("Demo m-07").await;
    browser.see("It takes place.").await;
    browser.see("Deletion to approve").await;

    browser.follow("Inbox").await;
    browser.follow("quarantined 1").await;
    browser.follow("51").await;
    browser.see("It could not be understood.").await;
    browser.follow("Work on it again").await;
    browser.see("will be worked on in a moment").await;
    app.apply().await;
    browser.reload().await;
    browser.see("It could not be understood.").await;
    browser.see("once").await;

    browser.follow("Calendars").await;
    browser.see("25 of 50 events wait to be deleted.").await;
    assert_eq!(app.mirrored(TEAM).len(), 50);
    browser.follow("Delete 25 events").await;
    browser.see("50 meetings are being looked at again").await;
    app.settle().await;
    assert_eq!(app.mirrored(TEAM).len(), 25);
    browser.reload().await;
    browser.see("In step").await;
    browser.follow("Feeds").await;
    browser.see("2 owners of meetings have none of their own.").await;
    browser.follow("Make 2 personal feeds").await;
    browser.see("2 feeds were made.").await;
    browser.follow("Audit log").await;
    browser.see("Added feed “Meetings of").await;
    browser.see("Approved the deletion of 25 events from calendar “Sales”").await;
    browser.follow("Sign out").await;
    browser.see("Admin password").await;
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
async fn a_subscriber_copies_the_link_with_script_and_selects_it_without() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start().await;
    let feed = app.add_feed("Sales team", Selection::default(), Detail::Title).await;
    let link = format!("/feeds/{}.ics", app.site.links.token(&feed));
    let page = app.url(&format!("/subscribe/{}", app.site.links.token(&feed)));
    let (field, button) = ("//input[@id='link']", "//button[@data-copy='link']");
    let selected = "const field = document.getElementById('link');
                    return field.value.slice(field.selectionStart, field.selectionEnd)";

    browser.open(&page).await;
    assert!(browser.is_shown(button).await);
    browser.click(button).await;
    browser.see("Copied").await;
    assert_eq!(browser.script(selected).await, app.url(&link));
    assert!(app.feed_text(&feed).await.starts_with("BEGIN:VCALENDAR"), "the link leads to no calendar");
    browser.press("Google Calendar 4 to 24 hours").await;
    browser.see("On a computer, copy the link above.").await;

    browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    browser.open(&page).await;
    assert!(!browser.is_shown(button).await, "a button that does nothing is shown");
    assert!(browser.is_shown(field).await);
    assert_eq!(browser.script(selected).await, "");
    browser.type_into(field, &format!("{CONTROL}a")).await;
    assert_eq!(browser.script(selected).await, app.url(&link));
    browser.press("Google Calendar 4 to 24 hours").await;
    assert!(browser.is_shown("//li[contains(., 'On a computer, copy the link above.')]").await);
    assert_eq!(browser.console().await, [""; 0]);
}

/// The working day of the fixtures, mirrored into two calendars and offered as a feed. Returns the path of the feed's page.
async fn a_day(app: &TestApp) -> String {
    let desk = "front-desk@group.calendar.example.com";
    app.google.as_ref().unwrap().add_calendar(desk, "Front desk", Access::Writer);
    add_calendar(app, "Sales team", TEAM, Selection::default(), Detail::Full).await;
    let some = of(&["hannah.lindqvist@example.com", "marcus.oyelaran@example.com", "claire.beaumont@example.com"]);
    add_calendar(app, "Front desk", desk, some, Detail::Title).await;
    let feed = app.add_feed("Sales team", Selection::default(), Detail::Title).await;
    app.clock.advance(TimeDelta::minutes(352));
    for line in fixture("webhooks/a-day.ndjson").split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        assert_eq!(app.post(line).await.0, 200);
    }
    app.settle().await;
    app.check_calendars().await;
    app.clock.advance(TimeDelta::minutes(3));
    format!("/subscribe/{}", app.site.links.token(&feed))
}

/// How wide the page is, how bright its ground is (0 to 1), and what stands out of a 390 px wide window.
const MEASURE: &str = "
    const brightness = color => Math.max(...color.match(/[0-9.]+/g).slice(0, 3).map(Number)) / 255;
    const out = [...document.querySelectorAll('main *, header *')].filter(e => e.getBoundingClientRect().right > 391);
    return {
        title: document.title,
        width: document.documentElement.scrollWidth,
        ground: brightness(getComputedStyle(document.body).backgroundColor),
        ink: brightness(getComputedStyle(document.body).color),
        out: out.map(e => e.tagName + ' ' + e.textContent.slice(0, 40)),
    }";

#[tokio::test]
async fn every_page_fits_a_phone_has_a_dark_side_and_keeps_its_content_policy() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start_with_google_and(|settings| {
        settings.public_url = Some(Url::parse("https://mirror.example.com").unwrap());
    })
    .await;
    let subscribe = a_day(&app).await;
    sign_in(&app, &browser).await;
    browser.resize(1100, 976, false).await;
    browser.prefer("light").await;
    picture(&app, &browser, "/status", "status.png").await;
    browser.resize(390, 844, true).await;
    picture(&app, &browser, &subscribe, "subscribe.png").await;

    // What is less fine: a delivery that was not understood, a meeting with long and foreign words, a held deletion.
    app.post(fixture("webhooks/difficult/end-before-start.json")).await;
    for name in ["html-injection", "long-answers", "right-to-left", "emoji"] {
        app.post(fixture(&format!("webhooks/difficult/{name}.json"))).await;
    }
    for number in 0..25 {
        let title = format!("Quarterly-{}", "very-long-word-without-an-end".repeat(6));
        let mut envelope = event(&format!("e-{number}"), "scheduled", &format!("m-{number}"), 400, 9);
        envelope["data"]["meetingInfo"]["meetingName"] = title.into();
        app.deliver(&envelope).await;
    }
    app.settle().await;
    let calendar = app.store.calendar("Sales team").await.unwrap().unwrap();
    narrow(&app, &calendar, &["nobody@example.com"]).await;
    app.post(event("e-on-the-way", "rescheduled", "m-1", 401, 10).to_string()).await;
    app.apply().await;

    let mut pages: Vec<String> = [
        "/status",
        "/meetings",
        "/meetings?q=nothing-like-this",
        "/meetings/m-1",
        "/meetings/4b6ea010-bea4-456e-b6c2-a4c7d885bbac",
        "/inbox",
        "/inbox?status=quarantined",
        "/inbox/1",
        "/inbox/75",
        "/calendars",
        "/feeds",
        "/audit",
    ]
    .map(str::to_owned)
    .into();
    pages.push(subscribe);
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        for page in &pages {
            browser.open(&app.url(page)).await;
            check(&browser, page, scheme).await;
        }
    }
    assert_eq!(browser.console().await, [""; 0]);
    // Pages of errors, and the one for signing in: the console tells of their status and of nothing else.
    for page in ["/meetings/no-such-meeting", "/inbox/99999", "/subscribe/nothing", "/nowhere"] {
        browser.open(&app.url(page)).await;
        check(&browser, page, "dark").await;
        let said = browser.console().await;
        assert!(said.iter().all(|entry| entry.contains("status of 404")), "{page}: {said:?}");
    }
    browser.follow("To the status page").await;
    browser.follow("Sign out").await;
    browser.see("Admin password").await;
    check(&browser, "/login", "dark").await;
}

async fn check(browser: &Browser, page: &str, scheme: &str) {
    let measured = browser.script(MEASURE).await;
    let number = |name: &str| measured[name].as_f64().unwrap();
    assert!(number("width") <= 390.0, "{page} is wider than a phone: {measured:#}");
    let dark = number("ground") < 0.25 && number("ink") > 0.75;
    let light = number("ground") > 0.75 && number("ink") < 0.25;
    assert!(if scheme == "dark" { dark } else { light }, "{page} is not {scheme}: {measured:#}");
    assert_ne!(measured["title"], Value::from(""), "{page} has no title");
}

/// Opens a page and, when asked for, keeps a picture of it for the README.
async fn picture(app: &TestApp, browser: &Browser, page: &str, name: &str) {
    browser.open(&app.url(page)).await;
    if let Some(folder) = std::env::var_os(SCREENSHOTS) {
        browser.photograph(&PathBuf::from(folder).join(name)).await;
    }
}
