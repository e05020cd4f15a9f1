//! Scaling rules of applications, and the HorizontalPodAutoscaler of an enabled rule.
//!
//! Pure; a rule is stored as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Most pods that a rule may ask for.
pub const MOST_REPLICAS: i32 = 1000;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalingRule {
    /// Fewest pods, at least 1.
    pub min_replicas: i32,
    pub max_replicas: i32,
    /// What it goes by.
    pub triggers: Vec<Trigger>,
    /// How fast; none = as Kubernetes does by itself.
    pub behaviour: Option<Behaviour>,
}

/// What a rule goes by: a resource's use by the pods on average, in percent of what they request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Its name, for people.
    pub name: String,
    pub resource: Resource,
    /// The use that is aimed at.
    pub percent: i32,
}

/// A resource that rules can go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    Cpu,
    Memory,
}

impl Resource {
    /// Kubernetes' word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// How fast a rule adds pods and takes them away; none = as Kubernetes does by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Behaviour {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingSpeed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingSpeed>,
}

/// How fast it goes in one direction, with Kubernetes' names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingSpeed {
    /// How long what was asked for before still counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stabilization_window_seconds: Option<i32>,
    /// Which of the policies counts: `Max`, `Min`, or `Disabled` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,
    /// The steps that are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<ScalingStep>,
}

/// Which policy counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectPolicy {
    /// The one with the largest step.
    Max,
    /// The one with the smallest step.
    Min,
    /// It does not go in this direction.
    Disabled,
}

/// A step that is allowed within a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStep {
    /// What its number counts.
    pub r#type: StepUnit,
    pub value: i32,
    pub period_seconds: i32,
}

/// What a step counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepUnit {
    Pods,
    /// Percent of the pods there are.
    Percent,
}

/// What is wrong with a rule: a value, and what is allowed.
pub type Wrong = (String, &'static str);

impl ScalingRule {
    /// Checks what Kubernetes would refuse.
    ///
    /// # Errors
    /// The first value that is not allowed.
    pub fn check(&self) -> Result<(), Wrong> {
        let wrong = |value: i32, allowed| Err((value.to_string(), allowed));
        if !(1..=MOST_REPLICAS).contains(&self.min_replicas) {
            return wrong(
                self.min_replicas,
                "minReplicas must be a number from 1 to 1000: without pods there is no load to go by",
            );
        }
        if !(self.min_replicas..=MOST_REPLICAS).contains(&self.max_replicas) {
            return wrong(
                self.max_replicas,
                "maxReplicas must be a number from minReplicas to 1000",
            );
        }
        if self.triggers.is_empty() {
            return Err((String::new(), "at least one trigger is needed, by cpu or memory"));
        }
        for (index, trigger) in self.triggers.iter().enumerate() {
            if !(1..=1000).contains(&trigger.percent) {
                return wrong(
                    trigger.percent,
                    "the use that is aimed at must be a number of percent from 1 to 1000",
                );
            }
            if self.triggers[..index].iter().any(|before| before.resource == trigger.resource) {
                return Err((
                    trigger.resource.word().into(),
                    "each resource may be gone by only once",
                ));
            }
        }
        let paces = self.behaviour.iter().flat_map(|it| [&it.scale_up, &it.scale_down]).flatten();
        for pace in paces {
            if let Some(seconds) =
                pace.stabilization_window_seconds.filter(|seconds| !(0..=3600).contains(seconds))
            {
                return wrong(
                    seconds,
                    "stabilizationWindowSeconds must be a number from 0 to 3600",
                );
            }
            for step in &pace.policies {
                if step.value < 1 {
                    return wrong(step.value, "the value of a policy must be 1 or more");
                }
                if !(1..=1800).contains(&step.period_seconds) {
                    return wrong(
                        step.period_seconds,
                        "periodSeconds must be a number from 1 to 1800",
                    );
                }
            }
        }
        Ok(())
    }
}

/// The HorizontalPodAutoscaler that a rule is for a Deployment. It goes with the Deployment.
#[must_use]
pub fn autoscaler(rule: &ScalingRule, deployment: &Value) -> Value {
    let name = &deployment["metadata"]["name"];
    let metric = |trigger: &Trigger| {
        let target = json!({ "type": "Utilization", "averageUtilization": trigger.percent });
        json!({ "type": "Resource", "resource": { "name": trigger.resource.word(), "target": target } })
    };
    let mut spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
        "minReplicas": rule.min_replicas,
        "maxReplicas": rule.max_replicas,
        "metrics": rule.triggers.iter().map(metric).collect::<Vec<_>>(),
    });
    if let Some(behaviour) = &rule.behaviour {
        spec["behavior"] = json!(behaviour);
    }
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": deployment["metadata"]["uid"] });
    json!({ "metadata": { "ownerReferences": [deployment] }, "spec": spec })
}

/// Name of the HorizontalPodAutoscaler of an application's rule.
#[must_use]
pub fn autoscaler_name(application: &str, rule: &str) -> String {
    crate::name::fitting(&format!("{application}-{rule}"), 253)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn rule() -> ScalingRule {
        let trigger = Trigger { name: "busy".into(), resource: Resource::Cpu, percent: 60 };
        ScalingRule { min_replicas: 2, max_replicas: 5, triggers: vec![trigger], behaviour: None }
    }

    #[test]
    fn a_rule_becomes_an_autoscaler_that_goes_with_the_deployment() {
        let step = ScalingStep { r#type: StepUnit::Pods, value: 4, period_seconds: 15 };
        let pace = ScalingSpeed {
            stabilization_window_seconds: Some(0),
            select_policy: Some(SelectPolicy::Max),
            policies: vec![step],
        };
        let rule = ScalingRule {
            behaviour: Some(Behaviour { scale_up: Some(pace), scale_down: None }),
            ..rule()
        };
        assert_eq!(rule.check(), Ok(()));
        let object = autoscaler(&rule, &json!({ "metadata": { "name": "web", "uid": "u-1" } }));
        assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "u-1");
        assert_eq!(
            object["spec"],
            json!({
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" }, "minReplicas": 2, "maxReplicas": 5,
                "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 60 } } }],
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [{ "type": "Pods", "value": 4, "periodSeconds": 15 }],
                    },
                },
            })
        );
        assert_eq!(
            serde_json::from_value::<ScalingRule>(json!(rule)).unwrap(),
            rule,
            "it is kept as JSON"
        );
    }

    #[rstest]
    #[case(0, 5, 60, "0", "minReplicas")]
    #[case(3, 2, 60, "2", "maxReplicas")]
    #[case(1, 1001, 60, "1001", "maxReplicas")]
    #[case(1, 2, 0, "0", "percent")]
    fn what_kubernetes_would_refuse_is_wrong(
        #[case] min: i32,
        #[case] max: i32,
        #[case] percent: i32,
        #[case] value: &str,
        #[case] says: &str,
    ) {
        let mut rule = ScalingRule { min_replicas: min, max_replicas: max, ..rule() };
        rule.triggers[0].percent = percent;
        let (wrong, allowed) = rule.check().unwrap_err();
        assert!(wrong == value && allowed.contains(says), "{wrong}: {allowed}");
    }

    #[test]
    fn a_rule_goes_by_something_and_by_each_resource_once() {
        let mut rule = rule();
        rule.triggers.push(rule.triggers[0].clone());
        assert_eq!(rule.check().unwrap_err().0, "cpu");
        rule.triggers.clear();
        assert!(rule.check().unwrap_err().1.contains("at least one trigger"));
    }
}
