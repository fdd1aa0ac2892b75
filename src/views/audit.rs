//! The audit log, newest first: who changed what, from what to what; and whether the whole chain holds.

use askama::Template;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::FormRejection;
use axum::response::{Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::Value;

use super::error::PageError;
use super::frame::{Frame, Params, Section, Visit};
use super::time_text::{Moment, Times};
use crate::audit::entry::Source;
use crate::store::{AuditVerified, StoredEntry};
use crate::web::site::Site;

/// Entries on one page.
const PAGE: u32 = 50;

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/audit", get(show))
        // Who was sent to sign in from the button comes back by a link.
        .route("/audit/verify", post(verify).get(Redirect::to("/audit#verify")).layer(DefaultBodyLimit::max(4096)))
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
    verified: Option<Verified>,
}

/// What the last verification found.
struct Verified {
    at: Moment,
    found: AuditVerified,
}

#[derive(Deserialize)]
struct Verify {
    token: String,
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
    let verified = visit.site.store.audit_verified().await?;
    let page = AuditPage {
        verified: verified.map(|found| Verified { at: times.at(found.at), found }),
        frame: visit.frame(Section::Audit),
        rows: found.into_iter().map(|link| row(link, &times)).collect(),
        beyond_first: before.is_some(),
        older,
    };
    Ok(visit.show(page))
}

async fn verify(visit: Visit, form: Result<Form<Verify>, FormRejection>) -> Result<Redirect, PageError> {
    let Form(form) = form.map_err(PageError::from)?;
    visit.check(&form.token)?;
    let store = &visit.site.store;
    let found = store.verify_audit(visit.times.now()).await?;
    let mut tx = store.write().await?;
    tx.keep_audit_verified("admin page", &found).await?;
    tx.commit().await?;
    Ok(Redirect::to("/audit#verify"))
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
    use super::super::testing::{Stage, recorded};
    use crate::audit::entry::{Entry, OrganizationChange, Source};
    use serde_json::json;

    #[tokio::test]
    async fn the_sign_in_is_the_first_entry() {
        let stage = Stage::new().await;
        let answer = stage.admin().await.get("/audit").await;
        answer.assert_shows(&["Signed in from 127.0.0.1", "an admin (admin page)", "It has not been verified yet."]);
    }

    #[tokio::test]
    async fn the_page_verifies_the_chain_and_says_where_it_breaks() {
        let stage = Stage::new().await;
        let mut admin = stage.admin().await;
        let token = admin.get("/audit").await.form_token();
        assert_eq!(admin.post("/audit/verify", &[("token", "AAAA")]).await.status.as_u16(), 403);
        assert_eq!(admin.post("/audit/verify", &[("token", &token)]).await.header("location"), "/audit#verify");
        admin
            .get("/audit")
            .await
            .assert_shows(&["1 entry was intact when last verified", "Verified the audit log: 1 entry is intact"]);
        admin.get("/status").await.assert_shows(&["<a href=\"/audit#verify\">intact</a>"]);
        stage.site.store.tamper_with_audit().await;
        admin.post("/audit/verify", &[("token", &token)]).await;
        admin.get("/audit").await.assert_shows(&["The chain is broken: entry 1 was changed after it was written."]);
        let status = admin.get("/status").await;
        status.assert_shows(&["verdict-bad", "The audit log is not as it was written: entry 1 was changed"]);
    }

    #[tokio::test]
    async fn a_tail_that_was_cut_off_shows_until_it_is_there_again() {
        let stage = Stage::new().await;
        let store = &stage.site.store;
        let mut admin = stage.admin().await;
        stage.admin().await;
        let token = admin.get("/audit").await.form_token();
        let mut verify = async || admin.post("/audit/verify", &[("token", &token)]).await;
        verify().await;
        let known = store.audit_verified().await.unwrap().unwrap();
        assert_eq!((known.entries, &known.broken), (2, &None));
        // The entry that tells of the verification, and the last one that was verified.
        let lost = store.audit_newest(None, 2).await.unwrap().pop().unwrap();
        store.cut_audit().await;
        store.cut_audit().await;
        verify().await;
        let found = store.audit_verified().await.unwrap().unwrap();
        let cut = "it ends with entry 1, but had entry 2 before: what follows entry 1 is missing";
        assert_eq!(found.broken.as_deref(), Some(cut));
        assert_eq!(recorded(&stage, "audit").await, [format!("admin page: Verified the audit log: broken: {cut}")]);
        let mut visitor = stage.admin().await;
        visitor.get("/audit").await.assert_shows(&[cut, "The first 1 entry is intact.", "2 entries", &known.head]);
        visitor.get("/status").await.assert_shows(&["verdict-bad", cut]);

        // What is written in its place makes a chain that holds, but not the one that was known.
        verify().await;
        let replaced = "entry 2 is not the one that had this number before";
        visitor.get("/status").await.assert_shows(&["verdict-bad", replaced]);
        visitor.get("/audit").await.assert_hides(&["intact."]);

        // Somebody puts back what was there.
        while !store.audit_newest(None, 1).await.unwrap().iter().all(|link| link.seq == 1) {
            store.cut_audit().await;
        }
        let mut tx = store.write().await.unwrap();
        tx.append_audit(&lost.entry).await.unwrap();
        tx.commit().await.unwrap();
        verify().await;
        visitor.get("/status").await.assert_hides(&["verdict-bad"]);
        visitor.get("/audit").await.assert_shows(&["2 entries were intact when last verified"]);
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
