//! An API server whose client is kept waiting: each write of Sluice to a chosen
//! application waits until the test says what becomes of it. So an executor can be
//! stopped before any write and after it, and another order can act meanwhile.

use std::{
    collections::HashMap,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use axum::body::Body;
use http::{Method, Request, Response};
use simulated::ApiServer;
use tokio::sync::{mpsc, oneshot};
use tower::Service;

use super::DEADLINE;

/// The API server. Clones hold the same writes.
#[derive(Clone)]
pub struct Held {
    server: ApiServer,
    holds: Arc<Mutex<HashMap<String, mpsc::UnboundedSender<Write>>>>,
}

impl Held {
    pub fn new(server: ApiServer) -> Self {
        Self { server, holds: Arc::default() }
    }

    /// Holds every write to this application from now on, until the answer is dropped.
    pub fn hold(&self, name: &str) -> Writes {
        let (sender, writes) = mpsc::unbounded_channel();
        self.holds.lock().unwrap().insert(name.into(), sender);
        Writes(writes)
    }

    /// Who holds this request: a patch of Sluice to a Deployment, or to one of its
    /// ReplicaSets, whose names are the Deployment's and a hash. A dry run is no write.
    fn holder<B>(&self, request: &Request<B>) -> Option<mpsc::UnboundedSender<Write>> {
        let ours = request.uri().query().is_some_and(|query| {
            query.contains("fieldManager=sluice") && !query.contains("dryRun=")
        });
        if request.method() != Method::PATCH || !ours {
            return None;
        }
        let parts: Vec<&str> = request.uri().path().split('/').collect();
        let name = match *parts.as_slice() {
            [.., "deployments", name] => name,
            [.., "replicasets", name] => name.rsplit_once('-')?.0,
            _ => return None,
        };
        self.holds.lock().unwrap().get(name).cloned()
    }
}

impl<B> Service<Request<B>> for Held
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
        let Some(holder) = self.holder(&request) else { return self.server.call(request) };
        let mut server = self.server.clone();
        Box::pin(async move {
            let ((go, told), (made, is_made), (answer, answered)) =
                (oneshot::channel(), oneshot::channel(), oneshot::channel());
            if holder.send(Write { go, made: is_made, answer }).is_err() {
                // Nobody holds it any more.
                return server.call(request).await;
            }
            let lost = |_| io::Error::other("the connection broke");
            told.await.map_err(lost)?;
            let response = server.call(request).await?;
            let _ = made.send(response.status().as_u16());
            answered.await.map_err(lost)?;
            Ok(response)
        })
    }
}

/// The writes to one application, as they come.
pub struct Writes(mpsc::UnboundedReceiver<Write>);

impl Writes {
    pub async fn next(&mut self) -> Write {
        let next = tokio::time::timeout(DEADLINE, self.0.recv()).await;
        next.expect("a write must come").expect("the server stays")
    }
}

/// A write that is not made yet. Dropped, its connection breaks. Whoever sent it
/// may have lost patience meanwhile: then nothing becomes of it.
pub struct Write {
    go: oneshot::Sender<()>,
    made: oneshot::Receiver<u16>,
    answer: oneshot::Sender<()>,
}

impl Write {
    /// Makes it.
    pub fn make(self) {
        let _ = self.go.send(());
        let _ = self.answer.send(());
    }

    /// Makes it, and holds the answer. Dropped, that one is lost.
    pub async fn make_unanswered(self) -> Unanswered {
        let _ = self.go.send(());
        let _ = self.made.await;
        Unanswered(self.answer)
    }

    /// Makes it, and says how it was answered; none where nobody waits for it any more.
    pub async fn made(self) -> Option<u16> {
        let _ = self.go.send(());
        let _ = self.answer.send(());
        self.made.await.ok()
    }
}

/// The answer to a write that was made.
pub struct Unanswered(oneshot::Sender<()>);

impl Unanswered {
    pub fn answer(self) {
        let _ = self.0.send(());
    }
}
