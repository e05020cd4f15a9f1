//! What the guardrails find in templates, and what they leave alone.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn template(spec: Value) -> Value {
    let mut template = json!({ "metadata": {}, "spec": {
        "containers": [{ "name": "web", "image": "registry.example.com/shop/web:1" }],
    } });
    merge(&mut template["spec"], spec);
    template
}

/// Sets what `more` has; objects grow.
fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

fn of_container(fields: Value) -> Value {
    let mut container = json!({ "name": "web", "image": "registry.example.com/shop/web:1" });
    merge(&mut container, fields);
    template(json!({ "containers": [container] }))
}

fn paths(guardrails: &Guardrails, template: &Value) -> Vec<String> {
    guardrails.find("shop", template).into_iter().map(|it| it.path).collect()
}

fn at(level: Level) -> Guardrails {
    Guardrails { level, ..Guardrails::default() }
}

#[rstest]
#[case(json!({ "hostNetwork": true }), "spec.hostNetwork")]
#[case(json!({ "hostPID": true }), "spec.hostPID")]
#[case(json!({ "hostIPC": true }), "spec.hostIPC")]
#[case(json!({ "volumes": [{ "name": "root", "hostPath": { "path": "/" } }] }), "spec.volumes[root].hostPath")]
#[case(json!({ "securityContext": { "sysctls": [{ "name": "kernel.msgmax", "value": "1" }] } }), "spec.securityContext.sysctls")]
#[case(json!({ "securityContext": { "seccompProfile": { "type": "Unconfined" } } }), "spec.securityContext.seccompProfile.type")]
#[case(json!({ "securityContext": { "windowsOptions": { "hostProcess": true } } }), "spec.securityContext.windowsOptions.hostProcess")]
#[case(json!({ "securityContext": { "seLinuxOptions": { "type": "spc_t" } } }), "spec.securityContext.seLinuxOptions.type")]
#[case(json!({ "securityContext": { "seLinuxOptions": { "user": "u" } } }), "spec.securityContext.seLinuxOptions.user")]
#[case(json!({ "serviceAccountName": "builder" }), "spec.serviceAccountName")]
#[case(json!({ "serviceAccount": "builder" }), "spec.serviceAccountName")]
#[case(json!({ "automountServiceAccountToken": true }), "spec.automountServiceAccountToken")]
#[case(json!({ "volumes": [{ "name": "t", "projected": { "sources": [{ "serviceAccountToken": { "path": "t" } }] } }] }), "spec.volumes[t].projected.serviceAccountToken")]
#[case(json!({ "nodeName": "node-1" }), "spec.nodeName")]
#[case(json!({ "priorityClassName": "system-node-critical" }), "spec.priorityClassName")]
#[case(json!({ "priority": 2_000_001_000 }), "spec.priority")]
#[case(json!({ "tolerations": [{ "operator": "Exists" }] }), "spec.tolerations")]
#[case(json!({ "tolerations": [{ "key": "node-role.kubernetes.io/control-plane", "operator": "Exists" }] }), "spec.tolerations")]
fn a_pod_that_asks_for_the_rights_of_others_is_found(#[case] spec: Value, #[case] path: &str) {
    assert_eq!(paths(&Guardrails::default(), &template(spec)), [path]);
}

#[rstest]
#[case(json!({ "securityContext": { "privileged": true } }), "securityContext.privileged")]
#[case(json!({ "securityContext": { "capabilities": { "add": ["SYS_ADMIN"] } } }), "securityContext.capabilities.add")]
#[case(json!({ "securityContext": { "procMount": "Unmasked" } }), "securityContext.procMount")]
#[case(json!({ "securityContext": { "appArmorProfile": { "type": "Unconfined" } } }), "securityContext.appArmorProfile.type")]
#[case(json!({ "ports": [{ "containerPort": 80, "hostPort": 80 }] }), "ports.hostPort")]
#[case(json!({ "livenessProbe": { "httpGet": { "host": "10.0.0.1", "port": 80 } } }), "livenessProbe.httpGet.host")]
#[case(json!({ "lifecycle": { "preStop": { "tcpSocket": { "host": "10.0.0.1", "port": 80 } } } }), "lifecycle.preStop.tcpSocket.host")]
fn a_container_that_asks_for_them_is_found(#[case] fields: Value, #[case] field: &str) {
    let path = format!("spec.containers[web].{field}");
    assert_eq!(paths(&Guardrails::default(), &of_container(fields.clone())), [path]);
    let init = template(json!({ "initContainers": of_container(fields)["spec"]["containers"] }));
    let path = format!("spec.initContainers[web].{field}");
    assert_eq!(paths(&Guardrails::default(), &init), [path]);
}

#[test]
fn a_plain_pod_is_let_through_at_baseline_and_a_careful_one_at_restricted() {
    let plain = template(json!({
        "serviceAccountName": "default", "automountServiceAccountToken": false,
        "priorityClassName": "important", "tolerations": [{ "key": "team", "operator": "Exists" }],
        "volumes": [{ "name": "a", "emptyDir": {} }, { "name": "b", "nfs": {} }],
    }));
    assert!(paths(&Guardrails::default(), &plain).is_empty());
    assert_eq!(
        paths(&at(Level::Restricted), &plain),
        [
            "spec.volumes[b]",
            "spec.containers[web].securityContext.runAsNonRoot",
            "spec.containers[web].securityContext.allowPrivilegeEscalation",
            "spec.containers[web].securityContext.seccompProfile.type",
            "spec.containers[web].securityContext.capabilities.drop",
        ]
    );
    let mut careful = of_container(json!({ "securityContext": {
        "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"], "add": ["NET_BIND_SERVICE"] },
    } }));
    careful["spec"]["securityContext"] =
        json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    assert!(paths(&at(Level::Restricted), &careful).is_empty());
}

#[test]
fn at_the_level_privileged_pod_security_refuses_nothing_and_the_rest_still_holds() {
    let mut everything = of_container(json!({ "securityContext": { "privileged": true } }));
    everything["spec"]["hostNetwork"] = true.into();
    everything["spec"]["nodeName"] = "node-1".into();
    assert_eq!(paths(&at(Level::Privileged), &everything), ["spec.nodeName"]);
}

#[test]
fn a_policy_opens_what_it_names_and_nothing_else() {
    let names = |allowed: &[&str], denied: &[&str]| Names {
        allowed: allowed.iter().map(|it| Pattern::new(*it)).collect(),
        denied: denied.iter().map(|it| Pattern::new(*it)).collect(),
    };
    let guardrails = Guardrails {
        service_accounts: names(&["namespace/shop/serviceaccount/x-*"], &["*/x-admin"]),
        annotations: names(&["annotation/sidecar.istio.io/*"], &[]),
        images: Some(names(&["image/registry.example.com/*"], &["image/*:latest"])),
        ..Guardrails::default()
    };
    let with = |account: &str| template(json!({ "serviceAccountName": account }));
    assert!(paths(&guardrails, &with("x-web")).is_empty());
    assert_eq!(paths(&guardrails, &with("x-admin")), ["spec.serviceAccountName"]);
    assert_eq!(paths(&guardrails, &with("web")), ["spec.serviceAccountName"]);
    assert_eq!(guardrails.find("other", &with("x-web")).len(), 1, "of another namespace");
    let with = |image: &str| of_container(json!({ "image": image }));
    assert!(paths(&guardrails, &with("registry.example.com/a:1")).is_empty());
    for image in ["nginx", "registry.example.com/a:latest", "evil.example/registry.example.com/a"] {
        assert_eq!(paths(&guardrails, &with(image)), ["spec.containers[web].image"], "{image}");
    }
    let mut noted = template(json!({}));
    noted["metadata"]["annotations"] = json!({
        "sidecar.istio.io/inject": "true", "vault.hashicorp.com/role": "s3cret", "team": "shop",
    });
    assert_eq!(paths(&guardrails, &noted), ["metadata.annotations[vault.hashicorp.com/role]"]);
    let told = told(&guardrails.find("shop", &noted));
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn a_release_is_judged_by_what_it_adds() {
    let privileged = |image: &str, folder: &str| {
        let mut template = of_container(json!({
            "image": image, "securityContext": { "privileged": true },
            "volumeMounts": [{ "name": "data", "mountPath": "/data", "readOnly": true }],
        }));
        template["spec"]["volumes"] = json!([{ "name": "data", "hostPath": { "path": folder } }]);
        template
    };
    let before = privileged("web:1", "/data");
    let guardrails = Guardrails::default();
    let same = guardrails.judge("shop", &privileged("web:2", "/data"), Some(&before));
    assert_eq!((same.added.len(), same.kept.len()), (0, 3), "{same:?}");
    assert!(same.refusal().is_none() && same.note().unwrap().contains("keeps it"));

    let other = guardrails.judge("shop", &privileged("web:2", "/"), Some(&before));
    assert_eq!(other.added[0].path, "spec.volumes[data].hostPath");
    let mut mounted = before.clone();
    mounted["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] = false.into();
    let mounted = guardrails.judge("shop", &mounted, Some(&before));
    assert_eq!(
        mounted.added.len(),
        1,
        "a writable mount is more than one that is not: {mounted:?}"
    );
    let mut beside = before.clone();
    let second = json!({ "name": "second", "securityContext": { "privileged": true } });
    beside["spec"]["containers"].as_array_mut().unwrap().push(second);
    let beside = guardrails.judge("shop", &beside, Some(&before));
    assert_eq!(beside.added[0].path, "spec.containers[second].securityContext.privileged");

    let whole = Guardrails { whole: true, ..Guardrails::default() };
    assert_eq!(whole.judge("shop", &before, Some(&before)).added.len(), 3);
}

#[test]
fn a_refusal_names_the_field_the_value_the_level_and_the_action() {
    let template = of_container(json!({ "securityContext": { "privileged": true } }));
    let refusal = Guardrails::default().judge("shop", &template, None).refusal().unwrap();
    assert_eq!(
        refusal,
        "spec.containers[web].securityContext.privileged is true: must be false (level baseline of Pod Security); a policy that allows edas:UsePodSecurityPrivileged permits it"
    );
    let refusal = at(Level::Restricted).judge("shop", &of_container(json!({})), None);
    let refusal = refusal.refusal().unwrap();
    assert!(refusal.contains("(level restricted of Pod Security)"), "{refusal}");
    assert!(refusal.contains("edas:UsePodSecurityBaseline"), "{refusal}");
}

#[rstest]
#[case("net.ipv4.tcp_rmem", "v1.31", "v1.32")]
#[case("net.ipv4.ip_local_reserved_ports", "v1.26", "v1.27")]
#[case("net.ipv4.tcp_notsent_lowat", "v1.36", "latest")]
fn versions_differ_as_those_of_kubernetes_do(
    #[case] sysctl: &str,
    #[case] refusing: &str,
    #[case] allowing: &str,
) {
    let spec = json!({ "securityContext": { "sysctls": [{ "name": sysctl, "value": "1" }] } });
    for (version, count) in [(refusing, 1), (allowing, 0)] {
        let version = version.parse().unwrap();
        let guardrails = Guardrails { version, ..Guardrails::default() };
        assert_eq!(paths(&guardrails, &template(spec.clone())).len(), count, "{version}");
    }
    assert!("v1.24".parse::<Version>().is_err() && "1.30".parse::<Version>().is_err());
}

#[test]
fn guardrails_come_back_from_the_database_as_they_were_written() {
    let names = Names { allowed: vec![Pattern::new("image/*")], denied: Vec::new() };
    let guardrails =
        Guardrails { level: Level::Restricted, images: Some(names), ..Guardrails::default() };
    let written = serde_json::to_value(&guardrails).unwrap();
    assert_eq!(serde_json::from_value::<Guardrails>(written).unwrap(), guardrails);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-zA-Z/.-]{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("spec"),
        Just("containers"),
        Just("securityContext"),
        Just("capabilities"),
        Just("add"),
        Just("volumes"),
        Just("hostPath"),
        Just("name"),
        Just("metadata"),
        Just("annotations"),
        Just("tolerations"),
        Just("ports"),
        Just("seLinuxOptions"),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..5).prop_map(|map| {
                map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_a_template_is_it_adds_nothing_to_itself(template in any_json()) {
        for level in [Level::Privileged, Level::Baseline, Level::Restricted] {
            let judgement = at(level).judge("shop", &template, Some(&template));
            prop_assert!(judgement.added.is_empty(), "{judgement:?}");
        }
    }

    #[test]
    fn a_stricter_level_finds_all_that_a_looser_one_finds(template in any_json()) {
        let found = |level| at(level).find("shop", &template);
        let (loose, strict) = (found(Level::Baseline), found(Level::Restricted));
        prop_assert!(loose.iter().all(|it| strict.contains(it)));
        prop_assert!(found(Level::Privileged).iter().all(|it| loose.contains(it)));
    }
}
