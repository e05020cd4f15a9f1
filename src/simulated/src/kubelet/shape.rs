//! The parts of a pod's status: conditions, addresses, container statuses.
//!
//! As the patches of `tests/testbed/stages.yaml` write them, so that whoever reads
//! a status cannot tell the clusters apart. Pure.

use serde_json::{Value, json};

use super::super::field::{int, items, text};

pub(super) const HOST: &str = "192.0.2.2";

pub(super) fn start(status: &mut Value, pod: &Value, phase: &str, now: &str) {
    status["phase"] = phase.into();
    status["startTime"] = now.into();
    status["hostIP"] = HOST.into();
    status["hostIPs"] = json!([{"ip": HOST}]);
    let address = address(pod);
    status["podIP"] = address.clone().into();
    status["podIPs"] = json!([{"ip": address}]);
    let started: Vec<Value> = items(pod, "/spec/initContainers")
        .iter()
        .map(|container| {
            let mut status = running(container, pod, true, 0, now);
            status["imageID"] = "".into();
            if text(container, "/restartPolicy") != Some("Always") {
                status["started"] = false.into();
                status["state"] = json!({"terminated": {
                    "exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now,
                }});
            }
            status
        })
        .collect();
    if !started.is_empty() {
        status["initContainerStatuses"] = started.into();
    }
}

pub(super) fn drop_address(status: &mut Value) {
    if let Some(status) = status.as_object_mut() {
        status.remove("podIP");
        status.remove("podIPs");
        status.remove("initContainerStatuses");
    }
}

/// An address of the documentation range for the pod, the same each time.
fn address(pod: &Value) -> String {
    let sum: u32 = text(pod, "/metadata/uid")
        .unwrap_or_default()
        .bytes()
        .fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    format!("198.51.100.{}", sum % 254 + 1)
}

pub(super) fn not_ready(status: &mut Value, pod: &Value, now: &str) {
    for kind in ["PodReadyToStartContainers", "Initialized"] {
        say(status, kind, "True", None, now);
    }
    unready(status, pod, now);
}

pub(super) fn unready(status: &mut Value, pod: &Value, now: &str) {
    let names: Vec<&str> = items(pod, "/spec/containers")
        .iter()
        .filter_map(|container| text(container, "/name"))
        .collect();
    let message = format!("containers with unready status: [{}]", names.join(" "));
    for kind in ["ContainersReady", "Ready"] {
        let why = Some(("ContainersNotReady", Some(message.as_str())));
        say(status, kind, "False", why, now);
    }
}

pub(super) fn say(
    status: &mut Value,
    kind: &str,
    value: &str,
    why: Option<(&str, Option<&str>)>,
    now: &str,
) {
    let mut condition = json!({"type": kind, "status": value, "lastTransitionTime": now});
    if let Some((reason, message)) = why {
        condition["reason"] = reason.into();
        if let Some(message) = message {
            condition["message"] = message.into();
        }
    }
    set_condition(status, condition);
}

/// Puts a condition in the place of the one of the same type.
pub(super) fn set_condition(status: &mut Value, condition: Value) {
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(list) = status["conditions"].as_array_mut() else {
        return;
    };
    match list.iter_mut().find(|c| c["type"] == condition["type"]) {
        Some(known) => *known = condition,
        None => list.push(condition),
    }
}

/// Replaces the container statuses; `make` gets each container and its status so
/// far.
pub(super) fn containers(status: &mut Value, pod: &Value, make: impl Fn(&Value, &Value) -> Value) {
    let statuses: Vec<Value> = items(pod, "/spec/containers")
        .iter()
        .enumerate()
        .map(|(i, container)| make(container, &status["containerStatuses"][i]))
        .collect();
    status["containerStatuses"] = statuses.into();
}

pub(super) fn image(container: &Value) -> &str {
    text(container, "/image").unwrap_or_default()
}

pub(super) fn restarts(was: &Value) -> i64 {
    int(was, "/restartCount").unwrap_or(0)
}

fn container_id(pod: &Value) -> String {
    format!("fake://{}", text(pod, "/metadata/uid").unwrap_or_default())
}

pub(super) fn running(
    container: &Value,
    pod: &Value,
    ready: bool,
    restarts: i64,
    since: &str,
) -> Value {
    json!({
        "name": container["name"],
        "image": image(container),
        "imageID": image(container),
        "containerID": container_id(pod),
        "ready": ready,
        "started": true,
        "restartCount": restarts,
        "state": {"running": {"startedAt": since}},
        "lastState": {},
    })
}

pub(super) fn waiting(container: &Value, reason: &str, message: Option<String>) -> Value {
    let mut state = json!({"reason": reason});
    if let Some(message) = message {
        state["message"] = message.into();
    }
    json!({
        "name": container["name"],
        "image": image(container),
        "imageID": "",
        "ready": false,
        "started": false,
        "restartCount": 0,
        "state": {"waiting": state},
        "lastState": {},
    })
}

pub(super) fn crashed(container: &Value, pod: &Value, was: &Value, now: &str) -> Value {
    let name = |pointer| text(pod, pointer).unwrap_or_default();
    let why = format!(
        "back-off restarting failed container={} pod={}_{}({})",
        text(container, "/name").unwrap_or_default(),
        name("/metadata/name"),
        name("/metadata/namespace"),
        name("/metadata/uid"),
    );
    let mut status = waiting(container, "CrashLoopBackOff", Some(why));
    status["imageID"] = image(container).into();
    status["containerID"] = container_id(pod).into();
    status["restartCount"] = restarts(was).into();
    status["lastState"] = json!({"terminated": {
        "exitCode": 1,
        "reason": "Error",
        "containerID": container_id(pod),
        "startedAt": text(was, "/state/running/startedAt").unwrap_or(now),
        "finishedAt": now,
    }});
    status
}
