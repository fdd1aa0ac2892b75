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
        let mut request = request.map(|body| Asked { body, line: line.clone() });
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
        if !self.body.is_end_stream() {
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
