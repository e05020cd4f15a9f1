//! Tests of the simulated cluster as a whole, through `kube::Client`: what can
//! only be done to a simulated one. What it has in common with a real cluster is
//! tested in `tests/cluster`.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent};
use kube::api::{ObjectMeta, WatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::{Behaviour, Config, Fault, Part, SimulatedCluster};

/// How long any wait in these tests may last.
const LIMIT: Duration = Duration::from_secs(20);

fn cluster() -> SimulatedCluster {
    SimulatedCluster::start(Config { start_delay: Duration::from_millis(5), ..Config::default() })
}

fn web(replicas: i32, image: &str) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
        },
    }))
    .unwrap()
}

async fn create(client: &Client, deployment: Deployment) -> Deployment {
    let api: Api<Deployment> = Api::default_namespaced(client.clone());
    api.create(&PostParams::default(), &deployment).await.unwrap()
}

async fn patch(client: &Client, operations: Value) -> kube::Result<Deployment> {
    let api: Api<Deployment> = Api::default_namespaced(client.clone());
    let patch: json_patch::Patch = serde_json::from_value(operations).unwrap();
    api.patch("web", &PatchParams::default(), &Patch::<()>::Json(patch)).await
}

/// Waits until the Deployment's status is as wanted.
async fn until(client: &Client, what: impl Fn(&Deployment) -> bool) -> Deployment {
    let api: Api<Deployment> = Api::default_namespaced(client.clone());
    let wait = async {
        let mut seen =
            std::pin::pin!(kube::runtime::watcher(api, kube::runtime::watcher::Config::default()));
        loop {
            use kube::runtime::watcher::Event::{Apply, InitApply};
            match seen.next().await.unwrap() {
                Ok(Apply(deployment) | InitApply(deployment)) if what(&deployment) => {
                    return deployment;
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(LIMIT, wait).await.expect("the Deployment gets there in time")
}

fn available(deployment: &Deployment) -> i32 {
    deployment.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

async fn pods(client: &Client) -> Vec<Pod> {
    let api: Api<Pod> = Api::default_namespaced(client.clone());
    api.list(&ListParams::default()).await.unwrap().items
}

#[tokio::test]
async fn a_deployment_gets_its_pods() {
    let cluster = cluster();
    let client = cluster.client();
    create(&client, web(3, "shop/web:1")).await;
    until(&client, |deployment| available(deployment) == 3).await;
    let pods = pods(&client).await;
    assert_eq!(pods.len(), 3);
    assert!(pods.iter().all(|pod| pod.name_any().starts_with("web-")));
}

#[tokio::test]
async fn the_same_seed_makes_the_same_names_and_another_seed_others() {
    let names = async |seed| {
        let cluster = SimulatedCluster::start(Config {
            seed,
            start_delay: Duration::from_millis(5),
            ..Config::default()
        });
        let client = cluster.client();
        create(&client, web(3, "shop/web:1")).await;
        until(&client, |deployment| available(deployment) == 3).await;
        let pods = pods(&client).await;
        pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
    };
    let first = names(1).await;
    assert_eq!(first, names(1).await);
    assert_ne!(first, names(2).await);
}

#[tokio::test]
async fn a_failed_request_changes_nothing_and_the_next_one_goes_through() {
    let cluster = cluster();
    let client = cluster.client();
    create(&client, web(1, "shop/web:1")).await;
    cluster.fail_next(1, Fault::Refuse(500), |call| call.verb == "patch");
    let pause = || json!([{"op": "add", "path": "/spec/paused", "value": true}]);
    let error = patch(&client, pause()).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 500));
    let api: Api<Deployment> = Api::default_namespaced(client.clone());
    let found = api.get("web").await.unwrap();
    assert_eq!(found.spec.unwrap().paused, None);
    let done = patch(&client, pause()).await.unwrap();
    assert_eq!(done.spec.unwrap().paused, Some(true));
}

#[tokio::test]
async fn a_lost_answer_is_a_write_that_was_done() {
    let cluster = cluster();
    let client = cluster.client();
    create(&client, web(1, "shop/web:1")).await;
    cluster.fail_next(1, Fault::LoseAnswer, |call| call.verb == "patch");
    let scale = json!([{"op": "replace", "path": "/spec/replicas", "value": 4}]);
    patch(&client, scale).await.unwrap_err();
    let api: Api<Deployment> = Api::default_namespaced(client.clone());
    assert_eq!(api.get("web").await.unwrap().spec.unwrap().replicas, Some(4));
}

#[tokio::test]
async fn the_log_tells_our_writes_from_the_controllers() {
    let cluster = cluster();
    let client = cluster.client();
    create(&client, web(2, "shop/web:1")).await;
    until(&client, |deployment| available(deployment) == 2).await;
    let api: Api<Deployment> = Api::default_namespaced(client.clone());
    let ours =
        PatchParams { field_manager: Some("release-tool".to_owned()), ..PatchParams::default() };
    let change = json!({"spec": {"replicas": 3}});
    api.patch("web", &ours, &Patch::Merge(change)).await.unwrap();
    let writes = cluster.writes();
    let by_us: Vec<_> =
        writes.iter().filter(|write| write.call.manager == "release-tool").collect();
    assert_eq!(by_us.len(), 1);
    assert_eq!(by_us[0].call.verb, "patch");
    assert_eq!(by_us[0].code, 200);
    assert!(
        writes.iter().any(|write| write.call.manager == "kube-controller-manager"
            && write.call.resource == "pods")
    );
}

#[tokio::test]
async fn a_frozen_controller_does_nothing_until_it_is_thawed() {
    let cluster = cluster();
    let client = cluster.client();
    create(&client, web(2, "shop/web:1")).await;
    until(&client, |deployment| available(deployment) == 2).await;
    cluster.freeze(Part::Controllers);
    let scale = json!([{"op": "replace", "path": "/spec/replicas", "value": 5}]);
    patch(&client, scale).await.unwrap();
    // The nodes still work, so this would be long enough for new pods.
    assert!(cluster.kill_pod("default", &pods(&client).await[0].name_any()));
    assert_eq!(pods(&client).await.len(), 1);
    cluster.thaw(Part::Controllers);
    until(&client, |deployment| available(deployment) == 5).await;
}

#[tokio::test]
async fn a_watch_from_forgotten_changes_is_told_so() {
    let cluster = cluster();
    let client = cluster.client();
    let made = create(&client, web(1, "shop/web:1")).await;
    cluster.expire_watches();
    let api: Api<Deployment> = Api::default_namespaced(client.clone());
    let version = made.resource_version().unwrap();
    let events = api.watch(&WatchParams::default(), &version).await.unwrap();
    let first =
        tokio::time::timeout(LIMIT, std::pin::pin!(events).try_next()).await.unwrap().unwrap();
    assert!(matches!(first, Some(WatchEvent::Error(status)) if status.code == 410));
}

#[tokio::test]
async fn a_watcher_goes_on_after_its_stream_broke_and_after_its_version_expired() {
    let cluster = cluster();
    let client = cluster.client();
    create(&client, web(1, "shop/web:1")).await;
    let api: Api<Deployment> = Api::default_namespaced(client.clone());
    let mut seen =
        std::pin::pin!(kube::runtime::watcher(api, kube::runtime::watcher::Config::default()));
    let mut wait_for = async |size: i32| {
        let wait = async {
            loop {
                use kube::runtime::watcher::Event::{Apply, InitApply};
                match seen.next().await.unwrap() {
                    Ok(Apply(d) | InitApply(d))
                        if d.spec.as_ref().unwrap().replicas == Some(size) =>
                    {
                        return;
                    }
                    _ => {}
                }
            }
        };
        tokio::time::timeout(LIMIT, wait).await.unwrap();
    };
    wait_for(1).await;
    for (size, disturb) in [
        (2, SimulatedCluster::drop_watches as fn(&SimulatedCluster)),
        (3, SimulatedCluster::expire_watches),
    ] {
        disturb(&cluster);
        let scale = json!([{"op": "replace", "path": "/spec/replicas", "value": size}]);
        patch(&client, scale).await.unwrap();
        wait_for(size).await;
    }
}

#[tokio::test]
async fn an_image_can_be_told_to_fail_later() {
    let cluster = cluster();
    let client = cluster.client();
    create(&client, web(2, "shop/web:1")).await;
    until(&client, |deployment| available(deployment) == 2).await;
    cluster.set_behaviour("shop/web:1", Behaviour::NeverReady, false);
    let scale = json!([{"op": "replace", "path": "/spec/replicas", "value": 3}]);
    patch(&client, scale).await.unwrap();
    let deployment =
        until(&client, |deployment| deployment.status.as_ref().unwrap().replicas == Some(3)).await;
    assert_eq!(available(&deployment), 2);
    cluster.set_behaviour("shop/web:1", Behaviour::NeverReady, true);
    until(&client, |deployment| available(deployment) == 0).await;
}

#[tokio::test]
async fn pods_that_no_node_fits_say_so() {
    let cluster = cluster();
    let client = cluster.client();
    let mut deployment = web(1, "shop/web:1");
    let selector = [("disk".to_owned(), "ssd".to_owned())].into();
    deployment.spec.as_mut().unwrap().template.spec.as_mut().unwrap().node_selector =
        Some(selector);
    create(&client, deployment).await;
    let api: Api<Pod> = Api::default_namespaced(client.clone());
    let wait = async {
        let mut seen =
            std::pin::pin!(kube::runtime::watcher(api, kube::runtime::watcher::Config::default()));
        loop {
            use kube::runtime::watcher::Event::{Apply, InitApply};
            if let Ok(Apply(pod) | InitApply(pod)) = seen.next().await.unwrap()
                && let Some(conditions) = pod.status.and_then(|status| status.conditions)
            {
                return conditions;
            }
        }
    };
    let conditions = tokio::time::timeout(LIMIT, wait).await.unwrap();
    assert_eq!(conditions[0].type_, "PodScheduled");
    assert_eq!(conditions[0].reason.as_deref(), Some("Unschedulable"));
}

#[tokio::test]
async fn what_the_controllers_do_is_told_in_events() {
    let cluster = cluster();
    let client = cluster.client();
    create(&client, web(2, "shop/web:1")).await;
    until(&client, |deployment| available(deployment) == 2).await;
    let api: Api<Event> = Api::default_namespaced(client.clone());
    let events = api.list(&ListParams::default()).await.unwrap().items;
    let reasons: Vec<_> = events.iter().filter_map(|e| e.reason.as_deref()).collect();
    for reason in ["ScalingReplicaSet", "SuccessfulCreate", "Scheduled"] {
        assert!(reasons.contains(&reason), "{reason} is missing in {reasons:?}");
    }
}

#[tokio::test]
async fn a_delayed_request_is_carried_out_later() {
    let cluster = cluster();
    let client = cluster.client();
    let delay = Duration::from_millis(50);
    cluster.delay_requests(delay);
    let began = tokio::time::Instant::now();
    create(&client, web(0, "shop/web:1")).await;
    assert!(began.elapsed() >= delay);
}

#[tokio::test]
async fn the_cluster_ends_with_its_last_handle() {
    let cluster = cluster();
    let stop = cluster.shared.stop.clone();
    let client = cluster.client();
    drop(cluster);
    assert!(!stop.is_cancelled(), "a client keeps its cluster alive");
    drop(client);
    tokio::time::timeout(LIMIT, stop.cancelled()).await.unwrap();
}

#[tokio::test]
async fn an_ownerless_replica_set_is_adopted_by_the_deployment_that_matches_it() {
    let cluster = cluster();
    let client = cluster.client();
    create(&client, web(1, "shop/web:1")).await;
    until(&client, |deployment| available(deployment) == 1).await;
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let orphan = DeleteParams {
        propagation_policy: Some(kube::api::PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    deployments.delete("web", &orphan).await.unwrap();
    let before = pods(&client).await[0].name_any();
    create(&client, web(1, "shop/web:1")).await;
    until(&client, |deployment| available(deployment) == 1).await;
    let sets: Api<ReplicaSet> = Api::default_namespaced(client.clone());
    assert_eq!(sets.list(&ListParams::default()).await.unwrap().items.len(), 1);
    assert_eq!(pods(&client).await[0].name_any(), before);
}

#[tokio::test]
async fn a_pod_of_our_own_runs_too() {
    let cluster = cluster();
    let client = cluster.client();
    let api: Api<Pod> = Api::default_namespaced(client.clone());
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": "job-"},
        "spec": {"containers": [{"name": "c", "image": "shop/job:1--fail"}]},
    }))
    .unwrap();
    let pod = Pod {
        metadata: ObjectMeta {
            annotations: Some([("sluice.test/fails-after".to_owned(), "5ms".to_owned())].into()),
            ..pod.metadata.clone()
        },
        ..pod
    };
    let made = api.create(&PostParams::default(), &pod).await.unwrap();
    let name = made.name_any();
    let failed = kube::runtime::wait::await_condition(api, &name, |pod: Option<&Pod>| {
        pod.and_then(|pod| pod.status.as_ref())
            .is_some_and(|status| status.phase.as_deref() == Some("Failed"))
    });
    tokio::time::timeout(LIMIT, failed).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_namespace_takes_everything_along_and_takes_nothing_in_meanwhile() {
    let cluster = cluster();
    let client = cluster.client();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let made = json!({"metadata": {"name": "shop"}});
    let made: Namespace = serde_json::from_value(made).unwrap();
    namespaces.create(&PostParams::default(), &made).await.unwrap();
    let api: Api<Deployment> = Api::namespaced(client.clone(), "shop");
    let mut slow = web(1, "shop/web:1");
    let stops = ("sluice.test/stops-after".to_owned(), "50ms".to_owned());
    let template = &mut slow.spec.as_mut().unwrap().template;
    template.metadata.as_mut().unwrap().annotations = Some([stops].into());
    api.create(&PostParams::default(), &slow).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    let running = async {
        let mut seen =
            std::pin::pin!(kube::runtime::watcher(pods, kube::runtime::watcher::Config::default()));
        use kube::runtime::watcher::Event::{Apply, InitApply};
        while !matches!(
            seen.next().await.unwrap(),
            Ok(Apply(pod) | InitApply(pod)) if pod.status.as_ref().unwrap().start_time.is_some()
        ) {}
    };
    tokio::time::timeout(LIMIT, running).await.unwrap();
    namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
    let refused = api.create(&PostParams::default(), &web(1, "shop/web:1")).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 403));
    let gone =
        kube::runtime::wait::await_condition(namespaces, "shop", |found: Option<&Namespace>| {
            found.is_none()
        });
    tokio::time::timeout(LIMIT, gone).await.unwrap().unwrap();
    let left = Api::<Pod>::namespaced(client, "shop").list(&ListParams::default()).await.unwrap();
    assert!(left.items.is_empty());
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_by_its_media_type() {
    let cluster = cluster();
    let client = cluster.client();
    for (path, media_type, code) in [
        (
            "/apis/apps/v1/namespaces/default/deployments",
            "application/vnd.kubernetes.protobuf",
            415,
        ),
        ("/apis/apps/v1/namespaces/default/deployments", "application/json; charset=utf-8", 201),
        ("/api/v1/namespaces/default/configmaps", "application/yaml", 415),
    ] {
        let request = http::Request::post(path)
            .header("content-type", media_type)
            .body(serde_json::to_vec(&web(1, "shop/web:1")).unwrap())
            .unwrap();
        let answered = client.request::<Value>(request).await;
        let found = match answered {
            Ok(_) => 201,
            Err(kube::Error::Api(status)) => status.code,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found, code, "{media_type}");
    }
}
