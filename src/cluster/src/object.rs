//! Reading Kubernetes objects: from the JSON of the watches to what decisions need.
//!
//! Pure. Fields that are missing or of another form read as nothing: an object
//! that a newer Kubernetes writes must not stop a release.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{FIELD_MANAGER, key::Key};
use domain::{
    observed::{ContainerState, ContainerView, CreateFailure, Ending, FailedPod, PodView, Warning},
    template::{ownership, settings::BorrowedSettings},
};

/// Characters that are kept of what is said of a pod that failed: there may be many.
const LONGEST_MESSAGE: usize = 1000;

/// A ReplicaSet as far as it matters.
#[derive(Debug)]
pub(super) struct ReplicaSet {
    pub resource_version: u64,
    pub name: String,
    pub created_at: Option<Timestamp>,
    pub template: Arc<Value>,
    pub desired: i32,
    pub min_ready_seconds: i32,
    pub status_replicas: i32,
    pub available: i32,
    pub observed: bool,
    pub create_failure: Option<CreateFailure>,
    pub deployment: Option<Key>,
}

/// An object's resourceVersion as a number; 0 if it has none. Kubernetes says
/// since 1.35 that they may be compared; in fact they always were revisions of etcd.
pub(super) fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

/// A whole number; 0 if it is none.
pub(super) fn number(value: &Value) -> i32 {
    value.as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or(0)
}

/// Uid and name of the object of this kind that controls `object`.
pub(super) fn controller(object: &Value, kind: &str) -> Option<(String, String)> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true && owner["kind"] == kind)?;
    Some((owner["uid"].as_str()?.to_owned(), owner["name"].as_str()?.to_owned()))
}

/// Kind and name of whatever controls `object`.
pub(super) fn any_controller(object: &Value) -> Option<String> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    Some(format!("{} {}", owner["kind"].as_str()?, owner["name"].as_str()?))
}

/// Who owns the fields of a Deployment's spec. While its settings are borrowed, they are
/// owned by nobody else any more, and not by us for good.
pub(super) fn owners(object: &Value) -> Value {
    let mut owners = ownership::of_spec(&object["metadata"]["managedFields"]);
    if BorrowedSettings::read_from(object).is_some() {
        for entry in owners
            .as_array_mut()
            .into_iter()
            .flatten()
            .filter(|entry| entry["manager"] == FIELD_MANAGER)
        {
            if let Some(spec) = entry.pointer_mut("/fieldsV1/f:spec").and_then(Value::as_object_mut)
            {
                spec.retain(|field, _| {
                    !["f:strategy", "f:minReadySeconds", "f:progressDeadlineSeconds", "f:paused"]
                        .contains(&field.as_str())
                });
            }
        }
    }
    owners
}

/// Who else wrote this field of the spec last. Times are whole seconds, so our own
/// writes are left out instead of compared.
pub(super) fn other_manager(metadata: &Value, field: &str) -> Option<String> {
    let writes = metadata["managedFields"].as_array()?.iter();
    let others = writes.filter(|write| {
        write["manager"] != FIELD_MANAGER && !write["fieldsV1"]["f:spec"][field].is_null()
    });
    let newest = others.max_by_key(|write| write["time"].as_str().map(str::to_owned))?;
    newest["manager"].as_str().map(str::to_owned)
}

pub(super) fn replica_set(object: &Value, deployment: Key) -> ReplicaSet {
    let (spec, status) = (&object["spec"], &object["status"]);
    let failure =
        condition(status, "ReplicaFailure").filter(|condition| condition["status"] == "True");
    ReplicaSet {
        resource_version: version(object),
        name: text(&object["metadata"]["name"]),
        created_at: time(&object["metadata"]["creationTimestamp"]),
        template: Arc::new(spec["template"].clone()),
        desired: number(&spec["replicas"]),
        min_ready_seconds: number(&spec["minReadySeconds"]),
        status_replicas: number(&status["replicas"]),
        available: number(&status["availableReplicas"]),
        observed: status["observedGeneration"].as_i64().unwrap_or(0)
            >= object["metadata"]["generation"].as_i64().unwrap_or(0),
        create_failure: failure.map(|condition| CreateFailure {
            message: text(&condition["message"]),
            since: time(&condition["lastTransitionTime"]),
        }),
        deployment: Some(deployment),
    }
}

/// Why the Deployment controller could not make a ReplicaSet, as it wrote that down.
pub(super) fn set_failure(status: &Value) -> Option<CreateFailure> {
    let progressing = condition(status, "Progressing")
        .filter(|it| it["status"] == "False" && it["reason"] == "ReplicaSetCreateError")?;
    Some(CreateFailure {
        message: text(&progressing["message"]),
        since: time(&progressing["lastUpdateTime"]),
    })
}

/// Whether an Event is the Deployment controller's, and no other program's.
pub(super) fn is_of_deployment_controller(event: &Value) -> bool {
    [&event["source"]["component"], &event["reportingComponent"]]
        .into_iter()
        .any(|it| it == "deployment-controller")
}

/// A pod, without the warnings about it.
pub(super) fn pod(object: &Value) -> PodView {
    let (metadata, status) = (&object["metadata"], &object["status"]);
    let ready = condition(status, "Ready");
    let since = |value: &str| {
        ready
            .filter(|ready| ready["status"] == value)
            .and_then(|ready| time(&ready["lastTransitionTime"]))
    };
    let unscheduled = |reason: &str| {
        condition(status, "PodScheduled")
            .filter(|scheduled| scheduled["status"] == "False" && scheduled["reason"] == reason)
            .map(|scheduled| text(&scheduled["message"]))
    };
    let containers = [("initContainerStatuses", true), ("containerStatuses", false)];
    let containers = containers.into_iter().flat_map(|(list, is_init)| {
        status[list]
            .as_array()
            .into_iter()
            .flatten()
            .map(move |container| container_view(container, is_init))
    });
    PodView {
        name: text(&metadata["name"]),
        ip: text(&status["podIP"]),
        phase: text(&status["phase"]),
        created_at: time(&metadata["creationTimestamp"]),
        ready_since: since("True"),
        unready_since: since("False"),
        is_lost: is_held_back(status) && gated(status).is_none(),
        gated: gated(status),
        troubled_since: None,
        unschedulable: unscheduled("Unschedulable"),
        scheduling_gated: unscheduled("SchedulingGated"),
        containers: containers.collect(),
        warnings: Vec::new(),
    }
}

/// Whether a pod is not Ready although all its containers are.
fn is_held_back(status: &Value) -> bool {
    let is = |kind, value| condition(status, kind).is_some_and(|it| it["status"] == value);
    is("Ready", "False") && is("ContainersReady", "True")
}

/// Why a pod is not Ready whose containers all are.
fn gated(status: &Value) -> Option<String> {
    let ready = condition(status, "Ready").filter(|_| is_held_back(status))?;
    [&ready["message"], &ready["reason"]].into_iter().map(text).find(|said| !said.is_empty())
}

/// A pod in the phase `Failed`. A kubelet that rejects a pod says no time: it does so
/// when it sees the pod first.
pub(super) fn failed_pod(object: &Value) -> FailedPod {
    let (metadata, status) = (&object["metadata"], &object["status"]);
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let changed = conditions.filter_map(|condition| time(&condition["lastTransitionTime"])).max();
    let created_at = time(&metadata["creationTimestamp"]);
    FailedPod {
        name: text(&metadata["name"]),
        reason: text(&status["reason"]),
        message: text(&status["message"]).chars().take(LONGEST_MESSAGE).collect(),
        created_at,
        at: changed.max(time(&status["startTime"])).max(created_at),
    }
}

fn container_view(status: &Value, is_init: bool) -> ContainerView {
    let state = &status["state"];
    ContainerView {
        name: text(&status["name"]),
        image: text(&status["image"]),
        is_init,
        state: match (state.get("running"), ending(&state["terminated"])) {
            (Some(running), _) => ContainerState::Running { since: time(&running["startedAt"]) },
            (None, Some(ending)) => ContainerState::Ended(ending),
            // A container of which nothing is said yet waits, too.
            (None, None) => ContainerState::Waiting {
                reason: text(&state["waiting"]["reason"]),
                message: text(&state["waiting"]["message"]),
            },
        },
        last: ending(&status["lastState"]["terminated"]),
        restarts: number(&status["restartCount"]),
    }
}

fn ending(terminated: &Value) -> Option<Ending> {
    Some(Ending {
        exit_code: i32::try_from(terminated["exitCode"].as_i64()?).ok()?,
        reason: text(&terminated["reason"]),
        message: text(&terminated["message"]),
        at: time(&terminated["finishedAt"]),
    })
}

/// An Event, as far as it matters. One that was given again says so in either of
/// two ways, by the API that wrote it.
pub(super) fn warning(event: &Value) -> Warning {
    let times = [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["eventTime"],
        &event["firstTimestamp"],
    ];
    let created = time(&event["metadata"]["creationTimestamp"]);
    // A series has been given twice at least.
    let series = event["series"].is_object().then(|| number(&event["series"]["count"]).max(2));
    let total = series.unwrap_or(1).max(number(&event["count"]));
    Warning {
        reason: text(&event["reason"]),
        message: text(&event["message"]),
        first: [&event["firstTimestamp"], &event["eventTime"]]
            .into_iter()
            .find_map(time)
            .or(created),
        at: times.into_iter().filter_map(time).max().or(created),
        before: None,
        count: total,
        total,
    }
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
