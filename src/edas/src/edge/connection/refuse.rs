//! What is said to a connection for which there is no place.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};
use uuid::Uuid;

use super::place::NoPlace;
use crate::{edge::response, edge::security, wire::error::ApiError};

/// Connections that are told why at once; more are closed at once.
const MOST_TOLD: usize = 64;

/// How long that may take, until the client closes.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// Bytes that the client may send meanwhile, and that nobody looks at.
const MOST_DROPPED: usize = 64 << 10;

/// From one line in the log to the next.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// Seconds after which a refused client may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Connections that were refused.
#[derive(Debug)]
pub(in crate::edge::connection) struct Refused {
    telling: Semaphore,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    since: u64,
}

impl Default for Refused {
    fn default() -> Self {
        Self { telling: Semaphore::new(MOST_TOLD), said: Mutex::default() }
    }
}

impl Refused {
    /// Says why on `stream`, if there is one that can be read, and closes it.
    /// The request is not looked at.
    pub(in crate::edge::connection) async fn refuse(
        &self,
        stream: Option<TcpStream>,
        address: IpAddr,
        full: NoPlace,
    ) {
        self.log(address, full);
        let (Some(mut stream), Ok(_permit)) = (stream, self.telling.try_acquire()) else { return };
        let telling = async {
            stream.write_all(&answer(full).await).await?;
            stream.shutdown().await?;
            // What came and was not read would make the system take the answer back.
            let (mut dropped, mut bytes) = (0, [0; 1024]);
            while dropped < MOST_DROPPED {
                match stream.read(&mut bytes).await? {
                    0 => break,
                    read => dropped += read,
                }
            }
            std::io::Result::Ok(())
        };
        let _ = tokio::time::timeout(TOLD_WITHIN, telling).await;
    }

    /// One line for as many as there are in a while.
    fn log(&self, address: IpAddr, full: NoPlace) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.since += 1;
        if said.last.is_none_or(|last| last.elapsed() >= LOG_EVERY) {
            tracing::warn!(peer = %address, count = said.since, "connections are refused: {full}");
            *said = Said { last: Some(Instant::now()), since: 0 };
        }
    }
}

/// The refusal, as bytes of HTTP/1.1.
async fn answer(full: NoPlace) -> Vec<u8> {
    let error = match full {
        NoPlace::All => ApiError::unavailable(
            "The server has as many connections as it may have. Please try again.",
        ),
        NoPlace::OfPeer => ApiError::too_many_connections(RETRY_AFTER),
    };
    let id = Uuid::now_v7().hyphenated().to_string().to_uppercase();
    let response = security::guarded(response::failure(
        &error.after(RETRY_AFTER),
        &id,
        "",
        serde_json::Map::new(),
    ));
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut bytes = format!(
        "HTTP/1.1 {}\r\nconnection: close\r\ncontent-length: {}\r\n",
        parts.status,
        body.len()
    )
    .into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}
