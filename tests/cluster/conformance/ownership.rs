//! What belongs to what, and what becomes of it when the owner goes.
//!
//! Deployment, ReplicaSet and pod are tied by owner references; the ways of
//! deleting differ in who goes first and who stays.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PropagationPolicy};

use crate::support::{Space, web};

pub async fn a_lost_pod_is_replaced(space: Space) {
    space.start(&web(2, "shop/web:1")).await;
    let before = space.pods().await;
    let pods: Api<Pod> = space.api();
    let lost = before[0].name_any();
    let at_once = DeleteParams::default().grace_period(0);
    pods.delete(&lost, &at_once).await.unwrap();
    // A status from before the loss would say that all rests.
    let replaced = async {
        loop {
            let after = space.pods().await;
            if after.len() == 2
                && after.iter().all(|pod| pod.metadata.uid != before[0].metadata.uid)
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), replaced)
        .await
        .expect("another pod takes its place");
    space.rests_at(&[2]).await;
}

/// Waits until there is nothing left of these kinds.
async fn until_empty(space: &Space) {
    let wait = async {
        loop {
            let sets = space.sets().await.len();
            if sets == 0 && space.raw_pods().await.is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), wait)
        .await
        .expect("ReplicaSets and pods go away");
}

pub async fn a_deleted_deployment_takes_its_pods_along(space: Space) {
    space.start(&web(2, "shop/web:1")).await;
    let api = space.deployments();
    api.delete("web", &DeleteParams::background()).await.unwrap();
    assert_eq!(api.get_opt("web").await.unwrap(), None);
    until_empty(&space).await;
}

pub async fn a_deletion_in_the_foreground_ends_with_the_owner(space: Space) {
    space.start(&web(2, "shop/web:1")).await;
    let api = space.deployments();
    let answer = api.delete("web", &DeleteParams::foreground()).await.unwrap();
    let going = answer.left().expect("the Deployment waits for its pods");
    assert!(going.metadata.deletion_timestamp.is_some());
    assert_eq!(going.finalizers(), ["foregroundDeletion"]);
    let uid = going.uid().unwrap();
    let gone = kube::runtime::conditions::is_deleted(&uid);
    let wait = kube::runtime::wait::await_condition(api, "web", gone);
    tokio::time::timeout(std::time::Duration::from_secs(60), wait)
        .await
        .expect("the Deployment goes away")
        .unwrap();
    assert_eq!(space.sets().await.len(), 0);
    assert_eq!(space.raw_pods().await.len(), 0);
}

pub async fn an_orphaned_replica_set_keeps_its_pods(space: Space) {
    space.start(&web(2, "shop/web:1")).await;
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    let api = space.deployments();
    api.delete("web", &orphan).await.unwrap();
    space.until("without an owner", |set: &ReplicaSet| set.owner_references().is_empty()).await;
    space.rests_at(&[2]).await;
    // A Deployment that selects it takes it over with its pods.
    let before: BTreeSet<_> = space.pods().await.iter().map(ResourceExt::name_any).collect();
    kube::runtime::wait::await_condition(api, "web", |found: Option<&Deployment>| found.is_none())
        .await
        .unwrap();
    space.start(&web(2, "shop/web:1")).await;
    assert_eq!(space.sets().await.len(), 1);
    let after: BTreeSet<_> = space.pods().await.iter().map(ResourceExt::name_any).collect();
    assert_eq!(after, before);
}
