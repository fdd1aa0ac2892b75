//! Requests over connections that are kept: as little work as can be for whoever asks, since it shares the machine with the server.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 256 * 1024] }
    }

    /// Sends a request and reads the whole answer. Returns its status, its head, and the length of its body.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> (u16, String, usize) {
        self.stream.write_all(request).await.unwrap();
        let mut read = 0;
        let end = loop {
            let more = self.stream.read(&mut self.buffer[read..]).await.unwrap();
            assert!(more > 0, "the server closed the connection");
            read += more;
            if let Some(end) = self.buffer[..read].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        let status = head[9..12].parse().unwrap();
        let length = header(&head, "content-length").filter(|_| status != 304).map_or(0, |text| text.parse().unwrap());
        let mut left = end + length - read;
        while left > 0 {
            let most = left.min(self.buffer.len());
            let more = self.stream.read(&mut self.buffer[..most]).await.unwrap();
            assert!(more > 0, "the server cut the answer");
            left -= more;
        }
        (status, head, length)
    }
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A request for a path, with the tag of what is known.
pub(crate) fn request(path: &str, known: Option<&str>) -> Vec<u8> {
    let condition = known.map_or_else(String::new, |tag| format!("If-None-Match: {tag}\r\n"));
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n{condition}\r\n").into_bytes()
}
