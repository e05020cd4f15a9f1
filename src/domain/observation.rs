//! What the cluster shows of one application at one moment.
//!
//! Built from watches by `cluster`, judged by [`super::machine`]. Plain data.
//! "New" means of the template that the Deployment has now, whichever version
//! that is; during a rollback the version that returns is the new one.

use jiff::Timestamp;
use serde_json::Value;

use super::order::Settings;

/// One application, as seen through the watches.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// The watches have not delivered a first state yet.
    Unknown,
    /// There is no such Deployment.
    Absent,
    /// The Deployment and its pods.
    Present(Box<DeploymentView>),
}

/// A Deployment with its ReplicaSets and pods.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentView {
    /// `metadata.resourceVersion` as a number.
    pub resource_version: u64,
    /// Whether the Deployment controller has seen the newest spec.
    pub observed: bool,
    /// `spec.replicas`.
    pub replicas: i32,
    /// The fields that Sluice borrows.
    pub settings: Settings,
    /// The user's settings as kept on the object while they are borrowed.
    pub kept: Option<Settings>,
    /// `spec.template`.
    pub template: Value,
    /// The fencing token of the last write, if any.
    pub fence: Option<i64>,
    /// The field manager other than ours that wrote the template last, if known.
    pub other_manager: Option<String>,
    /// `status.replicas`.
    pub status_replicas: i32,
    /// `status.updatedReplicas`.
    pub status_updated: i32,
    /// The ReplicaSet of the present template.
    pub new: Option<ReplicaSetView>,
    /// Every other ReplicaSet that has pods, or should have.
    pub old: Vec<ReplicaSetView>,
}

/// A ReplicaSet with its pods.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaSetView {
    /// `spec.replicas`.
    pub desired: i32,
    /// `spec.minReadySeconds`: each ReplicaSet judges availability by its own.
    pub min_ready_seconds: i32,
    /// `status.replicas`.
    pub status_replicas: i32,
    /// `status.availableReplicas`.
    pub available: i32,
    /// Whether the ReplicaSet controller has seen the newest spec.
    pub observed: bool,
    /// Why it cannot create pods, in Kubernetes' words.
    pub create_failure: Option<String>,
    /// Its pods that are not on their way out.
    pub pods: Vec<PodView>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its address, empty while it has none.
    pub ip: String,
    /// `status.phase`.
    pub phase: String,
    /// Since when it is Ready; none = it is not.
    pub ready_since: Option<Timestamp>,
    /// Its containers that wait for something.
    pub waiting: Vec<Waiting>,
}

/// A container that waits, in Kubernetes' words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The container.
    pub container: String,
    /// Its image.
    pub image: String,
    /// What it waits for, such as `ContainerCreating` or `ErrImagePull`.
    pub reason: String,
    /// The kubelet's own text.
    pub message: String,
}

impl DeploymentView {
    /// Pods of the present template that are Ready for `seconds` at `now`.
    #[must_use]
    pub fn new_ready(&self, seconds: i32, now: Timestamp) -> i32 {
        count(self.new.iter().flat_map(|set| &set.pods).filter(|pod| pod.is_ready_for(seconds, now)))
    }

    /// All pods that are Ready, of whatever version.
    #[must_use]
    pub fn all_ready(&self) -> i32 {
        let sets = self.new.iter().chain(&self.old);
        count(sets.flat_map(|set| &set.pods).filter(|pod| pod.ready_since.is_some()))
    }

    /// When the next pod of the present template will have been Ready for `seconds`.
    #[must_use]
    pub fn next_ready(&self, seconds: i32, now: Timestamp) -> Option<Timestamp> {
        let pods = self.new.iter().flat_map(|set| &set.pods);
        pods.filter(|pod| !pod.is_ready_for(seconds, now)).filter_map(|pod| pod.counts_at(seconds)).min()
    }

    /// Pods that old ReplicaSets have or should have, whichever is more.
    #[must_use]
    pub fn old_pods(&self) -> i32 {
        self.old.iter().map(|set| set.desired.max(set.status_replicas).max(count(set.pods.iter()))).sum()
    }

    /// Pods that the present template's ReplicaSet should have.
    #[must_use]
    pub fn new_desired(&self) -> i32 {
        self.new.as_ref().map_or(0, |set| set.desired)
    }
}

impl PodView {
    /// When the pod will have been Ready for `seconds`; none while it is not Ready.
    #[must_use]
    pub fn counts_at(&self, seconds: i32) -> Option<Timestamp> {
        let since = self.ready_since?;
        since.checked_add(jiff::SignedDuration::from_secs(seconds.into())).ok()
    }

    fn is_ready_for(&self, seconds: i32, now: Timestamp) -> bool {
        self.counts_at(seconds).is_some_and(|at| at <= now)
    }
}

fn count<'a>(pods: impl Iterator<Item = &'a PodView>) -> i32 {
    i32::try_from(pods.count()).unwrap_or(i32::MAX)
}
