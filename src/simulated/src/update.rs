//! What becomes of an object that a client writes over another.
//!
//! It must be the same one, by name, namespace and version, and what only the
//! system may say is taken from the object before. Pure.

use serde_json::Value;

use super::field::{self, section, text};
use super::kind::Kind;
use super::objects::Key;
use super::refusal::Refusal;

/// Refuses an object that says it is another one, or an older version of it.
pub(super) fn check_identity(key: &Key, before: &Value, object: &Value) -> Result<(), Refusal> {
    if let Some(name) = text(object, "/metadata/name")
        && name != key.name
    {
        return Err(Refusal::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            key.name
        )));
    }
    if let Some(namespace) = text(object, "/metadata/namespace")
        && namespace != key.namespace
    {
        return Err(other_namespace());
    }
    if let Some(version) = text(object, "/metadata/resourceVersion")
        && !version.is_empty()
        && Some(version) != text(before, "/metadata/resourceVersion")
    {
        return Err(Refusal::conflict(
            key.kind,
            &key.name,
            "the object has been modified; please apply your changes to the latest version \
             and try again",
        ));
    }
    Ok(())
}

/// 400: the object says another namespace than the path.
pub(super) fn other_namespace() -> Refusal {
    Refusal::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    )
}

/// 400: the object does not have the shape of its kind.
pub(super) fn cannot_be_handled(kind: Kind, why: &str) -> Refusal {
    Refusal::bad_request(format!(
        "{0} in version {1:?} cannot be handled as a {0}: {why}",
        kind.name(),
        kind.api_version().rsplit('/').next().unwrap_or_default(),
    ))
}

/// What a client cannot change is taken from the object as it is. A uid is kept
/// only when none is given, as another one must be refused.
pub(super) fn keep_system_metadata(before: &Value, object: &mut Value) {
    let metadata = section(object, "metadata");
    for key in [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generateName",
        "generation",
        "name",
        "namespace",
        "selfLink",
    ] {
        match before["metadata"].get(key) {
            Some(value) => metadata[key] = value.clone(),
            None => {
                field::remove(metadata, "", key);
            }
        }
    }
    if metadata["uid"].as_str().is_none_or(str::is_empty) {
        metadata["uid"] = before["metadata"]["uid"].clone();
    }
}

/// The object before with the new status; a Deployment's annotations go along,
/// since its controller writes the revision that way.
pub(super) fn only_status(before: &Value, mut object: Value) -> Value {
    let mut kept = before.clone();
    kept["metadata"]["uid"] = object["metadata"]["uid"].take();
    kept["status"] = object["status"].take();
    if kept["kind"] == Kind::Deployment.name() {
        match object["metadata"]["annotations"].take() {
            Value::Null => {
                field::remove(&mut kept, "/metadata", "annotations");
            }
            annotations => kept["metadata"]["annotations"] = annotations,
        }
    }
    kept
}
