//! Beneath `kube::Client`: every request to the API server is a point.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use http::{Method, Request, Response};
use simulated::ApiServer;
use tower::Service;

use super::seam::{Fate, Seam};

/// An executor's line to the API server.
#[derive(Clone)]
pub struct Line {
    server: ApiServer,
    seam: Arc<Seam>,
}

impl Line {
    pub fn new(server: ApiServer, seam: Arc<Seam>) -> Self {
        Self { server, seam }
    }
}

fn lost() -> io::Error {
    io::Error::other("the executor was stopped")
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
        match self.seam.meet(&name(&request)) {
            // Only a database has a disk.
            Fate::Passes | Fate::IsRefused => self.server.call(request),
            Fate::EndsBefore => {
                self.seam.end();
                Box::pin(std::future::ready(Err(lost())))
            }
            Fate::EndsAfter => {
                let (answered, seam) = (self.server.call(request), self.seam.clone());
                Box::pin(async move {
                    let _ = answered.await;
                    seam.end();
                    Err(lost())
                })
            }
        }
    }
}

/// What a request asks, without the names of objects.
fn name<B>(request: &Request<B>) -> String {
    let query = request.uri().query().unwrap_or_default();
    let parts: Vec<&str> = request.uri().path().split('/').filter(|it| !it.is_empty()).collect();
    let behind_version = match *parts.as_slice() {
        ["api", _, ..] => &parts[2..],
        ["apis", _, _, ..] => &parts[3..],
        _ => &parts[..],
    };
    let what = match *behind_version {
        ["namespaces", _, _, ..] => &behind_version[2..],
        _ => behind_version,
    };
    let verb = match *request.method() {
        Method::GET if query.contains("watch=") => "watch",
        Method::GET if what.len() == 1 && parts.len() > 1 => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "ask",
    };
    let manager = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("fieldManager="))
        .filter(|manager| *manager != "sluice");
    let by = manager.map(|manager| format!(" by {manager}")).unwrap_or_default();
    let dry = if query.contains("dryRun=") { " as a dry run" } else { "" };
    let resource = [what.first(), what.get(2)].into_iter().flatten().copied();
    format!("cluster: {verb} {}{by}{dry}", resource.collect::<Vec<_>>().join("/"))
}
