//! Connections over sockets: which of them end, and which are answered.

mod time;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    http::Request,
    routing::{get, post},
};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::Certificate;
use test_support::authority::{Authority, Pair};

const DEADLINE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);
/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(600);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Every time is so long that a test would fail.
fn patient() -> ConnectionSettings {
    ConnectionSettings {
        times: Times { handshake: LONG, head: LONG, idle: LONG, reply: LONG },
        ..ConnectionSettings::default()
    }
}

fn times(change: impl FnOnce(&mut Times)) -> ConnectionSettings {
    let mut settings = patient();
    change(&mut settings.times);
    settings
}

/// What handlers of these tests wait for.
#[derive(Debug, Default)]
struct Signals {
    begun: Notify,
    go_on: Notify,
}

struct Running {
    address: SocketAddr,
    connections: Connections,
    signals: Arc<Signals>,
    authority: Authority,
}

impl Running {
    fn router(signals: &Arc<Signals>) -> Router {
        let waiting = signals.clone();
        // Its sender counts as known.
        let slow = async move |request: Request<Body>| {
            prove(request.extensions()).unwrap();
            waiting.begun.notify_one();
            waiting.go_on.notified().await;
            "in hand"
        };
        let reading = signals.clone();
        let body = async move |body: Body| {
            reading.begun.notify_one();
            axum::body::to_bytes(body, 1 << 20)
                .await
                .map_or_else(|_| "cut off".into(), |body| format!("{} bytes", body.len()))
        };
        Router::new()
            .route("/body", post(body))
            .route(
                "/",
                get(async |Extension(peer): Extension<Peer>| {
                    format!("{} {:?}", peer.address, peer.way)
                }),
            )
            .route("/slow", get(slow))
            .route("/large", get(async || Body::from(vec![b'x'; 64 << 20])))
    }

    async fn start(settings: ConnectionSettings) -> Self {
        Self::start_on(Connections::new(settings)).await
    }

    async fn start_on(connections: Connections) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, signals) = (listener.local_addr().unwrap(), Arc::default());
        tokio::spawn(connections.clone().serve(
            listener,
            Self::router(&signals),
            std::future::pending(),
        ));
        Self { address, connections, signals, authority: Authority::new() }
    }

    async fn start_tls(settings: ConnectionSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, connections, signals) =
            (listener.local_addr().unwrap(), Connections::new(settings), Arc::default());
        let authority = Authority::new();
        let pair = Pair::new(&authority.issue());
        let certificate = Certificate::load(pair.certificate(), pair.key()).await.unwrap();
        tokio::spawn(connections.clone().serve_tls(
            listener,
            certificate,
            Self::router(&signals),
            std::future::pending(),
        ));
        Self { address, connections, signals, authority }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// From another address of this machine.
    async fn connect_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn connect_tls(&self, protocol: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config = builder
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        connector
            .connect(ServerName::try_from("localhost").unwrap(), self.connect().await)
            .await
            .unwrap()
    }

    /// A connection with a request in hand whose sender is known.
    async fn slow(&self) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        self.signals.begun.notified().await;
        stream
    }

    async fn until_count(&self, wanted: usize) {
        let deadline = Instant::now() + DEADLINE;
        while self.connections.count() != wanted {
            assert!(
                Instant::now() < deadline,
                "{} connections instead of {wanted}",
                self.connections.count()
            );
            tokio::task::yield_now().await;
        }
    }
}

/// One reply with a Content-Length: head and body.
async fn reply(stream: &mut (impl AsyncRead + Unpin)) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) =
            bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
        {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .unwrap()
                .parse()
                .unwrap();
            if bytes.len() >= end + length {
                return (head, String::from_utf8(bytes[end..end + length].to_vec()).unwrap());
            }
        }
        let read = timeout(DEADLINE, stream.read_buf(&mut bytes)).await.unwrap().unwrap();
        assert!(
            read > 0,
            "the connection ended before the reply: {}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

async fn answered(stream: &mut (impl AsyncRead + tokio::io::AsyncWrite + Unpin)) -> String {
    stream.write_all(GET).await.unwrap();
    reply(stream).await.1
}

/// Waits for the end that the server makes, by closing or by breaking off.
async fn ends(mut stream: impl AsyncRead + Unpin) {
    let mut rest = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("the connection stays");
}

#[tokio::test]
async fn a_peer_cannot_take_all_connections_and_is_told_so() {
    let running = Running::start(ConnectionSettings { most_of_peer: 2, ..patient() }).await;
    let (mut first, second) = (running.slow().await, running.slow().await);
    let mut refused = running.connect().await;
    refused.write_all(GET).await.unwrap();
    let (head, body) = reply(&mut refused).await;
    assert!(
        head.starts_with("HTTP/1.1 503 ")
            && head.contains("\r\nretry-after: 1\r\n")
            && head.contains("connection: close"),
        "{head}"
    );
    assert!(head.contains("\r\nx-content-type-options: nosniff\r\n"), "{head}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["Code"], "Throttling");
    for field in ["Message", "RequestId", "HostId", "Recommend"] {
        assert!(body[field].is_string(), "{body}");
    }
    ends(refused).await;

    assert!(answered(&mut running.connect_from("127.0.0.2").await).await.starts_with("127.0.0.2 "));
    running.signals.go_on.notify_one();
    assert_eq!(reply(&mut first).await.1, "in hand");
    drop((first, second));
    running.until_count(0).await;
    answered(&mut running.connect().await).await;
}

#[tokio::test]
async fn half_open_connections_do_not_keep_a_new_one_out() {
    let running = Running::start(ConnectionSettings { most: 3, ..patient() }).await;
    let oldest = running.connect().await;
    running.until_count(1).await;
    let _others = [running.connect().await, running.connect().await];
    running.until_count(3).await;
    assert!(!answered(&mut running.connect().await).await.is_empty());
    ends(oldest).await;
    assert!(running.connections.count() <= 3);
}

#[tokio::test]
async fn requests_whose_bodies_never_come_do_not_keep_a_new_connection_out() {
    let running = Running::start(ConnectionSettings { most: 3, ..patient() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = running.connect().await;
        stream
            .write_all(b"POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
            .await
            .unwrap();
        running.signals.begun.notified().await;
        held.push(stream);
    }
    assert!(answered(&mut running.connect().await).await.starts_with("127.0.0.1 "));
    ends(held.remove(0)).await;
}

#[tokio::test]
async fn a_peer_with_all_its_connections_gets_another_in_place_of_one_that_it_does_not_use() {
    let running = Running::start(ConnectionSettings { most_of_peer: 2, ..patient() }).await;
    let mut idle = running.connect().await;
    answered(&mut idle).await;
    let mut half_open = running.connect().await;
    half_open.write_all(&GET[..20]).await.unwrap();
    running.until_count(2).await;
    for _ in 0..3 {
        assert!(answered(&mut running.connect().await).await.starts_with("127.0.0.1 "));
    }
    assert!(running.connections.count() <= 2);
}

#[tokio::test]
async fn long_heads_that_never_end_make_room_for_each_other_and_not_for_short_ones() {
    let mut connections = Connections::new(patient());
    connections.places = Arc::new(Places::new(100, 100, 300 << 10));
    let running = Running::start_on(connections).await;
    let mut short = running.connect().await;
    short.write_all(&GET[..20]).await.unwrap();
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(80 << 10));
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut stream = running.connect().await;
        stream.write_all(long.as_bytes()).await.unwrap();
        held.push(stream);
    }
    ends(held.remove(0)).await;
    let mut whole = running.connect().await;
    whole.write_all(long.as_bytes()).await.unwrap();
    whole.write_all(b"\r\n\r\n").await.unwrap();
    assert!(reply(&mut whole).await.1.starts_with("127.0.0.1 "), "the newest is answered");
    // Of 300 KiB each head has 64 KiB or more.
    let deadline = Instant::now() + DEADLINE;
    while running.connections.count() > 6 {
        assert!(Instant::now() < deadline, "{} connections", running.connections.count());
        tokio::task::yield_now().await;
    }
    short.write_all(&GET[20..]).await.unwrap();
    assert!(reply(&mut short).await.1.starts_with("127.0.0.1 "));
}

#[tokio::test]
async fn a_handshake_makes_room_too() {
    let running = Running::start_tls(ConnectionSettings { most: 1, ..patient() }).await;
    let silent = running.connect().await;
    running.until_count(1).await;
    answered(&mut running.connect_tls("http/1.1").await).await;
    ends(silent).await;
}

#[tokio::test]
async fn known_requests_in_hand_are_not_ended_for_a_new_connection() {
    let running = Running::start(ConnectionSettings { most: 1, ..patient() }).await;
    let mut busy = running.slow().await;
    let mut refused = running.connect().await;
    let (head, body) = reply(&mut refused).await;
    assert!(
        head.starts_with("HTTP/1.1 503 ") && body.contains("\"ServiceUnavailable\""),
        "{head}{body}"
    );
    running.signals.go_on.notify_one();
    assert_eq!(reply(&mut busy).await.1, "in hand");
}

#[tokio::test]
async fn a_proxy_that_is_not_trusted_names_no_peer_and_its_clients_are_not_here() {
    let forwarded = b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n";
    let ask = async |running: &Running, from: &str| {
        let mut stream = running.connect_from(from).await;
        stream.write_all(forwarded).await.unwrap();
        reply(&mut stream).await.1
    };
    let running = Running::start(ConnectionSettings {
        proxies: vec!["127.0.0.2/32".parse().unwrap()],
        ..patient()
    })
    .await;
    assert_eq!(ask(&running, "127.0.0.3").await, "127.0.0.3 Plain");
    assert_eq!(ask(&running, "127.0.0.2").await, "203.0.113.9 Tls");
}

#[tokio::test]
async fn a_trusted_proxy_has_no_limit_as_a_peer() {
    let proxies = vec!["127.0.0.2/32".parse().unwrap()];
    let running =
        Running::start(ConnectionSettings { most_of_peer: 1, proxies, ..patient() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = running.connect_from("127.0.0.2").await;
        answered(&mut stream).await;
        held.push(stream);
    }
    assert_eq!(running.connections.count(), 3);
}
