//! Whether the database can be written. Only writing tells: to begin a transaction touches no disk, and a little still fits into
//! the write-ahead log of a disk that is full.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::{DeliveryStatus, Identity, LARGEST_BODY, NewDelivery, Store, StoreError};

/// The latest delivery that could not be stored; none when the latest ones could. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusing(Arc<Mutex<Option<Refused>>>);

/// Where a delivery would have gone. What else it holds may be the reason, and says nothing of others.
#[derive(Debug, Clone)]
struct Refused {
    event_id: String,
    received_at: DateTime<Utc>,
    /// The file is damaged there: that others can be stored elsewhere mends nothing.
    is_damage: bool,
}

impl Refused {
    /// As large as a delivery can be, in the same place.
    fn delivery(&self) -> NewDelivery {
        NewDelivery {
            identity: Identity { event_id: self.event_id.clone(), ..Identity::default() },
            body: vec![b' '; LARGEST_BODY],
            headers: String::new(),
            signature: String::new(),
            received_at: self.received_at,
            status: DeliveryStatus::Pending,
            reason: None,
        }
    }
}

impl Refusing {
    fn lock(&self) -> MutexGuard<'_, Option<Refused>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what became of a delivery, and of those in the same commit.
    pub(super) fn note<T>(&self, delivery: &NewDelivery, stored: &Result<T, StoreError>) {
        let mut refused = self.lock();
        match stored {
            Ok(_) => *refused = refused.take().filter(|refused| refused.is_damage),
            // Damage stands until something could be stored in its place.
            Err(error) if refused.as_ref().is_none_or(|refused| !refused.is_damage) => {
                *refused = Some(Refused {
                    event_id: delivery.identity.event_id.clone(),
                    received_at: delivery.received_at,
                    is_damage: matches!(error, StoreError::Damaged(_)),
                });
            }
            Err(_) => {}
        }
    }
}

impl Store {
    /// Writes something to disk and takes it back: little, but when the latest deliveries could not be stored as much as the
    /// largest of them, and then also tries one where the latest of them would have gone.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn check_writing(&self) -> Result<(), StoreError> {
        let refused = self.refusing.lock().clone();
        let written = " ".repeat(if refused.is_some() { LARGEST_BODY } else { 0 });
        let mut tx = self.write().await?;
        sqlx::query!("INSERT INTO installation (name, value) VALUES ('', ?)", written).execute(&mut *tx.0).await?;
        sqlx::query!("DELETE FROM installation WHERE name = ''").execute(&mut *tx.0).await?;
        tx.commit().await?;
        if let Some(refused) = refused {
            let mut tx = self.write().await?;
            tx.store_delivery(&refused.delivery()).await?;
            // Not committed: it never came.
            drop(tx);
            *self.refusing.lock() = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::InboxWriter;
    use super::super::group_commit::tests::delivery;
    use super::*;
    use std::os::unix::fs::FileExt as _;

    #[tokio::test]
    async fn a_disk_on_which_only_a_little_fits_is_found_out_once_a_delivery_was_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let (writer, task) = InboxWriter::new(store.clone());
        tokio::spawn(task);
        // SQLite answers SQLITE_FULL beyond so many pages, or beyond those that are there.
        let full = async || store.tamper(&["PRAGMA max_page_count = 1"]).await;
        let delivery = |octets: usize| delivery(&octets.to_string(), &vec![b' '; octets]);
        let is_unavailable = |error: StoreError| error.is_unavailable();
        full().await;
        store.check_writing().await.unwrap();
        assert!(writer.store(delivery(500_000)).await.is_err_and(is_unavailable));
        full().await;
        assert!(store.check_writing().await.is_err_and(is_unavailable));
        store.tamper(&["PRAGMA max_page_count = 100000"]).await;
        store.check_writing().await.unwrap();
        full().await;
        store.check_writing().await.unwrap();

        // A delivery that is stored tells it, too.
        assert!(writer.store(delivery(2_000_000)).await.is_err_and(is_unavailable));
        full().await;
        writer.store(delivery(10)).await.unwrap();
        store.check_writing().await.unwrap();
    }

    /// Where the page of the index of deliveries that holds this event id begins in the file, and its octets.
    fn index_page(file: &[u8], event_id: &str) -> (u64, Vec<u8>) {
        const PAGE: usize = 4096;
        // Of an index's pages that hold keys the first octet is 10.
        let mut pages = file.chunks(PAGE).enumerate().filter(|(_, page)| page[0] == 10);
        let holds = |page: &[u8]| page.windows(event_id.len()).any(|octets| octets == event_id.as_bytes());
        let (place, page) = pages.find(|(_, page)| holds(page)).unwrap();
        ((place * PAGE) as u64, page.to_vec())
    }

    #[tokio::test]
    async fn a_table_of_deliveries_that_is_damaged_is_found_out_once_one_was_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let event_id = |number: usize| format!("{number:03}{}", "-".repeat(100));
        let mut tx = store.write().await.unwrap();
        for number in 0..200 {
            tx.store_delivery(&delivery(&event_id(number), b"")).await.unwrap();
        }
        tx.commit().await.unwrap();
        store.close().await;
        let path = dir.path().join(super::super::DATABASE_FILE);
        let (begins, page) = index_page(&std::fs::read(&path).unwrap(), &event_id(199));
        let overwrite = |octets: &[u8]| {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.write_all_at(octets, begins).unwrap();
        };
        overwrite(&[0; 4096]);

        let store = Store::open(dir.path()).await.unwrap();
        let (writer, task) = InboxWriter::new(store.clone());
        tokio::spawn(task);
        store.check_writing().await.unwrap();
        let is_damaged = |error: StoreError| matches!(error, StoreError::Damaged(_));
        writer.store(delivery(&event_id(999), b"")).await.unwrap_err();
        assert!(store.check_writing().await.is_err_and(is_damaged));
        writer.store(delivery("0", b"")).await.unwrap();
        assert!(store.check_writing().await.is_err_and(is_damaged), "one that goes elsewhere mends nothing");
        overwrite(&page);
        store.check_writing().await.unwrap();
        assert!(store.delivery(&event_id(999)).await.unwrap().is_none(), "what was tried was taken back");
        writer.store(delivery(&event_id(999), b"")).await.unwrap();
    }

    #[tokio::test]
    async fn a_delivery_that_alone_can_not_be_stored_says_nothing_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let (writer, task) = InboxWriter::new(store.clone());
        tokio::spawn(task);
        let bad =
            "CREATE TRIGGER bad BEFORE INSERT ON inbox WHEN new.reason = 'bad' BEGIN SELECT raise(ABORT, 'bad'); END";
        store.tamper(&[bad]).await;
        let refused = NewDelivery { reason: Some("bad".to_owned()), ..delivery("a", b"") };
        writer.store(refused).await.unwrap_err();
        store.check_writing().await.unwrap();
        let every = "CREATE TRIGGER every BEFORE INSERT ON inbox BEGIN SELECT raise(ABORT, 'every'); END";
        store.tamper(&[every]).await;
        store.check_writing().await.unwrap();
        writer.store(delivery("b", b"")).await.unwrap_err();
        store.check_writing().await.unwrap_err();
    }
}
