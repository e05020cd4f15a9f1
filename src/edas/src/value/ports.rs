//! `ServicePorts` and `ServicePortInfos`: the ports of a Service, and those that a load
//! balancer listens on, as JSON lists; and the Services that an application is created with.
//!
//! Numbers may be text; what is not a port's key is refused by name.

use serde::Deserialize;

use crate::wire::{error::ApiError, params::Params};
use domain::{
    object::service::{Balancer, Listener, Network, Port, PortTarget, Reach, Speech, Transport},
    rejection::shortened,
    template::spec::Field,
};
use service::FirstService;

const PORTS: &str = r#"allowed is a list such as [{"protocol":"TCP","port":80,"targetPort":8080}] with TCP or UDP and ports from 1 to 65535"#;
const LISTENERS: &str = r#"allowed is a list such as [{"port":80,"targetPort":8080,"loadBalancerProtocol":"TCP"}] with TCP, HTTP or HTTPS, ports from 1 to 65535, and a certId for HTTPS"#;

const SERVICES: &str = r#"allowed is a list such as [{"name":"web","serviceType":"ClusterIP","portMappings":[{"servicePort":{"protocol":"TCP","port":80,"targetPort":8080}}]}] with ClusterIP or NodePort"#;

/// A number, or text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenPort {
    #[serde(default)]
    protocol: Option<String>,
    port: Given,
    #[serde(default)]
    target_port: Option<Given>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenListener {
    port: Given,
    target_port: Given,
    #[serde(default)]
    load_balancer_protocol: Option<String>,
    #[serde(default)]
    cert_id: Option<String>,
}

/// Reads the ports of a Service; none = the parameter is absent.
///
/// # Errors
/// A business error with what is allowed.
pub fn read(params: &Params, name: &str) -> Result<Option<Vec<Port>>, ApiError> {
    let given: Vec<GivenPort> = match params.json(name, PORTS)? {
        Field::Keep => return Ok(None),
        Field::Clear => Vec::new(),
        Field::Set(given) => given,
    };
    let ports: Result<Vec<Port>, String> = given.into_iter().map(port).collect();
    ports.map(Some).map_err(|why| refuse(params, name, &why, PORTS))
}

fn port(given: GivenPort) -> Result<Port, String> {
    let port = number(&given.port).ok_or_else(|| wrong(&given.port))?;
    let transport = match given.protocol.as_deref().unwrap_or("TCP") {
        tcp if tcp.eq_ignore_ascii_case("TCP") => Transport::Tcp,
        udp if udp.eq_ignore_ascii_case("UDP") => Transport::Udp,
        other => return Err(format!("{} is no protocol", shortened(other))),
    };
    let target = given.target_port.as_ref().map_or(Ok(PortTarget::Number(port)), target)?;
    Ok(Port { port, target, transport })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenService {
    name: String,
    #[serde(default)]
    service_type: Option<String>,
    port_mappings: Vec<GivenMapping>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenMapping {
    service_port: GivenPort,
}

/// Reads the Services that an application is created with: `ServiceConfigs`, and a load
/// balancer each from `Internet…` and `Intranet…`.
///
/// # Errors
/// As [`read`].
pub fn read_first_services(params: &Params) -> Result<Vec<FirstService>, ApiError> {
    const NAME: &str = "ServiceConfigs";
    let given: Vec<GivenService> = match params.json(NAME, SERVICES)? {
        Field::Keep | Field::Clear => Vec::new(),
        Field::Set(given) => given,
    };
    let plain = |given: GivenService| {
        let reach = match given.service_type.as_deref().unwrap_or_default() {
            "" => Reach::ClusterIp,
            word if word.eq_ignore_ascii_case("ClusterIP") => Reach::ClusterIp,
            word if word.eq_ignore_ascii_case("NodePort") => Reach::NodePort,
            other => return Err(format!("{} is no serviceType", shortened(other))),
        };
        let ports = given
            .port_mappings
            .into_iter()
            .map(|mapping| port(mapping.service_port))
            .collect::<Result<_, String>>()?;
        Ok(FirstService::Plain { name: given.name, reach, ports })
    };
    let plain: Result<Vec<FirstService>, String> = given.into_iter().map(plain).collect();
    let mut services = plain.map_err(|why| refuse(params, NAME, &why, SERVICES))?;
    for (network, id, names) in [
        (
            Network::Internet,
            "InternetSlbId",
            ListenerNames {
                port: "InternetSlbPort",
                target: "InternetTargetPort",
                protocol: "InternetSlbProtocol",
            },
        ),
        (
            Network::Intranet,
            "IntranetSlbId",
            ListenerNames {
                port: "IntranetSlbPort",
                target: "IntranetTargetPort",
                protocol: "IntranetSlbProtocol",
            },
        ),
    ] {
        if names.all().into_iter().chain([id]).all(|name| params.text(name).is_none()) {
            continue;
        }
        let listeners = Some(vec![single_listener(params, names)?]);
        let balancer =
            Balancer { id: params.text(id).map(Into::into), listeners, ..Balancer::default() };
        services.push(FirstService::Balanced { network, balancer });
    }
    Ok(services)
}

/// Reads what a load balancer listens on, from `ServicePortInfos` or from `Port`,
/// `TargetPort` and `SlbProtocol`; none = all are absent.
///
/// # Errors
/// As [`read`].
pub fn read_listeners(params: &Params) -> Result<Option<Vec<Listener>>, ApiError> {
    let given: Field<Vec<GivenListener>> = params.json("ServicePortInfos", LISTENERS)?;
    let single = BINDING.all().into_iter().find(|name| params.text(name).is_some());
    let given = match (given, single) {
        (Field::Keep, None) => return Ok(None),
        (Field::Keep | Field::Clear, Some(_)) => {
            return single_listener(params, BINDING).map(|listener| Some(vec![listener]));
        }
        (Field::Set(_), Some(single)) => {
            let value = params.raw(single).unwrap_or_default();
            return Err(ApiError::refused(
                single,
                value,
                "either ServicePortInfos or Port, TargetPort and SlbProtocol are given",
            ));
        }
        (Field::Clear, None) => Vec::new(),
        (Field::Set(given), None) => given,
    };
    let read = |given: GivenListener| {
        let port = number(&given.port).ok_or_else(|| wrong(&given.port))?;
        let speech = match (
            given.load_balancer_protocol.as_deref().unwrap_or("TCP"),
            given.cert_id.filter(|id| !id.is_empty()),
        ) {
            (https, Some(certificate)) if https.eq_ignore_ascii_case("HTTPS") => {
                Speech::Https(certificate)
            }
            (https, None) if https.eq_ignore_ascii_case("HTTPS") => {
                return Err(format!("the HTTPS port {port} needs a certId"));
            }
            (other, Some(_)) => {
                return Err(format!(
                    "a certId belongs to HTTPS, and port {port} is {}",
                    shortened(other)
                ));
            }
            (http, None) if http.eq_ignore_ascii_case("HTTP") => Speech::Http,
            (tcp, None) if tcp.eq_ignore_ascii_case("TCP") => Speech::Tcp,
            (other, None) => return Err(format!("{} is no protocol", shortened(other))),
        };
        Ok(Listener { port, target: target(&given.target_port)?, speech })
    };
    let listeners: Result<Vec<Listener>, String> = given.into_iter().map(read).collect();
    listeners.map(Some).map_err(|why| refuse(params, "ServicePortInfos", &why, LISTENERS))
}

/// The names that an operation gives the parameters of a single port.
#[derive(Debug, Clone, Copy)]
struct ListenerNames {
    port: &'static str,
    target: &'static str,
    protocol: &'static str,
}

const BINDING: ListenerNames =
    ListenerNames { port: "Port", target: "TargetPort", protocol: "SlbProtocol" };

impl ListenerNames {
    fn all(self) -> [&'static str; 3] {
        [self.port, self.target, self.protocol]
    }
}

fn single_listener(params: &Params, names: ListenerNames) -> Result<Listener, ApiError> {
    let port = |name: &str| params.integer(name)?.ok_or_else(|| ApiError::missing(name));
    let speech = match params.text(names.protocol) {
        None => Speech::Tcp,
        Some(tcp) if tcp.eq_ignore_ascii_case("TCP") => Speech::Tcp,
        Some(http) if http.eq_ignore_ascii_case("HTTP") => Speech::Http,
        Some(https) if https.eq_ignore_ascii_case("HTTPS") => {
            let allowed = "HTTPS needs a certificate: give the port in ServicePortInfos of BindK8sSlb or UpdateK8sSlb, with its certId";
            return Err(ApiError::refused(names.protocol, https, allowed));
        }
        Some(other) => {
            return Err(ApiError::refused(names.protocol, other, "must be TCP or HTTP"));
        }
    };
    Ok(Listener {
        port: port(names.port)?,
        target: PortTarget::Number(port(names.target)?),
        speech,
    })
}

fn number(given: &Given) -> Option<u16> {
    let number = match given {
        Given::Number(number) => u16::try_from(*number).ok()?,
        Given::Text(text) => text.parse().ok()?,
    };
    (number > 0).then_some(number)
}

/// A port's number, or its name in the container.
fn target(given: &Given) -> Result<PortTarget, String> {
    match (number(given), given) {
        (Some(number), _) => Ok(PortTarget::Number(number)),
        (None, Given::Text(name)) if is_port_name(name) => Ok(PortTarget::Name(name.clone())),
        (None, _) => Err(wrong(given)),
    }
}

fn is_port_name(name: &str) -> bool {
    let fits = name.len() <= 15
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    fits && name.contains(|c: char| c.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn wrong(given: &Given) -> String {
    match given {
        Given::Number(number) => format!("{number} is no port"),
        Given::Text(text) => format!("{} is no port", shortened(text)),
    }
}

fn refuse(params: &Params, name: &str, why: &str, allowed: &str) -> ApiError {
    ApiError::refused(name, params.raw(name).unwrap_or_default(), format!("{why}; {allowed}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        Params::parse(
            &pairs
                .iter()
                .map(|(name, value)| format!("{name}={}", encode(value)))
                .collect::<Vec<_>>()
                .join("&"),
        )
        .unwrap()
    }

    fn message(error: ApiError) -> String {
        match error {
            ApiError::Business { message, .. } | ApiError::Gateway { message, .. } => message,
        }
    }

    #[test]
    fn ports_are_read_with_numbers_as_text_and_names() {
        let text = r#"[{"protocol":"TCP","port":80,"targetPort":8080},{"protocol":"udp","port":"53","targetPort":"dns"},{"port":81}]"#;
        let read = read(&params(&[("ServicePorts", text)]), "ServicePorts").unwrap().unwrap();
        let port = |port, target, transport| Port { port, target, transport };
        assert_eq!(
            read,
            [
                port(80, PortTarget::Number(8080), Transport::Tcp),
                port(53, PortTarget::Name("dns".into()), Transport::Udp),
                port(81, PortTarget::Number(81), Transport::Tcp)
            ]
        );
        assert_eq!(super::read(&Params::default(), "ServicePorts").unwrap(), None);
    }

    #[rstest]
    #[case(r#"[{"port":0}]"#, "0 is no port")]
    #[case(r#"[{"port":65536}]"#, "65536 is no port")]
    #[case(r#"[{"port":80,"targetPort":"-x"}]"#, "-x is no port")]
    #[case(r#"[{"port":80,"protocol":"HTTP"}]"#, "HTTP is no protocol")]
    #[case(r#"[{"port":80,"nodePort":30000}]"#, "unknown field `nodePort`")]
    #[case(r#"[{"targetPort":80}]"#, "missing field `port`")]
    #[case("80", "expected a sequence")]
    fn a_port_that_cannot_be_is_refused(#[case] text: &str, #[case] says: &str) {
        let said = message(read(&params(&[("ServicePorts", text)]), "ServicePorts").unwrap_err());
        assert!(
            said.starts_with("parameter ServicePorts has the value")
                && said.contains(says)
                && said.contains("allowed is"),
            "{said}"
        );
    }

    #[test]
    fn listeners_are_read_from_either_form() {
        let text = r#"[{"targetPort":8080,"port":82,"loadBalancerProtocol":"TCP"},{"port":443,"certId":"c-1","targetPort":8181,"loadBalancerProtocol":"HTTPS"}]"#;
        let listener =
            |port, target, speech| Listener { port, target: PortTarget::Number(target), speech };
        let read = read_listeners(&params(&[("ServicePortInfos", text)])).unwrap();
        assert_eq!(
            read,
            Some(vec![
                listener(82, 8080, Speech::Tcp),
                listener(443, 8181, Speech::Https("c-1".into()))
            ])
        );
        let read = read_listeners(&params(&[
            ("Port", "80"),
            ("TargetPort", "8080"),
            ("SlbProtocol", "http"),
        ]))
        .unwrap();
        assert_eq!(read, Some(vec![listener(80, 8080, Speech::Http)]));
        assert_eq!(read_listeners(&Params::default()).unwrap(), None);
    }

    #[rstest]
    #[case(&[("ServicePortInfos", r#"[{"port":443,"targetPort":1,"loadBalancerProtocol":"HTTPS"}]"#)], "needs a certId")]
    #[case(&[("ServicePortInfos", r#"[{"port":80,"targetPort":1,"certId":"c"}]"#)], "belongs to HTTPS")]
    #[case(&[("ServicePortInfos", r#"[{"port":80,"targetPort":1,"loadBalancerProtocol":"UDP"}]"#)], "UDP is no protocol")]
    #[case(&[("ServicePortInfos", r#"[{"port":80}]"#)], "missing field `targetPort`")]
    #[case(&[("ServicePortInfos", r#"[{"port":80,"targetPort":1}]"#), ("Port", "80")], "parameter Port has the value 80: either")]
    #[case(&[("Port", "80")], "TargetPort is mandatory")]
    #[case(&[("Port", "0"), ("TargetPort", "1")], "from 1 to 65535")]
    #[case(&[("Port", "80"), ("TargetPort", "1"), ("SlbProtocol", "HTTPS")], "HTTPS needs a certificate")]
    #[case(&[("Port", "80"), ("TargetPort", "1"), ("SlbProtocol", "UDP")], "must be TCP or HTTP")]
    fn a_listener_that_cannot_be_is_refused(#[case] pairs: &[(&str, &str)], #[case] says: &str) {
        let said = message(read_listeners(&params(pairs)).unwrap_err());
        assert!(said.contains(says), "{said}");
    }
}
