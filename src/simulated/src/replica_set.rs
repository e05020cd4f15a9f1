//! The ReplicaSet controller: as many pods as asked for, and how they are.
//!
//! Follows `pkg/controller/replicaset` of Kubernetes 1.37: pods not yet running
//! or not Ready go first when there are too many, then the youngest; a pod is
//! available once it was Ready for the `minReadySeconds` of *this* ReplicaSet,
//! which is looked at again when that time has passed. The status written is that
//! of before the pods just made or taken away, as in Kubernetes; their changes
//! bring the next look.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use kube::core::Selector;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::clock::Clock;
use super::deployment::{controller_reference, release};
use super::field::{self, condition, count, int, items, text};
use super::kind::Kind;
use super::objects::Key;
use super::queue::Work;
use super::refusal::Refusal;
use super::world::{CONTROLLERS, Half, World};
use super::{event, garbage, selector};

/// Pods that are made or deleted in one go: each of them makes the set be looked at
/// again, so that the others follow, and requests come in between.
const BURST: usize = 50;

/// A pod with its key.
type Pod = (Key, Arc<Value>);

/// Looks at a ReplicaSet and makes or deletes pods.
pub(super) fn sync(world: &mut World, key: &Key) -> Result<(), Refusal> {
    let Some(set) = world.objects.get(key).cloned() else {
        return Ok(());
    };
    let Some(wanted) = selector::of_object(&set) else {
        return Ok(());
    };
    let deleting = text(&set, "/metadata/deletionTimestamp").is_some();
    let (active, ending) = claim(world, key, &set, &wanted, deleting)?;
    let managed = if deleting { Ok(()) } else { manage(world, key, &set, &active) };
    write_status(world, key, &set, &active, ending, &managed)?;
    check_again(world, key, &set, &active);
    managed
}

/// The set's pods that count, and how many are ending. Ownerless pods that match
/// are adopted, owned ones that do not match any more are let go.
fn claim(
    world: &mut World,
    key: &Key,
    set: &Value,
    wanted: &Selector,
    deleting: bool,
) -> Result<(Vec<Pod>, usize), Refusal> {
    let uid = text(set, "/metadata/uid").unwrap_or_default();
    let mut keys = world.objects.dependents(uid);
    if !deleting {
        for orphan in world.objects.orphans(Kind::Pod, &key.namespace) {
            let pod = world.present(&orphan)?;
            if is_active(&pod) && selector::matches(wanted, &pod, "/metadata/labels") {
                let reference = controller_reference(Kind::ReplicaSet, set);
                world.edit(CONTROLLERS, &orphan, Half::Spec, |pod| {
                    pod["metadata"]["ownerReferences"] = json!([reference]);
                })?;
                keys.push(orphan);
            }
        }
    }
    let mut active = Vec::new();
    let mut ending = 0;
    for pod_key in keys.into_iter().filter(|key| key.kind == Kind::Pod) {
        let Some(pod) = world.objects.get(&pod_key).cloned() else {
            continue;
        };
        let ours = selector::matches(wanted, &pod, "/metadata/labels");
        if is_active(&pod) {
            if ours {
                active.push((pod_key, pod));
            } else {
                release(world, &pod_key, uid)?;
            }
        } else if ours && !has_ended(&pod) {
            ending += 1;
        }
    }
    Ok((active, ending))
}

fn has_ended(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), Some("Succeeded" | "Failed"))
}

fn is_active(pod: &Value) -> bool {
    !has_ended(pod) && text(pod, "/metadata/deletionTimestamp").is_none()
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|ready| text(ready, "/status") == Some("True"))
}

/// For how many seconds a pod has to stay Ready until it is available; none when
/// it is not Ready.
fn seconds_to_available(pod: &Value, min_ready: i32, clock: &Clock) -> Option<f64> {
    let ready = condition(pod, "Ready").filter(|c| text(c, "/status") == Some("True"))?;
    if min_ready == 0 {
        return Some(0.0);
    }
    let since = clock.since(text(ready, "/lastTransitionTime")?)?;
    Some(f64::from(min_ready) - since.as_secs_f64())
}

fn is_available(pod: &Value, min_ready: i32, clock: &Clock) -> bool {
    seconds_to_available(pod, min_ready, clock).is_some_and(|left| left <= 0.0)
}

fn manage(world: &mut World, key: &Key, set: &Value, active: &[Pod]) -> Result<(), Refusal> {
    let wanted = usize::try_from(count(set, "/spec/replicas")).unwrap_or(0);
    if active.len() < wanted {
        for _ in (active.len()..wanted).take(BURST) {
            make_pod(world, key, set)?;
        }
    } else if active.len() > wanted {
        let mut pods: Vec<&Pod> = active.iter().collect();
        let clock = world.clock;
        pods.sort_by_cached_key(|(_, pod)| rank(pod, &clock));
        for (pod, _) in pods.into_iter().take((active.len() - wanted).min(BURST)) {
            garbage::take_away(world, pod)?;
            let message = format!("Deleted pod: {}", pod.name);
            event::record(world, key, event::Type::Normal, "SuccessfulDelete", &message);
        }
    }
    Ok(())
}

fn make_pod(world: &mut World, key: &Key, set: &Value) -> Result<(), Refusal> {
    let template = &set["spec"]["template"];
    let mut metadata = json!({
        "generateName": format!("{}-", key.name),
        "ownerReferences": [controller_reference(Kind::ReplicaSet, set)],
    });
    for part in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(part) {
            metadata[part] = value.clone();
        }
    }
    let pod = json!({"metadata": metadata, "spec": template["spec"]});
    match world.create(CONTROLLERS, Kind::Pod, &key.namespace, pod) {
        Ok(pod) => {
            let name = text(&pod, "/metadata/name").unwrap_or_default();
            world.note(CONTROLLERS, "create", &Key::new(Kind::Pod, &key.namespace, name), "");
            let message = format!("Created pod: {name}");
            event::record(world, key, event::Type::Normal, "SuccessfulCreate", &message);
            Ok(())
        }
        // Nothing can be made there any more: no failure of this set.
        Err(refusal) if refusal.code == 403 => Ok(()),
        Err(refusal) => {
            let message = format!("Error creating: {}", refusal.message);
            event::record(world, key, event::Type::Warning, "FailedCreate", &message);
            Err(refusal)
        }
    }
}

/// Which pods go first: the lowest rank.
type Rank = (bool, u8, bool, i64, i64, Reverse<i64>, i64, String);

fn rank(pod: &Value, clock: &Clock) -> Rank {
    let ready = is_ready(pod);
    let phase = match text(pod, "/status/phase") {
        Some("Running") => 2,
        Some("Unknown") => 1,
        _ => 0,
    };
    let cost = pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"]
        .as_str()
        .and_then(|cost| cost.parse().ok())
        .unwrap_or(0);
    let restarts = items(pod, "/status/containerStatuses")
        .iter()
        .filter_map(|status| int(status, "/restartCount"))
        .max()
        .unwrap_or(0);
    let ready_for = condition(pod, "Ready")
        .filter(|_| ready)
        .and_then(|c| text(c, "/lastTransitionTime"))
        .map_or(0, |stamp| magnitude(stamp, clock));
    let age = text(pod, "/metadata/creationTimestamp").map_or(0, |stamp| magnitude(stamp, clock));
    (
        text(pod, "/spec/nodeName").is_some(),
        phase,
        ready,
        cost,
        ready_for,
        Reverse(restarts),
        age,
        text(pod, "/metadata/uid").unwrap_or_default().to_owned(),
    )
}

/// Ages are compared by their order of magnitude only, as in Kubernetes, so that
/// among pods of about the same age chance (the uid) decides.
fn magnitude(stamp: &str, clock: &Clock) -> i64 {
    let nanos = clock.since(stamp).map_or(0, |since| since.as_nanos()).max(0);
    nanos.checked_ilog2().map_or(-1, i64::from)
}

fn write_status(
    world: &mut World,
    key: &Key,
    set: &Value,
    active: &[Pod],
    ending: usize,
    managed: &Result<(), Refusal>,
) -> Result<(), Refusal> {
    let min_ready = count(set, "/spec/minReadySeconds");
    let labels = field::strings(set, "/spec/template/metadata/labels");
    let labelled = |pod: &Value| {
        let own = field::strings(pod, "/metadata/labels");
        labels.iter().all(|(key, value)| own.get(key) == Some(value))
    };
    let number =
        |chosen: &dyn Fn(&Value) -> bool| active.iter().filter(|(_, pod)| chosen(pod)).count();
    let mut status = json!({
        "replicas": active.len(),
        "observedGeneration": int(set, "/metadata/generation").unwrap_or(0),
        "terminatingReplicas": ending,
    });
    for (name, number) in [
        ("fullyLabeledReplicas", number(&labelled)),
        ("readyReplicas", number(&is_ready)),
        ("availableReplicas", number(&|pod| is_available(pod, min_ready, &world.clock))),
    ] {
        if number > 0 {
            status[name] = number.into();
        }
    }
    if let Err(refusal) = managed {
        let wanted = usize::try_from(count(set, "/spec/replicas")).unwrap_or(0);
        let reason = if active.len() < wanted { "FailedCreate" } else { "FailedDelete" };
        let known = condition(set, "ReplicaFailure").cloned();
        status["conditions"] = json!([known.unwrap_or_else(|| json!({
            "type": "ReplicaFailure", "status": "True", "reason": reason,
            "message": refusal.message, "lastTransitionTime": world.clock.stamp(),
        }))]);
    }
    if set.get("status") == Some(&status) {
        return Ok(());
    }
    world.edit(CONTROLLERS, key, Half::Status, |set| {
        set["status"] = status;
    })?;
    Ok(())
}

/// Comes back when the next Ready pod becomes available by the passing of time.
fn check_again(world: &mut World, key: &Key, set: &Value, active: &[Pod]) {
    let min_ready = count(set, "/spec/minReadySeconds");
    let next = active
        .iter()
        .filter_map(|(_, pod)| seconds_to_available(pod, min_ready, &world.clock))
        .filter(|left| *left > 0.0)
        .min_by(f64::total_cmp);
    if let Some(left) = next {
        let at = Instant::now() + Duration::from_secs_f64(left);
        world.queue.add_at(Work::ReplicaSet(key.clone()), at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock::start()
    }

    fn pod(phase: &str, node: bool, ready_since: Option<&str>) -> Value {
        let mut pod = json!({
            "metadata": {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {},
            "status": {"phase": phase},
        });
        if node {
            pod["spec"]["nodeName"] = json!("fake-1");
        }
        if let Some(since) = ready_since {
            pod["status"]["conditions"] =
                json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]);
        }
        pod
    }

    #[test]
    fn pods_go_in_the_order_of_how_little_they_are_worth() {
        let clock = clock();
        let long_ago = Some("2026-01-01T00:00:00Z");
        let now = clock.stamp();
        let mut restarted = pod("Running", true, long_ago);
        restarted["status"]["containerStatuses"] = json!([{"restartCount": 3}]);
        let mut cheap = pod("Running", true, long_ago);
        cheap["metadata"]["annotations"] =
            json!({"controller.kubernetes.io/pod-deletion-cost": "-5"});
        let mut dear = pod("Running", true, long_ago);
        dear["metadata"]["annotations"] =
            json!({"controller.kubernetes.io/pod-deletion-cost": "5"});
        let order = [
            pod("Pending", false, None),
            pod("Pending", true, None),
            pod("Running", true, None),
            cheap,
            pod("Running", true, Some(&now)),
            restarted,
            pod("Running", true, long_ago),
            dear,
        ];
        let ranks: Vec<Rank> = order.iter().map(|pod| rank(pod, &clock)).collect();
        assert!(ranks.is_sorted(), "{ranks:#?}");
    }

    #[test]
    fn a_pod_is_available_once_it_was_ready_long_enough() {
        let clock = clock();
        let ready = pod("Running", true, Some(&clock.stamp()));
        assert!(is_available(&ready, 0, &clock));
        assert!(!is_available(&ready, 60, &clock));
        let left = seconds_to_available(&ready, 60, &clock).unwrap();
        assert!(left > 58.0 && left <= 60.0, "{left}");
        let long_ready = pod("Running", true, Some("2020-01-01T00:00:00Z"));
        assert!(is_available(&long_ready, 60, &clock));
        assert!(!is_available(&pod("Running", true, None), 0, &clock));
    }
}
