//! Random Deployments, put together from parts as people write them.
//!
//! The number of a Deployment is its seed: a failure names it, and it comes out the same
//! again. `RANDOM_DEPLOYMENTS` is how many are tried.

use domain::template::spec::{EnvVar, Field, SpecChange};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

use super::{By, Shape};

/// How many are tried, where nothing else is asked for.
const DEPLOYMENTS: u64 = 20;

pub(super) fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("RANDOM_DEPLOYMENTS").ok();
    0..asked.map_or(DEPLOYMENTS, |count| count.parse().expect("RANDOM_DEPLOYMENTS is a number"))
}

/// The Deployment of a seed.
pub(super) fn shape(seed: u64) -> Shape {
    let mut rng = StdRng::seed_from_u64(seed);
    let name = format!("random-{seed}");
    let mut containers = vec![container(&mut rng, &name, true)];
    for number in 0..rng.random_range(0..3) {
        let sidecar = container(&mut rng, &format!("side-{number}"), false);
        // The first place is not always the application's.
        containers.insert(rng.random_range(0..=containers.len()), sidecar);
    }
    let mut pod = some(
        &mut rng,
        4,
        &[
            ("terminationGracePeriodSeconds", json!(0)),
            ("terminationGracePeriodSeconds", json!(1)),
            ("enableServiceLinks", json!(false)),
            ("dnsConfig", json!({ "options": [{ "name": "ndots", "value": "1" }] })),
            ("hostAliases", json!([{ "ip": "192.0.2.1", "hostnames": ["b", "a"] }])),
            ("automountServiceAccountToken", json!(false)),
            ("securityContext", json!({ "fsGroup": 7, "runAsNonRoot": true })),
            ("securityContext", json!({})),
            ("imagePullSecrets", json!([{ "name": "b" }, { "name": "a" }])),
            ("tolerations", json!([{ "key": "z", "operator": "Exists" }, { "key": "a" }])),
            ("nodeSelector", json!({ "kubernetes.io/os": "linux" })),
            ("shareProcessNamespace", json!(true)),
            ("restartPolicy", json!("Always")),
            ("schedulerName", json!("default-scheduler")),
            (
                "topologySpreadConstraints",
                json!([{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway" }]),
            ),
            (
                "affinity",
                json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
                { "weight": 3, "podAffinityTerm": { "topologyKey": "zone", "labelSelector": {} } },
            ] } }),
            ),
        ],
    );
    let volumes = [
        json!({ "name": "tmp", "emptyDir": { "sizeLimit": "0.5Gi" } }),
        json!({ "name": "cache", "emptyDir": {} }),
        json!({ "name": "all", "projected": { "sources": [
            { "configMap": { "name": "c", "optional": true } },
            { "downwardAPI": { "items": [{ "path": "l", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
        ] } }),
    ];
    // Every container mounts them.
    pod.insert("volumes".into(), json!(volumes));
    pod.insert("containers".into(), json!(containers));
    if rng.random_ratio(1, 3) {
        let mut before = vec![json!({ "name": "prepare", "image": "shop/prepare:1" })];
        if rng.random_ratio(1, 2) {
            let native =
                json!({ "name": "native", "image": "mesh/native:1", "restartPolicy": "Always" });
            before.insert(rng.random_range(0..=1), native);
        }
        pod.insert("initContainers".into(), json!(before));
    }
    let annotations = some(
        &mut rng,
        2,
        &[
            ("checksum/config", json!("0400")),
            ("prometheus.io/scrape", json!("true")),
            ("kubectl.kubernetes.io/restartedAt", json!("2026-01-01T00:00:00Z")),
            ("empty", json!("")),
        ],
    );
    let labels = some(
        &mut rng,
        2,
        &[
            ("app.kubernetes.io/version", json!("1.0")),
            ("pod-template-hash", json!("6d4cf56db6")),
            ("team", json!("")),
        ],
    );
    let replicas = rng.random_range(0..=3);
    let mut spec = some(
        &mut rng,
        3,
        &[
            ("minReadySeconds", json!(0)),
            ("minReadySeconds", json!(1)),
            ("progressDeadlineSeconds", json!(120)),
            ("revisionHistoryLimit", json!(3)),
            ("strategy", json!({ "type": "Recreate" })),
            ("strategy", json!({ "rollingUpdate": { "maxSurge": "30%", "maxUnavailable": 0 } })),
            ("strategy", json!({ "rollingUpdate": { "maxSurge": 2, "maxUnavailable": "50%" } })),
            (
                "strategy",
                json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0 } }),
            ),
        ],
    );
    let mut metadata = Map::new();
    if !annotations.is_empty() {
        metadata.insert("annotations".into(), annotations.into());
    }
    metadata.insert("labels".into(), labels.into());
    spec.insert("replicas".into(), replicas.into());
    spec.insert("template".into(), json!({ "metadata": metadata, "spec": pod }));
    // Server-side apply takes no variable twice.
    let by = match containers.iter().any(has_a_variable_twice) {
        false if rng.random_ratio(1, 2) => By::Apply,
        _ => By::Creation,
    };
    Shape { container: name.clone(), name, by, spec: spec.into() }
}

/// What a release of it changes besides the image, and the places that it may touch: `{c}`
/// is the application's container.
pub(super) fn change(seed: u64) -> (SpecChange, &'static [&'static str]) {
    let probe = || Field::Set(json!({ "tcpSocket": { "port": 8080 } }));
    let mut changes: Vec<(SpecChange, &'static [&'static str])> = vec![
        (SpecChange::default(), &[]),
        (
            SpecChange {
                env: Field::Set(vec![EnvVar::plain("NEW", "$(A)"), EnvVar::plain("A", "9")]),
                ..SpecChange::default()
            },
            &["{c}/env"],
        ),
        (SpecChange { args: Field::Clear, ..SpecChange::default() }, &["{c}/args"]),
        (SpecChange { readiness: probe(), ..SpecChange::default() }, &["{c}/readinessProbe"]),
        (
            SpecChange { cpu_limit: Some(1500), memory_limit: Some(0), ..SpecChange::default() },
            // Kubernetes asks for as much as the limit where nothing is asked for.
            &["{c}/resources/limits", "{c}/resources/requests"],
        ),
        (
            SpecChange { drain_seconds: Some(1), ..SpecChange::default() },
            &["{c}/lifecycle/preStop", "/spec/terminationGracePeriodSeconds"],
        ),
    ];
    let index = usize::try_from(seed).unwrap() % changes.len();
    changes.swap_remove(index)
}

fn container(rng: &mut StdRng, name: &str, is_main: bool) -> Value {
    let mut container = some(
        rng,
        5,
        &[
            (
                "env",
                json!([
                    { "name": "A", "value": "1" }, { "name": "B", "value": "$(A)" }, { "name": "A", "value": "2" },
                    { "name": "EMPTY", "value": "" }, { "name": "NONE" },
                ]),
            ),
            (
                "env",
                json!([
                    { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
                    { "name": "CPUS", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu", "divisor": "1m" } } },
                    { "name": "A", "value": "$(NODE):80" },
                    { "name": "S", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k", "optional": true } } },
                ]),
            ),
            (
                "envFrom",
                json!([{ "prefix": "P_", "configMapRef": { "name": "c", "optional": true } }]),
            ),
            ("command", json!(["/bin/run", "--a=$(A)", ""])),
            ("args", json!(["-c", "echo '$$(A)' \"ä\""])),
            ("resources", json!({ "requests": { "cpu": "0.01", "memory": "9437184" } })),
            (
                "resources",
                json!({ "limits": { "cpu": "1.5", "memory": "1024Mi" }, "requests": { "cpu": "10m" } }),
            ),
            (
                "ports",
                json!([{ "containerPort": 53, "protocol": "UDP", "name": "dns" }, { "containerPort": 53 }]),
            ),
            (
                "readinessProbe",
                json!({ "httpGet": { "path": "/r", "port": 8080 }, "periodSeconds": 1 }),
            ),
            ("livenessProbe", json!({ "exec": { "command": ["true"] }, "failureThreshold": 30 })),
            ("startupProbe", json!({ "grpc": { "port": 9 }, "failureThreshold": 3 })),
            ("lifecycle", json!({ "postStart": { "exec": { "command": ["true"] } } })),
            ("imagePullPolicy", json!("Always")),
            ("workingDir", json!("/srv")),
            ("securityContext", json!({ "capabilities": { "drop": ["ALL"], "add": ["B", "A"] } })),
            ("stdin", json!(true)),
        ],
    );
    let image = [
        "shop/web:1.0",
        "shop/web",
        "registry.example:5000/shop/web",
        "shop/web@sha256:0000000000000000000000000000000000000000000000000000000000000001",
    ];
    let image = if is_main { image.choose(rng).unwrap() } else { "mesh/proxy:1" };
    container.insert("name".into(), name.into());
    container.insert("image".into(), image.into());
    let mounts = json!([{ "name": "tmp", "mountPath": "/tmp" }, { "name": "all", "mountPath": "/all", "readOnly": true }, { "name": "cache", "mountPath": "/c", "subPath": "x" }]);
    container.insert("volumeMounts".into(), mounts);
    container.into()
}

fn has_a_variable_twice(container: &Value) -> bool {
    let env = container["env"].as_array();
    let mut names: Vec<_> = env.into_iter().flatten().map(|it| it["name"].to_string()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    names.len() < all
}

/// About `count` of the parts, at most one of a name.
fn some(rng: &mut StdRng, count: u32, parts: &[(&str, Value)]) -> Map<String, Value> {
    let of = u32::try_from(parts.len()).unwrap();
    let mut taken = Map::new();
    for (name, value) in parts {
        if rng.random_ratio(count.min(of), of) {
            taken.insert((*name).to_owned(), value.clone());
        }
    }
    taken
}
