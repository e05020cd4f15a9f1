//! `metadata.managedFields`: which manager wrote which field last.
//!
//! As in Kubernetes for plain updates: a write owns the fields it changed and
//! takes them from all others; a manager that owns nothing any more is dropped.
//! Lists of named things are owned by item, other lists as a whole. Server-side
//! apply is not offered by this cluster, so there is no other operation.

use serde_json::{Map, Value, json};

/// Records a write in the object that it made.
pub(super) fn record(
    before: Option<&Value>,
    after: &mut Value,
    manager: &str,
    subresource: &str,
    time: &str,
) {
    let nothing = Value::Null;
    let changed = changed_fields(before.unwrap_or(&nothing), after);
    let (changed, removed) = changed.unwrap_or_else(|| (json!({}), json!({})));
    let before_them = before
        .map(|before| super::field::items(before, "/metadata/managedFields").to_vec())
        .unwrap_or_default();
    // A writer may name other owners; without any, those of before stay.
    let given = super::field::items(after, "/metadata/managedFields").to_vec();
    let mut entries: Vec<Value> = if given.is_empty() { before_them } else { given };
    for entry in &mut entries {
        let own = entry["manager"] == manager
            && entry.get("subresource").map_or("", |s| s.as_str().unwrap_or("")) == subresource;
        let fields = &mut entry["fieldsV1"];
        subtract(fields, &removed);
        if own {
            unite(fields, &changed);
            if !is_empty(&changed) {
                entry["time"] = time.into();
            }
        } else {
            subtract(fields, &changed);
        }
    }
    let owns = |entry: &Value| {
        entry["manager"] == manager
            && entry.get("subresource").map_or("", |s| s.as_str().unwrap_or("")) == subresource
    };
    if !entries.iter().any(owns) && !is_empty(&changed) {
        let mut entry = json!({
            "manager": manager,
            "operation": "Update",
            "apiVersion": after["apiVersion"],
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": changed,
        });
        if !subresource.is_empty() {
            entry["subresource"] = subresource.into();
        }
        entries.push(entry);
    }
    entries.retain(|entry| !is_empty(&entry["fieldsV1"]));
    if !entries.is_empty() || after["metadata"].get("managedFields").is_some() {
        after["metadata"]["managedFields"] = entries.into();
    }
}

/// Metadata that nobody owns.
const SYSTEM: [&str; 11] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
    "apiVersion",
];

/// The fields that are new or different, and those that are gone; none when
/// there is no difference.
fn changed_fields(before: &Value, after: &Value) -> Option<(Value, Value)> {
    let metadata = (owned_metadata(before), owned_metadata(after));
    let changed = owned_difference((before, &metadata.0), (after, &metadata.1));
    let removed = owned_difference((after, &metadata.1), (before, &metadata.0));
    // What both sides have with different values is no removal.
    let mut gone = removed;
    subtract(&mut gone, &changed);
    (!is_empty(&changed) || !is_empty(&gone)).then_some((changed, gone))
}

/// The metadata of an object that somebody can own. The rest of an object is compared where
/// it is: most of it is the same before and after.
fn owned_metadata(object: &Value) -> Value {
    let all = object["metadata"].as_object().into_iter().flatten();
    let owned = all.filter(|(key, _)| !SYSTEM.contains(&key.as_str()));
    Value::Object(owned.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// [`difference`] of two objects, each with the metadata of it that somebody can own.
fn owned_difference(before: (&Value, &Value), after: (&Value, &Value)) -> Value {
    let mut set = Map::new();
    for (key, value) in after.0.as_object().into_iter().flatten() {
        let (old, new) = match key.as_str() {
            "apiVersion" | "kind" => continue,
            "metadata" if is_empty(after.1) => continue,
            "metadata" => (before.1, after.1),
            _ => (before.0.get(key).unwrap_or(&Value::Null), value),
        };
        if let Some(fields) = inner_difference(old, new) {
            set.insert(format!("f:{key}"), fields);
        }
    }
    Value::Object(set)
}

/// The fields of `after` that `before` does not have just so, as a field set.
fn difference(before: &Value, after: &Value) -> Value {
    let mut set = Map::new();
    match after {
        Value::Object(map) => {
            for (key, value) in map {
                let old = before.get(key).unwrap_or(&Value::Null);
                if let Some(fields) = inner_difference(old, value) {
                    set.insert(format!("f:{key}"), fields);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let Some(name) = item_key(item) else { continue };
                let old = super::field::items(before, "")
                    .iter()
                    .find(|old| item_key(old).as_ref() == Some(&name))
                    .unwrap_or(&Value::Null);
                if let Some(fields) = inner_difference(old, item) {
                    set.insert(name, fields);
                }
            }
        }
        _ => {}
    }
    Value::Object(set)
}

fn inner_difference(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let by_item = after
        .as_array()
        .is_some_and(|items| !items.is_empty() && items.iter().all(|i| item_key(i).is_some()));
    let nested = by_item || after.as_object().is_some_and(|map| !map.is_empty());
    if !nested {
        // Emptied, it is no leaf of its own: its members are gone, that is all.
        let emptied = after.is_object() && before.is_object();
        return (!emptied).then(|| json!({}));
    }
    let fields = difference(before, after);
    // Only something was taken away inside: nothing new to own.
    (!is_empty(&fields)).then_some(fields)
}

/// How an item of a list is called in a field set, if items of its sort are.
fn item_key(item: &Value) -> Option<String> {
    let keys: &[&str] = if item.get("containerPort").is_some() {
        &["containerPort", "protocol"]
    } else if item.get("mountPath").is_some() {
        &["mountPath"]
    } else if item.get("ip").is_some() {
        &["ip"]
    } else if item.get("uid").is_some() {
        &["uid"]
    } else if item.get("name").is_some() {
        &["name"]
    } else if item.get("type").is_some() {
        &["type"]
    } else {
        return None;
    };
    let named: Map<String, Value> =
        keys.iter().map(|key| ((*key).to_owned(), item[*key].clone())).collect();
    Some(format!("k:{}", Value::Object(named)))
}

fn is_empty(set: &Value) -> bool {
    set.as_object().is_none_or(Map::is_empty)
}

fn unite(set: &mut Value, other: &Value) {
    let (Some(set), Some(other)) = (set.as_object_mut(), other.as_object()) else {
        return;
    };
    for (key, fields) in other {
        unite(set.entry(key.clone()).or_insert_with(|| json!({})), fields);
    }
}

/// Takes the leaves of `other` out of `set`, and branches that end up empty.
fn subtract(set: &mut Value, other: &Value) {
    let (Some(set), Some(other)) = (set.as_object_mut(), other.as_object()) else {
        return;
    };
    for (key, fields) in other {
        let Some(inner) = set.get_mut(key) else {
            continue;
        };
        if is_empty(fields) {
            set.remove(key);
            continue;
        }
        subtract(inner, fields);
        if is_empty(inner) {
            set.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(before: Option<&Value>, mut after: Value, manager: &str) -> Value {
        record(before, &mut after, manager, "", "2026-01-01T00:00:00Z");
        after
    }

    fn owned(object: &Value, manager: &str) -> Option<Value> {
        object["metadata"]["managedFields"]
            .as_array()?
            .iter()
            .find(|entry| entry["manager"] == manager)
            .map(|entry| entry["fieldsV1"].clone())
    }

    #[test]
    fn the_last_writer_of_a_field_owns_it() {
        let first =
            write(None, json!({"metadata": {}, "spec": {"replicas": 1, "paused": true}}), "one");
        let mut next = first.clone();
        next["spec"]["replicas"] = json!(2);
        let second = write(Some(&first), next, "two");
        assert_eq!(owned(&second, "one"), Some(json!({"f:spec": {"f:paused": {}}})));
        assert_eq!(owned(&second, "two"), Some(json!({"f:spec": {"f:replicas": {}}})));
    }

    #[test]
    fn an_item_of_a_named_list_has_its_own_owner() {
        let first = write(
            None,
            json!({"metadata": {}, "spec": {"containers": [{"name": "c", "image": "a"}]}}),
            "one",
        );
        let mut next = first.clone();
        next["spec"]["containers"][0]["image"] = json!("b");
        let second = write(Some(&first), next, "two");
        assert_eq!(
            owned(&second, "two"),
            Some(json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {"f:image": {}}}}}))
        );
    }

    #[test]
    fn a_manager_that_owns_nothing_any_more_is_dropped() {
        let first = write(None, json!({"metadata": {}, "spec": {"paused": true}}), "one");
        let mut next = first.clone();
        next["spec"].as_object_mut().unwrap().remove("paused");
        let second = write(Some(&first), next, "two");
        assert_eq!(owned(&second, "one"), None);
        assert_eq!(owned(&second, "two"), None);
    }
}
