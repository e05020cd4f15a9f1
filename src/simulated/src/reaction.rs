//! Who has to look when an object changes.
//!
//! The event handlers of the controllers: a change puts the object itself and its
//! controller on the queue, and what its end leaves behind. Decides nothing.

use serde_json::Value;

use super::field::{self, text};
use super::garbage;
use super::kind::Kind;
use super::objects::{Action, Key};
use super::queue::Work;
use super::world::World;

/// Puts those on the queue who have to look at a changed object.
pub(super) fn to_change(world: &mut World, action: Action, key: &Key, object: &Value) {
    match key.kind {
        Kind::Deployment => world.queue.add(Work::Deployment(key.clone())),
        Kind::ReplicaSet => {
            world.queue.add(Work::ReplicaSet(key.clone()));
            if let Some(owner) = owner(key, object, Kind::Deployment) {
                world.queue.add(Work::Deployment(owner));
            }
        }
        Kind::Pod => {
            if action != Action::Deleted {
                world.queue.add(Work::Pod(key.clone()));
            }
            if let Some(owner) = owner(key, object, Kind::ReplicaSet) {
                world.queue.add(Work::ReplicaSet(owner.clone()));
                // With Recreate the last old pod's end lets the new ones start.
                if let (Action::Deleted, Some(set)) = (action, world.objects.get(&owner))
                    && let Some(deployment) = self::owner(&owner, set, Kind::Deployment)
                {
                    world.queue.add(Work::Deployment(deployment));
                }
            }
        }
        Kind::Namespace if text(object, "/metadata/deletionTimestamp").is_some() => {
            world.queue.add(Work::Namespace(key.name.clone()));
        }
        Kind::Namespace
        | Kind::Node
        | Kind::ConfigMap
        | Kind::Event
        | Kind::Secret
        | Kind::Service
        | Kind::Ingress
        | Kind::HorizontalPodAutoscaler => {}
    }
    garbage::react(world, action, key, object);
    world.wake.notify_one();
}

/// Puts the former owner of an object on the queue.
pub(super) fn to_lost_owner(world: &mut World, key: &Key, before: &Value, object: &Value) {
    if before["metadata"]["ownerReferences"] == object["metadata"]["ownerReferences"] {
        return;
    }
    let (kind, work): (_, fn(Key) -> Work) = match key.kind {
        Kind::Pod => (Kind::ReplicaSet, Work::ReplicaSet),
        Kind::ReplicaSet => (Kind::Deployment, Work::Deployment),
        _ => return,
    };
    if let Some(owner) = owner(key, before, kind) {
        world.queue.add(work(owner));
    }
}

/// The key of the object's controller, if it is of this kind.
fn owner(key: &Key, object: &Value, kind: Kind) -> Option<Key> {
    let owner = field::controller(object)?;
    let matches = text(owner, "/kind") == Some(kind.name());
    matches.then(|| Key::new(kind, &key.namespace, text(owner, "/name").unwrap_or_default()))
}
