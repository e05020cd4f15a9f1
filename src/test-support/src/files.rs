//! A server of packages on loopback, good ones and bad ones, for tests.
//!
//! The path says what happens (`/missing.jar`, `/slow.jar`, …). Every request is
//! remembered.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{
        Method, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::{net::TcpListener, task::JoinHandle};

/// What a good package holds.
pub const GOOD: &[u8] = b"PK\x03\x04 a good package";

/// Its checksums.
pub const GOOD_SHA256: &str = "5e8b5ce507026ce76f157a6f2c9b52cf076aa5a8e2c7df7916a4945ba40507a8";
pub const GOOD_MD5: &str = "8236eb7c2149245797379902c2705333";

pub struct Files {
    pub address: SocketAddr,
    asked: Asked,
    task: JoinHandle<()>,
}

type Asked = Arc<Mutex<Vec<String>>>;

impl Files {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Asked::default());
        let router = Router::new().fallback(answer).with_state(asked.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked, task }
    }

    /// The address of what lies under `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Method, path and query of every request so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(asked): State<Asked>, request: Request) -> Response {
    let (path, query) =
        (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    let before = {
        let mut asked = asked.lock().unwrap();
        let before = asked.iter().filter(|line| line.contains(&path)).count();
        asked.push(format!("{} {}", request.method(), request.uri()));
        before
    };
    let is_head = request.method() == Method::HEAD;
    match path.as_str() {
        "/missing.jar" => StatusCode::NOT_FOUND.into_response(),
        "/forbidden.jar" => StatusCode::FORBIDDEN.into_response(),
        "/teapot.jar" => StatusCode::IM_A_TEAPOT.into_response(),
        "/busy.jar" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/flaky.jar" if before == 0 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/flaky.jar" if before == 1 => StatusCode::TOO_MANY_REQUESTS.into_response(),
        // There once, and then no more.
        "/vanishing.jar" if before > 0 => StatusCode::NOT_FOUND.into_response(),
        // Answers GET alone, and the first byte of it if that is asked for.
        "/get-only.jar" | "/get-only-large.jar" if is_head => {
            StatusCode::METHOD_NOT_ALLOWED.into_response()
        }
        "/get-only-large.jar" if request.headers().contains_key(RANGE) => {
            (StatusCode::PARTIAL_CONTENT, [(CONTENT_RANGE, format!("bytes 0-0/{}", 3 << 20))], "P")
                .into_response()
        }
        // Signed for GET alone, as object stores do it.
        "/signed.jar" if is_head || query != "Signature=geheim" => {
            StatusCode::FORBIDDEN.into_response()
        }
        "/large.jar" => [(CONTENT_LENGTH, (3 << 20).to_string())].into_response().map_body(is_head),
        "/endless.jar" => Body::from_stream(stream::repeat_with(|| {
            Ok::<_, io::Error>(Bytes::from_static(&[0; 65536]))
        }))
        .into_response(),
        "/slow.jar" => {
            let first = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"PK"))]);
            Body::from_stream(first.chain(stream::pending())).into_response()
        }
        "/silent.jar" => std::future::pending().await,
        "/cut.jar" => {
            let parts =
                stream::iter([Ok(Bytes::from_static(b"PK")), Err(io::Error::other("cut off"))]);
            ([(CONTENT_LENGTH, "1000")], Body::from_stream(parts)).into_response()
        }
        "/redirect.jar" => (StatusCode::FOUND, [(LOCATION, decoded(&query))]).into_response(),
        "/loop.jar" => {
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/loop.jar?token=geheim")]).into_response()
        }
        "/nowhere.jar" => StatusCode::MOVED_PERMANENTLY.into_response(),
        _ => Bytes::from_static(GOOD).into_response(),
    }
}

fn decoded(query: &str) -> String {
    percent_encoding::percent_decode_str(query).decode_utf8().unwrap().into_owned()
}

trait MapBody {
    fn map_body(self, is_head: bool) -> Response;
}

impl MapBody for Response {
    /// The body that the head promises.
    fn map_body(self, is_head: bool) -> Response {
        let body = if is_head { Body::empty() } else { Body::from(vec![0; 3 << 20]) };
        self.map(|_| body)
    }
}
