//! An order in our own words: as it is now, and as it changes.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Path, State},
    http::header::{CONTENT_TYPE, HeaderName, HeaderValue},
    response::Response,
};
use bytes::Bytes;
use futures::stream;
use serde::Serialize;
use tokio::{
    sync::mpsc::{Sender, channel},
    time::{Instant, interval_at, sleep_until, timeout},
};
use utoipa::ToSchema;

use crate::{
    Edge,
    edge::call::Call,
    wire::{error::ApiError, reply::Reply},
};
use domain::{OrderId, Rejection, snapshot::Snapshot};
use service::{Service, Watch, WatchError};

/// Time between two looks at whether the key still holds, which end the silence of a stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a client may take to read what was written.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// How long a stream lasts at most; the client comes again.
const LONGEST: Duration = Duration::from_secs(3600);

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
pub async fn get(
    State(edge): State<Edge>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Reply<SnapshotReply>, ApiError> {
    let order = edge.service.snapshot(order(&id)?).await?;
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
pub async fn watch(
    State(edge): State<Edge>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, ApiError> {
    let watch = edge.service.watch_order(order(&id)?).await.map_err(|error| match error {
        WatchError::Rejected(rejection) => ApiError::from(rejection),
        other => ApiError::unavailable(&other.to_string()).after(Duration::from_secs(5)),
    })?;
    let (sender, receiver) = channel::<Bytes>(1);
    tokio::spawn(write(watch, edge.service.clone(), call.caller.key_id, sender));
    let events = stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|bytes| (Ok::<_, std::convert::Infallible>(bytes), receiver))
    });
    let mut response = Response::new(Body::from_stream(events));
    for (name, value) in
        [(CONTENT_TYPE, "text/event-stream"), (HeaderName::from_static("x-accel-buffering"), "no")]
    {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Writes a stream until the order, the server or the client's interest ends.
async fn write(mut watch: Watch, service: Service, key: String, to: Sender<Bytes>) {
    let end = Instant::now() + LONGEST;
    let send =
        async |bytes: Bytes| matches!(timeout(READ_WITHIN, to.send(bytes)).await, Ok(Ok(())));
    let mut looks = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    loop {
        tokio::select! {
            () = to.closed() => return,
            () = sleep_until(end) => return,
            _ = looks.tick() => {
                // What cannot be read now is read again at the next look.
                let holds = service.key(&key).await.map(|key| key.is_some_and(|key| key.enabled));
                if !holds.unwrap_or(true) || !send(Bytes::from_static(b": keep-alive\n\n")).await {
                    return;
                }
            }
            next = watch.next() => {
                let Some(shown) = next else { return };
                if !send(shown.event()).await {
                    return;
                }
                if shown.order.state.is_final() {
                    send(Bytes::from_static(b"event: done\ndata: {}\n\n")).await;
                    return;
                }
            }
        }
    }
}

fn order(id: &str) -> Result<OrderId, Rejection> {
    id.parse().map_err(|_| Rejection::UnknownOrder(id.chars().take(100).collect()))
}
