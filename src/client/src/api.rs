//! Signed requests to a server, and what comes back.

use std::time::Duration;

use bytes::Bytes;
use domain::snapshot::Snapshot;
use edas::wire::signature::{Signer, query};
use futures::StreamExt;
use http::Method;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::{Position, Url};
use uuid::Uuid;

use crate::{End, Trouble};

/// Longest wait for a reply, or for the next part of one.
const REPLY_WITHIN: Duration = Duration::from_secs(30);

/// Largest reply, or event of a stream, that is read.
const MOST_BYTES: usize = 16 << 20;

/// A server, and the key to it.
#[derive(Debug)]
pub(crate) struct Api {
    http: reqwest::Client,
    pub(crate) endpoint: Url,
    pub(crate) signer: Signer,
}

impl Api {
    pub(crate) fn new(endpoint: Url, signer: Signer) -> Result<Self, Trouble> {
        // Another part of the program may have chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(REPLY_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| Trouble::unreachable(format!("no connection can be made: {error}")))?;
        Ok(Self { http, endpoint, signer })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        pairs: &[(&str, &str)],
    ) -> Result<reqwest::Response, Trouble> {
        let pairs: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut url = self.endpoint.clone();
        url.set_path(path);
        url.set_query((!pairs.is_empty()).then(|| query(&pairs)).as_deref());
        let host = self.endpoint[Position::BeforeHost..Position::AfterPort].to_owned();
        let now = (Timestamp::now(), Uuid::now_v7().to_string());
        let headers = self.signer.headers(&method, path, &pairs, &host, (now.0, &now.1));
        let headers = headers.map_err(|_| {
            Trouble::new(End::Usage, "the access key's id or the endpoint cannot stand in a header")
        })?;
        self.http.request(method, url).headers(headers).send().await.map_err(|error| {
            let why = if error.is_timeout() { "it does not answer in time" } else { "there is no connection" };
            Trouble::unreachable(format!(
                "{} cannot be reached: {why}. What became of the request is not known; `sluice order` shows it.",
                self.endpoint
            ))
        })
    }

    /// Calls an operation and returns its reply.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        pairs: &[(&str, &str)],
    ) -> Result<Value, Trouble> {
        let response = self.send(method, path, pairs).await?;
        let status = response.status().as_u16();
        let body = body(response).await?;
        let reply: Value = serde_json::from_slice(&body).map_err(|_| {
            Trouble::unreachable(format!(
                "{} answers with status {status} and no JSON: it is no Sluice",
                self.endpoint
            ))
        })?;
        if reply["Code"] == 200 {
            return Ok(reply);
        }
        let code = reply["Code"].as_str().unwrap_or_default();
        Err(Trouble::of_reply(status, code, reply["Message"].as_str().unwrap_or_default()))
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        pairs: &[(&str, &str)],
        field: &str,
    ) -> Result<T, Trouble> {
        let mut reply = self.call(Method::GET, path, pairs).await?;
        read(reply[field].take())
    }

    /// Follows an order.
    pub(crate) async fn watch(&self, order: &str) -> Result<Events, Trouble> {
        let path = format!("/sluice/v1/orders/{order}/watch");
        let response = self.send(Method::GET, &path, &[]).await?;
        let kind = response.headers().get("content-type").map(|it| it.as_bytes().to_owned());
        if kind.as_deref() == Some(b"text/event-stream") {
            return Ok(Events {
                parts: response.bytes_stream().boxed(),
                text: Vec::new(),
                searched: 0,
            });
        }
        let status = response.status().as_u16();
        let body = body(response).await?;
        let reply: Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = reply["Message"].as_str().unwrap_or("the stream has no events");
        Err(Trouble::of_reply(status, reply["Code"].as_str().unwrap_or_default(), message))
    }
}

/// A reply's body, as far as one of Sluice can be.
async fn body(response: reqwest::Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    let mut parts = response.bytes_stream();
    while let Some(part) = parts.next().await {
        body.extend_from_slice(&part.map_err(|_| Trouble::unreachable("the reply broke off"))?);
        if body.len() > MOST_BYTES {
            return Err(Trouble::unreachable("the reply is too large to be one of Sluice"));
        }
    }
    Ok(body)
}

/// What a server of another version writes may be more, but not less.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Trouble> {
    serde_json::from_value(value).map_err(|error| {
        Trouble::unreachable(format!("the reply is not understood ({error}): is the server older?"))
    })
}

/// A stream of server-sent events.
pub(crate) struct Events {
    parts: futures::stream::BoxStream<'static, Result<Bytes, reqwest::Error>>,
    text: Vec<u8>,
    /// Bytes at the beginning of `text` in which no event ends.
    searched: usize,
}

impl Events {
    /// The next snapshot; none = the stream ended or broke off.
    pub(crate) async fn next(&mut self) -> Result<Option<Snapshot>, Trouble> {
        loop {
            let ends = |text: &[u8]| text.windows(2).position(|two| two == b"\n\n");
            while let Some(end) = ends(&self.text[self.searched..]) {
                let event: Vec<u8> = self.text.drain(..self.searched + end + 2).collect();
                self.searched = 0;
                if let Some(data) = data(&String::from_utf8_lossy(&event)) {
                    let value = serde_json::from_str(data)
                        .map_err(|_| Trouble::unreachable("an event of the stream is no JSON"))?;
                    return read(value).map(Some);
                }
            }
            self.searched = self.text.len().saturating_sub(1);
            match self.parts.next().await {
                Some(Ok(part)) if self.text.len() + part.len() <= MOST_BYTES => {
                    self.text.extend_from_slice(&part);
                }
                _ => return Ok(None),
            }
        }
    }
}

/// What an event has, if it is a snapshot.
fn data(event: &str) -> Option<&str> {
    event.strip_prefix("event: snapshot\ndata: ").map(str::trim_end)
}

/// Clusters of a server that are looked at.
const MOST_CLUSTERS: usize = 100;

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ready {
    /// What it lacks to serve requests to their end; none = nothing.
    pub(crate) missing: Option<String>,
    /// By how many seconds its clock is ahead of ours.
    pub(crate) skew: Option<i64>,
    /// How many things its executors warn of.
    pub(crate) warnings: u64,
    /// The clusters where nothing is released now, and why, where it knows several.
    pub(crate) away: Vec<(String, String)>,
}

impl Api {
    /// Whether the server is ready, and what its clock says.
    pub(crate) async fn is_ready(&self) -> Result<Ready, Trouble> {
        let response = self.send(Method::GET, "/readyz", &[]).await?;
        let date = response.headers().get("date").and_then(|it| it.to_str().ok());
        let at = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
        let skew = at.map(|at| at.timestamp().as_second() - Timestamp::now().as_second());
        let is_ready = response.status().is_success();
        let said: Value = serde_json::from_slice(&body(response).await?).unwrap_or_default();
        let Some("ok" | "unavailable") = said["status"].as_str() else {
            return Err(Trouble::unreachable(format!("{} is no Sluice", self.endpoint)));
        };
        let text = |value: &Value| -> String {
            value.as_str().unwrap_or_default().chars().take(500).collect()
        };
        let away = said["clusters"].as_array().into_iter().flatten().take(MOST_CLUSTERS);
        let away = away.filter(|it| it["releases"] == false);
        let away = away.map(|it| (text(&it["id"]), text(&it["reason"]))).collect();
        let reason = said["reason"].as_str().unwrap_or("it does not say why");
        Ok(Ready {
            missing: (!is_ready).then(|| reason.chars().take(500).collect()),
            skew,
            warnings: said["warnings"].as_u64().unwrap_or_default(),
            away,
        })
    }
}
