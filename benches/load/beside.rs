//! What the webhook is measured beside: a server that verifies and stores nothing, and SQLite alone.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;

use meeting_mirror::clock::{Clock as _, SystemClock};
use meeting_mirror::inbound::signature::Verifier;
use meeting_mirror::inbound::webhook;
use meeting_mirror::store::{DATABASE_FILE, Store};
use meeting_mirror::web::counts::HttpCounts;
use meeting_mirror::web::layers;
use meeting_mirror::web::server::{self, Limits};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection};
use tokio_util::sync::CancellationToken;

use super::client;
use super::common::{KEY, Running, now};

/// The argument that makes this program the server that only verifies.
pub(crate) const VERIFY_ONLY: &str = "--verify-only";

async fn verify(State(verifier): State<Arc<Verifier>>, headers: HeaderMap, body: Bytes) -> Response {
    match verifier.verify(&headers, &body) {
        Ok(_) => axum::Json(json!({"status": "accepted", "eventId": "none"})).into_response(),
        Err(_) => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// Serves the webhook's route with the library's own connections, signature check and layers, and tells the address. Nothing is read of the
/// body, logged or stored.
pub(crate) async fn serve_verify_only() {
    let verifier = Arc::new(Verifier::new(&[KEY.to_owned()], None));
    let router = Router::new().route(webhook::PATH, post(verify)).layer(DefaultBodyLimit::max(1024 * 1024));
    let router =
        layers::wrap(router.with_state(verifier), Arc::new(SystemClock::default()), HttpCounts::default(), false);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    server::serve(listener, router, Limits::default(), CancellationToken::new()).await;
}

/// That server, as a process of its own.
pub(crate) fn verify_only() -> (Running, SocketAddr) {
    let program = std::env::current_exe().unwrap();
    let mut process = Command::new(program).arg(VERIFY_ONLY).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
    let address = said.next().unwrap().unwrap().parse().unwrap();
    (Running(process), address)
}

/// A connection as the store makes them.
pub(crate) async fn connect(data: &Path, synchronous: SqliteSynchronous) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(data.join(DATABASE_FILE))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .pragma("secure_delete", "ON")
        .foreign_keys(true);
    options.connect().await.unwrap()
}

/// Rows a second that SQLite inserts into the inbox, 256 in a transaction and all of them in one statement, so that nothing is
/// counted but its own work: the same table with its indexes and triggers, the same pragmas, the same bytes.
pub(crate) async fn plain_inserts(data: &Path, lasting: Duration) -> f64 {
    const ROWS: u32 = 256;
    Store::open(data).await.unwrap().close().await;
    let mut connection = connect(data, SqliteSynchronous::Full).await;
    let at = SystemClock::default().now();
    let body = client::body(1, at);
    let (begun, mut rows) = (now(), 0);
    while begun.elapsed() < lasting {
        sqlx::query(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
             INSERT INTO inbox (source, event_id, event_type, organization_id, happened_at_ns, meeting_id, body, headers, signature,
                                received_at, last_received_at, delivery_attempt, status, pending_since)
             SELECT 'cirrus-insight', lower(hex(randomblob(18))), 'scheduling.smartscheduler.scheduled',
                    'f6fadfa7-e5c1-4b62-9362-da5cc13da58a', ?2 * 1000000, lower(hex(randomblob(18))), ?3,
                    '[[\"host\",\"localhost\"],[\"content-type\",\"application/json\"],[\"x-webhook-signature\",\"sha256=3fa1b…\"]]',
                    'x-webhook-signature, HMAC-SHA256, key 1', ?2, ?2, 1, 'pending', ?2
             FROM numbers",
        )
        .bind(ROWS)
        .bind(at.timestamp_millis())
        .bind(&body)
        .execute(&mut connection)
        .await
        .unwrap();
        rows += ROWS;
    }
    f64::from(rows) / begun.elapsed().as_secs_f64()
}
