//! The Deployment controller: one look at one Deployment.
//!
//! Follows `pkg/controller/deployment` of Kubernetes 1.37 step for step: paused
//! and freshly scaled Deployments only scale (`proportion.rs`), all others roll
//! (`rollout.rs`), and every look ends with the status (`progress.rs`). The views
//! it reads are in `view.rs`, ReplicaSets are made and found in `revision.rs`.
//! Knows nothing of pods, except that Recreate waits for their end.

mod progress;
mod proportion;
mod revision;
mod rollout;
mod view;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use self::view::{Deployment, ReplicaSet, Strategy};
use super::field::{self, text};
use super::kind::Kind;
use super::objects::Key;
use super::refusal::Refusal;
use super::world::{CONTROLLERS, Half, World};
use super::{event, garbage, selector};

const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const HASH: &str = "pod-template-hash";

/// Looks at a Deployment and does the next thing it needs.
pub(super) fn sync(world: &mut World, key: &Key) -> Result<(), Refusal> {
    let Some(object) = world.objects.get(key).cloned() else {
        return Ok(());
    };
    let mut deployment = Deployment::read(key, &object);
    let sets = claim(world, &deployment, &object)?;
    if deployment.deleting {
        let (new, old) = revision::sort_out(world, &mut deployment, sets, false)?;
        return progress::write(world, &deployment, &new, &old);
    }
    progress::note_pause(world, &mut deployment)?;
    if deployment.paused {
        return scale_only(world, deployment, sets);
    }
    let (new, old) = revision::sort_out(world, &mut deployment, sets, false)?;
    let scaled = old.iter().chain(&new).any(|set| {
        set.replicas > 0
            && set.number(DESIRED).is_some_and(|desired| desired != deployment.replicas)
    });
    let sets = old.into_iter().chain(new).collect();
    if scaled {
        return scale_only(world, deployment, sets);
    }
    match deployment.strategy {
        Strategy::Recreate => rollout::recreate(world, deployment, sets),
        Strategy::Rolling { .. } => rollout::roll(world, deployment, sets),
    }
}

/// What a paused Deployment gets, and one whose size was changed.
fn scale_only(
    world: &mut World,
    mut deployment: Deployment,
    sets: Vec<ReplicaSet>,
) -> Result<(), Refusal> {
    let (mut new, mut old) = revision::sort_out(world, &mut deployment, sets, false)?;
    proportion::scale(world, &deployment, &mut new, &mut old)?;
    if deployment.paused {
        clean_up(world, &deployment, &mut old)?;
    }
    progress::write(world, &deployment, &new, &old)
}

/// The Deployment's ReplicaSets: those it controls, and ownerless ones that its
/// selector matches, which it adopts.
fn claim(
    world: &mut World,
    deployment: &Deployment,
    object: &Value,
) -> Result<Vec<ReplicaSet>, Refusal> {
    let Some(wanted) = selector::of_object(object) else {
        return Ok(Vec::new());
    };
    let namespace = &deployment.key.namespace;
    let mut keys = world.objects.dependents(&deployment.uid);
    if !deployment.deleting {
        for key in world.objects.orphans(Kind::ReplicaSet, namespace) {
            let found = world.present(&key)?;
            let free = text(&found, "/metadata/deletionTimestamp").is_none();
            if free && selector::matches(&wanted, &found, "/metadata/labels") {
                world.edit(CONTROLLERS, &key, Half::Spec, |set| {
                    set["metadata"]["ownerReferences"] =
                        json!([controller_reference(Kind::Deployment, object)]);
                })?;
                keys.push(key);
            }
        }
    }
    let mut sets = Vec::new();
    for key in keys {
        let Some(found) = world.objects.get(&key).cloned() else {
            continue;
        };
        let ours = key.kind == Kind::ReplicaSet
            && field::controller(&found).and_then(|owner| text(owner, "/uid"))
                == Some(deployment.uid.as_str());
        if !ours {
            continue;
        }
        if selector::matches(&wanted, &found, "/metadata/labels") {
            sets.push(ReplicaSet::read(&key, &found));
        } else {
            release(world, &key, &deployment.uid)?;
        }
    }
    Ok(sets)
}

/// Gives up control over an object that the selector does not match any more.
pub(super) fn release(world: &mut World, key: &Key, owner: &str) -> Result<(), Refusal> {
    world
        .edit(CONTROLLERS, key, Half::Spec, |object| {
            let metadata = &mut object["metadata"];
            if let Some(list) = metadata["ownerReferences"].as_array_mut() {
                list.retain(|reference| text(reference, "/uid") != Some(owner));
            }
            if field::items(metadata, "/ownerReferences").is_empty() {
                field::remove(metadata, "", "ownerReferences");
            }
        })
        .map(|_| ())
}

/// The reference by which a controller owns what it makes.
pub(super) fn controller_reference(kind: Kind, owner: &Value) -> Value {
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.name(),
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Gives a ReplicaSet its new size, if that is another one; `always` also writes
/// the annotations about the Deployment's size when only these are out of date.
/// Says whether the size changed.
fn resize(
    world: &mut World,
    deployment: &Deployment,
    set: &mut ReplicaSet,
    size: i32,
    always: bool,
) -> Result<bool, Refusal> {
    let resized = set.replicas != size;
    if !always && !resized {
        return Ok(false);
    }
    let desired = deployment.replicas.to_string();
    let maximum = (deployment.replicas + deployment.max_surge()).to_string();
    let noted = set.annotations.get(DESIRED) == Some(&desired)
        && set.annotations.get(MAXIMUM) == Some(&maximum);
    if !resized && noted {
        return Ok(false);
    }
    let was = set.replicas;
    let object = world.edit(CONTROLLERS, &set.key, Half::Spec, |object| {
        object["spec"]["replicas"] = size.into();
        let annotations = field::section(&mut object["metadata"], "annotations");
        annotations[DESIRED] = desired.into();
        annotations[MAXIMUM] = maximum.into();
    })?;
    *set = ReplicaSet::read(&set.key, &object);
    if resized {
        let way = if size > was { "up" } else { "down" };
        event::record(
            world,
            &deployment.key,
            event::Type::Normal,
            "ScalingReplicaSet",
            &format!("Scaled {way} replica set {} from {was} to {size}", set.key.name),
        );
    }
    Ok(resized)
}

/// Deletes the oldest empty ReplicaSets beyond `revisionHistoryLimit`.
fn clean_up(
    world: &mut World,
    deployment: &Deployment,
    old: &mut [ReplicaSet],
) -> Result<(), Refusal> {
    let Some(limit) = deployment.history_limit.filter(|limit| *limit != i32::MAX) else {
        return Ok(());
    };
    let mut sets: Vec<&ReplicaSet> = old.iter().filter(|set| !set.deleting).collect();
    let surplus = sets.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    sets.sort_by_key(|set| (set.revision(), set.created.clone(), set.key.name.clone()));
    for set in sets.into_iter().take(surplus) {
        let empty = set.actual == 0 && set.replicas == 0 && set.generation <= set.observed;
        if empty {
            garbage::take_away(world, &set.key)?;
        }
    }
    Ok(())
}
