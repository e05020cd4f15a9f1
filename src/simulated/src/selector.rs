//! Label and field selectors, from query texts and from objects.
//!
//! Labels take the whole grammar of the API (`a=b`, `a!=b`, `a in (b,c)`,
//! `a notin (b)`, `a`, `!a`); fields take `metadata.name`, `metadata.namespace`,
//! and for events their object. Matching is kube's own.

use kube::core::{Expression, Selector, SelectorExt};
use serde_json::Value;

use super::field;
use super::kind::Kind;
use super::refusal::Refusal;

/// Reads the `labelSelector` of a request.
pub(super) fn labels(text: &str) -> Result<Selector, Refusal> {
    let mut selector = Selector::default();
    for term in terms(text) {
        selector.extend(term_of(&term).ok_or_else(|| {
            Refusal::bad_request(format!("unable to parse requirement: {term:?}"))
        })?);
    }
    Ok(selector)
}

/// Reads `spec.selector` of a Deployment or ReplicaSet; none when it selects
/// everything or cannot be read, which owns nothing.
pub(super) fn of_object(object: &Value) -> Option<Selector> {
    let selector = object.pointer("/spec/selector")?.clone();
    let typed: k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector =
        serde_json::from_value(selector).ok()?;
    let selector = Selector::try_from(typed).ok()?;
    (!selector.selects_all()).then_some(selector)
}

/// Whether the labels at a JSON pointer match.
pub(super) fn matches(selector: &Selector, object: &Value, pointer: &str) -> bool {
    selector.matches(&field::strings(object, pointer))
}

/// Splits at commas that are not inside brackets.
fn terms(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = terms.last_mut() {
            last.push(c);
        }
    }
    terms.retain(|term| !term.trim().is_empty());
    terms
}

fn term_of(term: &str) -> Option<Expression> {
    let term = term.trim();
    let set = |key: &str, values: &str| {
        let values = values.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some((word(key)?, values.split(',').map(|value| value.trim().to_owned()).collect()))
    };
    if let Some(key) = term.strip_prefix('!') {
        return Some(Expression::DoesNotExist(word(key)?));
    }
    if let Some((key, value)) = term.split_once("!=") {
        return Some(Expression::NotEqual(word(key)?, value_word(value)?));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Some(Expression::Equal(word(key)?, value_word(value)?));
    }
    if let Some((key, values)) = term.split_once(" notin ") {
        return set(key, values).map(|(key, values)| Expression::NotIn(key, values));
    }
    if let Some((key, values)) = term.split_once(" in ") {
        return set(key, values).map(|(key, values)| Expression::In(key, values));
    }
    Some(Expression::Exists(word(term)?))
}

fn word(text: &str) -> Option<String> {
    let text = text.trim();
    let ok =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    ok.then(|| text.to_owned())
}

fn value_word(text: &str) -> Option<String> {
    if text.trim().is_empty() { Some(String::new()) } else { word(text) }
}

/// A field selector: every pair must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String, bool)>);

impl Fields {
    /// Reads the `fieldSelector` of a request.
    pub(super) fn parse(kind: Kind, text: &str) -> Result<Self, Refusal> {
        let mut pairs = Vec::new();
        for term in text.split(',').filter(|term| !term.trim().is_empty()) {
            let (name, value, equal) = match term.split_once("!=") {
                Some((name, value)) => (name, value, false),
                None => {
                    let (name, value) = term
                        .split_once("==")
                        .or_else(|| term.split_once('='))
                        .ok_or_else(|| {
                            Refusal::bad_request(format!(
                                "invalid selector: {term:?}; can't understand {term:?}"
                            ))
                        })?;
                    (name, value, true)
                }
            };
            let known = match kind {
                Kind::Pod => &["spec.nodeName", "status.phase"][..],
                Kind::Event => &[
                    "involvedObject.kind",
                    "involvedObject.name",
                    "involvedObject.namespace",
                    "involvedObject.uid",
                    "reason",
                    "type",
                ][..],
                _ => &[][..],
            };
            if !["metadata.name", "metadata.namespace"].contains(&name) && !known.contains(&name) {
                return Err(Refusal::bad_request(format!(
                    "{name:?} is not a known field selector: only \"metadata.name\", \
                     \"metadata.namespace\""
                )));
            }
            pairs.push((format!("/{}", name.replace('.', "/")), value.to_owned(), equal));
        }
        Ok(Self(pairs))
    }

    /// Whether the object has these values.
    pub(super) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(pointer, value, equal)| {
            (field::text(object, pointer).unwrap_or_default() == value) == *equal
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("app=web", true)]
    #[case("app==web,tier!=back", true)]
    #[case("app=other", false)]
    #[case("app in (web, api)", true)]
    #[case("app notin (web)", false)]
    #[case("app,!gone", true)]
    #[case("gone", false)]
    #[case("", true)]
    fn a_label_selector_reads_as_in_kubernetes(#[case] text: &str, #[case] expected: bool) {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        let selector = labels(text).unwrap();
        assert_eq!(matches(&selector, &object, "/metadata/labels"), expected);
    }

    #[rstest]
    #[case("a===")]
    #[case("a b")]
    #[case("app in web")]
    fn a_broken_label_selector_is_refused(#[case] text: &str) {
        assert_eq!(labels(text).unwrap_err().code, 400);
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let refusal = Fields::parse(Kind::Deployment, "spec.x=1").unwrap_err();
        assert!(refusal.message.contains("spec.x"), "{}", refusal.message);
    }
}
