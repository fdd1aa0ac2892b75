//! Where the log begins after its oldest part was removed. The log itself tells of the removal and of the hash that its first
//! entry follows, so that what is left can be verified, and a part that is missing without such an entry shows.

use chrono::{DateTime, SecondsFormat, Utc};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::chain::{Hash, Link};
use super::diff::Change;
use super::entry::{Actor, Entry, Source};

/// Category of the entries that tell of a removal.
pub const CATEGORY: &str = "retention";

/// The last entry that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its number.
    pub seq: i64,
    /// Its hash.
    pub hash: Hash,
    /// Number of the entry that tells of the removal.
    pub signed_off: i64,
}

impl Checkpoint {
    pub(super) fn is_signed_off_by(&self, link: &Link) -> bool {
        let entry = &link.entry;
        link.seq == self.signed_off
            && entry.source == Source::Admin
            && entry.category == CATEGORY
            && entry.changes.contains(&change(self.seq, &self.hash))
    }
}

fn change(seq: i64, hash: &Hash) -> Change {
    let after = json!({"throughEntry": seq, "itsHash": HEXLOWER.encode(hash)});
    Change { field: "removed".to_owned(), before: Value::Null, after }
}

/// The entry that tells of the removal of the entries from number `first` to `last`, whose hash is `hash`: they were recorded
/// before `before`.
pub fn removal(first: i64, last: i64, hash: &Hash, before: DateTime<Utc>, now: DateTime<Utc>) -> Entry {
    let day = before.to_rfc3339_opts(SecondsFormat::Secs, true);
    let what = if first == last { format!("entry {first}") } else { format!("entries {first} to {last}") };
    Entry {
        source: Source::Admin,
        event_id: None,
        category: CATEGORY.to_owned(),
        summary: format!("Removed {what} from the audit log, recorded before {day}"),
        organization_id: None,
        actor: Actor::admin(Actor::SERVER),
        changes: vec![change(last, hash)],
        happened_at: now,
        recorded_at: now,
        inbox_id: None,
    }
}
