//! What an order knows of other people's hands on its Deployment: what it wrote itself, so
//! that another value is somebody else's, and what it did about those. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Order, State, Step,
    intent::{Effect, Patch},
};

/// What an order wrote, and what it knows of others who write the same Deployment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Hands {
    /// `metadata.uid` of the Deployment that it wrote first; empty = it wrote none yet.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// What its writes left in the borrowed fields.
    pub written: Written,
    /// Who paused the Deployment in the middle of the order, which rests since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_by: Option<String>,
    /// How the order waited when that happened; none = it did not wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited: Option<State>,
    /// When a field was put back last, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub put_back: BTreeMap<String, Timestamp>,
    /// Whether somebody set `minReadySeconds` by hand, which counts for more than what the
    /// order was to set.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub min_ready_by_hand: bool,
    /// Since when it waits between two batches, if it was at work in between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Timestamp>,
    /// What was told last of others, for people; empty = nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub told: String,
}

/// The borrowed fields as an order wrote them; none = it did not write that one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Value>,
}

impl Written {
    /// The same once `patch` was made.
    #[must_use]
    pub fn after(&self, patch: &Patch) -> Self {
        Self {
            min_ready_seconds: patch.min_ready_seconds.or(self.min_ready_seconds),
            progress_deadline_seconds: patch
                .progress_deadline_seconds
                .or(self.progress_deadline_seconds),
            paused: patch.paused.or(self.paused),
            strategy: patch.strategy.clone().or_else(|| self.strategy.clone()),
        }
    }
}

impl Order {
    /// Whether the template that the Deployment has after `effect` is the order's. What a
    /// change finds that does not set it may be somebody else's.
    #[must_use]
    pub fn owns_template_after(&self, effect: &Effect) -> bool {
        effect.sets_template() || (self.template.is_none() && self.only_scales())
    }

    /// Whether nobody needs to hold it: it waits between two batches, or somebody paused its
    /// Deployment in the middle.
    #[must_use]
    pub fn rests(&self) -> bool {
        !self.state.is_final() && (self.step == Step::Paused || self.hands.paused_by.is_some())
    }

    /// How many pods of the new version there are when batch `index` (from 0) is done, out
    /// of `replicas` by now: the share that the plan gave it.
    #[must_use]
    pub fn planned(&self, index: usize, replicas: i32) -> i32 {
        let before = self.snapshot.as_ref().map(|snapshot| snapshot.replicas);
        let base = self.target.replicas.or(before).unwrap_or(replicas);
        self.strategy.share(index, replicas, base)
    }

    /// How many more batch `index` brings.
    #[must_use]
    pub fn planned_size(&self, index: usize, replicas: i32) -> i32 {
        let before = if index == 0 { 0 } else { self.planned(index - 1, replicas) };
        self.planned(index, replicas) - before
    }
}
