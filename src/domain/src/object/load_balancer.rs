//! Reads a binding to a load balancer from its Service: the inverse of [`super::service`].
//!
//! Pure: from the Service's object to the settings that a caller gave, and to the result
//! of the cloud controller.

use serde_json::Value;

use crate::object::service::{BALANCER, Listener, Network, PortTarget, Speech};

/// Label in which Alibaba Cloud's cloud controller tells the load balancer that it made.
const MADE: &str = "service.k8s.alibaba/loadbalancer-id";

/// An application bound to a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub name: String,
    /// The network that it is reached from.
    pub network: Network,
    /// The load balancer's id; empty while it has none.
    pub id: String,
    /// Its address or host name; empty while it has none.
    pub address: String,
    /// How big it is, in the cloud's words; empty where nobody said.
    pub specification: String,
    /// How it chooses a pod, in the cloud's words; empty where nobody said.
    pub scheduler: String,
    pub listeners: Vec<Listener>,
}

impl Binding {
    /// Nothing on a network.
    #[must_use]
    pub fn none(network: Network) -> Self {
        Self {
            name: String::new(),
            network,
            id: String::new(),
            address: String::new(),
            specification: String::new(),
            scheduler: String::new(),
            listeners: Vec::new(),
        }
    }
}

/// What a Service binds the application of this name to; none = it is no binding of it.
#[must_use]
pub fn binding(service: &Value, application: &str) -> Option<Binding> {
    let name = service["metadata"]["name"].as_str()?;
    let network = [Network::Internet, Network::Intranet]
        .into_iter()
        .find(|network| network.service_of(application) == name)?;
    if service["spec"]["type"] != "LoadBalancer" {
        return None;
    }
    let told = |what: &str| {
        service["metadata"]["annotations"][format!("{BALANCER}{what}")]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let made = service["metadata"]["labels"][MADE].as_str().unwrap_or_default().to_owned();
    let ingress = &service["status"]["loadBalancer"]["ingress"][0];
    let (spoken, certificate) = (told("protocol-port"), told("cert-id"));
    let listener = |port: &Value| {
        let number = u16::try_from(port["port"].as_u64()?).ok()?;
        let speech = spoken.split(',').find_map(|said| said.strip_suffix(&format!(":{number}")));
        Some(Listener {
            port: number,
            target: match &port["targetPort"] {
                Value::String(name) => PortTarget::Name(name.clone()),
                target => PortTarget::Number(
                    target.as_u64().and_then(|target| u16::try_from(target).ok()).unwrap_or(number),
                ),
            },
            speech: match speech {
                Some("https") => Speech::Https(certificate.clone()),
                Some("http") => Speech::Http,
                _ => Speech::Tcp,
            },
        })
    };
    Some(Binding {
        name: name.into(),
        network,
        id: if made.is_empty() { told("id") } else { made },
        address: ["ip", "hostname"]
            .iter()
            .find_map(|kind| ingress[kind].as_str())
            .unwrap_or_default()
            .into(),
        specification: told("spec"),
        scheduler: told("scheduler"),
        listeners: service["spec"]["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(listener)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Map, json};

    use super::*;
    use crate::object::service::{self, Balancer};

    fn wanted() -> Balancer {
        let listener = |port, target, speech| Listener { port, target, speech };
        Balancer {
            id: Some("lb-1".into()),
            specification: Some("slb.s1.small".into()),
            scheduler: Some("wrr".into()),
            overrides: Some(true),
            listeners: Some(vec![
                listener(80, PortTarget::Number(8080), Speech::Http),
                listener(81, PortTarget::Name("web".into()), Speech::Tcp),
                listener(443, PortTarget::Number(8443), Speech::Https("c-1".into())),
            ]),
        }
    }

    fn service(network: Network, balancer: &Balancer) -> Value {
        let mut made = service::binding(&Map::new(), network, balancer);
        made["metadata"]["name"] = network.service_of("web").into();
        made
    }

    #[test]
    fn what_was_wanted_is_read_back() {
        let read = binding(&service(Network::Intranet, &wanted()), "web").unwrap();
        let expected = Binding {
            name: "web-intranet".into(),
            network: Network::Intranet,
            id: "lb-1".into(),
            address: String::new(),
            specification: "slb.s1.small".into(),
            scheduler: "wrr".into(),
            listeners: wanted().listeners.unwrap(),
        };
        assert_eq!(read, expected);
    }

    #[rstest]
    #[case(json!({ "ip": "10.0.0.7" }), "10.0.0.7")]
    #[case(json!({ "hostname": "lb.example" }), "lb.example")]
    fn what_the_cloud_made_is_told(#[case] ingress: Value, #[case] address: &str) {
        let mut made = service(Network::Internet, &Balancer { id: None, ..wanted() });
        made["metadata"]["labels"] = json!({ "service.k8s.alibaba/loadbalancer-id": "lb-2" });
        made["status"] = json!({ "loadBalancer": { "ingress": [ingress] } });
        let read = binding(&made, "web").unwrap();
        assert_eq!(
            (read.id.as_str(), read.address.as_str(), read.network),
            ("lb-2", address, Network::Internet)
        );
    }

    #[test]
    fn another_service_is_no_binding() {
        let made = service(Network::Internet, &wanted());
        assert_eq!(binding(&made, "api"), None);
        let plain =
            json!({ "metadata": { "name": "web-internet" }, "spec": { "type": "ClusterIP" } });
        assert_eq!(binding(&plain, "web"), None);
    }
}
