//! A collector for tests, which keeps what it gets; and two that do not answer as they should.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use edas::{Certificate, ConnectionSettings, Connections};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use test_support::authority::{Authority, Pair};
use tokio::net::TcpListener;

/// What came in.
#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    /// Of the program.
    resource: HashMap<String, String>,
    bodies: Vec<Bytes>,
    authorizations: Vec<String>,
}

#[derive(Clone)]
pub struct Collector {
    pub address: String,
    received: Arc<Mutex<Received>>,
}

impl Collector {
    /// One with a certificate of this authority for `localhost`, by HTTPS.
    pub async fn start_with_tls(authority: &Authority) -> Self {
        let received = Arc::<Mutex<Received>>::default();
        let router = router(received.clone());
        let (listener, _) = listen().await;
        let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let files = Pair::new(&authority.issue());
        let certificate = Certificate::load(files.certificate(), files.key()).await.unwrap();
        let connections = Connections::new(ConnectionSettings::default());
        tokio::spawn(async move {
            let _files = files;
            connections.serve_tls(listener, certificate, router, std::future::pending()).await
        });
        Self { address, received }
    }

    pub async fn start() -> Self {
        let received = Arc::<Mutex<Received>>::default();
        let router = router(received.clone());
        let (listener, address) = listen().await;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, received }
    }

    pub fn spans(&self) -> Vec<Span> {
        self.received.lock().unwrap().spans.clone()
    }

    pub fn resource(&self) -> HashMap<String, String> {
        self.received.lock().unwrap().resource.clone()
    }

    /// Whether a text is in any request.
    pub fn got(&self, text: &str) -> bool {
        let received = self.received.lock().unwrap();
        received.bodies.iter().any(|body| body.windows(text.len()).any(|it| it == text.as_bytes()))
    }

    pub fn authorizations(&self) -> Vec<String> {
        self.received.lock().unwrap().authorizations.clone()
    }
}

fn router(received: Arc<Mutex<Received>>) -> Router {
    Router::new().route("/v1/traces", post(receive)).with_state(received)
}

async fn receive(
    State(received): State<Arc<Mutex<Received>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
    let mut received = received.lock().unwrap();
    for of in request.resource_spans {
        received.resource.extend(attributes(&of.resource.unwrap().attributes));
        received.spans.extend(of.scope_spans.into_iter().flat_map(|of| of.spans));
    }
    received.bodies.push(body);
    let authorization = headers.get("authorization").map(|it| it.to_str().unwrap().to_owned());
    received.authorizations.extend(authorization);
    StatusCode::OK
}

/// Attributes, as text.
pub fn attributes(of: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|it| it.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    of.iter().map(|it| (it.key.clone(), text(it))).collect()
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// A collector that is asked and gives no spans back: how often it was.
pub struct Deaf {
    pub address: String,
    pub asked: Arc<AtomicUsize>,
}

impl Deaf {
    /// Each connection ends at once.
    pub async fn away() -> Self {
        Self::taking(drop).await
    }

    /// No connection ends, and none gets an answer.
    pub async fn hanging() -> Self {
        let held = Mutex::new(Vec::new());
        Self::taking(move |connection| held.lock().unwrap().push(connection)).await
    }

    async fn taking(take: impl Fn(tokio::net::TcpStream) + Send + 'static) -> Self {
        let (listener, address) = listen().await;
        let asked = Arc::<AtomicUsize>::default();
        let counted = asked.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                take(connection);
                counted.fetch_add(1, Relaxed);
            }
        });
        Self { address, asked }
    }
}
