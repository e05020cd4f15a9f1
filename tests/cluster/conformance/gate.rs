//! The availability gate: batches on one plain Deployment.
//!
//! While `minReadySeconds` is beyond reach, new pods become ready and serve, but
//! are never "available", so `maxSurge` and `maxUnavailable` say exactly how many
//! there may be. Each check counts every pod event, and the rests are exact.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::support::{GATE, NO_DEADLINE, Sampler, Space, with};

const OLD: &str = "shop/web:1";
const NEW: &str = "shop/web:2";

fn add(path: &str, value: impl Into<Value>) -> Value {
    json!({"op": "add", "path": path, "value": value.into()})
}

fn budget(surge: impl Into<Value>, unavailable: impl Into<Value>) -> Value {
    add(
        "/spec/strategy/rollingUpdate",
        json!({"maxSurge": surge.into(), "maxUnavailable": unavailable.into()}),
    )
}

fn image(image: &str) -> Value {
    add("/spec/template/spec/containers/0/image", image)
}

fn gate() -> [Value; 2] {
    [add("/spec/progressDeadlineSeconds", NO_DEADLINE), add("/spec/minReadySeconds", GATE)]
}

fn open() -> [Value; 2] {
    [add("/spec/minReadySeconds", 0), add("/spec/progressDeadlineSeconds", 600)]
}

fn pause(paused: bool) -> Value {
    add("/spec/paused", paused)
}

fn together<const N: usize>(parts: [Vec<Value>; N]) -> Value {
    parts.concat().into()
}

/// Arms the gate and surges the first batch of a new version, in one patch.
fn first_batch(version: &str, size: i32) -> Value {
    together([gate().to_vec(), vec![image(version), budget(size, 0)]])
}

/// Finishes: the user's own settings again.
fn finish() -> Value {
    together([open().to_vec(), vec![budget("25%", "25%")]])
}

/// A Deployment of this size, complete, with its watch begun.
async fn started(space: &Space, size: i32) -> (Deployment, Sampler) {
    let deployment = space.start(&with(size, OLD, &json!({}))).await;
    (deployment, Sampler::start(space).await)
}

/// Puts a release of 10 on hold after 3.
async fn held(space: &Space) -> Sampler {
    let (_, sampler) = started(space, 10).await;
    space.patch(first_batch(NEW, 3)).await;
    space.rests_at(&[10, 3]).await;
    space.patch(json!([budget(0, 3)])).await;
    space.rests_at(&[7, 3]).await;
    let hold = together([open().to_vec(), vec![pause(true), budget(0, 1)]]);
    space.patch(hold).await;
    space
        .until_web("on hold and available", |deployment| {
            let status = deployment.status.as_ref().unwrap();
            status.available_replicas == Some(10)
                && status
                    .conditions
                    .iter()
                    .flatten()
                    .any(|condition| condition.reason.as_deref() == Some("DeploymentPaused"))
        })
        .await;
    sampler
}

pub async fn three_batches_rest_at_three_six_and_ten(space: Space) {
    let (before, sampler) = started(&space, 10).await;
    space.patch(first_batch(NEW, 3)).await;
    space.rests_at(&[10, 3]).await;
    // The next batch surges while the old pods of the one before go.
    space.patch(json!([budget(3, 3)])).await;
    space.rests_at(&[7, 6]).await;
    sampler.assert_never_more_of(NEW, 6).await;
    space.patch(json!([budget(4, 6)])).await;
    space.rests_at(&[4, 10]).await;
    sampler.assert_ready_never_under(10).await;
    space.patch(finish()).await;
    let after = space.complete("web").await;
    space.rests_at(&[0, 10]).await;
    sampler.assert_ready_never_under(10).await;
    sampler.assert_never_more_of(NEW, 10).await;
    assert_eq!(after.uid(), before.uid());
    // Four writes of ours, and none of the controllers', made a generation each.
    assert_eq!(after.metadata.generation, Some(5));
}

pub async fn a_shrunk_batch_leaves_the_rest_of_the_old(space: Space) {
    let (_, sampler) = started(&space, 10).await;
    space.patch(first_batch(NEW, 4)).await;
    space.rests_at(&[10, 4]).await;
    sampler.assert_never_more_of(NEW, 4).await;
    space.patch(json!([budget(0, 4)])).await;
    space.rests_at(&[6, 4]).await;
    sampler.assert_ready_never_under(10).await;
    // The old ones count as available, the new ones only as ready.
    space
        .until_web("6 available of 10 ready", |deployment| {
            let status = deployment.status.as_ref().unwrap();
            status.available_replicas == Some(6) && status.ready_replicas == Some(10)
        })
        .await;
}

pub async fn a_held_release_keeps_its_pods_whatever_is_edited(space: Space) {
    let sampler = held(&space).await;
    // Someone else's template: nothing happens.
    let edited = space.patch(json!([image("shop/web:3")])).await;
    space
        .until_web("seen", |deployment| {
            deployment.metadata.generation >= edited.metadata.generation
        })
        .await;
    space.rests_at(&[7, 3]).await;
    space.patch(json!([image(NEW)])).await;
    space.until_web("seen", |_| true).await;
    space.rests_at(&[7, 3]).await;
    sampler.assert_ready_never_under(10).await;
    sampler.assert_never_more_of(NEW, 3).await;
    sampler.assert_never_more_of("shop/web:3", 0).await;
}

pub async fn a_held_release_scales_and_comes_back(space: Space) {
    let _sampler = held(&space).await;
    for (size, old, new) in [(15, 11, 4), (10, 7, 3), (12, 8, 4), (10, 7, 3)] {
        space.patch(json!([add("/spec/replicas", size)])).await;
        space.rests_at(&[old, new]).await;
    }
}

pub async fn a_held_release_is_armed_again_and_goes_on(space: Space) {
    let sampler = held(&space).await;
    // The gate first, still paused: the new pods must not count as available when
    // the release goes on.
    space.patch(Value::from(gate().to_vec())).await;
    space
        .until_web("armed", |deployment| {
            let status = deployment.status.as_ref().unwrap();
            status.available_replicas == Some(7)
        })
        .await;
    space.rests_at(&[7, 3]).await;
    space.patch(json!([pause(false), budget(3, 3)])).await;
    space.rests_at(&[7, 6]).await;
    space.patch(json!([budget(4, 6)])).await;
    space.rests_at(&[4, 10]).await;
    space.patch(finish()).await;
    space.complete("web").await;
    sampler.assert_ready_never_under(10).await;
    sampler.assert_never_more_of(NEW, 10).await;
}

pub async fn a_rollback_is_one_patch_and_takes_the_old_pods(space: Space) {
    let (_, sampler) = started(&space, 10).await;
    space.patch(first_batch(NEW, 3)).await;
    space.rests_at(&[10, 3]).await;
    space.patch(json!([budget(3, 3)])).await;
    space.rests_at(&[7, 6]).await;
    let old = space.sets().await[0].uid();
    let survivors: Vec<_> = space
        .pods()
        .await
        .iter()
        .filter(|pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some(OLD))
        .map(ResourceExt::name_any)
        .collect();
    let back = together([open().to_vec(), vec![image(OLD), budget("100%", 0)]]);
    space.patch(back).await;
    space.complete("web").await;
    // The set of before has the newest revision now.
    space.rests_at(&[0, 10]).await;
    assert_eq!(space.sets().await[1].uid(), old);
    let names: Vec<_> = space.pods().await.iter().map(ResourceExt::name_any).collect();
    assert!(survivors.iter().all(|name| names.contains(name)));
    sampler.assert_ready_never_under(10).await;
}

pub async fn a_batch_sent_twice_is_one_batch(space: Space) {
    let (_, sampler) = started(&space, 10).await;
    let first = space.patch(first_batch(NEW, 3)).await;
    space.patch(first_batch(NEW, 3)).await;
    space.rests_at(&[10, 3]).await;
    let again = space.patch(first_batch(NEW, 3)).await;
    assert_eq!(again.metadata.generation, first.metadata.generation);
    space.rests_at(&[10, 3]).await;
    sampler.assert_never_more_of(NEW, 3).await;
    sampler.assert_ready_never_under(10).await;
}

pub async fn a_stale_fence_is_refused(space: Space) {
    let (_, sampler) = started(&space, 4).await;
    let fence = "/metadata/annotations/sluice.test~1epoch";
    space.patch(json!([add(fence, "7")])).await;
    let fenced = |epoch: &str, size: i32| {
        let mut patch = vec![json!({"op": "test", "path": fence, "value": epoch})];
        patch.extend(first_batch(NEW, size).as_array().unwrap().clone());
        Value::from(patch)
    };
    let before = space.until_web("seen", |_| true).await.metadata.generation;
    let refused = space.try_patch(fenced("6", 2)).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 422));
    assert_eq!(space.web().await.metadata.generation, before);
    space.rests_at(&[4]).await;
    space.patch(fenced("7", 1)).await;
    space.rests_at(&[4, 1]).await;
    sampler.assert_never_more_of(NEW, 1).await;
}

pub async fn one_pod_and_two_pods_pass_the_gate(space: Space) {
    let (_, sampler) = started(&space, 1).await;
    space.patch(first_batch(NEW, 1)).await;
    space.rests_at(&[1, 1]).await;
    space.patch(finish()).await;
    space.complete("web").await;
    sampler.assert_ready_never_under(1).await;
    space.patch(json!([add("/spec/replicas", 2)])).await;
    space.complete("web").await;
    let sampler = Sampler::start(&space).await;
    space.patch(first_batch("shop/web:3", 1)).await;
    space.rests_at(&[0, 2, 1]).await;
    space.patch(json!([budget(1, 1)])).await;
    space.rests_at(&[0, 1, 2]).await;
    space.patch(finish()).await;
    space.complete("web").await;
    sampler.assert_ready_never_under(2).await;
    sampler.assert_never_more_of("shop/web:3", 2).await;
}

pub async fn a_broken_image_costs_no_old_pod(space: Space) {
    let (_, sampler) = started(&space, 10).await;
    let broken = "shop/web:2--image-pull-error";
    space.patch(first_batch(broken, 3)).await;
    space
        .until_web("with its pods", |deployment| {
            deployment.status.as_ref().unwrap().updated_replicas == Some(3)
        })
        .await;
    let back = together([open().to_vec(), vec![image(OLD), budget("100%", 0)]]);
    space.patch(back).await;
    space.complete("web").await;
    space.rests_at(&[0, 10]).await;
    sampler.assert_ready_never_under(10).await;
    sampler.assert_never_more_of(broken, 3).await;
    sampler.assert_never_more_of(OLD, 10).await;
}

pub async fn a_release_steps_back_and_goes_on(space: Space) {
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use kube::api::{Api, Patch};
    let (_, sampler) = started(&space, 10).await;
    space.patch(first_batch(NEW, 3)).await;
    space.rests_at(&[10, 3]).await;
    space.patch(json!([budget(3, 3)])).await;
    space.rests_at(&[7, 6]).await;
    space.patch(json!([budget(0, 6)])).await;
    space.rests_at(&[4, 6]).await;
    // First the budget, then the old set up, then the new one down.
    space.patch(json!([budget(0, 3)])).await;
    space.until_web("seen", |_| true).await;
    let sets: Api<ReplicaSet> = space.api();
    let [old, new] = [0, 1].map(async |i| space.sets().await[i].name_any());
    let (old, new) = (old.await, new.await);
    let scale = async |name: &str, size: i32| {
        let size = Patch::Merge(json!({"spec": {"replicas": size}}));
        sets.patch_scale(name, &Default::default(), &size).await.unwrap();
    };
    scale(&old, 7).await;
    space.rests_at(&[7, 6]).await;
    scale(&new, 3).await;
    space.rests_at(&[7, 3]).await;
    sampler.assert_ready_never_under(10).await;
    // And on again.
    space.patch(json!([budget(7, 3)])).await;
    space.rests_at(&[7, 10]).await;
    space.patch(finish()).await;
    space.complete("web").await;
    sampler.assert_ready_never_under(10).await;
}

pub async fn a_foreign_version_takes_just_the_gated_places(space: Space) {
    let (_, sampler) = started(&space, 10).await;
    space.patch(first_batch(NEW, 3)).await;
    space.rests_at(&[10, 3]).await;
    space.patch(json!([budget(0, 3)])).await;
    space.rests_at(&[7, 3]).await;
    space.patch(json!([image("shop/web:3")])).await;
    space.rests_at(&[7, 0, 3]).await;
    sampler.assert_never_more_of("shop/web:3", 3).await;
    sampler.assert_ready_never_under(7).await;
}
