//! Group commit for arriving deliveries: those that arrive while one commit is under way share the next one. So many
//! deliveries cost one flush to disk, and each is on disk before it is answered.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::turns::Turns;
use super::{NewDelivery, Store, StoreError, Stored};

/// The most deliveries in one commit: while it is written, the next ones are read and verified.
const BATCH: usize = 128;
/// More deliveries than this waiting for the disk are refused (503) rather than piled up in memory.
const QUEUE: usize = 1024;
/// So are those that would make the waiting ones larger than this in all, in KiB.
const QUEUE_KIB: usize = 64 * 1024;

struct Job {
    delivery: NewDelivery,
    answer: oneshot::Sender<Result<Stored, StoreError>>,
    _room: OwnedSemaphorePermit,
}

/// Hands deliveries to the task that commits them.
#[derive(Debug, Clone)]
pub struct InboxWriter {
    sender: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    turns: Turns,
}

impl InboxWriter {
    /// A writer, and the work of its task, which ends when every clone of the writer is gone and nothing waits.
    pub fn new(store: Store) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let turns = store.turns.clone();
        (Self { sender, room: Arc::new(Semaphore::new(QUEUE_KIB)), turns }, run(store, receiver))
    }

    /// Stores a delivery; when this returns, it is on disk.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it is not: the database can't be written or too many deliveries wait.
    pub async fn store(&self, delivery: NewDelivery) -> Result<Stored, StoreError> {
        let (answer, answered) = oneshot::channel();
        let gone = || StoreError::Unavailable(sqlx::Error::PoolClosed);
        let refused = |cause: &dyn std::fmt::Display| {
            tracing::error!(%cause, "a delivery was refused: too many wait to be stored");
            gone()
        };
        let kib = u32::try_from((delivery.body.len() + delivery.headers.len()) / 1024 + 1).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(kib).map_err(|cause| refused(&cause))?;
        self.turns.waits();
        self.sender.try_send(Job { delivery, answer, _room: room }).map_err(|cause| {
            self.turns.refused();
            refused(&cause)
        })?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

async fn run(store: Store, mut receiver: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut jobs, BATCH).await > 0 {
        let deliveries = jobs.len();
        commit(&store, &mut jobs).await;
        store.turns.committed(deliveries);
    }
}

async fn commit(store: &Store, jobs: &mut Vec<Job>) {
    match try_commit(store, jobs).await {
        Ok(stored) => {
            for (job, stored) in jobs.drain(..).zip(stored) {
                let _ = job.answer.send(Ok(stored));
            }
        }
        // One delivery that can't be stored must not refuse the others.
        Err(error) if !error.is_unavailable() && jobs.len() > 1 => {
            for job in jobs.drain(..) {
                let stored = try_commit(store, std::slice::from_ref(&job)).await.map(|stored| stored[0]);
                if let Err(error) = &stored {
                    let event_id = job.delivery.identity.event_id.as_str();
                    tracing::error!(%error, cause = ?error, event_id, "a delivery could not be stored");
                }
                let _ = job.answer.send(stored);
            }
        }
        Err(error) => {
            tracing::error!(%error, cause = ?error, deliveries = jobs.len(), "deliveries could not be stored");
            for job in jobs.drain(..) {
                let _ = job.answer.send(Err(StoreError::Unavailable(sqlx::Error::PoolClosed)));
            }
        }
    }
}

async fn try_commit(store: &Store, jobs: &[Job]) -> Result<Vec<Stored>, StoreError> {
    let stored = store_all(store, jobs).await;
    if let [first, ..] = jobs {
        store.refusing.note(&first.delivery, &stored);
    }
    stored
}

async fn store_all(store: &Store, jobs: &[Job]) -> Result<Vec<Stored>, StoreError> {
    let deliveries: Vec<_> = jobs.iter().map(|job| &job.delivery).collect();
    let mut tx = store.write().await?;
    let stored = tx.store_deliveries(&deliveries).await?;
    tx.commit().await?;
    Ok(stored)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::{DeliveryStatus, Identity};
    use chrono::DateTime;
    use futures_util::FutureExt as _;

    pub(in super::super) fn delivery(event_id: &str, body: &[u8]) -> NewDelivery {
        NewDelivery {
            identity: Identity { event_id: event_id.to_owned(), ..Identity::default() },
            body: body.to_vec(),
            headers: r#"[["x-hash","\"é"]]"#.into(),
            signature: "unsigned".into(),
            received_at: DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
            status: DeliveryStatus::Quarantined,
            reason: None,
        }
    }

    #[tokio::test]
    async fn deliveries_of_one_commit_keep_their_bytes_and_get_their_own_answers() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let (writer, task) = InboxWriter::new(store.clone());
        let deliveries: [(&str, &[u8]); 5] =
            [("a", b""), ("b", b"\xff\0\x01"), ("a", b""), ("c", "{\"é\":\u{1f600}}".as_bytes()), ("d", b"")];
        let answers = deliveries.map(|(event_id, body)| {
            let writer = writer.clone();
            async move { writer.store(delivery(event_id, body)).await }
        });
        drop(writer);
        let (stored, ()) = futures_util::future::join(futures_util::future::join_all(answers), task).await;
        let stored: Vec<Stored> = stored.into_iter().map(Result::unwrap).collect();
        assert_eq!(
            stored.iter().map(|stored| stored.duplicate).collect::<Vec<_>>(),
            [false, false, true, false, false]
        );
        assert_eq!(stored[0].id, stored[2].id);
        for ((event_id, body), stored) in deliveries.iter().zip(&stored) {
            assert_eq!(store.delivery(event_id).await.unwrap().unwrap().id, stored.id);
            let (kept, headers) = store.delivery_content(stored.id).await.unwrap().unwrap();
            assert_eq!((kept.as_slice(), headers.as_str()), (*body, r#"[["x-hash","\"é"]]"#));
        }
    }

    #[tokio::test]
    async fn large_deliveries_that_wait_are_bounded_by_their_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, task) = InboxWriter::new(Store::open(dir.path()).await.unwrap());
        let mut waiting = Vec::new();
        for number in 0..80 {
            let delivery = delivery(&number.to_string(), &vec![b' '; crate::store::LARGEST_BODY]);
            let writer = writer.clone();
            let mut answer = async move { writer.store(delivery).await }.boxed();
            match (&mut answer).now_or_never() {
                Some(answer) => assert!(answer.is_err_and(|error| error.is_unavailable())),
                None => waiting.push(answer),
            }
        }
        assert_eq!(waiting.len(), 63);
        drop((waiting, task));
        assert_eq!(writer.room.available_permits(), QUEUE_KIB, "the room is given back");
    }
}
