//! What a real kubelet was recorded to say (`tests/causes`), read and judged.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;
use serde_json::Value;

use super::*;
use domain::{
    observed::{
        DeploymentView, ReplicaSetView,
        failure::{self, Cause, JudgeContext, Verdict},
    },
    order::FailurePolicy,
};

fn recorded() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/causes");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap())
        })
        .collect()
}

/// What is concluded from a moment, as at the beginning of an order.
fn judged(moment: &Value) -> Option<Cause> {
    let now = moment["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|event| warning(event).at)
        .max();
    let context = JudgeContext {
        failure_policy: FailurePolicy::default(),
        since: Timestamp::UNIX_EPOCH,
        now: now.unwrap_or(Timestamp::UNIX_EPOCH),
    };
    if let Some(failed) = moment["failed"].as_array() {
        let failed: Vec<FailedPod> = failed.iter().map(failed_pod).collect();
        let now = failed.iter().filter_map(|pod| pod.at.or(pod.created_at)).max()?;
        let new = ReplicaSetView {
            name: text(&moment["replicaSet"]["metadata"]["name"]),
            failed_count: failed.len(),
            failed,
            ..ReplicaSetView::default()
        };
        let view = DeploymentView { new: Some(new), ..DeploymentView::default() };
        return failure::judge(&view, JudgeContext { now, ..context });
    }
    if moment["pod"].is_object() {
        let mut pod = pod(&moment["pod"]);
        let events = moment["events"].as_array().unwrap().iter();
        pod.warnings =
            events.filter(|event| event["involvedObject"]["kind"] == "Pod").map(warning).collect();
        return failure::judge_pod(&pod, context);
    }
    if !moment["replicaSet"].is_object() {
        let events = moment["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| is_of_deployment_controller(event));
        let set_failure = set_failure(&moment["deployment"]["status"]);
        // Either of them would do.
        let warned =
            DeploymentView { warnings: events.map(warning).collect(), ..DeploymentView::default() };
        let noted = DeploymentView { set_failure, ..DeploymentView::default() };
        let [warned, noted] = [warned, noted].map(|view| failure::judge_controller(&view, context));
        assert_eq!(
            warned.as_ref().map(|cause| &cause.sentence),
            noted.as_ref().map(|cause| &cause.sentence)
        );
        return warned;
    }
    let set =
        replica_set(&moment["replicaSet"], Key { namespace: String::new(), name: String::new() });
    let failure = set.create_failure?;
    failure::judge_set(&set.name, &failure, context).into()
}

/// Each cause and moment, what is concluded, and what the sentence must say.
const EXPECTED: &[(&str, &str, &str, &[&str])] = &[
    (
        "claim-missing",
        "named",
        "grace",
        &["cannot be scheduled", "persistentvolumeclaim \"absent\" not found"],
    ),
    (
        "command-not-found",
        "exit",
        "fatal",
        &["container web: RunContainerError", "exec: \"/absent\"", "no such file or directory"],
    ),
    ("command-not-found", "back-off", "fatal", &["CrashLoopBackOff", "exit code 128, StartError"]),
    (
        "config-map-key-missing",
        "named",
        "fatal",
        &["CreateContainerConfigError", "couldn't find key absent in ConfigMap"],
    ),
    (
        "config-map-missing",
        "named",
        "fatal",
        &["CreateContainerConfigError", "configmap \"absent\" not found"],
    ),
    ("crash-loop", "exit", "waits", &["container web: it ended after exit code 3, Error"]),
    (
        "crash-loop",
        "back-off",
        "fatal",
        &["CrashLoopBackOff", "ended last with exit code 3, Error"],
    ),
    ("image-denied", "pull-failed", "fatal", &["ErrImagePull", "401 Unauthorized"]),
    ("image-denied", "back-off", "fatal", &["ImagePullBackOff", "401 Unauthorized"]),
    ("image-name-invalid", "named", "fatal", &["InvalidImageName", "must be lowercase"]),
    (
        "image-never-pulled",
        "named",
        "fatal",
        &["ErrImageNeverPull", "is not present with pull policy of Never"],
    ),
    (
        "image-not-found",
        "pull-failed",
        "fatal",
        &["ErrImagePull", "localhost:5000/shop/web:2.0: not found"],
    ),
    (
        "image-not-found",
        "back-off",
        "fatal",
        &["ImagePullBackOff", "localhost:5000/shop/web:2.0: not found"],
    ),
    (
        "init-container-failing",
        "exit",
        "waits",
        &["init container prepare: it ended after exit code 3"],
    ),
    (
        "init-container-failing",
        "back-off",
        "fatal",
        &["init container prepare: CrashLoopBackOff", "exit code 3"],
    ),
    (
        "init-container-image-not-found",
        "pull-failed",
        "grace",
        &["init container prepare: ErrImagePull", "network is unreachable"],
    ),
    (
        "init-container-image-not-found",
        "back-off",
        "grace",
        &["init container prepare: ImagePullBackOff", "network is unreachable"],
    ),
    (
        "kubelet-rejects",
        "rejected",
        "waits",
        &["failed: SysctlForbidden", "forbidden sysctl: \"kernel.msgmax\" not allowlisted"],
    ),
    (
        "kubelet-rejects",
        "rejected-again",
        "grace",
        &["failed: SysctlForbidden", "3 pods of the ReplicaSet web-"],
    ),
    ("liveness-failing", "ready", "none", &[]),
    ("liveness-failing", "unhealthy", "none", &[]),
    (
        "liveness-failing",
        "restarted",
        "waits",
        &["it was started again", "Liveness probe failed: HTTP probe failed with statuscode: 503"],
    ),
    (
        "liveness-failing",
        "back-off",
        "fatal",
        &["CrashLoopBackOff", "Liveness probe failed: HTTP probe failed with statuscode: 503"],
    ),
    ("never-ready", "running", "waits", &["runs and is not Ready"]),
    (
        "never-ready",
        "unhealthy",
        "waits",
        &["runs and is not Ready; Readiness probe failed: HTTP probe failed with statuscode: 503"],
    ),
    ("out-of-memory", "exit", "fatal", &["it ended after exit code 137, OOMKilled"]),
    ("out-of-memory", "back-off", "fatal", &["CrashLoopBackOff", "exit code 137, OOMKilled"]),
    (
        "pod-security-refused",
        "refused",
        "fatal",
        &[
            "the ReplicaSet web-",
            "cannot create pods",
            "violates PodSecurity \"restricted:latest\"",
        ],
    ),
    ("pod-security-refused", "told-by-the-deployment", "fatal", &["violates PodSecurity"]),
    (
        "policy-refused",
        "refused",
        "fatal",
        &["ValidatingAdmissionPolicy", "images must come from the company's registry"],
    ),
    (
        "policy-refused",
        "told-by-the-deployment",
        "fatal",
        &["images must come from the company's registry"],
    ),
    ("post-start-hook-failing", "named", "fatal", &["PostStartHookError", "/absent"]),
    ("post-start-hook-failing", "back-off", "fatal", &["CrashLoopBackOff"]),
    ("program-ends", "exit", "fatal", &["it ended after exit code 0, Completed"]),
    ("program-ends", "back-off", "fatal", &["CrashLoopBackOff", "exit code 0, Completed"]),
    ("quota-exceeded", "refused", "grace", &["cannot create pods", "exceeded quota: small"]),
    ("quota-exceeded", "told-by-the-deployment", "grace", &["exceeded quota: small"]),
    (
        "readiness-refused",
        "unhealthy",
        "waits",
        &["runs and is not Ready; Readiness probe failed", "connection refused"],
    ),
    ("ready-no-more", "ready", "none", &[]),
    (
        "ready-no-more",
        "unhealthy",
        "grace",
        &["is not Ready any more; Readiness probe failed: HTTP probe failed with statuscode: 503"],
    ),
    ("registry-silent", "pull-failed", "grace", &["ErrImagePull", "connection refused"]),
    ("registry-silent", "back-off", "grace", &["ImagePullBackOff", "connection refused"]),
    ("registry-unknown", "pull-failed", "grace", &["ErrImagePull", "network is unreachable"]),
    ("registry-unknown", "back-off", "grace", &["ImagePullBackOff", "network is unreachable"]),
    (
        "replica-set-quota",
        "told",
        "grace",
        &[
            "the Deployment controller cannot go on: ReplicaSetCreateError",
            "exceeded quota: few, requested: count/replicasets.apps=1",
        ],
    ),
    (
        "replica-set-refused",
        "told",
        "fatal",
        &["the Deployment controller cannot go on", "versions are released on Mondays"],
    ),
    ("runs-as-root", "named", "fatal", &["CreateContainerConfigError", "image will run as root"]),
    (
        "secret-missing",
        "named",
        "fatal",
        &["CreateContainerConfigError", "secret \"absent\" not found"],
    ),
    (
        "service-account-missing",
        "refused",
        "grace",
        &["cannot create pods", "serviceaccount \"absent\" not found"],
    ),
    (
        "service-account-missing",
        "told-by-the-deployment",
        "grace",
        &["serviceaccount \"absent\" not found"],
    ),
    (
        "startup-probe-failing",
        "unhealthy",
        "waits",
        &["runs and is not Ready; Startup probe failed: HTTP probe failed with statuscode: 503"],
    ),
    (
        "startup-probe-failing",
        "restarted",
        "waits",
        &["it was started again", "Startup probe failed"],
    ),
    ("startup-probe-failing", "back-off", "fatal", &["CrashLoopBackOff", "Startup probe failed"]),
    (
        "unschedulable-cpu",
        "named",
        "grace",
        &["cannot be scheduled: 0/1 nodes are available: 1 Insufficient cpu"],
    ),
    (
        "unschedulable-selector",
        "named",
        "grace",
        &["cannot be scheduled", "didn't match Pod's node affinity/selector"],
    ),
    (
        "volume-missing",
        "mount-failed",
        "waits",
        &[
            "has not started, and its last warning was FailedMount",
            "configmap \"absent\" not found",
        ],
    ),
];

#[test]
fn what_a_real_kubelet_says_is_judged_and_named() {
    let mut left: Vec<(String, String)> = Vec::new();
    for (name, file) in recorded() {
        for moment in file["moments"].as_array().unwrap() {
            let at = moment["moment"].as_str().unwrap();
            let Some((_, _, expected, says)) =
                EXPECTED.iter().find(|(cause, moment, ..)| *cause == name && *moment == at)
            else {
                left.push((name.clone(), at.to_owned()));
                continue;
            };
            let cause = judged(moment);
            let verdict = match cause.as_ref().map(|cause| cause.verdict) {
                None => "none",
                Some(Verdict::Fatal) => "fatal",
                Some(Verdict::FatalAt(_)) => "grace",
                Some(Verdict::KeepWaiting) => "waits",
            };
            assert_eq!(verdict, *expected, "{name}, {at}: {cause:?}");
            let sentence = cause.map(|cause| cause.sentence).unwrap_or_default();
            assert!(
                says.iter().all(|part| sentence.contains(part)),
                "{name}, {at}: {says:?} in {sentence}"
            );
        }
    }
    assert_eq!(left, [], "recorded, and not in the table");
    let moments: usize =
        recorded().values().map(|file| file["moments"].as_array().unwrap().len()).sum();
    assert_eq!(EXPECTED.len(), moments, "in the table, and not recorded");
}

#[test]
fn a_volume_that_is_still_missing_after_some_attempts_is_given_the_grace() {
    let mut moment = recorded()["volume-missing"]["moments"][0].clone();
    // The same Event, as the kubelet writes it again at its next attempts.
    let event = &mut moment["events"][0];
    let first: Timestamp = event["firstTimestamp"].as_str().unwrap().parse().unwrap();
    (event["count"], event["lastTimestamp"]) =
        (5.into(), (first + jiff::SignedDuration::from_secs(8)).to_string().into());
    let cause = judged(&moment).unwrap();
    assert_eq!(cause.verdict, Verdict::FatalAt(first + jiff::SignedDuration::from_secs(60)));
    assert!(cause.sentence.contains("cannot start: FailedMount"), "{}", cause.sentence);
}

#[test]
fn a_pod_that_failed_is_read_with_what_its_kubelet_said() {
    let at = |second: u8| serde_json::json!(format!("2026-01-01T00:00:0{second}Z"));
    let rejected = serde_json::json!({
        "metadata": { "name": "web-1", "creationTimestamp": at(1) },
        "status": {
            "phase": "Failed", "reason": "NodeAffinity", "message": "Pod was rejected: Predicate NodeAffinity failed",
            "conditions": [{ "type": "PodScheduled", "status": "True", "lastTransitionTime": at(3) }], "startTime": at(4),
        },
    });
    let told = failed_pod(&rejected);
    assert_eq!((told.name.as_str(), told.reason.as_str()), ("web-1", "NodeAffinity"));
    assert_eq!(told.message, "Pod was rejected: Predicate NodeAffinity failed");
    let time = |value: Value| value.as_str().unwrap().parse::<Timestamp>().ok();
    assert_eq!((told.created_at, told.at), (time(at(1)), time(at(4))));
    let silent = failed_pod(
        &serde_json::json!({ "metadata": { "creationTimestamp": at(1) }, "status": { "message": "x".repeat(5000) } }),
    );
    assert_eq!((silent.at, silent.message.len()), (time(at(1)), 1000));
}

#[test]
fn an_event_that_was_given_again_says_how_often_in_either_api() {
    let times = |event: Value| warning(&event).count;
    assert_eq!(times(serde_json::json!({})), 1);
    assert_eq!(times(serde_json::json!({ "count": 5 })), 5);
    assert_eq!(
        times(
            serde_json::json!({ "series": { "count": 4, "lastObservedTime": "2026-01-01T00:00:00.5Z" } })
        ),
        4
    );
    // Some versions count a series from its second time on.
    assert_eq!(times(serde_json::json!({ "series": { "count": 1 } })), 2);
}
