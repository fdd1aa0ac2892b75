//! Who reads a feed: counted by program, in batches, and kept over a restart.

use chrono::TimeDelta;
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::store::{Feed, Reader, day_of};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::process_support::{Machine, browser, get};
use crate::support::{TestApp, event, noon};

async fn readers(app: &TestApp, feed: &Feed) -> Vec<Reader> {
    app.store.readers(&[feed.id], app.now()).await.unwrap().remove(&feed.id).unwrap_or_default()
}

#[tokio::test]
async fn fetches_are_counted_by_program_day_and_answer_and_written_in_batches() {
    let app = TestApp::start().await;
    let feed = app.add_feed("All", Selection::default(), Detail::Full).await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    let google = ("user-agent", "Google-Calendar-Importer");
    let phone = ("user-agent", "iOS/17.5 (21F79) dataaccessd/1.0");
    let etag = app.fetch(&feed, &[google]).await.header("etag").to_owned();
    app.fetch(&feed, &[phone]).await;
    app.clock.advance(TimeDelta::hours(20));
    app.fetch(&feed, &[phone, ("if-none-match", &etag)]).await;
    app.fetch(&feed, &[phone, ("if-none-match", &etag)]).await;
    assert_eq!(readers(&app, &feed).await, [], "no request waits for the count");
    app.feeds.flush().await;
    let (first, second) = (day_of(noon()), day_of(noon()) + 1);
    let found = readers(&app, &feed).await;
    let told: Vec<_> =
        found.iter().map(|reader| (reader.program.as_str(), reader.last_at, reader.last_answer)).collect();
    assert_eq!(told, [("apple-phone", noon() + TimeDelta::hours(20), 304), ("google", noon(), 200)]);
    assert_eq!(Vec::from_iter(found[0].days.clone()), [(first, 1), (second, 2)]);

    // An old link that is still asked for is told; what never was a link is nobody's.
    let mut tx = app.store.write().await.unwrap();
    tx.rotate_feed(feed.id).await.unwrap();
    tx.commit().await.unwrap();
    app.clock.advance(TimeDelta::minutes(1));
    assert_eq!(app.fetch(&feed, &[google]).await.status, 410);
    let mut forged = feed.clone();
    forged.generation += 9;
    assert_eq!(app.fetch(&forged, &[google]).await.status, 404);
    app.feeds.flush().await;
    let app = app.restart().await;
    let found = readers(&app, &feed).await;
    assert_eq!((found[0].program.as_str(), found[0].last_answer), ("google", 410));
    assert_eq!(found.iter().flat_map(|reader| reader.days.values()).sum::<u32>(), 5);
}

/// Rows that are kept of fetches.
async fn rows(app: &TestApp) -> i64 {
    let mut connection = SqliteConnectOptions::new().filename(app.store.path()).connect().await.unwrap();
    let number = sqlx::query_scalar("SELECT count(*) FROM feed_fetches").fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    number
}

#[tokio::test]
async fn counts_that_can_not_be_written_wait_and_old_ones_go() {
    let app = TestApp::start().await;
    let feed = app.add_feed("All", Selection::default(), Detail::Full).await;
    app.fetch(&feed, &[]).await;
    app.sql("ALTER TABLE feed_fetches RENAME TO away").await;
    app.feeds.flush().await;
    app.sql("ALTER TABLE away RENAME TO feed_fetches").await;
    app.fetch(&feed, &[]).await;
    app.feeds.flush().await;
    assert_eq!(readers(&app, &feed).await[0].days.values().sum::<u32>(), 2);
    // Of a day for 90 days, also when nobody fetches any more.
    app.clock.advance(TimeDelta::days(89));
    app.retention.run_once().await.unwrap();
    assert_eq!(rows(&app).await, 1);
    app.clock.advance(TimeDelta::days(1));
    app.retention.run_once().await.unwrap();
    assert_eq!(rows(&app).await, 0);
}

#[tokio::test]
async fn a_server_that_stops_has_written_what_it_counted() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let link = machine.ok(&["feed", "add", "--name", "Sales"]);
    assert_eq!(get(&browser(), link.trim()).await.0, 200);
    server.stop();
    let shown = machine.json(&["feed", "show", "Sales", "--json"]);
    let reader = &shown["readers"][0];
    assert_eq!(
        (reader["program"].as_str(), reader["lastAnswer"].as_i64(), reader["fetches"].as_i64()),
        (Some("unnamed"), Some(200), Some(1))
    );
    let told = machine.ok(&["feed", "show", "Sales"]);
    assert!(
        told.contains("A program without a name: ") && told.contains("answered 200; today 1, in 14 days 1"),
        "{told}"
    );
}
