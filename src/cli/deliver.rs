//! A sender of webhooks: signs a body and posts it, as Cirrus Insight would. For `send` and the demo.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use url::Url;

use crate::inbound::signature::sign;
use crate::inbound::webhook;
use crate::outbound::https::{self, Connector};

/// A delivery that takes longer counts as lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Posts deliveries to one server.
#[derive(Clone)]
pub(super) struct Sender {
    client: Client<Connector, Full<Bytes>>,
    url: Url,
    key: Option<String>,
}

/// What the server answered.
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// "accepted", "duplicate", …, or what the problem is.
    pub(super) text: String,
}

impl Sender {
    /// Sends to `url`; when it has no path, to the webhook's.
    pub(super) fn new(mut url: Url, key: Option<String>) -> anyhow::Result<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            bail!("--url must be an http or https address");
        }
        if url.path() == "/" {
            url.set_path(webhook::PATH);
        }
        let client = Client::builder(TokioExecutor::new()).build(https::connector()?);
        Ok(Self { client, url, key })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Posts one body.
    pub(super) async fn send(&self, body: Bytes) -> anyhow::Result<Answer> {
        let mut request = hyper::Request::post(self.url.as_str()).header("content-type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("x-webhook-signature", sign(key, &body));
        }
        let request = request.body(Full::new(body))?;
        let exchange = async {
            let response = self.client.request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            anyhow::Ok((status, body))
        };
        let (status, body) = tokio::time::timeout(ANSWER_WITHIN, exchange)
            .await
            .context("the server did not answer in time")?
            .with_context(|| format!("{} can't be reached: is the server running?", self.url))?;
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let field = if status == 200 { "status" } else { "detail" };
        let text =
            json.get(field).and_then(serde_json::Value::as_str).unwrap_or("an answer that is not meeting-mirror's");
        Ok(Answer { status, text: text.to_owned() })
    }
}
