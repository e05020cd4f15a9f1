//! Random pod templates as people write them, and every part of a release on them: only
//! what was asked for changes, no other field, and no order of a list.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::select};

use super::super::*;
use crate::template::pods::{ClaimMount, EmptyFolder, Files, NodeFolder};

/// A change, and the places of a template that it may touch. `{c}` is the application's
/// container; a place that ends in `/+` may only have items more at its end.
fn changes() -> Vec<(SpecChange, &'static [&'static str])> {
    let probe = || Field::Set(json!({ "tcpSocket": { "port": 8080 } }));
    let texts = |key: &str| Field::Set(BTreeMap::from([(key.to_owned(), "new".to_owned())]));
    let of_pods = |pods: PodChange| SpecChange { pods: Box::new(pods), ..SpecChange::default() };
    let container = |name: &str| json!({ "name": name, "image": "new:1" });
    let key = || json!({ "secretKeyRef": { "name": "s", "key": "k" } });
    let apart =
        |node, zone| Placement { apart_by_node: node, apart_by_zone: zone, ..Placement::default() };
    vec![
        (SpecChange::default(), &[]),
        (SpecChange { image: Some("new/web:2".into()), ..SpecChange::default() }, &["{c}/image"]),
        (SpecChange { image_tag: Some("9".into()), ..SpecChange::default() }, &["{c}/image"]),
        (
            SpecChange {
                env: Field::Set(vec![EnvVar::plain("NEW", "$(A)"), EnvVar::plain("A", "9")]),
                ..SpecChange::default()
            },
            &["{c}/env"],
        ),
        (
            SpecChange {
                env: Field::Set(vec![EnvVar {
                    name: "B".into(),
                    value: String::new(),
                    from: Some(key()),
                }]),
                ..SpecChange::default()
            },
            &["{c}/env"],
        ),
        (SpecChange { env: Field::Clear, ..SpecChange::default() }, &["{c}/env"]),
        (
            SpecChange { command: Field::Set(vec!["run".into()]), ..SpecChange::default() },
            &["{c}/command"],
        ),
        (SpecChange { args: Field::Clear, ..SpecChange::default() }, &["{c}/args"]),
        (SpecChange { readiness: probe(), ..SpecChange::default() }, &["{c}/readinessProbe"]),
        (SpecChange { liveness: Field::Clear, ..SpecChange::default() }, &["{c}/livenessProbe"]),
        (
            SpecChange { cpu_limit: Some(500), cpu_request: Some(0), ..SpecChange::default() },
            &["{c}/resources/limits/cpu", "{c}/resources/requests/cpu"],
        ),
        (
            SpecChange { memory_limit: Some(0), ..SpecChange::default() },
            &["{c}/resources/limits/memory"],
        ),
        (
            SpecChange { drain_seconds: Some(5), ..SpecChange::default() },
            &["{c}/lifecycle/preStop", "/spec/terminationGracePeriodSeconds"],
        ),
        (
            of_pods(PodChange { annotations: texts("added"), ..PodChange::default() }),
            &["/metadata/annotations/added"],
        ),
        (
            of_pods(PodChange { labels: texts("added"), ..PodChange::default() }),
            &["/metadata/labels/added"],
        ),
        (
            of_pods(PodChange {
                env_from: Field::Set(vec![json!({ "secretRef": { "name": "s" } })]),
                ..PodChange::default()
            }),
            &["{c}/envFrom"],
        ),
        (of_pods(PodChange { startup: probe(), ..PodChange::default() }), &["{c}/startupProbe"]),
        (
            of_pods(PodChange {
                post_start: Field::Set(json!({ "exec": { "command": ["a"] } })),
                ..PodChange::default()
            }),
            &["{c}/lifecycle/postStart"],
        ),
        (
            of_pods(PodChange { pre_stop: Field::Clear, ..PodChange::default() }),
            &["{c}/lifecycle/preStop"],
        ),
        (
            of_pods(PodChange { grace_seconds: Some(7), ..PodChange::default() }),
            &["/spec/terminationGracePeriodSeconds"],
        ),
        (
            of_pods(PodChange {
                disk_limit: Some(2),
                disk_request: Some(0),
                ..PodChange::default()
            }),
            &["{c}/resources/limits/ephemeral-storage"],
        ),
        (
            of_pods(PodChange {
                files: Field::Set(vec![Files {
                    is_secret: true,
                    name: "s".into(),
                    path: "/s".into(),
                }]),
                ..PodChange::default()
            }),
            &["/spec/volumes/+", "{c}/volumeMounts/+"],
        ),
        (
            of_pods(PodChange {
                node_folders: Field::Set(vec![NodeFolder {
                    kind: String::new(),
                    node_path: "/n".into(),
                    path: "/n".into(),
                }]),
                empty_folders: Field::Set(vec![EmptyFolder {
                    path: "/e".into(),
                    read_only: false,
                    sub_path: String::new(),
                }]),
                claims: Field::Set(vec![ClaimMount {
                    name: "c".into(),
                    paths: vec![("/c".into(), true)],
                }]),
                ..PodChange::default()
            }),
            &["/spec/volumes/+", "{c}/volumeMounts/+"],
        ),
        (
            of_pods(PodChange { placement: apart(Some(true), Some(true)), ..PodChange::default() }),
            &["/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/+"],
        ),
        (
            of_pods(PodChange {
                placement: apart(Some(false), Some(false)),
                ..PodChange::default()
            }),
            &[],
        ),
        (
            of_pods(PodChange {
                placement: Placement {
                    tolerations: Field::Set(vec![json!({ "key": "k" })]),
                    ..Placement::default()
                },
                ..PodChange::default()
            }),
            &["/spec/tolerations"],
        ),
        (
            of_pods(PodChange { runtime_class: Field::Set("r".into()), ..PodChange::default() }),
            &["/spec/runtimeClassName"],
        ),
        (
            of_pods(PodChange {
                security: Field::Set(json!({ "runAsUser": 7 })),
                ..PodChange::default()
            }),
            &["{c}/securityContext"],
        ),
        (
            of_pods(PodChange {
                security: Field::Set(json!({ "fsGroup": 7 })),
                ..PodChange::default()
            }),
            &["/spec/securityContext"],
        ),
        (
            of_pods(PodChange {
                init_containers: Field::Set(vec![container("added-init")]),
                ..PodChange::default()
            }),
            &["/spec/initContainers/+"],
        ),
        (
            of_pods(PodChange {
                sidecars: Field::Set(vec![container("added-side")]),
                ..PodChange::default()
            }),
            &["/spec/containers/+"],
        ),
        (
            of_pods(PodChange { pull_secret: Some("added".into()), ..PodChange::default() }),
            &["/spec/imagePullSecrets/+"],
        ),
    ]
}

/// A part of an object: there, with one of these values, or not.
fn part(
    name: &'static str,
    values: &[Value],
) -> impl Strategy<Value = Option<(String, Value)>> + use<> {
    prop::option::of(select(values.to_vec()))
        .prop_map(move |value| value.map(|value| (name.to_owned(), value)))
}

fn object(parts: Vec<Option<(String, Value)>>) -> Value {
    Value::Object(parts.into_iter().flatten().collect())
}

fn variables() -> impl Strategy<Value = Value> {
    let item = select(vec![
        json!({ "name": "A", "value": "1" }),
        json!({ "name": "A", "valueFrom": { "secretKeyRef": { "name": "own", "key": "a" } } }),
        json!({ "name": "IP", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "status.podIP" } } }),
        json!({ "name": "URL", "value": "http://$(IP):80" }),
        json!({ "name": "B", "value": "$(A)$$(A)" }),
        json!({ "name": "C", "futureValue": { "x": 1 } }),
    ]);
    vec(item, 1..6).prop_map(Value::from)
}

fn one_container(name: &'static str) -> impl Strategy<Value = Value> {
    let parts = (
        prop::option::of(variables()),
        part(
            "resources",
            &[
                json!({}),
                json!({ "limits": { "memory": "64Mi" }, "requests": { "cpu": "10m", "memory": "64Mi" } }),
                json!({ "claims": [{ "name": "gpu" }] }),
            ],
        ),
        part(
            "readinessProbe",
            &[
                json!({ "httpGet": { "path": "/", "port": "web", "scheme": "HTTP" }, "periodSeconds": 10 }),
                json!({ "grpc": { "port": 1, "service": "" } }),
            ],
        ),
        part("livenessProbe", &[json!({ "exec": { "command": ["ok"] } })]),
        part(
            "lifecycle",
            &[
                json!({ "preStop": { "exec": { "command": ["bye"] } } }),
                json!({ "preStop": { "sleep": { "seconds": 3 } }, "stopSignal": "SIGUSR1" }),
            ],
        ),
        part(
            "volumeMounts",
            &[json!([{ "name": "token", "mountPath": "/var/run/token", "readOnly": true }])],
        ),
        part("envFrom", &[json!([{ "configMapRef": { "name": "own" } }])]),
        part("args", &[json!(["--serve"])]),
        part(
            "securityContext",
            &[
                json!({}),
                json!({ "capabilities": { "drop": ["ALL"] }, "readOnlyRootFilesystem": true }),
            ],
        ),
        part("futureContainerField", &[json!({ "x": [1, { "y": null }] })]),
    );
    parts.prop_map(move |(env, a, b, c, d, e, f, g, h, i)| {
        let own = vec![
            Some(("name".into(), json!(name))),
            Some(("image".into(), json!(format!("shop/{name}:1@sha256:ab")))),
        ];
        object(
            own.into_iter()
                .chain([env.map(|env| ("env".into(), env)), a, b, c, d, e, f, g, h, i])
                .collect(),
        )
    })
}

/// A template, and the place of the application's container among the others.
fn templates() -> impl Strategy<Value = (Value, usize)> {
    let meta = (
        part(
            "labels",
            &[
                json!({ "app": "web" }),
                json!({ "app.kubernetes.io/name": "other", "pod-template-hash": "abc123", "app": "web" }),
            ],
        ),
        part(
            "annotations",
            &[
                json!({ "note": "own" }),
                json!({ "prometheus.io/scrape": "true", "sidecar.istio.io/inject": "true" }),
            ],
        ),
        part("creationTimestamp", &[Value::Null]),
    );
    let spec = (
        part(
            "affinity",
            &[
                json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "disk", "operator": "In", "values": ["ssd"] }] }] } } }),
                json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "podAffinityTerm": { "topologyKey": "rack" } }], "requiredDuringSchedulingIgnoredDuringExecution": [] } }),
            ],
        ),
        part(
            "volumes",
            &[
                json!([{ "name": "token", "projected": { "defaultMode": 420, "sources": [{ "serviceAccountToken": { "path": "token" } }, { "configMap": { "name": "ca" } }] } }]),
            ],
        ),
        part("tolerations", &[json!([{ "operator": "Exists" }])]),
        part(
            "initContainers",
            &[
                json!([{ "name": "mesh", "image": "mesh:1", "restartPolicy": "Always" }, { "name": "migrate", "image": "migrate:1" }]),
            ],
        ),
        part("terminationGracePeriodSeconds", &[json!(0), json!(600)]),
        part(
            "securityContext",
            &[
                json!({}),
                json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } }),
            ],
        ),
        part("imagePullSecrets", &[json!([{ "name": "own" }])]),
        part(
            "topologySpreadConstraints",
            &[
                json!([{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule" }]),
            ],
        ),
        part("futureField", &[json!({ "a": [3, 1, 2] })]),
    );
    let beside = (
        prop::option::of(one_container("proxy")),
        one_container("web"),
        prop::option::of(one_container("logs")),
    );
    (meta, spec, beside).prop_map(|((l, a, t), (s0, s1, s2, s3, s4, s5, s6, s7, s8), (before, web, after))| {
        let index = usize::from(before.is_some());
        let containers: Vec<Value> = before.into_iter().chain([web]).chain(after).collect();
        let mut template = json!({ "metadata": object(vec![l, a, t]), "spec": object(vec![s0, s1, s2, s3, s4, s5, s6, s7, s8]) });
        template["spec"]["containers"] = json!(containers);
        (template, index)
    })
}

/// The places where two templates differ, this program's own notes left out.
fn differences(before: &Value, after: &Value) -> Vec<String> {
    fn walk(before: &Value, after: &Value, path: &str, found: &mut Vec<String>) {
        match (before, after) {
            _ if before == after => {}
            // What is empty is like none, and what is not there may have something added.
            (Value::Null, Value::Object(_)) => walk(&json!({}), after, path, found),
            (Value::Object(_), Value::Null) => walk(before, &json!({}), path, found),
            (Value::Null, Value::Array(_)) => walk(&json!([]), after, path, found),
            (Value::Object(a), Value::Object(b)) => {
                let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for key in keys {
                    let nothing = Value::Null;
                    let (a, b) = (a.get(key).unwrap_or(&nothing), b.get(key).unwrap_or(&nothing));
                    walk(a, b, &format!("{path}/{key}"), found);
                }
            }
            (Value::Array(a), Value::Array(b)) if b.len() > a.len() && b.starts_with(a) => {
                found.push(format!("{path}/+"))
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (index, (a, b)) in a.iter().zip(b).enumerate() {
                    walk(a, b, &format!("{path}/{index}"), found);
                }
            }
            // Items more at the end, and others changed in their places.
            (Value::Array(a), Value::Array(b)) if b.len() > a.len() => {
                walk(before, &Value::Array(b[..a.len()].to_vec()), path, found);
                found.push(format!("{path}/+"));
            }
            _ => found.push(path.to_owned()),
        }
    }
    let mut found = Vec::new();
    walk(&own(before), &own(after), "", &mut found);
    found
}

fn own(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(metadata) = template["metadata"].as_object_mut() {
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| !key.starts_with("sluice.dev/"));
        }
        metadata.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
    }
    template
}

/// Whether a difference is at one of these places, or beneath it.
fn is_allowed(difference: &str, places: &[String]) -> bool {
    places.iter().any(|place| {
        difference == place
            || (!place.ends_with("/+") && difference.starts_with(&format!("{place}/")))
    })
}

proptest! {
    #[test]
    fn only_what_was_asked_for_changes((base, index) in templates(), chosen in vec(0..32_usize, 1..4)) {
        let all = changes();
        let mut template = base.clone();
        let mut places = Vec::new();
        for choice in &chosen {
            let (change, allowed) = &all[choice % all.len()];
            let once = change.apply(&template, "web", ReleaseId::new());
            let again = change.apply(&once, "web", ReleaseId::new());
            prop_assert_eq!(own(&again), own(&once), "applied again, {:?} changes nothing", change);
            places.extend(allowed.iter().map(|place| place.replace("{c}", &format!("/spec/containers/{index}"))));
            template = once;
        }
        for difference in differences(&base, &template) {
            prop_assert!(is_allowed(&difference, &places), "{} is other, and only {:?} were asked for", difference, places);
        }
    }
}
