//! The earliest time at which a pod can count as available, by its template and the order:
//! to find batches that certainly cannot be done in their time.

use serde_json::Value;

use super::{change, min_ready_seconds_of, own_settings, warm_up_seconds};
use crate::{
    Input,
    observed::DeploymentView,
    order::{DeploymentBefore, Order},
    template::{
        sameness::is_same,
        share::{self, Rounding},
    },
};

/// Why no batch of the release can be done in its time; none where one can. `replicas` is
/// how many pods there are to be.
pub(in crate::rollout) fn too_slow(
    order: &Order,
    snapshot: &DeploymentBefore,
    view: &DeploymentView,
    replicas: i32,
) -> Option<String> {
    let template = change::template(order, &snapshot.template);
    let min_ready = i64::from(min_ready_seconds_of(order, &snapshot.settings));
    let warm_up = i64::from(warm_up_seconds(order, Some(snapshot)));
    let given = format!("the {}", Input::MinReadyTime);
    let own = if order.target.min_ready_seconds.is_some() {
        given.as_str()
    } else {
        "the Deployment's minReadySeconds"
    };
    let stays = [
        (min_ready, own),
        (
            i64::from(order.target.failure_policy.watch_seconds),
            "the time for which new pods are watched (--batch-watch)",
        ),
        (warm_up, "the warm-up of the graceful start"),
    ];
    let unit = if order.kind.is_timed_as_a_whole() { "order" } else { "batch" };
    let one = Wave::of(&template, &stays);
    if let Some(why) = one.as_ref().and_then(|wave| wave.too_slow(order, unit)) {
        return Some(why);
    }
    // Of several batches each brings its pods at once. Of one Kubernetes waits until some
    // count before it lets others come, and knows of these two times only.
    let (waves, by) = waves(order, snapshot, view, &template, replicas);
    let each = Wave::of(&template, &[stays[0], stays[2]])?;
    let least = i64::from(waves - 1)
        .saturating_mul(each.seconds())
        .saturating_add(one.map_or(0, |wave| wave.seconds()));
    let timeout = order.target.batch_timeout_seconds;
    (waves > 1 && each.seconds() > 0 && least >= timeout).then(|| {
        format!(
            "{replicas} pods come in {waves} waves, since the Deployment's strategy allows {by} at once, and {}: together that is {least} s at least, which is not below the {} {timeout} s; allow more pods at once, or more time",
            each.sentence(),
            order.kind.time_limit(),
        )
    })
}

/// The same of an order that changes the number of pods of the Deployment and nothing else.
pub(in crate::rollout) fn too_slow_to_add(
    order: &Order,
    view: &DeploymentView,
    goal: i32,
) -> Option<String> {
    if goal <= view.replicas {
        return None;
    }
    let settings = own_settings(view);
    let stays = [
        (i64::from(min_ready_seconds_of(order, settings)), "the Deployment's minReadySeconds"),
        (
            i64::from(order.target.failure_policy.watch_seconds),
            "the time for which new pods are watched (--batch-watch)",
        ),
    ];
    Wave::of(&view.template, &stays)?.too_slow(order, "order")
}

/// How many waves of pods a release in one batch has, and the bound of Kubernetes that
/// says so. The least there can be: pods of the version that are there need not come.
fn waves(
    order: &Order,
    snapshot: &DeploymentBefore,
    view: &DeploymentView,
    template: &Value,
    replicas: i32,
) -> (i32, String) {
    let own = &snapshot.settings;
    if order.strategy.count() > 1 || change::is_recreate(own) {
        return (1, String::new());
    }
    let surge = own.surge(replicas);
    let unavailable = &own.strategy["rollingUpdate"]["maxUnavailable"];
    let (at_once, by) = match order.target.max_unavailable {
        0 if surge > 0 => (surge, format!("{surge} pods more (maxSurge)")),
        0 => {
            // Kubernetes lets one be missing where a share comes to none.
            let missing = share::pods(unavailable, replicas, Rounding::Down).unwrap_or(1).max(1);
            (missing, format!("{missing} pods to be missing (maxUnavailable)"))
        }
        missing => (missing, format!("{missing} pods to be missing (maxUnavailable)")),
    };
    let sets = view.new.iter().chain(&view.old);
    let there: i32 =
        sets.filter(|set| is_same(&set.template, template)).map(|set| set.desired).sum();
    // Where the number rises, there may be room for as many more at the beginning.
    let risen = (replicas - view.all_desired()).max(0);
    let left = replicas.saturating_sub(there).saturating_sub(risen).max(1);
    (left.saturating_add(at_once - 1) / at_once.max(1), by)
}

/// From a pod's start until it counts, at the earliest.
struct Wave<'a> {
    /// Until it is Ready, by the probes of this container.
    ready: i64,
    container: &'a str,
    /// How long it must be Ready, and by what.
    stay: i64,
    what: &'a str,
}

impl<'a> Wave<'a> {
    fn of(template: &'a Value, stays: &[(i64, &'a str)]) -> Option<Self> {
        let (stay, what) = *stays.iter().max_by_key(|(seconds, _)| *seconds)?;
        let (ready, container) = earliest_ready(template);
        Some(Self { ready, container, stay, what })
    }

    fn seconds(&self) -> i64 {
        self.stay.saturating_add(self.ready)
    }

    fn sentence(&self) -> String {
        let ready = || {
            format!(
                "container {} can be Ready after {} s at the earliest (initialDelaySeconds of its probes)",
                self.container, self.ready
            )
        };
        match (self.ready, self.stay) {
            (0, stay) => format!("{} is {stay} s", self.what),
            (_, 0) => ready(),
            (_, stay) => format!("{}, and {} is {stay} s", ready(), self.what),
        }
    }

    fn too_slow(&self, order: &Order, unit: &str) -> Option<String> {
        let timeout = order.target.batch_timeout_seconds;
        if self.seconds() < timeout {
            return None;
        }
        let limit = format!("the {} {timeout} s", order.kind.time_limit());
        let end = format!("so no {unit} can be done in time");
        Some(match (self.ready, self.stay) {
            (0, stay) => format!("{} {stay} s is not below {limit}, {end}", self.what),
            (_, 0) => format!("{}, which is not below {limit}, {end}", self.sentence()),
            _ => format!("{}: together that is not below {limit}, {end}", self.sentence()),
        })
    }
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
