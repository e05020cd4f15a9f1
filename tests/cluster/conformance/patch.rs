//! What the API server makes of patches: operations, tests, refusals.
//!
//! A release is written as JSON Patches that test what they change, so what a test
//! sees and what a refused patch leaves behind must be just so.

use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::api::{refusal, settled};
use crate::support::Space;

pub async fn a_failed_test_is_422_and_changes_nothing(space: Space) {
    let before = settled(&space).await;
    let refused = refusal(
        space
            .try_patch(json!([
                {"op": "add", "path": "/spec/minReadySeconds", "value": 5},
                {"op": "test", "path": "/spec/replicas", "value": 7},
                {"op": "replace", "path": "/spec/replicas", "value": 8},
            ]))
            .await,
    );
    assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
    assert_eq!(refused.message, "the server rejected our request due to an error in our request");
    assert_eq!(space.web().await.resource_version(), before.resource_version());
}

pub async fn a_test_sees_the_object_as_it_is_kept(space: Space) {
    settled(&space).await;
    for holds in [
        json!({"op": "test", "path": "/spec/paused", "value": true}),
        json!({"op": "test", "path": "/spec/minReadySeconds", "value": null}),
        json!({"op": "test", "path": "/spec/strategy/rollingUpdate/maxSurge", "value": "25%"}),
        json!({"op": "test", "path": "/metadata/generation", "value": 1}),
    ] {
        space.patch(json!([holds])).await;
    }
    for fails in [
        // Zero and false are not kept at all.
        json!({"op": "test", "path": "/spec/minReadySeconds", "value": 0}),
        json!({"op": "test", "path": "/spec/paused", "value": false}),
        json!({"op": "test", "path": "/spec/paused", "value": "true"}),
        json!({"op": "test", "path": "/nowhere/paused", "value": null}),
    ] {
        assert_eq!(refusal(space.try_patch(json!([fails])).await).code, 422);
    }
}

pub async fn a_replace_of_a_missing_member_adds_it(space: Space) {
    settled(&space).await;
    let path = "/spec/minReadySeconds";
    let patched = space.patch(json!([{"op": "replace", "path": path, "value": 5}])).await;
    assert_eq!(patched.spec.unwrap().min_ready_seconds, Some(5));
    let remove = json!([{"op": "remove", "path": path}]);
    space.patch(remove.clone()).await;
    assert_eq!(refusal(space.try_patch(remove).await).code, 422);
    let nowhere = json!([{"op": "add", "path": "/metadata/labels/x", "value": "y"}]);
    assert_eq!(refusal(space.try_patch(nowhere).await).code, 422);
}

pub async fn an_invalid_change_names_the_field(space: Space) {
    let before = settled(&space).await;
    let rolling = "/spec/strategy/rollingUpdate";
    let container = "/spec/template/spec/containers/0";
    let cases = [
        (
            json!([{"op": "replace", "path": "/spec/replicas", "value": -1}]),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            json!([{"op": "add", "path": "/spec/minReadySeconds", "value": -1}]),
            "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            json!([{"op": "add", "path": "/spec/minReadySeconds", "value": 600}]),
            "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than \
             minReadySeconds",
        ),
        (
            json!([{"op": "add", "path": rolling, "value": {"maxSurge": 0, "maxUnavailable": 0}}]),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when \
             `maxSurge` is 0",
        ),
        (
            json!([{
                "op": "add", "path": rolling,
                "value": {"maxSurge": "0%", "maxUnavailable": "0%"},
            }]),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 \
             when `maxSurge` is 0",
        ),
        (
            json!([{"op": "add", "path": rolling, "value": {"maxUnavailable": "101%"}}]),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be \
             greater than 100%",
        ),
        (
            json!([{"op": "add", "path": rolling, "value": {"maxSurge": "x"}}]),
            "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"x\": a valid percent string",
        ),
        (
            json!([{"op": "replace", "path": "/spec/strategy/type", "value": "Recreate"}]),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` \
             is 'Recreate'",
        ),
        (
            json!([{"op": "replace", "path": "/spec/selector/matchLabels/app", "value": "x"}]),
            "field is immutable",
        ),
        (
            json!([{"op": "add", "path": "/spec/template/metadata/labels/app", "value": "x"}]),
            "spec.template.metadata.labels: Invalid value: {\"app\":\"x\"}: `selector` does not \
             match template `labels`",
        ),
        (
            json!([{"op": "replace", "path": format!("{container}/image"), "value": ""}]),
            "spec.template.spec.containers[0].image: Required value",
        ),
        (
            json!([{"op": "replace", "path": format!("{container}/name"), "value": "A_b"}]),
            "spec.template.spec.containers[0].name: Invalid value: \"A_b\": a lowercase RFC 1123 \
             label",
        ),
        (
            json!([{
                "op": "add", "path": format!("{container}/ports"),
                "value": [{"containerPort": 70000}],
            }]),
            "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 70000: must \
             be between 1 and 65535, inclusive",
        ),
        (
            json!([{
                "op": "add", "path": format!("{container}/readinessProbe"),
                "value": {"timeoutSeconds": 1},
            }]),
            "spec.template.spec.containers[0].readinessProbe: Required value: must specify a \
             handler type",
        ),
        (
            json!([{
                "op": "add", "path": format!("{container}/resources"),
                "value": {"requests": {"cpu": "2"}, "limits": {"cpu": "100m"}},
            }]),
            "spec.template.spec.containers[0].resources.requests: Invalid value: \"2\": must be \
             less than or equal to cpu limit of 100m",
        ),
        (
            json!([{
                "op": "add", "path": format!("{container}/resources"),
                "value": {"limits": {"cpu": "banana"}},
            }]),
            "quantities must match the regular expression",
        ),
        (
            json!([{"op": "replace", "path": "/spec/replicas", "value": "three"}]),
            "patch: Invalid value",
        ),
        (
            json!([{"op": "replace", "path": "/metadata/uid", "value": "other"}]),
            "metadata.uid: Invalid value: \"other\": field is immutable",
        ),
        (
            json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b c"}}]),
            "metadata.labels: Invalid value: \"b c\"",
        ),
        (
            json!([{"op": "add", "path": "/metadata/annotations", "value": {"a b": "c"}}]),
            "metadata.annotations: Invalid value: \"a b\"",
        ),
    ];
    for (patch, message) in cases {
        let refused = refusal(space.try_patch(patch.clone()).await);
        assert_eq!(
            (refused.code, refused.reason.as_str()),
            (422, "Invalid"),
            "{patch}: {}",
            refused.message
        );
        assert!(refused.message.contains(message), "{patch}: {:.400}", refused.message);
    }
    assert_eq!(space.web().await.resource_version(), before.resource_version());
}

pub async fn the_same_patch_twice_is_no_change(space: Space) {
    settled(&space).await;
    let patch = json!([
        {"op": "add", "path": "/spec/minReadySeconds", "value": 7},
        {"op": "add", "path": "/spec/template/spec/containers/0/image", "value": "shop/web:2"},
    ]);
    let once = space.patch(patch.clone()).await;
    assert_eq!(once.metadata.generation, Some(2));
    let status = space.until_web("seen", |_| true).await;
    let twice = space.patch(patch).await;
    assert_eq!(twice.metadata.generation, Some(2));
    assert_eq!(twice.resource_version(), status.resource_version());
}

pub async fn a_merge_patch_removes_with_null(space: Space) {
    settled(&space).await;
    let api = space.deployments();
    let params = PatchParams::default();
    let given = json!({"metadata": {"annotations": {"a": "1", "b": "2"}}});
    api.patch("web", &params, &Patch::Merge(given)).await.unwrap();
    let taken = json!({"metadata": {"annotations": {"a": null}}});
    let after = api.patch("web", &params, &Patch::Merge(taken)).await.unwrap();
    assert_eq!(after.annotations().get("a"), None);
    assert_eq!(after.annotations().get("b").map(String::as_str), Some("2"));
}

pub async fn a_strategic_patch_merges_containers_by_name(space: Space) {
    settled(&space).await;
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "web", "env": [{"name": "A", "value": "1"}]},
        {"name": "log", "image": "shop/log:1"},
    ]}}}});
    let api = space.deployments();
    let params = PatchParams::default();
    let after = api.patch("web", &params, &Patch::Strategic(patch)).await;
    let containers = after.unwrap().spec.unwrap().template.spec.unwrap().containers;
    let mut images: Vec<_> =
        containers.iter().map(|c| (c.name.as_str(), c.image.as_deref().unwrap())).collect();
    images.sort_unstable();
    assert_eq!(images, [("log", "shop/log:1"), ("web", "shop/web:1")]);
}
