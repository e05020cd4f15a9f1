//! Deployments as people have them, written after the shapes that well-known charts and
//! operators' documents have: adopted, released in batches with a changed image, taken
//! back, and compared field by field, with their owners. On the simulated cluster and on a
//! real control plane.

use domain::{order::State, template::spec::SpecChange};
use futures::StreamExt;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    App, batches, caller,
    found::{own, owners},
    on_both_clusters, release,
};

mod random;

on_both_clusters!(
    deployments_of_every_shape_are_adopted_released_and_taken_back_as_they_were,
    random_deployments_are_released_with_what_was_asked_for_and_taken_back_as_they_were,
);

/// How a Deployment came to the cluster.
#[derive(Debug, Clone, Copy)]
enum By {
    Creation,
    /// A server-side apply of a controller that keeps applying.
    Apply,
}

/// A shape: its name, how it came, its application's container, and its spec beside the
/// selector, with a template whose labels are added.
struct Shape {
    name: String,
    by: By,
    container: String,
    spec: Value,
}

fn shapes() -> Vec<Shape> {
    let shape = |name: &str, container: &str, spec| Shape {
        name: name.into(),
        by: By::Creation,
        container: container.into(),
        spec,
    };
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    vec![
        // An ingress controller on host ports, which gives a port up before it takes it.
        shape(
            "edge-controller",
            "controller",
            json!({
                "replicas": 1, "minReadySeconds": 0, "revisionHistoryLimit": 10,
                "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1, "maxSurge": 0 } },
                "template": { "spec": {
                    "dnsPolicy": "ClusterFirstWithHostNet", "terminationGracePeriodSeconds": 300, "nodeSelector": {},
                    "containers": [{
                        "name": "controller", "image": "edge/controller:1.0@sha256:0000000000000000000000000000000000000000000000000000000000000001",
                        "args": ["/controller", "--configmap=$(POD_NAMESPACE)/edge-controller"],
                        "env": [{ "name": "POD_NAME", "valueFrom": field("metadata.name") }, { "name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace") }, { "name": "LD_PRELOAD", "value": "/usr/local/lib/mimalloc.so" }],
                        "ports": [{ "name": "http", "containerPort": 80, "hostPort": 31180, "protocol": "TCP" }, { "name": "https", "containerPort": 443, "protocol": "TCP" }, { "name": "dns", "containerPort": 443, "protocol": "UDP" }],
                        "lifecycle": { "preStop": { "exec": { "command": ["/wait-shutdown"] } } },
                        "livenessProbe": { "httpGet": { "path": "/healthz", "port": 10254 }, "initialDelaySeconds": 10, "failureThreshold": 5 },
                        "readinessProbe": { "httpGet": { "path": "/healthz", "port": 10254 }, "initialDelaySeconds": 10 },
                        "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "add": ["NET_BIND_SERVICE"], "drop": ["ALL"] }, "runAsUser": 101 },
                        "resources": { "requests": { "cpu": "10m", "memory": "9Mi" } },
                    }],
                } },
            }),
        ),
        // A certificate manager's webhook.
        shape(
            "certs-webhook",
            "certs-webhook",
            json!({
                "replicas": 1,
                "template": {
                    "metadata": { "annotations": { "prometheus.io/scrape": "true", "prometheus.io/port": "9402" } },
                    "spec": {
                        "enableServiceLinks": false, "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                        "nodeSelector": { "kubernetes.io/os": "linux" },
                        "containers": [{
                            "name": "certs-webhook", "image": "certs/webhook:v1", "imagePullPolicy": "IfNotPresent",
                            "args": ["--v=2", "--secure-port=10250", "--dynamic-serving-dns-names=$(SERVICE).$(NAMESPACE)"],
                            "env": [{ "name": "NAMESPACE", "valueFrom": field("metadata.namespace") }, { "name": "SERVICE", "value": "certs-webhook" }],
                            "livenessProbe": { "failureThreshold": 3, "httpGet": { "path": "/livez", "port": 6080, "scheme": "HTTP" }, "initialDelaySeconds": 60 },
                            "readinessProbe": { "httpGet": { "path": "/healthz", "port": "healthcheck" }, "timeoutSeconds": 1 },
                            "ports": [{ "name": "https", "containerPort": 10250 }, { "name": "healthcheck", "containerPort": 6080 }],
                        }],
                    },
                },
            }),
        ),
        // A cluster's name server: kept apart, with files of a ConfigMap.
        shape(
            "names",
            "coredns",
            json!({
                "replicas": 2, "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1 } },
                "template": { "spec": {
                    "priorityClassName": "system-cluster-critical", "dnsPolicy": "Default",
                    "tolerations": [{ "key": "CriticalAddonsOnly", "operator": "Exists" }],
                    "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 100, "podAffinityTerm": { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchExpressions": [{ "key": "shape", "operator": "In", "values": ["names"] }] } } }] } },
                    "containers": [{
                        "name": "coredns", "image": "registry.example/coredns:v1", "args": ["-conf", "/etc/coredns/Corefile"],
                        "resources": { "limits": { "memory": "170Mi" }, "requests": { "cpu": "100m", "memory": "70Mi" } },
                        "ports": [{ "containerPort": 53, "name": "dns", "protocol": "UDP" }, { "containerPort": 53, "name": "dns-tcp", "protocol": "TCP" }],
                        "volumeMounts": [{ "name": "config-volume", "mountPath": "/etc/coredns", "readOnly": true }],
                    }],
                    "volumes": [{ "name": "config-volume", "configMap": { "name": "coredns", "optional": true, "items": [{ "key": "Corefile", "path": "Corefile" }] } }],
                } },
            }),
        ),
        // A Java service with agents that three init containers bring.
        shape(
            "orders",
            "orders",
            json!({
                "replicas": 3, "minReadySeconds": 1, "progressDeadlineSeconds": 900,
                "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": "30%" } },
                "template": { "spec": {
                    "initContainers": [
                        { "name": "agent", "image": "agents/trace:1", "command": ["cp", "/agent.jar", "/agents/"], "volumeMounts": [{ "name": "agents", "mountPath": "/agents" }] },
                        { "name": "profiler", "image": "agents/profile:1", "command": ["cp", "-r", "/profiler", "/agents/"], "volumeMounts": [{ "name": "agents", "mountPath": "/agents" }] },
                        { "name": "schema", "image": "orders/schema:1", "env": [{ "name": "DB", "valueFrom": { "secretKeyRef": { "name": "orders", "key": "db", "optional": true } } }] },
                    ],
                    "containers": [{
                        "name": "orders", "image": "orders/app:1.4.2",
                        "env": [
                            { "name": "JAVA_TOOL_OPTIONS", "value": "-javaagent:/agents/agent.jar" }, { "name": "HOST", "valueFrom": field("status.hostIP") },
                            { "name": "OTEL_EXPORTER", "value": "http://$(HOST):4317" }, { "name": "JAVA_TOOL_OPTIONS", "value": "-javaagent:/agents/agent.jar -Xmx1g" },
                            { "name": "CPUS", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu", "divisor": "1m" } } },
                        ],
                        "resources": { "limits": { "cpu": "1500m", "memory": "2048Mi" }, "requests": { "cpu": "0.5", "memory": "1Gi" } },
                        "startupProbe": { "tcpSocket": { "port": 8080 }, "failureThreshold": 30 },
                        "volumeMounts": [{ "name": "agents", "mountPath": "/agents", "readOnly": true }, { "name": "tmp", "mountPath": "/tmp" }],
                    }],
                    "volumes": [{ "name": "agents", "emptyDir": {} }, { "name": "tmp", "emptyDir": { "medium": "Memory", "sizeLimit": "0.5Gi" } }],
                } },
            }),
        ),
        // A service mesh's proxy, injected before the application.
        shape(
            "meshed",
            "app",
            json!({
                "replicas": 2,
                "template": {
                    "metadata": { "annotations": { "kubectl.kubernetes.io/default-container": "app", "sidecar.istio.io/status": "{\"containers\":[\"istio-proxy\"]}" } },
                    "spec": { "containers": [
                        { "name": "istio-proxy", "image": "mesh/proxyv2:1", "args": ["proxy", "sidecar"], "env": [{ "name": "ISTIO_META_APP_CONTAINERS", "value": "app" }] },
                        { "name": "app", "image": "shop/meshed:1.0" },
                    ] },
                },
            }),
        ),
        // A sidecar that Kubernetes itself starts first and ends last.
        shape(
            "native",
            "web",
            json!({
                "replicas": 2,
                "template": { "spec": {
                    "initContainers": [{ "name": "log-shipper", "image": "logs/ship:1", "restartPolicy": "Always", "startupProbe": { "exec": { "command": ["ready"] } } }],
                    "containers": [{ "name": "web", "image": "shop/native:1.0" }],
                } },
            }),
        ),
        // A database's client with projected secrets.
        shape(
            "reports",
            "reports",
            json!({
                "replicas": 1, "strategy": { "type": "Recreate" },
                "template": { "spec": {
                    "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
                    "containers": [{ "name": "reports", "image": "shop/reports:1.0", "command": ["sh", "-c"], "args": ["exec report --cert /secrets/tls.crt"],
                        "env": [{ "name": "PGPASSWORD", "valueFrom": { "secretKeyRef": { "name": "db", "key": "password", "optional": true } } }],
                        "volumeMounts": [{ "name": "secrets", "mountPath": "/secrets", "readOnly": true }] }],
                    "volumes": [{ "name": "secrets", "projected": { "defaultMode": 256, "sources": [
                        { "secret": { "name": "tls", "optional": true, "items": [{ "key": "tls.crt", "path": "tls.crt", "mode": 292 }] } },
                        { "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
                        { "serviceAccountToken": { "audience": "db", "expirationSeconds": 3600, "path": "token" } }] } }],
                } },
            }),
        ),
        // One that a GitOps controller applies, and keeps applying.
        Shape {
            name: "gitops".into(),
            by: By::Apply,
            container: "podinfo".into(),
            spec: json!({
                "replicas": 2, "minReadySeconds": 3, "revisionHistoryLimit": 5, "progressDeadlineSeconds": 60,
                "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1 } },
                "template": {
                    "metadata": { "annotations": { "checksum/config": "abc" } },
                    "spec": { "containers": [{ "name": "podinfo", "image": "ghcr.example/podinfo:6.0.0", "command": ["./podinfo", "--port=9898"],
                        "ports": [{ "name": "http", "containerPort": 9898, "protocol": "TCP" }],
                        "readinessProbe": { "exec": { "command": ["podcli", "check", "http", "localhost:9898/readyz"] }, "initialDelaySeconds": 1, "timeoutSeconds": 5 },
                        "resources": { "limits": { "cpu": "2000m", "memory": "512Mi" }, "requests": { "cpu": "100m", "memory": "64Mi" } } }] },
                },
            }),
        },
        // A worker that is stopped for now.
        shape(
            "asleep",
            "worker",
            json!({
                "replicas": 0,
                "template": { "spec": { "containers": [{ "name": "worker", "image": "shop/worker:1.0", "args": [], "tty": true }] } },
            }),
        ),
        // One that is spread over zones, with a cost that is in a newer field.
        shape(
            "spread",
            "spread",
            json!({
                "replicas": 2,
                "template": { "spec": {
                    "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway", "matchLabelKeys": ["pod-template-hash"], "labelSelector": { "matchLabels": { "shape": "spread" } } }],
                    "hostAliases": [{ "ip": "10.0.0.9", "hostnames": ["db"] }], "shareProcessNamespace": true, "setHostnameAsFQDN": false,
                    "containers": [{ "name": "spread", "image": "shop/spread:1.0", "resources": { "requests": { "memory": "128974848" } }, "terminationMessagePolicy": "FallbackToLogsOnError" }],
                } },
            }),
        ),
        // Two of one image: the web part and its queue.
        shape(
            "twins",
            "web",
            json!({
                "replicas": 2,
                "template": {
                    "metadata": { "annotations": { "kubectl.kubernetes.io/default-container": "web" } },
                    "spec": { "containers": [
                        { "name": "queue", "image": "shop/twins:1.0", "args": ["queue"], "envFrom": [{ "prefix": "Q_", "configMapRef": { "name": "twins", "optional": true } }] },
                        { "name": "web", "image": "shop/twins:1.0", "args": ["web"] },
                    ] },
                },
            }),
        ),
        // Its own hash label, from a text that somebody read from a ReplicaSet.
        shape(
            "copied",
            "copied",
            json!({
                "replicas": 2,
                "template": {
                    "metadata": { "labels": { "pod-template-hash": "6d4cf56db6" }, "creationTimestamp": null },
                    "spec": { "containers": [{ "name": "copied", "image": "shop/copied:1.0", "env": [{ "name": "EMPTY", "value": "" }] }] },
                },
            }),
        ),
    ]
}

fn deployment(shape: &Shape) -> Value {
    let mut deployment = json!({ "metadata": { "name": shape.name, "labels": { "team": "shop" } }, "spec": shape.spec });
    deployment["spec"]["selector"] = json!({ "matchLabels": { "shape": shape.name } });
    deployment["spec"]["template"]["metadata"]["labels"]["shape"] = json!(shape.name);
    deployment
}

/// Adopts one of them, releases another image and `change` with it, and takes it back.
/// Besides the image nothing may change but the `places`.
async fn there_and_back(app: &App, shape: &Shape, change: SpecChange, places: &[&str]) {
    let wanted = deployment(shape);
    match shape.by {
        By::Creation => app.put(&wanted).await,
        // The simulated cluster offers no server-side apply.
        By::Apply if app.simulation.is_some() => app.put(&wanted).await,
        By::Apply => {
            app.apply(&wanted, "gitops").await.unwrap();
            app.rolled_out(&shape.name).await;
        }
    }
    let before = app.live(&shape.name).await;
    let (application, _) =
        app.adopt(&shape.name, None).await.unwrap_or_else(|why| panic!("{}: {why}", shape.name));
    let adopted = app.live(&shape.name).await;
    assert_eq!(
        adopted["metadata"]["generation"], before["metadata"]["generation"],
        "{}: adoption changes nothing",
        shape.name
    );
    assert_eq!(own(&adopted), own(&before), "{}", shape.name);

    let one_batch = before["spec"]["strategy"]["type"] == "Recreate"
        || before["spec"]["replicas"].as_i64() < Some(2);
    let image = format!("new/{}:2.0", shape.name);
    let mut request = release(application, &image, batches(if one_batch { 1 } else { 2 }));
    request.spec = SpecChange { image: Some(image.clone()), ..change };
    let order = app.service.deploy(&caller(), request).await;
    let order = order.unwrap_or_else(|why| panic!("{}: {why}", shape.name));
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{}: {order:#?}", shape.name);
    let released = app.live(&shape.name).await;
    let mut expected = own(&before);
    let at = expected["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let at = at.iter().position(|container| container["name"] == shape.container).unwrap();
    for container in expected["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap() {
        if container["name"] == shape.container {
            container["image"] = json!(image);
        }
    }
    let mut without_mark = own(&released);
    let metadata = without_mark["spec"]["template"]["metadata"].as_object_mut().unwrap();
    let annotations = metadata["annotations"].as_object_mut().unwrap();
    assert!(annotations.remove("sluice.dev/release").is_some());
    // How the caller wrote its probes.
    annotations.remove("sluice.dev/given");
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    for place in places {
        let place = place.replace("{c}", &format!("/spec/containers/{at}"));
        remove(&mut without_mark, &format!("/spec/template{place}"));
        remove(&mut expected, &format!("/spec/template{place}"));
    }
    assert_eq!(without_mark, expected, "{}: what was asked for, and nothing else", shape.name);
    let ours =
        owners(&released)["sluice Update"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(ours, ["f:template"], "{}", shape.name);

    let back = app.service.roll_back(&caller(), order.id).await.unwrap();
    let back = app.end_of(back).await;
    assert_eq!(back.state, State::Succeeded, "{}: {back:#?}", shape.name);
    let after = app.live(&shape.name).await;
    assert_eq!(own(&after), own(&before), "{}: as it was found", shape.name);
    assert_eq!(owners(&after), owners(&before), "{}: and whose it was", shape.name);
    if matches!(shape.by, By::Apply) && app.simulation.is_none() {
        app.apply(&wanted, "gitops").await.unwrap_or_else(|why| panic!("{}: {why}", shape.name));
    }
}

async fn deployments_of_every_shape_are_adopted_released_and_taken_back_as_they_were(app: App) {
    let shapes = shapes();
    assert!(shapes.len() >= 10);
    // A few at a time: each is watched closely.
    futures::stream::iter(&shapes)
        .for_each_concurrent(4, |shape| there_and_back(&app, shape, SpecChange::default(), &[]))
        .await;
}

async fn random_deployments_are_released_with_what_was_asked_for_and_taken_back_as_they_were(
    app: App,
) {
    futures::stream::iter(random::seeds())
        .for_each_concurrent(4, |seed| {
            let app = &app;
            async move {
                let (change, places) = random::change(seed);
                there_and_back(app, &random::shape(seed), change, places).await;
            }
        })
        .await;
}

/// Removes what a pointer names, and objects that are empty without it.
fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    let Some(Value::Object(object)) = value.pointer_mut(parent) else { return };
    object.remove(name);
    if object.is_empty() {
        remove(value, parent);
    }
}
