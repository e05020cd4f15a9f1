//! What Sluice needs to be allowed on a cluster: one list, with the feature and the reason
//! of each right.
//!
//! `sluice rights` prints it, `docs/rights.yaml` and the chart have it, and an executor
//! compares it with what it may do. Pure.

mod compare;
mod review;
mod scope;

pub use compare::{Granted, Wanted, excess, wanted};
pub use review::{Review, Told};
pub use scope::Scope;

/// Namespaces that can be served by name.
pub const MOST_NAMESPACES: usize = 100;

/// The namespace by whose UID a cluster is known.
pub const IDENTITY_NAMESPACE: &str = "kube-system";

/// Something that needs rights of its own, and can be done without, but for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Orders: nothing works without it.
    Release,
    /// Deleting applications with their Deployments.
    Delete,
    /// Checks before a release.
    Checks,
    /// Kubernetes' own words about a failure, and Sluice's in `kubectl describe`.
    Events,
    /// Checks of placement, and zones of instances.
    Nodes,
    /// Services, ingresses, ConfigMaps, Secrets and scaling rules.
    Objects,
    /// Whether another namespace has the host of an Ingress.
    IngressHosts,
    /// Logs of pods.
    Logs,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Release,
        Self::Delete,
        Self::Checks,
        Self::Events,
        Self::Nodes,
        Self::Objects,
        Self::IngressHosts,
        Self::Logs,
    ];

    /// Its name, as people give it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Delete => "delete",
            Self::Checks => "checks",
            Self::Events => "events",
            Self::Nodes => "nodes",
            Self::Objects => "objects",
            Self::IngressHosts => "ingress-hosts",
            Self::Logs => "logs",
        }
    }

    /// What does not work without its rights.
    #[must_use]
    pub fn lost(self) -> &'static str {
        match self {
            Self::Release => "no order is carried out",
            Self::Delete => "no application can be deleted with its Deployment",
            Self::Checks => "checks before a release are skipped",
            Self::Events => "less is said about failures",
            Self::Nodes => "placement is not checked, and instances have no zone",
            Self::Objects => {
                "Services, ingresses, ConfigMaps, Secrets and scaling rules cannot be written"
            }
            Self::IngressHosts => {
                "keys that guardrails hold for cannot create Ingresses with rules"
            }
            Self::Logs => "logs cannot be shown",
        }
    }
}

/// The role that rights are granted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Observe,
    Release,
    Objects,
    Logs,
}

impl Role {
    /// All of them, in the order in which they are printed.
    pub const ALL: [Self; 4] = [Self::Observe, Self::Release, Self::Objects, Self::Logs];

    /// The name of its ClusterRole or Role.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "sluice-observe",
            Self::Release => "sluice-release",
            Self::Objects => "sluice-objects",
            Self::Logs => "sluice-logs",
        }
    }
}

/// Where a right is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// In the namespaces of the applications.
    Namespaces,
    /// In the whole cluster: its object is in no namespace, or in any.
    Cluster,
    /// Likewise, and only of the namespace [`IDENTITY_NAMESPACE`] where namespaces are named.
    Identity,
    /// In the whole cluster, and only where namespaces are named: elsewhere another rule has it.
    ClusterBesideNamed,
}

/// Rights that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub feature: Feature,
    pub role: Role,
    pub reach: Reach,
    /// The API group; empty = core.
    pub group: &'static str,
    /// In the plural.
    pub resources: &'static [&'static str],
    pub verbs: &'static [&'static str],
    /// What it is for, in lines of a comment.
    pub why: &'static [&'static str],
}

/// Everything that Sluice needs.
pub const RULES: &[Rule] = &[
    Rule {
        feature: Feature::Release,
        role: Role::Observe,
        reach: Reach::Namespaces,
        group: "apps",
        resources: &["deployments", "replicasets"],
        verbs: &["list", "watch"],
        why: &["Watched all the time: the executor decides from what it sees here."],
    },
    Rule {
        feature: Feature::Release,
        role: Role::Observe,
        reach: Reach::Namespaces,
        group: "",
        resources: &["pods"],
        verbs: &["list", "watch"],
        why: &["Likewise."],
    },
    Rule {
        feature: Feature::Release,
        role: Role::Observe,
        reach: Reach::Identity,
        group: "",
        resources: &["namespaces"],
        verbs: &["list", "watch"],
        why: &["The UID of kube-system says which cluster it is. Of the others, the names."],
    },
    Rule {
        feature: Feature::Events,
        role: Role::Observe,
        reach: Reach::Namespaces,
        group: "",
        resources: &["events"],
        verbs: &["list", "watch"],
        why: &[
            "Optional: with it a failure is reported in more of Kubernetes' own words (volumes, probes, and",
            "what keeps the Deployment controller from making a ReplicaSet).",
        ],
    },
    Rule {
        feature: Feature::Nodes,
        role: Role::Observe,
        reach: Reach::Cluster,
        group: "",
        resources: &["nodes"],
        verbs: &["list"],
        why: &["For the checks before a release, and for the zones of instances."],
    },
    Rule {
        feature: Feature::IngressHosts,
        role: Role::Observe,
        reach: Reach::ClusterBesideNamed,
        group: "networking.k8s.io",
        resources: &["ingresses"],
        verbs: &["list"],
        why: &["Guardrails: whether another namespace has the host of an Ingress."],
    },
    Rule {
        feature: Feature::Release,
        role: Role::Release,
        reach: Reach::Namespaces,
        group: "apps",
        resources: &["deployments"],
        verbs: &["get", "create", "patch"],
        why: &["Every step of a change order."],
    },
    Rule {
        feature: Feature::Delete,
        role: Role::Release,
        reach: Reach::Namespaces,
        group: "apps",
        resources: &["deployments"],
        verbs: &["delete"],
        why: &["For deleting an application with its Deployment only."],
    },
    Rule {
        feature: Feature::Release,
        role: Role::Release,
        reach: Reach::Namespaces,
        group: "apps",
        resources: &["replicasets"],
        verbs: &["get", "patch"],
        why: &["To step back within a release."],
    },
    Rule {
        feature: Feature::Checks,
        role: Role::Release,
        reach: Reach::Namespaces,
        group: "",
        resources: &["configmaps", "secrets", "persistentvolumeclaims", "serviceaccounts"],
        verbs: &["get"],
        why: &["Checks before a release: what the pod template names. Nothing of it is written."],
    },
    Rule {
        feature: Feature::Checks,
        role: Role::Release,
        reach: Reach::Namespaces,
        group: "apps",
        resources: &["statefulsets", "daemonsets"],
        verbs: &["get"],
        why: &[
            "Checks before a release: a workload of another kind that has the application's name.",
        ],
    },
    Rule {
        feature: Feature::Checks,
        role: Role::Release,
        reach: Reach::Namespaces,
        group: "",
        resources: &["resourcequotas"],
        verbs: &["list"],
        why: &["Checks before a release: room, and what else scales or protects the pods."],
    },
    Rule {
        feature: Feature::Checks,
        role: Role::Release,
        reach: Reach::Namespaces,
        group: "policy",
        resources: &["poddisruptionbudgets"],
        verbs: &["list"],
        why: &["Likewise."],
    },
    Rule {
        feature: Feature::Checks,
        role: Role::Release,
        reach: Reach::Namespaces,
        group: "autoscaling",
        resources: &["horizontalpodautoscalers"],
        verbs: &["list"],
        why: &["Likewise."],
    },
    Rule {
        feature: Feature::Checks,
        role: Role::Release,
        reach: Reach::Namespaces,
        group: "",
        resources: &["pods"],
        verbs: &["create"],
        why: &["Checks before a release: one pod is created as a dry run. It never exists."],
    },
    Rule {
        feature: Feature::Events,
        role: Role::Release,
        reach: Reach::Namespaces,
        group: "",
        resources: &["events"],
        verbs: &["create"],
        why: &["Optional: with it a failure also shows in `kubectl describe deployment`."],
    },
    Rule {
        feature: Feature::Objects,
        role: Role::Objects,
        reach: Reach::Namespaces,
        group: "",
        resources: &["services", "configmaps", "secrets"],
        verbs: &["get", "list", "create", "update", "delete"],
        why: &["Services, ConfigMaps and Secrets that callers ask for."],
    },
    Rule {
        feature: Feature::Objects,
        role: Role::Objects,
        reach: Reach::Namespaces,
        group: "networking.k8s.io",
        resources: &["ingresses"],
        verbs: &["get", "list", "create", "update", "delete"],
        why: &["Ingresses, likewise."],
    },
    Rule {
        feature: Feature::Objects,
        role: Role::Objects,
        reach: Reach::Namespaces,
        group: "autoscaling",
        resources: &["horizontalpodautoscalers"],
        verbs: &["get", "create", "update", "delete"],
        why: &["Scaling rules."],
    },
    Rule {
        feature: Feature::Logs,
        role: Role::Logs,
        reach: Reach::Namespaces,
        group: "",
        resources: &["pods/log"],
        verbs: &["get"],
        why: &[
            "What `sluice logs` shows. A key that may read an application can read the logs of its pods, unless",
            "a policy denies that. Other pods are not read.",
        ],
    },
];
