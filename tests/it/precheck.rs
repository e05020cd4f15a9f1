//! What cannot work is refused before anything is written, with the way out named;
//! and what a release would do is reported before it is ordered.

use domain::{
    ApplicationId,
    order::{State, plan::Strategy},
    precheck::{Finding, PrecheckReport, Subject},
};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ConfigMap, LimitRange, ResourceQuota},
};
use kube::{
    Api, Resource,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use service::{Deploy, Error, Precheck};
use sqlx::PgPool;

use crate::support::{
    App, CLUSTER, batches, caller, eventually, manual, on_both_clusters, real::as_user, release,
};

on_both_clusters!(
    a_config_map_that_is_not_there_is_named_and_nothing_is_written,
    a_plan_is_told_and_kept_or_the_release_is_refused,
    a_precheck_is_asked_for_and_answered,
);

/// Creates an object in the namespace of the test.
async fn put<K>(app: &App, object: Value)
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
    K::DynamicType: Default,
{
    let api: Api<K> = Api::namespaced(app.client.clone(), &app.namespace);
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// Changes the Deployment as somebody else would.
async fn edit(app: &App, name: &str, patch: Value) -> Deployment {
    app.deployments().patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap()
}

/// Waits until the Deployment rests again after somebody changed it.
async fn rests(app: &App, name: &str) {
    eventually(async || {
        let deployment = app.deployments().get(name).await.unwrap();
        let (status, wanted) =
            (deployment.status.unwrap_or_default(), deployment.spec.unwrap().replicas);
        let rests = status.observed_generation == deployment.metadata.generation
            && [status.replicas, status.updated_replicas, status.ready_replicas]
                .iter()
                .all(|pods| *pods == wanted);
        if rests { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
}

/// The release must be refused, by what `says`; and neither rows nor the Deployment
/// change.
async fn refused(app: &App, request: Deploy, says: &[&str]) {
    let orders = app.service.recent_orders(request.application).await.unwrap().len();
    let name = app.store.application(request.application).await.unwrap().name;
    let before = app.deployments().get_opt(&name).await.unwrap().map(|it| it.metadata.generation);
    // What was just created may not be in every cache of the API server yet.
    eventually(async || {
        match app.service.preview(&caller(), request.clone()).await.unwrap().refusal() {
            Some(_) => Ok(()),
            None => Err(format!("not refused: {says:?}")),
        }
    })
    .await;
    let Err(Error::Rejected(why)) = app.service.deploy(&caller(), request.clone()).await else {
        panic!("must be refused: {says:?}")
    };
    let why = why.to_string();
    assert!(
        why.starts_with("it cannot work: ") && says.iter().all(|part| why.contains(part)),
        "{why}"
    );
    assert_eq!(app.service.recent_orders(request.application).await.unwrap().len(), orders);
    assert_eq!(
        app.deployments().get_opt(&name).await.unwrap().map(|it| it.metadata.generation),
        before
    );
}

fn finding(report: &PrecheckReport, subject: Subject) -> Finding {
    report.checks.iter().find(|check| check.subject == subject).expect("it was looked at").finding
}

async fn a_config_map_that_is_not_there_is_named_and_nothing_is_written(app: App) {
    let application = app.create("web", 2).await;
    let wants = json!({ "spec": { "template": { "spec": { "containers": [{
        "name": "web", "env": [{ "name": "MODE", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "mode" } } }],
    }] } } } });
    edit(&app, "web", wants).await;
    let request = release(application, "shop/web:2.0", batches(2));
    eventually(async || match app.service.deploy(&caller(), request.clone()).await {
        Err(Error::Rejected(why))
            if why.to_string().contains("the ConfigMap settings does not exist") =>
        {
            Ok(())
        }
        other => Err(format!("{other:?}")),
    })
    .await;
    refused(&app, request.clone(), &["the ConfigMap settings does not exist"]).await;
    put::<ConfigMap>(&app, json!({ "metadata": { "name": "settings" }, "data": { "other": "1" } }))
        .await;
    refused(&app, request.clone(), &["the ConfigMap settings has no key mode"]).await;
    let maps: Api<ConfigMap> = Api::namespaced(app.client.clone(), &app.namespace);
    maps.patch(
        "settings",
        &PatchParams::default(),
        &Patch::Merge(json!({ "data": { "mode": "fast" } })),
    )
    .await
    .unwrap();
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

async fn a_plan_is_told_and_kept_or_the_release_is_refused(app: App) {
    let application = app.create("web", 10).await;
    let mut request = release(application, "shop/web:2.0", batches(3));
    let plan = app.service.preview(&caller(), request.clone()).await.unwrap().plan.unwrap();
    assert_eq!(
        (plan.replicas, plan.peak_pods, plan.max_unavailable, plan.expected_seconds),
        (10, 14, 0, None)
    );
    let told: Vec<_> = plan
        .batches
        .iter()
        .map(|batch| (batch.added, batch.removed, batch.new_pods, batch.old_pods))
        .collect();
    assert_eq!(told, [(3, 3, 3, 7), (3, 3, 6, 4), (4, 4, 10, 0)]);
    assert_eq!(
        app.service.recent_orders(application).await.unwrap().len(),
        1,
        "nothing was ordered"
    );

    // Somebody scales it meanwhile: other pods than agreed to.
    edit(&app, "web", json!({ "spec": { "replicas": 11 } })).await;
    request.plan_hash = Some(plan.hash.clone());
    eventually(async || match app.service.deploy(&caller(), request.clone()).await {
        Err(Error::Rejected(why)) if why.to_string().contains("hash of the plan") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    edit(&app, "web", json!({ "spec": { "replicas": 10 } })).await;
    rests(&app, "web").await;
    let watch = app.watch("web").await;
    let order = eventually(async || {
        app.service.deploy(&caller(), request.clone()).await.map_err(|why| why.to_string())
    })
    .await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    assert!(watch.most_wanted() <= plan.peak_pods, "{} pods at once", watch.most_wanted());
    let next = app
        .service
        .preview(&caller(), release(application, "shop/web:3.0", batches(3)))
        .await
        .unwrap()
        .plan
        .unwrap();
    assert!(
        next.expected_seconds.is_some_and(|seconds| seconds >= 3),
        "known from the release before: {next:?}"
    );
}

async fn a_precheck_is_asked_for_and_answered(app: App) {
    let application = app.create("web", 2).await;
    let mut request = Precheck {
        cluster: CLUSTER.into(),
        namespace: app.namespace.clone(),
        name: "web".into(),
        application: Some(application),
        replicas: None,
        spec: release(application, "shop/web:2.0", Strategy::ALL_AT_ONCE).spec,
    };
    app.service.start_precheck(request.clone()).await.unwrap();
    let result = async |name: &str| {
        eventually(async || {
            app.service
                .precheck_result(CLUSTER, &app.namespace, name)
                .await
                .unwrap()
                .ok_or("not answered".into())
        })
        .await
    };
    let report = result("web").await;
    assert_eq!((report.refusal(), finding(&report, Subject::Readiness)), (None, Finding::Warned));
    assert_eq!(report.plan.as_ref().map(|plan| plan.replicas), Some(2));
    // One that does not exist yet.
    (request.application, request.name, request.replicas) = (None, "shop".into(), Some(3));
    app.service.start_precheck(request).await.unwrap();
    let report = result("shop").await;
    assert_eq!(
        (report.refusal(), report.plan.as_ref().map(|plan| plan.peak_pods)),
        (None, Some(3))
    );
    let none = app
        .service
        .precheck_result(CLUSTER, &app.namespace, "nobody")
        .await
        .unwrap_err()
        .to_string();
    assert!(none.contains("does not exist"), "{none}");
}

/// Only a real control plane has quotas.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn without_room_for_a_surge_a_release_is_refused_or_lets_old_pods_go_first(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = app.create("web", 6).await;
    put::<ResourceQuota>(
        &app,
        json!({ "metadata": { "name": "few" }, "spec": { "hard": { "pods": "6" } } }),
    )
    .await;
    let mut request = release(application, "shop/web:2.0", batches(3));
    refused(
        &app,
        request.clone(),
        &["the quota few allows 6 of pods", "needs 8 at once", "allow old pods to go first"],
    )
    .await;

    request.allows_no_surge = true;
    let plan = app.service.preview(&caller(), request.clone()).await.unwrap().plan.unwrap();
    assert_eq!((plan.peak_pods, plan.max_unavailable), (6, 2));
    let watch = app.watch("web").await;
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    assert_eq!(watch.most_wanted(), 6);
    let seen = watch.end();
    assert!(
        seen.iter().all(|sample| sample.ready >= 4),
        "never more than one batch is missing: {seen:?}"
    );
    assert_eq!(seen.last().map(|sample| sample.of("shop/web:2.0")), Some(6));

    // And back from half way in the same manner.
    let mut request = release(application, "shop/web:3.0", manual(3));
    request.allows_no_surge = true;
    let order = app.service.deploy(&caller(), request).await.unwrap();
    app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    let why = app.service.step_back(&caller(), order, None).await.unwrap_err().to_string();
    assert!(why.contains("batches"), "{why}");
    let watch = app.watch("web").await;
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    let back = app.end_of(back).await;
    assert_eq!(back.state, State::Succeeded, "{back:#?}");
    assert_eq!(watch.most_wanted(), 6);
    assert!(watch.end().iter().all(|sample| sample.ready >= 4));
}

/// Only a real scheduler keeps pods apart.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn pods_that_must_be_apart_need_a_node_each(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = app.create("web", 3).await;
    let apart = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app.kubernetes.io/name": "web" } },
    }] });
    // There are three nodes, so even this edit needs room.
    edit(
        &app,
        "web",
        json!({ "spec": {
        "strategy": { "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 } },
        "template": { "spec": { "affinity": { "podAntiAffinity": apart } } },
    } }),
    )
    .await;
    rests(&app, "web").await;
    let mut request = release(application, "shop/web:2.0", batches(3));
    refused(
        &app,
        request.clone(),
        &["must be apart by kubernetes.io/hostname", "3 such places for 4 pods"],
    )
    .await;
    request.allows_no_surge = true;
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

/// Only a real control plane has admission.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_the_api_server_would_refuse_is_refused_in_its_words(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = app.create("web", 4).await;
    let request = release(application, "shop/web:2.0", batches(2));

    let limits = json!({ "metadata": { "name": "small" }, "spec": { "limits": [{ "type": "Container", "max": { "memory": "64Mi" } }] } });
    put::<LimitRange>(&app, limits).await;
    let mut big = request.clone();
    big.spec.memory_limit = Some(128);
    refused(
        &app,
        big,
        &["the cluster would refuse its pods", "maximum memory usage per Container is 64Mi"],
    )
    .await;
    let ranges: Api<LimitRange> = Api::namespaced(app.client.clone(), &app.namespace);
    ranges.delete("small", &DeleteParams::default()).await.unwrap();

    deny_images(&app, "shop/web:2.0").await;
    refused(&app, request, &["the cluster would refuse the change", "this image is not allowed"])
        .await;
}

/// A policy against one image in Deployments of the test's namespace.
async fn deny_images(app: &App, image: &str) {
    let name = format!("images-{}", app.namespace);
    let kind = |kind: &str| {
        ApiResource::from_gvk(&GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind))
    };
    let expression = format!("object.spec.template.spec.containers.all(c, c.image != '{image}')");
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [{
                "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"],
            }] },
            "validations": [{ "expression": expression, "message": "this image is not allowed" }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": name },
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": app.namespace } } },
        },
    });
    for (of, object) in
        [("ValidatingAdmissionPolicy", policy), ("ValidatingAdmissionPolicyBinding", binding)]
    {
        let api: Api<DynamicObject> = Api::all_with(app.client.clone(), &kind(of));
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
}

/// Only a real control plane knows rights.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn rights_that_are_missing_are_named(pool: PgPool) {
    let mut app = App::start_real(pool).await;
    let application = app.create("web", 2).await;
    let user = format!("reader-{}", app.namespace);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": user },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }],
    });
    let bindings = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
    ));
    let api: Api<DynamicObject> = Api::all_with(app.client.clone(), &bindings);
    api.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();

    // The executor that may do everything ends; one that may only read goes on.
    app.client = as_user(&user).await;
    app.hand_over().await;
    let request = release(application, "shop/web:2.0", batches(2));
    let report = eventually(async || {
        let report =
            app.service.preview(&caller(), request.clone()).await.map_err(|why| why.to_string())?;
        if finding(&report, Subject::Rights) == Finding::Refused {
            Ok(report)
        } else {
            Err(format!("{report:#?}"))
        }
    })
    .await;
    let why = &report.refusal().unwrap().reason;
    assert!(why.contains("Sluice lacks rights in the namespace: patch deployments.apps"), "{why}");
    // What may not be looked at is reported, and does not count as missing.
    assert_eq!(finding(&report, Subject::PodAdmission), Finding::Unseen);
    refused(&app, request, &["patch deployments.apps"]).await;
    api.delete(&user, &DeleteParams::default()).await.unwrap();
}

/// Only a real control plane has other workloads.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn another_workload_of_the_name_is_named(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application: ApplicationId = app.create("web", 2).await;
    app.deployments().delete("web", &DeleteParams::default()).await.unwrap();
    let label = json!({ "app": "web" });
    let set = json!({
        "metadata": { "name": "web" },
        "spec": {
            "serviceName": "web", "replicas": 1, "selector": { "matchLabels": label },
            "template": { "metadata": { "labels": label }, "spec": { "containers": [{ "name": "web", "image": "shop/web:1.0" }] } },
        },
    });
    put::<StatefulSet>(&app, set).await;
    refused(
        &app,
        release(application, "shop/web:2.0", batches(2)),
        &["web is a StatefulSet, and only Deployments are released"],
    )
    .await;
}
