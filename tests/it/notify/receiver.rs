//! A receiver on this machine, which answers as it is told to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::support::eventually;

#[derive(Debug, Clone)]
pub enum Answer {
    Status(u16),
    /// 429, and so many seconds to wait.
    Rest(u64),
    Body(&'static str),
    Redirect(String),
    /// No answer.
    Hang,
}

#[derive(Debug, Clone)]
pub struct Received {
    headers: HeaderMap,
    query: HashMap<String, String>,
    raw: Bytes,
    pub body: Value,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn query(&self, name: &str) -> &str {
        &self.query[name]
    }

    /// Verifies the signature as a receiver does that knows the specification and nothing
    /// of what sends.
    pub fn verify(&self, secret: &str) {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let head = format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp"));
        let signed = [head.as_bytes(), &self.raw].concat();
        let wanted = format!("v1,{}", STANDARD.encode(hmac(&key, &signed)));
        let signatures = self.header("webhook-signature");
        assert!(signatures.split(' ').any(|it| it == wanted), "{signatures} is not {wanted}");
        let at: i64 = self.header("webhook-timestamp").parse().unwrap();
        let now = jiff::Timestamp::now().as_second();
        assert!((now - 300..=now + 5).contains(&at), "{at} at {now}");
    }
}

/// HMAC-SHA256 of RFC 2104, with a key of at most a block.
pub fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let padded = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

#[derive(Debug)]
struct Inside {
    answer: Mutex<Answer>,
    received: Mutex<Vec<Received>>,
}

#[derive(Debug)]
pub struct Receiver {
    pub url: String,
    inside: Arc<Inside>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub async fn start() -> Self {
        let inside = Arc::new(Inside {
            answer: Mutex::new(Answer::Status(200)),
            received: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(receive)).with_state(inside.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, inside, task }
    }

    pub fn answers(&self, answer: Answer) {
        *self.inside.answer.lock().unwrap() = answer;
    }

    pub fn stop(&self) {
        self.task.abort();
    }

    pub fn requests(&self) -> Vec<Received> {
        self.inside.received.lock().unwrap().clone()
    }

    /// What came, once there are so many.
    pub async fn requests_when(&self, many: usize) -> Vec<Received> {
        eventually(async || {
            let requests = self.requests();
            if requests.len() >= many { Ok(requests) } else { Err(format!("{requests:#?}")) }
        })
        .await
    }

    pub async fn bodies_when(&self, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually(async || {
            let bodies: Vec<Value> = self.requests().into_iter().map(|it| it.body).collect();
            if fits(&bodies) { Ok(bodies) } else { Err(format!("{bodies:#?}")) }
        })
        .await
    }
}

async fn receive(
    State(inside): State<Arc<Inside>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    raw: Bytes,
) -> Response {
    let body = serde_json::from_slice(&raw).unwrap();
    inside.received.lock().unwrap().push(Received { headers, query, raw, body });
    let answer = inside.answer.lock().unwrap().clone();
    match answer {
        Answer::Status(204) => StatusCode::NO_CONTENT.into_response(),
        Answer::Status(status) => {
            (StatusCode::from_u16(status).unwrap(), "out of order").into_response()
        }
        Answer::Rest(seconds) => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())])
                .into_response()
        }
        Answer::Body(text) => text.into_response(),
        Answer::Redirect(to) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()
        }
        Answer::Hang => std::future::pending().await,
    }
}
