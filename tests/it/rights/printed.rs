//! What `sluice rights` prints is what `docs/rights.yaml` says, and is bounded.

use clap::Parser;
use serde_json::{Value, json};
use sluice::config::{Cli, Command};

use crate::documents::{self, root};

/// What the command prints; or why it refuses.
pub fn text(arguments: &[&str]) -> Result<String, String> {
    let line = [&["sluice", "rights"], arguments].concat();
    match Cli::try_parse_from(line).map_err(|why| why.to_string())?.command {
        Command::Rights(settings) => Ok(sluice::rights::document(&settings)),
        _ => panic!("must be rights"),
    }
}

/// Its objects.
pub fn objects(arguments: &[&str]) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(arguments).unwrap()).unwrap()
}

fn named<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|it| it["kind"] == kind).collect()
}

#[test]
fn without_namespaces_it_is_the_document() {
    let document = std::fs::read_to_string(root().join("docs/rights.yaml")).unwrap();
    let printed = text(&[]).unwrap();
    assert!(
        document.ends_with(&format!("---\n{printed}")),
        "docs/rights.yaml must end with what `sluice rights` prints:\n{printed}"
    );
}

#[test]
fn the_policies_are_those_of_the_document_but_for_the_account() {
    let document = std::fs::read_to_string(root().join("docs/admission-policy.yaml")).unwrap();
    let printed = text(&["--admission-policy"]).unwrap();
    assert!(document.ends_with(&format!("---\n{printed}")), "{printed}");
    let other = text(&["--admission-policy", "--service-account", "ops/releases"]).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&other).unwrap();
    for (policy, binding) in [(0, 1), (2, 3)] {
        let names = [&objects[policy]["metadata"]["name"], &objects[binding]["spec"]["policyName"]];
        assert_eq!(names[0], names[1]);
        assert!(names[0].as_str().unwrap().starts_with("releases-"), "{names:?}");
        let bound = &objects[policy]["spec"]["matchConditions"][0]["expression"];
        assert_eq!(bound, "request.userInfo.username == 'system:serviceaccount:ops:releases'");
    }
    assert!(text(&["--admission-policy", "--namespaces", "shop"]).is_err());
}

#[test]
fn with_namespaces_only_what_is_in_none_is_for_the_whole_cluster() {
    let objects = objects(&["--namespaces", "shop,123", "--service-account", "ops/releases"]);
    let [whole] = named(&objects, "ClusterRole")[..] else { panic!("{objects:#?}") };
    assert_eq!(whole["metadata"]["name"], "releases-observe");
    assert_eq!(whole["rules"][0]["resourceNames"], json!(["kube-system"]));
    let resources: Vec<_> =
        whole["rules"].as_array().unwrap().iter().map(|it| &it["resources"][0]).collect();
    assert_eq!(resources, ["namespaces", "nodes", "ingresses"]);
    let places: Vec<_> =
        named(&objects, "Role").iter().map(|it| it["metadata"]["namespace"].clone()).collect();
    assert_eq!(places, ["123", "123", "123", "123", "shop", "shop", "shop", "shop"]);
    let bindings = [named(&objects, "RoleBinding"), named(&objects, "ClusterRoleBinding")].concat();
    assert_eq!(bindings.len(), 9);
    let account = json!({ "kind": "ServiceAccount", "name": "releases", "namespace": "ops" });
    assert!(bindings.iter().all(|it| it["subjects"] == json!([account])));
}

#[test]
fn only_what_is_asked_for_is_granted() {
    let least = objects(&["--namespaces", "shop", "--features", "release"]);
    let rules: Vec<&Value> =
        least.iter().flat_map(|it| it["rules"].as_array().into_iter().flatten()).collect();
    assert_eq!(rules.len(), 5, "{rules:#?}");
    let has = |resource: &str, verb: &str| {
        rules.iter().any(|rule| {
            documents::texts(rule, "resources").iter().any(|it| it == resource)
                && documents::texts(rule, "verbs").iter().any(|it| it == verb)
        })
    };
    assert!(has("deployments", "patch") && !has("deployments", "delete"));
    assert!(!has("nodes", "list") && !has("secrets", "get") && !has("pods/log", "get"));
    let more = text(&["--features", "logs,delete"]).unwrap();
    assert!(more.contains("pods/log") && more.contains("verbs: [delete]"));
    assert!(!more.contains("secrets") && !more.contains("nodes"));
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let many = (0..101).map(|it| format!("n{it}")).collect::<Vec<_>>().join(",");
    for (arguments, says) in [
        (["--namespaces", "Shop"], "\"Shop\" is no namespace"),
        (["--namespaces", "a,*"], "\"*\" is no namespace"),
        (["--namespaces", &many], "at most 100 can be"),
        (["--features", "everything"], "everything"),
        (["--service-account", "sluice"], "must be the namespace and the name"),
        (["--service-account", "a/b\nc: d"], "must be the namespace and the name"),
    ] {
        let why = text(&arguments).unwrap_err();
        assert!(why.contains(says), "{why}");
    }
}
