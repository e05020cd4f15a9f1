//! How an application is reached: the Services in front of its pods, plain ones and
//! those that a load balancer stands behind.
//!
//! Pure: from what a caller wants to the object to create, or to the parts of it to
//! replace ([`super::write`]). Ports are named by protocol and number, so that the
//! API server keeps the node port of one that stays. Load balancers are those of
//! Alibaba Cloud's cloud controller, which reads its settings from annotations.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{object::write::escaped, template::selector::selects};

/// Begin of the annotations that Alibaba Cloud's cloud controller reads.
pub(crate) const BALANCER: &str = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-";

/// What a Service forwards to: a port's number, or its name in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortTarget {
    Number(u16),
    Name(String),
}

/// A protocol of a Service's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub port: u16,
    /// Where it forwards to.
    pub target: PortTarget,
    pub transport: Transport,
}

/// From where a Service is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From within the cluster.
    ClusterIp,
    /// On a port of every node, too.
    NodePort,
}

/// Which pods get what comes from outside of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrafficPolicy {
    /// Those on the node where it arrived.
    Local,
    Cluster,
}

/// The network that a load balancer is reached from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Internet,
    Intranet,
}

impl Network {
    /// Its word, in names and annotations.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Internet => "internet",
            Self::Intranet => "intranet",
        }
    }

    /// Name of the Service that binds an application to a load balancer of this network.
    #[must_use]
    pub fn service_of(self, application: &str) -> String {
        crate::name::service_name(&format!("{application}-{}", self.word()))
    }
}

/// What a load balancer speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speech {
    Tcp,
    Http,
    /// HTTPS, with the certificate of this id.
    Https(String),
}

/// A port that a load balancer listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub port: u16,
    /// Where it forwards to.
    pub target: PortTarget,
    pub speech: Speech,
}

/// What is wanted of a load balancer; none leaves it as it is, or to the cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balancer {
    /// Id of a load balancer that exists.
    pub id: Option<String>,
    /// How big it is, in the cloud's words.
    pub specification: Option<String>,
    /// How it chooses a pod, in the cloud's words.
    pub scheduler: Option<String>,
    /// Whether listeners that it has are replaced.
    pub overrides: Option<bool>,
    pub listeners: Option<Vec<Listener>>,
}

/// The labels that a Service finds the pods of a Deployment by: the Deployment's own.
///
/// # Errors
/// Says why there are none.
pub fn selector(deployment: &Value) -> Result<Map<String, Value>, String> {
    match deployment.pointer("/spec/selector/matchLabels").and_then(Value::as_object) {
        Some(labels) if !labels.is_empty() => Ok(labels.clone()),
        _ => {
            Err("the Deployment selects its pods by expressions only, which a Service cannot"
                .into())
        }
    }
}

/// Whether a Service finds the pods of a Deployment.
#[must_use]
pub fn finds(service: &Value, deployment: &Value) -> bool {
    let chosen = &service["spec"]["selector"];
    let labels = deployment.pointer("/spec/template/metadata/labels").and_then(Value::as_object);
    let some = chosen.as_object().is_some_and(|labels| !labels.is_empty());
    some && labels.is_some_and(|labels| selects(&json!({ "matchLabels": chosen }), labels))
}

/// A Service that is reached within the cluster, or on its nodes.
#[must_use]
pub fn service(
    selector: &Map<String, Value>,
    reach: Reach,
    policy: Option<TrafficPolicy>,
    ports: &[Port],
) -> Value {
    let mut spec = json!({ "type": reach_word(reach), "selector": selector, "ports": ports.iter().map(port).collect::<Vec<_>>() });
    if reach == Reach::NodePort {
        // EDAS' default.
        spec["externalTrafficPolicy"] = policy_word(policy.unwrap_or(TrafficPolicy::Local)).into();
    }
    json!({ "spec": spec })
}

/// Parts of such a Service.
#[must_use]
pub fn service_parts(
    reach: Option<Reach>,
    policy: Option<TrafficPolicy>,
    ports: Option<&[Port]>,
) -> BTreeMap<String, Value> {
    let mut parts = BTreeMap::new();
    if let Some(reach) = reach {
        parts.insert("/spec/type".into(), reach_word(reach).into());
    }
    if let Some(policy) = policy {
        parts.insert("/spec/externalTrafficPolicy".into(), policy_word(policy).into());
    } else if reach == Some(Reach::ClusterIp) {
        parts.insert("/spec/externalTrafficPolicy".into(), Value::Null);
    }
    if let Some(ports) = ports {
        parts.insert("/spec/ports".into(), ports.iter().map(port).collect());
    }
    parts
}

/// A Service with a load balancer in front.
#[must_use]
pub fn binding(selector: &Map<String, Value>, network: Network, balancer: &Balancer) -> Value {
    let mut annotations = annotations(balancer);
    annotations.insert(format!("{BALANCER}address-type"), network.word().into());
    annotations.retain(|_, value| !value.is_null());
    let ports: Vec<Value> = balancer.listeners.iter().flatten().map(listener_port).collect();
    json!({
        "metadata": { "annotations": annotations },
        "spec": { "type": "LoadBalancer", "selector": selector, "ports": ports },
    })
}

/// Parts of such a Service.
#[must_use]
pub fn binding_parts(balancer: &Balancer) -> BTreeMap<String, Value> {
    let annotations = annotations(balancer).into_iter();
    let mut parts: BTreeMap<String, Value> = annotations
        .map(|(name, value)| (format!("/metadata/annotations/{}", escaped(&name)), value))
        .collect();
    if let Some(listeners) = &balancer.listeners {
        parts.insert("/spec/ports".into(), listeners.iter().map(listener_port).collect());
    }
    parts
}

/// What the cloud controller is told; null where it is told nothing any more.
fn annotations(balancer: &Balancer) -> BTreeMap<String, Value> {
    let mut told = BTreeMap::new();
    let mut tell = |name: &str, value: Value| told.insert(format!("{BALANCER}{name}"), value);
    for (name, value) in [
        ("id", &balancer.id),
        ("spec", &balancer.specification),
        ("scheduler", &balancer.scheduler),
    ] {
        if let Some(value) = value {
            tell(name, value.as_str().into());
        }
    }
    if let Some(overrides) = balancer.overrides {
        tell("force-override-listeners", overrides.to_string().into());
    }
    if let Some(listeners) = &balancer.listeners {
        let spoken = listeners.iter().filter_map(|listener| match listener.speech {
            Speech::Tcp => None,
            Speech::Http => Some(format!("http:{}", listener.port)),
            Speech::Https(_) => Some(format!("https:{}", listener.port)),
        });
        let spoken = spoken.collect::<Vec<_>>().join(",");
        tell("protocol-port", if spoken.is_empty() { Value::Null } else { spoken.into() });
        let certificate = listeners.iter().find_map(|listener| match &listener.speech {
            Speech::Https(certificate) => Some(certificate.as_str()),
            Speech::Tcp | Speech::Http => None,
        });
        tell("cert-id", certificate.into());
    }
    told
}

fn listener_port(listener: &Listener) -> Value {
    port(&Port { port: listener.port, target: listener.target.clone(), transport: Transport::Tcp })
}

fn port(port: &Port) -> Value {
    let protocol = match port.transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    };
    let target = match &port.target {
        PortTarget::Number(number) => json!(number),
        PortTarget::Name(name) => json!(name),
    };
    json!({ "name": format!("{}-{}", protocol.to_lowercase(), port.port), "port": port.port, "targetPort": target, "protocol": protocol })
}

fn reach_word(reach: Reach) -> &'static str {
    match reach {
        Reach::ClusterIp => "ClusterIP",
        Reach::NodePort => "NodePort",
    }
}

fn policy_word(policy: TrafficPolicy) -> &'static str {
    match policy {
        TrafficPolicy::Local => "Local",
        TrafficPolicy::Cluster => "Cluster",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Map<String, Value> {
        json!({ "app": "web" }).as_object().unwrap().clone()
    }

    fn deployment() -> Value {
        json!({ "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web", "tier": "front" } } },
        } })
    }

    fn tcp(port: u16, target: PortTarget) -> Port {
        Port { port, target, transport: Transport::Tcp }
    }

    #[test]
    fn a_service_finds_the_pods_by_the_deployments_own_labels() {
        assert_eq!(selector(&deployment()), Ok(labels()));
        let by_expressions = json!({ "spec": { "selector": { "matchExpressions": [{ "key": "app", "operator": "Exists" }] } } });
        assert!(selector(&by_expressions).unwrap_err().contains("expressions"));
        let with = |selector: Value| json!({ "spec": { "selector": selector } });
        assert!(finds(&with(json!({ "app": "web" })), &deployment()));
        for other in [json!({ "app": "api" }), json!({}), Value::Null] {
            assert!(!finds(&with(other), &deployment()));
        }
    }

    #[test]
    fn a_plain_service_has_named_ports() {
        let ports = [
            tcp(80, PortTarget::Number(8080)),
            Port { transport: Transport::Udp, ..tcp(53, PortTarget::Name("dns".into())) },
        ];
        let made = service(&labels(), Reach::ClusterIp, None, &ports);
        assert_eq!(
            made["spec"],
            json!({ "type": "ClusterIP", "selector": { "app": "web" }, "ports": [
                { "name": "tcp-80", "port": 80, "targetPort": 8080, "protocol": "TCP" },
                { "name": "udp-53", "port": 53, "targetPort": "dns", "protocol": "UDP" },
            ] })
        );
        assert_eq!(
            service(&labels(), Reach::NodePort, None, &ports)["spec"]["externalTrafficPolicy"],
            "Local"
        );
        let made = service(&labels(), Reach::NodePort, Some(TrafficPolicy::Cluster), &ports);
        assert_eq!(made["spec"]["externalTrafficPolicy"], "Cluster");
    }

    #[test]
    fn only_what_is_said_of_a_service_changes() {
        assert!(service_parts(None, None, None).is_empty());
        let parts = service_parts(Some(Reach::ClusterIp), None, None);
        assert_eq!(
            Vec::from_iter(parts),
            [
                ("/spec/externalTrafficPolicy".to_owned(), Value::Null),
                ("/spec/type".to_owned(), json!("ClusterIP"))
            ]
        );
        let parts = service_parts(
            None,
            Some(TrafficPolicy::Local),
            Some(&[tcp(80, PortTarget::Number(80))]),
        );
        assert_eq!(parts["/spec/ports"][0]["port"], 80);
        assert_eq!(parts["/spec/externalTrafficPolicy"], "Local");
    }

    #[test]
    fn a_load_balancer_is_told_of_in_annotations() {
        let listener = |port, speech| Listener { port, target: PortTarget::Number(8080), speech };
        let balancer = Balancer {
            id: Some("lb-1".into()),
            specification: Some("slb.s1.small".into()),
            scheduler: Some("wrr".into()),
            overrides: Some(true),
            listeners: Some(vec![
                listener(80, Speech::Http),
                listener(81, Speech::Tcp),
                listener(443, Speech::Https("c-1".into())),
            ]),
        };
        let made = binding(&labels(), Network::Intranet, &balancer);
        let told =
            |name: &str| made["metadata"]["annotations"][format!("{BALANCER}{name}")].clone();
        assert_eq!(
            [
                "address-type",
                "id",
                "spec",
                "scheduler",
                "force-override-listeners",
                "protocol-port",
                "cert-id"
            ]
            .map(told),
            ["intranet", "lb-1", "slb.s1.small", "wrr", "true", "http:80,https:443", "c-1"]
        );
        assert_eq!(
            (&made["spec"]["type"], made["spec"]["ports"].as_array().unwrap().len()),
            (&json!("LoadBalancer"), 3)
        );
        assert_eq!(Network::Intranet.service_of("web"), "web-intranet");

        // What the listeners before needed goes with them.
        let parts = binding_parts(&Balancer {
            listeners: Some(vec![listener(82, Speech::Tcp)]),
            ..Balancer::default()
        });
        let annotation = |name: &str| {
            parts[&format!("/metadata/annotations/{}", escaped(&format!("{BALANCER}{name}")))]
                .clone()
        };
        assert_eq!(
            (annotation("protocol-port"), annotation("cert-id")),
            (Value::Null, Value::Null)
        );
        assert_eq!(parts.len(), 3);
        let made = binding(
            &labels(),
            Network::Internet,
            &Balancer { listeners: Some(Vec::new()), ..Balancer::default() },
        );
        assert_eq!(
            made["metadata"]["annotations"],
            json!({ format!("{BALANCER}address-type"): "internet" })
        );
    }
}
