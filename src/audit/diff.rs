//! Field-level differences between two JSON values.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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

/// The fields that differ, by path. Objects are compared field by field, everything else as a whole.
pub fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    walk("", before, after, &mut changes);
    changes
}

fn walk(path: &str, before: &Value, after: &Value, changes: &mut Vec<Change>) {
    let empty = Map::new();
    match (before, after) {
        _ if before == after => {}
        (Value::Object(_), Value::Object(_) | Value::Null) | (Value::Null, Value::Object(_)) => {
            let (b, a) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
            let mut names: Vec<&String> = b.keys().chain(a.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let null = &Value::Null;
                walk(&path, b.get(name).unwrap_or(null), a.get(name).unwrap_or(null), changes);
            }
        }
        _ => changes.push(Change {
            field: if path.is_empty() { "value".to_owned() } else { path.to_owned() },
            before: before.clone(),
            after: after.clone(),
        }),
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
    fn values_that_are_no_objects_are_compared_whole() {
        assert_eq!(shown(&Value::Null, &json!({"name": "A"})), ["name: null → \"A\""]);
        assert_eq!(shown(&json!([1]), &json!([2])), ["value: [1] → [2]"]);
        assert_eq!(shown(&json!({"a": 1}), &json!("text")), ["value: {\"a\":1} → \"text\""]);
        assert!(shown(&Value::Null, &Value::Null).is_empty());
    }
}
