//! Checks before a release refuse only what is certain. The measure is Kubernetes: each
//! case is set up on a real control plane, judged, and tried there, by a release and by
//! the same change of the image without Sluice.

use domain::{
    ApplicationId,
    order::{FailurePolicy, State, plan::Strategy},
    precheck::{Finding, Subject},
};
use k8s_openapi::api::{
    core::v1::{LimitRange, Node, PersistentVolume, PersistentVolumeClaim, Pod, ResourceQuota},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Resource,
    api::{ListParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use service::{Deploy, Error, OrderView};
use sqlx::PgPool;

use crate::support::{
    App, batches,
    by_hand::{adopted, foreign, rests, scale, set_image},
    caller, canary, eventually, manual, release,
};
use domain::template::names::NAME_LABEL;

const OLD: &str = "shop/web:1.0";
const NEW: &str = "shop/web:2.0";

/// Trouble that may pass is waited out for so long.
const GRACE: FailurePolicy =
    FailurePolicy { grace_seconds: 3, restarts: 1, watch_seconds: 0, roll_back: true };

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

/// A quota, once it has counted what is there.
async fn quota(app: &App, resource: &str, hard: &str, used: &str) {
    put::<ResourceQuota>(
        app,
        json!({ "metadata": { "name": "few" }, "spec": { "hard": { resource: hard } } }),
    )
    .await;
    let quotas: Api<ResourceQuota> = Api::namespaced(app.client.clone(), &app.namespace);
    eventually(async || {
        let counted = quotas
            .get("few")
            .await
            .unwrap()
            .status
            .and_then(|status| status.used)
            .unwrap_or_default();
        if counted.get(resource).is_some_and(|it| it.0 == used) {
            Ok(())
        } else {
            Err(format!("{counted:?}"))
        }
    })
    .await;
}

/// The release must be accepted and succeed, and so must the change without Sluice.
async fn works(app: &App, request: Deploy) -> OrderView {
    let name = app.store.application(request.application).await.unwrap().name;
    let order = eventually(async || {
        app.service.deploy(&caller(), request.clone()).await.map_err(|why| why.to_string())
    })
    .await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    set_image(app, &name, OLD).await;
    rests(app, &name).await;
    order
}

/// The release must be refused by what `says`, and nothing is written.
async fn refused(app: &App, request: &Deploy, says: &[&str]) {
    let orders = app.service.recent_orders(request.application).await.unwrap().len();
    // What was just created may not be in every cache of the API server yet.
    eventually(async || {
        match app
            .service
            .preview(&caller(), request.clone())
            .await
            .map(|report| report.refusal().cloned())
        {
            Ok(None) => Err(format!("not refused: {says:?}")),
            Ok(Some(_)) | Err(Error::Rejected(_)) => Ok(()),
            Err(other) => Err(other.to_string()),
        }
    })
    .await;
    let Err(Error::Rejected(why)) = app.service.deploy(&caller(), request.clone()).await else {
        panic!("must be refused: {says:?}")
    };
    let why = why.to_string();
    assert!(says.iter().all(|part| why.contains(part)), "{why}");
    assert_eq!(app.service.recent_orders(request.application).await.unwrap().len(), orders);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_quota_counts_the_applications_own_pods_with_the_defaults_that_they_got(pool: PgPool) {
    let app = App::start_real(pool).await;
    let defaults =
        json!({ "limits": [{ "type": "Container", "defaultRequest": { "cpu": "100m" } }] });
    put::<LimitRange>(&app, json!({ "metadata": { "name": "small" }, "spec": defaults })).await;
    let application = adopted(&app, "web", 4, json!({})).await;
    quota(&app, "requests.cpu", "650m", "400m").await;
    works(&app, release(application, NEW, batches(2))).await;
    // With more of somebody else's there is room for the surge of one alone.
    foreign(&app, "other", 1, json!({})).await;
    let says = [
        "the quota few allows 650m of requests.cpu and 100m are used by others",
        "needs 600m at once",
        "allow old pods to go first",
    ];
    refused(&app, &release(application, NEW, batches(2)), &says).await;
    works(&app, release(application, NEW, batches(4))).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_full_quota_is_judged_with_the_defaults_that_pods_got_before(pool: PgPool) {
    let app = App::start_real(pool).await;
    let defaults =
        json!({ "limits": [{ "type": "Container", "defaultRequest": { "cpu": "100m" } }] });
    put::<LimitRange>(&app, json!({ "metadata": { "name": "small" }, "spec": defaults })).await;
    let application = adopted(&app, "web", 4, json!({})).await;
    // No pod more can be tried: what one would get is known from those that are there.
    quota(&app, "requests.cpu", "400m", "400m").await;
    let mut request = release(application, NEW, batches(2));
    refused(
        &app,
        &request,
        &[
            "the quota few allows 400m of requests.cpu",
            "needs 600m at once",
            "allow old pods to go first",
        ],
    )
    .await;
    request.allows_no_surge = true;
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

/// Pods that take their time to end.
fn slow_to_end() -> Value {
    json!({ "template": { "metadata": { "annotations": { "sluice.test/stops-after": "8s" } } } })
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_quota_that_is_full_of_pods_which_are_ending_is_waited_for(pool: PgPool) {
    let app = App::start_real(pool).await.tolerating(GRACE);
    let application = adopted(&app, "web", 4, slow_to_end()).await;
    quota(&app, "pods", "6", "4").await;
    let order = app.deploy(application, NEW, batches(2)).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn without_a_surge_old_pods_that_are_ending_are_waited_for(pool: PgPool) {
    let app = App::start_real(pool).await.tolerating(GRACE);
    let application = adopted(&app, "web", 4, slow_to_end()).await;
    quota(&app, "pods", "4", "4").await;
    let mut request = release(application, NEW, batches(2));
    request.allows_no_surge = true;
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_disruption_budget_stands_in_the_way_of_no_release(pool: PgPool) {
    let app = App::start_real(pool).await;
    let group = |name: &str| json!({ "template": { "metadata": { "labels": { NAME_LABEL: name, "group": "web" } } } });
    let application = adopted(&app, "web-a", 2, group("web-a")).await;
    foreign(&app, "web-b", 2, group("web-b")).await;
    let budget = json!({ "minAvailable": 3, "selector": { "matchLabels": { "group": "web" } } });
    put::<PodDisruptionBudget>(&app, json!({ "metadata": { "name": "calm" }, "spec": budget }))
        .await;
    works(&app, release(application, NEW, batches(2))).await;
    works(&app, release(application, NEW, Strategy::ALL_AT_ONCE)).await;
    // Where pods are missing meanwhile, somebody should know.
    quota(&app, "pods", "4", "4").await;
    let mut request = release(application, NEW, batches(2));
    request.allows_no_surge = true;
    let order = eventually(async || {
        app.service.deploy(&caller(), request.clone()).await.map_err(|why| why.to_string())
    })
    .await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    assert!(
        order
            .notes
            .iter()
            .any(|note| note.contains("the PodDisruptionBudget calm wants 3 pods available")),
        "{:?}",
        order.notes
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn batches_are_judged_by_the_clusters_number_of_now(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = adopted(&app, "web", 2, json!({})).await;
    refused(
        &app,
        &release(application, NEW, batches(5)),
        &["the strategy has", "at most 2 batches"],
    )
    .await;
    scale(&app, "web", 10).await;
    rests(&app, "web").await;
    // What is told of it follows, though nothing of ours is on the Deployment yet.
    told(&app, application, (10, 10)).await;
    let order = works(&app, release(application, NEW, batches(5))).await;
    assert_eq!(
        order.batches.iter().map(|batch| batch.target).collect::<Vec<_>>(),
        [2, 4, 6, 8, 10]
    );
    let order = app.deploy(application, NEW, canary(2, 1)).await;
    app.confirm(order, 2).await;
    let order = app.end_of(order).await;
    assert_eq!((order.state, order.batches[0].target), (State::Succeeded, 2), "{order:#?}");
    scale(&app, "web", 3).await;
    told(&app, application, (3, 3)).await;
    refused(
        &app,
        &release(application, OLD, batches(5)),
        &["the strategy has", "at most 3 batches"],
    )
    .await;
}

/// Waits until the application is told to have so many pods, and so many of them Ready.
async fn told(app: &App, application: ApplicationId, expected: (i32, i32)) {
    eventually(async || {
        let application = app.service.application(application).await.unwrap();
        let numbers = (application.replicas, application.ready_replicas);
        if numbers == expected { Ok(()) } else { Err(format!("{numbers:?}")) }
    })
    .await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_deployment_without_pods_gets_its_template_whatever_the_batches(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = adopted(&app, "web", 0, json!({})).await;
    for strategy in [batches(2), manual(3), canary(1, 2), Strategy::ALL_AT_ONCE] {
        let order = works(&app, release(application, NEW, strategy)).await;
        assert!(
            order.batches.iter().all(|batch| batch.state == State::Succeeded && batch.target == 0),
            "{order:#?}"
        );
    }
    let order = app.deploy(application, NEW, batches(2)).await;
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    let after = app.deployments().get("web").await.unwrap().spec.unwrap();
    assert_eq!(after.template.spec.unwrap().containers[0].image.as_deref(), Some(NEW));
    assert_eq!(
        (after.replicas, after.min_ready_seconds, after.paused),
        (Some(0), None, None),
        "nothing stays borrowed"
    );
    scale(&app, "web", 2).await;
    rests(&app, "web").await;
}

/// A claim of which the test is the provisioner, for pods of one node.
async fn with_claim(app: &App, replicas: i32, mode: &str) -> ApplicationId {
    let volume = format!("{}-{}", app.namespace, mode.to_lowercase());
    let capacity = json!({ "storage": "1Gi" });
    let claimed = json!({ "namespace": app.namespace, "name": "data" });
    let spec = json!({
        "capacity": capacity, "accessModes": [mode], "storageClassName": "", "claimRef": claimed,
        "csi": { "driver": "sluice.test", "volumeHandle": volume },
    });
    let volumes: Api<PersistentVolume> = Api::all(app.client.clone());
    let object = json!({ "metadata": { "name": volume }, "spec": spec });
    volumes.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    let spec = json!({ "accessModes": [mode], "storageClassName": "", "volumeName": volume, "resources": { "requests": capacity } });
    put::<PersistentVolumeClaim>(app, json!({ "metadata": { "name": "data" }, "spec": spec }))
        .await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(app.client.clone(), &app.namespace);
    eventually(async || {
        let phase = claims.get("data").await.unwrap().status.and_then(|status| status.phase);
        if phase.as_deref() == Some("Bound") { Ok(()) } else { Err(format!("{phase:?}")) }
    })
    .await;
    let node = nodes(app).await.pop().unwrap();
    let spec = json!({
        "nodeSelector": { "kubernetes.io/hostname": node },
        "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }],
    });
    adopted(app, "web", replicas, json!({ "template": { "spec": spec } })).await
}

async fn nodes(app: &App) -> Vec<String> {
    let nodes: Api<Node> = Api::all(app.client.clone());
    nodes
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .into_iter()
        .filter_map(|node| node.metadata.name)
        .collect()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_claim_of_one_node_is_warned_of_and_released_in_batches(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = with_claim(&app, 2, "ReadWriteOnce").await;
    let order = works(&app, release(application, NEW, batches(2))).await;
    assert!(
        order
            .notes
            .iter()
            .any(|note| note.contains("only one node may have the PersistentVolumeClaim data")),
        "{:?}",
        order.notes
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_claim_of_one_pod_is_refused_where_new_pods_come_first(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = with_claim(&app, 1, "ReadWriteOncePod").await;
    let says =
        ["only one pod may have the PersistentVolumeClaim data", "use the strategy Recreate"];
    let mut request = release(application, NEW, Strategy::ALL_AT_ONCE);
    refused(&app, &request, &says).await;
    // Unless the old pod goes first.
    request.allows_no_surge = true;
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    // And Kubernetes cannot do it either, new ones first.
    set_image(&app, "web", OLD).await;
    unschedulable(&app, OLD).await;
}

/// Waits until the scheduler says that it has no node for a pod of this image.
async fn unschedulable(app: &App, image: &str) {
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    eventually(async || {
        let of_image = |pod: &Pod| {
            pod.spec.as_ref().is_some_and(|spec| spec.containers[0].image.as_deref() == Some(image))
        };
        let list = pods.list(&ListParams::default()).await.unwrap().items;
        let mut conditions = list
            .iter()
            .filter(|pod| of_image(pod))
            .filter_map(|pod| pod.status.as_ref()?.conditions.as_ref())
            .flatten();
        if conditions.any(|it| it.reason.as_deref() == Some("Unschedulable")) {
            Ok(())
        } else {
            Err("all have nodes".into())
        }
    })
    .await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn pods_that_take_ports_of_their_nodes_need_a_node_each_or_old_ones_go_first(pool: PgPool) {
    let app = App::start_real(pool).await.tolerating(GRACE);
    let nodes = nodes(&app).await;
    let all = i32::try_from(nodes.len()).unwrap();
    // A port of this test's own: others use the same nodes.
    let port = 20_000 + uuid::Uuid::now_v7().as_u128() % 10_000;
    let ports = json!([{ "containerPort": 80, "hostPort": u32::try_from(port).unwrap() }]);
    let spec = json!({
        "strategy": { "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } },
        "template": {
            "metadata": { "annotations": { "sluice.test/stops-after": "5s" } },
            "spec": { "containers": [{ "name": "web", "image": OLD, "ports": ports }] },
        },
    });
    let application = adopted(&app, "web", all, spec).await;
    let mut request = release(application, NEW, batches(all));
    refused(
        &app,
        &request,
        &["its pods take ports of their nodes (hostPort)", "allow old pods to go first"],
    )
    .await;
    // And Kubernetes cannot do it either.
    set_image(&app, "web", "shop/web:1.5").await;
    unschedulable(&app, "shop/web:1.5").await;
    set_image(&app, "web", OLD).await;
    rests(&app, "web").await;
    // Ending pods have their ports until they are gone: longer than the grace.
    request.allows_no_surge = true;
    let order = eventually(async || {
        app.service.deploy(&caller(), request.clone()).await.map_err(|why| why.to_string())
    })
    .await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    // With a node to spare new pods come first.
    scale(&app, "web", all - 1).await;
    rests(&app, "web").await;
    let order = eventually(async || {
        let request = release(application, OLD, batches(all - 1));
        app.service.deploy(&caller(), request).await.map_err(|why| why.to_string())
    })
    .await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_batch_that_must_wait_longer_than_its_time_is_refused_with_both_named(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = adopted(&app, "web", 2, json!({ "minReadySeconds": 2 })).await;
    let mut request = release(application, NEW, batches(2));
    request.batch_timeout_seconds = Some(2);
    refused(
        &app,
        &request,
        &["the Deployment's minReadySeconds 2 s is not below the timeout of a batch 2 s"],
    )
    .await;
    request.min_ready_seconds = Some(90);
    request.batch_timeout_seconds = Some(60);
    refused(
        &app,
        &request,
        &["the time that a pod must be Ready 90 s is not below the timeout of a batch 60 s"],
    )
    .await;
    let report = app.service.preview(&caller(), request.clone()).await.unwrap();
    let check = report.checks.iter().find(|check| check.subject == Subject::Deployment).unwrap();
    assert_eq!(check.finding, Finding::Refused, "{check:?}");
    request.min_ready_seconds = Some(0);
    works(&app, request).await;
}
