//! Another system that takes what is posted to it, or fails on script; on a port of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What the receiver does with a request; none = it never answers.
pub(crate) type Reply = Option<Response<Body>>;

#[expect(clippy::unnecessary_wraps, reason = "what a script holds")]
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], text: &str) -> Reply {
    let start = Response::builder().status(status);
    let response = headers.iter().fold(start, |response, (name, value)| response.header(*name, *value));
    Some(response.body(Body::from(text.to_owned())).unwrap())
}

/// A request as it came.
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The other system. It takes everything but what the script says.
pub(crate) struct Receiver {
    pub(crate) base: String,
    path: &'static str,
    script: Arc<Mutex<VecDeque<Reply>>>,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Receiver {
    /// One that is told to be at that path.
    pub(crate) async fn start(path: &'static str, script: impl IntoIterator<Item = Reply>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let (sender, received) = mpsc::unbounded_channel();
        let replies = script.clone();
        let service = move |request: Request<Body>| {
            let (replies, sender) = (replies.clone(), sender.clone());
            async move {
                let (head, body) = request.into_parts();
                let path = head.uri.path_and_query().unwrap().to_string();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let reply = replies.lock().unwrap().pop_front();
                sender.send(Received { path, headers: head.headers, body }).unwrap();
                match reply {
                    Some(Some(response)) => response,
                    Some(None) => std::future::pending().await,
                    None => Response::builder().status(StatusCode::NO_CONTENT).body(Body::empty()).unwrap(),
                }
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(service)).await });
        Self { base, path, script, received }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.base, self.path)
    }

    pub(crate) fn host(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    pub(crate) fn will(&self, script: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().extend(script);
    }

    /// Forgets the rest of the script.
    pub(crate) fn recovers(&self) {
        self.script.lock().unwrap().clear();
    }

    pub(crate) async fn next(&mut self) -> Received {
        tokio::time::timeout(Duration::from_mins(1), self.received.recv()).await.unwrap().unwrap()
    }

    /// The requests that came since this was last asked.
    pub(crate) fn requests(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }
}
