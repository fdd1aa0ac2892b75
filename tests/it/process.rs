//! The service as an operating system sees it: how it starts, stops, dies and comes back.
//! Must not depend on how long something takes, but where a promise names a time.

mod clock;
mod course;
mod crash;
mod demo;
mod disk;
mod first_start;
mod hanging;
mod keeping;
mod kills;
mod log;
mod mirroring;
mod ready;
mod start;
mod stop;
mod workers;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use meeting_mirror::inbound::signature::sign;

use crate::process_support::{KEY, Server, event};

/// A delivery that has been begun and is waited for by the server.
struct HalfSent {
    stream: BufReader<TcpStream>,
    rest: Vec<u8>,
}

impl HalfSent {
    /// Sends the head and half of the body. Returns once the server has said that it reads the body.
    fn to(server: &Server) -> Self {
        let body = event("e-slow", "scheduled", "m-slow", 5).to_string().into_bytes();
        let (begin, rest) = body.split_at(body.len() / 2);
        let head = format!(
            "POST /webhooks/cirrus-insight HTTP/1.1\r\nhost: {}\r\nx-signature: {}\r\ncontent-length: {}\r\n\
             expect: 100-continue\r\nconnection: close\r\n\r\n",
            server.address(),
            sign(KEY, &body),
            body.len()
        );
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
        stream.read_line(&mut line).unwrap();
        stream.get_mut().write_all(begin).unwrap();
        Self { stream, rest: rest.to_owned() }
    }

    /// Sends the rest. Returns the answer, head and all.
    fn finish(mut self) -> String {
        self.stream.get_mut().write_all(&self.rest).unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        answer
    }
}
