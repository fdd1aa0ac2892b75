//! The HTTP side: connections that can be cut, and the three things served — the API, the token endpoint, the page.
//! Must not know any rule of Google's.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, Form, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, IF_MATCH};
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::answer::{Answer, Refusal};
use super::world::{Delivery, World};
use super::{Now, TokenTimes, call, page};

/// Larger than any event.
const LARGEST_BODY: usize = 1 << 20;

/// What the handle and the server share.
pub(super) struct Shared {
    world: Mutex<World>,
    pub(super) now: Now,
    pub(super) token_times: TokenTimes,
    /// `http://127.0.0.1:PORT`.
    pub(super) origin: String,
    /// While false, every connection is closed.
    pub(super) online: AtomicBool,
    /// True once the simulation has to end.
    pub(super) stopped: watch::Sender<bool>,
}

impl Shared {
    pub(super) fn new(now: Now, token_times: TokenTimes, address: SocketAddr) -> Self {
        Self {
            world: Mutex::default(),
            now,
            token_times,
            origin: format!("http://{address}"),
            online: AtomicBool::new(true),
            stopped: watch::Sender::new(false),
        }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn token_url(&self) -> String {
        format!("{}/token", self.origin)
    }

    fn stop_requested(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stopped = self.stopped.subscribe();
        async move {
            // An error means that the sender is gone, which is a stop, too.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }
    }
}

async fn deliver(delivery: Delivery, line: &HangUp) -> Response {
    let answer = match delivery {
        Delivery::Answer(answer) => answer,
        Delivery::Late(delay, answer) => {
            // Ended early when the connection goes: hyper drops this wait with it.
            tokio::time::sleep(delay).await;
            answer
        }
        Delivery::HangUp => {
            line.0.store(true, Ordering::Release);
            // Never reaches the client.
            Answer::no_content()
        }
    };
    answer.into_response()
}

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let lines = Lines { listener, shared: Arc::clone(&shared) };
    let stop = shared.stop_requested();
    let router =
        Router::new().route("/", get(page_for_people)).route("/token", post(token)).fallback(api).with_state(shared);
    // The stop signal wakes every connection; being offline by then, it breaks off whatever it was doing. Serving a
    // listener that retries by itself never fails.
    let _ =
        axum::serve(lines, router.into_make_service_with_connect_info::<HangUp>()).with_graceful_shutdown(stop).await;
}

async fn page_for_people(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 2] =
        [(CACHE_CONTROL, "no-store"), (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'")];
    (headers, Html(page::render(&shared.world())))
}

async fn token(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<HangUp>,
    form: Result<Form<HashMap<String, String>>, FormRejection>,
) -> Response {
    let form = form.map(|Form(fields)| fields).unwrap_or_default();
    let now = (shared.now)();
    let url = shared.token_url();
    let delivery = shared.world().token(&form, &url, shared.token_times, now);
    deliver(delivery, &line).await
}

async fn api(State(shared): State<Arc<Shared>>, ConnectInfo(line): ConnectInfo<HangUp>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return Answer::from(Refusal::invalid("Request body unreadable or too large.")).into_response();
    };
    let request = parse(&parts, &body);
    let now = (shared.now)();
    let delivery = shared.world().call(&request, shared.token_times, now);
    deliver(delivery, &line).await
}

fn parse(parts: &Parts, body: &Bytes) -> call::Request {
    let header = |name: HeaderName| {
        let value = parts.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    call::Request::parse(&parts.method, &parts.uri, body, header(AUTHORIZATION), header(IF_MATCH))
}

/// Ends one connection at its next write.
#[derive(Clone)]
struct HangUp(Arc<AtomicBool>);

impl Connected<IncomingStream<'_, Lines>> for HangUp {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        Self(Arc::clone(&stream.io().hung_up))
    }
}

/// Listens for connections that can be cut.
struct Lines {
    listener: TcpListener,
    shared: Arc<Shared>,
}

impl Listener for Lines {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let line = Line { stream, hung_up: Arc::default(), shared: Arc::clone(&self.shared) };
        (line, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that is cut when the simulation goes offline, or when a fault says so.
struct Line {
    stream: TcpStream,
    hung_up: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

impl Line {
    fn check(&self) -> io::Result<()> {
        if self.hung_up.load(Ordering::Acquire) || !self.shared.online.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
