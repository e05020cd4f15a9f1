//! What the executor asks of a Kubernetes cluster: look at an application, and
//! make one change to it.
//!
//! Looking sends no request: watches keep a view ([`watch`], [`view`]). Only where a
//! number must be right at the moment ([`sizes`]), or a caller asks, is one sent.
//! A change is one write that carries the fencing token ([`apply`]). There is
//! one implementation, on `kube::Client`; the simulated cluster sits beneath that.
//! Knows of `domain` only: no order states, no database.

pub mod apply;
mod counted;
pub mod credential;
mod evidence;
mod identity;
mod key;
pub mod kubeconfig;
mod logs;
pub mod manifest;
mod object;
mod object_write;
mod query;
mod refusal;
mod request;
mod rights;
mod sizes;
pub mod view;
mod watch;

use std::{sync::Arc, time::Duration};

use kube::{
    Client,
    core::{ApiResource, GroupVersionKind},
};
use thiserror::Error;
use tokio::{sync::watch::Receiver, task::JoinSet};

pub use apply::{WriteResult, Writer};
pub use counted::counted;
use domain::{
    InstallationId, OrderId, observed::Observation, order::outage::Obstacle, rights::Scope,
    template::names::INSTALLATION_ANNOTATION,
};
pub use identity::{Met, meet};
pub use key::Key;
pub use view::{Mirror, Released};

/// The field manager of all our writes.
pub const FIELD_MANAGER: &str = "sluice";

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClusterError {
    /// The API server cannot do it now; it may work later, and may have been made.
    #[error("the cluster does not answer: {0}")]
    Transient(String),
    /// The same, and it says how many seconds to leave it alone.
    #[error("the cluster does not answer: {why}")]
    Busy {
        /// Its words.
        why: String,
        /// Its seconds.
        seconds: u32,
    },
    /// No answer came: it may work later, and may have been made.
    #[error("the cluster does not answer: {0}")]
    Unanswered(String),
    /// A right is missing, or the credential does not count: either may come back.
    #[error("{why}")]
    Denied {
        /// The API server's words.
        why: String,
        /// Whether it is the credential.
        is_credential: bool,
    },
    /// The API server says no, and will say so again.
    #[error("{0}")]
    Refused(String),
    /// Somebody with a newer fencing token wrote the Deployment: whoever asked has
    /// lost its lease, and must leave it alone.
    #[error("a newer executor (fencing token {newer}) wrote the Deployment")]
    Fenced {
        /// The token found.
        newer: i64,
        /// The order that wrote it.
        by: Option<OrderId>,
    },
    /// Another installation of Sluice releases the Deployment: it is left alone.
    #[error(
        "the Deployment is released by another installation of Sluice, {0}, and is left alone. If that one is gone for good, remove its annotation: kubectl annotate deployment NAME {INSTALLATION_ANNOTATION}-"
    )]
    Foreign(String),
    /// There is no such Deployment (any more).
    #[error("the Deployment does not exist")]
    Gone,
    /// The Deployment is not what the change was decided for; nothing was written.
    #[error("somebody else changed the Deployment meanwhile")]
    Changed,
}

/// A cluster, as seen through watches. Dropping it ends them.
pub struct Cluster {
    client: Client,
    view: Arc<view::View>,
    _watches: JoinSet<()>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

impl ClusterError {
    /// What keeps a request from its answer, where it may pass: none of another error.
    #[must_use]
    pub fn obstacle(&self) -> Option<(Obstacle, String)> {
        match self {
            Self::Transient(why) | Self::Busy { why, .. } => Some((Obstacle::Failing, why.clone())),
            Self::Unanswered(why) => Some((Obstacle::Unanswered, why.clone())),
            Self::Denied { why, is_credential: true } => {
                let why = format!("the credential of the kubeconfig does not count: {why}");
                Some((Obstacle::Denied, why))
            }
            Self::Denied { why, .. } => Some((Obstacle::Denied, why.clone())),
            Self::Refused(_)
            | Self::Fenced { .. }
            | Self::Foreign(_)
            | Self::Gone
            | Self::Changed => None,
        }
    }
}

impl Cluster {
    /// Starts watching, these namespaces alone where some are named.
    #[must_use]
    pub fn watch(client: Client, scope: Scope) -> Self {
        let view = Arc::new(view::View::new(scope));
        let mut watches = JoinSet::new();
        watch::spawn(&client, &view, &mut watches);
        Self { client, view, _watches: watches }
    }

    /// What there is of an application now.
    #[must_use]
    pub fn observe(&self, key: &Key) -> Observation {
        self.view.observe(key)
    }

    /// Tells of every change to an application's Deployment, ReplicaSets and pods,
    /// from now on.
    #[must_use]
    pub fn changes(&self, key: &Key) -> Receiver<u64> {
        self.view.changes(key)
    }

    /// Deployments' numbers of pods that changed since they were last asked for.
    pub async fn mirrored(&self) -> Vec<Mirror> {
        self.view.mirrored().await
    }

    /// The numbers of pods of all Deployments, as if they had changed just now.
    #[must_use]
    pub fn mirrored_anew(&self) -> Vec<Mirror> {
        self.view.mirrored_anew()
    }

    /// Those of these Deployments that are not there; none of those that cannot be seen.
    #[must_use]
    pub fn absent(&self, keys: Vec<Key>) -> Vec<Mirror> {
        self.view.absent(keys)
    }

    /// The Deployments that orders of an installation wrote.
    #[must_use]
    pub fn released(&self, installation: InstallationId) -> Vec<Released> {
        self.view.released(installation)
    }

    /// Names of the cluster's namespaces, sorted.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        self.view.namespaces()
    }

    /// Returns when namespaces, or the state of the watches, may have changed.
    pub async fn namespaces_changed(&self) {
        self.view.namespaces_changed().await;
    }

    /// The namespaces that it is of.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        self.view.scope()
    }

    /// Why not all of the cluster can be seen now; none where it can.
    #[must_use]
    pub fn blindness(&self) -> Option<(Obstacle, String)> {
        self.view.blindness()
    }

    /// Why a namespace cannot be seen now; none where it can.
    #[must_use]
    pub fn blindness_of(&self, namespace: &str) -> Option<(Obstacle, String)> {
        self.view.blindness_of(namespace)
    }

    /// The namespaces that are named, and cannot be seen, and why.
    #[must_use]
    pub fn unseen(&self) -> Vec<(String, String)> {
        self.view.unseen()
    }

    /// Whether all watches are up, on the cluster that is to be worked on: all of one
    /// namespace, where namespaces are named.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.view.is_reachable()
    }

    /// The cluster's version, such as `v1.37.2`.
    ///
    /// # Errors
    /// [`ClusterError::Transient`] if it does not answer within five seconds.
    pub async fn version(&self) -> Result<String, ClusterError> {
        match tokio::time::timeout(Duration::from_secs(5), self.client.apiserver_version()).await {
            Ok(Ok(info)) => Ok(info.git_version),
            Ok(Err(error)) => Err(ClusterError::Transient(error.to_string())),
            Err(_) => Err(ClusterError::Transient("no answer within 5 s".into())),
        }
    }

    /// Makes changes on behalf of an order, under its fencing token.
    #[must_use]
    pub fn writer(&self) -> Writer<'_> {
        Writer { client: &self.client, view: &self.view }
    }
}

/// `apps/v1` Deployments or ReplicaSets, as plain JSON: a typed one would drop
/// fields of a newer Kubernetes.
fn apps(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", kind))
}

/// Core `v1` objects, likewise.
fn core(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind))
}
