//! Pages that are open while something changes, in a real browser: what changed is shown, what is being used stays as it is, and
//! where changes can't be told, the page says that one has to reload.

use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::store::JobKind;
use serde_json::json;

use crate::browser::{add_calendar, of, sign_in};
use crate::browser_support::Browser;
use crate::support::{TEAM, TestApp, event};

/// What would happen after a minute happens almost at once.
const SOONER: &str = "
    const wait = window.setTimeout;
    window.setTimeout = (act, time) => wait(act, time < 60000 ? time : 50);";
/// Changes are asked for as soon as they are told. The answer is held back until `release` is called; the page says how often
/// changes were told and how often it asked.
const HELD: &str = "
    const wait = window.setTimeout, real = window.fetch;
    let asked = 0, heard = 0;
    window.setTimeout = act => wait(act, 0);
    window.fetch = async (...what) => {
        document.documentElement.dataset.asked = ++asked;
        await new Promise(go => window.release = go);
        return real(...what);
    };
    window.EventSource = class extends EventSource {
        constructor(...what) {
            super(...what);
            this.addEventListener('message', () => { document.documentElement.dataset.heard = ++heard; });
        }
    };";

/// Has every page run this before its own script.
async fn prepare(browser: &Browser, script: &str) {
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
}

/// Waits until the page is told of changes.
async fn is_told(browser: &Browser) {
    browser.is_shown("//html[@class='live']").await;
}

/// A meeting that is in one feed of many, and its page.
async fn a_meeting(app: &TestApp, browser: &Browser) {
    app.add_feed("Everybody", Selection::default(), Detail::Full).await;
    for number in 0..12 {
        app.add_feed(&format!("Bo {number}"), of(&["bo@example.com"]), Detail::Full).await;
    }
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 0, 9)]).await;
    sign_in(app, browser).await;
    browser.open(&app.url("/meetings/m-1")).await;
    browser.see("It takes place. It is in 1 of 13 feeds.").await;
    is_told(browser).await;
}

#[tokio::test]
async fn what_is_unfolded_stays_so_while_what_is_beside_it_is_shown_anew() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start().await;
    a_meeting(&app, &browser).await;
    browser.press("Not in 12 other feeds").await;
    // That it is unfolded is enough, wherever the focus is.
    browser.script("document.activeElement.blur(); document.querySelector('#places details').mine = true").await;
    let fold = "const fold = document.querySelector('#places details'); return [fold.open, fold.mine === true]";

    app.add_feed("Everybody else", Selection::default(), Detail::Full).await;
    browser.see("It is in 2 of 14 feeds.").await;
    // Beside it, in the same part of the page.
    browser.is_shown("//section[@id='places']//th[contains(., 'Everybody else')]").await;
    assert_eq!(browser.script(fold).await, json!([true, true]));

    browser.press("Not in 12 other feeds").await;
    browser.script("document.activeElement.blur()").await;
    app.add_feed("Bo 12", of(&["bo@example.com"]), Detail::Full).await;
    browser.see("Not in 13 other feeds").await;
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
async fn what_is_selected_or_has_the_focus_stays() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start().await;
    sign_in(&app, &browser).await;
    is_told(&browser).await;
    let address = app.url("/webhooks/cirrus-insight");
    browser.script("getSelection().selectAllChildren(document.querySelector('#now dd > code'))").await;
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 0, 9)]).await;
    browser.see("Demo m-1").await;
    assert_eq!(browser.script("return getSelection().toString()").await, address);

    browser.script("getSelection().removeAllRanges(); document.querySelector('.grid a').focus()").await;
    app.deliver_all(&[event("e-2", "scheduled", "m-2", 1, 10)]).await;
    browser.see("2 applied").await;
    assert_eq!(browser.script("return document.activeElement.textContent").await, "Demo m-1");
    assert_eq!(browser.console().await, [""; 0]);
}

#[tokio::test]
async fn a_link_can_be_copied_also_where_the_page_was_shown_anew() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start_with_google().await;
    let calendar = add_calendar(&app, "Sales", TEAM, Selection::default(), Detail::Full).await;
    app.store.ask_job(&calendar, JobKind::Check, "test", app.now()).await.unwrap();
    sign_in(&app, &browser).await;
    browser.open(&app.url("/calendars?new=1")).await;
    is_told(&browser).await;
    browser.script("document.querySelector('[data-copy]').isFirst = true").await;
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 0, 9)]).await;
    browser.see("1 on the way").await;
    assert_eq!(browser.script("return 'isFirst' in document.querySelector('[data-copy]')").await, false);
    browser.press("Copy").await;
    browser.see("Copied").await;
    // What is shown anew beside it leaves that as it is.
    let output = "document.querySelector('.with-button > output').isKept";
    browser.script(&format!("{output} = true")).await;
    app.deliver_all(&[event("e-2", "scheduled", "m-2", 1, 10)]).await;
    browser.see("2 on the way").await;
    assert_eq!(browser.script(&format!("return {output}")).await, true);
}

#[tokio::test]
async fn a_page_asks_again_only_when_it_has_its_answer() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start().await;
    sign_in(&app, &browser).await;
    prepare(&browser, HELD).await;
    browser.reload().await;
    // It asks once when it is first told of changes, for what it was not told before.
    browser.is_shown("//html[@data-asked='1']").await;
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 0, 9)]).await;
    browser.is_shown("//html[@data-heard]").await;
    let asked =
        "return new Promise(go => setTimeout(() => setTimeout(() => go(document.documentElement.dataset.asked))))";
    assert_eq!(browser.script(asked).await, "1");
    browser.script("release()").await;
    browser.is_shown("//html[@data-asked='2']").await;
    browser.script("release()").await;
    browser.see("Demo m-1").await;
}

#[tokio::test]
async fn where_changes_are_not_told_one_is_asked_to_reload_and_the_page_tries_again() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start_with_google().await;
    let calendar = add_calendar(&app, "Sales", TEAM, Selection::default(), Detail::Full).await;
    app.store.ask_job(&calendar, JobKind::Check, "test", app.now()).await.unwrap();
    sign_in(&app, &browser).await;
    prepare(&browser, SOONER).await;
    let places = app.site.watching.places.clone();
    browser.open("about:blank").await;
    // Waits until the page that was left has given its place back.
    let all = places.acquire_many(32).await.unwrap();

    let hint = "//p[normalize-space(.) = 'Reload the page to see how far it is.']";
    browser.open(&app.url("/calendars")).await;
    browser.is_shown("//progress").await;
    assert!(browser.is_shown(hint).await, "nothing tells that the page stays as it is");
    drop(all);
    is_told(&browser).await;
    assert!(!browser.is_shown(hint).await);

    let hidden = "Object.defineProperty(document, 'hidden', {value: arguments_, configurable: true});
                  document.dispatchEvent(new Event('visibilitychange'))";
    browser.script(&hidden.replace("arguments_", "true")).await;
    let all = places.acquire_many(32).await.unwrap();
    browser.script(&hidden.replace("arguments_", "false")).await;
    browser.is_shown("//html[@class='']").await;
    assert!(browser.is_shown(hint).await);
    drop(all);
    is_told(&browser).await;
    assert!(!browser.is_shown(hint).await);
    let refused = browser.console().await;
    assert!(!refused.is_empty() && refused.iter().all(|entry| entry.contains("status of 503")), "{refused:?}");
}
