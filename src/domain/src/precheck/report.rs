//! What came out of the checks before a release, and the plan that they were made for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::preview::PreviewBatch;

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The Deployment, its strategy and its number of pods, against the batches.
    Deployment,
    /// What Sluice may do on the cluster.
    Rights,
    /// What the caller may ask for of the pod template.
    Guardrails,
    /// ConfigMaps, Secrets, claims and the service account that the template names.
    References,
    /// Volumes that only one node or pod may have.
    Volumes,
    Quota,
    /// Nodes for pods that must be apart.
    Placement,
    DisruptionBudget,
    /// The release's first write, tried without being made.
    Admission,
    /// One of its pods, tried without being made: limit ranges, pod security, webhooks.
    PodAdmission,
    Autoscaler,
    Readiness,
    /// A drain before pods go.
    Drain,
    /// What of the pod template is replaced, or may not come as it is meant.
    Template,
}

impl Subject {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 14] = [
        Self::Deployment,
        Self::Rights,
        Self::Guardrails,
        Self::References,
        Self::Volumes,
        Self::Quota,
        Self::Placement,
        Self::DisruptionBudget,
        Self::Admission,
        Self::PodAdmission,
        Self::Autoscaler,
        Self::Readiness,
        Self::Drain,
        Self::Template,
    ];

    /// Its name, as callers see it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::Rights => "Rights",
            Self::Guardrails => "Guardrails",
            Self::References => "References",
            Self::Volumes => "Volumes",
            Self::Quota => "Quota",
            Self::Placement => "Placement",
            Self::DisruptionBudget => "DisruptionBudget",
            Self::Admission => "Admission",
            Self::PodAdmission => "PodAdmission",
            Self::Autoscaler => "Autoscaler",
            Self::Readiness => "Readiness",
            Self::Drain => "Drain",
            Self::Template => "Template",
        }
    }
}

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Nothing stands in the way.
    Passed,
    /// It could not be looked at; nothing follows.
    Unseen,
    /// The release can work, and somebody should know this.
    Warned,
    /// The release cannot work.
    Refused,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub subject: Subject,
    pub finding: Finding,
    /// Why, and what can be done; empty where it passed.
    pub reason: String,
}

/// What a release would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasePlan {
    /// Number of pods when it is done.
    pub replicas: i32,
    /// Most pods there are at once, of both versions.
    pub peak_pods: i32,
    /// Pods that may be missing at once; 0 where new pods come first.
    pub max_unavailable: i32,
    pub batches: Vec<PreviewBatch>,
    /// Seconds that it is likely to take without those in which a person is waited
    /// for; none where nothing is known of earlier releases.
    pub expected_seconds: Option<i64>,
    /// Another one where the release would do something else.
    pub hash: String,
}

/// What came out of all checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrecheckReport {
    /// One check for each subject that applies, in the order of [`Subject::ALL`].
    pub checks: Vec<Check>,
    /// What would be done; none where that could not be told.
    pub plan: Option<ReleasePlan>,
    /// Desired number of pods on the cluster now; none where there is no Deployment.
    #[serde(default)]
    pub replicas: Option<i32>,
    /// Whether the one thing missing is room for more pods than the desired number.
    pub lacks_room: bool,
    /// What an application to be created finds in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<Existing>,
}

/// A Deployment that is there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Existing {
    pub uid: String,
    pub template: Value,
    pub replicas: i32,
    /// Its `minReadySeconds`.
    pub min_ready_seconds: i32,
    /// The object that controls it, as kind and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
}

impl PrecheckReport {
    /// That a release cannot work, for this reason alone.
    #[must_use]
    pub fn refused(subject: Subject, reason: String) -> Self {
        Self {
            checks: vec![Check { subject, finding: Finding::Refused, reason }],
            plan: None,
            replicas: None,
            lacks_room: false,
            existing: None,
        }
    }

    /// The first check that says that the release cannot work.
    #[must_use]
    pub fn refusal(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.finding == Finding::Refused)
    }
}
