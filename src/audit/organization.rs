//! What an `organization.*` event says: what changed, field by field, and who did it. Secrets don't get past here.

use serde_json::Value;

use super::diff::{Change, diff};
use super::entry::Actor;
use super::secret::{HIDDEN, Secrets};
use super::summary;

/// What an `organization.*` event says changed.
#[derive(Debug, Clone, PartialEq)]
pub struct OrganizationChange {
    /// The middle of the event type: `setting`, `profile`, `service_account`, `domains`, or one yet to come.
    pub category: String,
    /// One line for a person.
    pub summary: String,
    /// `modifiedBy`.
    pub actor: Actor,
    /// Field by field.
    pub changes: Vec<Change>,
}

impl OrganizationChange {
    /// Reads the data of an event of type `organization.{category}.changed`. Data of an unknown shape is never refused:
    /// what differs between `previous` and `current` is recorded, whatever it is; without those, all of it.
    pub fn new(event_type: &str, data: &Value) -> Self {
        let category = event_type.strip_prefix("organization.").unwrap_or(event_type);
        let category = category.strip_suffix(".changed").unwrap_or(category).to_owned();
        let null = &Value::Null;
        let (previous, current) = (data.get("previous").unwrap_or(null), data.get("current").unwrap_or(null));
        let found = if previous.is_null() && current.is_null() {
            diff(null, &without_actor(data))
        } else {
            diff(previous, current)
        };
        let secrets = Secrets::of_organization(data);
        let changes: Vec<Change> =
            found.into_iter().filter(tells_a_change).map(|change| secrets.hidden_in(change).flat()).collect();
        let actor = actor(data.get("modifiedBy").unwrap_or(null));
        let summary = summary::of(&category, data, &changes);
        Self { category, summary, actor, changes }
    }
}

/// The sender tells with each service account whether its credentials changed (facts: Cirrus Insight, event types).
fn tells_a_change(change: &Change) -> bool {
    change.field != "credentials" || change.after.as_str() != Some("unchanged")
}

fn without_actor(data: &Value) -> Value {
    let mut data = data.clone();
    if let Some(map) = data.as_object_mut() {
        map.remove("modifiedBy");
    }
    data
}

fn actor(modified_by: &Value) -> Actor {
    let text = |name: &str| match modified_by.get(name) {
        Some(Value::String(text)) if Secrets::default().hide(text) => Some(HIDDEN.to_owned()),
        Some(Value::String(text)) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let names: Vec<String> = [text("firstName"), text("lastName")].into_iter().flatten().collect();
    Actor { id: text("userId"), username: text("username"), name: (!names.is_empty()).then(|| names.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_person_is_told_as_far_as_known() {
        let by = |modified_by: Value| {
            OrganizationChange::new("organization.profile.changed", &json!({"modifiedBy": modified_by})).actor.display()
        };
        assert_eq!(
            by(json!({"userId": 7, "username": "ada@example.com", "firstName": "Ada", "lastName": ""})),
            "Ada (ada@example.com)"
        );
        assert_eq!(by(json!({"userId": 7})), "7");
        assert_eq!(by(json!("robot")), "not told");
    }

    #[test]
    fn credentials_that_did_not_change_are_no_change() {
        let of = |credentials: &str| {
            let account = json!({"type": "Google", "name": "robot@example.com"});
            let mut current = account.clone();
            current["credentials"] = json!(credentials);
            let data = json!({"current": current, "previous": account});
            OrganizationChange::new("organization.service_account.changed", &data).changes
        };
        assert!(of("unchanged").is_empty());
        assert_eq!(of("changed")[0].after, json!("changed"));
        assert_eq!(of("a real one, by mistake")[0].after, json!(HIDDEN));
    }

    #[test]
    fn a_secret_in_the_place_of_a_name_is_not_told_either() {
        let key = concat!("sk_", "live_0123456789abcdef");
        let account = json!({"type": key, "name": key});
        for (event_type, data) in [
            ("organization.service_account.changed", json!({"current": account, "previous": null})),
            (
                "organization.setting.changed",
                json!({"current": {"value": "1"}, "setting": {"title": key, "name": key}}),
            ),
        ] {
            let change = OrganizationChange::new(event_type, &data);
            assert!(!format!("{change:?}").contains(key), "{change:?}");
            assert!(change.summary.contains(HIDDEN), "{}", change.summary);
        }
    }

    /// Any JSON of a few levels with the secret somewhere in it under a name that tells so.
    fn shape() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z ]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-z]{1,6}|apiKey|password", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_secret_gets_into_an_entry(around in shape(), before in shape(), name in "password|clientSecret|api_key|credentials", nested: bool) {
            let secret = "hunter2-hunter2";
            let value = if nested { json!([{"inner": [secret]}]) } else { json!(secret) };
            let mut current = json!({"around": around});
            current[&name] = value;
            for data in [
                json!({"current": current, "previous": before}),
                json!({"current": before, "previous": current}),
                json!({"current": {"deep": current}, "previous": {"deep": before}}),
                current.clone(),
            ] {
                let change = OrganizationChange::new("organization.anything.changed", &data);
                prop_assert!(!format!("{change:?}").contains("hunter2"), "{change:?}");
            }
        }
    }
}
