//! The scheduler and the nodes: what becomes of a pod.
//!
//! A pod behaves as its annotation `sluice.test/behaviour` says, or else what its
//! first image's tag says after `--` (`shop/web:2.0--crash-loop`): the same words,
//! times and status shapes as the stages of the test bed's fake nodes
//! (`tests/testbed/stages.yaml`), so that one test fits both clusters. A look at a
//! pod finds the stage it is due for from the pod alone (`stage.rs`); each stage
//! waits its time first. No containers, no network.

mod shape;
mod stage;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use serde_json::{Value, json};
use tokio::time::Instant;

pub use self::stage::Behaviour;
use self::stage::Stage;
use super::event;
use super::field::{self, condition, strings, text};
use super::kind::Kind;
use super::objects::Key;
use super::queue::Work;
use super::world::{Half, NODES, SCHEDULER, World};

/// What the nodes remember: the next stage of each pod with its time, how many
/// pods were placed, and images told to behave otherwise.
#[derive(Debug, Default)]
pub(super) struct Kubelet {
    due: HashMap<Key, (Stage, Instant)>,
    placed: usize,
    overrides: HashMap<String, Override>,
}

/// What pods of an image do instead, but for those that were there before.
#[derive(Debug)]
struct Override {
    behaviour: Behaviour,
    exempt: HashSet<Key>,
}

impl Kubelet {
    /// What this pod does, by its own word or by an override of its image.
    fn behaviour(&self, key: &Key, pod: &Value) -> Option<Behaviour> {
        text(pod, "/spec/containers/0/image")
            .and_then(|image| self.overrides.get(image))
            .filter(|over| !over.exempt.contains(key))
            .map(|over| over.behaviour)
            .or_else(|| Behaviour::of(pod))
    }

    /// A pod is gone.
    pub(super) fn forget(&mut self, key: &Key) {
        self.due.remove(key);
    }
}

/// The node with this number.
pub(super) fn node(number: usize) -> Value {
    let name = format!("fake-{number}");
    json!({
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "sluice.test/node": "fake",
                "topology.kubernetes.io/zone": format!("zone-{}", number % 3 + 1),
            },
        },
        "status": {
            "capacity": {"cpu": "64", "memory": "256Gi", "pods": "5000"},
            "allocatable": {"cpu": "64", "memory": "256Gi", "pods": "5000"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    })
}

/// Lets pods of an image behave otherwise than it says, from now on; with
/// `existing` those too that are there already.
pub(super) fn override_image(world: &mut World, image: &str, behaviour: Behaviour, existing: bool) {
    let pods: Vec<Key> = world
        .objects
        .list(Kind::Pod, None)
        .filter(|(_, pod)| text(pod, "/spec/containers/0/image") == Some(image))
        .map(|(key, _)| key.clone())
        .collect();
    let exempt = if existing { HashSet::new() } else { pods.iter().cloned().collect() };
    world.kubelet.overrides.insert(image.to_owned(), Override { behaviour, exempt });
    if !existing {
        return;
    }
    for key in pods {
        // As if it were started anew: the stages begin at the beginning.
        let restarted = world.edit(NODES, &key, Half::Status, |pod| {
            let keep: Vec<Value> = condition(pod, "PodScheduled").cloned().into_iter().collect();
            pod["status"] = json!({
                "phase": "Pending", "qosClass": pod["status"]["qosClass"], "conditions": keep,
            });
        });
        debug_assert!(restarted.is_ok(), "the pod was listed under this lock");
    }
}

/// Looks at a pod: places it, or carries out the stage that is due.
pub(super) fn sync(world: &mut World, key: &Key) {
    let Some(pod) = world.objects.get(key).cloned() else {
        return;
    };
    let deleting = text(&pod, "/metadata/deletionTimestamp").is_some();
    if text(&pod, "/spec/nodeName").is_none() {
        if !deleting {
            place(world, key, &pod);
        }
        return;
    }
    let behaviour = world.kubelet.behaviour(key, &pod);
    let Some(stage) = stage::next(&pod, behaviour) else {
        world.kubelet.forget(key);
        return;
    };
    let now = Instant::now();
    let due = match world.kubelet.due.get(key) {
        Some((known, at)) if *known == stage => *at,
        _ => now + delay(world, &pod, stage),
    };
    if due > now {
        world.kubelet.due.insert(key.clone(), (stage, due));
        world.queue.add_at(Work::Pod(key.clone()), due);
        return;
    }
    world.kubelet.forget(key);
    carry_out(world, key, &pod, stage);
}

/// How long the stage is waited for: what the pod's annotation says, or the
/// default; the start of a pod with the jitter of the settings.
fn delay(world: &mut World, pod: &Arc<Value>, stage: Stage) -> Duration {
    let said = strings(pod, "/metadata/annotations")
        .get(stage.annotation())
        .and_then(|text| stage::duration(text));
    match (said, stage.is_start()) {
        (Some(said), _) => said,
        (None, false) => stage.default_delay(),
        (None, true) => {
            let jitter = world.config.jitter;
            let extra = if jitter.is_zero() {
                Duration::ZERO
            } else {
                world.rng.random_range(Duration::ZERO..=jitter)
            };
            world.config.start_delay + extra
        }
    }
}

fn carry_out(world: &mut World, key: &Key, pod: &Value, stage: Stage) {
    if stage == Stage::Gone {
        world.note(NODES, "delete", key, "");
        world.remove(key);
        return;
    }
    if let Some((kind, reason, message)) = stage.event() {
        event::record(world, key, kind, reason, message);
    }
    let status = stage.status(pod, &world.clock.stamp());
    let written = world.edit(NODES, key, Half::Status, |pod| pod["status"] = status);
    debug_assert!(written.is_ok(), "the pod was found under this lock");
}

/// Gives the pod a node, in turn; without a fitting one it stays unschedulable.
fn place(world: &mut World, key: &Key, pod: &Value) {
    let wanted = strings(pod, "/spec/nodeSelector");
    let nodes: Vec<(String, bool, Option<String>)> = world
        .objects
        .list(Kind::Node, None)
        .map(|(key, node)| {
            let labels = strings(node, "/metadata/labels");
            let fits = wanted.iter().all(|(k, v)| labels.get(k) == Some(v));
            let zone = labels.get("topology.kubernetes.io/zone").cloned();
            (key.name.clone(), fits, zone)
        })
        .collect();
    let fitting: Vec<_> = nodes.iter().filter(|(_, fits, _)| *fits).collect();
    if fitting.is_empty() {
        say_unschedulable(world, key, pod, nodes.len());
        return;
    }
    let (name, _, zone) = fitting[world.kubelet.placed % fitting.len()].clone();
    world.kubelet.placed += 1;
    let stamp = world.clock.stamp();
    world.note(SCHEDULER, "create", key, "binding");
    let placed = world.edit_quietly(SCHEDULER, key, Half::Status, |pod| {
        pod["spec"]["nodeName"] = name.clone().into();
        if let Some(zone) = zone {
            field::section(&mut pod["metadata"], "labels")["topology.kubernetes.io/zone"] =
                zone.into();
        }
        shape::set_condition(
            &mut pod["status"],
            json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp}),
        );
    });
    debug_assert!(placed.is_ok(), "the pod was found under this lock");
    let message = format!("Successfully assigned {}/{} to {name}", key.namespace, key.name);
    event::record(world, key, event::Type::Normal, "Scheduled", &message);
}

fn say_unschedulable(world: &mut World, key: &Key, pod: &Value, nodes: usize) {
    if condition(pod, "PodScheduled").is_some() {
        return;
    }
    let message = format!(
        "0/{nodes} nodes are available: {nodes} node(s) didn't match Pod's node \
         affinity/selector. preemption: 0/{nodes} nodes are available: {nodes} Preemption is not \
         helpful for scheduling."
    );
    let stamp = world.clock.stamp();
    let written = world.edit(SCHEDULER, key, Half::Status, |pod| {
        shape::set_condition(
            &mut pod["status"],
            json!({
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": message, "lastTransitionTime": stamp,
            }),
        );
    });
    debug_assert!(written.is_ok(), "the pod was found under this lock");
    event::record(world, key, event::Type::Warning, "FailedScheduling", &message);
}

/// The quality-of-service class that a pod's requests and limits make.
pub(super) fn qos_class(pod: &Value) -> &'static str {
    let mut any = false;
    let mut all = true;
    for container in field::items(pod, "/spec/containers") {
        let limits = strings(container, "/resources/limits");
        let requests = strings(container, "/resources/requests");
        any |= !limits.is_empty() || !requests.is_empty();
        all &= ["cpu", "memory"]
            .iter()
            .all(|name| limits.contains_key(*name) && limits.get(*name) == requests.get(*name));
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
