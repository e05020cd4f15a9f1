//! One view of the cluster, kept by watches: Deployments, their ReplicaSets and
//! pods, and who wants to know of their changes.
//!
//! A Deployment in it never goes back to an older version, even if a watch
//! lags behind what our own write returned. ReplicaSets and pods are reduced to
//! what decisions need.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

mod blind;
mod identified;
mod released;
mod shown;
mod stream;
mod taken;

use super::{
    key::Key,
    manifest,
    object::{self, ReplicaSet, controller, number, other_manager, version},
};
use blind::Blindness;
use domain::{
    observed::{DeploymentView, FailedPod, Observation, PodView, ReplicaSetView, Warning},
    precheck::{evidence::footprint, nodes::host_ports},
    rights::Scope,
    template::sameness::is_same,
};
use identified::Identity;
pub(crate) use identified::KUBE_SYSTEM;
pub use released::Released;
pub(crate) use stream::Stream;

/// Pods of one ReplicaSet that failed, as many as are looked at.
const MOST_FAILED: usize = 100;

/// How many pods an application's Deployment has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    pub key: Key,
    /// None = there is no Deployment.
    pub replicas: Option<i32>,
    pub ready: i32,
}

/// The kinds of objects that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum WatchedKind {
    Deployment,
    ReplicaSet,
    Pod,
    Namespace,
    /// Events that warn about pods. They may be hidden from us; then less is told.
    Warning,
    /// The same about Deployments.
    DeploymentWarning,
}

impl WatchedKind {
    /// What it is counted as.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::ReplicaSet => "replicasets",
            Self::Pod => "pods",
            Self::Namespace => "namespaces",
            Self::Warning => "pod-events",
            Self::DeploymentWarning => "deployment-events",
        }
    }
}

/// What the watches see. All methods are short and take one lock.
#[derive(Debug)]
pub struct View {
    scope: Scope,
    /// All watches that keep it.
    streams: Vec<Stream>,
    state: Mutex<State>,
    mirror: Notify,
    namespaces_changed: Notify,
    doubted: Notify,
    /// How often another cluster answered than before.
    replaced: watch::Sender<u64>,
    /// How often streams were given up that may be dead without a word.
    renewed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    identity: Identity,
    deployments: HashMap<Key, Value>,
    /// By uid.
    replica_sets: HashMap<String, Owned<ReplicaSet>>,
    /// By uid.
    pods: HashMap<String, Owned<PodView>>,
    /// Uids of pods on their way out, with their ReplicaSet's.
    leaving: HashMap<String, String>,
    /// Pods that failed for good, by uid.
    failed: HashMap<String, Owned<FailedPod>>,
    /// Pods that take ports of their nodes, whoever made them, by uid; without what does
    /// not matter for that.
    port_holders: HashMap<String, Value>,
    /// By the event's own uid; its owner is the pod.
    warnings: HashMap<String, Owned<Warning>>,
    /// By the event's own uid; its owner is the Deployment.
    deployment_warnings: HashMap<String, Owned<Warning>>,
    /// When the last pod of a namespace was gone that had been on its way out.
    left_at: HashMap<String, Timestamp>,
    /// Uids of owned objects by their owner's.
    children: HashMap<String, HashSet<String>>,
    namespaces: BTreeSet<String>,
    /// Watches whose first list is complete.
    synced: HashSet<Stream>,
    /// Watches that are broken now, and why.
    broken: HashMap<Stream, Blindness>,
    /// Why the API server did not say which cluster it is, where it did not the last time.
    unanswered: Option<(Blindness, Instant)>,
    watchers: HashMap<Key, watch::Sender<u64>>,
    /// Deployments whose numbers of pods changed.
    to_mirror: BTreeSet<Key>,
    /// Uids seen since a new list began.
    listing: HashMap<Stream, HashSet<String>>,
    /// Uids that came by the watch of one namespace, but for Deployments, which tell theirs.
    held: HashMap<Stream, HashSet<String>>,
}

#[derive(Debug)]
struct Owned<T> {
    owner: String,
    object: T,
}

impl Default for View {
    fn default() -> Self {
        Self::new(Scope::Whole)
    }
}

impl View {
    /// Nothing is seen yet.
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            streams: Stream::of(&scope),
            scope,
            state: Mutex::default(),
            mirror: Notify::default(),
            namespaces_changed: Notify::default(),
            doubted: Notify::default(),
            replaced: watch::Sender::default(),
            renewed: watch::Sender::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is replaced field by field; a panic in between loses one event at most.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn observe(&self, key: &Key) -> Observation {
        let state = self.lock();
        // What a broken watch showed last may be long gone; and what is not watched is not
        // known to be absent.
        if !state.identity.is_known()
            || !self.scope.serves(&key.namespace)
            || !self.sees(&state, &key.namespace)
        {
            return Observation::Unknown;
        }
        match state.deployments.get(key) {
            None => Observation::Absent,
            Some(deployment) => Observation::Present(Box::new(state.deployment_view(deployment))),
        }
    }

    pub(super) fn port_holders(&self) -> Vec<Value> {
        self.lock().port_holders.values().cloned().collect()
    }

    pub(super) fn deployment(&self, key: &Key) -> Option<Value> {
        self.lock().deployments.get(key).cloned()
    }

    pub(super) fn changes(&self, key: &Key) -> watch::Receiver<u64> {
        let mut state = self.lock();
        state.watchers.retain(|_, sender| sender.receiver_count() > 0);
        state.watchers.entry(key.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    pub(super) fn namespaces(&self) -> Vec<String> {
        match self.scope.names() {
            Some(names) => names.to_vec(),
            None => self.lock().namespaces.iter().cloned().collect(),
        }
    }

    pub(super) async fn namespaces_changed(&self) {
        self.namespaces_changed.notified().await;
    }

    pub(super) async fn mirrored(&self) -> Vec<Mirror> {
        loop {
            let changed = self.mirror.notified();
            let found: Vec<Mirror> = {
                let mut state = self.lock();
                // Those of a cluster that is not known wait until it is.
                let keys = if state.identity.is_known() {
                    std::mem::take(&mut state.to_mirror)
                } else {
                    BTreeSet::new()
                };
                keys.into_iter().filter_map(|key| self.mirror_of(&state, key)).collect()
            };
            if !found.is_empty() {
                return found;
            }
            changed.await;
        }
    }

    pub(super) fn mirrored_anew(&self) -> Vec<Mirror> {
        let state = self.lock();
        if state.identity.is_known() {
            state.deployments.keys().filter_map(|key| self.mirror_of(&state, key.clone())).collect()
        } else {
            Vec::new()
        }
    }
}

impl View {
    /// None where a Deployment may be there unseen.
    fn mirror_of(&self, state: &State, key: Key) -> Option<Mirror> {
        if let Some(object) = state.deployments.get(&key) {
            let (replicas, ready) = numbers(object);
            return Some(Mirror { key, replicas: Some(replicas), ready });
        }
        let is_seen = self.scope.serves(&key.namespace) && self.sees(state, &key.namespace);
        is_seen.then_some(Mirror { key, replicas: None, ready: 0 })
    }

    /// Those of these Deployments that are not there, as far as that is seen.
    pub(super) fn absent(&self, keys: Vec<Key>) -> Vec<Mirror> {
        let state = self.lock();
        if !state.identity.is_known() {
            return Vec::new();
        }
        let gone = keys.into_iter().filter(|key| !state.deployments.contains_key(key));
        gone.filter_map(|key| self.mirror_of(&state, key)).collect()
    }
}

/// Desired and Ready pods of a Deployment.
fn numbers(deployment: &Value) -> (i32, i32) {
    (number(&deployment["spec"]["replicas"]), number(&deployment["status"]["readyReplicas"]))
}

impl State {
    fn notify(&self, key: &Key) {
        if let Some(sender) = self.watchers.get(key) {
            sender.send_modify(|count| *count += 1);
        }
    }

    fn notify_owner(&self, replica_set: &str) {
        if let Some(key) =
            self.replica_sets.get(replica_set).and_then(|set| set.object.deployment.as_ref())
        {
            self.notify(key);
        }
    }

    fn notify_pod(&self, pod: &str) {
        if let Some(pod) = self.pods.get(pod) {
            self.notify_owner(&pod.owner);
        }
    }

    fn forget(&mut self, kind: WatchedKind, uid: &str) {
        let owner = match kind {
            WatchedKind::ReplicaSet => self.replica_sets.remove(uid).map(|set| {
                if let Some(key) = &set.object.deployment {
                    self.notify(key);
                }
                set.owner
            }),
            WatchedKind::Pod => {
                let removed = self.pods.remove(uid).map(|pod| pod.owner);
                let removed = removed
                    .or_else(|| self.leaving.remove(uid).inspect(|owner| self.note_left(owner)));
                let removed = removed.or_else(|| self.failed.remove(uid).map(|pod| pod.owner));
                removed.inspect(|owner| self.notify_owner(owner))
            }
            WatchedKind::Warning => self.warnings.remove(uid).map(|warning| warning.owner),
            WatchedKind::DeploymentWarning => {
                self.deployment_warnings.remove(uid).map(|warning| warning.owner)
            }
            WatchedKind::Deployment | WatchedKind::Namespace => None,
        };
        if let Some(owner) = owner
            && let Some(siblings) = self.children.get_mut(&owner)
        {
            siblings.remove(uid);
            if siblings.is_empty() {
                self.children.remove(&owner);
            }
        }
    }
}

#[cfg(test)]
mod tests;
