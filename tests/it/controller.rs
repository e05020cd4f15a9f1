//! What keeps the Deployment controller from acting is named in its own words, and never
//! stands between a release and its way back. On a real control plane, whose controller
//! it is.

use domain::{
    ApplicationId,
    order::{FailurePolicy, State, plan::Strategy},
};
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::ResourceQuota};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    App, DEADLINE, batches,
    by_hand::{adopted, rests, set_image},
    caller, eventually, manual, release,
};
use domain::template::names::BORROWED_SETTINGS_ANNOTATION;

const NEW: &str = "shop/web:2.0";

/// Trouble that may pass is waited out for so long.
const GRACE: FailurePolicy =
    FailurePolicy { grace_seconds: 3, restarts: 1, watch_seconds: 0, roll_back: true };

fn kind(name: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", name))
}

/// A policy of the test's namespace against making ReplicaSets.
struct Policy {
    name: String,
    client: kube::Client,
}

impl Policy {
    /// Makes it, against making or changing them; returns once the API server heeds it.
    async fn against_replica_sets(app: &App, operation: &str) -> Self {
        // Making one is denied in any case, so that it can be seen when it is heeded.
        let operations =
            if operation == "CREATE" { json!(["CREATE"]) } else { json!(["CREATE", operation]) };
        Self::against(app, operations, "false").await
    }

    /// The same against those operations that do not meet `expression`.
    async fn against(app: &App, operations: Value, expression: &str) -> Self {
        let name = format!("sets-{}", app.namespace);
        let rule = json!({ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": operations, "resources": ["replicasets"] });
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
            "spec": {
                "failurePolicy": "Fail", "matchConstraints": { "resourceRules": [rule] },
                "validations": [{ "expression": expression, "message": "no ReplicaSets today" }],
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
            api.create(&PostParams::default(), &serde_json::from_value(object).unwrap())
                .await
                .unwrap();
        }
        heeded(app, true).await;
        Self { name, client: app.client.clone() }
    }

    /// Takes it away; returns once the API server knows.
    async fn end(self, app: &App) {
        for of in ["ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"] {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind(of));
            api.delete(&self.name, &DeleteParams::default()).await.unwrap();
        }
        heeded(app, false).await;
    }
}

/// Waits until ReplicaSets are refused, or are not any more.
async fn heeded(app: &App, is_refused: bool) {
    let sets: Api<ReplicaSet> = Api::namespaced(app.client.clone(), &app.namespace);
    let label = json!({ "app": "probe" });
    let set = json!({
        "metadata": { "name": "probe" },
        "spec": {
            "replicas": 0, "selector": { "matchLabels": label },
            "template": { "metadata": { "labels": label }, "spec": { "containers": [{ "name": "web", "image": "shop/web:1.0" }] } },
        },
    });
    let set: ReplicaSet = serde_json::from_value(set).unwrap();
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    eventually(async || match sets.create(&parameters, &set).await {
        Err(why) if is_refused && why.to_string().contains("no ReplicaSets today") => Ok(()),
        Ok(_) if !is_refused => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

async fn sets_quota(app: &App, hard: &str) {
    let quotas: Api<ResourceQuota> = Api::namespaced(app.client.clone(), &app.namespace);
    let quota = json!({ "metadata": { "name": "few" }, "spec": { "hard": { "count/replicasets.apps": hard } } });
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    eventually(async || {
        let used = quotas
            .get("few")
            .await
            .unwrap()
            .status
            .and_then(|status| status.used)
            .unwrap_or_default();
        if used.get("count/replicasets.apps").is_some_and(|it| it.0 == "1") {
            Ok(())
        } else {
            Err(format!("{used:?}"))
        }
    })
    .await;
}

/// The Deployment's spec, once its controller has acted on it.
async fn settled(app: &App) -> Value {
    serde_json::to_value(rests(app, "web").await.spec.unwrap()).unwrap()
}

async fn web(app: &App) -> ApplicationId {
    let strategy =
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } });
    adopted(app, "web", 2, json!({ "minReadySeconds": 1, "strategy": strategy })).await
}

/// Everything on the Deployment is as it was, and nothing stays borrowed.
async fn is_as_before(app: &App, before: &Value) {
    assert_eq!(settled(app).await, *before);
    let annotations =
        app.deployments().get("web").await.unwrap().metadata.annotations.unwrap_or_default();
    assert!(!annotations.contains_key(BORROWED_SETTINGS_ANNOTATION), "{annotations:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_quota_without_room_for_a_replica_set_is_refused_before(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = web(&app).await;
    let before = settled(&app).await;
    sets_quota(&app, "1").await;
    for strategy in [batches(2), Strategy::ALL_AT_ONCE] {
        let why = eventually(async || {
            match app.service.deploy(&caller(), release(application, NEW, strategy)).await {
                Err(why) => Ok(why.to_string()),
                Ok(order) => Err(format!("{order} was accepted")),
            }
        })
        .await;
        assert!(
            why.contains("the quota few allows 1 of count/replicasets.apps and 1 are there"),
            "{why}"
        );
    }
    assert_eq!(settled(&app).await, before);
    // And Kubernetes cannot do it either: its status says so.
    set_image(&app, "web", NEW).await;
    eventually(async || {
        let conditions = app
            .deployments()
            .get("web")
            .await
            .unwrap()
            .status
            .and_then(|status| status.conditions)
            .unwrap_or_default();
        let told =
            conditions.iter().any(|it| it.reason.as_deref() == Some("ReplicaSetCreateError"));
        if told { Ok(()) } else { Err(format!("{conditions:?}")) }
    })
    .await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_quota_that_nobody_could_look_at_is_named_within_the_grace_and_the_way_back_works(
    pool: PgPool,
) {
    let mut app = App::start_real(pool).await.tolerating(GRACE);
    let application = web(&app).await;
    let before = settled(&app).await;
    for strategy in [batches(2), Strategy::ALL_AT_ONCE] {
        // No executor looks before: the order is accepted unjudged.
        app.stop_executor().await;
        let order = app.deploy(application, NEW, strategy).await;
        if strategy.count() > 1 {
            sets_quota(&app, "1").await;
        }
        app.start_executor(DEADLINE);
        let order = app.end_of(order).await;
        assert_eq!(order.state, State::Failed, "{order:#?}");
        let says = [
            "the Deployment controller cannot go on: ReplicaSetCreateError",
            "exceeded quota: few",
            "(waited 3 s for it to pass)",
        ];
        assert!(says.iter().all(|part| order.message.contains(part)), "{}", order.message);
        let back = app.end_of(order.rolled_back_by.expect("it is rolled back")).await;
        assert_eq!(back.state, State::Succeeded, "{back:#?}");
        is_as_before(&app, &before).await;
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_policy_against_replica_sets_is_named_at_once_and_later_releases_do_not_hang(
    pool: PgPool,
) {
    let app = App::start_real(pool).await;
    let application = web(&app).await;
    let before = settled(&app).await;
    let policy = Policy::against_replica_sets(&app, "CREATE").await;
    for strategy in [batches(2), Strategy::ALL_AT_ONCE] {
        let order = app.deploy(application, NEW, strategy).await;
        let order = app.end_of(order).await;
        assert_eq!(order.state, State::Failed, "{order:#?}");
        let says = [
            "the Deployment controller cannot go on: ReplicaSetCreateError",
            "no ReplicaSets today",
        ];
        assert!(says.iter().all(|part| order.message.contains(part)), "{}", order.message);
        let back = app.end_of(order.rolled_back_by.expect("it is rolled back")).await;
        assert_eq!(back.state, State::Succeeded, "{back:#?}");
        is_as_before(&app, &before).await;
    }
    policy.end(&app).await;
    let order = app.deploy(application, NEW, batches(2)).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_release_that_is_left_where_it_failed_rests_without_the_controller_and_is_taken_back_later(
    pool: PgPool,
) {
    let app = App::start_real(pool).await.tolerating(FailurePolicy { roll_back: false, ..GRACE });
    let application = web(&app).await;
    let before = settled(&app).await;
    let policy = Policy::against_replica_sets(&app, "CREATE").await;
    let order = app.deploy(application, NEW, batches(2)).await;
    let order = app.end_of(order).await;
    assert_eq!((order.state, order.rolled_back_by), (State::Failed, None), "{order:#?}");
    eventually(async || {
        let spec = app.deployments().get("web").await.unwrap().spec.unwrap();
        if spec.paused == Some(true) && spec.min_ready_seconds == Some(1) {
            Ok(())
        } else {
            Err(format!("{spec:?}"))
        }
    })
    .await;
    let back = app.service.roll_back(&caller(), order.id).await.unwrap();
    let back = app.end_of(back).await;
    assert_eq!(back.state, State::Succeeded, "{back:#?}");
    is_as_before(&app, &before).await;
    policy.end(&app).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_policy_against_changes_of_replica_sets_is_named_when_the_grace_is_over(pool: PgPool) {
    let app = App::start_real(pool).await.tolerating(GRACE);
    let application = web(&app).await;
    let order = app.deploy(application, NEW, manual(2)).await;
    app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    let policy = Policy::against_replica_sets(&app, "UPDATE").await;
    app.confirm(order, 2).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    let says = [
        "the cluster refuses changes of its ReplicaSets",
        "no ReplicaSets today",
        "(waited 3 s for it to pass)",
    ];
    assert!(says.iter().all(|part| order.message.contains(part)), "{}", order.message);
    // Nothing can be done by anybody now: that is said too, and a later release mends it.
    let back = app.end_of(order.rolled_back_by.expect("it is rolled back")).await;
    assert!(
        back.state == State::Failed && back.message.contains("no ReplicaSets today"),
        "{back:#?}"
    );
    policy.end(&app).await;
    let order = app.deploy(application, "shop/web:3.0", batches(2)).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_policy_against_changes_is_named_too_where_the_controller_has_seen_the_spec(
    pool: PgPool,
) {
    let app = App::start_real(pool).await.tolerating(GRACE);
    let application = web(&app).await;
    let made = "request.operation == 'CREATE' && object.metadata.name != 'probe'";
    let policy = Policy::against(&app, json!(["CREATE", "UPDATE"]), made).await;
    // The new ReplicaSet is made with its first pod, and then nothing goes on.
    let order = app.deploy(application, NEW, Strategy::ALL_AT_ONCE).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    let says = ["the cluster refuses changes of its ReplicaSets", "no ReplicaSets today"];
    assert!(says.iter().all(|part| order.message.contains(part)), "{}", order.message);
    policy.end(&app).await;
}
