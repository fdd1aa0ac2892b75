//! The forms as an admin fills them.

use super::super::testing::{Answer, Stage, Visitor, recorded};
use super::*;

const GOOD: [(&str, &str); 9] = [
    ("name", "Sales <team>"),
    ("owners", "ada@example.com\r\nbo@example.com"),
    ("schedules", ""),
    ("organizations", ""),
    ("detail", "title"),
    ("past_days", "7"),
    ("future_days", "90"),
    ("canceled_days", "3"),
    ("show_as", "busy"),
];

async fn send(admin: &mut Visitor, path: &str, changes: &[(&str, &str)]) -> Answer {
    admin.fill(path, &GOOD, changes).await
}

#[tokio::test]
async fn the_form_begins_with_what_is_usual() {
    let stage = Stage::new().await;
    stage.meeting("m-1", 24).await;
    let answer = stage.admin().await.get("/feeds/new").await;
    answer.assert_shows(&[
        "Known so far: priya@example.com.",
        "value=\"full\" checked",
        "value=\"fitting\" checked",
        "value=\"30\"",
        "value=\"365\"",
        "value=\"7\"",
    ]);
    answer.assert_hides(&["role=\"alert\"", "aria-invalid", "name=\"seen\""]);
}

#[tokio::test]
async fn a_feed_is_added_as_typed_and_its_page_is_to_be_handed_out() {
    let stage = Stage::new().await;
    let mut admin = stage.admin().await;
    let answer = send(&mut admin, "/feeds/new", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/feeds/1/details?new=1"));
    let feed = stage.site.store.feed("1").await.unwrap().unwrap();
    assert_eq!(feed.wish.name, "Sales <team>");
    assert_eq!(feed.wish.selection.owners, ["ada@example.com", "bo@example.com"]);
    assert_eq!((feed.wish.detail, feed.wish.window), (Detail::Title, Window { past_days: 7, future_days: 90 }));
    assert_eq!((feed.wish.canceled_days, feed.wish.show_as), (3, ShowAs::Busy));
    assert_eq!(
        recorded(&stage, "feed").await,
        ["admin page: Added feed “Sales <team>”: owner ada@example.com or bo@example.com, title"]
    );
    admin.get("/feeds/1/details?new=1").await.assert_shows(&["Added. Hand out its page", "No meeting fits yet."]);
    let page = format!("/subscribe/{}", stage.site.links.token(&feed));
    stage.visitor().get(&page).await.assert_shows(&["<bdi>Sales &#60;team&#62;</bdi>"]);
}

#[tokio::test]
async fn what_suits_the_selection_is_chosen_unless_somebody_chooses() {
    let stage = Stage::new().await;
    let mut admin = stage.admin().await;
    send(&mut admin, "/feeds/new", &[("show_as", "fitting")]).await;
    send(&mut admin, "/feeds/new", &[("name", "Ada"), ("owners", "ada@example.com"), ("show_as", "fitting")]).await;
    let feeds = stage.site.store.feeds().await.unwrap();
    assert_eq!(feeds.iter().map(|feed| feed.wish.show_as).collect::<Vec<_>>(), [ShowAs::Free, ShowAs::Busy]);
}

#[tokio::test]
async fn what_is_wrong_is_said_beside_the_field_and_what_was_typed_stays() {
    let stage = Stage::new().await;
    stage.feed("Team").await;
    let mut admin = stage.admin().await;
    for (field, typed, says) in [
        ("name", " ", "A name has 1 to 100 characters on one line."),
        ("name", "Team", "A feed of this name exists already."),
        ("owners", "a@example.com\n//", "Say what to select"),
        ("detail", "<b>", "Choose one."),
        ("past_days", "ten", "Type a number of days, from 0 to 3650."),
        ("future_days", "3651", "Type a number of days, from 0 to 3650."),
        ("canceled_days", "-1", "Type a number of days, from 0 to 3650."),
        ("show_as", "", "Choose one."),
    ] {
        let answer = send(&mut admin, "/feeds/new", &[(field, typed)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{field} {typed}");
        answer.assert_shows(&[
            says,
            &format!("<li><a href=\"#{field}\">"),
            &format!("id=\"{field}-wrong\""),
            "role=\"alert\"",
        ]);
        if field != "name" {
            answer.assert_shows(&["value=\"Sales &#60;team&#62;\""]);
        }
        if field != "past_days" {
            answer.assert_shows(&["value=\"7\""]);
        }
        answer.assert_hides(&["<b>", "<team>"]);
    }
    assert_eq!(stage.site.store.feeds().await.unwrap().len(), 1);
    assert_eq!(recorded(&stage, "feed").await, [""; 0]);
}

#[tokio::test]
async fn an_edit_keeps_the_link_and_says_what_subscribers_see_beyond_what_they_saw() {
    let stage = Stage::new().await;
    let nobody = Selection { owners: vec!["nobody@example.com".into()], ..Selection::default() };
    let feed = stage.feed_of("Team", Detail::Busy, nobody).await;
    stage.feed("Other").await;
    stage.meeting("m-1", 24).await;
    stage.meeting("m-2", 25).await;
    let mut admin = stage.admin().await;
    let answer = admin.get("/feeds/1/edit").await;
    answer.assert_shows(&["Edit “<bdi>Team</bdi>”", "nobody@example.com</textarea>", "value=\"busy\" checked"]);
    answer.assert_hides(&["value=\"fitting\""]);
    let answer = send(&mut admin, "/feeds/1/edit", &[("name", "Desk"), ("owners", "")]).await;
    let to = answer.header("location").to_owned();
    assert_eq!(to, "/feeds/1/details?edited=1&detail=busy&meetings=0");
    admin.get(&to).await.assert_shows(&[
        "Saved. The link stays",
        "Whoever has the link now sees more of each meeting (title, owner and place; not the invitee), and 2 further meetings.",
    ]);
    let edited = stage.site.store.feed("1").await.unwrap().unwrap();
    assert_eq!((edited.wish.name.as_str(), edited.wish.detail), ("Desk", Detail::Title));
    assert_eq!(stage.site.links.feed_url(&edited), stage.site.links.feed_url(&feed));
    assert_eq!(
        recorded(&stage, "feed").await,
        ["admin page: Edited feed “Team”: name “Team” → “Desk”; meetings owner nobody@example.com → all meetings; \
          detail busy → title; past days 30 → 7; future days 365 → 90; canceled days 7 → 3; show as free → busy"]
    );
    // Less than before is no news; sent as it is, nothing is done.
    let to = send(&mut admin, "/feeds/1/edit", &[("name", "Desk"), ("detail", "busy")]).await;
    admin.get(to.header("location")).await.assert_hides(&["Whoever has the link now"]);
    let to = send(&mut admin, "/feeds/1/edit", &[("name", "Desk"), ("detail", "busy")]).await;
    let answer = admin.get(to.header("location")).await;
    answer.assert_shows(&["Nothing was changed: it was like that already."]);
    answer.assert_hides(&["Whoever has the link now"]);
    assert_eq!(recorded(&stage, "feed").await.len(), 2);
    let answer = send(&mut admin, "/feeds/1/edit", &[("name", "Other")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.assert_shows(&["A feed of this name exists already."]);
}

#[tokio::test]
async fn of_two_who_edit_at_once_the_second_is_told_and_keeps_what_he_typed() {
    let stage = Stage::new().await;
    let feed = stage.feed("Team").await;
    let mut admin = stage.admin().await;
    let page = admin.get("/feeds/1/edit").await;
    let wish = NewFeed { detail: Detail::Busy, ..feed.wish.clone() };
    stage.site.store.change_feed(&feed, &wish, "test", stage.now()).await.unwrap();
    let refused = stage.site.store.change_feed(&feed, &wish, "test", stage.now()).await;
    assert!(matches!(refused, Err(StoreError::Changed(_))), "{refused:?}");
    let (token, seen) = (page.form_token(), page.hidden("seen").unwrap());
    let fields: Vec<(&str, &str)> = [("token", &*token), ("seen", &*seen)].into_iter().chain(GOOD).collect();
    let answer = admin.post("/feeds/1/edit", &fields).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    answer.assert_shows(&["somebody else has changed the feed meanwhile", "value=\"Sales &#60;team&#62;\""]);
    assert_eq!(stage.site.store.feed("1").await.unwrap().unwrap().wish, wish);
    assert_eq!(send(&mut admin, "/feeds/1/edit", &[]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_was_typed_stays_when_somebody_else_saves_at_the_same_moment() {
    let stage = Stage::new().await;
    stage.feed("Team").await;
    let mut admin = stage.admin().await;
    // Only transactions see it: as when another edit is committed after the form was compared with the feed.
    let beside = ["CREATE TEMP TABLE feeds AS SELECT * FROM main.feeds", "UPDATE temp.feeds SET edition = edition + 1"];
    stage.site.store.tamper(&beside).await;
    let answer = send(&mut admin, "/feeds/1/edit", &[]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    answer.assert_shows(&[
        "somebody else has changed the feed meanwhile",
        "value=\"Sales &#60;team&#62;\"",
        "value=\"90\"",
    ]);
    assert_eq!(recorded(&stage, "feed").await, [""; 0]);
    assert_eq!(send(&mut admin, "/feeds/1/edit", &[]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_nobody_may_send_changes_nothing() {
    let stage = Stage::new().await;
    let gone = stage.feed("Gone").await;
    stage.site.store.end_feed(&gone, "test", stage.now()).await.unwrap();
    let mut admin = stage.admin().await;
    for (path, status) in [
        ("/feeds/1/edit", StatusCode::GONE),
        ("/feeds/9/edit", StatusCode::NOT_FOUND),
        ("/feeds/x/edit", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(admin.get(path).await.status, status, "{path}");
        let token = admin.get("/feeds/new").await.form_token();
        let fields: Vec<(&str, &str)> = [("token", &*token)].into_iter().chain(GOOD).collect();
        assert_eq!(admin.post(path, &fields).await.status, status, "{path}");
    }
    let token = admin.get("/feeds/new").await.form_token();
    let forged: Vec<(&str, &str)> = [("token", "AAAA")].into_iter().chain(GOOD).collect();
    for path in ["/feeds/new", "/feeds/1/edit"] {
        assert_eq!(admin.post(path, &forged).await.status, StatusCode::FORBIDDEN);
        let long = "x".repeat(70_000);
        let answer = admin.post(path, &[("token", &token), ("owners", &long)]).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(stage.visitor().get(path).await.header("location").starts_with("/login"));
    }
    assert_eq!(recorded(&stage, "feed").await, ["test: Revoked feed “Gone”"]);
}
