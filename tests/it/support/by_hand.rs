//! What tests do with their own hands on a real control plane: Deployments as people
//! write them, and pods that no kubelet (nor what stands in for one) takes notice of.

use std::{future::Future, time::Duration};

use domain::ApplicationId;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use service::Adopt;
use tokio::task::JoinHandle;

use super::{App, CLUSTER, caller, eventually};
use domain::template::names::NAME_LABEL;

/// An image whose pods stay as they are until the test says what becomes of them.
pub const BY_HAND: &str = "shop/web:2.0--by-hand";

/// A Deployment `name` of `replicas` pods, as somebody wrote it; `more` is merged into
/// its spec. Returns once it rests.
pub async fn foreign(app: &App, name: &str, replicas: i32, more: Value) {
    let label = json!({ NAME_LABEL: name });
    let mut deployment = json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": label },
            "template": { "metadata": { "labels": label }, "spec": { "containers": [{ "name": name, "image": "shop/web:1.0" }] } },
        },
    });
    json_patch::merge(&mut deployment["spec"], &more);
    app.deployments()
        .create(&PostParams::default(), &serde_json::from_value(deployment).unwrap())
        .await
        .unwrap();
    rests(app, name).await;
}

/// Waits until all pods of a Deployment are there and Ready.
pub async fn rests(app: &App, name: &str) -> Deployment {
    eventually(async || {
        let found = app.deployments().get(name).await.unwrap();
        let status = found.status.clone().unwrap_or_default();
        let wanted = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let all = [
            status.replicas,
            status.updated_replicas,
            status.ready_replicas,
            status.available_replicas,
        ];
        let rests = status.observed_generation == found.metadata.generation
            && all.iter().all(|pods| pods.unwrap_or(0) == wanted);
        if rests { Ok(found) } else { Err(format!("{status:?}")) }
    })
    .await
}

/// Takes it over as an application, once the executor has seen it.
pub async fn adopt(app: &App, name: &str) -> ApplicationId {
    let request = Adopt {
        name: name.into(),
        cluster: CLUSTER.into(),
        namespace: app.namespace.clone(),
        logical_region: None,
        container: None,
        description: String::new(),
        version: None,
    };
    eventually(async || {
        app.service.adopt(&caller(), request.clone()).await.map_err(|why| why.to_string())
    })
    .await
    .0
}

/// A Deployment that was written by somebody else, and adopted.
pub async fn adopted(app: &App, name: &str, replicas: i32, more: Value) -> ApplicationId {
    foreign(app, name, replicas, more).await;
    adopt(app, name).await
}

/// As `kubectl scale` does it.
pub async fn scale(app: &App, name: &str, replicas: i32) {
    let patch = json!({ "spec": { "replicas": replicas } });
    app.deployments().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

/// As `kubectl set image` does it.
pub async fn set_image(app: &App, name: &str, image: &str) {
    let containers = json!([{ "name": name, "image": image }]);
    let patch = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
    app.deployments().patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
}

/// Does `act` to each new pod of [`BY_HAND`], until it is dropped.
pub struct Hands(JoinHandle<()>);

impl Hands {
    pub fn on_each_pod<F>(
        app: &App,
        act: impl Fn(Api<Pod>, Pod, usize) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
        Self(tokio::spawn(async move {
            let mut seen = std::collections::HashSet::new();
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            loop {
                ticks.tick().await;
                let Ok(list) = pods.list(&ListParams::default()).await else { continue };
                for pod in list.items {
                    let image =
                        pod.spec.as_ref().and_then(|spec| spec.containers[0].image.as_deref());
                    if image == Some(BY_HAND) && seen.insert(pod.name_any()) {
                        tokio::spawn(act(pods.clone(), pod, seen.len()));
                    }
                }
            }
        }))
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Writes the pod's status, as its kubelet would. A pod that went meanwhile needs none.
pub async fn set_status(pods: &Api<Pod>, pod: &Pod, status: Value) {
    let _ = pods
        .patch_status(
            &pod.name_any(),
            &PatchParams::default(),
            &Patch::Merge(json!({ "status": status })),
        )
        .await;
}

/// A pod that runs and is Ready.
pub fn ready() -> Value {
    let now = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap().to_string();
    let conditions = ["Initialized", "ContainersReady", "Ready"];
    let conditions =
        conditions.map(|kind| json!({ "type": kind, "status": "True", "lastTransitionTime": now }));
    json!({
        "phase": "Running", "startTime": now, "conditions": conditions,
        "containerStatuses": [{
            "name": "web", "image": BY_HAND, "imageID": BY_HAND, "ready": true, "restartCount": 0,
            "state": { "running": { "startedAt": now } },
        }],
    })
}

/// A pod that a kubelet rejected or evicted.
pub fn failed(reason: &str, message: &str) -> Value {
    json!({ "phase": "Failed", "reason": reason, "message": message })
}

/// A warning of the kubelet about the pod, given for the `count`th time.
pub fn warning(
    pod: &Pod,
    reason: &str,
    message: &str,
    first: jiff::Timestamp,
    count: i32,
) -> Value {
    let second = |at: jiff::Timestamp| at.round(jiff::Unit::Second).unwrap().to_string();
    json!({
        "metadata": { "name": format!("{}.{}", pod.name_any(), reason.to_lowercase()), "namespace": pod.namespace() },
        "involvedObject": { "apiVersion": "v1", "kind": "Pod", "namespace": pod.namespace(), "name": pod.name_any(), "uid": pod.uid() },
        "type": "Warning", "reason": reason, "message": message, "source": { "component": "kubelet" },
        "firstTimestamp": second(first), "lastTimestamp": second(jiff::Timestamp::now()), "count": count,
    })
}
