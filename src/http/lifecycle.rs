//! Operating an application beside its releases: ScaleK8sApplication.
//!
//! Each answers with a change order, which is followed as a release is.

use axum::extract::State;

use super::{
    Edge,
    call::Call,
    deploy::{LONGEST_BATCH, MOST_REPLICAS, OrderReply},
    error::ApiError,
    reply::Reply,
};
use crate::{domain::OrderId, service::Scale};

/// Changes the number of instances.
///
/// The order is done when exactly so many instances are there and ready. One that
/// fails says which instance cannot start, and leaves those that run; nothing is
/// taken back by itself. AbortAndRollbackChangeOrder brings the number before back.
#[utoipa::path(
    put, path = "/pop/v5/k8s/acs/k8s_apps", operation_id = "ScaleK8sApplication", tag = "Applications",
    params(
        ("AppId" = String, Query, description = "The application's id."),
        ("Replicas" = i32, Query, minimum = 0, maximum = 100000, description = "Number of instances.", example = 4),
        ("Timeout" = Option<i64>, Query, minimum = 1, maximum = 604800, description = "Seconds until the order has failed; the server's setting for a batch if absent."),
    ),
    responses((status = 200, description = "Accepted.", body = Reply<OrderReply>))
)]
pub async fn scale(State(edge): State<Edge>, call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let application = call.application()?;
    call.params.required("Replicas")?;
    let replicas = call.params.integer("Replicas", 0..=MOST_REPLICAS)?.unwrap_or_default();
    let request = Scale { application, replicas, timeout_seconds: call.params.integer("Timeout", 1..=LONGEST_BATCH)? };
    let order = edge.service.scale(&call.caller, request).await?;
    Ok(ordered(&call, order))
}

fn ordered(call: &Call, order: OrderId) -> Reply<OrderReply> {
    call.success(OrderReply { change_order_id: order.to_string() })
}
