//! Having all deliveries of a list worked on again: the question, in numbers, and the deed.

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
use crate::store::{DeliveryFilter, DeliveryStatus};
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/inbox/replay", get(ask).post(replay).layer(DefaultBodyLimit::max(8192)))
}

#[derive(Template)]
#[template(path = "replay.html")]
struct ReplayPage {
    frame: Frame,
    choice: DeliveryChoice,
    number: i64,
    deliveries: String,
    words: String,
    /// Of those, what is in line already.
    waiting: i64,
    /// Further ones, whose body was removed.
    removed: i64,
    /// How many were put in line before a stop of the server broke that off; empty when none did.
    begun: String,
    back: String,
}

#[derive(Debug, Default, Deserialize)]
struct Query {
    begun: Option<u32>,
}

#[derive(Deserialize)]
struct Replay {
    token: String,
    #[serde(flatten)]
    choice: DeliveryChoice,
}

async fn ask(
    visit: Visit,
    Params(choice): Params<DeliveryChoice>,
    Params(query): Params<Query>,
) -> Result<Response, PageError> {
    let store = &visit.site.store;
    let choice = DeliveryChoice { after: String::new(), ..choice };
    let filter = choice.filter(&visit.times);
    let all = store.delivery_count(&filter).await?;
    let filter = DeliveryFilter { with_body: true, ..filter };
    let number = store.delivery_count(&filter).await?;
    let waiting = match filter.status {
        None | Some(DeliveryStatus::Pending) => {
            let pending = DeliveryStatus::Pending;
            store.delivery_count(&DeliveryFilter { status: Some(pending), ..filter }).await?
        }
        Some(_) => 0,
    };
    let page = ReplayPage {
        frame: visit.frame(Section::Inbox),
        number,
        removed: all - number,
        deliveries: count(number, "delivery", "deliveries"),
        words: choice.words(),
        waiting,
        begun: query.begun.map_or_else(String::new, |begun| count(begun.into(), "delivery was", "deliveries were")),
        back: choice.href("/inbox", &[]),
        choice,
    };
    Ok(visit.show(page))
}

async fn replay(visit: Visit, form: Result<Form<Replay>, FormRejection>) -> Result<Redirect, PageError> {
    let Form(Replay { token, choice }) = form.map_err(PageError::from)?;
    visit.check(&token)?;
    let choice = DeliveryChoice { after: String::new(), ..choice };
    let filter = DeliveryFilter { with_body: true, ..choice.filter(&visit.times) };
    let now = visit.times.now();
    let (store, stopping) = (visit.site.store.clone(), visit.site.watching.stopping.clone());
    let number = store.delivery_count(&filter).await?;
    let what = format!("{} {}", count(number, "delivery", "deliveries"), choice.words()).trim().to_owned();
    // In a task of its own: it is finished also when the browser does not wait.
    let replayed = visit
        .site
        .tasks
        .spawn(async move { store.replay(&filter, "admin page", &what, now, || !stopping.is_cancelled()).await });
    let replayed = replayed.await.map_err(|_| PageError::Internal)??;
    if replayed.is_finished {
        return Ok(Redirect::to("/inbox?status=pending"));
    }
    // The browser comes there when the server is back, and the rest can be asked for.
    let begun = replayed.deliveries.to_string();
    Ok(Redirect::to(&choice.href("/inbox/replay", &[("begun", &begun)])))
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
}
