//! Feeds for everybody who owns a meeting: who has none, a form that makes what is missing, and their links to hand out.

use askama::Template;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::FormRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use serde::Deserialize;

use super::error::PageError;
use super::feed::personal::{self, PersonalFeeds, PersonalSettings};
use super::feed_form::OwnTyped;
use super::field::{Field, Wrong};
use super::frame::{Frame, Section, Visit};
use super::shown_form::{Shown, ShownTyped};
use super::words::{count, verb};
use crate::meeting::selection::{Selection, ShowAs};
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/feeds/personal", get(ask).post(add))
        .route("/feeds/personal.csv", get(links))
        .layer(DefaultBodyLimit::max(4096))
}

#[derive(Template)]
#[template(path = "personal_feeds.html")]
struct PersonalPage {
    frame: Frame,
    state: String,
    /// None = there is nobody to make one for.
    button: Option<String>,
    has_any: bool,
    /// Owners whose feed was ended.
    ended: Vec<String>,
    /// Names of feeds that can't be read.
    unread: Vec<String>,
    wrong: Wrong,
    fields: Vec<Field>,
}

/// The form, as typed.
#[derive(Debug, Clone, Default, Deserialize)]
struct Typed {
    token: String,
    #[serde(flatten)]
    shown: ShownTyped,
    #[serde(flatten)]
    own: OwnTyped,
}

impl Typed {
    fn usual() -> Self {
        let PersonalSettings { detail, window, canceled_days, show_as } = PersonalSettings::default();
        let (name, selection) = (String::new(), Selection::default());
        let shown = Shown { name, selection, detail, window };
        let own = OwnTyped::of(canceled_days, Some(show_as));
        Self { token: String::new(), shown: (&shown).into(), own }
    }

    fn read(&self, wrong: &mut Wrong) -> Option<PersonalSettings> {
        let (how, own) = (self.shown.read_how(wrong), self.own.read(wrong));
        let ((detail, window), (canceled_days, show_as)) = (how?, own?);
        Some(PersonalSettings { detail, window, canceled_days, show_as: show_as.unwrap_or(ShowAs::Busy) })
    }
}

async fn show(visit: Visit, typed: &Typed, wrong: Wrong) -> Result<Response, PageError> {
    let feeds = PersonalFeeds::now(&visit.site.store).await?;
    let number = i64::try_from(feeds.missing.len()).unwrap_or(i64::MAX);
    let state = match (number, feeds.present, feeds.revoked.len()) {
        (0, 0, 0) => "No meeting with an owner is known yet: come again when the first ones have arrived.".to_owned(),
        (0, _, 0) => "Everybody who owns a meeting has one.".to_owned(),
        (0, _, _) => "Everybody else who owns a meeting has one.".to_owned(),
        _ => {
            let owners = count(number, "owner", "owners");
            format!("{owners} of meetings {} none of their own.", verb(number, "has", "have"))
        }
    };
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let fields = typed.shown.fields_of_how(&wrong).into_iter().chain(typed.own.fields(false, &wrong));
    let page = PersonalPage {
        frame: visit.frame(Section::Feeds),
        state,
        button: (number > 0).then(|| format!("Make {}", count(number, "personal feed", "personal feeds"))),
        has_any: feeds.present > 0,
        unread: feeds.unread,
        ended: feeds.revoked.into_iter().map(|owner| owner.username).collect(),
        fields: fields.collect(),
        wrong,
    };
    Ok((status, visit.show(page)).into_response())
}

async fn ask(visit: Visit) -> Result<Response, PageError> {
    show(visit, &Typed::usual(), Wrong::default()).await
}

async fn add(visit: Visit, form: Result<Form<Typed>, FormRejection>) -> Result<Response, PageError> {
    let Form(typed) = form.map_err(PageError::from)?;
    visit.check(&typed.token)?;
    let mut wrong = Wrong::default();
    let Some(settings) = typed.read(&mut wrong) else { return show(visit, &typed, wrong).await };
    let (site, now) = (&visit.site, visit.times.now());
    let outcome = personal::add_missing(&site.store, &site.randomness, settings, "admin page", now).await?;
    Ok(Redirect::to(&format!("/feeds?added={}", outcome.missing.len())).into_response())
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
    use super::super::testing::{Stage, meeting_event, recorded};
    use crate::meeting::event::{Kind, Owner};
    use crate::meeting::selection::{Detail, Selection, ShowAs};
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
        let page = admin.get("/feeds/personal").await;
        page.assert_shows(&[
            "2 owners of meetings have none of their own.",
            "Make 2 personal feeds",
            "value=\"full\" checked",
            "value=\"busy\" checked",
        ]);
        page.assert_hides(&["personal.csv", "value=\"fitting\""]);
        let token = page.form_token();
        let send = |token, detail, days| {
            [
                ("token", token),
                ("detail", detail),
                ("past_days", days),
                ("future_days", "90"),
                ("canceled_days", "0"),
                ("show_as", "free"),
            ]
        };
        let forged = send("forged", "title", "7");
        assert_eq!(admin.post("/feeds/personal", &forged).await.status, StatusCode::FORBIDDEN);
        let wrong = admin.post("/feeds/personal", &send(&token, "title", "many")).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        wrong.assert_shows(&["Type a number of days", "value=\"many\"", "value=\"title\" checked", "value=\"90\""]);
        assert!(stage.site.store.feeds().await.unwrap().is_empty());
        let answer = admin.post("/feeds/personal", &send(&token, "title", "7")).await;
        assert_eq!(answer.header("location"), "/feeds?added=2");
        admin.get("/feeds?added=2").await.assert_shows(&[
            "2 feeds were made.",
            "Meetings of Priya Raghunathan",
            "title, owner and place",
            "href=\"/feeds/personal.csv\"",
        ]);
        let page = admin.get("/feeds/personal").await;
        page.assert_shows(&["Everybody who owns a meeting has one.", "href=\"/feeds/personal.csv\""]);
        page.assert_hides(&["<form class=\"form\""]);
        let feeds = stage.site.store.feeds().await.unwrap();
        assert!(feeds.iter().all(|feed| (feed.wish.detail, feed.wish.show_as) == (Detail::Title, ShowAs::Free)));
        assert!(feeds.iter().all(|feed| (feed.wish.window.past_days, feed.wish.canceled_days) == (7, 0)));
        assert_eq!(recorded(&stage, "feed").await.len(), 2);
        let csv = admin.get("/feeds/personal.csv").await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
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

    #[tokio::test]
    async fn whose_feed_was_ended_gets_no_new_one_and_nobody_is_known_at_first() {
        let stage = Stage::new().await;
        let mut admin = stage.admin().await;
        let page = admin.get("/feeds/personal").await;
        page.assert_shows(&["No meeting with an owner is known yet"]);
        page.assert_hides(&["<form class=\"form\"", "personal.csv"]);
        stage.meeting("m-1", 24).await;
        let priya = Selection { owners: vec!["priya@example.com".into()], ..Selection::default() };
        let feed = stage.feed_of("Priya", Detail::Full, priya).await;
        stage.site.store.end_feed(&feed, "test", stage.now()).await.unwrap();
        let page = admin.get("/feeds/personal").await;
        page.assert_shows(&["Not made again, since theirs was ended: <bdi>priya@example.com</bdi>"]);
        page.assert_hides(&["<form class=\"form\""]);
    }

    #[tokio::test]
    async fn a_feed_that_can_not_be_read_is_named_and_holds_up_no_other() {
        let stage = Stage::new().await;
        stage.meeting("m-1", 24).await;
        for owner in ["bo@example.com", "cy@example.com"] {
            let mut event = meeting_event(owner, Kind::Scheduled, stage.now(), 24);
            event.details.owner = Owner { username: Some(owner.into()), ..Owner::default() };
            stage.event(&event).await;
        }
        let only = |owner: &str| Selection { owners: vec![owner.into()], ..Selection::default() };
        stage.feed_of("Priya <all>", Detail::Full, only("priya@example.com")).await;
        stage.feed_of("Broken", Detail::Full, Selection::default()).await;
        stage.feed_of("Bo", Detail::Full, only("bo@example.com")).await;
        let broken = [
            "UPDATE feeds SET past_days = 5000000000 WHERE name = 'Priya <all>'",
            "UPDATE feeds SET selection = '?' WHERE name = 'Broken'",
        ];
        stage.site.store.tamper(&broken).await;
        let mut admin = stage.admin().await;
        let page = admin.get("/feeds/personal").await;
        page.assert_shows(&[
            "2 feeds can't be read: “<bdi>Priya &#60;all&#62;</bdi>”, “<bdi>Broken</bdi>”.",
            "1 owner of meetings has none of their own.",
        ]);
        page.assert_hides(&["<all>"]);
        let usual = [
            ("detail", "full"),
            ("past_days", "30"),
            ("future_days", "365"),
            ("canceled_days", "7"),
            ("show_as", "busy"),
        ];
        assert_eq!(admin.fill("/feeds/personal", &usual, &[]).await.header("location"), "/feeds?added=1");
        let links = admin.get("/feeds/personal.csv").await.body;
        assert!(links.contains("\nbo@example.com,") && links.contains("\ncy@example.com,"), "{links}");
        assert!(!links.contains("priya"), "{links}");
    }
}
