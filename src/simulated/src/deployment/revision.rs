//! Which ReplicaSet is the new one, making it, and counting revisions.
//!
//! The new ReplicaSet is the oldest whose template equals the Deployment's but
//! for the hash label; so going back to an old template finds its old set again.
//! Only the new set is given the Deployment's `minReadySeconds`: the old ones
//! keep theirs, which the availability gate stands on.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::kind::Kind;
use super::super::objects::Key;
use super::super::refusal::Refusal;
use super::super::world::{CONTROLLERS, Half, World};
use super::super::{event, field};
use super::view::{Deployment, ReplicaSet, Strategy, wanted};
use super::{DESIRED, HASH, HISTORY, MAXIMUM, REVISION, controller_reference, progress};

/// Tells the new ReplicaSet from the old ones and brings its annotations, its
/// `minReadySeconds` and the Deployment's revision up to date. With `create` a
/// missing new one is made.
pub(super) fn sort_out(
    world: &mut World,
    deployment: &mut Deployment,
    mut sets: Vec<ReplicaSet>,
    create: bool,
) -> Result<(Option<ReplicaSet>, Vec<ReplicaSet>), Refusal> {
    sets.sort_by_key(ReplicaSet::age);
    let found = sets
        .iter()
        .position(|set| equal_but_for_hash(&set.object["spec"]["template"], deployment.template()));
    let new = found.map(|i| sets.remove(i));
    let next = sets.iter().map(ReplicaSet::revision).max().unwrap_or(0) + 1;
    let new = match new {
        Some(set) => Some(refresh(world, deployment, set, next)?),
        None if create => Some(make(world, deployment, &sets, next)?),
        None => None,
    };
    Ok((new, sets))
}

/// Whether two templates are the same apart from `pod-template-hash`.
fn equal_but_for_hash(a: &Value, b: &Value) -> bool {
    let bare = |template: &Value| {
        let mut template = template.clone();
        field::remove(&mut template, "/metadata/labels", HASH);
        let empty = template
            .pointer("/metadata/labels")
            .and_then(Value::as_object)
            .is_some_and(serde_json::Map::is_empty);
        if empty {
            field::remove(&mut template, "/metadata", "labels");
        }
        template
    };
    bare(a) == bare(b)
}

fn refresh(
    world: &mut World,
    deployment: &mut Deployment,
    set: ReplicaSet,
    next: i64,
) -> Result<ReplicaSet, Refusal> {
    let mut annotations = set.annotations.clone();
    let mut changed = copy_annotations(&deployment.annotations, &mut annotations);
    changed |= raise_revision(&mut annotations, set.revision(), next);
    let min_ready = field::count(&set.object, "/spec/minReadySeconds");
    if changed || min_ready != deployment.min_ready {
        let wanted = deployment.min_ready;
        let object = world.edit(CONTROLLERS, &set.key, Half::Spec, |object| {
            object["metadata"]["annotations"] = json!(annotations);
            if wanted == 0 {
                field::remove(object, "/spec", "minReadySeconds");
            } else {
                object["spec"]["minReadySeconds"] = wanted.into();
            }
        })?;
        return Ok(ReplicaSet::read(&set.key, &object));
    }
    let revision = set.annotations.get(REVISION).cloned().unwrap_or_default();
    let mut dirty = deployment.annotations.get(REVISION) != Some(&revision);
    if deployment.deadline.is_some() && progress::find(deployment, "Progressing").is_none() {
        let message = format!("Found new replica set {:?}", set.key.name);
        progress::set(
            world,
            &mut deployment.status,
            "Progressing",
            "True",
            "FoundNewReplicaSet",
            &message,
        );
        dirty = true;
    }
    if dirty {
        write_revision(world, deployment, &revision)?;
    }
    Ok(set)
}

fn make(
    world: &mut World,
    deployment: &mut Deployment,
    old: &[ReplicaSet],
    next: i64,
) -> Result<ReplicaSet, Refusal> {
    let collisions = field::count(&deployment.status, "/collisionCount");
    let hash = hash(deployment.template(), collisions);
    let name = format!("{}-{hash}", deployment.key.name);
    let size = match deployment.strategy {
        Strategy::Recreate => deployment.replicas,
        Strategy::Rolling { .. } => grown(deployment, wanted(old), 0),
    };
    let mut annotations = BTreeMap::new();
    copy_annotations(&deployment.annotations, &mut annotations);
    annotations.insert(REVISION.to_owned(), next.to_string());
    annotations.insert(DESIRED.to_owned(), deployment.replicas.to_string());
    annotations
        .insert(MAXIMUM.to_owned(), (deployment.replicas + deployment.max_surge()).to_string());
    let mut template = deployment.template().clone();
    field::section(field::section(&mut template, "metadata"), "labels")[HASH] = json!(hash);
    let mut selector = deployment.object["spec"]["selector"].clone();
    field::section(&mut selector, "matchLabels")[HASH] = json!(hash);
    let object = json!({
        "metadata": {
            "name": name,
            "labels": template["metadata"]["labels"],
            "annotations": annotations,
            "ownerReferences": [controller_reference(Kind::Deployment, &deployment.object)],
        },
        "spec": {
            "replicas": size,
            "minReadySeconds": deployment.min_ready,
            "selector": selector,
            "template": template,
        },
    });
    let namespace = deployment.key.namespace.clone();
    let key = Key::new(Kind::ReplicaSet, &namespace, &name);
    let made = match world.create(CONTROLLERS, Kind::ReplicaSet, &namespace, object) {
        Ok(made) => made,
        Err(refusal) => {
            report_failure(world, deployment, &key, &refusal)?;
            return Err(refusal);
        }
    };
    world.note(CONTROLLERS, "create", &key, "");
    if size > 0 {
        event::record(
            world,
            &deployment.key,
            event::Type::Normal,
            "ScalingReplicaSet",
            &format!("Scaled up replica set {name} from 0 to {size}"),
        );
    }
    if deployment.deadline.is_some() {
        let message = format!("Created new replica set {name:?}");
        progress::set(
            world,
            &mut deployment.status,
            "Progressing",
            "True",
            "NewReplicaSetCreated",
            &message,
        );
    }
    write_revision(world, deployment, &next.to_string())?;
    Ok(ReplicaSet::read(&key, &made))
}

/// How large the new set may be, given all pods asked for so far.
pub(super) fn grown(deployment: &Deployment, others: i32, size: i32) -> i32 {
    let room = deployment.replicas + deployment.max_surge() - others - size;
    if room <= 0 {
        return size;
    }
    size + room.min(deployment.replicas - size)
}

/// A name that is taken means a collision of hashes; everything else is said in
/// the status.
fn report_failure(
    world: &mut World,
    deployment: &mut Deployment,
    set: &Key,
    refusal: &Refusal,
) -> Result<(), Refusal> {
    if refusal.reason == "AlreadyExists" {
        let collisions = field::count(&deployment.status, "/collisionCount") + 1;
        deployment.status["collisionCount"] = collisions.into();
    } else if deployment.deadline.is_some() {
        let message =
            format!("Failed to create new replica set {:?}: {}", set.name, refusal.message);
        progress::set(
            world,
            &mut deployment.status,
            "Progressing",
            "False",
            "ReplicaSetCreateError",
            &message,
        );
    }
    let status = deployment.status.clone();
    world.edit(CONTROLLERS, &deployment.key, Half::Status, |object| {
        object["status"] = status;
    })?;
    Ok(())
}

fn write_revision(
    world: &mut World,
    deployment: &mut Deployment,
    revision: &str,
) -> Result<(), Refusal> {
    let status = deployment.status.clone();
    deployment.object = world.edit(CONTROLLERS, &deployment.key, Half::Status, |object| {
        field::section(&mut object["metadata"], "annotations")[REVISION] = revision.into();
        object["status"] = status;
    })?;
    deployment.annotations = field::strings(&deployment.object, "/metadata/annotations");
    Ok(())
}

/// Copies the Deployment's annotations, but for those with a meaning of their
/// own on a ReplicaSet. Nothing is ever taken away.
fn copy_annotations(from: &BTreeMap<String, String>, to: &mut BTreeMap<String, String>) -> bool {
    const KEPT: [&str; 6] = [
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        HISTORY,
        DESIRED,
        MAXIMUM,
    ];
    let mut changed = false;
    for (key, value) in from.iter().filter(|(key, _)| !KEPT.contains(&key.as_str())) {
        changed |= to.insert(key.clone(), value.clone()).as_ref() != Some(value);
    }
    changed
}

/// Gives a set the newest revision, if its own is lower, and remembers that one.
fn raise_revision(annotations: &mut BTreeMap<String, String>, now: i64, next: i64) -> bool {
    if now >= next {
        return false;
    }
    if let Some(old) = annotations.insert(REVISION.to_owned(), next.to_string()) {
        annotations
            .entry(HISTORY.to_owned())
            .and_modify(|history| *history = format!("{history},{old}"))
            .or_insert(old);
    }
    true
}

/// The name part that stands for a template: ten letters or digits at most. Not
/// the very ones that Kubernetes would choose, which nobody may rely on.
fn hash(template: &Value, collisions: i32) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let digest = Sha256::digest(format!("{template}{collisions}"));
    digest
        .iter()
        .take(10)
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_compared_without_the_hash_label() {
        let plain = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"x": 1}});
        let mut hashed = plain.clone();
        hashed["metadata"]["labels"][HASH] = json!("abc");
        assert!(equal_but_for_hash(&hashed, &plain));
        hashed["spec"]["x"] = json!(2);
        assert!(!equal_but_for_hash(&hashed, &plain));
    }

    #[test]
    fn going_back_to_a_set_keeps_its_former_revisions() {
        let mut annotations = BTreeMap::from([(REVISION.to_owned(), "1".to_owned())]);
        assert!(raise_revision(&mut annotations, 1, 3));
        assert!(raise_revision(&mut annotations, 3, 5));
        assert!(!raise_revision(&mut annotations, 5, 5));
        assert_eq!(annotations[REVISION], "5");
        assert_eq!(annotations[HISTORY], "1,3");
    }

    #[test]
    fn another_template_or_a_collision_has_another_hash() {
        let template = json!({"spec": {"x": 1}});
        assert_eq!(hash(&template, 0), hash(&template, 0));
        assert_ne!(hash(&template, 0), hash(&template, 1));
        assert_ne!(hash(&template, 0), hash(&json!({"spec": {"x": 2}}), 0));
    }
}
