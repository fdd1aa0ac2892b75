//! How sending the audit log on stands.

use askama::Template;
use askama::filters::HtmlSafe;

use super::error::PageError;
use super::mirror_state::sentence;
use super::time_text::{Moment, Times};
use crate::store::AuditPush;
use crate::web::site::Site;

/// Where the log is sent, and how far that came.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/sent_on.html")]
pub(super) struct SentOn {
    host: String,
    /// Entries that were not taken yet.
    waiting: i64,
    /// When entries were taken last.
    taken: Option<Moment>,
    /// Why the last try failed, and when the next one is.
    problem: Option<(String, Moment)>,
}

// Its template escapes what it shows.
impl HtmlSafe for SentOn {}

impl SentOn {
    /// What stands in the way, for a sentence of its own; none when nothing does.
    pub(super) fn trouble(&self) -> Option<String> {
        let (text, _) = self.problem.as_ref()?;
        Some(format!("The audit log can't be sent on to {}: {}", self.host, sentence(text)))
    }

    /// As it is now; none when the log is not sent on.
    pub(super) async fn of(site: &Site, times: &Times) -> Result<Option<Self>, PageError> {
        let (Some(host), Some(push)) = (site.audit_sent_to.clone(), site.store.audit_push().await?) else {
            return Ok(None);
        };
        let AuditPush { pushed_seq, pushed_at, due_at, problem, .. } = push;
        let last = site.store.audit_head().await?.seq;
        Ok(Some(Self {
            host,
            waiting: (last - pushed_seq).max(0),
            taken: pushed_at.map(|at| times.at(at)),
            problem: problem.map(|(text, _)| (text, times.at(due_at))),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use chrono::TimeDelta;

    #[tokio::test]
    async fn both_pages_tell_how_far_the_log_was_sent_on_and_what_stands_in_the_way() {
        let mut stage = Stage::new().await;
        let mut admin = stage.admin().await;
        admin.get("/audit").await.assert_hides(&["Sent on"]);
        stage.site.audit_sent_to = Some("logs.example.com".to_owned());
        let mut tx = stage.site.store.write().await.unwrap();
        tx.begin_audit_push(&[7; 32], &[0; 32], stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        let mut admin = stage.admin().await;
        for page in ["/audit", "/status"] {
            admin.get(page).await.assert_shows(&["Sent on", "2 entries wait for", "logs.example.com"]);
        }
        let mut tx = stage.site.store.write().await.unwrap();
        let again_at = stage.now() + TimeDelta::minutes(15);
        tx.audit_push_failed("logs.example.com answered 403 <b>", again_at, stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        for page in ["/audit", "/status"] {
            let page = admin.get(page).await;
            page.assert_shows(&["answered 403 &#60;b&#62;", "tried again", "in 15 minutes"]);
            page.assert_hides(&["403 <b>"]);
        }
        let mut tx = stage.site.store.write().await.unwrap();
        tx.audit_was_pushed(2, stage.now()).await.unwrap();
        tx.commit().await.unwrap();
        for page in ["/audit", "/status"] {
            let page = admin.get(page).await;
            page.assert_shows(&["All of it was taken by", "just now"]);
            page.assert_hides(&["403"]);
        }
    }
}
