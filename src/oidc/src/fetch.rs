//! Asking the provider, within bounds of time and size. Its address is the operator's, so it
//! may be in a private network.

use std::{error::Error, pin::Pin, time::Duration};

use http::{Request, Response};
use openidconnect::AsyncHttpClient;
use reqwest::redirect;
use thiserror::Error;

/// Longest time until a connection is made.
const CONNECT: Duration = Duration::from_secs(2);

/// Longest time for one question and its whole answer.
const ANSWER: Duration = Duration::from_secs(3);

/// Largest answer: a list of keys with their certificates has some ten KiB.
pub(crate) const LARGEST_ANSWER: usize = 256 << 10;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    #[error("{0}")]
    Unreachable(String),
    #[error("its answer has more than {LARGEST_ANSWER} bytes")]
    TooLarge,
}

/// What asks the provider. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client(reqwest::Client);

impl Client {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        // An error says that there is a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .no_proxy()
                .connect_timeout(CONNECT)
                .timeout(ANSWER)
        };
        // Without certificates of the system HTTPS says what is wrong.
        let http = builder().build().or_else(|_| builder().tls_certs_only([]).build())?;
        Ok(Self(http))
    }

    pub(crate) async fn ask(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, FetchError> {
        let request = reqwest::Request::try_from(request).map_err(unreachable)?;
        let mut answer = self.0.execute(request).await.map_err(unreachable)?;
        let mut shown = Response::new(Vec::new());
        *shown.status_mut() = answer.status();
        *shown.headers_mut() = std::mem::take(answer.headers_mut());
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if shown.body().len() + chunk.len() > LARGEST_ANSWER {
                return Err(FetchError::TooLarge);
            }
            shown.body_mut().extend_from_slice(&chunk);
        }
        Ok(shown)
    }

    /// The document at this address.
    pub(crate) async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let request = Request::get(url)
            .header(http::header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|why| FetchError::Unreachable(why.to_string()))?;
        let answer = self.ask(request).await?;
        match answer.status() {
            http::StatusCode::OK => Ok(answer.into_body()),
            status => Err(FetchError::Unreachable(format!("{url} answers {status}"))),
        }
    }
}

impl<'c> AsyncHttpClient<'c> for Client {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: Request<Vec<u8>>) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

/// The last cause says most: that nobody listens, that a name is not known, a certificate.
fn unreachable(error: reqwest::Error) -> FetchError {
    let place = error.url().map(|url| format!("{}: ", url.origin().ascii_serialization()));
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let cause =
        if error.is_timeout() { "it does not answer in time".into() } else { cause.to_string() };
    FetchError::Unreachable(format!("{}{cause}", place.unwrap_or_default()))
}
