//! The audit log, newest first: who changed what, from what to what. Whether the whole chain holds is for the command
//! line to verify; a page shows a part of it only.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::Value;

use super::error::PageError;
use super::frame::{Frame, Params, Section, Visit};
use super::time_text::{Moment, Times};
use crate::audit::entry::Source;
use crate::store::StoredEntry;
use crate::web::site::Site;

/// Entries on one page.
const PAGE: u32 = 50;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/audit", get(show))
}

#[derive(Debug, Default, Deserialize)]
struct Query {
    before: Option<String>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    rows: Vec<Row>,
    beyond_first: bool,
    older: Option<i64>,
}

struct Row {
    number: i64,
    when: Moment,
    who: String,
    source: &'static str,
    category: String,
    summary: String,
    organization: Option<String>,
    delivery: Option<i64>,
    recorded: Moment,
    changes: Vec<Changed>,
    hash: String,
}

/// A field, before and after.
struct Changed {
    field: String,
    before: String,
    after: String,
}

async fn show(visit: Visit, Params(query): Params<Query>) -> Result<Response, PageError> {
    let before: Option<i64> = query.before.and_then(|before| before.parse().ok());
    let mut found = visit.site.store.audit_newest(before, PAGE + 1).await?;
    let more = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let older = found.last().filter(|_| more).map(|last| last.seq);
    let times = visit.times;
    let page = AuditPage {
        frame: visit.frame(Section::Audit),
        rows: found.into_iter().map(|link| row(link, &times)).collect(),
        beyond_first: before.is_some(),
        older,
    };
    Ok(visit.show(page))
}

fn row(link: StoredEntry, times: &Times) -> Row {
    let entry = link.entry;
    Row {
        number: link.seq,
        when: times.exactly(entry.happened_at),
        who: match entry.source {
            Source::CirrusInsight => entry.actor.display(),
            Source::Admin => format!("an admin ({})", entry.actor.display()),
        },
        source: match entry.source {
            Source::CirrusInsight => "told by Cirrus Insight",
            Source::Admin => "done here",
        },
        category: entry.category.replace('_', " "),
        summary: entry.summary,
        organization: entry.organization_id,
        delivery: entry.inbox_id,
        recorded: times.exactly(entry.recorded_at),
        changes: entry
            .changes
            .into_iter()
            .map(|change| Changed { field: change.field, before: value(&change.before), after: value(&change.after) })
            .collect(),
        hash: HEXLOWER.encode(&link.hash),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "—".to_owned(),
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use crate::audit::entry::{Entry, OrganizationChange, Source};
    use serde_json::json;

    #[tokio::test]
    async fn the_sign_in_is_the_first_entry() {
        let stage = Stage::new().await;
        let answer = stage.admin().await.get("/audit").await;
        answer.assert_shows(&["Signed in from 127.0.0.1", "an admin (admin page)", "meeting-mirror audit verify"]);
    }

    #[tokio::test]
    async fn changes_are_told_field_by_field() {
        let stage = Stage::new().await;
        let data = json!({
            "current": {"value": "<b>15</b>", "allowUserOverride": false},
            "previous": {"value": "0", "allowUserOverride": true},
            "setting": {"title": "Buffer after meetings"},
            "modifiedBy": {"username": "ingrid@example.com", "firstName": "Ingrid", "lastName": "Solberg"},
        });
        let change = OrganizationChange::new("organization.setting.changed", &data);
        let mut tx = stage.site.store.write().await.unwrap();
        let entry = Entry {
            source: Source::CirrusInsight,
            event_id: Some("e-1".into()),
            category: change.category,
            summary: change.summary,
            organization_id: Some("org-1".into()),
            actor: change.actor,
            changes: change.changes,
            happened_at: stage.now(),
            recorded_at: stage.now(),
            inbox_id: Some(4),
        };
        tx.append_audit(&entry).await.unwrap();
        tx.commit().await.unwrap();
        let answer = stage.admin().await.get("/audit").await;
        answer.assert_shows(&[
            "Ingrid Solberg (ingrid@example.com)",
            "Buffer after meetings",
            "allowUserOverride",
            "&#60;b&#62;15&#60;/b&#62;",
            "href=\"/inbox/4\"",
            "org-1",
        ]);
        answer.assert_hides(&["<b>15"]);
    }

    #[tokio::test]
    async fn a_long_log_is_turned_page_by_page() {
        let stage = Stage::new().await;
        let mut tx = stage.site.store.write().await.unwrap();
        for number in 1..=60 {
            let summary = format!("Act {number}.");
            tx.append_admin_action("command line", "feed", summary, stage.now()).await.unwrap();
        }
        tx.commit().await.unwrap();
        let mut admin = stage.admin().await;
        let answer = admin.get("/audit").await;
        answer.assert_shows(&["Act 60.", "href=\"/audit?before=12\""]);
        answer.assert_hides(&["Act 11."]);
        let answer = admin.get("/audit?before=12").await;
        answer.assert_shows(&["Act 11.", "Act 1.", "href=\"/audit\""]);
    }
}
