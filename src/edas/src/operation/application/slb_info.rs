//! `SlbInfo`: the load balancers that an application is bound to, as JSON text.
//!
//! The contract has it as a text only; what is in it is what Terraform's
//! `alicloud_edas_k8s_slb_attachment` reads: it plans a change where a field is another.

use serde::Serialize;

use domain::object::{
    load_balancer::Binding,
    service::{Listener, PortTarget, Speech},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadBalancer<'a> {
    name: &'a str,
    address_type: &'static str,
    slb_id: &'a str,
    ip: &'a str,
    scheduler: &'a str,
    specification: &'a str,
    port_mappings: Vec<PortMapping<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PortMapping<'a> {
    load_balancer_protocol: &'static str,
    cert_id: &'a str,
    service_port: ServicePort<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServicePort<'a> {
    protocol: &'static str,
    port: u16,
    target_port: Target<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Target<'a> {
    Number(u16),
    Name(&'a str),
}

/// The text; empty where there is none.
pub(crate) fn show(bindings: &[Binding]) -> String {
    if bindings.is_empty() {
        return String::new();
    }
    let shown: Vec<LoadBalancer> = bindings.iter().map(load_balancer).collect();
    serde_json::to_string(&shown).unwrap_or_default()
}

fn load_balancer(binding: &Binding) -> LoadBalancer<'_> {
    LoadBalancer {
        name: &binding.name,
        address_type: binding.network.word(),
        slb_id: &binding.id,
        ip: &binding.address,
        scheduler: &binding.scheduler,
        specification: &binding.specification,
        port_mappings: binding.listeners.iter().map(mapping).collect(),
    }
}

fn mapping(listener: &Listener) -> PortMapping<'_> {
    let (load_balancer_protocol, cert_id) = match &listener.speech {
        Speech::Tcp => ("TCP", ""),
        Speech::Http => ("HTTP", ""),
        Speech::Https(certificate) => ("HTTPS", certificate.as_str()),
    };
    let target_port = match &listener.target {
        PortTarget::Number(number) => Target::Number(*number),
        PortTarget::Name(name) => Target::Name(name),
    };
    PortMapping {
        load_balancer_protocol,
        cert_id,
        service_port: ServicePort { protocol: "TCP", port: listener.port, target_port },
    }
}
