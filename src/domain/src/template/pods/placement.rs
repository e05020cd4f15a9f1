//! Where pods may run: kept apart by node or by zone, or as Kubernetes takes it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::set_or_remove;
use crate::template::spec::set;
use crate::template::{
    names::{APPLICATION_LABEL, NAME_LABEL},
    spec::{Field, object_in},
};

/// Where pods may run. All kept = unchanged.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Placement {
    /// Whether pods are kept apart by node, where that is possible.
    pub apart_by_node: Option<bool>,
    /// Whether they are kept apart by zone, where that is possible.
    pub apart_by_zone: Option<bool>,
    /// An affinity in Kubernetes' form; counts only where neither of the two is wished.
    pub affinity: Field<Value>,
    /// Tolerations in Kubernetes' form; likewise.
    pub tolerations: Field<Vec<Value>>,
}

const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

impl Placement {
    /// Whether the affinity that is asked for replaces what is there.
    #[must_use]
    pub fn replaces_affinity(&self) -> bool {
        self.affinity != Field::Keep && !self.is_apart()
    }

    /// Whether the tolerations that are asked for replace what is there.
    #[must_use]
    pub fn replaces_tolerations(&self) -> bool {
        self.tolerations != Field::Keep && !self.is_apart()
    }

    fn is_apart(&self) -> bool {
        self.apart_by_node == Some(true) || self.apart_by_zone == Some(true)
    }

    /// `labels` are those of the pods before the change and after it.
    pub(super) fn apply(&self, spec: &mut Map<String, Value>, labels: [&Value; 2], name: &str) {
        let apart = [
            (self.apart_by_node, "kubernetes.io/hostname"),
            (self.apart_by_zone, "topology.kubernetes.io/zone"),
        ];
        if apart.iter().any(|(wished, _)| wished.is_some()) {
            let [_, now] = labels;
            let is_ours = |term: &Value| {
                apart.iter().any(|(_, key)| {
                    labels.iter().any(|labels| *term == apart_by(key, labels, name))
                })
            };
            let wished = apart
                .iter()
                .filter(|(wished, _)| *wished == Some(true))
                .map(|(_, key)| apart_by(key, now, name));
            keep_apart(spec, wished.collect(), is_ours);
        }
        if !self.is_apart() {
            set(spec, "affinity", &self.affinity);
            set(spec, "tolerations", &self.tolerations);
        }
    }
}

/// Puts terms into the preferences of an affinity in place of those of ours. Whatever else
/// is in it stays.
fn keep_apart(spec: &mut Map<String, Value>, wished: Vec<Value>, is_ours: impl Fn(&Value) -> bool) {
    let terms = |spec: &Map<String, Value>| {
        let terms = spec
            .get("affinity")
            .and_then(|affinity| affinity.get("podAntiAffinity")?.get(PREFERRED)?.as_array());
        terms.cloned().unwrap_or_default()
    };
    let before = terms(spec);
    let mut after: Vec<Value> = before.iter().filter(|term| !is_ours(term)).cloned().collect();
    after.extend(wished);
    if after == before {
        return;
    }
    let affinity = object_in(spec, "affinity");
    let anti = object_in(affinity, "podAntiAffinity");
    set_or_remove(anti, PREFERRED, after);
    if anti.is_empty() {
        affinity.remove("podAntiAffinity");
    }
    if affinity.is_empty() {
        spec.remove("affinity");
    }
}

/// Pods of the application are better not where there is one.
fn apart_by(key: &str, labels: &Value, name: &str) -> Value {
    let label =
        [APPLICATION_LABEL, NAME_LABEL].into_iter().find(|label| labels[*label].is_string());
    let selector = match label {
        Some(label) => json!({ "matchLabels": { label: labels[label] } }),
        None => {
            json!({ "matchLabels": labels.as_object().cloned().unwrap_or_else(|| Map::from_iter([("app".to_owned(), json!(name))])) })
        }
    };
    json!({ "weight": 100, "podAffinityTerm": { "topologyKey": key, "labelSelector": selector } })
}
