//! Who owns a Deployment's fields, and how Sluice returns them: [`given_back`].
//!
//! A client that writes a field owns it from then on, in Kubernetes' `managedFields`. The
//! former owner meets a conflict when it applies its text again. Writing the old value back
//! does not change that. So Sluice stores the former owners with the Deployment before the
//! order, and restores them once it has restored the values. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Fields that have their former values again, and who owned them then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GiveBack {
    /// The fields of the spec.
    pub fields: Vec<String>,
    /// The `managedFields` of before, as [`of_spec`] leaves them.
    pub owners: Value,
}

/// The part of `managedFields` that is about the spec.
#[must_use]
pub fn of_spec(managed_fields: &Value) -> Value {
    let entries = managed_fields
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| is_of_spec(entry) && entry["fieldsV1"]["f:spec"].is_object());
    let part = |entry: &Value| {
        let mut entry = entry.clone();
        entry["fieldsV1"] = json!({ "f:spec": entry["fieldsV1"]["f:spec"] });
        entry
    };
    Value::Array(entries.map(part).collect())
}

/// `now` with the owners of before in the fields that are given back by `ours`, the field
/// manager that wrote them; none where that is so already.
#[must_use]
pub fn given_back(now: &Value, back: &GiveBack, ours: &str) -> Option<Value> {
    let before = back.owners.as_array()?;
    // Of an order from before owners were remembered there are none.
    if before.is_empty() {
        return None;
    }
    let mut entries: Vec<Value> = now.as_array()?.clone();
    for field in &back.fields {
        let field = format!("f:{field}");
        let is_ours = |entry: &Value| {
            entry["manager"] == ours
                && entry["operation"] == "Update"
                && subresource(entry).is_empty()
        };
        let mine = |entries: &[Value]| {
            entries
                .iter()
                .find(|entry| is_ours(entry))
                .map(|entry| part(entry, &field))
                .unwrap_or_default()
        };
        let (mine_now, mine_before) = (mine(&entries), mine(before));
        let is_owned = |entries: &[Value]| {
            entries.iter().any(|entry| is_of_spec(entry) && !part(entry, &field).is_null())
        };
        let is_lost = !is_owned(&entries) && is_owned(before);
        if mine_now == mine_before && !is_lost {
            continue;
        }
        for entry in entries.iter_mut().filter(|entry| is_ours(entry)) {
            set(entry, &field, mine_before.clone());
        }
        for owner in before.iter().filter(|owner| !part(owner, &field).is_null()) {
            let owned = part(owner, &field);
            match entries.iter_mut().find(|entry| same_manager(entry, owner)) {
                Some(entry) if is_ours(entry) => {}
                Some(entry) => {
                    let mut all = part(entry, &field);
                    unite(&mut all, &owned);
                    set(entry, &field, all);
                }
                None => {
                    let mut entry = (*owner).clone();
                    entry["fieldsV1"] = json!({ "f:spec": { &field: owned } });
                    entries.push(entry);
                }
            }
        }
    }
    entries.retain(|entry| entry["fieldsV1"].as_object().is_some_and(|fields| !fields.is_empty()));
    let changed = Value::Array(entries);
    (changed != *now).then_some(changed)
}

/// The owners of `before`, but for these fields of the spec, whose owners are those of `now`.
#[must_use]
pub fn taken_over(before: &Value, now: &Value, fields: &[&str]) -> Value {
    let mut entries: Vec<Value> = before.as_array().cloned().unwrap_or_default();
    for field in fields.iter().map(|field| format!("f:{field}")) {
        entries.iter_mut().for_each(|entry| set(entry, &field, Value::Null));
        let owners = now.as_array().into_iter().flatten();
        for owner in owners.filter(|owner| !part(owner, &field).is_null()) {
            let owned = part(owner, &field);
            match entries.iter_mut().find(|entry| same_manager(entry, owner)) {
                Some(entry) => set(entry, &field, owned),
                None => {
                    let mut entry = owner.clone();
                    entry["fieldsV1"] = json!({ "f:spec": { &field: owned } });
                    entries.push(entry);
                }
            }
        }
    }
    entries.retain(|entry| entry["fieldsV1"]["f:spec"].is_object());
    Value::Array(entries)
}

/// Whether an entry can own fields of the spec: by the object itself, or by its scale, as
/// autoscalers and `kubectl scale` write it.
fn is_of_spec(entry: &Value) -> bool {
    matches!(subresource(entry), "" | "scale")
}

fn subresource(entry: &Value) -> &str {
    entry["subresource"].as_str().unwrap_or_default()
}

fn same_manager(a: &Value, b: &Value) -> bool {
    subresource(a) == subresource(b)
        && ["manager", "operation", "apiVersion"].iter().all(|key| a[*key] == b[*key])
}

fn part(entry: &Value, field: &str) -> Value {
    entry["fieldsV1"]["f:spec"][field].clone()
}

/// Sets what an entry owns of a field; null = nothing.
fn set(entry: &mut Value, field: &str, owned: Value) {
    let Some(fields) = entry["fieldsV1"].as_object_mut() else { return };
    if owned.is_null() {
        if let Some(spec) = fields.get_mut("f:spec").and_then(Value::as_object_mut) {
            spec.remove(field);
            if spec.is_empty() {
                fields.remove("f:spec");
            }
        }
        return;
    }
    if let Some(spec) = fields.entry("f:spec").or_insert_with(|| json!({})).as_object_mut() {
        spec.insert(field.into(), owned);
    }
}

fn unite(all: &mut Value, more: &Value) {
    if !all.is_object() {
        *all = Value::Object(Map::new());
    }
    let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) else { return };
    for (key, value) in more {
        unite(all.entry(key.clone()).or_insert_with(|| json!({})), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, spec: Value) -> Value {
        json!({ "manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsV1": { "f:spec": spec } })
    }

    fn strategy() -> Value {
        json!({ "f:type": {}, "f:rollingUpdate": { "f:maxSurge": {} } })
    }

    fn back(owners: &[Value]) -> GiveBack {
        GiveBack {
            fields: vec!["strategy".into(), "paused".into(), "replicas".into()],
            owners: of_spec(&json!(owners)),
        }
    }

    #[test]
    fn what_is_given_back_is_its_owners_again_and_ours_no_more() {
        let before = [entry(
            "ci",
            "Apply",
            json!({ "f:strategy": strategy(), "f:template": { "f:a": {} } }),
        )];
        let mut mine = entry(
            "sluice",
            "Update",
            json!({ "f:strategy": strategy(), "f:template": { "f:a": {} } }),
        );
        mine["fieldsV1"]["f:metadata"] = json!({ "f:annotations": {} });
        let status = json!({ "manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": { "f:status": {} } });
        let now = json!([status, mine]);
        let after = given_back(&now, &back(&before), "sluice").unwrap();
        mine["fieldsV1"]["f:spec"] = json!({ "f:template": { "f:a": {} } });
        assert_eq!(
            after,
            json!([status, mine, entry("ci", "Apply", json!({ "f:strategy": strategy() }))])
        );
        assert_eq!(given_back(&after, &back(&before), "sluice"), None, "once");
    }

    #[test]
    fn what_was_ours_before_stays_ours() {
        let ours = entry("sluice", "Update", json!({ "f:strategy": strategy() }));
        assert_eq!(given_back(&json!([ours.clone()]), &back(&[ours]), "sluice"), None);
    }

    #[test]
    fn what_others_took_meanwhile_is_theirs_too() {
        let before = [entry("ci", "Apply", json!({ "f:strategy": { "f:type": {} } }))];
        let now = json!([
            entry("ci", "Apply", json!({ "f:replicas": {} })),
            entry("sluice", "Update", json!({ "f:strategy": strategy() })),
            entry("kubectl-edit", "Update", json!({ "f:paused": {} })),
        ]);
        let after = given_back(&now, &back(&before), "sluice").unwrap();
        assert_eq!(
            after,
            json!([
                entry("ci", "Apply", json!({ "f:replicas": {}, "f:strategy": { "f:type": {} } })),
                entry("kubectl-edit", "Update", json!({ "f:paused": {} })),
            ])
        );
    }

    #[test]
    fn a_field_that_nobody_owns_any_more_has_its_owner_again() {
        let before = [entry("ci", "Apply", json!({ "f:paused": {}, "f:replicas": {} }))];
        let now = json!([entry("ci", "Apply", json!({ "f:replicas": {} }))]);
        assert_eq!(given_back(&now, &back(&before), "sluice"), Some(json!(before)));
    }

    /// An autoscaler, or `kubectl scale`, writes the number by the scale.
    #[test]
    fn the_number_of_pods_is_the_autoscalers_again() {
        let mut scaler = entry("kube-controller-manager", "Update", json!({ "f:replicas": {} }));
        scaler["subresource"] = "scale".into();
        let ci = entry("ci", "Apply", json!({ "f:paused": {}, "f:replicas": {} }));
        let before = [ci.clone(), scaler.clone()];
        assert_eq!(of_spec(&json!(before)), json!(before));
        let mine = entry("sluice", "Update", json!({ "f:replicas": {} }));
        let ci_now = entry("ci", "Apply", json!({ "f:paused": {} }));
        assert_eq!(
            given_back(&json!([ci_now, mine]), &back(&before), "sluice"),
            Some(json!(before))
        );
    }

    #[test]
    fn a_field_that_somebody_set_meanwhile_is_theirs_and_the_others_stay() {
        let before = [entry("ci", "Apply", json!({ "f:strategy": strategy(), "f:paused": {} }))];
        let now = [entry("kubectl-patch", "Update", json!({ "f:strategy": strategy() }))];
        assert_eq!(
            taken_over(&json!(before), &json!(now), &["strategy"]),
            json!([entry("ci", "Apply", json!({ "f:paused": {} })), now[0]])
        );
        assert_eq!(taken_over(&json!(before), &json!(now), &[]), json!(before));
    }

    #[test]
    fn where_no_owners_are_remembered_nothing_is_given_back() {
        assert_eq!(
            given_back(
                &json!([entry("sluice", "Update", json!({ "f:paused": {} }))]),
                &back(&[]),
                "sluice"
            ),
            None
        );
    }
}
