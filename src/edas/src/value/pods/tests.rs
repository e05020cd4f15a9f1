//! Each parameter in the documentation's own form, and what is said of wrong ones.

use rstest::rstest;
use serde_json::json;

use super::*;

fn params(name: &str, text: &str) -> Params {
    let encoded: String =
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).collect();
    Params::parse(&format!("{name}={encoded}")).unwrap()
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

fn read_one(name: &str, text: &str) -> Result<PodChange, ApiError> {
    read(&params(name, text), false)
}

fn set<T>(value: T) -> Field<T> {
    Field::Set(value)
}

#[rstest]
#[case("Annotations", r#"{"a":"1","b":2}"#, PodChange { annotations: set(BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())])), ..PodChange::default() })]
#[case("Labels", "{}", PodChange { labels: Field::Clear, ..PodChange::default() })]
#[case("EnvFroms", r#"[{"configMapRef":{"name":"m"}},{"secretRef":{"name":"s"}}]"#, PodChange { env_from: set(vec![json!({ "configMapRef": { "name": "m" } }), json!({ "secretRef": { "name": "s" } })]), ..PodChange::default() })]
#[case("PreStop", r#"{"Exec":{"command":["bye"]}}"#, PodChange { pre_stop: set(json!({ "exec": { "command": ["bye"] } })), ..PodChange::default() })]
#[case("PostStart", "", PodChange { post_start: Field::Clear, ..PodChange::default() })]
#[case("Startup", r#"{"tcpSocket":{"host":"","port":8080},"failureThreshold":3}"#, PodChange { startup: set(json!({ "tcpSocket": { "port": 8080 }, "failureThreshold": 3 })), ..PodChange::default() })]
#[case("ConfigMountDescs", r#"[{"name":"m","type":"secret","mountPath":"/m"}]"#, PodChange { files: set(vec![Files { is_secret: true, name: "m".into(), path: "/m".into() }]), ..PodChange::default() })]
#[case("LocalVolume", r#"[{"type":"","nodePath":"/n","mountPath":"/m"}]"#, PodChange { node_folders: set(vec![NodeFolder { kind: String::new(), node_path: "/n".into(), path: "/m".into() }]), ..PodChange::default() })]
#[case("EmptyDirs", r#"[{"mountPath":"/e"}]"#, PodChange { empty_folders: set(vec![EmptyFolder { path: "/e".into(), read_only: false, sub_path: String::new() }]), ..PodChange::default() })]
#[case("PvcMountDescs", r#"[{"pvcName":"c","mountPaths":[{"mountPath":"/c","readOnly":true}]}]"#, PodChange { claims: set(vec![ClaimMount { name: "c".into(), paths: vec![("/c".into(), true)] }]), ..PodChange::default() })]
#[case("DeployAcrossNodes", "True", PodChange { placement: Placement { apart_by_node: Some(true), ..Placement::default() }, ..PodChange::default() })]
#[case("DeployAcrossZones", "no", PodChange { placement: Placement { apart_by_zone: Some(false), ..Placement::default() }, ..PodChange::default() })]
#[case("TerminateGracePeriod", "60", PodChange { grace_seconds: Some(60), ..PodChange::default() })]
#[case("RuntimeClassName", "", PodChange { runtime_class: Field::Clear, ..PodChange::default() })]
#[case("LimitEphemeralStorage", "0", PodChange { disk_limit: Some(0), ..PodChange::default() })]
#[case("SecurityContext", "cnVuQXNVc2VyOiA3Cg==", PodChange { security: set(json!({ "runAsUser": 7 })), ..PodChange::default() })]
fn a_parameter_is_read_as_documented(
    #[case] name: &str,
    #[case] text: &str,
    #[case] expected: PodChange,
) {
    assert_eq!(read_one(name, text).unwrap(), expected);
    assert_eq!(read(&Params::default(), false).unwrap(), PodChange::default(), "absent keeps");
}

#[test]
fn containers_come_as_yaml_in_base64() {
    let yaml =
        base64("name: log\nimage: shop/log:1\nargs: [\"-v\"]\nenv:\n- name: A\n  value: \"1\"\n");
    let container = json!({ "name": "log", "image": "shop/log:1", "args": ["-v"], "env": [{ "name": "A", "value": "1" }] });
    let text = json!([{ "yamlEncoded": yaml }]).to_string();
    assert_eq!(read_one("Sidecars", &text).unwrap().sidecars, set(vec![container.clone()]));
    assert_eq!(read_one("InitContainers", &text).unwrap().init_containers, set(vec![container]));
    assert_eq!(read_one("Sidecars", "[]").unwrap().sidecars, Field::Clear);
}

#[test]
fn variables_with_keys_come_in_either_parameter() {
    let item = json!({ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } });
    let given = |text: &str, envs| read(&params("EnvFroms", text), envs).unwrap().env_from_keys;
    assert_eq!(given(&json!([item]).to_string(), true), set(vec![item]));
    // Envs says which there are: of those that were given before none stays by itself.
    assert_eq!((given("[]", true), given("[]", false)), (Field::Clear, Field::Keep));
}

#[rstest]
#[case("Labels", "[1]", "allowed is a JSON object of texts")]
#[case("Annotations", r#"{"a":{}}"#, "at a: it is no text")]
#[case("EnvFroms", r#"[{"secretRef":{}}]"#, "[0] is neither")]
#[case("PreStop", r#"{"exec":{"command":["x"]},"timeoutSeconds":1}"#, "no times")]
#[case("Startup", r#"{"periodSeconds":1}"#, "must have one")]
#[case(
    "ConfigMountDescs",
    r#"[{"name":"m","type":"Disk","mountPath":"/m"}]"#,
    "the type \"disk\" is neither"
)]
#[case(
    "LocalVolume",
    r#"[{"nodePath":"n","mountPath":"/m"}]"#,
    "at [0]: \"n\" does not begin with /"
)]
#[case("EmptyDirs", r#"[{"readOnly":true}]"#, "missing field `mountPath`")]
#[case("PvcMountDescs", r#"[{"pvcName":"c","mountPaths":[]}]"#, "mountPaths is empty")]
#[case("CustomTolerations", "{\"a\":1}", "allowed is a list of Kubernetes tolerations")]
#[case("Sidecars", r#"[{"yamlEncoded":"%%"}]"#, "at [0]: it is not base64")]
#[case("Sidecars", r#"[{"yamlEncoded":"YTogWzE="}]"#, "it is not YAML")]
#[case("Sidecars", r#"[{"yamlEncoded":"bmFtZTogYQo="}]"#, "no name or no image")]
#[case("SecurityContext", "YQ==", "it is no object")]
#[case("TerminateGracePeriod", "-1", "from 0 to 86400")]
fn what_is_not_understood_is_refused_by_name_and_place(
    #[case] name: &str,
    #[case] text: &str,
    #[case] says: &str,
) {
    let message = match read_one(name, text).unwrap_err() {
        ApiError::Business { message, .. } | ApiError::Gateway { message, .. } => message,
    };
    assert!(message.contains(name) && message.contains(says), "{message}");
}

#[test]
fn what_is_wrong_with_a_container_is_told_without_its_values() {
    let message = |name: &str, text: &str| match read_one(name, text).unwrap_err() {
        ApiError::Business { message, .. } | ApiError::Gateway { message, .. } => message,
    };
    let encoded = |yaml: &str| json!([{ "yamlEncoded": STANDARD.encode(yaml) }]).to_string();
    for name in ["Sidecars", "InitContainers"] {
        for (yaml, says) in [
            ("name: a\nimage: b\nargs: geheim", "at args: expected"),
            ("name: a\nimage: b\nenv: [{name: A, value: [geheim]}]", "at env[0].value: expected"),
            ("name: a\nimage: *geheim", "it is not YAML: line 2"),
            ("name: Geheim_geheim\nimage: b", "name is not of at most 63"),
        ] {
            let said = message(name, &encoded(yaml));
            assert!(
                said.contains(name) && said.contains(says) && !said.contains("geheim"),
                "{said}"
            );
        }
    }
    for (name, text) in [
        ("Annotations", r#"{"a":["geheim"]}"#),
        ("PreStop", r#"{"exec":{"command":"geheim"}}"#),
        ("PostStart", r#"{"exec":["geheim"]}"#),
    ] {
        let said = message(name, text);
        assert!(said.contains("(not shown)") && !said.contains("geheim"), "{said}");
    }
}

#[test]
fn more_containers_than_may_be_are_refused_before_any_is_read() {
    let text = json!(vec![json!({ "yamlEncoded": "%%" }); 21]).to_string();
    let ApiError::Business { message, .. } = read_one("Sidecars", &text).unwrap_err() else {
        panic!("must be a business error")
    };
    assert!(message.contains("Sidecars") && message.contains("at most 20 containers"), "{message}");
}
