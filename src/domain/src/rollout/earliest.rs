//! The earliest a pod can count, as its template and the order say: for a batch that
//! certainly cannot be done in its time.

use serde_json::Value;

use super::{min_ready_seconds_of, warm_up_seconds};
use crate::order::{Order, Snapshot};

/// Why no batch of the order can be done in its time; none where one can.
pub(in crate::rollout) fn too_slow(
    order: &Order,
    snapshot: &Snapshot,
    template: &Value,
) -> Option<String> {
    let timeout = order.target.batch_timeout_seconds;
    let own = if order.target.min_ready_seconds.is_some() {
        "BatchWaitTime"
    } else {
        "the Deployment's minReadySeconds"
    };
    let stays = [
        (i64::from(min_ready_seconds_of(order, &snapshot.settings)), own),
        (
            i64::from(order.target.failure_policy.watch_seconds),
            "the time for which new pods are watched (--batch-watch)",
        ),
        (i64::from(warm_up_seconds(order, Some(snapshot))), "the warm-up of the graceful start"),
    ];
    let (stay, what) = stays.into_iter().max_by_key(|(seconds, _)| *seconds)?;
    let (ready, container) = earliest_ready(template);
    if stay.saturating_add(ready) < timeout {
        return None;
    }
    let limit = format!("BatchTimeout {timeout} s");
    Some(match (ready, stay) {
        (0, _) => format!("{what} {stay} s is not below {limit}, so no batch can be done in time"),
        (_, 0) => format!(
            "container {container} can be Ready after {ready} s at the earliest (initialDelaySeconds of its probes), which is not below {limit}, so no batch can be done in time"
        ),
        _ => format!(
            "container {container} can be Ready after {ready} s at the earliest (initialDelaySeconds of its probes), and {what} is {stay} s: together that is not below {limit}, so no batch can be done in time"
        ),
    })
}

/// Seconds before which no pod of the template can be Ready, and the container whose
/// probes say so.
fn earliest_ready(template: &Value) -> (i64, &str) {
    let list = |name: &str| template["spec"][name].as_array().into_iter().flatten();
    // A container that runs beside the others holds them up until it has started.
    let stays = list("initContainers").filter(|container| container["restartPolicy"] == "Always");
    let before: i64 = stays.map(|container| delay(&container["startupProbe"])).sum();
    let slowest = list("containers")
        .map(|container| (after_start(container), container["name"].as_str().unwrap_or_default()));
    let (seconds, container) = slowest.max_by_key(|(seconds, _)| *seconds).unwrap_or((0, ""));
    (before.saturating_add(seconds), container)
}

/// Seconds from a container's start before which it cannot be Ready.
fn after_start(container: &Value) -> i64 {
    let readiness = &container["readinessProbe"];
    let again = if readiness.is_object() {
        let wanted =
            readiness["successThreshold"].as_i64().unwrap_or(1).clamp(1, i64::from(i32::MAX)) - 1;
        wanted.saturating_mul(
            readiness["periodSeconds"].as_i64().unwrap_or(10).clamp(1, i64::from(i32::MAX)),
        )
    } else {
        0
    };
    delay(readiness).max(delay(&container["startupProbe"])).saturating_add(again)
}

fn delay(probe: &Value) -> i64 {
    probe["initialDelaySeconds"].as_i64().unwrap_or(0).clamp(0, i64::from(i32::MAX))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!({}), 0)]
    #[case(json!({ "readinessProbe": { "initialDelaySeconds": 30 } }), 30)]
    #[case(json!({ "readinessProbe": { "initialDelaySeconds": 30 }, "startupProbe": { "initialDelaySeconds": 40 } }), 40)]
    #[case(json!({ "readinessProbe": { "periodSeconds": 5, "successThreshold": 3 } }), 10)]
    // Failing for long is allowed, and not needed.
    #[case(json!({ "startupProbe": { "failureThreshold": 100, "periodSeconds": 10 } }), 0)]
    #[case(json!({ "livenessProbe": { "initialDelaySeconds": 100 } }), 0)]
    fn a_container_is_ready_after_its_probes_first_looks_at_the_earliest(
        #[case] container: Value,
        #[case] seconds: i64,
    ) {
        let slow = json!({ "spec": { "containers": [container] } });
        assert_eq!(earliest_ready(&slow).0, seconds);
        let mut behind = slow;
        let beside =
            json!({ "restartPolicy": "Always", "startupProbe": { "initialDelaySeconds": 7 } });
        behind["spec"]["initContainers"] =
            json!([beside, { "readinessProbe": { "initialDelaySeconds": 99 } }]);
        assert_eq!(earliest_ready(&behind).0, seconds + 7);
    }
}
