//! What the cluster shows of one application at one moment.
//!
//! `cluster` builds it from watches, and [`crate::rollout`] decides by it. Plain data.
//! "New" means: of the template that the Deployment has now. During a rollback the
//! earlier version is therefore the new one.

pub mod cluster_state;
pub mod failure;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::{OrderId, template::settings::BorrowedSettings};

/// One application, as seen through the watches.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// The watches have not delivered a first state yet.
    Unknown,
    /// There is no such Deployment.
    Absent,
    Present(Box<DeploymentView>),
}

/// What a decision about an order is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The application's Deployment.
    pub deployment: Observation,
}

impl From<Observation> for Facts {
    fn from(deployment: Observation) -> Self {
        Self { deployment }
    }
}

/// A Deployment with its ReplicaSets and pods.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeploymentView {
    /// `metadata.uid`.
    pub uid: String,
    /// The application that it names as its own.
    pub application: Option<String>,
    /// `metadata.resourceVersion` as a number.
    pub resource_version: u64,
    /// Whether the Deployment controller has seen the newest spec.
    pub observed: bool,
    /// `spec.replicas`.
    pub replicas: i32,
    /// The fields that Sluice borrows.
    pub settings: BorrowedSettings,
    /// The user's settings as kept on the object while they are borrowed.
    pub borrowed: Option<BorrowedSettings>,
    /// `spec.template`.
    pub template: Value,
    /// The fencing token of the last write, if any.
    pub fence: Option<i64>,
    /// The change order that wrote last, if any.
    pub written_by: Option<OrderId>,
    /// Who owns the fields of its spec, as [`crate::template::ownership::of_spec`] lists them.
    pub owners: Value,
    /// The object that controls it, as kind and name, if there is one.
    pub controller: Option<String>,
    /// The release of Helm that it belongs to, if it says so.
    pub helm_release: Option<String>,
    /// The field manager other than ours that wrote the template last, if known.
    pub other_manager: Option<String>,
    /// The field manager other than ours that wrote the number of pods last, if known.
    pub other_scaler: Option<String>,
    /// `status.replicas`.
    pub status_replicas: i32,
    /// `status.updatedReplicas`.
    pub status_updated: i32,
    /// The ReplicaSet of the present template.
    pub new: Option<ReplicaSetView>,
    /// Every other ReplicaSet that has pods, or should have.
    pub old: Vec<ReplicaSetView>,
    /// The ReplicaSets without pods, which are kept for a rollback.
    pub idle: Vec<ReplicaSetView>,
    /// Pods of any version that are ending, and still there.
    pub leaving: i32,
    /// Ending pods of all ReplicaSets in the namespace; counted if this Deployment's
    /// ReplicaSets cannot create pods.
    pub leaving_nearby: i32,
    /// When the last of those was gone, if the watches saw it.
    pub left_at: Option<Timestamp>,
    /// The Deployment controller's warnings about it that are still on record, oldest first.
    pub warnings: Vec<Warning>,
    /// Why no ReplicaSet of the present template can be created, from its status.
    pub set_failure: Option<CreateFailure>,
    /// The API server's answer to a dry run on its ReplicaSets; asked if the Deployment
    /// controller does not act and no Event says why.
    pub refused: Option<CreateFailure>,
}

/// A ReplicaSet with its pods.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReplicaSetView {
    /// `metadata.resourceVersion` as a number.
    pub resource_version: u64,
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
    pub name: String,
    pub uid: String,
    pub created_at: Option<Timestamp>,
    pub template: Arc<Value>,
    /// Why it cannot create pods, if it cannot.
    pub create_failure: Option<CreateFailure>,
    /// Its pods that are not ending.
    pub pods: Vec<PodView>,
    /// Its newest pods in the phase `Failed`, by creation time.
    pub failed: Vec<FailedPod>,
    /// The number of all its failed pods.
    pub failed_count: usize,
}

/// Why a ReplicaSet cannot create pods, or a Deployment no ReplicaSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateFailure {
    /// The API server's own text: a quota, an admission webhook, pod security.
    pub message: String,
    pub since: Option<Timestamp>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PodView {
    pub name: String,
    /// Its address, empty while it has none.
    pub ip: String,
    /// `status.phase`.
    pub phase: String,
    pub created_at: Option<Timestamp>,
    /// When it became Ready; none = it is not Ready.
    pub ready_since: Option<Timestamp>,
    /// Since when it is not Ready, where Kubernetes says so.
    pub unready_since: Option<Timestamp>,
    /// Whether it is not Ready although all its containers are and nobody says why: its node
    /// does not answer.
    pub is_lost: bool,
    /// Why it is not Ready although all its containers are, in Kubernetes' words: a
    /// readiness gate.
    pub gated: Option<String>,
    /// Since when one of its containers waits in trouble, if the watches saw it.
    pub troubled_since: Option<Timestamp>,
    /// Why it has no node, in the scheduler's words.
    pub unschedulable: Option<String>,
    /// Why nobody schedules it yet: a scheduling gate.
    pub scheduling_gated: Option<String>,
    /// Its containers, those that run before the others first.
    pub containers: Vec<ContainerView>,
    /// Kubernetes' warnings about it that are still on record, oldest first.
    pub warnings: Vec<Warning>,
}

/// A pod in the phase `Failed`: a kubelet rejected or evicted it, or its node went. Its
/// ReplicaSet made another in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedPod {
    pub name: String,
    /// Such as `Evicted` or `SysctlForbidden`; empty where nothing is said.
    pub reason: String,
    pub message: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it failed, as far as that is told.
    pub at: Option<Timestamp>,
}

/// A container of a pod, in Kubernetes' words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerView {
    pub name: String,
    pub image: String,
    /// Whether it runs before the others: an init container.
    pub is_init: bool,
    /// Its present state.
    pub state: ContainerState,
    /// How it ended the last time, if it was started more than once.
    pub last: Option<Ending>,
    /// How often it was restarted.
    pub restarts: i32,
}

/// The state of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// It waits for something.
    Waiting {
        /// For what, such as `ContainerCreating` or `ErrImagePull`.
        reason: String,
        /// The kubelet's own text.
        message: String,
    },
    Running {
        since: Option<Timestamp>,
    },
    Ended(Ending),
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Its exit code; above 128 a signal of that number less 128.
    pub exit_code: i32,
    /// Such as `Error`, `OOMKilled` or `StartError`.
    pub reason: String,
    /// Its termination message, or the runtime's text.
    pub message: String,
    pub at: Option<Timestamp>,
}

/// A warning of Kubernetes about a pod or a Deployment: an Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Such as `FailedMount` or `Unhealthy`.
    pub reason: String,
    pub message: String,
    /// When it was given first: of those times that followed each other without a long
    /// silence, as far as they were watched.
    pub first: Option<Timestamp>,
    /// When it was given last.
    pub at: Option<Timestamp>,
    /// When it was given the time before, as far as this was watched.
    pub before: Option<Timestamp>,
    /// How often it was given since `first`.
    pub count: i32,
    /// How often it was given in all, as Kubernetes counts.
    pub total: i32,
}

impl DeploymentView {
    /// Its ReplicaSets, of every version.
    pub fn sets(&self) -> impl Iterator<Item = &ReplicaSetView> {
        self.new.iter().chain(&self.old).chain(&self.idle)
    }

    /// Whether each ReplicaSet's status counts its pods as they are: none counts pods as available
    /// that are gone. The Deployment controller would take Ready ones in their place.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.sets().all(|set| set.observed && set.available <= set.desired)
    }

    /// Pods of the present template that are Ready for `seconds` at `now`.
    #[must_use]
    pub fn new_ready(&self, seconds: i32, now: Timestamp) -> i32 {
        count(
            self.new.iter().flat_map(|set| &set.pods).filter(|pod| pod.is_ready_for(seconds, now)),
        )
    }

    /// All pods that are Ready for `seconds` at `now`, of whatever version.
    #[must_use]
    pub fn all_ready_for(&self, seconds: i32, now: Timestamp) -> i32 {
        count(self.pods().filter(|pod| pod.is_ready_for(seconds, now)))
    }

    /// All pods, of whatever version.
    pub fn pods(&self) -> impl Iterator<Item = &PodView> {
        self.new.iter().chain(&self.old).flat_map(|set| &set.pods)
    }

    /// When the next pod of the present template will have been Ready for `seconds`.
    #[must_use]
    pub fn next_ready(&self, seconds: i32, now: Timestamp) -> Option<Timestamp> {
        next_ready(self.new.iter().flat_map(|set| &set.pods), seconds, now)
    }

    /// When the next pod of whatever version will have been Ready for `seconds`.
    #[must_use]
    pub fn next_of_all_ready(&self, seconds: i32, now: Timestamp) -> Option<Timestamp> {
        next_ready(self.pods(), seconds, now)
    }

    /// Pods that old ReplicaSets have or should have, whichever is more.
    #[must_use]
    pub fn old_pods(&self) -> i32 {
        self.old
            .iter()
            .map(|set| set.desired.max(set.status_replicas).max(count(set.pods.iter())))
            .sum()
    }

    /// Pods that the ReplicaSets of other templates should have.
    #[must_use]
    pub fn old_desired(&self) -> i32 {
        self.old.iter().map(|set| set.desired).sum()
    }

    /// Pods that the present template's ReplicaSet should have.
    #[must_use]
    pub fn new_desired(&self) -> i32 {
        self.new.as_ref().map_or(0, |set| set.desired)
    }

    /// Pods that all ReplicaSets together should have.
    #[must_use]
    pub fn all_desired(&self) -> i32 {
        self.new.iter().chain(&self.old).map(|set| set.desired).sum()
    }
}

impl ReplicaSetView {
    /// What orders ReplicaSets as the Deployment controller does: the oldest first, of one
    /// age by name.
    #[must_use]
    pub fn age(&self) -> (Option<Timestamp>, &str) {
        (self.created_at, &self.name)
    }

    /// Its pods that are Ready.
    #[must_use]
    pub fn ready(&self) -> i32 {
        count(self.pods.iter().filter(|pod| pod.ready_since.is_some()))
    }
}

impl PodView {
    /// Whether a container waits for something else than its turn.
    #[must_use]
    pub fn is_troubled(&self) -> bool {
        self.trouble().is_some()
    }

    /// What the first container that waits for something else than its turn waits for.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.containers.iter().find_map(|container| match &container.state {
            ContainerState::Waiting { reason, .. } => {
                (!matches!(reason.as_str(), "" | "ContainerCreating" | "PodInitializing"))
                    .then_some(reason.as_str())
            }
            ContainerState::Running { .. } | ContainerState::Ended(_) => None,
        })
    }

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

fn next_ready<'a>(
    pods: impl Iterator<Item = &'a PodView>,
    seconds: i32,
    now: Timestamp,
) -> Option<Timestamp> {
    pods.filter(|pod| !pod.is_ready_for(seconds, now))
        .filter_map(|pod| pod.counts_at(seconds))
        .min()
}

fn count<'a>(pods: impl Iterator<Item = &'a PodView>) -> i32 {
    i32::try_from(pods.count()).unwrap_or(i32::MAX)
}
