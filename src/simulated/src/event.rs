//! Events (core/v1) that the built-in controllers leave about what they did.
//!
//! Names are made as in Kubernetes; the same event again counts up instead of
//! being written twice. Only the newest are kept. Nobody acts on an event.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use super::field::{count, text};
use super::kind::Kind;
use super::objects::Key;
use super::world::{CONTROLLERS, Half, World};

const KEPT: usize = 1000;

/// How serious an event is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    Normal,
    Warning,
}

/// What makes two events the same one: the object's uid, reason and message.
type Sense = (String, String, String);

/// The events that were left, oldest first.
#[derive(Debug, Default)]
pub(super) struct Events {
    known: HashMap<Sense, Key>,
    order: VecDeque<Sense>,
}

/// Leaves an event about an object.
pub(super) fn record(world: &mut World, about: &Key, kind: Type, reason: &str, message: &str) {
    let Some(object) = world.objects.get(about).cloned() else {
        return;
    };
    let uid = text(&object, "/metadata/uid").unwrap_or_default();
    let sense = (uid.to_owned(), reason.to_owned(), message.to_owned());
    let stamp = world.clock.stamp();
    if let Some(key) = world.events.known.get(&sense).cloned()
        && world.objects.get(&key).is_some()
    {
        // Cannot be refused: the event was found just now.
        let _ = world.edit_quietly(CONTROLLERS, &key, Half::Spec, |event| {
            event["count"] = (count(event, "/count") + 1).into();
            event["lastTimestamp"] = stamp.into();
        });
        return;
    }
    let name = format!("{}.{}", about.name, world.suffix(16));
    let event = event(about, &object, kind, &sense, &name, &stamp);
    // Refused only in a namespace that goes away, where no one asks for it.
    if world.create(CONTROLLERS, Kind::Event, &about.namespace, event).is_ok() {
        let key = Key::new(Kind::Event, &about.namespace, &name);
        world.events.known.insert(sense.clone(), key);
        world.events.order.push_back(sense);
    }
    while world.events.order.len() > KEPT {
        let oldest = world.events.order.pop_front();
        if let Some(key) = oldest.and_then(|sense| world.events.known.remove(&sense)) {
            world.remove(&key);
        }
    }
}

fn event(
    about: &Key,
    object: &Value,
    kind: Type,
    (uid, reason, message): &Sense,
    name: &str,
    stamp: &str,
) -> Value {
    let word = match kind {
        Type::Normal => "Normal",
        Type::Warning => "Warning",
    };
    json!({
        "metadata": {"name": name},
        "involvedObject": {
            "apiVersion": about.kind.api_version(),
            "kind": about.kind.name(),
            "namespace": about.namespace,
            "name": about.name,
            "uid": uid,
            "resourceVersion": object["metadata"]["resourceVersion"],
        },
        "type": word,
        "reason": reason,
        "message": message,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "source": {"component": "kube-controller-manager"},
    })
}
