//! What people do with the pages, in a real browser: an admin finds an answer, with and without script and without a mouse; a
//! subscriber gets a link.

use meeting_mirror::meeting::selection::{Detail, Selection, Window};
use meeting_mirror::store::{Calendar, NewCalendar, OnCancel, OnDrift};

use crate::browser_support::Browser;
use crate::support::{PASSWORD, TEAM, TestApp, event, fixture};

const CONTROL: &str = "\u{e009}";
const ENTER: &str = "\u{e007}";
const TAB: &str = "\u{e004}";

pub(crate) fn of(owners: &[&str]) -> Selection {
    Selection { owners: owners.iter().map(|&owner| owner.to_owned()).collect(), ..Selection::default() }
}

pub(crate) async fn add_calendar(
    app: &TestApp,
    name: &str,
    google_id: &str,
    selection: Selection,
    detail: Detail,
) -> Calendar {
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
pub(crate) async fn narrow(app: &TestApp, calendar: &Calendar, owners: &[&str]) {
    let wish = NewCalendar { selection: of(owners), ..calendar.wish.clone() };
    app.store.change_calendar(calendar, &wish, "test", app.now()).await.unwrap().expect("it waits for approval");
    app.settle().await;
}

pub(crate) async fn sign_in(app: &TestApp, browser: &Browser) {
    browser.open(&app.url("/status")).await;
    browser.enter("//input[@id='password']", PASSWORD).await;
    browser.see("Sign out").await;
}

#[tokio::test]
async fn an_admin_signs_in_finds_a_meeting_replays_a_delivery_and_approves_a_deletion() {
    let Some(browser) = Browser::start().await else { return };
    an_admin_s_day(&browser).await;
}

#[tokio::test]
async fn all_of_that_works_without_script() {
    let Some(browser) = Browser::start().await else { return };
    browser.without_script().await;
    an_admin_s_day(&browser).await;
}

async fn an_admin_s_day(browser: &Browser) {
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
    browser.see("25 deletions in “Sales” wait for approval.").await;
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
    browser.follow("Set it aside").await;
    browser.see("Set aside by an admin; it was:").await;
    browser.follow("Inbox").await;
    browser.see("quarantined 0").await;

    browser.follow("Calendars").await;
    browser.see("25 of 50 events wait to be deleted.").await;
    assert_eq!(app.mirrored(TEAM).len(), 50);
    browser.follow("Delete 25 events").await;
    browser.see("Which meetings belong here is being found out").await;
    app.settle().await;
    assert_eq!(app.mirrored(TEAM).len(), 25);
    browser.reload().await;
    browser.see("In step").await;
    a_feed_is_added(browser).await;
    browser.follow("Feeds").await;
    browser.follow("Personal feeds").await;
    // The feed of Ada's meetings alone counts as hers.
    browser.see("1 owner of meetings has none of their own.").await;
    browser.follow("Make 1 personal feed").await;
    browser.see("1 feed was made.").await;
    browser.follow("Password").await;
    browser.type_into("//input[@id='old']", "a wrong one").await;
    browser.type_into("//input[@id='new']", "another password for tests").await;
    browser.enter("//input[@id='again']", "yet another password for tests").await;
    browser.see("That is not the present password.").await;
    browser.see("The two are not the same: type the new password again.").await;
    assert_eq!(browser.script("return document.activeElement.id").await, "old");
    let refused = browser.console().await;
    assert!(refused.iter().all(|entry| entry.contains("status of 422")), "{refused:?}");
    browser.type_into("//input[@id='old']", PASSWORD).await;
    browser.type_into("//input[@id='new']", "another password for tests").await;
    browser.enter("//input[@id='again']", "another password for tests").await;
    browser.see("The password was changed, and every other session has ended.").await;
    browser.follow("Audit log").await;
    browser.see("Changed the admin password from 127.0.0.1").await;
    browser.see("Added feed “Meetings of").await;
    browser.see("Approved the deletion of 25 events from calendar “Sales”").await;
    browser.follow("Sign out").await;
    browser.see("Admin password").await;
    assert_eq!(browser.console().await, [""; 0]);
}

/// Adds a feed, wrongly at first, opens the page that its subscribers get, and gives it another link.
async fn a_feed_is_added(browser: &Browser) {
    browser.follow("Feeds").await;
    browser.follow("Add a feed").await;
    browser.type_into("//input[@id='name']", "Front desk").await;
    browser.type_into("//textarea[@id='owners']", "ada@example.com").await;
    browser.click("//input[@name='detail'][@value='title']").await;
    browser.enter("//input[@id='past_days']", "many").await;
    browser.see("Type a number of days, from 0 to 3650.").await;
    let kept = "return document.getElementById('name').value + ' ' + document.getElementById('owners').value";
    assert_eq!(browser.script(kept).await, "Front desk ada@example.com");
    let refused = browser.console().await;
    assert!(refused.iter().all(|entry| entry.contains("status of 422")), "{refused:?}");
    browser.script("document.getElementById('past_days').value = ''").await;
    browser.enter("//input[@id='past_days']", "7").await;
    browser.see("Added. Hand out its page").await;
    browser.see("Shows 25 meetings now.").await;
    let link = "return document.getElementById('link').value";
    let (before, details) = (browser.script(link).await, browser.script("return location.href").await);
    browser.follow("Open the page").await;
    browser.see("How to subscribe, and how soon changes show").await;
    assert_eq!(browser.script(link).await, before);
    browser.open(details.as_str().unwrap()).await;
    browser.follow("New link…").await;
    browser.see("Nobody has fetched it in the last 14 days.").await;
    browser.follow("Make a new link").await;
    browser.see("There is a new link, and the old one has ended.").await;
    assert_ne!(browser.script(link).await, before);
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

    browser.without_script().await;
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

#[tokio::test]
async fn a_keyboard_is_enough_and_shows_where_it_is() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start().await;
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 0, 9)]).await;
    browser.open(&app.url("/meetings")).await;
    assert_eq!(browser.script("return document.activeElement.id").await, "password");
    browser.keys(&format!("{PASSWORD}{ENTER}")).await;
    browser.see("Sign out").await;

    browser.keys(TAB).await;
    browser.is_at("Skip to the content").await;
    assert!(browser.is_shown("//a[@class='skip']").await);
    assert_eq!(browser.script("return document.activeElement.getBoundingClientRect().top >= 0").await, true);
    browser.keys(ENTER).await;
    assert_eq!(browser.script("return document.activeElement.id").await, "content");
    browser.tab_to("q").await;
    browser.keys(&format!("demo m-1{ENTER}")).await;
    browser.see("m-1").await;
    browser.tab_to("Demo m-1").await;
    browser.keys(ENTER).await;
    browser.see("It takes place.").await;
    browser.tab_to("Inbox").await;
    browser.keys(ENTER).await;
    browser.see("scheduling.smartscheduler.scheduled").await;
    browser.tab_to("1").await;
    browser.keys(ENTER).await;
    browser.tab_to("Sign out").await;
    browser.keys(ENTER).await;
    browser.see("Admin password").await;
}

#[tokio::test]
async fn an_open_page_shows_what_changed_and_a_key_leads_to_the_search() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start().await;
    sign_in(&app, &browser).await;
    browser.see("No delivery has arrived yet.").await;
    browser.script("window.stays = true").await;
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 0, 9)]).await;
    browser.see("Demo m-1").await;
    assert_eq!(browser.script("return window.stays").await, true, "the page was loaded anew");
    assert_eq!(browser.console().await, [""; 0]);

    browser.follow("Meetings").await;
    browser.type_into("//body", &format!("{CONTROL}k")).await;
    browser.is_at("q").await;
}
