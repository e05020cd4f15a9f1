//! The Deployment and ReplicaSet controllers: rolling and scaling.
//!
//! Bounds are looked at after every change of a pod or a ReplicaSet; sizes at rest
//! are exact.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::support::{Sampler, Space, web, with};

const IMAGE: &str = "/spec/template/spec/containers/0/image";

fn set_image(image: &str) -> Value {
    json!({"op": "replace", "path": IMAGE, "value": image})
}

fn set_size(replicas: i32) -> Value {
    json!({"op": "replace", "path": "/spec/replicas", "value": replicas})
}

/// `maxSurge` and `maxUnavailable`.
fn budget(surge: Value, unavailable: Value) -> Value {
    json!({"strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}})
}

fn uids(sets: &[ReplicaSet]) -> Vec<String> {
    sets.iter().filter_map(ResourceExt::uid).collect()
}

fn condition(deployment: &Deployment, kind: &str) -> Option<(String, String)> {
    let status = deployment.status.as_ref()?;
    let found = status.conditions.as_ref()?.iter().find(|c| c.type_ == kind)?;
    Some((found.status.clone(), found.reason.clone().unwrap_or_default()))
}

pub async fn a_deployment_makes_a_replica_set_that_makes_pods(space: Space) {
    let deployment = space.start(&web(3, "shop/web:1")).await;
    let revision = "deployment.kubernetes.io/revision";
    assert_eq!(deployment.annotations()[revision], "1");
    assert_eq!(deployment.metadata.generation, Some(1));
    let sets = space.sets().await;
    let [set] = sets.as_slice() else { panic!("{sets:#?}") };
    let hash = &set.labels()["pod-template-hash"];
    assert_eq!(set.name_any(), format!("web-{hash}"));
    assert_eq!(set.annotations()[revision], "1");
    assert_eq!(set.annotations()["deployment.kubernetes.io/desired-replicas"], "3");
    assert_eq!(set.annotations()["deployment.kubernetes.io/max-replicas"], "4");
    let spec = set.spec.as_ref().unwrap();
    let selector = spec.selector.match_labels.as_ref().unwrap();
    assert_eq!(&selector["pod-template-hash"], hash);
    let owner = &set.owner_references()[0];
    assert_eq!(owner.kind, "Deployment");
    assert_eq!(Some(&owner.uid), deployment.metadata.uid.as_ref());
    assert_eq!((owner.controller, owner.block_owner_deletion), (Some(true), Some(true)));
    let pods = space.pods().await;
    assert_eq!(pods.len(), 3);
    for pod in pods {
        assert_eq!(&pod.labels()["pod-template-hash"], hash);
        assert!(pod.name_any().starts_with(&format!("{}-", set.name_any())));
        assert_eq!(Some(&pod.owner_references()[0].uid), set.metadata.uid.as_ref());
    }
    let object = space.raw_deployment("web").await;
    let mut status = object["status"].clone();
    for condition in status["conditions"].as_array_mut().unwrap() {
        let condition = condition.as_object_mut().unwrap();
        condition.remove("lastTransitionTime").unwrap();
        condition.remove("lastUpdateTime").unwrap();
    }
    let mut conditions = status["conditions"].take();
    conditions.as_array_mut().unwrap().sort_by_key(|c| c["type"].to_string());
    status.as_object_mut().unwrap().remove("conditions");
    assert_eq!(
        status,
        json!({
            "observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3,
            "availableReplicas": 3, "terminatingReplicas": 0,
        })
    );
    let name = set.name_any();
    assert_eq!(
        conditions,
        json!([
            {
                "type": "Available", "status": "True", "reason": "MinimumReplicasAvailable",
                "message": "Deployment has minimum availability.",
            },
            {
                "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
                "message": format!("ReplicaSet {name:?} has successfully progressed."),
            },
        ])
    );
}

pub async fn a_rolling_update_stays_within_surge_and_unavailability(space: Space) {
    space.start(&web(10, "shop/web:1")).await;
    let sampler = Sampler::start(&space).await;
    space.patch(json!([set_image("shop/web:2")])).await;
    space.complete("web").await;
    // 25% of 10: 3 more at most, 2 fewer at most.
    sampler.assert_ready_never_under(8).await;
    sampler.assert_never_more_wanted(13).await;
    sampler.assert_never_more_of("shop/web:2", 10).await;
    space.rests_at(&[0, 10]).await;
}

pub async fn recreate_never_runs_two_versions(space: Space) {
    let recreate = json!({"strategy": {"type": "Recreate"}});
    space.start(&with(3, "shop/web:1", &recreate)).await;
    // Every pod, ending ones too: the first new one comes after the last old one.
    let version = {
        let pods: Api<Pod> = space.api();
        pods.list(&ListParams::default()).await.unwrap().metadata
    }
    .resource_version
    .unwrap();
    space.patch(json!([set_image("shop/web:2")])).await;
    space.complete("web").await;
    use futures::StreamExt;
    use kube::api::{WatchEvent, WatchParams};
    let pods: Api<Pod> = space.api();
    let events = pods.watch(&WatchParams::default(), &version).await.unwrap();
    let mut events = std::pin::pin!(events);
    let mut gone = 0;
    let mut made = 0;
    while made < 3 {
        let next = tokio::time::timeout(std::time::Duration::from_secs(30), events.next());
        match next.await.unwrap().unwrap().unwrap() {
            WatchEvent::Added(_) => {
                assert_eq!(gone, 3, "a new pod while {} old ones were there", 3 - gone);
                made += 1;
            }
            WatchEvent::Deleted(_) => gone += 1,
            _ => {}
        }
    }
}

pub async fn going_back_takes_the_old_replica_set_again(space: Space) {
    space.start(&web(2, "shop/web:1")).await;
    let first = uids(&space.sets().await);
    space.patch(json!([set_image("shop/web:2")])).await;
    space.complete("web").await;
    space.patch(json!([set_image("shop/web:1")])).await;
    let deployment = space.complete("web").await;
    let revision = "deployment.kubernetes.io/revision";
    assert_eq!(deployment.annotations()[revision], "3");
    let sets = space.sets().await;
    assert_eq!(sets.len(), 2);
    assert_eq!(sets[1].metadata.uid.as_ref(), first.first());
    let history = "deployment.kubernetes.io/revision-history";
    assert_eq!(sets[1].annotations()[history], "1");
    space.rests_at(&[0, 2]).await;
}

pub async fn old_replica_sets_beyond_the_limit_are_deleted(space: Space) {
    let limit = json!({"revisionHistoryLimit": 1});
    space.start(&with(1, "shop/web:1", &limit)).await;
    for image in ["shop/web:2", "shop/web:3", "shop/web:4"] {
        space.patch(json!([set_image(image)])).await;
        space.complete("web").await;
    }
    // The new one and one old one are left.
    space.rests_at(&[0, 1]).await;
    let kept = space.sets().await;
    let revision = "deployment.kubernetes.io/revision";
    assert_eq!(kept[0].annotations()[revision], "3");
    assert_eq!(kept[1].annotations()[revision], "4");
}

pub async fn a_paused_deployment_keeps_its_pods_when_the_template_changes(space: Space) {
    space.start(&web(3, "shop/web:1")).await;
    let before: BTreeSet<_> = space.pods().await.iter().map(ResourceExt::name_any).collect();
    let pause = json!({"op": "add", "path": "/spec/paused", "value": true});
    space.patch(json!([pause, set_image("shop/web:2")])).await;
    let paused = space
        .until_web("known to be paused", |deployment| {
            condition(deployment, "Progressing").is_some_and(|(_, why)| why == "DeploymentPaused")
        })
        .await;
    assert_eq!(
        condition(&paused, "Progressing").unwrap().0,
        "Unknown",
        "a paused Deployment neither progresses nor fails to"
    );
    // It does scale, and with the pods it has.
    space.patch(json!([set_size(4)])).await;
    space.rests_at(&[4]).await;
    let after: BTreeSet<_> = space.pods().await.iter().map(ResourceExt::name_any).collect();
    assert!(after.is_superset(&before));
    space.patch(json!([{"op": "remove", "path": "/spec/paused"}])).await;
    space.complete("web").await;
    space.rests_at(&[0, 4]).await;
}

pub async fn a_scaled_release_keeps_its_proportions(space: Space) {
    let deployment = with(10, "shop/web:1", &budget(json!(3), json!(2)));
    space.start(&deployment).await;
    space.patch(json!([set_image("shop/web:2--never-ready")])).await;
    // 10 + 3 in all, 8 of them old.
    let stuck = async |old, new| {
        space.until(&format!("{old} old and {new} new"), |_: &Deployment| true).await;
        let sizes = async || -> Vec<i32> {
            let sets = space.sets().await;
            sets.iter().filter_map(|set| set.spec.as_ref()?.replicas).collect()
        };
        let wait = async {
            loop {
                if sizes().await == [old, new] {
                    let status = space.web().await.status.unwrap();
                    if status.replicas == Some(old + new) {
                        return;
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(std::time::Duration::from_secs(30), wait).await.is_err() {
            panic!("not at {old} and {new} but {:?}", sizes().await);
        }
    };
    stuck(8, 5).await;
    space.patch(json!([set_size(20)])).await;
    // 23 in all, shared 8 : 5; what rounding leaves over goes to the largest.
    stuck(14, 9).await;
    space.patch(json!([set_size(10)])).await;
    stuck(8, 5).await;
}

pub async fn available_is_ready_for_the_minimum_time(space: Space) {
    let slow = json!({"minReadySeconds": 2});
    space.create(&with(2, "shop/web:1", &slow)).await;
    let ready = space
        .until_web("ready", |deployment| {
            deployment.status.as_ref().unwrap().ready_replicas == Some(2)
        })
        .await;
    assert_eq!(ready.status.unwrap().available_replicas, None);
    space.complete("web").await;
    // Raised, those that are available are so no more; lowered, they are at once.
    let set =
        |seconds: i32| json!({"op": "add", "path": "/spec/minReadySeconds", "value": seconds});
    space.patch(json!([set(599)])).await;
    space
        .until_web("unavailable", |deployment| {
            let status = deployment.status.as_ref().unwrap();
            status.available_replicas.is_none() && status.ready_replicas == Some(2)
        })
        .await;
    space.patch(json!([set(0)])).await;
    space.complete("web").await;
}

pub async fn a_release_that_gets_stuck_exceeds_its_deadline(space: Space) {
    let deadline = json!({"progressDeadlineSeconds": 1});
    space.start(&with(1, "shop/web:1", &deadline)).await;
    space.patch(json!([set_image("shop/web:2--never-ready")])).await;
    let failed = space
        .until_web("past its deadline", |deployment| {
            condition(deployment, "Progressing")
                .is_some_and(|(_, why)| why == "ProgressDeadlineExceeded")
        })
        .await;
    assert_eq!(condition(&failed, "Progressing").unwrap().0, "False");
    // The old pod is still there.
    assert_eq!(condition(&failed, "Available").unwrap().0, "True");
}

pub async fn pods_that_are_not_ready_go_first(space: Space) {
    space.start(&web(3, "shop/web:1")).await;
    let good: BTreeSet<_> = space.pods().await.iter().map(ResourceExt::name_any).collect();
    // Two more that never start: their time is too long.
    let pods: Api<Pod> = space.api();
    let sets = space.sets().await;
    let set = &sets[0];
    space.patch(json!([set_size(5)])).await;
    let wait = async {
        loop {
            let now = pods.list(&ListParams::default()).await.unwrap().items;
            if now.len() == 5 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), wait)
        .await
        .expect("two more pods come");
    // Make two of them sick, whichever; the other three must survive.
    let all = pods.list(&ListParams::default()).await.unwrap().items;
    space.rests_at(&[5]).await;
    let new: Vec<_> =
        all.iter().map(ResourceExt::name_any).filter(|name| !good.contains(name)).collect();
    assert_eq!(new.len(), 2);
    let sick = [good.first().unwrap().clone(), new[0].clone()];
    for name in &sick {
        let status = json!({"status": {"conditions": [{
            "type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}});
        let patch = kube::api::Patch::Strategic(status);
        pods.patch_status(name, &Default::default(), &patch).await.unwrap();
    }
    space
        .until("two not ready", |found: &ReplicaSet| {
            found.metadata.uid == set.metadata.uid
                && found.status.as_ref().unwrap().ready_replicas == Some(3)
        })
        .await;
    space.patch(json!([set_size(3)])).await;
    space.rests_at(&[3]).await;
    let left: BTreeSet<_> = space.pods().await.iter().map(ResourceExt::name_any).collect();
    assert!(left.iter().all(|name| !sick.contains(name)), "{left:?}");
}

pub async fn a_third_version_takes_over_from_the_second(space: Space) {
    space.start(&web(4, "shop/web:1")).await;
    space.patch(json!([set_image("shop/web:2--never-ready")])).await;
    space
        .until_web("in the middle", |deployment| {
            deployment.status.as_ref().unwrap().updated_replicas.is_some()
        })
        .await;
    let sampler = Sampler::start(&space).await;
    space.patch(json!([set_image("shop/web:3")])).await;
    space.complete("web").await;
    sampler.assert_ready_never_under(3).await;
    space.rests_at(&[0, 0, 4]).await;
}

pub async fn one_and_two_pods_roll_without_a_gap(space: Space) {
    let careful = budget(json!(1), json!(0));
    space.start(&with(1, "shop/web:1", &careful)).await;
    for (size, image) in [(1, "shop/web:2"), (2, "shop/web:3")] {
        space.patch(json!([set_size(size)])).await;
        space.complete("web").await;
        let sampler = Sampler::start(&space).await;
        space.patch(json!([set_image(image)])).await;
        space.complete("web").await;
        sampler.assert_never_more_wanted(size + 1).await;
        let size = usize::try_from(size).unwrap();
        sampler.assert_ready_never_under(size).await;
    }
}
