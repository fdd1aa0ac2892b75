//! `/readyz` of a running server, while another process holds its database and after.

use std::time::Duration;

use meeting_mirror::store::Store;
use serde_json::Value;

use crate::process_support::{Machine, browser};

#[tokio::test]
async fn a_database_that_another_process_holds_is_not_ready_until_it_lets_go() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let (http, url) = (browser(), format!("{}/readyz", server.url));
    let ask = async || http.get(&url).timeout(Duration::from_mins(1)).send().await.unwrap();
    assert_eq!(ask().await.status(), 200);

    // This test is the other process.
    let other = Store::open_current(&machine.path("data")).await.unwrap().unwrap();
    let held = other.write().await.unwrap();
    let answer = ask().await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let told: Value = answer.json().await.unwrap();
    assert_eq!(told["code"], "database_slow", "{told}");
    assert!(told["detail"].as_str().unwrap().contains("another program may hold it"), "{told}");
    assert_eq!(http.get(format!("{}/livez", server.url)).send().await.unwrap().status(), 200, "it lives");

    drop(held);
    other.close().await;
    for _ in 0..100 {
        if ask().await.status() == 200 {
            server.stop();
            return;
        }
    }
    panic!("it is not ready again");
}
