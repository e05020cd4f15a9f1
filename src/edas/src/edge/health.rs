//! Whether the process lives, and whether it can serve.
//!
//! For supervisors and load balancers: no signature, no EDAS envelope.

use axum::{Json, extract::State, http::StatusCode};
use domain::cluster::health::shortcoming;
use serde::Serialize;
use service::Unready;
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
    /// Whether requests are answered that need only the database; absent of a process that is
    /// asked only whether it lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    reads: Option<bool>,
    /// Whether change orders are carried out now; absent likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    releases: Option<bool>,
    /// The clusters, where this server knows more than one; absent likewise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clusters: Vec<HealthOfCluster>,
    /// How many things somebody should look at although all is ready, such as rights on the
    /// cluster that are missing or too much; absent = none. The executors' logs say which.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1)]
    warnings: Option<usize>,
}

/// How it stands with a cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthOfCluster {
    /// Its id.
    #[schema(example = "default")]
    id: String,
    /// Whether change orders are carried out there now.
    releases: bool,
    /// Why not; absent when they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The process lives and answers.
///
/// Says nothing about the database or the cluster, so that a supervisor does not
/// restart a server that only waits for them.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "Health", security(()), responses((status = 200, description = "It lives.", body = Health)))]
pub async fn healthz() -> Json<Health> {
    Json(Health {
        status: "ok",
        reason: None,
        reads: None,
        releases: None,
        clusters: Vec::new(),
        warnings: None,
    })
}

/// Requests can be served to their end.
///
/// The database and a cluster can be reached, and an executor is at work there. Where a server
/// knows several clusters, `clusters` says which; one that is away keeps it from none of the others.
/// Without any, `reads` says that what needs only the database is answered all the same.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "Health", security(()), responses(
    (status = 200, description = "Ready.", body = Health),
    (status = 503, description = "Not ready; `reason` says what is missing.", body = Health),
))]
pub async fn readyz(State(edge): State<Edge>) -> (StatusCode, Json<Health>) {
    let (reads, reason, clusters) = match edge.service.health().await {
        Ok(clusters) => (true, shortcoming(&clusters), clusters),
        Err(Unready::Database(reason)) => (false, Some(reason.to_owned()), Vec::new()),
        Err(Unready::Cluster(reason)) => (true, Some(reason), Vec::new()),
    };
    // Whoever asks needs no key: the texts name namespaces and rights.
    let warnings = if reads { edge.service.warnings().await.len() } else { 0 };
    let warnings = Some(warnings).filter(|it| *it > 0);
    let (code, status) = match reason {
        None => (StatusCode::OK, "ok"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let releases = Some(reason.is_none());
    let shown = clusters.into_iter().map(|it| HealthOfCluster {
        id: it.id.to_string(),
        releases: it.trouble.is_none(),
        reason: it.trouble,
    });
    let mut clusters: Vec<HealthOfCluster> = shown.collect();
    if clusters.len() < 2 {
        clusters.clear();
    }
    (code, Json(Health { status, reason, reads: Some(reads), releases, clusters, warnings }))
}
