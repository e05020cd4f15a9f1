//! Whether there is room for the pods that a release has at once: quotas, nodes
//! for pods that must be apart, and volumes that only one node or pod may have.
//!
//! Pure. Where a rule is more than is understood here (a quota with a scope
//! selector, nodes behind an affinity of their own), it is taken as room: what is
//! refused is certain.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    evidence::{Evidence, Listed, Presence, ReferenceKind},
    template::{amount, list, own_anti_affinity},
};
use crate::{preview::Crowd, quantity};

/// What there is no room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// A sentence without a full stop.
    pub reason: String,
    /// Whether it comes from the surge alone: there is room for the desired number.
    pub by_surge: bool,
}

/// Quotas that do not have room for a crowd, beside what `before` pods of `old` have
/// already. Amounts are those of the templates, with the defaults that the API
/// server gives pods.
#[must_use]
pub fn quota_shortages(quotas: &Listed, new: &Value, old: Option<(&Value, i32)>, crowds: &[Crowd], replicas: i32) -> Vec<Shortage> {
    let Listed::Seen(quotas) = quotas else { return Vec::new() };
    let mut found = Vec::new();
    for quota in quotas.iter().filter(|quota| applies(quota, new)) {
        let (hard, used) = (&quota["status"]["hard"], &quota["status"]["used"]);
        for (resource, hard) in hard.as_object().into_iter().flatten() {
            let Some(each) = amount(new, resource) else { continue };
            let read = |value: &Value| value.as_str().and_then(quantity::billionths);
            let (Some(hard), Some(used)) = (read(hard), read(&used[resource])) else { continue };
            let (old_each, before) = old.map_or((0, 0), |(template, pods)| (amount(template, resource).unwrap_or(0), pods));
            // What is used is counted a moment late.
            let others = (used - old_each * i128::from(before)).max(0);
            let need = |crowd: &Crowd| each * i128::from(crowd.new) + old_each * i128::from(crowd.old);
            let Some(most) = crowds.iter().map(need).max() else { continue };
            if others + most <= hard {
                continue;
            }
            let show = |amount: i128| quantity::show(amount, resource);
            found.push(Shortage {
                reason: format!(
                    "the quota {} allows {} of {resource} and {} are used by others: the release needs {} at once",
                    quota["metadata"]["name"].as_str().unwrap_or_default(),
                    show(hard),
                    show(others),
                    show(most)
                ),
                by_surge: others + each * i128::from(replicas) <= hard,
            });
        }
    }
    found
}

/// Whether a quota counts these pods, as far as its plain scopes say.
fn applies(quota: &Value, template: &Value) -> bool {
    let spec = &quota["spec"];
    let best_effort = ["requests.cpu", "requests.memory", "limits.cpu", "limits.memory"].iter().all(|it| amount(template, it) == Some(0));
    let fits = |scope: &Value| match scope.as_str() {
        Some("NotTerminating") => true,
        Some("BestEffort") => best_effort,
        Some("NotBestEffort") => !best_effort,
        _ => false,
    };
    !spec["scopeSelector"].is_object() && list(&spec["scopes"]).all(fits)
}

/// Whether pods that must be apart have as many places as there are pods.
#[must_use]
pub fn placement_shortage(nodes: &Listed, template: &Value, most: i32, replicas: i32) -> Option<Shortage> {
    let Listed::Seen(nodes) = nodes else { return None };
    own_anti_affinity(template).find_map(|term| {
        let key = term["topologyKey"].as_str()?;
        let places: BTreeSet<&str> =
            nodes.iter().filter(|node| takes(node, template)).filter_map(|node| node["metadata"]["labels"][key].as_str()).collect();
        let places = i32::try_from(places.len()).unwrap_or(i32::MAX);
        // Such a term keeps the pods of each version apart only among themselves.
        let by_version = list(&term["matchLabelKeys"]).any(|key| key == "pod-template-hash");
        let need = if by_version { replicas } else { most };
        (need > places).then(|| Shortage {
            reason: format!("its pods must be apart by {key}, and there are {places} such places for {need} pods at once"),
            by_surge: replicas <= places,
        })
    })
}

/// Whether a node may take such pods, as far as is certain.
fn takes(node: &Value, template: &Value) -> bool {
    let spec = &template["spec"];
    let labels = &node["metadata"]["labels"];
    let selected = spec["nodeSelector"].as_object().is_none_or(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value));
    let tainted = list(&node["spec"]["taints"]).any(|taint| taint["effect"] != "PreferNoSchedule");
    let tolerates = spec["tolerations"].as_array().is_some_and(|tolerations| !tolerations.is_empty());
    selected && node["spec"]["unschedulable"] != true && (!tainted || tolerates)
}

/// Claims of the template that one node, or one pod, alone may have: each with
/// whether it is one pod.
#[must_use]
pub fn pinning_claims(evidence: &Evidence) -> Vec<(&str, bool)> {
    let claims = evidence.named.iter().filter(|(reference, _)| reference.kind == ReferenceKind::PersistentVolumeClaim);
    let pins = claims.filter_map(|(reference, presence)| {
        let Presence::There { spec, .. } = presence else { return None };
        let modes: Vec<&str> = list(&spec["accessModes"]).filter_map(Value::as_str).collect();
        let shared = modes.iter().any(|mode| matches!(*mode, "ReadWriteMany" | "ReadOnlyMany"));
        (!modes.is_empty() && !shared).then(|| (reference.name.as_str(), modes.contains(&"ReadWriteOncePod")))
    });
    pins.collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn pods_of(cpu: &str) -> Value {
        json!({ "spec": { "containers": [{ "resources": { "requests": { "cpu": cpu } } }] } })
    }

    fn quota(resource: &str, hard: &str, used: &str, spec: Value) -> Listed {
        let quota =
            json!({ "metadata": { "name": "team" }, "spec": spec, "status": { "hard": { resource: hard }, "used": { resource: used } } });
        Listed::Seen(vec![quota])
    }

    const CROWDS: [Crowd; 2] = [Crowd { new: 2, old: 4 }, Crowd { new: 4, old: 2 }];

    #[rstest]
    // 4 pods are there, 2 more come.
    #[case("pods", "6", "4", None)]
    #[case("pods", "5", "4", Some(true))]
    // Somebody else's count, too.
    #[case("pods", "6", "5", Some(true))]
    // 4 old ones of 100m and 4 new ones of 200m: 1000m at the most.
    #[case("requests.cpu", "1", "400m", None)]
    #[case("requests.cpu", "900m", "400m", Some(true))]
    #[case("requests.cpu", "700m", "400m", Some(false))]
    #[case("services", "0", "0", None)]
    fn a_quota_must_have_room_for_all_pods_at_once(
        #[case] resource: &str,
        #[case] hard: &str,
        #[case] used: &str,
        #[case] by_surge: Option<bool>,
    ) {
        let (old, new) = (pods_of("100m"), pods_of("200m"));
        let found = quota_shortages(&quota(resource, hard, used, json!({})), &new, Some((&old, 4)), &CROWDS, 4);
        assert_eq!(found.first().map(|it| it.by_surge), by_surge, "{found:?}");
    }

    #[rstest]
    #[case(json!({ "scopes": ["BestEffort"] }), true)]
    #[case(json!({ "scopes": ["NotBestEffort"] }), false)]
    #[case(json!({ "scopes": ["Terminating"] }), true)]
    #[case(json!({ "scopeSelector": {} }), true)]
    fn a_quota_counts_only_the_pods_of_its_scope(#[case] spec: Value, #[case] is_fine: bool) {
        let found = quota_shortages(&quota("pods", "4", "4", spec), &pods_of("1"), Some((&pods_of("1"), 4)), &CROWDS, 4);
        assert_eq!(found.is_empty(), is_fine);
        let says = "the quota team allows 4 of pods and 0 are used by others: the release needs 6 at once";
        assert!(is_fine || found[0].reason == says, "{found:?}");
    }

    #[rstest]
    #[case(3, json!({}), None)]
    #[case(4, json!({}), Some(true))]
    #[case(4, json!({ "matchLabelKeys": ["pod-template-hash"] }), None)]
    fn pods_that_must_be_apart_need_a_place_each(#[case] most: i32, #[case] more: Value, #[case] by_surge: Option<bool>) {
        let mut term = json!({ "topologyKey": "host", "labelSelector": { "matchLabels": { "app": "web" } } });
        term.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let template = json!({
            "metadata": { "labels": { "app": "web" } },
            "spec": { "nodeSelector": { "disk": "ssd" }, "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [term] } } },
        });
        let node = |name: &str, disk: &str, spec: Value| json!({ "metadata": { "labels": { "host": name, "disk": disk } }, "spec": spec });
        let nodes = Listed::Seen(vec![
            node("a", "ssd", json!({})),
            node("b", "ssd", json!({ "taints": [{ "effect": "PreferNoSchedule" }] })),
            node("c", "ssd", json!({})),
            node("d", "hdd", json!({})),
            node("e", "ssd", json!({ "unschedulable": true })),
            node("f", "ssd", json!({ "taints": [{ "effect": "NoSchedule" }] })),
        ]);
        let found = placement_shortage(&nodes, &template, most, 3);
        assert_eq!(found.as_ref().map(|it| it.by_surge), by_surge, "{found:?}");
        assert_eq!(placement_shortage(&Listed::Unneeded, &template, most, 3), None);
    }
}
