//! Around every request: its id, its span in the log, its time limit, and the
//! one place where failures are written out.
//!
//! Handlers and middleware further in only say *what* failed ([`ApiError`]);
//! here it gets the request's id and the operation's empty fields (R10). What
//! the framework itself refuses (unknown path or method) is answered in the
//! same form. Logs hold ids and code words, never parameters or credentials.

pub mod auth;
pub mod body;
pub mod call;
pub(crate) mod certificate;
pub mod connection;
pub(crate) mod docs;
pub(crate) mod document;
pub mod health;
pub mod line;
pub mod response;
pub(crate) mod security;
pub(crate) mod serve;
pub mod state;
pub mod throttle;
mod trace;

use std::time::{Duration, Instant};

use axum::{
    extract::{Request, State},
    http::{
        HeaderValue, Method,
        header::{CACHE_CONTROL, HOST},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    edge::{connection::Peer, trace::RequestTrace},
    wire::{contract, error::ApiError, params::Params},
};
use domain::{limits, rejection::shortened};
pub use state::{Edge, EdgeConfig};

/// Most bytes of a request line that are accepted (method, target, version and
/// line end): 64 KiB.
pub const LINE_LIMIT: usize = limits::LINE;

/// Most bytes of the target, so that the line stays within [`LINE_LIMIT`].
pub const TARGET_LIMIT: usize = limits::TARGET;

/// The response header with the request's id.
const REQUEST_ID_HEADER: &str = "x-acs-request-id";

/// A request's own id, as in the reply, the log and the events.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// That the request's peer sends too much. Such a call goes on only if it is signed with a
/// key that was proven lately: others may send from the same address.
#[derive(Debug, Clone)]
pub struct TooMany(pub ApiError);

/// Runs a request and writes out its failure, if it is one.
pub async fn answer(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().hyphenated().to_string().to_uppercase();
    let operation = contract::find(request.method(), request.uri().path());
    let name = operation.map_or("", |it| it.name.as_str());
    name_host(&mut request);
    let host = request
        .headers()
        .get(HOST)
        .map(|host| shortened(&String::from_utf8_lossy(host.as_bytes())))
        .unwrap_or_default();
    // What is asked for again and again, such as the health, is no trace.
    let trace = operation.map(|_| RequestTrace::of(request.headers()));
    let span = tracing::info_span!("request", request.id = %id, operation = name, key.id = tracing::field::Empty,
        trace.id = trace.map(|it| tracing::field::display(it.id())), span.id = trace.and_then(RequestTrace::span).map(tracing::field::display),
        parent.id = trace.and_then(|it| it.parent).map(tracing::field::display));
    request.extensions_mut().insert(RequestId(id.clone()));
    if let Some(trace) = trace {
        request.extensions_mut().insert(trace.own);
    }

    let work = async {
        let started = Instant::now();
        let response = match counted(&edge, &mut request, operation.is_some())
            .and_then(|()| too_long(&request))
        {
            Err(error) => error.into_response(),
            Ok(()) => match tokio::time::timeout(edge.settings.time_limit, next.run(request)).await
            {
                Ok(response) => response,
                Err(_) => {
                    tracing::error!(
                        limit_ms = edge.settings.time_limit.as_millis(),
                        "a request took longer than it may"
                    );
                    ApiError::unavailable("The server could not answer in time. Ask for the state before trying again.").into_response()
                }
            },
        };
        let error = error_of(&response).map(|error| error.of_operation(name));
        let code = error.as_ref().map_or("success", ApiError::label);
        count(operation.map_or("other", |it| it.name.as_str()), code, started.elapsed());
        let (status, duration_ms) = (response.status().as_u16(), started.elapsed().as_millis());
        if operation.is_some() {
            tracing::info!(status, code, duration_ms, "request answered");
        } else {
            // Health checks and the documentation's pages come often and mean little.
            tracing::debug!(status, code, duration_ms, "request answered");
        }
        match error {
            Some(error) => response::failure(
                &error,
                &id,
                &host,
                operation.map(contract::Operation::blank).unwrap_or_default(),
            ),
            None => response,
        }
    };
    let mut response = work.instrument(span).await;
    if operation.is_some() {
        // Two GETs change something, and a state that is polled is never the same.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID_HEADER, id);
    }
    response
}

/// Counts a request by its operation and by the code of its answer, of which there are few.
fn count(operation: &'static str, code: &str, took: Duration) {
    metrics::counter!("sluice_requests_total", "operation" => operation, "code" => code.to_owned())
        .increment(1);
    metrics::histogram!("sluice_request_seconds", "operation" => operation).record(took);
}

/// Lets a request in to what is served beside the API, if its peer may send another one.
/// One that may change something belongs to a trace.
pub async fn let_in(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    name_host(&mut request);
    let counted = counted(&edge, &mut request, false).and_then(|()| too_long(&request));
    match counted {
        Ok(()) if request.method() == Method::POST => {
            let trace = RequestTrace::of(request.headers());
            let span = tracing::info_span!("form", trace.id = %trace.id(), span.id = trace.span().map(tracing::field::display), parent.id = trace.parent.map(tracing::field::display));
            request.extensions_mut().insert(trace.own);
            next.run(request).instrument(span).await
        }
        Ok(()) => next.run(request).await,
        Err(error) => response::failure(&error, "", "", serde_json::Map::new()),
    }
}

/// HTTP/2 has the host in the target; signatures are checked on the header.
pub(super) fn name_host(request: &mut Request) {
    let authority = request
        .uri()
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(authority) = authority {
        request.headers_mut().entry(HOST).or_insert(authority);
    }
}

/// The failure that `response` stands for. Replies of the framework (no such
/// path, another method) carry none and have no body that a client could read.
fn error_of(response: &Response) -> Option<ApiError> {
    let carried = response.extensions().get::<ApiError>().cloned();
    match response.status().as_u16() {
        404 | 405 => carried.or_else(|| Some(ApiError::not_found())),
        _ => carried,
    }
}

/// The peer, which every connection tells its requests.
pub(super) fn peer_of(request: &Request) -> Result<Peer, ApiError> {
    request.extensions().get::<Peer>().copied().ok_or_else(|| {
        tracing::error!("a request came in by no connection: its peer is not known");
        ApiError::internal()
    })
}

/// Before anything of it is read: whether the peer may send another request. Of a call it is
/// noted if not.
fn counted(edge: &Edge, request: &mut Request, is_call: bool) -> Result<(), ApiError> {
    match edge.throttle.peer(peer_of(request)?) {
        Err(error) if is_call => {
            request.extensions_mut().insert(TooMany(error));
            Ok(())
        }
        counted => counted,
    }
}

/// A target above the limit, or one that [`mod@line`] has cut.
fn too_long(request: &Request) -> Result<(), ApiError> {
    let uri = request.uri();
    let length = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if length <= TARGET_LIMIT {
        return Ok(());
    }
    let longest = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .max_by_key(|pair| pair.len())
        .unwrap_or_default();
    // The end may be cut off in the middle of a character; what is shown of it is not.
    let (name, value) = longest.split_once('=').unwrap_or((longest, ""));
    let name = Params::parse(name)
        .ok()
        .and_then(|it| it.pairs().first().map(|(name, _)| name.clone()))
        .unwrap_or_default();
    let shown = format!("of {} bytes or more (not shown)", value.len());
    Err(ApiError::line_too_long(LINE_LIMIT, &name, &shown))
}
