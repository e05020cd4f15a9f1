//! A client whose credential is read again once the API server says that it does not count.
//!
//! A kubeconfig is replaced while the program runs: a token or a certificate was renewed. The
//! client that was made from the old one would be refused for ever.

use std::{
    error::Error,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use kube::{Client, client::Body};
use tokio::{sync::watch, time::Instant};
use tower::Service;

/// Shortest time between two readings.
const READ_EVERY: Duration = Duration::from_secs(1);

/// Makes a client from what the kubeconfig says now.
pub type Read =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Client, Box<dyn Error + Send + Sync>>> + Send + Sync>;

/// `first`, until its credential does not count; then what `read` makes. The request that
/// was refused stays so, and whoever made it tries it again.
#[must_use]
pub fn read_again(first: Client, read: Read) -> Client {
    let namespace = first.default_namespace().to_owned();
    let now = Arc::new(Mutex::new(Now { client: first, read_at: None }));
    Client::new(Renewing { now, read }, namespace)
}

/// What puts another client in the place of one, for whoever has a [`replaceable`] one.
#[derive(Clone)]
pub struct Replace(watch::Sender<Client>);

impl std::fmt::Debug for Replace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Replace")
    }
}

impl Replace {
    /// Every request from now on is made with this client. Watches go on until they end.
    pub fn with(&self, client: Client) {
        self.0.send_replace(client);
    }
}

/// A client that makes its requests with `first`, until another one takes its place.
#[must_use]
pub fn replaceable(first: Client) -> (Client, Replace) {
    let namespace = first.default_namespace().to_owned();
    let now = watch::Sender::new(first);
    (Client::new(Replaceable(now.subscribe()), namespace), Replace(now))
}

#[derive(Clone)]
struct Replaceable(watch::Receiver<Client>);

impl Service<Request<Body>> for Replaceable {
    type Response = Response<Body>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = self.0.borrow().clone();
        Box::pin(async move { Ok(client.send(request).await?) })
    }
}

struct Now {
    client: Client,
    read_at: Option<Instant>,
}

#[derive(Clone)]
struct Renewing {
    now: Arc<Mutex<Now>>,
    read: Read,
}

impl Renewing {
    fn client(&self) -> Client {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).client.clone()
    }

    /// Whether it is to be read now; at most one does so at a time.
    fn is_due(&self) -> bool {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = now.read_at.is_none_or(|at| at.elapsed() >= READ_EVERY);
        if is_due {
            now.read_at = Some(Instant::now());
        }
        is_due
    }

    async fn read(&self) {
        match (self.read)().await {
            Ok(client) => {
                tracing::info!("the credential does not count: the kubeconfig was read again");
                self.now.lock().unwrap_or_else(PoisonError::into_inner).client = client;
            }
            Err(error) => {
                tracing::warn!(%error, "the credential does not count, and the kubeconfig cannot be read again");
            }
        }
    }
}

impl Service<Request<Body>> for Renewing {
    type Response = Response<Body>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A client buffers its requests, and waits by itself.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let response = this.client().send(request).await?;
            if response.status() == StatusCode::UNAUTHORIZED && this.is_due() {
                this.read().await;
            }
            Ok(response)
        })
    }
}
