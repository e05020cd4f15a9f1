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

#[derive(Clone)]
pub struct Line {
    server: ApiServer,
    /// How many writes wait, while it is held up.
    held: watch::Sender<Option<usize>>,
}

impl Line {
    pub fn new(server: ApiServer) -> Self {
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

impl<B> Service<Request<B>> for Line
where
    B: axum::body::HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<tower::BoxError>,
{
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<Body>>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Service::<Request<B>>::poll_ready(&mut self.server, context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_write = matches!(*request.method(), Method::PATCH | Method::DELETE | Method::POST)
            && !request.uri().query().unwrap_or_default().contains("dryRun=");
        if !is_write {
            return self.server.call(request);
        }
        let (mut server, held) = (self.server.clone(), self.held.clone());
        Box::pin(async move {
            held.send_if_modified(|held| match held {
                Some(count) => {
                    *count += 1;
                    true
                }
                None => false,
            });
            let _ = held.subscribe().wait_for(Option::is_none).await;
            server.call(request).await
        })
    }
}
