//! Kubernetes label selectors: `matchLabels` and `matchExpressions`.
//!
//! Pure. An empty selector selects everything, an absent one nothing, as in a
//! PodDisruptionBudget or an affinity term.

use serde_json::{Map, Value};

/// Whether `selector` selects what has `labels`.
#[must_use]
pub fn selects(selector: &Value, labels: &Map<String, Value>) -> bool {
    let Some(selector) = selector.as_object() else { return false };
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let equal = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut expressions =
        selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    equal.into_iter().all(|(key, value)| label(key).is_some_and(|label| value == label))
        && expressions.all(|expression| {
            let found = label(expression["key"].as_str().unwrap_or_default());
            let listed = || {
                expression["values"].as_array().is_some_and(|values| {
                    values.iter().any(|value| found.is_some_and(|it| value == it))
                })
            };
            match expression["operator"].as_str() {
                Some("In") => listed(),
                Some("NotIn") => !listed(),
                Some("Exists") => found.is_some(),
                Some("DoesNotExist") => found.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!({}), true)]
    #[case(Value::Null, false)]
    #[case(json!({ "matchLabels": { "app": "web" } }), true)]
    #[case(json!({ "matchLabels": { "app": "web", "tier": "front" } }), false)]
    #[case(json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["api", "web"] }] }), true)]
    #[case(json!({ "matchExpressions": [{ "key": "app", "operator": "NotIn", "values": ["web"] }] }), false)]
    #[case(json!({ "matchExpressions": [{ "key": "tier", "operator": "NotIn", "values": ["web"] }] }), true)]
    #[case(json!({ "matchExpressions": [{ "key": "tier", "operator": "Exists" }] }), false)]
    #[case(json!({ "matchExpressions": [{ "key": "tier", "operator": "DoesNotExist" }] }), true)]
    fn a_selector_selects_as_in_kubernetes(#[case] selector: Value, #[case] expected: bool) {
        let labels = json!({ "app": "web" });
        assert_eq!(selects(&selector, labels.as_object().unwrap()), expected);
    }
}
