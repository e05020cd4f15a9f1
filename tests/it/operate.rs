//! An application between its releases: another number of pods, none, and pods again.
//! Each check runs on the simulated cluster and on a real control plane.

mod delete;
mod restart;

use std::collections::{BTreeMap, BTreeSet};

use ::simulated::Behaviour;
use domain::{
    ApplicationId, OrderId,
    order::{Kind, State, Step, plan::Strategy},
    template::spec::SpecChange,
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{apps::v1::DeploymentSpec, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use service::{Configure, OrderView, RollBackTo, Scale, Start};
use sqlx::PgPool;

use crate::support::{
    App, batches, caller, canary, eventually, manual, on_both_clusters, release, watcher::Watch,
};

const OLD: &str = "shop/web:1.0";
const NEW: &str = "shop/web:2.0";

on_both_clusters!(
    a_scale_reaches_exactly_the_number_in_one_write,
    a_scale_whose_pods_cannot_start_names_the_cause_and_is_not_taken_back,
    a_scale_is_aborted_or_taken_back,
    a_release_that_rests_half_way_is_scaled_and_goes_on,
    another_hand_on_the_number_is_named,
    a_stop_lets_all_pods_go_and_a_start_brings_as_many_back,
    a_stopped_application_is_released_and_starts_with_the_new_version,
    a_stop_ends_a_release_that_rests_half_way,
    a_start_whose_pods_cannot_start_names_the_cause,
    other_amounts_are_a_release_under_a_name_of_its_own,
);

async fn spec(app: &App) -> DeploymentSpec {
    app.deployments().get("web").await.unwrap().spec.unwrap()
}

/// Waits until the pods that are there are of an earlier second than what follows:
/// Kubernetes tells whole seconds.
async fn pods_are_older() {
    let since = Timestamp::now().as_second();
    eventually(async || {
        if Timestamp::now().as_second() > since { Ok(()) } else { Err("the same second".into()) }
    })
    .await;
}

async fn scale(app: &App, application: ApplicationId, replicas: i32) -> OrderId {
    app.service
        .scale(&caller(), Scale { application, replicas, timeout_seconds: None })
        .await
        .unwrap()
}

/// Waits until exactly these pods are there, all Ready.
async fn pods_are(watch: &Watch, expected: &[(&str, i32)]) {
    eventually(async || {
        let now = watch.now();
        let total: i32 = expected.iter().map(|(_, count)| count).sum();
        let fits = expected.iter().all(|(image, count)| now.of(image) == *count)
            && now.pods.values().sum::<i32>() == total
            && now.ready == total;
        if fits { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

async fn a_scale_reaches_exactly_the_number_in_one_write(app: App) {
    let application = app.create("web", 3).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    for (from, to) in [(3, 6), (6, 2), (2, 2), (2, 0), (0, 1)] {
        pods_are_older().await;
        let order = app.end_of(scale(&app, application, to).await).await;
        assert_eq!((order.state, order.kind), (State::Succeeded, Kind::Scale), "{order:#?}");
        assert_eq!((order.replicas_before, order.replicas), (Some(from), Some(to)));
        assert_eq!(
            order.batches[0].pods.len(),
            usize::try_from((to - from).max(0)).unwrap(),
            "the pods that it brought: {order:#?}"
        );
        pods_are(&watch, &[(OLD, to)]).await;
        assert_eq!(
            app.service.application(application).await.unwrap().replicas,
            to,
            "known with the order's end"
        );
        let events = app.store.events(order.id).await.unwrap();
        assert_eq!(events.iter().filter(|event| event.kind == "change.made").count(), 1);
    }
    assert_eq!(
        spec(&app).await,
        DeploymentSpec { replicas: Some(1), ..before },
        "nothing but the number"
    );
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
    assert_eq!(
        (order.state, order.rolled_back_by, order.can_roll_back),
        (State::Failed, None, true),
        "{order:#?}"
    );
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
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_scale_that_fails_leaves_the_pods_that_run(pool: PgPool) {
    let app = App::start(pool).await;
    let application = app.create("web", 2).await;
    let watch = app.watch("web").await;
    app.simulation.as_ref().unwrap().set_behaviour(OLD, Behaviour::ImagePullError, false);
    pods_are_older().await;
    let order = app.end_of(scale(&app, application, 4).await).await;
    assert!(order.state == State::Failed && order.message.contains("ErrImagePull"), "{order:#?}");
    assert_eq!(order.batches[0].pods.len(), 2, "those that came: {order:#?}");
    // Those that cannot start go first, and are no trouble any more.
    let down = app.end_of(scale(&app, application, 2).await).await;
    assert_eq!(down.state, State::Succeeded, "{down:#?}");
    pods_are(&watch, &[(OLD, 2)]).await;
    assert!(watch.end().iter().all(|sample| sample.ready == 2), "no pod that ran went missing");
}

async fn a_scale_is_aborted_or_taken_back(app: App) {
    let application = app.create("web", 0).await;
    let slow = "shop/web:2.0--never-ready";
    let released = app.deploy(application, slow, Strategy::ALL_AT_ONCE).await;
    assert_eq!(app.end_of(released).await.state, State::Succeeded);
    let watch = app.watch("web").await;
    let order = scale(&app, application, 3).await;
    let refused = app
        .service
        .deploy(&caller(), release(application, NEW, Strategy::ALL_AT_ONCE))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains(&order.to_string()) && refused.contains("still running"), "{refused}");
    eventually(
        async || if watch.now().of(slow) == 3 { Ok(()) } else { Err(format!("{:?}", watch.now())) },
    )
    .await;
    app.service.abort(&caller(), order).await.unwrap();
    let aborted = app.service.order(order).await.unwrap();
    assert_eq!(
        (aborted.state, aborted.step),
        (State::Aborted, Step::Done),
        "nothing is left to do"
    );
    assert_eq!(spec(&app).await.replicas, Some(3), "it stays where it is");

    let order = scale(&app, application, 5).await;
    eventually(
        async || if watch.now().of(slow) == 5 { Ok(()) } else { Err(format!("{:?}", watch.now())) },
    )
    .await;
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    eventually(
        async || if watch.now().of(slow) == 3 { Ok(()) } else { Err(format!("{:?}", watch.now())) },
    )
    .await;
    assert_eq!(spec(&app).await.replicas, Some(3));
    let back = app.service.order(back).await.unwrap();
    assert_eq!(
        (back.kind, back.rolls_back, back.replicas),
        (Kind::Rollback, Some(order), Some(3)),
        "{back:#?}"
    );
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
    assert_eq!(
        now,
        DeploymentSpec {
            replicas: Some(9),
            template: now.template.clone(),
            paused: now.paused,
            ..before
        }
    );
    assert!(watch.end().iter().all(|sample| sample.ready >= 6));
}

async fn another_hand_on_the_number_is_named(app: App) {
    let application = app.create("web", 0).await;
    let released =
        app.deploy(application, "shop/web:2.0--never-ready", Strategy::ALL_AT_ONCE).await;
    assert_eq!(app.end_of(released).await.state, State::Succeeded);
    let order = scale(&app, application, 3).await;
    eventually(
        async || if spec(&app).await.replicas == Some(3) { Ok(()) } else { Err("not yet".into()) },
    )
    .await;
    let hand = PatchParams { field_manager: Some("hand".into()), ..PatchParams::default() };
    app.deployments()
        .patch_scale("web", &hand, &Patch::Merge(serde_json::json!({ "spec": { "replicas": 1 } })))
        .await
        .unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    assert!(
        order.message.contains("overruled by hand, who scaled the Deployment to 1 pods"),
        "{}",
        order.message
    );
    assert_eq!(spec(&app).await.replicas, Some(1), "theirs stays");
}

async fn stop(app: &App, application: ApplicationId) -> OrderView {
    let order = app.service.stop(&caller(), application, None).await.unwrap();
    app.end_of(order).await
}

async fn start(app: &App, application: ApplicationId, replicas: Option<i32>) -> OrderView {
    let order = app
        .service
        .start(&caller(), Start { application, replicas, timeout_seconds: None })
        .await
        .unwrap();
    app.end_of(order).await
}

async fn a_stop_lets_all_pods_go_and_a_start_brings_as_many_back(app: App) {
    let application = app.create("web", 3).await;
    let before = spec(&app).await;
    let refused = app
        .service
        .start(&caller(), Start { application, replicas: None, timeout_seconds: None })
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("runs already, with 3 instances"), "{refused}");
    let stopped = stop(&app, application).await;
    assert_eq!((stopped.state, stopped.kind), (State::Succeeded, Kind::Stop), "{stopped:#?}");
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    assert!(
        pods.list(&ListParams::default()).await.unwrap().items.is_empty(),
        "also those that were on their way out are gone"
    );
    let shown = app.service.application(application).await.unwrap();
    assert_eq!((shown.replicas, shown.replicas_before_stop), (0, Some(3)));
    // Once more changes nothing of what is remembered.
    assert_eq!(stop(&app, application).await.state, State::Succeeded);

    let watch = app.watch("web").await;
    let started = start(&app, application, None).await;
    assert_eq!(
        (started.state, started.kind, started.replicas),
        (State::Succeeded, Kind::Start, Some(3)),
        "{started:#?}"
    );
    pods_are(&watch, &[(OLD, 3)]).await;
    assert_eq!(spec(&app).await, before);
    assert_eq!(app.service.application(application).await.unwrap().replicas_before_stop, None);

    // With a number of its own; and a stop that is rolled back starts as many again.
    assert_eq!(stop(&app, application).await.state, State::Succeeded);
    assert_eq!(start(&app, application, Some(2)).await.state, State::Succeeded);
    let stopped = stop(&app, application).await;
    assert_eq!((stopped.state, stopped.replicas_before), (State::Succeeded, Some(2)));
    let back = app.service.roll_back(&caller(), stopped.id).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    pods_are(&watch, &[(OLD, 2)]).await;
    assert_eq!(app.service.application(application).await.unwrap().replicas_before_stop, None);
}

async fn a_stopped_application_is_released_and_starts_with_the_new_version(app: App) {
    let application = app.create("web", 2).await;
    assert_eq!(stop(&app, application).await.state, State::Succeeded);
    let order = app.deploy(application, NEW, Strategy::ALL_AT_ONCE).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    assert_eq!(spec(&app).await.replicas, Some(0), "it stays stopped");
    // Batches of nothing are done at once, as a canary of nothing is.
    for strategy in [batches(2), manual(3), canary(1, 2)] {
        let order = app.deploy(application, NEW, strategy).await;
        let order = app.end_of(order).await;
        assert_eq!(
            (order.state, spec(&app).await.replicas),
            (State::Succeeded, Some(0)),
            "{order:#?}"
        );
    }
    assert_eq!(start(&app, application, None).await.state, State::Succeeded);
    let watch = app.watch("web").await;
    pods_are(&watch, &[(NEW, 2)]).await;
    // A release that says how many ends the stop by itself.
    assert_eq!(stop(&app, application).await.state, State::Succeeded);
    let mut request = release(application, OLD, batches(2));
    request.replicas = Some(4);
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    pods_are(&watch, &[(OLD, 4)]).await;
    assert!(app.service.application(application).await.unwrap().is_running());
}

async fn a_stop_ends_a_release_that_rests_half_way(app: App) {
    let application = app.create("web", 4).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, NEW, manual(2)).await;
    app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    app.service.abort(&caller(), order).await.unwrap();
    // As one client does it: abort, stop, without waiting in between.
    let stopped = stop(&app, application).await;
    assert_eq!(stopped.state, State::Succeeded, "{stopped:#?}");
    pods_are(&watch, &[]).await;
    assert_eq!(start(&app, application, None).await.state, State::Succeeded);
    pods_are(&watch, &[(OLD, 4)]).await;
    let now = spec(&app).await;
    assert_eq!(
        DeploymentSpec { paused: before.paused, ..now },
        before,
        "the version and the settings of before"
    );
}

async fn a_start_whose_pods_cannot_start_names_the_cause(app: App) {
    let application = app.create("web", 2).await;
    assert_eq!(stop(&app, application).await.state, State::Succeeded);
    let order = app.deploy(application, "shop/web:2.0--crash-loop", Strategy::ALL_AT_ONCE).await;
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    let started = start(&app, application, None).await;
    assert_eq!((started.state, started.rolled_back_by), (State::Failed, None), "{started:#?}");
    assert!(started.message.contains("CrashLoopBackOff"), "{}", started.message);
}

async fn other_amounts_are_a_release_under_a_name_of_its_own(app: App) {
    let application = app.create("web", 2).await;
    let watch = app.watch("web").await;
    let spec =
        SpecChange { cpu_request: Some(100), memory_limit: Some(256), ..SpecChange::default() };
    let request = Configure { application, cluster: None, spec, timeout_seconds: None };
    let order = app.service.configure(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(
        (order.state, order.kind, order.image.as_str()),
        (State::Succeeded, Kind::Configure, OLD),
        "{order:#?}"
    );
    pods_are(&watch, &[(OLD, 2)]).await;
    assert!(watch.end().iter().all(|sample| sample.ready >= 2));
    let container = self::spec(&app).await.template.spec.unwrap().containers.remove(0);
    let resources = container.resources.unwrap();
    assert_eq!(resources.requests.unwrap()["cpu"].0, "100m");
    assert_eq!(resources.limits.unwrap()["memory"].0, "256Mi");
    assert_eq!(
        app.service.history(application).await.unwrap().len(),
        2,
        "it is a version of the history"
    );
    let back = app.service.roll_back(&caller(), order.id).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    let container = self::spec(&app).await.template.spec.unwrap().containers.remove(0);
    assert!(
        container.resources.and_then(|resources| resources.limits).is_none(),
        "as it was before"
    );
}
