//! What happens to objects whose owner goes away, and to namespaces that end.
//!
//! Follows the garbage collector: a dependent is deleted when none of its owners
//! is there any more; in the foreground the owner waits for its dependents; an
//! orphan loses its reference. Knows owner references, not kinds.

use serde_json::{Value, json};

use super::field::{self, items, text};
use super::kind::Kind;
use super::objects::{Action, Key};
use super::queue::Work;
use super::refusal::Refusal;
use super::world::{CONTROLLERS, Half, World, Writer};

const FOREGROUND: &str = "foregroundDeletion";

/// What becomes of the dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// How a deletion was asked for.
#[derive(Clone, Debug)]
pub(super) struct Deletion {
    pub(super) propagation: Propagation,
    /// Seconds until a pod has to be gone; none is the pod's own figure.
    pub(super) grace: Option<i64>,
}

/// Whether a deleted object is gone at once or on its way.
#[derive(Debug)]
pub(super) enum Deleted {
    Gone(std::sync::Arc<Value>),
    Going(std::sync::Arc<Value>),
}

/// Deletes an object as a request or a controller asks for it.
pub(super) fn delete(
    world: &mut World,
    writer: Writer<'_>,
    key: &Key,
    deletion: &Deletion,
) -> Result<Deleted, Refusal> {
    let object = world.present(key)?;
    let uid = text(&object, "/metadata/uid").unwrap_or_default().to_owned();
    let deleting = text(&object, "/metadata/deletionTimestamp").is_some();
    if writer.dry_run {
        return Ok(Deleted::Gone(object));
    }
    let mut finalizers: Vec<Value> = items(&object, "/metadata/finalizers").to_vec();
    match deletion.propagation {
        Propagation::Orphan => orphan_dependents(world, &uid)?,
        Propagation::Foreground if !world.objects.dependents(&uid).is_empty() => {
            if !finalizers.contains(&json!(FOREGROUND)) {
                finalizers.push(json!(FOREGROUND));
            }
        }
        Propagation::Foreground | Propagation::Background => {}
    }
    let grace = match key.kind {
        Kind::Pod => pod_grace(&object, deletion.grace),
        Kind::Namespace => 1,
        _ => 0,
    };
    if finalizers.is_empty() && grace == 0 {
        world.remove(key);
        return Ok(Deleted::Gone(object));
    }
    if deleting {
        return Ok(Deleted::Going(object));
    }
    let stamp = world.clock.stamp();
    let going = world.edit_quietly(writer, key, Half::Spec, |object| {
        let metadata = &mut object["metadata"];
        metadata["deletionTimestamp"] = stamp.into();
        if key.kind == Kind::Namespace {
            object["status"]["phase"] = json!("Terminating");
            return;
        }
        metadata["deletionGracePeriodSeconds"] = grace.into();
        if !finalizers.is_empty() {
            metadata["finalizers"] = finalizers.into();
        }
        if let Some(generation) = metadata["generation"].as_i64() {
            metadata["generation"] = (generation + 1).into();
        }
    })?;
    Ok(Deleted::Going(going))
}

/// A pod that no node has taken, or that has ended, need not be stopped.
fn pod_grace(pod: &Value, asked: Option<i64>) -> i64 {
    let placed = text(pod, "/spec/nodeName").is_some();
    let ended = matches!(text(pod, "/status/phase"), Some("Succeeded" | "Failed"));
    if !placed || ended {
        return 0;
    }
    asked.or_else(|| field::int(pod, "/spec/terminationGracePeriodSeconds")).unwrap_or(30).max(0)
}

/// Deletes an object on behalf of a controller.
pub(super) fn take_away(world: &mut World, key: &Key) -> Result<(), Refusal> {
    world.note(CONTROLLERS, "delete", key, "");
    let deletion = Deletion { propagation: Propagation::Background, grace: None };
    delete(world, CONTROLLERS, key, &deletion).map(|_| ())
}

/// Queues the collector's work after a change.
pub(super) fn react(world: &mut World, action: Action, key: &Key, object: &Value) {
    let uid = text(object, "/metadata/uid").unwrap_or_default();
    if action == Action::Deleted {
        if !world.objects.dependents(uid).is_empty() {
            world.queue.add(Work::Collect(uid.to_owned()));
        }
        let owners = items(object, "/metadata/ownerReferences").to_vec();
        for owner in owners {
            if let Some(owner) = owner_key(key, &owner) {
                world.queue.add(Work::Foreground(owner));
            }
        }
        if key.kind.is_namespaced() {
            let namespace = Key::new(Kind::Namespace, "", &key.namespace);
            let ending = world
                .objects
                .get(&namespace)
                .is_some_and(|n| text(n, "/metadata/deletionTimestamp").is_some());
            if ending {
                world.queue.add(Work::Namespace(key.namespace.clone()));
            }
        }
    } else if text(object, "/metadata/deletionTimestamp").is_some()
        && items(object, "/metadata/finalizers").contains(&json!(FOREGROUND))
    {
        world.queue.add(Work::Foreground(key.clone()));
    } else if action == Action::Added {
        // Created after its owner went away.
        for owner in items(object, "/metadata/ownerReferences").to_vec() {
            let uid = text(&owner, "/uid").unwrap_or_default().to_owned();
            let alive = owner_key(key, &owner)
                .and_then(|owner| world.objects.get(&owner))
                .is_some_and(|found| text(found, "/metadata/uid") == Some(&uid));
            if !alive {
                world.queue.add(Work::Collect(uid));
            }
        }
    }
}

/// Deletes the dependents of an owner that is gone, unless another owner is
/// still there.
pub(super) fn collect(world: &mut World, uid: &str) -> Result<(), Refusal> {
    for key in world.objects.dependents(uid) {
        let Some(object) = world.objects.get(&key).cloned() else {
            continue;
        };
        let owners = items(&object, "/metadata/ownerReferences");
        let kept = owners.iter().any(|owner| {
            owner_key(&key, owner)
                .and_then(|owner| world.objects.get(&owner))
                .is_some_and(|found| text(found, "/metadata/uid") == text(owner, "/uid"))
        });
        if !kept && text(&object, "/metadata/deletionTimestamp").is_none() {
            take_away(world, &key)?;
        }
    }
    Ok(())
}

/// Lets an owner go once nothing holds it any more.
pub(super) fn finish_foreground(world: &mut World, key: &Key) -> Result<(), Refusal> {
    let Some(object) = world.objects.get(key).cloned() else {
        return Ok(());
    };
    let waits = items(&object, "/metadata/finalizers").contains(&json!(FOREGROUND))
        && text(&object, "/metadata/deletionTimestamp").is_some();
    if !waits {
        return Ok(());
    }
    let uid = text(&object, "/metadata/uid").unwrap_or_default();
    let mut blocked = false;
    for dependent in world.objects.dependents(uid) {
        let Some(found) = world.objects.get(&dependent).cloned() else {
            continue;
        };
        let blocks = items(&found, "/metadata/ownerReferences")
            .iter()
            .any(|o| text(o, "/uid") == Some(uid) && field::flag(o, "/blockOwnerDeletion"));
        blocked |= blocks;
        if text(&found, "/metadata/deletionTimestamp").is_none() {
            world.note(CONTROLLERS, "delete", &dependent, "");
            let deletion = Deletion { propagation: Propagation::Foreground, grace: None };
            if let Deleted::Gone(_) = delete(world, CONTROLLERS, &dependent, &deletion)? {
                world.queue.add(Work::Foreground(key.clone()));
            }
        }
    }
    if !blocked {
        world.edit(CONTROLLERS, key, Half::Spec, |object| {
            if let Some(list) = object["metadata"]["finalizers"].as_array_mut() {
                list.retain(|finalizer| finalizer != FOREGROUND);
            }
        })?;
    }
    Ok(())
}

/// Deletes what is in a namespace, and then the namespace.
pub(super) fn empty_namespace(world: &mut World, name: &str) -> Result<(), Refusal> {
    let mut left = false;
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_namespaced()) {
        let keys: Vec<Key> =
            world.objects.list(kind, Some(name)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let going = world
                .objects
                .get(&key)
                .is_some_and(|o| text(o, "/metadata/deletionTimestamp").is_some());
            if !going {
                take_away(world, &key)?;
            }
            left |= world.objects.get(&key).is_some();
        }
    }
    if !left {
        world.remove(&Key::new(Kind::Namespace, "", name));
    }
    Ok(())
}

fn orphan_dependents(world: &mut World, uid: &str) -> Result<(), Refusal> {
    for dependent in world.objects.dependents(uid) {
        world.edit(CONTROLLERS, &dependent, Half::Spec, |object| {
            let metadata = &mut object["metadata"];
            if let Some(list) = metadata["ownerReferences"].as_array_mut() {
                list.retain(|owner| text(owner, "/uid") != Some(uid));
            }
            if items(metadata, "/ownerReferences").is_empty() {
                field::remove(metadata, "", "ownerReferences");
            }
        })?;
    }
    Ok(())
}

fn owner_key(dependent: &Key, owner: &Value) -> Option<Key> {
    let kind = Kind::ALL.into_iter().find(|kind| Some(kind.name()) == text(owner, "/kind"))?;
    let namespace = if kind.is_namespaced() { dependent.namespace.as_str() } else { "" };
    Some(Key::new(kind, namespace, text(owner, "/name")?))
}
