//! Whether an object belongs to Helm.

use serde_json::Value;

use crate::template::names::OWNER_LABEL;

/// Annotation in which Helm keeps the release's name.
const RELEASE: &str = "meta.helm.sh/release-name";

/// The release of Helm that an object belongs to, if it says so.
#[must_use]
pub fn helm_release(object: &Value) -> Option<String> {
    let metadata = &object["metadata"];
    let release = metadata["annotations"][RELEASE].as_str();
    if release.is_none() && metadata["labels"][OWNER_LABEL] != "Helm" {
        return None;
    }
    Some(release.unwrap_or("unknown").to_owned())
}
