//! Which cluster it is that the view shows.
//!
//! The view shows nothing until the cluster that answers is known to be the trusted
//! one, and begins anew where another one answers than before.

use tokio::sync::watch;

use super::{State, View, WatchedKind};
use domain::ClusterIdentity;

/// The namespace that every cluster has, and none ever has another one of.
pub(crate) const KUBE_SYSTEM: &str = "kube-system";

/// What is known of the identity of the cluster that answers.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    /// The only one to work on; none = none yet, or no more.
    pub(crate) trusted: Option<ClusterIdentity>,
    /// The one that was seen last; none = not since the last doubt.
    pub(crate) seen: Option<ClusterIdentity>,
    /// The one that answered last, doubted or not.
    pub(crate) answered: Option<ClusterIdentity>,
    /// How often there was reason to look again.
    pub(crate) doubts: u64,
}

impl Identity {
    /// Whether the cluster that answers is the trusted one.
    pub(crate) fn is_known(&self) -> bool {
        self.trusted.is_some() && self.trusted == self.seen
    }
}

impl View {
    /// Forgets which cluster it was that answered: it may be another one by now.
    pub(super) fn doubt(&self, state: &mut State, kind: WatchedKind) {
        // Events may be hidden from us, for good.
        if !matches!(kind, WatchedKind::Warning | WatchedKind::DeploymentWarning) {
            state.identity.seen = None;
            state.identity.doubts += 1;
            self.doubted.notify_one();
        }
    }

    pub(in super::super) fn doubts(&self) -> u64 {
        self.lock().identity.doubts
    }

    pub(in super::super) async fn identity_doubted(&self) {
        self.doubted.notified().await;
    }

    /// Notes which cluster answered a question from when there had been so many doubts.
    pub(in super::super) fn see(&self, seen: ClusterIdentity, doubts: u64) {
        self.forget_another_than(&seen);
        self.change_identity(|identity| {
            if identity.doubts == doubts {
                identity.seen = Some(seen);
            }
        });
    }

    /// Where another cluster answers than before, all that was seen is that one's. A
    /// watch of it may go on, and lists are begun anew.
    fn forget_another_than(&self, seen: &ClusterIdentity) {
        let mut state = self.lock();
        let before = state.identity.answered.replace(seen.clone());
        if before.is_none_or(|before| before == *seen) {
            return;
        }
        let (identity, watchers) =
            (std::mem::take(&mut state.identity), std::mem::take(&mut state.watchers));
        *state = State {
            identity: Identity { doubts: identity.doubts + 1, seen: None, ..identity },
            watchers,
            ..State::default()
        };
        drop(state);
        self.replaced.send_modify(|count| *count += 1);
        self.doubted.notify_one();
    }

    /// Tells when another cluster answers than before.
    pub(in super::super) fn replaced(&self) -> watch::Receiver<u64> {
        self.replaced.subscribe()
    }

    pub(in super::super) fn trust(&self, trusted: Option<&ClusterIdentity>) {
        self.change_identity(|identity| identity.trusted = trusted.cloned());
    }

    pub(in super::super) fn is_known(&self) -> bool {
        self.lock().identity.is_known()
    }

    /// Whoever waited for the cluster to be known goes on.
    fn change_identity(&self, change: impl FnOnce(&mut Identity)) {
        let mut state = self.lock();
        let before = state.identity.is_known();
        change(&mut state.identity);
        if state.identity.is_known() && !before {
            state.watchers.values().for_each(|sender| sender.send_modify(|count| *count += 1));
            self.mirror.notify_one();
            self.namespaces_changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Key, Observation};
    use super::*;

    fn sync(view: &View, deployment: Option<&Key>) {
        for kind in [
            WatchedKind::Deployment,
            WatchedKind::ReplicaSet,
            WatchedKind::Pod,
            WatchedKind::Namespace,
        ] {
            view.begin_list(&kind.into());
            if let (WatchedKind::Deployment, Some(key)) = (kind, deployment) {
                let metadata = json!({ "namespace": key.namespace, "name": key.name, "uid": "1", "resourceVersion": "7" });
                view.put_deployment(key, json!({ "metadata": metadata, "spec": {}, "status": {} }));
            }
            view.end_list(&kind.into());
        }
    }

    #[test]
    fn nothing_of_one_cluster_is_shown_for_another_that_takes_its_place() {
        let view = View::default();
        let key = Key { namespace: "shop".into(), name: "web".into() };
        let (first, second): (ClusterIdentity, ClusterIdentity) =
            ("first".parse().unwrap(), "second".parse().unwrap());
        let replaced = view.replaced();
        sync(&view, Some(&key));
        view.trust(Some(&first));
        view.see(first.clone(), view.doubts());
        assert!(matches!(view.observe(&key), Observation::Present(_)));
        view.see(first, view.doubts());
        assert!(!replaced.has_changed().unwrap(), "the same one");

        // An operator has put the second on record; the watches are the first one's still.
        view.see(second.clone(), view.doubts());
        assert!(replaced.has_changed().unwrap(), "the watches begin again");
        view.trust(Some(&second));
        view.see(second, view.doubts());
        assert!(view.is_known());
        assert_eq!(view.observe(&key), Observation::Unknown);
        assert!(!view.is_reachable());
        sync(&view, None);
        assert_eq!(view.observe(&key), Observation::Absent);
    }
}
