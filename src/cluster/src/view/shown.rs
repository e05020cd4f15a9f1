//! What the view shows of a Deployment: its ReplicaSets and pods, as decisions need them.

use serde_json::Value;

use domain::template::settings::BorrowedSettings;

use super::*;

impl State {
    pub(super) fn namespace_of(&self, replica_set: &str) -> Option<&str> {
        Some(self.replica_sets.get(replica_set)?.object.deployment.as_ref()?.namespace.as_str())
    }

    pub(super) fn leaving_in(&self, namespace: &str) -> i32 {
        let nearby = self.leaving.values().filter(|set| self.namespace_of(set) == Some(namespace));
        i32::try_from(nearby.count()).unwrap_or(i32::MAX)
    }

    pub(super) fn note_left(&mut self, replica_set: &str) {
        if let Some(namespace) = self.namespace_of(replica_set).map(str::to_owned) {
            self.left_at.insert(namespace, Timestamp::now());
        }
    }

    pub(super) fn deployment_view(&self, object: &Value) -> DeploymentView {
        let (spec, status, metadata) = (&object["spec"], &object["status"], &object["metadata"]);
        let uid = metadata["uid"].as_str().unwrap_or_default();
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let told = self
            .children
            .get(uid)
            .into_iter()
            .flatten()
            .filter_map(|event| self.deployment_warnings.get(event));
        let mut warnings: Vec<Warning> = told.map(|warning| warning.object.clone()).collect();
        warnings.sort_by(|a, b| (a.at, &a.message).cmp(&(b.at, &b.message)));
        let (mut new, mut old, mut idle) = (None, Vec::new(), Vec::new());
        let mut leaving = 0;
        let mut sets: Vec<ReplicaSetView> = Vec::new();
        for set_uid in self.children.get(uid).into_iter().flatten() {
            let Some(set) = self.replica_sets.get(set_uid) else { continue };
            let pods = self.children.get(set_uid).into_iter().flatten();
            leaving += i32::try_from(pods.filter(|pod| self.leaving.contains_key(*pod)).count())
                .unwrap_or(i32::MAX);
            sets.push(self.replica_set_view(set_uid, &set.object));
        }
        // The new one is the oldest of the template, as for the Deployment controller.
        sets.sort_by(|a, b| a.age().cmp(&b.age()));
        for view in sets {
            if new.is_none() && is_same(&view.template, &spec["template"]) {
                new = Some(view);
            } else if view.desired > 0 || view.status_replicas > 0 || !view.pods.is_empty() {
                old.push(view);
            } else {
                idle.push(view);
            }
        }
        // Counted where somebody asks for it: there may be many.
        let lacks_pods =
            new.iter().chain(&old).any(|set: &ReplicaSetView| set.create_failure.is_some());
        let leaving_nearby = if lacks_pods { self.leaving_in(namespace) } else { leaving };
        DeploymentView {
            uid: uid.to_owned(),
            application: manifest::application(object).map(str::to_owned),
            resource_version: version(object),
            observed: status["observedGeneration"].as_i64().unwrap_or(0)
                >= metadata["generation"].as_i64().unwrap_or(0),
            replicas: number(&spec["replicas"]),
            settings: manifest::settings(object),
            borrowed: BorrowedSettings::read_from(object),
            template: spec["template"].clone(),
            fence: manifest::fence(object),
            written_by: manifest::order(object),
            owners: object::owners(object),
            controller: object::any_controller(object),
            helm_release: domain::guard::helm_release(object),
            other_manager: other_manager(metadata, "f:template"),
            other_scaler: other_manager(metadata, "f:replicas"),
            status_replicas: number(&status["replicas"]),
            status_updated: number(&status["updatedReplicas"]),
            new,
            old,
            idle,
            leaving,
            leaving_nearby,
            left_at: self.left_at.get(namespace).copied(),
            warnings,
            set_failure: object::set_failure(status),
            refused: None,
        }
    }

    pub(super) fn replica_set_view(&self, uid: &str, set: &ReplicaSet) -> ReplicaSetView {
        let pods = self.children.get(uid).into_iter().flatten();
        let mut pods: Vec<PodView> = pods.filter_map(|pod| self.pod_view(pod)).collect();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        let failed =
            self.children.get(uid).into_iter().flatten().filter_map(|pod| self.failed.get(pod));
        let mut failed: Vec<&FailedPod> = failed.map(|pod| &pod.object).collect();
        failed.sort_by_key(|pod| (pod.created_at, pod.at));
        let newest = &failed[failed.len().saturating_sub(MOST_FAILED)..];
        ReplicaSetView {
            resource_version: set.resource_version,
            name: set.name.clone(),
            uid: uid.to_owned(),
            created_at: set.created_at,
            template: set.template.clone(),
            desired: set.desired,
            min_ready_seconds: set.min_ready_seconds,
            status_replicas: set.status_replicas,
            available: set.available,
            observed: set.observed,
            create_failure: set.create_failure.clone(),
            pods,
            failed: newest.iter().map(|pod| (*pod).clone()).collect(),
            failed_count: failed.len(),
        }
    }

    pub(super) fn pod_view(&self, uid: &str) -> Option<PodView> {
        let mut pod = self.pods.get(uid)?.object.clone();
        let warnings = self
            .children
            .get(uid)
            .into_iter()
            .flatten()
            .filter_map(|event| self.warnings.get(event));
        pod.warnings = warnings.map(|warning| warning.object.clone()).collect();
        pod.warnings.sort_by(|a, b| (a.at, &a.message).cmp(&(b.at, &b.message)));
        Some(pod)
    }
}
