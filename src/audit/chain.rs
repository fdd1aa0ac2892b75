//! The hash chain: each entry's hash covers the one before it and its own content, so that a changed, removed, swapped or
//! inserted entry shows. A chain alone can't show that its tail was cut off, or that all of it was made anew; for that, an entry is
//! remembered as a [`Mark`].

use sha2::{Digest, Sha256};

use super::checkpoint::Checkpoint;
use super::entry::Entry;

/// A SHA-256.
pub type Hash = [u8; 32];

/// What the first entry follows.
pub const START: Hash = [0; 32];

/// The hash of entry number `seq` that follows `previous`.
///
/// The canonical content is every field in a fixed order, each as its length in bytes (8, big endian) and its bytes; an
/// absent field has the length `u64::MAX`. So no two different entries have the same content.
pub fn hash(previous: &Hash, seq: i64, entry: &Entry) -> Hash {
    let changes = serde_json::to_string(&entry.changes).unwrap_or_default();
    let happened = entry.happened_at.timestamp_nanos_opt().unwrap_or_default().to_string();
    let recorded = entry.recorded_at.timestamp_millis().to_string();
    let inbox_id = entry.inbox_id.map(|id| id.to_string());
    let seq = seq.to_string();
    let fields = [
        Some(seq.as_str()),
        Some(entry.source.as_str()),
        entry.event_id.as_deref(),
        Some(&entry.category),
        Some(&entry.summary),
        entry.organization_id.as_deref(),
        entry.actor.id.as_deref(),
        entry.actor.username.as_deref(),
        entry.actor.name.as_deref(),
        Some(&changes),
        Some(&happened),
        Some(&recorded),
        inbox_id.as_deref(),
    ];
    let mut hasher = Sha256::new();
    hasher.update(previous);
    for field in fields {
        hasher.update(field.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
        hasher.update(field.unwrap_or_default());
    }
    hasher.finalize().into()
}

/// One link as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Place in the chain, from 1.
    pub seq: i64,
    /// Content.
    pub entry: Entry,
    /// Stored hash of the entry before.
    pub previous: Hash,
    /// Stored hash of this entry.
    pub hash: Hash,
}

/// An entry as it is remembered elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its number; 0 before the first one.
    pub seq: i64,
    /// Its hash.
    pub hash: Hash,
}

/// Where a chain breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// A number is missing, repeated or out of place.
    #[error("entry {expected} is missing: entry {found} stands in its place")]
    Gap {
        /// The number that should come.
        expected: i64,
        /// The number that came.
        found: i64,
    },
    /// The entry does not follow the one before it.
    #[error("entry {0} does not follow the entry before it")]
    Order(i64),
    /// The entry's content is not what was hashed.
    #[error("entry {0} was changed after it was written")]
    Content(i64),
    /// The entry is not in the form that entries have.
    #[error("entry {0} can't be read: it is not as it was written")]
    Unreadable(i64),
    /// The log begins late, and the entry that should tell of the removal of what was before does not.
    #[error("entries up to {0} are missing, and no entry of the log tells that they were removed")]
    NotSignedOff(i64),
    /// The chain is shorter than it was.
    #[error("it ends with entry {last}, but had entry {known} before: what follows entry {last} is missing")]
    Cut {
        /// The last number that is there.
        last: i64,
        /// The number of an entry that was there.
        known: i64,
    },
    /// Another entry has the number of one that is remembered.
    #[error("entry {0} is not the one that had this number before: it, or an entry before it, was replaced")]
    Replaced(i64),
}

/// Walks a chain from where it begins.
#[derive(Debug, Clone)]
pub struct Verification {
    checkpoint: Option<Checkpoint>,
    signed_off: bool,
    last: i64,
    head: Hash,
    marks: Vec<Mark>,
}

impl Verification {
    /// Begins after the part that was removed, if there is one. The chain must hold these entries, as far as it reaches back.
    pub fn new(checkpoint: Option<Checkpoint>, marks: impl IntoIterator<Item = Mark>) -> Self {
        let (last, head) = checkpoint.map_or((0, START), |checkpoint| (checkpoint.seq, checkpoint.hash));
        Self { checkpoint, signed_off: false, last, head, marks: marks.into_iter().collect() }
    }

    /// Takes the next link.
    ///
    /// # Errors
    /// When the chain breaks at it.
    pub fn step(&mut self, link: &Link) -> Result<(), Break> {
        let expected = self.last + 1;
        if link.seq != expected {
            return Err(Break::Gap { expected, found: link.seq });
        }
        if link.previous != self.head {
            return Err(Break::Order(link.seq));
        }
        if hash(&link.previous, link.seq, &link.entry) != link.hash {
            return Err(Break::Content(link.seq));
        }
        if self.marks.iter().any(|mark| mark.seq == link.seq && mark.hash != link.hash) {
            return Err(Break::Replaced(link.seq));
        }
        self.signed_off |= self.checkpoint.is_some_and(|checkpoint| checkpoint.is_signed_off_by(link));
        self.last = link.seq;
        self.head = link.hash;
        Ok(())
    }

    /// Ends after the last link.
    ///
    /// # Errors
    /// When an entry that is remembered did not come, or the removal of the part before the first link is told nowhere.
    pub fn finish(&self) -> Result<(), Break> {
        if let Some(known) = self.marks.iter().map(|mark| mark.seq).max().filter(|known| *known > self.last) {
            return Err(Break::Cut { last: self.last, known });
        }
        let Some(checkpoint) = self.checkpoint else { return Ok(()) };
        if self.marks.iter().any(|mark| mark.seq == checkpoint.seq && mark.hash != checkpoint.hash) {
            return Err(Break::Replaced(checkpoint.seq));
        }
        if self.signed_off { Ok(()) } else { Err(Break::NotSignedOff(checkpoint.seq)) }
    }

    /// How many links were taken.
    pub fn count(&self) -> i64 {
        self.last - self.checkpoint.map_or(0, |checkpoint| checkpoint.seq)
    }

    /// Number of the last link taken, or of the last one that was removed.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// The hash of the last link taken.
    pub fn head(&self) -> Hash {
        self.head
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Actor, Source};
    use super::*;
    use chrono::DateTime;

    /// A chain of entries with these summaries.
    fn chain(summaries: &[&str]) -> Vec<Link> {
        let mut links: Vec<Link> = Vec::new();
        for (seq, summary) in (1..).zip(summaries) {
            let entry = Entry {
                source: Source::Admin,
                event_id: None,
                category: "feed".to_owned(),
                summary: (*summary).to_owned(),
                organization_id: None,
                actor: Actor::admin("test"),
                changes: Vec::new(),
                happened_at: DateTime::UNIX_EPOCH,
                recorded_at: DateTime::UNIX_EPOCH,
                inbox_id: None,
            };
            let previous = links.last().map_or(START, |link| link.hash);
            links.push(Link { seq, previous, hash: hash(&previous, seq, &entry), entry });
        }
        links
    }

    fn verify(links: &[Link], mark: Mark) -> Result<(), Break> {
        let mut verification = Verification::new(None, [mark]);
        links.iter().try_for_each(|link| verification.step(link))?;
        verification.finish()
    }

    #[test]
    fn a_chain_that_was_cut_or_made_anew_does_not_hold_what_is_remembered() {
        let links = chain(&["one", "two", "three"]);
        for seq in 1..=3 {
            let known = &links[seq - 1];
            let mark = Mark { seq: known.seq, hash: known.hash };
            assert_eq!(verify(&links, mark), Ok(()));
            assert_eq!(verify(&chain(&["one", "two", "three", "four"])[..], mark), Ok(()));
            assert_eq!(verify(&chain(&["0ne", "two", "three", "four"])[..], mark), Err(Break::Replaced(known.seq)));
            let cut = Break::Cut { last: known.seq - 1, known: known.seq };
            assert_eq!(verify(&links[..seq - 1], mark), Err(cut));
        }
        assert_eq!(verify(&links, Mark { seq: 0, hash: START }), Ok(()));
        assert_eq!(verify(&[], Mark { seq: 0, hash: START }), Ok(()));
    }

    #[test]
    fn what_was_removed_is_what_is_remembered() {
        let links = chain(&["one", "two"]);
        let removal =
            super::super::checkpoint::removal(1, 2, &links[1].hash, DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);
        let (previous, seq) = (links[1].hash, 3);
        let link = Link { seq, previous, hash: hash(&previous, seq, &removal), entry: removal };
        let checkpoint = Checkpoint { seq: 2, hash: previous, signed_off: 3 };
        for (remembered, expected) in [(previous, Ok(())), ([7; 32], Err(Break::Replaced(2)))] {
            let mut verification = Verification::new(Some(checkpoint), [Mark { seq: 2, hash: remembered }]);
            verification.step(&link).unwrap();
            assert_eq!(verification.finish(), expected);
        }
    }

    #[test]
    fn numbers_are_read_back_as_they_were_hashed() {
        for text in ["475.795614029497201", "0.1", "1e-300", "18446744073709551615", "123456789.123456789123"] {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let again: serde_json::Value = serde_json::from_str(&value.to_string()).unwrap();
            assert_eq!(value.to_string(), again.to_string());
        }
    }
}
