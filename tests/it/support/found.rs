//! Deployments that somebody else made, as JSON, and what of them is compared.

use domain::ApplicationId;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use service::Adopt;

use super::{App, CLUSTER, caller, eventually};

/// Annotations by which Sluice and Kubernetes keep their books on a Deployment.
const BOOKS: [&str; 6] = [
    "deployment.kubernetes.io/revision",
    "sluice.dev/application",
    "sluice.dev/fence",
    "sluice.dev/installation",
    "sluice.dev/order",
    "sluice.dev/borrowed-settings",
];

impl App {
    pub fn objects(&self) -> Api<DynamicObject> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind)
    }

    /// A Deployment as it is, whole.
    pub async fn live(&self, name: &str) -> Value {
        serde_json::to_value(self.objects().get(name).await.unwrap()).unwrap()
    }

    /// Creates it as `kubectl create` does, and waits for its pods.
    pub async fn put(&self, deployment: &Value) {
        let parameters =
            PostParams { field_manager: Some("kubectl-create".into()), ..PostParams::default() };
        self.objects().create(&parameters, &object(deployment)).await.unwrap();
        self.rolled_out(deployment["metadata"]["name"].as_str().unwrap()).await;
    }

    /// Applies it as `kubectl apply --server-side` does.
    pub async fn apply(&self, deployment: &Value, manager: &str) -> Result<(), String> {
        let name = deployment["metadata"]["name"].as_str().unwrap();
        let parameters =
            PatchParams { field_manager: Some(manager.into()), ..PatchParams::default() };
        let applied =
            self.objects().patch(name, &parameters, &Patch::Apply(object(deployment))).await;
        applied.map(drop).map_err(|error| error.to_string())
    }

    /// Changes it as a merge patch says.
    pub async fn merge(&self, name: &str, change: Value) {
        let parameters =
            PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
        self.objects().patch(name, &parameters, &Patch::Merge(change)).await.unwrap();
    }

    /// Waits until all of its pods are of its template and Ready.
    pub async fn rolled_out(&self, name: &str) {
        eventually(async || {
            let live = self.live(name).await;
            let (spec, status, metadata) = (&live["spec"], &live["status"], &live["metadata"]);
            let number = |value: &Value| value.as_i64().unwrap_or(0);
            let wanted = number(&spec["replicas"]);
            let is_so = spec["paused"] == true
                || (number(&status["observedGeneration"]) >= number(&metadata["generation"])
                    && [&status["updatedReplicas"], &status["replicas"], &status["readyReplicas"]]
                        .iter()
                        .all(|it| number(it) == wanted));
            if is_so { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    }

    /// Creates it and makes an application of it.
    pub async fn adopted(&self, deployment: &Value) -> ApplicationId {
        self.put(deployment).await;
        self.adopt(deployment["metadata"]["name"].as_str().unwrap(), None).await.unwrap().0
    }

    /// Makes an application of a Deployment, once the executor has seen it.
    pub async fn adopt(
        &self,
        name: &str,
        container: Option<&str>,
    ) -> Result<(ApplicationId, domain::OrderId), String> {
        let request = Adopt {
            name: name.into(),
            cluster: CLUSTER.into(),
            namespace: self.namespace.clone(),
            logical_region: None,
            description: String::new(),
            version: Some("as found".into()),
            container: container.map(Into::into),
        };
        let adopted =
            eventually(async || match self.service.adopt(&caller(), request.clone()).await {
                Err(error)
                    if ["no such Deployment", "nobody can look"]
                        .iter()
                        .any(|why| error.to_string().contains(why)) =>
                {
                    Err(error.to_string())
                }
                other => Ok(other),
            });
        adopted.await.map_err(|error| error.to_string())
    }
}

fn object(deployment: &Value) -> DynamicObject {
    let mut object = deployment.clone();
    object["apiVersion"] = json!("apps/v1");
    object["kind"] = json!("Deployment");
    serde_json::from_value(object).unwrap()
}

/// What of a Deployment is its user's: all but the status, counters, and the books.
pub fn own(live: &Value) -> Value {
    let mut own = live.clone();
    own.as_object_mut().unwrap().remove("status");
    let metadata = own["metadata"].as_object_mut().unwrap();
    for field in ["resourceVersion", "generation", "managedFields"] {
        metadata.remove(field);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !BOOKS.contains(&key.as_str()));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    own
}

/// Who owns what of a Deployment's spec, by manager and operation.
pub fn owners(live: &Value) -> Value {
    let entries = live["metadata"]["managedFields"].as_array().unwrap().iter();
    let of_spec = entries
        .filter(|entry| entry["subresource"] != "status" && !entry["fieldsV1"]["f:spec"].is_null());
    let told = of_spec.map(|entry| {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        let who = format!("{} {} {}", text("manager"), text("operation"), text("subresource"));
        let who = who.trim_end().to_owned();
        (who, entry["fieldsV1"]["f:spec"].clone())
    });
    Value::Object(told.collect())
}
