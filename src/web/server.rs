//! The server's connections, with a limit on everything a peer may keep it waiting with. When there are too many, or too much of
//! bodies is in memory, those that have waited longest are closed: who only waits never locks out who has something to say.

mod exchange;
mod io;
mod line;
pub mod open_files;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::exchange::BodyError;

use self::exchange::service;
use self::io::Io;
use self::line::{Hall, Line, Wait, Waiting};

/// The longest head of a request, and how much of a body is read at once, in bytes.
const READ_AT_ONCE: usize = 16 * 1024;

/// One in so many is closed when there are too many: looking for them takes a moment.
const CLOSED_AT_ONCE: usize = 64;

/// When nobody can be let in, it is looked again after this.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a peer may keep the server waiting, and with how much. A wait is seen to a tenth of `head` late.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Bytes of request bodies in memory, in all. At twice as much, a body is refused.
    pub bodies: usize,
    /// For the head of a request, from the connection's begin or the head's first byte.
    pub head: Duration,
    /// For another request.
    pub idle: Duration,
    /// For a body. Longer than handlers give it, so that they can answer.
    pub body: Duration,
    /// Without taking anything of what was written.
    pub write: Duration,
    /// For ending a connection on which more was sent than is read.
    pub end: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            bodies: 64 * 1024 * 1024,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body: Duration::from_secs(40),
            write: Duration::from_secs(30),
            end: Duration::from_secs(5),
        }
    }
}

impl Limits {
    fn tick(&self) -> Duration {
        self.head / 10
    }

    fn of(&self, wait: Wait) -> Duration {
        match wait {
            Wait::Head => self.head,
            Wait::Request => self.idle,
            Wait::Body => self.body,
            Wait::Reader => self.write,
            Wait::End => self.end,
        }
    }
}

/// Serves until `stop`, then lets requests in hand finish; connections without one close at once.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let mut connections = Connections::new(router, limits, stop.clone());
    let mut ticks = interval(limits.tick());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let hall = connections.hall.clone();
    let mut is_failing = false;
    loop {
        let has_place = connections.has_place();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = ticks.tick() => connections.close_late(),
            () = hall.is_full.notified() => connections.make_room(),
            () = tokio::time::sleep(PAUSE), if !has_place => {}
            accepted = listener.accept(), if has_place => match accepted {
                Ok((stream, peer)) => {
                    connections.add(stream, peer);
                    is_failing = false;
                }
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(%error, "can't accept connections; closing some that wait, trying again");
                    }
                    is_failing = true;
                    connections.close_longest();
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    connections.tasks.close();
    let tasks = connections.tasks.clone();
    loop {
        tokio::select! {
            () = tasks.wait() => return,
            _ = ticks.tick() => connections.close_late(),
        }
    }
}

/// Whether only that one connection failed.
fn is_of_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Every connection there is.
struct Connections {
    router: Router,
    http: http1::Builder,
    limits: Limits,
    hall: Arc<Hall>,
    stop: CancellationToken,
    tasks: TaskTracker,
    all: Vec<Connection>,
    /// With so many, those that have ended are taken out.
    tidied_at: usize,
}

/// One of them.
struct Connection {
    line: Arc<Line>,
    task: AbortHandle,
    /// What it waited for at the last tick, and how many ticks it has done so.
    seen: Option<Waiting>,
    ticks: u32,
}

impl Connection {
    /// Closes it if it still waits as it was seen to.
    fn close(&self, seen: Waiting) -> bool {
        let closes = self.line.give_up(seen);
        if closes {
            self.task.abort();
        }
        closes
    }
}

impl Connections {
    fn new(router: Router, limits: Limits, stop: CancellationToken) -> Self {
        let mut http = http1::Builder::new();
        http.max_buf_size(READ_AT_ONCE);
        let hall = Arc::new(Hall::new(limits.bodies));
        Self { router, http, limits, hall, stop, tasks: TaskTracker::new(), all: Vec::new(), tidied_at: 0 }
    }

    fn add(&mut self, stream: TcpStream, peer: SocketAddr) {
        if !self.has_room() {
            self.close_longest();
        }
        // An answer is written whole: nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let line = Arc::new(Line::new(self.hall.clone()));
        let io = TokioIo::new(Io::new(stream, line.clone()));
        let connection = self.http.serve_connection(io, service(self.router.clone(), peer, line.clone()));
        let (stop, idle) = (self.stop.clone(), line.clone());
        let task = self.tasks.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                biased;
                // Of what went wrong with a peer only that peer is told.
                _ = connection.as_mut() => return,
                () = stop.cancelled() => {}
            }
            if !idle.is_idle() {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        });
        self.all.push(Connection { line, task: task.abort_handle(), seen: None, ticks: 0 });
    }

    /// Whether one more connection can be let in: there is a place, or one that waits can make way.
    fn has_place(&mut self) -> bool {
        if self.all.len() >= self.limits.connections.min(self.tidied_at) {
            self.all.retain(|connection| !connection.task.is_finished());
            self.tidied_at = self.all.len() * 2 + CLOSED_AT_ONCE;
        }
        self.has_room() || self.all.iter().any(|connection| connection.line.waiting().is_some())
    }

    fn has_room(&self) -> bool {
        self.all.len() < self.limits.connections
    }

    /// Closes some of those that have waited longest.
    fn close_longest(&mut self) {
        let most = (self.all.len() / CLOSED_AT_ONCE).max(1);
        let mut waiting: Vec<(u64, usize)> = (self.all.iter().enumerate())
            .filter_map(|(index, connection)| Some((connection.line.waiting()?.number, index)))
            .collect();
        if waiting.len() > most {
            waiting.select_nth_unstable(most);
            waiting.truncate(most);
        }
        // From the end, so that taking one out does not move the others.
        waiting.sort_unstable_by_key(|&(_, index)| std::cmp::Reverse(index));
        for (number, index) in waiting {
            let connection = &self.all[index];
            let still = connection.line.waiting().filter(|waiting| waiting.number == number);
            if still.is_some_and(|waiting| connection.close(waiting)) {
                self.all.swap_remove(index);
            }
        }
    }

    /// Closes those that wait longest for a body, until there is room again.
    fn make_room(&mut self) {
        let mut slow: Vec<(Waiting, &Connection)> = (self.all.iter())
            .filter(|connection| connection.line.holds_any())
            .filter_map(|connection| Some((connection.line.waiting()?, connection)))
            .filter(|(waiting, _)| waiting.what == Wait::Body)
            .collect();
        slow.sort_unstable_by_key(|(waiting, _)| waiting.number);
        for (waiting, connection) in slow {
            if !self.hall.holds_too_much() {
                return;
            }
            if connection.close(waiting) {
                connection.line.let_go();
            }
        }
    }

    /// Closes those that have kept the server waiting too long.
    fn close_late(&mut self) {
        let (tick, limits) = (self.limits.tick(), self.limits);
        self.all.retain_mut(|connection| {
            let now = connection.line.waiting();
            connection.ticks = if now == connection.seen { connection.ticks + 1 } else { 0 };
            connection.seen = now;
            let is_late = now.filter(|waiting| tick * connection.ticks >= limits.of(waiting.what));
            !connection.task.is_finished() && !is_late.is_some_and(|waiting| connection.close(waiting))
        });
    }
}
