//! One request to the collector. Of a collector that is away the log says so once, until it is
//! there again.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::redirect;
use tokio::runtime::Handle;

/// Longest time for a request.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Most bytes of an answer that are read.
const ANSWER: usize = 64 << 10;

/// A client of the collector. Its requests are made on the program's own threads, as the one
/// that waits for them has no runtime.
#[derive(Debug)]
pub(super) struct Collector {
    http: reqwest::Client,
    runtime: Handle,
    is_away: Arc<AtomicBool>,
}

impl Collector {
    pub(super) fn new() -> Result<Self> {
        // An error says that there is a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .no_proxy()
                .timeout(ANSWER_WITHIN)
        };
        // Without certificates of the system HTTPS says what is wrong.
        let http = builder().build().or_else(|_| builder().tls_certs_only([]).build());
        Ok(Self {
            http: http.context("--otlp-endpoint")?,
            runtime: Handle::current(),
            is_away: Arc::default(),
        })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (http, is_away) = (self.http.clone(), self.is_away.clone());
        let sent = self.runtime.spawn(async move {
            let answer = send(&http, request).await;
            note(&answer, &is_away);
            answer
        });
        sent.await?
    }
}

async fn send(
    http: &reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let mut answer =
        http.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
    let mut read = Vec::new();
    while let Some(more) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if read.len() + more.len() > ANSWER {
            return Err("the answer is too long".into());
        }
        read.extend_from_slice(&more);
    }
    let mut response = Response::new(Bytes::from(read));
    *response.status_mut() = answer.status();
    // How long it wants to be left alone is among them.
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

fn note(answer: &Result<Response<Bytes>, HttpError>, is_away: &AtomicBool) {
    let why = match answer {
        Ok(answer) if answer.status().is_success() => {
            if is_away.swap(false, Relaxed) {
                tracing::info!("traces are sent again");
            }
            return;
        }
        Ok(answer) => format!("it answers {}", answer.status()),
        Err(error) => in_full(error.as_ref()),
    };
    if !is_away.swap(true, Relaxed) {
        tracing::warn!(why, "traces cannot be sent; this is said once, until they can be");
    }
}

/// An error with what it comes from, which says more.
fn in_full(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
