//! Whether two pod templates are the same for Kubernetes: [`is_same`].
//!
//! The Deployment controller takes the oldest ReplicaSet of such a template for the new
//! one. It leaves the label out that tells ReplicaSets apart, compares quantities by
//! their amounts, and makes no difference between what is empty and what is not there.
//! An object that is there and empty is something else than none, but where it is a map.
//! Pure; no deeper than the API server lets objects be.

use serde_json::{Map, Value};

use super::quantity::billionths;

/// Pod label by which the Deployment controller tells ReplicaSets apart.
pub const HASH_LABEL: &str = "pod-template-hash";

/// Whether the Deployment controller takes the two for one.
#[must_use]
pub fn is_same(a: &Value, b: &Value) -> bool {
    same(a, b, &mut Vec::new())
}

/// Maps of a template: empty ones are like none.
const MAPS: [&str; 11] = [
    "labels",
    "annotations",
    "nodeSelector",
    "limits",
    "requests",
    "overhead",
    "matchLabels",
    "volumeAttributes",
    "options",
    "userAnnotations",
    // A struct that is always written.
    "metadata",
];

/// Maps whose values are quantities.
const AMOUNTS: [&str; 3] = ["limits", "requests", "overhead"];

/// Fields that are quantities.
const QUANTITIES: [&str; 2] = ["sizeLimit", "divisor"];

fn same<'a>(a: &'a Value, b: &'a Value, path: &mut Vec<&'a str>) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => same_objects(a, b, path),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, path))
        }
        _ if a == b => true,
        _ if is_like_none(a, path) && is_like_none(b, path) => true,
        _ if is_quantity(path) => match (amount(a), amount(b)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        },
        _ => false,
    }
}

fn same_objects<'a>(
    a: &'a Map<String, Value>,
    b: &'a Map<String, Value>,
    path: &mut Vec<&'a str>,
) -> bool {
    let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
    for key in keys {
        if key == HASH_LABEL && *path == ["metadata", "labels"] {
            continue;
        }
        path.push(key);
        let is_same = match (a.get(key), b.get(key)) {
            (Some(a), Some(b)) => same(a, b, path),
            (Some(one), None) | (None, Some(one)) => is_like_none(one, path),
            (None, None) => true,
        };
        path.pop();
        if !is_same {
            return false;
        }
    }
    true
}

/// Whether a value is like none at all.
fn is_like_none(value: &Value, path: &[&str]) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) if path.last().is_some_and(|last| MAPS.contains(last)) => {
            fields.iter().all(|(key, _)| key == HASH_LABEL && *path == ["metadata", "labels"])
        }
        Value::Object(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn is_quantity(path: &[&str]) -> bool {
    match path {
        [.., map, _] if AMOUNTS.contains(map) => true,
        [.., last] => QUANTITIES.contains(last),
        [] => false,
    }
}

fn amount(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => billionths(text),
        Value::Number(number) => billionths(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::the_hash_is_left_out(json!({ "metadata": { "labels": { "app": "web", HASH_LABEL: "a" } } }), json!({ "metadata": { "labels": { "app": "web", HASH_LABEL: "b" } } }), true)]
    #[case::in_both(json!({ "metadata": { "labels": { HASH_LABEL: "a" } } }), json!({ "metadata": {} }), true)]
    #[case::other_labels_count(json!({ "metadata": { "labels": { "app": "web" } } }), json!({ "metadata": { "labels": { "app": "shop" } } }), false)]
    #[case::a_hash_elsewhere_counts(json!({ "spec": { "nodeSelector": { HASH_LABEL: "a" } } }), json!({ "spec": {} }), false)]
    #[case::amounts(json!({ "resources": { "limits": { "memory": "1Gi", "cpu": "0.5" } } }), json!({ "resources": { "limits": { "memory": "1073741824", "cpu": "500m" } } }), true)]
    #[case::other_amounts(json!({ "resources": { "limits": { "memory": "1Gi" } } }), json!({ "resources": { "limits": { "memory": "1G" } } }), false)]
    #[case::a_size(json!({ "emptyDir": { "sizeLimit": "1Gi" } }), json!({ "emptyDir": { "sizeLimit": "1024Mi" } }), true)]
    #[case::texts_that_look_like_amounts(json!({ "value": "1" }), json!({ "value": "1.0" }), false)]
    #[case::empty_lists(json!({ "args": [], "sources": null }), json!({}), true)]
    #[case::empty_maps(json!({ "annotations": {} }), json!({}), true)]
    #[case::an_empty_object_is_one(json!({ "emptyDir": {} }), json!({}), false)]
    #[case::a_security_context_too(json!({ "securityContext": {} }), json!({}), false)]
    #[case::order_counts(json!({ "args": ["a", "b"] }), json!({ "args": ["b", "a"] }), false)]
    #[case::false_is_something(json!({ "hostNetwork": false }), json!({}), false)]
    #[case::ports_and_texts(json!({ "port": 80 }), json!({ "port": "80" }), false)]
    fn templates_are_compared_as_kubernetes_compares_them(
        #[case] a: Value,
        #[case] b: Value,
        #[case] expected: bool,
    ) {
        assert_eq!((is_same(&a, &b), is_same(&b, &a)), (expected, expected));
        assert!(is_same(&a, &a) && is_same(&b, &b));
    }
}
