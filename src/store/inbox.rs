//! The inbox: deliveries as received, and their fate.

use chrono::{DateTime, Utc};

use super::{Store, StoreError, WriteTx, count, json_text, millis, time};

/// Why a delivery is ignored whose meeting was erased.
pub const ERASED: &str = "This meeting was erased.";

/// A delivery's body has at most so many octets.
pub const LARGEST_BODY: usize = 1024 * 1024;

/// The only sender so far.
const SOURCE: &str = "cirrus-insight";

/// Where a delivery stands: the webhook's answer or its later fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// Stored, not yet applied.
    Pending,
    /// Applied.
    Applied,
    /// Applied, but a newer event was here before.
    Superseded,
    /// Of a type this version does not use, of a meeting that was forgotten, or set aside.
    Ignored,
    /// Not understood; can be replayed after an upgrade, or set aside.
    Quarantined,
}

impl DeliveryStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Applied, Self::Superseded, Self::Ignored, Self::Quarantined];

    /// The word in the database, in lists and on pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Applied => "applied",
            Self::Superseded => "superseded",
            Self::Ignored => "ignored",
            Self::Quarantined => "quarantined",
        }
    }

    /// The status of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// Which event a delivery tells of.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The sender's id, or `sha256:` and the digest of a body that can't be understood.
    pub event_id: String,
    /// The sender's type, when readable.
    pub event_type: Option<String>,
    /// The sender's organization, when readable.
    pub organization_id: Option<String>,
    /// `eventTimestamp`, when readable.
    pub happened_at: Option<DateTime<Utc>>,
    /// The sender's attempt counter.
    pub delivery_attempt: Option<u32>,
    /// The meeting it speaks of.
    pub meeting_id: Option<String>,
}

/// A delivery to be stored.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// Which event it tells of.
    pub identity: Identity,
    /// The raw bytes.
    pub body: Vec<u8>,
    /// JSON array of masked headers.
    pub headers: String,
    /// What signature matched.
    pub signature: String,
    /// Now.
    pub received_at: DateTime<Utc>,
    /// Pending, ignored or quarantined.
    pub status: DeliveryStatus,
    /// Why it was ignored or quarantined.
    pub reason: Option<String>,
}

/// What storing a delivery found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Row in the inbox.
    pub id: i64,
    /// Whether it was there already.
    pub duplicate: bool,
}

/// What became of a delivery.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Row in the inbox.
    pub id: i64,
    /// Where it stands from now on.
    pub status: DeliveryStatus,
    /// Why it was ignored or quarantined.
    pub reason: Option<String>,
}

/// A delivery that waits to be applied.
#[derive(Debug, Clone)]
pub struct PendingDelivery {
    /// Row in the inbox.
    pub id: i64,
    /// Identity under which it is stored.
    pub event_id: String,
    /// The raw bytes.
    pub body: Vec<u8>,
    /// Whether the entry that it made in the audit log was removed as too old.
    pub entry_removed: bool,
}

/// A delivery as lists and pages show it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Row in the inbox.
    pub id: i64,
    /// Identity under which it is stored.
    pub event_id: String,
    /// The sender's type.
    pub event_type: Option<String>,
    /// The meeting it speaks of.
    pub meeting_id: Option<String>,
    /// What signature matched.
    pub signature: String,
    /// First arrival.
    pub received_at: DateTime<Utc>,
    /// Latest repeated arrival.
    pub last_received_at: DateTime<Utc>,
    /// How often it arrived.
    pub deliveries: i64,
    /// The sender's attempt counter, the highest seen.
    pub delivery_attempt: Option<u32>,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Why it was quarantined or ignored.
    pub reason: Option<String>,
    /// How often an admin had it worked on again.
    pub replays: i64,
    /// When its body and headers were removed; none = they are as received.
    pub body_removed_at: Option<DateTime<Utc>>,
}

/// A delivery as a row of the statement that stores it.
#[derive(serde::Serialize)]
struct RowToStore<'a> {
    event_id: &'a str,
    event_type: Option<&'a str>,
    organization_id: Option<&'a str>,
    happened_at_ns: Option<i64>,
    meeting_id: Option<&'a str>,
    /// Of the body in all bodies, counted from 1.
    begins: usize,
    /// Of the body.
    length: usize,
    headers: &'a str,
    signature: &'a str,
    received_at: i64,
    delivery_attempt: Option<u32>,
    status: &'static str,
    reason: Option<&'a str>,
    settled_at: Option<i64>,
    pending_since: Option<i64>,
}

fn rows_to_store<'a>(new: &[&'a NewDelivery]) -> Vec<RowToStore<'a>> {
    let mut begins = 1;
    new.iter()
        .map(|delivery| {
            let (identity, received_at) = (&delivery.identity, millis(delivery.received_at));
            let is_pending = delivery.status == DeliveryStatus::Pending;
            let row = RowToStore {
                event_id: &identity.event_id,
                event_type: identity.event_type.as_deref(),
                organization_id: identity.organization_id.as_deref(),
                happened_at_ns: identity.happened_at.and_then(|at| at.timestamp_nanos_opt()),
                meeting_id: identity.meeting_id.as_deref(),
                begins,
                length: delivery.body.len(),
                headers: &delivery.headers,
                signature: &delivery.signature,
                received_at,
                delivery_attempt: identity.delivery_attempt,
                status: delivery.status.as_str(),
                reason: delivery.reason.as_deref(),
                settled_at: (!is_pending).then_some(received_at),
                pending_since: is_pending.then_some(received_at),
            };
            begins += row.length;
            row
        })
        .collect()
}

impl WriteTx<'_> {
    /// Stores deliveries, or counts those that are there already. All of them in one statement, since handing a statement to
    /// the connection costs more than storing a row. (`json_each` would write each row as text again, which is read 15 times.)
    ///
    /// # Errors
    /// When the database can't be written; then none is stored.
    pub async fn store_deliveries(&mut self, new: &[&NewDelivery]) -> Result<Vec<Stored>, StoreError> {
        let rows = json_text(&rows_to_store(new))?;
        let bodies = new.iter().map(|delivery| delivery.body.as_slice()).collect::<Vec<_>>().concat();
        let mut stored = sqlx::query!(
            r#"INSERT INTO inbox (source, event_id, event_type, organization_id, happened_at_ns, meeting_id, body, headers,
                                  signature, received_at, last_received_at, delivery_attempt, status, reason, settled_at,
                                  pending_since)
               SELECT ?1, value ->> 'event_id', value ->> 'event_type', value ->> 'organization_id', value ->> 'happened_at_ns',
                      value ->> 'meeting_id', coalesce(substr(?3, value ->> 'begins', value ->> 'length'), x''), value ->> 'headers',
                      value ->> 'signature', value ->> 'received_at', value ->> 'received_at', value ->> 'delivery_attempt',
                      value ->> 'status', value ->> 'reason', value ->> 'settled_at', value ->> 'pending_since'
               FROM jsonb_each(?2) WHERE true
               ON CONFLICT (source, event_id) DO UPDATE SET
                   deliveries = deliveries + 1,
                   last_received_at = max(last_received_at, excluded.last_received_at),
                   delivery_attempt = max(coalesce(delivery_attempt, 0), coalesce(excluded.delivery_attempt, 0))
               RETURNING id AS "id!: i64", event_id, deliveries AS "deliveries!: i64""#,
            SOURCE,
            rows,
            bodies,
        )
        .fetch_all(&mut *self.0)
        .await?;
        // The database does not promise their order; of one event that is there several times, each is as good as another.
        new.iter()
            .map(|delivery| {
                let event_id = &delivery.identity.event_id;
                let place = stored.iter().position(|row| row.event_id == *event_id);
                let row = stored.remove(place.ok_or_else(|| StoreError::row("inbox", "event_id", event_id))?);
                Ok(Stored { id: row.id, duplicate: row.deliveries > 1 })
            })
            .collect()
    }

    /// Stores one delivery, or counts it.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn store_delivery(&mut self, new: &NewDelivery) -> Result<Stored, StoreError> {
        Ok(self.store_deliveries(&[new]).await?[0])
    }

    /// The oldest deliveries that wait, at most `most`; what is worked on again comes after what just arrived.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn pending_deliveries(&mut self, most: u32) -> Result<Vec<PendingDelivery>, StoreError> {
        Ok(sqlx::query_as!(
            PendingDelivery,
            r#"SELECT id AS "id!", event_id, body, entry_removed AS "entry_removed: bool"
               FROM inbox INDEXED BY inbox_pending WHERE status = 'pending' ORDER BY replays > 0, id LIMIT ?"#,
            most
        )
        .fetch_all(&mut *self.0)
        .await?)
    }

    /// Records what became of deliveries.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn settle_deliveries(&mut self, settled: &[Settled], now: DateTime<Utc>) -> Result<(), StoreError> {
        let rows: Vec<_> =
            settled.iter().map(|settled| (settled.id, settled.status.as_str(), &settled.reason)).collect();
        let (rows, now) = (json_text(&rows)?, millis(now));
        sqlx::query!(
            "UPDATE inbox SET status = settled.value ->> 1, reason = settled.value ->> 2, settled_at = ?2
             FROM jsonb_each(?1) AS settled WHERE inbox.id = settled.value ->> 0",
            rows,
            now
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Gives a delivery that was stored under its digest the identity it turned out to have.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the same event was received in an understandable form, too.
    pub async fn identify_delivery(&mut self, id: i64, known: &Identity) -> Result<(), StoreError> {
        let taken = sqlx::query_scalar!(
            "SELECT id FROM inbox WHERE source = ? AND event_id = ? AND id <> ?",
            SOURCE,
            known.event_id,
            id
        )
        .fetch_optional(&mut *self.0)
        .await?;
        if taken.is_some() {
            return Err(StoreError::Exists("the same event"));
        }
        let happened = known.happened_at.and_then(|at| at.timestamp_nanos_opt());
        sqlx::query!(
            "UPDATE inbox SET event_id = ?, event_type = ?, organization_id = ?, happened_at_ns = ?, meeting_id = ? WHERE id = ?",
            known.event_id,
            known.event_type,
            known.organization_id,
            happened,
            known.meeting_id,
            id
        )
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct DeliveryRow {
    id: i64,
    event_id: String,
    event_type: Option<String>,
    meeting_id: Option<String>,
    signature: String,
    received_at: i64,
    last_received_at: i64,
    deliveries: i64,
    delivery_attempt: Option<i64>,
    status: String,
    reason: Option<String>,
    replays: i64,
    body_removed_at: Option<i64>,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            event_id: row.event_id,
            event_type: row.event_type,
            meeting_id: row.meeting_id,
            signature: row.signature,
            received_at: time(row.received_at, "inbox", "received_at")?,
            last_received_at: time(row.last_received_at, "inbox", "last_received_at")?,
            deliveries: row.deliveries,
            delivery_attempt: row
                .delivery_attempt
                .map(|attempt| count(attempt, "inbox", "delivery_attempt"))
                .transpose()?,
            status: DeliveryStatus::from_word(&row.status)
                .ok_or_else(|| StoreError::row("inbox", "status", &row.status))?,
            reason: row.reason,
            replays: row.replays,
            body_removed_at: row.body_removed_at.map(|at| time(at, "inbox", "body_removed_at")).transpose()?,
        })
    }
}

impl Store {
    /// Whether any delivery waits to be applied.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn has_pending_deliveries(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM inbox WHERE status = 'pending') AS "found!: bool""#)
            .fetch_one(&self.reader)
            .await?)
    }

    /// One delivery, by its row id or its event id. Where a text is both, the row id wins.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn delivery(&self, id_or_event_id: &str) -> Result<Option<Delivery>, StoreError> {
        let row = sqlx::query_as!(
            DeliveryRow,
            r#"SELECT id AS "id!", event_id, event_type, meeting_id, signature, received_at, last_received_at, deliveries,
                      delivery_attempt, status, reason, replays, body_removed_at
               FROM inbox WHERE source = 'cirrus-insight' AND event_id = ?1 OR id = CAST(?1 AS INTEGER) AND CAST(CAST(?1 AS INTEGER) AS TEXT) = ?1
               ORDER BY CAST(id AS TEXT) = ?1 DESC LIMIT 1"#,
            id_or_event_id
        )
        .fetch_optional(&self.reader)
        .await?;
        row.map(Delivery::try_from).transpose()
    }

    /// The raw body and the masked headers (JSON array of name and value) of a delivery.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn delivery_content(&self, id: i64) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        let row = sqlx::query!("SELECT body, headers FROM inbox WHERE id = ?", id).fetch_optional(&self.reader).await?;
        Ok(row.map(|row| (row.body, row.headers)))
    }
}
