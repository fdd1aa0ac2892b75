//! Requests and answers on their way between hyper and the router: tells the connection's [`Line`] when a request begins, waits
//! for its body, and is answered. Must not look into them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::{HttpService, Service as _, service_fn};
use hyper_util::service::TowerToHyperService;

use super::line::Line;

/// What stops a body on its way in.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Too many bodies are in memory.
    #[error("there is no room for more bodies")]
    NoRoom,
    /// The connection.
    #[error("the body can't be read")]
    Lost(#[source] hyper::Error),
}

/// Answers the requests of one connection.
pub(super) fn service(
    router: Router,
    peer: SocketAddr,
    line: Arc<Line>,
) -> impl HttpService<Incoming, ResBody = Told, Error = Infallible, Future: Send> + Send {
    let router = TowerToHyperService::new(router);
    service_fn(move |request: Request<Incoming>| {
        let line = line.clone();
        let has_begun = line.begin();
        let mut request = request.map(|body| Asked { body, line: line.clone(), is_read: false });
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.call(request);
        async move {
            if !has_begun {
                // The connection is being closed.
                std::future::pending::<()>().await;
            }
            Ok(answer.await?.map(|body| Told { body, line }))
        }
    })
}

/// The body of a request.
struct Asked {
    body: Incoming,
    line: Arc<Line>,
    /// Its end was seen: a body in chunks does not tell it before.
    is_read: bool,
}

impl Asked {
    /// What came, if there is room for it.
    fn kept(&self, frame: Result<Frame<Bytes>, hyper::Error>) -> Result<Frame<Bytes>, BodyError> {
        let frame = frame.map_err(BodyError::Lost)?;
        let has_room = frame.data_ref().is_none_or(|bytes| self.line.hold(bytes.len()));
        if has_room { Ok(frame) } else { Err(BodyError::NoRoom) }
    }
}

impl HttpBody for Asked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.line.awaits_body();
            return Poll::Pending;
        };
        self.line.goes_on();
        self.is_read = frame.is_none();
        Poll::Ready(frame.map(|frame| self.kept(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_read && !self.body.is_end_stream() {
            self.line.goes_on();
            self.line.leave_unread();
        }
    }
}

/// The body of an answer.
pub(super) struct Told {
    body: Body,
    line: Arc<Line>,
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.line.answered();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::routing::post;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    use super::super::{Limits, serve};
    use super::*;

    /// Posts this to a server that reads bodies at `/read`, and not at `/unread`. Returns the answer, and whether the server's side
    /// ended before the peer's.
    async fn posted(path: &str, body: &str) -> (String, bool) {
        let router = Router::new()
            .route("/read", post(|_: Bytes| async { "read" }))
            .route("/unread", post(|| async { "unread" }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (limits, stop) = (Limits { end: Duration::from_hours(1), ..Limits::default() }, CancellationToken::new());
        let mut served = tokio::spawn(serve(listener, router, limits, stop.clone()));
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
        peer.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).await.unwrap();
        stop.cancel();
        let waits = if path == "/read" { Duration::from_secs(30) } else { Duration::from_millis(200) };
        let ended = timeout(waits, &mut served).await.is_ok();
        drop(peer);
        if !ended {
            served.await.unwrap();
        }
        (answer, ended)
    }

    #[tokio::test]
    async fn a_connection_ends_at_once_if_its_body_was_read_and_else_takes_what_still_comes() {
        let (answer, ended) = posted("/read", "3\r\nabc\r\n0\r\n\r\n").await;
        assert!(answer.ends_with("read") && ended, "{answer}");
        let (answer, ended) = posted("/unread", "3\r\nabc\r\n").await;
        assert!(answer.ends_with("unread") && !ended, "{answer}: more may come, also at a stop");
    }
}
