//! What a pod template needs: the objects that it names, its requests, and the nodes that
//! its pods may run on.
//!
//! Pure; works on plain JSON.

use serde_json::{Map, Value};

use super::evidence::{Reference, ReferenceKind};
use crate::template::quantity;

static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

/// Everything that pods of `template` name in their namespace, once each.
#[must_use]
pub fn references(template: &Value) -> Vec<Reference> {
    let spec = &template["spec"];
    let mut found = Vec::new();
    let mut add = |kind, name: &Value, key: Option<&Value>, optional: bool| {
        if let Some(name) = name.as_str().filter(|name| !name.is_empty()) {
            let key = key.and_then(Value::as_str).map(Into::into);
            found.push(Reference { kind, name: name.into(), key, optional });
        }
    };
    let optional = |source: &Value| source["optional"] == true;
    for volume in list(&spec["volumes"]) {
        let sources = std::iter::once(volume).chain(list(&volume["projected"]["sources"]));
        for source in sources {
            let (map, secret) = (&source["configMap"], &source["secret"]);
            let secret_name = if secret["secretName"].is_string() {
                &secret["secretName"]
            } else {
                &secret["name"]
            };
            for (kind, object, name) in [
                (ReferenceKind::ConfigMap, map, &map["name"]),
                (ReferenceKind::Secret, secret, secret_name),
            ] {
                add(kind, name, None, optional(object));
                for item in list(&object["items"]) {
                    add(kind, name, Some(&item["key"]), optional(object));
                }
            }
        }
        add(
            ReferenceKind::PersistentVolumeClaim,
            &volume["persistentVolumeClaim"]["claimName"],
            None,
            false,
        );
    }
    for container in containers(template) {
        for source in list(&container["envFrom"]) {
            for (kind, object) in [
                (ReferenceKind::ConfigMap, &source["configMapRef"]),
                (ReferenceKind::Secret, &source["secretRef"]),
            ] {
                add(kind, &object["name"], None, optional(object));
            }
        }
        for variable in list(&container["env"]) {
            let from = &variable["valueFrom"];
            for (kind, object) in [
                (ReferenceKind::ConfigMap, &from["configMapKeyRef"]),
                (ReferenceKind::Secret, &from["secretKeyRef"]),
            ] {
                add(kind, &object["name"], Some(&object["key"]), optional(object));
            }
        }
    }
    // The kubelet asks the registry without a pull secret that is not there.
    for secret in list(&spec["imagePullSecrets"]) {
        add(ReferenceKind::Secret, &secret["name"], None, true);
    }
    add(ReferenceKind::ServiceAccount, &spec["serviceAccountName"], None, false);
    found.sort();
    found.dedup();
    found
}

/// The template's pull secrets.
#[must_use]
pub fn pull_secrets(template: &Value) -> Vec<&str> {
    list(&template["spec"]["imagePullSecrets"])
        .filter_map(|secret| secret["name"].as_str())
        .collect()
}

/// Its containers, those that run before the others first.
pub fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    list(&template["spec"]["initContainers"]).chain(list(&template["spec"]["containers"]))
}

/// Its labels.
#[must_use]
pub fn labels(template: &Value) -> &Map<String, Value> {
    template["metadata"]["labels"].as_object().unwrap_or(&EMPTY)
}

/// What one pod counts for in a quota, in billionths: `resource` is the quota's own
/// name of it, such as `requests.cpu`. None where quotas of this kind are not
/// about pods.
#[must_use]
pub fn amount(template: &Value, resource: &str) -> Option<i128> {
    let (kind, name) = match resource {
        "pods" | "count/pods" => return Some(quantity::ONE),
        "cpu" | "memory" | "ephemeral-storage" => ("requests", resource),
        _ => match resource.split_once('.')? {
            (kind @ ("requests" | "limits"), name) => (kind, name),
            _ => return None,
        },
    };
    let given = |of: &Value| of["resources"][kind][name].as_str().and_then(quantity::billionths);
    let of = |container: &Value| given(container).unwrap_or(0);
    let spec = &template["spec"];
    // One after the other, each beside those before it that stay.
    let (mut beside, mut starting) = (0, 0);
    for container in list(&spec["initContainers"]) {
        starting = starting.max(beside + of(container));
        if container["restartPolicy"] == "Always" {
            beside += of(container);
        }
    }
    let running: i128 = beside + list(&spec["containers"]).map(of).sum::<i128>();
    let overhead = if kind == "requests" {
        spec["overhead"][name].as_str().and_then(quantity::billionths).unwrap_or(0)
    } else {
        0
    };
    // What is said of the whole pod counts in place of its containers.
    Some(given(spec).unwrap_or(running.max(starting)) + overhead)
}

/// The terms of `template` that keep its pods from places of others by force.
pub fn anti_affinity(template: &Value) -> impl Iterator<Item = &Value> {
    list(
        &template["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"],
    )
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_pods_need_by_name_is_found() {
        let template = json!({ "spec": {
            "serviceAccountName": "shop",
            "imagePullSecrets": [{ "name": "registry" }],
            "volumes": [
                { "name": "a", "configMap": { "name": "files", "items": [{ "key": "app.yaml", "path": "app.yaml" }] } },
                { "name": "b", "secret": { "secretName": "cert", "optional": true } },
                { "name": "c", "persistentVolumeClaim": { "claimName": "data" } },
                { "name": "d", "projected": { "sources": [{ "secret": { "name": "token" } }, { "configMap": { "name": "files" } }] } },
                { "name": "e", "emptyDir": {} },
            ],
            "initContainers": [{ "name": "first", "envFrom": [{ "configMapRef": { "name": "settings" } }] }],
            "containers": [{ "name": "web", "env": [
                { "name": "A", "value": "1" },
                { "name": "B", "valueFrom": { "secretKeyRef": { "name": "password", "key": "db" } } },
                { "name": "C", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
            ] }],
        } });
        let told: Vec<String> = references(&template)
            .iter()
            .map(|it| {
                format!(
                    "{} {}{}{}",
                    it.kind.word(),
                    it.name,
                    it.key.as_ref().map(|key| format!("[{key}]")).unwrap_or_default(),
                    if it.optional { "?" } else { "" }
                )
            })
            .collect();
        let expected = [
            "ConfigMap files",
            "ConfigMap files[app.yaml]",
            "ConfigMap settings",
            "Secret cert?",
            "Secret password[db]",
            "Secret registry?",
            "Secret token",
            "PersistentVolumeClaim data",
            "ServiceAccount shop",
        ];
        assert_eq!(told, expected);
    }

    #[rstest]
    #[case("pods", Some(1000))]
    #[case("requests.cpu", Some(350))]
    #[case("cpu", Some(350))]
    #[case("limits.cpu", Some(1000))]
    #[case("limits.memory", Some(0))]
    #[case("services", None)]
    #[case("count/configmaps", None)]
    fn a_pod_counts_what_its_containers_ask_for_together(
        #[case] resource: &str,
        #[case] thousandths: Option<i128>,
    ) {
        let template = json!({ "spec": {
            "overhead": { "cpu": "50m" },
            "initContainers": [
                { "resources": { "requests": { "cpu": "250m" } } },
                { "restartPolicy": "Always", "resources": { "requests": { "cpu": "100m" } } },
                { "resources": { "requests": { "cpu": "150m" } } },
            ],
            "containers": [
                { "resources": { "requests": { "cpu": "100m" }, "limits": { "cpu": "1" } } },
                { "resources": { "requests": { "cpu": "0.1" } } },
            ],
        } });
        assert_eq!(amount(&template, resource), thousandths.map(|it| it * quantity::ONE / 1000));
        let mut whole = template;
        whole["spec"]["resources"] = json!({ "requests": { "cpu": "2" } });
        assert_eq!(amount(&whole, "requests.cpu"), Some(2 * quantity::ONE + quantity::ONE / 20));
    }
}
