//! The audit log sent on through TLS: to whom the certificates say it goes, and to nobody else.
//! Must not test what an endpoint answers in full.

use std::sync::Arc;

use hyper_rustls::HttpsConnectorBuilder;
use meeting_mirror::clock::Randomness;
use meeting_mirror::config::PushTarget;
use meeting_mirror::outbound::audit_push::AuditPusher;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::*;
use crate::process_support::Server;

/// Who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { der: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// A server that shows a certificate for this name.
    fn server(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap()
    }
}

/// Listens on a port of its own, and takes one connection after the other: each with what it shows, and the answer after which it
/// is closed.
async fn listen(turns: Vec<(ServerConfig, &'static str)>) -> (String, mpsc::UnboundedReceiver<Vec<i64>>) {
    let (sender, received) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}{PATH}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        for (config, answer) in turns {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else { continue };
            let mut stream = BufReader::new(stream);
            sender.send(numbers(&mut stream).await).unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (url, received)
}

/// Reads one request. Returns the numbers of the entries in it.
async fn numbers(stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> Vec<i64> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end().to_lowercase().split_once(": ") {
            Some(("content-length", octets)) => length = octets.parse().unwrap(),
            None if line == "\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let lines = std::str::from_utf8(&body).unwrap().lines();
    lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_i64().unwrap()).collect()
}

/// A pusher of this app that trusts this authority only.
fn trusting(app: &TestApp, authority: &Authority, url: &str) -> AuditPusher {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
    let target = PushTarget { address: url.parse().unwrap(), authorization: None };
    AuditPusher::new(app.store.clone(), app.clock.clone(), Randomness::seeded(1), target, connector)
}

#[tokio::test]
async fn only_who_shows_the_right_certificate_gets_entries() {
    let (known, stranger) = (Authority::new(), Authority::new());
    let (url, mut received) = listen(vec![
        (stranger.server("localhost"), ""),
        (known.server("elsewhere.example.com"), ""),
        (known.server("localhost"), ""),
        (known.server("localhost"), "HTTP/1.1 20"),
        (
            known.server("localhost"),
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: https://localhost/\r\ncontent-length: 0\r\n\r\n",
        ),
        // The entries were taken; what more it says is of no interest.
        (known.server("localhost"), "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nthank"),
    ])
    .await;
    let mut app = TestApp::start_with(pushing_to(url.clone())).await;
    app.audit_push = Some(trusting(&app, &known, &url));
    app.log(2).await;
    for expected in [
        // The stranger calls itself the same.
        "can't be reached: invalid peer certificate: BadSignature",
        "can't be reached: invalid peer certificate: ",
        "can't be reached: ",
        "can't be reached: ",
        "answered 307 Temporary Redirect. Redirects are not followed",
    ] {
        assert_eq!(app.push().await, 0);
        let (problem, pause) = app.problem().await;
        assert!(problem.starts_with("localhost:") && problem.contains(expected), "{problem}");
        app.clock.advance(TimeDelta::seconds(pause + 1));
    }
    assert_eq!((app.push().await, app.standing().await.pushed_seq), (1, 2));
    let requests: Vec<Vec<i64>> = std::iter::from_fn(|| received.try_recv().ok()).collect();
    assert_eq!(requests, vec![vec![1, 2]; 4], "those with another certificate got nothing");
}

#[tokio::test]
async fn a_server_that_never_shows_a_certificate_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", silent.local_addr().unwrap().port());
    let mut app = TestApp::start_with(pushing_to(url.clone())).await;
    let mut pusher = trusting(&app, &Authority::new(), &url);
    pusher.endpoint.answer_within = Duration::from_millis(100);
    app.audit_push = Some(pusher);
    app.log(1).await;
    assert_eq!(app.push().await, 0);
    assert!(app.problem().await.0.contains("did not answer within"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_says_whom_to_trust() {
    let authority = Authority::new();
    let (url, mut received) = listen(vec![(authority.server("localhost"), "HTTP/1.1 204 No Content\r\n\r\n")]).await;
    let machine = Machine::new();
    machine.ok(&["feed", "add", "--name", "One"]);
    let mut command = machine.command(&["serve", "--listen", "127.0.0.1:0", "--audit-push-url", &url]);
    command.env("MEETING_MIRROR_SIGNING_KEYS", "a key").env("SSL_CERT_FILE", machine.file("ca.pem", &authority.pem));
    let server = Server::start(&mut command);
    let request = tokio::time::timeout(Duration::from_mins(1), received.recv()).await.unwrap().unwrap();
    assert_eq!(request, [1]);
    server.stop();
}
