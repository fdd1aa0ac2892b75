//! Field-level differences between two JSON values.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Octets of all names together: a body that is all names of names must not grow beyond measure.
const MOST_NAMES: usize = 1 << 20;
/// Levels of a value; deeper ones are not read by every reader of JSON.
const DEEPEST: usize = 32;
/// The name of what has no name.
const WHOLE: &str = "value";

/// One field that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Path of the field, parts joined by dots.
    pub field: String,
    /// Value before; null when it was not there.
    pub before: Value,
    /// Value after; null when it is gone.
    pub after: Value,
}

/// What became of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListChange<'a> {
    /// Items that are new, in their order.
    pub added: Vec<&'a Value>,
    /// Items that are gone, in their order.
    pub removed: Vec<&'a Value>,
}

impl Change {
    /// What was added to a list and removed from it; none when this is no list, or became or was something else. An item
    /// that stands there twice counts twice; the order does not count, so both may be empty.
    pub fn of_list(&self) -> Option<ListChange<'_>> {
        let (before, after): (&[Value], &[Value]) = match (&self.before, &self.after) {
            (Value::Array(before), Value::Array(after)) => (before, after),
            (Value::Array(before), Value::Null) => (before, &[]),
            (Value::Null, Value::Array(after)) => (&[], after),
            _ => return None,
        };
        Some(ListChange { added: beyond(after, before), removed: beyond(before, after) })
    }

    /// The same with values that are nested too deeply told as text.
    #[must_use]
    pub fn flat(self) -> Self {
        let flat = |value: Value| if is_deep(&value, DEEPEST) { value.to_string().into() } else { value };
        Self { field: self.field, before: flat(self.before), after: flat(self.after) }
    }
}

fn is_deep(value: &Value, levels: usize) -> bool {
    let is_deeper = |value: &Value| levels == 0 || is_deep(value, levels - 1);
    match value {
        Value::Array(items) => items.iter().any(is_deeper),
        Value::Object(fields) => fields.values().any(is_deeper),
        _ => false,
    }
}

/// The items of one list that the other one does not have.
fn beyond<'a>(items: &'a [Value], others: &[Value]) -> Vec<&'a Value> {
    let mut left: HashMap<String, usize> = HashMap::new();
    for other in others {
        *left.entry(other.to_string()).or_default() += 1;
    }
    let is_new = |item: &&Value| match left.get_mut(&item.to_string()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    items.iter().filter(is_new).collect()
}

/// The fields that differ, by path. Objects are compared field by field, everything else as a whole; all of it as a whole when
/// the names alone would be too much.
pub fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Found { changes: Vec::new(), octets_left: MOST_NAMES };
    match found.walk("", before, after) {
        Some(()) => found.changes,
        None => vec![Change { field: WHOLE.to_owned(), before: before.clone(), after: after.clone() }],
    }
}

/// What a walk through two values found.
struct Found {
    changes: Vec<Change>,
    octets_left: usize,
}

impl Found {
    /// `None` when there is no room left for the names.
    fn walk(&mut self, path: &str, before: &Value, after: &Value) -> Option<()> {
        let empty = Map::new();
        if let (Value::Object(_), Value::Object(_) | Value::Null) | (Value::Null, Value::Object(_)) = (before, after) {
            let (b, a) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
            let mut names: Vec<&String> = b.keys().chain(a.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let null = &Value::Null;
                let (before, after) = (b.get(name).unwrap_or(null), a.get(name).unwrap_or(null));
                if before != after {
                    self.octets_left = self.octets_left.checked_sub(path.len() + name.len() + 1)?;
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.walk(&path, before, after)?;
                }
            }
        } else if before != after {
            let field = if path.is_empty() { WHOLE } else { path }.to_owned();
            self.changes.push(Change { field, before: before.clone(), after: after.clone() });
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(before: &Value, after: &Value) -> Vec<String> {
        diff(before, after).iter().map(|c| format!("{}: {} → {}", c.field, c.before, c.after)).collect()
    }

    #[test]
    fn nested_fields_are_named_and_equal_ones_left_out() {
        let before = json!({"value": true, "same": [1], "deep": {"a": 1, "gone": "x"}});
        let after = json!({"value": false, "same": [1], "deep": {"a": 2, "new": null}});
        assert_eq!(shown(&before, &after), ["deep.a: 1 → 2", "deep.gone: \"x\" → null", "value: true → false"]);
    }

    #[test]
    fn a_list_tells_what_came_and_what_went() {
        let list = |before, after| Change { field: "value".into(), before, after };
        let change = list(json!(["a", "b", "b", {"x": 1}]), json!([{"x": 1}, "c", "b"]));
        let told = change.of_list().unwrap();
        assert_eq!((told.added, told.removed), (vec![&json!("c")], vec![&json!("a"), &json!("b")]));
        let moved = list(json!([1, 2]), json!([2, 1]));
        assert_eq!(moved.of_list(), Some(ListChange::default()));
        assert_eq!(list(Value::Null, json!([1])).of_list().unwrap().added, [&json!(1)]);
        assert_eq!(list(json!([1]), json!("1")).of_list(), None);
    }

    #[test]
    fn values_that_are_no_objects_are_compared_whole() {
        assert_eq!(shown(&Value::Null, &json!({"name": "A"})), ["name: null → \"A\""]);
        assert_eq!(shown(&json!([1]), &json!([2])), ["value: [1] → [2]"]);
        assert_eq!(shown(&json!({"a": 1}), &json!("text")), ["value: {\"a\":1} → \"text\""]);
        assert!(shown(&Value::Null, &Value::Null).is_empty());
    }

    #[test]
    fn names_that_would_grow_beyond_measure_are_not_repeated() {
        let fields: Map<String, Value> = (0..20_000).map(|number| (number.to_string(), json!(number))).collect();
        let after = json!({"n".repeat(500_000): fields});
        let changes = diff(&Value::Null, &after);
        assert_eq!(changes, [Change { field: "value".into(), before: Value::Null, after }]);
    }

    #[test]
    fn what_is_nested_too_deeply_is_text() {
        let nested = |levels| (1..levels).fold(json!([]), |value, _| json!([value]));
        let change = |value: &Value| Change { field: "a".into(), before: json!("b"), after: value.clone() };
        assert_eq!(change(&nested(33)).flat(), change(&nested(33)));
        assert_eq!(change(&nested(34)).flat().after, json!(nested(34).to_string()));
        assert_eq!(change(&nested(120)).flat().before, json!("b"));
    }
}
