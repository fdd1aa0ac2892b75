//! Changes inputs at random: JSON stays JSON most of the time, so that the change gets past the parser; the rest are bytes.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

/// Texts on which programs stumble.
const PIECES: [&str; 64] = [
    "",
    " ",
    "\0",
    "\r\n",
    "\n",
    "\t",
    "\u{b}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "\u{feff}",
    "\u{fffe}",
    "\u{7f}",
    "\u{1b}[2J",
    "é",
    "e\u{301}",
    "老",
    "😀",
    "👩‍👩‍👧",
    "\u{10ffff}",
    "\\",
    "\\n",
    "\\N",
    ";",
    ",",
    ":",
    "\"",
    "'",
    "<x>",
    "&amp;",
    "%00",
    "%ff",
    "+",
    "=",
    "&",
    "?",
    "#",
    "/",
    "..",
    "~",
    "*",
    "\" OR 1",
    "-",
    "0",
    "-1",
    "1e999",
    "9223372036854775808",
    "0.1",
    "null",
    "true",
    "Z",
    "+24:00",
    "T",
    "1969-12-31T23:59:59Z",
    "2199-12-31T23:59:60Z",
    "2026-02-30T10:00:00Z",
    "2026-11-23T10:00Z",
    "+10000-01-01T00:00:00Z",
    "BEGIN:VEVENT",
    "END:VCALENDAR",
    "sha256=",
    "v1,",
    "whsec_",
    "javascript:",
];

/// Makes inputs. The same seed makes the same.
pub(super) struct Mutator {
    random: StdRng,
    corpus: Vec<Vec<u8>>,
}

impl Mutator {
    pub(super) fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        Self { random: StdRng::seed_from_u64(seed), corpus }
    }

    /// Another input to begin from.
    pub(super) fn learn(&mut self, input: Vec<u8>) {
        self.corpus.push(input);
    }

    /// One of the corpus, changed once or some times.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let mut input = self.known().clone();
        for _ in 0..self.random.random_range(1..5) {
            let json = if self.random.random_bool(0.7) { serde_json::from_slice(&input).ok() } else { None };
            match json {
                Some(mut value) => {
                    self.change_value(&mut value);
                    input = value.to_string().into_bytes();
                }
                None => self.change_bytes(&mut input),
            }
            input.truncate(64 * 1024);
        }
        input
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.random.random_range(0..end) }
    }

    fn known(&mut self) -> &Vec<u8> {
        let index = self.below(self.corpus.len());
        &self.corpus[index]
    }

    fn piece(&mut self) -> &'static str {
        PIECES[self.below(PIECES.len())]
    }

    fn change_bytes(&mut self, input: &mut Vec<u8>) {
        let (from, to) = (self.below(input.len() + 1), self.below(input.len() + 1));
        let range = from.min(to)..from.max(to);
        match self.random.random_range(0..8) {
            0 => input.truncate(from),
            1 if from < input.len() => input[from] ^= 1 << self.below(8),
            2 if from < input.len() => input[from] = self.random.random(),
            3 => drop(input.splice(from..from, self.piece().bytes())),
            4 => drop(input.splice(range, self.piece().bytes())),
            5 => {
                let again = input[range].to_vec();
                let times = self.random.random_range(1..20);
                drop(input.splice(from..from, again.repeat(times)));
            }
            6 => drop(input.drain(range)),
            _ => {
                let other = self.known().clone();
                let cut = self.below(other.len() + 1);
                input.truncate(from);
                input.extend_from_slice(&other[cut..]);
            }
        }
    }

    /// Changes one value in it.
    fn change_value(&mut self, value: &mut Value) {
        if self.random.random_bool(0.8) {
            let child = match value {
                Value::Array(items) if !items.is_empty() => {
                    let index = self.below(items.len());
                    items.get_mut(index)
                }
                Value::Object(fields) if !fields.is_empty() => {
                    let index = self.below(fields.len());
                    fields.values_mut().nth(index)
                }
                _ => None,
            };
            if let Some(child) = child {
                return self.change_value(child);
            }
        }
        match value {
            Value::String(text) if self.random.random_bool(0.7) => self.change_text(text),
            Value::Object(fields) if self.random.random_bool(0.8) => self.change_fields(fields),
            Value::Array(items) if self.random.random_bool(0.8) => self.change_items(items),
            other => *other = self.any_value(other),
        }
    }

    fn change_text(&mut self, text: &mut String) {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let (a, b) = (places[self.below(places.len())], places[self.below(places.len())]);
        let (from, to) = (a.min(b), a.max(b));
        match self.random.random_range(0..6) {
            0 => text.truncate(from),
            1 => text.insert_str(from, self.piece()),
            2 => text.replace_range(from..to, self.piece()),
            3 => {
                let again = text[from..to].repeat(self.random.random_range(1..50));
                text.insert_str(from, &again);
            }
            4 => text.insert(from, self.random.random()),
            _ => *text = self.piece().repeat(self.random.random_range(1..100)),
        }
    }

    fn change_fields(&mut self, fields: &mut Map<String, Value>) {
        let index = self.below(fields.len());
        let Some(name) = fields.keys().nth(index).cloned() else {
            fields.insert(self.piece().to_owned(), Value::Null);
            return;
        };
        match self.random.random_range(0..4) {
            0 => drop(fields.remove(&name)),
            1 => {
                let mut other = name.clone();
                self.change_text(&mut other);
                let value = fields.remove(&name).unwrap_or_default();
                fields.insert(other, value);
            }
            2 => {
                let value = self.any_value(&fields[&name]);
                fields.insert(self.piece().to_owned(), value);
            }
            _ => {
                let value = self.any_value(&fields[&name]);
                fields.insert(name, value);
            }
        }
    }

    fn change_items(&mut self, items: &mut Vec<Value>) {
        let index = self.below(items.len());
        match (self.random.random_range(0..3), items.get(index).cloned()) {
            (0, Some(_)) => drop(items.remove(index)),
            (1, Some(item)) => items.extend(vec![item; self.random.random_range(1..20)]),
            (_, item) => items.push(self.any_value(&item.unwrap_or_default())),
        }
    }

    /// Anything; made from what was there, or not.
    fn any_value(&mut self, was: &Value) -> Value {
        match self.random.random_range(0..10) {
            0 => Value::Null,
            1 => self.random.random_bool(0.5).into(),
            2 => self.random.random::<i64>().into(),
            3 => self.random.random::<f64>().into(),
            4 => json!([was]),
            5 => json!({self.piece(): was}),
            6 => (0..self.random.random_range(1..150)).fold(was.clone(), |inner, _| json!([inner])),
            7 => was.to_string().into(),
            _ => self.piece().into(),
        }
    }
}
