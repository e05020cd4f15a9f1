//! The fields of a Deployment beside its template that a release borrows.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::share::{self, Rounding};
use crate::{notation, template::names::BORROWED_SETTINGS_ANNOTATION};

/// The fields of a Deployment that Sluice borrows while an order runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BorrowedSettings {
    /// `spec.minReadySeconds`.
    pub min_ready_seconds: i32,
    /// `spec.progressDeadlineSeconds`.
    pub progress_deadline_seconds: i32,
    /// `spec.paused`.
    pub paused: bool,
    /// `spec.strategy`, whole.
    pub strategy: Value,
}

impl BorrowedSettings {
    /// The user's settings as kept on the Deployment `live` while Sluice borrows the fields.
    #[must_use]
    pub fn read_from(live: &Value) -> Option<Self> {
        notation::kept_json(live["metadata"]["annotations"][BORROWED_SETTINGS_ANNOTATION].as_str()?)
    }

    /// Pods above the desired number that a release in one batch may bring: what the
    /// Deployment's own strategy says.
    #[must_use]
    pub fn surge(&self, replicas: i32) -> i32 {
        if self.strategy["type"] == "Recreate" {
            return 0;
        }
        let surge = |value: &Value| share::pods(value, replicas, Rounding::Up);
        // Kubernetes' own default where nothing is said.
        surge(&self.strategy["rollingUpdate"]["maxSurge"])
            .or_else(|| surge(&json!("25%")))
            .unwrap_or(replicas)
    }
}
