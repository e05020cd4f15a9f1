//! Reading and writing single fields of a Kubernetes object held as JSON.
//!
//! Absent, null and wrongly typed values all read as "not there": an object has
//! already been through its typed form when it gets here (`schema.rs`), so a
//! second opinion about types is not needed. Knows no kind of object.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The text at a JSON pointer.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// The integer at a JSON pointer.
pub(super) fn int(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The 32-bit count at a JSON pointer; absent is 0, as in the API's Go types.
pub(super) fn count(object: &Value, pointer: &str) -> i32 {
    int(object, pointer).and_then(|n| i32::try_from(n).ok()).unwrap_or(0)
}

/// Whether the boolean at a JSON pointer is true.
pub(super) fn flag(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The items of the array at a JSON pointer; absent is empty.
pub(super) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The string map (labels, annotations) at a JSON pointer; absent is empty.
pub(super) fn strings(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    object
        .pointer(pointer)
        .and_then(Value::as_object)
        .map(|map| {
            map.iter()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect()
        })
        .unwrap_or_default()
}

/// The object under `key`, made empty first when it is absent, null or not an
/// object.
pub(super) fn section<'a>(object: &'a mut Value, key: &str) -> &'a mut Value {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let slot = &mut object[key];
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot
}

/// Removes `key` from the object at a JSON pointer.
pub(super) fn remove(object: &mut Value, pointer: &str, key: &str) -> Option<Value> {
    object.pointer_mut(pointer)?.as_object_mut()?.remove(key)
}

/// The reference to the owner that controls this object (`controller: true`).
pub(super) fn controller(object: &Value) -> Option<&Value> {
    items(object, "/metadata/ownerReferences").iter().find(|owner| flag(owner, "/controller"))
}

/// The status condition of this type.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(object, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == Some(kind))
}
