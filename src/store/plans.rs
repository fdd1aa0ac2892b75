//! How the database goes about every query that is checked at compile time: none reads a large table from end to end, or puts
//! many of its rows in order.

use serde_json::Value;
use sqlx::Row as _;

use super::Store;

/// Done once, when the server starts.
const AT_START: &str = "UPDATE mirror SET lease = NULL, leased_until = NULL WHERE lease IS NOT NULL";
/// Asked by a worker before it purges a calendar.
const AT_PURGE: &str = "SELECT count(*) FROM mirror WHERE calendar_id = ? AND lease IS NOT NULL AND leased_until > ?";
/// Tables that grow with what arrives.
const LARGE: [&str; 6] = ["inbox", "meetings", "meeting_history", "mirror", "mirror_attempts", "audit"];
/// Queries on large tables that put in order what they found, by a part of their text, and why that is little or can't be helped.
const SORTED: [(&str, &str); 10] = [
    ("event_id = ?1 OR id = CAST(?1 AS INTEGER)", "two deliveries at most"),
    ("WHERE origin_id <> ?3 AND (happened_at_ns, kind, event_id) >", "the bookings that took over one event"),
    ("origin_id = ?1 AND kind < 2 ORDER BY", "the events of one meeting"),
    ("FROM meeting_history WHERE meeting_id = ? ORDER BY id", "the events of one meeting"),
    ("FROM mirror_attempts WHERE meeting_id = ?", "twenty for each calendar"),
    ("ORDER BY problem_at DESC, meeting_id LIMIT ?1) JOIN meetings", "a few for each calendar"),
    ("touched.meeting_id = id.value", "the events of meetings that are forgotten"),
    ("held = 1 AND presence <> 'absent'", "what one edit of a calendar would delete"),
    (
        "abs(meetings.starts_at - ?1)",
        "what is due in a calendar, for a worker: the nearest meetings go first, and now moves",
    ),
    ("FROM meetings WHERE ends_at >= ? AND +starts_at <= ?", "all are used, to plan a calendar"),
];

/// Whether the database goes to one of the large tables.
fn is_at_large(step: &str) -> bool {
    let mut words = step.split(' ');
    words.next().is_some_and(|verb| ["SCAN", "SEARCH"].contains(&verb))
        && words.next().is_some_and(|table| LARGE.contains(&table))
}

#[tokio::test]
async fn no_query_reads_a_large_table_from_end_to_end_or_sorts_much_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let (mut seen, mut bad, mut sorted) = (0, Vec::new(), Vec::new());
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx")).unwrap() {
        let query: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let query = query["query"].as_str().unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {query}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&store.writer).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        // One that goes through a table in its order ends at its limit.
        let in_order = !steps.iter().any(|step| step.starts_with("USE TEMP B-TREE FOR ORDER BY"));
        let ends = in_order && query.contains("LIMIT") || query.contains("max(") || query.contains("min(");
        let scans = steps.iter().any(|step| step.starts_with("SCAN") && is_at_large(step));
        if scans && !ends && query != AT_START {
            bad.push(format!("reads all, {steps:?}: {query}"));
        }
        let counts = query.starts_with("SELECT count(*)");
        let reads_rows = steps.iter().any(|step| is_at_large(step) && !step.contains("COVERING INDEX"));
        if counts && reads_rows && query != AT_PURGE {
            bad.push(format!("counts rows, {steps:?}: {query}"));
        }
        if !in_order && steps.iter().any(|step| is_at_large(step)) {
            let text = query.split_whitespace().collect::<Vec<_>>().join(" ");
            match SORTED.iter().position(|(part, _)| text.contains(part)) {
                Some(known) => sorted.push(known),
                None => bad.push(format!("sorts, {steps:?}: {query}")),
            }
        }
        seen += 1;
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(seen > 80, "{seen} queries");
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..SORTED.len()), "each that is named is one query that sorts");
}
