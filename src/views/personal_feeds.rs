//! Feeds for everybody who owns a meeting: who has none, a button that makes what is missing, and their links to hand out.

use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::FormRejection;
use axum::http::header;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;

use super::error::PageError;
use super::feed::personal::{self, PersonalFeeds, PersonalSettings};
use super::feeds::ReaderRow;
use super::frame::Visit;
use super::words::{count, verb};
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new()
        // Who was sent to sign in from the button comes back by a link.
        .route("/feeds/personal", post(add).get(Redirect::to("/feeds#personal")))
        .route("/feeds/personal.csv", get(links))
        .layer(DefaultBodyLimit::max(4096))
}

/// Feeds for everybody who has none.
pub(super) struct PersonalBox {
    pub(super) said: Option<String>,
    pub(super) state: String,
    pub(super) button: Option<String>,
    pub(super) rows: Vec<PersonalRow>,
    pub(super) ended: Vec<String>,
}

/// A live feed of one person.
pub(super) struct PersonalRow {
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) page_path: String,
    pub(super) detail: &'static str,
    pub(super) left_out: Option<String>,
    /// Whoever fetched it last.
    pub(super) reader: Option<ReaderRow>,
}

/// What the button did, told in the address that one is sent to.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Said {
    added: Option<u32>,
}

impl PersonalBox {
    /// Looks who has none, beside those who have one.
    pub(super) async fn new(visit: &Visit, said: Said, rows: Vec<PersonalRow>) -> Result<Self, PageError> {
        let feeds = PersonalFeeds::now(&visit.site.store).await?;
        let number = i64::try_from(feeds.missing.len()).unwrap_or(i64::MAX);
        let state = match (number, feeds.present, feeds.revoked.len()) {
            (0, 0, 0) => "No meeting with an owner is known yet.".to_owned(),
            (0, _, 0) => "Everybody who owns a meeting has one.".to_owned(),
            (0, _, _) => "Everybody else who owns a meeting has one.".to_owned(),
            _ => {
                let owners = count(number, "owner", "owners");
                format!("{owners} of meetings {} none of their own.", verb(number, "has", "have"))
            }
        };
        Ok(Self {
            said: said.added.map(|added| format!("{} made.", count(i64::from(added), "feed was", "feeds were"))),
            state,
            button: (number > 0).then(|| format!("Make {}", count(number, "personal feed", "personal feeds"))),
            rows,
            ended: feeds.revoked.into_iter().map(|owner| owner.username).collect(),
        })
    }
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

async fn add(visit: Visit, form: Result<Form<Token>, FormRejection>) -> Result<Redirect, PageError> {
    let Form(form) = form.map_err(|_| PageError::BadForm)?;
    visit.check(&form.token)?;
    let (site, now) = (&visit.site, visit.times.now());
    let settings = PersonalSettings::default();
    let outcome = personal::add_missing(&site.store, &site.randomness, settings, "admin page", now).await?;
    Ok(Redirect::to(&format!("/feeds?added={}#personal", outcome.missing.len())))
}

async fn links(visit: Visit) -> Result<Response, PageError> {
    let (store, now) = (&visit.site.store, visit.times.now());
    let table = personal::links_csv(store, &visit.site.links).await?;
    // Whoever has them can read every personal feed.
    let mut tx = store.write().await?;
    tx.append_admin_action("admin page", "feed", "Downloaded the links of all personal feeds".to_owned(), now).await?;
    tx.commit().await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"personal-feeds.csv\""),
    ];
    Ok((headers, table).into_response())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, meeting_event};
    use crate::meeting::event::Kind;
    use axum::http::StatusCode;

    #[tokio::test]
    async fn one_button_makes_the_missing_personal_feeds_and_their_links_can_be_handed_out() {
        let stage = Stage::new().await;
        stage.meeting("m-1", 24).await;
        let mut other = meeting_event("m-2", Kind::Scheduled, stage.now(), 25);
        other.details.owner.username = Some("=cmd@example.com".into());
        other.details.owner.first_name = Some("Pat".into());
        stage.event(&other).await;
        let mut admin = stage.admin().await;
        let page = admin.get("/feeds").await;
        page.assert_shows(&["2 owners of meetings have none of their own.", "Make 2 personal feeds"]);
        page.assert_hides(&["personal.csv"]);
        let token = page.form_token();
        assert_eq!(admin.post("/feeds/personal", &[("token", "forged")]).await.status, StatusCode::FORBIDDEN);
        let answer = admin.post("/feeds/personal", &[("token", &token)]).await;
        assert_eq!(answer.header("location"), "/feeds?added=2#personal");
        admin.get("/feeds?added=2").await.assert_shows(&[
            "2 feeds were made.",
            "Everybody who owns a meeting has one.",
            "Meetings of Priya Raghunathan",
            "everything: title, place, invitee, answers and links",
            "not in 14 days",
            "href=\"/feeds/personal.csv\"",
        ]);
        let csv = admin.get("/feeds/personal.csv").await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        let feeds = stage.site.store.feeds().await.unwrap();
        let priya = feeds.iter().find(|feed| feed.wish.selection.owners == ["priya@example.com"]).unwrap();
        let links = &stage.site.links;
        let line = format!(
            "priya@example.com,Meetings of Priya Raghunathan,{},{}\n",
            links.subscribe_url(priya),
            links.feed_url(priya)
        );
        assert!(csv.body.contains(&line), "{}", csv.body);
        assert!(csv.body.contains("\n'=cmd@example.com,"), "{}", csv.body);
        assert_eq!(stage.visitor().get("/feeds/personal.csv").await.status, StatusCode::SEE_OTHER);
    }
}
