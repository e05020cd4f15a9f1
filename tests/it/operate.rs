//! An application between its releases: another number of pods. Each check runs on
//! the simulated cluster and on a real control plane.

use k8s_openapi::api::apps::v1::DeploymentSpec;
use kube::api::{Patch, PatchParams};
use sluice::{
    domain::{
        ApplicationId, OrderId,
        order::{Kind, State, Step},
        plan::Strategy,
    },
    service::Scale,
    simulated::Behaviour,
};
use sqlx::PgPool;

use crate::support::{App, batches, caller, eventually, manual, on_both_clusters, release, watcher::Watch};

const OLD: &str = "shop/web:1.0";
const NEW: &str = "shop/web:2.0";

on_both_clusters!(
    a_scale_reaches_exactly_the_number_in_one_write,
    a_scale_whose_pods_cannot_start_names_the_cause_and_is_not_taken_back,
    a_scale_is_aborted_or_taken_back,
    a_release_that_rests_half_way_is_scaled_and_goes_on,
    another_hand_on_the_number_is_named,
);

async fn spec(app: &App) -> DeploymentSpec {
    app.deployments().get("web").await.unwrap().spec.unwrap()
}

async fn scale(app: &App, application: ApplicationId, replicas: i32) -> OrderId {
    app.service.scale(&caller(), Scale { application, replicas, timeout_seconds: None }).await.unwrap()
}

/// Waits until exactly these pods are there, all Ready.
async fn pods_are(watch: &Watch, expected: &[(&str, i32)]) {
    eventually(async || {
        let now = watch.now();
        let total: i32 = expected.iter().map(|(_, count)| count).sum();
        let fits =
            expected.iter().all(|(image, count)| now.of(image) == *count) && now.pods.values().sum::<i32>() == total && now.ready == total;
        if fits { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

async fn a_scale_reaches_exactly_the_number_in_one_write(app: App) {
    let application = app.create("web", 3).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    for (from, to) in [(3, 6), (6, 2), (2, 2), (2, 0), (0, 1)] {
        let order = app.end_of(scale(&app, application, to).await).await;
        assert_eq!((order.state, order.kind), (State::Succeeded, Kind::Scale), "{order:#?}");
        assert_eq!((order.replicas_before, order.replicas), (Some(from), Some(to)));
        assert_eq!(order.batches[0].pods.len(), usize::try_from((to - from).max(0)).unwrap(), "the pods that it brought: {order:#?}");
        pods_are(&watch, &[(OLD, to)]).await;
        assert_eq!(app.service.application(application).await.unwrap().replicas, to, "known with the order's end");
        let events = app.store.events(order.id).await.unwrap();
        assert_eq!(events.iter().filter(|event| event.kind == "change.made").count(), 1);
    }
    assert_eq!(spec(&app).await, DeploymentSpec { replicas: Some(1), ..before }, "nothing but the number");
}

async fn a_scale_whose_pods_cannot_start_names_the_cause_and_is_not_taken_back(app: App) {
    let application = app.create("web", 1).await;
    // A version that cannot be pulled harms nobody as long as there is no pod of it.
    assert_eq!(app.end_of(scale(&app, application, 0).await).await.state, State::Succeeded);
    let bad = "shop/web:2.0--image-pull-error";
    let released = app.deploy(application, bad, Strategy::ALL_AT_ONCE).await;
    let released = app.end_of(released).await;
    assert_eq!(released.state, State::Succeeded, "{released:#?}");
    let order = app.end_of(scale(&app, application, 2).await).await;
    assert_eq!((order.state, order.undone_by, order.can_roll_back), (State::Failed, None, true), "{order:#?}");
    for part in ["pod web-", "container web", "ErrImagePull", bad, "not found"] {
        assert!(order.message.contains(part), "{part} in {}", order.message);
    }
    assert_eq!(order.batches[0].message, order.message);
    assert_eq!(spec(&app).await.replicas, Some(2), "Kubernetes goes on trying");
    // A person says what follows: here, back.
    let back = app.service.roll_back(&caller(), order.id).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    assert_eq!(spec(&app).await.replicas, Some(0));
}

/// The image is there no more by now: new pods of the same version fail, and those
/// that run do not.
#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn a_scale_that_fails_leaves_the_pods_that_run(pool: PgPool) {
    let app = App::start(pool).await;
    let application = app.create("web", 2).await;
    let watch = app.watch("web").await;
    app.simulation.as_ref().unwrap().set_behaviour(OLD, Behaviour::ImagePullError, false);
    let order = app.end_of(scale(&app, application, 4).await).await;
    assert!(order.state == State::Failed && order.message.contains("ErrImagePull"), "{order:#?}");
    assert_eq!(order.batches[0].pods.len(), 2, "those that came: {order:#?}");
    // Those that cannot start go first, and are no trouble any more.
    let down = app.end_of(scale(&app, application, 2).await).await;
    assert_eq!(down.state, State::Succeeded, "{down:#?}");
    pods_are(&watch, &[(OLD, 2)]).await;
    assert!(watch.end().iter().all(|sight| sight.ready == 2), "no pod that ran went missing");
}

async fn a_scale_is_aborted_or_taken_back(app: App) {
    let application = app.create("web", 0).await;
    let slow = "shop/web:2.0--never-ready";
    let released = app.deploy(application, slow, Strategy::ALL_AT_ONCE).await;
    assert_eq!(app.end_of(released).await.state, State::Succeeded);
    let watch = app.watch("web").await;
    let order = scale(&app, application, 3).await;
    let refused = app.service.deploy(&caller(), release(application, NEW, Strategy::ALL_AT_ONCE)).await.unwrap_err().to_string();
    assert!(refused.contains(&order.to_string()) && refused.contains("still running"), "{refused}");
    eventually(async || if watch.now().of(slow) == 3 { Ok(()) } else { Err(format!("{:?}", watch.now())) }).await;
    app.service.abort(&caller(), order).await.unwrap();
    let aborted = app.service.order(order).await.unwrap();
    assert_eq!((aborted.state, aborted.step), (State::Aborted, Step::Done), "nothing is left to do");
    assert_eq!(spec(&app).await.replicas, Some(3), "it stays where it is");

    let order = scale(&app, application, 5).await;
    eventually(async || if watch.now().of(slow) == 5 { Ok(()) } else { Err(format!("{:?}", watch.now())) }).await;
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    eventually(async || if watch.now().of(slow) == 3 { Ok(()) } else { Err(format!("{:?}", watch.now())) }).await;
    assert_eq!(spec(&app).await.replicas, Some(3));
    let back = app.service.order(back).await.unwrap();
    assert_eq!((back.kind, back.undoes, back.replicas), (Kind::Rollback, Some(order), Some(3)), "{back:#?}");
}

async fn a_release_that_rests_half_way_is_scaled_and_goes_on(app: App) {
    let application = app.create("web", 6).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, NEW, manual(3)).await;
    app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    app.service.abort(&caller(), order).await.unwrap();
    pods_are(&watch, &[(NEW, 2), (OLD, 4)]).await;
    let scaled = app.end_of(scale(&app, application, 9).await).await;
    assert_eq!(scaled.state, State::Succeeded, "{scaled:#?}");
    // Both versions grew in proportion, as Kubernetes does it.
    pods_are(&watch, &[(NEW, 3), (OLD, 6)]).await;
    // And the next release still knows how the Deployment was.
    let next = app.deploy(application, "shop/web:3.0", batches(3)).await;
    assert_eq!(app.end_of(next).await.state, State::Succeeded);
    pods_are(&watch, &[("shop/web:3.0", 9)]).await;
    let now = spec(&app).await;
    assert_eq!(now, DeploymentSpec { replicas: Some(9), template: now.template.clone(), paused: now.paused, ..before });
    assert!(watch.end().iter().all(|sight| sight.ready >= 6));
}

async fn another_hand_on_the_number_is_named(app: App) {
    let application = app.create("web", 0).await;
    let released = app.deploy(application, "shop/web:2.0--never-ready", Strategy::ALL_AT_ONCE).await;
    assert_eq!(app.end_of(released).await.state, State::Succeeded);
    let order = scale(&app, application, 3).await;
    eventually(async || if spec(&app).await.replicas == Some(3) { Ok(()) } else { Err("not yet".into()) }).await;
    let hand = PatchParams { field_manager: Some("hand".into()), ..PatchParams::default() };
    app.deployments().patch_scale("web", &hand, &Patch::Merge(serde_json::json!({ "spec": { "replicas": 1 } }))).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    assert!(order.message.contains("overruled by hand, who scaled the Deployment to 1 pods"), "{}", order.message);
    assert_eq!(spec(&app).await.replicas, Some(1), "theirs stays");
}
