//! Our judgement of pods is that of Kubernetes: random pods are created as dry runs in
//! namespaces of a real control plane that enforce a level of Pod Security.

use domain::guard::{Breach, Guardrails, Level, Version};
use futures::{StreamExt, stream};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use proptest::{
    prelude::*,
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde_json::{Map, Value, json};

use crate::support::real;

/// How many pods are tried at each level and version.
const PODS: usize = 250;

/// Requests that are under way at once.
const AT_ONCE: usize = 8;

const LEVELS: [(Level, &str); 5] = [
    (Level::Baseline, "latest"),
    (Level::Restricted, "latest"),
    (Level::Baseline, "v1.28"),
    (Level::Restricted, "v1.33"),
    (Level::Restricted, "v1.25"),
];

/// One of these, or nothing; what is plain is likely.
fn seldom(values: Vec<Value>) -> BoxedStrategy<Option<Value>> {
    prop_oneof![
        12 => Just(None),
        4 => prop::sample::select(values).prop_map(Some),
    ]
    .boxed()
}

fn often(values: Vec<Value>) -> BoxedStrategy<Option<Value>> {
    prop_oneof![
        1 => Just(None),
        8 => prop::sample::select(values).prop_map(Some),
    ]
    .boxed()
}

/// An object of the fields that have a value.
fn object(fields: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    values
        .prop_map(move |values| {
            let given = names.iter().zip(values);
            let fields = given.filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
            Value::Object(fields.collect::<Map<_, _>>())
        })
        .boxed()
}

fn seccomp() -> Vec<Value> {
    let local = json!({ "type": "Localhost", "localhostProfile": "p.json" });
    vec![json!({ "type": "RuntimeDefault" }), json!({ "type": "Unconfined" }), local]
}

fn selinux() -> Vec<Value> {
    vec![
        json!({ "type": "container_t" }),
        json!({ "type": "container_engine_t" }),
        json!({ "type": "spc_t" }),
        json!({ "user": "system_u" }),
        json!({ "role": "system_r", "type": "container_init_t" }),
        json!({ "level": "s0:c1,c2" }),
        json!({}),
    ]
}

fn apparmor() -> Vec<Value> {
    let local = json!({ "type": "Localhost", "localhostProfile": "p" });
    vec![json!({ "type": "RuntimeDefault" }), json!({ "type": "Unconfined" }), local]
}

fn container(name: &'static str) -> BoxedStrategy<Value> {
    let security = object(vec![
        ("privileged", seldom(vec![json!(true), json!(false)])),
        ("allowPrivilegeEscalation", often(vec![json!(false), json!(false), json!(true)])),
        ("runAsNonRoot", seldom(vec![json!(true), json!(false)])),
        ("runAsUser", seldom(vec![json!(0), json!(1000)])),
        ("procMount", seldom(vec![json!("Default"), json!("Unmasked")])),
        ("seccompProfile", seldom(seccomp())),
        ("seLinuxOptions", seldom(selinux())),
        ("appArmorProfile", seldom(apparmor())),
        (
            "capabilities",
            often(vec![
                json!({ "drop": ["ALL"] }),
                json!({ "drop": ["ALL"] }),
                json!({ "drop": ["ALL"], "add": ["NET_BIND_SERVICE"] }),
                json!({ "drop": ["ALL"], "add": ["CHOWN"] }),
                json!({ "drop": ["all"] }),
                json!({ "drop": ["NET_RAW"] }),
                json!({ "add": ["NET_ADMIN"] }),
                json!({ "add": ["CAP_NET_BIND_SERVICE"], "drop": ["ALL"] }),
                json!({}),
            ]),
        ),
    ]);
    let security = prop_oneof![1 => Just(None), 9 => security.prop_map(Some)].boxed();
    let probe = |host: &str| json!({ "httpGet": { "host": host, "port": 80 } });
    let tcp = |host: &str| json!({ "tcpSocket": { "host": host, "port": 80 } });
    let fields = object(vec![
        ("securityContext", security),
        ("livenessProbe", seldom(vec![probe(""), probe("10.0.0.1"), tcp("db")])),
        ("readinessProbe", seldom(vec![probe(""), tcp("10.0.0.1")])),
        ("startupProbe", seldom(vec![probe("127.0.0.1"), tcp("")])),
        (
            "lifecycle",
            seldom(vec![
                json!({ "preStop": probe("10.0.0.1") }),
                json!({ "postStart": tcp("db") }),
                json!({ "preStop": { "exec": { "command": ["true"] } } }),
            ]),
        ),
        (
            "ports",
            seldom(vec![
                json!([{ "containerPort": 80 }]),
                json!([{ "containerPort": 80, "hostPort": 0 }]),
                json!([{ "containerPort": 80 }, { "containerPort": 81, "hostPort": 81 }]),
            ]),
        ),
    ]);
    fields
        .prop_map(move |mut container| {
            container["name"] = name.into();
            container["image"] = "shop/web:1".into();
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                if container[probe].is_null() {
                    container.as_object_mut().unwrap().remove(probe);
                }
            }
            container
        })
        .boxed()
}

fn pod() -> BoxedStrategy<Value> {
    let sysctl = |name: &str| json!({ "name": name, "value": "1" });
    let sysctls = [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_notsent_lowat",
        "net.core.somaxconn",
        "kernel.msgmax",
    ];
    let sysctls = sysctls.iter().map(|name| json!([sysctl(name)])).collect();
    let security = object(vec![
        ("runAsNonRoot", often(vec![json!(true), json!(true), json!(false)])),
        ("runAsUser", seldom(vec![json!(0), json!(1000)])),
        ("seccompProfile", often(seccomp())),
        ("seLinuxOptions", seldom(selinux())),
        ("appArmorProfile", seldom(apparmor())),
        ("sysctls", seldom(sysctls)),
        ("windowsOptions", seldom(vec![json!({ "hostProcess": false }), json!({})])),
    ]);
    let volumes = [
        json!({ "emptyDir": {} }),
        json!({ "hostPath": { "path": "/" } }),
        json!({ "configMap": { "name": "c" } }),
        json!({ "secret": { "secretName": "s" } }),
        json!({ "nfs": { "server": "s", "path": "/" } }),
        json!({ "persistentVolumeClaim": { "claimName": "c" } }),
        json!({ "projected": { "sources": [] } }),
        json!({ "downwardAPI": { "items": [] } }),
        json!({ "csi": { "driver": "d.example.com" } }),
        json!({ "iscsi": { "targetPortal": "p", "iqn": "iqn.2001-04.com.example:s", "lun": 0 } }),
        json!({ "image": { "reference": "shop/files:1" } }),
        json!({}),
    ];
    let volume = prop::sample::select(volumes.to_vec());
    let volumes = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(volume, 1..3)];
    let volumes = volumes.prop_map(|volumes| {
        let named = volumes.into_iter().enumerate().map(|(index, mut volume)| {
            volume["name"] = format!("v{index}").into();
            volume
        });
        Some(Value::Array(named.collect()))
    });
    let second = prop_oneof![3 => Just(None), 1 => container("second").prop_map(Some)];
    let containers = (container("web"), second).prop_map(|(first, second)| {
        Some(Value::Array(std::iter::once(first).chain(second).collect()))
    });
    let init = prop_oneof![
        5 => Just(None),
        1 => container("init").prop_map(|mut init| {
            for field in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
                init.as_object_mut().unwrap().remove(field);
            }
            Some(json!([init]))
        }),
    ];
    let spec = object(vec![
        ("hostNetwork", seldom(vec![json!(false), json!(true)])),
        ("hostPID", seldom(vec![json!(false), json!(true)])),
        ("hostIPC", seldom(vec![json!(false), json!(true)])),
        ("hostUsers", seldom(vec![json!(false), json!(false), json!(true)])),
        ("os", seldom(vec![json!({ "name": "linux" })])),
        ("securityContext", prop_oneof![1 => Just(None), 6 => security.prop_map(Some)].boxed()),
        ("volumes", volumes.boxed()),
        ("containers", containers.boxed()),
        ("initContainers", init.boxed()),
    ]);
    let annotations = seldom(vec![
        json!({ "container.apparmor.security.beta.kubernetes.io/web": "unconfined" }),
        json!({ "container.apparmor.security.beta.kubernetes.io/web": "runtime/default" }),
        json!({ "container.apparmor.security.beta.kubernetes.io/web": "localhost/p" }),
        json!({ "seccomp.security.alpha.kubernetes.io/pod": "unconfined" }),
    ]);
    (spec, annotations)
        .prop_map(|(spec, annotations)| {
            json!({ "metadata": { "annotations": annotations.unwrap_or_else(|| json!({})) }, "spec": spec })
        })
        .boxed()
}

/// Pods of Windows, which have few of the fields of others.
fn windows() -> Vec<Value> {
    let pod = |security: Value, host_network: bool| {
        json!({ "metadata": { "annotations": {} }, "spec": {
            "os": { "name": "windows" }, "hostNetwork": host_network, "securityContext": security,
            "containers": [{ "name": "web", "image": "shop/web:1" }],
        } })
    };
    let user =
        json!({ "runAsNonRoot": true, "windowsOptions": { "runAsUserName": "ContainerUser" } });
    vec![
        pod(json!({ "runAsNonRoot": true }), false),
        pod(user, false),
        pod(json!({}), false),
        pod(json!({ "windowsOptions": { "hostProcess": true } }), true),
    ]
}

async fn enforcing(client: &Client, level: Level, version: &str) -> String {
    let name = real::namespace(client).await;
    let labels = json!({ "metadata": { "labels": {
        "pod-security.kubernetes.io/enforce": level.name(),
        "pod-security.kubernetes.io/enforce-version": version,
    } } });
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    namespaces.patch(&name, &PatchParams::default(), &Patch::Merge(&labels)).await.unwrap();
    name
}

/// Whether a namespace lets a pod in, as the API server says; none = it is no pod.
async fn admits(pods: &Api<DynamicObject>, pod: &Value) -> Option<Result<(), String>> {
    let mut pod = pod.clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["generateName"] = "it-".into();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    match pods.create(&dry_run, &serde_json::from_value(pod).unwrap()).await {
        Ok(_) => Some(Ok(())),
        Err(kube::Error::Api(why)) if why.message.contains("violates PodSecurity") => {
            Some(Err(why.message.clone()))
        }
        Err(kube::Error::Api(why)) if [400, 422].contains(&why.code) => None,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn random_pods_are_judged_as_kubernetes_judges_them() {
    let client = real::client().await;
    let mut runner = TestRunner::deterministic();
    let strategy = pod();
    let mut random: Vec<Value> = windows();
    random.extend((0..PODS).map(|_| strategy.new_tree(&mut runner).unwrap().current()));
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
    for (level, version) in LEVELS {
        let namespace = enforcing(&client, level, version).await;
        let pods: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &kind);
        let tried = stream::iter(&random)
            .map(async |pod| (pod, admits(&pods, pod).await))
            .buffer_unordered(AT_ONCE);
        let (mut allowed, mut refused) = (0, 0);
        let version: Version = version.parse().unwrap();
        let guardrails = Guardrails { level, version, ..Guardrails::default() };
        for (pod, answer) in tried.collect::<Vec<_>>().await {
            let Some(answer) = answer else { continue };
            let ours: Vec<String> = guardrails
                .find(&namespace, pod)
                .into_iter()
                .filter(|it| matches!(it.breach, Breach::Level(_)))
                .map(|it| it.to_string())
                .collect();
            assert_eq!(
                ours.is_empty(),
                answer.is_ok(),
                "{level} {version}\nKubernetes: {answer:?}\nSluice: {ours:?}\n{pod:#}"
            );
            if answer.is_ok() { allowed += 1 } else { refused += 1 }
        }
        println!("{level} {version}: {allowed} allowed, {refused} refused");
        assert!(allowed + refused > PODS / 2, "most of them are pods: {allowed} + {refused}");
        assert!(allowed >= 3 && refused > 20, "{level}: {allowed} allowed, {refused} refused");
    }
}
