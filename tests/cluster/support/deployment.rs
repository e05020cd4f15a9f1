//! Deployments for tests.
//!
//! All are called `web`, select `app: web` and have one container of that name.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

/// `minReadySeconds` that no pod ever reaches: the gate is on.
pub const GATE: i32 = i32::MAX - 1;
/// `progressDeadlineSeconds` without meaning, as the gate needs it.
pub const NO_DEADLINE: i32 = i32::MAX;

/// The Deployment `web` of a size and an image; the image's tag says what its
/// pods do.
pub fn web(replicas: i32, image: &str) -> Deployment {
    with(replicas, image, &json!({}))
}

/// Like `web`, with a merge patch to its spec.
pub fn with(replicas: i32, image: &str, patch: &Value) -> Deployment {
    let mut object = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
        },
    });
    json_patch::merge(&mut object["spec"], patch);
    serde_json::from_value(object).expect("the test's Deployment is one")
}
