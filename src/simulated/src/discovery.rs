//! The pages that say what this API server is and has.
//!
//! Version, health and discovery: enough for clients that look before they ask.

use axum::Json;
use axum::body::Body;
use axum::response::IntoResponse;
use http::Response;
use serde_json::{Value, json};

use super::kind::Kind;

/// The page of a path that `request::route` found to be fixed.
pub(super) fn page(path: &str) -> Response<Body> {
    match path {
        "version" => Json(json!({
            "major": "1",
            "minor": "37",
            "gitVersion": "v1.37.2-simulated",
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "",
            "platform": "simulated",
        }))
        .into_response(),
        "api" => Json(json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }))
        .into_response(),
        "apis" => Json(json!({
            "kind": "APIGroupList", "apiVersion": "v1", "groups": Kind::GROUPS.map(|(name, version)| group(name, version)),
        }))
        .into_response(),
        "api/v1" => Json(resources("v1", "")).into_response(),
        "openapi/v3" => Json(json!({"paths": described()})).into_response(),
        "openapi/v3/api/v1" => Json(description("")).into_response(),
        other => match other.strip_prefix("apis/") {
            Some(of) => of_group(of),
            None => match other.strip_prefix("openapi/v3/apis/").and_then(|of| of.split_once('/')) {
                Some((group, _)) => Json(description(group)).into_response(),
                None => "ok".into_response(),
            },
        },
    }
}

/// The page of a group (`apps`), or of its version (`apps/v1`).
fn of_group(path: &str) -> Response<Body> {
    let (name, version) = path.split_once('/').unwrap_or((path, ""));
    if !version.is_empty() {
        return Json(resources(path, name)).into_response();
    }
    let served = Kind::GROUPS
        .into_iter()
        .find(|(group, _)| *group == name)
        .map_or("", |(_, version)| version);
    let mut page = group(name, served);
    page["kind"] = "APIGroup".into();
    page["apiVersion"] = "v1".into();
    Json(page).into_response()
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn resources(version: &str, group: &str) -> Value {
    let entry = |kind: Kind, part: &str, what: &str, verbs: &[&str]| {
        json!({
            "name": format!("{}{part}", kind.plural()),
            "singularName": kind.name().to_lowercase(),
            "namespaced": kind.is_namespaced(),
            "kind": what,
            "verbs": verbs,
        })
    };
    let whole = |kind: Kind, verbs: &[&str]| {
        let mut whole = entry(kind, "", kind.name(), verbs);
        let short = short_names(kind);
        if !short.is_empty() {
            whole["shortNames"] = json!(short);
        }
        if matches!(
            kind,
            Kind::Pod
                | Kind::Service
                | Kind::Deployment
                | Kind::ReplicaSet
                | Kind::HorizontalPodAutoscaler
        ) {
            whole["categories"] = json!(["all"]);
        }
        whole
    };
    let mut list = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| kind.group() == group) {
        let verbs =
            ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        list.push(whole(kind, &verbs));
        let part_verbs = ["get", "patch", "update"];
        if kind.has_scale() {
            let mut scale = entry(kind, "/scale", "Scale", &part_verbs);
            scale["group"] = "autoscaling".into();
            scale["version"] = "v1".into();
            list.push(scale);
        }
        if kind.has_status() {
            list.push(entry(kind, "/status", kind.name(), &part_verbs));
        }
    }
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": list,
    })
}

/// What people call a kind in `kubectl get`.
fn short_names(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Namespace => &["ns"],
        Kind::Node => &["no"],
        Kind::ConfigMap => &["cm"],
        Kind::Event => &["ev"],
        Kind::Pod => &["po"],
        Kind::Service => &["svc"],
        Kind::Secret => &[],
        Kind::Deployment => &["deploy"],
        Kind::ReplicaSet => &["rs"],
        Kind::Ingress => &["ing"],
        Kind::HorizontalPodAutoscaler => &["hpa"],
    }
}

/// Where each version of the API is described.
fn described() -> Value {
    let groups = Kind::GROUPS.iter().map(|(group, version)| format!("apis/{group}/{version}"));
    let paths = groups.chain(["api/v1".to_owned()]);
    paths
        .map(|path| (path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}")})))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// As much of a group's OpenAPI document as `kubectl` needs to leave the validation to
/// the server: which kinds can be patched.
fn description(group: &str) -> Value {
    let mut paths = serde_json::Map::new();
    for kind in Kind::ALL.into_iter().filter(|kind| kind.group() == group) {
        let (version, base) = match kind.api_version() {
            "v1" => ("v1", "/api/v1".to_owned()),
            other => (other.rsplit('/').next().unwrap_or_default(), format!("/apis/{other}")),
        };
        let within = if kind.is_namespaced() { "/namespaces/{namespace}" } else { "" };
        let parameter = json!({"name": "fieldValidation", "in": "query", "schema": {"type": "string", "uniqueItems": true}});
        let patch = json!({
            "parameters": [parameter],
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind.name()},
        });
        paths.insert(format!("{base}{within}/{}/{{name}}", kind.plural()), json!({"patch": patch}));
    }
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes, simulated", "version": "v1.37.2"}, "paths": paths})
}
