//! One entry of the audit log: what changed, before and after side by side, who did it, how it came here, and its place in the
//! chain.

use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use axum::routing::get;
use data_encoding::HEXLOWER;
use serde_json::Value;

use super::audit::{spoken, told};
use super::error::PageError;
use super::frame::{Frame, Section, Visit};
use super::json_text::readable;
use super::time_text::Moment;
use crate::audit::diff::Change;
use crate::audit::entry::{Actor, Entry, Source};
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/audit/{number}", get(show))
}

#[derive(Template)]
#[template(path = "audit_entry.html")]
struct EntryPage {
    frame: Frame,
    number: i64,
    summary: String,
    category: String,
    who: String,
    by: String,
    source: &'static str,
    happened: Moment,
    recorded: Moment,
    organization: Option<(String, String)>,
    delivery: Option<i64>,
    event_id: Option<String>,
    changes: Vec<Changed>,
    previous_hash: String,
    hash: String,
    older: Option<i64>,
    newer: Option<i64>,
}

/// A field, before and after, line by line.
struct Changed {
    field: String,
    before: Vec<Line>,
    after: Vec<Line>,
}

/// One line of a value.
struct Line {
    text: String,
    /// Whether the other side does not have it.
    is_other: bool,
}

/// Who did it, for people.
pub(super) fn who(entry: &Entry) -> String {
    match entry.source {
        Source::CirrusInsight => entry.actor.display(),
        Source::Admin if entry.actor.username.as_deref() == Some(Actor::SERVER) => "meeting-mirror itself".to_owned(),
        Source::Admin => format!("an admin ({})", entry.actor.display()),
    }
}

async fn show(visit: Visit, number: Result<Path<i64>, PathRejection>) -> Result<Response, PageError> {
    let Path(number) = number.map_err(|_| PageError::NoEntry)?;
    let (store, times) = (&visit.site.store, visit.times);
    let link = store.audit_entry(number).await?.ok_or(PageError::NoEntry)?;
    let is_there = async |number: i64| store.audit_entry(number).await.map(|entry| entry.map(|entry| entry.seq));
    let entry = link.entry;
    let page = EntryPage {
        older: is_there(number.saturating_sub(1)).await?,
        newer: is_there(number.saturating_add(1)).await?,
        number,
        who: who(&entry),
        by: super::words::href("/audit", &[("person", entry.actor.username.as_deref().unwrap_or_default())]),
        summary: entry.summary,
        category: spoken(&entry.category),
        source: told(entry.source),
        happened: times.exactly(entry.happened_at),
        recorded: times.exactly(entry.recorded_at),
        organization: entry.organization_id.map(|id| (super::words::href("/audit", &[("organization", &id)]), id)),
        delivery: entry.inbox_id,
        event_id: entry.event_id,
        changes: entry.changes.into_iter().map(Changed::from).collect(),
        previous_hash: HEXLOWER.encode(&link.previous),
        hash: HEXLOWER.encode(&link.hash),
        frame: visit.frame(Section::Audit),
    };
    Ok(visit.show(page))
}

impl From<Change> for Changed {
    fn from(change: Change) -> Self {
        let (before, after) = match change.of_list() {
            // Of a list only what came and went is marked.
            Some(told) => {
                let lines = |list: &Value, others: &[&Value]| {
                    // They are a part of the list in its order, the last of those that are equal.
                    let mut others = others.iter().peekable();
                    let mut is_other = |item: &Value| others.next_if(|other| std::ptr::eq(**other, item)).is_some();
                    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
                    let lines = items.iter().map(|item| Line { text: text(item), is_other: is_other(item) });
                    lines.collect::<Vec<_>>()
                };
                (lines(&change.before, &told.removed), lines(&change.after, &told.added))
            }
            None => (whole(&change.before), whole(&change.after)),
        };
        let nothing = || vec![Line { text: "—".to_owned(), is_other: false }];
        let shown = |lines: Vec<Line>| if lines.is_empty() { nothing() } else { lines };
        Self { field: change.field, before: shown(before), after: shown(after) }
    }
}

fn whole(value: &Value) -> Vec<Line> {
    let is_other = !value.is_null();
    text(value).lines().map(|line| Line { text: line.to_owned(), is_other }).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "—".to_owned(),
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        Value::String(text) if text.trim().is_empty() => format!("“{text}”"),
        Value::String(text) => text.clone(),
        Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => readable(value.to_string().as_bytes()).0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use crate::audit::entry::{Entry, Source};
    use crate::audit::organization::OrganizationChange;
    use serde_json::{Value, json};

    async fn stage_with(event_type: &str, data: Value) -> Stage {
        let stage = Stage::new().await;
        let change = OrganizationChange::new(event_type, &data);
        let entry = Entry {
            source: Source::CirrusInsight,
            event_id: Some("e-1".into()),
            category: change.category,
            summary: change.summary,
            organization_id: Some("org 1".into()),
            actor: change.actor,
            changes: change.changes,
            happened_at: stage.now(),
            recorded_at: stage.now(),
            inbox_id: Some(4),
        };
        let mut tx = stage.site.store.write().await.unwrap();
        tx.append_audit(&entry).await.unwrap();
        tx.commit().await.unwrap();
        stage
    }

    #[tokio::test]
    async fn an_entry_tells_what_changed_side_by_side_and_where_it_came_from() {
        let data = json!({
            "current": {"value": "<b>15</b>", "allowUserOverride": false, "smtpPassword": "hunter2"},
            "previous": {"value": "0", "allowUserOverride": true},
            "setting": {"title": "Buffer after meetings"},
            "modifiedBy": {"username": "ingrid@example.com", "firstName": "Ingrid", "lastName": "Solberg"},
        });
        let stage = stage_with("organization.setting.changed", data).await;
        let mut admin = stage.admin().await;
        let page = admin.get("/audit/1").await;
        page.assert_shows(&[
            "Changed “Buffer after meetings” from “0” to “&#60;b&#62;15&#60;/b&#62;”",
            "Ingrid Solberg (ingrid@example.com)",
            "href=\"/audit?person=ingrid%40example%2Ecom\"",
            "href=\"/audit?organization=org%201\"",
            "href=\"/inbox/4\"",
            "<ins><bdi>off",
            "<del><bdi>on",
            "[hidden]",
            "href=\"/audit/2\"",
        ]);
        page.assert_hides(&["<b>15", "hunter2"]);
        let page = admin.get("/audit/2").await;
        page.assert_shows(&["Signed in from 127.0.0.1", "an admin (admin page)", "href=\"/audit/1\""]);
        page.assert_hides(&["Before"]);
    }

    #[tokio::test]
    async fn a_list_marks_only_what_came_and_went() {
        let data = json!({
            "current": {"value": ["kept.example.com", "new.example.com", "", {"a": [1]}]},
            "previous": {"value": ["kept.example.com", "old.example.com"]},
        });
        let stage = stage_with("organization.domains.changed", data).await;
        let page = stage.admin().await.get("/audit/1").await;
        page.assert_shows(&["<del><bdi>old.example.com", "<ins><bdi>new.example.com", "<ins><bdi>“”", "not told"]);
        page.assert_hides(&["<del><bdi>kept", "<ins><bdi>kept"]);
    }

    #[tokio::test]
    async fn an_entry_that_is_not_there_is_told_so() {
        let stage = Stage::new().await;
        let mut admin = stage.admin().await;
        for path in ["/audit/99", "/audit/-1", "/audit/x", "/audit/9223372036854775807", "/audit/99999999999999999999"]
        {
            let page = admin.get(path).await;
            assert_eq!(page.status.as_u16(), 404, "{path}");
            page.assert_shows(&["There is no such entry.", "href=\"/audit\""]);
        }
    }
}
