//! Whether pods that must be apart have a place each: the scheduler's rules about a
//! required anti-affinity, as far as is certain.
//!
//! Pure. A term whose reach is not known here, such as one with a selector of namespaces,
//! keeps nothing apart: what is refused is certain.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    changes::is_empty,
    evidence::ClusterList,
    nodes::takes,
    room::Shortage,
    template::{anti_affinity, labels, list},
};
use crate::template::{sameness::HASH_LABEL, selector::selects};

/// The versions of an application whose pods are there at once.
#[derive(Debug, Clone, Copy)]
pub struct Versions<'a> {
    pub namespace: &'a str,
    pub new: &'a Value,
    /// The template of the pods that are there; none where there are none.
    pub old: Option<&'a Value>,
}

/// Whether pods that must be apart have as many places as there are pods: `most` of both
/// versions at once, `replicas` of the new one.
#[must_use]
pub fn placement_shortage(
    nodes: &ClusterList,
    versions: Versions<'_>,
    most: i32,
    replicas: i32,
) -> Option<Shortage> {
    let ClusterList::Seen(nodes) = nodes else { return None };
    let Versions { namespace, new, old } = versions;
    let new_labels = labelled(new, "new");
    let old_labels = old.map(|old| labelled(old, "old"));
    let keeps_off = |term: &Value, own: &Map<String, Value>, other: &Map<String, Value>| {
        reaches(term, namespace) && selects(&selector_of(term, own), other)
    };
    anti_affinity(new).find_map(|term| {
        let key = term["topologyKey"].as_str()?;
        if !keeps_off(term, &new_labels, &new_labels) {
            return None;
        }
        let may: Vec<&Value> = nodes.iter().filter(|node| takes(node, new)).collect();
        let place = |node: &&Value| node["metadata"]["labels"][key].as_str().map(str::to_owned);
        // On a node that is in no such place any number may be.
        if may.iter().any(|node| place(node).is_none()) {
            return None;
        }
        let places: BTreeSet<String> = may.iter().filter_map(place).collect();
        let places = i32::try_from(places.len()).unwrap_or(i32::MAX);
        // Old pods have a place each beside the new ones where they are apart themselves,
        // and one version will not have the other beside it.
        let beside = old.zip(old_labels.as_ref()).is_some_and(|(old, old_labels)| {
            let theirs = || anti_affinity(old).filter(|theirs| theirs["topologyKey"] == *key);
            let apart = theirs().any(|term| keeps_off(term, old_labels, old_labels));
            let from_each_other = keeps_off(term, &new_labels, old_labels)
                || theirs().any(|term| keeps_off(term, old_labels, &new_labels));
            apart && from_each_other
        });
        let need = if beside { most } else { replicas };
        (need > places).then(|| Shortage {
            reason: format!("its pods must be apart by {key}, and there are {places} such places for {need} pods at once"),
            by_surge: replicas <= places,
        })
    })
}

/// The labels of a template's pods, with the one that Kubernetes gives to those of a version.
fn labelled(template: &Value, version: &str) -> Map<String, Value> {
    let mut labels = labels(template).clone();
    labels.insert(HASH_LABEL.into(), json!(version));
    labels
}

/// Whether a term certainly is about pods of this namespace, which is the pod's own.
fn reaches(term: &Value, namespace: &str) -> bool {
    let named: Vec<&Value> = list(&term["namespaces"]).collect();
    match &term["namespaceSelector"] {
        Value::Null => named.is_empty() || named.iter().any(|name| **name == *namespace),
        // All of them, where it says nothing.
        Value::Object(selector) if selector.values().all(is_empty) => true,
        _ => named.iter().any(|name| **name == *namespace),
    }
}

/// What a term of a pod with these labels selects: the API server adds to its selector
/// what the pod's own labels say of its keys.
fn selector_of(term: &Value, own: &Map<String, Value>) -> Value {
    let mut selector = term["labelSelector"].clone();
    if !selector.is_object() {
        return selector;
    }
    let mut expressions: Vec<Value> = list(&selector["matchExpressions"]).cloned().collect();
    for (keys, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in list(&term[keys]).filter_map(Value::as_str) {
            if let Some(value) = own.get(key) {
                expressions.push(json!({ "key": key, "operator": operator, "values": [value] }));
            }
        }
    }
    selector["matchExpressions"] = Value::Array(expressions);
    selector
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn template(labels: Value, term: Value) -> Value {
        json!({
            "metadata": { "labels": labels },
            "spec": { "nodeSelector": { "disk": "ssd" }, "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [term] } } },
        })
    }

    fn term(more: Value) -> Value {
        let mut term =
            json!({ "topologyKey": "host", "labelSelector": { "matchLabels": { "app": "web" } } });
        term.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        term
    }

    /// Three nodes for it, and others.
    fn nodes() -> ClusterList {
        let node = |name: &str, disk: &str, spec: Value| json!({ "metadata": { "labels": { "host": name, "disk": disk } }, "spec": spec });
        ClusterList::Seen(vec![
            node("a", "ssd", json!({})),
            node("b", "ssd", json!({ "taints": [{ "effect": "PreferNoSchedule" }] })),
            node("c", "ssd", json!({})),
            node("d", "hdd", json!({})),
            node("e", "ssd", json!({ "unschedulable": true })),
            node("f", "ssd", json!({ "taints": [{ "effect": "NoSchedule" }] })),
        ])
    }

    #[rstest]
    #[case(3, json!({}), None)]
    #[case(4, json!({}), Some(true))]
    #[case::versions_beside_each_other(4, json!({ "matchLabelKeys": ["pod-template-hash"] }), None)]
    #[case::a_key_that_both_versions_have(4, json!({ "matchLabelKeys": ["app"] }), Some(true))]
    #[case::its_own_pods_left_out(4, json!({ "mismatchLabelKeys": ["app"] }), None)]
    #[case::a_key_that_it_does_not_have(4, json!({ "mismatchLabelKeys": ["tenant"] }), Some(true))]
    #[case::no_node_is_in_such_a_place(4, json!({ "topologyKey": "rack" }), None)]
    #[case::another_namespace(4, json!({ "namespaces": ["other"] }), None)]
    #[case::its_own_namespace_by_name(4, json!({ "namespaces": ["other", "shop"] }), Some(true))]
    #[case::all_namespaces(4, json!({ "namespaceSelector": {} }), Some(true))]
    #[case::namespaces_that_are_not_known_here(4, json!({ "namespaceSelector": { "matchLabels": { "team": "a" } } }), None)]
    #[case::selected_or_named(4, json!({ "namespaces": ["shop"], "namespaceSelector": { "matchLabels": { "team": "a" } } }), Some(true))]
    fn pods_that_must_be_apart_need_a_place_each(
        #[case] most: i32,
        #[case] more: Value,
        #[case] by_surge: Option<bool>,
    ) {
        let template = template(json!({ "app": "web" }), term(more));
        let versions = Versions { namespace: "shop", new: &template, old: Some(&template) };
        let found = placement_shortage(&nodes(), versions, most, 3);
        assert_eq!(found.as_ref().map(|it| it.by_surge), by_surge, "{found:?}");
        assert_eq!(placement_shortage(&ClusterList::Unneeded, versions, most, 3), None);
    }

    #[rstest]
    #[case::old_ones_that_the_new_do_not_mind(json!({ "tier": "2" }), 3, None)]
    #[case::old_ones_that_they_do(json!({ "app": "web" }), 3, Some(true))]
    #[case::too_many_of_the_new(json!({ "tier": "2" }), 4, Some(false))]
    fn old_pods_count_where_the_versions_will_not_be_beside_each_other(
        #[case] selected: Value,
        #[case] replicas: i32,
        #[case] by_surge: Option<bool>,
    ) {
        let of = |tier: &str| {
            let more = json!({ "labelSelector": { "matchLabels": selected } });
            template(json!({ "app": "web", "tier": tier }), term(more))
        };
        let (old, new) = (of("1"), of("2"));
        let versions = Versions { namespace: "shop", new: &new, old: Some(&old) };
        let found = placement_shortage(&nodes(), versions, replicas + 1, replicas);
        assert_eq!(found.as_ref().map(|it| it.by_surge), by_surge, "{found:?}");
    }

    #[test]
    fn old_pods_that_may_share_a_place_may_take_one_alone() {
        let new = template(json!({ "app": "web" }), term(json!({})));
        let mut old = new.clone();
        old["spec"] = json!({});
        let versions = Versions { namespace: "shop", new: &new, old: Some(&old) };
        assert_eq!(placement_shortage(&nodes(), versions, 4, 3), None);
    }
}
