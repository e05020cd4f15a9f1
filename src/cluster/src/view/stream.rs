//! The watches that keep the view: one of each kind, or one of each kind and namespace
//! where namespaces are named. Then one whose watches are broken, since a right is missing
//! there, does not keep the others from being worked on.

use std::sync::Arc;

use super::{State, View, WatchedKind};
use domain::rights::Scope;

/// Kinds without which nothing can be done with an application.
const OF_APPLICATIONS: [WatchedKind; 3] =
    [WatchedKind::Deployment, WatchedKind::ReplicaSet, WatchedKind::Pod];

/// One watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Stream {
    pub(crate) kind: WatchedKind,
    /// The namespace, where it is of one alone.
    pub(crate) namespace: Option<Arc<str>>,
}

impl From<WatchedKind> for Stream {
    fn from(kind: WatchedKind) -> Self {
        Self { kind, namespace: None }
    }
}

impl Stream {
    /// All watches of these namespaces.
    pub(super) fn of(scope: &Scope) -> Vec<Self> {
        let mut all = vec![Self::from(WatchedKind::Namespace)];
        let kinds = OF_APPLICATIONS
            .into_iter()
            .chain([WatchedKind::Warning, WatchedKind::DeploymentWarning]);
        match scope.names() {
            None => all.extend(kinds.map(Self::from)),
            Some(names) => {
                for namespace in names.iter().map(|it| Arc::<str>::from(it.as_str())) {
                    let in_it =
                        kinds.clone().map(|kind| Self { kind, namespace: Some(namespace.clone()) });
                    all.extend(in_it);
                }
            }
        }
        all
    }

    pub(super) fn shows(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }

    pub(super) fn is_needed(&self) -> bool {
        self.kind == WatchedKind::Namespace || OF_APPLICATIONS.contains(&self.kind)
    }
}

impl State {
    pub(super) fn is_up(&self, stream: &Stream) -> bool {
        self.synced.contains(stream) && !self.broken.contains_key(stream)
    }
}

impl View {
    /// The watches that keep it.
    pub(crate) fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// The namespaces that it is of.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn stream_of_deployments(&self, namespace: &str) -> Option<&Stream> {
        self.streams.iter().find(|it| it.kind == WatchedKind::Deployment && it.shows(namespace))
    }

    /// Whether all that decisions about a namespace need is seen.
    pub(super) fn sees(&self, state: &State, namespace: &str) -> bool {
        let needed = |it: &&Stream| OF_APPLICATIONS.contains(&it.kind) && it.shows(namespace);
        self.streams.iter().filter(needed).all(|it| state.is_up(it))
    }

    /// Whether the cluster is known, and all of it is seen, or all of one of the namespaces
    /// that are named.
    pub(crate) fn is_reachable(&self) -> bool {
        let state = self.lock();
        let known = state.identity.is_known() && state.is_up(&WatchedKind::Namespace.into());
        known
            && match self.scope.names() {
                None => self.sees(&state, ""),
                Some(names) => names.iter().any(|it| self.sees(&state, it)),
            }
    }

    /// The namespaces that are named, and cannot be seen while others can; and why.
    pub(crate) fn unseen(&self) -> Vec<(String, String)> {
        let state = self.lock();
        let mut found: Vec<(String, String)> = Vec::new();
        for stream in self.streams.iter().filter(|it| OF_APPLICATIONS.contains(&it.kind)) {
            let Some(namespace) = &stream.namespace else { continue };
            let is_new = found.iter().all(|(known, _)| **known != **namespace);
            if let (true, Some((_, why))) = (is_new, state.broken.get(stream)) {
                found.push((namespace.to_string(), why.clone()));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use domain::{observed::Observation, order::outage::Obstacle};
    use serde_json::json;

    use super::*;
    use crate::Key;

    fn key(namespace: &str) -> Key {
        Key { namespace: namespace.into(), name: "web".into() }
    }

    fn seen(scope: &str) -> View {
        let view = View::new(scope.parse().unwrap());
        for stream in view.streams().to_vec() {
            view.begin_list(&stream);
            if let (WatchedKind::Pod, Some(namespace)) = (stream.kind, &stream.namespace) {
                let pod = json!({
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": { "name": "p", "namespace": **namespace, "uid": format!("p-{namespace}") },
                    "spec": { "containers": [{ "ports": [{ "hostPort": 80 }] }] },
                });
                view.put(&stream, serde_json::from_value(pod).unwrap());
            }
            view.end_list(&stream);
        }
        view.trust(Some(&"one".parse().unwrap()));
        view.see("one".parse().unwrap(), view.doubts());
        view
    }

    #[test]
    fn what_is_not_watched_is_not_taken_for_absent() {
        let view = seen("shop,billing");
        assert_eq!(view.observe(&key("shop")), Observation::Absent);
        assert_eq!(view.observe(&key("other")), Observation::Unknown);
        assert_eq!(view.namespaces(), ["billing", "shop"]);
        assert_eq!(view.streams().len(), 1 + 2 * 5);
        assert_eq!(seen("").streams().len(), 6);
    }

    #[test]
    fn a_namespace_that_cannot_be_seen_leaves_the_others_alone() {
        let view = seen("shop,billing");
        let pods = |of: &str| Stream { kind: WatchedKind::Pod, namespace: Some(of.into()) };
        view.lose(&pods("shop"), (Obstacle::Denied, "no right".into()));
        view.see("one".parse().unwrap(), view.doubts());
        assert_eq!(view.observe(&key("shop")), Observation::Unknown);
        assert_eq!(view.observe(&key("billing")), Observation::Absent);
        assert!(view.is_reachable());
        assert_eq!(view.unseen(), [("shop".to_owned(), "no right".to_owned())]);
        let denied = Some((Obstacle::Denied, "no right".to_owned()));
        assert_eq!((view.blindness_of("shop"), view.blindness_of("billing")), (denied, None));
        view.lose(&pods("billing"), (Obstacle::Denied, "no right".into()));
        view.see("one".parse().unwrap(), view.doubts());
        assert!(!view.is_reachable());
    }

    #[test]
    fn a_new_list_of_one_namespace_forgets_nothing_of_another() {
        let view = seen("shop,billing");
        assert_eq!(view.port_holders().len(), 2);
        let shop = Stream { kind: WatchedKind::Pod, namespace: Some("shop".into()) };
        for _ in 0..2 {
            view.begin_list(&shop);
            view.end_list(&shop);
            assert_eq!(view.port_holders().len(), 1);
        }
    }
}
