//! What pods do and say: the words of the fake nodes, the shapes of a status.
//!
//! Shapes are compared whole, but for times, addresses and ids.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::support::{Space, web, with};

/// Creates a pod of an image, with times for its stages.
async fn pod(space: &Space, image: &str, times: Value) -> Pod {
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "pod", "annotations": times},
        "spec": {"containers": [{"name": "web", "image": image}]},
    }))
    .unwrap();
    let api: Api<Pod> = space.api();
    api.create(&PostParams::default(), &pod).await.unwrap()
}

/// Waits until the pod's first container is waiting for this reason.
async fn waiting(space: &Space, reason: &str) {
    space.until(reason, |pod: &Pod| state(pod)["state"]["waiting"]["reason"] == reason).await;
}

/// The status of the first container.
fn state(pod: &Pod) -> Value {
    let status = serde_json::to_value(pod.status.as_ref()).unwrap();
    status["containerStatuses"][0].clone()
}

/// The status of the only pod, without what is never the same twice.
async fn shape(space: &Space) -> Value {
    let pods = space.raw_pods().await;
    assert_eq!(pods.len(), 1, "{pods:#?}");
    let mut status = pods[0]["status"].clone();
    let uid = pods[0]["metadata"]["uid"].as_str().unwrap();
    scrub(&mut status, uid);
    let conditions = status["conditions"].as_array_mut().unwrap();
    conditions.sort_by_key(|condition| condition["type"].to_string());
    status
}

fn scrub(value: &mut Value, uid: &str) {
    match value {
        Value::Object(map) => {
            for volatile in ["hostIP", "hostIPs", "podIP", "podIPs"] {
                map.remove(volatile);
            }
            map.retain(|key, value| {
                let time = key.ends_with("Time") || key.ends_with("edAt");
                !(time || key == "lastProbeTime" || value.is_null())
            });
            map.values_mut().for_each(|value| scrub(value, uid));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| scrub(item, uid)),
        Value::String(text) => *text = text.replace(uid, "UID"),
        _ => {}
    }
}

fn conditions(ready: bool) -> Value {
    let condition = |kind: &str| json!({"type": kind, "status": "True"});
    let unready = |kind: &str| {
        json!({
            "type": kind, "status": "False", "reason": "ContainersNotReady",
            "message": "containers with unready status: [web]",
        })
    };
    let readiness: &dyn Fn(&str) -> Value = if ready { &condition } else { &unready };
    json!([
        readiness("ContainersReady"),
        condition("Initialized"),
        condition("PodReadyToStartContainers"),
        condition("PodScheduled"),
        readiness("Ready"),
    ])
}

pub async fn a_ready_pod_says_so(space: Space) {
    space.start(&web(1, "shop/web:1")).await;
    assert_eq!(
        shape(&space).await,
        json!({
            "phase": "Running",
            "qosClass": "BestEffort",
            "conditions": conditions(true),
            "containerStatuses": [{
                "name": "web", "image": "shop/web:1", "imageID": "shop/web:1",
                "containerID": "fake://UID", "ready": true, "started": true, "restartCount": 0,
                "state": {"running": {}}, "lastState": {},
            }],
        })
    );
    let pod = &space.pods().await[0];
    let spec = pod.spec.as_ref().unwrap();
    assert!(spec.node_name.is_some());
    assert_eq!(spec.service_account_name.as_deref(), Some("default"));
}

pub async fn an_image_that_cannot_be_pulled_says_why(space: Space) {
    let image = "shop/web:1--image-pull-error";
    pod(&space, image, json!({"sluice.test/retries-after": "2s"})).await;
    waiting(&space, "ErrImagePull").await;
    let expected = |reason: &str, message: String| {
        json!({
            "phase": "Pending",
            "qosClass": "BestEffort",
            "conditions": conditions(false),
            "containerStatuses": [{
                "name": "web", "image": image, "imageID": "",
                "ready": false, "started": false, "restartCount": 0,
                "state": {"waiting": {"reason": reason, "message": message}}, "lastState": {},
            }],
        })
    };
    let why = format!("failed to pull and unpack image {image:?}: not found");
    assert_eq!(shape(&space).await, expected("ErrImagePull", why.clone()));
    waiting(&space, "ImagePullBackOff").await;
    assert_eq!(
        shape(&space).await,
        expected(
            "ImagePullBackOff",
            format!("Back-off pulling image {image:?}: ErrImagePull: {why}")
        )
    );
}

pub async fn a_crash_loop_counts_restarts(space: Space) {
    let image = "shop/web:1--crash-loop";
    let times = json!({"sluice.test/fails-after": "1s", "sluice.test/retries-after": "3s"});
    pod(&space, image, times).await;
    waiting(&space, "CrashLoopBackOff").await;
    let name = "pod";
    let namespace = &space.namespace;
    assert_eq!(
        shape(&space).await,
        json!({
            "phase": "Running",
            "qosClass": "BestEffort",
            "conditions": conditions(false),
            "containerStatuses": [{
                "name": "web", "image": image, "imageID": image, "containerID": "fake://UID",
                "ready": false, "started": false, "restartCount": 0,
                "state": {"waiting": {
                    "reason": "CrashLoopBackOff",
                    "message": format!(
                        "back-off restarting failed container=web pod={name}_{namespace}(UID)"
                    ),
                }},
                "lastState": {"terminated": {
                    "exitCode": 1, "reason": "Error", "containerID": "fake://UID",
                }},
            }],
        })
    );
    let again = space.until("restarted", |pod: &Pod| state(pod)["restartCount"] == 1).await;
    assert!(state(&again)["state"].get("running").is_some());
    assert_eq!(state(&again)["lastState"]["terminated"]["exitCode"], 1);
    assert_eq!(state(&again)["ready"], false);
}

pub async fn a_pod_that_is_never_ready_runs(space: Space) {
    let image = "shop/web:1--never-ready";
    pod(&space, image, json!({})).await;
    space.until("running", |pod: &Pod| state(pod)["state"].get("running").is_some()).await;
    assert_eq!(
        shape(&space).await,
        json!({
            "phase": "Running",
            "qosClass": "BestEffort",
            "conditions": conditions(false),
            "containerStatuses": [{
                "name": "web", "image": image, "imageID": image, "containerID": "fake://UID",
                "ready": false, "started": true, "restartCount": 0,
                "state": {"running": {}}, "lastState": {},
            }],
        })
    );
}

pub async fn a_pod_can_lose_its_readiness(space: Space) {
    let deployment = with(
        2,
        "shop/web:1--fails-later",
        &json!({"template": {"metadata": {"annotations": {"sluice.test/fails-after": "2s"}}}}),
    );
    space.start(&deployment).await;
    let lost = space
        .until_web("without ready pods", |deployment| {
            let status = deployment.status.as_ref().unwrap();
            status.ready_replicas.is_none() && status.replicas == Some(2)
        })
        .await;
    let status = lost.status.unwrap();
    assert_eq!(status.unavailable_replicas, Some(2));
    for pod in space.pods().await {
        assert_eq!(state(&pod)["ready"], false);
        assert!(state(&pod)["state"].get("running").is_some());
    }
}

pub async fn a_stuck_pod_is_being_created(space: Space) {
    let image = "shop/web:1--stuck";
    pod(&space, image, json!({})).await;
    waiting(&space, "ContainerCreating").await;
    assert_eq!(
        shape(&space).await,
        json!({
            "phase": "Pending",
            "qosClass": "BestEffort",
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [{
                "name": "web", "image": image, "imageID": "",
                "ready": false, "started": false, "restartCount": 0,
                "state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {},
            }],
        })
    );
}

pub async fn a_failed_pod_ends(space: Space) {
    let image = "shop/web:1--fail";
    let times = json!({"sluice.test/fails-after": "100ms"});
    pod(&space, image, times).await;
    space
        .until("failed", |pod: &Pod| {
            pod.status.as_ref().unwrap().phase.as_deref() == Some("Failed")
        })
        .await;
    let failed = |kind: &str| json!({"type": kind, "status": "False", "reason": "PodFailed"});
    assert_eq!(
        shape(&space).await,
        json!({
            "phase": "Failed",
            "qosClass": "BestEffort",
            "conditions": [
                failed("ContainersReady"),
                {"type": "PodScheduled", "status": "True"},
                failed("Ready"),
            ],
            "containerStatuses": [{
                "name": "web", "image": image, "imageID": image,
                "ready": false, "started": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 1, "reason": "Error"}}, "lastState": {},
            }],
        })
    );
}

pub async fn a_pod_starts_and_stops_when_it_says(space: Space) {
    let slow = json!({"template": {"metadata": {"annotations": {
        "sluice.test/starts-after": "1s", "sluice.test/stops-after": "1s",
    }}}});
    space.start(&with(1, "shop/web:1", &slow)).await;
    let pod = &space.pods().await[0];
    let made = pod.creation_timestamp().unwrap().0;
    let started = pod.status.as_ref().unwrap().start_time.as_ref().unwrap().0;
    assert!(started.duration_since(made).as_secs() >= 1, "{made} {started}");
    let api: Api<Pod> = space.api();
    let answer = api.delete(&pod.name_any(), &DeleteParams::default()).await.unwrap();
    let ending = answer.left().expect("a pod takes its time to end");
    assert!(ending.metadata.deletion_timestamp.is_some());
    assert_eq!(ending.metadata.deletion_grace_period_seconds, Some(30));
    // While it ends it is not counted, and its successor is there already.
    space
        .until_web("with one ending", |deployment| {
            let status = deployment.status.as_ref().unwrap();
            status.terminating_replicas == Some(1) && status.replicas == Some(1)
        })
        .await;
    space
        .until_web("with none ending", |deployment| {
            deployment.status.as_ref().unwrap().terminating_replicas == Some(0)
        })
        .await;
    space.complete("web").await;
}

pub async fn a_pod_that_fits_no_node_is_unschedulable(space: Space) {
    let nowhere = json!({"template": {"spec": {"nodeSelector": {"disk": "none"}}}});
    space.create(&with(1, "shop/web:1", &nowhere)).await;
    let pod = space
        .until("looked at", |pod: &Pod| {
            pod.status.as_ref().is_some_and(|status| status.conditions.is_some())
        })
        .await;
    let status = pod.status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    let condition = &status.conditions.unwrap()[0];
    assert_eq!(condition.type_, "PodScheduled");
    assert_eq!(condition.status, "False");
    assert_eq!(condition.reason.as_deref(), Some("Unschedulable"));
    let message = condition.message.as_deref().unwrap();
    assert!(message.contains("didn't match Pod's node affinity/selector"), "{message}");
}

pub async fn an_image_with_blanks_is_taken_but_makes_no_pods(space: Space) {
    space.start(&web(2, "shop/web:1")).await;
    let path = "/spec/template/spec/containers/0/image";
    space.patch(json!([{"op": "replace", "path": path, "value": " shop/web:2"}])).await;
    let failed = space
        .until_web("unable to make pods", |deployment| {
            let status = deployment.status.as_ref().unwrap();
            let mut conditions = status.conditions.iter().flatten();
            conditions.any(|condition| condition.type_ == "ReplicaFailure")
        })
        .await;
    let status = failed.status.unwrap();
    let condition = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "ReplicaFailure")
        .unwrap();
    assert_eq!(condition.reason.as_deref(), Some("FailedCreate"));
    let message = condition.message.as_deref().unwrap();
    assert!(
        message.contains(
            "spec.containers[0].image: Invalid value: \" shop/web:2\": must not have leading or \
             trailing whitespace"
        ),
        "{message}"
    );
    assert_eq!(status.ready_replicas, Some(2));
}
