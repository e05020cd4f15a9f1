//! Which nodes may take a pod, as far as is certain: the scheduler's rules about
//! labels, taints and ports of the node.
//!
//! Pure. An unknown rule counts as met, and so does a taint that Kubernetes sets and
//! removes itself: a node is excluded only if it certainly cannot take the pod.

use serde_json::Value;

use super::template::list;

/// Taints of a node that has a bad moment.
const PASSING_TAINTS: &str = "node.kubernetes.io/";

/// The taint of a node that a person or a program keeps pods from.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// A port of the node that a container takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort<'a> {
    protocol: &'a str,
    address: &'a str,
    port: i64,
}

/// Whether `node` may take such pods.
#[must_use]
pub fn takes(node: &Value, template: &Value) -> bool {
    let (spec, labels) = (&template["spec"], &node["metadata"]["labels"]);
    let selected = spec["nodeSelector"]
        .as_object()
        .is_none_or(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value));
    let wanted = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        ["nodeSelectorTerms"];
    let wished = wanted.as_array().is_none_or(|terms| terms.iter().any(|term| is_met(term, node)));
    let cordoned =
        node["spec"]["unschedulable"] == true && !tolerates(spec, UNSCHEDULABLE, "", "NoSchedule");
    let kept_off = list(&node["spec"]["taints"]).any(|taint| {
        let text = |field: &str| taint[field].as_str().unwrap_or_default();
        text("effect") != "PreferNoSchedule"
            && !text("key").starts_with(PASSING_TAINTS)
            && !tolerates(spec, text("key"), text("value"), text("effect"))
    });
    selected && wished && !cordoned && !kept_off
}

/// The ports of its node that a pod takes.
#[must_use]
pub fn host_ports(pod: &Value) -> Vec<HostPort<'_>> {
    let spec = &pod["spec"];
    let stays =
        list(&spec["initContainers"]).filter(|container| container["restartPolicy"] == "Always");
    let ports =
        stays.chain(list(&spec["containers"])).flat_map(|container| list(&container["ports"]));
    let of = |port: &'_ Value| {
        // On the node's own network a container's port is one of the node.
        let number = port["hostPort"].as_i64().filter(|number| *number > 0);
        number.or_else(|| port["containerPort"].as_i64().filter(|_| spec["hostNetwork"] == true))
    };
    ports
        .filter_map(|port| {
            let address =
                port["hostIP"].as_str().filter(|address| !address.is_empty()).unwrap_or("0.0.0.0");
            Some(HostPort {
                protocol: port["protocol"].as_str().unwrap_or("TCP"),
                address,
                port: of(port)?,
            })
        })
        .collect()
}

/// Whether pods with these ports cannot be on one node.
#[must_use]
pub fn clash(some: &[HostPort<'_>], others: &[HostPort<'_>]) -> bool {
    let all = |port: &HostPort<'_>| matches!(port.address, "0.0.0.0" | "::");
    some.iter().any(|a| {
        others.iter().any(|b| {
            a.port == b.port
                && a.protocol == b.protocol
                && (a.address == b.address || all(a) || all(b))
        })
    })
}

fn tolerates(spec: &Value, key: &str, value: &str, effect: &str) -> bool {
    list(&spec["tolerations"]).any(|toleration| {
        let text = |field: &str| toleration[field].as_str().unwrap_or_default();
        let (wanted, operator) = (text("key"), text("operator"));
        let of_effect = text("effect").is_empty() || text("effect") == effect;
        let of_key = wanted == key || (wanted.is_empty() && operator == "Exists");
        // Operators of a later Kubernetes count as met.
        of_effect && of_key && (!matches!(operator, "" | "Equal") || text("value") == value)
    })
}

/// Whether a node meets a term of a node affinity. One that says nothing is met by none.
fn is_met(term: &Value, node: &Value) -> bool {
    let labels = list(&term["matchExpressions"]).map(|wanted| {
        let key = wanted["key"].as_str().unwrap_or_default();
        meets(wanted, node["metadata"]["labels"][key].as_str())
    });
    let fields = list(&term["matchFields"]).map(|wanted| match wanted["key"].as_str() {
        Some("metadata.name") => meets(wanted, node["metadata"]["name"].as_str()),
        _ => true,
    });
    let met: Vec<bool> = labels.chain(fields).collect();
    !met.is_empty() && met.into_iter().all(|it| it)
}

fn meets(wanted: &Value, found: Option<&str>) -> bool {
    let is_in =
        || list(&wanted["values"]).filter_map(Value::as_str).any(|value| Some(value) == found);
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let bound = || number(wanted["values"][0].as_str());
    match wanted["operator"].as_str() {
        Some("In") => is_in(),
        Some("NotIn") => !is_in(),
        Some("Exists") => found.is_some(),
        Some("DoesNotExist") => found.is_none(),
        Some("Gt") => number(found).zip(bound()).is_some_and(|(found, bound)| found > bound),
        Some("Lt") => number(found).zip(bound()).is_some_and(|(found, bound)| found < bound),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn node() -> Value {
        json!({ "metadata": { "name": "a", "labels": { "disk": "ssd", "cores": "8" } }, "spec": {} })
    }

    fn wishing(term: Value) -> Value {
        let required = json!({ "nodeSelectorTerms": [term] });
        json!({ "spec": { "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } } } })
    }

    #[rstest]
    #[case(json!({ "key": "disk", "operator": "In", "values": ["ssd", "nvme"] }), true)]
    #[case(json!({ "key": "disk", "operator": "In", "values": ["hdd"] }), false)]
    #[case(json!({ "key": "disk", "operator": "NotIn", "values": ["ssd"] }), false)]
    #[case(json!({ "key": "zone", "operator": "NotIn", "values": ["a"] }), true)]
    #[case(json!({ "key": "zone", "operator": "Exists" }), false)]
    #[case(json!({ "key": "zone", "operator": "DoesNotExist" }), true)]
    #[case(json!({ "key": "cores", "operator": "Gt", "values": ["7"] }), true)]
    #[case(json!({ "key": "cores", "operator": "Lt", "values": ["8"] }), false)]
    #[case(json!({ "key": "disk", "operator": "OfALaterKubernetes" }), true)]
    fn a_node_takes_pods_that_wish_for_its_labels(#[case] wanted: Value, #[case] expected: bool) {
        assert_eq!(takes(&node(), &wishing(json!({ "matchExpressions": [wanted] }))), expected);
    }

    #[test]
    fn a_node_is_wished_for_by_name_and_by_nothing_never() {
        let named = |name: &str| {
            wishing(
                json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [name] }] }),
            )
        };
        assert!(takes(&node(), &named("a")) && !takes(&node(), &named("b")));
        assert!(!takes(&node(), &wishing(json!({}))));
    }

    #[rstest]
    #[case(json!({ "taints": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] }), json!([]), false)]
    #[case(json!({ "taints": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] }), json!([{ "key": "gpu", "value": "yes" }]), true)]
    #[case(json!({ "taints": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] }), json!([{ "key": "gpu", "value": "no" }]), false)]
    #[case(json!({ "taints": [{ "key": "gpu", "effect": "NoExecute" }] }), json!([{ "key": "gpu", "operator": "Exists", "effect": "NoSchedule" }]), false)]
    #[case(json!({ "taints": [{ "key": "gpu", "effect": "NoExecute" }] }), json!([{ "operator": "Exists" }]), true)]
    #[case(json!({ "taints": [{ "key": "gpu", "effect": "PreferNoSchedule" }] }), json!([]), true)]
    #[case(json!({ "taints": [{ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" }] }), json!([]), true)]
    #[case(json!({ "unschedulable": true, "taints": [{ "key": UNSCHEDULABLE, "effect": "NoSchedule" }] }), json!([]), false)]
    #[case(json!({ "unschedulable": true }), json!([{ "key": UNSCHEDULABLE, "operator": "Exists" }]), true)]
    fn a_taint_keeps_off_pods_that_do_not_tolerate_it(
        #[case] spec: Value,
        #[case] tolerations: Value,
        #[case] expected: bool,
    ) {
        let mut node = node();
        node["spec"] = spec;
        assert_eq!(takes(&node, &json!({ "spec": { "tolerations": tolerations } })), expected);
    }

    #[rstest]
    #[case(json!({ "hostPort": 80 }), json!({ "hostPort": 80, "protocol": "TCP" }), true)]
    #[case(json!({ "hostPort": 80 }), json!({ "hostPort": 81 }), false)]
    #[case(json!({ "hostPort": 53 }), json!({ "hostPort": 53, "protocol": "UDP" }), false)]
    #[case(json!({ "hostPort": 80, "hostIP": "10.0.0.1" }), json!({ "hostPort": 80, "hostIP": "10.0.0.2" }), false)]
    #[case(json!({ "hostPort": 80, "hostIP": "10.0.0.1" }), json!({ "hostPort": 80 }), true)]
    #[case(json!({ "containerPort": 80 }), json!({ "containerPort": 80 }), false)]
    fn ports_of_a_node_are_taken_once(
        #[case] one: Value,
        #[case] other: Value,
        #[case] expected: bool,
    ) {
        let pod = |port: Value| json!({ "spec": { "containers": [{ "ports": [port] }] } });
        let (one, other) = (pod(one), pod(other));
        assert_eq!(clash(&host_ports(&one), &host_ports(&other)), expected);
        let on_host = json!({ "spec": { "hostNetwork": true, "containers": [{ "ports": [{ "containerPort": 80 }] }] } });
        assert!(clash(&host_ports(&on_host), &host_ports(&on_host)));
    }
}
