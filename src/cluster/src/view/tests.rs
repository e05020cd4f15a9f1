//! Which ReplicaSet is the new one, and which pods take ports of their nodes.

use serde_json::json;

use super::*;

fn replica_set(name: &str, created: &str, template: Value) -> DynamicObject {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "creationTimestamp": created,
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true }],
        },
        "spec": { "replicas": 1, "template": template },
    });
    serde_json::from_value(object).unwrap()
}

fn template(memory: &str, hash: Option<&str>) -> Value {
    let mut labels = json!({ "app": "web" });
    if let Some(hash) = hash {
        labels["pod-template-hash"] = json!(hash);
    }
    json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "web", "resources": { "limits": { "memory": memory } } }] } })
}

#[test]
fn the_new_replica_set_is_the_oldest_that_kubernetes_takes_for_the_template() {
    let deployment = json!({ "metadata": { "name": "web", "namespace": "shop", "uid": "d" }, "spec": { "template": template("1073741824", Some("mine")) } });
    let (early, late) = ("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z");
    for names in [["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"]] {
        let view = View::default();
        for name in names {
            let (created, memory) = match name {
                "a" => (early, "2Gi"),
                "b" => (early, "1Gi"),
                _ => (late, "1Gi"),
            };
            view.put(
                &WatchedKind::ReplicaSet.into(),
                replica_set(name, created, template(memory, Some(name))),
            );
        }
        let seen = view.lock().deployment_view(&deployment);
        assert_eq!(seen.new.map(|set| set.name), Some("b".to_owned()), "{names:?}");
        assert_eq!(seen.old.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    }
}

#[test]
fn pods_that_take_ports_of_their_nodes_are_kept_whoever_made_them() {
    let pod = |name: &str, port: Option<i64>| -> DynamicObject {
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": "shop", "uid": name },
            "spec": { "nodeName": "a", "containers": [{ "name": "web", "env": [{ "name": "A", "value": "secret" }], "ports": [{ "hostPort": port }] }] },
        });
        serde_json::from_value(object).unwrap()
    };
    let view = View::default();
    view.begin_list(&WatchedKind::Pod.into());
    for (name, port) in [("bare", Some(80)), ("other", None), ("gone", Some(81))] {
        view.put(&WatchedKind::Pod.into(), pod(name, port));
    }
    view.end_list(&WatchedKind::Pod.into());
    assert_eq!(view.port_holders().len(), 2);
    view.delete(&WatchedKind::Pod.into(), &pod("gone", Some(81)));
    let kept = view.port_holders();
    assert_eq!((kept.len(), &kept[0]["spec"]["nodeName"]), (1, &json!("a")));
    assert!(!kept[0].to_string().contains("secret"), "{kept:?}");
    // One that is not in a new list is gone.
    view.begin_list(&WatchedKind::Pod.into());
    view.end_list(&WatchedKind::Pod.into());
    assert!(view.port_holders().is_empty());
}
