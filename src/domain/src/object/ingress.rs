//! Ingress rules: which host and path leads to which Service.
//!
//! Pure: from rules to the object to create, or to the parts of it to replace
//! ([`super::write`]), and back from an object to rules, with a remark on each Service
//! that they lead to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::object::{
    service::PortTarget,
    write::{escaped, is_ours},
};
use crate::{
    name::is_subdomain,
    template::names::{APPLICATION_LABEL, NAME_LABEL},
};

/// Longest host of a rule, in bytes.
const LONGEST_HOST: usize = 253;

/// How a path is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathMatch {
    /// As the Ingress controller does by itself.
    Controller,
    /// The same path.
    Exact,
    /// What begins with it.
    Prefix,
}

impl PathMatch {
    /// Kubernetes' word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Controller => "ImplementationSpecific",
            Self::Exact => "Exact",
            Self::Prefix => "Prefix",
        }
    }
}

/// A path, and where it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub path: String,
    /// How it is compared.
    pub matched: PathMatch,
    pub service: String,
    /// The Service's port, by number or name.
    pub port: PortTarget,
}

/// What leads from a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressRule {
    /// The host; none = any.
    pub host: Option<String>,
    /// The Secret with the certificate of the host; none = without TLS.
    pub secret: Option<String>,
    pub paths: Vec<Path>,
}

/// What somebody wants to have on an object: labels or annotations, where none removes one.
pub type Texts = BTreeMap<String, Option<String>>;

/// An Ingress.
#[must_use]
pub fn ingress(rules: &[IngressRule], labels: &Texts, annotations: &Texts) -> Value {
    let mut object = json!({ "metadata": { "labels": given(labels), "annotations": given(annotations) }, "spec": { "rules": written(rules) } });
    let tls = tls(rules);
    if !tls.is_null() {
        object["spec"]["tls"] = tls;
    }
    object
}

/// Parts of an Ingress.
#[must_use]
pub fn ingress_parts(
    rules: Option<&[IngressRule]>,
    labels: &Texts,
    annotations: &Texts,
) -> BTreeMap<String, Value> {
    let mut parts = BTreeMap::new();
    if let Some(rules) = rules {
        parts.insert("/spec/rules".into(), written(rules));
        parts.insert("/spec/tls".into(), tls(rules));
    }
    for (place, texts) in [("labels", labels), ("annotations", annotations)] {
        for (name, text) in texts {
            parts.insert(
                format!("/metadata/{place}/{}", escaped(name)),
                text.as_deref().map_or(Value::Null, Value::from),
            );
        }
    }
    parts
}

/// The hosts of rules, each once, in order; `*` is any host.
#[must_use]
pub fn hosts(rules: &[IngressRule]) -> Vec<String> {
    let hosts = rules.iter().map(|rule| match rule.host.as_deref() {
        None | Some("") => "*".to_owned(),
        Some(host) => host.to_ascii_lowercase(),
    });
    hosts.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The first of these hosts that one of the Ingresses has, or has as one of `*.domain`.
#[must_use]
pub fn shares_host<'a>(
    wanted: &[String],
    ingresses: impl IntoIterator<Item = &'a Value>,
) -> Option<String> {
    let mut taken = BTreeSet::new();
    for ingress in ingresses {
        for rule in ingress["spec"]["rules"].as_array().into_iter().flatten() {
            let host = rule["host"].as_str().unwrap_or_default();
            taken.insert(if host.is_empty() { "*".to_owned() } else { host.to_ascii_lowercase() });
        }
        if !ingress["spec"]["defaultBackend"].is_null() {
            taken.insert("*".to_owned());
        }
    }
    wanted.iter().find(|host| excluding(host).iter().any(|it| taken.contains(it))).cloned()
}

/// The hosts of which another namespace may have none, so that one may have this host: the
/// host itself, and `*.` and its domain.
#[must_use]
pub fn excluding(host: &str) -> Vec<String> {
    let of_domain = host.split_once('.').map(|(_, domain)| format!("*.{domain}"));
    [Some(host.to_owned()), of_domain].into_iter().flatten().collect()
}

/// Whether a rule can have this host, as Kubernetes judges it: a name, with `*` in place of
/// its first part at most, and no address.
#[must_use]
pub fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    text.len() <= LONGEST_HOST && is_subdomain(name) && !is_address(text)
}

/// Whether it is an address of four numbers, also with zeros in front of them.
fn is_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 4 && parts.iter().all(|part| part.parse::<u8>().is_ok())
}

fn given(texts: &Texts) -> Map<String, Value> {
    texts.iter().filter_map(|(name, text)| Some((name.clone(), text.as_deref()?.into()))).collect()
}

fn written(rules: &[IngressRule]) -> Value {
    let path = |path: &Path| {
        let port = match &path.port {
            PortTarget::Number(number) => json!({ "number": number }),
            PortTarget::Name(name) => json!({ "name": name }),
        };
        json!({
            "path": path.path, "pathType": path.matched.word(),
            "backend": { "service": { "name": path.service, "port": port } },
        })
    };
    let rule = |rule: &IngressRule| {
        let mut written =
            json!({ "http": { "paths": rule.paths.iter().map(path).collect::<Vec<_>>() } });
        if let Some(host) = &rule.host {
            written["host"] = host.as_str().into();
        }
        written
    };
    rules.iter().map(rule).collect()
}

fn tls(rules: &[IngressRule]) -> Value {
    let secured = rules.iter().filter_map(|rule| {
        let secret = rule.secret.as_ref()?;
        let mut entry = json!({ "secretName": secret });
        if let Some(host) = &rule.host {
            entry["hosts"] = json!([host]);
        }
        Some(entry)
    });
    let secured: Vec<Value> = secured.collect();
    if secured.is_empty() { Value::Null } else { secured.into() }
}

/// A rule as it is on the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressRuleView {
    /// The host; empty = any.
    pub host: String,
    /// The Secret with its certificate; none = without TLS. It may have no name.
    pub secret: Option<String>,
    pub paths: Vec<PathView>,
}

/// A path as it is on the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathView {
    pub path: String,
    /// Kubernetes' word for how it is compared.
    pub matched: String,
    /// The Service's name; empty where it leads to something else.
    pub service: String,
    /// The Service's port, its number or name.
    pub port: String,
    /// What is to be said of the Service.
    pub backend: Backend,
    /// Id and name of the application that the Service was made for.
    pub application: Option<(String, String)>,
}

/// What is to be said of a Service that a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Normal,
    /// It does not exist.
    Missing,
    /// It has no such port.
    NoSuchPort,
    /// Somebody else made it.
    NotOurs,
}

/// The rules of an Ingress; `services` are those of its namespace, at least.
#[must_use]
pub fn rules_of(ingress: &Value, services: &[Value]) -> Vec<IngressRuleView> {
    let secured = ingress["spec"]["tls"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rules = ingress["spec"]["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let namespace = &ingress["metadata"]["namespace"];
    let view = |rule: &Value| {
        let host = text(&rule["host"]);
        let of_host = |entry: &&Value| {
            let hosts = entry["hosts"].as_array().map(Vec::as_slice).unwrap_or_default();
            hosts.is_empty() || hosts.iter().any(|named| *named == host)
        };
        let paths = rule["http"]["paths"].as_array().map(Vec::as_slice).unwrap_or_default();
        IngressRuleView {
            secret: secured.iter().find(of_host).map(|entry| text(&entry["secretName"])),
            paths: paths.iter().map(|path| path_view(path, namespace, services)).collect(),
            host,
        }
    };
    rules.iter().map(view).collect()
}

fn path_view(path: &Value, namespace: &Value, services: &[Value]) -> PathView {
    let wanted = &path["backend"]["service"];
    let found = services.iter().find(|it| {
        it["metadata"]["name"] == wanted["name"] && it["metadata"]["namespace"] == *namespace
    });
    let (number, name) = (&wanted["port"]["number"], &wanted["port"]["name"]);
    let has_port = |service: &Value| {
        let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
        ports.iter().any(|port| {
            if number.is_null() { port["name"] == *name } else { port["port"] == *number }
        })
    };
    let backend = match found {
        None => Backend::Missing,
        Some(service) if !has_port(service) => Backend::NoSuchPort,
        Some(service) if !is_ours(service) => Backend::NotOurs,
        Some(_) => Backend::Normal,
    };
    let labels =
        found.filter(|service| is_ours(service)).map(|service| &service["metadata"]["labels"]);
    PathView {
        path: text(&path["path"]),
        matched: text(&path["pathType"]),
        service: text(&wanted["name"]),
        port: number.as_i64().map_or_else(|| text(name), |number| number.to_string()),
        backend,
        application: labels.and_then(|labels| {
            Some((labels[APPLICATION_LABEL].as_str()?.to_owned(), text(&labels[NAME_LABEL])))
        }),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn rules() -> Vec<IngressRule> {
        let path = |path: &str, matched, port| Path {
            path: path.into(),
            matched,
            service: "front".into(),
            port,
        };
        vec![
            IngressRule {
                host: Some("shop.example".into()),
                secret: Some("shop-tls".into()),
                paths: vec![
                    path("/", PathMatch::Controller, PortTarget::Number(80)),
                    path("/api", PathMatch::Prefix, PortTarget::Name("api".into())),
                ],
            },
            IngressRule {
                host: None,
                secret: None,
                paths: vec![path("/health", PathMatch::Exact, PortTarget::Number(80))],
            },
        ]
    }

    #[rstest]
    #[case("shop.example", true)]
    #[case("shop", true)]
    #[case("*.shop.example", true)]
    #[case("1.2.3.x", true)]
    #[case("1.2.3.300", true)]
    #[case("", false)]
    #[case("*", false)]
    #[case("*.", false)]
    #[case("a.*.example", false)]
    #[case("*.*.example", false)]
    #[case("Shop.example", false)]
    #[case("shop.example.", false)]
    #[case("-shop.example", false)]
    #[case("shop example", false)]
    #[case("shop.example:80", false)]
    #[case("10.0.0.1", false)]
    #[case("010.0.0.1", false)]
    #[case("2001:db8::1", false)]
    fn a_host_is_a_name_as_kubernetes_has_it(#[case] host: &str, #[case] fits: bool) {
        assert_eq!(is_host(host), fits);
        let long = format!("{}.{host}", "a".repeat(253));
        assert!(!is_host(&long));
    }

    fn service(labels: Value) -> Value {
        let metadata = json!({ "name": "front", "namespace": "shop", "labels": labels });
        json!({ "metadata": metadata, "spec": { "ports": [{ "name": "tcp-80", "port": 80 }, { "name": "api", "port": 81 }] } })
    }

    #[test]
    fn rules_become_an_ingress_and_are_read_back() {
        let texts = Texts::from([("a/b".into(), Some("c".into())), ("gone".into(), None)]);
        let mut object = ingress(&rules(), &texts, &Texts::new());
        assert_eq!(object["metadata"], json!({ "labels": { "a/b": "c" }, "annotations": {} }));
        assert_eq!(
            object["spec"]["tls"],
            json!([{ "secretName": "shop-tls", "hosts": ["shop.example"] }])
        );
        assert_eq!(
            object["spec"]["rules"][0]["http"]["paths"][1],
            json!({
                "path": "/api", "pathType": "Prefix", "backend": { "service": { "name": "front", "port": { "name": "api" } } },
            })
        );
        assert!(object["spec"]["rules"][1].get("host").is_none());

        object["metadata"]["namespace"] = json!("shop");
        let ours = service(
            json!({ "app.kubernetes.io/managed-by": "sluice", APPLICATION_LABEL: "a-1", NAME_LABEL: "web" }),
        );
        let read = rules_of(&object, &[ours]);
        assert_eq!(
            (read[0].host.as_str(), read[0].secret.as_deref()),
            ("shop.example", Some("shop-tls"))
        );
        assert_eq!((read[1].host.as_str(), read[1].secret.as_deref()), ("", None));
        let path = &read[0].paths[0];
        assert_eq!(
            (path.path.as_str(), path.matched.as_str(), path.port.as_str()),
            ("/", "ImplementationSpecific", "80")
        );
        assert_eq!(
            (path.backend, path.application.clone()),
            (Backend::Normal, Some(("a-1".into(), "web".into())))
        );
        assert_eq!(read[0].paths[1].port, "api");
    }

    #[test]
    fn only_what_is_said_of_an_ingress_changes() {
        let texts = Texts::from([("a/b".into(), Some("c".into())), ("gone".into(), None)]);
        let parts = ingress_parts(None, &texts, &Texts::new());
        assert_eq!(
            Vec::from_iter(parts),
            [
                ("/metadata/labels/a~1b".into(), json!("c")),
                ("/metadata/labels/gone".into(), Value::Null)
            ]
        );
        let parts = ingress_parts(Some(&rules()[1..]), &Texts::new(), &Texts::new());
        assert!(parts["/spec/tls"].is_null(), "a certificate goes with its rule");
    }

    #[rstest]
    #[case(json!({}), 80, Backend::NotOurs)]
    #[case(json!({ "app.kubernetes.io/managed-by": "sluice" }), 80, Backend::Normal)]
    #[case(json!({ "app.kubernetes.io/managed-by": "sluice" }), 82, Backend::NoSuchPort)]
    fn it_is_said_where_a_path_leads_to(
        #[case] labels: Value,
        #[case] port: u16,
        #[case] expected: Backend,
    ) {
        let mut rule = rules().remove(1);
        rule.paths[0].port = PortTarget::Number(port);
        let mut object = ingress(&[rule], &Texts::new(), &Texts::new());
        object["metadata"]["namespace"] = json!("shop");
        let services = [service(labels)];
        assert_eq!(rules_of(&object, &services)[0].paths[0].backend, expected);
        object["metadata"]["namespace"] = json!("other");
        assert_eq!(rules_of(&object, &services)[0].paths[0].backend, Backend::Missing);
    }
}
