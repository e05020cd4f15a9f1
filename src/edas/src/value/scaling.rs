//! `ScalingRuleTrigger`, the older `ScalingRuleMetric`, and `ScalingBehaviour`: what a
//! scaling rule goes by and how fast, as JSON whose numbers may be texts.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::wire::{error::ApiError, params::Params};
use domain::{
    Input, notation,
    object::autoscaling::{
        Behaviour, Resource, ScalingSpeed, ScalingStep, SelectPolicy, StepUnit, Trigger,
    },
    rejection::shortened,
    template::spec::Field,
};
use service::Range;

const TRIGGER: &str = "ScalingRuleTrigger";
const METRIC: &str = "ScalingRuleMetric";
const TRIGGERS: &str = r#"allowed is {"minReplicas":1,"maxReplicas":10,"triggers":[{"name":"…","type":"cpu or memory","metaData":{"type":"Utilization","value":"60"}}]}"#;
const METRICS: &str = r#"allowed is {"minReplicas":1,"maxReplicas":10,"metrics":[{"metricType":"CPU or MEMORY","metricTargetAverageUtilization":60}]}"#;
const BEHAVIOUR: &str = r#"allowed is {"scaleUp":{"stabilizationWindowSeconds":0,"selectPolicy":"Max, Min or Disabled","policies":[{"type":"Pods or Percent","value":5,"periodSeconds":15}]},"scaleDown":{…}}"#;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenTriggers {
    #[serde(deserialize_with = "number")]
    min_replicas: i32,
    #[serde(deserialize_with = "number")]
    max_replicas: i32,
    triggers: Vec<GivenTrigger>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenTrigger {
    #[serde(default)]
    name: String,
    r#type: String,
    meta_data: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenMetrics {
    #[serde(deserialize_with = "number")]
    min_replicas: i32,
    #[serde(deserialize_with = "number")]
    max_replicas: i32,
    metrics: Vec<GivenMetric>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenMetric {
    metric_type: String,
    #[serde(deserialize_with = "number")]
    metric_target_average_utilization: i32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenBehaviour {
    #[serde(default)]
    scale_up: Option<GivenPace>,
    #[serde(default)]
    scale_down: Option<GivenPace>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenPace {
    #[serde(default, deserialize_with = "maybe_number")]
    stabilization_window_seconds: Option<i32>,
    #[serde(default)]
    select_policy: Option<SelectPolicy>,
    #[serde(default)]
    policies: Vec<GivenStep>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenStep {
    r#type: StepUnit,
    #[serde(deserialize_with = "number")]
    value: i32,
    #[serde(deserialize_with = "number")]
    period_seconds: i32,
}

/// Reads the range of a rule and what it goes by; none = neither parameter is there.
///
/// # Errors
/// A business error with the place and what is allowed, also for what Kubernetes cannot go by.
pub fn read_range(params: &Params) -> Result<Option<Range>, ApiError> {
    match (params.text(TRIGGER), params.text(METRIC)) {
        (None, None) => Ok(None),
        (Some(_), Some(text)) => Err(ApiError::refused(
            METRIC,
            text,
            "says the same as ScalingRuleTrigger: give only one of them",
        )),
        (Some(text), None) => {
            triggers(text).map(Some).map_err(|why| ApiError::refused(TRIGGER, text, why))
        }
        (None, Some(text)) => {
            metrics(text).map(Some).map_err(|why| ApiError::refused(METRIC, text, why))
        }
    }
}

fn triggers(text: &str) -> Result<Range, String> {
    let given: GivenTriggers = notation::json(text).map_err(|why| format!("{why}; {TRIGGERS}"))?;
    let trigger = |given: GivenTrigger| {
        let resource = resource(&given.r#type)?;
        // As an object, or as the JSON text that replies have.
        let meta: Map<String, Value> = match given.meta_data {
            Value::Object(fields) => fields,
            Value::String(text) => notation::json(&text).map_err(|why| {
                format!("the metaData of {}: {why}; {TRIGGERS}", shortened(&given.name))
            })?,
            _ => return Err(TRIGGERS.into()),
        };
        if let Some(other) = meta.keys().find(|key| !["type", "value"].contains(&key.as_str())) {
            return Err(format!("the metaData {} is not known; {TRIGGERS}", shortened(other)));
        }
        let kind = meta.get("type").and_then(Value::as_str).unwrap_or("Utilization");
        if kind != "Utilization" {
            return Err(format!(
                "the metaData type {} is not known, only Utilization; {TRIGGERS}",
                shortened(kind)
            ));
        }
        let percent = meta
            .get("value")
            .and_then(whole)
            .ok_or_else(|| format!("the metaData value must be a number of percent; {TRIGGERS}"))?;
        let name = if given.name.is_empty() { given.r#type } else { given.name };
        Ok(Trigger { name, resource, percent })
    };
    let triggers = given.triggers.into_iter().map(trigger).collect::<Result<_, String>>()?;
    Ok(Range {
        input: Input::RuleTrigger,
        min_replicas: given.min_replicas,
        max_replicas: given.max_replicas,
        triggers,
    })
}

fn metrics(text: &str) -> Result<Range, String> {
    let given: GivenMetrics = notation::json(text).map_err(|why| format!("{why}; {METRICS}"))?;
    let trigger = |given: GivenMetric| {
        let resource = resource(&given.metric_type)?;
        Ok(Trigger {
            name: resource.word().into(),
            resource,
            percent: given.metric_target_average_utilization,
        })
    };
    let triggers = given.metrics.into_iter().map(trigger).collect::<Result<_, String>>()?;
    Ok(Range {
        input: Input::RuleMetric,
        min_replicas: given.min_replicas,
        max_replicas: given.max_replicas,
        triggers,
    })
}

fn resource(word: &str) -> Result<Resource, String> {
    match word.to_ascii_lowercase().as_str() {
        "cpu" => Ok(Resource::Cpu),
        "memory" => Ok(Resource::Memory),
        _ => Err(format!(
            "a rule by {} is not offered: Kubernetes by itself scales by cpu and memory only",
            shortened(word)
        )),
    }
}

/// Reads how fast a rule is.
///
/// # Errors
/// As [`read_range`].
pub fn read_behaviour(params: &Params) -> Result<Field<Behaviour>, ApiError> {
    let pace = |given: GivenPace| ScalingSpeed {
        stabilization_window_seconds: given.stabilization_window_seconds,
        select_policy: given.select_policy,
        policies: given
            .policies
            .into_iter()
            .map(|step| ScalingStep {
                r#type: step.r#type,
                value: step.value,
                period_seconds: step.period_seconds,
            })
            .collect(),
    };
    Ok(match params.json::<GivenBehaviour>("ScalingBehaviour", BEHAVIOUR)? {
        Field::Keep => Field::Keep,
        Field::Clear => Field::Clear,
        Field::Set(given) => Field::Set(Behaviour {
            scale_up: given.scale_up.map(pace),
            scale_down: given.scale_down.map(pace),
        }),
    })
}

fn whole(value: &Value) -> Option<i32> {
    value
        .as_i64()
        .and_then(|number| i32::try_from(number).ok())
        .or_else(|| value.as_str()?.parse().ok())
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    let value = Value::deserialize(deserializer)?;
    whole(&value).ok_or_else(|| serde::de::Error::custom(format!("{value} is no whole number")))
}

fn maybe_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    number(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn params(name: &str, value: &str) -> Params {
        let value =
            percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
        Params::parse(&format!("{name}={value}")).unwrap()
    }

    #[test]
    fn both_ways_to_say_what_a_rule_goes_by_mean_the_same() {
        let trigger = r#"{"minReplicas":1,"maxReplicas":"10","triggers":[{"type":"cpu","metaData":{"type":"Utilization","value":"60"}},{"name":"memory","type":"memory","metaData":"{\"value\":70}"}]}"#;
        let metric = r#"{"minReplicas":1,"maxReplicas":10,"metrics":[{"metricType":"CPU","metricTargetAverageUtilization":60},{"metricType":"MEMORY","metricTargetAverageUtilization":70}]}"#;
        let first = read_range(&params(TRIGGER, trigger)).unwrap().unwrap();
        let second = read_range(&params(METRIC, metric)).unwrap().unwrap();
        assert_eq!(first, Range { input: Input::RuleTrigger, ..second });
        assert_eq!((first.min_replicas, first.max_replicas, first.triggers.len()), (1, 10, 2));
        assert_eq!(read_range(&Params::default()).unwrap(), None);
    }

    #[rstest]
    #[case(TRIGGER, "x", "not the JSON")]
    #[case(TRIGGER, r#"{"minReplicas":"a","maxReplicas":1,"triggers":[]}"#, "is no whole number")]
    #[case(
        TRIGGER,
        r#"{"minReplicas":1,"maxReplicas":1,"triggers":[{"type":"cron","metaData":{}}]}"#,
        "a rule by cron is not offered"
    )]
    #[case(
        TRIGGER,
        r#"{"minReplicas":1,"maxReplicas":1,"triggers":[{"type":"cpu","metaData":{"type":"AverageValue"}}]}"#,
        "AverageValue is not known"
    )]
    #[case(
        TRIGGER,
        r#"{"minReplicas":1,"maxReplicas":1,"triggers":[{"type":"cpu","metaData":{"value":"x"}}]}"#,
        "number of percent"
    )]
    #[case(
        METRIC,
        r#"{"minReplicas":1,"maxReplicas":1,"metrics":[{"metricType":"QPS","metricTargetAverageUtilization":1}]}"#,
        "a rule by QPS is not offered"
    )]
    fn what_kubernetes_cannot_go_by_is_refused_by_name(
        #[case] name: &str,
        #[case] value: &str,
        #[case] says: &str,
    ) {
        let ApiError::Business { message, .. } = read_range(&params(name, value)).unwrap_err()
        else {
            panic!("a business error")
        };
        assert!(
            message.starts_with(&format!("parameter {name} has the value "))
                && message.contains(says),
            "{message}"
        );
    }

    /// The sample of the documentation, whose window is a text.
    #[test]
    fn a_behaviour_is_read_with_numbers_as_texts() {
        let sample = r#"{"scaleUp":{"stabilizationWindowSeconds":"0","selectPolicy":"Max","policies":[{"type":"Pods","value":5,"periodSeconds":15}]}}"#;
        let Field::Set(behaviour) = read_behaviour(&params("ScalingBehaviour", sample)).unwrap()
        else {
            panic!("it is set")
        };
        let pace = behaviour.scale_up.unwrap();
        assert_eq!(
            (pace.stabilization_window_seconds, pace.policies[0].value, behaviour.scale_down),
            (Some(0), 5, None)
        );
        assert!(
            read_behaviour(&params("ScalingBehaviour", r#"{"scaleUp":{"selectPolicy":"Most"}}"#))
                .is_err()
        );
        assert_eq!(read_behaviour(&params("ScalingBehaviour", "{}")).unwrap(), Field::Clear);
    }
}
