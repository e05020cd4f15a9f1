//! The engine, from an accepted order to the Deployment and its pods: exact
//! numbers per batch, nothing lost, and back again. Each check runs on the
//! simulated cluster and on a real control plane.

mod back;

use domain::order::{Kind, State, plan::Strategy};
use k8s_openapi::api::apps::v1::DeploymentSpec;
use sqlx::PgPool;

use crate::support::{
    App, batches, caller, canary, eventually, manual, on_both_clusters, release,
    watcher::{Sample, Watch},
};

const OLD: &str = "shop/web:1.0";
const NEW: &str = "shop/web:2.0";

on_both_clusters!(
    three_automatic_batches_rest_at_3_6_and_10,
    a_manual_release_rests_until_each_batch_is_confirmed,
    a_canary_waits_for_a_person_and_the_batches_after_it_do_not,
    all_at_once_never_lacks_a_pod,
    a_bad_image_is_named_and_goes_back_by_itself,
    a_crash_loop_is_named_and_goes_back_by_itself,
    a_batch_that_is_never_ready_fails_at_its_deadline,
    the_same_spec_again_is_a_new_release,
    a_stale_executors_patch_is_refused_and_changes_nothing,
    one_pod_and_two_pods_never_go_missing,
    a_release_can_change_the_number_of_pods,
    another_hand_on_the_template_is_named_and_left_alone,
    a_crash_in_the_middle_loses_nothing,
    an_executor_told_to_stop_hands_its_orders_over,
);

/// What every release must keep: never fewer Ready pods than wanted, never more
/// new ones than the batch under way allows.
fn assert_whole(seen: &[Sample], replicas: i32) {
    assert!(
        seen.iter().all(|sample| sample.ready >= replicas),
        "Ready fell under {replicas}: {seen:#?}"
    );
}

fn assert_grows(seen: &[Sample], image: &str) {
    assert!(
        seen.windows(2).all(|pair| pair[0].of(image) <= pair[1].of(image)),
        "{image} went back: {seen:#?}"
    );
}

async fn spec(app: &App) -> DeploymentSpec {
    app.deployments().get("web").await.unwrap().spec.unwrap()
}

/// The Deployment as it was before, in every field of its spec.
async fn assert_as_before(app: &App, before: &DeploymentSpec) {
    let mut now = spec(app).await;
    if before.paused.is_none() && now.paused == Some(false) {
        now.paused = None;
    }
    assert_eq!(&now, before);
}

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

async fn three_automatic_batches_rest_at_3_6_and_10(app: App) {
    let application = app.create("web", 10).await;
    let before = app.deployments().get("web").await.unwrap();
    let watch = app.watch("web").await;

    let order = app.deploy(application, NEW, batches(3)).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    assert_eq!(order.batches.iter().map(|batch| batch.pods.len()).collect::<Vec<_>>(), [3, 3, 4]);

    let seen = watch.end();
    assert_whole(&seen, 10);
    assert_grows(&seen, NEW);
    // The last look at each number of new pods is where the batch rested: all of
    // them Ready beside all the old ones that were not yet replaced.
    for (rest, old) in [(3, 10), (6, 7), (10, 4)] {
        assert!(
            seen.iter().any(|sample| sample.of(NEW) == rest
                && sample.of(OLD) == old
                && sample.ready == rest + old),
            "no rest at {rest}: {seen:#?}"
        );
    }
    let after = app.deployments().get("web").await.unwrap();
    assert_eq!(
        (&after.metadata.name, &after.metadata.uid),
        (&before.metadata.name, &before.metadata.uid)
    );
    let mut expected = before.spec.unwrap();
    expected.template = after.spec.unwrap().template;
    assert_as_before(&app, &expected).await;

    let events = app.store.events(order.id).await.unwrap();
    assert_eq!(
        events.iter().filter(|event| event.kind == "change.made").count(),
        4,
        "one write a batch and one at the end"
    );
    if let Some(simulation) = &app.simulation {
        let ours = simulation.writes().into_iter().map(|write| write.call);
        let ours = ours.filter(|call| {
            call.manager == "sluice" && call.resource == "deployments" && !call.dry_run
        });
        assert_eq!(ours.count(), 1 + 4, "the creation's, and those four");
    }
}

async fn a_manual_release_rests_until_each_batch_is_confirmed(app: App) {
    let application = app.create("web", 10).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, NEW, manual(3)).await;
    for (number, rest) in [(2, 3), (3, 6)] {
        app.order_when(order, |order| {
            order.state == State::WaitingConfirmation
                && order.batches[number - 1].state == State::WaitingConfirmation
        })
        .await;
        pods_are(&watch, &[(NEW, rest), (OLD, 10 - rest)]).await;
        // A normal paused Deployment.
        eventually(async || {
            let now = spec(&app).await;
            if (now.paused, now.min_ready_seconds.unwrap_or(0)) == (Some(true), 0) {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        })
        .await;
        app.confirm(order, number).await;
    }
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    let seen = watch.end();
    assert_whole(&seen, 10);
    assert_grows(&seen, NEW);
}

async fn a_canary_waits_for_a_person_and_the_batches_after_it_do_not(app: App) {
    let application = app.create("web", 10).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, NEW, canary(1, 2)).await;
    app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    pods_are(&watch, &[(NEW, 1), (OLD, 9)]).await;
    app.confirm(order, 2).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    let seen = watch.end();
    assert_whole(&seen, 10);
    assert!(
        seen.iter().any(|sample| sample.of(NEW) == 5 && sample.of(OLD) == 9),
        "the second batch is of 4: {seen:#?}"
    );
}

async fn all_at_once_never_lacks_a_pod(app: App) {
    let application = app.create("web", 7).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, NEW, Strategy::ALL_AT_ONCE).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    pods_are(&watch, &[(NEW, 7)]).await;
    assert_whole(&watch.end(), 7);
    let expected = DeploymentSpec { template: spec(&app).await.template, ..before };
    assert_as_before(&app, &expected).await;
}

async fn a_bad_image_is_named_and_goes_back_by_itself(app: App) {
    let application = app.create("web", 10).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, "shop/web:3.0--image-pull-error", batches(3)).await;
    let order = app.end_of(order).await;
    assert_eq!(
        (order.state, order.kind, order.batches[0].state),
        (State::Failed, Kind::Deploy, State::Failed),
        "{order:#?}"
    );
    for part in
        ["pod web-", "container web", "ErrImagePull", "shop/web:3.0--image-pull-error", "not found"]
    {
        assert!(order.message.contains(part), "{part} in {}", order.message);
    }
    let rollback = app.end_of(order.rolled_back_by.expect("it is rolled back")).await;
    assert_eq!(
        (rollback.state, rollback.kind),
        (State::Succeeded, Kind::Rollback),
        "{rollback:#?}"
    );
    pods_are(&watch, &[(OLD, 10)]).await;
    assert!(
        watch.end().iter().all(|sample| sample.of(OLD) == 10 && sample.ready == 10),
        "the old version never lost a pod"
    );
    assert_as_before(&app, &before).await;
}

async fn a_crash_loop_is_named_and_goes_back_by_itself(app: App) {
    let application = app.create("web", 3).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, "shop/web:3.0--crash-loop", Strategy::ALL_AT_ONCE).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    assert!(
        order.message.contains("CrashLoopBackOff") && order.message.contains("exit code 1"),
        "{}",
        order.message
    );
    let rollback = app.end_of(order.rolled_back_by.expect("it is rolled back")).await;
    assert_eq!(rollback.state, State::Succeeded, "{rollback:#?}");
    pods_are(&watch, &[(OLD, 3)]).await;
    assert_whole(&watch.end(), 3);
}

async fn a_batch_that_is_never_ready_fails_at_its_deadline(app: App) {
    let application = app.create("web", 4).await;
    let mut request = release(application, "shop/web:3.0--never-ready", batches(2));
    request.batch_timeout_seconds = Some(2);
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    assert!(
        order.message.contains("batch 1 was not done within 2 s: 0 of 2 new pods are Ready"),
        "{}",
        order.message
    );
    let rollback = app.end_of(order.rolled_back_by.expect("it is rolled back")).await;
    assert_eq!(rollback.state, State::Succeeded, "{rollback:#?}");
}

async fn the_same_spec_again_is_a_new_release(app: App) {
    let application = app.create("web", 2).await;
    let names = |order: &service::OrderView| {
        order
            .batches
            .iter()
            .flat_map(|batch| batch.pods.iter().map(|pod| pod.name.clone()))
            .collect::<Vec<_>>()
    };
    let mut earlier = Vec::new();
    for _ in 0..2 {
        let order = app.deploy(application, OLD, Strategy::ALL_AT_ONCE).await;
        let order = app.end_of(order).await;
        assert_eq!(order.state, State::Succeeded, "{order:#?}");
        let pods = names(&order);
        assert!(
            pods.len() == 2 && pods.iter().all(|pod| !earlier.contains(pod)),
            "{pods:?} after {earlier:?}"
        );
        earlier = pods;
    }
    assert_eq!(app.service.history(application).await.unwrap().len(), 3);
}

async fn a_stale_executors_patch_is_refused_and_changes_nothing(app: App) {
    use cluster::manifest;
    use domain::{OrderId, order::intent};
    use kube::api::{Patch, PatchParams};
    let application = app.create("web", 2).await;
    let raw: kube::Api<kube::api::DynamicObject> = kube::Api::namespaced_with(
        app.client.clone(),
        &app.namespace,
        &kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(
            "apps",
            "v1",
            "Deployment",
        )),
    );
    // What an executor of before would still send: it saw the Deployment as it is now ...
    let live = serde_json::to_value(raw.get("web").await.unwrap()).unwrap();
    let context = manifest::WriteContext {
        application,
        order: OrderId::new(),
        generation: manifest::fence(&live).unwrap(),
        installation: app.store.installation().await.unwrap(),
    };
    let stale = manifest::json_patch(
        &live,
        context,
        &intent::Patch { replicas: Some(1), ..intent::Patch::default() },
    )
    .unwrap();
    // ... and meanwhile a newer one wrote.
    let order = app.deploy(application, NEW, Strategy::ALL_AT_ONCE).await;
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    let before = app.deployments().get("web").await.unwrap();
    let refusal = app
        .deployments()
        .patch("web", &PatchParams::default(), &Patch::Json::<()>(stale))
        .await
        .expect_err("must be refused");
    assert!(matches!(&refusal, kube::Error::Api(status) if status.code == 422), "{refusal:?}");
    let after = app.deployments().get("web").await.unwrap();
    assert_eq!((after.spec, after.metadata.generation), (before.spec, before.metadata.generation));
}

async fn one_pod_and_two_pods_never_go_missing(app: App) {
    for (replicas, strategy) in [(1, Strategy::ALL_AT_ONCE), (2, batches(2)), (2, canary(1, 1))] {
        let name = format!(
            "web-{replicas}-{}",
            strategy.count() + usize::try_from(strategy.canary).unwrap()
        );
        let application = app.create(&name, replicas).await;
        let watch = app.watch(&name).await;
        let order = app.deploy(application, NEW, strategy).await;
        if strategy.canary > 0 {
            app.confirm(order, 2).await;
        }
        let order = app.end_of(order).await;
        assert_eq!(order.state, State::Succeeded, "{order:#?}");
        pods_are(&watch, &[(NEW, replicas)]).await;
        assert_whole(&watch.end(), replicas);
    }
}

async fn a_release_can_change_the_number_of_pods(app: App) {
    let application = app.create("web", 2).await;
    for (replicas, image) in [(6, "shop/web:2.0"), (3, "shop/web:3.0")] {
        let mut request = release(application, image, batches(3));
        request.replicas = Some(replicas);
        let order = app.service.deploy(&caller(), request).await.unwrap();
        let order = app.end_of(order).await;
        assert_eq!(order.state, State::Succeeded, "{order:#?}");
        let watch = app.watch("web").await;
        pods_are(&watch, &[(image, replicas)]).await;
    }
}

async fn another_hand_on_the_template_is_named_and_left_alone(app: App) {
    use kube::api::{Patch, PatchParams};
    let application = app.create("web", 4).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, "shop/web:2.0--never-ready", batches(2)).await;
    eventually(async || {
        if watch.now().of("shop/web:2.0--never-ready") == 2 {
            Ok(())
        } else {
            Err(format!("{:?}", watch.now()))
        }
    })
    .await;
    let other = serde_json::json!({ "spec": { "template": { "metadata": { "annotations": { "who": "somebody" } },
        "spec": { "containers": [{ "name": "web", "image": "shop/web:9.0" }] } } } });
    app.deployments()
        .patch(
            "web",
            &PatchParams { field_manager: Some("hand".into()), ..PatchParams::default() },
            &Patch::Strategic(other),
        )
        .await
        .unwrap();
    let order = app.end_of(order).await;
    assert_eq!((order.state, order.rolled_back_by), (State::Failed, None), "{order:#?}");
    assert!(order.message.contains("superseded by hand"), "{}", order.message);
    pods_are(&watch, &[("shop/web:9.0", 4)]).await;
    eventually(async || {
        let now = spec(&app).await;
        if now.min_ready_seconds == before.min_ready_seconds && now.strategy == before.strategy {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
}

async fn a_crash_in_the_middle_loses_nothing(app: App) {
    five_batches_pass_whole(app, async |app| app.crash()).await;
}

async fn an_executor_told_to_stop_hands_its_orders_over(app: App) {
    five_batches_pass_whole(app, async |app| app.hand_over().await).await;
}

/// Releases in five batches, and disturbs in three of them.
async fn five_batches_pass_whole(mut app: App, disturb: impl AsyncFn(&mut App)) {
    let application = app.create("web", 10).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, NEW, batches(5)).await;
    for seen in [1, 3, 7] {
        eventually(async || {
            if watch.now().of(NEW) >= seen { Ok(()) } else { Err(format!("{:?}", watch.now())) }
        })
        .await;
        disturb(&mut app).await;
    }
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    let wanted = watch.most_wanted();
    let seen = watch.end();
    assert_whole(&seen, 10);
    assert_grows(&seen, NEW);
    // With batches of two there are never more than two pods too many.
    assert!((11..=12).contains(&wanted), "{wanted} pods were wanted at once: {seen:#?}");
}
