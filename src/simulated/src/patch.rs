//! The three kinds of patch this cluster takes.
//!
//! JSON Patch and merge patch are the `json-patch` crate's, with the two
//! liberties of the API server's own implementation: `replace` of a missing
//! member adds it, and `test` against null holds for a missing member. Strategic
//! merge patch merges the lists a Deployment has by their keys; its directives are
//! refused, not ignored. Server-side apply is not offered.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use json_patch::PatchOperation;
use serde_json::Value;

use super::refusal::Refusal;

/// A patch, read but not applied.
#[derive(Debug)]
pub(super) enum Patch {
    Json(Vec<Value>),
    Merge(Value),
    Strategic(Value),
}

impl Patch {
    /// Reads a patch by its content type.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .unwrap_or_default()
            .trim();
        match kind {
            "application/json-patch+json" => {
                let value: Value = serde_json::from_slice(body)
                    .map_err(|_| Refusal::bad_request("invalid JSON patch"))?;
                match value {
                    Value::Array(operations) => Ok(Patch::Json(operations)),
                    _ => Err(Refusal::bad_request(
                        "error decoding patch: json: cannot unmarshal object into Go value of \
                         type []handlers.jsonPatchOp",
                    )),
                }
            }
            "application/merge-patch+json" => Ok(Patch::Merge(object(body)?)),
            "application/strategic-merge-patch+json" => {
                let patch = object(body)?;
                if has_directive(&patch) {
                    return Err(Refusal::unsupported_media_type(
                        "the simulated cluster takes strategic merge patches without $ \
                         directives only; use application/json-patch+json or \
                         application/merge-patch+json",
                    ));
                }
                Ok(Patch::Strategic(patch))
            }
            "application/apply-patch+yaml" | "application/apply-patch+cbor" => {
                Err(Refusal::unsupported_media_type(
                    "the simulated cluster does not offer server-side apply; use \
                     application/json-patch+json or application/merge-patch+json",
                ))
            }
            _ => Err(Refusal::unsupported_media_type("415: Unsupported Media Type")),
        }
    }

    /// Applies the patch; the object stays as it was when that fails.
    pub(super) fn apply(&self, object: &Value) -> Result<Value, Refusal> {
        let mut result = object.clone();
        match self {
            Patch::Json(operations) => {
                for operation in operations {
                    step(&mut result, operation)?;
                }
            }
            Patch::Merge(patch) => json_patch::merge(&mut result, patch),
            Patch::Strategic(patch) => merge_by_key(&mut result, patch),
        }
        Ok(result)
    }
}

fn object(body: &[u8]) -> Result<Value, Refusal> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|why| Refusal::bad_request(format!("error decoding patch: {why}")))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(Refusal::bad_request("error decoding patch: the patch is not an object"))
    }
}

fn step(object: &mut Value, operation: &Value) -> Result<(), Refusal> {
    let operation: PatchOperation =
        serde_json::from_value(operation.clone()).map_err(|_| Refusal::patch_failed())?;
    let is_missing_member = |object: &Value| {
        let path = operation.path();
        path.split_back().is_some_and(|(parent, last)| {
            object
                .pointer(parent.as_str())
                .and_then(Value::as_object)
                .is_some_and(|map| !map.contains_key(last.decoded().as_ref()))
        })
    };
    let operation = match &operation {
        PatchOperation::Test(test) if test.value.is_null() && is_missing_member(object) => {
            return Ok(());
        }
        PatchOperation::Replace(replace) if is_missing_member(object) => {
            PatchOperation::Add(json_patch::AddOperation {
                path: replace.path.clone(),
                value: replace.value.clone(),
            })
        }
        _ => operation,
    };
    json_patch::patch(object, &[operation]).map_err(|_| Refusal::patch_failed())
}

fn has_directive(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| {
            // The order of a list is kept as it is; the hint changes nothing.
            (key.starts_with('$') && !key.starts_with("$setElementOrder/")) || has_directive(value)
        }),
        Value::Array(items) => items.iter().any(has_directive),
        _ => false,
    }
}

/// By which member the items of a list are told apart; other lists are replaced.
fn merge_key(list: &str) -> Option<&'static str> {
    match list {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => Some("name"),
        "ports" => Some("containerPort"),
        "volumeMounts" => Some("mountPath"),
        "conditions" => Some("type"),
        "ownerReferences" => Some("uid"),
        _ => None,
    }
}

fn merge_by_key(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        let slot = &mut target[name];
        match (value, merge_key(name)) {
            (Value::Null, _) => {
                super::field::remove(target, "", name);
            }
            (Value::Array(items), Some(key)) if slot.is_array() => {
                for item in items {
                    merge_item(slot, item, key);
                }
            }
            (Value::Object(_), _) => merge_by_key(slot, value),
            _ => *slot = value.clone(),
        }
    }
}

fn merge_item(list: &mut Value, item: &Value, key: &str) {
    let Some(list) = list.as_array_mut() else {
        return;
    };
    match list.iter_mut().find(|known| known[key] == item[key]) {
        Some(known) => merge_by_key(known, item),
        None => list.push(item.clone()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn apply(operations: Value) -> Result<Value, Refusal> {
        let object = json!({"spec": {"replicas": 2}});
        Patch::Json(operations.as_array().unwrap().clone()).apply(&object)
    }

    #[rstest]
    #[case(json!([{"op": "test", "path": "/spec/replicas", "value": 2}]))]
    #[case(json!([{"op": "test", "path": "/spec/paused", "value": null}]))]
    fn a_test_that_holds_changes_nothing(#[case] operations: Value) {
        assert_eq!(apply(operations), Ok(json!({"spec": {"replicas": 2}})));
    }

    #[rstest]
    #[case(json!([{"op": "test", "path": "/spec/replicas", "value": 3}]))]
    #[case(json!([{"op": "test", "path": "/spec/paused", "value": false}]))]
    #[case(json!([{"op": "test", "path": "/nope/paused", "value": null}]))]
    #[case(json!([{"op": "remove", "path": "/spec/paused"}]))]
    #[case(json!([{"op": "add", "path": "/nope/x", "value": 1}]))]
    #[case(json!([{"op": "replace", "path": "/nope/x", "value": 1}]))]
    #[case(json!([{"op": "add"}]))]
    fn a_patch_that_cannot_be_applied_is_422(#[case] operations: Value) {
        assert_eq!(apply(operations).unwrap_err(), Refusal::patch_failed());
    }

    #[test]
    fn replacing_a_missing_member_adds_it() {
        let patched = apply(json!([{"op": "replace", "path": "/spec/paused", "value": true}]));
        assert_eq!(patched.unwrap()["spec"]["paused"], true);
    }

    #[test]
    fn a_strategic_patch_merges_containers_by_name() {
        let object = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]});
        let patch = Patch::Strategic(json!({"containers": [{"name": "a", "image": "2"}]}));
        assert_eq!(
            patch.apply(&object).unwrap(),
            json!({"containers": [{"name": "a", "image": "2"}, {"name": "b"}]})
        );
    }
}
