use rstest::rstest;

use super::*;
use crate::template::names::{BORROWED_SETTINGS_ANNOTATION, PACKAGE_CONTAINER};

/// As the API server shows it, with what it filled in.
fn live() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "42", "generation": 3,
            "creationTimestamp": "2026-11-24T06:58:10Z",
            "labels": { "app.kubernetes.io/name": "web", "app.kubernetes.io/managed-by": "sluice", "team": "a" },
            "annotations": { "sluice.dev/fence": "7", "deployment.kubernetes.io/revision": "3", "note": "x" },
        },
        "spec": {
            "replicas": 4, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } },
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" }, "annotations": { "sluice.dev/release": "r-1", "note": "y" } },
                "spec": { "containers": [{ "name": "web", "image": "shop/web:1", "resources": {} }], "restartPolicy": "Always" },
            },
        },
        "status": { "replicas": 4 },
    })
}

fn changed(path: &str, value: Value) -> Value {
    let mut wanted = live();
    let (parent, field) = path.rsplit_once('/').unwrap();
    wanted.pointer_mut(parent).unwrap()[field] = value;
    wanted
}

#[test]
fn what_is_sent_back_as_it_was_read_changes_nothing() {
    assert_eq!(Edit::read(&live(), &live()).unwrap(), Edit::default());
    assert_eq!(named(&live()).unwrap(), (Some("shop"), "web"));
    // As `kubectl create --dry-run -o yaml` writes it, and without our marks.
    let mut short = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "creationTimestamp": null },
        "spec": { "template": live()["spec"]["template"], "strategy": {}, "paused": false }, "status": {},
    });
    short["spec"]["template"]["metadata"] = json!({ "labels": { "app": "web" }, "annotations": { "note": "y" }, "creationTimestamp": null });
    assert_eq!(Edit::read(&short, &live()).unwrap(), Edit::default());
    assert_eq!(named(&short).unwrap(), (None, "web"));
}

#[test]
fn a_template_is_taken_whole_and_numbers_go_with_it() {
    let image = changed(
        "/spec/template/spec/containers",
        json!([{ "name": "web", "image": "shop/web:2", "tty": null }]),
    );
    let edit = Edit::read(&image, &live()).unwrap();
    assert_eq!((edit.replicas, edit.min_ready_seconds), (None, None));
    assert_eq!(
        edit.template.unwrap(),
        json!({
            "metadata": { "labels": { "app": "web" }, "annotations": { "note": "y" } },
            "spec": { "containers": [{ "name": "web", "image": "shop/web:2" }], "restartPolicy": "Always" },
        })
    );
    let edit = Edit::read(&changed("/spec/replicas", json!(6)), &live()).unwrap();
    assert_eq!(edit, Edit { replicas: Some(6), ..Edit::default() });
    let edit = Edit::read(&changed("/spec/minReadySeconds", json!(5)), &live()).unwrap();
    assert_eq!(edit, Edit { min_ready_seconds: Some(5), ..Edit::default() });
}

#[test]
fn the_users_own_settings_are_known_while_they_are_borrowed() {
    let own = BorrowedSettings {
        min_ready_seconds: 3,
        progress_deadline_seconds: 700,
        paused: false,
        strategy: json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } }),
    };
    let mut resting = live();
    resting["spec"]["paused"] = json!(true);
    resting["metadata"]["annotations"][BORROWED_SETTINGS_ANNOTATION] =
        json!(serde_json::to_string(&own).unwrap());
    let mut wanted = live();
    wanted["spec"]["strategy"] = own.strategy.clone();
    wanted["spec"]["progressDeadlineSeconds"] = json!(700);
    wanted["spec"]["minReadySeconds"] = json!(3);
    assert_eq!(Edit::read(&wanted, &resting).unwrap(), Edit::default());
    assert_eq!(Edit::read(&resting, &resting).unwrap(), Edit::default());
    assert!(Edit::read(&wanted, &live()).is_err());
}

#[rstest]
#[case("/spec/selector", json!({ "matchLabels": { "app": "other" } }), "spec.selector must be that of the Deployment")]
#[case("/spec/strategy", json!({ "type": "Recreate" }), "spec.strategy must be that of the Deployment, or be left out")]
#[case("/spec/paused", json!(true), "spec.paused must be")]
#[case("/spec/progressDeadlineSeconds", json!(30), "spec.progressDeadlineSeconds must be")]
#[case("/spec/revisionHistoryLimit", json!(1), "spec.revisionHistoryLimit must be")]
#[case("/spec/replica", json!(1), "spec.replica is not known")]
#[case("/spec/replicas", json!(-1), "spec.replicas must be a whole number from 0 to 100000")]
#[case("/spec/replicas", json!("4"), "spec.replicas must be a whole number")]
#[case("/spec/minReadySeconds", json!(1.5), "spec.minReadySeconds must be a whole number")]
#[case("/spec/template", json!({ "spec": { "containers": [] } }), "spec.template must be there")]
#[case("/spec/template/metadata/labels", json!({ "app": "hidden" }), "spec.template.metadata.labels must have the labels")]
#[case("/spec", json!(null), "spec must be there")]
#[case("/metadata/labels", json!({ "team": "hidden" }), "metadata.labels has another team than the Deployment")]
#[case("/metadata/labels", json!({}), "metadata.labels has another team")]
#[case("/metadata/labels", json!({ "team": "a", "more": "hidden" }), "metadata.labels has another more")]
#[case("/metadata/annotations", json!({ "note": "hidden" }), "metadata.annotations has another note")]
#[case("/metadata/finalizers", json!(["hidden/x"]), "metadata.finalizers is not changed by this server")]
fn what_is_not_changed_here_is_refused_by_its_place_and_not_quoted(
    #[case] path: &str,
    #[case] value: Value,
    #[case] says: &str,
) {
    let said = Edit::read(&changed(path, value), &live()).unwrap_err().to_string();
    assert!(said.starts_with("the Deployment's text has the value (not shown): "), "{said}");
    assert!(said.contains(says) && !said.contains("hidden"), "{said}");
}

#[rstest]
#[case(json!([1]), "it must be one object")]
#[case(json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "web" } }), "kind must be Deployment")]
#[case(json!({ "apiVersion": "extensions/v1beta1", "kind": "Deployment", "metadata": { "name": "web" } }), "apiVersion must be apps/v1")]
#[case(json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {} }), "metadata.name must be")]
#[case(json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": 1 } }), "metadata.namespace must be")]
#[case(json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "items": [] }), "there is no items")]
fn what_is_no_deployment_is_refused(#[case] wanted: Value, #[case] says: &str) {
    let said = named(&wanted).unwrap_err().to_string();
    assert!(said.contains(says), "{said}");
}

#[test]
fn a_packages_address_without_its_credentials_stands_for_the_one_with_them() {
    let address = "https://me:geheim@files.example.com/web.jar?token=geheim";
    let fetcher = |address: &str| json!({ "name": PACKAGE_CONTAINER, "env": [{ "name": java::URL_VARIABLE, "value": address }] });
    let mut live = live();
    live["spec"]["template"]["spec"]["initContainers"] = json!([fetcher(address)]);
    let shown = crate::observed::cluster_state::public_deployment(live.clone());
    assert!(!shown.to_string().contains("geheim"));
    assert_eq!(Edit::read(&shown, &live).unwrap(), Edit::default());

    let mut wanted = shown.clone();
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = json!("jdk:9");
    let template = Edit::read(&wanted, &live).unwrap().template.unwrap();
    assert_eq!(template["spec"]["initContainers"], json!([fetcher(address)]));
    wanted["spec"]["template"]["spec"]["initContainers"] = json!([]);
    assert!(Edit::read(&wanted, &live).unwrap().template.is_some(), "it may go");

    wanted["spec"]["template"]["spec"]["initContainers"] =
        json!([fetcher("https://elsewhere.example/hidden.jar")]);
    let said = Edit::read(&wanted, &live).unwrap_err().to_string();
    assert!(
        said.contains("the init container sluice-package must stay as it is or go")
            && !said.contains("hidden"),
        "{said}"
    );
}
