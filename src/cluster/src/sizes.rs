//! Whether the watches have caught up with the sizes of an application's ReplicaSets, and
//! whether these can be changed at all.
//!
//! Watches of two kinds are not in step: what the Deployment controller did may show
//! on the Deployment before it shows on its ReplicaSets. Where a number is about to
//! be written that must be right, the API server is asked. Reads and dry runs only.

use std::collections::BTreeMap;

use kube::{
    Api,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::{
    Cluster, ClusterError, FIELD_MANAGER, Key, apps,
    object::controller,
    request::{all, bounded, value},
};
use domain::observed::DeploymentView;

impl Cluster {
    /// Whether the ReplicaSets have the sizes that `seen` shows.
    ///
    /// # Errors
    /// [`ClusterError`], where the API server does not let them be seen.
    pub async fn has_sizes(&self, key: &Key, seen: &DeploymentView) -> Result<bool, ClusterError> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &apps("ReplicaSet"));
        let mut sizes = BTreeMap::new();
        for object in all(ListParams::default(), async |page| api.list(&page).await).await? {
            let object = value(object)?;
            let is_ours =
                controller(&object, "Deployment").is_some_and(|(_, name)| name == key.name);
            if let (true, Some(name), Some(size)) =
                (is_ours, object["metadata"]["name"].as_str(), object["spec"]["replicas"].as_i64())
                && size > 0
            {
                sizes.insert(name.to_owned(), size);
            }
        }
        let shown = seen.new.iter().chain(&seen.old).filter(|set| set.desired > 0);
        Ok(sizes == shown.map(|set| (set.name.clone(), i64::from(set.desired))).collect())
    }

    /// What the API server says to the next step of a rollout, one pod more of the new
    /// version and one less of an old one, where that is a no: the Deployment controller
    /// would hear the same. That we lack the right ourselves says nothing.
    pub async fn refuses_sizes(&self, key: &Key, seen: &DeploymentView) -> Option<String> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &apps("ReplicaSet"));
        let parameters = PatchParams {
            dry_run: true,
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        let more =
            seen.new.iter().map(|set| (set, set.desired.saturating_add(1).min(seen.replicas)));
        for (set, replicas) in
            more.chain(seen.old.iter().map(|set| (set, (set.desired - 1).max(0))))
        {
            let size = json!({ "spec": { "replicas": replicas } });
            if let Err(ClusterError::Refused(why)) =
                bounded(api.patch(&set.name, &parameters, &Patch::Merge(size))).await
                && !why.contains("cannot patch resource")
                && !why.contains("does not support dry run")
            {
                return Some(why);
            }
        }
        None
    }
}
