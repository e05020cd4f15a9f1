//! Why a release failed, end to end: each cause is named in the order, in the
//! batch's pods and in a Kubernetes Event, and the release is rolled back automatically.
//! On the simulated cluster and on a real control plane, where both can play it.

use ::simulated::Behaviour;
use domain::{
    OrderId,
    order::{FailurePolicy, State, plan::Strategy},
};
use k8s_openapi::api::core::v1::{Event, Namespace, ResourceQuota};
use kube::{
    Api,
    api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use service::OrderView;
use sqlx::PgPool;

use crate::support::{
    App, batches, caller, eventually, manual, on_both_clusters, release, watcher::Watch,
};

/// Trouble that may pass is waited out for so long.
const GRACE: FailurePolicy =
    FailurePolicy { grace_seconds: 2, restarts: 1, watch_seconds: 0, roll_back: true };

on_both_clusters!(
    a_missing_config_map_is_named_at_once,
    a_command_that_does_not_exist_is_named_at_once,
    a_registry_that_does_not_answer_is_given_the_grace,
    a_pod_that_is_ready_and_then_not_any_more_fails_the_batch_that_is_watched,
    a_first_version_that_fails_is_left_where_it_is,
    without_automatic_rollback_a_failed_release_rests_where_it_is,
);

/// Releases `image` on four pods in two batches; it must fail, and go back.
async fn fails(app: &App, image: &str) -> OrderView {
    let application = app.create("web", 4).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, image, batches(2)).await;
    fails_on(app, order, watch).await
}

/// A release on four pods that rests after the first of its two batches.
async fn begun(app: &App) -> OrderId {
    let application = app.create("web", 4).await;
    let order = app.deploy(application, "shop/web:2.0", manual(2)).await;
    app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    order
}

async fn fails_on(app: &App, order: OrderId, watch: Watch) -> OrderView {
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    let rollback = app.end_of(order.rolled_back_by.expect("it is rolled back")).await;
    assert_eq!(rollback.state, State::Succeeded, "{rollback:#?}");
    assert!(watch.end().iter().all(|sample| sample.ready >= 4), "every old pod stayed Ready");
    order
}

#[track_caller]
fn assert_says(order: &OrderView, parts: &[&str]) {
    for part in parts {
        assert!(order.message.contains(part), "{part:?} in {:?}", order.message);
    }
}

async fn a_missing_config_map_is_named_at_once(app: App) {
    let order = fails(&app, "shop/web:2.0--config-error").await;
    assert_says(
        &order,
        &[
            "pod web-",
            "container web: CreateContainerConfigError",
            "shop/web:2.0--config-error",
            "configmap \"settings\" not found",
        ],
    );
    assert!(
        order.batches[0].pods.iter().any(|pod| pod.message.contains("CreateContainerConfigError")),
        "{order:#?}"
    );
    // Where people look first.
    let events: Api<Event> = Api::namespaced(app.client.clone(), &app.namespace);
    let event = eventually(async || {
        let events = events.list(&ListParams::default()).await.unwrap().items;
        events
            .into_iter()
            .find(|event| event.reason.as_deref() == Some("ChangeOrderFailed"))
            .ok_or_else(|| "no event".into())
    })
    .await;
    assert_eq!(
        (event.involved_object.kind.as_deref(), event.involved_object.name.as_deref()),
        (Some("Deployment"), Some("web"))
    );
    assert_eq!(
        (event.type_.as_deref(), event.message.as_deref()),
        (Some("Warning"), Some(order.message.as_str()))
    );
}

async fn a_command_that_does_not_exist_is_named_at_once(app: App) {
    let order = fails(&app, "shop/web:2.0--run-error").await;
    assert_says(&order, &["RunContainerError", "exec: \"/missing\": no such file or directory"]);
}

async fn a_registry_that_does_not_answer_is_given_the_grace(app: App) {
    let order = fails(&app.tolerating(GRACE), "shop/web:2.0--registry-down").await;
    assert_says(
        &order,
        &["ImagePullBackOff", "dial tcp 192.0.2.1:443: i/o timeout", "(waited 2 s for it to pass)"],
    );
}

async fn a_pod_that_is_ready_and_then_not_any_more_fails_the_batch_that_is_watched(app: App) {
    let application = app.create("web", 4).await;
    let app = app.tolerating(FailurePolicy { watch_seconds: 20, ..GRACE });
    let watch = app.watch("web").await;
    let order = app.deploy(application, "shop/web:2.0--fails-later", batches(2)).await;
    let order = fails_on(&app, order, watch).await;
    assert_says(&order, &["pod web-", "is not Ready any more", "(waited 2 s for it to pass)"]);
}

async fn a_first_version_that_fails_is_left_where_it_is(app: App) {
    let mut request = crate::support::creation(&app.namespace, "web", 2);
    request.spec.image = Some("shop/web:1.0--run-error".into());
    let (application, order) = app.service.create_application(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!((order.state, order.rolled_back_by), (State::Failed, None), "{order:#?}");
    assert_says(&order, &["RunContainerError"]);
    app.deployments().get("web").await.expect("nothing is destroyed");
    // And the next version can be released on top of it.
    let order = app.deploy(application, "shop/web:2.0", Strategy::ALL_AT_ONCE).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

async fn without_automatic_rollback_a_failed_release_rests_where_it_is(app: App) {
    let application = app.create("web", 4).await;
    let before = app.deployments().get("web").await.unwrap().spec.unwrap();
    let app = app.tolerating(FailurePolicy { roll_back: false, ..GRACE });
    let watch = app.watch("web").await;
    let order = app.deploy(application, "shop/web:2.0--config-error", batches(2)).await;
    let order = app.end_of(order).await;
    assert_eq!((order.state, order.rolled_back_by), (State::Failed, None), "{order:#?}");
    let rests = eventually(async || {
        let now = app.deployments().get("web").await.unwrap().spec.unwrap();
        if now.paused == Some(true) && now.min_ready_seconds == before.min_ready_seconds {
            Ok(now)
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
    assert_ne!(rests.template, before.template);
    assert_says(&app.service.order(order.id).await.unwrap(), &["CreateContainerConfigError"]);
    // The next release goes on from there, and gives the user's own settings back.
    let next = app.deploy(application, "shop/web:3.0", batches(2)).await;
    let next = app.end_of(next).await;
    assert_eq!(next.state, State::Succeeded, "{next:#?}");
    assert!(watch.end().iter().all(|sample| sample.ready >= 4));
    let after = app.deployments().get("web").await.unwrap().spec.unwrap();
    assert_eq!(
        (after.strategy, after.min_ready_seconds),
        (before.strategy, before.min_ready_seconds)
    );
}

/// Only the simulated cluster can change its mind about an image.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_failed_batch_is_tried_again_without_starting_over(pool: PgPool) {
    let app = App::start(pool).await;
    let simulation = app.simulation.clone().unwrap();
    let application = app.create("web", 6).await;
    let app = app.tolerating(FailurePolicy { roll_back: false, ..GRACE });
    let watch = app.watch("web").await;
    let order = app.deploy(application, "shop/web:2.0", manual(3)).await;
    app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    simulation.set_behaviour("shop/web:2.0", Behaviour::ConfigError, false);
    app.confirm(order, 2).await;
    let failed = app.end_of(order).await;
    assert_eq!(
        (failed.state, failed.rolled_back_by, failed.batches[1].state),
        (State::Failed, None, State::Failed),
        "{failed:#?}"
    );
    let first: Vec<String> = failed.batches[0].pods.iter().map(|pod| pod.name.clone()).collect();
    let refused = app.service.retry(&caller(), failed.batches[0].id).await.unwrap_err().to_string();
    assert!(refused.contains("has no failure in batch 1"), "{refused}");

    // What was missing is there now.
    simulation.set_behaviour("shop/web:2.0", Behaviour::Ready, false);
    let again = app.service.retry(&caller(), failed.batches[1].id).await.unwrap();
    app.confirm(again, 3).await;
    let again = app.end_of(again).await;
    assert_eq!(again.state, State::Succeeded, "{again:#?}");
    let pods = app
        .service
        .order(again.id)
        .await
        .unwrap()
        .batches
        .into_iter()
        .skip(1)
        .flat_map(|batch| batch.pods);
    assert!(
        pods.into_iter().all(|pod| !first.contains(&pod.name)),
        "the first batch's pods were not made again"
    );
    let seen = watch.end();
    assert!(seen.iter().all(|sample| sample.ready >= 6), "{seen:#?}");
    assert_eq!(
        seen.last().map(|sample| (sample.of("shop/web:2.0"), sample.of("shop/web:1.0"))),
        Some((6, 0)),
        "{seen:#?}"
    );
    assert!(
        app.service.retry(&caller(), failed.batches[1].id).await.is_err(),
        "another order followed"
    );

    // A first batch that fails is tried again with new pods, too.
    simulation.set_behaviour("shop/web:3.0", Behaviour::ConfigError, false);
    let order = app.deploy(application, "shop/web:3.0", batches(2)).await;
    let failed = app.end_of(order).await;
    assert_eq!(failed.state, State::Failed);
    simulation.set_behaviour("shop/web:3.0", Behaviour::Ready, false);
    let again = app.service.retry(&caller(), failed.batches[0].id).await.unwrap();
    let again = app.end_of(again).await;
    assert_eq!(again.state, State::Succeeded, "{again:#?}");
}

/// Only a real scheduler counts processors.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_pod_that_no_node_takes_is_told_in_the_schedulers_words(pool: PgPool) {
    let app = App::start_real(pool).await.tolerating(GRACE);
    let application = app.create("web", 4).await;
    let mut request = release(application, "shop/web:2.0", batches(2));
    request.spec.cpu_request = Some(1_000_000);
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    assert_says(
        &order,
        &[
            "pod web-",
            "cannot be scheduled: 0/3 nodes are available",
            "Insufficient cpu",
            "(waited 2 s",
        ],
    );
}

/// Only a real control plane has quotas.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_quota_without_room_for_the_batch_is_told_in_the_api_servers_words(pool: PgPool) {
    let app = App::start_real(pool).await.tolerating(GRACE);
    let order = begun(&app).await;
    let quota = json!({ "metadata": { "name": "pods" }, "spec": { "hard": { "pods": "5" } } });
    let quotas: Api<ResourceQuota> = Api::namespaced(app.client.clone(), &app.namespace);
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    eventually(async || {
        let used = quotas
            .get("pods")
            .await
            .unwrap()
            .status
            .and_then(|status| status.used)
            .unwrap_or_default();
        if used.get("pods").is_some_and(|pods| pods.0 == "4") {
            Ok(())
        } else {
            Err(format!("{used:?}"))
        }
    })
    .await;
    let watch = app.watch("web").await;
    app.confirm(order, 2).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    assert_says(&order, &["the ReplicaSet web-", "cannot create pods", "exceeded quota: pods"]);
    // Whether old pods find room before this test's short grace is over is the quota's doing.
    let rollback = app.end_of(order.rolled_back_by.expect("it is rolled back")).await;
    assert!(
        rollback.state == State::Succeeded || rollback.message.contains("exceeded quota"),
        "{rollback:#?}"
    );
    assert!(watch.end().iter().all(|sample| sample.ready >= 4), "every pod stayed Ready");
}

/// Only a real control plane has admission.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn pod_security_that_refuses_the_pods_is_told_at_once(pool: PgPool) {
    let app = App::start_real(pool).await;
    let order = begun(&app).await;
    let labels = [("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned())];
    let strict = Namespace {
        metadata: ObjectMeta {
            labels: Some(labels.into_iter().collect()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let namespaces: Api<Namespace> = Api::all(app.client.clone());
    namespaces
        .patch(&app.namespace, &PatchParams::default(), &Patch::Merge(&strict))
        .await
        .unwrap();
    let watch = app.watch("web").await;
    app.confirm(order, 2).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    let says = ["cannot create pods", "violates PodSecurity \"restricted:latest\""];
    assert_says(&order, &says);
    // No pod of the old version may be created either: that is said, and nothing is lost.
    let rollback = app.end_of(order.rolled_back_by.expect("it is rolled back")).await;
    assert_eq!(rollback.state, State::Failed, "{rollback:#?}");
    assert_says(&rollback, &says);
    assert!(watch.end().iter().all(|sample| sample.ready >= 4), "every pod stayed Ready");
}

/// Only the simulated cluster can change its mind about an image.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_way_back_that_fails_says_so_and_keeps_every_ready_pod(pool: PgPool) {
    let app = App::start(pool).await;
    let application = app.create("web", 4).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, "shop/web:2.0", manual(2)).await;
    app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    // What the old version needs is gone meanwhile.
    app.simulation.as_ref().unwrap().set_behaviour("shop/web:1.0", Behaviour::ConfigError, false);
    let rollback = app.service.roll_back(&caller(), order).await.unwrap();
    let rollback = app.end_of(rollback).await;
    assert_eq!(rollback.state, State::Failed, "{rollback:#?}");
    assert_says(
        &rollback,
        &[
            "the earlier version does not come back",
            "CreateContainerConfigError",
            "release another version",
        ],
    );
    assert!(watch.end().iter().all(|sample| sample.ready >= 4), "every Ready pod stayed");
    let next = app.deploy(application, "shop/web:3.0", Strategy::ALL_AT_ONCE).await;
    let next = app.end_of(next).await;
    assert_eq!(next.state, State::Succeeded, "the way out works: {next:#?}");
}
