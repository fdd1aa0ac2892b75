//! What a listing of a calendar's events means beside the work rows. Pure.

use std::collections::HashMap;

use super::google::Listed;
use crate::meeting::event::MeetingId;
use crate::store::{KnownRow, Presence};

/// What differs. Rows that are being worked on are left aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Events that were written but are not there.
    pub missing: Vec<MeetingId>,
    /// Events that are not as they were written.
    pub edited: Vec<MeetingId>,
    /// Events of meetings that should have none.
    pub unwanted: Vec<MeetingId>,
    /// Ids of events of ours that no row knows.
    pub strays: Vec<String>,
}

/// Compares. `event_id` makes the id of a row's event.
pub fn compare(rows: &[KnownRow], listed: &[Listed], event_id: impl Fn(&KnownRow) -> String) -> Drift {
    let mut left: HashMap<&str, &Listed> = listed.iter().map(|event| (event.event_id.as_str(), event)).collect();
    let mut drift = Drift::default();
    for row in rows {
        let found = left.remove(event_id(row).as_str());
        if !row.settled {
            continue;
        }
        let kind = match (row.presence, found) {
            (Presence::Present, None) => &mut drift.missing,
            (Presence::Present, Some(event))
                if row.seen_hash.as_deref().is_some_and(|seen| seen != event.seen_hash.as_slice()) =>
            {
                &mut drift.edited
            }
            (Presence::Absent, Some(_)) => &mut drift.unwanted,
            _ => continue,
        };
        kind.push(row.meeting_id.clone());
    }
    drift.strays = left.into_keys().map(str::to_owned).collect();
    drift.strays.sort();
    drift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, presence: Presence, settled: bool) -> KnownRow {
        let meeting_id = MeetingId::new(id);
        KnownRow { meeting_id, presence, generation: 0, seen_hash: Some(vec![1; 32]), settled, held: false }
    }

    fn event(id: &str, hash: u8) -> Listed {
        Listed { event_id: format!("e-{id}"), meeting_id: None, seen_hash: [hash; 32] }
    }

    #[test]
    fn every_kind_of_drift_is_told_apart() {
        let rows = [
            row("same", Presence::Present, true),
            row("gone", Presence::Present, true),
            row("edited", Presence::Present, true),
            row("back", Presence::Absent, true),
            row("busy", Presence::Present, false),
            row("never", Presence::Absent, true),
        ];
        let listed = [event("same", 1), event("edited", 2), event("back", 1), event("busy", 7), event("stray", 1)];
        let drift = compare(&rows, &listed, |row| format!("e-{}", row.meeting_id));
        assert_eq!(drift.missing, [MeetingId::new("gone")]);
        assert_eq!(drift.edited, [MeetingId::new("edited")]);
        assert_eq!(drift.unwanted, [MeetingId::new("back")]);
        assert_eq!(drift.strays, ["e-stray"]);
    }
}
