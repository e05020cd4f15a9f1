//! `Readiness` and `Liveness`: Kubernetes probes as JSON.
//!
//! Keys arrive in odd cases (`TcpSocket`), so they are compared without case
//! (R16). Nulls count as absent (R26), an empty `host` too, and numbers may be
//! text. What is not a probe's key is refused, since dropping it in silence
//! would give another probe than the one asked for.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::wire::{error::ApiError, params::Params};
use domain::{notation, template::spec::Field};

const ALLOWED: &str = r#"allowed is one of httpGet {path, port, scheme, host, httpHeaders}, tcpSocket {host, port} or exec {command}, with initialDelaySeconds, periodSeconds, timeoutSeconds, successThreshold, failureThreshold"#;

#[derive(Deserialize, Serialize)]
#[serde(rename_all(deserialize = "lowercase", serialize = "camelCase"), deny_unknown_fields)]
struct Probe {
    #[serde(skip_serializing_if = "Option::is_none", rename(deserialize = "httpget"))]
    http_get: Option<HttpGet>,
    #[serde(skip_serializing_if = "Option::is_none", rename(deserialize = "tcpsocket"))]
    tcp_socket: Option<TcpSocket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exec: Option<Exec>,
    #[serde(skip_serializing_if = "Option::is_none", rename(deserialize = "initialdelayseconds"))]
    initial_delay_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", rename(deserialize = "periodseconds"))]
    period_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", rename(deserialize = "timeoutseconds"))]
    timeout_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", rename(deserialize = "successthreshold"))]
    success_threshold: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", rename(deserialize = "failurethreshold"))]
    failure_threshold: Option<u32>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(deserialize = "lowercase", serialize = "camelCase"), deny_unknown_fields)]
struct HttpGet {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    port: Port,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", rename(deserialize = "httpheaders"))]
    http_headers: Option<Vec<Header>>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TcpSocket {
    port: Port,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Exec {
    command: Vec<String>,
}

/// A port's number, or its name in the container.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Name(String),
}

/// Reads a probe from parameter `name` into Kubernetes' own form: absent keeps,
/// empty or `{}` clears (R15).
///
/// # Errors
/// A business error with the place and what is allowed.
pub fn read(params: &Params, name: &str) -> Result<Field<Value>, ApiError> {
    let given = match params.json::<Value>(name, ALLOWED)? {
        Field::Set(given) => given,
        Field::Keep => return Ok(Field::Keep),
        Field::Clear => return Ok(Field::Clear),
    };
    let refuse = |why: String| -> ApiError {
        ApiError::refused(name, params.raw(name).unwrap_or_default(), format!("{why}; {ALLOWED}"))
    };
    // Commands may hold passwords, and headers too.
    let probe: Probe = notation::shaped(&plain(given)).map_err(refuse)?;
    let ways = [probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.exec.is_some()];
    match ways.into_iter().filter(|&it| it).count() {
        1 => Ok(Field::Set(json!(probe))),
        // A form with every field left open says no more than an empty one.
        0 if json!(probe) == json!({}) => Ok(Field::Clear),
        number => Err(refuse(format!(
            "it has {number} of httpGet, tcpSocket and exec, and must have one"
        ))),
    }
}

/// Reads a hook (`PostStart`, `PreStop`) into Kubernetes' own form: absent keeps, empty
/// or `{}` clears (R15).
///
/// # Errors
/// As [`read`].
pub fn read_hook(params: &Params, name: &str) -> Result<Field<Value>, ApiError> {
    let hook = read(params, name)?;
    let is_way = |key: &String| matches!(key.as_str(), "httpGet" | "tcpSocket" | "exec");
    if let Field::Set(Value::Object(fields)) = &hook
        && let Some(other) = fields.keys().find(|key| !is_way(key))
    {
        let allowed = "a hook has one of httpGet, tcpSocket and exec, and no times";
        return Err(ApiError::refused(
            name,
            params.raw(name).unwrap_or_default(),
            format!("at {other}: {allowed}"),
        ));
    }
    Ok(hook)
}

/// `value` with keys in lower case, without nulls and empty hosts, and with
/// numeric text as numbers where Kubernetes wants numbers.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut kept = Map::new();
            for (key, value) in fields {
                let key = key.to_lowercase();
                if value.is_null() || (key == "host" && value == "") {
                    continue;
                }
                let is_number =
                    key == "port" || key.ends_with("seconds") || key.ends_with("threshold");
                let number =
                    value.as_str().filter(|_| is_number).and_then(|text| text.parse::<u32>().ok());
                kept.insert(key, number.map_or_else(|| plain(value), Value::from));
            }
            Value::Object(kept)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read_text(text: &str) -> Result<Field<Value>, ApiError> {
        let encoded: String =
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .collect();
        read(&Params::parse(&format!("Readiness={encoded}")).unwrap(), "Readiness")
    }

    #[rstest]
    #[case(
        r#"{"exec":{"command":["sh","-c","true"]},"initialDelaySeconds":5,"timeoutSeconds":null}"#,
        json!({ "exec": { "command": ["sh", "-c", "true"] }, "initialDelaySeconds": 5 })
    )]
    #[case(
        r#"{"FailureThreshold":3,"TcpSocket":{"host":"","Port":"8080"},"periodseconds":"10"}"#,
        json!({ "tcpSocket": { "port": 8080 }, "failureThreshold": 3, "periodSeconds": 10 })
    )]
    #[case(
        r#"{"httpGet":{"path":"/Health","port":"web","scheme":"HTTP","httpHeaders":[{"name":"X-A","value":"B"}]},"successThreshold":1}"#,
        json!({ "httpGet": { "path": "/Health", "port": "web", "scheme": "HTTP", "httpHeaders": [{ "name": "X-A", "value": "B" }] }, "successThreshold": 1 })
    )]
    fn a_probe_in_any_case_becomes_kubernetes_own(#[case] text: &str, #[case] expected: Value) {
        assert_eq!(read_text(text).unwrap(), Field::Set(expected));
    }

    #[rstest]
    #[case("")]
    #[case("{}")]
    #[case(r#"{"httpGet":null,"tcpSocket":null,"timeoutSeconds":null}"#)]
    fn an_empty_probe_clears(#[case] text: &str) {
        assert_eq!(read_text(text).unwrap(), Field::Clear);
        assert_eq!(read(&Params::default(), "Readiness").unwrap(), Field::Keep);
    }

    #[rstest]
    #[case(r#"{"tcpSocket":{"port":1},"exec":{"command":["x"]}}"#, "it has 2 of")]
    #[case(r#"{"timeoutSeconds":1}"#, "it has 0 of")]
    #[case(r#"{"tcpSocket":{"port":1},"wait":1}"#, "unknown field `wait`")]
    #[case(r#"{"httpGet":{"path":"/"}}"#, "at httpget: missing field `port`")]
    #[case(r#"{"tcpSocket":{"port":1},"timeoutSeconds":-1}"#, "at timeoutseconds")]
    #[case(r#"{"tcpSocket":"#, "not the JSON")]
    fn a_probe_that_cannot_be_understood_is_refused(#[case] text: &str, #[case] says: &str) {
        let ApiError::Business { message, .. } = read_text(text).unwrap_err() else {
            panic!("must be a business error")
        };
        assert!(
            message.contains("parameter Readiness has the value") && message.contains(says),
            "{message}"
        );
    }
}
