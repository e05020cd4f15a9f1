//! What of a pod template was given through Sluice, as one annotation of it says.
//!
//! Of lists and maps that a Deployment's user fills as well, that is what may be taken
//! again. Of probes and hooks it is their own text, without what the API server filled
//! in: who compares what is shown with what was sent finds it unchanged. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::spec::object_at;
use crate::notation;
use crate::template::names::GIVEN_ANNOTATION;

/// What was given here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Given {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub annotations: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub variables: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub init_containers: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub sidecars: BTreeSet<String>,
    /// Probes and hooks of the application's container, by the names of their fields.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub probes: BTreeMap<String, Value>,
}

impl Given {
    pub fn of(template: &Value) -> Self {
        let annotations = template.pointer("/metadata/annotations");
        annotations
            .and_then(|all| notation::kept_json(all.get(GIVEN_ANNOTATION)?.as_str()?))
            .unwrap_or_default()
    }

    /// Writes it down, where it is another than `before`.
    pub fn keep(&self, before: &Self, template: &mut Value) {
        if self == before {
            return;
        }
        let annotations = object_at(template, &["metadata", "annotations"]);
        if *self == Self::default() {
            annotations.remove(GIVEN_ANNOTATION);
        } else {
            annotations.insert(
                GIVEN_ANNOTATION.into(),
                json!(serde_json::to_string(self).unwrap_or_default()),
            );
        }
    }
}

/// Notes a probe or a hook as it was given.
pub(crate) fn note(template: &mut Value, part: &str, value: &Value) {
    let before = Given::of(template);
    let mut given = before.clone();
    given.probes.insert(part.into(), value.clone());
    given.keep(&before, template);
}

/// Forgets what was given of one.
pub(crate) fn forget(template: &mut Value, part: &str) {
    let before = Given::of(template);
    let mut given = before.clone();
    given.probes.remove(part);
    given.keep(&before, template);
}

/// A probe or hook of the application's container in `template` as it was given; as it
/// is, where nobody gave it, or somebody changed it since. `part` is `readinessProbe`,
/// `livenessProbe`, `postStart` or `preStop`.
#[must_use]
pub fn as_given(template: &Value, container: &Map<String, Value>, part: &str) -> Option<Value> {
    let hooks = container.get("lifecycle").and_then(|hooks| hooks.get(part));
    let now = container.get(part).or(hooks).filter(|now| !now.is_null())?;
    match Given::of(template).probes.remove(part) {
        Some(given) if filled_in(&given, now, "") => Some(given),
        Some(_) | None => Some(now.clone()),
    }
}

/// Whether `now` is what the API server makes of `given`: what is not said has
/// Kubernetes' own value.
fn filled_in(given: &Value, now: &Value, field: &str) -> bool {
    match (given, now) {
        (Value::Object(given), Value::Object(now)) => {
            let said = given.iter().all(|(key, value)| match now.get(key) {
                Some(now) => filled_in(value, now, key),
                None => is_zero(value),
            });
            said && now.iter().all(|(key, value)| given.contains_key(key) || is_default(key, value))
        }
        (Value::Array(given), Value::Array(now)) => {
            given.len() == now.len() && given.iter().zip(now).all(|(a, b)| filled_in(a, b, field))
        }
        _ => given == now || (is_zero(given) && is_default(field, now)),
    }
}

/// Whether it is what Go leaves out of JSON: the zero value of its type.
fn is_zero(value: &Value) -> bool {
    *value == json!(0)
        || *value == json!("")
        || *value == json!([])
        || *value == json!({})
        || value.is_null()
}

/// Kubernetes' own values of a probe.
fn is_default(field: &str, value: &Value) -> bool {
    let default = match field {
        "timeoutSeconds" | "successThreshold" => json!(1),
        "periodSeconds" => json!(10),
        "failureThreshold" => json!(3),
        "scheme" => json!("HTTP"),
        "path" => json!("/"),
        "service" => json!(""),
        _ => return is_zero(value),
    };
    *value == default
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_short_one(
        json!({ "tcpSocket": { "port": 8080 }, "initialDelaySeconds": 5 }),
        json!({ "tcpSocket": { "port": 8080 }, "initialDelaySeconds": 5, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3 }),
        true
    )]
    #[case::its_scheme_and_path(
        json!({ "httpGet": { "port": 80 }, "initialDelaySeconds": 0, "timeoutSeconds": 0 }),
        json!({ "httpGet": { "port": 80, "path": "/", "scheme": "HTTP" }, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3 }),
        true
    )]
    #[case::one_that_somebody_changed(
        json!({ "tcpSocket": { "port": 8080 } }),
        json!({ "tcpSocket": { "port": 8080 }, "timeoutSeconds": 2, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3 }),
        false
    )]
    #[case::another_port(json!({ "tcpSocket": { "port": 8080 } }), json!({ "tcpSocket": { "port": 8081 } }), false)]
    #[case::another_way(json!({ "tcpSocket": { "port": 8080 } }), json!({ "exec": { "command": ["a"] } }), false)]
    fn what_was_given_is_shown_as_long_as_it_is_that(
        #[case] given: Value,
        #[case] now: Value,
        #[case] is_shown: bool,
    ) {
        let mut template =
            json!({ "spec": { "containers": [{ "name": "web", "readinessProbe": now }] } });
        note(&mut template, "readinessProbe", &given);
        let container = template["spec"]["containers"][0].as_object().unwrap();
        assert_eq!(
            as_given(&template, container, "readinessProbe"),
            Some(if is_shown { given } else { now })
        );
        assert_eq!(as_given(&template, container, "preStop"), None);
        forget(&mut template, "readinessProbe");
        assert_eq!(template["metadata"]["annotations"], json!({}));
    }
}
