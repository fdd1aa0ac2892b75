//! The audit log, newest first: who changed what, when; searched, narrowed and exported; and whether the whole chain holds.

use askama::Template;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::FormRejection;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use data_encoding::HEXLOWER;
use futures_util::stream;
use serde::Deserialize;

use super::audit_choice::AuditChoice;
use super::audit_entry::who;
use super::error::PageError;
use super::frame::{Frame, Params, Section, Visit};
use super::sent_on::SentOn;
use super::time_text::{Moment, Times};
use super::words::href;
use crate::audit::entry::Source;
use crate::store::{AuditHead, AuditPart, AuditVerified, StoredEntry};
use crate::web::audit_export::{AuditExport, AuditFormat};
use crate::web::site::Site;

/// Entries on one page.
const PAGE: u32 = 50;

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/audit", get(show))
        .route("/audit/export", get(export))
        // Who was sent to sign in from the button comes back by a link.
        .route("/audit/verify", post(verify).get(Redirect::to("/audit#verify")).layer(DefaultBodyLimit::max(4096)))
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    choice: AuditChoice,
    categories: Vec<String>,
    organizations: Vec<String>,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
    csv: String,
    jsonl: String,
    begins: Option<i64>,
    last: i64,
    head: String,
    verified: Option<Verified>,
    remembered: Option<Remembered>,
    sent_on: Option<SentOn>,
}

/// What the last verification found.
struct Verified {
    at: Moment,
    found: AuditVerified,
}

/// What became of a head that somebody remembers.
enum Remembered {
    /// It is no head.
    Unreadable,
    /// No entry has it.
    Missing,
    /// This entry has it; 0 = from before the first one.
    Entry(i64),
}

#[derive(Deserialize)]
struct Verify {
    token: String,
    #[serde(default)]
    head: String,
}

struct Row {
    number: i64,
    when: Moment,
    who: String,
    source: &'static str,
    category: String,
    summary: String,
    changes: usize,
}

/// A category for people.
pub(super) fn spoken(category: &str) -> String {
    category.replace(['_', '-'], " ")
}

/// Who told of an entry.
pub(super) fn told(source: Source) -> &'static str {
    match source {
        Source::CirrusInsight => "told by Cirrus Insight",
        Source::Admin => "done here",
    }
}

async fn show(visit: Visit, Params(choice): Params<AuditChoice>) -> Result<Response, PageError> {
    let (store, times) = (&visit.site.store, visit.times);
    let mut found =
        store.audit_entries(&choice.filter(&times), choice.part().unwrap_or(AuditPart::NEWEST), PAGE + 1).await?;
    let more = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let next = found.last().filter(|_| more).map(|last| choice.href("/audit", &[("before", &last.seq.to_string())]));
    let remembered = match &choice.head {
        None => None,
        Some(text) => Some(match parse_head(text) {
            None => Remembered::Unreadable,
            Some(head) => store.audit_entry_of_head(&head).await?.map_or(Remembered::Missing, Remembered::Entry),
        }),
    };
    let AuditHead { seq: last, hash } = store.audit_head().await?;
    let verified = store.audit_verified().await?;
    let page = AuditPage {
        categories: store.audit_categories().await?,
        organizations: store.audit_organizations().await?,
        rows: found.into_iter().map(|link| row(link, &times)).collect(),
        first: choice.part().map(|_| choice.href("/audit", &[])),
        next,
        csv: choice.href("/audit/export", &[("format", "csv")]),
        jsonl: choice.href("/audit/export", &[("format", "jsonl")]),
        begins: store.audit_checkpoint().await?.map(|checkpoint| checkpoint.seq + 1),
        last,
        head: HEXLOWER.encode(&hash),
        verified: verified.map(|found| Verified { at: times.at(found.at), found }),
        remembered,
        sent_on: SentOn::of(&visit.site, &times).await?,
        choice,
        frame: visit.frame(Section::Audit),
    };
    Ok(visit.show(page))
}

fn parse_head(text: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(text.trim().to_ascii_lowercase().as_bytes()).ok()?.try_into().ok()
}

fn row(link: StoredEntry, times: &Times) -> Row {
    let entry = link.entry;
    Row {
        number: link.seq,
        when: times.at(entry.happened_at),
        who: who(&entry),
        source: told(entry.source),
        category: spoken(&entry.category),
        summary: entry.summary,
        changes: entry.changes.len(),
    }
}

async fn verify(visit: Visit, form: Result<Form<Verify>, FormRejection>) -> Result<Redirect, PageError> {
    let Form(form) = form.map_err(PageError::from)?;
    visit.check(&form.token)?;
    let store = &visit.site.store;
    let found = store.verify_audit(visit.times.now()).await?;
    let remembered = match parse_head(&form.head) {
        Some(head) => Some((head, store.audit_entry_of_head(&head).await?)),
        None => None,
    };
    let mut tx = store.write().await?;
    tx.keep_asked_audit_verified("admin page", &found, remembered).await?;
    tx.commit().await?;
    Ok(Redirect::to(&format!("{}#verify", href("/audit", &[("head", form.head.trim())]))))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Format {
    format: String,
}

async fn export(
    visit: Visit,
    Params(choice): Params<AuditChoice>,
    Params(Format { format }): Params<Format>,
) -> Result<Response, PageError> {
    let format = AuditFormat::from_word(&format).unwrap_or(AuditFormat::Csv);
    let store = visit.site.store.clone();
    let export = AuditExport::begin(&store, format, choice.filter(&visit.times), 0).await?;
    let AuditHead { seq, hash } = export.head;
    let entries = store.audit_count(&choice.filter(&visit.times), seq).await?;
    let head = HEXLOWER.encode(&hash);
    let ending = format.as_str();
    let named = format!("attachment; filename=\"audit-{entries}-entries-head-{seq}-{head}.{ending}\"");
    let pieces = stream::try_unfold((export, store), |(mut export, store)| async move {
        let piece = export.next(&store).await.inspect_err(|error| {
            tracing::error!(%error, cause = ?error, "an export of the audit log was cut off");
        })?;
        Ok::<_, crate::web::audit_export::ExportError>(piece.map(|piece| (piece, (export, store))))
    });
    let headers = [
        (header::CONTENT_TYPE, format.content_type().to_owned()),
        (header::CONTENT_DISPOSITION, named),
        (header::HeaderName::from_static("audit-head"), head),
        (header::HeaderName::from_static("audit-entries"), entries.to_string()),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, Stage, recorded};
    use chrono::TimeDelta;

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
        let lost = store.audit_newest(2).await.unwrap().pop().unwrap();
        store.cut_audit_after(1).await;
        verify().await;
        let found = store.audit_verified().await.unwrap().unwrap();
        let cut = "it ends with entry 1, but had entry 2 before: what follows entry 1 is missing";
        assert_eq!(found.broken.as_deref(), Some(cut));
        assert_eq!(recorded(&stage, "audit").await, [format!("admin page: Verified the audit log: broken: {cut}")]);
        let mut visitor = stage.admin().await;
        visitor.get("/audit").await.assert_shows(&[cut, "The first 1 entry is intact.", "up to entry 2", &known.head]);
        visitor.get("/status").await.assert_shows(&["verdict-bad", cut]);

        // What is written in its place makes a chain that holds, but not the one that was known.
        verify().await;
        let replaced = "entry 2 is not the one that had this number before";
        visitor.get("/status").await.assert_shows(&["verdict-bad", replaced]);
        visitor.get("/audit").await.assert_hides(&["intact."]);

        // Somebody puts back what was there.
        store.cut_audit_after(1).await;
        let mut tx = store.write().await.unwrap();
        tx.append_audit(&lost.entry).await.unwrap();
        tx.commit().await.unwrap();
        verify().await;
        visitor.get("/status").await.assert_hides(&["verdict-bad"]);
        visitor.get("/audit").await.assert_shows(&["2 entries were intact when last verified"]);
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

    /// A log of a feed, a calendar and a backup, a day apart, after the sign-in of `admin`.
    async fn three_days() -> Stage {
        let stage = Stage::new().await;
        for (category, summary) in
            [("feed", "Added feed “Café”"), ("calendar", "=Added calendar"), ("backup", "Backup to b.db")]
        {
            let mut tx = stage.site.store.write().await.unwrap();
            tx.append_admin_action("command line", category, summary.to_owned(), stage.now()).await.unwrap();
            tx.commit().await.unwrap();
            stage.clock.advance(TimeDelta::days(1));
        }
        stage
    }

    #[tokio::test]
    async fn the_log_is_searched_and_narrowed() {
        let stage = three_days().await;
        let mut admin = stage.admin().await;
        let all = ["Added feed", "=Added calendar", "Backup to", "Signed in"];
        for (query, shown) in [
            ("q=cafe+add", &all[..1]),
            ("q=added", &all[..2]),
            ("person=command", &all[..3]),
            ("person=page", &all[3..]),
            ("category=backup", &all[2..3]),
            ("source=cirrus-insight", &[]),
            ("organization=org-1", &[]),
            ("from=2026-11-21&until=2026-11-22", &all[1..3]),
            ("q=%22", &[]),
            ("from=x&until=y&before=z&source=z", &all[..]),
        ] {
            let page = admin.get(&format!("/audit?{query}")).await;
            for summary in all {
                let link = format!("<bdi>{summary}");
                assert_eq!(page.body.contains(&link), shown.contains(&summary), "{query}: {summary}");
            }
            if shown.is_empty() {
                page.assert_shows(&["No entry is like that.", "href=\"/audit\""]);
            }
        }
        let page = admin.get("/audit?category=feed&q=added").await;
        page.assert_shows(&[
            "<details open>",
            "value=\"added\"",
            "/audit/export?q=added&#38;category=feed&#38;format=csv",
        ]);
    }

    fn head_of(export: &Answer) -> String {
        export.header("audit-head").to_owned()
    }

    #[tokio::test]
    async fn an_export_holds_what_is_listed_and_names_the_head() {
        let stage = three_days().await;
        let mut admin = stage.admin().await;
        let export = admin.get("/audit/export?format=jsonl&person=command").await;
        assert_eq!(export.header("content-type"), "application/x-ndjson");
        assert_eq!(export.header("audit-entries"), "3");
        let head = head_of(&export);
        assert_eq!(
            export.header("content-disposition"),
            format!("attachment; filename=\"audit-3-entries-head-4-{head}.jsonl\"")
        );
        let entries: Vec<serde_json::Value> =
            export.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(entries.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
        let table = admin.get("/audit/export?format=csv&category=calendar").await;
        assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(table.body.lines().count(), 2);
        table.assert_shows(&["'=Added calendar"]);
        assert_eq!(stage.visitor().get("/audit/export").await.status.as_u16(), 303, "a session is needed");
    }

    #[tokio::test]
    async fn a_head_that_is_remembered_shows_whether_the_end_was_cut_off() {
        let stage = three_days().await;
        let mut admin = stage.admin().await;
        let head = head_of(&admin.get("/audit/export").await);
        let token = admin.get("/audit").await.form_token();
        let verify = [("token", &*token), ("head", &*head)];
        let there = admin.post("/audit/verify", &verify).await.header("location").to_owned();
        assert_eq!(there, format!("/audit?head={head}#verify"));
        let there = there.trim_end_matches("#verify");
        admin.get(there).await.assert_shows(&["The head you remember is that of <a href=\"/audit/4\">entry 4</a>"]);
        stage.site.store.cut_audit_after(3).await;
        admin.get(there).await.assert_shows(&["No entry has the head you remember."]);
        admin.get("/audit?head=12ab").await.assert_shows(&["That is no head:"]);
        admin.get(&format!("/audit?head={}", "0".repeat(64))).await.assert_shows(&["is that of the empty log"]);
    }
}
