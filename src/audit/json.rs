//! An entry as JSON, wherever it leaves the program: lists, exports, and what is sent on.

use chrono::SecondsFormat;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::chain::Link;

/// The entry with its place in the chain.
pub fn as_json(link: &Link) -> Value {
    let entry = &link.entry;
    json!({
        "seq": link.seq,
        "source": entry.source.as_str(),
        "eventId": entry.event_id,
        "category": entry.category,
        "summary": entry.summary,
        "organizationId": entry.organization_id,
        "actor": {"id": entry.actor.id, "username": entry.actor.username, "name": entry.actor.name},
        "changes": entry.changes,
        "happenedAt": entry.happened_at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "recordedAt": entry.recorded_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "delivery": entry.inbox_id,
        "previousHash": HEXLOWER.encode(&link.previous),
        "hash": HEXLOWER.encode(&link.hash),
    })
}
