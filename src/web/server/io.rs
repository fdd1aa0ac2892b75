//! A connection's bytes: what comes and what can't go is told to its [`Line`], and at the end what the peer still sends is taken,
//! since closing on it would make the peer lose the answer. Must not know HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::line::Line;

/// This much of what nobody reads is taken at the end, in bytes; how long is one of the limits.
const MOST_TAKEN: usize = 4 * 1024 * 1024;

/// The bytes of one connection.
pub(super) struct Io {
    stream: TcpStream,
    line: Arc<Line>,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    NotYet,
    Taking { taken: usize },
    Reached,
}

impl Io {
    pub(super) fn new(stream: TcpStream, line: Arc<Line>) -> Self {
        Self { stream, line, end: End::NotYet }
    }

    fn tell<T>(&self, written: Poll<T>) -> Poll<T> {
        match &written {
            Poll::Pending => self.line.sticks(),
            Poll::Ready(_) => self.line.moves(),
        }
        written
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.line.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.tell(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.tell(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.end {
                End::Reached => return Poll::Ready(Ok(())),
                End::NotYet => {
                    ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                    self.end = if self.line.ends() { End::Taking { taken: 0 } } else { End::Reached };
                }
                End::Taking { taken } => {
                    let mut unread = [0; 8 * 1024];
                    let mut buffer = ReadBuf::new(&mut unread);
                    ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
                    let taken = taken + buffer.filled().len();
                    let is_enough = buffer.filled().is_empty() || taken > MOST_TAKEN;
                    self.end = if is_enough { End::Reached } else { End::Taking { taken } };
                }
            }
        }
    }
}
