//! A person who reads the admin pages.

use super::common::PASSWORD;

/// Signs in at the server.
pub(crate) async fn signed_in(url: &str) -> reqwest::Client {
    let client = reqwest::Client::builder().cookie_store(true).build().unwrap();
    let form = client.get(format!("{url}/login")).send().await.unwrap().text().await.unwrap();
    let (_, token) = form.split_once("name=\"token\" value=\"").unwrap();
    let token = token.split_once('"').unwrap().0;
    let fields = [("token", token), ("password", PASSWORD)];
    let answer = client.post(format!("{url}/login")).form(&fields).send().await.unwrap();
    assert!(answer.url().path().ends_with("/status"), "not signed in");
    client
}
