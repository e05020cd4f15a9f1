//! Looking at an application for a caller: its Deployment, its pods, their nodes.
//!
//! Asks the API server, since the watches keep only what decisions need. Reads only.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{
    Api,
    api::{DynamicObject, ListParams, Patch, PatchParams, ValidationDirective},
    core::{Selector, TypeMeta},
};
use serde_json::Value;

use super::{
    Cluster, ClusterError, FIELD_MANAGER, Key, apps, core, identity, manifest,
    object::{self, controller},
    object_write,
    request::{MOST_OBJECTS, all, bounded, pages, too_many, value},
};
use domain::{
    object::write::ObjectKind,
    observed::cluster_state::{ClusterState, Pod, QueryKind, public_deployment, public_object},
};

impl Cluster {
    /// What there is of an application now, or the objects of a kind; none = it has no Deployment.
    ///
    /// # Errors
    /// [`ClusterError`], where the API server does not let it be seen.
    pub async fn query(
        &self,
        key: &Key,
        wanted: QueryKind,
    ) -> Result<Option<ClusterState>, ClusterError> {
        identity::known(&self.view)?;
        if let Some(why) =
            self.scope().refusal(&key.namespace).filter(|_| !key.namespace.is_empty())
        {
            return Err(ClusterError::Refused(why));
        }
        if let QueryKind::Objects { kind, labels } = &wanted {
            let objects = self.objects(key, *kind, labels).await?;
            return Ok(Some(ClusterState { objects, ..ClusterState::default() }));
        }
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &apps("Deployment"));
        let deployment = match bounded(api.get(&key.name)).await.and_then(value) {
            Ok(deployment) => deployment,
            Err(ClusterError::Gone) => return Ok(None),
            Err(error) => return Err(error),
        };
        let seen = |deployment| {
            Ok(Some(ClusterState { deployment: Some(deployment), ..ClusterState::default() }))
        };
        let (whole, nodes) = match wanted {
            QueryKind::Pods { whole, nodes } => (whole, nodes),
            QueryKind::Whole => return seen(deployment),
            QueryKind::Filled { template } => {
                let filled = self.filled(&api, &deployment, &template).await;
                return Ok(Some(ClusterState {
                    deployment: Some(deployment),
                    filled,
                    ..ClusterState::default()
                }));
            }
            QueryKind::Logs(wanted) => {
                return self.logs(key, &deployment, &wanted).await.map(Some);
            }
            QueryKind::Deployment | QueryKind::Objects { .. } => {
                return seen(public_deployment(deployment));
            }
        };
        let (pods, node_labels) =
            tokio::join!(self.pods_of(key, &deployment, whole), self.node_labels(nodes));
        let pods = pods?;
        let node_labels = node_labels
            .into_iter()
            .filter(|(node, _)| pods.iter().any(|pod| pod.node == *node))
            .collect();
        Ok(Some(ClusterState { pods, node_labels, ..ClusterState::default() }))
    }

    /// The template as the API server would store it for this Deployment, by a write that
    /// is only tried; none where that is refused, which is told where it is ordered.
    async fn filled(
        &self,
        api: &Api<DynamicObject>,
        deployment: &Value,
        template: &Value,
    ) -> Option<Value> {
        let operations = manifest::template(deployment, template).ok()?;
        // A field that the API server does not know is a mistake, and would be dropped.
        let field_validation = Some(ValidationDirective::Strict);
        let field_manager = Some(FIELD_MANAGER.into());
        let parameters = PatchParams {
            dry_run: true,
            field_manager,
            field_validation,
            ..PatchParams::default()
        };
        let name = deployment["metadata"]["name"].as_str().unwrap_or_default();
        let answer = bounded(api.patch(name, &parameters, &Patch::Json::<()>(operations)))
            .await
            .and_then(value);
        match answer {
            Ok(deployment) => Some(deployment["spec"]["template"].clone()),
            Err(error) => {
                tracing::debug!(%error, "a pod template was not taken by the API server");
                None
            }
        }
    }

    async fn objects(
        &self,
        key: &Key,
        kind: ObjectKind,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Value>, ClusterError> {
        let resource = object_write::resource(kind);
        let all = || vec![Api::all_with(self.client.clone(), &resource)];
        let of = |it: &str| Api::namespaced_with(self.client.clone(), it, &resource);
        let apis: Vec<Api<DynamicObject>> = match (key.namespace.as_str(), self.scope().names()) {
            // Hosts of Ingresses are compared with those of all namespaces.
            ("", _) if kind == ObjectKind::Ingress => all(),
            ("", Some(names)) => names.iter().map(|it| of(it)).collect(),
            ("", None) => all(),
            (namespace, _) => vec![of(namespace)],
        };
        let mut selected = ListParams::default().labels_from(&labels.clone().into_iter().collect());
        if !key.name.is_empty() {
            selected = selected.fields(&format!("metadata.name={}", key.name));
        }
        let mut found = Vec::new();
        for api in apis {
            let page = async |selected| api.list(&selected).await;
            let is_whole = pages(selected.clone(), page, |items: Vec<DynamicObject>| {
                for mut object in items {
                    // The items of a list do not say what they are.
                    object.types = Some(TypeMeta {
                        api_version: resource.api_version.clone(),
                        kind: resource.kind.clone(),
                    });
                    found.push(public_object(value(object)?));
                }
                Ok(())
            })
            .await?;
            if !is_whole || found.len() > MOST_OBJECTS {
                return Err(too_many());
            }
        }
        let place = |object: &Value| {
            ["/metadata/namespace", "/metadata/name"]
                .map(|path| object.pointer(path).map(Value::to_string))
        };
        found.sort_by_cached_key(place);
        Ok(found)
    }

    pub(super) async fn pods_of(
        &self,
        key: &Key,
        deployment: &Value,
        whole: bool,
    ) -> Result<Vec<Pod>, ClusterError> {
        let unreadable = |error: String| {
            ClusterError::Refused(format!("the Deployment's selector cannot be read: {error}"))
        };
        let selector: LabelSelector =
            serde_json::from_value(deployment["spec"]["selector"].clone())
                .map_err(|error| unreadable(error.to_string()))?;
        let selector =
            Selector::try_from(selector).map_err(|error| unreadable(error.to_string()))?;
        let selected = ListParams::default().labels_from(&selector);
        let sets: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &apps("ReplicaSet"));
        let pods: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &core("Pod"));
        let (sets, pods) = tokio::try_join!(
            all(selected.clone(), async |page| sets.list_metadata(&page).await),
            all(selected.clone(), async |page| pods.list(&page).await)
        )?;
        // A selector alone may find pods of others.
        let uid = deployment["metadata"]["uid"].as_str();
        let owned = sets.iter().filter(|set| {
            let owners = set.metadata.owner_references.iter().flatten();
            owners
                .into_iter()
                .any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
        });
        let owned: Vec<&str> = owned.filter_map(|set| set.metadata.uid.as_deref()).collect();
        let mut found = Vec::new();
        for object in pods {
            let object = value(object)?;
            let is_ours = controller(&object, "ReplicaSet")
                .is_some_and(|(set, _)| owned.contains(&set.as_str()));
            if is_ours && object["metadata"]["deletionTimestamp"].is_null() {
                found.push(Pod::of(&object, &object::pod(&object), whole));
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Labels of all nodes; empty where they may not be seen, or are not wanted.
    async fn node_labels(&self, wanted: bool) -> BTreeMap<String, Value> {
        if !wanted {
            return BTreeMap::new();
        }
        let nodes: Api<DynamicObject> = Api::all_with(self.client.clone(), &core("Node"));
        match all(ListParams::default(), async |page| nodes.list_metadata(&page).await).await {
            Ok(nodes) => {
                let labels = nodes.into_iter().map(|node| node.metadata);
                labels
                    .filter_map(|node| {
                        Some((
                            node.name?,
                            serde_json::to_value(node.labels.unwrap_or_default()).ok()?,
                        ))
                    })
                    .collect()
            }
            Err(error) => {
                tracing::debug!(%error, "nodes cannot be seen");
                BTreeMap::new()
            }
        }
    }
}
