//! Trouble that passes and trouble that lasts: Events and failed pods tell of moments,
//! and a release fails only for what goes on. On a real control plane, with pods whose
//! kubelet is the test.

use std::time::Duration;

use domain::order::{FailurePolicy, State, plan::Strategy};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use sqlx::PgPool;

use crate::support::{
    App, batches,
    by_hand::{BY_HAND, Hands, failed, ready, set_status, warning},
    eventually,
};

/// Trouble that may pass is waited out for so long.
const GRACE: FailurePolicy =
    FailurePolicy { grace_seconds: 3, restarts: 1, watch_seconds: 0, roll_back: true };

/// How long after its creation a pod is Ready: longer than the grace.
const LATE: Duration = Duration::from_secs(8);

/// How the pods of a sort of trouble become Ready: late, and all the same.
async fn starts_late(pods: Api<Pod>, pod: Pod) {
    let made = pod.creation_timestamp().expect("the API server says when").0;
    eventually(async || {
        let age = Timestamp::now().duration_since(made);
        if age >= SignedDuration::try_from(LATE).unwrap() {
            Ok(())
        } else {
            Err(format!("the pod is {age:?} old"))
        }
    })
    .await;
    set_status(&pods, &pod, ready()).await;
}

fn events(app: &App) -> Api<Event> {
    Api::namespaced(app.client.clone(), &app.namespace)
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_warning_that_does_not_come_again_has_passed(pool: PgPool) {
    let app = App::start_real(pool).await.tolerating(GRACE);
    let application = app.create("web", 2).await;
    let events = events(&app);
    // One each of several sorts, while the pod is on its way.
    let hands = Hands::on_each_pod(&app, move |pods, pod, number| {
        let (reason, message) = [
            (
                "FailedMount",
                "MountVolume.SetUp failed for volume \"settings\": failed to sync configmap cache",
            ),
            ("FailedAttachVolume", "Multi-Attach error for volume \"pvc-1\""),
            ("FailedCreatePodSandBox", "failed to set up the network of the sandbox"),
        ][number % 3];
        let (events, once) = (events.clone(), warning(&pod, reason, message, Timestamp::now(), 1));
        async move {
            events
                .create(&PostParams::default(), &serde_json::from_value(once).unwrap())
                .await
                .unwrap();
            starts_late(pods, pod).await;
        }
    });
    for strategy in [Strategy::ALL_AT_ONCE, batches(2)] {
        let order = app.deploy(application, BY_HAND, strategy).await;
        let order = app.end_of(order).await;
        assert_eq!(order.state, State::Succeeded, "{order:#?}");
        let back = app.deploy(application, "shop/web:1.0", Strategy::ALL_AT_ONCE).await;
        assert_eq!(app.end_of(back).await.state, State::Succeeded);
    }
    drop(hands);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_warning_that_comes_again_and_again_fails_when_the_grace_is_over(pool: PgPool) {
    let app = App::start_real(pool).await.tolerating(GRACE);
    let application = app.create("web", 2).await;
    let events = events(&app);
    let hands = Hands::on_each_pod(&app, move |_, pod, _| {
        let events = events.clone();
        async move {
            let first = Timestamp::now();
            let text = "MountVolume.SetUp failed for volume \"settings\": no such file";
            let told = |count| warning(&pod, "FailedMount", text, first, count);
            let event = events
                .create(&PostParams::default(), &serde_json::from_value(told(1)).unwrap())
                .await
                .unwrap();
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            for count in 2.. {
                ticks.tick().await;
                if events
                    .patch(&event.name_any(), &PatchParams::default(), &Patch::Merge(told(count)))
                    .await
                    .is_err()
                {
                    break;
                }
            }
        }
    });
    let watch = app.watch("web").await;
    let order = app.deploy(application, BY_HAND, batches(2)).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    assert!(
        order.message.contains("cannot start: FailedMount: MountVolume.SetUp failed"),
        "{}",
        order.message
    );
    assert!(order.message.ends_with("(waited 3 s for it to pass)"), "{}", order.message);
    let rollback = app.end_of(order.rolled_back_by.expect("it is rolled back")).await;
    assert_eq!(rollback.state, State::Succeeded, "{rollback:#?}");
    assert!(watch.end().iter().all(|sample| sample.ready >= 2));
    drop(hands);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn pods_that_kubelets_reject_one_after_the_other_fail_the_release_by_name(pool: PgPool) {
    let app = App::start_real(pool).await.tolerating(GRACE);
    let application = app.create("web", 2).await;
    let hands = Hands::on_each_pod(&app, |pods, pod, _| async move {
        // A kubelet rejects what it was given: a pod that has its node.
        eventually(async || {
            let seen = pods.get(&pod.name_any()).await.map_err(|error| error.to_string())?;
            seen.spec
                .and_then(|spec| spec.node_name)
                .map(drop)
                .ok_or_else(|| "it has no node".to_owned())
        })
        .await;
        let text = "Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted";
        set_status(&pods, &pod, failed("SysctlForbidden", text)).await;
    });
    let watch = app.watch("web").await;
    let order = app.deploy(application, BY_HAND, batches(2)).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    let says = [
        "pod web-",
        "failed: SysctlForbidden: Pod was rejected: forbidden sysctl: \"kernel.msgmax\"",
        "pods of the ReplicaSet web-",
    ];
    assert!(says.iter().all(|part| order.message.contains(part)), "{}", order.message);
    let rollback = app.end_of(order.rolled_back_by.expect("it is rolled back")).await;
    assert_eq!(rollback.state, State::Succeeded, "{rollback:#?}");
    assert!(watch.end().iter().all(|sample| sample.ready >= 2));
    drop(hands);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_pod_that_is_evicted_once_is_followed_by_a_good_one(pool: PgPool) {
    let app = App::start_real(pool).await.tolerating(GRACE);
    let application = app.create("web", 2).await;
    let hands = Hands::on_each_pod(&app, |pods, pod: Pod, number| async move {
        if number == 1 {
            let status = failed("Evicted", "The node was low on resource: memory.");
            return set_status(&pods, &pod, status).await;
        }
        starts_late(pods, pod).await;
    });
    let order = app.deploy(application, BY_HAND, batches(2)).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    drop(hands);
}
