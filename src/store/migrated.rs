//! Databases of earlier versions, brought up to date with what stands in them.

use std::collections::BTreeMap;

use chrono::DateTime;
use sqlx::{Row as _, SqlitePool};

use super::{DATABASE_FILE, MIGRATIONS, PausedFor, Store};

/// A database as the version with that migration left it.
async fn before(dir: &std::path::Path, version: i64) -> SqlitePool {
    let address = format!("sqlite://{}?mode=rwc", dir.join(DATABASE_FILE).display());
    let pool = SqlitePool::connect(&address).await.unwrap();
    MIGRATIONS.run_to(version, &pool).await.unwrap();
    pool
}

async fn standings(store: &Store) -> BTreeMap<String, i64> {
    let counted = "SELECT standing, count(*) AS meetings FROM mirror GROUP BY standing";
    let told = "SELECT standing, meetings FROM mirror_tally WHERE meetings <> 0";
    let mut found = Vec::new();
    for sql in [counted, told] {
        let rows = sqlx::query(sql).fetch_all(&store.writer).await.unwrap();
        found.push(rows.iter().map(|row| (row.get("standing"), row.get("meetings"))).collect::<BTreeMap<_, _>>());
    }
    assert_eq!(found[0], found[1], "the tally is what is counted");
    found.remove(0)
}

#[tokio::test]
async fn rows_of_every_kind_get_their_standing_and_are_counted_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let old = before(dir.path(), 11).await;
    let calendars =
        "INSERT INTO calendars (name, google_id, selection, detail, past_days, future_days, on_cancel, on_drift,
                                            created_at, next_check_at, paused_until, problem)
                     VALUES ('Team', 'team', '{}', 'full', 30, 365, 'delete', 'repair', 0, 0, 5000, 'Share it'),
                            ('Desk', 'desk', '{}', 'full', 30, 365, 'delete', 'repair', 0, 0, 5000, NULL)";
    sqlx::query(calendars).execute(&old).await.unwrap();
    let mut number = 0;
    for presence in ["absent", "present", "unknown"] {
        for due_at in [None, Some(1)] {
            for problem in [None, Some("no")] {
                for written in [None, Some(0), Some(1)] {
                    number += 1;
                    let id = format!("m-{number}");
                    let meeting =
                        "INSERT INTO meetings (meeting_id, happened_at_ns, kind, event_id, starts_at, ends_at, details,
                                                         revision, first_seen_at, last_modified_at, number)
                                   VALUES (?1, 0, 0, ?1, 0, 1, '{}', 1, 0, 0, ?2)";
                    sqlx::query(meeting).bind(&id).bind(number).execute(&old).await.unwrap();
                    let row = "INSERT INTO mirror (meeting_id, calendar_id, wanted_revision, written_revision, presence, due_at,
                                                   problem)
                               VALUES (?, 1, 1, ?, ?, ?, ?)";
                    let row = sqlx::query(row).bind(&id).bind(written).bind(presence).bind(due_at).bind(problem);
                    row.execute(&old).await.unwrap();
                }
            }
        }
    }
    old.close().await;

    let store = Store::open(dir.path()).await.unwrap();
    let expected =
        [("failing", 9), ("refused", 9), ("pending", 8), ("again", 1), ("in step", 3), ("absent", 3), ("unknown", 3)];
    let mut expected: BTreeMap<String, i64> = expected.map(|(word, number)| (word.to_owned(), number)).into();
    assert_eq!(standings(&store).await, expected);
    let paused: Vec<_> = store.calendars().await.unwrap().iter().map(|calendar| calendar.paused_for).collect();
    assert_eq!(paused, [Some(PausedFor::Person), None]);
    assert_eq!(store.mirror_counts(DateTime::UNIX_EPOCH).await.unwrap()[0].unknown, 3);

    let unfilled =
        "SELECT count(*) FROM mirror JOIN meetings USING (meeting_id) WHERE begins_at IS NOT starts_at OR words = ''";
    assert_eq!(sqlx::query_scalar::<_, i64>(unfilled).fetch_one(&store.writer).await.unwrap(), 0);

    let change = "UPDATE mirror SET presence = 'absent' WHERE standing = 'unknown'";
    sqlx::query(change).execute(&store.writer).await.unwrap();
    expected.remove("unknown");
    expected.insert("absent".to_owned(), 6);
    assert_eq!(standings(&store).await, expected);
    sqlx::query("DELETE FROM mirror WHERE standing <> 'again'").execute(&store.writer).await.unwrap();
    assert_eq!(standings(&store).await, [("again".to_owned(), 1)].into());
    let added =
        "INSERT INTO mirror (meeting_id, calendar_id, wanted_revision, presence) VALUES ('m-1', 2, 1, 'unknown')";
    sqlx::query(added).execute(&store.writer).await.unwrap();
    assert_eq!(standings(&store).await, [("again".to_owned(), 1), ("unknown".to_owned(), 1)].into());
}
