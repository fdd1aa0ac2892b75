//! One delivery as received: where it stands and why, what signature matched, its headers and its body. From here it can
//! be worked on again or, in quarantine, set aside.

use askama::Template;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path};
use axum::response::{Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;

use super::error::PageError;
use super::frame::{Frame, Section, Visit};
use super::inbox::{DeliveryRow, delivery_state};
use super::json_text::readable;
use super::time_text::Moment;
use super::words::State;
use crate::store::{Deed, DeliveryStatus};
use crate::web::site::Site;

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/inbox/{id}", get(show))
        // Who was sent to sign in from a button comes back by a link: to the delivery.
        .route("/inbox/{id}/replay", post(|v, id, form| act(Deed::Replay, v, id, form)).get(back))
        .route("/inbox/{id}/ignore", post(|v, id, form| act(Deed::SetAside, v, id, form)).get(back))
        .layer(DefaultBodyLimit::max(4096))
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    frame: Frame,
    id: i64,
    event_id: String,
    event_type: String,
    state: State,
    meaning: &'static str,
    reason: String,
    meeting: Option<(String, String)>,
    signature: String,
    arrived: Moment,
    repeated: Option<(i64, Moment)>,
    replays: i64,
    /// When body and headers were removed.
    removed: Option<Moment>,
    can_replay: bool,
    can_set_aside: bool,
    headers: Vec<(String, String)>,
    body: String,
    is_json: bool,
    size: usize,
}

#[derive(Deserialize)]
struct Act {
    token: String,
}

async fn show(visit: Visit, id: Result<Path<String>, PathRejection>) -> Result<Response, PageError> {
    let Path(id) = id.map_err(|_| PageError::NoDelivery)?;
    let (store, times) = (&visit.site.store, visit.times);
    let delivery = store.delivery(&id).await?.ok_or(PageError::NoDelivery)?;
    let (body, headers) = store.delivery_content(delivery.id).await?.ok_or(PageError::NoDelivery)?;
    let (text, is_json) = readable(&body);
    let last = times.exactly(delivery.last_received_at);
    let repeated = (delivery.deliveries > 1).then_some((delivery.deliveries, last));
    let removed = delivery.body_removed_at.map(|at| times.exactly(at));
    let (status, signature, replays) = (delivery.status, delivery.signature.clone(), delivery.replays);
    let (event_id, arrived) = (delivery.event_id.clone(), times.exactly(delivery.received_at));
    let row = DeliveryRow::new(delivery, &times);
    let page = DeliveryPage {
        frame: visit.frame(Section::Inbox),
        id: row.id,
        event_id,
        event_type: row.event_type,
        state: delivery_state(status),
        meaning: meaning(status),
        reason: row.reason,
        meeting: row.meeting,
        signature,
        arrived,
        repeated,
        replays,
        can_replay: status != DeliveryStatus::Pending && removed.is_none(),
        can_set_aside: status == DeliveryStatus::Quarantined,
        removed,
        headers: serde_json::from_str(&headers).unwrap_or_default(),
        body: text,
        is_json,
        size: body.len(),
    };
    Ok(visit.show(page))
}

fn meaning(status: DeliveryStatus) -> &'static str {
    match status {
        DeliveryStatus::Pending => "It is stored and will be worked on in a moment.",
        DeliveryStatus::Applied => "It was applied.",
        DeliveryStatus::Superseded => "It was applied, but something newer was known already, so it changed nothing.",
        DeliveryStatus::Ignored => "It was not applied.",
        DeliveryStatus::Quarantined => {
            "It could not be understood. It is kept as it came and holds up nothing else; after an upgrade it can be tried again, and what never will be understood can be set aside."
        }
    }
}

async fn back(Path(id): Path<i64>) -> Redirect {
    Redirect::to(&format!("/inbox/{id}"))
}

async fn act(
    deed: Deed,
    visit: Visit,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Act>, FormRejection>,
) -> Result<Redirect, PageError> {
    let Path(id) = id.map_err(|_| PageError::NoDelivery)?;
    let Form(form) = form.map_err(PageError::from)?;
    visit.check(&form.token)?;
    let store = &visit.site.store;
    let found = store.delivery(&id.to_string()).await?;
    // Never by an event id that looks like a number.
    let delivery = found.filter(|delivery| delivery.id == id).ok_or(PageError::NoDelivery)?;
    // With one that waits already, or is no longer in quarantine, nothing is left to be done: its page shows how it stands.
    store.carry_out_on_one(deed, &delivery, "admin page", visit.times.now()).await?;
    Ok(Redirect::to(&format!("/inbox/{}", delivery.id)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use crate::store::DeliveryStatus;
    use axum::http::StatusCode;

    #[tokio::test]
    async fn a_delivery_shows_what_came_and_what_matched() {
        let stage = Stage::new().await;
        stage.meeting("m-1", 24).await;
        let mut admin = stage.admin().await;
        let answer = admin.get("/inbox/1").await;
        answer.assert_shows(&[
            "It was applied.",
            "x-signature, HMAC-SHA256 hex, key 1",
            "3fa1… (cut)",
            "&#34;n&#34;: 1.50",
            "href=\"/meetings/m-1\"",
            "20 Nov 2026, 13:00:00 CET",
        ]);
        assert_eq!(admin.get("/inbox/e-m-1-scheduled").await.status, StatusCode::OK);
        let answer = admin.get("/inbox/99").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        answer.assert_shows(&["There is no such delivery.", "href=\"/inbox\""]);
    }

    #[tokio::test]
    async fn a_body_that_is_no_json_is_shown_as_it_came() {
        let stage = Stage::new().await;
        let id = stage.quarantined("sha256:1", "body: found bytes", b"<script>alert(1)</script>\0\xff").await;
        let answer = stage.admin().await.get(&format!("/inbox/{id}")).await;
        answer.assert_shows(&[
            "body: found bytes",
            "&#60;script&#62;alert(1)&#60;/script&#62;\u{2400}\u{fffd}",
            "27 bytes",
        ]);
        answer.assert_hides(&["<script>alert"]);
        let id = stage.quarantined("sha256:2", "body: found no bytes", b"").await;
        stage.admin().await.get(&format!("/inbox/{id}")).await.assert_shows(&["The body is empty."]);
    }

    #[tokio::test]
    async fn a_replay_needs_the_form_and_is_recorded_once() {
        let stage = Stage::new().await;
        let id = stage.quarantined("sha256:1", "body: found bytes", b"{}").await;
        let mut admin = stage.admin().await;
        let token = admin.get("/inbox/1").await.form_token();
        let answer = admin.post("/inbox/1/replay", &[("token", "bm8=")]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        answer.assert_shows(&["This form was no longer valid.", "Nothing was changed."]);
        for _ in 0..2 {
            let answer = admin.post("/inbox/1/replay", &[("token", &token)]).await;
            assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/inbox/1"));
        }
        let answer = admin.get("/inbox/1").await;
        answer.assert_shows(&["pending", "will be worked on in a moment", "once"]);
        let delivery = stage.site.store.delivery(&id.to_string()).await.unwrap().unwrap();
        assert_eq!((delivery.status, delivery.replays), (DeliveryStatus::Pending, 1));
        let entries = stage.site.store.audit_newest(10).await.unwrap();
        let replays: Vec<&str> = entries
            .iter()
            .filter(|link| link.entry.category == "replay")
            .map(|link| link.entry.summary.as_str())
            .collect();
        assert_eq!(replays, ["Delivery 1 (event sha256:1) is worked on again"]);
        assert_eq!(admin.post("/inbox/99/replay", &[("token", &token)]).await.status, StatusCode::NOT_FOUND);
        assert_eq!(admin.get("/inbox/1/replay").await.header("location"), "/inbox/1");
    }

    #[tokio::test]
    async fn only_what_is_in_quarantine_is_set_aside_and_it_can_be_worked_on_again() {
        let stage = Stage::new().await;
        stage.meeting("m-1", 24).await;
        stage.quarantined("sha256:1", "body: found bytes", b"{}").await;
        let mut admin = stage.admin().await;
        admin.get("/inbox/1").await.assert_hides(&["Set it aside"]);
        let answer = admin.get("/inbox/2").await;
        answer.assert_shows(&["Set it aside", "action=\"/inbox/2/ignore\""]);
        let token = answer.form_token();
        for id in [1, 2, 2] {
            let answer = admin.post(&format!("/inbox/{id}/ignore"), &[("token", &token)]).await;
            assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, &*format!("/inbox/{id}")));
        }
        admin.get("/inbox/1").await.assert_shows(&["It was applied."]);
        let answer = admin.get("/inbox/2").await;
        answer.assert_shows(&["ignored", "Set aside by an admin; it was: body: found bytes", "Work on it again"]);
        answer.assert_hides(&["Set it aside"]);
        let entries = stage.site.store.audit_newest(10).await.unwrap();
        let told: Vec<_> =
            entries.iter().map(|link| &link.entry).filter(|entry| entry.category == "set-aside").collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].summary, "Delivery 2 (event sha256:1) is set aside");
        admin.post("/inbox/2/replay", &[("token", &token)]).await;
        let delivery = stage.site.store.delivery("2").await.unwrap().unwrap();
        assert_eq!((delivery.status, delivery.reason), (DeliveryStatus::Pending, None));
    }

    #[tokio::test]
    async fn an_event_id_that_is_a_number_is_not_taken_for_a_row() {
        let stage = Stage::new().await;
        stage.quarantined("2", "the first row", b"{}").await;
        stage.quarantined("9", "the second row", b"{}").await;
        let find = async |id| stage.site.store.delivery(id).await.unwrap().unwrap().id;
        assert_eq!((find("2").await, find("9").await), (2, 2));
        let mut admin = stage.admin().await;
        let token = admin.get("/inbox/1").await.form_token();
        assert_eq!(admin.post("/inbox/9/replay", &[("token", &token)]).await.status, StatusCode::NOT_FOUND);
        assert_eq!(admin.post("/inbox/2/replay", &[("token", &token)]).await.header("location"), "/inbox/2");
    }
}
