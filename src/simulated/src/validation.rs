//! The rules of the API server that a release tool can run into.
//!
//! Messages are those of Kubernetes 1.37, field by field. Expects an object as
//! `schema.rs` leaves it (right types, defaults filled in) and says everything
//! that is wrong with it at once. Not every rule of Kubernetes is here: what
//! this cluster does not act on (volumes, affinity) is taken as it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::field::{self, count, items, text};
use super::kind::Kind;
use super::refusal::Cause;
use super::{quantity, selector};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
    or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
    '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// Everything wrong with a new object.
pub(super) fn check(kind: Kind, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    check_name(kind, object, &mut causes);
    check_metadata(object, &mut causes);
    match kind {
        Kind::Deployment => check_deployment(object, &mut causes),
        Kind::ReplicaSet => {
            check_counts(object, &["replicas", "minReadySeconds"], &mut causes);
            check_template(object, &mut causes);
        }
        Kind::Pod => {
            check_pod_spec(object, "/spec", "spec", true, &mut causes);
        }
        Kind::Service
        | Kind::Namespace
        | Kind::Node
        | Kind::ConfigMap
        | Kind::Event
        | Kind::Secret
        | Kind::Ingress
        | Kind::HorizontalPodAutoscaler => {}
    }
    causes
}

/// Everything wrong with a change, beside what `check` says about its result.
pub(super) fn check_change(kind: Kind, before: &Value, after: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if text(before, "/metadata/uid") != text(after, "/metadata/uid") {
        causes.push(Cause::invalid(
            "metadata.uid",
            &after["metadata"]["uid"],
            "field is immutable",
        ));
    }
    let apps = matches!(kind, Kind::Deployment | Kind::ReplicaSet);
    if apps && before["spec"]["selector"] != after["spec"]["selector"] {
        causes.push(Cause::invalid(
            "spec.selector",
            &after["spec"]["selector"],
            "field is immutable",
        ));
    }
    causes
}

fn check_name(kind: Kind, object: &Value, causes: &mut Vec<Cause>) {
    let name = text(object, "/metadata/name").unwrap_or_default();
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
        return;
    }
    let labels_only = matches!(kind, Kind::Namespace | Kind::Service);
    let (longest, why, ok) = if labels_only {
        (63, LABEL, is_label(name))
    } else {
        (253, SUBDOMAIN, name.split('.').all(is_label))
    };
    if name.len() > longest {
        causes.push(Cause::invalid(
            "metadata.name",
            &json!(name),
            &format!("must be no more than {longest} bytes"),
        ));
    } else if !ok {
        causes.push(Cause::invalid("metadata.name", &json!(name), why));
    }
}

fn check_metadata(object: &Value, causes: &mut Vec<Cause>) {
    for pointer in ["/metadata", "/spec/template/metadata"] {
        let at = pointer[1..].replace('/', ".");
        for (key, value) in field::strings(object, &format!("{pointer}/labels")) {
            check_key(&format!("{at}.labels"), &key, causes);
            if !is_label_value(&value) {
                causes.push(Cause::invalid(
                    format!("{at}.labels"),
                    &json!(value),
                    "a valid label must be an empty string or consist of alphanumeric \
                     characters, '-', '_' or '.', and must start and end with an alphanumeric \
                     character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
                     validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
                ));
            }
        }
        let annotations = field::strings(object, &format!("{pointer}/annotations"));
        for key in annotations.keys() {
            check_key(&format!("{at}.annotations"), key, causes);
        }
        let size: usize = annotations.iter().map(|(k, v)| k.len() + v.len()).sum();
        if size > 256 * 1024 {
            causes.push(Cause::invalid(
                format!("{at}.annotations"),
                &json!(size),
                "may not be more than 262144 bytes",
            ));
        }
    }
}

/// A key of labels or annotations: an optional DNS prefix and a name.
fn check_key(at: &str, key: &str, causes: &mut Vec<Cause>) {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(p, n)| (Some(p), n));
    let prefix_ok = prefix.is_none_or(|p| p.len() <= 253 && p.split('.').all(is_label));
    if !prefix_ok || name.is_empty() || !is_label_value(name) {
        causes.push(Cause::invalid(
            at,
            &json!(key),
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start \
             and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
             '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ));
    }
}

fn check_deployment(object: &Value, causes: &mut Vec<Cause>) {
    let fields = ["replicas", "minReadySeconds", "revisionHistoryLimit"];
    check_counts(object, &fields, causes);
    if let Some(deadline) = field::int(object, "/spec/progressDeadlineSeconds") {
        if deadline < 0 {
            causes.push(Cause::invalid(
                "spec.progressDeadlineSeconds",
                &json!(deadline),
                NOT_NEGATIVE,
            ));
        }
        if deadline <= field::int(object, "/spec/minReadySeconds").unwrap_or(0) {
            causes.push(Cause::invalid(
                "spec.progressDeadlineSeconds",
                &json!(deadline),
                "must be greater than minReadySeconds",
            ));
        }
    }
    check_strategy(&object["spec"]["strategy"], causes);
    check_template(object, causes);
}

fn check_strategy(strategy: &Value, causes: &mut Vec<Cause>) {
    let rolling = strategy.get("rollingUpdate");
    match text(strategy, "/type") {
        Some("RollingUpdate") => {}
        Some("Recreate") => {
            if rolling.is_some() {
                causes.push(Cause::forbidden(
                    "spec.strategy.rollingUpdate",
                    "may not be specified when strategy `type` is 'Recreate'",
                ));
            }
            return;
        }
        _ => {
            causes.push(Cause::unsupported(
                "spec.strategy",
                strategy,
                &["Recreate", "RollingUpdate"],
            ));
            return;
        }
    }
    let before = causes.len();
    for key in ["maxUnavailable", "maxSurge"] {
        let value = &strategy["rollingUpdate"][key];
        let at = format!("spec.strategy.rollingUpdate.{key}");
        match (value.as_i64(), value.as_str().map(percent)) {
            (Some(number), _) if number < 0 => {
                causes.push(Cause::invalid(at, value, NOT_NEGATIVE));
            }
            (_, Some(None)) => causes.push(Cause::invalid(
                at,
                value,
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. \
                 '1%',  or '93%', regex used for validation is '[0-9]+%')",
            )),
            (_, Some(Some(share))) if key == "maxUnavailable" && share > 100 => {
                causes.push(Cause::invalid(at, value, "must not be greater than 100%"));
            }
            _ => {}
        }
    }
    let is_zero = |key: &str| {
        let value = &strategy["rollingUpdate"][key];
        value == 0 || value.as_str().and_then(percent) == Some(0)
    };
    if causes.len() == before && is_zero("maxUnavailable") && is_zero("maxSurge") {
        causes.push(Cause::invalid(
            "spec.strategy.rollingUpdate.maxUnavailable",
            &strategy["rollingUpdate"]["maxUnavailable"],
            "may not be 0 when `maxSurge` is 0",
        ));
    }
}

/// The number of `25%`; none when it is not of that form.
pub(super) fn percent(text: &str) -> Option<i32> {
    let digits = text.strip_suffix('%')?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(i32::MAX))
}

fn check_template(object: &Value, causes: &mut Vec<Cause>) {
    let labels = object.pointer("/spec/template/metadata/labels").unwrap_or(&Value::Null);
    match selector::of_object(object) {
        None => {
            causes.push(Cause::required("spec.selector", ""));
            if labels.is_null() {
                causes.push(Cause::invalid(
                    "spec.template.metadata.labels",
                    labels,
                    "`selector` does not match template `labels`",
                ));
            }
        }
        Some(selector) => {
            if !selector::matches(&selector, object, "/spec/template/metadata/labels") {
                causes.push(Cause::invalid(
                    "spec.template.metadata.labels",
                    labels,
                    "`selector` does not match template `labels`",
                ));
            }
        }
    }
    check_pod_spec(object, "/spec/template/spec", "spec.template.spec", false, causes);
    let policy = text(object, "/spec/template/spec/restartPolicy");
    if policy != Some("Always") {
        causes.push(Cause::unsupported(
            "spec.template.spec.restartPolicy",
            &json!(policy),
            &["Always"],
        ));
    }
}

fn check_pod_spec(object: &Value, pointer: &str, at: &str, is_pod: bool, causes: &mut Vec<Cause>) {
    if items(object, &format!("{pointer}/containers")).is_empty() {
        causes.push(Cause::required(format!("{at}.containers"), ""));
    }
    let mut names = BTreeSet::new();
    for list in ["initContainers", "containers"] {
        for (i, container) in items(object, &format!("{pointer}/{list}")).iter().enumerate() {
            let at = format!("{at}.{list}[{i}]");
            check_container(container, &at, is_pod, causes);
            let name = text(container, "/name").unwrap_or_default();
            if !name.is_empty() && !names.insert(name) {
                causes.push(Cause::duplicate(format!("{at}.name"), &json!(name)));
            }
        }
    }
}

fn check_container(container: &Value, at: &str, is_pod: bool, causes: &mut Vec<Cause>) {
    match text(container, "/name").unwrap_or_default() {
        "" => causes.push(Cause::required(format!("{at}.name"), "")),
        name if !is_label(name) => {
            causes.push(Cause::invalid(format!("{at}.name"), &json!(name), LABEL));
        }
        _ => {}
    }
    match text(container, "/image").unwrap_or_default() {
        "" => causes.push(Cause::required(format!("{at}.image"), "")),
        // Only of a pod: a template with such an image is taken, and its pods
        // cannot be created.
        image if is_pod && image.trim() != image => causes.push(Cause::invalid(
            format!("{at}.image"),
            &json!(image),
            "must not have leading or trailing whitespace",
        )),
        _ => {}
    }
    for (i, port) in items(container, "/ports").iter().enumerate() {
        let number = count(port, "/containerPort");
        if number == 0 {
            causes.push(Cause::required(format!("{at}.ports[{i}].containerPort"), ""));
        } else if !(1..=65535).contains(&number) {
            causes.push(Cause::invalid(
                format!("{at}.ports[{i}].containerPort"),
                &json!(number),
                "must be between 1 and 65535, inclusive",
            ));
        }
    }
    for (i, variable) in items(container, "/env").iter().enumerate() {
        if text(variable, "/name").unwrap_or_default().is_empty() {
            causes.push(Cause::required(format!("{at}.env[{i}].name"), ""));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(value) = container.get(probe) {
            check_probe(value, &format!("{at}.{probe}"), causes);
        }
    }
    check_resources(container, at, causes);
}

fn check_probe(probe: &Value, at: &str, causes: &mut Vec<Cause>) {
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
    let given = handlers.iter().filter(|h| probe.get(**h).is_some()).count();
    if given == 0 {
        causes.push(Cause::required(at, "must specify a handler type"));
    } else if given > 1 {
        causes.push(Cause::forbidden(at, "may not specify more than 1 handler type"));
    }
    for key in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        let value = count(probe, &format!("/{key}"));
        if value < 0 {
            causes.push(Cause::invalid(format!("{at}.{key}"), &json!(value), NOT_NEGATIVE));
        }
    }
}

fn check_resources(container: &Value, at: &str, causes: &mut Vec<Cause>) {
    let limits = field::strings(container, "/resources/limits");
    let requests = field::strings(container, "/resources/requests");
    for (list, quantities) in [("limits", &limits), ("requests", &requests)] {
        for (resource, value) in quantities {
            if quantity::billionths(value).is_some_and(|amount| amount < 0) {
                causes.push(Cause::invalid(
                    format!("{at}.resources.{list}[{resource}]"),
                    &json!(value),
                    NOT_NEGATIVE,
                ));
            }
        }
    }
    for (resource, request) in &requests {
        let Some(limit) = limits.get(resource) else {
            continue;
        };
        if quantity::billionths(request) > quantity::billionths(limit) {
            causes.push(Cause::invalid(
                format!("{at}.resources.requests"),
                &json!(request),
                &format!("must be less than or equal to {resource} limit of {limit}"),
            ));
        }
    }
}

fn check_counts(object: &Value, keys: &[&str], causes: &mut Vec<Cause>) {
    for key in keys {
        let value = count(object, &format!("/spec/{key}"));
        if value < 0 {
            causes.push(Cause::invalid(format!("spec.{key}"), &json!(value), NOT_NEGATIVE));
        }
    }
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.first().copied().is_some_and(inner)
        && bytes.last().copied().is_some_and(inner)
        && bytes.iter().all(|b| inner(*b) || *b == b'-')
}

fn is_label_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.is_empty()
        || (bytes.len() <= 63
            && bytes[0].is_ascii_alphanumeric()
            && bytes[bytes.len() - 1].is_ascii_alphanumeric()
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b)))
}
