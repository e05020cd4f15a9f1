//! Folders and security settings of the application's container, in the forms in which
//! the parameters take them, so that what is read can be sent back.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::json_at;
use domain::template::names::PACKAGE_CONTAINER;

/// Folders of the node (`hostPath`), as in LocalVolume: JSON text of a list.
pub(in crate::operation::application::k8s_application) fn node_folders(
    template: &Value,
    container: &Map<String, Value>,
) -> Vec<Value> {
    let folder = |volume: &Value, mount: &Value| {
        let folder = volume.get("hostPath")?;
        let kind = folder["type"].as_str().unwrap_or_default();
        Some(json!({ "type": kind, "nodePath": folder["path"], "mountPath": mount["mountPath"] }))
    };
    mounted(template, container, folder)
}

/// Folders that live as long as the pod (`emptyDir`), as in EmptyDirs. That of a package is
/// not among them: nobody gave it.
pub(in crate::operation::application::k8s_application) fn empty_folders(
    template: &Value,
    container: &Map<String, Value>,
) -> Vec<Value> {
    let folder = |volume: &Value, mount: &Value| {
        volume.get("emptyDir").filter(|_| volume["name"] != PACKAGE_CONTAINER)?;
        let mut shown = json!({ "mountPath": mount["mountPath"], "readOnly": mount["readOnly"].as_bool().unwrap_or(false) });
        if let Some(path) = mount["subPathExpr"].as_str() {
            shown["subPathExpr"] = path.into();
        }
        Some(shown)
    };
    mounted(template, container, folder)
}

/// The container's security settings, else the pod's: YAML in base64, as in
/// SecurityContext; empty if there are none.
pub(in crate::operation::application::k8s_application) fn security(
    template: &Value,
    container: &Map<String, Value>,
) -> String {
    let given = [container.get("securityContext"), template.pointer("/spec/securityContext")];
    let given = given
        .into_iter()
        .flatten()
        .find(|settings| settings.as_object().is_some_and(|fields| !fields.is_empty()));
    // Every JSON is YAML.
    given.map(|settings| STANDARD.encode(json_at(Some(settings)))).unwrap_or_default()
}

/// What `shown` makes of each volume that is mounted, in the order of the mounts.
fn mounted(
    template: &Value,
    container: &Map<String, Value>,
    shown: impl Fn(&Value, &Value) -> Option<Value>,
) -> Vec<Value> {
    let volumes: Vec<&Value> =
        template.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten().collect();
    let mounts = container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten();
    let volume =
        |mount: &Value| volumes.iter().find(|volume| volume["name"] == mount["name"]).copied();
    mounts.filter_map(|mount| shown(volume(mount)?, mount)).collect()
}
