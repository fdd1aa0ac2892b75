//! `events.list`: filters, pages, refusals.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::json;

use super::{Reply, Setup, TEAM, at, events_path, meeting, meeting_with};

fn ids(reply: &Reply) -> Vec<&str> {
    let items = reply.body["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

/// All pages: how many items each had, and all ids.
async fn all_pages(setup: &Setup, query: &str) -> (Vec<usize>, BTreeSet<String>) {
    let (mut sizes, mut found) = (Vec::new(), BTreeSet::new());
    let mut token = String::new();
    loop {
        let page = setup.get(&events_path(&format!("?{query}{token}"))).await;
        assert_eq!(page.status, 200, "{page:?}");
        sizes.push(ids(&page).len());
        found.extend(ids(&page).into_iter().map(str::to_owned));
        match page.body["nextPageToken"].as_str() {
            Some(next) => token = format!("&pageToken={next}"),
            None => return (sizes, found),
        }
    }
}

async fn five() -> Setup {
    let setup = Setup::new().await;
    for (number, source) in ["x", "y", "y", "y", "x"].into_iter().enumerate() {
        let properties = json!({ "private": { "source": source, "n": number.to_string() } });
        let hour = 10 + number;
        let event = meeting_with(
            &format!("aaaa{number}"),
            json!({
                "extendedProperties": properties,
                "start": { "dateTime": format!("2026-03-03T{hour}:00:00Z") },
                "end": { "dateTime": format!("2026-03-03T{hour}:30:00Z") },
            }),
        );
        assert_eq!(setup.insert(&event).await.status, 200);
    }
    setup
}

#[tokio::test]
async fn pages_follow_each_other_and_may_be_short_or_empty() {
    let setup = five().await;
    let (sizes, found) = all_pages(&setup, "maxResults=2").await;
    assert_eq!((sizes, found.len()), (vec![2, 2, 1], 5));
    let (sizes, found) = all_pages(&setup, "maxResults=1&privateExtendedProperty=source%3Dx").await;
    assert_eq!((sizes, found.len()), (vec![1, 0, 0, 0, 1], 2));
    let (sizes, _) = all_pages(&setup, "maxResults=5").await;
    assert_eq!(sizes, [5], "a full last page has no successor");
}

#[tokio::test]
async fn a_page_has_250_events_unless_asked_and_2500_at_most() {
    let setup = Setup::new().await;
    let start = at("2026-03-03T10:00:00Z");
    for _ in 0..2501 {
        setup.google.insert_foreign_event(TEAM, "busy", start, start + TimeDelta::hours(1)).unwrap();
    }
    assert_eq!(ids(&setup.get(&events_path("")).await).len(), 250);
    assert_eq!(ids(&setup.get(&events_path("?maxResults=9999")).await).len(), 2500);
}

#[tokio::test]
async fn private_properties_filter_together() {
    let setup = five().await;
    let both = "?privateExtendedProperty=source%3Dy&privateExtendedProperty=n%3D2";
    assert_eq!(ids(&setup.get(&events_path(both)).await), ["aaaa2"]);
    let neither = "?privateExtendedProperty=source%3Dx&privateExtendedProperty=n%3D2";
    assert!(ids(&setup.get(&events_path(neither)).await).is_empty());
    let with_equals = meeting_with("bbbbb", json!({ "extendedProperties": { "private": { "k": "a=b" } } }));
    setup.insert(&with_equals).await;
    assert_eq!(ids(&setup.get(&events_path("?privateExtendedProperty=k%3Da%3Db")).await), ["bbbbb"]);
}

#[tokio::test]
async fn deleted_events_are_listed_when_asked_for() {
    let setup = Setup::new().await;
    setup.insert(&meeting("aaaaa")).await;
    setup.insert(&meeting("bbbbb")).await;
    setup.delete("aaaaa").await;
    assert_eq!(ids(&setup.get(&events_path("?singleEvents=true")).await), ["bbbbb"]);
    let all = setup.get(&events_path("?showDeleted=true")).await;
    assert_eq!(ids(&all), ["aaaaa", "bbbbb"]);
    assert_eq!(all.body["items"][0]["status"], "cancelled");
}

#[tokio::test]
async fn time_bounds_are_exclusive() {
    let setup = five().await;
    for (query, expected) in [
        ("?timeMin=2026-03-03T12:30:00Z", vec!["aaaa3", "aaaa4"]),
        ("?timeMax=2026-03-03T11:00:00Z", vec!["aaaa0"]),
        ("?timeMin=2026-03-03T11:29:59Z&timeMax=2026-03-03T12:00:01Z", vec!["aaaa1", "aaaa2"]),
        ("?timeMin=2026-03-03T15:00:00%2B01:00", vec!["aaaa4"]),
    ] {
        assert_eq!(ids(&setup.get(&events_path(query)).await), expected, "{query}");
    }
}

#[tokio::test]
async fn what_a_list_refuses() {
    let setup = Setup::new().await;
    for (query, status, reason) in [
        ("?timeMin=tomorrow", 400, "invalid"),
        ("?timeMax=2026-03-03T10:00:00", 400, "invalid"),
        ("?timeMin=2026-03-03T10:00:00Z&timeMax=2026-03-03T10:00:00Z", 400, "timeRangeEmpty"),
        ("?maxResults=0", 400, "invalid"),
        ("?maxResults=many", 400, "invalid"),
        ("?pageToken=%21", 400, "invalid"),
        ("?privateExtendedProperty=nothing", 400, "invalid"),
        ("?showDeleted=yes", 400, "invalid"),
        ("?singleEvents=1", 400, "invalid"),
        ("?syncToken=old", 410, "fullSyncRequired"),
        ("?syncToken=old&privateExtendedProperty=a%3Db", 400, "invalid"),
        ("?syncToken=old&timeMin=2026-03-03T10:00:00Z", 400, "invalid"),
        ("?q=Ada", 400, "invalid"),
        ("?sendUpdates=none", 400, "invalid"),
    ] {
        assert_eq!(setup.get(&events_path(query)).await.verdict(), (status, reason), "{query}");
    }
    let odd = setup.call("DELETE", &events_path("/aaaaa?sendUpdates=never"), None).await;
    assert_eq!(odd.verdict(), (400, "invalid"));
}
