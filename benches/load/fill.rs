//! A database as it is after years, made by SQL alone: a million meetings must not take long.

use std::path::Path;

use chrono::{DateTime, Utc};
use meeting_mirror::store::Store;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteSynchronous;

use super::beside::connect;
use super::common::meeting;

/// Rows of one transaction.
const STEP: u32 = 50_000;

/// Has so many meetings in the database, each by an event of its own that was applied. They begin one every three minutes, the last
/// of them 60 days from `at`; the bodies of their deliveries are gone, as of old ones.
pub(crate) async fn fill(data: &Path, meetings: u32, at: DateTime<Utc>) {
    Store::open(data).await.unwrap().close().await;
    let details = serde_json::to_string(&meeting(0, "owner", 0, at).details).unwrap();
    let mut connection = connect(data, SqliteSynchronous::Off).await;
    sqlx::query("PRAGMA cache_size = -500000").execute(&mut connection).await.unwrap();
    for first in (0..meetings).step_by(STEP as usize) {
        let last = meetings.min(first + STEP) - 1;
        let mut tx = connection.begin().await.unwrap();
        for statement in [
            "INSERT INTO inbox (id, source, event_id, event_type, organization_id, happened_at_ns, meeting_id, body, headers, signature,
                                received_at, last_received_at, delivery_attempt, status, settled_at)
             SELECT n, 'cirrus-insight', event_id, 'scheduling.smartscheduler.scheduled', 'org-1', starts * 1000000000, meeting_id,
                    x'', '[]', 'x-webhook-signature, HMAC-SHA256, key 1', starts * 1000, starts * 1000, 1, 'applied', starts * 1000
             FROM made",
            "INSERT INTO meetings (meeting_id, happened_at_ns, kind, event_id, starts_at, ends_at, details, revision, first_seen_at,
                                   last_modified_at, position, number)
             SELECT meeting_id, starts * 1000000000, 0, event_id, starts * 1000, (starts + 1800) * 1000,
                    json_set(?4, '$.starts_at', starts, '$.ends_at', starts + 1800, '$.title', 'Product demo ' || n,
                             '$.email_meeting_id', 'mail-' || n, '$.owner.username', 'owner-' || (n % 5000) || '@example.com',
                             '$.invitee.name', 'Bo Guest' || n, '$.invitee.email', 'bo-' || n || '@example.org'),
                    1, starts * 1000, starts * 1000, n, n
             FROM made",
            "INSERT INTO meeting_history (meeting_id, origin_id, inbox_id, event_id, happened_at_ns, kind, organization_id, starts_at,
                                          ends_at, title, effect, revision, applied_at)
             SELECT meeting_id, meeting_id, n, event_id, starts * 1000000000, 0, 'org-1', starts * 1000, (starts + 1800) * 1000,
                    'Product demo ' || n, 'created', 1, starts * 1000
             FROM made",
        ] {
            // Their ids are in no order, as the sender's are.
            let made = format!(
                "WITH RECURSIVE numbers (n) AS (SELECT ?1 + 1 UNION ALL SELECT n + 1 FROM numbers WHERE n <= ?2),
                 made AS MATERIALIZED (
                     SELECT n, ?3 - n * 180 AS starts, printf('%08x-5a0d-4d7e-9a55-%012d', n * 2654435769 % 4294967296, n) AS meeting_id,
                            printf('%08x-0c1e-4b62-9362-%012d', n * 2654435769 % 4294967296, n) AS event_id
                     FROM numbers)
                 {statement}"
            );
            sqlx::query(sqlx::AssertSqlSafe(made))
                .bind(first)
                .bind(last)
                .bind(at.timestamp() + 60 * 86_400)
                .bind(&details)
                .execute(&mut *tx)
                .await
                .unwrap();
        }
        sqlx::query("UPDATE changes SET position = ? WHERE of = 'meetings'")
            .bind(last + 1)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    connection.close().await.unwrap();
}
