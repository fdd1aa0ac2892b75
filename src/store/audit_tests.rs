//! The audit log against somebody who goes around the program, its lists against the plain rule, and the removal of its oldest
//! part.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use sqlx::Row as _;

use super::{AuditFilter, AuditPart, Store};
use crate::audit::diff::Change;
use crate::audit::entry::{Actor, Entry, Source};

fn day(number: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::days(number)
}

fn organization_entry(number: i64) -> Entry {
    Entry {
        source: Source::CirrusInsight,
        event_id: Some(format!("e-{number}")),
        category: ["setting", "domains", "profile"][usize::try_from(number % 3).unwrap()].to_owned(),
        summary: format!("Changed “Réminder {number}”"),
        organization_id: Some(format!("org-{}", number % 2)),
        actor: Actor {
            id: Some("7".into()),
            username: Some("ingrid@example.com".into()),
            name: (number % 2 == 0).then(|| "Ingrid Solberg".into()),
        },
        changes: vec![Change { field: "value".into(), before: json!(number), after: json!({"a": ["é", 1.5]}) }],
        happened_at: day(number) - TimeDelta::hours(number % 5 * 30),
        recorded_at: day(number),
        inbox_id: Some(number),
    }
}

async fn log_of(dir: &Path, kinds: &[bool]) -> Store {
    let store = Store::open(dir).await.unwrap();
    let mut tx = store.write().await.unwrap();
    for (number, of_organization) in (1..).zip(kinds) {
        if *of_organization {
            assert!(tx.append_audit(&organization_entry(number)).await.unwrap());
        } else {
            let summary = format!("Added feed {number}");
            tx.append_admin_action("command line", "feed", summary, day(number)).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    store
}

async fn broken(store: &Store) -> Option<String> {
    store.verify_audit(day(0)).await.unwrap().broken
}

/// Runs statements as somebody would who has the file; what the database refuses is not done.
async fn around_the_program(store: &Store, statements: &[String]) -> bool {
    let mut connection = store.writer.acquire().await.unwrap();
    for statement in [
        "DROP TRIGGER audit_no_update",
        "DROP TRIGGER audit_no_delete",
        "DROP TRIGGER audit_only_at_its_end",
        "DROP TRIGGER audit_checkpoints_only_at_their_end",
        "PRAGMA ignore_check_constraints = ON",
    ] {
        sqlx::query(statement).execute(&mut *connection).await.unwrap();
    }
    for statement in statements {
        if sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(&mut *connection).await.is_err() {
            return false;
        }
    }
    true
}

const COLUMNS: [(&str, &str); 15] = [
    ("seq", "integer"),
    ("source", "text"),
    ("event_id", "text"),
    ("category", "text"),
    ("summary", "text"),
    ("organization_id", "text"),
    ("actor_id", "text"),
    ("actor_username", "text"),
    ("actor_name", "text"),
    ("changes", "text"),
    ("happened_at_ns", "integer"),
    ("recorded_at", "integer"),
    ("inbox_id", "integer"),
    ("previous_hash", "blob"),
    ("hash", "blob"),
];

/// The statement that changes one bit of a value; none when there is no value, or no bit in it.
async fn flip(store: &Store, seq: i64, (column, kind): (&str, &str), bit: Index) -> Option<String> {
    let sql = match kind {
        "integer" => format!("SELECT CAST(CAST({column} AS TEXT) AS BLOB) FROM audit WHERE seq = {seq}"),
        _ => format!("SELECT CAST({column} AS BLOB) FROM audit WHERE seq = {seq}"),
    };
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&store.writer).await.unwrap();
    let mut bytes: Vec<u8> = row.get::<Option<Vec<u8>>, _>(0)?;
    let new = if kind == "integer" {
        let number: i64 = String::from_utf8(bytes).unwrap().parse().unwrap();
        (number ^ (1 << bit.index(64))).to_string()
    } else {
        if bytes.is_empty() {
            return None;
        }
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let hex = HEXLOWER.encode(&bytes);
        if kind == "text" { format!("CAST(x'{hex}' AS TEXT)") } else { format!("x'{hex}'") }
    };
    Some(format!("UPDATE audit SET {column} = {new} WHERE seq = {seq}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_holds_until_anything_in_it_is_changed(
        kinds in prop::collection::vec(any::<bool>(), 2..12),
        at: Index,
        column in prop::sample::select(COLUMNS.to_vec()),
        bit: Index,
        how in 0..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let store = log_of(dir.path(), &kinds).await;
            let found = store.verify_audit(day(0)).await.unwrap();
            assert_eq!((found.broken, found.entries), (None, i64::try_from(kinds.len()).unwrap()));
            // The last entry of all can be cut off unseen; that is what a remembered head is for.
            let seq = i64::try_from(at.index(kinds.len() - 1)).unwrap() + 1;
            let statements = match how {
                0 => match flip(&store, seq, column, bit).await {
                    Some(statement) => vec![statement],
                    None => return,
                },
                1 => vec![format!("DELETE FROM audit WHERE seq = {seq}")],
                2 => [(seq, 9_000), (seq + 1, seq), (9_000, seq + 1)]
                    .map(|(from, to)| format!("UPDATE audit SET seq = {to} WHERE seq = {from}"))
                    .to_vec(),
                _ => {
                    let rest = kinds.len() - usize::try_from(seq).unwrap();
                    let mut statements: Vec<String> = (0..rest)
                        .map(|back| i64::try_from(kinds.len() - back).unwrap())
                        .map(|last| format!("UPDATE audit SET seq = {} WHERE seq = {last}", last + 1))
                        .collect();
                    statements.push(format!(
                        "INSERT INTO audit SELECT {}, source, NULL, category, 'Made up', organization_id, actor_id, \
                         actor_username, actor_name, changes, happened_at_ns, recorded_at, inbox_id, hash, hash \
                         FROM audit WHERE seq = {seq}", seq + 1,
                    ));
                    statements
                }
            };
            if around_the_program(&store, &statements).await {
                assert!(broken(&store).await.is_some(), "{statements:?}");
            }
        });
    }

    #[test]
    fn a_list_is_what_the_plain_rule_says(
        kinds in prop::collection::vec(any::<bool>(), 1..30),
        text in prop::option::of(prop::sample::select(vec!["reminder", "REMI 3", "feed", "e-4", "value", "nowhere", "é", "-", "org-1 changed"])),
        person in prop::option::of(prop::sample::select(vec!["ingrid", "sol ing", "command", "7", "nobody", "\"", "reminder"])),
        category in prop::option::of(prop::sample::select(vec!["setting", "feed", "other"])),
        organization in prop::option::of(prop::sample::select(vec!["org-0", "org-2"])),
        source in prop::option::of(prop::sample::select(vec![Source::CirrusInsight, Source::Admin])),
        days in (prop::option::of(0_i64..30), prop::option::of(0_i64..30)),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let store = log_of(dir.path(), &kinds).await;
            let filter = AuditFilter {
                text: text.map(str::to_owned),
                person: person.map(str::to_owned),
                category: category.map(str::to_owned),
                organization: organization.map(str::to_owned),
                source,
                from: days.0.map(day),
                until: days.1.map(day),
            };
            let all = store.audit_after(0, 100).await.unwrap();
            let last = i64::try_from(all.len()).unwrap();
            let expected: Vec<i64> =
                all.iter().filter(|link| meets(&filter, &link.entry)).map(|link| link.seq).collect();
            let mut found = Vec::new();
            loop {
                let after = AuditPart::After(found.last().copied().unwrap_or(0), last);
                let page = store.audit_entries(&filter, after, 4).await.unwrap();
                if page.is_empty() {
                    break;
                }
                found.extend(page.iter().map(|link| link.seq));
            }
            assert_eq!(found, expected, "{filter:?}");
            let newest = store.audit_entries(&filter, AuditPart::NEWEST, 100).await.unwrap();
            assert!(newest.iter().rev().map(|link| link.seq).eq(expected.iter().copied()));
            let count = store.audit_count(&filter, last).await.unwrap();
            assert_eq!(count, i64::try_from(expected.len()).unwrap());
        });
    }
}

/// Words as the index has them: parts of letters and digits, without case and accents.
fn words_of(text: &str) -> Vec<String> {
    let plain = text.to_lowercase().replace('é', "e");
    plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn holds(asked: &str, text: &str) -> bool {
    let has = words_of(text);
    // A word that is asked for may be of several parts: they follow each other, and the last one may go on.
    let mut asked = asked.split_whitespace().map(words_of).filter(|parts| !parts.is_empty()).peekable();
    asked.peek().is_some()
        && asked.all(|parts| {
            has.windows(parts.len()).any(|found| {
                let (last, first) = (parts.len() - 1, &parts[..parts.len() - 1]);
                found[..last] == *first && found[last].starts_with(&parts[last])
            })
        })
}

fn meets(filter: &AuditFilter, entry: &Entry) -> bool {
    let who = [&entry.actor.username, &entry.actor.name, &entry.actor.id];
    let who: Vec<String> = who.into_iter().flatten().cloned().collect();
    let who = who.join("\n");
    let atoms: Vec<String> = entry
        .changes
        .iter()
        .flat_map(|change| match &change.before {
            Value::Null => vec![change.field.clone()],
            before => vec![change.field.clone(), before.to_string(), "é".into(), "1.5".into()],
        })
        .collect();
    let ids = [entry.organization_id.clone(), entry.event_id.clone()].into_iter().flatten();
    let what: Vec<String> = [entry.summary.clone()].into_iter().chain(ids).chain(atoms).collect();
    let what = what.join("\n");
    filter.text.as_deref().is_none_or(|text| holds(text, &format!("{who}\n{what}")))
        && filter.person.as_deref().is_none_or(|person| holds(person, &who))
        && filter.category.as_ref().is_none_or(|category| *category == entry.category)
        && filter.organization.as_ref().is_none_or(|id| Some(id) == entry.organization_id.as_ref())
        && filter.source.is_none_or(|source| source == entry.source)
        && filter.from.is_none_or(|from| entry.happened_at >= from)
        && filter.until.is_none_or(|until| entry.happened_at < until)
}

#[tokio::test]
async fn pages_of_the_log_are_read_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = log_of(dir.path(), &[true; 3]).await;
    let some = |text: &str| Some(text.to_owned());
    let time = AuditFilter { from: Some(day(1)), until: Some(day(2)), ..AuditFilter::default() };
    for filter in [
        AuditFilter::default(),
        AuditFilter { text: some("a b"), ..AuditFilter::default() },
        AuditFilter { person: some("a"), category: some("setting"), ..time.clone() },
        AuditFilter { category: some("setting"), ..time.clone() },
        AuditFilter { organization: some("org-1"), ..time.clone() },
        AuditFilter { source: Some(Source::Admin), ..time.clone() },
        AuditFilter { until: None, ..time.clone() },
        AuditFilter { from: None, ..time.clone() },
        time.clone(),
    ] {
        for part in [AuditPart::NEWEST, AuditPart::After(1, 9)] {
            let sql = filter.list(part, 50).unwrap();
            let sql = format!("EXPLAIN QUERY PLAN {}", sql.into_sql().as_str());
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&store.reader).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
            // Of a time the numbers are put in order, as many as a page has, and only the index is read for that.
            let of_index = plan.iter().any(|step| step.contains("COVERING INDEX audit_happened"));
            assert!(!sorts || of_index, "{filter:?}: {plan:?}");
            assert!(!plan.iter().any(|step| format!("{step} ").starts_with("SCAN audit ")), "{filter:?}: {plan:?}");
        }
    }
}

#[tokio::test]
async fn the_oldest_part_is_removed_and_the_rest_still_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let store = log_of(dir.path(), &[true, false, true, false, true]).await;
    let before = store.audit_after(0, 100).await.unwrap();
    let mut tx = store.write().await.unwrap();
    assert_eq!(tx.begin_audit_removal(day(1), i64::MAX, day(9)).await.unwrap(), None, "nothing is older");
    assert_eq!(tx.begin_audit_removal(day(4), 0, day(9)).await.unwrap(), None, "nothing may go");
    let removed = tx.begin_audit_removal(day(4), i64::MAX, day(9)).await.unwrap().unwrap();
    assert_eq!((removed.first, removed.last), (1, 3));
    assert_eq!(removed.hash, HEXLOWER.encode(&before[2].hash));
    tx.commit().await.unwrap();
    assert_eq!(broken(&store).await, None, "before the entries are gone, too");

    let mut tx = store.write().await.unwrap();
    assert_eq!(tx.remove_audit_entries(2).await.unwrap(), 2);
    assert_eq!(tx.remove_audit_entries(2).await.unwrap(), 1);
    assert_eq!(tx.remove_audit_entries(2).await.unwrap(), 0);
    assert_eq!(tx.begin_audit_removal(day(4), i64::MAX, day(9)).await.unwrap(), None, "done already");
    tx.commit().await.unwrap();
    let left = store.audit_after(0, 100).await.unwrap();
    assert_eq!(left.iter().map(|link| link.seq).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(
        left[2].entry.summary,
        "Removed entries 1 to 3 from the audit log, recorded before 2026-09-25T14:13:20Z"
    );
    let found = store.verify_audit(day(9)).await.unwrap();
    assert_eq!((found.broken, found.entries), (None, 3));
    let gone = AuditFilter { text: Some("e-3".into()), ..AuditFilter::default() };
    assert_eq!(store.audit_entries(&gone, AuditPart::NEWEST, 9).await.unwrap(), []);
    let index: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_texts WHERE audit_texts MATCH 'reminder'")
        .fetch_one(&store.reader)
        .await
        .unwrap();
    assert_eq!(index, 1, "the words of removed entries are gone");

    // A head of before is known as long as the rest follows it.
    let hash_of = |seq: usize| before[seq - 1].hash;
    assert_eq!(store.audit_entry_of_head(&hash_of(3)).await.unwrap(), Some(3));
    assert_eq!(store.audit_entry_of_head(&hash_of(1)).await.unwrap(), None);
    let forged = format!("INSERT INTO audit_checkpoints VALUES (1, x'{}', 2)", HEXLOWER.encode(&[7; 32]));
    assert!(around_the_program(&store, &[forged]).await);
    assert_eq!(store.audit_entry_of_head(&[7; 32]).await.unwrap(), None, "nothing follows it");

    // What tells of a removal is no reason for the next one.
    let mut tx = store.write().await.unwrap();
    assert!(tx.begin_audit_removal(day(6), i64::MAX, day(20)).await.unwrap().is_some());
    assert_eq!(tx.begin_audit_removal(day(30), i64::MAX, day(40)).await.unwrap(), None);
    tx.commit().await.unwrap();
    assert_eq!(broken(&store).await, None);
}

#[tokio::test]
async fn a_part_that_is_removed_around_the_program_shows() {
    for (statements, told) in [
        (&["DELETE FROM audit WHERE seq < 3"][..], "entry 1 is missing: entry 3 stands in its place"),
        (
            // A checkpoint that nothing in the log tells of.
            &[
                "INSERT INTO audit_checkpoints SELECT seq, hash, 4 FROM audit WHERE seq = 2",
                "DELETE FROM audit WHERE seq < 3",
            ],
            "entries up to 2 are missing, and no entry of the log tells that they were removed",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = log_of(dir.path(), &[true; 5]).await;
        let statements: Vec<String> = statements.iter().map(ToString::to_string).collect();
        assert!(around_the_program(&store, &statements).await);
        assert_eq!(broken(&store).await.unwrap(), told);
    }
    let dir = tempfile::tempdir().unwrap();
    let store = log_of(dir.path(), &[true; 5]).await;
    let replaced = |seq: &str, event: &str, previous: &str| {
        format!(
            "INSERT OR REPLACE INTO audit SELECT {seq}, source, {event}, category, 'Made up', organization_id, actor_id, \
             actor_username, actor_name, changes, happened_at_ns, recorded_at, inbox_id, {previous}, hash FROM audit \
             WHERE seq = 5"
        )
    };
    for statement in [
        "DELETE FROM audit WHERE seq = 1",
        "UPDATE audit SET summary = '' WHERE seq = 1",
        // The place of another one.
        &replaced("5", "event_id", "previous_hash"),
        &replaced("6", "'e-1'", "hash"),
        // Not after the last one.
        &replaced("0", "NULL", "hash"),
        &replaced("7", "NULL", "hash"),
        &replaced("6", "NULL", "previous_hash"),
        "INSERT INTO audit_checkpoints SELECT seq, hash, 4 FROM audit WHERE seq = 2",
        "INSERT INTO audit_checkpoints SELECT seq, hash, 99 FROM audit WHERE seq = 2",
    ] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&store.writer).await.unwrap_err();
        assert!(refused.to_string().contains("the audit log only grows"), "{refused}");
    }
}
