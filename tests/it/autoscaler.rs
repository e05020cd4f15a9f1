//! An autoscaler changes the number of pods while a release waits: a canary stays the same
//! share of it. Each check runs on the simulated cluster and on a real control plane.

use domain::{OrderId, order::State};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use sqlx::PgPool;

use crate::support::{App, canary, eventually, on_both_clusters, watcher::Watch};

const NEW: &str = "shop/web:2.0";

on_both_clusters!(a_canary_that_waits_stands_scaling_to_nothing_and_back_and_to_one,);

async fn scale(app: &App, replicas: i32) {
    let by = PatchParams { field_manager: Some("autoscaler".into()), ..Default::default() };
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    app.deployments().patch_scale("web", &by, &patch).await.unwrap();
}

async fn at_rest(app: &App, order: OrderId, watch: &Watch, replicas: i32, new: (i32, i32)) {
    eventually(async || {
        let (now, live) = (watch.now(), app.deployments().get("web").await.unwrap());
        let order = app.service.order(order).await.unwrap();
        let total: i32 = now.pods.values().sum();
        let rests = order.state == State::WaitingConfirmation
            && order.step == domain::order::Step::Paused
            && live.spec.unwrap().paused == Some(true);
        if rests
            && total == replicas
            && now.ready == replicas
            && (new.0..=new.1).contains(&now.of(NEW))
        {
            Ok(())
        } else {
            Err(format!("{now:?} {:?} {:?} {}", order.state, order.step, order.message))
        }
    })
    .await;
}

async fn a_canary_that_waits_stands_scaling_to_nothing_and_back_and_to_one(app: App) {
    let application = app.create("web", 10).await;
    let order = app.deploy(application, NEW, canary(3, 1)).await;
    let watch = app.watch("web").await;
    at_rest(&app, order, &watch, 10, (3, 3)).await;
    for (replicas, new) in [(0, (0, 0)), (10, (3, 4)), (1, (0, 1)), (10, (1, 4)), (30, (1, 10))] {
        scale(&app, replicas).await;
        at_rest(&app, order, &watch, replicas, new).await;
    }
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
}

/// The autoscaler of Kubernetes itself, which keeps its bounds without any metrics.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_horizontal_pod_autoscaler_scales_a_canary_that_waits(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = app.create("web", 10).await;
    let order = app.deploy(application, NEW, canary(3, 1)).await;
    let watch = app.watch("web").await;
    at_rest(&app, order, &watch, 10, (3, 3)).await;
    let autoscaler = json!({
        "metadata": { "name": "web" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "minReplicas": 24, "maxReplicas": 40,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } } }],
        },
    });
    let autoscalers: Api<HorizontalPodAutoscaler> =
        Api::namespaced(app.client.clone(), &app.namespace);
    autoscalers
        .create(&PostParams::default(), &serde_json::from_value(autoscaler).unwrap())
        .await
        .unwrap();
    eventually(async || {
        let replicas = app.deployments().get("web").await.unwrap().spec.unwrap().replicas;
        if replicas == Some(24) { Ok(()) } else { Err(format!("{replicas:?}")) }
    })
    .await;
    at_rest(&app, order, &watch, 24, (6, 8)).await;
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
}
