//! One request to the API server, within its time.

use std::time::Duration;

use kube::api::DynamicObject;
use serde_json::Value;

use super::{ClusterError, refusal};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn bounded<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Err(_) => Err(ClusterError::Transient(format!(
            "no answer within {} s",
            REQUEST_TIMEOUT.as_secs()
        ))),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(match status.code {
            404 => ClusterError::Gone,
            // Overload, time-outs, write conflicts and a credential that is being
            // renewed pass; every other refusal is meant.
            401 | 408 | 429 => ClusterError::Transient(status.message.clone()),
            409 if status.reason != "AlreadyExists" => {
                ClusterError::Transient(status.message.clone())
            }
            400..=499 => ClusterError::Refused(refusal::redact(&status.message)),
            _ => ClusterError::Transient(status.message.clone()),
        }),
        Ok(Err(error)) => Err(ClusterError::Transient(error.to_string())),
    }
}

pub(super) fn value(object: DynamicObject) -> Result<Value, ClusterError> {
    serde_json::to_value(object).map_err(|error| ClusterError::Transient(error.to_string()))
}
