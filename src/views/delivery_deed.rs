//! What is done with all deliveries of a list, worked on again or set aside: the question, in numbers, and the deed.

use askama::Template;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::FormRejection;
use axum::response::{Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use serde::Deserialize;

use super::delivery_choice::DeliveryChoice;
use super::error::PageError;
use super::frame::{Frame, Params, Section, Visit};
use super::words::count;
use crate::store::{Deed, DeliveryFilter, DeliveryStatus};
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/inbox/replay", get(|v, c, q| ask(Deed::Replay, v, c, q)).post(|v, form| act(Deed::Replay, v, form)))
        .route(
            "/inbox/ignore",
            get(|v, c, q| ask(Deed::SetAside, v, c, q)).post(|v, form| act(Deed::SetAside, v, form)),
        )
        .layer(DefaultBodyLimit::max(8192))
}

/// How a deed is spoken of.
struct Said {
    /// The page that asks, and takes the answer.
    path: &'static str,
    title: &'static str,
    /// There is nothing to do it with.
    nothing: &'static str,
    /// What it means for a delivery.
    meaning: &'static str,
    /// The list in which they are afterwards.
    done: &'static str,
}

impl Said {
    fn of(deed: Deed) -> Self {
        match deed {
            Deed::Replay => Self {
                path: "/inbox/replay",
                title: "Work on deliveries again",
                nothing: "Nothing to work on",
                meaning: "Each is read anew, as if it had just arrived. What is newer stays; nothing is sent twice.",
                done: "/inbox?status=pending",
            },
            Deed::SetAside => Self {
                path: "/inbox/ignore",
                title: "Set deliveries aside",
                nothing: "Nothing to set aside",
                meaning: "Each counts as ignored from then on: nobody is told of it any more, and its body is removed when others \
                          of its age are. Until then it can still be worked on again.",
                done: "/inbox?status=ignored",
            },
        }
    }
}

/// What is asked before it is done with so many deliveries, without the question mark.
pub fn deed_question(deed: Deed, number: i64) -> String {
    let deliveries = count(number, "delivery", "deliveries");
    match deed {
        Deed::Replay => format!("Work on {deliveries} again"),
        Deed::SetAside => format!("Set {deliveries} aside"),
    }
}

/// With how many it was done before that was broken off.
fn begun_with(deed: Deed, number: u32) -> String {
    match deed {
        Deed::Replay => count(number.into(), "delivery was put in line", "deliveries were put in line"),
        Deed::SetAside => count(number.into(), "delivery was set aside", "deliveries were set aside"),
    }
}

#[derive(Template)]
#[template(path = "delivery_deed.html")]
struct DeedPage {
    frame: Frame,
    said: Said,
    choice: DeliveryChoice,
    number: i64,
    question: String,
    words: String,
    /// Of those, what is in line already.
    waiting: i64,
    /// Further ones, whose body was removed.
    removed: i64,
    /// With how many it was done before a stop of the server broke that off; empty when none did.
    begun: String,
    back: String,
}

#[derive(Debug, Default, Deserialize)]
struct Query {
    begun: Option<u32>,
}

#[derive(Deserialize)]
struct Act {
    token: String,
    #[serde(flatten)]
    choice: DeliveryChoice,
}

/// The choice without what does not matter here: only what is in quarantine is set aside.
fn chosen(deed: Deed, choice: DeliveryChoice) -> DeliveryChoice {
    let status = match deed {
        Deed::Replay => choice.status,
        Deed::SetAside => DeliveryStatus::Quarantined.as_str().to_owned(),
    };
    DeliveryChoice { status, after: String::new(), ..choice }
}

async fn ask(
    deed: Deed,
    visit: Visit,
    Params(choice): Params<DeliveryChoice>,
    Params(query): Params<Query>,
) -> Result<Response, PageError> {
    let store = &visit.site.store;
    let choice = chosen(deed, choice);
    let filter = choice.filter(&visit.times);
    let all = store.delivery_count(&filter).await?;
    let filter = deed.within(filter);
    let number = store.delivery_count(&filter).await?;
    let waiting = match filter.status {
        None | Some(DeliveryStatus::Pending) => {
            let pending = DeliveryStatus::Pending;
            store.delivery_count(&DeliveryFilter { status: Some(pending), ..filter }).await?
        }
        Some(_) => 0,
    };
    let page = DeedPage {
        frame: visit.frame(Section::Inbox),
        said: Said::of(deed),
        number,
        removed: all - number,
        question: deed_question(deed, number),
        words: choice.words(),
        waiting,
        begun: query.begun.map_or_else(String::new, |begun| begun_with(deed, begun)),
        back: choice.href("/inbox", &[]),
        choice,
    };
    Ok(visit.show(page))
}

async fn act(deed: Deed, visit: Visit, form: Result<Form<Act>, FormRejection>) -> Result<Redirect, PageError> {
    let Form(Act { token, choice }) = form.map_err(PageError::from)?;
    visit.check(&token)?;
    let said = Said::of(deed);
    let choice = chosen(deed, choice);
    let filter = deed.within(choice.filter(&visit.times));
    let now = visit.times.now();
    let (store, stopping) = (visit.site.store.clone(), visit.site.watching.stopping.clone());
    let number = store.delivery_count(&filter).await?;
    let what = format!("{} {}", count(number, "delivery", "deliveries"), choice.words()).trim().to_owned();
    // In a task of its own: it is finished also when the browser does not wait.
    let carried_out = visit.site.tasks.spawn(async move {
        store.carry_out(deed, &filter, ("admin page", &what), now, || !stopping.is_cancelled()).await
    });
    let carried_out = carried_out.await.map_err(|_| PageError::Internal)??;
    if carried_out.is_finished {
        return Ok(Redirect::to(said.done));
    }
    // The browser comes there when the server is back, and the rest can be asked for.
    let begun = carried_out.deliveries.to_string();
    Ok(Redirect::to(&choice.href(said.path, &[("begun", &begun)])))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use crate::store::DeliveryStatus;
    use axum::http::StatusCode;

    #[tokio::test]
    async fn a_list_is_worked_on_again_after_a_question_with_its_number() {
        let stage = Stage::new().await;
        for number in 0..3 {
            stage.quarantined(&format!("sha256:{number}"), "body: found bytes", b"{}").await;
        }
        stage.meeting("m-1", 24).await;
        let mut admin = stage.admin().await;
        let inbox = admin.get("/inbox?status=quarantined").await;
        let question = inbox.href("Work on all of these again…");
        assert_eq!(question, "/inbox/replay?status=quarantined");
        let answer = admin.get(&question).await;
        answer.assert_shows(&[
            "Work on 3 deliveries again?",
            "that are quarantined",
            "name=\"status\" value=\"quarantined\"",
        ]);
        let fields = [("token", &*answer.form_token()), ("status", "quarantined")];
        let refused = admin.post("/inbox/replay", &[("token", "AAAA"), ("status", "quarantined")]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let done = admin.post("/inbox/replay", &fields).await;
        assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/inbox?status=pending"));
        let counts = stage.site.store.inbox_counts().await.unwrap();
        assert_eq!((counts.of(DeliveryStatus::Pending), counts.of(DeliveryStatus::Quarantined)), (3, 0));
        assert_eq!(counts.of(DeliveryStatus::Applied), 1, "what was not in the list stays");
        let entries = stage.site.store.audit_newest(1).await.unwrap();
        assert_eq!(entries[0].entry.summary, "Deliveries are worked on again: 3 deliveries that are quarantined");
        admin.get("/inbox/replay").await.assert_shows(&["Work on 4 deliveries again?", "3 of them wait already"]);
        admin.get("/inbox/replay?type=none").await.assert_shows(&["No delivery is like that."]);
    }

    #[tokio::test]
    async fn only_those_of_a_list_that_are_in_quarantine_are_set_aside() {
        let stage = Stage::new().await;
        for number in 0..3 {
            stage.quarantined(&format!("sha256:{number}"), "body: found bytes", b"{}").await;
        }
        stage.meeting("m-1", 24).await;
        let mut admin = stage.admin().await;
        admin.get("/inbox").await.assert_hides(&["Set all of these aside"]);
        let question = admin.get("/inbox?status=quarantined&about=sha256%3A0").await.href("Set all of these aside…");
        assert_eq!(question, "/inbox/ignore?status=quarantined&about=sha256%3A0");
        admin.get(&question).await.assert_shows(&["Set 1 delivery aside?", "about sha256:0"]);
        let answer = admin.get("/inbox/ignore").await;
        answer.assert_shows(&["Set 3 deliveries aside?", "that are quarantined", "value=\"quarantined\""]);
        let token = answer.form_token();
        let refused = admin.post("/inbox/ignore", &[("token", "AAAA")]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        for (fields, left) in
            [([("token", &*token), ("about", "sha256:0")], 2), ([("token", &token), ("status", "")], 0)]
        {
            let done = admin.post("/inbox/ignore", &fields).await;
            assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/inbox?status=ignored"));
            let counts = stage.site.store.inbox_counts().await.unwrap();
            assert_eq!(counts.of(DeliveryStatus::Quarantined), left);
            assert_eq!((counts.of(DeliveryStatus::Ignored), counts.of(DeliveryStatus::Applied)), (3 - left, 1));
        }
        let entries = stage.site.store.audit_newest(1).await.unwrap();
        assert_eq!(entries[0].entry.summary, "Deliveries are set aside: 2 deliveries that are quarantined");
        admin.get("/inbox/ignore").await.assert_shows(&["Nothing to set aside", "No delivery is like that."]);
        admin.get("/status").await.assert_hides(&["could not be understood"]);
        admin.get("/inbox/replay?status=ignored").await.assert_shows(&["Work on 3 deliveries again?"]);
    }
}
