//! Every page in a real browser, when nothing is there yet, on a busy day and in trouble, light and dark, on a desk and on a
//! phone: it is as wide as the window, has the right ground, keeps its own content policy, and axe-core finds no fault in it.

use std::path::PathBuf;

use chrono::TimeDelta;
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::simulated_google::Access;
use serde_json::Value;
use url::Url;

use crate::browser::{add_calendar, narrow, of, sign_in};
use crate::browser_support::{Browser, axe};
use crate::support::{PASSWORD, TEAM, TestApp, event, fixture};

/// A folder: the pictures of the README are written there.
const SCREENSHOTS: &str = "BROWSER_SCREENSHOTS";
/// A folder: a picture of every page in every state, width and scheme is written there, to be looked at.
const ALL_SCREENSHOTS: &str = "BROWSER_SCREENSHOTS_ALL";

/// The pages that are always there.
const PAGES: [&str; 19] = [
    "/status",
    "/meetings",
    "/meetings?q=nothing-like-this",
    "/meetings?view=week",
    "/inbox",
    "/inbox?status=quarantined",
    "/inbox/replay?status=quarantined",
    "/inbox/ignore",
    "/calendars",
    "/calendars/new",
    "/feeds",
    "/feeds?status=ended",
    "/feeds/new",
    "/feeds/personal",
    "/alerts",
    "/audit",
    "/audit?source=admin&head=12ab",
    "/audit/1",
    "/password",
];
/// What is answered with an error.
const ERRORS: [&str; 4] = ["/meetings/no-such-meeting", "/inbox/99999", "/subscribe/nothing", "/nowhere"];
/// Those of a calendar.
const CALENDAR: [&str; 3] = ["/calendars/1/edit", "/calendars/1/purge", "/calendars/1/remove"];
/// Those of meetings and deliveries, in trouble.
const TROUBLED: [&str; 4] =
    ["/meetings/m-1", "/meetings/4b6ea010-bea4-456e-b6c2-a4c7d885bbac", "/inbox/1", "/inbox/75"];

/// Those of the feed.
const OF_A_FEED: [&str; 5] = [
    "/feeds/1/details",
    "/feeds/1/details?edited=1&detail=busy",
    "/feeds/1/edit",
    "/feeds/1/rotate",
    "/feeds/1/revoke",
];

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
enum Look {
    Desk,
    Phone,
    DeskDark,
    PhoneDark,
}

impl Look {
    const ALL: [Self; 4] = [Self::Desk, Self::Phone, Self::DeskDark, Self::PhoneDark];

    fn is_dark(self) -> bool {
        matches!(self, Self::DeskDark | Self::PhoneDark)
    }

    fn width(self) -> u32 {
        if matches!(self, Self::Desk | Self::DeskDark) { 1280 } else { 390 }
    }

    async fn choose(self, browser: &Browser) {
        let is_phone = self.width() < 500;
        browser.resize(self.width(), if is_phone { 844 } else { 976 }, is_phone).await;
        browser.prefer(if self.is_dark() { "dark" } else { "light" }).await;
    }
}

/// How wide the page is, how bright its ground is (0 to 1), and what stands out of the window.
const MEASURE: &str = "
    const brightness = color => Math.max(...color.match(/[0-9.]+/g).slice(0, 3).map(Number)) / 255;
    const all = [...document.querySelectorAll('main *, header *')];
    const out = all.filter(e => e.getBoundingClientRect().right > window.innerWidth + 1);
    return {
        title: document.title,
        width: document.documentElement.scrollWidth,
        ground: brightness(getComputedStyle(document.body).backgroundColor),
        ink: brightness(getComputedStyle(document.body).color),
        out: out.slice(0, 10).map(e => e.tagName + ' ' + e.textContent.slice(0, 40)),
    }";

/// Opens what is folded: nothing is found in what is not shown.
const UNFOLD: &str = "document.querySelectorAll('details').forEach(fold => fold.open = true)";

/// Looks at pages of the site in this state in these ways, and at others that are errors.
async fn walk(app: &TestApp, browser: &Browser, state: &str, pages: &[&str], errors: &[&str], looks: &[Look]) {
    let mut faults = Vec::new();
    let pictures = std::env::var_os(ALL_SCREENSHOTS).map(PathBuf::from);
    for look in if pictures.is_some() { &Look::ALL } else { looks } {
        look.choose(browser).await;
        for page in pages.iter().chain(errors) {
            browser.open(&app.url(page)).await;
            let named = format!("{page} {look:?}");
            if let Some(folder) = &pictures {
                browser.photograph_whole(&folder.join(file_name(&format!("{state} {named}")))).await;
            }
            faults.extend(look_at(browser, &named, *look).await);
            let said = browser.console().await;
            let is_error = said.len() == 1 && said[0].contains("status of 4");
            assert!(if errors.contains(page) { is_error } else { said.is_empty() }, "{named}: {said:?}");
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The name of a page's picture: its path and look without what file names can't hold.
fn file_name(named: &str) -> String {
    let words = named.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty() && word.len() < 30);
    format!("{}.png", words.collect::<Vec<_>>().join("-"))
}

/// Looks at the page that is open. Returns the faults of accessibility.
async fn look_at(browser: &Browser, named: &str, look: Look) -> Vec<String> {
    check(browser, named, look).await;
    browser.script(UNFOLD).await;
    check(browser, &format!("{named} unfolded"), look).await;
    let Some(axe) = axe() else { return Vec::new() };
    browser.inaccessible(axe).await.into_iter().map(|fault| format!("{named}: {fault}")).collect()
}

/// Looks in every way at the answer that a form or a page got instead of what was asked for.
async fn look_at_error(browser: &Browser, status: u16, what: &str) {
    browser.see(what).await;
    let mut faults = Vec::new();
    for look in Look::ALL {
        look.choose(browser).await;
        faults.extend(look_at(browser, &format!("{status} {look:?}"), look).await);
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let said = browser.console().await;
    assert!(said.len() == 1 && said[0].contains(&format!("status of {status}")), "{status}: {said:?}");
}

async fn check(browser: &Browser, page: &str, look: Look) {
    let measured = browser.script(MEASURE).await;
    let number = |name: &str| measured[name].as_f64().unwrap();
    assert!(number("width") <= f64::from(look.width()), "{page} is wider than the window: {measured:#}");
    let dark = number("ground") < 0.25 && number("ink") > 0.75;
    let light = number("ground") > 0.75 && number("ink") < 0.25;
    assert!(if look.is_dark() { dark } else { light }, "{page} has the wrong ground: {measured:#}");
    assert_ne!(measured["title"], Value::from(""), "{page} has no title");
}

#[tokio::test]
async fn where_nothing_is_yet_every_page_is_fit_for_everybody() {
    let Some(browser) = Browser::start().await else { return };
    for (state, app) in [("off", TestApp::start().await), ("empty", TestApp::start_with_google().await)] {
        walk(&app, &browser, state, &["/login"], &[], &Look::ALL).await;
        sign_in(&app, &browser).await;
        walk(&app, &browser, state, &PAGES, &ERRORS, &[Look::Desk, Look::PhoneDark]).await;
    }
}

#[tokio::test]
async fn on_a_busy_day_every_page_is_fit_for_everybody() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start_with_google_and(|settings| {
        settings.public_url = Some(Url::parse("https://mirror.example.com").unwrap());
    })
    .await;
    let subscribe = a_day(&app).await;
    sign_in(&app, &browser).await;
    Look::Desk.choose(&browser).await;
    picture(&app, &browser, "/status", "status.png").await;
    picture(&app, &browser, TROUBLED[1], "meeting.png").await;
    Look::DeskDark.choose(&browser).await;
    picture(&app, &browser, "/meetings?view=week", "week.png").await;
    Look::Phone.choose(&browser).await;
    picture(&app, &browser, &subscribe, "subscribe.png").await;
    let pages = [&PAGES[..], &CALENDAR, &OF_A_FEED, &[TROUBLED[1], TROUBLED[2], &subscribe]].concat();
    walk(&app, &browser, "busy", &pages, &ERRORS, &Look::ALL).await;
}

#[tokio::test]
async fn in_trouble_every_page_is_fit_for_everybody() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start_with_google().await;
    let subscribe = a_day(&app).await;
    // A delivery that was not understood, meetings with long and foreign words, a calendar that is gone, a held deletion.
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
    add_calendar(&app, "Gone", "gone@group.calendar.example.com", Selection::default(), Detail::Full).await;
    app.apply().await;
    app.mirror().await;
    app.post(event("e-on-the-way", "rescheduled", "m-1", 401, 10).to_string()).await;
    app.apply().await;
    app.watch(2).await;

    sign_in(&app, &browser).await;
    let (rotated, revoked) = (
        app.add_feed("Old", Selection::default(), Detail::Full).await,
        app.add_feed("Ended", Selection::default(), Detail::Full).await,
    );
    let mut tx = app.store.write().await.unwrap();
    tx.rotate_feed(rotated.id).await.unwrap();
    tx.revoke_feed(revoked.id, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    app.feeds.catch_up().await.unwrap();
    let ended = [rotated, revoked].map(|feed| format!("/subscribe/{}", app.site.links.token(&feed)));
    let pages = [&PAGES[..], &CALENDAR, &OF_A_FEED, &TROUBLED, &["/feeds/3/details", &subscribe]].concat();
    let errors = [&ERRORS[..], &["/feeds/3/edit", "/feeds/9/details", &ended[0], &ended[1]]].concat();
    walk(&app, &browser, "broken", &pages, &errors, &[Look::Phone, Look::DeskDark]).await;
}

#[tokio::test]
async fn what_a_form_is_refused_with_is_fit_for_everybody() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start().await;
    let feed = app.add_feed("Sales team", Selection::default(), Detail::Title).await;
    sign_in(&app, &browser).await;
    browser.open(&app.url("/feeds/1/revoke")).await;
    browser.script("document.querySelectorAll('[name=token]').forEach(field => field.value = 'AAAA')").await;
    browser.click("//main//form//button").await;
    look_at_error(&browser, 403, "This form was no longer valid.").await;

    browser.open(&app.url("/feeds/1/rotate")).await;
    app.store.new_feed_link(&feed, "test", app.now()).await.unwrap();
    browser.click("//main//form//button").await;
    look_at_error(&browser, 409, "This feed was changed meanwhile.").await;

    browser.open(&app.url("/audit")).await;
    browser.follow("Sign out").await;
    while app.site.sign_in_limits.allow(app.address.ip()) {}
    browser.enter("//input[@id='password']", PASSWORD).await;
    look_at_error(&browser, 429, "Too many attempts to sign in.").await;
}

#[tokio::test]
async fn what_is_told_when_the_database_is_gone_is_fit_for_everybody() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start().await;
    sign_in(&app, &browser).await;
    // A page that does not renew itself: it would say that it can't.
    browser.open(&app.url("/password")).await;
    app.store.close().await;
    browser.follow("Status").await;
    look_at_error(&browser, 503, "The database can't be used right now.").await;
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
    for program in ["Google-Calendar-Importer", "iOS/17.5 (21F79) dataaccessd/1.0"] {
        app.fetch(&feed, &[("user-agent", program)]).await;
    }
    app.feeds.flush().await;
    app.clock.advance(TimeDelta::minutes(3));
    format!("/subscribe/{}", app.site.links.token(&feed))
}

/// Opens a page and, when asked for, keeps a picture of it for the README.
async fn picture(app: &TestApp, browser: &Browser, page: &str, name: &str) {
    browser.open(&app.url(page)).await;
    if let Some(folder) = std::env::var_os(SCREENSHOTS) {
        browser.photograph(&PathBuf::from(folder).join(name)).await;
    }
}
