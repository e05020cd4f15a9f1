//! A Deployment's status: counts, and whether it gets on.
//!
//! Conditions keep `lastTransitionTime` while their status stays, and are not
//! touched at all while status and reason stay; only progress itself is stamped
//! anew each time. Without a deadline nothing is said about progress.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::field::{count, int, items, text};
use super::super::queue::Work;
use super::super::refusal::Refusal;
use super::super::world::{CONTROLLERS, Half, World};
use super::view::{Deployment, ReplicaSet};

/// A condition of the status as this look has it.
pub(super) fn find<'a>(deployment: &'a Deployment, kind: &str) -> Option<&'a Value> {
    condition(&deployment.status, kind)
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    items(status, "/conditions").iter().find(|condition| text(condition, "/type") == Some(kind))
}

/// Sets a condition, unless it says the same already.
pub(super) fn set(
    world: &World,
    status: &mut Value,
    kind: &str,
    value: &str,
    reason: &str,
    message: &str,
) {
    let now = world.clock.stamp();
    let mut since = now.clone();
    if let Some(old) = condition(status, kind)
        && text(old, "/status") == Some(value)
    {
        if text(old, "/reason") == Some(reason) {
            return;
        }
        since = text(old, "/lastTransitionTime").unwrap_or(&now).to_owned();
    }
    drop_condition(status, kind);
    push(
        status,
        json!({
            "type": kind, "status": value, "reason": reason, "message": message,
            "lastUpdateTime": now, "lastTransitionTime": since,
        }),
    );
}

fn push(status: &mut Value, condition: Value) {
    match status["conditions"].as_array_mut() {
        Some(list) => list.push(condition),
        None => status["conditions"] = json!([condition]),
    }
}

fn drop_condition(status: &mut Value, kind: &str) {
    if let Some(list) = status["conditions"].as_array_mut() {
        list.retain(|condition| text(condition, "/type") != Some(kind));
        if list.is_empty() {
            super::field::remove(status, "", "conditions");
        }
    }
}

/// Says in the status that the Deployment was paused or resumed, so that the time
/// in between does not count against its deadline.
pub(super) fn note_pause(world: &mut World, deployment: &mut Deployment) -> Result<(), Refusal> {
    if deployment.deadline.is_none() {
        return Ok(());
    }
    let reason = find(deployment, "Progressing").and_then(|c| text(c, "/reason"));
    if reason == Some("ProgressDeadlineExceeded") {
        return Ok(());
    }
    let said = reason == Some("DeploymentPaused");
    let (reason, message) = match (deployment.paused, said) {
        (true, false) => ("DeploymentPaused", "Deployment is paused"),
        (false, true) => ("DeploymentResumed", "Deployment is resumed"),
        _ => return Ok(()),
    };
    set(world, &mut deployment.status, "Progressing", "Unknown", reason, message);
    let status = deployment.status.clone();
    deployment.object = world.edit(CONTROLLERS, &deployment.key, Half::Status, |object| {
        object["status"] = status;
    })?;
    Ok(())
}

/// Whether all pods are new and available and no old one is left.
pub(super) fn is_complete(deployment: &Deployment, status: &Value) -> bool {
    ["/updatedReplicas", "/replicas", "/availableReplicas"]
        .iter()
        .all(|pointer| count(status, pointer) == deployment.replicas)
        && int(status, "/observedGeneration").unwrap_or(0) >= deployment.generation
}

/// Writes the status of a Deployment that does not roll.
pub(super) fn write(
    world: &mut World,
    deployment: &Deployment,
    new: &Option<ReplicaSet>,
    old: &[ReplicaSet],
) -> Result<(), Refusal> {
    let status = counted(world, deployment, new, old);
    store(world, deployment, status)
}

/// Writes the status of a Deployment that rolls, with its progress.
pub(super) fn write_rollout(
    world: &mut World,
    deployment: &Deployment,
    new: &Option<ReplicaSet>,
    old: &[ReplicaSet],
) -> Result<(), Refusal> {
    let mut status = counted(world, deployment, new, old);
    match deployment.deadline {
        None => drop_condition(&mut status, "Progressing"),
        Some(deadline) => judge(world, deployment, new, &mut status, deadline),
    }
    match failure(new, old) {
        Some(failure) => {
            let same =
                |a: &Value, b: &Value| a["status"] == b["status"] && a["reason"] == b["reason"];
            let known = condition(&status, "ReplicaFailure");
            if !known.is_some_and(|known| same(known, &failure)) {
                drop_condition(&mut status, "ReplicaFailure");
                push(&mut status, failure);
            }
        }
        None => drop_condition(&mut status, "ReplicaFailure"),
    }
    look_again(world, deployment, &status);
    store(world, deployment, status)
}

fn store(world: &mut World, deployment: &Deployment, status: Value) -> Result<(), Refusal> {
    let stored = world.present(&deployment.key)?;
    if stored.get("status") == Some(&status) {
        return Ok(());
    }
    world.edit(CONTROLLERS, &deployment.key, Half::Status, |object| {
        object["status"] = status;
    })?;
    Ok(())
}

/// The counts and the condition Available; other conditions as they were.
fn counted(
    world: &World,
    deployment: &Deployment,
    new: &Option<ReplicaSet>,
    old: &[ReplicaSet],
) -> Value {
    let sum = |of: fn(&ReplicaSet) -> i32| old.iter().chain(new).map(of).sum::<i32>();
    let available = sum(|set| set.available);
    let unavailable = (sum(|set| set.replicas) - available).max(0);
    let mut status = json!({"observedGeneration": deployment.generation});
    for (key, number) in [
        ("replicas", sum(|set| set.actual)),
        ("updatedReplicas", new.as_ref().map_or(0, |set| set.actual)),
        ("readyReplicas", sum(|set| set.ready)),
        ("availableReplicas", available),
        ("unavailableReplicas", unavailable),
        ("collisionCount", count(&deployment.status, "/collisionCount")),
    ] {
        if number != 0 {
            status[key] = number.into();
        }
    }
    status["terminatingReplicas"] =
        sum(|set| count(&set.object, "/status/terminatingReplicas")).into();
    if let Some(conditions) = deployment.status.get("conditions") {
        status["conditions"] = conditions.clone();
    }
    let (value, reason, message) = if available
        >= deployment.replicas - deployment.max_unavailable()
    {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set(world, &mut status, "Available", value, reason, message);
    status
}

/// Whether it is done, gets on, or has taken too long.
fn judge(
    world: &World,
    deployment: &Deployment,
    new: &Option<ReplicaSet>,
    status: &mut Value,
    deadline: i32,
) {
    let known = find(deployment, "Progressing").cloned();
    let reason = known.as_ref().and_then(|c| text(c, "/reason"));
    let was_complete = count(status, "/replicas") == count(status, "/updatedReplicas")
        && reason == Some("NewReplicaSetAvailable");
    if was_complete {
        return;
    }
    let subject = new.as_ref().map_or_else(
        || format!("Deployment {:?}", deployment.key.name),
        |set| format!("ReplicaSet {:?}", set.key.name),
    );
    if is_complete(deployment, status) {
        let message = format!("{subject} has successfully progressed.");
        set(world, status, "Progressing", "True", "NewReplicaSetAvailable", &message);
    } else if has_progressed(&deployment.status, status) {
        let now = world.clock.stamp();
        let since = known
            .as_ref()
            .filter(|c| text(c, "/status") == Some("True"))
            .and_then(|c| text(c, "/lastTransitionTime"))
            .unwrap_or(&now)
            .to_owned();
        drop_condition(status, "Progressing");
        push(
            status,
            json!({
                "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
                "message": format!("{subject} is progressing."),
                "lastUpdateTime": now, "lastTransitionTime": since,
            }),
        );
    } else if has_timed_out(world, status, deadline) {
        let message = format!("{subject} has timed out progressing.");
        set(world, status, "Progressing", "False", "ProgressDeadlineExceeded", &message);
    }
}

fn has_progressed(before: &Value, after: &Value) -> bool {
    let old_pods = |s: &Value| count(s, "/replicas") - count(s, "/updatedReplicas");
    let more = |pointer| count(after, pointer) > count(before, pointer);
    more("/updatedReplicas")
        || old_pods(after) < old_pods(before)
        || more("/readyReplicas")
        || more("/availableReplicas")
}

fn has_timed_out(world: &World, status: &Value, deadline: i32) -> bool {
    let Some(known) = condition(status, "Progressing") else {
        return false;
    };
    match text(known, "/reason") {
        Some("NewReplicaSetAvailable") => false,
        Some("ProgressDeadlineExceeded") => true,
        _ => text(known, "/lastUpdateTime")
            .and_then(|stamp| world.clock.since(stamp))
            .is_some_and(|passed| passed.as_secs() >= i64::from(deadline)),
    }
}

/// Comes back when the deadline may have passed.
fn look_again(world: &mut World, deployment: &Deployment, status: &Value) {
    let Some(deadline) = deployment.deadline else {
        return;
    };
    let Some(known) = condition(status, "Progressing") else {
        return;
    };
    let settled = matches!(
        text(known, "/reason"),
        Some("ProgressDeadlineExceeded" | "NewReplicaSetAvailable")
    );
    if settled || is_complete(deployment, status) {
        return;
    }
    let passed = text(known, "/lastUpdateTime")
        .and_then(|stamp| world.clock.since(stamp))
        .map_or(0, |passed| passed.as_secs());
    // A second more, for time stamps have none of the fractions.
    let left = u64::try_from(i64::from(deadline) - passed).unwrap_or(0) + 1;
    let at = Instant::now() + Duration::from_secs(left);
    world.queue.add_at(Work::Deployment(deployment.key.clone()), at);
}

/// The first failure to make or delete pods that a set reports, the new one's
/// before all others.
fn failure(new: &Option<ReplicaSet>, old: &[ReplicaSet]) -> Option<Value> {
    new.iter().chain(old).find_map(|set| {
        let found = super::field::condition(&set.object, "ReplicaFailure")?;
        let mut failure = found.clone();
        failure["lastUpdateTime"] = found["lastTransitionTime"].clone();
        Some(failure)
    })
}
