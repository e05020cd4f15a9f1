//! A client whose requests are counted, by what they ask for and what was answered, and are
//! spans of the trace of whoever sends them.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use kube::{Client, client::Body};
use tokio::time::Instant;
use tower::Service;
use tracing::{Instrument, Span, field::Empty};

/// Resources that are counted by their names, with those beneath an object; every other one
/// is `other`, so that there are never more.
const RESOURCES: &[&str] = &[
    "configmaps",
    "deployments",
    "deployments/scale",
    "events",
    "horizontalpodautoscalers",
    "ingresses",
    "limitranges",
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "pods",
    "pods/log",
    "priorityclasses",
    "replicasets",
    "resourcequotas",
    "runtimeclasses",
    "secrets",
    "serviceaccounts",
    "services",
];

/// `client`, counted. A request's time is that until its answer begins.
#[must_use]
pub fn counted(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    Client::new(Counted { client }, namespace)
}

#[derive(Clone)]
struct Counted {
    client: Client,
}

impl Service<Request<Body>> for Counted {
    type Response = Response<Body>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A client buffers its requests, and waits by itself.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = self.client.clone();
        let asked = Asked::of(request.method(), request.uri().path(), request.uri().query());
        // Here, and not when it is awaited: the queue of a client hands on in which span it is
        // called, and awaits it in none.
        let span = span_of(&request, &asked);
        let noted = span.clone();
        let sent = async move {
            let begun = Instant::now();
            let answer = client.send(request).await;
            let status = match &answer {
                Ok(response) => response.status().as_str().to_owned(),
                Err(_) => "none".to_owned(),
            };
            noted.record("status", &status);
            metrics::counter!("sluice_kubernetes_requests_total", "verb" => asked.verb, "resource" => asked.resource, "status" => status, "dry_run" => asked.dry_run).increment(1);
            metrics::histogram!("sluice_kubernetes_request_seconds", "verb" => asked.verb)
                .record(begun.elapsed());
            Ok(answer?)
        };
        Box::pin(sent.instrument(span))
    }
}

/// The span of a request: what it asks for and where, and nothing that it says. Those that
/// nobody's trace is about have none.
fn span_of(request: &Request<Body>, asked: &Asked) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    let (method, resource) = (request.method().as_str(), asked.resource);
    let namespace = namespace_of(request.uri().path());
    tracing::info_span!(
        "cluster_request",
        otel.name = format!("{method} {resource}"),
        method,
        resource,
        namespace,
        status = Empty
    )
}

/// The namespace that a path leads into.
fn namespace_of(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/namespaces/")?;
    rest.split_once('/').map(|(namespace, _)| namespace)
}

/// What a request asks for, in Kubernetes' words.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    verb: &'static str,
    resource: &'static str,
    /// Whether it is to change nothing, as a check before a release: `true` or `false`.
    dry_run: &'static str,
}

impl Asked {
    fn of(method: &Method, path: &str, query: Option<&str>) -> Self {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        // `/api/v1/…`, `/apis/apps/v1/…`; whatever else there is has no resources.
        let group = match parts.next() {
            Some("api") => parts.next(),
            Some("apis") => parts.next().and(parts.next()),
            _ => None,
        };
        let rest: Vec<&str> = group.map(|_| parts.take(6).collect()).unwrap_or_default();
        let rest = match rest.as_slice() {
            ["namespaces", _, inside @ ..] if !inside.is_empty() => inside,
            all => all,
        };
        let (resource, is_named) = match rest {
            [] => ("other", false),
            [resource] => (known(resource, None), false),
            [resource, _] => (known(resource, None), true),
            [resource, _, beneath, ..] => (known(resource, Some(beneath)), true),
        };
        let asks_for =
            |wanted: &str| query.is_some_and(|query| query.split('&').any(|pair| pair == wanted));
        let verb = match *method {
            Method::GET if asks_for("watch=true") => "watch",
            Method::GET if is_named || resource == "other" => "get",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "other",
        };
        // The API server knows no other value.
        let dry_run = if asks_for("dryRun=All") { "true" } else { "false" };
        Self { verb, resource, dry_run }
    }
}

fn known(resource: &str, beneath: Option<&str>) -> &'static str {
    let is_it = |known: &&&str| match beneath {
        None => **known == resource,
        Some(beneath) => known.split_once('/') == Some((resource, beneath)),
    };
    RESOURCES.iter().find(is_it).copied().unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/apis/apps/v1/namespaces/shop/deployments/web", Some("shop"))]
    #[case("/api/v1/namespaces/kube-system", None)]
    #[case("/api/v1/pods", None)]
    fn a_request_is_about_a_namespace_or_none(#[case] path: &str, #[case] of: Option<&str>) {
        assert_eq!(namespace_of(path), of);
    }

    #[rstest]
    #[case("GET", "/version", None, "get", "other")]
    #[case("GET", "/api/v1/pods", Some("limit=500"), "list", "pods")]
    #[case("GET", "/api/v1/pods", Some("watch=true&resourceVersion=1"), "watch", "pods")]
    #[case("GET", "/api/v1/namespaces/shop/pods/web-1/log", None, "get", "pods/log")]
    #[case("GET", "/api/v1/namespaces/kube-system", None, "get", "namespaces")]
    #[case("GET", "/api/v1/namespaces", None, "list", "namespaces")]
    #[case("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web", None, "patch", "deployments")]
    #[case("DELETE", "/api/v1/namespaces/shop/secrets/s", None, "delete", "secrets")]
    #[case("POST", "/apis/example.org/v1/namespaces/shop/things", None, "create", "other")]
    #[case("GET", "/apis/apps/v1/namespaces/shop/deployments/web/status", None, "get", "other")]
    #[case("GET", "/apis", None, "get", "other")]
    #[case("GET", "//", None, "get", "other")]
    fn a_request_is_counted_by_what_it_asks_for(
        #[case] method: Method,
        #[case] path: &str,
        #[case] query: Option<&str>,
        #[case] verb: &'static str,
        #[case] resource: &'static str,
    ) {
        assert_eq!(Asked::of(&method, path, query), Asked { verb, resource, dry_run: "false" });
    }

    #[rstest]
    #[case(Some("dryRun=All&fieldManager=sluice"), "true")]
    #[case(Some("fieldManager=dryRun=All"), "false")]
    #[case(Some("fieldManager=sluice"), "false")]
    #[case(None, "false")]
    fn a_dry_run_is_counted_apart(#[case] query: Option<&str>, #[case] dry_run: &'static str) {
        let path = "/apis/apps/v1/namespaces/shop/deployments/web";
        assert_eq!(Asked::of(&Method::PATCH, path, query).dry_run, dry_run);
    }
}
