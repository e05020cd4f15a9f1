//! From the parameters of a release to the pod template, over any choice of them and on
//! templates that somebody else wrote: what is set is there, what is absent is kept, what
//! is empty is gone, and what is not ours stays.

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::{collection, prelude::*};
use serde_json::{Value, json};

use super::{APP, call, read_deploy};
use domain::ReleaseId;
use domain::template::names::{GRACEFUL_START_ANNOTATION, RELEASE_ANNOTATION};

/// A parameter: its name, a value, where that is in the template, what is there (or in the
/// list there), and the value that clears it; none = it cannot be cleared.
struct Parameter {
    name: &'static str,
    value: String,
    place: &'static str,
    expected: Value,
    clears: Option<&'static str>,
}

fn parameter(
    name: &'static str,
    value: &str,
    place: &'static str,
    expected: Value,
    clears: Option<&'static str>,
) -> Parameter {
    Parameter { name, value: value.into(), place, expected, clears }
}

/// Every parameter that changes the template by itself; packages and the times of a
/// graceful start have tests of their own.
fn parameters() -> Vec<Parameter> {
    let probe = r#"{"tcpSocket":{"port":80}}"#;
    let beside = |name: &str| {
        format!(
            r#"[{{"yamlEncoded":"{}"}}]"#,
            STANDARD.encode(format!("name: {name}\nimage: i:1\n"))
        )
    };
    let drained = json!({ "sleep": { "seconds": 5 } });
    vec![
        parameter("Image", "shop/web:2", "/spec/containers/0/image", json!("shop/web:2"), None),
        parameter(
            "Envs",
            r#"[{"name":"A","value":"1"}]"#,
            "/spec/containers/0/env",
            json!({ "name": "A", "value": "1" }),
            Some("[]"),
        ),
        parameter("Command", "run", "/spec/containers/0/command", json!("run"), Some("")),
        parameter(
            "Args",
            r#"[{"argument":"-c"}]"#,
            "/spec/containers/0/args",
            json!("-c"),
            Some("[]"),
        ),
        parameter(
            "Readiness",
            probe,
            "/spec/containers/0/readinessProbe/tcpSocket",
            json!({ "port": 80 }),
            Some(""),
        ),
        parameter(
            "Liveness",
            probe,
            "/spec/containers/0/livenessProbe/tcpSocket",
            json!({ "port": 80 }),
            Some("{}"),
        ),
        parameter(
            "Startup",
            probe,
            "/spec/containers/0/startupProbe/tcpSocket",
            json!({ "port": 80 }),
            Some(""),
        ),
        parameter(
            "McpuLimit",
            "300",
            "/spec/containers/0/resources/limits/cpu",
            json!("300m"),
            Some("0"),
        ),
        parameter(
            "CpuRequest",
            "1",
            "/spec/containers/0/resources/requests/cpu",
            json!("1000m"),
            Some("0"),
        ),
        parameter(
            "MemoryLimit",
            "64",
            "/spec/containers/0/resources/limits/memory",
            json!("64Mi"),
            Some("0"),
        ),
        parameter(
            "MemoryRequest",
            "32",
            "/spec/containers/0/resources/requests/memory",
            json!("32Mi"),
            Some("0"),
        ),
        parameter(
            "LimitEphemeralStorage",
            "2",
            "/spec/containers/0/resources/limits/ephemeral-storage",
            json!("2Gi"),
            Some("0"),
        ),
        parameter(
            "RequestsEphemeralStorage",
            "1",
            "/spec/containers/0/resources/requests/ephemeral-storage",
            json!("1Gi"),
            Some("0"),
        ),
        parameter("Annotations", r#"{"a":"1"}"#, "/metadata/annotations/a", json!("1"), Some("{}")),
        parameter("Labels", r#"{"l":"1"}"#, "/metadata/labels/l", json!("1"), Some("{}")),
        parameter(
            "EnvFroms",
            r#"[{"secretRef":{"name":"s"}}]"#,
            "/spec/containers/0/envFrom",
            json!({ "secretRef": { "name": "s" } }),
            Some("[]"),
        ),
        parameter(
            "PostStart",
            r#"{"exec":{"command":["a"]}}"#,
            "/spec/containers/0/lifecycle/postStart/exec/command",
            json!("a"),
            Some(""),
        ),
        parameter(
            "EnableLosslessRule",
            "true",
            "/spec/containers/0/lifecycle/preStop",
            drained,
            Some("false"),
        ),
        parameter(
            "TerminateGracePeriod",
            "77",
            "/spec/terminationGracePeriodSeconds",
            json!(77),
            None,
        ),
        parameter(
            "ConfigMountDescs",
            r#"[{"name":"cm","type":"ConfigMap","mountPath":"/c"}]"#,
            "/spec/containers/0/volumeMounts",
            json!({ "name": "sluice-files-1", "mountPath": "/c" }),
            Some("[]"),
        ),
        parameter(
            "LocalVolume",
            r#"[{"type":"","nodePath":"/n","mountPath":"/l"}]"#,
            "/spec/volumes",
            json!({ "name": "sluice-node-1", "hostPath": { "path": "/n", "type": "" } }),
            Some("[]"),
        ),
        parameter(
            "EmptyDirs",
            r#"[{"mountPath":"/e"}]"#,
            "/spec/volumes",
            json!({ "name": "sluice-empty-1", "emptyDir": {} }),
            Some("[]"),
        ),
        parameter(
            "PvcMountDescs",
            r#"[{"pvcName":"p","mountPaths":[{"mountPath":"/p"}]}]"#,
            "/spec/volumes",
            json!({ "name": "sluice-claim-1", "persistentVolumeClaim": { "claimName": "p" } }),
            Some("[]"),
        ),
        parameter(
            "CustomAffinity",
            r#"{"nodeAffinity":{}}"#,
            "/spec/affinity",
            json!({ "nodeAffinity": {} }),
            Some(""),
        ),
        parameter(
            "CustomTolerations",
            r#"[{"key":"k"}]"#,
            "/spec/tolerations",
            json!({ "key": "k" }),
            Some("[]"),
        ),
        parameter("RuntimeClassName", "runv", "/spec/runtimeClassName", json!("runv"), Some("")),
        parameter(
            "SecurityContext",
            &STANDARD.encode("runAsUser: 7"),
            "/spec/containers/0/securityContext/runAsUser",
            json!(7),
            Some(""),
        ),
        parameter(
            "InitContainers",
            &beside("first"),
            "/spec/initContainers",
            json!({ "name": "first", "image": "i:1" }),
            Some("[]"),
        ),
        parameter(
            "Sidecars",
            &beside("beside"),
            "/spec/containers",
            json!({ "name": "beside", "image": "i:1" }),
            Some("[]"),
        ),
    ]
}

/// A template that somebody else wrote, with fields that nobody here knows everywhere.
fn foreign(unknown: &[(String, i32)]) -> Value {
    let mut template = json!({
        "metadata": { "labels": { "app": "web" }, "annotations": { "own": "1" } },
        "spec": {
            "initContainers": [{ "name": "own-first", "image": "o:1" }],
            "containers": [
                {
                    "name": "web", "image": "shop/web:1",
                    "env": [{ "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
                    "volumeMounts": [{ "name": "own", "mountPath": "/own" }],
                    "resources": { "limits": { "example.com/gpu": "1" } },
                },
                { "name": "own-beside", "image": "o:1" },
            ],
            "volumes": [{ "name": "own", "emptyDir": {} }],
        },
    });
    for place in [
        "/metadata",
        "/metadata/labels",
        "/spec",
        "/spec/containers/0",
        "/spec/containers/1",
        "/spec/volumes/0",
        "/spec/initContainers/0",
    ] {
        for (name, value) in unknown {
            template.pointer_mut(place).unwrap()[format!("{name}X")] = json!(value);
        }
    }
    template
}

fn released(parameters: &[(&str, &str)], base: &Value) -> Value {
    let request =
        read_deploy(&call("DeployK8sApplication", &[&[("AppId", APP)], parameters].concat()))
            .unwrap();
    request.spec.apply(base, "web", ReleaseId::new())
}

/// Without what tells versions apart, what cannot be cleared, and what is empty.
fn plain(mut template: Value) -> Value {
    let annotations = template["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.remove(RELEASE_ANNOTATION);
    annotations.remove(GRACEFUL_START_ANNOTATION);
    template["spec"].as_object_mut().unwrap().remove("terminationGracePeriodSeconds");
    template["spec"]["containers"][0].as_object_mut().unwrap().remove("image");
    without_empty(&mut template);
    template
}

fn without_empty(value: &mut Value) {
    let is_empty = |value: &Value| {
        value.as_object().is_some_and(|it| it.is_empty())
            || value.as_array().is_some_and(Vec::is_empty)
    };
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(without_empty);
            fields.retain(|_, value| !is_empty(value));
        }
        Value::Array(items) => items.iter_mut().for_each(without_empty),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether all of `part` is in `whole`: fields of objects, items of lists in any place.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|it| holds(it, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            part.iter().all(|item| whole.iter().any(|it| holds(it, item)))
        }
        _ => whole == part,
    }
}

proptest! {
    #[test]
    fn set_is_there_absent_is_kept_empty_is_gone_and_what_is_not_ours_stays(
        chosen in collection::vec(any::<bool>(), parameters().len()),
        unknown in collection::vec(("[a-z]{3,8}", 0..9_i32), 0..3),
    ) {
        let base = foreign(&unknown);
        let all = parameters();
        let chosen: Vec<&Parameter> = all.iter().zip(chosen).filter_map(|(parameter, chosen)| chosen.then_some(parameter)).collect();
        let given: Vec<(&str, &str)> = chosen.iter().map(|it| (it.name, it.value.as_str())).collect();
        let set = released(&given, &base);
        for Parameter { name, place, expected, .. } in &chosen {
            let found = set.pointer(place);
            let there = found == Some(expected) || found.and_then(Value::as_array).is_some_and(|items| items.contains(expected));
            prop_assert!(there, "{} at {}: {:?}", name, place, found);
        }
        let mut theirs = base.clone();
        theirs["spec"]["containers"][0].as_object_mut().unwrap().remove("image");
        prop_assert!(holds(&set, &theirs), "{set:#} lacks something of {theirs:#}");
        prop_assert_eq!(plain(released(&[], &set)), plain(set.clone()), "absent keeps");
        prop_assert_eq!(plain(released(&given, &set)), plain(set.clone()), "twice is once");
        let cleared: Vec<(&str, &str)> = chosen.iter().filter_map(|it| Some((it.name, it.clears?))).collect();
        prop_assert_eq!(plain(released(&cleared, &set)), plain(base), "empty clears");
    }
}

#[test]
fn every_parameter_of_a_release_that_changes_the_template_is_tried() {
    // Those of packages, the order, and the two ways of saying the same; what is added alone
    // (AddEnvs) cannot be cleared, and is tried where the template is changed.
    let elsewhere = [
        "AddEnvs",
        "AppId",
        "ImageTag",
        "PackageUrl",
        "JDK",
        "WebContainer",
        "JavaStartUpConfig",
        "WebContainerConfig",
        "UriEncoding",
        "UseBodyEncoding",
        "PackageVersion",
        "PackageVersionId",
        "Replicas",
        "UpdateStrategy",
        "BatchTimeout",
        "BatchWaitTime",
        "ChangeOrderDesc",
        "CpuLimit",
        "McpuRequest",
        "DeployAcrossNodes",
        "DeployAcrossZones",
        "PreStop",
        "DrainSeconds",
        "LosslessRuleAligned",
        "LosslessRuleDelayTime",
        "LosslessRuleFuncType",
        "LosslessRuleRelated",
        "LosslessRuleWarmupTime",
        "PlanHash",
        "AllowNoSurge",
    ];
    let offer = crate::wire::offered::OFFERS
        .iter()
        .find(|offer| offer.operation == "DeployK8sApplication")
        .unwrap();
    let tried: Vec<&str> = parameters().iter().map(|it| it.name).chain(elsewhere).collect();
    let left: Vec<_> = offer.parameters.iter().filter(|it| !tried.contains(&it.name)).collect();
    assert!(left.is_empty(), "not tried: {left:?}");
}
