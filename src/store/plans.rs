//! How the database goes about every query that is checked at compile time: none reads a large table from end to end.

use serde_json::Value;
use sqlx::Row as _;

use super::Store;

/// Done once, when the server starts.
const AT_START: &str = "UPDATE mirror SET lease = NULL, leased_until = NULL WHERE lease IS NOT NULL";
/// Tables that grow with what arrives.
const LARGE: [&str; 6] = ["inbox", "meetings", "meeting_history", "mirror", "mirror_attempts", "audit"];

#[tokio::test]
async fn no_query_reads_a_large_table_from_end_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let (mut seen, mut bad) = (0, Vec::new());
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx")).unwrap() {
        let query: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let query = query["query"].as_str().unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {query}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&store.writer).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        // One that goes through a table in its order ends at its limit.
        let in_order = !steps.iter().any(|step| step.starts_with("USE TEMP B-TREE FOR ORDER BY"));
        let ends = in_order && query.contains("LIMIT") || query.contains("max(") || query.contains("min(");
        let scans = |table: &&str| steps.iter().any(|step| step.split(' ').take(2).eq(["SCAN", table]));
        if LARGE.iter().any(scans) && !ends && query != AT_START {
            bad.push(format!("{steps:?}: {query}"));
        }
        seen += 1;
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(seen > 80, "{seen} queries");
}
