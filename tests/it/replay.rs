//! Having a long list of deliveries worked on again while the server is stopped: the step in hand is finished, and the page says
//! how far it came.

use meeting_mirror::store::{DeliveryStatus, Identity, NewDelivery};
use reqwest::StatusCode;

use crate::security::page::form_token;
use crate::support::TestApp;

/// More than two steps.
const DELIVERIES: usize = 1100;
const LIST: &str = "/inbox/replay?status=quarantined";

async fn waiting(app: &TestApp) -> (i64, i64) {
    let counts = app.store.inbox_counts().await.unwrap();
    (counts.of(DeliveryStatus::Pending), counts.of(DeliveryStatus::Quarantined))
}

#[tokio::test]
async fn a_stop_waits_for_the_step_in_hand_and_the_page_says_how_far_it_came() {
    let app = TestApp::start().await;
    let mut tx = app.store.write().await.unwrap();
    for number in 0..DELIVERIES {
        let new = NewDelivery {
            identity: Identity { event_id: format!("sha256:{number}"), ..Identity::default() },
            body: b"{}".to_vec(),
            headers: "[]".into(),
            signature: "unsigned".into(),
            received_at: app.now(),
            status: DeliveryStatus::Quarantined,
            reason: Some("not understood then".into()),
        };
        tx.store_delivery(&new).await.unwrap();
    }
    tx.commit().await.unwrap();
    app.sign_in().await;
    let token = form_token(&app.page(LIST).await);

    // The first step can't be written before the stop.
    let (writing, stopping) = (app.store.write().await.unwrap(), app.site.watching.stopping.clone());
    let fields = [("token", token), ("status", "quarantined".to_owned())];
    let posted = tokio::spawn(app.http.post(app.url("/inbox/replay")).form(&fields).send());
    while app.site.tasks.is_empty() {
        tokio::task::yield_now().await;
    }
    let (app, ()) = tokio::join!(app.restart(), async {
        stopping.cancelled().await;
        drop(writing);
    });
    let answer = posted.await.unwrap().unwrap();
    let told = "/inbox/replay?status=quarantined&begun=500";
    assert_eq!((answer.status(), &answer.headers()["location"]), (StatusCode::SEE_OTHER, &told.parse().unwrap()));
    assert_eq!(waiting(&app).await, (500, 600));
    let entry = app.store.audit_newest(10).await.unwrap().into_iter().find(|link| link.entry.category == "replay");
    let asked = "Deliveries are worked on again: 1,100 deliveries that are quarantined";
    assert_eq!(entry.unwrap().entry.summary, asked);

    app.sign_in().await;
    let page = app.page(told).await;
    assert!(page.contains("500 deliveries were put in line before the server was stopped."), "{page}");
    assert!(page.contains("Work on 600 deliveries again?"), "{page}");
    let fields = [("token", form_token(&page)), ("status", "quarantined".to_owned())];
    let answer = app.http.post(app.url("/inbox/replay")).form(&fields).send().await.unwrap();
    assert_eq!(answer.headers()["location"], "/inbox?status=pending");
    assert_eq!(waiting(&app).await, (1100, 0));
}

#[tokio::test]
async fn it_is_finished_when_nobody_waits_for_the_answer_and_a_stop_waits_for_that() {
    let app = TestApp::start().await;
    let (store, now, stopping) = (app.store.clone(), app.now(), app.site.watching.stopping.clone());
    let going_on = app.site.tasks.spawn(async move {
        stopping.cancelled().await;
        for number in 0..20 {
            let mut tx = store.write().await.unwrap();
            tx.append_admin_action("test", "test", format!("Step {number}"), now).await.unwrap();
            tx.commit().await.unwrap();
        }
    });
    let app = app.restart().await;
    going_on.await.unwrap();
    assert_eq!(app.store.audit_newest(1).await.unwrap()[0].entry.summary, "Step 19");
}
