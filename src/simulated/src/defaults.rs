//! The defaults that the API server writes into an object.
//!
//! Only those that can be seen in an answer and matter to someone who compares
//! templates: Deployments, ReplicaSets, pod templates, pods and Services. Figures
//! are those of `pkg/apis/{apps,core}/v1/defaults.go` of Kubernetes 1.37. Expects
//! an object of the right types; what is there is never changed.

use serde_json::{Value, json};

use super::field::{self, section};
use super::kind::Kind;

/// Fills in what the user left open.
pub(super) fn fill(kind: Kind, object: &mut Value) {
    match kind {
        Kind::Deployment => {
            let spec = section(object, "spec");
            absent(spec, "replicas", json!(1));
            absent(spec, "revisionHistoryLimit", json!(10));
            absent(spec, "progressDeadlineSeconds", json!(600));
            let strategy = section(spec, "strategy");
            absent(strategy, "type", json!("RollingUpdate"));
            if strategy["type"] == "RollingUpdate" {
                let rolling = section(strategy, "rollingUpdate");
                absent(rolling, "maxUnavailable", json!("25%"));
                absent(rolling, "maxSurge", json!("25%"));
            }
            fill_template(section(spec, "template"));
        }
        Kind::ReplicaSet => {
            let spec = section(object, "spec");
            absent(spec, "replicas", json!(1));
            fill_template(section(spec, "template"));
        }
        Kind::Pod => {
            let spec = section(object, "spec");
            fill_pod(spec);
            absent(spec, "enableServiceLinks", json!(true));
            absent(spec, "serviceAccountName", json!("default"));
            absent(spec, "priority", json!(0));
            absent(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
            for container in containers(spec) {
                requests_from_limits(container);
            }
        }
        Kind::Service => {
            let spec = section(object, "spec");
            absent(spec, "type", json!("ClusterIP"));
            absent(spec, "sessionAffinity", json!("None"));
            for port in list(spec, "ports") {
                absent(port, "protocol", json!("TCP"));
                let target = port["port"].clone();
                absent(port, "targetPort", target);
            }
        }
        Kind::Namespace => {
            let name = object["metadata"]["name"].clone();
            let labels = section(section(object, "metadata"), "labels");
            labels["kubernetes.io/metadata.name"] = name;
            section(object, "spec")["finalizers"] = json!(["kubernetes"]);
        }
        Kind::Secret => absent(object, "type", json!("Opaque")),
        Kind::HorizontalPodAutoscaler => absent(section(object, "spec"), "minReplicas", json!(1)),
        Kind::Node | Kind::ConfigMap | Kind::Event | Kind::Ingress => {}
    }
}

fn fill_template(template: &mut Value) {
    fill_pod(section(template, "spec"));
}

fn fill_pod(spec: &mut Value) {
    absent(spec, "restartPolicy", json!("Always"));
    absent(spec, "terminationGracePeriodSeconds", json!(30));
    absent(spec, "dnsPolicy", json!("ClusterFirst"));
    absent(spec, "schedulerName", json!("default-scheduler"));
    section(spec, "securityContext");
    // The two names of one thing: whichever is given fills the other.
    for (from, to) in
        [("serviceAccountName", "serviceAccount"), ("serviceAccount", "serviceAccountName")]
    {
        if let Some(name) = spec.get(from).cloned() {
            absent(spec, to, name);
        }
    }
    for volume in list(spec, "volumes") {
        for source in ["configMap", "secret", "projected", "downwardAPI"] {
            if volume.get(source).is_some() {
                absent(&mut volume[source], "defaultMode", json!(420));
            }
        }
    }
    for container in containers(spec) {
        fill_container(container);
    }
}

fn containers(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    spec.as_object_mut()
        .into_iter()
        .flat_map(|spec| spec.iter_mut())
        .filter(|(key, _)| *key == "containers" || *key == "initContainers")
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
}

fn fill_container(container: &mut Value) {
    section(container, "resources");
    absent(container, "terminationMessagePath", json!("/dev/termination-log"));
    absent(container, "terminationMessagePolicy", json!("File"));
    let policy = pull_policy(field::text(container, "/image").unwrap_or_default());
    absent(container, "imagePullPolicy", json!(policy));
    for port in list(container, "ports") {
        absent(port, "protocol", json!("TCP"));
    }
    for variable in list(container, "env") {
        if variable.pointer("/valueFrom/fieldRef").is_some() {
            absent(&mut variable["valueFrom"]["fieldRef"], "apiVersion", json!("v1"));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container.get(probe).is_some() {
            fill_probe(&mut container[probe]);
        }
    }
    if container.get("lifecycle").is_some() {
        for hook in ["postStart", "preStop"] {
            if container["lifecycle"].get(hook).is_some() {
                fill_handler(&mut container["lifecycle"][hook]);
            }
        }
    }
}

fn fill_probe(probe: &mut Value) {
    for (key, value) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        // In Go these are plain numbers: 0 and absent are the same.
        if probe.get(key).is_none_or(|given| given == 0) {
            probe[key] = json!(value);
        }
    }
    fill_handler(probe);
}

fn fill_handler(handler: &mut Value) {
    if handler.get("httpGet").is_some() {
        let get = &mut handler["httpGet"];
        absent(get, "path", json!("/"));
        absent(get, "scheme", json!("HTTP"));
    }
}

fn requests_from_limits(container: &mut Value) {
    let limits = container["resources"]["limits"].clone();
    if let Some(limits) = limits.as_object() {
        let requests = section(section(container, "resources"), "requests");
        for (resource, limit) in limits {
            absent(requests, resource, limit.clone());
        }
    }
}

/// `Always` for an image without a tag or with the tag `latest`.
fn pull_policy(image: &str) -> &'static str {
    if image.contains('@') {
        return "IfNotPresent";
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

fn absent(object: &mut Value, key: &str, value: Value) {
    if object.get(key).is_none_or(Value::is_null) {
        object[key] = value;
    }
}

fn list<'a>(object: &'a mut Value, key: &str) -> &'a mut [Value] {
    object.get_mut(key).and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("shop/web", "Always")]
    #[case("shop/web:latest", "Always")]
    #[case("shop/web:1", "IfNotPresent")]
    #[case("registry.test:5000/shop/web", "Always")]
    #[case("shop/web@sha256:00", "IfNotPresent")]
    fn the_pull_policy_follows_the_tag(#[case] image: &str, #[case] policy: &str) {
        assert_eq!(pull_policy(image), policy);
    }

    #[test]
    fn a_given_value_is_never_replaced() {
        let mut object = json!({"spec": {
            "replicas": 0,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3}},
            "template": {"spec": {"terminationGracePeriodSeconds": 0}},
        }});
        fill(Kind::Deployment, &mut object);
        assert_eq!(object["spec"]["replicas"], 0);
        assert_eq!(
            object["spec"]["strategy"]["rollingUpdate"],
            json!({"maxSurge": 3, "maxUnavailable": "25%"})
        );
        assert_eq!(object["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 0);
    }

    #[test]
    fn recreate_gets_no_rolling_update() {
        let mut object = json!({"spec": {"strategy": {"type": "Recreate"}}});
        fill(Kind::Deployment, &mut object);
        assert_eq!(object["spec"]["strategy"], json!({"type": "Recreate"}));
    }
}
