//! Whether the watches have caught up with the sizes of an application's ReplicaSets.
//!
//! Watches of two kinds are not in step: what the Deployment controller did may show
//! on the Deployment before it shows on its ReplicaSets. Where a number is about to
//! be written that must be right, the API server is asked. Reads only.

use std::collections::BTreeMap;

use kube::{
    Api,
    api::{DynamicObject, ListParams},
};

use super::{
    Cluster, ClusterError, Key,
    apply::{bounded, value},
    apps,
    object::controller,
};
use domain::observation::DeploymentView;

impl Cluster {
    /// Whether the ReplicaSets have the sizes that `seen` shows.
    ///
    /// # Errors
    /// [`ClusterError`], where the API server does not let them be seen.
    pub async fn has_sizes(&self, key: &Key, seen: &DeploymentView) -> Result<bool, ClusterError> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &key.namespace, &apps("ReplicaSet"));
        let mut sizes = BTreeMap::new();
        for object in bounded(api.list(&ListParams::default())).await?.items {
            let object = value(object)?;
            let is_ours = controller(&object, "Deployment").is_some_and(|(_, name)| name == key.name);
            if let (true, Some(name), Some(size)) = (is_ours, object["metadata"]["name"].as_str(), object["spec"]["replicas"].as_i64())
                && size > 0
            {
                sizes.insert(name.to_owned(), size);
            }
        }
        let shown = seen.new.iter().chain(&seen.old).filter(|set| set.desired > 0);
        Ok(sizes == shown.map(|set| (set.name.clone(), i64::from(set.desired))).collect())
    }
}
