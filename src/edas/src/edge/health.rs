//! Whether the process lives, and whether it can serve.
//!
//! For supervisors and load balancers: no signature, no EDAS envelope.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Edge;

/// The answer of a health check.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `unavailable`.
    #[schema(example = "ok")]
    status: &'static str,
    /// What is missing; absent when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The process lives and answers.
///
/// Says nothing about the database or the cluster, so that a supervisor does not
/// restart a server that only waits for them.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "Health", security(()), responses((status = 200, description = "It lives.", body = Health)))]
pub async fn healthz() -> Json<Health> {
    Json(Health { status: "ok", reason: None })
}

/// Requests can be served to their end.
///
/// Database and cluster can be reached and an executor is at work.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "Health", security(()), responses(
    (status = 200, description = "Ready.", body = Health),
    (status = 503, description = "Not ready; `reason` says what is missing.", body = Health),
))]
pub async fn readyz(State(edge): State<Edge>) -> (StatusCode, Json<Health>) {
    match edge.service.readiness().await {
        Ok(()) => (StatusCode::OK, Json(Health { status: "ok", reason: None })),
        Err(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(Health { status: "unavailable", reason: Some(reason) }),
        ),
    }
}
