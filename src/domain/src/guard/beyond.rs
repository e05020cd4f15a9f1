//! What pods must not have beside what Pod Security is about: the rights and places of
//! others.

use serde_json::Value;

use super::{
    Breach, Excess, Guardrails,
    container::{containers, items, text},
    obeyed::OBEYED_ANNOTATIONS,
};
use crate::pattern::Pattern;

/// The account that pods have where none is named.
const DEFAULT_ACCOUNT: &str = "default";

/// The taints of nodes on which the control plane runs.
const CONTROL_PLANE: [&str; 2] =
    ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

/// How the names of Kubernetes' own priority classes begin.
const SYSTEM_PRIORITY: &str = "system-";

/// The highest priority that a class of a user may have.
const HIGHEST_PRIORITY: i64 = 1_000_000_000;

pub(super) fn find(
    guardrails: &Guardrails,
    namespace: &str,
    template: &Value,
    found: &mut Vec<Excess>,
) {
    let spec = &template["spec"];
    let mut add = |path: String, value: &str, allowed, breach| {
        found.push(Excess { path, value: Some(value.to_owned()), allowed, breach });
    };
    let account = match text(&spec["serviceAccountName"]) {
        "" => text(&spec["serviceAccount"]),
        name => name,
    };
    let account = if account.is_empty() { DEFAULT_ACCOUNT } else { account };
    let resource = format!("namespace/{namespace}/serviceaccount/{account}");
    if !guardrails.service_accounts.allow(&resource) {
        if account != DEFAULT_ACCOUNT {
            let allowed = "the account must be the present one or default";
            add("spec.serviceAccountName".into(), account, allowed, Breach::ServiceAccount);
        }
        if spec["automountServiceAccountToken"] == true {
            let allowed = "tokens of the account must not be turned on";
            let path = "spec.automountServiceAccountToken".into();
            add(path, "true", allowed, Breach::ServiceAccount);
        }
        for volume in items(&spec["volumes"]) {
            for source in items(&volume["projected"]["sources"]) {
                let token = &source["serviceAccountToken"];
                if !token.is_null() {
                    let name = text(&volume["name"]);
                    let path = format!("spec.volumes[{name}].projected.serviceAccountToken");
                    let audience = match text(&token["audience"]) {
                        "" => "for the API server",
                        audience => audience,
                    };
                    let allowed = "tokens of the account must not be turned on";
                    add(path, audience, allowed, Breach::ServiceAccount);
                }
            }
        }
    }
    let node = text(&spec["nodeName"]);
    if !node.is_empty() && !guardrails.node {
        let allowed = "the scheduler must choose the node";
        add("spec.nodeName".into(), node, allowed, Breach::Node);
    }
    if !guardrails.system_priority {
        let class = text(&spec["priorityClassName"]);
        let allowed = "the priority must not be one of the system";
        if class.starts_with(SYSTEM_PRIORITY) {
            add("spec.priorityClassName".into(), class, allowed, Breach::SystemPriority);
        }
        if let Some(priority) = spec["priority"].as_i64().filter(|it| *it > HIGHEST_PRIORITY) {
            let value = priority.to_string();
            add("spec.priority".into(), &value, allowed, Breach::SystemPriority);
        }
    }
    if !guardrails.control_plane {
        for toleration in items(&spec["tolerations"]) {
            let (key, operator) = (text(&toleration["key"]), text(&toleration["operator"]));
            let everything = key.is_empty() && operator == "Exists";
            if everything || CONTROL_PLANE.contains(&key) {
                let value = if everything { "every taint" } else { key };
                let allowed = "taints of the control plane must not be tolerated";
                add("spec.tolerations".into(), value, allowed, Breach::ControlPlane);
            }
        }
    }
    let obeyed = OBEYED_ANNOTATIONS.map(Pattern::new);
    for (key, value) in template["metadata"]["annotations"].as_object().into_iter().flatten() {
        if obeyed.iter().any(|it| it.fits(key))
            && !guardrails.annotations.allow(&format!("annotation/{key}"))
        {
            let path = format!("metadata.annotations[{key}]");
            let allowed = "other controllers obey the annotation, so it must not be given";
            add(path, text(value), allowed, Breach::Annotation);
        }
    }
    if let Some(images) = &guardrails.images {
        for container in containers(template) {
            let image = text(&container.value["image"]);
            if !image.is_empty() && !images.allow(&format!("image/{image}")) {
                let allowed = "the image must be one of the allow-list of images";
                add(container.path("image"), image, allowed, Breach::Image);
            }
        }
        for volume in items(&spec["volumes"]) {
            let image = text(&volume["image"]["reference"]);
            if !image.is_empty() && !images.allow(&format!("image/{image}")) {
                let path = format!("spec.volumes[{}].image.reference", text(&volume["name"]));
                let allowed = "the image must be one of the allow-list of images";
                add(path, image, allowed, Breach::Image);
            }
        }
    }
}
