//! Whether the database can be written. Only writing tells: to begin a transaction touches no disk, and a little still fits into
//! the write-ahead log of a disk that is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{LARGEST_BODY, Store, StoreError};

/// Whether the latest deliveries could not be stored. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusing(Arc<AtomicBool>);

impl Refusing {
    /// Tells what became of deliveries. What lies in one of them says nothing of the others.
    pub(super) fn note<T>(&self, stored: &Result<T, StoreError>) {
        match stored {
            Ok(_) => self.0.store(false, Ordering::Relaxed),
            Err(error) if error.is_unavailable() => self.0.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
    }
}

impl Store {
    /// Writes something to disk and takes it back: little, but when the latest deliveries could not be stored as much as the
    /// largest of them.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn check_writing(&self) -> Result<(), StoreError> {
        let is_refusing = self.refusing.0.load(Ordering::Relaxed);
        let written = " ".repeat(if is_refusing { LARGEST_BODY } else { 0 });
        let mut tx = self.write().await?;
        sqlx::query!("INSERT INTO installation (name, value) VALUES ('', ?)", written).execute(&mut *tx.0).await?;
        sqlx::query!("DELETE FROM installation WHERE name = ''").execute(&mut *tx.0).await?;
        tx.commit().await?;
        if is_refusing {
            self.refusing.note(&Ok(()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::InboxWriter;
    use super::super::group_commit::tests::delivery;
    use super::*;

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
}
