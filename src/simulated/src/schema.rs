//! The form in which the API server keeps an object: typed, defaults filled in,
//! empty things left out.
//!
//! A body goes through its k8s-openapi type, so a wrong type is an error and an
//! unknown field is dropped, as in Kubernetes. What Go's `omitempty` hides
//! (`paused: false`, an env value of "") is not there afterwards either: a JSON
//! Patch `test` of it would fail on a real cluster, so it fails here too.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::autoscaling::v2 as autoscaling;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1 as networking;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::defaults;
use super::kind::Kind;
use super::quantity;

/// Brings an object into its kept form. The error says which field is of the
/// wrong type.
pub(super) fn settle(kind: Kind, mut object: Value) -> Result<Value, String> {
    drop_nulls(&mut object);
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.name().into();
    if matches!(kind, Kind::Pod | Kind::Deployment | Kind::ReplicaSet) {
        quantity::settle_all(&mut object)?;
    }
    // Once before the defaults, which rely on right types ...
    let mut object = through(kind, object)?;
    leave_out_empty(&mut object, "");
    defaults::fill(kind, &mut object);
    // ... and once after, so that the result is the same however it came about.
    let mut object = through(kind, object)?;
    leave_out_empty(&mut object, "");
    Ok(object)
}

fn through(kind: Kind, object: Value) -> Result<Value, String> {
    match kind {
        Kind::Namespace => typed::<core::Namespace>(object),
        Kind::Node => typed::<core::Node>(object),
        Kind::ConfigMap => typed::<core::ConfigMap>(object),
        Kind::Event => typed::<core::Event>(object),
        Kind::Pod => typed::<core::Pod>(object),
        Kind::Secret => typed::<core::Secret>(object),
        Kind::Service => typed::<core::Service>(object),
        Kind::Ingress => typed::<networking::Ingress>(object),
        Kind::HorizontalPodAutoscaler => typed::<autoscaling::HorizontalPodAutoscaler>(object),
        Kind::Deployment => typed::<apps::Deployment>(object),
        Kind::ReplicaSet => typed::<apps::ReplicaSet>(object),
    }
}

fn typed<T: DeserializeOwned + Serialize>(object: Value) -> Result<Value, String> {
    let typed: T = serde_path_to_error::deserialize(object)
        .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
    serde_json::to_value(typed).map_err(|error| error.to_string())
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Maps whose keys are the user's: an empty value in them means something.
const FREE: [&str; 9] = [
    "annotations",
    "binaryData",
    "data",
    "labels",
    "limits",
    "matchLabels",
    "nodeSelector",
    "requests",
    "fieldsV1",
];

/// Booleans and numbers that Go leaves out when they are false or 0. Others
/// (`replicas`, `runAsUser`) are pointers there and stay.
const OMITTED: [&str; 13] = [
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostPort",
    "initialDelaySeconds",
    "minReadySeconds",
    "nodePort",
    "paused",
    "publishNotReadyAddresses",
    "readOnly",
    "stdin",
    "stdinOnce",
    "tty",
];

fn leave_out_empty(value: &mut Value, under: &str) {
    match value {
        Value::Object(map) => {
            if FREE.contains(&under) {
                return;
            }
            for (key, value) in map.iter_mut() {
                // A status is written by controllers, in its final form.
                if !(under.is_empty() && key == "status") {
                    leave_out_empty(value, key);
                }
            }
            map.retain(|key, value| match value {
                Value::Array(items) => !items.is_empty(),
                Value::Object(map) => !(map.is_empty() && FREE.contains(&key.as_str())),
                Value::String(text) => !text.is_empty(),
                Value::Bool(false) => !OMITTED.contains(&key.as_str()),
                Value::Number(number) => {
                    number.as_i64() != Some(0) || !OMITTED.contains(&key.as_str())
                }
                _ => true,
            });
        }
        Value::Array(items) => {
            for item in items {
                leave_out_empty(item, "[]");
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(spec: Value) -> Value {
        let mut object = json!({
            "metadata": {"name": "web"},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "c", "image": "shop/web:1"}]},
                },
            },
        });
        json_patch::merge(&mut object["spec"], &spec);
        object
    }

    #[test]
    fn what_go_leaves_out_is_not_there() {
        let kept = settle(
            Kind::Deployment,
            deployment(json!({"paused": false, "minReadySeconds": 0, "replicas": 0})),
        )
        .unwrap();
        assert_eq!(kept.pointer("/spec/paused"), None);
        assert_eq!(kept.pointer("/spec/minReadySeconds"), None);
        assert_eq!(kept["spec"]["replicas"], 0);
    }

    #[test]
    fn an_empty_environment_value_is_left_out_and_an_empty_annotation_is_kept() {
        let mut object = deployment(json!({}));
        object["metadata"]["annotations"] = json!({"a": ""});
        object["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([{"name": "A", "value": ""}]);
        let kept = settle(Kind::Deployment, object).unwrap();
        assert_eq!(kept["metadata"]["annotations"], json!({"a": ""}));
        assert_eq!(
            kept.pointer("/spec/template/spec/containers/0/env"),
            Some(&json!([{"name": "A"}]))
        );
    }

    #[test]
    fn an_unknown_field_is_dropped_and_a_wrong_type_names_its_field() {
        let kept = settle(Kind::Deployment, deployment(json!({"nope": 1}))).unwrap();
        assert_eq!(kept.pointer("/spec/nope"), None);
        let error = settle(Kind::Deployment, deployment(json!({"replicas": "x"}))).unwrap_err();
        assert!(error.contains("spec.replicas"), "{error}");
    }

    #[test]
    fn settling_twice_changes_nothing() {
        let once = settle(Kind::Deployment, deployment(json!({}))).unwrap();
        assert_eq!(settle(Kind::Deployment, once.clone()).unwrap(), once);
    }
}
