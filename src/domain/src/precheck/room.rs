//! Whether there is room for the pods that a release has at once: quotas, ports of nodes,
//! and volumes that only one node or pod may have.
//!
//! Pure. Where a rule is more than is understood here (a quota with a scope
//! selector), it counts as room: only a certain lack of room refuses a release.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    evidence::{ClusterList, Evidence, Presence, ReferenceKind},
    nodes::{clash, host_ports, takes},
    template::{amount, list},
};
use crate::{
    observed::DeploymentView,
    precheck::preview::PodCount,
    template::{quantity, sameness::is_same},
};

/// The quota's name of the number of ReplicaSets.
const REPLICA_SETS: &str = "count/replicasets.apps";

/// What there is no room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// A sentence without a full stop.
    pub reason: String,
    /// Whether it comes from the surge alone: there is room for the desired number.
    pub by_surge: bool,
}

/// The pods of the namespace that matter for a quota, as the API server stored them,
/// with the amounts that it gave them.
#[derive(Debug, Default)]
pub struct Present<'a> {
    own: Vec<&'a Value>,
    /// Others that are on their way out, and will count no more.
    going: Vec<&'a Value>,
}

impl<'a> Present<'a> {
    /// Those of `pods` that a quota counts, where `view` says which are its own.
    #[must_use]
    pub fn of(pods: &'a [Value], view: Option<&DeploymentView>) -> Self {
        let counted = pods
            .iter()
            .filter(|pod| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")));
        let (own, others): (Vec<_>, Vec<_>) =
            counted.partition(|pod| view.is_some_and(|view| is_of(pod, view)));
        Self { own, going: others.into_iter().filter(|pod| is_going(pod)).collect() }
    }

    /// What they use of a quota by this name of it.
    fn amount(&self, quota: &Value, resource: &str) -> i128 {
        let counted = self.own.iter().chain(&self.going).filter(|pod| applies(quota, pod));
        counted.filter_map(|pod| amount(pod, resource)).sum()
    }

    /// What the least of the application's pods that stay uses; none where none stays.
    fn least(&self, resource: &str) -> Option<i128> {
        self.own.iter().filter(|pod| !is_going(pod)).filter_map(|pod| amount(pod, resource)).min()
    }
}

/// Whether a ReplicaSet of the Deployment controls the pod.
fn is_of(pod: &Value, view: &DeploymentView) -> bool {
    let owner = list(&pod["metadata"]["ownerReferences"]).find(|owner| owner["controller"] == true);
    let sets = view.sets();
    owner.is_some_and(|owner| sets.map(|set| set.uid.as_str()).any(|uid| owner["uid"] == uid))
}

fn is_going(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}

/// What `template` asks for, with what the API server gave to pods of `before` that
/// asked for as little: the defaults of the namespace. For where it does not say itself
/// what it would store.
#[must_use]
pub fn with_defaults(
    template: &Value,
    before: &Value,
    pods: &[Value],
    view: &DeploymentView,
) -> Value {
    let mut filled = template.clone();
    let Some(pod) = pods.iter().find(|pod| is_of(pod, view)) else { return filled };
    let named = |of: &Value, name: &Value| {
        list(&of["spec"]["containers"]).find(|it| it["name"] == *name).cloned().unwrap_or_default()
    };
    for container in filled["spec"]["containers"].as_array_mut().into_iter().flatten() {
        let (stored, asked) = (named(pod, &container["name"]), named(before, &container["name"]));
        for kind in ["requests", "limits"] {
            for (name, given) in stored["resources"][kind].as_object().into_iter().flatten() {
                let is_default = asked["resources"][kind][name].is_null()
                    && container["resources"][kind][name].is_null();
                if is_default {
                    if !container["resources"][kind].is_object() {
                        container["resources"][kind] = json!({});
                    }
                    container["resources"][kind][name] = given.clone();
                }
            }
        }
    }
    filled
}

/// Quotas that do not have room for the most pods at once, beside what is there already. `new` is one
/// of the pods to come, `before` the template of those that are there.
#[must_use]
pub fn quota_shortages(
    quotas: &ClusterList,
    new: &Value,
    before: Option<&Value>,
    present: &Present<'_>,
    peaks: &[PodCount],
    replicas: i32,
) -> Vec<Shortage> {
    let ClusterList::Seen(quotas) = quotas else { return Vec::new() };
    let mut found = Vec::new();
    for quota in quotas.iter().filter(|quota| applies(quota, new)) {
        let (hard, used) = (&quota["status"]["hard"], &quota["status"]["used"]);
        for (resource, hard) in hard.as_object().into_iter().flatten() {
            let Some(each) = amount(new, resource) else { continue };
            let read = |value: &Value| value.as_str().and_then(quantity::billionths);
            let (Some(hard), Some(used)) = (read(hard), read(&used[resource])) else { continue };
            let old_each = present
                .least(resource)
                .or_else(|| before.and_then(|before| amount(before, resource)))
                .unwrap_or(0);
            // What is used is counted a moment late.
            let others = (used - present.amount(quota, resource)).max(0);
            let need =
                |peak: &PodCount| each * i128::from(peak.new) + old_each * i128::from(peak.old);
            let Some(most) = peaks.iter().map(need).max() else { continue };
            // Asking for nothing is never refused, however full the quota is.
            if others + most <= hard || each == 0 {
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

/// Whether a quota has no room for the ReplicaSet that pods of `template` need, where
/// there is none for them yet. Kubernetes makes it before it lets an earlier one go.
#[must_use]
pub fn replica_set_shortage(
    quotas: &ClusterList,
    template: &Value,
    view: Option<&DeploymentView>,
) -> Option<Shortage> {
    let ClusterList::Seen(quotas) = quotas else { return None };
    let mut sets = view.into_iter().flat_map(DeploymentView::sets);
    if sets.any(|set| is_same(&set.template, template)) {
        return None;
    }
    quotas.iter().find_map(|quota| {
        let read = |part: &str| quota["status"][part][REPLICA_SETS].as_str().and_then(quantity::billionths);
        let (hard, used) = (read("hard")?, read("used")?);
        (used + quantity::ONE > hard).then(|| Shortage {
            reason: format!(
                "the quota {} allows {} of {REPLICA_SETS} and {} are there: each version needs one more; raise the quota, or lower the revisionHistoryLimit of Deployments that keep many",
                quota["metadata"]["name"].as_str().unwrap_or_default(),
                quantity::show(hard, REPLICA_SETS),
                quantity::show(used, REPLICA_SETS)
            ),
            by_surge: false,
        })
    })
}

/// Whether a quota counts these pods, as far as its plain scopes say.
fn applies(quota: &Value, template: &Value) -> bool {
    let spec = &quota["spec"];
    let best_effort = ["requests.cpu", "requests.memory", "limits.cpu", "limits.memory"]
        .iter()
        .all(|it| amount(template, it) == Some(0));
    let fits = |scope: &Value| match scope.as_str() {
        Some("NotTerminating") => true,
        Some("BestEffort") => best_effort,
        Some("NotBestEffort") => !best_effort,
        _ => false,
    };
    !spec["scopeSelector"].is_object() && list(&spec["scopes"]).all(fits)
}

/// Whether pods that take ports of their nodes have a node each.
#[must_use]
pub fn port_shortage(
    evidence: &Evidence,
    template: &Value,
    view: Option<&DeploymentView>,
    most: i32,
    replicas: i32,
) -> Option<Shortage> {
    let ports = host_ports(template);
    let (ClusterList::Seen(nodes), ClusterList::Seen(holders), false) =
        (&evidence.nodes, &evidence.port_holders, ports.is_empty())
    else {
        return None;
    };
    let stays = |pod: &&Value| {
        !is_going(pod) && !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
    };
    let others =
        holders.iter().filter(stays).filter(|pod| !view.is_some_and(|view| is_of(pod, view)));
    let taken: BTreeSet<&str> = others
        .filter(|pod| clash(&ports, &host_ports(pod)))
        .filter_map(|pod| pod["spec"]["nodeName"].as_str())
        .collect();
    let may = |node: &&Value| {
        takes(node, template)
            && node["metadata"]["name"].as_str().is_some_and(|name| !taken.contains(name))
    };
    let places = i32::try_from(nodes.iter().filter(may).count()).unwrap_or(i32::MAX);
    // Pods of the version before are in the way only where they take the same ports.
    let need = if view.is_some_and(|view| clash(&ports, &host_ports(&view.template))) {
        most
    } else {
        replicas
    };
    (need > places).then(|| Shortage {
        reason: format!("its pods take ports of their nodes (hostPort), and {places} nodes have them free for {need} pods at once"),
        by_surge: replicas <= places,
    })
}

/// Claims of the template that one node, or one pod, alone may have: each with
/// whether it is one pod.
#[must_use]
pub fn pinning_claims(evidence: &Evidence) -> Vec<(&str, bool)> {
    let claims = evidence
        .named
        .iter()
        .filter(|(reference, _)| reference.kind == ReferenceKind::PersistentVolumeClaim);
    let pins = claims.filter_map(|(reference, presence)| {
        let Presence::There { spec, .. } = presence else { return None };
        let modes: Vec<&str> = list(&spec["accessModes"]).filter_map(Value::as_str).collect();
        let shared = modes.iter().any(|mode| matches!(*mode, "ReadWriteMany" | "ReadOnlyMany"));
        (!modes.is_empty() && !shared)
            .then(|| (reference.name.as_str(), modes.contains(&"ReadWriteOncePod")))
    });
    pins.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::*;
    use crate::observed::ReplicaSetView;

    fn pods_of(cpu: &str) -> Value {
        json!({ "spec": { "containers": [{ "resources": { "requests": { "cpu": cpu } } }] } })
    }

    fn quota(resource: &str, hard: &str, used: &str, spec: Value) -> ClusterList {
        let quota = json!({ "metadata": { "name": "team" }, "spec": spec, "status": { "hard": { resource: hard }, "used": { resource: used } } });
        ClusterList::Seen(vec![quota])
    }

    /// Makes the pods those of a ReplicaSet, and shows its Deployment.
    fn of_the_set(pods: &mut [Value]) -> DeploymentView {
        for pod in pods {
            pod["metadata"]["ownerReferences"] = json!([{ "controller": true, "uid": "set" }]);
        }
        let set = ReplicaSetView { uid: "set".into(), ..ReplicaSetView::default() };
        DeploymentView { new: Some(set), ..DeploymentView::default() }
    }

    const PEAKS: [PodCount; 2] = [PodCount { new: 2, old: 4 }, PodCount { new: 4, old: 2 }];

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
        let mut four = [(); 4].map(|()| old.clone());
        let view = of_the_set(&mut four);
        let found = quota_shortages(
            &quota(resource, hard, used, json!({})),
            &new,
            None,
            &Present::of(&four, Some(&view)),
            &PEAKS,
            4,
        );
        assert_eq!(found.first().map(|it| it.by_surge), by_surge, "{found:?}");
    }

    #[rstest]
    #[case(json!({ "scopes": ["BestEffort"] }), true)]
    #[case(json!({ "scopes": ["NotBestEffort"] }), false)]
    #[case(json!({ "scopes": ["Terminating"] }), true)]
    #[case(json!({ "scopeSelector": {} }), true)]
    fn a_quota_counts_only_the_pods_of_its_scope(#[case] spec: Value, #[case] is_fine: bool) {
        let mut four = [(); 4].map(|()| pods_of("1"));
        let view = of_the_set(&mut four);
        let quotas = quota("pods", "4", "4", spec);
        let found = quota_shortages(
            &quotas,
            &pods_of("1"),
            None,
            &Present::of(&four, Some(&view)),
            &PEAKS,
            4,
        );
        assert_eq!(found.is_empty(), is_fine);
        let says =
            "the quota team allows 4 of pods and 0 are used by others: the release needs 6 at once";
        assert!(is_fine || found[0].reason == says, "{found:?}");
    }

    #[test]
    fn pods_that_are_on_their_way_out_leave_room() {
        let mut pods = [(); 4].map(|()| pods_of("1"));
        let view = of_the_set(&mut pods[..2]);
        let find = |pods: &[Value], hard: &str| {
            quota_shortages(
                &quota("pods", hard, "4", json!({})),
                &pods_of("1"),
                None,
                &Present::of(pods, Some(&view)),
                &PEAKS,
                4,
            )
        };
        assert_eq!(find(&pods, "7").len(), 1, "two are somebody else's");
        pods[2]["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(find(&pods, "7"), [], "and one of them goes");
        // One that ended is not counted by the quota either.
        pods[1]["status"]["phase"] = json!("Failed");
        assert_eq!(find(&pods, "7").len(), 1);
    }

    #[test]
    fn a_container_that_asks_for_nothing_gets_what_its_pods_got_before() {
        let before = json!({ "spec": { "containers": [{ "name": "web" }, { "name": "log", "resources": { "requests": { "cpu": "1" } } }] } });
        let mut stored = before.clone();
        stored["spec"]["containers"][0]["resources"] =
            json!({ "requests": { "cpu": "100m", "memory": "1Mi" }, "limits": { "cpu": "1" } });
        let mut pods = [stored];
        let view = of_the_set(&mut pods);
        let mut new = before.clone();
        new["spec"]["containers"][0]["resources"] = json!({ "requests": { "memory": "5Mi" } });
        new["spec"]["containers"][1]["resources"] = Value::Null;
        let filled = with_defaults(&new, &before, &pods, &view);
        let expected =
            json!({ "requests": { "cpu": "100m", "memory": "5Mi" }, "limits": { "cpu": "1" } });
        assert_eq!(filled["spec"]["containers"][0]["resources"], expected);
        assert_eq!(
            filled["spec"]["containers"][1]["resources"],
            Value::Null,
            "it asked for it itself before"
        );
        assert_eq!(with_defaults(&new, &before, &[], &view), new);
    }

    #[test]
    fn a_version_needs_room_for_its_replica_set_unless_that_is_there() {
        let quotas = |hard: &str| quota(REPLICA_SETS, hard, "1", json!({}));
        let mut view = of_the_set(&mut []);
        let found = replica_set_shortage(&quotas("1"), &json!({ "new": 1 }), Some(&view)).unwrap();
        assert!(
            found
                .reason
                .starts_with("the quota team allows 1 of count/replicasets.apps and 1 are there"),
            "{found:?}"
        );
        assert_eq!(replica_set_shortage(&quotas("2"), &json!({ "new": 1 }), Some(&view)), None);
        // As the Deployment controller makes it.
        let labelled = |hash: &str| json!({ "new": 1, "metadata": { "labels": { "app": "web", "pod-template-hash": hash } } });
        view.idle = vec![ReplicaSetView {
            template: Arc::new(labelled("5d4f")),
            ..ReplicaSetView::default()
        }];
        let mut wanted = labelled("");
        wanted["metadata"]["labels"].as_object_mut().unwrap().remove("pod-template-hash");
        assert_eq!(replica_set_shortage(&quotas("1"), &wanted, Some(&view)), None);
    }

    #[rstest]
    // Three nodes; the application has a pod on each.
    #[case::surge(80, 4, 3, Some(true))]
    #[case::as_many_as_nodes(80, 3, 3, None)]
    #[case::too_many_for_good(80, 5, 4, Some(false))]
    #[case::another_port_than_before(81, 4, 3, None)]
    #[case::a_port_that_somebody_else_has(90, 3, 3, Some(false))]
    #[case::a_port_that_somebody_else_lets_go(91, 3, 3, None)]
    fn pods_that_take_ports_of_nodes_need_a_node_each(
        #[case] port: i64,
        #[case] most: i32,
        #[case] replicas: i32,
        #[case] by_surge: Option<bool>,
    ) {
        let pod = |port: i64, node: &str| json!({ "spec": { "nodeName": node, "containers": [{ "ports": [{ "hostPort": port }] }] } });
        let mut own = ["a", "b", "c"].map(|node| pod(80, node));
        let mut view = of_the_set(&mut own);
        view.template = own[0].clone();
        let mut going = pod(91, "b");
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let holders = own.into_iter().chain([pod(90, "a"), going]).collect();
        let nodes = ["a", "b", "c"].map(|name| json!({ "metadata": { "name": name } })).to_vec();
        let evidence = Evidence {
            nodes: ClusterList::Seen(nodes),
            port_holders: ClusterList::Seen(holders),
            ..Evidence::none()
        };
        let found = port_shortage(&evidence, &pod(port, ""), Some(&view), most, replicas);
        assert_eq!(found.as_ref().map(|it| it.by_surge), by_surge, "{found:?}");
        assert_eq!(port_shortage(&evidence, &pods_of("1"), Some(&view), most, replicas), None);
    }
}
