//! The facts about how calendar programs fetch feeds, 11 to 18, each by its number. Facts 1 to 10 are about the bytes.

use chrono::TimeDelta;
use meeting_mirror::meeting::selection::{Detail, Selection};

use crate::process_support::{Machine, browser, event as event_now, get};
use crate::support::{TestApp, event};

async fn app_with_feed() -> (TestApp, meeting_mirror::store::Feed) {
    let app = TestApp::start().await;
    let feed = app.add_feed("Everything", Selection::default(), Detail::Full).await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9), event("2", "scheduled", "m-2", 1, 10)]).await;
    (app, feed)
}

#[tokio::test]
async fn fact_11_whoever_asks_and_whatever_they_accept_gets_the_calendar() {
    let (app, feed) = app_with_feed().await;
    let expected = app.fetch(&feed, &[]).await;
    for headers in [
        &[("user-agent", "Google-Calendar-Importer")][..],
        &[("user-agent", "curl/8.5.0"), ("accept", "text/html")],
        &[("user-agent", "a bot of some kind"), ("accept", "application/json;q=0.9")],
    ] {
        let got = app.fetch(&feed, headers).await;
        assert_eq!((got.status, got.header("content-type")), (200, "text/calendar; charset=utf-8"), "{headers:?}");
        assert_eq!(got.body, expected.body);
        assert_eq!(got.header("vary"), "");
    }
}

#[tokio::test]
async fn fact_12_a_short_address_and_the_same_headers_for_get_and_head() {
    let (app, feed) = app_with_feed().await;
    let address = app.feed_url(&feed);
    assert!(address.len() <= 256 && address.strip_suffix(".ics").is_some(), "{address}");
    let got = app.fetch(&feed, &[]).await;
    assert_eq!(got.header("content-type"), "text/calendar; charset=utf-8");
    assert_eq!(got.header("content-length"), got.body.len().to_string());
    assert_eq!(got.header("content-disposition"), "");
    let head = app.http.head(&address).send().await.unwrap();
    assert_eq!(head.status(), 200);
    let without_date = |headers: &reqwest::header::HeaderMap| {
        let mut headers = headers.clone();
        headers.remove("date");
        headers
    };
    assert_eq!(without_date(head.headers()), without_date(&got.headers));
    assert_eq!(head.text().await.unwrap(), "");
    let head = app.http.head(&address).header("if-none-match", got.header("etag")).send().await.unwrap();
    assert_eq!(head.status(), 304);
}

#[tokio::test]
async fn fact_13_a_strong_tag_of_the_bytes_and_a_date_that_only_rises() {
    let (app, feed) = app_with_feed().await;
    let first = app.fetch(&feed, &[]).await;
    assert!(first.header("etag").starts_with('"'), "{}", first.header("etag"));
    let known = [("if-none-match", first.header("etag"))];
    let since = [("if-modified-since", first.header("last-modified"))];
    for condition in [&known, &since] {
        let got = app.fetch(&feed, condition).await;
        assert_eq!((got.status, got.body.as_str()), (304, ""));
        for header in ["etag", "last-modified", "cache-control"] {
            assert_eq!(got.header(header), first.header(header));
        }
    }
    // Apple asks by the date alone: it rises also when a meeting is only taken out, at once and by time.
    let mut last = first;
    for step in ["moved", "canceled ages out", "leaves the window", "no longer selected"] {
        match step {
            "moved" => app.deliver_all(&[event("3", "canceled", "m-2", 2, 10)]).await,
            // It was canceled within the second in which it was scheduled, which counts as the next one.
            "canceled ages out" => app.clock.advance(TimeDelta::days(7) + TimeDelta::seconds(1)),
            "leaves the window" => app.clock.advance(TimeDelta::days(24)),
            _ => {
                app.deliver_all(&[event("4", "scheduled", "m-3", 3, 20)]).await;
                last = app.fetch(&feed, &[]).await;
                let nobody = vec!["nobody@example.com".to_owned()];
                app.edit_feed(&feed, |wish| wish.selection.owners = nobody).await;
            }
        }
        let got = app.fetch(&feed, &[("if-modified-since", last.header("last-modified"))]).await;
        assert_eq!(got.status, 200, "{step}: {got:?}");
        let date = |got: &super::Got| httpdate::parse_http_date(got.header("last-modified")).unwrap();
        assert!(date(&got) > date(&last), "{step}");
        last = got;
    }
}

#[tokio::test]
async fn fact_14_on_an_inner_fault_the_last_good_bytes_also_after_a_restart_and_never_an_empty_calendar() {
    let (app, feed) = app_with_feed().await;
    let good = app.fetch(&feed, &[]).await;
    assert_eq!(good.values("SUMMARY").len(), 2);
    app.damage_meetings().await;
    for _ in 0..3 {
        let got = app.fetch(&feed, &[]).await;
        assert_eq!((got.status, &got.body, got.header("etag")), (200, &good.body, good.header("etag")));
        app.clock.advance(TimeDelta::seconds(6));
    }
    assert_eq!(app.feeds.counts().faults, 3, "each was tried anew");
    let app = app.restart().await;
    let got = app.fetch(&feed, &[]).await;
    assert_eq!((got.status, &got.body, got.header("etag")), (200, &good.body, good.header("etag")));
    assert_eq!(app.fetch(&feed, &[("if-none-match", good.header("etag"))]).await.status, 304);
    // A feed that was never made has no last good bytes.
    let other = app.add_feed("Other", Selection::default(), Detail::Full).await;
    let got = app.fetch(&other, &[]).await;
    assert_eq!((got.status, got.header("retry-after")), (503, "60"));
    assert!(!got.body.contains("VCALENDAR"), "{got:?}");
}

#[tokio::test]
async fn fact_15_nothing_is_compressed() {
    let (app, feed) = app_with_feed().await;
    let plain = app.fetch(&feed, &[]).await;
    let got = app.fetch(&feed, &[("accept-encoding", "gzip, deflate, br, zstd")]).await;
    assert_eq!(
        (got.header("content-encoding"), &got.body, got.header("etag")),
        ("", &plain.body, plain.header("etag"))
    );
}

#[tokio::test]
async fn fact_16_a_link_that_was_ended_answers_410_and_one_that_never_was_404() {
    let (app, feed) = app_with_feed().await;
    let got = app.fetch(&feed, &[]).await;
    assert_eq!(got.header("x-robots-tag"), "noindex");
    let mut unknown = feed.clone();
    unknown.wish.public_id = "nobody".into();
    assert_eq!(app.fetch(&unknown, &[]).await.status, 404);
    let robots = app.http.get(app.url("/robots.txt")).send().await.unwrap();
    assert_eq!(
        (robots.status().as_u16(), robots.text().await.unwrap()),
        (200, "User-agent: *\nDisallow:\n".to_owned())
    );

    let mut tx = app.store.write().await.unwrap();
    tx.rotate_feed(feed.id).await.unwrap();
    tx.commit().await.unwrap();
    let got = app.fetch(&feed, &[]).await;
    assert!(got.status == 410 && !got.body.contains("VCALENDAR"), "{got:?}");
    let rotated = app.store.feed("Everything").await.unwrap().unwrap();
    let renders = app.feeds.counts().renders;
    assert_eq!(app.fetch(&rotated, &[]).await.status, 200);
    assert_eq!(app.feeds.counts().renders, renders, "the bytes are the same under the new link");
    let mut tx = app.store.write().await.unwrap();
    tx.revoke_feed(feed.id, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(app.fetch(&rotated, &[]).await.status, 410);
    assert_eq!(app.fetch(&feed, &[]).await.status, 410);
}

#[tokio::test]
async fn fact_17_the_page_gives_each_program_the_way_that_works() {
    let (app, feed) = app_with_feed().await;
    let page = app.url(&format!("/subscribe/{}", app.site.links.token(&feed)));
    let response = app.http.get(page).send().await.unwrap();
    assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    assert_eq!(response.headers()["x-robots-tag"], "noindex");
    let text = response.text().await.unwrap();
    for shown in [
        "https://calendar.google.com/calendar/u/0/r/settings/addbyurl".to_owned(),
        "https://outlook.office.com/calendar/addcalendar".to_owned(),
        app.feed_url(&feed).replace("http://", "href=\"webcal://"),
        format!("value=\"{}\" readonly", app.feed_url(&feed)),
        format!("href=\"/feeds/{}.ics\" download", app.site.links.token(&feed)),
    ] {
        assert!(text.contains(&shown), "{shown} is not in {text}");
    }
    assert!(!text.contains("cid="), "{text}");
}

#[tokio::test]
async fn fact_18_a_link_is_long_stays_the_same_and_is_never_logged() {
    let machine = Machine::new();
    let link = machine.ok(&["feed", "add", "--name", "Sales", "--public-url", "https://mirror.example.com"]);
    let token = link.trim().rsplit('/').next().unwrap().strip_suffix(".ics").unwrap();
    let (public_id, mac) = token.split_once('.').unwrap();
    assert_eq!(mac.len() * 5, 160, "bits of a base32 text");
    let server = machine.serve(&["--log", "trace"]);
    let http = browser();
    server.post(&http, event_now("e-1", "scheduled", "m-1", 5).to_string()).await.unwrap();
    for path in [format!("/feeds/{token}.ics"), format!("/subscribe/{token}"), format!("/feeds/{public_id}.aaaa.ics")] {
        get(&http, &format!("{}{path}", server.url)).await;
    }
    machine.ok(&["feed", "edit", "Sales", "--name", "Sales team", "--detail", "busy"]);
    let shown = machine.json(&["feed", "show", "1", "--json", "--public-url", "https://mirror.example.com"]);
    assert_eq!(shown["link"], link.trim());
    let log = server.stop();
    assert!(log.contains("/feeds/{file}") && !log.contains(mac) && !log.contains(public_id), "{log}");
}
