//! What of the cache only shows from inside.

use super::*;
use crate::meeting::event::Kind;
use crate::views::testing::{Stage, meeting_event};

/// A stage with one feed, and its slot in a cache that has it ready.
async fn ready() -> (Stage, FeedCache, Arc<Slot>) {
    let stage = Stage::new().await;
    let feed = stage.feed("All").await;
    let cache = FeedCache::new(stage.site.clone(), Arc::default());
    let slot = cache.by_token(&stage.site.links.token(&feed)).await.unwrap();
    cache.current(&slot).await.unwrap();
    (stage, cache, slot)
}

/// Does work in the database for as long as a feed would need many times.
async fn a_while(cache: &FeedCache) {
    for _ in 0..100 {
        cache.catch_up().await.unwrap();
    }
}

#[tokio::test]
async fn who_waited_while_a_feed_was_ended_or_edited_does_not_get_what_it_was() {
    let (stage, cache, slot) = ready().await;
    let mut tx = stage.site.store.write().await.unwrap();
    tx.revoke_feed(slot.feed.id, stage.now()).await.unwrap();
    tx.commit().await.unwrap();
    cache.catch_up().await.unwrap();
    // It was looked up before, and is found to be out of date only now. Making it anew finds the same bytes.
    slot.cached().unwrap().outdate();
    assert!(matches!(cache.current(&slot).await, Err(Fault::Outdated)));
    // Nor when it can't be made.
    slot.cached().unwrap().outdate();
    slot.rest_until(stage.now() + RETRY_AFTER);
    assert!(matches!(cache.current(&slot).await, Err(Fault::Outdated)));
}

#[tokio::test]
async fn feeds_that_are_made_leave_connections_to_others() {
    let (_stage, cache, slot) = ready().await;
    slot.cached().unwrap().outdate();
    let others = cache.0.readers.acquire_many(2).await.unwrap();
    let its = cache.clone();
    let request = tokio::spawn(async move { its.current(&slot).await.is_ok() });
    a_while(&cache).await;
    assert!(!request.is_finished(), "a third one reads its meetings");
    drop(others);
    assert!(request.await.unwrap());
    assert_eq!(cache.0.readers.available_permits(), READ_AT_ONCE);
}

#[tokio::test]
async fn a_feed_that_takes_too_long_is_told_of_and_does_not_rest() {
    let (stage, cache, slot) = ready().await;
    slot.cached().unwrap().outdate();
    let hanging = slot.making.lock().await;
    let served = cache.current_within(Duration::ZERO, &slot).await.unwrap();
    assert!(Arc::ptr_eq(&served, &slot.cached().unwrap()), "its last good bytes");
    assert_eq!(cache.counts().faults, 1);
    assert!(!slot.rests(stage.now()));
    drop(hanging);
}

#[tokio::test]
async fn changes_are_learned_while_nothing_can_be_written() {
    let (stage, cache, slot) = ready().await;
    cache.fetches().count(slot.feed.id, super::super::Program::of(None), 200, stage.now());
    stage.event(&meeting_event("m-1", Kind::Scheduled, stage.now(), 2)).await;
    let writing = stage.site.store.write().await.unwrap();
    let stop = CancellationToken::new();
    let pulse = stage.site.pulses.begin("feeds", ROUND);
    let worker = tokio::spawn(cache.clone().run(pulse, stop.clone()));
    while slot.fresh(stage.now()).is_some() {
        stage.site.store.positions().await.unwrap();
    }
    assert!(
        stage.site.store.readers(&[slot.feed.id], stage.now()).await.unwrap().is_empty(),
        "it could be written after all"
    );
    drop(writing);
    stop.cancel();
    worker.await.unwrap();
    assert_eq!(stage.site.store.readers(&[slot.feed.id], stage.now()).await.unwrap().len(), 1);
}
