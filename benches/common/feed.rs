//! A feed to be read.

use chrono::{DateTime, Utc};
use meeting_mirror::clock::Randomness;
use meeting_mirror::meeting::selection::{Detail, Selection, ShowAs, Window};
use meeting_mirror::store::{Feed, NewFeed, Store};
use meeting_mirror::web::links::Links;

/// Adds a feed that shows all of a meeting.
pub(crate) async fn add_feed(store: &Store, name: &str, selection: Selection, at: DateTime<Utc>) -> Feed {
    let new = NewFeed {
        public_id: Links::new_public_id(&Randomness::from_system().unwrap()),
        name: name.to_owned(),
        show_as: ShowAs::fitting(&selection),
        selection,
        detail: Detail::Full,
        window: Window { past_days: 30, future_days: 365 },
        canceled_days: NewFeed::CANCELED_DAYS,
    };
    let mut tx = store.write().await.unwrap();
    let id = tx.add_feed(&new, at).await.unwrap();
    tx.commit().await.unwrap();
    store.feed(&id.to_string()).await.unwrap().unwrap()
}
