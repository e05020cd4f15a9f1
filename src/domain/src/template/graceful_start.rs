//! EDAS' graceful start, as far as plain Kubernetes offers it: new pods get traffic late,
//! and old pods drain before they end: [`GracefulStart`].
//!
//! Its settings are part of a version: an annotation of the pod template has them, with
//! the values that they replaced. So a rollback restores them, and switching the graceful
//! start off restores the replaced values. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    java::container_at,
    spec::{LEFT_AFTER_DRAIN, drain, object_at},
};
use crate::notation;
use crate::template::names::GRACEFUL_START_ANNOTATION;

/// Seconds of the drain that comes with the rule: as long as a busy cluster needs to
/// take a pod that goes out of every Service.
pub const DRAIN_SECONDS: u32 = 5;

/// What is wished, and since when; kept also while it is off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GracefulStart {
    pub on: bool,
    /// Seconds after its container's start until a pod is asked whether it is Ready.
    pub delay_seconds: i32,
    /// Seconds for which a pod must have been Ready before a release takes an old one
    /// away for it.
    pub warm_up_seconds: i32,
    /// How much traffic a pod gets meanwhile; nothing in Kubernetes does it.
    pub curve: i32,
    /// Whether readiness waits until a registry knows the pod; an agent in the program
    /// does it, nothing in Kubernetes.
    pub registered_first: bool,
    /// Whether readiness waits until the warm-up is over; likewise.
    pub warm_first: bool,
    /// Whether a pod that goes and has no hook of its own sleeps before it is told to end.
    pub drains: bool,
    /// What the template had in place of what the rule put there; null = nothing.
    #[serde(skip_serializing_if = "Map::is_empty")]
    before: Map<String, Value>,
}

impl Default for GracefulStart {
    fn default() -> Self {
        Self {
            on: false,
            delay_seconds: 0,
            warm_up_seconds: 0,
            curve: 2,
            registered_first: false,
            warm_first: false,
            drains: true,
            before: Map::new(),
        }
    }
}

/// Changes of the rule; what is absent stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GracefulStartChange {
    /// As [`GracefulStart::on`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<bool>,
    /// As [`GracefulStart::delay_seconds`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<i32>,
    /// As [`GracefulStart::warm_up_seconds`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up_seconds: Option<i32>,
    /// As [`GracefulStart::curve`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curve: Option<i32>,
    /// As [`GracefulStart::registered_first`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_first: Option<bool>,
    /// As [`GracefulStart::warm_first`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_first: Option<bool>,
}

impl GracefulStartChange {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The rule that `before` becomes. A drain that is asked for in the same breath
    /// (seconds; 0 = none) says whether the rule's own is wanted.
    #[must_use]
    pub fn after(
        &self,
        before: Option<GracefulStart>,
        drain_seconds: Option<u32>,
    ) -> Option<GracefulStart> {
        if before.is_none() && self.is_empty() {
            return None;
        }
        let mut rule = before.unwrap_or_default();
        rule.on = self.on.unwrap_or(rule.on);
        rule.delay_seconds = self.delay_seconds.unwrap_or(rule.delay_seconds);
        rule.warm_up_seconds = self.warm_up_seconds.unwrap_or(rule.warm_up_seconds);
        rule.curve = self.curve.unwrap_or(rule.curve);
        rule.registered_first = self.registered_first.unwrap_or(rule.registered_first);
        rule.warm_first = self.warm_first.unwrap_or(rule.warm_first);
        rule.drains = match (drain_seconds, self.on) {
            (Some(seconds), _) => seconds > 0,
            (None, Some(true)) => true,
            (None, _) => rule.drains,
        };
        Some(rule)
    }
}

impl GracefulStart {
    /// The rule of a pod template.
    #[must_use]
    pub fn of(template: &Value) -> Option<Self> {
        notation::kept_json(
            template["metadata"]["annotations"][GRACEFUL_START_ANNOTATION].as_str()?,
        )
    }

    /// Seconds of warm-up that a release waits for; 0 while the rule is off.
    #[must_use]
    pub fn warm_up(&self) -> i32 {
        if self.on { self.warm_up_seconds } else { 0 }
    }

    /// Takes the rule and what it did out of `template`, whose application's container
    /// is at `index`. What somebody else changed since then stays.
    pub(crate) fn take_out(template: &mut Value, index: usize) -> Option<Self> {
        let mut rule = Self::of(template)?;
        object_at(template, &["metadata", "annotations"]).remove(GRACEFUL_START_ANNOTATION);
        let before = std::mem::take(&mut rule.before);
        if let Some(delay) = before.get(DELAY)
            && let Some(probe) = container_at(template, index)
                .and_then(|container| container.get_mut("readinessProbe")?.as_object_mut())
            && probe.get(DELAY) == Some(&json!(rule.delay_seconds))
        {
            give_back(probe, DELAY, delay);
        }
        if let Some(hook) = before.get(HOOK)
            && let Some(container) = container_at(template, index)
            && let Some(hooks) = container.get_mut("lifecycle").and_then(Value::as_object_mut)
            && hooks.get(HOOK) == Some(&json!({ "sleep": { "seconds": DRAIN_SECONDS } }))
        {
            give_back(hooks, HOOK, hook);
            if hooks.is_empty() {
                container.remove("lifecycle");
            }
            let own = i64::from(DRAIN_SECONDS) + LEFT_AFTER_DRAIN;
            if let Some(grace) = before.get(GRACE)
                && template["spec"].get(GRACE) == Some(&json!(own))
            {
                give_back(object_at(template, &["spec"]), GRACE, grace);
            }
        }
        Some(rule)
    }

    /// Puts the rule into `template`, and what it does.
    pub(crate) fn put_in(mut self, template: &mut Value, index: usize) {
        if self.on {
            if self.delay_seconds > 0
                && let Some(probe) = container_at(template, index)
                    .and_then(|container| container.get_mut("readinessProbe")?.as_object_mut())
                && probe.get(DELAY).and_then(Value::as_i64).unwrap_or(0)
                    < i64::from(self.delay_seconds)
            {
                self.before.insert(
                    DELAY.into(),
                    probe.insert(DELAY.into(), json!(self.delay_seconds)).unwrap_or_default(),
                );
            }
            let hooked = container_at(template, index).is_none_or(|container| {
                container.get("lifecycle").is_some_and(|it| it.get(HOOK).is_some())
            });
            if self.drains && !hooked {
                let grace = template["spec"].get(GRACE).cloned();
                drain(template, index, DRAIN_SECONDS);
                self.before.insert(HOOK.into(), Value::Null);
                if template["spec"].get(GRACE) != grace.as_ref() {
                    self.before.insert(GRACE.into(), grace.unwrap_or_default());
                }
            }
        }
        let text = json!(self).to_string();
        object_at(template, &["metadata", "annotations"])
            .insert(GRACEFUL_START_ANNOTATION.into(), json!(text));
    }
}

const DELAY: &str = "initialDelaySeconds";
const HOOK: &str = "preStop";
const GRACE: &str = "terminationGracePeriodSeconds";

fn give_back(object: &mut Map<String, Value>, key: &str, value: &Value) {
    if value.is_null() {
        object.remove(key);
    } else {
        object.insert(key.into(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, proptest};
    use rstest::rstest;

    use super::*;
    use crate::{
        ReleaseId,
        template::spec::{Field, SpecChange},
    };

    fn base() -> Value {
        json!({ "spec": { "containers": [{ "name": "web", "image": "a:1", "readinessProbe": { "tcpSocket": { "port": 80 } } }] } })
    }

    fn released(base: &Value, change: SpecChange) -> Value {
        change.apply(base, "web", ReleaseId::new())
    }

    fn ruled(base: &Value, graceful_start: GracefulStartChange) -> Value {
        released(base, SpecChange { graceful_start, ..SpecChange::default() })
    }

    fn on(delay: i32) -> GracefulStartChange {
        GracefulStartChange {
            on: Some(true),
            delay_seconds: Some(delay),
            warm_up_seconds: Some(60),
            ..GracefulStartChange::default()
        }
    }

    fn off() -> GracefulStartChange {
        GracefulStartChange { on: Some(false), ..GracefulStartChange::default() }
    }

    fn spec(template: &Value) -> Value {
        template["spec"].clone()
    }

    #[test]
    fn readiness_waits_and_a_pod_that_goes_sleeps() {
        let template = ruled(&base(), on(20));
        let container = &template["spec"]["containers"][0];
        assert_eq!(
            container["readinessProbe"],
            json!({ "tcpSocket": { "port": 80 }, "initialDelaySeconds": 20 })
        );
        assert_eq!(container["lifecycle"], json!({ "preStop": { "sleep": { "seconds": 5 } } }));
        let rule = GracefulStart::of(&template).unwrap();
        assert_eq!((rule.on, rule.delay_seconds, rule.warm_up(), rule.curve), (true, 20, 60, 2));
    }

    #[test]
    fn it_holds_for_later_versions_whatever_else_they_change() {
        let first = ruled(&base(), on(20));
        let later = SpecChange {
            readiness: Field::Set(json!({ "exec": { "command": ["a"] } })),
            ..SpecChange::default()
        };
        let second = released(&first, later);
        assert_eq!(
            second["spec"]["containers"][0]["readinessProbe"],
            json!({ "exec": { "command": ["a"] }, "initialDelaySeconds": 20 })
        );
        let third = ruled(
            &second,
            GracefulStartChange { delay_seconds: Some(7), ..GracefulStartChange::default() },
        );
        assert_eq!(third["spec"]["containers"][0]["readinessProbe"]["initialDelaySeconds"], 7);
        assert_eq!(GracefulStart::of(&third).unwrap().warm_up(), 60);
    }

    #[rstest]
    #[case(json!({ "tcpSocket": { "port": 80 } }))]
    #[case(json!({ "tcpSocket": { "port": 80 }, "initialDelaySeconds": 3 }))]
    #[case(json!({ "tcpSocket": { "port": 80 }, "initialDelaySeconds": 300 }))]
    fn switched_off_it_leaves_what_was_there_before(#[case] probe: Value) {
        let mut base = base();
        base["spec"]["containers"][0]["readinessProbe"] = probe;
        base["spec"]["terminationGracePeriodSeconds"] = json!(10);
        let template = ruled(&base, on(20));
        assert_eq!(
            template["spec"]["terminationGracePeriodSeconds"], 20,
            "the drain and some time of the program's own"
        );
        let back = ruled(&template, off());
        assert_eq!(spec(&back), spec(&base));
        assert_eq!(
            GracefulStart::of(&back).map(|rule| (rule.on, rule.delay_seconds, rule.warm_up())),
            Some((false, 20, 0))
        );
    }

    #[test]
    fn a_hook_of_the_users_own_stays_and_so_does_what_others_changed() {
        let mut base = base();
        base["spec"]["containers"][0]["lifecycle"] =
            json!({ "preStop": { "exec": { "command": ["bye"] } } });
        let mut template = ruled(&base, on(20));
        assert_eq!(
            template["spec"]["containers"][0]["lifecycle"],
            base["spec"]["containers"][0]["lifecycle"]
        );
        template["spec"]["containers"][0]["readinessProbe"]["initialDelaySeconds"] = json!(44);
        assert_eq!(
            ruled(&template, off())["spec"]["containers"][0]["readinessProbe"]["initialDelaySeconds"],
            44
        );
    }

    #[test]
    fn no_drain_is_put_in_where_none_is_wanted() {
        let undrained =
            SpecChange { graceful_start: on(0), drain_seconds: Some(0), ..SpecChange::default() };
        let template = released(&base(), undrained);
        assert_eq!(template["spec"]["containers"][0].get("lifecycle"), None);
        assert_eq!(
            released(&template, SpecChange::default())["spec"]["containers"][0].get("lifecycle"),
            None
        );
        let own = SpecChange { drain_seconds: Some(9), ..SpecChange::default() };
        assert_eq!(
            released(&template, own)["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"],
            9
        );
    }

    #[test]
    fn no_rule_leaves_no_trace() {
        assert_eq!(GracefulStart::of(&ruled(&base(), GracefulStartChange::default())), None);
        assert_eq!(
            GracefulStart::of(
                &json!({ "metadata": { "annotations": { GRACEFUL_START_ANNOTATION: "no JSON" } } })
            ),
            None
        );
    }

    proptest! {
        #[test]
        fn applied_again_it_changes_nothing_and_it_can_always_be_taken_back(
            delays in prop::collection::vec(prop::option::of(0_i32..50), 1..6),
            own in prop::option::of(0_i64..60),
            grace in prop::option::of(1_i64..60),
            hook in any::<bool>(),
        ) {
            let mut base = base();
            if let Some(own) = own {
                base["spec"]["containers"][0]["readinessProbe"]["initialDelaySeconds"] = json!(own);
            }
            if let Some(grace) = grace {
                base["spec"]["terminationGracePeriodSeconds"] = json!(grace);
            }
            if hook {
                base["spec"]["containers"][0]["lifecycle"] = json!({ "preStop": { "exec": { "command": ["bye"] } } });
            }
            let mut template = base.clone();
            for delay in delays {
                let change = GracefulStartChange { on: Some(true), delay_seconds: delay, ..GracefulStartChange::default() };
                template = ruled(&template, change);
                let again = ruled(&template, GracefulStartChange::default());
                prop_assert_eq!(spec(&again), spec(&template));
            }
            prop_assert_eq!(spec(&ruled(&template, off())), spec(&base));
        }
    }
}
