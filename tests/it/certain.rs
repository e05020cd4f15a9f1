//! What is refused before is certain, and what is not is left to Kubernetes: orders that
//! look as if they could not work, and do. On a real control plane, beside the same change
//! of the image without Sluice.

use domain::{
    ApplicationId,
    order::{FailurePolicy, State, plan::Strategy},
    template::names::NAME_LABEL,
};
use k8s_openapi::api::core::v1::{Namespace, Pod, ResourceQuota};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use service::{Deploy, OrderView, Scale};
use sqlx::PgPool;

use crate::support::{
    App, DEADLINE, batches,
    by_hand::{BY_HAND, Hands, adopted, ready, rests, set_image, set_status},
    caller, eventually, release,
};

const OLD: &str = "shop/web:1.0";
const NEW: &str = "shop/web:2.0";

/// Trouble that may pass is waited out for so long.
const GRACE: FailurePolicy =
    FailurePolicy { grace_seconds: 3, restarts: 1, watch_seconds: 0, roll_back: true };

async fn succeeds(app: &App, request: Deploy) -> OrderView {
    let order = eventually(async || {
        app.service.deploy(&caller(), request.clone()).await.map_err(|why| why.to_string())
    })
    .await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    order
}

/// It succeeds, and so does the change without Sluice.
async fn works(app: &App, request: Deploy) -> OrderView {
    let order = succeeds(app, request).await;
    set_image(app, "web", OLD).await;
    rests(app, "web").await;
    order
}

async fn refusal(app: &App, request: Deploy) -> String {
    eventually(async || match app.service.deploy(&caller(), request.clone()).await {
        Err(why) => Ok(why.to_string()),
        Ok(order) => Err(format!("{order} was accepted")),
    })
    .await
}

async fn quota(app: &App, resource: &str, hard: &str, used: &str) {
    let quotas: Api<ResourceQuota> = Api::namespaced(app.client.clone(), &app.namespace);
    let quota = json!({ "metadata": { "name": "few" }, "spec": { "hard": { resource: hard } } });
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    eventually(async || {
        let status = quotas.get("few").await.unwrap().status;
        let counted = status.and_then(|status| status.used).unwrap_or_default();
        if counted.get(resource).is_some_and(|it| it.0 == used) {
            Ok(())
        } else {
            Err(format!("{counted:?}"))
        }
    })
    .await;
}

const POLICY: [&str; 2] = ["ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"];

fn policies(app: &App, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    Api::all_with(app.client.clone(), &ApiResource::from_gvk(&kind))
}

async fn end_policy(app: &App) {
    for kind in POLICY {
        policies(app, kind)
            .delete(&format!("pods-{}", app.namespace), &DeleteParams::default())
            .await
            .unwrap();
    }
}

/// A policy of the test's namespace for pods; returns once the API server heeds it.
async fn pods_need(app: &App, expression: &str) {
    let name = format!("pods-{}", app.namespace);
    // A pod of this image is denied in any case, so that it can be seen when it is heeded.
    let expression = format!("object.spec.containers[0].image != 'probe' && ({expression})");
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }] },
            "validations": [{ "expression": expression, "message": "not such a pod" }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": name },
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": app.namespace } } },
        },
    });
    for (kind, object) in POLICY.into_iter().zip([binding, policy]) {
        policies(app, kind)
            .create(&PostParams::default(), &serde_json::from_value(object).unwrap())
            .await
            .unwrap();
    }
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    let probe = json!({ "metadata": { "name": "probe" }, "spec": { "containers": [{ "name": "probe", "image": "probe" }] } });
    let probe: Pod = serde_json::from_value(probe).unwrap();
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    eventually(async || match pods.create(&parameters, &probe).await {
        Err(why) if why.to_string().contains("not such a pod") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_policy_on_what_a_controller_gives_to_pods_stands_in_no_releases_way(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = adopted(&app, "web", 2, json!({})).await;
    pods_need(
        &app,
        "has(object.metadata.ownerReferences) && 'pod-template-hash' in object.metadata.labels",
    )
    .await;
    let order = works(&app, release(application, NEW, batches(2))).await;
    end_policy(&app).await;
    assert!(!order.notes.iter().any(|note| note.contains("PodAdmission")), "{:?}", order.notes);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_policy_on_who_makes_pods_is_warned_of(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = adopted(&app, "web", 2, json!({})).await;
    pods_need(&app, "request.userInfo.username == 'system:kube-controller-manager'").await;
    let order = works(&app, release(application, NEW, batches(2))).await;
    end_policy(&app).await;
    let told = order.notes.iter().find(|note| note.contains("PodAdmission"));
    assert!(told.is_some_and(|note| note.contains("if Sluice made them")), "{:?}", order.notes);
}

/// A Deployment whose pods must be apart, by a term with something else in it.
fn apart(name: &str, more: &Value) -> Value {
    let mut term = json!({
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": { "matchLabels": { NAME_LABEL: name } },
    });
    json_patch::merge(&mut term, more);
    let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term] });
    json!({ "template": { "spec": { "affinity": { "podAntiAffinity": required } } } })
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn terms_that_do_not_keep_the_applications_own_pods_apart_need_no_nodes(pool: PgPool) {
    let app = App::start_real(pool).await;
    let own_left_out = json!({ "mismatchLabelKeys": [NAME_LABEL] });
    for (name, more) in [
        ("rack", json!({ "topologyKey": "rack" })),
        ("elsewhere", json!({ "namespaces": ["other"] })),
        ("others", own_left_out),
    ] {
        let application = adopted(&app, name, 4, apart(name, &more)).await;
        succeeds(&app, release(application, NEW, batches(2))).await;
        set_image(&app, name, OLD).await;
        rests(&app, name).await;
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn without_pods_a_release_is_warned_of_what_they_lack_and_sets_the_template(pool: PgPool) {
    let app = App::start_real(pool).await;
    let container =
        json!({ "name": "web", "image": OLD, "envFrom": [{ "configMapRef": { "name": "nope" } }] });
    let application = adopted(
        &app,
        "web",
        0,
        json!({ "strategy": { "type": "Recreate" }, "template": { "spec": { "containers": [container] } } }),
    )
    .await;
    let namespaces: Api<Namespace> = Api::all(app.client.clone());
    let label =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
    namespaces.patch(&app.namespace, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    let order = eventually(async || {
        let order = succeeds(&app, release(application, NEW, batches(3))).await;
        set_image(&app, "web", OLD).await;
        rests(&app, "web").await;
        if order.notes.iter().any(|note| note.contains("violates PodSecurity")) {
            Ok(order)
        } else {
            Err(format!("{:?}", order.notes))
        }
    })
    .await;
    assert!(
        order.notes.iter().any(|note| note.contains("the ConfigMap nope does not exist")),
        "{:?}",
        order.notes
    );
    let spec = app.deployments().get("web").await.unwrap().spec.unwrap();
    assert_eq!(spec.strategy.unwrap().type_.as_deref(), Some("Recreate"));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_batch_whose_waves_take_longer_than_its_time_is_refused_and_one_that_fits_works(
    pool: PgPool,
) {
    let app = App::start_real(pool).await;
    let strategy =
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } });
    let application =
        adopted(&app, "web", 4, json!({ "minReadySeconds": 2, "strategy": strategy })).await;
    let mut request = release(application, NEW, Strategy::ALL_AT_ONCE);
    request.batch_timeout_seconds = Some(8);
    let why = refusal(&app, request.clone()).await;
    let says =
        ["4 pods come in 4 waves", "1 pods more (maxSurge)", "8 s", "timeout of a batch 8 s"];
    assert!(says.iter().all(|part| why.contains(part)), "{why}");
    // A restart is such a batch, and pods that are added come at once.
    let renewed = app.service.restart(&caller(), application, Some(8)).await.unwrap_err();
    assert!(renewed.to_string().contains("4 pods come in 4 waves"), "{renewed}");
    let more = Scale { application, replicas: 5, timeout_seconds: Some(2) };
    let more = app.service.scale(&caller(), more).await.unwrap_err().to_string();
    assert!(
        more.contains("minReadySeconds 2 s is not below the timeout of the order 2 s"),
        "{more}"
    );
    // In two batches each brings its pods at once.
    request.strategy = Some(batches(2));
    works(&app, request.clone()).await;
    request.strategy = Some(Strategy::ALL_AT_ONCE);
    request.batch_timeout_seconds = Some(60);
    works(&app, request).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn old_pods_go_first_where_that_is_allowed_although_nobody_could_look_before(pool: PgPool) {
    let mut app = App::start_real(pool).await;
    let application = adopted(&app, "web", 4, json!({})).await;
    quota(&app, "pods", "4", "4").await;
    app.stop_executor().await;
    let mut request = release(application, NEW, batches(2));
    request.allows_no_surge = true;
    let order = app.service.deploy(&caller(), request).await.unwrap();
    app.start_executor(DEADLINE);
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

/// A Deployment that rests with its new version beside the old one, which never starts.
async fn lost(app: &App) -> ApplicationId {
    let application = adopted(app, "web", 4, json!({})).await;
    set_image(app, "web", "shop/web:1.5--image-pull-error").await;
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    eventually(async || {
        let list = pods.list(&kube::api::ListParams::default()).await.unwrap().items;
        let waits = serde_json::to_string(&list).unwrap().contains("ErrImagePull");
        if waits { Ok(()) } else { Err("no pod is in trouble yet".to_owned()) }
    })
    .await;
    application
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_fix_does_not_wait_for_a_version_that_never_starts(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = lost(&app).await;
    let begun = std::time::Instant::now();
    succeeds(&app, release(application, NEW, batches(2))).await;
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_readiness_gate_that_nobody_opens_is_named(pool: PgPool) {
    let app = App::start_real(pool).await.tolerating(GRACE);
    let application = adopted(&app, "web", 2, json!({})).await;
    const GATE: &str = "corresponding condition of pod readiness gate \"lb\" does not exist.";
    let _hands = Hands::on_each_pod(&app, |pods, pod, _| async move {
        let mut status = ready();
        for condition in status["conditions"].as_array_mut().unwrap() {
            if condition["type"] == "Ready" {
                condition["status"] = json!("False");
                condition["reason"] = json!("ReadinessGatesNotReady");
                condition["message"] = json!(GATE);
            }
        }
        set_status(&pods, &pod, status).await;
    });
    let mut request = release(application, BY_HAND, batches(2));
    request.batch_timeout_seconds = Some(5);
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert!(order.state == State::Failed && order.message.contains(GATE), "{}", order.message);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn pods_that_a_quota_has_no_room_for_are_not_added_and_no_version_is_renewed_without_a_set(
    pool: PgPool,
) {
    let app = App::start_real(pool).await;
    let application = adopted(&app, "web", 2, json!({})).await;
    let scaled = |replicas| Scale { application, replicas, timeout_seconds: None };
    quota(&app, "pods", "3", "2").await;
    let why = eventually(async || match app.service.scale(&caller(), scaled(4)).await {
        Err(why) => Ok(why.to_string()),
        Ok(order) => Err(format!("{order} was accepted")),
    })
    .await;
    assert!(why.contains("the quota few allows 3 of pods"), "{why}");
    let order = app.service.scale(&caller(), scaled(3)).await.unwrap();
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    let quotas: Api<ResourceQuota> = Api::namespaced(app.client.clone(), &app.namespace);
    quotas.delete("few", &DeleteParams::default()).await.unwrap();
    quota(&app, "count/replicasets.apps", "1", "1").await;
    let why = eventually(async || match app.service.restart(&caller(), application, None).await {
        Err(why) => Ok(why.to_string()),
        Ok(order) => Err(format!("{order} was accepted")),
    })
    .await;
    assert!(why.contains("the quota few allows 1 of count/replicasets.apps"), "{why}");
}
