//! An executor's own line to the API server, which can be held up: what it wants to write
//! waits, as in a program that the scheduler of its machine forgot.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use http::{Method, Request, Response};
use simulated::ApiServer;
use tokio::sync::watch;
use tower::Service;

/// What is behind the line.
#[derive(Clone)]
pub enum Server {
    Simulated(ApiServer),
    Real(kube::Client),
}

#[derive(Clone)]
pub struct Line {
    server: Server,
    /// How many writes wait, while it is held up.
    held: watch::Sender<Option<usize>>,
}

impl Line {
    pub fn new(server: Server) -> Self {
        Self { server, held: watch::Sender::new(None) }
    }

    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    pub fn hold(&self) {
        self.held.send_replace(Some(0));
    }

    pub fn go_on(&self) {
        self.held.send_replace(None);
    }

    /// Waits until a write is held.
    pub async fn holds_one(&self) {
        let _ = self.held.subscribe().wait_for(|held| held.is_none_or(|count| count > 0)).await;
    }
}

impl Server {
    async fn send(&mut self, request: Request<kube::client::Body>) -> io::Result<Response<Body>> {
        match self {
            Self::Simulated(server) => server.call(request).await,
            Self::Real(client) => {
                let answer = client.send(request).await.map_err(io::Error::other)?;
                Ok(answer.map(Body::new))
            }
        }
    }
}

impl Service<Request<kube::client::Body>> for Line {
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<Body>>> + Send>>;

    /// Both kinds of server take any number of requests.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let is_write = matches!(*request.method(), Method::PATCH | Method::DELETE | Method::POST)
            && !request.uri().query().unwrap_or_default().contains("dryRun=");
        let (mut server, held) = (self.server.clone(), self.held.clone());
        Box::pin(async move {
            if is_write {
                held.send_if_modified(|held| match held {
                    Some(count) => {
                        *count += 1;
                        true
                    }
                    None => false,
                });
                let _ = held.subscribe().wait_for(Option::is_none).await;
            }
            server.send(request).await
        })
    }
}
