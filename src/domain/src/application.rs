//! An application: one Deployment on one cluster, and what the database knows of it.
//!
//! Plain data. The number of pods is mirrored from the cluster by the executor,
//! so that a request can be checked without asking the cluster.

use jiff::Timestamp;

use serde_json::{Map, Value};

use super::{
    ApplicationId, ClusterId, ReleaseId,
    order::{Kind, State},
    package::PackageKind,
};
use crate::template::container::{self, Known};

/// An application.
#[derive(Debug, Clone, PartialEq)]
pub struct Application {
    pub id: ApplicationId,
    /// Its name, and the Deployment's.
    pub name: String,
    pub cluster: ClusterId,
    pub namespace: String,
    /// Whether its creator named that namespace, or took the default.
    pub namespace_named: bool,
    /// The EDAS namespace it was created in: a region, or `<region>:<name>`.
    pub logical_region: String,
    pub description: String,
    pub created_at: Timestamp,
    /// Name of the access key that created it.
    pub created_by: String,
    /// Its owner: the creator, until somebody names another.
    pub owner: String,
    /// The owner's address; empty where none is known.
    pub email: String,
    /// The owner's telephone number; empty where none is known.
    pub phone: String,
    /// What is on record about its container.
    pub container: Known,
    pub replicas: i32,
    /// Pods that are Ready.
    pub ready_replicas: i32,
    /// Whether there is no Deployment on the cluster: somebody deleted it.
    pub deployment_missing: bool,
    /// Number of pods before it was stopped; none = it is not stopped.
    pub replicas_before_stop: Option<i32>,
    /// The version whose release succeeded last.
    pub release: Option<ReleaseId>,
    /// The kind of package that it runs; none = an image.
    pub package: Option<PackageKind>,
    /// Kind and state of its newest order, if there is one.
    pub last_order: Option<(Kind, State)>,
}

/// Whether changes are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Stable: changes are allowed.
    Ready,
    /// An order is running.
    Progressing,
    /// The last order did not reach its end.
    Failed,
}

impl Application {
    /// Its container in `template`; none where it is in doubt which one that is.
    #[must_use]
    pub fn container_of<'a>(&self, template: &'a Value) -> Option<&'a Map<String, Value>> {
        container::container_of(template, &self.container, &self.name)
    }

    /// The image of its container in `template`.
    #[must_use]
    pub fn image_of<'a>(&self, template: &'a Value) -> Option<&'a str> {
        container::image_of(template, &self.container, &self.name)
    }

    /// Whether it should have pods, and is not stopped. The number of pods may be outdated
    /// for a moment; the end of the order that stops it is not.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.replicas > 0 && self.replicas_before_stop.is_none()
    }

    /// Whether it is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.replicas == 0 && self.replicas_before_stop.is_some()
    }

    /// Whether it has no Deployment, and no order is open that may be about to create one.
    #[must_use]
    pub fn lacks_deployment(&self) -> bool {
        self.deployment_missing && self.last_order.is_none_or(|(_, state)| state.is_final())
    }

    /// Whether it is being deleted.
    #[must_use]
    pub fn is_going(&self) -> bool {
        self.last_order.is_some_and(|(kind, state)| kind == Kind::Delete && !state.is_final())
    }

    /// How many pods a start brings up, if the caller names no number.
    #[must_use]
    pub fn replicas_to_start(&self) -> i32 {
        self.replicas_before_stop.unwrap_or(1)
    }

    /// The phase that the newest order leaves the application in.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.last_order.map(|(_, state)| state) {
            None | Some(State::Succeeded) => Phase::Ready,
            Some(
                State::Ready
                | State::WaitingApproval
                | State::Running
                | State::WaitingConfirmation
                | State::WaitingInterval,
            ) => Phase::Progressing,
            Some(State::Failed | State::Aborted | State::SystemFailed) => Phase::Failed,
        }
    }
}
