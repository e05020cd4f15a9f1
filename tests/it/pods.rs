//! Everything that a release can say of its pods, against the API server's own
//! validation: it takes what is set, and everything is gone again once it is cleared.

use domain::{
    order::{State, plan::Strategy},
    template::{
        pods::{EmptyFolder, NodeFolder, Placement, PodChange},
        spec::Field,
    },
};
use serde_json::{Value, json};

use sqlx::PgPool;

use crate::support::{App, caller, on_both_clusters, release};

on_both_clusters!(a_pod_with_everything_is_taken_and_given_back);

fn everything() -> PodChange {
    let text = |text: &str| text.to_owned();
    PodChange {
        annotations: Field::Set([(text("team"), text("shop"))].into()),
        labels: Field::Set([(text("tier"), text("front"))].into()),
        env_from_keys: Field::Set(vec![
            json!({ "name": "MODE", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "mode", "optional": true } } }),
        ]),
        env_from: Field::Set(vec![json!({ "secretRef": { "name": "secrets", "optional": true } })]),
        startup: Field::Set(json!({ "exec": { "command": ["true"] }, "failureThreshold": 30 })),
        post_start: Field::Set(json!({ "exec": { "command": ["true"] } })),
        pre_stop: Field::Set(json!({ "httpGet": { "port": 8080, "path": "/bye" } })),
        grace_seconds: Some(45),
        disk_limit: Some(2),
        disk_request: Some(1),
        files: Field::Clear,
        node_folders: Field::Set(vec![NodeFolder {
            kind: text("DirectoryOrCreate"),
            node_path: text("/var/log/shop"),
            path: text("/logs"),
        }]),
        empty_folders: Field::Set(vec![EmptyFolder {
            path: text("/scratch"),
            read_only: false,
            sub_path: String::new(),
        }]),
        claims: Field::Keep,
        placement: Placement {
            apart_by_node: Some(true),
            apart_by_zone: Some(true),
            affinity: Field::Keep,
            tolerations: Field::Keep,
        },
        runtime_class: Field::Keep,
        security: Field::Set(json!({ "runAsUser": 1000 })),
        init_containers: Field::Set(vec![json!({ "name": "first", "image": "shop/first:1.0" })]),
        sidecars: Field::Set(vec![json!({ "name": "beside", "image": "shop/beside:1.0" })]),
        pull_secret: Some(text("registry")),
    }
}

fn nothing() -> PodChange {
    PodChange {
        annotations: Field::Clear,
        labels: Field::Clear,
        env_from_keys: Field::Clear,
        env_from: Field::Clear,
        startup: Field::Clear,
        post_start: Field::Clear,
        pre_stop: Field::Clear,
        disk_limit: Some(0),
        disk_request: Some(0),
        files: Field::Clear,
        node_folders: Field::Clear,
        empty_folders: Field::Clear,
        placement: Placement {
            apart_by_node: Some(false),
            apart_by_zone: Some(false),
            ..Placement::default()
        },
        security: Field::Clear,
        init_containers: Field::Clear,
        sidecars: Field::Clear,
        ..PodChange::default()
    }
}

async fn template(app: &App) -> Value {
    serde_json::to_value(app.deployments().get("web").await.unwrap().spec.unwrap().template)
        .unwrap()
}

async fn a_pod_with_everything_is_taken_and_given_back(app: App) {
    let application = app.create("web", 2).await;
    let before = template(&app).await;
    let mut request = release(application, "shop/web:2.0", Strategy::ALL_AT_ONCE);
    for (pods, image) in [(everything(), "shop/web:2.0"), (nothing(), "shop/web:1.0")] {
        *request.spec.pods = pods;
        request.spec.image = Some(image.into());
        let order = app.service.deploy(&caller(), request.clone()).await.unwrap();
        let order = app.end_of(order).await;
        assert_eq!(order.state, State::Succeeded, "{order:#?}");
        if image == "shop/web:2.0" {
            let with = template(&app).await;
            let container = &with["spec"]["containers"][0];
            assert_eq!(with["metadata"]["labels"]["tier"], "front");
            assert_eq!(with["spec"]["terminationGracePeriodSeconds"], 45);
            assert_eq!(container["resources"]["limits"]["ephemeral-storage"], "2Gi");
            assert_eq!(container["lifecycle"]["preStop"]["httpGet"]["path"], "/bye");
            assert_eq!(with["spec"]["containers"][1]["name"], "beside");
            assert_eq!(with["spec"]["volumes"].as_array().map(Vec::len), Some(2));
        }
    }
    let mut after = template(&app).await;
    // What only has a value, and none that stands for nothing.
    after["spec"]["terminationGracePeriodSeconds"] =
        before["spec"]["terminationGracePeriodSeconds"].clone();
    after["spec"].as_object_mut().unwrap().remove("imagePullSecrets");
    after["spec"]["containers"][0]["resources"] =
        before["spec"]["containers"][0]["resources"].clone();
    after["metadata"]["annotations"] = before["metadata"]["annotations"].clone();
    // The API server gives a pod without any an empty one.
    after["spec"]["securityContext"] = before["spec"]["securityContext"].clone();
    assert_eq!(after, before);
}
