//! An order in our own words: as it is now, and as it changes.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    extract::Path,
    http::header::{CONTENT_TYPE, HeaderName, HeaderValue},
    response::Response,
};
use futures::StreamExt;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    wire::{error::ApiError, reply::Reply},
};
use domain::{OrderId, Rejection, snapshot::Snapshot};
use service::{EventForm, Shown, Viewer, WatchError};

const EVENTS: EventForm =
    EventForm { shown: Shown::event, done: b"event: done\ndata: {}\n\n", shut_out: b"" };

/// Reply of GetOrder.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SnapshotReply {
    /// The order: `id`, `application`, `kind`, `state`, `step`, `batches` with their `pods`, `timeline`, `actions`, and what `docs/command-line.md` lists besides.
    #[schema(value_type = Object)]
    pub order: Snapshot,
}

/// One event of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderEvent {
    /// `snapshot`, or `done` behind the last one.
    pub event: String,
    /// Of a snapshot, the order as GetOrder shows it, as JSON.
    pub data: String,
}

/// Shows an order in our own words.
///
/// Not in EDAS. With its application, batches, pods, last events, and what a person can
/// do now.
#[utoipa::path(
    get, path = "/sluice/v1/orders/{id}", operation_id = "GetOrder", tag = "Change orders",
    responses((status = 200, description = "The order.", body = Reply<SnapshotReply>))
)]
pub async fn get(Path(id): Path<String>, call: Call) -> Result<Reply<SnapshotReply>, ApiError> {
    let order = call.service.snapshot(order(&id)?).await?;
    Ok(call.success(SnapshotReply { order }))
}

/// Follows an order: one event with all of it now, and one whenever it changes.
///
/// Not in EDAS. The reply is a stream of server-sent events. `event: snapshot` has what
/// GetOrder shows as `order`; whoever reads slowly gets the newest and misses those before.
/// `event: done` follows the last one. A stream that ends without it is asked for again.
#[utoipa::path(
    get, path = "/sluice/v1/orders/{id}/watch", operation_id = "WatchOrder", tag = "Change orders",
    responses((status = 200, description = "The stream.", body = OrderEvent, content_type = "text/event-stream"))
)]
pub async fn watch(Path(id): Path<String>, call: Call) -> Result<Response, ApiError> {
    let viewer = Viewer { key_id: call.caller.key_id.clone(), session: None };
    let watch = call.service.watch_order(order(&id)?, &viewer).await;
    let watch = watch.map_err(|error| match error {
        WatchError::Rejected(rejection) => ApiError::from(rejection),
        other => ApiError::unavailable(&other.to_string()).after(Duration::from_secs(5)),
    })?;
    let events = watch.events(EVENTS).map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(events));
    for (name, value) in
        [(CONTENT_TYPE, "text/event-stream"), (HeaderName::from_static("x-accel-buffering"), "no")]
    {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

fn order(id: &str) -> Result<OrderId, Rejection> {
    id.parse().map_err(|_| Rejection::UnknownOrder(id.chars().take(100).collect()))
}
