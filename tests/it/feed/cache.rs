//! What is kept ready, and when it is made anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::TimeDelta;
use meeting_mirror::meeting::apply::receive;
use meeting_mirror::meeting::event::{EventId, EventKey, Kind, MeetingEvent, MeetingId};
use meeting_mirror::meeting::selection::{Detail, Selection, ShowAs};
use meeting_mirror::meeting::state::Meeting;
use meeting_mirror::store::{Feed, Store};
use meeting_mirror::views::feed::lint::lint;
use serde_json::{Value, json};

use crate::support::{TestApp, event, noon, with};

fn only(owner: &str) -> Selection {
    Selection { owners: vec![owner.into()], ..Selection::default() }
}

/// A meeting event of another owner.
fn of(owner: &str, envelope: Value) -> Value {
    with(envelope, |data| data["meetingOwner"]["username"] = owner.into())
}

/// How often feeds were made anew while these were fetched.
async fn renders(app: &TestApp, feeds: &[&Feed]) -> u64 {
    let before = app.feeds.counts().renders;
    for feed in feeds {
        assert_eq!(app.fetch(feed, &[]).await.status, 200);
    }
    app.feeds.counts().renders - before
}

#[tokio::test]
async fn what_is_ready_is_served_without_the_database() {
    let app = TestApp::start().await;
    let feed = app.add_feed("Everything", Selection::default(), Detail::Full).await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    let got = app.fetch(&feed, &[]).await;
    app.store.close().await;
    let again = app.fetch_as_it_is(&feed, &[]).await;
    assert_eq!((again.status, again.body), (200, got.body.clone()));
    assert_eq!(app.fetch_as_it_is(&feed, &[("if-none-match", got.header("etag"))]).await.status, 304);
    // A forged link is told apart without it, too; of one with an id that nobody knows nothing can be said.
    let mut forged = feed.clone();
    forged.generation += 5;
    assert_eq!(app.fetch_as_it_is(&forged, &[]).await.status, 404);
    forged.wish.public_id = "nobody".into();
    assert_eq!(app.fetch_as_it_is(&forged, &[]).await.status, 503);
}

#[tokio::test]
async fn a_change_makes_only_those_feeds_anew_that_show_the_meeting() {
    let app = TestApp::start().await;
    let all = app.add_feed("All", Selection::default(), Detail::Full).await;
    let ada = app.add_feed("Ada", only("ADA@example.com"), Detail::Full).await;
    let bo = app.add_feed("Bo's own", only("bo@example.com"), Detail::Busy).await;
    let feeds = [&all, &ada, &bo];
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    assert_eq!(renders(&app, &feeds).await, 3, "none was ready");
    assert_eq!(renders(&app, &feeds).await, 0);

    app.deliver_all(&[event("2", "rescheduled", "m-1", 1, 10)]).await;
    assert_eq!(renders(&app, &[&bo]).await, 0);
    assert_eq!(renders(&app, &feeds).await, 2);
    // It changes hands: out of one, into the other.
    app.deliver_all(&[of("bo@example.com", event("3", "rescheduled", "m-1", 2, 10))]).await;
    assert_eq!(renders(&app, &feeds).await, 3);
    assert_eq!(app.fetch(&ada, &[]).await.values("SUMMARY"), [""; 0]);
    assert_eq!(app.fetch(&bo, &[]).await.values("SUMMARY"), ["Busy"]);
    // A late event, a repeated one, and one that tells nothing new change nothing.
    app.deliver_all(&[event("0", "scheduled", "m-1", -5, 8), event("1", "scheduled", "m-1", 0, 9)]).await;
    app.deliver_all(&[of("bo@example.com", event("4", "rescheduled", "m-1", 3, 10))]).await;
    assert_eq!(renders(&app, &feeds).await, 0);
    // Past and far meetings are in none.
    let at = |event_id, meeting_id, start: &str, end: &str| {
        let (start, end) = (Value::from(start), Value::from(end));
        with(event(event_id, "scheduled", meeting_id, 4, 9), |data| {
            data["meetingStart"] = start;
            data["meetingEnd"] = end;
        })
    };
    app.deliver_all(&[
        at("5", "m-old", "2026-09-01T09:00:00Z", "2026-09-01T10:00:00Z"),
        at("6", "m-far", "2027-11-24T09:00:00Z", "2027-11-24T10:00:00Z"),
    ])
    .await;
    assert_eq!(renders(&app, &feeds).await, 0);
    // Until the far one comes into the window: 365 days before it begins, which is in 21 hours.
    app.clock.advance(TimeDelta::hours(21) - TimeDelta::seconds(1));
    assert_eq!(renders(&app, &feeds).await, 0);
    app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(renders(&app, &feeds).await, 2);
    assert!(app.fetch(&ada, &[]).await.body.contains("Demo m-far"));
}

#[tokio::test]
async fn time_alone_takes_meetings_out_and_lets_others_come_in() {
    let app = TestApp::start().await;
    let feed = app.add_feed("All", Selection::default(), Detail::Full).await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9), event("2", "canceled", "m-2", 0, 9)]).await;
    let shown = async || {
        let mut titles = app.fetch(&feed, &[]).await.values("SUMMARY");
        titles.sort();
        titles
    };
    assert_eq!(shown().await, ["Canceled: Demo m-2", "Demo m-1"]);
    // Said for seven days.
    app.clock.advance(TimeDelta::days(7) - TimeDelta::seconds(1));
    assert_eq!(shown().await.len(), 2);
    app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(shown().await, ["Demo m-1"]);
    // It ends on the next day at 9:30, and stays for 30 days.
    app.clock.advance(TimeDelta::days(23) + TimeDelta::minutes(21 * 60 + 30));
    assert_eq!(shown().await, ["Demo m-1"]);
    app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(shown().await, [""; 0]);
}

#[tokio::test]
async fn changes_by_another_process_are_seen() {
    let app = TestApp::start().await;
    let feed = app.add_feed("All", Selection::default(), Detail::Full).await;
    assert_eq!(app.fetch(&feed, &[]).await.values("X-WR-CALNAME"), ["All"]);
    let other = Store::open(app.store.path().parent().unwrap()).await.unwrap();
    let mut wish = feed.wish.clone();
    wish.name = "Everything".into();
    let mut tx = other.write().await.unwrap();
    tx.edit_feed(feed.id, &wish).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(app.fetch_as_it_is(&feed, &[]).await.values("X-WR-CALNAME"), ["All"], "its worker stands still");
    assert_eq!(app.fetch(&feed, &[]).await.values("X-WR-CALNAME"), ["Everything"]);
    // A feed that was added a moment ago is there before the worker saw it.
    let new = meeting_mirror::store::NewFeed { public_id: "new".into(), name: "New".into(), ..wish };
    let mut tx = other.write().await.unwrap();
    let id = tx.add_feed(&new, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    let new = other.feed(&id.to_string()).await.unwrap().unwrap();
    assert_eq!(app.fetch_as_it_is(&new, &[]).await.status, 200);
    other.close().await;
}

#[tokio::test]
async fn an_edit_keeps_the_link_and_every_program_takes_it_for_a_change() {
    let app = TestApp::start().await;
    let feed = app.add_feed("All", Selection::default(), Detail::Full).await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    let before = app.fetch(&feed, &[]).await;
    assert_eq!(
        (before.values("SUMMARY"), before.values("TRANSP")),
        (vec!["Demo m-1".into()], vec!["TRANSPARENT".into()])
    );
    let edited = app
        .edit_feed(&feed, |wish| {
            wish.detail = Detail::Busy;
            wish.show_as = ShowAs::Busy;
        })
        .await;
    assert_eq!(app.feed_url(&edited), app.feed_url(&feed));
    let after = app.fetch(&feed, &[("if-none-match", before.header("etag"))]).await;
    assert_eq!((after.values("SUMMARY"), after.values("TRANSP")), (vec!["Busy".into()], vec!["OPAQUE".into()]));
    assert_eq!(after.values("UID"), before.values("UID"));
    for property in ["SEQUENCE", "LAST-MODIFIED", "DTSTAMP"] {
        assert!(after.values(property) > before.values(property), "{property}: {after:?}");
    }
    // When the meeting then changes within the same second, that is later still.
    app.deliver_all(&[event("2", "rescheduled", "m-1", 1, 10)]).await;
    let last = app.fetch(&feed, &[]).await;
    assert!(last.values("LAST-MODIFIED") > after.values("LAST-MODIFIED"), "{last:?}");
}

#[tokio::test]
async fn what_a_feed_showed_before_an_edit_is_never_shown_again() {
    let app = TestApp::start().await;
    let feed = app.add_feed("All", Selection::default(), Detail::Full).await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    assert!(app.fetch(&feed, &[]).await.body.contains("bo@example.org"));
    app.edit_feed(&feed, |wish| wish.detail = Detail::Busy).await;
    // Now it can't be made: there are no good bytes of what it is to show.
    app.damage_meetings().await;
    assert_eq!(app.fetch(&feed, &[]).await.status, 503);
    let app = app.restart().await;
    assert_eq!(app.fetch(&feed, &[]).await.status, 503);
}

#[tokio::test]
async fn readers_meet_no_torn_and_no_empty_feed_while_meetings_change() {
    let app = Arc::new(TestApp::start().await);
    let feed = app.add_feed("All", Selection::default(), Detail::Full).await;
    let first: Vec<Value> = (0..20).map(|n| event(&format!("0-{n}"), "scheduled", &format!("m-{n}"), 0, 9)).collect();
    app.deliver_all(&first).await;
    let (done, fetched) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (app, feed, done, fetched) = (app.clone(), feed.clone(), done.clone(), fetched.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let got = app.fetch_as_it_is(&feed, &[]).await;
                    assert_eq!(got.status, 200);
                    assert_eq!(got.body.len().to_string(), got.header("content-length"));
                    assert_eq!(lint(got.body.as_bytes()), [], "{}", got.body);
                    assert_eq!(got.values("UID").len(), 20, "{}", got.body);
                    fetched.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 1..=15_i64 {
        let kind = if round % 3 == 0 { "canceled" } else { "rescheduled" };
        let events: Vec<Value> = (0..20)
            .map(|n| event(&format!("{round}-{n}"), kind, &format!("m-{n}"), round, u32::try_from(round).unwrap()))
            .collect();
        app.deliver_all(&events).await;
        app.clock.advance(TimeDelta::seconds(1));
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(fetched.load(Ordering::Relaxed) > 20, "the readers read too little to prove anything");
}

#[tokio::test]
async fn what_is_left_out_is_counted_anew_when_it_passes_out_of_the_window() {
    let app = TestApp::start().await;
    let feed = app.add_feed("All", Selection::default(), Detail::Busy).await;
    let mut tx = app.store.write().await.unwrap();
    for number in 0..1501 {
        // The nearest thousand and one ended days ago, the others nearly a month ago.
        let minutes = if number < 1001 { 3000 + number } else { 29 * 1440 + number - 1001 };
        tx.save_meeting(&past(number, minutes)).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(app.fetch(&feed, &[]).await.values("UID").len(), 1000);
    let left_out = async || app.store.rendition_facts().await.unwrap()[0].left_out.meetings;
    assert_eq!(left_out().await, 501);
    let before = app.fetch(&feed, &[]).await;
    // One of those that were only counted turns out to have been earlier still, so that it is past the window.
    let mut earlier = past(1500, 31 * 1440);
    earlier.revision = 1;
    let mut tx = app.store.write().await.unwrap();
    tx.save_meeting(&earlier).await.unwrap();
    tx.commit().await.unwrap();
    app.fetch(&feed, &[]).await;
    assert_eq!(left_out().await, 500);
    app.clock.advance(TimeDelta::days(3));
    let after = app.fetch(&feed, &[]).await;
    assert_eq!((left_out().await, after.header("etag")), (1, before.header("etag")));
}

/// A meeting that ended so many minutes before noon.
fn past(number: i64, minutes: i64) -> Meeting {
    let ends_at = noon() - TimeDelta::minutes(minutes);
    let text = json!({
        "organization_id": "org-1", "owner": {}, "invitee": {}, "further_invitees": [], "answers": [],
        "starts_at": ends_at.timestamp() - 1800, "ends_at": ends_at.timestamp(),
    });
    let event = MeetingEvent {
        key: EventKey { happened_at: noon(), kind: Kind::Scheduled, event_id: EventId::new(format!("e-{number}")) },
        meeting_id: MeetingId::new(format!("m-{number}")),
        details: serde_json::from_value(text).unwrap(),
        existing_email_meeting_id: None,
    };
    receive(None, &event, noon()).0
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_no_stale_feed_behind() {
    let app = Arc::new(TestApp::start().await);
    let feed = app.add_feed("All", Selection::default(), Detail::Full).await;
    for round in 0..40_u32 {
        let (its, of) = (app.clone(), feed.clone());
        let request = tokio::spawn(async move { its.fetch_as_it_is(&of, &[]).await.status });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        request.abort();
        let _ = request.await;
        let event_id = format!("e-{round}");
        app.deliver_all(&[event(&event_id, "rescheduled", "m-1", round.into(), round % 24)]).await;
        let got = app.fetch(&feed, &[]).await;
        assert_eq!(got.values("DTSTART"), [format!("20261124T{:02}0000Z", round % 24)], "round {round}");
    }
}

#[tokio::test]
async fn guessed_links_cost_the_database_little() {
    let app = TestApp::start().await;
    let feed = app.add_feed("All", Selection::default(), Detail::Full).await;
    app.fetch(&feed, &[]).await;
    app.store.close().await;
    let mut statuses = Vec::new();
    for number in 0..200 {
        if number == 100 {
            app.clock.advance(TimeDelta::milliseconds(500));
        }
        let mut guessed = feed.clone();
        guessed.wish.public_id = format!("guess{number}");
        statuses.push(app.fetch_as_it_is(&guessed, &[]).await.status);
    }
    // Who asked the database is told that it can't be used: 20 a second.
    let expected: Vec<u16> =
        [(503, 20), (404, 80), (503, 10), (404, 90)].map(|(status, times)| vec![status; times]).concat();
    assert_eq!(statuses, expected);
    assert_eq!(app.fetch_as_it_is(&feed, &[]).await.status, 200);
}

#[tokio::test]
async fn what_changes_while_a_feed_is_made_is_not_missed() {
    let app = Arc::new(TestApp::start().await);
    let feed = app.add_feed("All", Selection::default(), Detail::Full).await;
    app.deliver_all(&[event("1", "scheduled", "m-1", 0, 9)]).await;
    // Another process writes: the feed's meetings are looked at, and then its bytes wait to be kept.
    let other = Store::open(app.store.path().parent().unwrap()).await.unwrap();
    let mut writing = other.write().await.unwrap();
    let (its, of) = (app.clone(), feed.clone());
    let request = tokio::spawn(async move { its.fetch_as_it_is(&of, &[]).await });
    for _ in 0..60 {
        app.http.get(app.url("/livez")).send().await.unwrap();
    }
    let mut moved = app.meeting("m-1").await;
    moved.revision += 1;
    moved.details.title = Some("Moved meanwhile".into());
    writing.save_meeting(&moved).await.unwrap();
    writing.commit().await.unwrap();
    app.feeds.catch_up().await.unwrap();
    assert_eq!(request.await.unwrap().status, 200);
    let got = app.fetch(&feed, &[]).await;
    assert_eq!(got.values("SUMMARY"), ["Moved meanwhile"]);
    other.close().await;
}

#[tokio::test]
async fn a_feed_that_can_not_be_read_does_not_hold_up_the_others() {
    let app = TestApp::start().await;
    let feed = app.add_feed("All", Selection::default(), Detail::Full).await;
    let damaged = app.add_feed("Damaged", Selection::default(), Detail::Full).await;
    assert_eq!(app.fetch(&feed, &[]).await.values("UID").len(), 0);
    app.sql(
        "UPDATE changes SET position = position + 1;
         UPDATE feeds SET selection = 'nothing that can be read' WHERE name = 'Damaged';",
    )
    .await;
    app.deliver(&event("1", "scheduled", "m-1", 0, 9)).await;
    app.inbox.drain().await.unwrap();
    assert_eq!(app.fetch(&feed, &[]).await.values("UID").len(), 1);
    assert_eq!(app.fetch(&damaged, &[]).await.values("UID").len(), 1, "with the settings that it had");
    // Anew, nobody knows its settings.
    let app = app.restart().await;
    assert_eq!(app.fetch(&feed, &[]).await.values("UID").len(), 1);
    assert_eq!(app.fetch(&damaged, &[]).await.status, 503);
    assert_eq!(
        app.http.get(app.url(&format!("/subscribe/{}", app.site.links.token(&damaged)))).send().await.unwrap().status(),
        500
    );
    app.sign_in().await;
    let page = app.page("/feeds").await;
    assert!(page.contains("1 feed can&#39;t be read, and is not listed.") && page.contains("<bdi>All</bdi>"), "{page}");
}
