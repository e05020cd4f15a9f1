//! Objects as tables: what `kubectl get` asks for, with the columns of Kubernetes.
//!
//! A client that asks for a table (`Accept: application/json;as=Table`) gets the cells
//! of each object and its metadata instead of the object. Columns of priority 1 are
//! those of `-o wide`. Changes nothing.

use http::HeaderMap;
use http::header::ACCEPT;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::clock::Clock;
use super::field::{condition, count, items, strings, text};
use super::kind::Kind;

/// How a client wants objects to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As they are.
    Object,
    /// As rows of a table. Each row has its object: as a whole, only its metadata, or not.
    Table(Include),
}

/// What a row has of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    Object,
    Metadata,
    Nothing,
}

impl Shape {
    /// Reads the header `Accept` and the option `includeObject`.
    pub(super) fn read(headers: &HeaderMap, include: &str) -> Self {
        let accepted =
            headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // The client lists what it prefers first.
        let wanted = accepted.split(',').map(str::trim).find_map(|kind| {
            let mut parts = kind.split(';').map(str::trim);
            let is_json =
                parts.next().is_some_and(|kind| ["application/json", "*/*"].contains(&kind));
            let parameters: Vec<&str> = parts.collect();
            let plain = !parameters.iter().any(|parameter| parameter.starts_with("as="));
            let table = ["as=Table", "g=meta.k8s.io", "v=v1"]
                .iter()
                .all(|wanted| parameters.contains(wanted));
            (is_json && (plain || table)).then_some(table)
        });
        match (wanted, include) {
            (Some(true), "Object") => Shape::Table(Include::Object),
            (Some(true), "None") => Shape::Table(Include::Nothing),
            (Some(true), _) => Shape::Table(Include::Metadata),
            _ => Shape::Object,
        }
    }

    /// An answer in this shape: an object or a list of a kind, as it was read.
    pub(super) fn answer(self, kind: Kind, clock: &Clock, answer: Value) -> Value {
        let Shape::Table(include) = self else { return answer };
        let list = answer.pointer("/items").and_then(Value::as_array);
        let rows: Vec<Value> = match list {
            Some(items) => items.iter().map(|object| row(kind, clock, object, include)).collect(),
            None => vec![row(kind, clock, &answer, include)],
        };
        json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": answer["metadata"]["resourceVersion"]},
            "columnDefinitions": definitions(kind),
            "rows": rows,
        })
    }
}

fn row(kind: Kind, clock: &Clock, object: &Value, include: Include) -> Value {
    let mut row = json!({"cells": cells(kind, clock, object)});
    match include {
        Include::Nothing => {}
        Include::Metadata => {
            row["object"] = json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
            });
        }
        Include::Object => {
            row["object"] = object.clone();
            row["object"]["kind"] = kind.name().into();
            row["object"]["apiVersion"] = kind.api_version().into();
        }
    }
    row
}

/// Name, type and priority of each column.
fn columns(kind: Kind) -> &'static [(&'static str, &'static str, i32)] {
    const NAME: (&str, &str, i32) = ("Name", "string", 0);
    const AGE: (&str, &str, i32) = ("Age", "string", 0);
    const CONTAINERS: (&str, &str, i32) = ("Containers", "string", 1);
    const IMAGES: (&str, &str, i32) = ("Images", "string", 1);
    const SELECTOR: (&str, &str, i32) = ("Selector", "string", 1);
    match kind {
        Kind::Deployment => &[
            NAME,
            ("Ready", "string", 0),
            ("Up-to-date", "string", 0),
            ("Available", "string", 0),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        Kind::ReplicaSet => &[
            NAME,
            ("Desired", "integer", 0),
            ("Current", "integer", 0),
            ("Ready", "integer", 0),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        Kind::Pod => &[
            NAME,
            ("Ready", "string", 0),
            ("Status", "string", 0),
            ("Restarts", "string", 0),
            AGE,
            ("IP", "string", 1),
            ("Node", "string", 1),
            ("Nominated Node", "string", 1),
            ("Readiness Gates", "string", 1),
        ],
        Kind::Service => &[
            NAME,
            ("Type", "string", 0),
            ("Cluster-IP", "string", 0),
            ("External-IP", "string", 0),
            ("Port(s)", "string", 0),
            AGE,
            SELECTOR,
        ],
        Kind::Namespace => &[NAME, ("Status", "string", 0), AGE],
        Kind::Node => {
            &[NAME, ("Status", "string", 0), ("Roles", "string", 0), AGE, ("Version", "string", 0)]
        }
        Kind::ConfigMap => &[NAME, ("Data", "string", 0), AGE],
        Kind::Secret => &[NAME, ("Type", "string", 0), ("Data", "string", 0), AGE],
        Kind::Event => &[
            ("Last Seen", "string", 0),
            ("Type", "string", 0),
            ("Reason", "string", 0),
            ("Object", "string", 0),
            ("Message", "string", 0),
        ],
        Kind::Ingress => &[
            NAME,
            ("Class", "string", 0),
            ("Hosts", "string", 0),
            ("Address", "string", 0),
            ("Ports", "string", 0),
            AGE,
        ],
        Kind::HorizontalPodAutoscaler => &[
            NAME,
            ("Reference", "string", 0),
            ("Targets", "string", 0),
            ("MinPods", "string", 0),
            ("MaxPods", "string", 0),
            ("Replicas", "string", 0),
            AGE,
        ],
    }
}

fn definitions(kind: Kind) -> Vec<Value> {
    let definition = |(name, form, priority): &(&str, &str, i32)| {
        let format = if *name == "Name" { "name" } else { "" };
        json!({"name": name, "type": form, "format": format, "description": "", "priority": priority})
    };
    columns(kind).iter().map(definition).collect()
}

/// The cells of an object, in the order of the columns.
fn cells(kind: Kind, clock: &Clock, object: &Value) -> Vec<Value> {
    let name = || Value::from(text(object, "/metadata/name").unwrap_or_default());
    let age = || Value::from(age(clock, text(object, "/metadata/creationTimestamp")));
    let is = |pointer: &str| {
        Value::from(text(object, pointer).filter(|it| !it.is_empty()).unwrap_or("<none>"))
    };
    let size = |pointer: &str| {
        Value::from(
            object.pointer(pointer).and_then(Value::as_object).map_or(0, serde_json::Map::len),
        )
    };
    let number = |pointer: &str| Value::from(count(object, pointer));
    let of_template = || {
        let containers = items(object, "/spec/template/spec/containers");
        [
            joined(containers, "/name"),
            joined(containers, "/image"),
            pairs(object, "/spec/selector/matchLabels"),
        ]
        .map(Value::from)
    };
    match kind {
        Kind::Deployment => {
            let ready = format!(
                "{}/{}",
                count(object, "/status/readyReplicas"),
                count(object, "/spec/replicas")
            );
            let mut cells = vec![
                name(),
                ready.into(),
                number("/status/updatedReplicas"),
                number("/status/availableReplicas"),
                age(),
            ];
            cells.extend(of_template());
            cells
        }
        Kind::ReplicaSet => {
            let mut cells = vec![
                name(),
                number("/spec/replicas"),
                number("/status/replicas"),
                number("/status/readyReplicas"),
                age(),
            ];
            cells.extend(of_template());
            cells
        }
        Kind::Pod => vec![
            name(),
            ready_of(object).into(),
            state_of(object).into(),
            restarts_of(object).to_string().into(),
            age(),
            is("/status/podIP"),
            is("/spec/nodeName"),
            is("/status/nominatedNodeName"),
            "<none>".into(),
        ],
        Kind::Service => {
            let ports = items(object, "/spec/ports").iter().map(|port| {
                let node = count(port, "/nodePort");
                let number = count(port, "/port");
                let protocol = text(port, "/protocol").unwrap_or("TCP");
                if node == 0 {
                    format!("{number}/{protocol}")
                } else {
                    format!("{number}:{node}/{protocol}")
                }
            });
            let ports = ports.collect::<Vec<_>>().join(",");
            vec![
                name(),
                is("/spec/type"),
                is("/spec/clusterIP"),
                is("/status/loadBalancer/ingress/0/ip"),
                if ports.is_empty() { "<none>".into() } else { ports.into() },
                age(),
                pairs(object, "/spec/selector").into(),
            ]
        }
        Kind::Namespace => vec![name(), is("/status/phase"), age()],
        Kind::Node => {
            let ready = condition(object, "Ready")
                .is_none_or(|ready| text(ready, "/status") == Some("True"));
            vec![
                name(),
                if ready { "Ready" } else { "NotReady" }.into(),
                "<none>".into(),
                age(),
                is("/status/nodeInfo/kubeletVersion"),
            ]
        }
        Kind::ConfigMap => vec![name(), size("/data"), age()],
        Kind::Secret => vec![name(), is("/type"), size("/data"), age()],
        Kind::Event => {
            let about = format!(
                "{}/{}",
                text(object, "/involvedObject/kind").unwrap_or_default().to_lowercase(),
                text(object, "/involvedObject/name").unwrap_or_default()
            );
            let seen = self::age(clock, text(object, "/lastTimestamp"));
            vec![seen.into(), is("/type"), is("/reason"), about.into(), is("/message")]
        }
        Kind::Ingress => {
            let hosts: Vec<&str> = items(object, "/spec/rules")
                .iter()
                .map(|rule| text(rule, "/host").unwrap_or("*"))
                .collect();
            let address = text(object, "/status/loadBalancer/ingress/0/ip").unwrap_or_default();
            let ports = if items(object, "/spec/tls").is_empty() { "80" } else { "80, 443" };
            vec![
                name(),
                is("/spec/ingressClassName"),
                hosts.join(",").into(),
                address.into(),
                ports.into(),
                age(),
            ]
        }
        Kind::HorizontalPodAutoscaler => {
            let kind = text(object, "/spec/scaleTargetRef/kind").unwrap_or_default();
            let of = text(object, "/spec/scaleTargetRef/name").unwrap_or_default();
            let least = object.pointer("/spec/minReplicas").and_then(Value::as_i64).unwrap_or(1);
            vec![
                name(),
                format!("{kind}/{of}").into(),
                targets_of(object).into(),
                least.into(),
                number("/spec/maxReplicas"),
                number("/status/currentReplicas"),
                age(),
            ]
        }
    }
}

/// What a HorizontalPodAutoscaler aims at; nothing here measures.
fn targets_of(scaler: &Value) -> String {
    let targets = items(scaler, "/spec/metrics").iter().map(|metric| {
        let name = text(metric, "/resource/name").unwrap_or("metric");
        match metric.pointer("/resource/target/averageUtilization").and_then(Value::as_i64) {
            Some(share) => format!("{name}: <unknown>/{share}%"),
            None => format!("{name}: <unknown>"),
        }
    });
    let targets = targets.collect::<Vec<_>>().join(", ");
    if targets.is_empty() { "<none>".to_owned() } else { targets }
}

fn joined(of: &[Value], pointer: &str) -> String {
    of.iter().filter_map(|it| text(it, pointer)).collect::<Vec<_>>().join(",")
}

fn pairs(object: &Value, pointer: &str) -> String {
    let pairs: Vec<String> =
        strings(object, pointer).iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

fn ready_of(pod: &Value) -> String {
    let ready =
        items(pod, "/status/containerStatuses").iter().filter(|it| it["ready"] == true).count();
    format!("{ready}/{}", items(pod, "/spec/containers").len())
}

fn restarts_of(pod: &Value) -> i32 {
    items(pod, "/status/containerStatuses").iter().map(|it| count(it, "/restartCount")).sum()
}

/// The word that `kubectl` shows: why a container waits or ended, or else the phase.
fn state_of(pod: &Value) -> String {
    if text(pod, "/metadata/deletionTimestamp").is_some() {
        return "Terminating".to_owned();
    }
    let reason = items(pod, "/status/containerStatuses").iter().rev().find_map(|status| {
        let of = |state: &str| {
            text(status, &format!("/state/{state}/reason")).filter(|it| !it.is_empty())
        };
        of("waiting").or_else(|| of("terminated"))
    });
    let why = reason.or_else(|| text(pod, "/status/reason")).or_else(|| text(pod, "/status/phase"));
    why.unwrap_or("Unknown").to_owned()
}

/// How long ago, as `kubectl` says it: two units while the first one is small.
fn age(clock: &Clock, stamp: Option<&str>) -> String {
    let Some(passed) = stamp.and_then(|stamp| clock.since(stamp)) else {
        return "<unknown>".to_owned();
    };
    told(passed)
}

fn told(passed: SignedDuration) -> String {
    let seconds = passed.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let with = |big: i64, unit: &str, small: i64, part: &str| match small {
        0 => format!("{big}{unit}"),
        small => format!("{big}{unit}{small}{part}"),
    };
    match seconds {
        ..0 => "<invalid>".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => with(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => with(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => with(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        _ => with(days / 365, "y", days % 365, "d"),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::kubectl(
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        "",
        Shape::Table(Include::Metadata)
    )]
    #[case::kubectl_sorting(
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        "Object",
        Shape::Table(Include::Object)
    )]
    #[case::plain_first(
        "application/json, application/json;as=Table;v=v1;g=meta.k8s.io",
        "",
        Shape::Object
    )]
    #[case::older_tables(
        "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        "",
        Shape::Object
    )]
    #[case::other_forms(
        "application/vnd.kubernetes.protobuf,application/json",
        "Object",
        Shape::Object
    )]
    #[case::nothing("", "", Shape::Object)]
    fn a_table_is_for_those_who_ask_for_it_first(
        #[case] accept: &str,
        #[case] include: &str,
        #[case] wanted: Shape,
    ) {
        let headers = [(ACCEPT, HeaderValue::from_str(accept).unwrap())].into_iter().collect();
        assert_eq!(Shape::read(&headers, include), wanted);
    }

    #[test]
    fn every_kind_has_a_cell_for_each_column() {
        for kind in Kind::ALL {
            assert_eq!(
                cells(kind, &Clock::start(), &json!({})).len(),
                columns(kind).len(),
                "{kind:?}"
            );
        }
    }

    #[rstest]
    #[case(-1, "<invalid>")]
    #[case(119, "119s")]
    #[case(120, "2m")]
    #[case(599, "9m59s")]
    #[case(600, "10m")]
    #[case(10_860, "3h1m")]
    #[case(172_799, "47h")]
    #[case(176_400, "2d1h")]
    #[case(691_200, "8d")]
    #[case(63_158_400, "2y1d")]
    fn an_age_is_told_as_kubectl_tells_it(#[case] seconds: i64, #[case] wanted: &str) {
        assert_eq!(told(SignedDuration::from_secs(seconds)), wanted);
    }

    #[test]
    fn a_pod_is_told_by_why_it_does_not_run() {
        let pod = json!({
            "spec": {"containers": [{}, {}]},
            "status": {"phase": "Pending", "containerStatuses": [
                {"ready": true, "restartCount": 2, "state": {"running": {}}},
                {"ready": false, "restartCount": 1, "state": {"waiting": {"reason": "ImagePullBackOff"}}},
            ]},
        });
        assert_eq!(
            (ready_of(&pod).as_str(), restarts_of(&pod), state_of(&pod).as_str()),
            ("1/2", 3, "ImagePullBackOff")
        );
        assert_eq!(state_of(&json!({"metadata": {"deletionTimestamp": "now"}})), "Terminating");
        assert_eq!(state_of(&json!({"status": {"phase": "Running"}})), "Running");
    }
}
