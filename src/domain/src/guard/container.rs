//! The containers of a pod template, with the paths by which findings name them.

use serde_json::Value;

/// The lists of containers of a pod.
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// A container, and where it stands.
pub(super) struct Container<'a> {
    list: &'static str,
    name: &'a str,
    pub(super) value: &'a Value,
}

impl Container<'_> {
    /// The path of one of its fields.
    pub(super) fn path(&self, field: &str) -> String {
        format!("spec.{}[{}].{field}", self.list, self.name)
    }

    /// A field of its security context.
    pub(super) fn security(&self, field: &str) -> &Value {
        &self.value["securityContext"][field]
    }
}

/// All containers of a template.
pub(super) fn containers(template: &Value) -> impl Iterator<Item = Container<'_>> {
    LISTS.into_iter().flat_map(move |list| {
        items(&template["spec"][list]).map(move |value| Container {
            list,
            name: value["name"].as_str().unwrap_or_default(),
            value,
        })
    })
}

/// The items of a list; none where it is no list.
pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The text at a place; empty where there is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
