//! What the watches put into the view: objects as they come, change and go.

use super::*;

impl View {
    /// Takes a Deployment in, unless a newer version of it is here already.
    pub(crate) fn put_deployment(&self, key: &Key, object: Value) {
        let mut state = self.lock();
        let listing = self.stream_of_deployments(&key.namespace);
        if let (Some(listed), Some(uid)) = (
            listing.and_then(|stream| state.listing.get_mut(stream)),
            object["metadata"]["uid"].as_str(),
        ) {
            // One that we create while a list is on its way may not be in it.
            listed.insert(uid.to_owned());
        }
        if let Some(present) = state.deployments.get(key)
            && present["metadata"]["uid"] == object["metadata"]["uid"]
            && version(present) > version(&object)
        {
            return;
        }
        // Of all Deployments: one that was adopted says nothing of it yet.
        if state.deployments.get(key).is_none_or(|present| numbers(present) != numbers(&object)) {
            state.to_mirror.insert(key.clone());
            self.mirror.notify_one();
        }
        state.deployments.insert(key.clone(), object);
        state.notify(key);
    }

    pub(crate) fn begin_list(&self, stream: &Stream) {
        let mut state = self.lock();
        state.listing.insert(stream.clone(), HashSet::new());
        if state.synced.contains(stream) {
            self.doubt(&mut state, stream.kind);
        }
    }

    pub(crate) fn end_list(&self, stream: &Stream) {
        let mut state = self.lock();
        let Some(listed) = state.listing.remove(stream) else { return };
        let kind = stream.kind;
        let gone: Vec<String> = match kind {
            WatchedKind::Deployment => {
                let State { deployments, to_mirror, .. } = &mut *state;
                deployments.retain(|key, object| {
                    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
                    let is_there = !stream.shows(&key.namespace) || listed.contains(uid);
                    if !is_there {
                        to_mirror.insert(key.clone());
                        self.mirror.notify_one();
                    }
                    is_there
                });
                Vec::new()
            }
            _ if stream.namespace.is_some() => {
                let before = state.held.insert(stream.clone(), listed.clone()).unwrap_or_default();
                before.into_iter().filter(|uid| !listed.contains(uid)).collect()
            }
            WatchedKind::ReplicaSet => {
                state.replica_sets.keys().filter(|uid| !listed.contains(*uid)).cloned().collect()
            }
            WatchedKind::Pod => state
                .pods
                .keys()
                .chain(state.port_holders.keys())
                .chain(state.leaving.keys())
                .chain(state.failed.keys())
                .filter(|uid| !listed.contains(*uid))
                .cloned()
                .collect(),
            WatchedKind::Warning => {
                state.warnings.keys().filter(|uid| !listed.contains(*uid)).cloned().collect()
            }
            WatchedKind::DeploymentWarning => state
                .deployment_warnings
                .keys()
                .filter(|uid| !listed.contains(*uid))
                .cloned()
                .collect(),
            WatchedKind::Namespace => {
                state.namespaces = listed.iter().cloned().collect();
                Vec::new()
            }
        };
        for uid in gone {
            state.port_holders.remove(&uid);
            state.forget(kind, &uid);
        }
        self.namespaces_changed.notify_one();
        state.synced.insert(stream.clone());
        state.broken.remove(stream);
        for sender in state.watchers.values() {
            sender.send_modify(|count| *count += 1);
        }
    }

    pub(crate) fn put(&self, stream: &Stream, seen: DynamicObject) {
        let kind = stream.kind;
        let uid = seen.metadata.uid.clone().unwrap_or_default();
        let name = seen.metadata.name.clone().unwrap_or_default();
        let key = Key { namespace: seen.metadata.namespace.clone().unwrap_or_default(), name };
        let Ok(value) = serde_json::to_value(seen) else { return };
        if kind != WatchedKind::Deployment {
            let mut state = self.lock();
            if let Some(listed) = state.listing.get_mut(stream) {
                listed.insert(if kind == WatchedKind::Namespace {
                    key.name.clone()
                } else {
                    uid.clone()
                });
            } else if stream.namespace.is_some() {
                state.held.entry(stream.clone()).or_default().insert(uid.clone());
            }
        }
        match kind {
            WatchedKind::Deployment => self.put_deployment(&key, value),
            WatchedKind::Namespace => {
                let mut state = self.lock();
                if key.name == KUBE_SYSTEM
                    && state.identity.seen.as_ref().is_some_and(|seen| seen.as_str() != uid)
                {
                    self.doubt(&mut state, kind);
                }
                if state.namespaces.insert(key.name) {
                    self.namespaces_changed.notify_one();
                }
            }
            WatchedKind::ReplicaSet => {
                let Some((owner, owner_name)) = controller(&value, "Deployment") else { return };
                let deployment = Key { namespace: key.namespace, name: owner_name };
                let mut state = self.lock();
                state.children.entry(owner.clone()).or_default().insert(uid.clone());
                state.replica_sets.insert(
                    uid,
                    Owned { owner, object: object::replica_set(&value, deployment.clone()) },
                );
                state.notify(&deployment);
            }
            WatchedKind::Pod => {
                if host_ports(&value).is_empty() {
                    self.lock().port_holders.remove(&uid);
                } else {
                    self.lock().port_holders.insert(uid.clone(), footprint(&value));
                }
                let Some((owner, _)) = controller(&value, "ReplicaSet") else { return };
                let mut state = self.lock();
                // A pod on its way out no longer counts, neither for nor against.
                let leaves = !value["metadata"]["deletionTimestamp"].is_null();
                let ended =
                    matches!(value["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
                let was_leaving = state.leaving.remove(&uid).is_some();
                if !leaves && !ended {
                    state.children.entry(owner.clone()).or_default().insert(uid.clone());
                    let mut pod = object::pod(&value);
                    let known = state.pods.get(&uid).and_then(|pod| pod.object.troubled_since);
                    // Kubernetes does not say since when a container waits.
                    pod.troubled_since =
                        pod.is_troubled().then(|| known.unwrap_or_else(Timestamp::now));
                    state.pods.insert(uid, Owned { owner: owner.clone(), object: pod });
                } else {
                    state.forget(WatchedKind::Pod, &uid);
                    if ended && was_leaving {
                        state.note_left(&owner);
                    }
                    if !ended {
                        state.children.entry(owner.clone()).or_default().insert(uid.clone());
                        state.leaving.insert(uid, owner.clone());
                    } else if !leaves && value["status"]["phase"] == "Failed" {
                        state.children.entry(owner.clone()).or_default().insert(uid.clone());
                        state.failed.insert(
                            uid,
                            Owned { owner: owner.clone(), object: object::failed_pod(&value) },
                        );
                    }
                }
                state.notify_owner(&owner);
            }
            WatchedKind::Warning => {
                let about = &value["involvedObject"];
                let (Some("Pod"), Some(owner)) = (about["kind"].as_str(), about["uid"].as_str())
                else {
                    return;
                };
                let mut state = self.lock();
                state.children.entry(owner.to_owned()).or_default().insert(uid.clone());
                take_warning(&mut state.warnings, uid, owner, &value);
                state.notify_pod(owner);
            }
            WatchedKind::DeploymentWarning => {
                let about = &value["involvedObject"];
                let (Some("Deployment"), Some(owner), Some(name)) =
                    (about["kind"].as_str(), about["uid"].as_str(), about["name"].as_str())
                else {
                    return;
                };
                if !object::is_of_deployment_controller(&value) {
                    return;
                }
                let mut state = self.lock();
                state.children.entry(owner.to_owned()).or_default().insert(uid.clone());
                take_warning(&mut state.deployment_warnings, uid, owner, &value);
                state.notify(&Key { namespace: key.namespace, name: name.to_owned() });
            }
        }
    }

    pub(crate) fn delete(&self, stream: &Stream, object: &DynamicObject) {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let name = object.metadata.name.clone().unwrap_or_default();
        let mut state = self.lock();
        let kind = stream.kind;
        if let Some(held) = state.held.get_mut(stream) {
            held.remove(&uid);
        }
        match kind {
            WatchedKind::Namespace => {
                state.namespaces.remove(&name);
                state.left_at.remove(&name);
                self.namespaces_changed.notify_one();
            }
            WatchedKind::Deployment => {
                let key =
                    Key { namespace: object.metadata.namespace.clone().unwrap_or_default(), name };
                // Not one that was created anew under the name meanwhile.
                if state
                    .deployments
                    .get(&key)
                    .is_some_and(|present| present["metadata"]["uid"] == uid)
                {
                    state.deployments.remove(&key);
                    state.to_mirror.insert(key.clone());
                    self.mirror.notify_one();
                }
                state.notify(&key);
            }
            WatchedKind::ReplicaSet
            | WatchedKind::Pod
            | WatchedKind::Warning
            | WatchedKind::DeploymentWarning => {
                state.port_holders.remove(&uid);
                state.forget(kind, &uid);
            }
        }
    }
}

/// Takes an Event in; one that was given again goes on where it was.
fn take_warning(
    known: &mut HashMap<String, Owned<Warning>>,
    uid: String,
    owner: &str,
    event: &Value,
) {
    let told = object::warning(event);
    let told = match known.get(&uid) {
        Some(earlier) => told.after(&earlier.object, Timestamp::now()),
        None => told,
    };
    known.insert(uid, Owned { owner: owner.to_owned(), object: told });
}
