//! The `scale` subresource: the size of an object, read and written alone.
//!
//! In the form of autoscaling/v1 `Scale`, as autoscalers use it. Pure: the write
//! itself is one of the whole object.

use serde_json::{Value, json};

use super::field::{self, count};
use super::refusal::{Cause, Refusal};

/// The `Scale` of an object.
pub(super) fn of(object: &Value) -> Value {
    let mut metadata = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata[key] = object["metadata"][key].clone();
    }
    let labels: Vec<String> = field::strings(object, "/spec/selector/matchLabels")
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let size = count(object, "/spec/replicas");
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        // Go leaves a size of 0 out here.
        "spec": if size == 0 { json!({}) } else { json!({"replicas": size}) },
        "status": {
            "replicas": count(object, "/status/replicas"),
            "selector": labels.join(","),
        },
    })
}

/// The object with the size of a `Scale`.
pub(super) fn apply(object: &Value, scale: &Value, name: &str) -> Result<Value, Refusal> {
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => 0,
        given => given
            .as_i64()
            .ok_or_else(|| Refusal::bad_request("spec.replicas of a Scale is a number"))?,
    };
    if replicas < 0 {
        return Err(Refusal::invalid(
            "autoscaling",
            "Scale",
            name,
            &[Cause::invalid(
                "spec.replicas",
                &json!(replicas),
                "must be greater than or equal to 0",
            )],
        ));
    }
    let mut object = object.clone();
    object["spec"]["replicas"] = replicas.into();
    for key in ["resourceVersion", "uid"] {
        if let Some(given) = scale["metadata"].get(key) {
            object["metadata"][key] = given.clone();
        }
    }
    Ok(object)
}
