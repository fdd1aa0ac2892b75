//! `/readyz` of a running server, while another process holds its database and after.

use std::time::Duration;

use meeting_mirror::store::Store;
use serde_json::Value;

use crate::process_support::{Machine, Server, browser, get};

/// Asks until the answer has that status: one counts for a second.
pub(super) async fn answers(server: &Server, status: u16) -> reqwest::Response {
    let (http, url) = (browser(), format!("{}/readyz", server.url));
    let ask = async {
        loop {
            let answer = http.get(&url).send().await.unwrap();
            if answer.status() == status {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), ask).await.unwrap()
}

#[tokio::test]
async fn a_database_that_another_process_holds_is_not_ready_until_it_lets_go() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    answers(&server, 200).await;

    // This test is the other process.
    let other = Store::open_current(&machine.path("data")).await.unwrap().unwrap();
    let held = other.write().await.unwrap();
    let answer = answers(&server, 503).await;
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let told: Value = answer.json().await.unwrap();
    let (code, detail) = (told["code"].as_str().unwrap(), told["detail"].as_str().unwrap());
    // On a busy machine SQLite may give up before the check does.
    let is_told = code == "database_slow" && detail.contains("another program may hold it");
    assert!(is_told || code == "database_failed" && detail.contains("The log says why"), "{told}");
    assert_eq!(get(&browser(), &format!("{}/livez", server.url)).await.0, 200, "it lives");

    drop(held);
    other.close().await;
    answers(&server, 200).await;
    server.stop();
}
