//! ConfigMaps and Secrets: their content, as objects to create and as parts of them to
//! replace ([`super::write`]).
//!
//! Pure. The content of a Secret comes in base64, as Kubernetes keeps it, and is not
//! decoded.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::object::write::ObjectKind;

/// The kinds of Secret that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    Opaque,
    /// A certificate and its key.
    Tls,
}

impl SecretKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Opaque, Self::Tls];

    /// Kubernetes' word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Opaque => "Opaque",
            Self::Tls => "kubernetes.io/tls",
        }
    }

    /// Keys that it must have.
    #[must_use]
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Opaque => &[],
            Self::Tls => &["tls.crt", "tls.key"],
        }
    }
}

/// What is to be held, by key.
#[derive(Clone, PartialEq, Eq)]
pub enum Held {
    /// A ConfigMap with these texts.
    Texts(BTreeMap<String, String>),
    /// A Secret of that kind (on a change, none = as it is) with these values in base64.
    Secret(Option<SecretKind>, BTreeMap<String, String>),
}

impl Held {
    /// The kind of object that holds it.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Texts(_) => ObjectKind::ConfigMap,
            Self::Secret(..) => ObjectKind::Secret,
        }
    }

    /// The object.
    #[must_use]
    pub fn object(&self) -> Value {
        match self {
            Self::Texts(texts) => json!({ "data": texts }),
            Self::Secret(kind, values) => {
                json!({ "type": kind.unwrap_or(SecretKind::Opaque).word(), "data": values })
            }
        }
    }

    /// The parts of the object to replace: all of the data, and the kind, where it is said.
    #[must_use]
    pub fn parts(&self) -> BTreeMap<String, Value> {
        match self {
            Self::Texts(texts) => BTreeMap::from([("/data".into(), json!(texts))]),
            Self::Secret(kind, values) => {
                let kind = kind.map(|kind| ("/type".to_owned(), json!(kind.word())));
                kind.into_iter().chain([("/data".to_owned(), json!(values))]).collect()
            }
        }
    }

    /// A key that its kind must have, and that is missing.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        match self {
            Self::Texts(_) | Self::Secret(None, _) => None,
            Self::Secret(Some(kind), values) => {
                kind.keys().iter().copied().find(|key| !values.contains_key(*key))
            }
        }
    }
}

/// Whether Kubernetes takes a key.
#[must_use]
pub fn is_key(key: &str) -> bool {
    (1..=253).contains(&key.len())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && key != "."
        && !key.starts_with("..")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn what_is_held_becomes_an_object_or_parts_of_one() {
        let texts = Held::Texts(BTreeMap::from([("a".into(), "b".into())]));
        assert_eq!(
            (texts.kind(), texts.object()),
            (ObjectKind::ConfigMap, json!({ "data": { "a": "b" } }))
        );
        assert_eq!(texts.parts(), BTreeMap::from([("/data".into(), json!({ "a": "b" }))]));

        let values = BTreeMap::from([("tls.crt".to_owned(), "eA==".to_owned())]);
        let kept = Held::Secret(None, values.clone());
        assert_eq!(
            (kept.kind(), kept.object()["type"].as_str()),
            (ObjectKind::Secret, Some("Opaque"))
        );
        assert_eq!(
            (Vec::from_iter(kept.parts().into_keys()), kept.missing()),
            (vec!["/data".to_owned()], None)
        );
        let tls = Held::Secret(Some(SecretKind::Tls), values);
        assert_eq!(
            (tls.parts()["/type"].as_str(), tls.missing()),
            (Some("kubernetes.io/tls"), Some("tls.key"))
        );
    }

    #[rstest]
    #[case("a", true)]
    #[case("app_1.yaml-x", true)]
    #[case(".hidden", true)]
    #[case("", false)]
    #[case(".", false)]
    #[case("..a", false)]
    #[case("a/b", false)]
    #[case("ä", false)]
    fn keys_are_those_of_kubernetes(#[case] key: &str, #[case] expected: bool) {
        assert_eq!(is_key(key), expected);
        assert!(!is_key(&"a".repeat(254)));
    }
}
