//! For every part: set, then kept by what does not name it, then cleared; and what
//! somebody else put into the template stays through all of it.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::template::names::RELEASE_ANNOTATION;
use crate::{ReleaseId, template::spec::SpecChange};

/// A template that somebody else wrote, with something of every kind.
fn base() -> Value {
    json!({
        "metadata": { "labels": { "app": "web", "own": "1" }, "annotations": { "note": "own" } },
        "spec": {
            "volumes": [{ "name": "own", "emptyDir": {} }],
            "initContainers": [{ "name": "own-init", "image": "own:1" }],
            "containers": [
                {
                    "name": "web", "image": "shop/web:1", "volumeMounts": [{ "name": "own", "mountPath": "/own" }],
                    "env": [{ "name": "OWN", "valueFrom": { "secretKeyRef": { "name": "own", "key": "k" } } }],
                },
                { "name": "own-side", "image": "own:1" },
            ],
            "imagePullSecrets": [{ "name": "own" }],
            "futureField": 1,
        },
    })
}

fn applied(change: PodChange, template: &Value) -> Value {
    let mut template = SpecChange { pods: Box::new(change), ..SpecChange::default() }.apply(
        template,
        "web",
        ReleaseId::new(),
    );
    template["metadata"]["annotations"].as_object_mut().unwrap().remove(RELEASE_ANNOTATION);
    template
}

fn set<T>(value: T) -> Field<T> {
    Field::Set(value)
}

fn pairs(key: &str, value: &str) -> Field<BTreeMap<String, String>> {
    Field::Set(BTreeMap::from([(key.to_owned(), value.to_owned())]))
}

fn from_key(name: &str) -> Value {
    json!({ "name": name, "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "k" } } })
}

fn cleared() -> PodChange {
    PodChange {
        annotations: Field::Clear,
        labels: Field::Clear,
        env_from_keys: Field::Clear,
        env_from: Field::Clear,
        startup: Field::Clear,
        post_start: Field::Clear,
        pre_stop: Field::Clear,
        disk_limit: Some(0),
        disk_request: Some(0),
        files: Field::Clear,
        node_folders: Field::Clear,
        empty_folders: Field::Clear,
        claims: Field::Clear,
        placement: Placement {
            affinity: Field::Clear,
            tolerations: Field::Clear,
            apart_by_node: Some(false),
            apart_by_zone: Some(false),
        },
        runtime_class: Field::Clear,
        security: Field::Clear,
        init_containers: Field::Clear,
        sidecars: Field::Clear,
        ..PodChange::default()
    }
}

#[rstest]
#[case(PodChange { annotations: pairs("a", "1"), ..PodChange::default() }, "/metadata/annotations/a", json!("1"))]
#[case(PodChange { labels: pairs("l", "1"), ..PodChange::default() }, "/metadata/labels/l", json!("1"))]
#[case(PodChange { env_from_keys: set(vec![from_key("A")]), ..PodChange::default() }, "/spec/containers/0/env/1", from_key("A"))]
#[case(PodChange { env_from: set(vec![json!({ "secretRef": { "name": "s" } })]), ..PodChange::default() }, "/spec/containers/0/envFrom/0/secretRef/name", json!("s"))]
#[case(PodChange { startup: set(json!({ "exec": {} })), ..PodChange::default() }, "/spec/containers/0/startupProbe/exec", json!({}))]
#[case(PodChange { post_start: set(json!({ "exec": {} })), ..PodChange::default() }, "/spec/containers/0/lifecycle/postStart/exec", json!({}))]
#[case(PodChange { pre_stop: set(json!({ "exec": {} })), ..PodChange::default() }, "/spec/containers/0/lifecycle/preStop/exec", json!({}))]
#[case(PodChange { disk_limit: Some(2), ..PodChange::default() }, "/spec/containers/0/resources/limits/ephemeral-storage", json!("2Gi"))]
#[case(PodChange { disk_request: Some(1), ..PodChange::default() }, "/spec/containers/0/resources/requests/ephemeral-storage", json!("1Gi"))]
#[case(PodChange { files: set(vec![Files { is_secret: true, name: "cert".into(), path: "/cert".into() }]), ..PodChange::default() }, "/spec/volumes/1", json!({ "name": "sluice-files-1", "secret": { "secretName": "cert" } }))]
#[case(PodChange { node_folders: set(vec![NodeFolder { kind: "Directory".into(), node_path: "/var".into(), path: "/v".into() }]), ..PodChange::default() }, "/spec/volumes/1", json!({ "name": "sluice-node-1", "hostPath": { "path": "/var", "type": "Directory" } }))]
#[case(PodChange { empty_folders: set(vec![EmptyFolder { path: "/tmp".into(), read_only: true, sub_path: "$(POD)".into() }]), ..PodChange::default() }, "/spec/containers/0/volumeMounts/1", json!({ "name": "sluice-empty-1", "mountPath": "/tmp", "readOnly": true, "subPathExpr": "$(POD)" }))]
#[case(PodChange { claims: set(vec![ClaimMount { name: "data".into(), paths: vec![("/a".into(), false), ("/b".into(), true)] }]), ..PodChange::default() }, "/spec/containers/0/volumeMounts/2", json!({ "name": "sluice-claim-1", "mountPath": "/b", "readOnly": true }))]
#[case(PodChange { placement: Placement { apart_by_node: Some(true), ..Placement::default() }, ..PodChange::default() }, "/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm/topologyKey", json!("kubernetes.io/hostname"))]
#[case(PodChange { placement: Placement { affinity: set(json!({ "nodeAffinity": {} })), apart_by_zone: Some(false), ..Placement::default() }, ..PodChange::default() }, "/spec/affinity", json!({ "nodeAffinity": {} }))]
#[case(PodChange { placement: Placement { tolerations: set(vec![json!({ "key": "k" })]), ..Placement::default() }, ..PodChange::default() }, "/spec/tolerations/0/key", json!("k"))]
#[case(PodChange { runtime_class: set("runv".into()), ..PodChange::default() }, "/spec/runtimeClassName", json!("runv"))]
#[case(PodChange { security: set(json!({ "runAsUser": 7 })), ..PodChange::default() }, "/spec/containers/0/securityContext/runAsUser", json!(7))]
#[case(PodChange { security: set(json!({ "fsGroup": 7 })), ..PodChange::default() }, "/spec/securityContext/fsGroup", json!(7))]
#[case(PodChange { init_containers: set(vec![json!({ "name": "first", "image": "i:1" })]), ..PodChange::default() }, "/spec/initContainers/1/name", json!("first"))]
#[case(PodChange { sidecars: set(vec![json!({ "name": "beside", "image": "i:1" })]), ..PodChange::default() }, "/spec/containers/2/name", json!("beside"))]
fn what_is_set_is_there_and_kept_and_what_is_cleared_leaves_the_template_as_it_was(
    #[case] change: PodChange,
    #[case] path: &str,
    #[case] expected: Value,
) {
    let with = applied(change.clone(), &base());
    assert_eq!(with.pointer(path), Some(&expected), "{with:#}");
    assert_eq!(applied(PodChange::default(), &with), with, "absent keeps");
    assert_eq!(applied(change, &with), with, "twice is once");
    let mut without = applied(cleared(), &with);
    let resources = without["spec"]["containers"][0].as_object_mut().unwrap().remove("resources");
    assert!(resources.is_none_or(|resources| {
        resources.as_object().unwrap().values().all(|amounts| *amounts == json!({}))
    }));
    assert_eq!(without, base(), "empty clears, and what is not ours stays");
}

#[test]
fn a_new_list_replaces_the_one_before_and_nothing_else() {
    let first = applied(
        PodChange {
            labels: pairs("a", "1"),
            env_from_keys: set(vec![from_key("A")]),
            ..PodChange::default()
        },
        &base(),
    );
    let second = applied(
        PodChange {
            labels: pairs("b", "2"),
            env_from_keys: set(vec![from_key("B")]),
            ..PodChange::default()
        },
        &first,
    );
    assert_eq!(second["metadata"]["labels"], json!({ "app": "web", "own": "1", "b": "2" }));
    let names: Vec<&Value> = second["spec"]["containers"][0]["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["OWN", "B"]);
}

#[test]
fn a_variable_that_is_added_leaves_all_others() {
    let list = |template: &Value| template["spec"]["containers"][0]["env"].clone();
    let add = |base: &Value, added: Vec<EnvVar>, env: Field<Vec<EnvVar>>| {
        SpecChange { added_env: added, env, ..SpecChange::default() }.apply(
            base,
            "web",
            ReleaseId::new(),
        )
    };
    let mut base = base();
    base["spec"]["containers"][0]["env"] = json!([
        { "name": "A", "value": "1" }, { "name": "B", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }, { "name": "C", "value": "3" },
    ]);
    let added = vec![EnvVar::plain("C", "4"), EnvVar::plain("D", "5")];
    let after = add(&base, added.clone(), Field::Keep);
    let mut expected = list(&base);
    expected[2]["value"] = json!("4");
    expected.as_array_mut().unwrap().push(json!({ "name": "D", "value": "5" }));
    assert_eq!(list(&after), expected);
    // Beside a list that replaces all.
    let after = add(&base, added, Field::Set(vec![EnvVar::plain("E", "6")]));
    let names: Vec<_> =
        list(&after).as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["B", "E", "C", "D"]);
}

#[test]
fn times_and_pull_secrets_are_set() {
    let template = applied(
        PodChange {
            grace_seconds: Some(90),
            pull_secret: Some("registry".into()),
            ..PodChange::default()
        },
        &base(),
    );
    assert_eq!(template["spec"]["terminationGracePeriodSeconds"], 90);
    assert_eq!(
        template["spec"]["imagePullSecrets"],
        json!([{ "name": "own" }, { "name": "registry" }])
    );
    let again =
        applied(PodChange { pull_secret: Some("own".into()), ..PodChange::default() }, &base());
    assert_eq!(again["spec"]["imagePullSecrets"], json!([{ "name": "own" }]));
}

#[test]
fn pods_are_kept_apart_and_the_rest_of_the_affinity_stays() {
    let own = json!({
        "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "disk", "operator": "In", "values": ["ssd"] }] }] } },
        "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "podAffinityTerm": { "topologyKey": "rack", "labelSelector": { "matchLabels": { "app": "web" } } } }] },
    });
    let mut base = base();
    base["spec"]["affinity"] = own.clone();
    let wished = |node, zone| PodChange {
        placement: Placement { apart_by_node: node, apart_by_zone: zone, ..Placement::default() },
        labels: if zone == Some(true) { pairs("more", "1") } else { Field::Clear },
        ..PodChange::default()
    };
    let apart = applied(wished(Some(true), None), &base);
    let terms = |template: &Value| {
        let terms = template["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"].as_array().unwrap();
        terms
            .iter()
            .map(|term| term["podAffinityTerm"]["topologyKey"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(terms(&apart), ["rack", "kubernetes.io/hostname"]);
    assert_eq!(apart["spec"]["affinity"]["nodeAffinity"], own["nodeAffinity"]);
    // Also where the labels change, by which the pods are told.
    let by_zone = applied(wished(Some(false), Some(true)), &apart);
    assert_eq!(terms(&by_zone), ["rack", "topology.kubernetes.io/zone"]);
    let back = applied(wished(Some(false), Some(false)), &by_zone);
    assert_eq!(back["spec"]["affinity"], own);
}
