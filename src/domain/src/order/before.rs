//! The Deployment as it was before an order, and as an order leaves it that ends half way.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Order;
use crate::template::settings::BorrowedSettings;

/// The Deployment as it was before an order touched it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeploymentBefore {
    pub template: Value,
    pub replicas: i32,
    pub settings: BorrowedSettings,
    /// Who owned the fields of its spec, as [`crate::template::ownership::of_spec`] lists
    /// them; null = not known.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub owners: Value,
    /// `minReadySeconds` that an order had for itself, and left behind where it ended half way;
    /// none = it left that of these settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_min_ready: Option<i32>,
}

impl DeploymentBefore {
    /// `minReadySeconds` that the order left behind which ended half way.
    #[must_use]
    pub fn left_min_ready_seconds(&self) -> i32 {
        self.left_min_ready.unwrap_or(self.settings.min_ready_seconds)
    }
}

impl Order {
    /// `minReadySeconds` that the order has for itself, unless somebody set it by hand since.
    #[must_use]
    pub fn asked_min_ready_seconds(&self) -> Option<i32> {
        self.target.min_ready_seconds.filter(|_| !self.hands.min_ready_by_hand)
    }

    /// `before`, for the order that finds the Deployment as this one leaves it half way.
    #[must_use]
    pub fn leaves(&self, before: &DeploymentBefore) -> DeploymentBefore {
        DeploymentBefore { left_min_ready: self.asked_min_ready_seconds(), ..before.clone() }
    }
}
