//! What the cluster shows of the objects that a release depends on.
//!
//! Gathered by `cluster`, judged by [`super::evaluate`]. Plain data. Of Secrets and
//! ConfigMaps only the names of their keys are here, never a value. What could not
//! be looked at says why, and is never taken for missing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Something that a pod template names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    pub kind: ReferenceKind,
    pub name: String,
    /// A key that it must have.
    pub key: Option<String>,
    /// Whether pods start without it.
    pub optional: bool,
}

/// A kind of object that pod templates name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferenceKind {
    ConfigMap,
    Secret,
    PersistentVolumeClaim,
    ServiceAccount,
}

impl ReferenceKind {
    /// Its name in Kubernetes.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::ServiceAccount => "ServiceAccount",
        }
    }
}

/// What is there under a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Presence {
    There {
        /// Keys that it holds, of a ConfigMap or Secret.
        keys: BTreeSet<String>,
        /// Its `spec`, of anything else.
        spec: Value,
    },
    /// Nothing.
    Missing,
    /// It could not be looked at.
    Unseen(String),
}

/// The objects of one kind in the namespace, or nodes.
#[derive(Debug, Clone, PartialEq)]
pub enum ClusterList {
    Seen(Vec<Value>),
    /// They could not be listed.
    Unseen(String),
    /// Nothing depends on them here, so they were not listed.
    Unneeded,
}

/// What the API server says to a write that is not made: a dry run.
#[derive(Debug, Clone, PartialEq)]
pub enum Tried {
    /// It would accept it, and this is what it would store.
    Accepted(Value),
    /// It would refuse it, with this text.
    Refused(String),
    /// It could not be asked.
    Untried(String),
}

/// A right that a release needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    pub verb: &'static str,
    /// The API group; empty = core.
    pub group: &'static str,
    /// The resource, in the plural.
    pub resource: &'static str,
    /// Whether no release is possible without it.
    pub needed: bool,
}

/// Everything that was looked at for one proposal.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Rights, and whether they are given; none = the API server did not say.
    pub rights: Vec<(Right, Option<bool>)>,
    /// Where there is no Deployment of the name: a workload of another kind that has it.
    pub other_workload: Option<&'static str>,
    /// What the template names.
    pub named: Vec<(Reference, Presence)>,
    /// `ResourceQuota`s.
    pub quotas: ClusterList,
    /// `PodDisruptionBudget`s.
    pub budgets: ClusterList,
    /// `HorizontalPodAutoscaler`s.
    pub scalers: ClusterList,
    pub nodes: ClusterList,
    /// The pods of the namespace, reduced to what they use, where a quota counts that.
    pub pods: ClusterList,
    /// The pods of the cluster that take ports of their nodes, likewise, where these do.
    pub port_holders: ClusterList,
    /// The first change of the release.
    pub change: Tried,
    /// One of its pods.
    pub pod: Tried,
    /// Another pod of the version that runs now, where one of the release is refused; not
    /// tried where none runs.
    pub present_pod: Tried,
}

/// A pod without all that does not say what it uses, where it is and whose it is: its
/// variables and the like are nobody's business here.
#[must_use]
pub fn footprint(pod: &Value) -> Value {
    let containers = |list: &str| {
        let each = pod["spec"][list].as_array().into_iter().flatten();
        let kept = each.map(
            |it| json!({ "name": it["name"], "restartPolicy": it["restartPolicy"], "resources": it["resources"], "ports": it["ports"] }),
        );
        kept.collect::<Vec<_>>()
    };
    let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
    json!({
        "metadata": { "deletionTimestamp": metadata["deletionTimestamp"], "ownerReferences": metadata["ownerReferences"] },
        "spec": {
            "nodeName": spec["nodeName"], "hostNetwork": spec["hostNetwork"], "overhead": spec["overhead"], "resources": spec["resources"],
            "initContainers": containers("initContainers"), "containers": containers("containers"),
        },
        "status": { "phase": pod["status"]["phase"] },
    })
}

impl Evidence {
    /// Nothing looked at.
    #[must_use]
    pub fn none() -> Self {
        Self {
            rights: Vec::new(),
            other_workload: None,
            named: Vec::new(),
            quotas: ClusterList::Unneeded,
            budgets: ClusterList::Unneeded,
            scalers: ClusterList::Unneeded,
            nodes: ClusterList::Unneeded,
            pods: ClusterList::Unneeded,
            port_holders: ClusterList::Unneeded,
            change: Tried::Untried(String::new()),
            pod: Tried::Untried(String::new()),
            present_pod: Tried::Untried(String::new()),
        }
    }
}
