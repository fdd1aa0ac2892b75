//! Organization events of every shape: each becomes one entry that a person can read, and the log holds.
//! Must not test what a summary says of shapes that are known.

use serde_json::{Value, json};

use crate::support::{TestApp, fixture};

/// An organization event that holds this data; none = it has no data at all.
fn event(number: usize, event_type: &str, data: Option<Value>) -> Value {
    let mut event: Value = serde_json::from_slice(&fixture("webhooks/organization.setting.changed.json")).unwrap();
    event["eventId"] = json!(format!("e-{number}"));
    event["eventType"] = json!(event_type);
    match data {
        Some(data) => event["data"] = data,
        None => drop(event.as_object_mut().unwrap().remove("data")),
    }
    event
}

#[tokio::test]
async fn an_event_of_any_shape_becomes_one_readable_entry() {
    let app = TestApp::start().await;
    let nested = |levels| (0..levels).fold(json!("core"), |value, _| json!([value]));
    let fields: serde_json::Map<String, Value> = (0..6_000).map(|number| (number.to_string(), json!(1))).collect();
    let data = [
        None,
        Some(Value::Null),
        Some(json!([])),
        Some(json!({"current": null, "previous": null})),
        Some(json!({"current": {"seats": 12}})),
        Some(json!({"previous": {"seats": 12}})),
        Some(
            json!({"current": {"seats": 9_007_199_254_740_993_u64}, "previous": {"seats": 9_007_199_254_740_992_u64}}),
        ),
        Some(json!({"current": {"": {".": 1}}, "previous": {"..": {"": 1}}})),
        Some(nested(120)),
        Some(json!({"current": {"value": nested(100)}, "previous": {"value": nested(99)}})),
        Some(json!({"current": {"n".repeat(200_000): fields}})),
        Some(json!({"current": {"value": "x".repeat(20_000)}, "modifiedBy": {"username": "u".repeat(9_000)}})),
    ];
    for (number, data) in data.into_iter().enumerate() {
        for (kind, event_type) in
            ["organization.setting.changed", "organization.team.renamed", "organization."].iter().enumerate()
        {
            let number = number * 3 + kind;
            app.deliver(&event(number, event_type, data.clone())).await;
            app.apply().await;
            let last = app.store.audit_newest(1).await.unwrap().pop().unwrap();
            assert_eq!(last.entry.event_id, Some(format!("e-{number}")));
            let length = last.entry.summary.chars().count();
            assert!((5..600).contains(&length), "{length}: {}", last.entry.summary);
        }
    }
    let found = app.store.verify_audit(app.now()).await.unwrap();
    assert_eq!((found.broken, found.entries), (None, 36));
}
