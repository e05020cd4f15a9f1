//! The kinds of object this cluster serves, and what is fixed about each.
//!
//! One enum instead of text everywhere, so that a kind without a rule does not
//! compile. Knows names only; shapes are in `schema.rs`.

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Namespace,
    Node,
    ConfigMap,
    Event,
    Pod,
    Service,
    Secret,
    Deployment,
    ReplicaSet,
    Ingress,
    HorizontalPodAutoscaler,
}

impl Kind {
    /// Every kind, in the order in which discovery lists them.
    pub(super) const ALL: [Kind; 11] = [
        Kind::ConfigMap,
        Kind::Event,
        Kind::Namespace,
        Kind::Node,
        Kind::Pod,
        Kind::Secret,
        Kind::Service,
        Kind::Deployment,
        Kind::ReplicaSet,
        Kind::HorizontalPodAutoscaler,
        Kind::Ingress,
    ];

    /// The API groups beside core, with the version that is served of each.
    pub(super) const GROUPS: [(&str, &str); 3] =
        [("apps", "v1"), ("autoscaling", "v2"), ("networking.k8s.io", "v1")];

    /// The kind behind a path segment (`deployments`) of an API group.
    pub(super) fn find(group: &str, plural: &str) -> Option<Kind> {
        Self::ALL.into_iter().find(|kind| kind.group() == group && kind.plural() == plural)
    }

    /// The API group, empty for core.
    pub(super) fn group(self) -> &'static str {
        match self {
            Kind::Deployment | Kind::ReplicaSet => "apps",
            Kind::Ingress => "networking.k8s.io",
            Kind::HorizontalPodAutoscaler => "autoscaling",
            Kind::Namespace
            | Kind::Node
            | Kind::ConfigMap
            | Kind::Event
            | Kind::Pod
            | Kind::Secret
            | Kind::Service => "",
        }
    }

    /// The `apiVersion` of its objects.
    pub(super) fn api_version(self) -> &'static str {
        match self {
            Kind::Deployment | Kind::ReplicaSet => "apps/v1",
            Kind::Ingress => "networking.k8s.io/v1",
            Kind::HorizontalPodAutoscaler => "autoscaling/v2",
            Kind::Namespace
            | Kind::Node
            | Kind::ConfigMap
            | Kind::Event
            | Kind::Pod
            | Kind::Secret
            | Kind::Service => "v1",
        }
    }

    /// The `kind` of its objects.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Namespace => "Namespace",
            Kind::Node => "Node",
            Kind::ConfigMap => "ConfigMap",
            Kind::Event => "Event",
            Kind::Pod => "Pod",
            Kind::Secret => "Secret",
            Kind::Service => "Service",
            Kind::Ingress => "Ingress",
            Kind::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Kind::Deployment => "Deployment",
            Kind::ReplicaSet => "ReplicaSet",
        }
    }

    /// Its path segment.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Kind::Namespace => "namespaces",
            Kind::Node => "nodes",
            Kind::ConfigMap => "configmaps",
            Kind::Event => "events",
            Kind::Pod => "pods",
            Kind::Secret => "secrets",
            Kind::Service => "services",
            Kind::Ingress => "ingresses",
            Kind::HorizontalPodAutoscaler => "horizontalpodautoscalers",
            Kind::Deployment => "deployments",
            Kind::ReplicaSet => "replicasets",
        }
    }

    /// How error texts call it: `pods`, `deployments.apps`.
    pub(super) fn resource(self) -> String {
        match self.group() {
            "" => self.plural().to_owned(),
            group => format!("{}.{group}", self.plural()),
        }
    }

    /// Whether its objects live in a namespace.
    pub(super) fn is_namespaced(self) -> bool {
        !matches!(self, Kind::Namespace | Kind::Node)
    }

    /// Whether it has a status of its own (`/status`), not written through the
    /// object itself.
    pub(super) fn has_status(self) -> bool {
        !matches!(self, Kind::ConfigMap | Kind::Event | Kind::Secret)
    }

    /// Whether it can be scaled (`/scale`).
    pub(super) fn has_scale(self) -> bool {
        matches!(self, Kind::Deployment | Kind::ReplicaSet)
    }
}
