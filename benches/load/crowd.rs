//! What connections cost that only wait: memory, and what deliveries take meanwhile.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use meeting_mirror::clock::{Clock as _, SystemClock};
use meeting_mirror::web::server::open_files;

use super::Plan;
use super::client::{Requests, send_closed};
use super::common::serve;
use super::figures::resident;

/// All that the server takes by default, but for those that send.
const CROWD: usize = 9_900;
const SENDERS: usize = 16;

/// A connection that waits: for its first request, for the rest of one, or for another one.
fn waiting(address: std::net::SocketAddr, number: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    match number % 3 {
        0 => {}
        1 => stream.write_all(b"GET /livez HTTP/1.1\r\nHost: ").unwrap(),
        _ => {
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 12]).unwrap();
        }
    }
    stream
}

pub(crate) async fn measure(plan: &Plan) {
    let crowd = CROWD.min(open_files::for_connections().saturating_sub(500));
    let data = plan.fresh();
    let (server, address) = serve(&data, &[]);
    let idle = resident(server.0.id());
    let held: Vec<_> = (0..crowd).map(|number| waiting(address, number)).collect();
    let crowded = resident(server.0.id());
    let requests = Requests::new(0, plan.most / 4, SystemClock::default().now());
    // Shorter than any of them is let wait.
    let seen = send_closed(address, &requests, SENDERS, plan.lasting).await;
    println!(
        "\n{crowd} connections wait: {idle:.0} MB before, {crowded:.0} MB with them; {:.0} deliveries a second over {SENDERS} others, \
         p99 {:.1} ms",
        seen.per_second(),
        seen.within(990)
    );
    drop(held);
}
