//! Group commit for arriving deliveries: those that arrive while one commit is under way share the next one. So many
//! deliveries cost one flush to disk, and each is on disk before it is answered.

use tokio::sync::{mpsc, oneshot};

use super::{NewDelivery, Store, StoreError, Stored};

/// The most deliveries in one commit.
const BATCH: usize = 256;
/// More deliveries than this waiting for the disk are refused (503) rather than piled up in memory.
const QUEUE: usize = 1024;

struct Job {
    delivery: NewDelivery,
    answer: oneshot::Sender<Result<Stored, StoreError>>,
}

/// Hands deliveries to the task that commits them.
#[derive(Debug, Clone)]
pub struct InboxWriter(mpsc::Sender<Job>);

impl InboxWriter {
    /// A writer, and the work of its task, which ends when every clone of the writer is gone and nothing waits.
    pub fn new(store: Store) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), run(store, receiver))
    }

    /// Stores a delivery; when this returns, it is on disk.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it is not: the database can't be written or too many deliveries wait.
    pub async fn store(&self, delivery: NewDelivery) -> Result<Stored, StoreError> {
        let (answer, answered) = oneshot::channel();
        let gone = || StoreError::Unavailable(sqlx::Error::PoolClosed);
        self.0.try_send(Job { delivery, answer }).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

async fn run(store: Store, mut receiver: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut jobs, BATCH).await > 0 {
        commit(&store, &mut jobs).await;
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
    let mut tx = store.write().await?;
    let mut stored = Vec::with_capacity(jobs.len());
    for job in jobs {
        stored.push(tx.store_delivery(&job.delivery).await?);
    }
    tx.commit().await?;
    Ok(stored)
}
