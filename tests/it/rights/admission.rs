//! The policies of `docs/admission-policy.yaml` on a real control plane: they bind Sluice's
//! own account, and nobody else.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use service::Adopt;

use super::{named::apply, printed::objects, *};
use crate::support::eventually;

/// A Deployment whose pod has these fields beside its container's.
fn deployment(name: &str, pod: Value, container: Value) -> Deployment {
    let mut own = json!({ "name": "web", "image": "shop/web:1.0" });
    own.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
    let mut spec = json!({ "containers": [own] });
    spec.as_object_mut().unwrap().extend(pod.as_object().unwrap().clone());
    let label = json!({ "app": name });
    let object = json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": label },
            "template": { "metadata": { "labels": label }, "spec": spec },
        },
    });
    serde_json::from_value(object).unwrap()
}

/// What the API server says to a Deployment that is tried.
async fn tried(client: &Client, namespace: &str, object: &Deployment) -> Result<(), String> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    api.create(&parameters, object).await.map(|_| ()).map_err(|why| why.to_string())
}

fn privileged() -> Value {
    json!({ "securityContext": { "privileged": true } })
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_account_of_sluice_is_held_to_the_baseline_and_nobody_else(pool: PgPool) {
    let mut app = App::start_real(pool).await;
    let (administrator, namespace) = (app.client.clone(), app.namespace.clone());
    let account = format!("{namespace}/sluice-{namespace}");
    let places = format!("{namespace},kube-system");
    let whole = [
        apply(&administrator, objects(&["--namespaces", &places, "--service-account", &account]))
            .await,
        apply(&administrator, objects(&["--admission-policy", "--service-account", &account]))
            .await,
    ]
    .concat();
    let sluice =
        real::as_user(&format!("system:serviceaccount:{}", account.replace('/', ":"))).await;

    let bad = [
        (json!({}), privileged(), "containers must not be privileged"),
        (json!({ "hostNetwork": true }), json!({}), "must not share namespaces"),
        (json!({ "hostPID": true }), json!({}), "must not share namespaces"),
        (
            json!({ "volumes": [{ "name": "node", "hostPath": { "path": "/" } }] }),
            json!({}),
            "folders of the node must not be mounted",
        ),
        (
            json!({}),
            json!({ "securityContext": { "capabilities": { "add": ["CHOWN", "SYS_ADMIN"] } } }),
            "must not add capabilities",
        ),
        (
            json!({}),
            json!({ "ports": [{ "containerPort": 80, "hostPort": 80 }] }),
            "must not take ports of the node",
        ),
        (
            json!({ "initContainers": [{ "name": "init", "image": "a", "securityContext": { "privileged": true } }] }),
            json!({}),
            "containers must not be privileged",
        ),
    ];
    for (pod, container, says) in bad {
        let object = deployment("bad", pod, container);
        // The API server needs a moment to know of the policy.
        eventually(async || match tried(&sluice, &namespace, &object).await {
            Err(why) if why.contains(says) => Ok(()),
            other => Err(format!("{other:?} and not {says}")),
        })
        .await;
        tried(&administrator, &namespace, &object).await.expect("others are not bound");
    }
    let harmless = deployment(
        "good",
        json!({ "volumes": [{ "name": "a", "emptyDir": {} }] }),
        json!({ "ports": [{ "containerPort": 80 }], "securityContext": { "capabilities": { "add": ["CHOWN"] } } }),
    );
    tried(&sluice, &namespace, &harmless).await.unwrap();
    let elsewhere = tried(&sluice, "kube-system", &harmless).await.unwrap_err();
    assert!(
        elsewhere.contains("writes nothing in namespaces of the cluster itself"),
        "{elsewhere}"
    );
    tried(&administrator, "kube-system", &harmless).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(sluice.clone(), &namespace);
    let pod: Pod = serde_json::from_value(
        json!({ "metadata": { "name": "real" }, "spec": { "containers": [{ "name": "web", "image": "a" }] } }),
    )
    .unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    pods.create(&dry, &pod).await.unwrap();
    let made = pods.create(&PostParams::default(), &pod).await.unwrap_err().to_string();
    assert!(made.contains("only as a dry run"), "{made}");

    // What was there before stays, through a release that fails and its way back.
    app.client = sluice.clone();
    app.hand_over_within(namespace.parse().unwrap()).await;
    app.known_namespace().await;
    let old: Api<Deployment> = Api::namespaced(administrator.clone(), &namespace);
    old.create(&PostParams::default(), &deployment("old", json!({}), privileged())).await.unwrap();
    let adopt = Adopt {
        name: "old".into(),
        cluster: CLUSTER.into(),
        namespace: namespace.clone(),
        logical_region: None,
        description: String::new(),
        version: None,
        container: None,
    };
    let adopted = eventually(async || {
        app.service.adopt(&caller(), adopt.clone()).await.map_err(|why| why.to_string())
    })
    .await
    .0;
    ends_well(&app, app.deploy(adopted, "shop/web:2.0", batches(1)).await).await;
    let failing = app.deploy(adopted, "shop/web:3.0--image-pull-error", batches(1)).await;
    let failed = app.end_of(failing).await;
    ends_well(&app, failed.rolled_back_by.expect("it is rolled back")).await;
    // A usual one is released too.
    let application = app.create("web", 2).await;
    ends_well(&app, app.deploy(application, "shop/web:2.0", batches(2)).await).await;

    // What was taken away does not come back, but where somebody let it.
    let set = |privileged: bool| {
        let container = json!({ "name": "web", "securityContext": { "privileged": privileged } });
        Patch::Strategic(
            json!({ "spec": { "template": { "spec": { "containers": [container] } } } }),
        )
    };
    old.patch("old", &PatchParams::default(), &set(false)).await.unwrap();
    let theirs: Api<Deployment> = Api::namespaced(sluice, &namespace);
    let refused = theirs.patch("old", &PatchParams::default(), &set(true)).await.unwrap_err();
    assert!(refused.to_string().contains("containers must not be privileged"), "{refused}");
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(administrator.clone());
    let label = json!({ "metadata": { "labels": { "sluice.dev/admission": "off" } } });
    namespaces.patch(&namespace, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    eventually(async || {
        let patched = theirs.patch("old", &PatchParams::default(), &set(true)).await;
        patched.map(|_| ()).map_err(|why| why.to_string())
    })
    .await;
    for (api, name) in whole {
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}
